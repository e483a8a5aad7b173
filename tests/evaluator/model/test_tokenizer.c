/*
 * Ids of the example models are compared with tests/golden/zoo/reference.json, made by another
 * implementation. Families that the examples lack are small files written here, with ids worked out
 * by hand.
 */
#include "evaluator/model/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/doc.h"
#include "base/mem.h"
#include "tests/support/support.h"

#define LLAMA TESTS_DIR "/../study/examples/models/base"
#define QWEN TESTS_DIR "/golden/zoo/random-qwen2"
#define IDS_MAX 64

/* The ids of text as "1 2 3", or the error's text. */
static const char *ids_of(struct tokenizer *tokenizer, const char *text, size_t n,
                          enum tokenizer_special special)
{
    static struct text shown;
    struct tokens ids = {0};
    struct err err = {0};

    text_clear(&shown);
    if (tokenizer_encode(tokenizer, text, n, special, &ids, &err) != 0) {
        text_add(&shown, err.text);
    }
    for (size_t i = 0; i < ids.n; i++) {
        text_printf(&shown, "%s%u", i > 0 ? " " : "", ids.ids[i]);
    }
    tokens_release(&ids);
    return text_get(&shown);
}

static const char *plain(struct tokenizer *tokenizer, const char *text)
{
    return ids_of(tokenizer, text, strlen(text), TOKENIZER_PLAIN);
}

static const char *special(struct tokenizer *tokenizer, const char *text)
{
    return ids_of(tokenizer, text, strlen(text), TOKENIZER_WITH_SPECIAL);
}

static const char *decoded(struct tokenizer *tokenizer, const uint32_t *ids, size_t n)
{
    static struct text shown;

    text_clear(&shown);
    assert_int_equal(tokenizer_decode(tokenizer, ids, n, TOKENIZER_PLAIN, &shown, NULL), 0);
    return text_get(&shown);
}

static struct tokenizer *open_folder(const char *folder)
{
    struct tokenizer *tokenizer = NULL;
    struct err err = {0};

