/*
 * generations.c - what is asked together and told together, and the optimiser's bytes at each.
 *
 * The optimiser is kept as it was before the ask, so that a restart can ask again and compare.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/store_internal.h"

void store_generation_release(struct store_generation *generation)
{
    free(generation->stage);
    free(generation->mean);
    free(generation->optimiser);
    *generation = (struct store_generation){0};
}

int store_add_generation(struct store *store, const struct store_generation *generation,
                         struct err *err)
{
    return store_run(store, err,
                     "INSERT INTO generations (number, stage, generation, phase, sigma, mean,"
                     " optimiser, asked_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                     "itiirbbi", generation->number, generation->stage, generation->generation,
                     generation->phase, generation->sigma, generation->mean,
                     generation->n_mean * sizeof(double), generation->optimiser,
                     generation->n_optimiser, store_now_ms());
}

int store_set_told(struct store *store, uint64_t number, const char *trajectory, struct err *err)
{
    return store_run(store, err,
                     "UPDATE generations SET trajectory = ?, told_ms = ? WHERE number = ?", "tii",
                     trajectory, store_now_ms(), number);
}

int store_generation(struct store *store, uint64_t number, struct store_generation *out,
                     struct err *err)
{
    sqlite3_stmt *row;
    int rc =
        store_start(store, &row, err,
                    "SELECT number, stage, generation, sigma, mean, optimiser, trajectory, phase"
                    "  FROM generations WHERE number = ?",
                    "i", number);

    if (rc != 0 || (rc = store_step(store, row, err)) < 0) {
        return rc;
    }
    if (rc == 0) {
        return err_set(err, ERR_MISSING, "database: there is no generation %llu",
                       (unsigned long long)number);
    }
    *out = (struct store_generation){
        .number = store_column_number(row, 0),
        .stage = store_column_text(row, 1),
        .generation = store_column_number(row, 2),
        .sigma = store_column_real(row, 3),
        .phase = store_column_number(row, 7),
    };
    out->mean = store_column_reals(row, 4, &out->n_mean);
    out->n_optimiser = (size_t)sqlite3_column_bytes(row, 5);
    out->optimiser = mem_alloc(out->n_optimiser);
    if (out->n_optimiser > 0) {
        memcpy(out->optimiser, sqlite3_column_blob(row, 5), out->n_optimiser);
    }
    store_column_digest(row, 6, out->trajectory);
    store_stop(row);
    return 0;
}

int store_count_generations(struct store *store, uint64_t *out, struct err *err)
{
    return store_number(store, out, err, "SELECT count(*) FROM generations", "");
}
