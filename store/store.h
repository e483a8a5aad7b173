/*
 * store.h - what a study remembers: one SQLite file (schema.sql explains every column).
 *
 *   store_open(&store, "night.db", &err);             the only writer: coordinator
 *   store_begin(store, STORE_DURABLE, &err);
 *   store_add_event(store, now_ms, "result", body, &err);
 *   store_commit(store, &err);                        on disk when this returns 0
 *   store_close(store);
 *
 * One connection in one process writes; a lock file beside the database (night.db.lock, holding
 * that process's id) says which. Everyone else opens a reader, which never writes, not even a
 * checkpoint: two checkpointing connections can lose commits in SQLite 3.7.0 to 3.51.2. Functions
 * that write ("add", "set", "end") must be called between store_begin and store_commit; those that
 * read may be called at any time. ERR_IO from a write means that the outcome is unknown: stop, open
 * again, read again. ERR_LIMIT means that the disk is full and nothing was stored.
 *
 * Text and bytes in row structs are borrowed on the way in. On the way out they belong to the
 * struct; x_release frees them.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/doc.h"
#include "base/err.h"
#include "study/job.h"
#include "study/score.h"

#define STORE_SCHEMA_VERSION 1

struct store;

/*
 * Open for writing, making a new file when there is none; ":memory:" gives a private one. Takes
 * the lock, checks the schema version and the event chain. ERR_CONFLICT: another process holds the
 * file (its id is in the line), the schema is newer than ours (both numbers), or the chain is
 * broken (which event). ERR_IO: not a database, or on a network file system.
 */
int store_open(struct store **out, const char *path, struct err *err);

/* Open an existing file for reading only. ERR_MISSING when there is none. */
int store_open_reader(struct store **out, const char *path, struct err *err);
void store_close(struct store *store);

/* Write a consistent copy to a path that must not exist, while the store is in use. */
int store_backup(struct store *store, const char *path, struct err *err);

/* ---- transactions ---- */

enum store_sync {
    STORE_DURABLE, /* on the disk when the commit returns */
    STORE_ORDERED  /* survives our death, may be lost with the machine's power: leases */
};
int store_begin(struct store *store, enum store_sync sync, struct err *err);
int store_commit(struct store *store, struct err *err);
void store_rollback(struct store *store); /* harmless outside a transaction */

/* Called at every commit; a value other than 0 makes store_commit fail with ERR_IO as if the
 * process had died there: before it, nothing is stored; after it, everything is. For tests. */
enum store_edge { STORE_BEFORE_COMMIT, STORE_AFTER_COMMIT };
void store_set_hook(struct store *store, int (*hook)(void *context, enum store_edge edge),
                    void *context);

/* ---- the study ---- */

struct store_study {
    char *name;
    char identity[DIGEST_HEX];
    char *document; /* canonical JSON */
    char *version;
    uint32_t n_layers;
    size_t n_coordinates;
    char *stage, *state, *reason, *finish;
    uint64_t epoch;
    uint64_t evaluations_max;
    char trajectory[DIGEST_HEX];
    uint64_t winner; /* candidate, 0: not chosen yet */
    char *verdict;
};
void store_study_release(struct store_study *study);

/* ERR_MISSING: nothing was ever started in this file. */
int store_study(struct store *store, struct store_study *out, struct err *err);
int store_add_study(struct store *store, const struct store_study *study, int64_t now_ms,
                    struct err *err);
/* Write back all columns that change: stage, state, reason, finish, epoch, evaluations_max,
 * trajectory, winner, verdict. */
int store_set_study(struct store *store, const struct store_study *study, struct err *err);

int store_add_model(struct store *store, size_t number, const char *name, const char *path,
                    const char *digest, struct err *err);

struct store_task {
    const char *name, *digest, *metric;
    bool higher_is_better;
    double weight;
    size_t documents[4]; /* by enum split */
};
int store_add_task(struct store *store, size_t number, const struct store_task *task,
                   struct err *err);
/* ERR_CONFLICT unless the stored task of that number has the same name, digest and metric. */
int store_check_task(struct store *store, size_t number, const struct store_task *task,
                     struct err *err);

int store_add_coordinate(struct store *store, size_t number, const char *name, double lower,
                         double upper, struct err *err);

/* ---- generations ---- */

struct store_generation {
    uint64_t id; /* over all stages, from 0 */
    char *stage;
    uint64_t number; /* within the stage */
    bool told;
    size_t n;      /* candidates */
    size_t n_mean; /* coordinates; 0: none */
    double *mean;  /* [n_mean] */
    double sigma;  /* NaN: none */
    unsigned char *optimiser;
    size_t n_optimiser; /* bytes; 0: none */
};
void store_generation_release(struct store_generation *generation);

int store_add_generation(struct store *store, const struct store_generation *generation,
                         int64_t now_ms, struct err *err);
/* The latest of all stages. ERR_MISSING when there is none. */
int store_last_generation(struct store *store, struct store_generation *out, struct err *err);

/* How a generation came out; values are NaN when every candidate failed. */
struct store_outcome {
    char trajectory[DIGEST_HEX];
    double best, average;
    size_t failed;
};
int store_set_told(struct store *store, uint64_t generation, const struct store_outcome *outcome,
                   int64_t now_ms, struct err *err);

/* ---- candidates ---- */

enum store_status { STORE_PENDING, STORE_LEASED, STORE_DONE, STORE_FAILED, STORE_HELD };
const char *store_status_name(enum store_status status);

