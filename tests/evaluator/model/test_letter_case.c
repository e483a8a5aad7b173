#include "evaluator/model/letter_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void gives(void (*add)(struct text *, const char *, size_t), const char *text,
                  const char *wanted)
{
    struct text made = {0};

    add(&made, text, strlen(text));
    assert_string_equal(text_get(&made), wanted);
    text_release(&made);
}

static void a_capital_may_be_several_letters(void **state)
{
    (void)state;
    gives(letter_case_add_upper, "abc 1 \xC3\xA9", "ABC 1 \xC3\x89");
    gives(letter_case_add_upper, "\xC3\x9F", "SS");        /* sharp s */
    gives(letter_case_add_upper, "\xEF\xAC\x83", "FFI");   /* a ligature */
    gives(letter_case_add_upper, "\xC5\x89", "\xCA\xBCN"); /* n with an apostrophe */
    gives(letter_case_add_upper, "\xCF\x82", "\xCE\xA3");  /* final sigma */
    gives(letter_case_add_upper, "", "");
}

static void a_sigma_is_another_at_the_end_of_a_word(void **state)
{
    (void)state;
    gives(letter_case_add_lower, "\xCE\x91\xCE\xA3", "\xCE\xB1\xCF\x82");
    gives(letter_case_add_lower, "\xCE\x91\xCE\xA3.", "\xCE\xB1\xCF\x82.");
    gives(letter_case_add_lower, "\xCE\x91\xCE\xA3'\xCE\x91", "\xCE\xB1\xCF\x83'\xCE\xB1");
    gives(letter_case_add_lower, "\xCE\xA3", "\xCF\x83"); /* alone it has no word to end */
}

static void a_dot_on_a_capital_stays(void **state)
{
    (void)state;
    gives(letter_case_add_lower, "\xC4\xB0", "i\xCC\x87");
    gives(letter_case_add_lower, "AB \xC3\x89 \xE2\x85\xA7", "ab \xC3\xA9 \xE2\x85\xB7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_capital_may_be_several_letters),
        cmocka_unit_test(a_sigma_is_another_at_the_end_of_a_word),
        cmocka_unit_test(a_dot_on_a_capital_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
