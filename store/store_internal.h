/*
 * store_internal.h - the connection, and short ways to run a statement on it.
 *
 * Statements are prepared once and kept: a statement is known by the address of its text, so the
 * text must be a literal (or static), and one place of the source uses one statement at a time.
 */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include <sqlite3.h>

#include "store/store.h"

#define STORE_STATEMENTS_MAX 96

struct store_statement {
    const char *sql;
    sqlite3_stmt *prepared;
};

struct store {
    sqlite3 *db;
    int lock;             /* descriptor of the lock file, -1: none */
    enum store_sync sync; /* what the connection is set to */
    bool open;            /* in a transaction */
    char id[33];
    /* The event chain: as committed, and with what this transaction adds. */
    uint64_t event, event_next;
    unsigned char chain[DIGEST_SIZE], chain_next[DIGEST_SIZE];
    int (*hook)(void *context, enum store_edge edge);
    void *hook_context;
    size_t n_statements;
    struct store_statement statements[STORE_STATEMENTS_MAX];
};

/* What the connection's last error means: ERR_LIMIT for a full disk, ERR_CONFLICT for a constraint,
 * ERR_FORMAT for a file that is no database, ERR_IO for the rest. */
int store_trouble(struct store *store, struct err *err);

/*
 * Begin a statement with its parameters, one letter of types each:
 *
 *   i  int64_t or uint64_t        k  the same, 0 stored as NULL
 *   r  double, NaN as NULL        t  const char *, NULL as NULL
 *   b  const void *, size_t; no bytes as NULL
 *
 * Texts and bytes must live until it is done: until store_step does not return 1, or the statement
 * is begun again.
 */
int store_start(struct store *store, sqlite3_stmt **out, struct err *err, const char *sql,
                const char *types, ...);
/* 1: a row is there; 0: there are no more; negative: an ERR_ code. The statement is reset unless 1.
 */
int store_step(struct store *store, sqlite3_stmt *statement, struct err *err);
/* Done with a statement before its last row. */
void store_stop(sqlite3_stmt *statement);
/* Begin and finish a statement that gives no rows. */
int store_run(struct store *store, struct err *err, const char *sql, const char *types, ...);
/* The first column of the first row as an integer, 0 when there is none. */
int store_number(struct store *store, uint64_t *out, struct err *err, const char *sql,
                 const char *types, ...);

/* Columns, copied: a new text ("" for NULL), a number (NaN for NULL), a text into a digest. */
char *store_column_text(sqlite3_stmt *row, int column);
/* The text where it is, "" for NULL, which a damaged file may have anywhere; valid until the next
 * step. */
const char *store_column_peek(sqlite3_stmt *row, int column);
double store_column_real(sqlite3_stmt *row, int column);
uint64_t store_column_number(sqlite3_stmt *row, int column);
void store_column_digest(sqlite3_stmt *row, int column, char out[DIGEST_HEX]);
/* f64 values; *n is how many; NULL when none. */
double *store_column_reals(sqlite3_stmt *row, int column, size_t *n);

/* Milliseconds since 1970, for columns in _ms. */
int64_t store_now_ms(void);

/* Statements without parameters, one after the other. */
int store_run_all(struct store *store, const char *sql, struct err *err);

/* A file of this older schema version, 1 or more, becomes one of ours: a transaction of its own. */
int store_upgrade(struct store *store, uint64_t version, struct err *err);

/* A new store_id for a file that gets its study. */
void store_make_id(struct store *store);

/* store_open's part of the events: find the chain's end. */
int store_load_chain(struct store *store, struct err *err);

#endif
