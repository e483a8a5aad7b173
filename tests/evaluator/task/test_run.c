#include "evaluator/task/run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void check_near(double got, double wanted, double tolerance)
{
    assert_true(fabs(got - wanted) <= tolerance);
}

#define EXAMPLES TESTS_DIR "/../study/examples/"
#define N 12
#define SHORT "\"generation\": {\"until\": [\"\\n\"], \"max_new_tokens\": 8}"

struct bench {
    struct checkpoint *checkpoint;
    struct weights *weights;
    struct forward *forward;
    struct tokenizer *tokenizer;
};

static struct bench bench;

static int open_bench(void **state)
{
    (void)state;
    assert_int_equal(checkpoint_open(&bench.checkpoint, EXAMPLES "models/adder", NULL), 0);
    const struct config *config = checkpoint_config(bench.checkpoint);
    assert_int_equal(weights_new(&bench.weights, config, NULL), 0);
    assert_int_equal(weights_load(bench.weights, bench.checkpoint, NULL), 0);
    assert_int_equal(forward_new(&bench.forward, config, 0, NULL), 0);
    return tokenizer_open(&bench.tokenizer, EXAMPLES "models/adder", NULL);
}

static int close_bench(void **state)
{
    (void)state;
    tokenizer_close(bench.tokenizer);
    forward_free(bench.forward);
    weights_free(bench.weights);
    checkpoint_close(bench.checkpoint);
    return 0;
}

/* A task over the addition records, from keys as JSON. */
static struct task addition(const char *output, const char *more)
{
    struct text keys = {0};
    struct task task = {0};
    struct err err = {0};
    json_t *config = NULL;

    text_printf(&keys,
                "{\"task\": \"t\", \"output_type\": \"%s\", \"data\": \"addition.jsonl\", "
                "\"prompt\": \"{prompt}\", \"target_delimiter\": \"\", %s}",
                output, more);
    assert_int_equal(doc_parse(&config, text_get(&keys), keys.size, &err), 0);
    if (task_parse(&task, config, EXAMPLES "tasks", &err) != 0) {
        fail_msg("%s", err.text);
    }
    json_decref(config);
    text_release(&keys);
    return task;
}

static struct score_task score(const struct task *task, const size_t *documents, size_t n)
{
    struct task_plan *plan = NULL;
    struct score_task made = {0};
    struct err err = {0};

