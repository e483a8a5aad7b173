/*
 * exam.c - the tasks of a split, taken together.
 *
 *   streamed, three tasks of which the last needs texts, memory for the streams of three stretches
 *
 *     sweep   task 0 [0 ..)  task 0 [32 ..)  task 1 [0 ..)      every layer once, then scored
 *     sweep   task 1 [32 ..)                                    once more
 *     write   what task 0 left open, all of task 2              once a token of the longest
 */
#include "evaluator/exam.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/model/generate.h"
#include "evaluator/task/dataset.h"
#include "evaluator/task/run.h"

struct exam {
    size_t n_tasks;
    struct task_plan **plans; /* [n_tasks] */
    const char **names;       /* [n_tasks] the bundle's */
    struct engine_work work;
    const struct trie **tries; /* the work's */
    struct trie_nodes largest;
    size_t positions, stretch, n_documents;
};

/* ---- planning ---- */

static int plan_task(const struct exam_terms *terms, size_t t, struct task_plan **out,
                     struct err *err)
{
    const struct bundle *bundle = terms->bundle;
    const struct bundle_task *task = &bundle->tasks[t];
    size_t *documents = NULL;
    size_t n = 0;
    int rc = dataset_split(&task->task, bundle->seed, bundle->shares, task->limit, terms->split,
                           &documents, &n, err);

    if (rc == 0) {
        rc = task_plan_new(out, &task->task, terms->tokenizer, documents,
                           n < terms->documents_max ? n : terms->documents_max, terms->stretch,
                           terms->positions, err);
    }
    free(documents);
    return rc;
}

/* Count a task in. */
static void add_task(struct exam *exam, const struct task_plan *plan)
{
    const size_t n = task_plan_stretches(plan);
    const size_t n_lines = exam->largest.n_sequences;

    exam->largest.n_sequences = 0;
    task_plan_largest(plan, &exam->largest);
    exam->largest.n_sequences += n_lines; /* they may all be written together */
    exam->positions += task_plan_positions(plan);
    for (size_t t = 0; t < n; t++) {
        const size_t documents = task_plan_documents(plan, t);

        exam->n_documents += documents;
        exam->stretch = documents > exam->stretch ? documents : exam->stretch;
    }
    if (task_plan_scores(plan)) {
        exam->tries = mem_resize(exam->tries, exam->work.n_tries + n, sizeof(struct trie *));
        for (size_t t = 0; t < n; t++) {
            exam->tries[exam->work.n_tries++] = task_plan_trie(plan, t);
        }
        exam->work.tries = exam->tries;
    }
}

int exam_open(struct exam **out, const struct exam_terms *terms, struct err *err)
{
    struct exam *made = mem_array(1, sizeof *made);
    int rc = 0;

    made->plans = mem_array(terms->n_tasks, sizeof *made->plans);
    made->names = mem_array(terms->n_tasks, sizeof *made->names);
    for (size_t t = 0; t < terms->n_tasks && rc == 0; t++) {
        struct task_plan **plan = &made->plans[made->n_tasks];

        if (terms->bundle->tasks[t].program != NULL) {
            continue;
        }
        rc = plan_task(terms, t, plan, err);
        if (rc == 0) {
            made->names[made->n_tasks++] = terms->bundle->tasks[t].task.name;
            add_task(made, *plan);
        }
    }
    if (rc != 0) {
        exam_close(made);
        return rc;
    }
    *out = made;
    return 0;
}

void exam_close(struct exam *exam)
{
    if (exam != NULL) {
        for (size_t t = 0; t < exam->n_tasks; t++) {
            task_plan_free(exam->plans[t]);
        }
        free(exam->plans);
        free(exam->names);
        free(exam->tries);
        free(exam);
    }
}

const struct engine_work *exam_work(const struct exam *exam)
{
    return &exam->work;
}

const struct trie_nodes *exam_largest(const struct exam *exam)
{
    return &exam->largest;
}

size_t exam_positions(const struct exam *exam)
{
    return exam->positions;
}

size_t exam_stretch(const struct exam *exam)
{
    return exam->stretch;
}

/* ---- a candidate ---- */

struct sitting {
    struct exam *exam;
    struct engine *engine;
    struct exam_watch *watch; /* NULL: nobody looks */
    struct exam_progress at;
    size_t next, swept; /* scored tries: the next, and where the last sweep ended */
    double passed;      /* positions times layers, of swept ones */
};

static bool stopped(const struct sitting *sitting)
{
    return sitting->watch != NULL && sitting->watch->stopped;
}

static bool look(struct sitting *sitting)
{
    struct exam_watch *watch = sitting->watch;

    if (watch != NULL && !watch->stopped) {
        watch->stopped = !watch->look(watch->context, &sitting->at);
    }
    return !stopped(sitting);
}

static size_t documents_done(const struct exam *exam)
{
    size_t done = 0;

    for (size_t t = 0; t < exam->n_tasks; t++) {
        done += task_done(exam->plans[t]);
    }
    return done;
}

/* ---- texts ---- */

/* Lines of the tasks [first, first + n), one task's behind the other's. */
struct pool {
    struct sitting *sitting;
    size_t first, n;
};

