/*
 * results.c - a score comes back (T3), and what closing a candidate means.
 *
 *   worker            coordinator                         store
 *     | result ---------->| check, digest                    |
 *     |                   | evaluation, candidate, leases -->| commit, FULL
 *     |<---------- stored |<---------------------------------|
 *
 * The first result that is stored counts, from whichever attempt, expired or not. What comes later
 * is told what it is: the same bits, or others.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/coordinator_internal.h"

/* ---- is it a result at all? ---- */

static int check_task(const struct score_task *task, const struct coordinator_task *expected,
                      enum split split, struct err *err)
{
    if (strcmp(task->name, expected->name) != 0 || strcmp(task->digest, expected->digest) != 0) {
        return err_set(err, ERR_FORMAT, "task %s: its requests are not those of this study",
                       task->name);
    }
    if (expected->documents[split] > 0 && task->n != expected->documents[split]) {
        return err_set(err, ERR_FORMAT, "task %s: %zu documents, expected %zu", task->name, task->n,
                       expected->documents[split]);
    }
    size_t metric = score_metric(task, expected->metric);
    if (metric == SIZE_MAX) {
        return err_set(err, ERR_FORMAT, "task %s: it has no %s", task->name, expected->metric);
    }
    if (!isfinite(task->values[metric])) {
        return err_set(err, ERR_FORMAT, "task %s: its %s is not a finite number", task->name,
                       expected->metric);
    }
    return 0;
}

static int check_score(const struct coordinator *coordinator, const struct score *score,
                       enum split split, struct err *err)
{
    if (score->failure != SCORE_OK) {
        return err_set(err, ERR_FORMAT, "result: it says that it failed (%s)",
                       score_failure_name(score->failure));
    }
    if (score->n_tasks != coordinator->n_tasks) {
        return err_set(err, ERR_FORMAT, "result: %zu tasks, expected %zu", score->n_tasks,
                       coordinator->n_tasks);
    }
    if (!digest_is_hex(score->weights)) {
        return err_set(err, ERR_FORMAT, "result: it does not say which weights were measured");
    }
    for (size_t t = 0; t < score->n_tasks; t++) {
        int rc = check_task(&score->tasks[t], &coordinator->options.tasks[t], split, err);

        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- closing ---- */

/* Places of the open generation that share a candidate's outcome. */
static bool shares(const struct place *place, uint64_t candidate)
{
    return place->row.repeats == candidate && !is_closed(place->row.status);
}

static int store_repeats(struct coordinator *coordinator, const struct closing *closing,
                         uint64_t candidate, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < coordinator->open.n && rc == 0; i++) {
        struct store_candidate row = coordinator->open.places[i].row;

        if (!shares(&coordinator->open.places[i], candidate)) {
            continue;
        }
        row.status = closing->status;
        row.value = closing->value;
        rc = store_copy_evaluation(coordinator->store, candidate, row.candidate, err);
        if (rc == 0) {
            rc = store_set_candidate(coordinator->store, &row, err);
        }
    }
    return rc;
}

/* Siblings of the lease that ended stop at their next beat. */
static bool is_cancelled(const struct coordinator *coordinator, const struct closing *closing,
                         const struct lease *lease)
{
    return lease != closing->lease && lease->place == closing->place &&
           lease->row.outcome == STORE_ACTIVE &&
           fault_of(coordinator) != COORDINATOR_FAULT_HEDGE_REOPENS;
}

static int store_leases(struct coordinator *coordinator, const struct closing *closing,
                        struct err *err)
{
    int rc = 0;

