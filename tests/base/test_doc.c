#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/doc.h"
#include "tests/support/support.h"

static json_t *parse(const char *text)
{
    struct err err = {0};
    json_t *doc = NULL;

    if (doc_parse(&doc, text, strlen(text), &err) != 0) {
        fail_msg("%s: %s", text, err.text);
    }
    return doc;
}

static void assert_refused(const char *text, int code, const char *message)
{
    struct err err = {0};
    json_t *doc = NULL;

    assert_int_equal(doc_parse(&doc, text, strlen(text), &err), code);
    assert_null(doc);
    if (strstr(err.text, message) == NULL) {
        fail_msg("'%s' is not in '%s'", message, err.text);
    }
}

static void assert_prints(const char *text, const char *canonical)
{
    struct text out = {0};
    json_t *doc = parse(text);

    doc_print(&out, doc);
    assert_string_equal(text_get(&out), canonical);
    json_decref(doc);

    doc = parse(canonical);
    text_clear(&out);
    doc_print(&out, doc);
    assert_string_equal(text_get(&out), canonical);
    json_decref(doc);
    text_release(&out);
}

static void refuses_malformed_json_with_its_place(void **state)
{
    (void)state;
    assert_refused("{\"a\": 1,\n \"a\": 2}", ERR_FORMAT, "line 2 column 4: duplicate object key");
    assert_refused("[1,\n 2,\n nan]", ERR_FORMAT, "line 3 column 4");
    assert_refused("[NaN]", ERR_FORMAT, "line 1");
    assert_refused("[Infinity]", ERR_FORMAT, "line 1");
    assert_refused("1 2", ERR_FORMAT, "end of file expected");
    assert_refused("", ERR_FORMAT, "line 1");
    assert_refused("[1,]", ERR_FORMAT, "line 1");
    assert_refused("{'a': 1}", ERR_FORMAT, "line 1");
    assert_refused("[01]", ERR_FORMAT, "line 1");
    assert_refused("[1e999]", ERR_FORMAT, "real number overflow");
    assert_refused("[1e400]", ERR_FORMAT, "real number overflow");
    assert_refused("\"\xff\"", ERR_FORMAT, "unable to decode byte 0xff");
    assert_refused("\"\\ud800\"", ERR_FORMAT, "line 1");
    assert_refused("\"a\\u0000b\"", ERR_FORMAT, "line 1");
}

static char *nested(size_t depth)
{
    struct text text = {0};

    text_add(&text, "[\"[[[[ \\\" {\",\n");
    for (size_t i = 1; i < depth; i++) {
        text_add(&text, i % 2 == 0 ? "[" : "{\"a\":");
    }
    text_add(&text, "1");
    for (size_t i = depth - 1; i > 0; i--) {
        text_add(&text, i % 2 == 0 ? "]" : "}");
    }
    text_add(&text, "]");
    return text_take(&text);
}

static void refuses_deep_nesting_and_nothing_less_deep(void **state)
{
    char *deepest = nested(DOC_DEPTH_MAX);
    char *too_deep = nested(DOC_DEPTH_MAX + 1);

    (void)state;
    json_decref(parse(deepest));
    assert_refused(too_deep, ERR_LIMIT, "line 2: nested deeper than 128");
    free(deepest);
    free(too_deep);
}

static void prints_equal_documents_as_equal_bytes(void **state)
{
    (void)state;
    assert_prints(" { \"b\" : 1 , \"a\" : [ ] , \"B\":{}, \"\":null } ",
                  "{\"\":null,\"B\":{},\"a\":[],\"b\":1}");
    assert_prints("[true, false, null, -5, 9223372036854775807]",
                  "[true,false,null,-5,9223372036854775807]");
    assert_prints("\"\\u00e9\\ud83d\\ude00\\/\"", "\"\xc3\xa9\xf0\x9f\x98\x80/\"");
    assert_prints("{\"\\u00e9\":1,\"z\":2}", "{\"z\":2,\"\xc3\xa9\":1}");
}

static void escapes_only_what_must_be(void **state)
{
    (void)state;
    assert_prints("\"\\b\\t\\n\\f\\r\\u000b\\u001f\\u007f\\\"\\\\\"",
                  "\"\\b\\t\\n\\f\\r\\u000b\\u001f\x7f\\\"\\\\\"");
    assert_prints("\"plain \\u0001 middle \\u0002\"", "\"plain \\u0001 middle \\u0002\"");
}

static void keeps_whole_numbers_and_reals_apart(void **state)
{
    (void)state;
    assert_prints("[1, 1.0, 1e0, 0.1, 1e-5, 1E22, -0.0, -0]",
                  "[1,1.0,1.0,0.1,1.0e-05,1.0e+22,-0.0,0]");
}

