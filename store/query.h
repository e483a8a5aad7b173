/*
 * query.h - rows of a SELECT as JSON: what the views are made of.
 *
 * The columns' names are the keys, so a statement says what its JSON looks like. A name that ends
 * in '?' is a truth (0 or 1), one that ends in '{}' is JSON text to be taken in as it is; the
 * ending is not part of the key.
 */
#ifndef STORE_QUERY_H
#define STORE_QUERY_H

#include <jansson.h>

#include "base/err.h"
#include "store/store.h"

/*
 * Run sql and give its rows as a list of objects, a new reference. types says what follows, a
 * letter a parameter: 'i' an int64_t, 't' a text (NULL: SQL's NULL). ERR_IO.
 */
int query_rows(json_t **out, struct store *store, struct err *err, const char *sql,
               const char *types, ...);

/* The only row, or null when there is none; further rows are not looked at. */
int query_row(json_t **out, struct store *store, struct err *err, const char *sql,
              const char *types, ...);

/* The first column of every row, as a list. */
int query_column(json_t **out, struct store *store, struct err *err, const char *sql,
                 const char *types, ...);

/* One consistent snapshot for all queries until query_end, whatever is written meanwhile. */
int query_begin(struct store *store, struct err *err);
void query_end(struct store *store);

#endif