    if (task_plan_new(&plan, task, bench.tokenizer, documents, n, 0, 256, &err) != 0 ||
        task_run(plan, bench.forward, bench.weights, &made, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_true(task_plan_positions(plan) < task_plan_tokens(plan));
    task_plan_free(plan);
    return made;
}

static const size_t some[N] = {5, 0, 17, 700, 3, 3 + 8, 90, 91, 92, 400, 401, 799};

static double mean(const struct score_task *task, size_t m)
{
    double sum = 0.0;

    for (size_t i = 0; i < task->n; i++) {
        sum += task->document_values[i * task->n_metrics + m];
    }
    return sum / (double)task->n;
}

static void reports_documents_in_the_order_asked(void **state)
{
    struct task task = addition("multiple_choice", "\"choices\": \"{choices}\", \"gold\": \"gold\","
                                                   "\"metrics\": [\"acc\", \"choice_logprob\"]");
    struct score_task made = score(&task, some, N);

    (void)state;
    assert_int_equal(made.n, N);
    assert_string_equal(made.ids[0], "addition-0005");
    assert_string_equal(made.ids[11], "addition-0799");
    assert_string_equal(made.digest, task.digest);
    assert_int_equal(made.first[N], 4 * N);
    check_near(made.values[0], mean(&made, 0), 1e-12);
    check_near(made.values[1], mean(&made, 1), 1e-12);
    assert_true(made.errors[1] > 0.0);
    assert_int_equal(score_metric(&made, "choice_logprob"), 1);
    score_task_release(&made);
    task_release(&task);
}

/* A document's numbers do not depend on the company it is scored in, to the last bit. */
static void gives_a_document_the_same_numbers_alone(void **state)
{
    struct task task =
        addition("multiple_choice", "\"choices\": \"{choices}\", \"gold\": \"gold\"");
    struct score_task together = score(&task, some, N);
    struct score_task alone = score(&task, some + 3, 1);

    (void)state;
    for (size_t k = 0; k < 4; k++) {
        assert_true(alone.loglikelihoods[k] == together.loglikelihoods[together.first[3] + k]);
    }
    assert_true(isnan(alone.errors[0]));
    score_task_release(&alone);
    score_task_release(&together);
    task_release(&task);
}

static void takes_any_of_several_answers(void **state)
{
    struct task one = addition("generate_until", "\"gold\": \"answer\", " SHORT);
    struct task any = addition("generate_until", "\"gold\": \"choices\", " SHORT);
    struct score_task exact = score(&one, some, N);
    struct score_task loose = score(&any, some, N);

    (void)state;
    assert_int_equal(loose.first[N], 4 * N);
    for (size_t i = 0; i < N; i++) {
        assert_true(loose.document_values[i] >= exact.document_values[i]);
    }
    assert_true(exact.values[0] > 0.5);
    score_task_release(&loose);
    score_task_release(&exact);
    task_release(&any);
    task_release(&one);
}

static void an_answer_longer_than_allowed_is_wrong(void **state)
{
    struct task task = addition("generate_until", "\"gold\": \"answer\", \"generation\": "
                                                  "{\"until\": [\"\\n\"], \"max_new_tokens\": 1}");
    struct score_task made = score(&task, some, N);

    (void)state;
    assert_true(made.values[0] == 0.0);
    score_task_release(&made);
    task_release(&task);
}

/* ---- in stretches ---- */

static struct score_task score_stretched(const struct task *task, size_t stretch)
{
    struct task_plan *plan = NULL;
    struct score_task made = {0};

    assert_int_equal(task_plan_new(&plan, task, bench.tokenizer, some, N, stretch, 256, NULL), 0);
    assert_int_equal(task_plan_stretches(plan), (N + stretch - 1) / stretch);
    assert_int_equal(task_run(plan, bench.forward, bench.weights, &made, NULL), 0);
    task_plan_free(plan);
    return made;
}

static void stretches_change_no_number(void **state)
{
    struct task task = addition("generate_until", "\"gold\": \"choices\", " SHORT);
    struct score_task whole = score(&task, some, N);
    struct score_task pieces = score_stretched(&task, 5);

    (void)state;
    assert_int_equal(pieces.n, N);
    assert_memory_equal(pieces.loglikelihoods, whole.loglikelihoods, 4 * N * sizeof(double));
    assert_memory_equal(pieces.document_values, whole.document_values, N * sizeof(double));
    assert_true(pieces.values[0] == whole.values[0] && pieces.errors[0] == whole.errors[0]);
    score_task_release(&pieces);
    score_task_release(&whole);
    task_release(&task);
}

/* A sink that stops after some tokens. */
struct patience {
    struct task_plan *plan;
    size_t tokens;
};

static bool take(void *context, size_t line, const struct forward_place *place)
{
    struct patience *patience = context;

    patience->tokens -= patience->tokens > 0;
    return task_take(patience->plan, line, place);
}

static bool look(void *context, double share)
{
    const struct patience *patience = context;

    assert_true(share >= 0.0 && share <= 1.0);
    return patience->tokens > 0;
}

/* Score the first stretches, and generate until so many tokens are there. */
static size_t run_some(struct task_plan *plan, size_t stretches, size_t tokens)
{
    struct patience patience = {plan, tokens};
    const struct generate_sink sink = {.take = take, .look = look, .context = &patience};
    struct generate_prompt prompts[4 * N];

    task_begin(plan);
    assert_int_equal(task_done(plan), 0);
    for (size_t t = 0; t < stretches; t++) {
        assert_int_equal(task_score(plan, t, bench.forward, bench.weights, NULL), 0);
    }
    for (size_t line = 0; line < task_lines(plan); line++) {
        prompts[line] = task_prompt(plan, line);
    }
    assert_int_equal(generate(bench.forward, bench.weights, prompts, task_lines(plan), &sink, NULL),
                     0);
    assert_int_equal(task_write(plan, NULL), 0);
    assert_int_equal(task_lines(plan), 0);
    return task_done(plan);
}

static void a_stopped_run_has_the_numbers_of_the_documents_done(void **state)
{
    static const char *const texts[] = {"", "\"exact_match\": {\"regexes_to_ignore\": [\"@\"]}, "};

    (void)state;
    for (size_t k = 0; k < 2; k++) {
        char *keys = mem_printf("\"gold\": \"answer\", %s" SHORT, texts[k]);
        struct task task = addition("generate_until", keys);
        struct task_plan *plan = NULL;
        struct score_task part = {0};

        assert_int_equal(task_plan_new(&plan, &task, bench.tokenizer, some, N, 4, 256, NULL), 0);
        assert_int_equal(run_some(plan, 2, SIZE_MAX), 8);
        task_result(plan, &part);
        struct score_task wanted = score(&task, some, 8);

        assert_int_equal(part.n, 8);
        assert_string_equal(part.ids[7], wanted.ids[7]);
        assert_true(part.values[0] == wanted.values[0] && part.errors[0] == wanted.errors[0]);
        score_task_release(&wanted);
        score_task_release(&part);
        free(keys);
        task_plan_free(plan);
        task_release(&task);
    }
}

static void a_document_whose_text_is_not_at_its_end_is_not_done(void **state)
{
    struct task task = addition("generate_until", "\"gold\": \"answer\", \"exact_match\": "
                                                  "{\"regexes_to_ignore\": [\"@\"]}, " SHORT);
    struct task_plan *plan = NULL;
    size_t before = 0;

    (void)state;
    assert_int_equal(task_plan_new(&plan, &task, bench.tokenizer, some, N, 0, 256, NULL), 0);
    assert_int_equal(run_some(plan, 1, 1), 0);
    for (size_t tokens = 1; before < N; tokens += 5) {
        const size_t done = run_some(plan, 1, tokens);

        assert_true(done >= before);
        before = done;
    }
    task_plan_free(plan);
    task_release(&task);
}

/* The right answers written out, but behind a stop text that takes several tokens. */
static void decodes_on_where_the_forced_pass_leaves_it_open(void **state)
{
    struct task usual = addition("generate_until", "\"gold\": \"answer\", " SHORT);
    struct task longer =
        addition("generate_until", "\"gold\": \"answer\", \"generation\": "
                                   "{\"until\": [\"\\n\\n\\n\"], \"max_new_tokens\": 8}");
    struct score_task a = score(&usual, some, N);
    struct score_task b = score(&longer, some, N);

    (void)state;
    assert_memory_equal(a.document_values, b.document_values, N * sizeof(double));
    score_task_release(&b);
    score_task_release(&a);
    task_release(&longer);
    task_release(&usual);
}

/* ---- generated texts ---- */

/* Something to ignore that never occurs makes the text needed. */
#define TEXT "\"exact_match\": {\"regexes_to_ignore\": [\"@\"]}, "

static void generating_decides_as_following_does(void **state)
{
    static const char *const generations[] = {
        SHORT,
        "\"generation\": {\"until\": [\"\\n\\n\"], \"max_new_tokens\": 3}",
        "\"generation\": {\"until\": [], \"max_new_tokens\": 40}",
    };
    size_t documents[60];

    (void)state;
    for (size_t i = 0; i < 60; i++) {
        documents[i] = i * 13;
    }
    for (size_t g = 0; g < 3; g++) {
        char *plain = mem_printf("\"gold\": \"answer\", %s", generations[g]);
        char *whole = mem_printf("\"gold\": \"answer\", " TEXT "%s", generations[g]);
        struct task a = addition("generate_until", plain);
        struct task b = addition("generate_until", whole);
        struct score_task forced = score(&a, documents, 60);
        struct score_task texts = score(&b, documents, 60);

        assert_null(forced.texts);
        assert_memory_equal(forced.document_values, texts.document_values, 60 * sizeof(double));
        for (size_t i = 0; i < 60; i++) {
            const char *answer = b.documents[documents[i]].continuations.all[0];

            assert_true((strcmp(texts.texts[i], answer) == 0) == (texts.document_values[i] == 1.0));
        }
        score_task_release(&forced);
        score_task_release(&texts);
        task_release(&a);
        task_release(&b);
        free(plain);
        free(whole);
    }
}

#define FILTERS                                                                        \
    "\"filters\": [{\"name\": \"whole\", \"steps\": [\"take_first\"]},"                \
    "{\"name\": \"last\", \"steps\": [{\"regex\": \"[0-9]\", \"group_select\": -1}]}," \
    "{\"name\": \"never\", \"steps\": [{\"regex\": \"x\"}]}], "

static void every_filter_has_a_column(void **state)
{
    struct task task = addition("generate_until", "\"gold\": \"answer\", " FILTERS SHORT);
    struct task plain = addition("generate_until", "\"gold\": \"answer\", " SHORT);
    struct score_task made = score(&task, some, N);
    struct score_task forced = score(&plain, some, N);

    (void)state;
    assert_int_equal(made.n_metrics, 3);
    assert_string_equal(made.metrics[1], "exact_match,last");
    assert_int_equal(made.first[N], N);
    assert_true(strcmp(task.digest, plain.digest) != 0);
    for (size_t i = 0; i < N; i++) {
        const size_t n = strlen(made.texts[i]);

        assert_true(made.document_values[3 * i] == forced.document_values[i]);
        assert_true(n > 1 || made.document_values[3 * i] == made.document_values[3 * i + 1]);
        assert_true(made.document_values[3 * i + 2] == 0.0);
        assert_true(made.loglikelihoods[i] < 0.0 && made.greedy[i] == 1);
    }
    assert_true(made.values[0] == forced.values[0]);
    score_task_release(&made);
    score_task_release(&forced);
    task_release(&task);
    task_release(&plain);
}

static void texts_do_not_depend_on_their_company(void **state)
{
    struct task task = addition("generate_until", "\"gold\": \"answer\", " FILTERS SHORT);
    struct score_task whole = score(&task, some, N);
    struct score_task pieces = score_stretched(&task, 5);
    struct score_task alone = score(&task, some + 3, 2);

    (void)state;
    for (size_t i = 0; i < N; i++) {
        assert_string_equal(pieces.texts[i], whole.texts[i]);
    }
    assert_memory_equal(pieces.loglikelihoods, whole.loglikelihoods, N * sizeof(double));
    assert_memory_equal(pieces.document_values, whole.document_values, 3 * N * sizeof(double));
    assert_string_equal(alone.texts[0], whole.texts[3]);
    assert_true(alone.loglikelihoods[0] == whole.loglikelihoods[3]);
    score_task_release(&whole);
    score_task_release(&pieces);
    score_task_release(&alone);
    task_release(&task);
}

static void a_stop_at_the_start_leaves_nothing(void **state)
{
    struct task task = addition(
        "generate_until",
        "\"gold\": \"answer\", " TEXT "\"generation\": {\"until\": [\"0\", \"1\", \"2\", \"3\", "
        "\"4\", \"5\", \"6\", \"7\", \"8\", \"9\"], \"max_new_tokens\": 8}");
    struct score_task made = score(&task, some, N);

    (void)state;
    for (size_t i = 0; i < N; i++) {
        assert_string_equal(made.texts[i], "");
    }
    assert_true(made.values[0] == 0.0);
    score_task_release(&made);
    task_release(&task);
}

static void makes_perplexities_of_sums(void **state)
{
    struct task log = addition("loglikelihood", "\"gold\": \"answer\", "
                                                "\"metrics\": [\"perplexity\", \"acc\"]");
    struct task rolling =
        addition("loglikelihood_rolling", "\"metrics\": [\"byte_perplexity\", \"bits_per_byte\"]");
    struct score_task made = score(&log, some, N);
    struct score_task rolled = score(&rolling, some, N);

    (void)state;
    check_near(made.values[0], exp(-mean(&made, 0)), 1e-9);
    assert_true(isnan(made.errors[0]));
    check_near(rolled.values[1], log2(rolled.values[0]), 1e-9);
    score_task_release(&rolled);
    score_task_release(&made);
    task_release(&rolling);
    task_release(&log);
}

static void fails_as_a_candidate_when_weights_are_not_finite(void **state)
{
    struct task task = addition("generate_until", "\"gold\": \"answer\", " SHORT);
    struct task_plan *plan = NULL;
    struct score_task made = {0};
    struct err err = {0};
    struct weights *broken = NULL;

    (void)state;
    assert_int_equal(weights_new(&broken, checkpoint_config(bench.checkpoint), NULL), 0);
    assert_int_equal(weights_load(broken, bench.checkpoint, NULL), 0);
    weights_slot(broken, TENSOR_FINAL_NORM, 0)[0] = (float)NAN;
    assert_int_equal(task_plan_new(&plan, &task, bench.tokenizer, some, N, 0, 256, NULL), 0);
    assert_int_equal(task_run(plan, bench.forward, broken, &made, &err), ERR_NUMERIC);
    assert_non_null(strstr(err.text, "task t: "));
    assert_null(made.name);
    task_plan_free(plan);
    weights_free(broken);
    task_release(&task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_documents_in_the_order_asked),
        cmocka_unit_test(gives_a_document_the_same_numbers_alone),
        cmocka_unit_test(takes_any_of_several_answers),
        cmocka_unit_test(an_answer_longer_than_allowed_is_wrong),
        cmocka_unit_test(stretches_change_no_number),
        cmocka_unit_test(a_stopped_run_has_the_numbers_of_the_documents_done),
        cmocka_unit_test(a_document_whose_text_is_not_at_its_end_is_not_done),
        cmocka_unit_test(decodes_on_where_the_forced_pass_leaves_it_open),
        cmocka_unit_test(generating_decides_as_following_does),
        cmocka_unit_test(every_filter_has_a_column),
        cmocka_unit_test(texts_do_not_depend_on_their_company),
        cmocka_unit_test(a_stop_at_the_start_leaves_nothing),
        cmocka_unit_test(makes_perplexities_of_sums),
        cmocka_unit_test(fails_as_a_candidate_when_weights_are_not_finite),
    };

    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
