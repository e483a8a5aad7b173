/*
 * evaluator.c - one recipe in, one score out.
 */
#include "evaluator/evaluator.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/engine.h"
#include "evaluator/exam.h"
#include "evaluator/merge/plan.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/gemm.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/outside.h"
#include "study/recipe.h"

#define SPLITS 4

struct evaluator {
    const struct bundle *bundle;
    struct checkpoint **models;  /* [bundle's models] */
    bool lent;                   /* they are somebody's */
    struct plan_model *named;    /* the same by digest */
    struct tokenizer *tokenizer; /* NULL without tasks of our own, as is engine */
    struct engine *engine;
    struct exam *exams[SPLITS]; /* NULL until asked for */
    struct exam_watch *watch;   /* NULL: nobody looks */
    struct outside outside;     /* for the tasks of programs */
    uint64_t taken;             /* bytes, by what runs tasks of our own */
    uint64_t blocks;
};

/* ---- models ---- */

static int open_if_digest(struct checkpoint **out, const char *path, const char *digest,
                          struct err *err)
{
    struct checkpoint *model = NULL;
    char found[DIGEST_HEX];
    int rc = checkpoint_open(&model, path, err);

    if (rc == 0) {
        rc = checkpoint_digest(model, found, err);
    }
    if (rc == 0 && strcmp(found, digest) != 0) {
        rc = err_set(err, ERR_CONFLICT, "%s: it hashes to %.16s..., the study means %.16s...", path,
                     found, digest);
    }
    if (rc != 0) {
        checkpoint_close(model);
        return rc;
    }
    *out = model;
    return 0;
}

/* Any folder of dir that has the digest. */
static bool find_in_dir(struct checkpoint **out, const char *dir, const char *digest)
{
    DIR *list = opendir(dir);
    bool found = false;

    for (struct dirent *entry; list != NULL && !found && (entry = readdir(list)) != NULL;) {
        char *path = file_join(dir, entry->d_name);

        found = entry->d_name[0] != '.' && open_if_digest(out, path, digest, NULL) == 0;
        free(path);
    }
    if (list != NULL) {
        closedir(list);
    }
    return found;
}

static int open_model(struct checkpoint **out, const struct bundle_model *model,
                      const char *const *dirs, size_t n_dirs, struct err *err)
{
    int rc = open_if_digest(out, model->path, model->digest, err);

    for (size_t d = 0; d < n_dirs && rc != 0; d++) {
        if (find_in_dir(out, dirs[d], model->digest)) {
            rc = 0;
        }
    }
    return rc == 0 ? 0 : err_wrap(err, "model %s", model->name);
}

/* ---- opening ---- */

static bool has_programs(const struct evaluator *evaluator)
{
    return bundle_programs(evaluator->bundle) > 0;
}

/* Tasks of our own need a model that we can run; programs may run what they can. */
static bool has_own_tasks(const struct evaluator *evaluator)
{
    return bundle_programs(evaluator->bundle) < evaluator->bundle->n_tasks;
}

static int open_engine(struct evaluator *evaluator, struct err *err)
{
    const struct checkpoint *first = evaluator->models[0];
    int rc = tokenizer_open(&evaluator->tokenizer, checkpoint_folder(first), err);

    if (rc != 0) {
        return rc; /* names its file */
    }
    tokenizer_fit(evaluator->tokenizer, checkpoint_config(first)->vocab);
    rc = config_runnable(checkpoint_config(first), err);
    if (rc != 0) {
        return err_wrap(err, "%s", checkpoint_folder(first));
    }
    if (!numeric_available(evaluator->bundle->numeric)) {
        return err_set(err, ERR_CONFLICT,
                       "scores are to be made in %s, which this processor or system has not",
                       numeric_name(evaluator->bundle->numeric));
    }
    evaluator->engine = engine_new(evaluator->bundle->memory, evaluator->bundle->numeric);
    return 0;
}

static struct evaluator *new_evaluator(const struct bundle *bundle)
{
    struct evaluator *made = mem_array(1, sizeof(*made));

