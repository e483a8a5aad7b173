#include "evaluator/task/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/support/support.h"

#define EXAMPLES TESTS_DIR "/../study/examples/tasks/"

static void load(struct task *out, const char *path)
{
    struct err err = {0};

    if (task_load(out, path, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

/* The error of a task file with these records; "" when it is accepted. */
static const char *error_of(const char *yaml, const char *records)
{
    static struct err err;
    char *folder = support_temp_dir();
    char *path = file_join(folder, "t.yaml");
    struct task task = {0};

    err = (struct err){0};
    support_write(folder, "t.yaml", yaml);
    support_write(folder, "t.jsonl", records);
    if (task_load(&task, path, &err) == 0) {
        assert_string_equal(err.text, "");
    }
    task_release(&task);
    free(path);
    support_remove_dir(folder);
    return err.text;
}

static void refuses(const char *yaml, const char *records, const char *why)
{
    const char *error = error_of(yaml, records);

    if (strstr(error, why) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", error, why);
    }
}

#define CHOICE                                                                \
    "task: t\noutput_type: multiple_choice\ndata: t.jsonl\nprompt: \"{q}\"\n" \
    "choices: \"{c}\"\ngold: g\n"
#define GENERATE "task: t\noutput_type: generate_until\ndata: t.jsonl\nprompt: \"{q}\"\ngold: g\n"
#define GOOD "{\"id\": 1, \"q\": \"x\", \"c\": [\"a\", \"b\"], \"g\": \"a\"}\n"

static void reads_the_examples(void **state)
{
    struct task addition = {0};
    struct task choice = {0};

    (void)state;
    load(&addition, EXAMPLES "addition.yaml");
    load(&choice, EXAMPLES "addition_choice.yaml");
    assert_int_equal(addition.n_documents, 800);
    assert_int_equal(addition.output, TASK_GENERATE_UNTIL);
    assert_int_equal(addition.max_new_tokens, 32);
    assert_string_equal(addition.stops.all[0], "\n");
    assert_string_equal(addition.documents[0].contexts.all[0], "6+61=");
    assert_string_equal(addition.documents[0].continuations.all[0], "67");
    assert_int_equal(choice.n_metrics, 2);
    assert_int_equal(task_metric(&choice, "acc_norm"), 1);
    assert_int_equal(choice.documents[1].golds[0], 2);
    assert_true(strcmp(addition.digest, choice.digest) != 0);
    task_release(&addition);
    task_release(&choice);
}

static void prints_and_reads_back_the_same(void **state)
{
    static const char *const names[] = {EXAMPLES "reversal.yaml", EXAMPLES "spelling_choice.yaml"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct task task = {0};
        struct task back = {0};

        load(&task, names[i]);
        json_t *json = task_print(&task);
        assert_int_equal(task_read(&back, json, NULL), 0);
        json_t *again = task_print(&back);
        assert_true(json_equal(json, again));
        assert_string_equal(task.digest, back.digest);
        json_decref(again);
        json_decref(json);
        task_release(&back);
        task_release(&task);
    }
}

static void does_not_believe_a_printed_task_that_was_changed(void **state)
{
    struct task task = {0};
    struct task back = {0};
    struct err err = {0};

    (void)state;
    load(&task, EXAMPLES "spelling_choice.yaml");
    json_t *json = task_print(&task);
    json_t *first = json_array_get(json_object_get(json, "documents"), 0);
    json_object_set_new(first, "golds", json_pack("[i]", 3));
    assert_int_equal(task_read(&back, json, &err), ERR_CONFLICT);
    json_object_set_new(first, "golds", json_pack("[i]", 4));
    assert_int_equal(task_read(&back, json, &err), ERR_FORMAT);
    json_object_set_new(first, "golds", json_array());
    assert_int_equal(task_read(&back, json, &err), ERR_CONFLICT);
    json_object_set_new(first, "golds", json_pack("[i]", 1));
    json_object_set_new(first, "contexts", json_pack("[s, s]", "a", "b"));
    assert_int_equal(task_read(&back, json, &err), ERR_FORMAT);
    json_decref(json);
    task_release(&task);
}

static void names_file_and_line_of_a_bad_record(void **state)
{
    (void)state;
    assert_string_equal(error_of(CHOICE, GOOD), "");
    refuses(CHOICE, GOOD "\n{\"id\": 2, \"q\": \"x\", \"c\": [\"a\"]}\n", "t.jsonl:3: no gold");
    refuses(CHOICE, GOOD GOOD, "t.jsonl:2: id \"1\" is on line 1 too");
    refuses(CHOICE, GOOD "{\"id\": 2", "t.jsonl:2: ");
    refuses(CHOICE, GOOD "[1]", "t.jsonl:2: expected an object, got a list");
    refuses(CHOICE, GOOD "{\"id\": \"\xFF\"}", "t.jsonl:2: not UTF-8 at byte 9");
    refuses(CHOICE, GOOD "{\"id\": \"\", \"q\": 1}", "t.jsonl:2: id has 0 bytes");
    refuses(CHOICE, "\n \n", "no records");
    refuses(GENERATE "generation: {until: [\"a\"]}\n", GOOD, "t.jsonl:1: answer \" a\" contains");
}

static void counts_documents_whose_gold_is_no_choice(void **state)
{
    char *folder = support_temp_dir();
    char *path = file_join(folder, "t.yaml");
    struct task task = {0};
    struct task back = {0};
    struct text warning = {0};
    struct err err = {0};

    (void)state;
    support_write(folder, "t.yaml", CHOICE);
    support_write(folder, "t.jsonl",
                  GOOD "{\"id\": 2, \"q\": \"x\", \"c\": [\"a\"], \"g\": 1}\n"
                       "{\"id\": 3, \"q\": \"x\", \"c\": [\"a\"], \"g\": [0, -1]}\n");
    load(&task, path);
    assert_int_equal(task.n_documents, 3);
    assert_int_equal(task.documents[1].n_golds, 0);
    assert_int_equal(task.documents[2].n_golds, 1);
    assert_true(task_warning(&task, &warning));
    assert_non_null(strstr(text_get(&warning), "t.jsonl:2: a gold is none of the choices"));
    assert_non_null(strstr(text_get(&warning), "2 such documents"));

    json_t *wire = task_print(&task);
    assert_int_equal(task_read(&back, wire, &err), 0);
    assert_string_equal(back.digest, task.digest);
    json_decref(wire);
    text_release(&warning);
    task_release(&back);
    task_release(&task);
    support_write(folder, "t.yaml", CHOICE "fewshot: {num: 1, data: f.jsonl}\n");
    support_write(folder, "f.jsonl", "{\"q\": \"x\", \"c\": [\"a\"], \"g\": 1}\n");
    assert_int_equal(task_load(&task, path, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "few-shot example 1: its gold is none of its 1 choices"));
    free(path);
    support_remove_dir(folder);
}

/* It is found in a text, but cannot be decided without one. */
static void an_answer_may_be_empty_where_texts_are_filtered(void **state)
{
    const char *record = "{\"id\": 1, \"q\": \"x\", \"g\": \"\"}\n";

    (void)state;
    refuses(GENERATE, record, "t.jsonl:1: gold is empty");
    assert_string_equal(
        error_of(GENERATE "filters: [{name: x, steps: [{regex: \"(a*)\"}]}]\n", record), "");
}

static void knows_its_keys(void **state)
{
    (void)state;
    refuses(CHOICE "metric: [acc]\n", GOOD, "metrics");
    refuses(CHOICE "metrics: [acc_nrom]\n", GOOD, "acc_norm");
    refuses(CHOICE "metrics: [acc, acc]\n", GOOD, "twice");
    refuses(CHOICE "metrics: [perplexity]\n", GOOD, "perplexity");
    refuses(CHOICE "generation: {until: [\"a\"]}\n", GOOD, "generation");
    refuses(GENERATE "generation: {untill: [\"a\"]}\n", GOOD, "until");
    refuses(GENERATE "generation: {max_new_tokens: 0}\n", GOOD, "max_new_tokens");
    refuses(GENERATE "filters: [{name: x, steps: [{regex: \"(\"}]}]\n", GOOD,
            "filters[0]: filter x: step 0");
    refuses(GENERATE "filters: [{name: x, steps: []}, {name: x, steps: []}]\n", GOOD,
            "two are named x");
    refuses(GENERATE "exact_match: {ignore: true}\n", GOOD, "exact_match: ");
    refuses(CHOICE "exact_match: {ignore_case: true}\n", GOOD, "only for generate_until");
    refuses(CHOICE "filters: []\n", GOOD, "only for generate_until");
    refuses(CHOICE "fewshot: {num: 1}\n", GOOD, "2 examples wanted, 1 records");
    refuses(CHOICE "fewshot: {num: 1, sampler: random}\n", GOOD, "first_n");
    refuses(CHOICE "fewshot: {num: 1, data: none.jsonl}\n", GOOD, "none.jsonl");
    refuses("task: t\n", GOOD, "output_type");
    refuses("task: t\noutput_type: multiple_choices\n", GOOD, "multiple_choice");
}

static void measures_the_first_of_its_kind_when_nothing_is_named(void **state)
{
    struct task task = {0};
    json_t *config =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "task", "t", "output_type", "generate_until", "data",
                  "addition.jsonl", "prompt", "{prompt}", "gold", "answer");

    (void)state;
    assert_int_equal(task_parse(&task, config, EXAMPLES, NULL), 0);
    assert_int_equal(task.n_metrics, 1);
    assert_int_equal(task.metrics[0], METRIC_EXACT_MATCH);
    assert_string_equal(task.stops.all[0], "\n\n");
    json_decref(config);
    task_release(&task);
}

/* ---- chat mode ---- */

static struct chat *chat_of(const char *template)
{
    char *folder = support_temp_dir();

    support_write(folder, "chat_template.jinja", template);
    struct chat *chat = chat_open(folder);

    support_remove_dir(folder);
    return chat;
}

/* The addition task in chat mode for a model with this template; the error's text. */
static const char *parse_chat(struct task *out, const char *template, bool said, bool always)
{
    static struct err err;
    struct chat *chat = chat_of(template);
    json_t *config =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "task", "t", "output_type", "generate_until", "data",
                  "addition.jsonl", "prompt", "{prompt}", "gold", "answer");

    err = (struct err){0};
    if (said) {
        json_object_set_new(config, "chat", json_true());
    }
    const int rc = task_parse_for(out, config, EXAMPLES,
                                  &(struct task_chat){.template = chat, .always = always}, &err);

    assert_true((rc == 0) == (err.text[0] == '\0'));
    json_decref(config);
    chat_close(chat);
    return err.text;
}

static void asks_in_the_words_of_the_model(void **state)
{
    struct task one = {0};
    struct task other = {0};
    struct task plain = {0};

    (void)state;
    parse_chat(&one, "<{{ messages[0].content }}>", true, false);
    parse_chat(&other, "[{{ messages[0].content }}]", false, true);
    parse_chat(&plain, "[{{ messages[0].content }}]", false, false);
    assert_string_equal(one.documents[0].contexts.all[0], "<6+61=>");
    assert_string_equal(other.documents[0].contexts.all[0], "[6+61=]");
    assert_string_equal(plain.documents[0].contexts.all[0], "6+61=");
    assert_string_equal(one.documents[0].continuations.all[0], "67");
    assert_string_equal(plain.documents[0].continuations.all[0], " 67");
    assert_string_not_equal(one.digest, other.digest);
    assert_string_not_equal(other.digest, plain.digest);
    task_release(&plain);
    task_release(&other);
    task_release(&one);
}

static void says_why_a_model_cannot_be_asked_in_a_chat(void **state)
{
    struct task task = {0};

    (void)state;
    refuses(GENERATE "chat: true\n", GOOD, "chat: there is no model to take a template from");
    refuses(GENERATE "fewshot_as_multiturn: true\n", GOOD, "only in chat mode");
    assert_non_null(strstr(parse_chat(&task, "", true, false), "no chat template"));
    assert_non_null(strstr(parse_chat(&task, "{% block x %}", true, false),
                           ": chat template: line 1: the statement block is not supported"));
    assert_non_null(strstr(parse_chat(&task, "{{ raise_exception('never') }}", true, false),
                           "addition.jsonl:1: chat template: line 1: the template refuses: never"));
}

/* ---- few-shot ---- */

/* Contexts of five one-letter records under a few-shot setting, one a line. */
static const char *contexts(const char *fewshot)
{
    static struct text all;
    char *folder = support_temp_dir();
    char *path = file_join(folder, "t.yaml");
    struct text yaml = {0};
    struct task task = {0};

    text_clear(&all);
    text_printf(&yaml, GENERATE "target_delimiter: \"=\"\nfewshot_delimiter: \";\"\nfewshot: %s\n",
                fewshot);
    support_write(folder, "t.yaml", text_get(&yaml));
    support_write(folder, "t.jsonl",
                  "{\"q\": \"a\", \"g\": 0}\n{\"q\": \"b\", \"g\": 1}\n{\"q\": \"c\", \"g\": 2}\n"
                  "{\"q\": \"d\", \"g\": 3}\n{\"q\": \"e\", \"g\": 4}\n");
    support_write(folder, "s.jsonl", "{\"q\": \"x\", \"g\": 7}\n{\"q\": \"y\", \"g\": 8}\n");
    load(&task, path);
    for (size_t i = 0; i < task.n_documents; i++) {
        text_printf(&all, "%s\n", task.documents[i].contexts.all[0]);
    }
    task_release(&task);
    text_release(&yaml);
    free(path);
    support_remove_dir(folder);
    return text_get(&all);
}

static void leaves_a_document_out_of_its_own_examples(void **state)
{
    (void)state;
    assert_string_equal(contexts("{num: 2, sampler: first_n}"),
                        "b=1;c=2;a\na=0;c=2;b\na=0;b=1;c\na=0;b=1;d\na=0;b=1;e\n");
    assert_string_equal(contexts("{num: 2, sampler: first_n, data: t.jsonl}"),
                        "b=1;c=2;a\na=0;c=2;b\na=0;b=1;c\na=0;b=1;d\na=0;b=1;e\n");
    assert_string_equal(contexts("{num: 2, sampler: first_n, data: s.jsonl}"),
                        "x=7;y=8;a\nx=7;y=8;b\nx=7;y=8;c\nx=7;y=8;d\nx=7;y=8;e\n");
}

/* Draws of CPython 3.11: the records of random.Random(1234).sample(records, 3), a document each. */
static void carries_the_sampler_from_document_to_document(void **state)
{
    (void)state;
    assert_string_equal(contexts("{num: 2}"),
                        "d=3;e=4;a\na=0;e=4;b\na=0;e=4;c\nb=1;a=0;d\na=0;c=2;e\n");
    assert_string_equal(contexts("{num: 2, seed: 1234}"),
                        "d=3;e=4;a\na=0;e=4;b\na=0;e=4;c\nb=1;a=0;d\na=0;c=2;e\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_examples),
        cmocka_unit_test(prints_and_reads_back_the_same),
        cmocka_unit_test(does_not_believe_a_printed_task_that_was_changed),
        cmocka_unit_test(names_file_and_line_of_a_bad_record),
        cmocka_unit_test(counts_documents_whose_gold_is_no_choice),
        cmocka_unit_test(an_answer_may_be_empty_where_texts_are_filtered),
        cmocka_unit_test(knows_its_keys),
        cmocka_unit_test(measures_the_first_of_its_kind_when_nothing_is_named),
        cmocka_unit_test(asks_in_the_words_of_the_model),
        cmocka_unit_test(says_why_a_model_cannot_be_asked_in_a_chat),
        cmocka_unit_test(leaves_a_document_out_of_its_own_examples),
        cmocka_unit_test(carries_the_sampler_from_document_to_document),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
