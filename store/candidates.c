/*
 * candidates.c - recipes at their places in the search.
 *
 * A recipe's text is kept once, however many candidates have it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/store_internal.h"

static const char *const status_names[] = {"pending", "leased", "done", "failed", "held"};

const char *store_status_name(enum store_status status)
{
    return status_names[status];
}

static enum store_status status_parse(const char *name)
{
    size_t i = STORE_PENDING;

    while (i < STORE_HELD && strcmp(status_names[i], name) != 0) {
        i++;
    }
    return (enum store_status)i;
}

void store_candidate_release(struct store_candidate *candidate)
{
    free(candidate->recipe);
    free(candidate->label);
    free(candidate->point);
    *candidate = (struct store_candidate){0};
}

void store_candidates_free(struct store_candidate *candidates, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        store_candidate_release(&candidates[i]);
    }
    free(candidates);
}

/* ---- writing ---- */

int store_add_candidate(struct store *store, const struct store_candidate *candidate,
                        struct err *err)
{
    int rc = store_run(store, err,
                       "INSERT INTO recipes (digest, recipe) VALUES (?, ?)"
                       " ON CONFLICT (digest) DO NOTHING",
                       "tt", candidate->recipe_digest, candidate->recipe);

    if (rc != 0) {
        return rc;
    }
    return store_run(store, err,
                     "INSERT INTO candidates (candidate, generation, number, recipe, split, label,"
                     " parent, point, status, value, repeats, failures, losses)"
                     " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                     "iiitttibtrkii", candidate->candidate, candidate->generation,
                     candidate->number, candidate->recipe_digest, split_name(candidate->split),
                     candidate->label, (int64_t)candidate->parent, candidate->point,
                     candidate->n_point * sizeof(double), store_status_name(candidate->status),
                     candidate->value, candidate->repeats, (int64_t)candidate->failures,
                     (int64_t)candidate->losses);
}

int store_set_candidate(struct store *store, const struct store_candidate *candidate,
                        struct err *err)
{
    return store_run(store, err,
                     "UPDATE candidates SET status = ?, value = ?, failures = ?, losses = ?"
                     " WHERE candidate = ?",
                     "triii", store_status_name(candidate->status), candidate->value,
                     (int64_t)candidate->failures, (int64_t)candidate->losses,
                     candidate->candidate);
}

/* ---- reading ---- */

#define COLUMNS                                                                             \
    "c.candidate, c.generation, c.number, c.recipe, r.recipe, c.split, c.label, c.parent, " \
    "c.point,"                                                                              \
    " c.status, c.value, c.repeats, c.failures, c.losses, e.failure, e.digest, e.weights,"  \
    " (SELECT phase FROM generations WHERE number = c.generation)"
#define TABLES                                                 \
    "candidates AS c JOIN recipes AS r ON r.digest = c.recipe" \
    " LEFT JOIN evaluations AS e ON e.candidate = c.candidate"

static void take(struct store_candidate *out, sqlite3_stmt *row)
{
    *out = (struct store_candidate){
        .candidate = store_column_number(row, 0),
        .generation = store_column_number(row, 1),
        .number = (size_t)store_column_number(row, 2),
        .recipe = store_column_text(row, 4),
        .label = store_column_text(row, 6),
        .parent = store_column_number(row, 7) != 0,
        .status = status_parse(store_column_peek(row, 9)),
        .value = store_column_real(row, 10),
        .repeats = store_column_number(row, 11),
        .failures = (unsigned)store_column_number(row, 12),
        .losses = (unsigned)store_column_number(row, 13),
    };
    store_column_digest(row, 3, out->recipe_digest);
    split_parse(store_column_peek(row, 5), &out->split);
    out->point = store_column_reals(row, 8, &out->n_point);
    score_failure_parse(store_column_peek(row, 14), &out->failure);
    store_column_digest(row, 15, out->digest);
    store_column_digest(row, 16, out->weights);
    out->phase = store_column_number(row, 17);
}

/* The rows of a started statement, as one block that grows. */
static int take_all(struct store *store, sqlite3_stmt *row, struct store_candidate **out, size_t *n,
                    struct err *err)
{
    struct store_candidate *made = NULL;
    size_t count = 0, room = 0;
    int rc;

    while ((rc = store_step(store, row, err)) == 1) {
        if (count == room) {
            room = room == 0 ? 16 : 2 * room;
            made = mem_resize(made, room, sizeof(*made));
        }
        take(&made[count++], row);
    }
    if (rc != 0) {
        store_candidates_free(made, count);
        return rc;
    }
    *out = made;
    *n = count;
    return 0;
}