    *made = (struct evaluator){.bundle = bundle,
                               .outside = {.memory = bundle->memory},
                               .models = mem_array(bundle->n_models, sizeof(struct checkpoint *)),
                               .named = mem_array(bundle->n_models, sizeof(struct plan_model))};
    return made;
}

/* With its models: name them and take an engine; closes it when that fails. */
static int finish_opening(struct evaluator **out, struct evaluator *made, struct err *err)
{
    for (size_t i = 0; i < made->bundle->n_models; i++) {
        made->named[i] = (struct plan_model){made->bundle->models[i].digest, made->models[i]};
    }
    int rc = has_programs(made) && !has_own_tasks(made) ? 0 : open_engine(made, err);
    if (rc != 0) {
        evaluator_close(made);
        return rc;
    }
    *out = made;
    return 0;
}

int evaluator_open(struct evaluator **out, const struct bundle *bundle,
                   const char *const *search_dirs, size_t n_dirs, struct err *err)
{
    struct evaluator *made = new_evaluator(bundle);
    int rc = bundle->n_models > 0 ? 0 : err_set(err, ERR_MISSING, "no model to evaluate");

    for (size_t i = 0; i < bundle->n_models && rc == 0; i++) {
        rc = open_model(&made->models[i], &bundle->models[i], search_dirs, n_dirs, err);
    }
    if (rc != 0) {
        evaluator_close(made);
        return rc;
    }
    return finish_opening(out, made, err);
}

int evaluator_open_models(struct evaluator **out, const struct bundle *bundle,
                          struct checkpoint *const *models, struct err *err)
{
    struct evaluator *made = new_evaluator(bundle);

    made->lent = true;
    memcpy(made->models, models, bundle->n_models * sizeof(struct checkpoint *));
    return finish_opening(out, made, err);
}

void evaluator_close(struct evaluator *evaluator)
{
    if (evaluator == NULL) {
        return;
    }
    for (size_t s = 0; s < SPLITS; s++) {
        exam_close(evaluator->exams[s]);
    }
    for (size_t i = 0; i < evaluator->bundle->n_models && !evaluator->lent; i++) {
        checkpoint_close(evaluator->models[i]);
    }
    tokenizer_close(evaluator->tokenizer);
    engine_free(evaluator->engine);
    outside_clear(&evaluator->outside);
    free(evaluator->models);
    free(evaluator->named);
    free(evaluator);
}

/* ---- a candidate ---- */

/* A recipe and its plan, which the engine reads while it runs. */
struct candidate {
    struct recipe recipe;
    struct plan plan;
};

static void candidate_release(struct candidate *candidate)
{
    plan_release(&candidate->plan);
    recipe_release(&candidate->recipe);
}

static int read_candidate(const struct evaluator *evaluator, const char *text, size_t size,
                          struct candidate *out, struct err *err)
{
    int rc = recipe_parse(&out->recipe, text, size, err);

    return rc != 0 ? rc
                   : plan_make(&out->plan, &out->recipe, evaluator->named,
                               evaluator->bundle->n_models, err);
}

/* A failure of the candidate, not ours: its kind; SCORE_OK for errors that are ours. */
static enum score_failure kind_of(int rc)
{
    switch (rc) {
    case ERR_NUMERIC:
        return SCORE_NAN;
    case ERR_MEMORY:
        return SCORE_OOM;
    case ERR_FORMAT:
    case ERR_LIMIT:
    case ERR_CONFLICT:
    case ERR_MISSING:
        return SCORE_REFUSED;
    default:
        return SCORE_OK;
    }
}

void evaluator_scratch(struct evaluator *evaluator, const char *folder)
{
    evaluator->outside.scratch = folder;
    if (has_programs(evaluator)) {
        outside_sweep(&evaluator->outside);
    }
}

void evaluator_watch(struct evaluator *evaluator, struct exam_watch *watch)
{
    evaluator->watch = watch;
}

/* ---- its exam ---- */

