/* Where contexts end and continuations begin, in tokens. */
#include "evaluator/task/requests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/support/support.h"

#define LLAMA TESTS_DIR "/../study/examples/models/base"

/* a..e are 0..4, then "ab" 5, "abc" 6, "de" 7, " " 8; <s> 9 in front of every text. */
static const char *const letters =
    "{\"added_tokens\":[{\"id\":9,\"content\":\"<s>\",\"special\":true}],"
    "\"model\":{\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"e\":4,\"ab\":5,\"abc\":6,\"de\":7,"
    "\" \":8},\"merges\":[\"a b\",\"ab c\",\"d e\"]}}";

static struct tokenizer *open_letters(const char *config)
{
    char *folder = support_temp_dir();
    struct tokenizer *tokenizer = NULL;

    support_write(folder, "tokenizer.json", letters);
    support_write(folder, "tokenizer_config.json", config);
    assert_int_equal(tokenizer_open(&tokenizer, folder, NULL), 0);
    support_remove_dir(folder);
    return tokenizer;
}

static struct tokenizer *with_bos(void)
{
    return open_letters("{\"add_bos_token\":true,\"bos_token\":\"<s>\"}");
}

/* A task of one document with one context and its continuations. */
struct fixture {
    struct task task;
    struct document document;
    struct requests requests;
};

static void fixture_init(struct fixture *fixture, enum task_output output, const char *context,
                         const char *continuation)
{
    *fixture = (struct fixture){.task = {.name = (char *)"t", .output = output}};
    fixture->task.n_metrics = 1;
    fixture->task.metrics = mem_array(1, sizeof *fixture->task.metrics);
    fixture->task.metrics[0] = metric_first(output);
    fixture->task.max_new_tokens = 4;
    fixture->task.n_documents = 1;
    fixture->task.documents = &fixture->document;
    fixture->document.id = mem_text("d");
    strings_add(&fixture->document.contexts, mem_text(context));
    if (continuation != NULL) {
        strings_add(&fixture->document.continuations, mem_text(continuation));
        strings_add(&fixture->document.choices, mem_text(continuation));
    }
}

static void fixture_release(struct fixture *fixture)
{
    requests_release(&fixture->requests);
    document_release(&fixture->document);
    free(fixture->task.metrics);
}

static int build(struct fixture *fixture, struct tokenizer *tokenizer, size_t positions,
                 struct err *err)
{
    return requests_build(&fixture->requests, &fixture->task, (const size_t[]){0}, 1, tokenizer,
                          positions, err);
}

/* Request i as "context | scored", or the error. */
static const char *shown(const struct requests *requests, size_t i)
{
    static struct text text;
    const struct request *request = &requests->all[i];

    text_clear(&text);
    for (size_t k = 0; k < request->n; k++) {
        text_printf(&text, "%s%s%u", k > 0 ? " " : "",
                    k == request->n - request->n_scored ? "| " : "",
                    requests->tokens.ids[request->at + k]);
    }
    return text_get(&text);
}

/* The only request of a context and a continuation, or the error. */
static const char *cut(struct tokenizer *tokenizer, enum task_output output, const char *context,
                       const char *continuation, size_t positions)
{
    static struct err err;
    struct fixture fixture;
    const char *result = err.text;

    fixture_init(&fixture, output, context, continuation);
    if (build(&fixture, tokenizer, positions, &err) == 0) {
        assert_int_equal(fixture.requests.n, 1);
        result = shown(&fixture.requests, 0);
    }
    fixture_release(&fixture);
    return result;
}

static const char *measured(struct tokenizer *tokenizer, const char *context,
                            const char *continuation, size_t positions)
{
    return cut(tokenizer, TASK_LOGLIKELIHOOD, context, continuation, positions);
}

static void moves_whitespace_to_the_continuation(void **state)
{
    struct tokenizer *tokenizer = with_bos();

    (void)state;
    assert_string_equal(measured(tokenizer, "de ", "c", 0), "9 7 | 8 2");
    assert_string_equal(measured(tokenizer, "de", " c", 0), "9 7 | 8 2");
    tokenizer_close(tokenizer);
}

static void counts_a_token_across_the_joint_as_context(void **state)
{
    struct tokenizer *tokenizer = with_bos();

    (void)state;
    /* alone "da" is d a; together "dabcd" is d abc d: the third token is the first scored one. */
    assert_string_equal(measured(tokenizer, "da", "bcd", 0), "9 3 0 | 3");
    assert_non_null(strstr(measured(tokenizer, "da", "b", 0), "no tokens of its own"));
    tokenizer_close(tokenizer);
}

