/*
 * store.h - what a study remembers: one SQLite file (schema.sql explains every column).
 *
 *   store_open(&store, "night.db", &err);                 the only writer: the coordinator
 *   store_begin(store, STORE_DURABLE, &err);
 *   store_add_evaluation(store, &evaluation, &err);
 *   store_commit(store, &err);                            on the disk when this returns 0
 *   store_close(store);
 *
 * One connection in one process writes; a lock file beside the database (night.db.lock, it holds
 * that process's id) says which. Everyone else opens a reader, which never writes, not even a
 * checkpoint: two connections that checkpoint can lose commits in SQLite 3.7.0 to 3.51.2.
 *
 * Functions that write (add, set, end) are called between store_begin and store_commit; those
 * that read at any time. After an ERR_IO from a write nobody knows what is on the disk: close,
 * open again, read again. ERR_LIMIT means that the disk is full; after store_rollback nothing
 * was stored. Calendar times are stamped by the store itself; no decision is read from them.
 *
 * Texts and arrays in a struct are borrowed on the way in; on the way out they are the struct's
 * own, and its _release frees them.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "study/job.h"
#include "study/score.h"

#define STORE_SCHEMA_VERSION 3

struct store;

/*
 * Open for writing; a file that is not there is made; ":memory:" gives a private store. Takes the
 * lock, checks the schema's version and the event chain; an older schema is brought up to date.
 * ERR_CONFLICT: another process holds the
 * file (the line has its id), the schema is newer than ours (both numbers), or the chain is broken
 * (where). ERR_FORMAT: not a database of ours. ERR_IO: cannot be opened, or lies on a network file
 * system.
 */
int store_open(struct store **out, const char *path, struct err *err);

/* Open an existing file for reading only. ERR_MISSING when there is none. One of an older schema is
 * opened for writing first, and brought up to date. */
int store_open_reader(struct store **out, const char *path, struct err *err);
void store_close(struct store *store);

/* Write a consistent copy to a path where nothing is yet, while the store is in use. */
int store_backup(struct store *store, const char *path, struct err *err);

/* Random, made with the file: tells it from another of the same study. "" before store_add_study.
 * Valid until store_close. */
const char *store_id(const struct store *store);

/* ---- transactions ---- */

enum store_sync {
    STORE_DURABLE, /* on the disk when the commit returns */
    STORE_ORDERED /* survives our death; the machine's loss of power may undo it, never in part. For
                     leases. */
};
int store_begin(struct store *store, enum store_sync sync, struct err *err);
int store_commit(struct store *store, struct err *err);
/* Undo what was written since store_begin. Harmless outside a transaction. */
void store_rollback(struct store *store);

/* Called at every commit. Other than 0 makes store_commit fail with ERR_IO as if the process had
 * died there: before it nothing is stored, after it everything is. For tests; context is kept. */
enum store_edge { STORE_BEFORE_COMMIT, STORE_AFTER_COMMIT };
void store_set_hook(struct store *store, int (*hook)(void *context, enum store_edge edge),
                    void *context);

/* ---- the study ---- */

struct store_study {
    char *name;
    char identity[DIGEST_HEX];
    char *form; /* canonical JSON */
    char *version;
    uint32_t n_layers;
    uint64_t epoch;
    char *stage, *state, *reason, *ending;
    uint64_t generation;
    uint64_t evaluations_max;
    uint64_t forgiven;
    char trajectory[DIGEST_HEX];
    uint64_t winner; /* candidate, 0: not chosen yet */
    char *verdict;   /* JSON list of sentences */
};
void store_study_release(struct store_study *study);

/* ERR_MISSING: nothing was started in this file yet. */
int store_study(struct store *store, struct store_study *out, struct err *err);
int store_add_study(struct store *store, const struct store_study *study, struct err *err);
/* Write back what changes: epoch and all below it. */
int store_set_study(struct store *store, const struct store_study *study, struct err *err);

struct store_model {
    const char *name, *path, *digest;
};
int store_add_model(struct store *store, size_t number, const struct store_model *model,
                    struct err *err);
/* ERR_CONFLICT, naming the model, unless the stored one of that number has the same name and
 * digest. */
int store_check_model(struct store *store, size_t number, const struct store_model *model,
                      struct err *err);

struct store_task {
    const char *name, *digest, *metric;
    bool higher_is_better;
    double weight;
    size_t documents[4]; /* by enum split */
};
int store_add_task(struct store *store, size_t number, const struct store_task *task,
                   struct err *err);
/* ERR_CONFLICT, naming the task, unless the stored one of that number has the same name, digest and
 * metric. */
int store_check_task(struct store *store, size_t number, const struct store_task *task,
                     struct err *err);

/* ---- phases ---- */

struct store_phase {
    uint64_t phase; /* from 0 */
    char *name, *optimiser, *why;
    uint64_t generation; /* of the search stage, its first */
    uint64_t before;     /* search candidates of the phases before */
    uint64_t evaluations;
    char *ending; /* "": it goes on */
};
void store_phase_release(struct store_phase *phase);