static struct exam_terms terms_of(const struct evaluator *evaluator, enum split split)
{
    return (struct exam_terms){.bundle = evaluator->bundle,
                               .tokenizer = evaluator->tokenizer,
                               .positions = config_context(checkpoint_config(evaluator->models[0])),
                               .split = split,
                               .n_tasks = evaluator->bundle->n_tasks,
                               .documents_max = SIZE_MAX};
}

static void expect(struct evaluator *evaluator, const struct exam *exam, bool keeps)
{
    struct engine_work work = *exam_work(exam);

    work.keeps = keeps && !evaluator->bundle->prefix_cache_off;
    engine_expect(evaluator->engine, &work);
}

/* Documents a trie: all of a task where a candidate streams in any case, which sweeps show; else a
 * stretch where somebody looks. */
static int first_stretch(struct evaluator *evaluator, const struct plan *plan, size_t *out,
                         struct err *err)
{
    const struct trie_nodes nothing = {.n = 1, .depth_max = 1, .n_scored = 1, .n_targets = 1};
    struct engine_needs needs = {0};
    int rc = engine_needs(evaluator->engine, plan, &nothing, &needs, err);

    *out = evaluator->watch != NULL && !needs.streams ? EXAM_STRETCH : 0;
    return rc;
}

/* Cut an exam into stretches, anew where it is open already. */
static int open_exam(struct evaluator *evaluator, const struct exam_terms *terms,
                     struct exam **exam, struct err *err)
{
    struct exam *made = NULL;
    int rc = exam_open(&made, terms, err);

    if (rc == 0) {
        if (*exam != NULL) {
            engine_forget(evaluator->engine); /* which knows tries by address */
            exam_close(*exam);
        }
        *exam = made;
    }
    return rc;
}

/*
 * The exam of terms, ready for candidates of this plan: as many documents a trie as memory holds.
 * exam is NULL at first; what is open already stays where it fits.
 */
static int exam_for(struct evaluator *evaluator, struct exam_terms *terms, const struct plan *plan,
                    struct exam **exam, struct engine_needs *needs, struct err *err)
{
    int rc = first_stretch(evaluator, plan, &terms->stretch, err);

    if (rc == 0 && *exam == NULL) {
        rc = open_exam(evaluator, terms, exam, err);
    }
    while (rc == 0) {
        expect(evaluator, *exam, true);
        rc = engine_needs(evaluator->engine, plan, exam_largest(*exam), needs, err);
        if (rc != ERR_MEMORY || exam_stretch(*exam) <= 1) {
            break;
        }
        terms->stretch = exam_stretch(*exam) / 2;
        rc = open_exam(evaluator, terms, exam, err);
    }
    return rc;
}

static int load(struct evaluator *evaluator, const struct candidate *candidate, enum split split,
                struct err *err)
{
    struct exam_terms terms = terms_of(evaluator, split);
    struct exam **exam = &evaluator->exams[split];
    struct engine_needs needs;
    int rc = exam_for(evaluator, &terms, &candidate->plan, exam, &needs, err);

    if (rc == 0) {
        evaluator->taken = needs.bytes + needs.kept;
        rc = engine_load(evaluator->engine, &candidate->plan, exam_largest(*exam), err);
    }
    return rc;
}

static bool is_stopped(const struct evaluator *evaluator)
{
    return evaluator->watch != NULL && evaluator->watch->stopped;
}

/* On tasks of our own; *positions counts what was computed, on failure too. */
static int sit_exam(struct evaluator *evaluator, struct candidate *candidate, enum split split,
                    struct score *out, uint64_t *positions, struct err *err)
{
    int rc = load(evaluator, candidate, split, err);

    if (rc != 0) {
        return rc;
    }
    struct forward *forward = engine_forward(evaluator->engine);
    uint64_t positions_before = forward_positions(forward);
    uint64_t blocks_before = forward_blocks(forward);

