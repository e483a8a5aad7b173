/*
 * upgrade.c - a file of an older schema brought up to date, a step a version.
 *
 * What a step adds is described where it now stands, in schema.sql.
 */
#include "store/store_internal.h"

static const char *const steps[STORE_SCHEMA_VERSION] = {
    [1] = /* a search has phases: so far there was one */
    "CREATE TABLE phases (phase INTEGER PRIMARY KEY, name TEXT NOT NULL, optimiser TEXT NOT NULL,"
    " why TEXT NOT NULL, generation INTEGER NOT NULL, before INTEGER NOT NULL,"
    " evaluations INTEGER NOT NULL, ending TEXT NOT NULL) STRICT;"
    "INSERT INTO phases SELECT 0, 'weights', ifnull(form ->> '$.optimizer.algorithm', ''), '', 0, "
    "0,"
    " evaluations_max, ending FROM study;"
    "ALTER TABLE generations ADD COLUMN phase INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE coordinates RENAME TO flat_coordinates;"
    "CREATE TABLE coordinates (phase INTEGER NOT NULL REFERENCES phases (phase),"
    " number INTEGER NOT NULL, name TEXT NOT NULL, lower REAL NOT NULL, upper REAL NOT NULL,"
    " effect REAL,"
    " PRIMARY KEY (phase, number)) STRICT, WITHOUT ROWID;"
    "INSERT INTO coordinates SELECT 0, number, name, lower, upper, NULL FROM flat_coordinates;"
    "DROP TABLE flat_coordinates;"
    "PRAGMA user_version = 2",
    [2] = /* tasks may be objectives for themselves: so far there was one number */
    "CREATE TABLE objectives (number INTEGER PRIMARY KEY,"
    " task INTEGER NOT NULL REFERENCES tasks (number)) STRICT;"
    "CREATE TABLE front (candidate INTEGER PRIMARY KEY REFERENCES candidates (candidate)) STRICT;"
    "CREATE TABLE standings (number INTEGER NOT NULL REFERENCES report (number),"
    " task INTEGER NOT NULL REFERENCES tasks (number), value REAL,"
    " parent INTEGER REFERENCES candidates (candidate), difference REAL, low REAL, high REAL,"
    " PRIMARY KEY (number, task)) STRICT, WITHOUT ROWID;"
    "PRAGMA user_version = 3",
};

int store_upgrade(struct store *store, uint64_t version, struct err *err)
{
    int rc = store_begin(store, STORE_DURABLE, err);

    for (uint64_t v = version; v < STORE_SCHEMA_VERSION && rc == 0; v++) {
        rc = store_run_all(store, steps[v], err);
    }
    if (rc != 0) {
        store_rollback(store);
        return rc;
    }
    return store_commit(store, err);
}
