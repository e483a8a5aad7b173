/*
 * snapshot.h - a state as bytes and back, by one walk over its fields.
 *
 *     static void walk(struct thing *t, struct snapshot *s)
 *     {
 *         snapshot_count(s, &t->generation, UINT64_MAX);
 *         snapshot_doubles(s, t->mean, t->n);
 *     }
 *
 * The same walk writes and reads, so the two cannot drift apart. All values are little-endian,
 * eight bytes each, doubles as their bits. Reading checks every value; the first that cannot be
 * makes the snapshot bad, and what follows reads as zero, so a walk needs no checks of its own.
 * Whoever read looks at snapshot_end.
 */
#ifndef SEARCH_SNAPSHOT_H
#define SEARCH_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SNAPSHOT_MAGIC 7 /* letters that say whose bytes these are, then one byte of version */

struct snapshot {
    bool reading, bad;
    unsigned char *bytes; /* being written: grows; being read: borrowed */
    size_t n, at, room;
};

/* Begin to write, or to read bytes [n] (kept until the end). magic has at most SNAPSHOT_MAGIC
 * letters; bytes that do not begin with it are bad. */
void snapshot_write(struct snapshot *out, const char *magic);
void snapshot_read(struct snapshot *out, const char *magic, const unsigned char *bytes, size_t n);
bool snapshot_has_magic(const char *magic, const unsigned char *bytes, size_t n);

void snapshot_count(struct snapshot *s, uint64_t *value, uint64_t most);
void snapshot_size(struct snapshot *s, size_t *value, size_t least, size_t most);
void snapshot_flag(struct snapshot *s, bool *value);
/* Any double but NaN; finite ones within 1e200; any at all. */
void snapshot_doubles(struct snapshot *s, double *values, size_t n);
void snapshot_finite(struct snapshot *s, double *values, size_t n);
void snapshot_any(struct snapshot *s, double *values, size_t n);
/* Bytes of another thing: reading lends *bytes [*n], valid as long as the snapshot's own. */
void snapshot_inner(struct snapshot *s, unsigned char **bytes, size_t *n);
/* A check of the walk's own: reading, the snapshot is bad unless it holds. */
void snapshot_expect(struct snapshot *s, bool holds);
/* Room for n more values is really there: ask before allocating by a count that was read. */
bool snapshot_holds(const struct snapshot *s, size_t n);

/* The bytes written; the caller frees them. */
void snapshot_take(struct snapshot *s, unsigned char **bytes, size_t *n);
/* After reading: ERR_FORMAT unless all was good and nothing is left over. */
int snapshot_end(const struct snapshot *s, const char *what, struct err *err);

#endif