static void reads_integers_beyond_64_bits_as_reals(void **state)
{
    (void)state;
    assert_prints("[9223372036854775807,-9223372036854775807]",
                  "[9223372036854775807,-9223372036854775807]");
    assert_prints("{\"model_max_length\": 1000000000000000019884624838656}",
                  "{\"model_max_length\":1.0e+30}");
    assert_prints("[9223372036854775808,12,\"9223372036854775808 \\\" 9223372036854775808\"]",
                  "[9.223372036854776e+18,12,"
                  "\"9223372036854775808 \\\" 9223372036854775808\"]");
    assert_prints("[-99999999999999999999,99999999999999999999.5,0.99999999999999999999]",
                  "[-1.0e+20,1.0e+20,1.0]");
}

static void prints_for_people_in_the_order_of_the_document(void **state)
{
    struct text out = {0};
    json_t *doc = parse("{\"b\":[1,{\"x\":2}],\"a\":{},\"c\":[]}");

    (void)state;
    doc_print_pretty(&out, doc);
    assert_string_equal(text_get(&out), "{\n"
                                        "  \"b\": [\n"
                                        "    1,\n"
                                        "    {\n"
                                        "      \"x\": 2\n"
                                        "    }\n"
                                        "  ],\n"
                                        "  \"a\": {},\n"
                                        "  \"c\": []\n"
                                        "}");
    text_release(&out);
    json_decref(doc);
}

static void loads_a_file_and_names_it_when_it_is_bad(void **state)
{
    struct err err = {0};
    json_t *doc = NULL;
    char *folder = support_temp_dir();
    struct text path = {0};

    (void)state;
    text_printf(&path, "%s/a.json", folder);
    assert_int_equal(doc_load(&doc, text_get(&path), 100, &err), ERR_MISSING);
    support_write(folder, "a.json", "[1,2");
    assert_int_equal(doc_load(&doc, text_get(&path), 100, &err), ERR_FORMAT);
    assert_memory_equal(err.text, path.data, path.size);
    assert_non_null(strstr(err.text, "a.json: line 1 "));
    assert_int_equal(doc_load(&doc, text_get(&path), 3, &err), ERR_LIMIT);
    assert_null(doc);
    support_write(folder, "a.json", "[1,2]");
    assert_int_equal(doc_load(&doc, text_get(&path), 5, &err), 0);
    assert_int_equal(json_array_size(doc), 2);
    json_decref(doc);
    text_release(&path);
    support_remove_dir(folder);
}

static void getters_give_values(void **state)
{
    json_t *doc = parse("{\"t\":\"x\",\"n\":2,\"r\":0.5,\"b\":true,\"o\":{},\"l\":[1]}");
    const char *text = NULL;
    double number = 0.0;
    int64_t integer = 0;
    bool flag = false;
    json_t *inner = NULL;

    (void)state;
    assert_int_equal(doc_text(doc, "t", &text, NULL), 0);
    assert_string_equal(text, "x");
    assert_int_equal(doc_number(doc, "n", &number, NULL), 0);
    assert_true(number == 2.0);
    assert_int_equal(doc_number(doc, "r", &number, NULL), 0);
    assert_true(number == 0.5);
    assert_int_equal(doc_integer(doc, "n", 2, 2, &integer, NULL), 0);
    assert_int_equal(integer, 2);
    assert_int_equal(doc_bool_or(doc, "b", false, &flag, NULL), 0);
    assert_true(flag);
    assert_int_equal(doc_object(doc, "o", &inner, NULL), 0);
    assert_true(json_is_object(inner));
    assert_int_equal(doc_array(doc, "l", &inner, NULL), 0);
    assert_true(json_is_array(inner));
    json_decref(doc);
}

static void getters_fall_back_when_a_key_is_missing(void **state)
{
    json_t *doc = parse("{}");
    const char *text = NULL;
    double number = 0.0;
    int64_t integer = 0;
    bool flag = false;

    (void)state;
    assert_int_equal(doc_text_or(doc, "a", "b", &text, NULL), 0);
    assert_string_equal(text, "b");
    assert_int_equal(doc_number_or(doc, "a", 1.5, &number, NULL), 0);
    assert_true(number == 1.5);
    assert_int_equal(doc_integer_or(doc, "a", 0, 9, -1, &integer, NULL), 0);
    assert_int_equal(integer, -1);
    assert_int_equal(doc_bool_or(doc, "a", true, &flag, NULL), 0);
    assert_true(flag);
    json_decref(doc);
}