static void puts_a_prefix_token_before_a_continuation_without_context(void **state)
{
    struct tokenizer *bos = with_bos();
    struct tokenizer *eos = open_letters("{\"eos_token\":\"<s>\"}");
    struct tokenizer *neither = open_letters("{}");

    (void)state;
    assert_string_equal(measured(bos, "", "abd", 0), "9 | 5 3");
    assert_string_equal(measured(bos, "", "<s>abd", 0), "9 | 5 3");
    assert_string_equal(measured(bos, " ", "d", 0), "9 | 8 3");
    assert_string_equal(measured(eos, "", "abd", 0), "9 | 5 3");
    assert_string_equal(measured(eos, "c", "abd", 0), "2 | 5 3");
    assert_non_null(strstr(measured(neither, "", "abd", 0), "neither bos nor eos"));
    tokenizer_close(neither);
    tokenizer_close(eos);
    tokenizer_close(bos);
}

static void names_a_token_that_the_model_has_no_row_for(void **state)
{
    struct tokenizer *tokenizer = with_bos();

    (void)state;
    tokenizer_fit(tokenizer, 7);
    assert_non_null(strstr(measured(tokenizer, "c", "abde", 0),
                           "document d: token \"<s>\" (id 9) has no row in the model's embedding "
                           "of 7"));
    assert_non_null(strstr(measured(tokenizer, "", "ab", 0), "token \"<s>\" (id 9)"));
    tokenizer_close(tokenizer);
    tokenizer = open_letters("{}");
    tokenizer_fit(tokenizer, 7);
    assert_non_null(strstr(measured(tokenizer, "c", "abde", 0), "token \"de\" (id 7)"));
    assert_string_equal(measured(tokenizer, "c", "abe", 0), "2 | 5 4");
    tokenizer_fit(tokenizer, 100); /* more rows than ids */
    assert_string_equal(measured(tokenizer, "c", "abde", 0), "2 | 5 7");
    tokenizer_close(tokenizer);
}

/* A second document is as the first and another is sound. */
static void counts_the_documents_that_cannot_be_asked(void **state)
{
    struct tokenizer *tokenizer = open_letters("{}");
    struct fixture bad;
    struct fixture sound;
    struct document documents[3];
    struct err err = {0};

    (void)state;
    fixture_init(&bad, TASK_LOGLIKELIHOOD, "c", "de");
    fixture_init(&sound, TASK_LOGLIKELIHOOD, "c", "ab");
    documents[0] = sound.document;
    documents[1] = bad.document;
    documents[2] = bad.document;
    bad.task.documents = documents;
    bad.task.n_documents = 3;
    tokenizer_fit(tokenizer, 7);
    assert_int_equal(
        requests_build(&bad.requests, &bad.task, (const size_t[]){0, 1, 2}, 3, tokenizer, 0, &err),
        ERR_LIMIT);
    assert_string_equal(err.text, "2 of 3 documents cannot be asked, first: task t: document d: "
                                  "token \"de\" (id 7) has no row in the model's embedding of 7");
    fixture_release(&sound);
    fixture_release(&bad);
    tokenizer_close(tokenizer);
}

static void keeps_the_end_of_what_is_too_long(void **state)
{
    struct tokenizer *tokenizer = with_bos();
    struct fixture fixture;

    (void)state;
    assert_string_equal(measured(tokenizer, "eeee", "ccc", 8), "9 4 4 4 4 | 2 2 2");
    assert_string_equal(measured(tokenizer, "eeee", "ccc", 6), "4 4 4 4 | 2 2 2");
    assert_string_equal(measured(tokenizer, "eeee", "ccc", 3), "4 | 2 2 2");
    assert_non_null(strstr(measured(tokenizer, "eeee", "ccc", 2),
                           "document d: continuation of 3 tokens, the model takes 2"));
    fixture_init(&fixture, TASK_LOGLIKELIHOOD, "eeee", "ccc");
    assert_int_equal(build(&fixture, tokenizer, 6, NULL), 0);
    assert_int_equal(fixture.requests.truncated, 1);
    fixture_release(&fixture);
    tokenizer_close(tokenizer);
}