    rc = exam_sit(evaluator->exams[split], evaluator->engine, evaluator->watch, out, err);
    *positions = forward_positions(forward) - positions_before;
    evaluator->blocks += forward_blocks(forward) - blocks_before;
    return rc == 0 && !is_stopped(evaluator) ? engine_digest(evaluator->engine, out->weights, err)
                                             : rc;
}

/* Tasks came in two heaps, each in the order of the bundle. */
static void put_in_order(const struct bundle *bundle, struct score *score)
{
    struct score_task *tasks = mem_array(score->n_tasks, sizeof(*tasks));
    size_t n = 0;

    for (size_t t = 0; t < bundle->n_tasks; t++) {
        const struct score_task *found = score_find(score, bundle->tasks[t].task.name);

        if (found != NULL) {
            tasks[n++] = *found;
        }
    }
    free(score->tasks);
    score->tasks = tasks;
}

/* What candidates in memory may take beside the engine: 0 for any, as evaluator.memory has it. */
static uint64_t memory_left(const struct evaluator *evaluator)
{
    const uint64_t memory = evaluator->bundle->memory;

    return memory == 0 ? 0 : memory > evaluator->taken ? memory - evaluator->taken : 1;
}

/* On the tasks of programs. *failure: as program_run. */
static int run_programs(struct evaluator *evaluator, const struct candidate *candidate,
                        struct program_call *call, struct score *out, enum score_failure *failure,
                        struct err *err)
{
    const struct bundle *bundle = evaluator->bundle;
    struct outside *outside = &evaluator->outside;

    outside->memory = memory_left(evaluator);
    int rc = outside_write(outside, &candidate->plan, out->weights, err);

    if (rc == ERR_IO) {
        *failure = SCORE_OOM; /* no room here; there may be some elsewhere, or later */
    }

    out->tasks = mem_resize(out->tasks, bundle->n_tasks, sizeof(struct score_task));
    for (size_t t = 0; t < bundle->n_tasks && rc == 0; t++) {
        const struct bundle_task *task = &bundle->tasks[t];

        if (task->program != NULL) {
            call->limit = task->limit;
            rc = outside_run(outside, task->program, call, &out->tasks[out->n_tasks], failure, err);
            out->n_tasks += rc == 0;
        }
    }
    if (rc == 0) {
        memcpy(out->weights, outside->weights, DIGEST_HEX);
    }
    put_in_order(bundle, out);
    outside_clear(outside);
    return rc;
}

/* The candidate's whole way. */
static int score_candidate(struct evaluator *evaluator, struct candidate *candidate,
                           struct program_call *call, enum split split, struct score *out,
                           uint64_t *positions, enum score_failure *failure, struct err *err)
{
    int rc =
        has_own_tasks(evaluator) ? sit_exam(evaluator, candidate, split, out, positions, err) : 0;

    if (rc == 0 && has_programs(evaluator) && !is_stopped(evaluator)) {
        rc = run_programs(evaluator, candidate, call, out, failure, err);
    }
    if (rc == ERR_STOPPED && evaluator->watch != NULL) {
        evaluator->watch->stopped = true; /* what is done by then is done */
        rc = 0;
    }
    return rc;
}

/* The arithmetic of a candidate's scores; of programs' we know nothing. */
static char *path_of(const struct evaluator *evaluator, const struct plan *plan)
{
    return mem_text(has_own_tasks(evaluator)
                        ? gemm_path(engine_numeric(plan, evaluator->bundle->numeric))
                        : PROGRAM_OUTPUT);
}

int evaluator_run(struct evaluator *evaluator, const char *recipe, size_t size, enum split split,
                  struct score *out, struct err *err)
{
    struct score made = {0};
    struct candidate candidate = {0};
    enum score_failure failure = SCORE_OK;
    char digest[DIGEST_HEX];
    uint64_t positions = 0;
    int rc = 0;

