/*
 * One model on three tasks: choices, answers that are decoded on, and texts; whole or a layer at a
 * time, looked at, and stopped at every moment.
 */
#include "evaluator/exam.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "evaluator/evaluator.h"
#include "study/recipe.h"

#define EXAMPLES TESTS_DIR "/../study/examples/"
#define TASKS 3
#define LIMIT ((size_t)70) /* documents: not a multiple of a stretch */

/* Streamed, the layers of few documents, and of all of them. */
#define SCARCE ((uint64_t)6000 << 10)
#define AMPLE ((uint64_t)6800 << 10)

static const char *const task_files[TASKS] = {"addition_choice", "reversal", "spelling"};

struct bench {
    struct bundle bundle;
    struct evaluator *evaluator;
    struct text recipe;
};

/* The last task's texts are needed: case is not looked at. */
static void read_task(struct task *out, size_t t)
{
    char *path = mem_printf(EXAMPLES "tasks/%s.yaml", task_files[t]);

    assert_int_equal(task_load(out, path, NULL), 0);
    if (t == TASKS - 1) {
        out->match.ignore_case = true;
    }
    free(path);
}

static void bench_open(struct bench *bench, uint64_t memory)
{
    struct checkpoint *model = NULL;
    const struct method *method = NULL;
    struct recipe recipe = {0};
    struct err err = {0};

    *bench = (struct bench){.bundle = {.study = mem_text("t"),
                                       .shares = {1.0, 0.0, 0.0},
                                       .memory = memory,
                                       .prefix_cache_off = true,
                                       .models = mem_array(1, sizeof(struct bundle_model)),
                                       .n_models = 1,
                                       .tasks = mem_array(TASKS, sizeof(struct bundle_task)),
                                       .n_tasks = TASKS}};
    for (size_t t = 0; t < TASKS; t++) {
        bench->bundle.tasks[t].limit = LIMIT;
        read_task(&bench->bundle.tasks[t].task, t);
    }
    struct bundle_model *named = &bench->bundle.models[0];

    *named = (struct bundle_model){.name = mem_text("adder"),
                                   .path = mem_text(EXAMPLES "models/speller")};
    assert_int_equal(checkpoint_open(&model, named->path, NULL), 0);
    assert_int_equal(checkpoint_digest(model, named->digest, NULL), 0);
    checkpoint_close(model);
    const char *digests[1] = {named->digest};
    assert_int_equal(method_find(&method, "passthrough", NULL), 0);
    /* As bfloat16 it would fit into what streaming takes. */
    recipe_init(&recipe, method, RECIPE_FLOAT32, 1, 6, digests, 1, NULL);
    recipe_print(&bench->recipe, &recipe);
    recipe_release(&recipe);
    if (evaluator_open(&bench->evaluator, &bench->bundle, NULL, 0, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static void bench_close(struct bench *bench)
{
    evaluator_close(bench->evaluator);
    bundle_release(&bench->bundle);
    text_release(&bench->recipe);
}

static struct score run(const struct bench *bench)
{
    struct score score = {0};
    struct err err = {0};

    if (evaluator_run(bench->evaluator, text_get(&bench->recipe), bench->recipe.size, SPLIT_ALL,
                      &score, &err) != 0 ||
        score.failure != SCORE_OK) {
        fail_msg("%s%s", err.text, score.detail != NULL ? score.detail : "");
    }
    return score;
}

static struct evaluator_needs needs_of(const struct bench *bench)
{
    struct evaluator_needs needs = {0};
    struct err err = {0};

    if (evaluator_needs(bench->evaluator, text_get(&bench->recipe), bench->recipe.size, SPLIT_ALL,
                        0, &needs, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return needs;
}

/* part has the first documents of whole, to the last bit. */
static void assert_begins(const struct score_task *part, const struct score_task *whole)
{
    assert_string_equal(part->name, whole->name);
    assert_true(part->n > 0 && part->n <= whole->n);
    assert_memory_equal(part->document_values, whole->document_values,
                        part->n * part->n_metrics * sizeof(double));
    assert_memory_equal(part->loglikelihoods, whole->loglikelihoods,
                        part->first[part->n] * sizeof(double));
    for (size_t i = 0; i < part->n && whole->texts != NULL; i++) {
        assert_string_equal(part->texts[i], whole->texts[i]);
    }
}

static void assert_same(const struct score *a, const struct score *b)
{
    assert_int_equal(a->n_tasks, b->n_tasks);
    for (size_t t = 0; t < a->n_tasks; t++) {
        assert_int_equal(a->tasks[t].n, b->tasks[t].n);
        assert_begins(&a->tasks[t], &b->tasks[t]);
        assert_memory_equal(a->tasks[t].values, b->tasks[t].values,
                            a->tasks[t].n_metrics * sizeof(double));
    }
}

/* ---- whole and streamed ---- */

static void any_memory_gives_the_same_bits(void **state)
{
    const uint64_t memories[] = {SCARCE, AMPLE, (uint64_t)1 << 30};
    struct bench whole;
    size_t sweeps[3];

    (void)state;
    bench_open(&whole, 0);
    struct score wanted = run(&whole);

    assert_int_equal(wanted.n_tasks, TASKS);
    assert_non_null(wanted.tasks[2].texts);
    for (size_t i = 0; i < 3; i++) {
        struct bench bench;

        bench_open(&bench, memories[i]);
        const struct evaluator_needs needs = needs_of(&bench);
        struct score score = run(&bench);

        assert_true(needs.bytes <= memories[i]);
        assert_true(needs.streams == (i < 2));
        assert_same(&score, &wanted);
        assert_string_equal(score.weights, wanted.weights);
        sweeps[i] = needs.sweeps;
        score_release(&score);
        bench_close(&bench);
    }
    assert_true(sweeps[0] > sweeps[1] && sweeps[1] == 1 && sweeps[2] == 1);
    score_release(&wanted);
    bench_close(&whole);
}

/* ---- looked at ---- */

struct looks {
    size_t n, stop_after; /* 0: never */
    size_t sweeps, writing;
    struct exam_progress last;
};

static bool look(void *context, const struct exam_progress *at)
{
    struct looks *looks = context;

    assert_int_equal(at->n_documents, TASKS * LIMIT);
    assert_true(at->share >= 0.0 && at->share <= 1.0);
    assert_true(at->documents >= looks->last.documents && at->layer <= at->n_layers);
    assert_true(at->phase != looks->last.phase || at->share >= looks->last.share);
    looks->sweeps += at->phase == EXAM_SCORING && at->layer == 1 && looks->last.layer != 1;
    looks->writing += at->phase == EXAM_WRITING;
    looks->last = *at;
    return ++looks->n != looks->stop_after;
}

static struct score run_looked_at(const struct bench *bench, struct looks *looks)
{
    struct exam_watch watch = {.look = look, .context = looks};

    evaluator_watch(bench->evaluator, &watch);
    struct score score = run(bench);

    assert_true(watch.stopped == (looks->stop_after > 0 && looks->n >= looks->stop_after));
    return score;
}

static void a_resident_run_is_seen_by_stretches(void **state)
{
    struct looks looks = {0};
    struct bench bench;

    (void)state;
    bench_open(&bench, 0);
    struct score score = run_looked_at(&bench, &looks);

    assert_true(looks.n >= TASKS * 3); /* of 32, 32 and 6 documents */
    assert_int_equal(looks.sweeps + looks.writing, 0);
    assert_int_equal(looks.last.documents, TASKS * LIMIT);
    assert_true(looks.last.share == 1.0);
    score_release(&score);
    bench_close(&bench);
}

static void a_streamed_run_is_seen_by_layers_then_by_tokens(void **state)
{
    const uint64_t memories[] = {SCARCE, AMPLE};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct looks looks = {0};
        struct bench bench;

        bench_open(&bench, memories[i]);
        struct score score = run_looked_at(&bench, &looks);

        assert_int_equal(looks.sweeps, needs_of(&bench).sweeps);
        assert_true(looks.writing > 1);
        assert_int_equal(looks.last.phase, EXAM_WRITING);
        assert_true(looks.last.n_lines >= LIMIT); /* all texts, and what was left open */
        score_release(&score);
        bench_close(&bench);
    }
}

/* ---- stopped ---- */

static void what_is_done_when_it_stops_has_its_numbers(void **state)
{
    const uint64_t memories[] = {0, SCARCE, AMPLE};
    struct bench whole;
    size_t empty = 0, partial = 0;

    (void)state;
    bench_open(&whole, 0);
    struct score wanted = run(&whole);

    for (size_t i = 0; i < 3; i++) {
        struct bench bench;

        bench_open(&bench, memories[i]);
        for (size_t stop = 1, n = SIZE_MAX; stop <= n; stop = stop * 3 / 2 + 1) {
            struct looks looks = {.stop_after = stop};
            struct score score = run_looked_at(&bench, &looks);

            for (size_t t = 0; t < score.n_tasks; t++) {
                for (size_t w = 0; w < TASKS; w++) {
                    if (strcmp(wanted.tasks[w].name, score.tasks[t].name) == 0) {
                        assert_begins(&score.tasks[t], &wanted.tasks[w]);
                    }
                }
            }
            empty += score.n_tasks == 0;
            partial += score.n_tasks > 0 && score.n_tasks < TASKS;
            n = looks.n < stop ? looks.n : SIZE_MAX;
            score_release(&score);
        }
        bench_close(&bench);
    }
    assert_true(empty >= 2 && partial >= 2);
    score_release(&wanted);
    bench_close(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_memory_gives_the_same_bits),
        cmocka_unit_test(a_resident_run_is_seen_by_stretches),
        cmocka_unit_test(a_streamed_run_is_seen_by_layers_then_by_tokens),
        cmocka_unit_test(what_is_done_when_it_stops_has_its_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
