/*
 * settings.c - notes beside the study that take no part in it: where its files are on this machine,
 * the ids of its documents.
 */
#include "store/store_internal.h"

int store_set_setting(struct store *store, const char *key, const char *value, struct err *err)
{
    int rc = store_begin(store, STORE_DURABLE, err);

    if (rc == 0) {
        rc = store_run(store, err, "INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)",
                       "tt", key, value);
    }
    if (rc == 0) {
        rc = store_commit(store, err);
    }
    if (rc != 0) {
        store_rollback(store);
    }
    return rc;
}

int store_setting(struct store *store, const char *key, char **out, struct err *err)
{
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err, "SELECT value FROM settings WHERE key = ?", "t", key);

    if (rc == 0) {
        rc = store_step(store, row, err);
    }
    if (rc == 0) {
        return err_set(err, ERR_MISSING, "the database has no note '%s'", key);
    }
    if (rc < 0) {
        return rc;
    }
    *out = store_column_text(row, 0);
    store_stop(row);
    return 0;
}