    if (closing->lease != NULL) {
        struct store_attempt row = closing->lease->row;

        row.outcome = closing->ending;
        row.failure = closing->score->failure;
        rc = store_end_attempt(coordinator->store, &row, closing->score->detail, err);
    }
    for (size_t i = 0; i < coordinator->n_leases && rc == 0; i++) {
        struct store_attempt row = coordinator->leases[i].row;

        if (is_cancelled(coordinator, closing, &coordinator->leases[i])) {
            row.outcome = STORE_CANCELLED;
            rc = store_end_attempt(coordinator->store, &row, NULL, err);
        }
    }
    return rc;
}

int closing_store(struct coordinator *coordinator, const struct closing *closing, struct err *err)
{
    struct store_candidate row = coordinator->open.places[closing->place].row;
    const struct store_evaluation evaluation = {
        .candidate = row.candidate,
        .attempt = closing->attempt,
        .worker = closing->lease != NULL ? closing->lease->row.worker : 0,
        .score = closing->score,
        .digest = closing->digest,
    };

    row.status = closing->status;
    row.value = closing->value;
    row.failures = closing->failures;
    int rc = store_add_evaluation(coordinator->store, &evaluation, err);
    if (rc == 0) {
        rc = store_set_candidate(coordinator->store, &row, err);
    }
    if (rc == 0) {
        rc = store_repeats(coordinator, closing, row.candidate, err);
    }
    return rc != 0 ? rc : store_leases(coordinator, closing, err);
}

static void apply_to_place(struct coordinator *coordinator, struct place *place,
                           const struct closing *closing)
{
    struct store_candidate *row = &place->row;

    row->status = closing->status;
    row->value = closing->value;
    row->failure = closing->score->failure;
    memcpy(row->digest, closing->digest, DIGEST_HEX);
    memcpy(row->weights, closing->score->weights, DIGEST_HEX);
    place->arrived = ++coordinator->arrivals;
    tally_note(coordinator, row);
}

void closing_apply(struct coordinator *coordinator, const struct closing *closing)
{
    struct place *place = &coordinator->open.places[closing->place];

    place->row.failures = closing->failures;
    apply_to_place(coordinator, place, closing);
    for (size_t i = 0; i < coordinator->open.n; i++) {
        if (shares(&coordinator->open.places[i], place->row.candidate)) {
            apply_to_place(coordinator, &coordinator->open.places[i], closing);
        }
    }
    for (size_t i = 0; i < coordinator->n_leases; i++) {
        if (is_cancelled(coordinator, closing, &coordinator->leases[i])) {
            coordinator->leases[i].row.outcome = STORE_CANCELLED;
        }
    }
    if (closing->lease != NULL) {
        closing->lease->row.outcome = closing->ending;
        closing->lease->row.failure = closing->score->failure;
    }
    coordinator->wake++;
}

/* ---- the usual time ---- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

void note_wall(struct coordinator *coordinator, double wall_s)
{
    double sorted[COORDINATOR_WALLS];

    if (!isfinite(wall_s) || wall_s < 0.0) {
        return;
    }
    coordinator->walls[coordinator->next_wall] = wall_s;
    coordinator->next_wall = (coordinator->next_wall + 1) % COORDINATOR_WALLS;
    if (coordinator->n_walls < COORDINATOR_WALLS) {
        coordinator->n_walls++;
    }
    memcpy(sorted, coordinator->walls, coordinator->n_walls * sizeof(double));
    qsort(sorted, coordinator->n_walls, sizeof(double), compare_doubles);
    coordinator->median_s = sorted[coordinator->n_walls / 2];
}

/* ---- T3 ---- */

/* Its place in the open generation, SIZE_MAX: not there. */
static size_t place_of(const struct coordinator *coordinator, uint64_t candidate)
{
    const struct generation *open = &coordinator->open;

    if (open->n == 0 || candidate < open->places[0].row.candidate ||
        candidate - open->places[0].row.candidate >= open->n) {
        return SIZE_MAX;
    }
    return (size_t)(candidate - open->places[0].row.candidate);
}

/* Another result for a candidate that is done: the same, or evidence. */
static int compare_result(struct coordinator *coordinator, const struct store_candidate *stored,
                          const struct store_evaluation *came, enum coordinator_verdict *verdict,
                          struct err *err)
{
    if (strcmp(stored->digest, came->digest) == 0) {
        *verdict = COORDINATOR_SAME;
        return 0;
    }
    const struct store_event event = {"conflict", stored->candidate, came->digest};
    int rc = store_begin(coordinator->store, STORE_DURABLE, err);
    if (rc == 0) {
        rc = store_add_conflict(coordinator->store, came, err);
    }
    if (rc == 0) {
        rc = store_add_event(coordinator->store, &event, err,
                             "candidate %llu: another result came, with other bits, by worker %llu",
                             (unsigned long long)stored->candidate,
                             (unsigned long long)came->worker);
    }
    if (rc != 0) {
        store_rollback(coordinator->store);
        return rc;
    }
    rc = store_commit(coordinator->store, err);
    *verdict = COORDINATOR_DIFFERS;
    return rc;
}

static int accept(struct coordinator *coordinator, struct closing *closing,
                  enum coordinator_verdict *verdict, struct err *err)
{
    uint64_t candidate = coordinator->open.places[closing->place].row.candidate;
    const struct store_event event = {"result", candidate, closing->digest};

