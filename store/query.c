/*
 * query.c - rows of a SELECT as JSON.
 */
#include "store/query.h"

#include <assert.h>
#include <math.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/doc.h"
#include "store/store_internal.h"

int query_begin(struct store *store, struct err *err)
{
    return sqlite3_exec(store->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : store_trouble(store, err);
}

void query_end(struct store *store)
{
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL); /* nothing was written */
}

/* ---- a statement ---- */

static int prepare(sqlite3_stmt **out, struct store *store, struct err *err, const char *sql,
                   const char *types, va_list parameters)
{
    if (sqlite3_prepare_v2(store->db, sql, -1, out, NULL) != SQLITE_OK) {
        return store_trouble(store, err);
    }
    for (int i = 1; types[i - 1] != '\0'; i++) {
        int status =
            types[i - 1] == 'i'
                ? sqlite3_bind_int64(*out, i, va_arg(parameters, int64_t))
                : sqlite3_bind_text(*out, i, va_arg(parameters, const char *), -1, SQLITE_STATIC);

        assert(status == SQLITE_OK);
    }
    return 0;
}

/* ---- a value ---- */

/* Any column as JSON; a real that JSON cannot say is null. */
static json_t *value_of(sqlite3_stmt *statement, int column)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        return json_integer(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT: {
        double value = sqlite3_column_double(statement, column);

        return isfinite(value) ? json_real(value) : json_null();
    }
    case SQLITE_TEXT:
        return json_string((const char *)sqlite3_column_text(statement, column));
    default:
        return json_null();
    }
}

/* JSON text as what it says; null when it says nothing sound. */
static json_t *document_of(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    json_t *doc = NULL;

    if (text == NULL || doc_parse(&doc, text, strlen(text), NULL) != 0) {
        return json_null();
    }
    return doc;
}

/* A column as its name's ending says; *n is the name's length without it. */
static json_t *column_of(sqlite3_stmt *statement, int column, size_t *n)
{
    const char *name = sqlite3_column_name(statement, column);

    *n = strlen(name);
    if (name[*n - 1] == '?') {
        *n -= 1;
        return json_boolean(sqlite3_column_int(statement, column));
    }
    if (*n > 2 && strcmp(name + *n - 2, "{}") == 0) {
        *n -= 2;
        return document_of(statement, column);
    }
    return value_of(statement, column);
}

static json_t *object_of(sqlite3_stmt *statement)
{
    json_t *object = json_object();

    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        size_t n;
        json_t *value = column_of(statement, i, &n);

        json_object_setn_new(object, sqlite3_column_name(statement, i), n, value);
    }
    return object;
}

static json_t *first_of(sqlite3_stmt *statement)
{
    size_t n;

    return column_of(statement, 0, &n);
}

/* ---- rows ---- */

/* At most limit rows, each made JSON by make. */
static int collect(json_t **out, struct store *store, sqlite3_stmt *statement, size_t limit,
                   json_t *(*make)(sqlite3_stmt *statement), struct err *err)
{
    json_t *rows = json_array();
    int status = SQLITE_DONE;

    while (json_array_size(rows) < limit && (status = sqlite3_step(statement)) == SQLITE_ROW) {
        json_array_append_new(rows, make(statement));
    }
    if (status != SQLITE_DONE && status != SQLITE_ROW) {
        json_decref(rows);
        return store_trouble(store, err);
    }
    *out = rows;
    return 0;
}

static int run(json_t **out, struct store *store, struct err *err, size_t limit,
               json_t *(*make)(sqlite3_stmt *statement), const char *sql, const char *types,
               va_list parameters)
{
    sqlite3_stmt *statement = NULL;

    int rc = prepare(&statement, store, err, sql, types, parameters);
    if (rc == 0) {
        rc = collect(out, store, statement, limit, make, err);
    }
    sqlite3_finalize(statement);
    return rc;
}

int query_rows(json_t **out, struct store *store, struct err *err, const char *sql,
               const char *types, ...)
{
    va_list parameters;

    va_start(parameters, types);
    int rc = run(out, store, err, SIZE_MAX, object_of, sql, types, parameters);
    va_end(parameters);
    return rc;
}

int query_column(json_t **out, struct store *store, struct err *err, const char *sql,
                 const char *types, ...)
{
    va_list parameters;

    va_start(parameters, types);
    int rc = run(out, store, err, SIZE_MAX, first_of, sql, types, parameters);
    va_end(parameters);
    return rc;
}

int query_row(json_t **out, struct store *store, struct err *err, const char *sql,
              const char *types, ...)
{
    json_t *rows = NULL;
    va_list parameters;

    va_start(parameters, types);
    int rc = run(&rows, store, err, 1, object_of, sql, types, parameters);
    va_end(parameters);
    if (rc == 0) {
        *out = json_array_size(rows) > 0 ? json_incref(json_array_get(rows, 0)) : json_null();
        json_decref(rows);
    }
    return rc;
}
