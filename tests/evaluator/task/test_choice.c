#include "evaluator/task/choice.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check_near(double got, double wanted, double tolerance)
{
    assert_true(fabs(got - wanted) <= tolerance);
}

/* A document with two or three choices and the golds given; no memory of its own. */
static struct document document_of(char **choices, size_t n, uint32_t *golds, size_t n_golds)
{
    return (struct document){
        .choices = {.all = choices, .n = n}, .golds = golds, .n_golds = n_golds};
}

static double value(enum metric metric, const struct document *document, const double *l)
{
    const uint8_t greedy[4] = {0};

    return choice_value(metric, document, l, greedy);
}

/* "aaaa" has 4 characters and bytes, two hiragana 2 and 6, "abcdefgh" 8 and 8: a prediction each.
 */
static void tells_lengths_in_characters_from_lengths_in_bytes(void **state)
{
    char *choices[] = {(char *)"aaaa", (char *)"\xE3\x81\x82\xE3\x81\x84", (char *)"abcdefgh"};
    const double l[] = {-8.0, -9.0, -15.0};
    uint32_t gold = 0;
    struct document document = document_of(choices, 3, &gold, 1);

    (void)state;
    assert_true(value(METRIC_ACC, &document, l) == 1.0);
    assert_true(value(METRIC_ACC_NORM, &document, l) == 0.0);
    assert_true(value(METRIC_ACC_BYTES, &document, l) == 0.0);
    gold = 2; /* -8/4, -9/2, -15/8 */
    assert_true(value(METRIC_ACC_NORM, &document, l) == 1.0);
    gold = 1; /* -8/4, -9/6, -15/8 */
    assert_true(value(METRIC_ACC_BYTES, &document, l) == 1.0);
}

static void gives_ties_to_the_first(void **state)
{
    char *choices[] = {(char *)"ab", (char *)"cd"};
    const double l[] = {-1.0, -1.0};
    uint32_t gold = 0;
    struct document document = document_of(choices, 2, &gold, 1);

    (void)state;
    assert_true(value(METRIC_ACC, &document, l) == 1.0);
    gold = 1;
    assert_true(value(METRIC_ACC, &document, l) == 0.0);
}

static void takes_off_what_a_choice_has_without_context(void **state)
{
    char *choices[] = {(char *)"ab", (char *)"cd"};
    const double l[] = {-3.0, -2.0, -9.0, -1.0};
    uint32_t gold = 0;
    struct document document = document_of(choices, 2, &gold, 1);

    (void)state;
    assert_true(value(METRIC_ACC, &document, l) == 0.0);
    assert_true(value(METRIC_ACC_MUTUAL_INFO, &document, l) == 1.0);
}

static void counts_any_of_several_golds(void **state)
{
    char *choices[] = {(char *)"a", (char *)"b", (char *)"c"};
    const double l[] = {-3.0, -1.0, -2.0};
    const uint8_t greedy[] = {0, 0, 1};
    uint32_t golds[] = {2, 1};
    struct document document = document_of(choices, 3, golds, 2);

    (void)state;
    assert_true(value(METRIC_ACC, &document, l) == 1.0);
    assert_true(choice_value(METRIC_EXACT_MATCH, &document, l, greedy) == 1.0);
    golds[0] = 0;
    assert_true(choice_value(METRIC_EXACT_MATCH, &document, l, greedy) == 0.0);
}

static void measures_the_probability_of_the_right_answer(void **state)
{
    char *choices[] = {(char *)"ab", (char *)"cdef"};
    const double l[] = {-2000.0, -2000.0 + log(3.0)};
    uint32_t golds[] = {1, 0};
    struct document document = document_of(choices, 2, golds, 1);
    const double norm[] = {-1000.0, -500.0 + log(3.0) / 4.0};

    (void)state;
    check_near(value(METRIC_CHOICE_LOGPROB, &document, l), log(0.75), 1e-12);
    check_near(value(METRIC_BRIER_SCORE, &document, l), 2.0 * 0.25 * 0.25, 1e-12);
    check_near(value(METRIC_CHOICE_LOGPROB_NORM, &document, l), -log1p(exp(norm[0] - norm[1])),
               1e-12);
    document.n_golds = 2;
    check_near(value(METRIC_CHOICE_LOGPROB, &document, l), 0.0, 1e-12);
}

static void a_document_without_a_right_choice_is_wrong_and_tells_models_nothing(void **state)
{
    char *choices[] = {(char *)"ab", (char *)"cdef"};
    const double l[] = {-1.0, -1.0 + log(3.0)};
    const uint8_t greedy[] = {1, 1};
    struct document document = document_of(choices, 2, NULL, 0);

    (void)state;
    assert_true(value(METRIC_ACC, &document, l) == 0.0);
    assert_true(choice_value(METRIC_EXACT_MATCH, &document, l, greedy) == 0.0);
    check_near(value(METRIC_BRIER_SCORE, &document, l), 0.25 * 0.25 + 0.75 * 0.75, 1e-12);
    check_near(value(METRIC_CHOICE_LOGPROB, &document, l), log(0.5), 1e-12);
    check_near(value(METRIC_CHOICE_LOGPROB_NORM, &document, l), log(0.5), 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_lengths_in_characters_from_lengths_in_bytes),
        cmocka_unit_test(gives_ties_to_the_first),
        cmocka_unit_test(takes_off_what_a_choice_has_without_context),
        cmocka_unit_test(counts_any_of_several_golds),
        cmocka_unit_test(measures_the_probability_of_the_right_answer),
        cmocka_unit_test(a_document_without_a_right_choice_is_wrong_and_tells_models_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
