/*
 * coordinator.c - open and resume, workers, people's orders, status.
 *
 * See coordinator_internal.h for which file does what, coordinator.h for what is promised.
 */
#include "search/coordinator.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "search/coordinator_internal.h"

/* ---- the row of the study ---- */

void study_put(char **text, const char *with)
{
    char *copy = mem_text(with);

    free(*text);
    *text = copy;
}

struct store_study study_copy(const struct store_study *study)
{
    struct store_study copy = *study;

    copy.name = mem_text(study->name);
    copy.form = mem_text(study->form);
    copy.version = mem_text(study->version);
    copy.stage = mem_text(study->stage);
    copy.state = mem_text(study->state);
    copy.reason = mem_text(study->reason);
    copy.ending = mem_text(study->ending);
    copy.verdict = mem_text(study->verdict);
    return copy;
}

/* Memory follows the store. */
static void adopt_study(struct coordinator *coordinator, struct store_study *next)
{
    struct store_study old = coordinator->study;

    coordinator->study = *next;
    *next = old;
    coordinator->wake++;
}

int coordinator_write(struct coordinator *coordinator, struct store_study *next, const char *kind,
                      const char *text, struct err *err)
{
    const struct store_event event = {.kind = kind};

    int rc = store_begin(coordinator->store, STORE_DURABLE, err);
    if (rc == 0) {
        rc = store_set_study(coordinator->store, next, err);
    }
    if (rc == 0) {
        rc = store_add_event(coordinator->store, &event, err, "%s", text);
    }
    if (rc == 0) {
        rc = store_commit(coordinator->store, err);
    }
    if (rc == 0) {
        adopt_study(coordinator, next);
    } else {
        store_rollback(coordinator->store);
    }
    store_study_release(next);
    return rc;
}

void tally_note(struct coordinator *coordinator, const struct store_candidate *row)
{
    struct store_tally *tally = &coordinator->tally;
    enum stage stage = coordinator->open.stage;

    tally->done += row->status == STORE_DONE;
    tally->failed += row->status == STORE_FAILED;
    tally->searched += stage == STAGE_SEARCH;
    if (stage == STAGE_SEARCH && (isnan(tally->best) || row->value > tally->best)) {
        tally->best = row->value;
        tally->best_generation = coordinator->open.row.generation;
    }
    if (stage == STAGE_BASELINE && row->parent &&
        (isnan(tally->best_parent) || row->value > tally->best_parent)) {
        tally->best_parent = row->value;
    }
}

/* ---- opening ---- */

static char *print_form(const struct study *study)
{
    json_t *form = study_print(study);
    struct text text = {0};

    doc_print(&text, form);
    json_decref(form);
    return text_take(&text);
}

/* Models, tasks and coordinates, in the order of the study; visit is either add or check. */
static int visit_models(struct coordinator *coordinator,
                        int (*visit)(struct store *store, size_t number,
                                     const struct store_model *model, struct err *err),
                        struct err *err)
{
    const struct study *study = coordinator->options.study;
    int rc = 0;

    for (size_t i = 0; i < study->n_models && rc == 0; i++) {
        const struct store_model model = {study->models[i].name, study->models[i].path,
                                          coordinator->options.model_digests[i]};

        rc = visit(coordinator->store, i, &model, err);
    }
    return rc;
}

static int visit_tasks(struct coordinator *coordinator,
                       int (*visit)(struct store *store, size_t number,
                                    const struct store_task *task, struct err *err),
                       struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < coordinator->n_tasks && rc == 0; i++) {
        const struct coordinator_task *task = &coordinator->options.tasks[i];
        struct store_task row = {
            .name = task->name,
            .digest = task->digest,
            .metric = task->metric,
            .higher_is_better = task->higher_is_better,
            .weight = task->weight,
        };

        memcpy(row.documents, task->documents, sizeof(row.documents));
        rc = visit(coordinator->store, i, &row, err);
    }
    return rc;
}

static int add_objectives(struct coordinator *coordinator, struct err *err)
{
    const struct study *study = coordinator->options.study;
    int rc = 0;

    for (size_t i = 0; i < study->n_objectives && rc == 0; i++) {
        rc = store_add_objective(coordinator->store, i, study->objectives[i], err);
    }
    return rc;
}

/* A file that holds nothing yet: everything about the study and its first generation in one
 * transaction. */
