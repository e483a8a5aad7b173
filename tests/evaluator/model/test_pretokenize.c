#include "evaluator/model/pretokenize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define MARK "\xE2\x96\x81"

/* The words of text, joined with |, under a pre-tokenizer written with ' for "; or the error. */
static const char *words_from(const char *json, const char *text, bool at_start)
{
    static struct text out;
    char *quoted = mem_text(json);
    struct pretokenizer *made = NULL;
    struct pieces pieces = {0};
    json_t *parsed = NULL;
    struct err err = {0};

    for (char *at = quoted; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    text_clear(&out);
    assert_int_equal(doc_parse(&parsed, quoted, strlen(quoted), NULL), 0);
    if (pretokenizer_parse(&made, parsed, &err) != 0 ||
        pretokenizer_run(made, text, strlen(text), at_start, &pieces, &err) != 0) {
        text_add(&out, err.text);
    }
    for (size_t i = 0; i < pieces.n; i++) {
        size_t n = 0;
        const char *piece = pieces_get(&pieces, i, &n);

        text_add(&out, i > 0 ? "|" : "");
        text_add_n(&out, piece, n);
    }
    pieces_release(&pieces);
    pretokenizer_free(made);
    json_decref(parsed);
    free(quoted);
    return text_get(&out);
}

static const char *words(const char *json, const char *text)
{
    return words_from(json, text, true);
}

#define SPLIT(behavior) "{'type':'Split','pattern':{'String':'-'},'behavior':'" behavior "'}"

static void splits_by_each_behavior(void **state)
{
    const char *text = "-a--b-";

    (void)state;
    assert_string_equal(words(SPLIT("Isolated"), text), "-|a|-|-|b|-");
    assert_string_equal(words(SPLIT("Removed"), text), "a|b");
    assert_string_equal(words(SPLIT("MergedWithPrevious"), text), "-|a-|-|b-");
    assert_string_equal(words(SPLIT("MergedWithNext"), text), "-a|-|-b|-");
    assert_string_equal(words(SPLIT("Contiguous"), text), "-|a|--|b|-");
}

static void inverts_what_is_a_match(void **state)
{
    (void)state;
    assert_string_equal(words("{'type':'Split','pattern':{'Regex':'[ab]+'},'behavior':'Removed',"
                              "'invert':true}",
                              "ab-cd-ba"),
                        "ab|ba");
}

static void maps_bytes_to_printable_characters_and_back(void **state)
{
    (void)state;
    assert_int_equal(byte_level_code(' '), 0x120);
    assert_int_equal(byte_level_code('\n'), 0x10A);
    assert_int_equal(byte_level_code(0x7F), 0x121);
    assert_int_equal(byte_level_code(0xAD), 0x143);
    for (unsigned byte = 0; byte < 256; byte++) {
        assert_int_equal(byte_level_byte(byte_level_code((unsigned char)byte)), byte);
    }
    assert_int_equal(byte_level_byte(0x144), -1);
    assert_int_equal(byte_level_byte(' '), -1);
}

static void cuts_words_as_gpt2_does(void **state)
{
    const char *json = "{'type':'ByteLevel','add_prefix_space':false}";

    (void)state;
    assert_string_equal(words(json, "I'll see 12\n"), "I|'ll|\xC4\xA0see|\xC4\xA0"
                                                      "12|\xC4\x8A");
    assert_string_equal(words(json, "a   b"), "a|\xC4\xA0\xC4\xA0|\xC4\xA0"
                                              "b");
    assert_string_equal(words(json, "\xC3\xA9"), "\xC3\x83\xC2\xA9");
    assert_string_equal(words("{'type':'ByteLevel','add_prefix_space':true}", "a"), "\xC4\xA0"
                                                                                    "a");
    assert_string_equal(words("{'type':'ByteLevel','add_prefix_space':true}", " a"), "\xC4\xA0"
                                                                                     "a");
    assert_string_equal(
        words("{'type':'ByteLevel','use_regex':false,'add_prefix_space':false}", "a b"), "a\xC4\xA0"
                                                                                         "b");
}

static void marks_spaces_by_each_scheme(void **state)
{
    (void)state;
    assert_string_equal(words("{'type':'Metaspace'}", "a b"), MARK "a|" MARK "b");
    assert_string_equal(words("{'type':'Metaspace'}", " a  b"), MARK "a|" MARK "|" MARK "b");
    assert_string_equal(words("{'type':'Metaspace','split':false}", "a b"), MARK "a" MARK "b");
    assert_string_equal(words("{'type':'Metaspace','prepend_scheme':'never'}", "a b"),
                        "a|" MARK "b");
    assert_string_equal(words("{'type':'Metaspace','add_prefix_space':false}", "a b"),
                        "a|" MARK "b");
    assert_string_equal(words("{'type':'Metaspace','prepend_scheme':'first'}", "a b"),
                        MARK "a|" MARK "b");
    assert_string_equal(words_from("{'type':'Metaspace','prepend_scheme':'first'}", "a b", false),
                        "a|" MARK "b");
    assert_non_null(strstr(words("{'type':'Metaspace','prepend_scheme':'first',"
                                 "'add_prefix_space':false}",
                                 "a"),
                           "contradicts"));
}

static void marks_only_the_very_first_piece(void **state)
{
    const char *json = "{'type':'Sequence','pretokenizers':[" SPLIT(
        "Removed") ","
                   "{'type':'Metaspace','prepend_scheme':'first'}]}";

    (void)state;
    assert_string_equal(words(json, "a-b"), MARK "a|b");
    assert_string_equal(words(json, "-a-b"), "a|b");
}

static void isolates_digits_of_all_scripts(void **state)
{
    (void)state;
    assert_string_equal(words("{'type':'Digits','individual_digits':true}", "ab12c\xD9\xA3"),
                        "ab|1|2|c|\xD9\xA3");
    assert_string_equal(words("{'type':'Digits','individual_digits':false}", "ab12c"), "ab|12|c");
}

static void takes_punctuation_apart(void **state)
{
    (void)state;
    assert_string_equal(words("{'type':'Punctuation'}", "a$,b\xE2\x80\x94"),
                        "a|$|,|b|\xE2\x80\x94");
    assert_string_equal(words("{'type':'Punctuation','behavior':'Contiguous'}", "a$, b!?"),
                        "a|$,| b|!?");
    assert_string_equal(words("{'type':'Punctuation','behavior':'Removed'}", "a.b"), "a|b");
    assert_non_null(strstr(words("{'type':'Punctuation','behavior':'Odd'}", "a"),
                           "Punctuation: behavior Odd is not supported"));
}

static void cuts_as_the_newer_families_do(void **state)
{
    const char *json =
        "{'type':'Sequence','pretokenizers':[{'type':'Split','pattern':{'Regex':"
        "'[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r"
        "\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+'},'behavior':'Isolated','invert':"
        "false},{'type':'ByteLevel','add_prefix_space':false,'use_regex':false}]}";

    (void)state;
    assert_string_equal(words(json, "Hi  you, 12345!\n\nx"),
                        "Hi|\xC4\xA0|\xC4\xA0you|,|\xC4\xA0|123|45|!\xC4\x8A\xC4\x8A|x");
}

static void does_not_let_steps_multiply_without_end(void **state)
{
    struct text json = {0};

    (void)state;
    text_add(&json, "{'type':'Sequence','pretokenizers':[");
    for (int i = 0; i < 64; i++) {
        text_printf(&json, "%s{'type':'ByteLevel','add_prefix_space':false,'use_regex':false}",
                    i > 0 ? "," : "");
    }
    text_add(&json, "]}");
    assert_non_null(strstr(words(text_get(&json), "\xC3\xA9"), "grows past"));
    text_release(&json);
}

static void refuses_other_types_by_name(void **state)
{
    (void)state;
    assert_string_equal(words("{'type':'Whitespace'}", "a"),
                        "pre_tokenizer: type Whitespace is not supported");
    assert_non_null(strstr(words(SPLIT("Deleted"), "a"), "behavior Deleted"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_by_each_behavior),
        cmocka_unit_test(inverts_what_is_a_match),
        cmocka_unit_test(maps_bytes_to_printable_characters_and_back),
        cmocka_unit_test(cuts_words_as_gpt2_does),
        cmocka_unit_test(marks_spaces_by_each_scheme),
        cmocka_unit_test(marks_only_the_very_first_piece),
        cmocka_unit_test(isolates_digits_of_all_scripts),
        cmocka_unit_test(takes_punctuation_apart),
        cmocka_unit_test(cuts_as_the_newer_families_do),
        cmocka_unit_test(does_not_let_steps_multiply_without_end),
        cmocka_unit_test(refuses_other_types_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
