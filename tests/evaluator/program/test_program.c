#include "evaluator/program/program.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/support/support.h"

/* ---- a task of a program, with ' for " ---- */

static int parse(struct program *out, const char *text, struct err *err)
{
    char *quoted = mem_text(text);
    json_t *config = NULL;

    for (char *at = quoted; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    int rc = doc_parse(&config, quoted, strlen(quoted), err);

    rc = rc == 0 ? program_parse(out, config, "/", err) : rc;
    json_decref(config);
    free(quoted);
    return rc;
}

static struct program good(const char *text)
{
    struct program program = {0};
    struct err err = {0};

    if (parse(&program, text, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return program;
}

static void refuses(const char *text, const char *why)
{
    struct program program = {0};
    struct err err = {0};

    assert_int_not_equal(parse(&program, text, &err), 0);
    if (strstr(err.text, why) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", err.text, why);
    }
}

#define HEAD "'task': 't', 'output_type': 'command', "
#define SHELL "{" HEAD "'command': ['sh', '-c', '"
#define END "']}"

static void says_what_is_wrong_with_its_keys(void **state)
{
    (void)state;
    refuses("{" HEAD "'command': []}", "names no program");
    refuses("{" HEAD "'command': ['']}", "names no program");
    refuses("{" HEAD "'command': 'run-eval'}", "command");
    refuses("{" HEAD "'command': [1]}", "entry 0");
    refuses("{" HEAD "'command': ['x', '{modeldir}']}", "did you mean {model_dir}?");
    refuses("{" HEAD "'command': ['x'], 'timeout': '45'}", "timeout");
    refuses("{" HEAD "'command': ['x'], 'score': {'task': 'a'}}", "score.metric");
    refuses("{" HEAD "'command': ['x'], 'score': {'metric': ''}}", "metric: expected a name");
    refuses("{" HEAD "'command': ['x'], 'scores': {}}", "score");
    refuses("{'task': 't', 'command': ['x']}", "output_type");
    refuses("{'task': '', 'output_type': 'command', 'command': ['x']}", "task");
}

static void is_told_apart_by_its_words_and_not_by_how_long_it_may_take(void **state)
{
    struct program one = good("{" HEAD "'command': ['x', 'y']}");
    struct program other = good("{" HEAD "'command': ['x', 'y'], 'timeout': '5m'}");
    struct program words = good("{" HEAD "'command': ['x y']}");
    struct program version = good("{" HEAD "'command': ['x', 'y'], 'version': 2}");

    (void)state;
    assert_int_equal(one.timeout_ms, 3600000);
    assert_int_equal(other.timeout_ms, 300000);
    assert_string_equal(one.digest, other.digest);
    assert_string_not_equal(one.digest, words.digest);
    assert_string_not_equal(one.digest, version.digest);
    program_release(&one);
    program_release(&other);
    program_release(&words);
    program_release(&version);
}

static void knows_whether_it_is_told_the_split(void **state)
{
    static const struct {
        const char *text;
        bool splits;
    } cases[] = {{"{" HEAD "'command': ['x']}", false},
                 {"{" HEAD "'command': ['x', '--data={split}.json']}", true},
                 {"{" HEAD "'command': ['x'], 'splits': true}", true}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct program program = good(cases[i].text);

        assert_int_equal(program.splits, cases[i].splits);
        program_release(&program);
    }
}

static void travels_and_comes_back_the_same(void **state)
{
    struct program program = good("{" HEAD "'command': ['x', '{split}'], 'timeout': '90s', "
                                  "'score': {'task': 'u', 'metric': 'p,none'}, "
                                  "'higher_is_better': false, 'version': 3}");
    struct program back = {0};
    json_t *wire = program_print(&program);

    (void)state;
    assert_int_equal(program_read(&back, wire, NULL), 0);
    assert_string_equal(back.digest, program.digest);
    assert_string_equal(back.folder, program.folder);
    assert_string_equal(back.task, "u");
    assert_string_equal(program_column(&back), "p,none");
    assert_int_equal(back.timeout_ms, 90000);
    assert_false(program_higher_is_better(&back));
    json_t *again = program_print(&back);

    assert_true(json_equal(wire, again));
    program_release(&back);
    json_array_append_new(json_object_get(json_object_get(wire, "config"), "command"),
                          json_string("more"));
    assert_int_equal(program_read(&back, wire, NULL), ERR_CONFLICT);
    json_decref(again);
    json_decref(wire);
    program_release(&program);
}

static void looks_for_its_program_beforehand(void **state)
{
    struct program there = good("{" HEAD "'command': ['sh']}");
    struct program absent = good("{" HEAD "'command': ['no-such-program-anywhere']}");
    struct program beside = good("{" HEAD "'command': ['./no-such-program']}");
    struct program later = good("{" HEAD "'command': ['{model_dir}/run']}");

    (void)state;
    assert_true(program_is_there(&there));
    assert_false(program_is_there(&absent));
    assert_false(program_is_there(&beside));
    assert_true(program_is_there(&later));
    program_release(&there);
    program_release(&absent);
    program_release(&beside);
    program_release(&later);
}

/* ---- runs ---- */

struct run {
    struct program program;
    char *out_dir;
    struct score_task score;
    enum score_failure failure;
    struct err err;
    int rc;
};

static struct run begin(const char *text)
{
    struct run run = {.program = good(text), .out_dir = support_temp_dir()};
    const struct program_call call = {.model_dir = "/the model",
                                      .out_dir = run.out_dir,
                                      .candidate = "abc",
                                      .split = "select",
                                      .seed = 7,
                                      .limit = 40};

    run.rc = program_run(&run.program, &call, &run.score, &run.failure, &run.err);
    return run;
}

static void end(struct run *run)
{
    score_task_release(&run->score);
    program_release(&run->program);
    support_remove_dir(run->out_dir);
}

static void scores_by_the_last_line(void **state)
{
    struct run run = begin("{" HEAD "'command': ['printf', '{\\'score\\': 0.5, \\'n\\': 3}']}");

    (void)state;
    assert_int_equal(run.rc, 0);
    assert_string_equal(run.score.name, "t");
    assert_string_equal(run.score.digest, run.program.digest);
    assert_string_equal(run.score.metrics[0], "score");
    assert_true(run.score.values[0] == 0.5 && isnan(run.score.errors[0]));
    assert_int_equal(run.score.n, 0);
    assert_int_equal(run.score.n_told, 3);
    end(&run);
}

static void is_told_what_it_is_about_in_words_and_in_the_environment(void **state)
{
    struct run run =
        begin("{" HEAD "'command': ['sh', '-c', 'echo $0 $1 $BRAID_SEED $BRAID_SPLIT "
              "$BRAID_CANDIDATE {x} >&2; exit 1', '{model_dir}:{limit}', '{device}{']}");

    (void)state;
    assert_int_equal(run.failure, SCORE_EXIT);
    assert_non_null(strstr(run.err.text, "/the model:40 cpu{ 7 select abc {x}"));
    end(&run);
}

static void fails_with_the_reason_and_the_last_words(void **state)
{
    static const struct {
        const char *text;
        enum score_failure failure;
        const char *why;
    } cases[] = {
        {SHELL "echo no GPU >&2; exit 3" END, SCORE_EXIT, "sh ended with status 3: no GPU"},
        {SHELL "kill -SEGV $$" END, SCORE_SIGNAL, "signal 11"},
        {SHELL "echo well" END, SCORE_BAD_OUTPUT, "but is: well"},
        {"{" HEAD "'command': ['sleep', '60'], 'timeout': '100ms'}", SCORE_TIMEOUT, "longer"},
        {"{" HEAD "'command': ['no-such-program-anywhere']}", SCORE_EXIT, "No such file"},
        {"{" HEAD "'command': ['true'], 'score': {'metric': 'acc'}}", SCORE_BAD_OUTPUT,
         "no results.json"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run run = begin(cases[i].text);

        assert_int_not_equal(run.rc, 0);
        assert_int_equal(run.failure, cases[i].failure);
        if (strstr(run.err.text, cases[i].why) == NULL) {
            fail_msg("\"%s\" lacks \"%s\"", run.err.text, cases[i].why);
        }
        end(&run);
    }
}

/* A program that copies a result, its second word, and a log, its third, into its folder. */
#define HARNESS                                                                             \
    "{" HEAD "'command': ['sh', '-c', 'mkdir \\'{out_dir}/m\\' && cd \\'{out_dir}/m\\' && " \
    "printf %s \\'$0\\' > results_2024.json && printf %s \\'$1\\' > "                       \
    "samples_t_2024-05-01T1.jsonl', "

static void takes_values_of_documents_from_the_log_beside_the_result(void **state)
{
    struct run run = begin(HARNESS "'{\\'results\\':{\\'t\\':{\\'acc,none\\':0.5}},"
                                   "\\'higher_is_better\\':{\\'t\\':{\\'acc\\':true}}}', "
                                   "'{\\'doc_id\\':0,\\'acc\\':1,\\'filter\\':\\'none\\'}\\n"
                                   "{\\'doc_id\\':1,\\'acc\\':0,\\'filter\\':\\'none\\'}\\n'], "
                                   "'score': {'metric': 'acc'}}");

    (void)state;
    if (run.rc != 0) {
        fail_msg("%s", run.err.text);
    }
    assert_int_equal(run.score.n, 2);
    assert_int_equal(run.score.n_told, 0);
    assert_string_equal(run.score.ids[1], "1");
    assert_true(run.score.document_values[0] == 1.0 && run.score.document_values[1] == 0.0);
    assert_true(run.score.values[0] == 0.5);
    end(&run);
}

#define PERPLEXITY(direction, more)                                                      \
    HARNESS "'{\\'results\\':{\\'t\\':{\\'p,none\\':8}}," direction "\\'x\\':0}', ''], " \
            "'score': {'metric': 'p'}" more "}"
#define LOWER "\\'higher_is_better\\':{\\'t\\':{\\'p\\':false}},"

static void turns_what_the_file_alone_calls_lower_is_better(void **state)
{
    struct run run = begin(PERPLEXITY(LOWER, ""));

    (void)state;
    assert_int_equal(run.rc, 0);
    assert_true(run.score.values[0] == -8.0);
    assert_true(program_higher_is_better(&run.program));
    end(&run);
    run = begin(PERPLEXITY(LOWER, ", 'higher_is_better': false"));
    assert_int_equal(run.rc, 0);
    assert_true(run.score.values[0] == 8.0);
    assert_false(program_higher_is_better(&run.program));
    end(&run);
}

static void wants_to_be_told_a_direction_that_nothing_says(void **state)
{
    struct run run = begin(PERPLEXITY("", ""));

    (void)state;
    assert_int_equal(run.failure, SCORE_BAD_OUTPUT);
    assert_non_null(strstr(run.err.text, "say higher_is_better in the task"));
    end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_is_wrong_with_its_keys),
        cmocka_unit_test(is_told_apart_by_its_words_and_not_by_how_long_it_may_take),
        cmocka_unit_test(knows_whether_it_is_told_the_split),
        cmocka_unit_test(travels_and_comes_back_the_same),
        cmocka_unit_test(looks_for_its_program_beforehand),
        cmocka_unit_test(scores_by_the_last_line),
        cmocka_unit_test(is_told_what_it_is_about_in_words_and_in_the_environment),
        cmocka_unit_test(fails_with_the_reason_and_the_last_words),
        cmocka_unit_test(takes_values_of_documents_from_the_log_beside_the_result),
        cmocka_unit_test(turns_what_the_file_alone_calls_lower_is_better),
        cmocka_unit_test(wants_to_be_told_a_direction_that_nothing_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
