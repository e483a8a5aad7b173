#include "evaluator/task/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct filter filter_of(const char *steps)
{
    struct text text = {0};
    struct filter filter = {0};
    struct err err = {0};
    json_t *json = NULL;

    text_printf(&text, "{\"name\": \"f\", \"steps\": %s}", steps);
    assert_int_equal(doc_parse(&json, text_get(&text), text.size, &err), 0);
    if (filter_read(&filter, json, &err) != 0) {
        fail_msg("%s: %s", steps, err.text);
    }
    json_decref(json);
    text_release(&text);
    return filter;
}

static void gives(const char *steps, const char *text, const char *wanted)
{
    struct filter filter = filter_of(steps);
    struct text found = {0};

    assert_int_equal(filter_apply(&filter, text, &found, NULL), 0);
    assert_string_equal(text_get(&found), wanted);
    text_release(&found);
    filter_release(&filter);
}

static void refuses(const char *json, const char *why)
{
    struct filter filter = {0};
    struct err err = {0};
    json_t *doc = NULL;

    assert_int_equal(doc_parse(&doc, json, strlen(json), NULL), 0);
    assert_true(filter_read(&filter, doc, &err) != 0);
    if (strstr(err.text, why) == NULL) {
        fail_msg("%s: %s", json, err.text);
    }
    json_decref(doc);
}

#define STRICT "[{\"regex\": \"#### (\\\\-?[0-9\\\\.\\\\,]+)\"}, \"take_first\"]"
#define FLEXIBLE "[{\"regex\": \"(-?[$0-9.,]{2,})|(-?[0-9]+)\", \"group_select\": -1}]"

static void takes_the_group_of_the_first_match(void **state)
{
    (void)state;
    gives(STRICT, "7 * 2 = 14\n#### 14\n#### 15", "14");
    gives(STRICT, "It is 14.", "[invalid]");
    gives("[{\"regex\": \"x(y?)\"}]", "x", ""); /* an empty group is what was found */
}

static void takes_the_whole_match_of_a_pattern_without_groups(void **state)
{
    (void)state;
    gives("[{\"regex\": \" [0-9]+ \"}]", "a 12 b", "12"); /* and what is around it goes */
    gives("[{\"regex\": \"[0-9]+\", \"group_select\": 1}]", "1 22 333", "22");
    gives("[{\"regex\": \"[0-9]+\", \"group_select\": -3}]", "1 22 333", "1");
}

static void takes_the_first_group_that_is_not_empty(void **state)
{
    (void)state;
    gives(FLEXIBLE, "so 1,200.50 and 3", "3");
    gives(FLEXIBLE, "3 and 1,200.50.", "1,200.50.");
    gives("[{\"regex\": \"(a*)(b*)c\", \"fallback\": \"none\"}]", "c", "none");
}

static void falls_back_where_no_such_match_is(void **state)
{
    (void)state;
    gives("[{\"regex\": \"[0-9]+\", \"group_select\": 3, \"fallback\": \" no \"}]", "1 22 333",
          "no");
    gives("[{\"regex\": \"[0-9]+\", \"group_select\": -4}]", "1 22 333", "[invalid]");
    gives("[{\"regex\": \"[0-9]+\", \"fallback\": \"\"}]", "", "");
}

static void changes_letters_and_one_space(void **state)
{
    (void)state;
    gives("[\"lowercase\"]",
          "STRA\xE1\xBA\x9E"
          "E \xCE\xA3\xCE\xA3",
          "stra\xC3\x9F"
          "e \xCF\x83\xCF\x82");
    gives("[\"uppercase\"]",
          "stra\xC3\x9F"
          "e \xEF\xAC\x81n",
          "STRASSE FIN");
    gives("[\"remove_whitespace\"]", "  a ", " a ");
    gives("[\"remove_whitespace\"]", "\ta", "\ta");
}

static void maps_whole_texts(void **state)
{
    (void)state;
    gives("[\"lowercase\", {\"map\": {\"yes\": \"1\", \"no\": \"0\"}, \"default\": \"?\"}]", "YES",
          "1");
    gives("[{\"map\": {\"yes\": \"1\"}, \"default\": \"?\"}]", "yes ", "?");
    gives("[{\"map\": {\"yes\": \"1\"}}]", "no", "");
}

static void repeats_of_a_greedy_text_are_one(void **state)
{
    (void)state;
    gives("[{\"take_first_k\": 8}, \"majority_vote\", \"take_first\"]", " A a ", " A a ");
}

static void is_called_by_its_metric_in_scores(void **state)
{
    struct filter filter = filter_of("[]");

    (void)state;
    assert_string_equal(filter.column, "exact_match,f");
    filter_release(&filter);
}

static void names_the_step_that_is_wrong(void **state)
{
    (void)state;
    refuses("{\"name\": \"f\", \"steps\": [\"take_first\", \"strip\"]}",
            "filter f: step 1: \"strip\"");
    refuses("{\"name\": \"f\", \"steps\": [{\"regex\": \"\\\\K\"}]}", "step 0: regular expression");
    refuses("{\"name\": \"f\", \"steps\": [{\"regex\": \"a\", \"group\": 1}]}", "group");
    refuses("{\"name\": \"f\", \"steps\": [{\"map\": {\"a\": 1}}]}", "map: a");
    refuses("{\"name\": \"f\", \"steps\": [{\"take_first_k\": 0}]}", "take_first_k");
    refuses("{\"name\": \"a,b\", \"steps\": []}", "name");
    refuses("{\"steps\": []}", "name");
    refuses("{\"name\": \"f\"}", "steps");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_group_of_the_first_match),
        cmocka_unit_test(takes_the_whole_match_of_a_pattern_without_groups),
        cmocka_unit_test(takes_the_first_group_that_is_not_empty),
        cmocka_unit_test(falls_back_where_no_such_match_is),
        cmocka_unit_test(changes_letters_and_one_space),
        cmocka_unit_test(maps_whole_texts),
        cmocka_unit_test(repeats_of_a_greedy_text_are_one),
        cmocka_unit_test(is_called_by_its_metric_in_scores),
        cmocka_unit_test(names_the_step_that_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
