#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/merge/trim.h"

#define N 10007

struct sample {
    float source[N], base[N], delta[N];
    unsigned char stored_source[N * 4], stored_base[N * 4];
    uint32_t sorted[N]; /* magnitudes' bits, largest first */
    struct trim_delta trim;
};

static uint32_t magnitude_bits(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits & 0x7fffffffU;
}

static int downwards(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

static struct sample *make_sample(enum dtype dtype, uint64_t seed)
{
    struct sample *sample = mem_array(1, sizeof *sample);
    double normals[2 * N];
    struct rng64 rng;

    rng64_seed(&rng, seed, 1);
    rng64_normals(&rng, normals, (size_t)2 * N);
    for (size_t i = 0; i < N; i++) {
        sample->base[i] = (float)(normals[i] * 0.02);
        sample->source[i] = sample->base[i] + (i % 5 != 0 ? (float)(normals[N + i] * 0.002) : 0.0F);
    }
    dtype_from_f32(sample->stored_source, sample->source, dtype, N);
    dtype_from_f32(sample->stored_base, sample->base, dtype, N);
    dtype_to_f32(sample->source, sample->stored_source, dtype, N);
    dtype_to_f32(sample->base, sample->stored_base, dtype, N);
    for (size_t i = 0; i < N; i++) {
        sample->delta[i] = sample->source[i] - sample->base[i];
        sample->sorted[i] = magnitude_bits(sample->delta[i]);
    }
    qsort(sample->sorted, N, sizeof sample->sorted[0], downwards);
    sample->trim =
        (struct trim_delta){sample->stored_source, sample->stored_base, dtype, dtype, DTYPE_F32, N};
    return sample;
}

/* By a full sort: the k-th largest, and the element behind the last of its equals that stays. */
static void assert_exact(const struct sample *sample, const struct trim *trim, size_t keep)
{
    uint32_t bits = sample->sorted[keep - 1];
    size_t ties = 0;
    size_t equal = 0;
    size_t cut = 0;

    for (size_t i = 0; i < N; i++) {
        ties += i < keep && sample->sorted[i] == bits;
        equal += sample->sorted[i] == bits;
    }
    for (size_t left = ties; left > 0; cut++) {
        left -= magnitude_bits(sample->delta[cut]) == bits;
    }
    assert_int_equal(trim->bits, bits);
    assert_int_equal(trim->cut, bits == 0 || ties == equal ? N : cut);
}

static void equals_a_full_sort_for_every_kind_of_number(void **state)
{
    const enum dtype dtypes[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    const size_t keeps[] = {1, 2, 10, 99, 1000, 2500, 5003, 8000, 8100, 10006, N};

    (void)state;
    for (size_t d = 0; d < 3; d++) {
        struct sample *sample = make_sample(dtypes[d], d);
        struct trim_counts counts = {0};
        struct trim trim;

        for (size_t round = 0; round < 2; round++) { /* the second finds what the first learnt */
            for (size_t i = 0; i < sizeof keeps / sizeof keeps[0]; i++) {
                trim_find(&trim, &counts, &sample->trim, keeps[i]);
                assert_exact(sample, &trim, keeps[i]);
            }
        }
        trim_counts_release(&counts);
        free(sample);
    }
}

static void finds_the_threshold_when_all_are_equal(void **state)
{
    const float source[] = {1, -1, 1, -1, 1};
    const float base[5] = {0};
    const struct trim_delta delta = {source, base, DTYPE_F32, DTYPE_F32, DTYPE_F32, 5};
    struct trim_counts counts = {0};
    struct trim trim;

    (void)state;
    trim_find(&trim, &counts, &delta, 3);
    assert_int_equal(trim.bits, magnitude_bits(1.0F));
    assert_int_equal(trim.cut, 3);
    trim_counts_release(&counts);
}

static void counts_upper_bits_when_magnitudes_are_too_many(void **state)
{
    const size_t n = 200000;
    float *source = mem_array(n, sizeof *source);
    float *base = mem_array(n, sizeof *base);
    const struct trim_delta delta = {source, base, DTYPE_F32, DTYPE_F32, DTYPE_F32, n};
    struct trim_counts counts = {0};
    struct trim trim;

    (void)state;
    for (size_t i = 0; i < n; i++) { /* 100000 magnitudes, each twice */
        source[i] = 1.0F + (float)(i / 2) * 0x1p-23F;
    }
    trim_find(&trim, &counts, &delta, 101);
    assert_false(counts.exact);
    assert_int_equal(trim.bits, magnitude_bits(1.0F) + 100000 - 51);
    assert_int_equal(trim.cut, 2 * (100000 - 51) + 1);
    trim_find(&trim, &counts, &delta, n);
    assert_int_equal(trim.bits, magnitude_bits(1.0F));
    assert_int_equal(trim.cut, n);
    trim_counts_release(&counts);
    free(source);
    free(base);
}

static void sums_magnitudes_once(void **state)
{
    struct sample *sample = make_sample(DTYPE_BF16, 7);
    struct trim_counts counts = {0};
    double all = 0.0;

    (void)state;
    for (size_t i = 0; i < N; i++) {
        float magnitude;

        memcpy(&magnitude, &sample->sorted[i], sizeof magnitude);
        all += (double)magnitude;
    }
    assert_true(fabs(trim_magnitudes(&counts, &sample->trim) / all - 1) < 1e-12);
    assert_true(fabs(trim_magnitudes(&counts, &sample->trim) / all - 1) < 1e-12);
    trim_counts_release(&counts);
    free(sample);
}

static void counts_down_to_whole_elements(void **state)
{
    (void)state;
    assert_int_equal(trim_count(10, 1.0), 10);
    assert_int_equal(trim_count(10, 2.0), 10);
    assert_int_equal(trim_count(10, 0.99), 9);
    assert_int_equal(trim_count(10, 0.05), 0);
    assert_int_equal(trim_count(10, 0.0), 0);
    assert_int_equal(trim_count(10, -1.0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_a_full_sort_for_every_kind_of_number),
        cmocka_unit_test(finds_the_threshold_when_all_are_equal),
        cmocka_unit_test(counts_upper_bits_when_magnitudes_are_too_many),
        cmocka_unit_test(sums_magnitudes_once),
        cmocka_unit_test(counts_down_to_whole_elements),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