    int rc = store_begin(coordinator->store, STORE_DURABLE, err);
    if (rc == 0) {
        rc = closing_store(coordinator, closing, err);
    }
    if (rc == 0) {
        rc = store_add_event(coordinator->store, &event, err, "candidate %llu: %.6g",
                             (unsigned long long)candidate, closing->value);
    }
    if (rc == 0) {
        rc = store_commit(coordinator->store, err);
    }
    if (rc != 0) {
        store_rollback(coordinator->store);
        if (fault_of(coordinator) == COORDINATOR_FAULT_EARLY_ACK) {
            *verdict = COORDINATOR_STORED;
            return 0;
        }
        return rc;
    }
    closing_apply(coordinator, closing);
    note_wall(coordinator, closing->score->wall_s);
    *verdict = COORDINATOR_STORED;
    return stages_advance(coordinator, err);
}

/* A candidate that is not in the open generation: told long ago, or never asked for. */
static int look_up(struct coordinator *coordinator, struct store_evaluation *came,
                   enum coordinator_verdict *verdict, struct err *err)
{
    struct store_candidate stored = {0};
    int rc = store_candidate(coordinator->store, came->candidate, &stored, err);

    if (rc == ERR_MISSING) {
        *verdict = COORDINATOR_CLOSED;
        return 0;
    }
    if (rc == 0 && stored.status == STORE_DONE) {
        rc = compare_result(coordinator, &stored, came, verdict, err);
    } else {
        *verdict = COORDINATOR_CLOSED;
    }
    store_candidate_release(&stored);
    return rc;
}

static int take_in(struct coordinator *coordinator, struct store_evaluation *came,
                   struct lease *lease, enum coordinator_verdict *verdict, struct err *err)
{
    size_t place = place_of(coordinator, came->candidate);

    if (place == SIZE_MAX) {
        return look_up(coordinator, came, verdict, err);
    }
    const struct store_candidate *row = &coordinator->open.places[place].row;
    if (row->status == STORE_FAILED || row->repeats != 0) {
        *verdict = COORDINATOR_CLOSED;
        return 0;
    }
    if (row->status == STORE_DONE) {
        return compare_result(coordinator, row, came, verdict, err);
    }
    struct closing closing = {
        .place = place,
        .status = STORE_DONE,
        .value = fitness_objective(came->score, coordinator->tasks, coordinator->n_tasks,
                                   coordinator->options.study->objective),
        .failures = row->failures,
        .lease = lease,
        .ending = STORE_FINISHED,
        .attempt = came->attempt,
        .score = came->score,
    };
    memcpy(closing.digest, came->digest, DIGEST_HEX);
    return accept(coordinator, &closing, verdict, err);
}

/* The lease a result came by; NULL when it is not, or no longer, known. */
static struct lease *lease_of(struct coordinator *coordinator, uint64_t number, uint64_t candidate,
                              uint32_t attempt)
{
    struct lease *lease = lease_find(coordinator, number);

    return lease != NULL && lease->row.candidate == candidate && lease->row.number == attempt
               ? lease
               : NULL;
}

static enum split split_of(const struct coordinator *coordinator, uint64_t candidate)
{
    size_t place = place_of(coordinator, candidate);

    return place != SIZE_MAX ? coordinator->open.places[place].row.split : SPLIT_ALL;
}

int coordinator_result(struct coordinator *coordinator, uint64_t candidate, uint32_t attempt,
                       uint64_t lease_number, const struct score *score, int64_t now_ms,
                       enum coordinator_verdict *verdict, struct err *err)
{
    struct lease *lease = lease_of(coordinator, lease_number, candidate, attempt);
    enum split split = split_of(coordinator, candidate);
    char digest[DIGEST_HEX];

    (void)now_ms; /* an expired lease's result is still good */
    /* Of a candidate that is closed only the digest counts, and that is compared as it is. */
    if (split != SPLIT_ALL && check_score(coordinator, score, split, err) != 0) {
        *verdict = COORDINATOR_INVALID;
        return lease != NULL ? lease_refuse(coordinator, lease, err) : 0;
    }
    score_digest(score, digest);
    struct store_evaluation came = {
        .candidate = candidate,
        .attempt = attempt,
        .worker = lease != NULL ? lease->row.worker : 0,
        .score = score,
        .digest = digest,
    };
    return take_in(coordinator, &came, lease, verdict, err);
}
