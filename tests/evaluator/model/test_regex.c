#include "evaluator/model/regex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/text.h"

/* All matches of pattern in text, joined with |; or the error. */
static const char *matches(const char *pattern, const char *text)
{
    static struct text all;
    struct regex *regex = NULL;
    struct err err = {0};
    const size_t n = strlen(text);
    size_t from = 0;
    bool found = true;

    text_clear(&all);
    if (regex_compile(&regex, pattern, &err) != 0) {
        text_add(&all, err.text);
        return text_get(&all);
    }
    while (found && from < n) {
        size_t begin = 0;

        assert_int_equal(regex_next(regex, text, n, from, &found, &begin, &from, &err), 0);
        if (found) {
            text_add(&all, all.size > 0 ? "|" : "");
            text_add_n(&all, text + begin, from - begin);
        }
    }
    regex_free(regex);
    return text_get(&all);
}

static void refuses(const char *pattern)
{
    struct regex *regex = NULL;
    struct err err = {0};

    if (regex_compile(&regex, pattern, &err) == 0) {
        fail_msg("%s was accepted", pattern);
    }
    assert_int_equal(err.code, ERR_FORMAT);
    assert_non_null(strstr(err.text, "regular expression"));
}

static void takes_the_mongolian_vowel_separator_for_no_space(void **state)
{
    (void)state;
    assert_string_equal(matches("\\s+", "a\xE1\xA0\x8E"
                                        "b\xC2\xA0 c\xE2\x80\xAF"),
                        "\xC2\xA0 |\xE2\x80\xAF");
    assert_string_equal(matches("\\S+", "a\xE1\xA0\x8E"
                                        "b c"),
                        "a\xE1\xA0\x8E"
                        "b|c");
    assert_string_equal(matches("[^\\sx]+", "a\xE1\xA0\x8E x b"), "a\xE1\xA0\x8E|b");
    assert_string_equal(matches("[\\S ]+", "a b\tc"), "a b|c");
    assert_string_equal(matches("[^\\S\\n]+", " \n\xE1\xA0\x8E\t"), " |\t");
}

static void folds_case_over_unicode(void **state)
{
    (void)state;
    assert_string_equal(matches("(?i:'s|'re)", "'S 'rE '\xC5\xBF"), "'S|'rE|'\xC5\xBF");
}

static void knows_the_constructs_of_tokenizer_files(void **state)
{
    (void)state;
    assert_string_equal(matches("\\p{N}{1,3}", "1234567"), "123|456|7");
    assert_string_equal(matches("[^\\r\\n\\p{L}\\p{N}]?\\p{L}+", "ab-cd \xC3\xA9"),
                        "ab|-cd| \xC3\xA9");
    assert_string_equal(matches("\\s+(?!\\S)|\\s+", "a   b  "), "  | |  ");
    assert_string_equal(matches("\\u00e9|\\x41|\\x{42}", "A\xC3\xA9"
                                                         "BC"),
                        "A|\xC3\xA9|B");
    assert_string_equal(matches("(?<=a)b(?=c)", "abc bb"), "b");
    assert_string_equal(matches("a*", "baab"), "aa");
    assert_string_equal(matches(".+", "a\nb"), "a|b");
}

static void refuses_what_differs_between_engines(void **state)
{
    static const char *const patterns[] = {
        "\\h",   "^a",          "a$",    "(?m)a", "(?m:a)",     "a++",     "a*+",    "a?+",
        "a{2}+", "(?>a)",       "a{,2}", "{",     "[[a]b]",     "[a&&b]",  "[]a]",   "[^]a]",
        "\\w",   "\\b",         "\\A",   "\\z",   "\\K",        "(?<n>a)", "(*UCP)", "b(?i)a",
        "\\xE9", "[[:alpha:]]", "\\u12", "\\p{L", "trailing\\", "\\1",     "(?#a)"};

    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        refuses(patterns[i]);
    }
}

static void says_why_a_pattern_does_not_compile(void **state)
{
    (void)state;
    assert_non_null(strstr(matches("(a", ""), "missing closing parenthesis"));
    refuses("\\p{Nonsense}");
}

static void gives_up_on_a_match_that_takes_too_many_steps(void **state)
{
    struct regex *regex = NULL;
    struct err err = {0};
    const size_t n = 64;
    char *text = mem_alloc(n);
    bool found = false;
    size_t begin = 0;
    size_t end = 0;

    (void)state;
    memset(text, 'a', n);
    assert_int_equal(regex_compile(&regex, "(?:a|a)*[bc]", NULL), 0);
    assert_int_equal(regex_next(regex, text, n, 0, &found, &begin, &end, &err), ERR_LIMIT);
    regex_free(regex);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_mongolian_vowel_separator_for_no_space),
        cmocka_unit_test(folds_case_over_unicode),
        cmocka_unit_test(knows_the_constructs_of_tokenizer_files),
        cmocka_unit_test(refuses_what_differs_between_engines),
        cmocka_unit_test(says_why_a_pattern_does_not_compile),
        cmocka_unit_test(gives_up_on_a_match_that_takes_too_many_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
