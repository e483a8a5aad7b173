/*
 * Methods on whole tensors against their plain twins, on tensors of several blocks whose rows are
 * longer than a block, or shorter and no multiple of anything.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the headers it needs */
#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/merge/blend.h"
#include "tests/support/merge_twin.h"

#define K 3
#define N 60000
#define CLOSE 2e-6F /* of numbers near 1, a few roundings to float */

struct hand {
    size_t rows, columns;
    float base[N], x[K][N];
    unsigned char stored[K + 1][N * 4];
    struct checkpoint_tensor tensors[K + 1];
    const struct checkpoint_tensor *sources[K];
    const struct method *method;
    double source_values[K * METHOD_PARAMETERS_MAX], whole_values[METHOD_PARAMETERS_MAX];
    struct plan_tensor tensor;
    struct plan plan;
    struct blend *blend;
};

static void store(struct hand *hand, size_t i, float *floats, enum dtype dtype)
{
    dtype_from_f32(hand->stored[i], floats, dtype, N);
    dtype_to_f32(floats, hand->stored[i], dtype, N);
    hand->tensors[i] = (struct checkpoint_tensor){
        .name = "t", .dtype = dtype, .n_elements = N, .data = hand->stored[i], .file = "f"};
}

static void set(struct hand *hand, const char *name, double value)
{
    size_t whole = method_index(hand->method, METHOD_WHOLE, name);

    if (whole != SIZE_MAX) {
        hand->whole_values[whole] = value;
        return;
    }
    size_t n = method_count(hand->method, METHOD_SOURCE);
    size_t at = method_index(hand->method, METHOD_SOURCE, name);

    for (size_t s = 0; s < K && at != SIZE_MAX; s++) { /* value, twice, three times */
        hand->source_values[s * n + at] = value * (double)(s + 1);
    }
}

/* rows * columns = N numbers near 1; some changes are small, some shared, some none. */
static struct hand *make_hand(const char *method, enum dtype dtype, size_t rows, size_t k)
{
    struct hand *hand = mem_array(1, sizeof *hand);
    struct rng64 rng;

    hand->rows = rows;
    hand->columns = N / rows;
    rng64_seed(&rng, 21, rows);
    for (size_t i = 0; i < N; i++) {
        hand->base[i] = (float)rng64_below(&rng, 2048) / 1024.0F - 1.0F;
        for (size_t s = 0; s < K; s++) {
            float change = (float)rng64_below(&rng, 4096) / 2048.0F - 1.0F;

            hand->x[s][i] = hand->base[i] + (rng64_below(&rng, 3) == 0 ? 0.0F : change);
        }
    }
    store(hand, K, hand->base, dtype);
    for (size_t s = 0; s < K; s++) {
        store(hand, s, hand->x[s], dtype);
        hand->sources[s] = &hand->tensors[s];
    }
    assert_int_equal(method_find(&hand->method, method, NULL), 0);
    for (size_t p = 0; p < method_count(hand->method, METHOD_WHOLE); p++) {
        hand->whole_values[p] = method_at(hand->method, METHOD_WHOLE, p)->fallback;
    }
    hand->tensor = (struct plan_tensor){.name = "t",
                                        .n_dims = 2,
                                        .dims = {rows, N / rows},
                                        .n = N,
                                        .dtype = dtype,
                                        .work = DTYPE_F32,
                                        .base = &hand->tensors[K],
                                        .n_sources = k,
                                        .sources = hand->sources,
                                        .source_values = hand->source_values,
                                        .whole_values = hand->whole_values};
    hand->plan = (struct plan){.method = hand->method,
                               .n_sources = k,
                               .n_tensors = 1,
                               .tensors = &hand->tensor,
                               .n_elements = N};
    hand->blend = blend_new();
    return hand;
}

static void free_hand(struct hand *hand)
{
    blend_free(hand->blend);
    free(hand);
}

static int give_slot(void *context, const struct plan_tensor *tensor, float **out, struct err *err)
{
    (void)tensor;
    (void)err;
    *out = context;
    return 0;
}