    if (tokenizer_open(&tokenizer, folder, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return tokenizer;
}

/* A tokenizer whose tokenizer.json is `json` (with ' for "), or NULL with the error in err. */
static struct tokenizer *open_json(const char *json, const char *config, struct err *err)
{
    char *folder = support_temp_dir();
    char *quoted = mem_text(json);
    char *quoted_config = mem_text(config != NULL ? config : "{}");
    struct tokenizer *tokenizer = NULL;

    for (char *at = quoted; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    for (char *at = quoted_config; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    support_write(folder, "tokenizer.json", quoted);
    if (config != NULL) {
        support_write(folder, "tokenizer_config.json", quoted_config);
    }
    tokenizer_open(&tokenizer, folder, err);
    free(quoted);
    free(quoted_config);
    support_remove_dir(folder);
    return tokenizer;
}

static struct tokenizer *opened_json(const char *json, const char *config)
{
    struct err err = {0};
    struct tokenizer *tokenizer = open_json(json, config, &err);

    if (tokenizer == NULL) {
        fail_msg("%s", err.text);
    }
    return tokenizer;
}

static void refuses(const char *json, const char *why)
{
    struct err err = {0};
    struct tokenizer *tokenizer = open_json(json, NULL, &err);

    assert_null(tokenizer);
    if (strstr(err.text, why) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", err.text, why);
    }
}

/* a..e are 0..4, then "ab" 5, "abc" 6, "de" 7; around it whatever is given. */
#define LETTERS                                                                                  \
    "'model':{'type':'BPE','vocab':{'a':0,'b':1,'c':2,'d':3,'e':4,'ab':5,'abc':6,'de':7,' ':8}," \
    "'merges':['a b','ab c','d e']}"

/* ---- golden ---- */

static json_t *reference(void)
{
    json_t *json = NULL;

    assert_int_equal(
        doc_load(&json, TESTS_DIR "/golden/zoo/reference.json", (size_t)16 << 20, NULL), 0);
    return json;
}

static void check_golden(struct tokenizer *tokenizer, const json_t *cases, const char *key)
{
    size_t i = 0;
    json_t *item = NULL;

    assert_true(json_array_size(cases) > 0);
    json_array_foreach(cases, i, item)
    {
        const json_t *ids = json_object_get(item, key);
        const char *text = json_string_value(json_object_get(item, "text"));
        struct text wanted = {0};

        for (size_t k = 0; k < json_array_size(ids); k++) {
            text_printf(&wanted, "%s%d", k > 0 ? " " : "",
                        (int)json_integer_value(json_array_get(ids, k)));
        }
        assert_string_equal(special(tokenizer, text), text_get(&wanted));
        text_release(&wanted);
    }
}

static void gives_the_reference_ids_for_the_llama_family(void **state)
{
    json_t *json = reference();
    struct tokenizer *tokenizer = open_folder(LLAMA);

    (void)state;
    check_golden(tokenizer, json_object_get(json, "tokenizer_llama"), "ids");
    tokenizer_close(tokenizer);
    json_decref(json);
}

static void gives_the_reference_ids_for_the_qwen_family(void **state)
{
    json_t *json = reference();
    struct tokenizer *tokenizer = open_folder(QWEN);

    (void)state;
    check_golden(tokenizer, json_object_get(json_object_get(json, "logits"), "random-qwen2"),
                 "token_ids");
    tokenizer_close(tokenizer);
    json_decref(json);
}

/* ---- going back ---- */

static void round_trip(struct tokenizer *tokenizer, const char *text)
{
    struct tokens ids = {0};

    assert_int_equal(
        tokenizer_encode(tokenizer, text, strlen(text), TOKENIZER_WITH_SPECIAL, &ids, NULL), 0);
    assert_string_equal(decoded(tokenizer, ids.ids, ids.n), text);
    tokens_release(&ids);
}

static void decodes_what_it_encoded(void **state)
{
    struct tokenizer *llama = open_folder(LLAMA);
    struct tokenizer *qwen = open_folder(QWEN);

    (void)state;
    round_trip(llama, "spell 905: nine hundred five");
    round_trip(llama, "  two  spaces and \xF0\x9F\x98\x80\n");
    round_trip(qwen, "na\xC3\xAFve caf\xC3\xA9 \xE2\x80\x93 12 \xE2\x82\xAC\n\tx");
    round_trip(qwen, " \xF0\x9F\x98\x80 ");
    tokenizer_close(qwen);
    tokenizer_close(llama);
}

static void falls_back_to_bytes_and_marks_half_a_character(void **state)
{
    struct tokenizer *tokenizer = open_folder(LLAMA);
    const uint32_t emoji[] = {243, 162, 155, 131}; /* <0xF0> <0x9F> <0x98> <0x80> are byte + 3 */

    (void)state;
    assert_string_equal(plain(tokenizer, "\xF0\x9F\x98\x80"), "319 243 162 155 131");
    assert_string_equal(decoded(tokenizer, emoji, 4), "\xF0\x9F\x98\x80");
    assert_string_equal(decoded(tokenizer, emoji, 2), "\xEF\xBF\xBD\xEF\xBF\xBD");
    tokenizer_close(tokenizer);
}

static void tells_the_bytes_of_one_token(void **state)
{
    struct tokenizer *llama = open_folder(LLAMA);
    struct tokenizer *qwen = open_folder(QWEN);
    struct text text = {0};

    (void)state;
    assert_int_equal(tokenizer_token_text(llama, 13, &text, NULL), 0);
    assert_int_equal(tokenizer_token_text(llama, 319, &text, NULL), 0);
    assert_int_equal(tokenizer_token_text(llama, 2, &text, NULL), 0);
    assert_int_equal(tokenizer_token_text(qwen, 198, &text, NULL), 0);
    assert_string_equal(text_get(&text), "\n </s>\n");
    assert_int_equal(tokenizer_token_text(qwen, 364, &text, NULL), ERR_LIMIT);
    text_release(&text);
    tokenizer_close(qwen);
    tokenizer_close(llama);
}

/* ---- special tokens ---- */

static void knows_where_sequences_begin_and_end(void **state)
{
    struct tokenizer *llama = open_folder(LLAMA);
    struct tokenizer *qwen = open_folder(QWEN);
    uint32_t id = 0;
    size_t n = 0;

    (void)state;
    assert_true(tokenizer_bos(llama, &id));
    assert_int_equal(id, 1);
    assert_int_equal(tokenizer_eos(llama, &n)[0], 2);
    assert_int_equal(n, 1);
    assert_int_equal(tokenizer_size(llama), 364);
    assert_false(tokenizer_bos(qwen, &id));
    assert_int_equal(tokenizer_prefix(qwen, &id, NULL), 0);
    assert_int_equal(id, 361);
    tokenizer_close(qwen);
    tokenizer_close(llama);
}

static void does_not_begin_twice(void **state)
{
    struct tokenizer *tokenizer = open_folder(LLAMA);

    (void)state;
    assert_string_equal(special(tokenizer, "<s>7"), "1 319 353");
    assert_string_equal(special(tokenizer, "7"), "1 319 353");
    assert_string_equal(plain(tokenizer, "7"), "319 353");
    assert_string_equal(special(tokenizer, ""), "1");
    tokenizer_close(tokenizer);
}

static void adds_a_wanted_beginning_that_no_template_adds(void **state)
{
    struct tokenizer *tokenizer =
        opened_json("{'added_tokens':[{'id':9,'content':'<s>','special':true}]," LETTERS "}",
                    "{'add_bos_token':true,'bos_token':{'content':'<s>'}}");

    (void)state;
    assert_string_equal(special(tokenizer, "ab"), "9 5");
    assert_string_equal(plain(tokenizer, "ab"), "5");
    tokenizer_close(tokenizer);
}

static void names_a_special_token_that_the_vocabulary_lacks(void **state)
{
    struct err err = {0};

    (void)state;
    assert_null(open_json("{" LETTERS "}", "{'bos_token':'<s>'}", &err));
    assert_non_null(strstr(err.text, "tokenizer_config.json: bos_token \"<s>\" is not a token"));
    assert_null(open_json("{" LETTERS "}", "{'eos_token':{'content':'</s>'}}", &err));
    assert_non_null(strstr(err.text, "tokenizer_config.json: eos_token \"</s>\" is not a token"));
}

/* What `braid check` would say of a tokenizer beside an embedding of `rows`. */
static const char *remarks(const char *json, const char *config, size_t rows)
{
    static struct text shown;
    struct tokenizer *tokenizer = opened_json(json, config);

    text_clear(&shown);
    tokenizer_remarks(tokenizer, rows, &shown);
    tokenizer_close(tokenizer);
    return text_get(&shown);
}

static void remarks_on_what_a_model_or_a_vocabulary_lacks(void **state)
{
    const char *json = "{'added_tokens':[{'id':12,'content':'<s>','special':true}]," LETTERS "}";

    (void)state;
    assert_string_equal(remarks(json, "{'eos_token':'<s>'}", 13), "");
    assert_string_equal(remarks(json, "{'eos_token':'<s>'}", 64), "");
    assert_string_equal(remarks(json, "{'eos_token':'<s>'}", 8),
                        "2 tokens have no row in the embedding of 8, first \" \" (id 8): a "
                        "document that needs one is refused\n");
    assert_string_equal(remarks(json, "{'bos_token':null}", 13),
                        "the tokenizer has neither bos nor eos: a document with nothing before "
                        "what is scored is refused\n");
    assert_string_equal(
        remarks(json, "{'bos_token':'<s>','unk_token':'?','pad_token':{'content':'<pad>'}}", 13),
        "unk_token \"?\" of tokenizer_config.json is not a token\n"
        "pad_token \"<pad>\" of tokenizer_config.json is not a token\n");
}

static void knows_ids_that_no_token_has(void **state)
{
    struct tokenizer *tokenizer = opened_json(
        "{'added_tokens':[{'id':12,'content':'<s>','special':true}]," LETTERS "}", NULL);
    struct text text = {0};

    (void)state;
    assert_int_equal(tokenizer_size(tokenizer), 13);
    assert_true(tokenizer_has(tokenizer, 8) && tokenizer_has(tokenizer, 12));
    assert_false(tokenizer_has(tokenizer, 9) || tokenizer_has(tokenizer, 13));
    assert_int_equal(
        tokenizer_decode(tokenizer, (const uint32_t[]){9}, 1, TOKENIZER_PLAIN, &text, NULL),
        ERR_LIMIT);
    tokenizer_close(tokenizer);
}

static void refuses_an_added_token_with_the_id_of_another(void **state)
{
    (void)state;
    refuses("{'added_tokens':[{'id':5,'content':'<s>'}]," LETTERS "}",
            "added_tokens: \"<s>\" is 5, which is \"ab\" in vocab");
    refuses("{'added_tokens':[{'id':6,'content':'ab'}]," LETTERS "}",
            "added_tokens: \"ab\" is 6, but 5 in vocab");
}

static void wraps_templates_in_order(void **state)
{
    struct tokenizer *tokenizer =
        opened_json("{'post_processor':{'type':'Sequence','processors':[{'type':'ByteLevel'},"
                    "{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'x'}},{'Sequence'"
                    ":{'id':'A'}},"
                    "{'SpecialToken':{'id':'y'}}],'special_tokens':{'x':{'ids':[3]},'y':{'ids':[4,"
                    "4]}}}]}," LETTERS "}",
                    NULL);

    (void)state;
    assert_string_equal(special(tokenizer, "c"), "3 2 4 4");
    tokenizer_close(tokenizer);
}

/* ---- added tokens ---- */

#define WITH_ADDED(flags) "{'added_tokens':[{'id':9,'content':'xy'" flags "}]," LETTERS "}"

static const char *added_ids(const char *json, const char *text)
{
    struct tokenizer *tokenizer = opened_json(json, NULL);
    const char *ids = plain(tokenizer, text);

    tokenizer_close(tokenizer);
    return ids;
}

static void finds_added_tokens_by_each_flag(void **state)
{
    (void)state;
    assert_string_equal(added_ids(WITH_ADDED(",'special':true"), "cxyc xy "), "2 9 2 8 9 8");
    assert_string_equal(added_ids(WITH_ADDED(",'single_word':true"), "cxy xy"), "2 8 9");
    assert_string_equal(added_ids(WITH_ADDED(",'lstrip':true"), "c  xy c"), "2 9 8 2");
    assert_string_equal(added_ids(WITH_ADDED(",'rstrip':true"), "c xy  c"), "2 8 9 2");
    assert_string_equal(added_ids(WITH_ADDED(",'lstrip':true,'rstrip':true"), "xy xy c"), "9 9 2");
}

static void takes_the_longest_added_token(void **state)
{
    struct tokenizer *tokenizer =
        opened_json("{'added_tokens':[{'id':9,'content':'xx','special':true},"
                    "{'id':10,'content':'xxay','special':true}]," LETTERS "}",
                    NULL);

    (void)state;
    assert_string_equal(plain(tokenizer, "xxayxxa"), "10 9 0");
    tokenizer_close(tokenizer);
}

static void looks_for_normalized_tokens_in_normal_text(void **state)
{
    const char *json = "{'normalizer':{'type':'Lowercase'},'added_tokens':["
                       "{'id':9,'content':'AB','normalized':true},"
                       "{'id':10,'content':'DE','normalized':false}]," LETTERS "}";

    (void)state;
    assert_string_equal(added_ids(json, "aBde"), "9 7");
    assert_string_equal(added_ids(json, "abDE"), "9 10");
}

/* ---- the model ---- */

static void reads_both_spellings_of_merges(void **state)
{
    struct tokenizer *old = opened_json("{" LETTERS "}", NULL);
    struct tokenizer *new =
        opened_json("{'model':{'vocab':{'a':0,'b':1,'c':2,'d':3,'e':4,'ab':5,'abc':6,'de':7,' ':8},"
                    "'merges':[['a','b'],['ab','c'],['d','e']]}}",
                    NULL);
    struct text report = {0};

    (void)state;
    assert_string_equal(plain(old, "abcdeab"), "6 7 5");
    assert_string_equal(plain(new, "abcdeab"), "6 7 5");
    assert_int_equal(tokenizer_compare(old, new, &report), 0);
    text_release(&report);
    tokenizer_close(old);
    tokenizer_close(new);
}

static void reads_members_in_any_order_and_with_escapes(void **state)
{
    struct tokenizer *tokenizer = opened_json(
        "\n{ 'model' : {'merges':[[ '\\u0061' , 'b\\u00e9' ],\n['\\ud83d\\ude00','\\\\']],\n"
        "'type':'BPE', 'vocab' : { 'a':0 , 'b\xC3\xA9':1,'ab\xC3\xA9':2,'\xF0\x9F\x98\x80':3,"
        "'\\\\':4,\n'\xF0\x9F\x98\x80\\\\':5,'\\n\\/\\t':6,'\xC3\xA9':7,'b':8}},\n"
        "'added_tokens':[{'id':9,'content':'{\\u0022model'}]}\n",
        NULL);
    struct text text = {0};

    (void)state;
    assert_string_equal(plain(tokenizer, "\xF0\x9F\x98\x80\\"
                                         "a{\"modelb"),
                        "5 0 9 8");
    assert_int_equal(tokenizer_token_text(tokenizer, 6, &text, NULL), 0);
    assert_string_equal(text_get(&text), "\n/\t");
    assert_int_equal(tokenizer_size(tokenizer), 10);
    text_release(&text);
    tokenizer_close(tokenizer);
}

static void names_the_line_of_what_is_misspelled(void **state)
{
#define MODEL(vocab, merges) "{'model':{\n'vocab':" vocab ",\n\n'merges':" merges "}}"
    (void)state;
    refuses(MODEL("{'a':0,\n'b'}", "[]"), "vocab: line 3: expected a colon");
    refuses(MODEL("{'a':0,\n}", "[]"), "vocab: line 3: expected a text");
    refuses(MODEL("{'a':0 'b':1}", "[]"), "vocab: line 2: expected a comma");
    refuses(MODEL("{'a\\q':0}", "[]"), "vocab: line 2: expected a text with known escapes");
    refuses(MODEL("{'a\\u0000':0}", "[]"), "vocab: line 2: expected a text with known escapes");
    refuses(MODEL("{'a\\udc00':0}", "[]"), "vocab: line 2: expected a text with known escapes");
    refuses(MODEL("{'a\xFF':0}", "[]"), "vocab: line 2: expected a text in UTF-8");
    refuses(MODEL("{'a\n':0}", "[]"), "vocab: line 2: expected a text that ends on its line");
    refuses(MODEL("[]", "[]"), "vocab: line 2: expected an object");
    refuses(MODEL("{'a':01}", "[]"), "token \"a\" has no usable id");
    refuses(MODEL("{'a':1.0}", "[]"), "token \"a\" has no usable id");
    refuses(MODEL("{'a':-1}", "[]"), "token \"a\" has no usable id");
    refuses(MODEL("{'a':4194304}", "[]"), "token \"a\" has no usable id");
    refuses(MODEL("{'a':99999999999999999999}", "[]"), "token \"a\" has no usable id");
    refuses(MODEL("{'a':0}", "{}"), "merges: line 4: expected a list");
    refuses(MODEL("{'a':0}", "['a']"), "merge 0: line 4: expected a pair of tokens");
    refuses(MODEL("{'a':0}", "['a a a']"), "merge 0: line 4: expected a pair of tokens");
    refuses(MODEL("{'a':0,'aa':1}", "[['a','a','a']]"), "merge 0: line 4: expected a pair");
    refuses(MODEL("{'a':0,'aa':1}", "['a a',]"), "merge 1: line 4: expected a text");
    refuses(MODEL("{'a':0},'vocab':{'a':0}", "[]"), "duplicate object key");
    refuses(MODEL("{'a':0", "[]") "\n\n", "tokenizer.json: line");
    refuses("{'model':{'vocab':{'a':0}},\n\n'normalizer':nil,'merges':[]}", "line 3");
}

static void treats_unknown_characters_as_the_options_say(void **state)
{
#define UNKNOWN(options) "{'model':{'vocab':{'a':0,'?':1},'merges':[]" options "}}"
    (void)state;
    assert_string_equal(added_ids(UNKNOWN(",'unk_token':'?'"), "axya"), "0 1 1 0");
    assert_string_equal(added_ids(UNKNOWN(",'unk_token':'?','fuse_unk':true"), "axya"), "0 1 0");
    assert_string_equal(added_ids(UNKNOWN(""), "axya"), "0 0");
}

static void takes_whole_words_first_when_merges_are_ignored(void **state)
{
#define WHOLE(options) \
    "{'model':{'vocab':{'a':0,'b':1,'c':2,'bc':3,'abc':4,'ab':5},'merges':['b c']" options "}}"
    (void)state;
    assert_string_equal(added_ids(WHOLE(""), "abc"), "0 3");
    assert_string_equal(added_ids(WHOLE(",'ignore_merges':true"), "abc"), "4");
}

static void marks_inner_and_last_characters(void **state)
{
    struct tokenizer *tokenizer =
        opened_json("{'model':{'vocab':{'a':0,'##b':1,'##b</w>':2,'a</w>':3,'ab</w>':4},"
                    "'continuing_subword_prefix':'##','end_of_word_suffix':'</w>',"
                    "'merges':[['a','##b</w>']]}}",
                    NULL);

    (void)state;
    assert_string_equal(plain(tokenizer, "a"), "3");
    assert_string_equal(plain(tokenizer, "ab"), "4");
    assert_string_equal(plain(tokenizer, "abb"), "0 1 2");
    tokenizer_close(tokenizer);
}

static void merges_a_very_long_word_quickly(void **state)
{
    struct tokenizer *tokenizer = open_folder(LLAMA);
    struct tokens ids = {0};
    const size_t n = 1000000;
    char *word = mem_array(n, 1);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        word[i] = "reverse"[i % 7];
    }
    assert_int_equal(tokenizer_encode(tokenizer, word, n, TOKENIZER_PLAIN, &ids, NULL), 0);
    assert_string_equal(decoded(tokenizer, ids.ids, 4), "reverserever");
    assert_true(ids.n > n / 8 && ids.n < n);
    tokens_release(&ids);
    free(word);
    tokenizer_close(tokenizer);
}

/* ---- refusals ---- */

static void refuses_what_it_does_not_know_by_name(void **state)
{
    (void)state;
    refuses("{'model':{'type':'Unigram','vocab':[]}}", "Unigram");
    refuses("{'model':{'vocab':{}}}", "without merges");
    refuses("{'model':{'vocab':{},'merges':[],'dropout':0.1}}", "dropout");
    refuses("{'model':{'vocab':{'a':0},'merges':['a b']}}", "merge 0");
    refuses("{'model':{'vocab':{'a':0,'b':0},'merges':[]}}", "token id 0 occurs twice");
    refuses("{'normalizer':{'type':'BertNormalizer'}," LETTERS "}", "BertNormalizer");
    refuses("{'pre_tokenizer':{'type':'Whitespace'}," LETTERS "}", "Whitespace");
    refuses("{'decoder':{'type':'WordPiece'}," LETTERS "}", "WordPiece");
    refuses("{'post_processor':{'type':'BertProcessing'}," LETTERS "}", "BertProcessing");
    refuses("{'added_tokens':[{'id':9,'content':'ab'},{'id':9,'content':'x'}]," LETTERS "}",
            "id 9 is given to \"ab\" and to \"x\"");
    refuses("{'version':'\\uD800'," LETTERS "}", "tokenizer.json");
}

static void refuses_text_that_is_not_utf8(void **state)
{
    struct tokenizer *tokenizer = open_folder(LLAMA);

    (void)state;
    assert_string_equal(plain(tokenizer, "ab\xFF"), "text is not UTF-8 at byte 2");
    tokenizer_close(tokenizer);
}

static void says_which_file_is_missing(void **state)
{
    struct tokenizer *tokenizer = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(tokenizer_open(&tokenizer, TESTS_DIR "/golden", &err), ERR_MISSING);
    assert_non_null(strstr(err.text, "tokenizer.json"));
}

/* ---- comparing ---- */

static void names_the_first_ids_that_differ(void **state)
{
    struct tokenizer *llama = open_folder(LLAMA);
    struct tokenizer *qwen = open_folder(QWEN);
    struct tokenizer *same = open_folder(TESTS_DIR "/../study/examples/models/adder");
    struct text report = {0};

    (void)state;
    assert_int_equal(tokenizer_compare(llama, same, &report), 0);
    assert_string_equal(text_get(&report), "");
    assert_int_equal(tokenizer_compare(llama, qwen, &report), 4);
    assert_non_null(strstr(text_get(&report), "first 0: \"<unk>\" and \"!\""));
    text_release(&report);
    tokenizer_close(same);
    tokenizer_close(qwen);
    tokenizer_close(llama);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_reference_ids_for_the_llama_family),
        cmocka_unit_test(gives_the_reference_ids_for_the_qwen_family),
        cmocka_unit_test(decodes_what_it_encoded),
        cmocka_unit_test(falls_back_to_bytes_and_marks_half_a_character),
        cmocka_unit_test(tells_the_bytes_of_one_token),
        cmocka_unit_test(knows_where_sequences_begin_and_end),
        cmocka_unit_test(does_not_begin_twice),
        cmocka_unit_test(adds_a_wanted_beginning_that_no_template_adds),
        cmocka_unit_test(names_a_special_token_that_the_vocabulary_lacks),
        cmocka_unit_test(remarks_on_what_a_model_or_a_vocabulary_lacks),
        cmocka_unit_test(knows_ids_that_no_token_has),
        cmocka_unit_test(refuses_an_added_token_with_the_id_of_another),
        cmocka_unit_test(wraps_templates_in_order),
        cmocka_unit_test(finds_added_tokens_by_each_flag),
        cmocka_unit_test(takes_the_longest_added_token),
        cmocka_unit_test(looks_for_normalized_tokens_in_normal_text),
        cmocka_unit_test(reads_both_spellings_of_merges),
        cmocka_unit_test(reads_members_in_any_order_and_with_escapes),
        cmocka_unit_test(names_the_line_of_what_is_misspelled),
        cmocka_unit_test(treats_unknown_characters_as_the_options_say),
        cmocka_unit_test(takes_whole_words_first_when_merges_are_ignored),
        cmocka_unit_test(marks_inner_and_last_characters),
        cmocka_unit_test(merges_a_very_long_word_quickly),
        cmocka_unit_test(refuses_what_it_does_not_know_by_name),
        cmocka_unit_test(refuses_text_that_is_not_utf8),
        cmocka_unit_test(says_which_file_is_missing),
        cmocka_unit_test(names_the_first_ids_that_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
