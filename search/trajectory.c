/*
 * trajectory.c - one number for all that a search decided so far.
 *
 *   hash(-1) = SHA-256( "trajectory 1", identity of the study )
 *   hash(g)  = SHA-256( hash(g-1), g, for each candidate in order: digest of its recipe, then
 *                         bits of each task's searched value, digest of the weights
 *                         or the kind of its failure;
 *                       then the digest of the optimiser's bytes )
 *
 * No times, workers, attempts or order of arrival enter it: two runs of one study with equal
 * results have equal hashes whatever happened in between.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/coordinator_internal.h"

void trajectory_begin(const char *identity, char out[DIGEST_HEX])
{
    struct digest *digest = digest_new();

    digest_add_text(digest, "trajectory 1");
    digest_add_text(digest, identity);
    digest_end_hex(digest, out);
}

static void add_double(struct digest *digest, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    digest_add_u64(digest, bits);
}

/* values [n_tasks] is scratch. */
static int add_candidate(struct coordinator *coordinator, struct digest *digest,
                         const struct store_candidate *candidate, double *values, struct err *err)
{
    digest_add_text(digest, candidate->recipe_digest);
    if (candidate->status == STORE_FAILED) {
        digest_add_text(digest, score_failure_name(candidate->failure));
        return 0;
    }
    int rc =
        store_values(coordinator->store, candidate->candidate, coordinator->n_tasks, values, err);
    for (size_t t = 0; rc == 0 && t < coordinator->n_tasks; t++) {
        add_double(digest, values[t]);
    }
    digest_add_text(digest, candidate->weights);
    return rc;
}

/* The head of a generation's hash, and its end, which also frees it. */
static struct digest *begin(const char *previous, uint64_t number)
{
    struct digest *digest = digest_new();

    digest_add_text(digest, previous);
    digest_add_u64(digest, number);
    return digest;
}

static void end(struct digest *digest, const unsigned char *optimiser, size_t n,
                char out[DIGEST_HEX])
{
    char optimiser_digest[DIGEST_HEX];

    digest_hex_of(optimiser, n, optimiser_digest);
    digest_add_text(digest, optimiser_digest);
    digest_end_hex(digest, out);
}

int trajectory_extend(struct coordinator *coordinator, const unsigned char *optimiser, size_t n,
                      char out[DIGEST_HEX], struct err *err)
{
    const struct generation *open = &coordinator->open;
    struct digest *digest = begin(coordinator->study.trajectory, open->row.number);
    double *values = mem_array(coordinator->n_tasks, sizeof(*values));
    char hash[DIGEST_HEX];
    int rc = 0;

    for (size_t i = 0; i < open->n && rc == 0; i++) {
        rc = add_candidate(coordinator, digest, &open->places[i].row, values, err);
    }
    end(digest, optimiser, n, hash);
    if (rc == 0) {
        memcpy(out, hash, DIGEST_HEX);
    }
    free(values);
    return rc;
}

/* ---- the whole way again ---- */

/* The objective of values [n_tasks] is the value that the candidate has. */
static int check_value(struct coordinator *coordinator, const struct store_candidate *row,
                       double *values, struct err *err)
{
    size_t n = coordinator->n_tasks;
    struct score_task *tasks = mem_array(n, sizeof(*tasks));
    char **metrics = mem_array(n, sizeof(*metrics));
    const struct score score = {.n_tasks = n, .tasks = tasks};

    for (size_t t = 0; t < n; t++) {
        metrics[t] = (char *)coordinator->tasks[t].metric;
        tasks[t] = (struct score_task){.name = (char *)coordinator->tasks[t].name,
                                       .n_metrics = 1,
                                       .metrics = &metrics[t],
                                       .values = &values[t]};
    }
    double value =
        fitness_objective(&score, coordinator->tasks, n, coordinator->options.study->objective);
    free(metrics);
    free(tasks);
    return value == row->value
               ? 0
               : err_set(err, ERR_CONFLICT,
                         "database: damaged: candidate %llu has another value than its scores",
                         (unsigned long long)row->candidate);
}

/* The hash after a generation as the store has it, from the one before; after has the optimiser's
 * bytes. */
static int walk(struct coordinator *coordinator, uint64_t number, const char *previous,
                const struct store_generation *after, char out[DIGEST_HEX], struct err *err)
{
    struct store_candidate *rows = NULL;
    size_t n = 0;
    int rc = store_candidates(coordinator->store, number, &rows, &n, err);

    if (rc != 0) {
        return rc;
    }
    struct digest *digest = begin(previous, number);
    double *values = mem_array(coordinator->n_tasks, sizeof(*values));
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = add_candidate(coordinator, digest, &rows[i], values, err);
        if (rc == 0 && rows[i].status == STORE_DONE) {
            rc = check_value(coordinator, &rows[i], values, err);
        }
    }
    end(digest, after->optimiser, after->n_optimiser, out);
    free(values);
    store_candidates_free(rows, n);
    return rc;
}

/* hash becomes the hash after generation `number`; it must be the one stored with it. */
static int check_generation(struct coordinator *coordinator, uint64_t number, uint64_t last,
                            char hash[DIGEST_HEX], struct err *err)
{
    struct store_generation told = {0}, after = {0};
    char found[DIGEST_HEX];

    int rc = store_generation(coordinator->store, number, &told, err);
    if (rc == 0) { /* the end of a study changes the optimiser no more */
        rc = store_generation(coordinator->store, number < last ? number + 1 : last, &after, err);
    }
    if (rc == 0) {
        rc = walk(coordinator, number, hash, &after, found, err);
    }
    if (rc == 0 && strcmp(found, told.trajectory) != 0) {
        rc = err_set(
            err, ERR_CONFLICT,
            "database: damaged: generation %llu was told something else than what is stored",
            (unsigned long long)number);
    }
    if (rc == 0) {
        memcpy(hash, found, DIGEST_HEX);
    }
    store_generation_release(&told);
    store_generation_release(&after);
    return rc;
}

int trajectory_check(struct coordinator *coordinator, struct err *err)
{
    const struct store_generation *open = &coordinator->open.row;
    uint64_t end_at = open->trajectory[0] != '\0' ? open->number + 1 : open->number;
    char hash[DIGEST_HEX];
    int rc = 0;

    trajectory_begin(coordinator->study.identity, hash);
    for (uint64_t g = 0; g < end_at && rc == 0; g++) {
        rc = check_generation(coordinator, g, open->number, hash, err);
    }
    if (rc == 0 && strcmp(hash, coordinator->study.trajectory) != 0) {
        rc = err_set(err, ERR_CONFLICT,
                     "database: damaged: its trajectory is not that of its generations");
    }
    return rc;
}
