/*
 * The table tests/cases/jinja.txt, and templates in the shapes of the published ones
 * (tests/golden/chat); then what a hostile template may try.
 */
#include "evaluator/chat/jinja.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"

static int render(const char *template, const json_t *variables, struct text *out, struct err *err)
{
    struct jinja *jinja = NULL;

    int rc = jinja_parse(&jinja, template, strlen(template), err);
    if (rc == 0) {
        rc = jinja_render(jinja, variables, JINJA_DATE, out, err);
    }
    jinja_free(jinja);
    return rc;
}

/* ---- the table ---- */

/* A line of the table as JSON; the caller's to release. */
static json_t *parse_line(const char *line)
{
    json_t *made = json_loads(line, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

    if (made == NULL) {
        fail_msg("%s", line);
    }
    return made;
}

static bool check_case(const json_t *variables, const char *template, char kind,
                       const char *expected)
{
    struct text text = {0};
    struct err err = {0};
    const int rc = render(template, variables, &text, &err);
    const char *got = rc == 0 ? text_get(&text) : err.text;
    const bool good =
        kind == '=' ? rc == 0 && strcmp(got, expected) == 0 : rc != 0 && strstr(got, expected);

    if (!good) {
        print_error("%s\n  wanted %s\n  got    %s\n", template, expected, got);
    }
    text_release(&text);
    return good;
}

static void gives_what_is_recorded(void **state)
{
    FILE *file = fopen(TESTS_DIR "/cases/jinja.txt", "r");
    char *line = NULL;
    size_t capacity = 0;
    json_t *variables = NULL;
    json_t *template = NULL;
    size_t n = 0;
    size_t failed = 0;

    (void)state;
    assert_non_null(file);
    while (getline(&line, &capacity, file) >= 0) {
        if (line[0] == '$') {
            variables = parse_line(line + 2);
        } else if (line[0] == '>') {
            json_decref(template);
            template = parse_line(line + 2);
        } else if (line[0] == '=' || line[0] == '!') {
            json_t *expected = parse_line(line + 2);

            failed += !check_case(variables, json_string_value(template), line[0],
                                  json_string_value(expected));
            n++;
            json_decref(expected);
        }
    }
    assert_int_equal(failed, 0);
    assert_true(n > 100);
    json_decref(template);
    json_decref(variables);
    free(line);
    fclose(file);
}

/* ---- shapes of published templates ---- */

static bool check_prompt(const json_t *prompt)
{
    const char *name = json_string_value(json_object_get(prompt, "template"));
    const char *expected = json_string_value(json_object_get(prompt, "text"));
    char *path = mem_printf("%s/golden/chat/%s", TESTS_DIR, name);
    struct file_bytes template = {0};
    struct text text = {0};
    struct err err = {0};

    assert_int_equal(file_read(&template, path, JINJA_TEXT_MAX, NULL), 0);
    const int rc = render(template.data, json_object_get(prompt, "variables"), &text, &err);
    const bool good = expected != NULL ? rc == 0 && strcmp(expected, text_get(&text)) == 0
                                       : rc != 0 && text.size == 0;

    if (!good) {
        print_error("%s\n  wanted %s\n  got    %s\n", name, expected,
                    rc == 0 ? text_get(&text) : err.text);
    }
    text_release(&text);
    file_release(&template);
    free(path);
    return good;
}

static void writes_prompts_as_published_templates_shape_them(void **state)
{
    FILE *file = fopen(TESTS_DIR "/golden/chat/prompts.jsonl", "r");
    char *line = NULL;
    size_t capacity = 0;
    size_t n = 0;
    size_t failed = 0;

    (void)state;
    assert_non_null(file);
    for (; getline(&line, &capacity, file) >= 0; n++) {
        json_t *prompt = parse_line(line);

        failed += !check_prompt(prompt);
        json_decref(prompt);
    }
    assert_int_equal(failed, 0);
    assert_true(n > 100);
    free(line);
    fclose(file);
}

/* ---- strangers ---- */

static void refuses(const char *template, enum err_code code)
{
    json_t *variables = json_pack("{s:[i, i, i]}", "list", 1, 2, 3);
    struct text text = {0};
    struct err err = {0};

    assert_int_equal(render(template, variables, &text, &err), code);
    assert_int_equal(text.size, 0);
    json_decref(variables);
}

static void ends_whatever_a_template_does(void **state)
{
    (void)state;
    refuses("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            ERR_LIMIT);
    refuses("{% set ns = namespace(x='ab') %}{% for a in range(99) %}{% set ns.x = ns.x + ns.x %}"
            "{% endfor %}",
            ERR_LIMIT);
    refuses("{{ 'a' * 100000000 * 100000000 }}", ERR_LIMIT);
    refuses("{% set ns = namespace(x=[1]) %}{% for a in range(99) %}{% set ns.x = ns.x + ns.x %}"
            "{% endfor %}",
            ERR_LIMIT);
    refuses("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", ERR_FORMAT);
    refuses("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}", ERR_FORMAT);
    refuses("{% set x = 'a' * 10000 %}{% for a in range(99999) %}{{ x }}{% endfor %}", ERR_LIMIT);
    refuses("{% set x = 'a' * 100000 %}{% for a in range(9999) %}{% if 'b' in x %}{% endif %}"
            "{% endfor %}",
            ERR_LIMIT);
}

static void survives_lists_that_are_nested_without_end(void **state)
{
    json_t *variables = json_object();
    struct text text = {0};

    (void)state;
    assert_int_equal(render("{% set ns = namespace(x=[]) %}{% for a in range(9999) %}"
                            "{% set ns.x = [ns.x] %}{% endfor %}done",
                            variables, &text, NULL),
                     0);
    assert_string_equal(text_get(&text), "done");
    refuses("{% set ns = namespace(x=[], y=[]) %}{% for a in range(9999) %}{% set ns.x = [ns.x] %}"
            "{% set ns.y = [ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
            ERR_FORMAT);
    refuses("{% set ns = namespace(x=[]) %}{% for a in range(9999) %}{% set ns.x = [ns.x] %}"
            "{% endfor %}{{ ns.x | tojson }}",
            ERR_FORMAT);
    refuses("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns.x | tojson }}", ERR_FORMAT);
    text_release(&text);
    json_decref(variables);
}

static void refuses_what_is_nested_too_deep_when_it_is_parsed(void **state)
{
    struct text brackets = {0};
    struct text blocks = {0};
    struct text chain = {0};

    (void)state;
    text_add(&brackets, "{{ ");
    text_add(&chain, "{{ 1");
    for (size_t i = 0; i < 100000; i++) {
        text_add_char(&brackets, '(');
        text_add(&chain, "+1");
    }
    text_add(&chain, " }}");
    for (size_t i = 0; i < 10000; i++) {
        text_add(&blocks, "{% if 1 %}");
    }
    refuses(text_get(&brackets), ERR_FORMAT);
    refuses(text_get(&blocks), ERR_FORMAT);
    refuses(text_get(&chain), ERR_FORMAT);
    text_release(&chain);
    text_release(&blocks);
    text_release(&brackets);
}

static void refuses_what_is_no_text(void **state)
{
    struct jinja *jinja = NULL;
    char *large = mem_alloc(JINJA_TEXT_MAX + 1);

    (void)state;
    memset(large, 'a', JINJA_TEXT_MAX + 1);
    assert_int_equal(jinja_parse(&jinja, "a\xff", 2, NULL), ERR_FORMAT);
    assert_int_equal(jinja_parse(&jinja, "a\0b", 3, NULL), ERR_FORMAT);
    assert_int_equal(jinja_parse(&jinja, large, JINJA_TEXT_MAX + 1, NULL), ERR_LIMIT);
    assert_int_equal(jinja_parse(&jinja, large, JINJA_TEXT_MAX, NULL), 0);
    jinja_free(jinja);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_what_is_recorded),
        cmocka_unit_test(writes_prompts_as_published_templates_shape_them),
        cmocka_unit_test(ends_whatever_a_template_does),
        cmocka_unit_test(survives_lists_that_are_nested_without_end),
        cmocka_unit_test(refuses_what_is_nested_too_deep_when_it_is_parsed),
        cmocka_unit_test(refuses_what_is_no_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