static void getters_name_the_key_at_fault(void **state)
{
    json_t *doc = parse("{\"method\":5,\"size\":\"big\",\"n\":1.5,\"k\":70,\"z\":null}");
    struct err err = {0};
    const char *text = "as it was";
    double number = 1.0;
    int64_t integer = 7;
    bool flag = true;
    json_t *inner = NULL;

    (void)state;
    assert_int_equal(doc_text(doc, "method", &text, &err), ERR_FORMAT);
    assert_string_equal(err.text, "method: expected a text, got a number");
    assert_int_equal(doc_text_or(doc, "z", "d", &text, &err), ERR_FORMAT);
    assert_string_equal(err.text, "z: expected a text, got null");
    assert_string_equal(text, "as it was");
    assert_int_equal(doc_number(doc, "size", &number, &err), ERR_FORMAT);
    assert_string_equal(err.text, "size: expected a number, got a text");
    assert_int_equal(doc_number(doc, "absent", &number, &err), ERR_MISSING);
    assert_string_equal(err.text, "absent: missing");
    assert_true(number == 1.0);
    assert_int_equal(doc_integer(doc, "n", 0, 9, &integer, &err), ERR_FORMAT);
    assert_string_equal(err.text, "n: expected a whole number, got 1.5");
    assert_int_equal(doc_integer_or(doc, "k", 0, 64, 1, &integer, &err), ERR_LIMIT);
    assert_string_equal(err.text, "k: 70 is outside 0 to 64");
    assert_int_equal(integer, 7);
    assert_int_equal(doc_bool_or(doc, "k", false, &flag, &err), ERR_FORMAT);
    assert_string_equal(err.text, "k: expected true or false, got a number");
    assert_int_equal(doc_object(doc, "k", &inner, &err), ERR_FORMAT);
    assert_string_equal(err.text, "k: expected an object, got a number");
    assert_int_equal(doc_array(doc, "size", &inner, &err), ERR_FORMAT);
    assert_string_equal(err.text, "size: expected a list, got a text");
    json_decref(doc);
}

static void getters_want_an_object(void **state)
{
    json_t *doc = parse("[1]");
    struct err err = {0};
    const char *text = NULL;
    bool flag;

    (void)state;
    assert_int_equal(doc_text(doc, "a", &text, &err), ERR_FORMAT);
    assert_string_equal(err.text, "expected an object with a, got a list");
    assert_int_equal(doc_bool_or(NULL, "a", true, &flag, &err), ERR_FORMAT);
    assert_string_equal(err.text, "expected an object with a, got nothing");
    json_decref(doc);
}

static void finds_keys_that_nobody_knows(void **state)
{
    const char *const known[] = {"method", "base", "sources"};
    json_t *fine = parse("{\"base\":1,\"method\":2}");
    json_t *misspelt = parse("{\"base\":1,\"mehtod\":2}");
    json_t *strange = parse("{\"temperature\":2}");
    json_t *list = parse("[]");
    struct err err = {0};

    (void)state;
    assert_int_equal(doc_only(fine, known, 3, &err), 0);
    assert_int_equal(doc_only(misspelt, known, 3, &err), ERR_FORMAT);
    assert_string_equal(err.text, "mehtod: unknown key, did you mean method?");
    assert_int_equal(doc_only(strange, known, 3, &err), ERR_FORMAT);
    assert_string_equal(err.text, "temperature: unknown key");
    assert_int_equal(doc_only(list, known, 3, &err), ERR_FORMAT);
    json_decref(fine);
    json_decref(misspelt);
    json_decref(strange);
    json_decref(list);
}

static void assert_bits(double value, const char *hex)
{
    char bits[17];
    double back = 0.0;

    doc_to_bits(bits, value);
    assert_string_equal(bits, hex);
    assert_int_equal(doc_from_bits(&back, bits, NULL), 0);
    assert_memory_equal(&back, &value, sizeof back);
}

static void carries_the_bits_of_a_double(void **state)
{
    struct err err = {0};
    double value = 7.0;

    (void)state;
    assert_bits(0.0, "0000000000000000");
    assert_bits(-0.0, "8000000000000000");
    assert_bits(1.0, "3ff0000000000000");
    assert_bits(0.1, "3fb999999999999a");
    assert_bits((double)INFINITY, "7ff0000000000000");
    assert_int_equal(doc_from_bits(&value, "3FF0000000000000", &err), 0);
    assert_true(value == 1.0);
    assert_int_equal(doc_from_bits(&value, "3ff000000000000", &err), ERR_FORMAT);
    assert_int_equal(doc_from_bits(&value, "3ff00000000000000", &err), ERR_FORMAT);
    assert_int_equal(doc_from_bits(&value, "0x3ff00000000000", &err), ERR_FORMAT);
    assert_int_equal(doc_from_bits(&value, "", &err), ERR_FORMAT);
    assert_true(value == 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_malformed_json_with_its_place),
        cmocka_unit_test(refuses_deep_nesting_and_nothing_less_deep),
        cmocka_unit_test(prints_equal_documents_as_equal_bytes),
        cmocka_unit_test(escapes_only_what_must_be),
        cmocka_unit_test(keeps_whole_numbers_and_reals_apart),
        cmocka_unit_test(reads_integers_beyond_64_bits_as_reals),
        cmocka_unit_test(prints_for_people_in_the_order_of_the_document),
        cmocka_unit_test(loads_a_file_and_names_it_when_it_is_bad),
        cmocka_unit_test(getters_give_values),
        cmocka_unit_test(getters_fall_back_when_a_key_is_missing),
        cmocka_unit_test(getters_name_the_key_at_fault),
        cmocka_unit_test(getters_want_an_object),
        cmocka_unit_test(finds_keys_that_nobody_knows),
        cmocka_unit_test(carries_the_bits_of_a_double),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
