#include "study/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "study/recipe.h"

static char recipe[] = "{\"recipe\":1}";

static const struct job plain = {
    .lease = 33,
    .candidate = 17,
    .attempt = 2,
    .split = SPLIT_SELECT,
    .recipe = recipe,
    .ttl_ms = 30000,
    .limit_ms = 600000,
};

/* job_parse on the plain job with one key set to value (taken over); NULL takes it out. */
static int parse_with(const char *key, json_t *value, struct err *err)
{
    json_t *doc = job_print(&plain);
    struct job job = {0};

    if (value != NULL) {
        json_object_set_new(doc, key, value);
    } else {
        json_object_del(doc, key);
    }
    int rc = job_parse(&job, doc, err);

    job_release(&job);
    json_decref(doc);
    return rc;
}

static void what_is_printed_reads_back(void **state)
{
    json_t *doc = job_print(&plain);
    struct job job = {0};
    struct text text = {0};

    (void)state;
    doc_print(&text, doc);
    assert_string_equal(text_get(&text),
                        "{\"attempt\":2,\"candidate\":17,\"lease\":33,\"limit_ms\":600000,"
                        "\"recipe\":\"{\\\"recipe\\\":1}\",\"split\":\"select\",\"ttl_ms\":30000}");
    assert_int_equal(job_parse(&job, doc, NULL), 0);
    assert_int_equal(job.lease, 33);
    assert_int_equal(job.candidate, 17);
    assert_int_equal(job.attempt, 2);
    assert_int_equal(job.split, SPLIT_SELECT);
    assert_int_equal(job.ttl_ms, 30000);
    assert_int_equal(job.limit_ms, 600000);
    assert_string_equal(job.recipe, recipe);
    job_release(&job);
    json_decref(doc);
    text_release(&text);
}

static void every_field_must_be_there(void **state)
{
    const char *const keys[] = {"lease",  "candidate", "attempt", "split",
                                "recipe", "ttl_ms",    "limit_ms"};
    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct err err = {0};

        assert_int_equal(parse_with(keys[i], NULL, &err), ERR_MISSING);
        assert_memory_equal(err.text, keys[i], strlen(keys[i]));
    }
}

static void a_field_of_another_kind_or_beyond_its_range_is_refused(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(parse_with("lease", json_integer(-1), &err), ERR_LIMIT);
    assert_int_equal(parse_with("attempt", json_integer(INT64_C(1) << 32), &err), ERR_LIMIT);
    assert_int_equal(parse_with("ttl_ms", json_integer(0), &err), ERR_LIMIT);
    assert_int_equal(parse_with("candidate", json_string("17"), &err), ERR_FORMAT);
    assert_int_equal(parse_with("recipe", json_object(), &err), ERR_FORMAT);
    assert_int_equal(parse_with("split", json_string("test"), &err), ERR_FORMAT);
    assert_string_equal(err.text, "split: no split 'test'; all, search, select or report");
    assert_int_equal(parse_with("priority", json_integer(1), &err), ERR_FORMAT);
    assert_string_equal(err.text, "priority: unknown key");
}

static void a_recipe_beyond_its_maximum_is_refused(void **state)
{
    char *large = malloc(RECIPE_SIZE_MAX + 2);
    struct err err = {0};

    (void)state;
    assert_non_null(large);
    memset(large, 'x', RECIPE_SIZE_MAX + 1);
    large[RECIPE_SIZE_MAX + 1] = '\0';
    assert_int_equal(parse_with("recipe", json_string(large), &err), ERR_LIMIT);
    large[RECIPE_SIZE_MAX] = '\0';
    assert_int_equal(parse_with("recipe", json_string(large), &err), 0);
    free(large);
}

static void splits_have_names(void **state)
{
    enum split split;

    (void)state;
    for (int i = SPLIT_ALL; i <= SPLIT_REPORT; i++) {
        assert_true(split_parse(split_name((enum split)i), &split));
        assert_int_equal(split, i);
    }
    assert_false(split_parse("Search", &split));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_reads_back),
        cmocka_unit_test(every_field_must_be_there),
        cmocka_unit_test(a_field_of_another_kind_or_beyond_its_range_is_refused),
        cmocka_unit_test(a_recipe_beyond_its_maximum_is_refused),
        cmocka_unit_test(splits_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
