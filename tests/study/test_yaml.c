#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/doc.h"
#include "study/yaml.h"
#include "tests/support/support.h"

static json_t *parse(const char *yaml)
{
    struct err err = {0};
    json_t *doc = NULL;

    if (yaml_parse(&doc, yaml, strlen(yaml), &err) != 0) {
        fail_msg("%s: %s", yaml, err.text);
    }
    return doc;
}

/* The document as canonical JSON. */
static void assert_reads(const char *yaml, const char *json)
{
    struct text out = {0};
    json_t *doc = parse(yaml);

    doc_print(&out, doc);
    assert_string_equal(text_get(&out), json);
    json_decref(doc);
    text_release(&out);
}

static void assert_refused(const char *yaml, int code, const char *message)
{
    struct err err = {0};
    json_t *doc = NULL;

    assert_int_equal(yaml_parse(&doc, yaml, strlen(yaml), &err), code);
    assert_string_equal(err.text, message);
    assert_null(doc);
}

static void reads_blocks_and_flows(void **state)
{
    (void)state;
    assert_reads("a: 1\nb:\n  - x\n  - y: {z: [p, q]}\n    w: v\n",
                 "{\"a\":1,\"b\":[\"x\",{\"w\":\"v\",\"y\":{\"z\":[\"p\",\"q\"]}}]}");
    assert_reads("- - 1\n  - 2\n- []\n", "[[1,2],[]]");
    assert_reads("? a\n: 1\n", "{\"a\":1}");
    assert_reads("\xef\xbb\xbf# comment\n---\na: b # comment\n...\n", "{\"a\":\"b\"}");
}

static void reads_nothing_as_null(void **state)
{
    (void)state;
    assert_reads("", "null");
    assert_reads("# only a comment\n", "null");
    assert_reads("---\n", "null");
    assert_reads("a:\nb: ~\nc: null\nd: NULL\ne: nULL\n",
                 "{\"a\":null,\"b\":null,\"c\":null,\"d\":null,\"e\":\"nULL\"}");
}

static void reads_only_true_and_false_as_such(void **state)
{
    (void)state;
    assert_reads("[true, True, TRUE, false, False, FALSE]", "[true,true,true,false,false,false]");
    assert_reads("[yes, no, on, off, y, tRUE]", "[\"yes\",\"no\",\"on\",\"off\",\"y\",\"tRUE\"]");
}

static void reads_whole_numbers(void **state)
{
    (void)state;
    assert_reads("[0, -3, +7, 012, 0x1F, 0o17]", "[0,-3,7,12,31,15]");
    assert_reads("[9223372036854775807, -9223372036854775808]",
                 "[9223372036854775807,-9223372036854775808]");
    assert_reads("[1_000, 12:30, 0b1, 0o8, 0xg, 0x, -, +, -0x1]",
                 "[\"1_000\",\"12:30\",\"0b1\",\"0o8\",\"0xg\",\"0x\",\"-\",\"+\",\"-0x1\"]");
}

static void reads_numbers_with_a_fraction_or_an_exponent(void **state)
{
    (void)state;
    assert_reads("[0.5, .5, 5., -1.5e3, 1e-3, 1E+2, +.5e-3]",
                 "[0.5,0.5,5.0,-1500.0,0.001,100.0,0.0005]");
    assert_reads("[., e5, 1e, 1e+, 1.2.3, .inf., 1.0f]",
                 "[\".\",\"e5\",\"1e\",\"1e+\",\"1.2.3\",\".inf.\",\"1.0f\"]");
}

static void reads_quoted_and_block_scalars_as_texts(void **state)
{
    (void)state;
    assert_reads("[\"1\", '2.0', \"true\", '~', \"\", '']",
                 "[\"1\",\"2.0\",\"true\",\"~\",\"\",\"\"]");
    assert_reads("a: |\n  1\nb: >-\n  2\n  3\n", "{\"a\":\"1\\n\",\"b\":\"2 3\"}");
    assert_reads("\"\\x41\\u00e9\\U0001F600\\n\"", "\"A\xc3\xa9\xf0\x9f\x98\x80\\n\"");
}