/* The merge, rounded; on bfloat16 the way in place, which must agree with the one through floats.
 */
static const float *merge(struct hand *hand)
{
    static float direct[N], through[N];
    const struct blend_sink sink = {.place = give_slot, .context = direct};
    struct err err = {0};

    if (blend_run(hand->blend, &hand->plan, &sink, NULL, &err) != 0 ||
        blend_tensor(hand->blend, &hand->plan, &hand->tensor, through, &err) != 0) {
        fail_msg("%s", err.text);
    }
    dtype_round(through, hand->tensor.dtype, N);
    assert_memory_equal(direct, through, sizeof direct);
    return direct;
}

/* Equal up to a few roundings, and one to the type. */
static void assert_close(const struct hand *hand, const float *got, const float *want)
{
    float step = hand->tensor.dtype == DTYPE_BF16 ? 0.008F : 0.0F;

    for (size_t i = 0; i < N; i++) {
        float far = fabsf(got[i] - want[i]);

        if (!(far <= (CLOSE + step) * (1.0F + fabsf(want[i])))) {
            fail_msg("%s: element %zu is %.9g, not %.9g", hand->method->name, i, (double)got[i],
                     (double)want[i]);
        }
    }
}

static const float *const *others(const struct hand *hand)
{
    static const float *list[K];

    for (size_t s = 0; s < K; s++) {
        list[s] = hand->x[s];
    }
    return list;
}

static const enum dtype both[] = {DTYPE_F32, DTYPE_BF16};
static const size_t shapes[] = {1, 8, 400, 15000}; /* rows of 60000, 7500, 150, 4 */
static float want[N];

static void slerp_is_its_twin(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct hand *hand = make_hand("slerp", both[i], 8, 1);

        set(hand, "t", 0.3);
        twin_slerp(want, hand->base, hand->x[0], N, 0.3);
        assert_close(hand, merge(hand), want);
        free_hand(hand);
    }
}

static void check_nuslerp(enum dtype dtype, size_t rows, enum twin_vectors vectors, bool with_base)
{
    struct hand *hand = make_hand("nuslerp", dtype, rows, 2);

    set(hand, "weight", 0.5);
    set(hand, "nuslerp_flatten", vectors == TWIN_WHOLE);
    set(hand, "nuslerp_row_wise", vectors == TWIN_COLUMNS);
    hand->tensor.base = with_base ? hand->tensor.base : NULL;
    twin_nuslerp(want, hand->x[0], hand->x[1], with_base ? hand->base : NULL, rows, N / rows, 0.5,
                 1.0, vectors);
    assert_close(hand, merge(hand), want);
    free_hand(hand);
}

static void nuslerp_is_its_twin_by_tensor_row_and_column(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        for (size_t i = 0; i < 2; i++) {
            for (enum twin_vectors vectors = TWIN_WHOLE; vectors <= TWIN_COLUMNS; vectors++) {
                check_nuslerp(both[i], shapes[s], vectors, false);
                check_nuslerp(both[i], shapes[s], vectors, true);
            }
        }
    }
}

static void model_stock_is_its_twin_by_tensor_and_row(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes - 1; s++) {
        for (size_t by_row = 0; by_row < 2; by_row++) {
            struct hand *hand = make_hand("model_stock", both[s % 2], shapes[s], K);

            set(hand, "filter_wise", (double)by_row);
            twin_stock(want, hand->base, others(hand), N, K, by_row ? N / shapes[s] : N);
            assert_close(hand, merge(hand), want);
            free_hand(hand);
        }
    }
}

static void multislerp_of_two_is_slerp_without_weights_apart(void **state)
{
    struct hand *multi = make_hand("multislerp", DTYPE_F32, 8, 2);

    (void)state;
    multi->tensor.base = NULL;
    for (size_t i = 0; i < N; i++) { /* equal lengths: half way along the arc */
        multi->x[1][i] = multi->x[0][N - 1 - i];
    }
    store(multi, 1, multi->x[1], DTYPE_F32);
    multi->source_values[0] = multi->source_values[1] = 1.0;
    twin_slerp(want, multi->x[0], multi->x[1], N, 0.5);
    assert_close(multi, merge(multi), want);
    free_hand(multi);
}

