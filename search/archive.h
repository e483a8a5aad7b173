/*
 * archive.h - what a search for several objectives found and nothing found dominates: points with
 * their objectives, at most ARCHIVE_MAX, of too many the most crowded left out.
 */
#ifndef SEARCH_ARCHIVE_H
#define SEARCH_ARCHIVE_H

#include <stddef.h>

#include "search/snapshot.h"

#define ARCHIVE_MAX 512

struct archive {
    size_t n, m, count;
    double *points; /* [count, n] */
    double *values; /* [count, m] lower is better */
};

void archive_init(struct archive *archive, size_t n, size_t m);
void archive_release(struct archive *archive);

/* Keep a point [n] with its objectives [m] unless something kept is as good in all of them; what it
 * dominates goes. A failed one, whose objectives are INFINITY, is never kept. */
void archive_add(struct archive *archive, const double *point, const double *values);

/* The compromise: the point with the least sum of objectives, each over its range in the archive;
 * fallback [n] while there is none. out [n]. */
void archive_compromise(const struct archive *archive, const double *fallback, double *out);
/* The least first objective, INFINITY while there is none, and its point [n] unless NULL. */
double archive_best(const struct archive *archive, const double *fallback, double *point);

/* Write, or read into an initialised one. */
void archive_walk(struct archive *archive, struct snapshot *s);

#endif