int store_candidate(struct store *store, uint64_t candidate, struct store_candidate *out,
                    struct err *err)
{
    sqlite3_stmt *row;
    int rc =
        store_start(store, &row, err, "SELECT " COLUMNS " FROM " TABLES " WHERE c.candidate = ?",
                    "i", candidate);

    if (rc != 0 || (rc = store_step(store, row, err)) < 0) {
        return rc;
    }
    if (rc == 0) {
        return err_set(err, ERR_MISSING, "candidate %llu: there is none",
                       (unsigned long long)candidate);
    }
    take(out, row);
    store_stop(row);
    return 0;
}

int store_candidates(struct store *store, uint64_t generation, struct store_candidate **out,
                     size_t *n, struct err *err)
{
    sqlite3_stmt *row;
    int rc =
        store_start(store, &row, err,
                    "SELECT " COLUMNS " FROM " TABLES " WHERE c.generation = ? ORDER BY c.number",
                    "i", generation);

    return rc != 0 ? rc : take_all(store, row, out, n, err);
}

int store_candidates_before(struct store *store, uint64_t phase, struct store_candidate **out,
                            size_t *n, struct err *err)
{
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err,
                         "SELECT " COLUMNS " FROM " TABLES
                         " JOIN generations AS g ON g.number = c.generation"
                         " WHERE g.stage = 'search' AND g.phase < ? ORDER BY c.candidate",
                         "i", phase);

    return rc != 0 ? rc : take_all(store, row, out, n, err);
}

int store_best_candidates(struct store *store, size_t limit, struct store_candidate **out,
                          size_t *n, struct err *err)
{
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err,
                         "SELECT " COLUMNS " FROM " TABLES
                         " JOIN generations AS g ON g.number = c.generation"
                         " WHERE g.stage = 'search' AND c.status = 'done'"
                         "   AND NOT EXISTS (SELECT 1 FROM candidates AS d JOIN generations AS h"
                         "                   ON h.number = d.generation WHERE h.stage = 'search'"
                         "                   AND d.recipe = c.recipe AND d.candidate < c.candidate)"
                         " ORDER BY c.value DESC, c.candidate LIMIT ?",
                         "i", limit);

    return rc != 0 ? rc : take_all(store, row, out, n, err);
}

int store_count_after(struct store *store, uint64_t generation, uint64_t *out, struct err *err)
{
    return store_number(store, out, err,
                        "SELECT count(*) FROM generations AS g"
                        "  JOIN candidates AS c ON c.generation = g.number"
                        " WHERE g.stage = 'search' AND g.generation > ?",
                        "i", generation);
}

int store_find_candidate(struct store *store, const char *recipe_digest, enum split split,
                         uint64_t *out, struct err *err)
{
    return store_number(store, out, err,
                        "SELECT min(candidate) FROM candidates"
                        " WHERE recipe = ? AND split = ? AND repeats IS NULL",
                        "tt", recipe_digest, split_name(split));
}

/* ---- counts ---- */

static const char tally_sql[] =
    "SELECT ifnull(max(c.candidate), 0), total(c.status = 'done'), total(c.status = 'failed'),"
    "       total(g.stage = 'search' AND c.status IN ('done', 'failed')),"
    "       max(CASE WHEN g.stage = 'search' THEN c.value END),"
    "       max(CASE WHEN g.stage = 'baseline' AND c.parent THEN c.value END)"
    "  FROM candidates AS c JOIN generations AS g ON g.number = c.generation";

int store_tally(struct store *store, struct store_tally *out, struct err *err)
{
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err, tally_sql, "");

    if (rc != 0 || (rc = store_step(store, row, err)) < 0) {
        return rc;
    }
    *out = (struct store_tally){
        .candidates = store_column_number(row, 0),
        .done = store_column_number(row, 1),
        .failed = store_column_number(row, 2),
        .searched = store_column_number(row, 3),
        .best = store_column_real(row, 4),
        .best_parent = store_column_real(row, 5),
    };
    store_stop(row);
    return store_number(store, &out->best_generation, err,
                        "SELECT min(g.generation) FROM candidates AS c"
                        "  JOIN generations AS g ON g.number = c.generation"
                        " WHERE g.stage = 'search' AND c.value = ?",
                        "r", out->best);
}
