#include "evaluator/merge/rank.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* after the headers it needs */
#include <cmocka.h>

#include "base/rng.h"

#define N 20011

static float kept[N], sorted[N];

static void read_kept(void *context, size_t at, size_t n, float *out)
{
    (void)context;
    for (size_t i = 0; i < n; i++) {
        out[i] = kept[at + i];
    }
}

static int upwards(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;

    return x < y ? -1 : x > y;
}

static void check_ranks(const size_t *sought, size_t n)
{
    const struct rank_scores scores = {read_kept, NULL, N};
    struct rank_counts *counts = rank_count(&scores);
    struct rank found[RANK_SOUGHT_MAX];
    size_t zeros = 0;

    rank_find(found, counts, &scores, sought, n);
    for (size_t i = 0; i < N; i++) {
        sorted[i] = kept[i];
        zeros += kept[i] == 0.0F;
    }
    qsort(sorted, N, sizeof(float), upwards);
    assert_int_equal(rank_zeros(counts), zeros);
    for (size_t s = 0; s < n; s++) {
        size_t below = 0;
        size_t equal = 0;

        for (size_t i = 0; i < N; i++) {
            below += kept[i] < sorted[sought[s]];
            equal += kept[i] == sorted[sought[s]];
        }
        assert_true(found[s].score == sorted[sought[s]]);
        assert_int_equal(found[s].below, below);
        assert_int_equal(found[s].equal, equal);
    }
    rank_counts_free(counts);
}

static void finds_what_a_sort_finds(void **state)
{
    const size_t sought[] = {0, N / 4, N / 2, N - 1};
    struct rng64 rng;

    (void)state;
    rng64_seed(&rng, 5, 1);
    for (size_t i = 0; i < N; i++) { /* many in one bin of upper bits */
        kept[i] = 1.0F + (float)rng64_below(&rng, 1U << 23) / (float)(1U << 30);
    }
    check_ranks(sought, 4);
}

static void counts_equal_scores_and_zeros(void **state)
{
    const size_t sought[] = {0, 100, N / 3, N - 2};
    struct rng64 rng;

    (void)state;
    rng64_seed(&rng, 6, 1);
    for (size_t i = 0; i < N; i++) {
        kept[i] = (float)rng64_below(&rng, 40) / 1024.0F;
    }
    check_ranks(sought, 4);
}

static void all_scores_may_be_equal(void **state)
{
    const size_t sought[] = {7};

    (void)state;
    for (size_t i = 0; i < N; i++) {
        kept[i] = 0.0F;
    }
    check_ranks(sought, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_a_sort_finds),
        cmocka_unit_test(counts_equal_scores_and_zeros),
        cmocka_unit_test(all_scores_may_be_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
