#include "study/method.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "study/method_table.h"

static const struct method *method(const char *name)
{
    const struct method *found = NULL;

    assert_int_equal(method_find(&found, name, NULL), 0);
    return found;
}

static void check_parameter(const struct method_parameter *parameter)
{
    assert_non_null(parameter->name);
    assert_non_null(parameter->about);
    assert_true(isfinite(parameter->fallback));
    assert_true(parameter->lower <= parameter->fallback);
    assert_true(parameter->fallback <= parameter->upper);
    if (parameter->kind == METHOD_BOOL) {
        assert_true(parameter->lower == 0 && parameter->upper == 1);
    }
}

static void check_method(const struct method *one)
{
    assert_non_null(one->about);
    assert_non_null(one->paper);
    assert_in_range(one->sources_min, 1, one->sources_max);
    assert_in_range(one->sources_max, 1, METHOD_SOURCES_MAX);
    assert_in_range(one->n_parameters, 1, METHOD_PARAMETERS_MAX);
    for (size_t i = 0; i < one->n_parameters; i++) {
        check_parameter(&one->parameters[i]);
        assert_ptr_equal(method_parameter_find(one, one->parameters[i].name), &one->parameters[i]);
    }
    for (size_t i = one->n_parameters; i < METHOD_PARAMETERS_MAX; i++) {
        assert_null(one->parameters[i].name);
    }
}

static void every_row_of_the_table_is_complete(void **state)
{
    size_t n;
    const struct method *methods = method_list(&n);

    (void)state;
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        check_method(&methods[i]);
        assert_ptr_equal(method(methods[i].name), &methods[i]);
    }
}

static void defaults_are_mergekits_where_it_has_one(void **state)
{
    (void)state;
    assert_true(method_parameter_find(method("linear"), "normalize")->fallback == 1);
    assert_true(method_parameter_find(method("task_arithmetic"), "normalize")->fallback == 0);
    assert_true(method_parameter_find(method("ties"), "normalize")->fallback == 1);
    assert_true(method_parameter_find(method("ties"), "lambda")->fallback == 1);
}

static void task_arithmetic_starts_at_the_average_of_two(void **state)
{
    (void)state;
    assert_true(method_parameter_find(method("task_arithmetic"), "weight")->fallback == 0.5);
}

static void task_vectors_need_a_base(void **state)
{
    (void)state;
    assert_false(method("linear")->needs_base);
    assert_true(method("task_arithmetic")->needs_base);
    assert_true(method("ties")->needs_base);
    assert_false(method("passthrough")->needs_base);
}

static void a_parameter_is_numbered_within_its_scope(void **state)
{
    const struct method *ties = method("ties");

    (void)state;
    assert_int_equal(method_count(ties, METHOD_SOURCE), 2);
    assert_int_equal(method_count(ties, METHOD_WHOLE), 4);
    assert_string_equal(method_at(ties, METHOD_SOURCE, 1)->name, "density");
    assert_string_equal(method_at(ties, METHOD_WHOLE, 0)->name, "normalize");
    assert_int_equal(method_index(ties, METHOD_SOURCE, "density"), 1);
    assert_int_equal(method_index(ties, METHOD_WHOLE, "lambda"), 1);
    assert_int_equal(method_index(ties, METHOD_WHOLE, "density"), SIZE_MAX);
    assert_int_equal(method_index(ties, METHOD_SOURCE, "gamma"), SIZE_MAX);
    assert_null(method_parameter_find(ties, "gamma"));
}

/* Recipes and studies from before these were there keep their bytes. */
static void what_came_later_is_silent(void **state)
{
    (void)state;
    assert_true(method_parameter_find(method("ties"), "rescale")->silent);
    assert_true(method_parameter_find(method("ties"), "match_std")->silent);
    assert_true(method_parameter_find(method("task_arithmetic"), "match_std")->silent);
    assert_false(method_parameter_find(method("ties"), "lambda")->silent);
    assert_false(method_parameter_find(method("dare_ties"), "rescale")->silent);
}

static void a_slip_is_told_the_nearest_method(void **state)
{
    const struct method *found = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(method_find(&found, "task_aritmetic", &err), ERR_MISSING);
    assert_string_equal(err.text,
                        "no merge method 'task_aritmetic'; did you mean task_arithmetic?");
    assert_null(found);
    assert_int_equal(method_find(&found, "alchemy", &err), ERR_MISSING);
    assert_string_equal(err.text, "no merge method 'alchemy'; braid methods lists them");
}

static void readme_shows_the_table(void **state)
{
    struct text table = {0};
    struct file_bytes readme = {0};

    (void)state;
    method_table_print(&table);
    assert_int_equal(file_read(&readme, TESTS_DIR "/../README.md", 1 << 20, NULL), 0);
    char *text = mem_text_n((const char *)readme.data, readme.size);

    if (strstr(text, text_get(&table)) == NULL) {
        fail_msg("README.md is not up to date: put in what braid methods --markdown prints");
    }
    free(text);
    file_release(&readme);
    text_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_table_is_complete),
        cmocka_unit_test(defaults_are_mergekits_where_it_has_one),
        cmocka_unit_test(task_arithmetic_starts_at_the_average_of_two),
        cmocka_unit_test(task_vectors_need_a_base),
        cmocka_unit_test(a_parameter_is_numbered_within_its_scope),
        cmocka_unit_test(what_came_later_is_silent),
        cmocka_unit_test(a_slip_is_told_the_nearest_method),
        cmocka_unit_test(readme_shows_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
