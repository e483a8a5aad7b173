#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/merge/blend.h"
#include "tests/evaluator/kitchen.h"

/* ---- one tensor by hand: 50000 elements, several blocks ---- */

#define N 50000
#define K 3

struct hand {
    float base[N], x[K][N]; /* what is stored, as floats */
    unsigned char stored_base[N * 4], stored_x[K][N * 4];
    struct checkpoint_tensor tensors[K + 1];
    const struct checkpoint_tensor *sources[K];
    double source_values[K * METHOD_PARAMETERS_MAX], whole_values[METHOD_PARAMETERS_MAX];
    struct plan_tensor tensor;
    struct plan plan;
};

static void store(struct checkpoint_tensor *tensor, unsigned char *stored, float *floats,
                  enum dtype dtype)
{
    dtype_from_f32(stored, floats, dtype, N);
    dtype_to_f32(floats, stored, dtype, N);
    *tensor = (struct checkpoint_tensor){
        .name = "t", .dtype = dtype, .n_elements = N, .data = stored, .file = "f"};
}

/* Coarse numbers, so that many magnitudes are equal. */
static struct hand *make_hand(const char *method, enum dtype dtype)
{
    struct hand *hand = mem_array(1, sizeof *hand);
    struct rng64 rng;

    rng64_seed(&rng, 11, 1);
    for (size_t i = 0; i < N; i++) {
        hand->base[i] = (float)rng64_below(&rng, 256) / 4096.0F;
        for (size_t s = 0; s < K; s++) {
            float change = ((float)rng64_below(&rng, 33) - 16.0F) / 4096.0F;

            hand->x[s][i] = hand->base[i] + change;
        }
    }
    store(&hand->tensors[K], hand->stored_base, hand->base, dtype);
    for (size_t s = 0; s < K; s++) {
        store(&hand->tensors[s], hand->stored_x[s], hand->x[s], dtype);
        hand->sources[s] = &hand->tensors[s];
    }
    hand->tensor = (struct plan_tensor){.name = "t",
                                        .n = N,
                                        .dtype = dtype,
                                        .base = &hand->tensors[K],
                                        .n_sources = K,
                                        .sources = hand->sources,
                                        .source_values = hand->source_values,
                                        .whole_values = hand->whole_values};
    hand->plan =
        (struct plan){.n_sources = K, .n_tensors = 1, .tensors = &hand->tensor, .n_elements = N};
    assert_int_equal(method_find(&hand->plan.method, method, NULL), 0);
    for (size_t p = 0; p < method_count(hand->plan.method, METHOD_WHOLE); p++) {
        hand->whole_values[p] = method_at(hand->plan.method, METHOD_WHOLE, p)->fallback;
    }
    return hand;
}

static void set(struct hand *hand, size_t source, const char *name, double value)
{
    size_t n = method_count(hand->plan.method, METHOD_SOURCE);

    hand->source_values[source * n + method_index(hand->plan.method, METHOD_SOURCE, name)] = value;
}

/* What a trim keeps, by the definition: the k largest, ties to the lower index. */
static void slow_trim(const float *d, size_t k, unsigned char *keep)
{
    memset(keep, 0, N);
    for (int step = 64; k > 0 && step >= 0; step--) { /* magnitudes are multiples of 2^-12 */
        for (size_t i = 0; k > 0 && i < N; i++) {
            if (fabsf(d[i]) == (float)step / 4096.0F) {
                keep[i] = 1;
                k--;
            }
        }
    }
}

static void slow_ties(const struct hand *hand, const double *weights, const double *densities,
                      float *out)
{
    static float d[K][N];
    static unsigned char keep[K][N];

    for (size_t s = 0; s < K; s++) {
        for (size_t i = 0; i < N; i++) {
            d[s][i] = hand->x[s][i] - hand->base[i];
        }
        slow_trim(d[s], (size_t)floor(densities[s] * N), keep[s]);
    }
    for (size_t i = 0; i < N; i++) {
        float total = 0.0F;
        float mix = 0.0F;
        float share = 0.0F;

        for (size_t s = 0; s < K; s++) {
            total += keep[s][i] ? (float)weights[s] * d[s][i] : 0.0F;
        }
        for (size_t s = 0; s < K; s++) {
            float e = keep[s][i] ? (float)weights[s] * d[s][i] : 0.0F;

            if (total >= 0.0F ? e > 0.0F : e < 0.0F) {
                mix += e;
                share += (float)weights[s];
            }
        }
        out[i] = hand->base[i] + mix * (1.0F / (share != 0.0F ? share : 1.0F));
    }
}

static int give_slot(void *context, const struct plan_tensor *tensor, float **out, struct err *err)
{
    (void)tensor;
    (void)err;
    *out = context;
    return 0;
}