static void leaves_room_to_generate(void **state)
{
    struct tokenizer *tokenizer = with_bos();
    struct fixture fixture;

    (void)state;
    assert_string_equal(cut(tokenizer, TASK_GENERATE_UNTIL, "eeee", "c", 9), "9 4 4 4 4 | 2");
    assert_string_equal(cut(tokenizer, TASK_GENERATE_UNTIL, "eeee", "c", 6), "4 4 | 2");
    assert_non_null(strstr(cut(tokenizer, TASK_GENERATE_UNTIL, "e", "c", 4), "max_new_tokens 4"));
    fixture_init(&fixture, TASK_GENERATE_UNTIL, "e", "ccc");
    strings_add(&fixture.document.continuations, mem_text("cccc"));
    strings_add(&fixture.document.continuations, mem_text("ccccc"));
    assert_int_equal(build(&fixture, tokenizer, 0, NULL), 0);
    assert_int_equal(fixture.requests.n, 3);
    assert_true(fixture.requests.all[0].wants_next && !fixture.requests.all[0].out_of_reach);
    assert_true(!fixture.requests.all[1].wants_next && !fixture.requests.all[1].out_of_reach);
    assert_true(fixture.requests.all[2].out_of_reach);
    fixture_release(&fixture);
    tokenizer_close(tokenizer);
}

static void asks_choices_without_context_for_mutual_information(void **state)
{
    struct tokenizer *tokenizer = with_bos();
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture, TASK_MULTIPLE_CHOICE, "e", "c");
    fixture.task.metrics[0] = METRIC_ACC_MUTUAL_INFO;
    strings_add(&fixture.document.continuations, mem_text("d"));
    assert_int_equal(build(&fixture, tokenizer, 0, NULL), 0);
    assert_int_equal(fixture.requests.n, 4);
    assert_int_equal(fixture.requests.first[1], 4);
    assert_string_equal(shown(&fixture.requests, 1), "9 4 | 3");
    assert_string_equal(shown(&fixture.requests, 3), "9 | 3");
    fixture_release(&fixture);
    tokenizer_close(tokenizer);
}

/* The windows of a text of one-token letters with M = 4, as "context | scored; ...". */
static const char *windows(const char *text)
{
    static struct text all;
    struct tokenizer *tokenizer = open_letters("{\"eos_token\":\"<s>\"}");
    struct fixture fixture;

    text_clear(&all);
    fixture_init(&fixture, TASK_LOGLIKELIHOOD_ROLLING, text, NULL);
    assert_int_equal(build(&fixture, tokenizer, 4, NULL), 0);
    for (size_t i = 0; i < fixture.requests.n; i++) {
        text_printf(&all, "%s%s", i > 0 ? "; " : "", shown(&fixture.requests, i));
    }
    fixture_release(&fixture);
    tokenizer_close(tokenizer);
    return text_get(&all);
}

static void predicts_each_token_of_a_rolling_text_once(void **state)
{
    (void)state;
    assert_string_equal(windows(""), "");
    assert_string_equal(windows("b"), "9 | 1");
    assert_string_equal(windows("bcdc"), "9 | 1 2 3 2");
    assert_string_equal(windows("bcdce"), "9 | 1 2 3 2; 1 2 3 2 | 4");
    assert_string_equal(windows("bcdcebcdb"), "9 | 1 2 3 2; 2 | 4 1 2 3; 4 1 2 3 | 1");
}

static void begins_a_rolling_text_with_the_tokenizers_own_beginning(void **state)
{
    struct tokenizer *tokenizer = with_bos();
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture, TASK_LOGLIKELIHOOD_ROLLING, "bc", NULL);
    assert_int_equal(build(&fixture, tokenizer, 0, NULL), 0);
    assert_string_equal(shown(&fixture.requests, 0), "9 | 9 1 2");
    fixture_release(&fixture);
    tokenizer_close(tokenizer);
}

static void cuts_the_examples_as_their_reference_did(void **state)
{
    struct tokenizer *tokenizer = NULL;

    (void)state;
    assert_int_equal(tokenizer_open(&tokenizer, LLAMA, NULL), 0);
    assert_string_equal(measured(tokenizer, "37+45=", "82", 256), "1 319 349 353 356 350 351 358 | "
                                                                  "354 348");
    tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_whitespace_to_the_continuation),
        cmocka_unit_test(counts_a_token_across_the_joint_as_context),
        cmocka_unit_test(puts_a_prefix_token_before_a_continuation_without_context),
        cmocka_unit_test(names_a_token_that_the_model_has_no_row_for),
        cmocka_unit_test(counts_the_documents_that_cannot_be_asked),
        cmocka_unit_test(keeps_the_end_of_what_is_too_long),
        cmocka_unit_test(leaves_room_to_generate),
        cmocka_unit_test(asks_choices_without_context_for_mutual_information),
        cmocka_unit_test(predicts_each_token_of_a_rolling_text_once),
        cmocka_unit_test(begins_a_rolling_text_with_the_tokenizers_own_beginning),
        cmocka_unit_test(cuts_the_examples_as_their_reference_did),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
