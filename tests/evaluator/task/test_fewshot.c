/* Expected draws were made with CPython 3.11's random.Random(1234). */
#include "evaluator/task/fewshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check_sample(struct mt19937 *rng, size_t n, size_t k, const size_t *wanted,
                         size_t n_wanted)
{
    size_t drawn[64] = {0};

    fewshot_sample(rng, n, k, drawn);
    for (size_t i = 0; i < n_wanted; i++) {
        assert_int_equal(drawn[i], wanted[i]);
    }
}

static void draws_the_numbers_of_the_reference_generator(void **state)
{
    struct mt19937 rng;

    (void)state;
    mt19937_seed(&rng, 1234);
    assert_int_equal(mt19937_next(&rng), 4150886329u);
    assert_int_equal(mt19937_next(&rng), 3342196574u);
    assert_int_equal(mt19937_next(&rng), 1892932127u);
    assert_int_equal(mt19937_next(&rng), 501869158u);
}

static void samples_as_python_does_from_one_generator(void **state)
{
    struct mt19937 rng;

    (void)state;
    mt19937_seed(&rng, FEWSHOT_SEED);
    check_sample(&rng, 1000, 5, (const size_t[]){989, 796, 451, 119, 7}, 5);
    check_sample(&rng, 1000, 5, (const size_t[]){92, 932, 965, 961, 826}, 5);
    check_sample(&rng, 20, 5, (const size_t[]){18, 1, 2, 3, 11}, 5);
    check_sample(&rng, 60, 8, (const size_t[]){15, 1, 58, 50, 57, 22, 41, 39}, 8);
    check_sample(&rng, 3000, 30, (const size_t[]){1983, 2522, 1898, 608, 373, 749}, 6);
    check_sample(&rng, 277, 25, (const size_t[]){136, 127, 102, 232, 271}, 5);
    check_sample(&rng, 278, 25, (const size_t[]){56, 271, 72, 156, 232}, 5);
}

static void samples_all_without_repetition(void **state)
{
    struct mt19937 rng;
    size_t drawn[10];
    unsigned seen = 0;

    (void)state;
    mt19937_seed(&rng, 7);
    fewshot_sample(&rng, 10, 10, drawn);
    for (size_t i = 0; i < 10; i++) {
        seen |= 1u << drawn[i];
    }
    assert_int_equal(seen, 0x3FF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_the_numbers_of_the_reference_generator),
        cmocka_unit_test(samples_as_python_does_from_one_generator),
        cmocka_unit_test(samples_all_without_repetition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
