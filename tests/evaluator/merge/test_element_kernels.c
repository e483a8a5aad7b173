#include "evaluator/merge/element_kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the headers it needs */
#include <cmocka.h>

#include "base/rng.h"
#include "evaluator/model/dtype.h"

#define K 3
#define N 1003      /* no multiple of any register */
#define PADDED 1008 /* one of sixteen */

static float base[PADDED], x[K][PADDED];
static const float *const list[K] = {x[0], x[1], x[2]};
static const float per_source[K] = {0.5F, 0.3F, 0.2F};
static const void *const five[5] = {x[0], x[1], x[2], x[1], x[0]};
static uint32_t keep[PADDED];

static void draw(void)
{
    struct rng64 rng;

    rng64_seed(&rng, 9, 1);
    for (size_t i = 0; i < N; i++) {
        base[i] = (float)rng64_below(&rng, 1U << 20) / (float)(1U << 19) - 1.0F;
        keep[i] = rng64_below(&rng, 2) != 0 ? 0xffffffffU : 0;
        for (size_t s = 0; s < K; s++) {
            x[s][i] = (float)rng64_below(&rng, 1U << 20) / (float)(1U << 19) - 1.0F;
        }
    }
}

/* All that a set computes, as bytes. */
struct results {
    double gram[2][15], column_dots[3 * N], squares, exponentials, divergence;
    float subtracted[N], columns[2][N], near[N], variance[PADDED], sce[PADDED], ram[PADDED];
    float scores[N], chosen[N];
    uint32_t active[PADDED], bad;
    size_t all, alone;
};

static void compute(const struct element_kernels *kernels, struct results *out)
{
    memset(out, 0, sizeof *out);
    kernels->gram_f32(out->gram[0], base, five, 5, N);
    kernels->gram_bf16(out->gram[1], NULL, five, 4, N);
    memcpy(out->subtracted, x[0], sizeof out->subtracted);
    kernels->subtract(out->subtracted, base, N);
    kernels->columns(out->columns[0], base, x[0], x[1], x[2], base, N);
    kernels->columns(out->columns[1], NULL, x[0], x[1], x[2], base, N);
    kernels->column_dots(out->column_dots, x[0], x[1], N);
    kernels->near(out->near, base, x[0], 0.01F, N);
    kernels->variance(out->variance, list, K, N);
    out->squares = kernels->squares(x[0], keep, N);
    kernels->sce(out->sce, base, list, per_source, keep, K, N);
    kernels->active(out->active, list, 0.5F, K, N);
    kernels->shares(&out->all, &out->alone, x[1], out->active, 0.5F, N);
    kernels->ram(out->ram, base, list, per_source, out->active, 0.5F, K, N);
    out->exponentials = kernels->exponentials(x[0], 1.0F, N);
    out->divergence = kernels->divergence(x[0], 1.0F, 400.0, x[1], 1.0F, 410.0, N);
    kernels->scores(out->scores, base, x[0], 0.1, N);
    out->bad = kernels->choose(out->chosen, base, x[0], out->scores, 0.05, N);
}

static void every_set_gives_the_same_bits(void **state)
{
    static struct results plain, other;

    (void)state;
    draw();
    compute(element_kernels_for(ISA_PLAIN), &plain);
    for (enum isa isa = ISA_PLAIN; isa <= isa_best(); isa++) {
        compute(element_kernels_for(isa), &other);
        assert_memory_equal(&plain, &other, sizeof plain);
    }
}

static double slow_dot(const float *u, const float *v, bool with_base)
{
    double sum = 0.0;

    for (size_t i = 0; i < N; i++) {
        float from = with_base ? base[i] : 0.0F;

        sum += (double)(u[i] - from) * (double)(v[i] - from);
    }
    return sum;
}

static void dot_products_are_exact_but_for_the_sum(void **state)
{
    const struct element_kernels *kernels = element_kernels_for(isa_best());

    (void)state;
    draw();
    for (size_t k = 2; k <= 5; k++) {
        for (size_t with = 0; with < 2; with++) {
            double dots[15];
            size_t pair = 0;

            kernels->gram_f32(dots, with ? base : NULL, five, k, N);
            for (size_t j = 0; j < k; j++) {
                for (size_t i = 0; i <= j; i++, pair++) {
                    assert_true(fabs(dots[pair] - slow_dot(five[i], five[j], with)) < 1e-11);
                }
            }
        }
    }
}

static void stored_halves_give_the_sums_of_their_floats(void **state)
{
    const struct element_kernels *kernels = element_kernels_for(isa_best());
    static uint16_t halves[K + 1][N];
    const void *const stored[K] = {halves[0], halves[1], halves[2]};
    double direct[6], through[6];

    (void)state;
    draw();
    for (size_t s = 0; s <= K; s++) {
        dtype_from_f32(halves[s], s < K ? x[s] : base, DTYPE_BF16, N);
        dtype_to_f32(s < K ? x[s] : base, halves[s], DTYPE_BF16, N);
    }
    kernels->gram_bf16(direct, halves[K], stored, K, N);
    kernels->gram_f32(through, base, five, K, N);
    assert_memory_equal(direct, through, sizeof direct);
    kernels->gram_bf16(direct, NULL, stored, K, N);
    kernels->gram_f32(through, NULL, five, K, N);
    for (size_t pair = 0; pair < 6; pair++) {
        assert_true(fabs(direct[pair] - through[pair]) < 1e-6);
    }
}

static void exponentials_and_logarithms_are_those_of_libm(void **state)
{
    const struct element_kernels *kernels = element_kernels_for(isa_best());

    (void)state;
    for (float at = -600.0F; at <= 0.0F; at += 0.37F) {
        double got = kernels->exponentials(&at, 0.0F, 1);
        double want = exp((double)at);

        assert_true(fabs(got - want) <= 4e-16 * want);
    }
    for (float b = -30.0F; b <= 0.0F; b += 0.21F) { /* P ln (P / Q), with Q = 1 / 3 */
        float a = 0.0F;
        double p = exp((double)b) / 2.0 + 1e-8;
        double want = p * log(p / (1.0 / 3.0 + 1e-8));
        double got = kernels->divergence(&b, 0.0F, 2.0, &a, 0.0F, 3.0, 1);

        assert_true(fabs(got - want) <= 1e-15 * fabs(want) + 1e-18);
    }
}

static void nothing_hides_what_is_not_a_number(void **state)
{
    const struct element_kernels *kernels = element_kernels_for(isa_best());
    static struct results out;

    (void)state;
    draw();
    x[0][17] = NAN;
    keep[17] = 0xffffffffU;
    compute(kernels, &out);
    assert_true(isnan(out.gram[0][0]) && isnan(out.gram[0][1]) && isnan(out.squares));
    assert_true(isnan(out.near[17]) && isnan(out.variance[17]) && isnan(out.sce[17]));
    assert_true(isnan(out.ram[17]) && isnan(out.exponentials) && isnan(out.divergence));
    assert_int_equal(out.bad, 1);
    assert_true(isnan(kernels->divergence(x[1], 1.0F, 400.0, x[0], 1.0F, 410.0, N)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_gives_the_same_bits),
        cmocka_unit_test(dot_products_are_exact_but_for_the_sum),
        cmocka_unit_test(stored_halves_give_the_sums_of_their_floats),
        cmocka_unit_test(exponentials_and_logarithms_are_those_of_libm),
        cmocka_unit_test(nothing_hides_what_is_not_a_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