static int set_up(struct coordinator *coordinator, struct err *err)
{
    const struct study *study = coordinator->options.study;
    const struct store_event event = {.kind = "open"};

    coordinator->study = (struct store_study){
        .name = mem_text(study->name),
        .form = print_form(study),
        .version =
            mem_text(coordinator->options.version != NULL ? coordinator->options.version : ""),
        .n_layers = coordinator->options.n_layers,
        .epoch = 1,
        .stage = mem_text(stage_name(STAGE_BASELINE)),
        .state = mem_text("running"),
        .reason = mem_text(""),
        .ending = mem_text(""),
        .evaluations_max = study->budget.evaluations,
        .verdict = mem_text("[]"),
    };
    study_identity(study, coordinator->study.identity);
    trajectory_begin(coordinator->study.identity, coordinator->study.trajectory);
    coordinator->tally = (struct store_tally){.best = (double)NAN, .best_parent = (double)NAN};

    int rc = turn_check(coordinator, err);
    if (rc == 0) {
        rc = store_begin(coordinator->store, STORE_DURABLE, err);
    }
    if (rc == 0) {
        rc = visit_models(coordinator, store_add_model, err);
    }
    if (rc == 0) {
        rc = visit_tasks(coordinator, store_add_task, err);
    }
    if (rc == 0) {
        rc = add_objectives(coordinator, err);
    }
    if (rc == 0) {
        rc = store_add_event(coordinator->store, &event, err, "study %s begins", study->name);
    }
    if (rc == 0) {
        rc = stages_begin(coordinator, err);
    }
    if (rc != 0) {
        store_rollback(coordinator->store);
    }
    return rc;
}

static int check_same_study(struct coordinator *coordinator, struct err *err)
{
    const struct study *study = coordinator->options.study;
    char identity[DIGEST_HEX];

    study_identity(study, identity);
    if (strcmp(coordinator->study.name, study->name) != 0) {
        return err_set(err, ERR_CONFLICT, "database: it belongs to study %s, not to %s",
                       coordinator->study.name, study->name);
    }
    if (strcmp(coordinator->study.identity, identity) != 0) {
        return err_set(
            err, ERR_CONFLICT,
            "database: study %s was changed since this search was begun (only its budget "
            "may be); give it another database",
            study->name);
    }
    if (coordinator->study.n_layers != coordinator->options.n_layers) {
        return err_set(err, ERR_CONFLICT, "database: begun with models of %u layers, these have %u",
                       coordinator->study.n_layers, coordinator->options.n_layers);
    }
    int rc = visit_models(coordinator, store_check_model, err);
    return rc != 0 ? rc : visit_tasks(coordinator, store_check_task, err);
}

/* A study that stood still goes on: what failed in a row is forgiven, what was held waits again. */
static void forgive(struct coordinator *coordinator, struct store_study *next)
{
    const struct generation *open = &coordinator->open;

    study_put(&next->state, "running");
    study_put(&next->reason, "");
    for (size_t i = 0; i < open->n; i++) {
        if (open->places[i].row.status == STORE_FAILED) {
            next->forgiven = open->places[i].row.candidate;
        }
    }
}

static int free_held(struct coordinator *coordinator, struct err *err)
{
    const struct generation *open = &coordinator->open;
    int rc = 0;

    for (size_t i = 0; i < open->n && rc == 0; i++) {
        struct store_candidate row = open->places[i].row;

        if (row.status == STORE_HELD) {
            row.status = STORE_PENDING;
            row.losses = 0;
            rc = store_set_candidate(coordinator->store, &row, err);
        }
    }
    return rc;
}

static void apply_freed(struct coordinator *coordinator)
{
    for (size_t i = 0; i < coordinator->open.n; i++) {
        struct store_candidate *row = &coordinator->open.places[i].row;

        if (row->status == STORE_HELD) {
            row->status = STORE_PENDING;
            row->losses = 0;
        }
    }
}

static bool stands_still(const struct store_study *study)
{
    return strcmp(study->stage, "finished") != 0 &&
           (strcmp(study->state, "stopped") == 0 || strcmp(study->state, "failed") == 0);
}

/* Write the row, held candidates freed if it goes on. */
static int go_on(struct coordinator *coordinator, struct store_study *next, const char *kind,
                 const char *text, struct err *err)
{
    const struct store_event event = {.kind = kind};
    bool freed = strcmp(next->state, "running") == 0;

    int rc = store_begin(coordinator->store, STORE_DURABLE, err);
    if (rc == 0 && freed) {
        rc = free_held(coordinator, err);
    }
    if (rc == 0) {
        rc = store_set_study(coordinator->store, next, err);
    }
    if (rc == 0) {
        rc = store_add_event(coordinator->store, &event, err, "%s", text);
    }
    if (rc == 0) {
        rc = store_commit(coordinator->store, err);
    }
    if (rc != 0) {
        store_rollback(coordinator->store);
        return rc;
    }
    if (freed) {
        apply_freed(coordinator);
    }
    adopt_study(coordinator, next);
    return 0;
}