static void reads_keys_as_they_are_written(void **state)
{
    (void)state;
    assert_reads("1: a\ntrue: b\n~: c\n\"x y\": d\n",
                 "{\"1\":\"a\",\"true\":\"b\",\"x y\":\"d\",\"~\":\"c\"}");
}

static void obeys_core_tags(void **state)
{
    (void)state;
    assert_reads("[!!str 12, ! 12, !!int 12, !!float 12, !!bool true, !!null ~, !!float 1.5]",
                 "[\"12\",\"12\",12,12.0,true,null,1.5]");
    assert_reads("!!map {a: !!seq [!!int \"7\"]}", "{\"a\":[7]}");
}

static void refuses_other_tags_with_their_place(void **state)
{
    (void)state;
    assert_refused("a: !thing 1", ERR_FORMAT, "line 1 column 4: !thing: unknown tag");
    assert_refused("a: !!binary aGk=", ERR_FORMAT,
                   "line 1 column 4: tag:yaml.org,2002:binary: unknown tag");
    assert_refused("a: !!set {b}", ERR_FORMAT,
                   "line 1 column 4: tag:yaml.org,2002:set: unknown tag");
    assert_refused("a: !!int x", ERR_FORMAT, "line 1 column 4: x: not a tag:yaml.org,2002:int");
    assert_refused("a: !!float 0x1F", ERR_FORMAT,
                   "line 1 column 4: 0x1F: not a tag:yaml.org,2002:float");
}

static void refuses_anchors_and_aliases(void **state)
{
    const char *message = "line 2 column 4: anchors and aliases are not accepted";

    (void)state;
    assert_refused("a: 1\nb: &x 1", ERR_FORMAT, message);
    assert_refused("a: 1\nb: &x [1]", ERR_FORMAT, message);
    assert_refused("a: 1\nb: &x {c: 1}", ERR_FORMAT, message);
    assert_refused("a: 1\nb: *x", ERR_FORMAT, message);
    assert_refused("&x a: 1", ERR_FORMAT, "line 1 column 1: anchors and aliases are not accepted");
    assert_refused("&x [*x]", ERR_FORMAT, "line 1 column 1: anchors and aliases are not accepted");
}

static void refuses_a_key_that_is_there_twice(void **state)
{
    (void)state;
    assert_refused("a: 1\nb:\n  c: 2\n  d: 3\n  c: 4\n", ERR_FORMAT,
                   "line 5 column 3: c: this key is there twice");
    assert_refused("{1: a, \"1\": b}", ERR_FORMAT, "line 1 column 8: 1: this key is there twice");
}

static void refuses_keys_that_are_no_texts(void **state)
{
    (void)state;
    assert_refused("? [a]\n: b", ERR_FORMAT, "line 1 column 3: a key must be a text");
    assert_refused("? {a: 1}\n: b", ERR_FORMAT, "line 1 column 3: a key must be a text");
    assert_refused("!!int 1: b", ERR_FORMAT, "line 1 column 1: a key must be a text");
}

static void refuses_a_second_document(void **state)
{
    (void)state;
    assert_refused("a: 1\n---\nb: 2\n", ERR_FORMAT,
                   "line 2 column 1: a second document starts here");
}

static void refuses_numbers_that_do_not_fit(void **state)
{
    (void)state;
    assert_refused("a: .inf", ERR_FORMAT, "line 1 column 4: .inf: not a finite number");
    assert_refused("a: -.INF", ERR_FORMAT, "line 1 column 4: -.INF: not a finite number");
    assert_refused("a: .nan", ERR_FORMAT, "line 1 column 4: .nan: not a finite number");
    assert_refused("a: 1e999", ERR_FORMAT, "line 1 column 4: 1e999: not a finite number");
    assert_refused("a: 9223372036854775808", ERR_LIMIT,
                   "line 1 column 4: 9223372036854775808: does not fit 64 bits");
    assert_refused("a: 0x8000000000000000", ERR_LIMIT,
                   "line 1 column 4: 0x8000000000000000: does not fit 64 bits");
}

