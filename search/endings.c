/*
 * endings.c - leases that end without a result (T5), and the clock that ends them.
 *
 *                 lease                 result, first
 *     PENDING ------------> LEASED ----------------------> DONE
 *        ^                    |  \
 *        |   lost, released,  |   \  failed for good, or the third time
 *        +--- failed once ----+    +---------------------> FAILED
 *                             |
 *                             +-- lost again and again --> HELD
 *
 * A lease that is lost says nothing about its candidate; one that failed does.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/coordinator_internal.h"

#define LOSSES_ALONE_MAX 20 /* losses by one worker alone until a candidate is held */

/* How a lease ends without a result. */
struct ending {
    enum store_outcome outcome;
    enum score_failure failure; /* when STORE_BROKEN */
    const char *detail;
    bool refused; /* its result was no result */
};

/* Lost too often to be chance: by two workers five times, or by a lone one many times. */
static bool kills_workers(const struct coordinator *coordinator, const struct lease *lease,
                          unsigned losses)
{
    if (losses >= LOSSES_ALONE_MAX) {
        return true;
    }
    for (size_t i = 0; losses >= COORDINATOR_LOSSES_MAX && i < coordinator->n_leases; i++) {
        const struct lease *other = &coordinator->leases[i];

        if (other->place == lease->place && other->row.outcome == STORE_LOST &&
            other->row.worker != lease->row.worker) {
            return true;
        }
    }
    return false;
}

/* The row of the candidate as it is after its lease has ended so; counts included. */
static struct store_candidate after_ending(const struct coordinator *coordinator,
                                           const struct lease *lease, const struct ending *ending)
{
    struct store_candidate row = coordinator->open.places[lease->place].row;
    size_t others =
        lease_count(coordinator, lease->place, STORE_ACTIVE) - (lease->row.outcome == STORE_ACTIVE);

    row.failures += ending->outcome == STORE_BROKEN;
    row.losses += ending->outcome == STORE_LOST;
    if (row.status == STORE_HELD) {
        return row;
    }
    row.status = others > 0 ? STORE_LEASED : STORE_PENDING;
    if (ending->outcome == STORE_LOST && others == 0 &&
        kills_workers(coordinator, lease, row.losses)) {
        row.status = STORE_HELD;
    }
    return row;
}

static int add_ending_event(struct coordinator *coordinator, const struct lease *lease,
                            const struct ending *ending, enum store_status status, struct err *err)
{
    struct store_event event = {.kind = store_outcome_name(ending->outcome),
                                .candidate = lease->row.candidate};
    unsigned long long candidate = lease->row.candidate, worker = lease->row.worker;

    if (status == STORE_HELD) {
        event.kind = "held";
        return store_add_event(coordinator->store, &event, err,
                               "candidate %llu kills workers: held back after its last one, %llu",
                               candidate, worker);
    }
    if (ending->outcome == STORE_BROKEN) {
        return store_add_event(coordinator->store, &event, err, "candidate %llu: %s%s%s", candidate,
                               score_failure_name(ending->failure),
                               ending->detail != NULL ? ": " : "",
                               ending->detail != NULL ? ending->detail : "");
    }
    return store_add_event(coordinator->store, &event, err, "candidate %llu: %s by worker %llu%s%s",
                           candidate, ending->refused ? "refused" : event.kind, worker,
                           ending->detail != NULL ? ": " : "",
                           ending->detail != NULL ? ending->detail : "");
}

/* The candidate stays open. */
static int store_ending(struct coordinator *coordinator, const struct lease *lease,
                        const struct ending *ending, const struct store_candidate *row,
                        struct err *err)
{
    struct store_attempt attempt = lease->row;