static int load_walls(struct coordinator *coordinator, struct err *err)
{
    double walls[COORDINATOR_WALLS];
    size_t n = 0;
    int rc = store_recent_walls(coordinator->store, COORDINATOR_WALLS, walls, &n, err);

    for (size_t i = 0; i < n && rc == 0; i++) {
        note_wall(coordinator, walls[i]);
    }
    return rc;
}

static int resume(struct coordinator *coordinator, int64_t now_ms, struct err *err)
{
    int rc = check_same_study(coordinator, err);

    if (rc == 0) {
        rc = store_tally(coordinator->store, &coordinator->tally, err);
    }
    if (rc == 0) {
        uint64_t generation;

        rc = store_front_state(coordinator->store, &coordinator->front, &generation, err);
    }
    if (rc == 0) {
        rc = stages_resume(coordinator, err);
    }
    if (rc == 0) {
        rc = trajectory_check(coordinator, err);
    }
    if (rc == 0) {
        rc = leases_load(coordinator, now_ms, err);
    }
    if (rc == 0) {
        rc = load_walls(coordinator, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct store_study next = study_copy(&coordinator->study);
    next.epoch++;
    next.evaluations_max = coordinator->options.study->budget.evaluations;
    if (stands_still(&next)) {
        forgive(coordinator, &next);
    }
    rc = go_on(coordinator, &next, "open", "the study is opened again", err);
    store_study_release(&next);
    return rc;
}

static void copy_tasks(struct coordinator *coordinator)
{
    coordinator->n_tasks = coordinator->options.study->n_tasks;
    coordinator->tasks = mem_array(coordinator->n_tasks, sizeof(*coordinator->tasks));
    for (size_t i = 0; i < coordinator->n_tasks; i++) {
        const struct coordinator_task *task = &coordinator->options.tasks[i];

        coordinator->tasks[i] = (struct fitness_task){
            .name = task->name,
            .metric = task->metric,
            .higher_is_better = task->higher_is_better,
            .weight = task->weight,
        };
    }
}

int coordinator_open(struct coordinator **out, struct store *store,
                     const struct coordinator_options *options, int64_t now_ms, struct err *err)
{
    struct coordinator *coordinator = mem_array(1, sizeof(*coordinator));

    coordinator->store = store;
    coordinator->options = *options;
    if (coordinator->options.ttl_ms <= 0) {
        coordinator->options.ttl_ms = COORDINATOR_TTL_MS;
    }
    copy_tasks(coordinator);
    int rc = store_study(store, &coordinator->study, err);
    if (rc == ERR_MISSING) {
        rc = set_up(coordinator, err);
    } else if (rc == 0) {
        rc = resume(coordinator, now_ms, err);
    }
    if (rc == 0) {
        rc = stages_advance(coordinator, err);
    }
    if (rc != 0) {
        coordinator_close(coordinator);
        return rc;
    }
    *out = coordinator;
    return 0;
}

void coordinator_close(struct coordinator *coordinator)
{
    if (coordinator == NULL) {
        return;
    }
    generation_release(&coordinator->open);
    for (size_t i = 0; i < coordinator->n_before; i++) {
        store_candidate_release(&coordinator->before[i]);
    }
    for (size_t i = 0; i < coordinator->n_workers; i++) {
        store_worker_release(&coordinator->workers[i]);
    }
    free(coordinator->workers);
    free(coordinator->leases);
    free(coordinator->tasks);
    store_study_release(&coordinator->study);
    optimiser_free(coordinator->optimiser);
    phase_free(coordinator->phase);
    store_phase_release(&coordinator->part);
    free(coordinator);
}

/* ---- workers ---- */

static struct store_worker *remember_worker(struct coordinator *coordinator)
{
    coordinator->workers =
        mem_resize(coordinator->workers, coordinator->n_workers + 1, sizeof(*coordinator->workers));
    return &coordinator->workers[coordinator->n_workers++];
}

int coordinator_worker(struct coordinator *coordinator, uint64_t number,
                       const struct store_worker **out, struct err *err)
{
    struct store_worker row = {0};

    for (size_t i = coordinator->n_workers; i-- > 0;) {
        if (coordinator->workers[i].worker == number) {
            *out = &coordinator->workers[i];
            return 0;
        }
    }
    int rc = store_worker(coordinator->store, number, &row, err);
    if (rc == 0) {
        struct store_worker *kept = remember_worker(coordinator);

        *kept = row;
        *out = kept;
    }
    return rc;
}

static bool knows_boot(const struct coordinator *coordinator, const char *boot_id, uint64_t *number)
{
    for (size_t i = 0; i < coordinator->n_workers; i++) {
        if (strcmp(coordinator->workers[i].boot_id, boot_id) == 0) {
            *number = coordinator->workers[i].worker;
            return true;
        }
    }
    return false;
}

static bool is_boot_id(const char *text)
{
    return strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32;
}

int coordinator_register(struct coordinator *coordinator, const struct coordinator_worker *worker,
                         int64_t now_ms, uint64_t *worker_id, struct err *err)
{
    struct store_worker row = {
        .boot_id = mem_text(worker->boot_id),
        .name = mem_text(worker->name),
        .build = mem_text(worker->build),
        .path = mem_text(worker->path),
    };
    const struct store_event event = {.kind = "worker"};
    int rc = 0;

    (void)now_ms;
    if (!is_boot_id(worker->boot_id)) {
        rc = err_set(err, ERR_FORMAT, "boot_id: not 32 hex digits");
        goto out;
    }
    if (knows_boot(coordinator, worker->boot_id, worker_id)) {
        goto out;
    }
    /* Durable: a number that power took back would be given to another. */
    rc = store_begin(coordinator->store, STORE_DURABLE, err);
    if (rc == 0) {
        rc = store_add_worker(coordinator->store, &row, &row.worker, err);
    }
    if (rc == 0) {
        rc = store_add_event(coordinator->store, &event, err,
                             "worker %llu says hello: %s, braid %s, %s",
                             (unsigned long long)row.worker, row.name, row.build, row.path);
    }
    if (rc == 0) {
        rc = store_commit(coordinator->store, err);
    }
    if (rc != 0) {
        store_rollback(coordinator->store);
        goto out;
    }
    *worker_id = row.worker;
    *remember_worker(coordinator) = row;
    row = (struct store_worker){0}; /* handed over */

out:
    store_worker_release(&row);
    return rc;
}

/* ---- orders ---- */

/* The row as the order leaves it; false when it has nothing to say to a study in this state. */
static bool obey(struct coordinator *coordinator, enum coordinator_order order,
                 struct store_study *next)
{
    bool running = strcmp(next->state, "running") == 0, paused = strcmp(next->state, "paused") == 0;

    switch (order) {
    case COORDINATOR_PAUSE:
        if (running) {
            study_put(&next->state, "paused");
            study_put(&next->reason, "paused by hand");
        }
        return running;
    case COORDINATOR_RESUME:
        if (!running) {
            forgive(coordinator, next);
        }
        return !running;
    case COORDINATOR_FINISH: {
        bool searching = strcmp(next->stage, "baseline") == 0 || strcmp(next->stage, "search") == 0;

        if (searching) {
            study_put(&next->ending, "asked to finish");
        }
        return searching;
    }
    case COORDINATOR_STOP:
        if (running || paused) {
            study_put(&next->state, "stopped");
            study_put(&next->reason, "stopped by hand; start it again to go on");
        }
        return running || paused;
    }
    return false;
}

int coordinator_command(struct coordinator *coordinator, enum coordinator_order order,
                        int64_t now_ms, struct err *err)
{
    static const char *const words[] = {"pause", "resume", "finish", "stop"};
    int rc = 0;

    (void)now_ms;
    if (strcmp(coordinator->study.stage, "finished") == 0) {
        return 0;
    }
    struct store_study next = study_copy(&coordinator->study);
    if (obey(coordinator, order, &next)) {
        rc = go_on(coordinator, &next, "order", words[order], err);
    }
    store_study_release(&next);
    return rc != 0 ? rc : stages_advance(coordinator, err);
}

/* ---- status ---- */

uint64_t coordinator_wake(const struct coordinator *coordinator)
{
    return coordinator->wake;
}

void coordinator_status(const struct coordinator *coordinator, struct coordinator_status *out)
{
    const struct store_study *study = &coordinator->study;

    *out = (struct coordinator_status){
        .stage = study->stage,
        .phase = phases_n(coordinator->options.study) > 1 ? coordinator->part.name : "",
        .state = study->state,
        .reason = study->reason,
        .generation = study->generation,
        .evaluations = coordinator->tally.searched,
        .evaluations_max = study->evaluations_max,
        .done = coordinator->tally.done,
        .failed = coordinator->tally.failed,
        .best = coordinator->tally.best,
        .best_parent = coordinator->tally.best_parent,
        .front = coordinator->front,
    };
    for (size_t i = 0; i < coordinator->n_leases; i++) {
        out->leased += coordinator->leases[i].row.outcome == STORE_ACTIVE;
    }
    memcpy(out->trajectory, study->trajectory, DIGEST_HEX);
}