int store_add_phase(struct store *store, const struct store_phase *phase, struct err *err);
int store_end_phase(struct store *store, uint64_t phase, const char *ending, struct err *err);
/* ERR_MISSING when it has not begun. */
int store_phase(struct store *store, uint64_t phase, struct store_phase *out, struct err *err);
int store_set_effect(struct store *store, uint64_t phase, size_t number, double effect,
                     struct err *err);
int store_add_coordinate(struct store *store, uint64_t phase, size_t number, const char *name,
                         double lower, double upper, struct err *err);

/* ---- generations ---- */

struct store_generation {
    uint64_t number; /* over all stages, from 0 */
    char *stage;
    uint64_t generation;      /* within the stage */
    uint64_t phase;           /* of the search */
    double sigma;             /* NaN: none */
    double *mean;             /* [n_mean] */
    size_t n_mean;            /* 0: none */
    unsigned char *optimiser; /* [n_optimiser] bytes, as it was before it was asked */
    size_t n_optimiser;
    char trajectory[DIGEST_HEX]; /* "": not told yet. Not written by store_add_generation. */
};
void store_generation_release(struct store_generation *generation);

int store_add_generation(struct store *store, const struct store_generation *generation,
                         struct err *err);
int store_set_told(struct store *store, uint64_t number, const char *trajectory, struct err *err);
/* ERR_MISSING when there is none. */
int store_generation(struct store *store, uint64_t number, struct store_generation *out,
                     struct err *err);
/* How many there are, of all stages. */
int store_count_generations(struct store *store, uint64_t *out, struct err *err);

/* ---- candidates ---- */

enum store_status { STORE_PENDING, STORE_LEASED, STORE_DONE, STORE_FAILED, STORE_HELD };
const char *store_status_name(enum store_status status);

struct store_candidate {
    uint64_t candidate; /* from 1, in the order asked */
    uint64_t generation;
    size_t number;  /* within the generation */
    uint64_t phase; /* of its generation; not written by candidate functions */
    char recipe_digest[DIGEST_HEX];
    char *recipe; /* canonical JSON */
    enum split split;
    char *label; /* "" for a point of the search */
    bool parent;
    double *point;  /* [n_point] */
    size_t n_point; /* 0: none */
    enum store_status status;
    double value;     /* NaN: none */
    uint64_t repeats; /* candidate whose outcome is this one's too, 0: none */
    unsigned failures, losses;
    /* Of its evaluation; not written by candidate functions. */
    enum score_failure failure;
    char digest[DIGEST_HEX], weights[DIGEST_HEX]; /* "": none */
};
void store_candidate_release(struct store_candidate *candidate);

int store_add_candidate(struct store *store, const struct store_candidate *candidate,
                        struct err *err);
/* Write back what changes: status, value, failures, losses. */
int store_set_candidate(struct store *store, const struct store_candidate *candidate,
                        struct err *err);
int store_candidate(struct store *store, uint64_t candidate, struct store_candidate *out,
                    struct err *err);

/* Candidates in an order: *out is one block of *n; store_candidates_free ends it. */
int store_candidates(struct store *store, uint64_t generation, struct store_candidate **out,
                     size_t *n, struct err *err);
/* Those of the search stage in the phases before `phase`, in the order they were told. */
int store_candidates_before(struct store *store, uint64_t phase, struct store_candidate **out,
                            size_t *n, struct err *err);
/* The best of the search stage, at most limit, of distinct recipes, best first; of equal ones the
 * older. */
int store_best_candidates(struct store *store, size_t limit, struct store_candidate **out,
                          size_t *n, struct err *err);
void store_candidates_free(struct store_candidate *candidates, size_t n);

/* Candidates of the search stage that were asked after this generation of it. */
int store_count_after(struct store *store, uint64_t generation, uint64_t *out, struct err *err);

/* The first candidate with this recipe and split that repeats no other; 0: none. */
int store_find_candidate(struct store *store, const char *recipe_digest, enum split split,
                         uint64_t *out, struct err *err);

/* Counts over all candidates. */
struct store_tally {
    uint64_t candidates; /* the latest candidate's number */
    uint64_t done, failed;
    uint64_t searched;        /* done or failed, search stage */
    double best, best_parent; /* values on the search split; NaN: none */
    uint64_t best_generation; /* of the search stage, the first that reached best */
};
int store_tally(struct store *store, struct store_tally *out, struct err *err);

/* ---- several objectives ---- */

/* Objective `number`, from 0, is the study's task `task`. */
int store_add_objective(struct store *store, size_t number, size_t task, struct err *err);

/* The candidates of the search that no other dominates, oldest first, free(*out); one in, one out;
 * how many there are, and the youngest's generation of the search. */
int store_front(struct store *store, uint64_t **out, size_t *n, struct err *err);
int store_add_front(struct store *store, uint64_t candidate, struct err *err);
int store_drop_front(struct store *store, uint64_t candidate, struct err *err);
int store_front_state(struct store *store, uint64_t *n, uint64_t *generation, struct err *err);