    attempt.outcome = ending->outcome;
    attempt.failure = ending->failure;
    int rc = store_begin(coordinator->store, STORE_DURABLE, err);
    if (rc == 0) {
        rc = store_end_attempt(coordinator->store, &attempt, ending->detail, err);
    }
    if (rc == 0 && ending->refused) {
        rc = store_count_invalid(coordinator->store, lease->row.worker, err);
    }
    if (rc == 0) {
        rc = store_set_candidate(coordinator->store, row, err);
    }
    if (rc == 0) {
        rc = add_ending_event(coordinator, lease, ending, row->status, err);
    }
    if (rc == 0) {
        rc = store_commit(coordinator->store, err);
    }
    if (rc != 0) {
        store_rollback(coordinator->store);
    }
    return rc;
}

static int end_lease(struct coordinator *coordinator, struct lease *lease,
                     const struct ending *ending, struct err *err)
{
    struct place *place = &coordinator->open.places[lease->place];
    struct store_candidate row = after_ending(coordinator, lease, ending);

    int rc = store_ending(coordinator, lease, ending, &row, err);
    if (rc != 0) {
        return rc;
    }
    lease->row.outcome = ending->outcome;
    lease->row.failure = ending->failure;
    place->row.status = row.status;
    place->row.failures = row.failures;
    place->row.losses = row.losses;
    coordinator->wake++;
    return row.status == STORE_HELD ? stages_advance(coordinator, err) : 0;
}

/* The candidate is failed, for good. */
static int close_failed(struct coordinator *coordinator, struct lease *lease,
                        const struct ending *ending, struct err *err)
{
    const struct place *place = &coordinator->open.places[lease->place];
    char *detail = mem_text(ending->detail != NULL ? ending->detail : "");
    const struct score score = {.failure = ending->failure, .detail = detail};
    const struct closing closing = {
        .place = lease->place,
        .status = STORE_FAILED,
        .value = (double)NAN,
        .failures = place->row.failures + 1,
        .lease = lease,
        .ending = STORE_BROKEN,
        .attempt = lease->row.number,
        .score = &score,
    };

    int rc = store_begin(coordinator->store, STORE_DURABLE, err);
    if (rc == 0) {
        rc = closing_store(coordinator, &closing, err);
    }
    if (rc == 0) {
        rc = add_ending_event(coordinator, lease, ending, STORE_FAILED, err);
    }
    if (rc == 0) {
        rc = store_commit(coordinator->store, err);
    }
    if (rc == 0) {
        closing_apply(coordinator, &closing);
        rc = stages_advance(coordinator, err);
    } else {
        store_rollback(coordinator->store);
    }
    free(detail);
    return rc;
}

/* Nothing more to learn from a lease: its end is known, or its candidate's. */
static bool is_settled(const struct coordinator *coordinator, const struct lease *lease)
{
    if (lease->row.outcome == STORE_ACTIVE) {
        return is_closed(coordinator->open.places[lease->place].row.status) &&
               fault_of(coordinator) != COORDINATOR_FAULT_HEDGE_REOPENS;
    }
    return true;
}

/* A lease by its number; NULL and 0 when it is of a generation told long ago. */
static int find_or_missing(struct coordinator *coordinator, uint64_t number, struct lease **out,
                           struct err *err)
{
    struct store_attempt row;

    *out = lease_find(coordinator, number);
    return *out != NULL ? 0 : store_attempt(coordinator->store, number, &row, err);
}

static uint32_t attempts_max(const struct coordinator *coordinator)
{
    const uint32_t attempts = coordinator->options.attempts;

    return attempts > 0 ? attempts : COORDINATOR_ATTEMPTS_MAX;
}

