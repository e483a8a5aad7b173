/* A parameter of a mergekit recipe: scalars, schedules, filters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "evaluator/merge/mergekit_setting.h"
#include "study/yaml.h"

static json_t *parse(const char *yaml)
{
    json_t *doc = NULL;

    assert_int_equal(yaml_parse(&doc, yaml, strlen(yaml), NULL), 0);
    return doc;
}

static void expect(const char *yaml, const char *tensor, double position, double value)
{
    json_t *setting = parse(yaml);
    double got = -1;

    assert_int_equal(mergekit_setting_check(setting, "x", NULL), 0);
    assert_true(mergekit_setting_resolve(setting, tensor, position, &got));
    assert_float_equal(got, value, 1e-12);
    json_decref(setting);
}

static void expect_refused(const char *yaml, const char *text)
{
    json_t *setting = parse(yaml);
    struct err err = {0};

    assert_int_equal(mergekit_setting_check(setting, "x", &err), ERR_FORMAT);
    assert_string_equal(err.text, text);
    json_decref(setting);
}

static void a_scalar_is_itself_at_any_depth(void **state)
{
    (void)state;
    expect("0.5", "t", 0.7, 0.5);
    expect("-2", "t", 0.7, -2);
    expect("true", "t", 0, 1);
    expect("false", "t", 0, 0);
    expect("'1e-5'", "t", 0, 1e-5);
}

static void a_list_is_a_curve_through_points_equally_far_apart(void **state)
{
    (void)state;
    expect("[0, 1]", "t", 0, 0);
    expect("[0, 1]", "t", 0.25, 0.25);
    expect("[0, 0.5, 0.3, 0.7, 1]", "t", 0.375, 0.4); /* between the second and third */
    expect("[0, 0.4, 1]", "t", 0.5, 0.4);
    expect("[0, 0.4, 1]", "t", 1, 1);
    expect("[3]", "t", 0.9, 3);
    expect("[true, false]", "t", 0.5, 0.5);
}

static void the_first_filter_in_the_name_gives_the_value(void **state)
{
    const char *conditions = "[{filter: self_attn, value: 1}, {filter: attn.q, value: 2}, "
                             "{filter: layers.1, value: [3, 4]}, {value: 5}]";

    (void)state;
    expect(conditions, "model.layers.1.self_attn.q_proj.weight", 0, 1);
    expect(conditions, "model.layers.1.mlp.up_proj.weight", 0.5, 3.5);
    expect(conditions, "model.layers.12.mlp.up_proj.weight", 0, 3); /* a substring, no number */
    expect(conditions, "lm_head.weight", 0, 5);
    expect("[{filter: '*', value: 7}, {value: 8}]", "t", 0, 7);
    expect("{filter: t, value: 7}", "t", 0, 7); /* a condition without its list */
    expect("[{filter: null, value: 7}]", "t", 0, 7);
}

static void gives_no_value_where_no_filter_matches(void **state)
{
    json_t *setting = parse("[{filter: mlp, value: 1}]");
    double value = 9;

    (void)state;
    assert_false(mergekit_setting_resolve(setting, "lm_head.weight", 0, &value));
    assert_false(mergekit_setting_resolve(NULL, "lm_head.weight", 0, &value));
    assert_true(value == 9);
    json_decref(setting);
}

static void says_where_a_setting_is_wrong(void **state)
{
    (void)state;
    expect_refused("[]", "x: an empty list has no value at any depth");
    expect_refused("high", "x: expected a number, got 'high'");
    expect_refused("null", "x: expected a number, got null");
    expect_refused("'nan'", "x: expected a number, got 'nan'");
    expect_refused("[0, [1]]", "x[1]: expected a number, got a list");
    expect_refused("[{filter: a, value: 1}, 2]",
                   "x[1]: expected {filter: ..., value: ...}, got a number");
    expect_refused("[0.5, {filter: a, value: 1}]", "x[1]: expected a number, got an object");
    expect_refused("[{filter: a}]", "x[0].value: missing");
    expect_refused("{filter: 3, value: 1}", "x.filter: expected a text, got a number");
    expect_refused("[{value: [0, b]}]", "x[0].value[1]: expected a number, got 'b'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scalar_is_itself_at_any_depth),
        cmocka_unit_test(a_list_is_a_curve_through_points_equally_far_apart),
        cmocka_unit_test(the_first_filter_in_the_name_gives_the_value),
        cmocka_unit_test(gives_no_value_where_no_filter_matches),
        cmocka_unit_test(says_where_a_setting_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
