#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "evaluator/merge/blend.h"
#include "evaluator/merge/census.h"
#include "tests/evaluator/kitchen.h"

/* All changes of a source, tensor after tensor. */
static float *changes_of(const struct plan *plan, size_t source)
{
    float *d = mem_array(plan->n_elements, sizeof *d);
    size_t at = 0;

    for (size_t t = 0; t < plan->n_tensors; t++) {
        const struct trim_delta delta = plan_delta(&plan->tensors[t], source);

        for (size_t i = 0; i < delta.n; i += TRIM_BLOCK) {
            trim_read(&delta, i, delta.n - i < TRIM_BLOCK ? delta.n - i : TRIM_BLOCK, d + at + i);
        }
        at += delta.n;
    }
    return d;
}

static int downwards(const void *a, const void *b)
{
    float x = fabsf(*(const float *)a);
    float y = fabsf(*(const float *)b);

    return x < y ? 1 : x > y ? -1 : 0;
}

static void finds_every_rank_over_all_tensors(void **state)
{
    struct kitchen kitchen;

    (void)state;
    for (size_t brain = 0; brain < 2; brain++) {
        kitchen_open(&kitchen, brain != 0 ? kitchen_brains : kitchen_floats);
        kitchen_plan(&kitchen, "ties_global", RECIPE_FLOAT32);
        struct census *census = census_new(kitchen.plan.n_sources);
        float *sorted = changes_of(&kitchen.plan, 1);
        size_t n = kitchen.plan.n_elements;

        qsort(sorted, n, sizeof *sorted, downwards);
        assert_int_equal(census_size(census, &kitchen.plan, 1), n);
        for (size_t keep = 1; keep <= n; keep += keep < 5 ? 1 : n / 9) {
            float magnitude = fabsf(sorted[keep - 1]);
            uint32_t bits;

            memcpy(&bits, &magnitude, sizeof bits);
            assert_int_equal(census_find(census, &kitchen.plan, 1, keep), bits);
        }
        free(sorted);
        census_free(census);
        kitchen_close(&kitchen);
    }
}

static void set_density(struct recipe *recipe, double density)
{
    size_t n = method_count(recipe->method, METHOD_SOURCE);
    size_t at = method_index(recipe->method, METHOD_SOURCE, "density");

    for (size_t s = 0; s < recipe->n_sources; s++) {
        recipe->groups[0].source_values[s * n + at] = density;
    }
}

static int place_at(void *context, const struct plan_tensor *tensor, float **out, struct err *err)
{
    float **slots = context;

    (void)err;
    *out = slots[tensor->index];
    return 0;
}

/* Every tensor by itself, the last first: what one gets does not depend on what came before. */
static void trims_by_one_threshold_in_any_order(void **state)
{
    struct kitchen kitchen;
    struct blend *blend = blend_new();
    float *slots[256] = {0};
    const struct blend_sink sink = {.place = place_at, .context = slots};
    size_t at = 0;

    (void)state;
    kitchen_open(&kitchen, kitchen_floats);
    kitchen_plan(&kitchen, "ties_global", RECIPE_FLOAT32);
    struct plan *plan = &kitchen.plan;
    set_density(&kitchen.recipe, 0.3);
    float *d[2] = {changes_of(plan, 0), changes_of(plan, 1)};
    float threshold[2];
    for (size_t s = 0; s < 2; s++) {
        float *sorted = changes_of(plan, s);

        qsort(sorted, plan->n_elements, sizeof *sorted, downwards);
        threshold[s] = fabsf(sorted[(size_t)floor(0.3 * (double)plan->n_elements) - 1]);
        free(sorted);
    }
    assert_true(plan->n_tensors <= 256);
    for (size_t t = plan->n_tensors; t-- > 0;) {
        slots[t] = mem_array(plan->tensors[t].n, sizeof(float));
        assert_int_equal(blend_one(blend, plan, t, &sink, NULL, NULL), 0);
    }
    for (size_t t = 0; t < plan->n_tensors; t++) {
        for (size_t i = 0; i < plan->tensors[t].n; i++, at++) {
            float a = fabsf(d[0][at]) >= threshold[0] ? d[0][at] : 0.0F;
            float b = fabsf(d[1][at]) >= threshold[1] ? d[1][at] : 0.0F;
            float sign = a + b >= 0.0F ? 1.0F : -1.0F;
            float sum = (a * sign > 0.0F ? a : 0.0F) + (b * sign > 0.0F ? b : 0.0F);
            float share = (a * sign > 0.0F ? 1.0F : 0.0F) + (b * sign > 0.0F ? 1.0F : 0.0F);
            float base;

            memcpy(&base, plan->tensors[t].base->data + i * 4, sizeof base);
            float want = base + (share > 0.0F ? sum / share : 0.0F);
            assert_true(fabsf(slots[t][i] - want) <= 1e-6F * (1.0F + fabsf(want)));
        }
        free(slots[t]);
    }
    free(d[0]);
    free(d[1]);
    blend_free(blend);
    kitchen_close(&kitchen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_every_rank_over_all_tensors),
        cmocka_unit_test(trims_by_one_threshold_in_any_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
