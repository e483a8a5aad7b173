/*
 * evaluator.c - one recipe in, one score out.
 */
#include "evaluator/evaluator.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/blend.h"
#include "evaluator/merge/plan.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/model/weights.h"
#include "evaluator/task/dataset.h"
#include "evaluator/task/run.h"
#include "study/recipe.h"

#define SPLITS 4

struct evaluator {
    const struct bundle *bundle;
    struct checkpoint **models; /* [bundle's models] */
    struct plan_model *named;   /* the same by digest */
    struct tokenizer *tokenizer;
    struct blend *blend;
    struct weights *weights;
    struct forward *forward;
    struct task_plan *(*plans)[SPLITS]; /* [bundle's tasks], NULL until asked for */
    struct task_watch *watch;           /* NULL: nobody looks */
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

/* Weights and scratch for the merged model that a plan makes. Candidates of a study agree on it but
 * where models differ: one has a head of its own, one turns its heads otherwise. */
static int fit_engine(struct evaluator *evaluator, const struct config *config, struct err *err)
{
    if (evaluator->weights != NULL && evaluator->forward != NULL &&
        config_equal(weights_config(evaluator->weights), config)) {
        return 0;
    }
    weights_free(evaluator->weights);
    forward_free(evaluator->forward);
    evaluator->weights = NULL;
    evaluator->forward = NULL;
    int rc = weights_new(&evaluator->weights, config, err);
    return rc != 0 ? rc : forward_new(&evaluator->forward, config, 0, err);
}

static int open_engine(struct evaluator *evaluator, struct err *err)
{
    const struct checkpoint *first = evaluator->models[0];
    int rc = tokenizer_open(&evaluator->tokenizer, checkpoint_folder(first), err);

    evaluator->blend = blend_new();
    if (rc == 0) {
        rc = fit_engine(evaluator, checkpoint_config(first), err);
    }
    return rc != 0 ? err_wrap(err, "%s", checkpoint_folder(first)) : 0;
}

int evaluator_open(struct evaluator **out, const struct bundle *bundle,
                   const char *const *search_dirs, size_t n_dirs, struct err *err)
{
    struct evaluator *made = mem_array(1, sizeof(*made));
    int rc = bundle->n_models > 0 ? 0 : err_set(err, ERR_MISSING, "no model to evaluate");

    *made = (struct evaluator){.bundle = bundle,
                               .models = mem_array(bundle->n_models, sizeof(struct checkpoint *)),
                               .named = mem_array(bundle->n_models, sizeof(struct plan_model)),
                               .plans = mem_array(bundle->n_tasks, sizeof(*made->plans))};
    for (size_t i = 0; i < bundle->n_models && rc == 0; i++) {
        rc = open_model(&made->models[i], &bundle->models[i], search_dirs, n_dirs, err);
        made->named[i] = (struct plan_model){bundle->models[i].digest, made->models[i]};
    }
    if (rc == 0) {
        rc = open_engine(made, err);
    }
    if (rc != 0) {
        evaluator_close(made);
        return rc;
    }
    *out = made;
    return 0;
}

void evaluator_close(struct evaluator *evaluator)
{
    if (evaluator == NULL) {
        return;
    }
    for (size_t t = 0; t < evaluator->bundle->n_tasks; t++) {
        for (size_t s = 0; s < SPLITS; s++) {
            task_plan_free(evaluator->plans[t][s]);
        }
    }
    for (size_t i = 0; i < evaluator->bundle->n_models; i++) {
        checkpoint_close(evaluator->models[i]);
    }
    tokenizer_close(evaluator->tokenizer);
    blend_free(evaluator->blend);
    weights_free(evaluator->weights);
    forward_free(evaluator->forward);
    free(evaluator->plans);
    free(evaluator->models);
    free(evaluator->named);
    free(evaluator);
}

/* ---- a candidate ---- */

static int place(void *context, const struct plan_tensor *tensor, float **out, struct err *err)
{
    *out = weights_slot(context, tensor->role, tensor->layer);
    return *out != NULL ? 0
                        : err_set(err, ERR_CONFLICT, "%s: the model has no place for this tensor",
                                  tensor->name);
}

/* Blend the recipe into the resident weights. */
static int build(struct evaluator *evaluator, const char *text, size_t size, struct score *out,
                 struct err *err)
{
    struct recipe recipe = {0};
    struct plan plan = {0};
    int rc = recipe_parse(&recipe, text, size, err);

    if (rc == 0) {
        rc = plan_make(&plan, &recipe, evaluator->named, evaluator->bundle->n_models, err);
    }
    if (rc == 0) {
        rc = fit_engine(evaluator, &plan.config, err);
    }
    if (rc == 0) {
        const struct blend_sink sink = {.place = place, .context = evaluator->weights};

        rc = blend_run(evaluator->blend, &plan, &sink, out->weights, err);
    }
    if (rc == 0) {
        rc = weights_bind(evaluator->weights, err);
    }
    plan_release(&plan);
    recipe_release(&recipe);
    return rc;
}

/* A task's documents of a split, made ready at the first candidate. */
static int plan_of(struct evaluator *evaluator, size_t t, enum split split, struct task_plan **out,
                   struct err *err)
{
    const struct bundle_task *task = &evaluator->bundle->tasks[t];
    struct task_plan **plan = &evaluator->plans[t][split];
    size_t *documents = NULL;
    size_t n = 0;
    int rc = 0;

    if (*plan == NULL) {
        rc = dataset_split(&task->task, evaluator->bundle->seed, evaluator->bundle->shares,
                           task->limit, split, &documents, &n, err);
        if (rc == 0) {
            rc = task_plan_new(plan, &task->task, evaluator->tokenizer, documents, n,
                               evaluator->watch != NULL ? TASK_STRETCH : 0,
                               checkpoint_config(evaluator->models[0])->positions, err);
        }
        free(documents);
    }
    *out = *plan;
    return rc;
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

static int run_tasks(struct evaluator *evaluator, enum split split, struct score *out,
                     struct err *err)
{
    int rc = 0;

    out->tasks = mem_array(evaluator->bundle->n_tasks, sizeof(struct score_task));
    for (size_t t = 0; t < evaluator->bundle->n_tasks && rc == 0; t++) {
        struct task_plan *plan;

        rc = plan_of(evaluator, t, split, &plan, err);
        if (rc == 0) {
            rc = task_run(plan, evaluator->forward, evaluator->weights, evaluator->watch,
                          &out->tasks[t], err);
        }
        out->n_tasks += rc == 0;
        if (evaluator->watch != NULL && evaluator->watch->stopped) {
            break;
        }
    }
    return rc;
}

void evaluator_watch(struct evaluator *evaluator, struct task_watch *watch)
{
    evaluator->watch = watch;
}

int evaluator_run(struct evaluator *evaluator, const char *recipe, size_t size, enum split split,
                  struct score *out, struct err *err)
{
    struct score made = {.path = mem_text(forward_path())};
    uint64_t positions = 0;
    int rc = 0;

    for (size_t i = 0; i < evaluator->bundle->n_models && rc == 0; i++) {
        rc = checkpoint_unchanged(evaluator->models[i], err);
    }
    if (rc != 0) {
        score_release(&made);
        return rc;
    }
    rc = build(evaluator, recipe, size, &made, err);
    if (rc == 0) {
        uint64_t before = forward_positions(evaluator->forward);

        rc = run_tasks(evaluator, split, &made, err);
        positions = forward_positions(evaluator->forward) - before;
    }
    enum score_failure failure = kind_of(rc);
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
