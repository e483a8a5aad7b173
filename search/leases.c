/*
 * leases.c - candidates in workers' hands: which one, to whom (T2), kept by beats.
 *
 * A candidate may have two active leases: a worker with nothing else to do takes over from one that
 * is slow, and the first result counts. How leases end is in endings.c and results.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/coordinator_internal.h"
#include "search/lease_order.h"

#define EPOCH_BITS 32      /* of a lease's number: the count within an epoch */
#define HEDGE_SHARE 10     /* one lease in so many may be a second attempt */
#define LIMIT_MEDIANS 10   /* an evaluation may take so many times the usual */
#define LIMIT_MS_MIN 60000 /* but never less than this: the first one reads the models */
#define LIMIT_WALLS 5      /* evaluations from which the usual time is known */

/* ---- the table ---- */

struct lease *lease_find(struct coordinator *coordinator, uint64_t number)
{
    for (size_t i = coordinator->n_leases; i-- > 0;) {
        if (coordinator->leases[i].row.lease == number) {
            return &coordinator->leases[i];
        }
    }
    return NULL;
}

size_t lease_count(const struct coordinator *coordinator, size_t place, enum store_outcome outcome)
{
    size_t n = 0;

    for (size_t i = 0; i < coordinator->n_leases; i++) {
        n += coordinator->leases[i].place == place && coordinator->leases[i].row.outcome == outcome;
    }
    return n;
}

static void remember(struct coordinator *coordinator, const struct lease *lease)
{
    if (coordinator->n_leases == coordinator->room_leases) {
        coordinator->room_leases =
            coordinator->room_leases == 0 ? 32 : 2 * coordinator->room_leases;
        coordinator->leases =
            mem_resize(coordinator->leases, coordinator->room_leases, sizeof(*lease));
    }
    coordinator->leases[coordinator->n_leases++] = *lease;
}

int leases_load(struct coordinator *coordinator, int64_t now_ms, struct err *err)
{
    struct store_attempt *rows = NULL;
    size_t n = 0;
    uint64_t first = coordinator->open.n > 0 ? coordinator->open.places[0].row.candidate : 0;
    int rc = store_attempts(coordinator->store, coordinator->open.row.number, &rows, &n, err);

    coordinator->n_leases = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct lease lease = {
            .row = rows[i],
            .place = (size_t)(rows[i].candidate - first),
            .leased_ms = now_ms,
            .expires_ms = now_ms + coordinator->options.ttl_ms,
        };

        remember(coordinator, &lease);
    }
    free(rows);
    return rc;
}

/* The next attempt's number: attempts are never forgotten while their generation is open. */
static uint32_t next_attempt(const struct coordinator *coordinator, size_t place)
{
    uint32_t last = 0;

    for (size_t i = 0; i < coordinator->n_leases; i++) {
        const struct lease *lease = &coordinator->leases[i];

        if (lease->place == place && lease->row.number > last) {
            last = lease->row.number;
        }
    }
    return last + 1;
}

static bool has_tried(const struct coordinator *coordinator, size_t place, uint64_t worker)
{
    for (size_t i = 0; i < coordinator->n_leases; i++) {
        const struct lease *lease = &coordinator->leases[i];

        if (lease->place == place && lease->row.worker == worker &&
            lease->row.outcome != STORE_RELEASED) {
            return true;
        }
    }
    return false;
}

/* ---- which candidate ---- */

/* Some worker that is busy now, and so will ask again, has not tried this candidate. */
static bool another_could(const struct coordinator *coordinator, size_t place)
{
    for (size_t i = 0; i < coordinator->n_leases; i++) {
        const struct lease *lease = &coordinator->leases[i];

        if (lease->row.outcome == STORE_ACTIVE &&
            !has_tried(coordinator, place, lease->row.worker)) {
            return true;
        }
    }
    return false;
}

static void take_order(struct generation *open)
{
    const char **recipes = mem_array(open->n, sizeof *recipes);

    for (size_t i = 0; i < open->n; i++) {
        recipes[i] = open->places[i].row.recipe;
    }
    open->order = lease_order(recipes, open->n);
    open->is_ordered = true;
    free(recipes);
}

static bool is_waiting(const struct place *place)
{
    return place->row.status == STORE_PENDING && place->row.repeats == 0;
}