static void refuses_what_is_not_yaml_with_its_place(void **state)
{
    (void)state;
    assert_refused("a\nb: c", ERR_FORMAT,
                   "line 2 column 2: mapping values are not allowed in this context");
    assert_refused("a: b\nc: \xff\n", ERR_FORMAT, "line 2 column 4: invalid leading UTF-8 octet");
    assert_refused("\xc3\xa9\xc3\xa9: \x01", ERR_FORMAT,
                   "line 1 column 5: control characters are not allowed");
    assert_refused("a: \"x\\0y\"", ERR_FORMAT, "line 1 column 4: a zero byte in a text");
    assert_refused("a: \"\\uD800\"", ERR_FORMAT,
                   "line 1 column 7: found invalid Unicode character escape code");
    assert_refused("a:\n\tb: 1", ERR_FORMAT,
                   "line 2 column 1: found character that cannot start any token");
}

static char *nested(size_t depth, const char *open, const char *close)
{
    struct text text = {0};

    for (size_t i = 0; i < depth; i++) {
        text_add(&text, open);
    }
    text_add_char(&text, '1');
    for (size_t i = 0; i < depth; i++) {
        text_add(&text, close);
    }
    return text_take(&text);
}

static void refuses_deep_nesting_and_nothing_less_deep(void **state)
{
    static const char *const forms[][2] = {{"[", "]"}, {"{a: ", "}"}, {"- ", ""}};

    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char *deepest = nested(YAML_DEPTH_MAX, forms[i][0], forms[i][1]);
        char *too_deep = nested(YAML_DEPTH_MAX + 1, forms[i][0], forms[i][1]);
        struct err err = {0};
        json_t *doc = NULL;

        json_decref(parse(deepest));
        assert_int_equal(yaml_parse(&doc, too_deep, strlen(too_deep), &err), ERR_LIMIT);
        assert_non_null(strstr(err.text, "nested deeper than 64"));
        free(deepest);
        free(too_deep);
    }
}

/* libyaml alone takes minutes for this; a second is generous. */
static void is_quick_to_refuse_a_megabyte_of_brackets(void **state)
{
    static const char *const opens[] = {"[", "{", "[\n", "{a: ", "[a,", "? ", "[? "};

    (void)state;
    for (size_t i = 0; i < sizeof opens / sizeof *opens; i++) {
        char *brackets = nested(YAML_SIZE_MAX / strlen(opens[i]) - 1, opens[i], "");
        json_t *doc = NULL;
        clock_t start = clock();

        assert_int_not_equal(yaml_parse(&doc, brackets, strlen(brackets), NULL), 0);
        assert_true(clock() - start < CLOCKS_PER_SEC);
        free(brackets);
    }
}

static void refuses_what_is_too_large(void **state)
{
    struct err err = {0};
    json_t *doc = NULL;
    char *spaces = calloc(YAML_SIZE_MAX + 1, 1);
    struct text key = {0};

    (void)state;
    memset(spaces, ' ', YAML_SIZE_MAX + 1);
    assert_int_equal(yaml_parse(&doc, spaces, YAML_SIZE_MAX + 1, &err), ERR_LIMIT);
    assert_string_equal(err.text, "1048577 bytes, more than 1048576");
    free(spaces);

    for (size_t i = 0; i < YAML_KEY_MAX + 1; i++) {
        text_add_char(&key, 'k');
    }
    text_add(&key, ": 1");
    assert_refused(text_get(&key), ERR_LIMIT, "line 1 column 1: a key longer than 128 bytes");
    json_decref(parse(text_get(&key) + 1));
    text_release(&key);
}