/* ---- evaluations ---- */

struct store_evaluation {
    uint64_t candidate;
    uint32_t attempt;
    uint64_t worker;           /* 0: not known */
    const struct score *score; /* tasks in the study's order; none when it failed */
    const char *digest;        /* score_digest; "" when it failed */
};
int store_add_evaluation(struct store *store, const struct store_evaluation *evaluation,
                         struct err *err);
/* The outcome of another candidate, again, at no cost. */
int store_copy_evaluation(struct store *store, uint64_t from, uint64_t to, struct err *err);
/* A result with other bits than the stored one. */
int store_add_conflict(struct store *store, const struct store_evaluation *evaluation,
                       struct err *err);

/* The score as it came, without document ids. ERR_MISSING: none. ERR_CONFLICT when its digest is
 * not the stored one: the file is damaged. */
int store_score(struct store *store, uint64_t candidate, struct score *out, struct err *err);
/* The values of the searched metrics, [n_tasks] in the study's order. ERR_MISSING: none. */
int store_values(struct store *store, uint64_t candidate, size_t n_tasks, double *out,
                 struct err *err);
/* Wall seconds of the latest evaluations, at most limit, in no order. */
int store_recent_walls(struct store *store, size_t limit, double *out, size_t *n, struct err *err);

/* ---- workers and attempts ---- */

struct store_worker {
    uint64_t worker;
    char *boot_id, *name, *build, *path;
};
void store_worker_release(struct store_worker *worker);

/* The same boot_id gets the same number; its row is renewed. */
int store_add_worker(struct store *store, const struct store_worker *worker, uint64_t *number,
                     struct err *err);
/* ERR_MISSING. */
int store_worker(struct store *store, uint64_t number, struct store_worker *out, struct err *err);
/* A result of its was refused. */
int store_count_invalid(struct store *store, uint64_t number, struct err *err);

enum store_outcome {
    STORE_ACTIVE,
    STORE_FINISHED,
    STORE_BROKEN,
    STORE_LOST,
    STORE_RELEASED,
    STORE_CANCELLED
};
const char *store_outcome_name(
    enum store_outcome outcome); /* active, done, failed, lost, released, cancelled */

struct store_attempt {
    uint64_t lease;
    uint64_t candidate;
    uint32_t number; /* within the candidate, from 1 */
    uint64_t worker;
    uint64_t seq;
    enum store_outcome outcome;
    enum score_failure failure; /* when STORE_BROKEN */
};
int store_add_attempt(struct store *store, const struct store_attempt *attempt, struct err *err);
/* Write back outcome and failure; detail may be NULL. */
int store_end_attempt(struct store *store, const struct store_attempt *attempt, const char *detail,
                      struct err *err);
/* ERR_MISSING. */
int store_attempt(struct store *store, uint64_t lease, struct store_attempt *out, struct err *err);
/* All of a generation's candidates, by lease; free(*out). */
int store_attempts(struct store *store, uint64_t generation, struct store_attempt **out, size_t *n,
                   struct err *err);

/* ---- events ---- */

struct store_event {
    const char *kind;
    uint64_t candidate; /* 0: none */
    const char *digest; /* NULL: none */
};
/* Append an event; the text is for people. */
int store_add_event(struct store *store, const struct store_event *event, struct err *err,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Walk the chain, compare the digests in it with the rows they stand for, and recipes with their
 * own. ERR_CONFLICT says where it breaks. store_open does it. */
int store_check(struct store *store, struct err *err);

/* ---- notes ---- */

/* Beside the study, no part of it: the last value of a key. A transaction of its own. */
int store_set_setting(struct store *store, const char *key, const char *value, struct err *err);
/* free(*out). ERR_MISSING. */
int store_setting(struct store *store, const char *key, char **out, struct err *err);

/* ---- the end ---- */

struct store_report_row {
    size_t number;
    uint64_t candidate;
    const char *label, *role; /* role: winner, front, parent, baseline */
    size_t n;
    double value, difference, low, high; /* NaN: none */
};
int store_add_report_row(struct store *store, const struct store_report_row *row, struct err *err);

/* A row of the final table in one of several objectives. */
struct store_standing {
    size_t number; /* the row's */
    size_t task;
    double value;
    uint64_t parent;              /* best of the parents in this task, 0: none */
    double difference, low, high; /* row less that parent, better is positive; NaN: none */
};
int store_add_standing(struct store *store, const struct store_standing *standing, struct err *err);

/* Exports and settings are written in a transaction of their own: not between store_begin and
 * store_commit. */
struct store_export {
    uint64_t candidate;
    const char *format, *path, *weights;
};
int store_add_export(struct store *store, const struct store_export *export, struct err *err);

/* A value under a key of the caller's, and back (free() it; ERR_MISSING). */
int store_set_setting(struct store *store, const char *key, const char *value, struct err *err);
int store_setting(struct store *store, const char *key, char **value, struct err *err);

#endif