static int give_memory(void *context, const struct plan_tensor *tensor, void **out, struct err *err)
{
    (void)tensor;
    (void)err;
    *out = context;
    return 0;
}

static void trims_exactly_across_blocks_and_candidates(void **state)
{
    const double weights[K] = {1.0, 0.6, -0.4};
    const double densities[][K] = {{0.5, 0.31, 0.07}, {0.9, 0.501, 0.2}, {0.5, 0.31, 0.07}};
    const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16};
    static float want[N];
    static float got[N];

    (void)state;
    for (size_t t = 0; t < 2; t++) {
        struct hand *hand = make_hand("ties", dtypes[t]);
        struct blend *blend = blend_new();
        const struct blend_sink sink = {.place = give_slot, .context = got};

        for (size_t c = 0; c < 3; c++) {
            for (size_t s = 0; s < K; s++) {
                set(hand, s, "weight", weights[s]);
                set(hand, s, "density", densities[c][s]);
            }
            assert_int_equal(blend_run(blend, &hand->plan, &sink, NULL, NULL), 0);
            slow_ties(hand, weights, densities[c], want);
            dtype_round(want, dtypes[t], N);
            assert_memory_equal(got, want, sizeof want);
        }
        blend_free(blend);
        free(hand);
    }
}

static void gives_the_same_through_floats_and_in_place(void **state)
{
    const char *const methods[] = {"linear", "task_arithmetic", "ties"};
    static float direct[N];
    static uint16_t memory[N];
    static float through[N];

    (void)state;
    for (size_t m = 0; m < 3; m++) {
        struct hand *hand = make_hand(methods[m], DTYPE_BF16);
        struct blend *blend = blend_new();
        const struct blend_sink slot = {.place = give_slot, .context = direct};
        const struct blend_sink store_sink = {.store = give_memory, .context = memory};

        for (size_t s = 0; s < K; s++) {
            set(hand, s, "weight", 0.3 + 0.2 * (double)s);
            if (m == 2) {
                set(hand, s, "density", 0.4);
            }
        }
        assert_int_equal(blend_run(blend, &hand->plan, &slot, NULL, NULL), 0);
        assert_int_equal(blend_run(blend, &hand->plan, &store_sink, NULL, NULL), 0);
        assert_int_equal(blend_tensor(blend, &hand->plan, &hand->tensor, through, NULL), 0);
        dtype_round(through, DTYPE_BF16, N);
        assert_memory_equal(direct, through, sizeof through);
        dtype_to_f32(through, memory, DTYPE_BF16, N);
        assert_memory_equal(direct, through, sizeof through);
        blend_free(blend);
        free(hand);
    }
}

/* As a recipe written by hand. */
static int blend_strictly(struct blend *blend, struct hand *hand, float *out, struct err *err)
{
    hand->plan.rules.strict = true;
    int rc = blend_tensor(blend, &hand->plan, &hand->tensor, out, err);
    hand->plan.rules.strict = false;
    return rc;
}

static void keeps_one_element_unless_it_is_strict(void **state)
{
    static float out[N];
    struct hand *hand = make_hand("ties", DTYPE_F32);
    struct blend *blend = blend_new();
    struct err err = {0};
    size_t changed = 0;

    (void)state;
    for (size_t s = 0; s < K; s++) {
        set(hand, s, "weight", 1.0);
    }
    assert_int_equal(blend_strictly(blend, hand, out, &err), ERR_NUMERIC);
    assert_non_null(strstr(err.text, "t: density 0 keeps no element"));
    assert_int_equal(blend_tensor(blend, &hand->plan, &hand->tensor, out, &err), 0);
    for (size_t i = 0; i < N; i++) {
        changed += out[i] != hand->base[i];
    }
    assert_in_range(changed, 1, K);
    blend_free(blend);
    free(hand);
}

static void refuses_weights_that_sum_to_zero(void **state)
{
    static float out[N];
    struct hand *hand = make_hand("linear", DTYPE_F32);
    struct blend *blend = blend_new();
    struct err err = {0};

    (void)state;
    set(hand, 0, "weight", 1.0);
    set(hand, 1, "weight", -1.0);
    assert_int_equal(blend_strictly(blend, hand, out, &err), ERR_NUMERIC);
    assert_non_null(strstr(err.text, "sum to zero"));
    blend_free(blend);
    free(hand);
}

/* ---- whole models ---- */