static void loads_a_file_and_names_it_when_it_is_bad(void **state)
{
    struct err err = {0};
    json_t *doc = NULL;
    struct text path = {0};
    char *folder = support_temp_dir();

    (void)state;
    text_printf(&path, "%s/study.yaml", folder);
    assert_int_equal(yaml_load(&doc, text_get(&path), &err), ERR_MISSING);
    support_write(folder, "study.yaml", "a: 1\na: 2\n");
    assert_int_equal(yaml_load(&doc, text_get(&path), &err), ERR_FORMAT);
    assert_memory_equal(err.text, path.data, path.size);
    assert_string_equal(err.text + path.size, ": line 2 column 1: a: this key is there twice");
    support_write(folder, "study.yaml", "a: 1\n");
    assert_int_equal(yaml_load(&doc, text_get(&path), &err), 0);
    assert_true(json_is_object(doc));
    json_decref(doc);
    text_release(&path);
    support_remove_dir(folder);
}

/* --- printing --- */

static void assert_prints_text(const char *value, const char *scalar)
{
    struct text out = {0};
    json_t *back;

    yaml_print_text(&out, value);
    assert_string_equal(text_get(&out), scalar);
    back = parse(text_get(&out));
    assert_true(json_is_string(back));
    assert_string_equal(json_string_value(back), value);
    json_decref(back);
    text_release(&out);
}

static void leaves_plain_words_and_paths_alone(void **state)
{
    static const char *const plain[] = {
        "ties",         "down_proj", "../models/base", "./a",       "/m/a.bin", "a b-c",
        "org/Model-7B", "_x",        "v1.0",           "yesterday", "e5"};

    (void)state;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        assert_prints_text(plain[i], plain[i]);
    }
}

static void quotes_what_some_reader_takes_for_something_else(void **state)
{
    static const char *const odd[] = {
        "",         "yes",        "No",
        "ON",       "off",        "y",
        "N",        "true",       "False",
        "null",     "NULL",       "~",
        "1",        "-1",         "+1",
        "0x1F",     "0o7",        "012",
        "0b1",      "1.0",        ".5",
        "1e-3",     "1e5",        ".inf",
        "-.inf",    ".nan",       "1_000",
        "<<",       "=",          "2:30",
        "12:30:00", "2024-01-01", "2024-01-01 10:00:00",
        "-",        "- a",        "?",
        "? a",      ":",          "a: b",
        "a:",       "a #b",       "#a",
        "&a",       "*a",         "!a",
        "%a",       "@a",         "`a",
        "|",        ">",          "[a]",
        "{a}",      "a,b",        " a",
        "a ",       "---",        "...",
        "..",       "..e+5",      "a'b",
    };

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct text quoted = {0};

        text_printf(&quoted, "\"%s\"", odd[i]);
        assert_prints_text(odd[i], text_get(&quoted));
        text_release(&quoted);
    }
}

static void escapes_what_a_line_cannot_hold(void **state)
{
    (void)state;
    assert_prints_text("a\nb\tc", "\"a\\nb\\tc\"");
    assert_prints_text("say \"x\\y\"", "\"say \\\"x\\\\y\\\"\"");
    assert_prints_text("\x01\x1b\x7f", "\"\\u0001\\u001B\\u007F\"");
    assert_prints_text("\xc2\x85\xc2\x9f\xc2\xa0", "\"\\u0085\\u009F\xc2\xa0\""); /* C1; a blank */
    assert_prints_text("\xe2\x80\xa8\xef\xbb\xbf\xef\xbf\xbe", "\"\\u2028\\uFEFF\\uFFFE\"");
    assert_prints_text("\xc3\xa9 \xf0\x9f\x98\x80", "\"\xc3\xa9 \xf0\x9f\x98\x80\"");
}