static void karcher_leans_to_the_heavier_source(void **state)
{
    struct hand *hand = make_hand("karcher", DTYPE_F32, 8, 2);

    (void)state;
    for (size_t i = 0; i < N; i++) {
        hand->x[1][i] = hand->x[0][N - 1 - i];
    }
    store(hand, 1, hand->x[1], DTYPE_F32);
    set(hand, "weight", 1.0); /* 1 and 2: two thirds along the arc of two equal lengths */
    set(hand, "max_iter", 50);
    set(hand, "tol", 1e-9);
    twin_slerp(want, hand->x[0], hand->x[1], N, 2.0 / 3.0);
    assert_close(hand, merge(hand), want);
    free_hand(hand);
}

static void mergekit_knows_no_weights_of_karcher_and_no_spread(void **state)
{
    static const struct {
        const char *method, *parameter;
        double default_value, other;
    } rows[] = {{"karcher", "weight", 0.0, 3.0}, {"arcee_fusion", "spread", 1.5, 0.5}};

    (void)state;
    for (size_t r = 0; r < 2; r++) {
        struct hand *hand = make_hand(rows[r].method, DTYPE_F32, 8, r == 0 ? 2 : 1);

        set(hand, rows[r].parameter, rows[r].default_value);
        hand->source_values[0] = hand->source_values[1] = 1.0;
        memcpy(want, merge(hand), sizeof want);
        set(hand, rows[r].parameter, rows[r].other);
        assert_memory_not_equal(merge(hand), want, sizeof want);
        hand->plan.rules.exact_mergekit = true;
        assert_memory_equal(merge(hand), want, sizeof want);
        free_hand(hand);
    }
}

static void sce_is_its_twin(void **state)
{
    static float scratch[N];
    const double shares[] = {1.0, 0.31, 1e-4, 0.0};

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        struct hand *hand = make_hand("sce", both[i % 2], 8, K);

        set(hand, "select_topk", shares[i / 2]);
        twin_sce(want, hand->base, others(hand), N, K, shares[i / 2], scratch);
        assert_close(hand, merge(hand), want);
        free_hand(hand);
    }
}

static void ram_is_its_twin(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        bool plus = i >= 2;
        struct hand *hand = make_hand(plus ? "ramplus_tl" : "ram", both[i % 2], 8, K);

        set(hand, "epsilon", 0.25);
        if (plus) {
            set(hand, "alpha", 0.7);
        }
        twin_ram(want, hand->base, others(hand), N, K, 0.25, 0.1, plus ? 0.7 : -1.0);
        assert_close(hand, merge(hand), want);
        free_hand(hand);
    }
}

static void fusion_is_its_twin(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        struct hand *hand = make_hand("arcee_fusion", both[s % 2], shapes[s], 1);

        twin_fusion(want, hand->base, hand->x[0], shapes[s], N / shapes[s], 1.5);
        assert_close(hand, merge(hand), want);
        free_hand(hand);
    }
}

static void one_input_alone_is_returned_as_it_is(void **state)
{
    const char *const methods[] = {"slerp", "nuslerp", "multislerp", "karcher",      "model_stock",
                                   "sce",   "ram",     "ramplus_tl", "arcee_fusion", "nearswap"};

    (void)state;
    for (size_t m = 0; m < sizeof methods / sizeof *methods; m++) {
        struct hand *hand = make_hand(methods[m], DTYPE_F32, 8, 0);

        assert_memory_equal(merge(hand), hand->base, sizeof hand->base);
        free_hand(hand);
    }
}