struct store_candidate {
    uint64_t id; /* from 1, in the order asked */
    uint64_t generation;
    size_t number; /* within the generation */
    enum split split;
    char *recipe; /* canonical JSON */
    char identity[DIGEST_HEX];
    char *label; /* "" for a search candidate */
    bool parent;
    uint64_t source; /* the candidate of an earlier stage it measures again, 0: none */
    size_t n_point;  /* 0: none */
    double *point;   /* [n_point] */
    enum store_status status;
    double value;        /* the objective, NaN: none */
    uint64_t evaluation; /* 0: none */
    uint64_t repeats;    /* candidate whose outcome is this one's too, 0: none */
    unsigned failures, losses;
    enum score_failure failure; /* the latest */
    char *detail;               /* NULL: none */
    char weights[DIGEST_HEX]; /* of the evaluation that counts; "" when there is none. Not written.
                               */
};
void store_candidate_release(struct store_candidate *candidate);

int store_add_candidate(struct store *store, const struct store_candidate *candidate,
                        struct err *err);
/* Write back all columns that change: status, value, evaluation, failures, losses, failure, detail.
 */
int store_set_candidate(struct store *store, const struct store_candidate *candidate,
                        int64_t now_ms, struct err *err);

int store_candidate(struct store *store, uint64_t id, struct store_candidate *out, struct err *err);
/* All of a generation in order: *out [*n] is one block, each element released by the caller, then
 * free(*out). */
int store_candidates(struct store *store, uint64_t generation, struct store_candidate **out,
                     size_t *n, struct err *err);
void store_candidates_free(struct store_candidate *candidates, size_t n);

/* The first candidate with this recipe and split, 0: none. */
int store_find_candidate(struct store *store, const char *identity, enum split split, uint64_t *out,
                         struct err *err);

/* The best finished candidates of a stage, at most n, of distinct recipes, best first (ties: the
 * older first): ids into out [n]. */
int store_best_candidates(struct store *store, const char *stage, size_t n, uint64_t *out,
                          size_t *n_out, struct err *err);

/* ---- workers and attempts ---- */

struct store_worker {
    const char *boot_id, *name, *build, *path;
};
/* The same boot_id gets the same id; its row is renewed. */
int store_add_worker(struct store *store, const struct store_worker *worker, int64_t now_ms,
                     uint64_t *id, struct err *err);

enum store_ending {
    STORE_ACTIVE,
    STORE_ENDED_DONE,
    STORE_ENDED_FAILED,
    STORE_LOST,
    STORE_RELEASED,
    STORE_CANCELLED
};

struct store_attempt {
    uint64_t lease;
    uint64_t candidate;
    uint32_t number; /* within the candidate, from 1 */
    uint64_t worker;
    uint64_t seq;
    enum store_ending state;
    enum score_failure failure;
    const char *detail; /* written only */
    int64_t leased_ms;  /* read only */
};
int store_add_attempt(struct store *store, const struct store_attempt *attempt, int64_t now_ms,
                      struct err *err);
/* Sets state, failure, detail and counts it for the worker. */
int store_end_attempt(struct store *store, const struct store_attempt *attempt, int64_t now_ms,
                      struct err *err);
int store_count_invalid(struct store *store, uint64_t worker, int64_t now_ms, struct err *err);

/* All attempts of a generation's candidates, by lease. free(*out). */
int store_attempts(struct store *store, uint64_t generation, struct store_attempt **out, size_t *n,
                   struct err *err);

/* ---- evaluations ---- */

struct store_evaluation {
    uint64_t id; /* filled in by store_add_evaluation */
    uint64_t candidate;
    uint32_t attempt;
    uint64_t worker;
    bool accepted;
    char digest[DIGEST_HEX]; /* score_digest */
};
/* An evaluation with its scores and documents; tasks in the study's order. */
int store_add_evaluation(struct store *store, struct store_evaluation *evaluation,
                         const struct score *score, int64_t now_ms, struct err *err);
/* The score as it came, without document ids. ERR_CONFLICT when its digest is not the stored one:
 * the file is damaged. */
int store_score(struct store *store, uint64_t evaluation, struct score *out, struct err *err);
/* The digest of an evaluation's score. */
int store_evaluation_digest(struct store *store, uint64_t evaluation, char out[DIGEST_HEX],
                            struct err *err);
/* The values of one metric a task, [n_tasks] in the study's order, by metric name. ERR_MISSING when
 * a task has none. */
int store_values(struct store *store, uint64_t evaluation, const char *const *metrics,
                 size_t n_tasks, double *out, struct err *err);

/* Median wall seconds of the latest accepted evaluations (at most 101), 0 when there are none. */
int store_median_wall(struct store *store, double *out, struct err *err);

/* ---- events ---- */

/* Append an event; body is an object, borrowed. */
int store_add_event(struct store *store, int64_t now_ms, const char *kind, const json_t *body,
                    struct err *err);
/* Walk the whole chain. ERR_CONFLICT names the first event that does not follow from the one
 * before. */
int store_check_chain(struct store *store, struct err *err);

/* ---- the end ---- */

struct store_report_row {
    size_t number;
    uint64_t candidate;
    const char *label, *role, *verdict;
    size_t n;
    double value, difference, lower, upper; /* NaN: none */
};
int store_add_report_row(struct store *store, const struct store_report_row *row, struct err *err);

int store_add_export(struct store *store, uint64_t candidate, const char *format, const char *path,
                     const char *weights, int64_t now_ms, struct err *err);

#endif