static void assert_prints(const char *json, const char *yaml)
{
    struct text out = {0};
    json_t *doc = NULL;

    assert_int_equal(doc_parse(&doc, json, strlen(json), NULL), 0);
    yaml_print(&out, doc);
    assert_string_equal(text_get(&out), yaml);

    json_t *back = parse(text_get(&out));

    assert_true(json_equal(doc, back));
    json_decref(back);
    json_decref(doc);
    text_release(&out);
}

static void prints_blocks_that_read_back_equal(void **state)
{
    (void)state;
    assert_prints(
        "{\"study\":\"demo\",\"on\":\"1e-3\",\"layers\":[[1,2e-5],{\"name\":\"a\",\"scale\":1.0},"
        "\"x\"],\"empty\":{\"list\":[],\"object\":{}},\"none\":null,\"ok\":true}",
        "study: demo\n"
        "\"on\": \"1e-3\"\n"
        "layers:\n"
        "  - - 1\n"
        "    - 2.0e-05\n"
        "  - name: a\n"
        "    scale: 1.0\n"
        "  - x\n"
        "empty:\n"
        "  list: []\n"
        "  object: {}\n"
        "none: null\n"
        "ok: true\n");
}

static void prints_a_lone_scalar(void **state)
{
    (void)state;
    assert_prints("\"a\\nb\"", "\"a\\nb\"\n");
    assert_prints("-0.0", "-0.0\n");
    assert_prints("[]", "[]\n");
    assert_prints("{}", "{}\n");
    assert_prints("[[[1]],{\"a\":[{\"b\":[2]}]}]", "- - - 1\n- a:\n    - b:\n        - 2\n");
}

static void reads_back_the_longest_key(void **state)
{
    struct text json = {0};
    struct text out = {0};
    json_t *doc = NULL;

    (void)state;
    text_add(&json, "{\"");
    for (size_t i = 0; i < YAML_KEY_MAX; i++) {
        text_add(&json, "\\u0001"); /* six characters each when printed */
    }
    text_add(&json, "\":1}");
    assert_int_equal(doc_parse(&doc, text_get(&json), json.size, NULL), 0);
    yaml_print(&out, doc);

    json_t *back = parse(text_get(&out));

    assert_true(json_equal(doc, back));
    json_decref(doc);
    json_decref(back);
    text_release(&json);
    text_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_blocks_and_flows),
        cmocka_unit_test(reads_nothing_as_null),
        cmocka_unit_test(reads_only_true_and_false_as_such),
        cmocka_unit_test(reads_whole_numbers),
        cmocka_unit_test(reads_numbers_with_a_fraction_or_an_exponent),
        cmocka_unit_test(reads_quoted_and_block_scalars_as_texts),
        cmocka_unit_test(reads_keys_as_they_are_written),
        cmocka_unit_test(obeys_core_tags),
        cmocka_unit_test(refuses_other_tags_with_their_place),
        cmocka_unit_test(refuses_anchors_and_aliases),
        cmocka_unit_test(refuses_a_key_that_is_there_twice),
        cmocka_unit_test(refuses_keys_that_are_no_texts),
        cmocka_unit_test(refuses_a_second_document),
        cmocka_unit_test(refuses_numbers_that_do_not_fit),
        cmocka_unit_test(refuses_what_is_not_yaml_with_its_place),
        cmocka_unit_test(refuses_deep_nesting_and_nothing_less_deep),
        cmocka_unit_test(is_quick_to_refuse_a_megabyte_of_brackets),
        cmocka_unit_test(refuses_what_is_too_large),
        cmocka_unit_test(loads_a_file_and_names_it_when_it_is_bad),
        cmocka_unit_test(leaves_plain_words_and_paths_alone),
        cmocka_unit_test(quotes_what_some_reader_takes_for_something_else),
        cmocka_unit_test(escapes_what_a_line_cannot_hold),
        cmocka_unit_test(prints_blocks_that_read_back_equal),
        cmocka_unit_test(prints_a_lone_scalar),
        cmocka_unit_test(reads_back_the_longest_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