static void a_value_that_is_not_finite_is_found_whatever_the_method(void **state)
{
    const char *const methods[] = {"slerp", "nuslerp", "multislerp", "karcher",      "model_stock",
                                   "sce",   "ram",     "ramplus_tl", "arcee_fusion", "nearswap"};
    static float out[N];

    (void)state;
    for (size_t m = 0; m < sizeof methods / sizeof *methods; m++) {
        for (size_t from = 0; from < 2; from++) {
            struct hand *hand = make_hand(methods[m], DTYPE_F32, 8, 2);
            float *x = from == 0 ? hand->x[0] : hand->base;
            struct err err = {0};

            hand->tensor.n_sources = hand->method->sources_max < 2 ? 1 : 2;
            hand->tensor.base = from == 1 && !hand->method->needs_base ? NULL : hand->tensor.base;
            x[N - 3] = from == 0 ? NAN : INFINITY;
            store(hand, from == 0 ? 0 : K, x, DTYPE_F32);
            set(hand, "weight", 1.0);
            if (from == 0 || hand->method->needs_base) {
                int rc = blend_tensor(hand->blend, &hand->plan, &hand->tensor, out, &err);

                if (rc != ERR_NUMERIC) {
                    fail_msg("%s lets it pass", hand->method->name);
                }
            }
            free_hand(hand);
        }
    }
}

static void what_was_found_serves_the_next_candidate(void **state)
{
    static const struct {
        const char *method, *parameter;
        double first, second;
    } rows[] = {{"slerp", "t", 0.2, 0.7},
                {"nuslerp", "weight", 1.0, -0.3},
                {"karcher", "max_iter", 0, 10},
                {"arcee_fusion", "spread", 0.5, 1.5}};
    static float first[N], second[N];
    const struct blend_sink sink = {.place = give_slot, .context = second};

    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        struct hand *hand = make_hand(rows[r].method, DTYPE_BF16, 8, 2);

        hand->tensor.n_sources = hand->method->sources_max < 2 ? 1 : 2;
        set(hand, "weight", 1.0);
        set(hand, rows[r].parameter, rows[r].first);
        assert_int_equal(blend_run(hand->blend, &hand->plan, &sink, NULL, NULL), 0);
        set(hand, rows[r].parameter, rows[r].second);
        assert_int_equal(blend_run(hand->blend, &hand->plan, &sink, NULL, NULL), 0);
        memcpy(first, second, sizeof first);
        blend_free(hand->blend);
        hand->blend = blend_new();
        assert_int_equal(blend_run(hand->blend, &hand->plan, &sink, NULL, NULL), 0);
        assert_memory_equal(first, second, sizeof first);
        free_hand(hand);
    }
}

static void layers_are_swapped_at_the_boundaries(void **state)
{
    const float shares[] = {0.0F, 0.5F, 1.0F, 0.0F, 0.0F, 0.0F}; /* of the second source */
    struct hand *hand = make_hand("layer_swap", DTYPE_F32, 8, 2);

    (void)state;
    set(hand, "bottom", 0.25);
    set(hand, "top", 0.5);
    hand->plan.config.n_layers = 6;
    for (uint32_t layer = 0; layer < 6; layer++) {
        hand->tensor.layer = layer;
        for (size_t i = 0; i < N; i++) {
            want[i] = (1.0F - shares[layer]) * hand->x[0][i] + shares[layer] * hand->x[1][i];
        }
        assert_memory_equal(merge(hand), want, sizeof want);
    }
    free_hand(hand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slerp_is_its_twin),
        cmocka_unit_test(nuslerp_is_its_twin_by_tensor_row_and_column),
        cmocka_unit_test(model_stock_is_its_twin_by_tensor_and_row),
        cmocka_unit_test(multislerp_of_two_is_slerp_without_weights_apart),
        cmocka_unit_test(karcher_leans_to_the_heavier_source),
        cmocka_unit_test(mergekit_knows_no_weights_of_karcher_and_no_spread),
        cmocka_unit_test(sce_is_its_twin),
        cmocka_unit_test(ram_is_its_twin),
        cmocka_unit_test(fusion_is_its_twin),
        cmocka_unit_test(one_input_alone_is_returned_as_it_is),
        cmocka_unit_test(a_value_that_is_not_finite_is_found_whatever_the_method),
        cmocka_unit_test(what_was_found_serves_the_next_candidate),
        cmocka_unit_test(layers_are_swapped_at_the_boundaries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
