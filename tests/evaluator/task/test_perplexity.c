#include "evaluator/task/perplexity.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void check_near(double got, double wanted, double tolerance)
{
    assert_true(fabs(got - wanted) <= tolerance);
}

static size_t words(const char *text)
{
    return perplexity_words(text, strlen(text));
}

static void counts_the_empty_pieces_at_the_ends(void **state)
{
    (void)state;
    assert_int_equal(words("one two"), 2);
    assert_int_equal(words("one \n\t two"), 2);
    assert_int_equal(words(" one two"), 3);
    assert_int_equal(words(" one two\n"), 4);
    assert_int_equal(words(""), 1);
    assert_int_equal(words(" "), 2);
}

static void splits_at_whitespace_of_all_scripts(void **state)
{
    (void)state;
    assert_int_equal(words("a\xC2\xA0"
                           "b\xE3\x80\x80"
                           "c\x1C"
                           "d"),
                     4);
    assert_int_equal(words("a\xE1\xA0\x8E"
                           "b"),
                     1); /* U+180E is no space any more */
}

static void divides_sums(void **state)
{
    (void)state;
    check_near(perplexity_value(METRIC_PERPLEXITY, -6.0, 3), exp(2.0), 1e-12);
    check_near(perplexity_value(METRIC_WORD_PERPLEXITY, -6.0, 2), exp(3.0), 1e-12);
    check_near(perplexity_value(METRIC_BYTE_PERPLEXITY, -6.0, 12), exp(0.5), 1e-12);
    check_near(perplexity_value(METRIC_BITS_PER_BYTE, -6.0, 12), 0.5 / log(2.0), 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_the_empty_pieces_at_the_ends),
        cmocka_unit_test(splits_at_whitespace_of_all_scripts),
        cmocka_unit_test(divides_sums),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