/* The position in the order where this worker goes on; 0 when places have their own order, so that
 * what came back goes to the front by its number. */
static size_t find_start(const struct coordinator *coordinator, uint64_t worker)
{
    const struct generation *open = &coordinator->open;
    size_t last_place = SIZE_MAX;
    size_t last = SIZE_MAX;

    if (open->order == NULL) {
        return 0;
    }
    for (size_t i = 0; i < coordinator->n_leases; i++) {
        if (coordinator->leases[i].row.worker == worker) {
            last_place = coordinator->leases[i].place;
        }
    }
    bool *is_free = mem_array(open->n, sizeof *is_free);
    bool *is_active = mem_array(open->n, sizeof *is_active);

    for (size_t at = 0; at < open->n; at++) {
        const struct place *place = &open->places[open->order[at]];

        is_free[at] = is_waiting(place);
        is_active[at] = place->row.status == STORE_LEASED;
        last = open->order[at] == last_place ? at : last;
    }
    size_t start = lease_order_start(is_free, is_active, open->n, last);

    free(is_free);
    free(is_active);
    return start != SIZE_MAX ? start : 0;
}

/* The first that waits from there on. One that this worker has failed or lost is left to others as
 * long as there are any. */
static size_t pick_pending(const struct coordinator *coordinator, uint64_t worker)
{
    const struct generation *open = &coordinator->open;
    const size_t start = find_start(coordinator, worker);
    size_t tried = SIZE_MAX;

    for (size_t at = 0; at < open->n; at++) {
        size_t turned = (start + at) % open->n;
        size_t i = open->order != NULL ? open->order[turned] : turned;

        if (!is_waiting(&open->places[i])) {
            continue;
        }
        if (!has_tried(coordinator, i, worker)) {
            return i;
        }
        if (tried == SIZE_MAX && !another_could(coordinator, i)) {
            tried = i;
        }
    }
    return tried;
}

int64_t lease_slow_ms(const struct coordinator *coordinator)
{
    int64_t twice_ms = (int64_t)(2000.0 * coordinator->median_s);

    return twice_ms > coordinator->options.ttl_ms ? twice_ms : coordinator->options.ttl_ms;
}

static bool may_hedge(const struct coordinator *coordinator)
{
    return (coordinator->hedged + 1) * HEDGE_SHARE <= coordinator->granted + HEDGE_SHARE;
}

size_t lease_pick_slow(const struct coordinator *coordinator, uint64_t worker, int64_t now_ms)
{
    const struct lease *oldest = NULL;

    if (!may_hedge(coordinator)) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i < coordinator->n_leases; i++) {
        const struct lease *lease = &coordinator->leases[i];

        if (lease->row.outcome == STORE_ACTIVE && lease->row.worker != worker &&
            now_ms - lease->leased_ms > lease_slow_ms(coordinator) &&
            lease_count(coordinator, lease->place, STORE_ACTIVE) == 1 &&
            (oldest == NULL || lease->leased_ms < oldest->leased_ms)) {
            oldest = lease;
        }
    }
    return oldest != NULL ? oldest->place : SIZE_MAX;
}

/* ---- T2 ---- */

static int64_t limit_ms(const struct coordinator *coordinator)
{
    int64_t limit = coordinator->options.study->evaluator.timeout_ms;

    if (limit > 0 || coordinator->n_walls < LIMIT_WALLS) {
        return limit; /* 0: none */
    }
    limit = (int64_t)(LIMIT_MEDIANS * 1000.0 * coordinator->median_s);
    return limit > LIMIT_MS_MIN ? limit : LIMIT_MS_MIN;
}

static void fill_job(struct job *job, const struct coordinator *coordinator,
                     const struct lease *lease)
{
    const struct store_candidate *row = &coordinator->open.places[lease->place].row;

    *job = (struct job){
        .lease = lease->row.lease,
        .candidate = row->candidate,
        .attempt = lease->row.number,
        .split = row->split,
        .recipe = mem_text(row->recipe),
        .ttl_ms = coordinator->options.ttl_ms,
        .limit_ms = limit_ms(coordinator),
    };
}

