/*
 * attempts.c - workers, and what was handed out to them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/store_internal.h"

/* ---- workers ---- */

void store_worker_release(struct store_worker *worker)
{
    free(worker->boot_id);
    free(worker->name);
    free(worker->build);
    free(worker->path);
    *worker = (struct store_worker){0};
}

int store_add_worker(struct store *store, const struct store_worker *worker, uint64_t *number,
                     struct err *err)
{
    int rc = store_run(store, err,
                       "INSERT INTO workers (boot_id, name, build, path, state, invalid, seen_ms)"
                       " VALUES (?, ?, ?, ?, 'active', 0, ?)"
                       " ON CONFLICT (boot_id) DO UPDATE SET name = excluded.name,"
                       " build = excluded.build, path = excluded.path, seen_ms = excluded.seen_ms",
                       "tttti", worker->boot_id, worker->name, worker->build, worker->path,
                       store_now_ms());

    if (rc != 0) {
        return rc;
    }
    return store_number(store, number, err, "SELECT worker FROM workers WHERE boot_id = ?", "t",
                        worker->boot_id);
}

int store_worker(struct store *store, uint64_t number, struct store_worker *out, struct err *err)
{
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err,
                         "SELECT worker, boot_id, name, build, path FROM workers WHERE worker = ?",
                         "i", number);

    if (rc != 0 || (rc = store_step(store, row, err)) < 0) {
        return rc;
    }
    if (rc == 0) {
        return err_set(err, ERR_MISSING, "worker %llu: it never said hello",
                       (unsigned long long)number);
    }
    *out = (struct store_worker){
        .worker = store_column_number(row, 0),
        .boot_id = store_column_text(row, 1),
        .name = store_column_text(row, 2),
        .build = store_column_text(row, 3),
        .path = store_column_text(row, 4),
    };
    store_stop(row);
    return 0;
}

int store_count_invalid(struct store *store, uint64_t number, struct err *err)
{
    return store_run(store, err,
                     "UPDATE workers SET invalid = invalid + 1, seen_ms = ? WHERE worker = ?", "ii",
                     store_now_ms(), number);
}

/* Once a second at most: a lease touches few pages, and this would be one more. */
static int see_worker(struct store *store, uint64_t number, struct err *err)
{
    return store_run(store, err,
                     "UPDATE workers SET seen_ms = ?1 WHERE worker = ?2 AND seen_ms < ?1 - 1000",
                     "ii", store_now_ms(), number);
}

/* ---- attempts ---- */

static const char *const outcome_names[] = {"active", "done",     "failed",
                                            "lost",   "released", "cancelled"};

const char *store_outcome_name(enum store_outcome outcome)
{
    return outcome_names[outcome];
}

static enum store_outcome outcome_parse(const char *name)
{
    size_t i = STORE_ACTIVE;

    while (i < STORE_CANCELLED && strcmp(outcome_names[i], name) != 0) {
        i++;
    }
    return (enum store_outcome)i;
}

int store_add_attempt(struct store *store, const struct store_attempt *attempt, struct err *err)
{
    int rc = store_run(store, err,
                       "INSERT INTO attempts (lease, candidate, number, worker, seq, outcome,"
                       " failure, detail, leased_ms) VALUES (?, ?, ?, ?, ?, 'active', 'ok', '', ?)",
                       "iiiiii", attempt->lease, attempt->candidate, (int64_t)attempt->number,
                       attempt->worker, attempt->seq, store_now_ms());

    return rc != 0 ? rc : see_worker(store, attempt->worker, err);
}

/* A worker is heard of when it ends an attempt itself, not when we do for it. */
int store_end_attempt(struct store *store, const struct store_attempt *attempt, const char *detail,
                      struct err *err)
{
    int rc = store_run(store, err,
                       "UPDATE attempts SET outcome = ?, failure = ?, detail = ?, ended_ms = ?"
                       " WHERE candidate = ? AND number = ?",
                       "tttiii", store_outcome_name(attempt->outcome),
                       score_failure_name(attempt->failure), detail != NULL ? detail : "",
                       store_now_ms(), attempt->candidate, (int64_t)attempt->number);

    if (rc != 0 || attempt->outcome == STORE_LOST || attempt->outcome == STORE_CANCELLED) {
        return rc;
    }
    return see_worker(store, attempt->worker, err);
}

#define COLUMNS "a.lease, a.candidate, a.number, a.worker, a.seq, a.outcome, a.failure"

static void take(struct store_attempt *out, sqlite3_stmt *row)
{
    *out = (struct store_attempt){
        .lease = store_column_number(row, 0),
        .candidate = store_column_number(row, 1),
        .number = (uint32_t)store_column_number(row, 2),
        .worker = store_column_number(row, 3),
        .seq = store_column_number(row, 4),
        .outcome = outcome_parse(store_column_peek(row, 5)),
    };
    score_failure_parse(store_column_peek(row, 6), &out->failure);
}

/* Not by an index: asked for only when a generation was told long ago. */
int store_attempt(struct store *store, uint64_t lease, struct store_attempt *out, struct err *err)
{
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err,
                         "SELECT " COLUMNS " FROM attempts AS a WHERE a.lease = ?", "i", lease);

    if (rc != 0 || (rc = store_step(store, row, err)) < 0) {
        return rc;
    }
    if (rc == 0) {
        return err_set(err, ERR_MISSING, "lease %llu: there is none", (unsigned long long)lease);
    }
    take(out, row);
    store_stop(row);
    return 0;
}

int store_attempts(struct store *store, uint64_t generation, struct store_attempt **out, size_t *n,
                   struct err *err)
{
    struct store_attempt *made = NULL;
    size_t count = 0, room = 0;
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err,
                         "SELECT " COLUMNS " FROM attempts AS a"
                         "  JOIN candidates AS c ON c.candidate = a.candidate"
                         " WHERE c.generation = ? ORDER BY a.lease",
                         "i", generation);

    while (rc == 0 && (rc = store_step(store, row, err)) == 1) {
        if (count == room) {
            room = room == 0 ? 16 : 2 * room;
            made = mem_resize(made, room, sizeof(*made));
        }
        take(&made[count++], row);
        rc = 0;
    }
    if (rc != 0) {
        free(made);
        return rc;
    }
    *out = made;
    *n = count;
    return 0;
}