static bool take(void *context, size_t line, const struct forward_place *place)
{
    const struct pool *pool = context;
    struct task_plan **plan = pool->sitting->exam->plans + pool->first;

    for (; line >= task_lines(*plan); plan++) {
        line -= task_lines(*plan);
    }
    const bool goes_on = task_take(*plan, line, place);

    pool->sitting->at.lines += goes_on ? 0 : 1;
    return goes_on;
}

static bool look_at_lines(void *context, double share)
{
    const struct pool *pool = context;
    struct exam_progress *at = &pool->sitting->at;

    if (engine_streams(pool->sitting->engine)) {
        at->phase = EXAM_WRITING;
        at->share = share;
    }
    return look(pool->sitting);
}

static int write_texts(struct pool *pool, struct err *err)
{
    struct sitting *sitting = pool->sitting;
    struct task_plan **plans = sitting->exam->plans + pool->first;
    const struct generate_sink sink = {.take = take, .look = look_at_lines, .context = pool};
    size_t n = 0;

    for (size_t t = 0; t < pool->n; t++) {
        n += task_lines(plans[t]);
    }
    if (n == 0) {
        return 0;
    }
    engine_end_sweep(sitting->engine);
    struct generate_prompt *prompts = mem_array(n, sizeof *prompts);
    size_t at = 0;

    for (size_t t = 0; t < pool->n; t++) {
        for (size_t line = 0; line < task_lines(plans[t]); line++) {
            prompts[at++] = task_prompt(plans[t], line);
        }
    }
    sitting->at.lines = 0;
    sitting->at.n_lines = n;
    int rc = generate(engine_forward(sitting->engine), engine_weights(sitting->engine), prompts, n,
                      &sink, err);

    free(prompts);
    for (size_t t = 0; t < pool->n && rc == 0; t++) {
        rc = task_write(plans[t], err);
    }
    return rc;
}

/* ---- numbers ---- */

static bool look_at_sweep(void *context, uint32_t n_layers, size_t positions)
{
    struct sitting *sitting = context;
    const uint32_t layers = weights_config(engine_weights(sitting->engine))->n_layers;
    double all = 0;

    for (size_t t = 0; t < sitting->exam->work.n_tries; t++) {
        all += (double)trie_positions(sitting->exam->tries[t]) * layers;
    }
    sitting->passed += (double)positions;
    sitting->at.layer = n_layers;
    sitting->at.n_layers = layers;
    sitting->at.share = sitting->passed / all;
    return look(sitting);
}

/* Before a trie is scored that no sweep has reached. */
static int sweep(struct sitting *sitting, struct err *err)
{
    const struct engine_look looks = {.passed = look_at_sweep, .context = sitting};

    if (sitting->next < sitting->swept) {
        return 0;
    }
    return engine_sweep(sitting->engine, sitting->next, &looks, &sitting->swept, err);
}

static int score_stretch(struct sitting *sitting, size_t task, size_t t, struct err *err)
{
    struct exam *exam = sitting->exam;
    struct task_plan *plan = exam->plans[task];
    int rc = task_plan_scores(plan) ? sweep(sitting, err) : 0;

    if (rc != 0 || stopped(sitting)) {
        return rc;
    }
    rc = task_score(plan, t, engine_forward(sitting->engine), engine_weights(sitting->engine), err);
    sitting->next += task_plan_scores(plan) ? 1 : 0;
    if (rc == 0 && !engine_streams(sitting->engine)) {
        rc = write_texts(&(struct pool){sitting, task, 1}, err);
    }
    return rc;
}

static int sit(struct sitting *sitting, struct err *err)
{
    struct exam *exam = sitting->exam;
    const bool streams = engine_streams(sitting->engine);
    int rc = 0;

    for (size_t task = 0; task < exam->n_tasks; task++) {
        task_begin(exam->plans[task]);
    }
    for (size_t task = 0; task < exam->n_tasks; task++) {
        for (size_t t = 0; t < task_plan_stretches(exam->plans[task]); t++) {
            sitting->at.task = exam->names[task];
            rc = score_stretch(sitting, task, t, err);
            if (rc != 0 || stopped(sitting)) {
                return rc;
            }
            sitting->at.documents = documents_done(exam);
            if (!streams) {
                sitting->at.share = (double)sitting->at.documents / (double)exam->n_documents;
                look(sitting);
            }
        }
    }
    if (streams && !stopped(sitting)) {
        rc = write_texts(&(struct pool){sitting, 0, exam->n_tasks}, err);
    }
    return rc;
}

int exam_sit(struct exam *exam, struct engine *engine, struct exam_watch *watch, struct score *out,
             struct err *err)
{
    struct sitting sitting = {
        .exam = exam, .engine = engine, .watch = watch, .at.n_documents = exam->n_documents};
    const int rc = sit(&sitting, err);

    if (rc != 0) {
        return rc;
    }
    out->tasks = mem_array(exam->n_tasks, sizeof(struct score_task));
    for (size_t t = 0; t < exam->n_tasks; t++) {
        if (task_done(exam->plans[t]) > 0) {
            task_result(exam->plans[t], &out->tasks[out->n_tasks++]);
        }
    }
    return 0;
}