/* In the store, then in memory. */
static int grant(struct coordinator *coordinator, const struct lease *lease, struct err *err)
{
    struct place *place = &coordinator->open.places[lease->place];
    bool hedge = place->row.status == STORE_LEASED;
    struct store_candidate row = place->row;

    row.status = STORE_LEASED;
    int rc = store_begin(coordinator->store, STORE_ORDERED, err);
    if (rc == 0) {
        rc = store_add_attempt(coordinator->store, &lease->row, err);
    }
    if (rc == 0 && !hedge) {
        rc = store_set_candidate(coordinator->store, &row, err);
    }
    if (rc == 0) {
        rc = store_commit(coordinator->store, err);
    }
    if (rc != 0) {
        store_rollback(coordinator->store);
        return rc;
    }
    place->row.status = STORE_LEASED;
    remember(coordinator, lease);
    coordinator->granted++;
    coordinator->hedged += hedge;
    return 0;
}

static struct lease *granted_before(struct coordinator *coordinator, uint64_t worker, uint64_t seq)
{
    for (size_t i = coordinator->n_leases; i-- > 0;) {
        struct lease *lease = &coordinator->leases[i];

        if (lease->row.worker == worker && lease->row.seq == seq &&
            lease->row.outcome == STORE_ACTIVE) {
            return lease;
        }
    }
    return NULL;
}

static int hand_out(struct coordinator *coordinator, uint64_t worker, uint64_t seq, int64_t now_ms,
                    enum coordinator_offer *offer, struct job *job, struct err *err)
{
    if (!coordinator->open.is_ordered) {
        take_order(&coordinator->open);
    }
    size_t place = pick_pending(coordinator, worker);

    if (place == SIZE_MAX) {
        place = lease_pick_slow(coordinator, worker, now_ms);
    }
    if (place == SIZE_MAX) {
        *offer = COORDINATOR_NOTHING;
        return 0;
    }
    const struct lease lease = {
        .row =
            {
                .lease = (coordinator->study.epoch << EPOCH_BITS) + coordinator->granted + 1,
                .candidate = coordinator->open.places[place].row.candidate,
                .number = next_attempt(coordinator, place),
                .worker = worker,
                .seq = seq,
            },
        .place = place,
        .leased_ms = now_ms,
        .expires_ms = now_ms + coordinator->options.ttl_ms,
    };
    int rc = grant(coordinator, &lease, err);
    if (rc == 0) {
        fill_job(job, coordinator, &lease);
        *offer = COORDINATOR_JOB;
    }
    return rc;
}

int coordinator_lease(struct coordinator *coordinator, uint64_t worker_id, uint64_t seq,
                      int64_t now_ms, enum coordinator_offer *offer, struct job *job,
                      struct err *err)
{
    const struct store_worker *worker;
    const char *state = coordinator->study.state;
    int rc = coordinator_worker(coordinator, worker_id, &worker, err);

    if (rc != 0) {
        return rc;
    }
    if (strcmp(state, "paused") == 0) {
        *offer = COORDINATOR_PAUSED;
        return 0;
    }
    if (strcmp(state, "running") != 0) {
        *offer = COORDINATOR_OVER;
        return 0;
    }
    struct lease *lease = granted_before(coordinator, worker_id, seq);
    if (lease != NULL) {
        lease->expires_ms = now_ms + coordinator->options.ttl_ms;
        fill_job(job, coordinator, lease);
        *offer = COORDINATOR_JOB;
        return 0;
    }
    return hand_out(coordinator, worker_id, seq, now_ms, offer, job, err);
}

/* ---- beats ---- */

int coordinator_beat(struct coordinator *coordinator, uint64_t number, int64_t now_ms, bool *cancel,
                     struct err *err)
{
    struct lease *lease = lease_find(coordinator, number);
    struct store_attempt row;

    if (lease == NULL) { /* of a generation told long ago? */
        int rc = store_attempt(coordinator->store, number, &row, err);

        *cancel = rc == 0;
        return rc;
    }
    if (lease->row.outcome == STORE_ACTIVE) {
        lease->expires_ms = now_ms + coordinator->options.ttl_ms;
    }
    *cancel = is_closed(coordinator->open.places[lease->place].row.status) ||
              strcmp(coordinator->study.state, "stopped") == 0;
    return 0;
}
