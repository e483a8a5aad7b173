/*
 * statements.c - short ways to run SQL on the store's connection.
 *
 * Statements are prepared once. A binding borrows its text or bytes, so it is cleared as soon as
 * the statement is done.
 */
#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/store_internal.h"

/* ---- errors ---- */

int store_trouble(struct store *store, struct err *err)
{
    switch (sqlite3_errcode(store->db)) {
    case SQLITE_FULL:
        return err_set(err, ERR_LIMIT, "database: the disk is full");
    case SQLITE_CONSTRAINT:
        return err_set(err, ERR_CONFLICT, "database: %s", sqlite3_errmsg(store->db));
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return err_set(err, ERR_FORMAT, "database: %s", sqlite3_errmsg(store->db));
    default:
        return err_set(err, ERR_IO, "database: %s", sqlite3_errmsg(store->db));
    }
}

/* ---- statements ---- */

static int find_statement(struct store *store, sqlite3_stmt **out, struct err *err, const char *sql)
{
    for (size_t i = 0; i < store->n_statements; i++) {
        if (store->statements[i].sql == sql) {
            *out = store->statements[i].prepared;
            sqlite3_reset(*out);
            return 0;
        }
    }
    assert(store->n_statements < STORE_STATEMENTS_MAX);
    if (sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) != SQLITE_OK) {
        return store_trouble(store, err);
    }
    store->statements[store->n_statements++] = (struct store_statement){sql, *out};
    return 0;
}

static int bind_one(sqlite3_stmt *statement, int at, char type, va_list *parameters)
{
    switch (type) {
    case 'i':
        return sqlite3_bind_int64(statement, at, va_arg(*parameters, int64_t));
    case 'k': {
        int64_t number = va_arg(*parameters, int64_t);
        return number != 0 ? sqlite3_bind_int64(statement, at, number)
                           : sqlite3_bind_null(statement, at);
    }
    case 'r': /* NaN is bound as NULL by SQLite itself */
        return sqlite3_bind_double(statement, at, va_arg(*parameters, double));
    case 't':
        return sqlite3_bind_text(statement, at, va_arg(*parameters, const char *), -1,
                                 SQLITE_STATIC);
    default: {
        const void *bytes = va_arg(*parameters, const void *);
        size_t n = va_arg(*parameters, size_t);

        assert(type == 'b');
        return sqlite3_bind_blob64(statement, at, n > 0 ? bytes : NULL, n, SQLITE_STATIC);
    }
    }
}

static int start(struct store *store, sqlite3_stmt **out, struct err *err, const char *sql,
                 const char *types, va_list *parameters)
{
    int rc = find_statement(store, out, err, sql);

    for (int i = 0; rc == 0 && types[i] != '\0'; i++) {
        if (bind_one(*out, i + 1, types[i], parameters) != SQLITE_OK) {
            rc = store_trouble(store, err);
        }
    }
    return rc;
}

int store_start(struct store *store, sqlite3_stmt **out, struct err *err, const char *sql,
                const char *types, ...)
{
    va_list parameters;

    va_start(parameters, types);
    int rc = start(store, out, err, sql, types, &parameters);
    va_end(parameters);
    return rc;
}

int store_step(struct store *store, sqlite3_stmt *statement, struct err *err)
{
    int status = sqlite3_step(statement);

    if (status == SQLITE_ROW) {
        return 1;
    }
    int rc = status == SQLITE_DONE ? 0 : store_trouble(store, err);
    store_stop(statement);
    return rc;
}

void store_stop(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement); /* they point into the caller's memory */
}

int store_run(struct store *store, struct err *err, const char *sql, const char *types, ...)
{
    sqlite3_stmt *statement;
    va_list parameters;

    va_start(parameters, types);
    int rc = start(store, &statement, err, sql, types, &parameters);
    va_end(parameters);
    return rc != 0 ? rc : store_step(store, statement, err);
}

int store_number(struct store *store, uint64_t *out, struct err *err, const char *sql,
                 const char *types, ...)
{
    sqlite3_stmt *statement;
    va_list parameters;

    va_start(parameters, types);
    int rc = start(store, &statement, err, sql, types, &parameters);
    va_end(parameters);
    if (rc == 0) {
        rc = store_step(store, statement, err);
    }
    if (rc < 0) {
        return rc;
    }
    *out = rc == 1 ? store_column_number(statement, 0) : 0;
    store_stop(statement);
    return 0;
}

/* ---- columns ---- */

const char *store_column_peek(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);

    return text != NULL ? text : "";
}

char *store_column_text(sqlite3_stmt *row, int column)
{
    return mem_text(store_column_peek(row, column));
}

double store_column_real(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL ? (double)NAN
                                                           : sqlite3_column_double(row, column);
}

uint64_t store_column_number(sqlite3_stmt *row, int column)
{
    return (uint64_t)sqlite3_column_int64(row, column);
}

void store_column_digest(sqlite3_stmt *row, int column, char out[DIGEST_HEX])
{
    snprintf(out, DIGEST_HEX, "%s", store_column_peek(row, column));
}

double *store_column_reals(sqlite3_stmt *row, int column, size_t *n)
{
    const void *bytes = sqlite3_column_blob(row, column);

    *n = (size_t)sqlite3_column_bytes(row, column) / sizeof(double);
    if (*n == 0) {
        return NULL;
    }
    double *values = mem_array(*n, sizeof(double));
    memcpy(values, bytes, *n * sizeof(double));
    return values;
}
