/* The kernels against a slow plain twin: the same bits, under every instruction set. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/merge/prune_kernels.h"
#include "evaluator/model/dtype.h"

#define N 4003 /* no multiple of any width */
#define ODD 1  /* byte by which stored numbers are off any alignment */

/* Stored as bfloat16, and what that means. */
struct sample {
    float x[N], base[N], delta[N];
    unsigned char stored_x[N * 2 + ODD], stored_base[N * 2 + ODD], keep[(N + 63) / 64 * 8];
};

static uint32_t bits_of(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void store(unsigned char *stored, float *values)
{
    dtype_from_f32(stored + ODD, values, DTYPE_BF16, N);
    dtype_to_f32(values, stored + ODD, DTYPE_BF16, N);
}

static struct sample *make_sample(void)
{
    struct sample *sample = mem_array(1, sizeof *sample);
    struct rng64 rng;
    double normals[2];

    rng64_seed(&rng, 5, 1);
    for (size_t i = 0; i < N; i++) {
        rng64_normals(&rng, normals, 2);
        sample->base[i] = (float)normals[0] * 0.02F;
        sample->x[i] = i % 3 == 0 ? sample->base[i] : sample->base[i] + (float)normals[1] * 0.002F;
    }
    store(sample->stored_x, sample->x);
    store(sample->stored_base, sample->base);
    for (size_t i = 0; i < N; i++) {
        sample->delta[i] = sample->x[i] - sample->base[i];
    }
    for (size_t i = 0; i < sizeof sample->keep; i++) {
        sample->keep[i] = (unsigned char)rng64_below(&rng, 256);
    }
    return sample;
}

static void subtracts_the_base(void **state)
{
    struct sample *sample = make_sample();
    float delta[N];

    (void)state;
    for (int isa = ISA_PLAIN; isa <= (int)isa_best(); isa++) {
        const struct prune_kernels *kernels = prune_kernels_for((enum isa)isa);

        kernels->delta_f32(delta, sample->x, sample->base, N);
        assert_memory_equal(delta, sample->delta, sizeof delta);
        memset(delta, 0, sizeof delta);
        kernels->delta_bf16(delta, sample->stored_x + ODD, sample->stored_base + ODD, N);
        assert_memory_equal(delta, sample->delta, sizeof delta);
    }
    free(sample);
}

/* In the order that is part of the result. */
static double slow_magnitudes(const struct sample *sample, const unsigned char *keep, size_t n)
{
    double sums[8] = {0};

    for (size_t i = 0; i < n; i++) {
        bool stays = keep == NULL || (keep[i / 8] >> i % 8 & 1) != 0;

        sums[i % 8] += stays ? fabs((double)sample->delta[i]) : 0.0;
    }
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) +
           ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

static void sums_magnitudes_of_what_stays(void **state)
{
    struct sample *sample = make_sample();

    (void)state;
    for (size_t n = N - 40; n <= N; n++) {
        for (int isa = ISA_PLAIN; isa <= (int)isa_best(); isa++) {
            const struct prune_kernels *kernels = prune_kernels_for((enum isa)isa);
            const unsigned char *x = sample->stored_x + ODD;
            const unsigned char *base = sample->stored_base + ODD;
            double all = slow_magnitudes(sample, NULL, n);
            double some = slow_magnitudes(sample, sample->keep, n);

            assert_true(kernels->magnitudes_f32(sample->delta, NULL, n) == all);
            assert_true(kernels->magnitudes_f32(sample->delta, sample->keep, n) == some);
            assert_true(kernels->magnitudes_bf16(x, base, NULL, n) == all);
            assert_true(kernels->magnitudes_bf16(x, base, sample->keep, n) == some);
        }
    }
    free(sample);
}

static size_t sum_of(const uint32_t *counts, size_t n, size_t stride)
{
    size_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += counts[i * stride];
    }
    return sum;
}

static void counts_magnitudes(void **state)
{
    struct sample *sample = make_sample();
    uint32_t *high = mem_array((size_t)PRUNE_HIGH_BANKS * PRUNE_HIGH_BINS, sizeof *high);
    uint32_t *low = mem_array(PRUNE_LOW_BINS, sizeof *low);
    uint32_t bits = bits_of(fabsf(sample->delta[1]));
    size_t equal = 0;
    size_t in_bin = 0;

    (void)state;
    for (size_t i = 0; i < N; i++) {
        equal += bits_of(fabsf(sample->delta[i])) == bits;
        in_bin += bits_of(fabsf(sample->delta[i])) >> 16 == bits >> 16;
    }
    for (int isa = ISA_PLAIN; isa <= (int)isa_best(); isa++) {
        const struct prune_kernels *kernels = prune_kernels_for((enum isa)isa);

        assert_int_equal(kernels->equal_f32(sample->delta, bits, N), equal);
        assert_int_equal(
            kernels->equal_bf16(sample->stored_x + ODD, sample->stored_base + ODD, bits, N), equal);
        memset(high, 0, (size_t)PRUNE_HIGH_BANKS * PRUNE_HIGH_BINS * sizeof *high);
        memset(low, 0, PRUNE_LOW_BINS * sizeof *low);
        kernels->count_high(high, sample->delta, N);
        kernels->count_low(low, bits >> 16, sample->delta, N);
        assert_int_equal(sum_of(high + (bits >> 16), PRUNE_HIGH_BANKS, PRUNE_HIGH_BINS), in_bin);
        assert_int_equal(sum_of(low, PRUNE_LOW_BINS, 1), in_bin);
        assert_int_equal(low[bits & 0xffffU], equal);
    }
    free(high);
    free(low);
    free(sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subtracts_the_base),
        cmocka_unit_test(sums_magnitudes_of_what_stays),
        cmocka_unit_test(counts_magnitudes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
