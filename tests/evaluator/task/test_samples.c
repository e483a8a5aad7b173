#include "evaluator/task/samples.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/task/task.h"
#include "tests/support/support.h"

/* A log in its newer spelling (with ' for "), read; or the error in err. */
static int read_log(struct samples *out, enum task_output output, const char *lines,
                    struct err *err)
{
    char *folder = support_temp_dir();
    char *path = file_join(folder, "samples_t.jsonl");
    char *quoted = mem_text(lines);

    for (char *at = quoted; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    support_write(folder, "samples_t.jsonl", quoted);
    const int rc = samples_load(out, path, output, " ", err);

    free(quoted);
    free(path);
    support_remove_dir(folder);
    return rc;
}

static struct samples good_log(enum task_output output, const char *lines)
{
    struct samples samples = {0};
    struct err err = {0};

    if (read_log(&samples, output, lines, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return samples;
}

static void refuses(enum task_output output, const char *lines, const char *why)
{
    struct samples samples = {0};
    struct err err = {0};

    assert_int_not_equal(read_log(&samples, output, lines, &err), 0);
    if (strstr(err.text, why) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", err.text, why);
    }
}

#define CHOICE                                                      \
    "{'doc_id': 7, 'target': '1', 'filter': 'none', 'arguments': {" \
    "'gen_args_0': {'arg_0': 'Q: x', 'arg_1': ' no'}, "             \
    "'gen_args_1': {'arg_0': 'Q: x', 'arg_1': ' yes'}}, "           \
    "'resps': [[['-2.5', 'False']], [['-0.25', 'True']]]}\n"

static void takes_prompts_choices_and_numbers_of_a_choice(void **state)
{
    struct samples samples = good_log(TASK_MULTIPLE_CHOICE, CHOICE);
    const struct document *document = &samples.all[0].document;

    (void)state;
    assert_int_equal(samples.n, 1);
    assert_string_equal(document->id, "7");
    assert_int_equal(document->contexts.n, 1);
    assert_string_equal(document->contexts.all[0], "Q: x");
    assert_string_equal(document->continuations.all[1], " yes");
    assert_string_equal(document->choices.all[1], "yes");
    assert_int_equal(document->golds[0], 1);
    assert_true(samples.all[0].loglikelihoods[0] == -2.5);
    assert_int_equal(samples.all[0].greedy[1], 1);
    samples_release(&samples);
}

static void reads_the_older_spelling_and_a_target_that_is_a_choice(void **state)
{
    struct samples samples = good_log(
        TASK_MULTIPLE_CHOICE, "{'doc_id': 0, 'target': 'yes', 'arguments': [['Q', ' no'], "
                              "['Q', ' yes']], 'resps': [[[-2.5, false]], [[-0.25, true]]]}\n");

    (void)state;
    assert_int_equal(samples.all[0].document.golds[0], 1);
    assert_true(samples.all[0].loglikelihoods[1] == -0.25);
    assert_int_equal(samples.all[0].greedy[0], 0);
    samples_release(&samples);
}

static void choices_in_the_context_share_a_continuation(void **state)
{
    struct samples samples =
        good_log(TASK_MULTIPLE_CHOICE, "{'doc_id': 0, 'target': 0, 'arguments': [['He a', ' ran.'],"
                                       " ['He b', ' ran.']], 'resps': []}\n");
    const struct document *document = &samples.all[0].document;

    (void)state;
    assert_int_equal(document->contexts.n, 2);
    assert_int_equal(document->continuations.n, 1);
    assert_int_equal(document_pairs(document), 2);
    assert_true(isnan(samples.all[0].loglikelihoods[0]));
    samples_release(&samples);
}

static void passes_over_what_mutual_information_asks_and_other_filters(void **state)
{
    struct samples samples = good_log(
        TASK_MULTIPLE_CHOICE, CHOICE
        "{'doc_id': 7, 'filter': 'other', 'arguments': []}\n"
        "{'doc_id': 8, 'target': 0, 'filter': 'none', 'arguments': [['Q', ' a'], ['Q', ' b'],"
        " ['', ' a'], ['', ' b']], 'resps': []}\n");

    (void)state;
    assert_int_equal(samples.n, 2);
    assert_int_equal(document_pairs(&samples.all[1].document), 2);
    samples_release(&samples);
}

static void two_choices_may_be_alike(void **state)
{
    struct samples samples =
        good_log(TASK_MULTIPLE_CHOICE, "{'doc_id': 0, 'target': 2, 'arguments': [['Q', ' a'], "
                                       "['Q', ' a'], ['Q', ' b']], 'resps': []}\n");

    (void)state;
    assert_int_equal(document_pairs(&samples.all[0].document), 3);
    samples_release(&samples);
}

static void takes_stops_and_length_of_a_generation(void **state)
{
    struct samples samples = good_log(
        TASK_GENERATE_UNTIL,
        "{'doc_id': 0, 'target': ' 4', 'filter': 'none', 'arguments': {'gen_args_0': {'arg_0': "
        "'2+2=', 'arg_1': {'until': ['\\n', ''], 'max_gen_toks': 9}}}, 'resps': [[' 4']]}\n");

    (void)state;
    assert_int_equal(samples.stops.n, 1);
    assert_string_equal(samples.stops.all[0], "\n");
    assert_int_equal(samples.max_new_tokens, 9);
    assert_string_equal(samples.all[0].document.continuations.all[0], " 4");
    assert_int_equal(samples.all[0].n, 0);
    samples_release(&samples);
}

#define GENERATED(id, filter, value)                                                         \
    "{'doc_id': " id ", 'target': '4', 'filter': '" filter "', 'arguments': [['2+2=', {}]]," \
    " 'resps': [[' #### 4']], 'exact_match': " value "}\n"

static void takes_what_each_filter_made_of_a_text(void **state)
{
    struct samples samples = good_log(
        TASK_GENERATE_UNTIL, GENERATED("0", "strict", "1.0") GENERATED("0", "loose", "0.0")
                                 GENERATED("5", "strict", "0.0") GENERATED("5", "loose", "1.0"));
    const struct sample *second = &samples.all[1];

    (void)state;
    assert_string_equal(samples.filter, "strict");
    assert_int_equal(samples.n, 2);
    assert_string_equal(second->text, " #### 4");
    assert_int_equal(second->n_verdicts, 2);
    assert_string_equal(second->verdicts[1].filter, "loose");
    assert_true(second->verdicts[0].exact_match == 0.0 && second->verdicts[1].exact_match == 1.0);
    samples_release(&samples);
}

static void a_log_with_filters_needs_to_be_told_them(void **state)
{
    char *folder = support_temp_dir();
    char *path = file_join(folder, "t.yaml");
    struct task task = {0};
    struct err err = {0};

    (void)state;
    support_write(folder, "s.jsonl",
                  "{\"doc_id\": 3, \"target\": \"4\", \"filter\": \"strict\", \"arguments\": "
                  "[[\"2+2=\", {\"until\": [\"4\"]}]]}\n");
    support_write(folder, "t.yaml", "task: t\noutput_type: generate_until\nsamples: s.jsonl\n");
    assert_int_equal(task_load(&task, path, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "strict changes the generated text"));
    support_write(folder, "t.yaml",
                  "task: t\noutput_type: generate_until\nsamples: s.jsonl\n"
                  "filters: [{name: strict, steps: [{regex: \"[0-9]\"}]}]\n");
    assert_int_equal(task_load(&task, path, &err), 0);
    assert_string_equal(task_column_name(&task, 0), "exact_match,strict");
    task_release(&task);
    free(path);
    support_remove_dir(folder);
}

/* The golds of one document with the choices "a", "[0, 2]" and "c" under a target. */
static struct sample sample_with(const char *target, struct samples *samples)
{
    struct text line = {0};

    text_printf(&line,
                "{'doc_id': 0, 'target': %s, 'arguments': [['Q', ' a'], ['Q', ' [0, 2]'], "
                "['Q', ' c']], 'resps': []}\n",
                target);
    *samples = good_log(TASK_MULTIPLE_CHOICE, text_get(&line));
    text_release(&line);
    return samples->all[0];
}

static void a_target_may_be_a_list(void **state)
{
    struct samples samples = {0};
    struct sample sample = sample_with("'[2, 0]'", &samples);

    (void)state;
    assert_int_equal(sample.document.n_golds, 2);
    assert_int_equal(sample.document.golds[0], 2);
    assert_int_equal(sample.document.golds[1], 0);
    assert_false(sample.stray);
    samples_release(&samples);
    sample = sample_with("[2, 'a']", &samples);
    assert_int_equal(sample.document.n_golds, 2);
    samples_release(&samples);
    sample = sample_with("'[0, 2]'", &samples);
    assert_int_equal(sample.document.n_golds, 1);
    assert_int_equal(sample.document.golds[0], 1);
    samples_release(&samples);
}

static void says_when_a_target_is_no_choice(void **state)
{
    struct samples samples = {0};
    struct sample sample = sample_with("'[0, -100]'", &samples);

    (void)state;
    assert_int_equal(sample.document.n_golds, 1);
    assert_true(sample.stray);
    assert_int_equal(sample.line, 1);
    samples_release(&samples);
    sample = sample_with("'-100'", &samples);
    assert_int_equal(sample.document.n_golds, 0);
    assert_true(sample.stray);
    samples_release(&samples);
}

#define INSIDE(acc, first)                                                              \
    "{'doc_id': 0, 'target': 'ran.', 'acc': " acc ", 'arguments': [['He a', ' ran.'], " \
    "['He b', ' ran.']], 'resps': [[['" first "', 'False']], [['-2.0', 'False']]]}\n"

/* Of choices inside the context the target is what follows them. */
static void tells_the_right_context_from_the_verdict(void **state)
{
    struct samples right = good_log(TASK_MULTIPLE_CHOICE, INSIDE("1.0", "-3.0"));
    struct samples wrong = good_log(TASK_MULTIPLE_CHOICE, INSIDE("0.0", "-3.0"));
    struct samples unsaid = good_log(TASK_MULTIPLE_CHOICE, INSIDE("0.0", "nan"));

    (void)state;
    assert_int_equal(right.all[0].document.golds[0], 1);
    assert_int_equal(wrong.all[0].document.golds[0], 0);
    assert_false(right.all[0].stray || wrong.all[0].stray);
    assert_true(unsaid.all[0].stray);
    samples_release(&right);
    samples_release(&wrong);
    samples_release(&unsaid);
}

static void a_generation_may_have_several_answers(void **state)
{
    struct samples samples =
        good_log(TASK_GENERATE_UNTIL,
                 "{'doc_id': 0, 'target': '[\\'x\\', \\'y z\\']', 'arguments': [['Q', {}]]}\n"
                 "{'doc_id': 1, 'target': 7, 'arguments': [['Q', {}]]}\n"
                 "{'doc_id': 2, 'target': '', 'arguments': [['Q', {}]]}\n");
    const struct strings *answers = &samples.all[0].document.choices;

    (void)state;
    assert_int_equal(answers->n, 3); /* the list's text too: it might be meant so */
    assert_string_equal(answers->all[1], "y z");
    assert_string_equal(samples.all[1].document.choices.all[0], "7");
    assert_string_equal(samples.all[2].document.choices.all[0], "");
    samples_release(&samples);
}

static void takes_counts_of_a_rolling_text_that_are_not_the_texts(void **state)
{
    struct samples samples =
        good_log(TASK_LOGLIKELIHOOD_ROLLING,
                 "{'doc_id': 0, 'arguments': [['some text']], 'resps': [['-12.5']], "
                 "'word_perplexity': [-12.5, 5], 'bits_per_byte': [-12.5, 31]}\n");

    (void)state;
    assert_int_equal(samples.all[0].document.words, 5);
    assert_int_equal(samples.all[0].document.bytes, 31);
    samples_release(&samples);
}

static void takes_a_rolling_text(void **state)
{
    struct samples samples =
        good_log(TASK_LOGLIKELIHOOD_ROLLING, "{'doc_id': 0, 'target': 'x', 'arguments': {"
                                             "'gen_args_0': {'arg_0': ' some text'}}, "
                                             "'resps': [['-12.5']]}\n");

    (void)state;
    assert_string_equal(samples.all[0].document.contexts.all[0], " some text");
    assert_int_equal(samples.all[0].document.continuations.n, 0);
    assert_true(samples.all[0].loglikelihoods[0] == -12.5);
    samples_release(&samples);
}

static void names_the_line_of_what_it_cannot_read(void **state)
{
    (void)state;
    refuses(TASK_GENERATE_UNTIL, "{'doc_id': 1, 'target': {}, 'arguments': [['a', {}]]}",
            "samples_t.jsonl:1: target: expected a text, a number or a list");
    refuses(TASK_MULTIPLE_CHOICE, "{'doc_id': 1, 'arguments': [['a', 5]]}",
            ":1: arguments: request 0: arg_1 is no text");
    refuses(TASK_MULTIPLE_CHOICE, "{'doc_id': 1, 'arguments': {}}", "arguments: 0 requests");
    refuses(TASK_MULTIPLE_CHOICE, "{'doc_id': 1, 'arguments': [['a', 'b'], ['c', 'd']]}",
            "neither one context");
    refuses(TASK_LOGLIKELIHOOD, "{'doc_id': 1, 'arguments': [['a', 'b'], ['a', 'd']]}",
            "arguments: 2 requests, expected 1");
    refuses(TASK_MULTIPLE_CHOICE, "{'target': 1}", "doc_id: missing");
    refuses(TASK_MULTIPLE_CHOICE, "", "no samples");
    refuses(TASK_GENERATE_UNTIL,
            "{'doc_id': 0, 'target': '4', 'arguments': [['a', {'until': ['x']}]]}\n"
            "{'doc_id': 1, 'target': '4', 'arguments': [['a', {'until': ['y']}]]}",
            ":2: arguments: generation settings differ from the first");
}

static void a_task_can_be_a_log(void **state)
{
    char *folder = support_temp_dir();
    char *path = file_join(folder, "t.yaml");
    struct task task = {0};
    struct err err = {0};

    (void)state;
    support_write(folder, "t.yaml", "task: t\noutput_type: loglikelihood\nsamples: s.jsonl\n");
    support_write(folder, "s.jsonl",
                  "{\"doc_id\": 3, \"target\": \"b\", \"arguments\": [[\"a\", \" b\"]]}\n");
    assert_int_equal(task_load(&task, path, &err), 0);
    assert_int_equal(task.n_documents, 1);
    assert_string_equal(task.documents[0].continuations.all[0], " b");

    json_t *wire = task_print(&task);
    struct task back = {0};

    assert_int_equal(task_read(&back, wire, &err), 0);
    assert_string_equal(back.digest, task.digest);
    json_decref(wire);
    task_release(&back);
    task_release(&task);
    support_write(folder, "t.yaml",
                  "task: t\noutput_type: loglikelihood\nsamples: s.jsonl\nprompt: \"{q}\"\n");
    assert_int_not_equal(task_load(&task, path, &err), 0);
    assert_non_null(strstr(err.text, "prompt"));
    free(path);
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_prompts_choices_and_numbers_of_a_choice),
        cmocka_unit_test(reads_the_older_spelling_and_a_target_that_is_a_choice),
        cmocka_unit_test(choices_in_the_context_share_a_continuation),
        cmocka_unit_test(passes_over_what_mutual_information_asks_and_other_filters),
        cmocka_unit_test(two_choices_may_be_alike),
        cmocka_unit_test(takes_stops_and_length_of_a_generation),
        cmocka_unit_test(takes_what_each_filter_made_of_a_text),
        cmocka_unit_test(a_log_with_filters_needs_to_be_told_them),
        cmocka_unit_test(a_target_may_be_a_list),
        cmocka_unit_test(says_when_a_target_is_no_choice),
        cmocka_unit_test(tells_the_right_context_from_the_verdict),
        cmocka_unit_test(a_generation_may_have_several_answers),
        cmocka_unit_test(takes_counts_of_a_rolling_text_that_are_not_the_texts),
        cmocka_unit_test(takes_a_rolling_text),
        cmocka_unit_test(names_the_line_of_what_it_cannot_read),
        cmocka_unit_test(a_task_can_be_a_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
