#include "evaluator/model/normalize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

/* The normal form of text under a normalizer written with ' for ", or the error. */
static const char *normal(const char *json, const char *text)
{
    static struct text out;
    char *quoted = mem_text(json);
    struct normalizer *normalizer = NULL;
    json_t *parsed = NULL;
    struct err err = {0};

    for (char *at = quoted; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    text_clear(&out);
    assert_int_equal(doc_parse(&parsed, quoted, strlen(quoted), NULL), 0);
    if (normalizer_parse(&normalizer, parsed, &err) != 0 ||
        normalizer_run(normalizer, text, strlen(text), &out, &err) != 0) {
        text_clear(&out);
        text_add(&out, err.text);
    }
    normalizer_free(normalizer);
    json_decref(parsed);
    free(quoted);
    return text_get(&out);
}

static void makes_the_four_normal_forms(void **state)
{
    (void)state;
    assert_string_equal(normal("{'type':'NFC'}", "e\xCC\x81"), "\xC3\xA9");
    assert_string_equal(normal("{'type':'NFD'}", "\xC3\xA9"), "e\xCC\x81");
    assert_string_equal(normal("{'type':'NFKC'}", "\xEF\xAC\x81"), "fi");
    assert_string_equal(normal("{'type':'NFKD'}", "\xEF\xBD\xB6\xEF\xBE\x9E"),
                        "\xE3\x82\xAB\xE3\x82\x99");
    assert_string_equal(normal("{'type':'NFC'}", "\xEF\xAC\x81"), "\xEF\xAC\x81");
}

static void lowers_letters_one_by_one(void **state)
{
    (void)state;
    assert_string_equal(normal("{'type':'Lowercase'}", "A\xC3\x89\xCE\xA3\xC4\xB0Z"),
                        "a\xC3\xA9\xCF\x83i\xCC\x87z");
}

static void strips_unicode_whitespace_at_the_sides_asked_for(void **state)
{
    (void)state;
    assert_string_equal(normal("{'type':'Strip','strip_left':true,'strip_right':true}",
                               "\xE3\x80\x80 a b\xC2\xA0\n"),
                        "a b");
    assert_string_equal(normal("{'type':'Strip','strip_left':false,'strip_right':true}", " a "),
                        " a");
    assert_string_equal(normal("{'type':'Strip','strip_left':true,'strip_right':true}", "  "), "");
}

static void runs_a_sequence_in_order(void **state)
{
    const char *json = "{'type':'Sequence','normalizers':[{'type':'Prepend','prepend':'_'},"
                       "{'type':'Replace','pattern':{'String':' '},'content':'_'},"
                       "{'type':'Replace','pattern':{'Regex':'b+'},'content':'\\\\0'}]}";

    (void)state;
    assert_string_equal(normal(json, "a bb"), "_a_\\0");
    assert_string_equal(normal(json, ""), "");
    assert_string_equal(normal("null", "a b"), "a b");
}

static void does_not_let_replacing_multiply_without_end(void **state)
{
    struct text json = {0};

    (void)state;
    text_add(&json, "{'type':'Sequence','normalizers':[");
    for (int i = 0; i < 40; i++) {
        text_printf(&json, "%s{'type':'Replace','pattern':{'String':'a'},'content':'aaaaaaaa'}",
                    i > 0 ? "," : "");
    }
    text_add(&json, "]}");
    assert_non_null(strstr(normal(text_get(&json), "a"), "normalizer: 1 bytes become"));
    text_release(&json);
}

static void refuses_other_types_by_name(void **state)
{
    (void)state;
    assert_string_equal(normal("{'type':'BertNormalizer'}", ""),
                        "normalizer: type BertNormalizer is not supported");
    assert_non_null(strstr(normal("{'type':'Replace','content':''}", ""), "pattern"));
    assert_non_null(strstr(normal("{'kind':'NFC'}", ""), "type"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_the_four_normal_forms),
        cmocka_unit_test(lowers_letters_one_by_one),
        cmocka_unit_test(strips_unicode_whitespace_at_the_sides_asked_for),
        cmocka_unit_test(runs_a_sequence_in_order),
        cmocka_unit_test(does_not_let_replacing_multiply_without_end),
        cmocka_unit_test(refuses_other_types_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