static void averages_whatever_types_the_sources_have(void **state)
{
    const struct tiny_model models[3] = {{.seed = 1, .dtype = DTYPE_F32},
                                         {.seed = 2, .dtype = DTYPE_F16},
                                         {.seed = 3, .dtype = DTYPE_BF16}};
    struct kitchen kitchen;
    struct blend *blend = blend_new();
    float out[TINY_VOCAB * TINY_WIDTH];

    (void)state;
    kitchen_open(&kitchen, models);
    kitchen_plan(&kitchen, "linear", RECIPE_FLOAT16);
    for (size_t i = 0; i < kitchen.plan.n_tensors; i++) {
        const struct plan_tensor *tensor = &kitchen.plan.tensors[i];
        const struct blend_sink sink = {.place = give_slot, .context = out};
        float a[TINY_VOCAB * TINY_WIDTH];
        float b[TINY_VOCAB * TINY_WIDTH];

        assert_int_equal(blend_one(blend, &kitchen.plan, i, &sink, NULL, NULL), 0);
        dtype_to_f32(a, tensor->sources[0]->data, DTYPE_F16, tensor->n);
        dtype_to_f32(b, tensor->sources[1]->data, DTYPE_BF16, tensor->n);
        for (size_t e = 0; e < tensor->n; e++) {
            assert_true(out[e] == dtype_f32_of_f16(dtype_f16_of_f32((a[e] + b[e]) / 2.0F)));
        }
    }
    blend_free(blend);
    kitchen_close(&kitchen);
}

static void passes_a_model_through_unchanged(void **state)
{
    struct kitchen kitchen;
    struct blend *blend = blend_new();
    const struct blend_sink nowhere = {0};
    char blended[DIGEST_HEX];
    char stored[DIGEST_HEX];

    (void)state;
    kitchen_open(&kitchen, kitchen_brains);
    kitchen_plan(&kitchen, "passthrough", RECIPE_BFLOAT16);
    assert_int_equal(blend_run(blend, &kitchen.plan, &nowhere, blended, NULL), 0);
    assert_int_equal(checkpoint_weights_digest(kitchen.models[1], stored, NULL), 0);
    assert_string_equal(blended, stored);
    blend_free(blend);
    kitchen_close(&kitchen);
}

static void names_the_source_that_is_not_finite(void **state)
{
    const char *const methods[] = {"linear", "task_arithmetic", "ties"};
    const enum dtype dtypes[] = {DTYPE_BF16, DTYPE_F32};
    const struct blend_sink nowhere = {0};

    (void)state;
    for (size_t t = 0; t < 2; t++) {
        const struct tiny_model models[3] = {
            {.dtype = dtypes[t], .seed = 1},
            {.dtype = dtypes[t], .seed = 2},
            {.dtype = dtypes[t], .seed = 3, .with_nan = "model.layers.1.mlp.down_proj.weight"}};
        struct kitchen kitchen;
        struct blend *blend = blend_new();

        kitchen_open(&kitchen, models);
        for (size_t m = 0; m < 3; m++) {
            struct err err = {0};
            char weights[DIGEST_HEX] = "as it was";

            kitchen_plan(&kitchen, methods[m], RECIPE_BFLOAT16);
            assert_int_equal(blend_run(blend, &kitchen.plan, &nowhere, weights, &err), ERR_NUMERIC);
            assert_non_null(strstr(err.text,
                                   "/b/model.safetensors: model.layers.1.mlp.down_proj.weight: "
                                   "element 5 is not finite (1 of "));
            assert_string_equal(weights, "as it was");
        }
        blend_free(blend);
        kitchen_close(&kitchen);
    }
}

static void names_the_tensor_when_the_result_overflows(void **state)
{
    const struct tiny_model models[3] = {{.seed = 1}, {.seed = 2, .spread = 30000}, {.seed = 3}};
    const struct blend_sink nowhere = {0};
    struct kitchen kitchen;
    struct blend *blend = blend_new();
    struct err err = {0};

    (void)state;
    kitchen_open(&kitchen, models);
    kitchen_plan(&kitchen, "passthrough", RECIPE_FLOAT16);
    assert_int_equal(blend_run(blend, &kitchen.plan, &nowhere, NULL, &err), ERR_NUMERIC);
    assert_non_null(strstr(err.text, "lm_head.weight: the merge gives a value that is not finite"));
    blend_free(blend);
    kitchen_close(&kitchen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trims_exactly_across_blocks_and_candidates),
        cmocka_unit_test(gives_the_same_through_floats_and_in_place),
        cmocka_unit_test(keeps_one_element_unless_it_is_strict),
        cmocka_unit_test(refuses_weights_that_sum_to_zero),
        cmocka_unit_test(averages_whatever_types_the_sources_have),
        cmocka_unit_test(passes_a_model_through_unchanged),
        cmocka_unit_test(names_the_source_that_is_not_finite),
        cmocka_unit_test(names_the_tensor_when_the_result_overflows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