    for (size_t i = 0; i < evaluator->bundle->n_models && rc == 0; i++) {
        rc = checkpoint_unchanged(evaluator->models[i], err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = read_candidate(evaluator, recipe, size, &candidate, err);
    made.path = path_of(evaluator, &candidate.plan);
    digest_hex_of(recipe, size, digest);
    struct program_call call = {
        .candidate = digest, .split = split_name(split), .seed = evaluator->bundle->seed};

    if (rc == 0) {
        rc = score_candidate(evaluator, &candidate, &call, split, &made, &positions, &failure, err);
    }
    candidate_release(&candidate);
    failure = failure != SCORE_OK ? failure : kind_of(rc);
    if (rc != 0 && failure == SCORE_OK) {
        score_release(&made);
        return rc;
    }
    if (rc != 0) {
        char *path = made.path;

        made.path = NULL;
        score_release(&made);
        made = (struct score){.failure = failure, .detail = mem_text(err->text), .path = path};
    }
    made.positions = positions;
    *out = made;
    return 0;
}

/* ---- forecasts ---- */

/* Of tasks of our own. */
static int exam_needs(struct evaluator *evaluator, const struct candidate *candidate,
                      enum split split, uint32_t n_layers, struct evaluator_needs *out,
                      struct err *err)
{
    struct exam_terms terms = terms_of(evaluator, split);
    struct exam **exam = &evaluator->exams[split];
    struct engine_needs needs = {0};
    struct plan longest = candidate->plan; /* in what its config says of layers */

    if (longest.config.n_layers < n_layers) {
        longest.config.n_layers = n_layers;
    }
    int rc = exam_for(evaluator, &terms, &longest, exam, &needs, err);
    if (rc == 0) {
        *out = (struct evaluator_needs){.streams = needs.streams,
                                        .bytes = needs.bytes,
                                        .kept = needs.kept,
                                        .positions = exam_positions(*exam),
                                        .sweeps = needs.streams ? needs.n_sweeps : 1};
    }
    return rc;
}

int evaluator_needs(struct evaluator *evaluator, const char *recipe, size_t size, enum split split,
                    uint32_t n_layers, struct evaluator_needs *out, struct err *err)
{
    struct evaluator_needs made = {0};
    struct candidate candidate = {0};
    int rc = read_candidate(evaluator, recipe, size, &candidate, err);

    if (rc == 0 && has_own_tasks(evaluator)) {
        rc = exam_needs(evaluator, &candidate, split, n_layers, &made, err);
    }
    if (rc == 0 && has_programs(evaluator)) {
        made.written = plan_bytes(&candidate.plan);
        made.in_memory = outside_in_memory(&evaluator->outside, made.written);
    }
    if (rc == 0) {
        *out = made;
    }
    candidate_release(&candidate);
    return rc;
}

/* How many tasks there are up to the first of our own. */
static size_t tasks_to_first(const struct evaluator *evaluator)
{
    size_t t = 0;

    while (evaluator->bundle->tasks[t].program != NULL) {
        t++;
    }
    return t + 1;
}

int evaluator_try(struct evaluator *evaluator, const char *recipe, size_t size, enum split split,
                  size_t n, uint64_t *positions, struct err *err)
{
    struct exam_terms terms = terms_of(evaluator, split);
    struct candidate candidate = {0};
    struct engine_needs needs;
    struct exam *exam = NULL;
    struct score score = {0};
    int rc = read_candidate(evaluator, recipe, size, &candidate, err);

    terms.n_tasks = tasks_to_first(evaluator);
    terms.documents_max = n;
    if (rc == 0) {
        rc = exam_for(evaluator, &terms, &candidate.plan, &exam, &needs, err);
    }
    if (rc == 0) {
        expect(evaluator, exam, false);
        rc = engine_load(evaluator->engine, &candidate.plan, exam_largest(exam), err);
    }
    if (rc == 0) {
        rc = exam_sit(exam, evaluator->engine, NULL, &score, err);
    }
    if (rc == 0) {
        *positions = exam_positions(exam);
    }
    engine_forget(evaluator->engine);
    score_release(&score);
    exam_close(exam);
    candidate_release(&candidate);
    return rc;
}

uint64_t evaluator_blocks(const struct evaluator *evaluator)
{
    return evaluator->blocks;
}