int coordinator_fail(struct coordinator *coordinator, uint64_t number, enum score_failure kind,
                     const char *detail, int64_t now_ms, struct err *err)
{
    const struct ending ending = {
        .outcome = STORE_BROKEN,
        .failure = kind > SCORE_OK && kind < SCORE_FAILURES ? kind : SCORE_BAD_OUTPUT,
        .detail = detail,
    };
    struct lease *lease;

    (void)now_ms;
    int rc = find_or_missing(coordinator, number, &lease, err);
    if (rc != 0 || lease == NULL) {
        return rc;
    }
    const struct place *place = &coordinator->open.places[lease->place];
    bool again = lease->row.outcome == STORE_BROKEN;
    bool counts = !is_closed(place->row.status) &&
                  (lease->row.outcome == STORE_ACTIVE || lease->row.outcome == STORE_LOST ||
                   (again && fault_of(coordinator) == COORDINATOR_FAULT_DOUBLE_FAIL));
    if (!counts) {
        return 0;
    }
    if (score_failure_final(ending.failure) ||
        place->row.failures + 1 >= attempts_max(coordinator)) {
        return close_failed(coordinator, lease, &ending, err);
    }
    return end_lease(coordinator, lease, &ending, err);
}

int coordinator_release(struct coordinator *coordinator, uint64_t number, int64_t now_ms,
                        struct err *err)
{
    const struct ending ending = {.outcome = STORE_RELEASED};
    struct lease *lease;

    (void)now_ms;
    int rc = find_or_missing(coordinator, number, &lease, err);
    if (rc != 0 || lease == NULL || is_settled(coordinator, lease)) {
        return rc;
    }
    return end_lease(coordinator, lease, &ending, err);
}

int lease_refuse(struct coordinator *coordinator, struct lease *lease, struct err *err)
{
    struct err trouble = {0};
    const struct ending ending = {
        .outcome = STORE_LOST, .detail = err != NULL ? err->text : NULL, .refused = true};

    if (is_settled(coordinator, lease)) {
        return 0;
    }
    int rc = end_lease(coordinator, lease, &ending, &trouble);
    if (rc != 0 && err != NULL) {
        *err = trouble; /* else err keeps saying why the result was refused */
    }
    return rc;
}

static int expire(struct coordinator *coordinator, struct lease *lease, struct err *err)
{
    const struct ending lost = {.outcome = STORE_LOST};

    if (fault_of(coordinator) == COORDINATOR_FAULT_LOST_IS_FAILED) {
        return coordinator_fail(coordinator, lease->row.lease, SCORE_TIMEOUT, NULL, 0, err);
    }
    return end_lease(coordinator, lease, &lost, err);
}

int coordinator_tick(struct coordinator *coordinator, int64_t now_ms, int64_t *next_ms,
                     struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < coordinator->n_leases && rc == 0; i++) {
        struct lease *lease = &coordinator->leases[i];

        if (lease->row.outcome == STORE_ACTIVE && lease->expires_ms <= now_ms) {
            rc = expire(coordinator, lease, err);
        }
    }
    if (lease_pick_slow(coordinator, 0, now_ms) != SIZE_MAX) {
        coordinator->wake++; /* a worker that waits may take over */
    }
    *next_ms = now_ms + coordinator->options.ttl_ms;
    for (size_t i = 0; i < coordinator->n_leases; i++) {
        const struct lease *lease = &coordinator->leases[i];
        int64_t slow_ms = lease->leased_ms + lease_slow_ms(coordinator) + 1;

        if (lease->row.outcome != STORE_ACTIVE) {
            continue;
        }
        if (lease->expires_ms < *next_ms) {
            *next_ms = lease->expires_ms;
        }
        if (slow_ms > now_ms && slow_ms < *next_ms) {
            *next_ms = slow_ms;
        }
    }
    return rc;
}

int coordinator_free_leases(struct coordinator *coordinator, const char *prefix, int64_t now_ms,
                            struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < coordinator->n_leases && rc == 0; i++) {
        const struct store_attempt *row = &coordinator->leases[i].row;
        const struct store_worker *worker;

        if (row->outcome != STORE_ACTIVE) {
            continue;
        }
        rc = coordinator_worker(coordinator, row->worker, &worker, err);
        if (rc == 0 && strncmp(worker->name, prefix, strlen(prefix)) == 0) {
            rc = coordinator_release(coordinator, row->lease, now_ms, err);
        }
    }
    return rc;
}
