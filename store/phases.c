/*
 * phases.c - the parts of a search, and what the numbers of their points mean.
 */
#include <stdlib.h>

#include "store/store_internal.h"

void store_phase_release(struct store_phase *phase)
{
    free(phase->name);
    free(phase->optimiser);
    free(phase->why);
    free(phase->ending);
    *phase = (struct store_phase){0};
}

int store_add_phase(struct store *store, const struct store_phase *phase, struct err *err)
{
    return store_run(store, err,
                     "INSERT INTO phases (phase, name, optimiser, why, generation, before,"
                     " evaluations, ending) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                     "itttiiit", phase->phase, phase->name, phase->optimiser, phase->why,
                     phase->generation, phase->before, phase->evaluations, phase->ending);
}

int store_end_phase(struct store *store, uint64_t phase, const char *ending, struct err *err)
{
    return store_run(store, err, "UPDATE phases SET ending = ? WHERE phase = ?", "ti", ending,
                     phase);
}

int store_phase(struct store *store, uint64_t phase, struct store_phase *out, struct err *err)
{
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err,
                         "SELECT phase, name, optimiser, why, generation, before, evaluations,"
                         " ending FROM phases WHERE phase = ?",
                         "i", phase);

    if (rc != 0 || (rc = store_step(store, row, err)) < 0) {
        return rc;
    }
    if (rc == 0) {
        return err_set(err, ERR_MISSING, "database: phase %llu of the search has not begun",
                       (unsigned long long)phase);
    }
    *out = (struct store_phase){
        .phase = store_column_number(row, 0),
        .name = store_column_text(row, 1),
        .optimiser = store_column_text(row, 2),
        .why = store_column_text(row, 3),
        .generation = store_column_number(row, 4),
        .before = store_column_number(row, 5),
        .evaluations = store_column_number(row, 6),
        .ending = store_column_text(row, 7),
    };
    store_stop(row);
    return 0;
}

int store_set_effect(struct store *store, uint64_t phase, size_t number, double effect,
                     struct err *err)
{
    return store_run(store, err, "UPDATE coordinates SET effect = ? WHERE phase = ? AND number = ?",
                     "rii", effect, phase, number);
}

int store_add_coordinate(struct store *store, uint64_t phase, size_t number, const char *name,
                         double lower, double upper, struct err *err)
{
    return store_run(store, err,
                     "INSERT INTO coordinates (phase, number, name, lower, upper)"
                     " VALUES (?, ?, ?, ?, ?)",
                     "iitrr", phase, number, name, lower, upper);
}
