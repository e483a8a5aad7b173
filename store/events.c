/*
 * events.c - what happened, in order, each row sealing the ones before.
 *
 *   chain(0) = 32 zero bytes
 *   chain(e) = SHA-256( chain(e-1), e, at_ms, kind, candidate, digest, text )
 *
 * numbers as u64 little-endian, texts with their length in front. SQLite's integrity_check looks at
 * the structure of a file, not at what stands in it: most flipped bits pass it. The chain finds
 * those in the events, and the digests in the events find those in the rows they stand for: an
 * evaluation's own, the trajectory's, the optimiser's.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "store/store_internal.h"

/* A row as it is sealed. */
struct event {
    uint64_t event;
    int64_t at_ms;
    const char *kind;
    uint64_t candidate;
    const char *digest, *text;
};

static void seal(unsigned char chain[DIGEST_SIZE], const struct event *event)
{
    struct digest *digest = digest_new();

    digest_add(digest, chain, DIGEST_SIZE);
    digest_add_u64(digest, event->event);
    digest_add_u64(digest, (uint64_t)event->at_ms);
    digest_add_text(digest, event->kind);
    digest_add_u64(digest, event->candidate);
    digest_add_text(digest, event->digest);
    digest_add_text(digest, event->text);
    digest_end(digest, chain);
}

int store_add_event(struct store *store, const struct store_event *event, struct err *err,
                    const char *format, ...)
{
    char text[512], hex[DIGEST_HEX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    const struct event row = {
        .event = store->event_next + 1,
        .at_ms = store_now_ms(),
        .kind = event->kind,
        .candidate = event->candidate,
        .digest = event->digest != NULL ? event->digest : "",
        .text = text,
    };
    seal(store->chain_next, &row);
    store->event_next = row.event;
    digest_to_hex(store->chain_next, hex);
    return store_run(store, err,
                     "INSERT INTO events (event, at_ms, kind, candidate, digest, text, chain)"
                     " VALUES (?, ?, ?, ?, ?, ?, ?)",
                     "iitittt", row.event, row.at_ms, row.kind, row.candidate, row.digest, row.text,
                     hex);
}

static int check_chain(struct store *store, struct err *err)
{
    unsigned char chain[DIGEST_SIZE] = {0};
    uint64_t expected = 1;
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err,
                         "SELECT event, at_ms, kind, candidate, digest, text, chain FROM events"
                         " ORDER BY event",
                         "");

    while (rc == 0 && (rc = store_step(store, row, err)) == 1) {
        const struct event event = {
            .event = store_column_number(row, 0),
            .at_ms = sqlite3_column_int64(row, 1),
            .kind = store_column_peek(row, 2),
            .candidate = store_column_number(row, 3),
            .digest = store_column_peek(row, 4),
            .text = store_column_peek(row, 5),
        };
        char hex[DIGEST_HEX];

        seal(chain, &event);
        digest_to_hex(chain, hex);
        if (event.event != expected || strcmp(hex, store_column_peek(row, 6)) != 0) {
            rc = err_set(err, ERR_CONFLICT,
                         "database: damaged: event %llu does not follow from the one before",
                         (unsigned long long)expected);
            store_stop(row);
            return rc;
        }
        expected++;
        rc = 0;
    }
    return rc;
}

/* The rows that events with a digest stand for: each statement gives the first event that
 * disagrees. */
static int check_rows(struct store *store, struct err *err)
{
    uint64_t event = 0;
    int rc = store_number(store, &event, err,
                          "SELECT v.event FROM events AS v"
                          "  LEFT JOIN evaluations AS e ON e.candidate = v.candidate"
                          " WHERE v.kind = 'result' AND e.digest IS NOT v.digest LIMIT 1",
                          "");

    if (rc == 0 && event == 0) {
        rc = store_number(store, &event, err,
                          "SELECT event FROM (SELECT event, digest, row_number() OVER"
                          " (ORDER BY event) - 1 AS number FROM events WHERE kind = 'tell') AS v"
                          "  LEFT JOIN generations AS g ON g.number = v.number"
                          " WHERE g.trajectory IS NOT v.digest LIMIT 1",
                          "");
    }
    if (rc == 0 && event != 0) {
        rc = err_set(err, ERR_CONFLICT,
                     "database: damaged: what event %llu is about is not what was stored",
                     (unsigned long long)event);
    }
    return rc;
}

/* Recipes seal themselves. */
static int check_recipes(struct store *store, struct err *err)
{
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err, "SELECT digest, recipe FROM recipes", "");

    while (rc == 0 && (rc = store_step(store, row, err)) == 1) {
        const char *recipe = store_column_peek(row, 1);
        char digest[DIGEST_HEX];

        rc = 0;
        digest_hex_of(recipe, strlen(recipe), digest);
        if (strcmp(digest, store_column_peek(row, 0)) != 0) {
            rc = err_set(err, ERR_CONFLICT,
                         "database: damaged: recipe %.16s is not what its digest says",
                         store_column_peek(row, 0));
            store_stop(row);
        }
    }
    return rc;
}

int store_check(struct store *store, struct err *err)
{
    int rc = check_chain(store, err);

    if (rc == 0) {
        rc = check_rows(store, err);
    }
    return rc != 0 ? rc : check_recipes(store, err);
}

int store_load_chain(struct store *store, struct err *err)
{
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err,
                         "SELECT event, chain FROM events ORDER BY event DESC LIMIT 1", "");

    if (rc == 0 && (rc = store_step(store, row, err)) == 1) {
        store->event = store_column_number(row, 0);
        digest_from_hex(store->chain, store_column_peek(row, 1));
        store_stop(row);
        rc = 0;
    }
    return rc;
}
