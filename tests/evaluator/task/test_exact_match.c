#include "evaluator/task/exact_match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool equal(const char *options, const char *text, const char *answer)
{
    struct exact_match match = {0};
    struct err err = {0};
    json_t *json = NULL;
    bool found = false;

    assert_int_equal(doc_parse(&json, options, strlen(options), NULL), 0);
    if (exact_match_read(&match, json, &err) != 0 ||
        exact_match_equal(&match, text, answer, &found, &err) != 0) {
        fail_msg("%s: %s", options, err.text);
    }
    json_decref(json);
    exact_match_release(&match);
    return found;
}

static void compares_texts_as_they_are(void **state)
{
    (void)state;
    assert_true(equal("{}", "a b", "a b"));
    assert_false(equal("{}", " a b", "a b"));
    assert_false(equal("{}", "A", "a"));
}

static void ignores_what_it_is_told_to(void **state)
{
    (void)state;
    assert_true(equal("{\"ignore_case\": true}", "\xC3\x89T\xC3\x89", "\xC3\xA9t\xC3\xA9"));
    assert_true(equal("{\"ignore_punctuation\": true}", "(a).", "a"));
    assert_false(equal("{\"ignore_punctuation\": true}", "a\xE3\x80\x82", "a")); /* ASCII only */
    assert_true(equal("{\"ignore_numbers\": true}", "a1b", "ab2"));
    assert_true(equal("{\"ignore_numbers\": true}", "12", ""));
}

/* The options of a well-known task of word problems. */
static void deletes_matches_from_both(void **state)
{
    const char *options = "{\"ignore_case\": true, \"regexes_to_ignore\": "
                          "[\",\", \"\\\\$\", \"(?s).*#### \", \"\\\\.$\"]}";

    (void)state;
    assert_true(equal(options, "$1,200.", "He has\n600 * 2 = 1200\n#### 1200"));
    assert_false(equal(options, "1200.5", "#### 1200"));
    assert_true(equal("{\"regexes_to_ignore\": [\"a*\"]}", "abaac", "bc"));
}

/* Patterns see capitals and punctuation, which go afterwards. */
static void deletes_patterns_first(void **state)
{
    (void)state;
    assert_true(
        equal("{\"ignore_case\": true, \"regexes_to_ignore\": [\"THE \"]}", "THE Cat", "cat"));
    assert_false(
        equal("{\"ignore_case\": true, \"regexes_to_ignore\": [\"the \"]}", "THE Cat", "cat"));
}

static void names_what_is_wrong(void **state)
{
    static const char *const wrong[][2] = {
        {"{\"ignore_cases\": true}", "ignore_case"},
        {"{\"ignore_case\": 1}", "ignore_case"},
        {"{\"regexes_to_ignore\": [\"a\", \"(\"]}", "regexes_to_ignore: entry 1"},
        {"{\"regexes_to_ignore\": \"a\"}", "regexes_to_ignore"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct exact_match match = {0};
        struct err err = {0};
        json_t *json = NULL;

        assert_int_equal(doc_parse(&json, wrong[i][0], strlen(wrong[i][0]), NULL), 0);
        assert_int_equal(exact_match_read(&match, json, &err), ERR_FORMAT);
        assert_non_null(strstr(err.text, wrong[i][1]));
        json_decref(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_texts_as_they_are), cmocka_unit_test(ignores_what_it_is_told_to),
        cmocka_unit_test(deletes_matches_from_both),  cmocka_unit_test(deletes_patterns_first),
        cmocka_unit_test(names_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
