/*
 * statistics.h - how much of a difference is real.
 *
 * Two candidates are compared on the same documents, so what makes a document hard cancels: the
 * error of the difference is far smaller than that of either score.
 */
#ifndef SEARCH_STATISTICS_H
#define SEARCH_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define STATISTICS_RESAMPLES 2000

/* One task: what two candidates got on its documents, in one order; document i at i * stride. */
struct statistics_task {
    const double *ours, *theirs;
    size_t ours_stride, theirs_stride; /* a score's document_values [N, M] have stride M */
    size_t n;                          /* documents */
    double weight;                     /* > 0 */
    bool higher_is_better;
};

/* Ours less theirs, positive when ours is better; NaN when there is nothing to compare, all but the
 * mean when only the values of whole tasks are known. */
struct statistics_difference {
    double mean;
    double error;                            /* standard error */
    double lower, upper;                     /* 95 %, normal approximation */
    double resampled_lower, resampled_upper; /* 95 %, bootstrap percentiles */
    size_t n;                                /* documents in all */
};

/*
 * The weighted mean over tasks [n] of the mean paired difference. With d the differences on the N
 * documents of a task,
 *
 *      error^2 = (sum d^2 - (sum d)^2 / N) / N^2        a task; weighted squares add up over tasks
 *
 * which for right and wrong answers is (b + c - (b - c)^2 / N) / N^2, b and c the documents that
 * only one of the two got right (McNemar 1947). The bootstrap (Efron 1979) resamples documents
 * within each task; it is a function of the seed (stream RNG_BOOTSTRAP).
 */
void statistics_compare(struct statistics_difference *out, const struct statistics_task *tasks,
                        size_t n, uint64_t seed);

/* How much the best of n equally good candidates is expected to seem better, s the standard error
 * of one: s sqrt(2 ln n). */
double statistics_luck(double error, size_t n);

/* A candidate that may win. */
struct statistics_finalist {
    double score;    /* on the select split, higher is better; NaN: failed */
    double error;    /* its standard error */
    double distance; /* from the distribution's mean, in any one unit */
};

/*
 * The winner: among those within one standard error of the best (the best's own), the nearest to
 * the distribution's mean; the first of equals. A peak that only luck separates from its
 * surroundings loses to what the whole search agrees on. Returns the index, SIZE_MAX when all
 * failed.
 */
size_t statistics_choose(const struct statistics_finalist *finalists, size_t n);

/* How a difference is written: a share as points of a hundred, anything else as it is. */
enum statistics_unit { STATISTICS_POINTS, STATISTICS_PLAIN };

/*
 * Append in words, by the normal interval:
 *
 *      better than the best parent by 6.1 points, 3.9 to 8.3
 *      worse than the best parent by 2.0 points, 0.4 to 3.6
 *      not distinguishable from the best parent: +0.8 points, -1.2 to 2.8
 *      above the best parent by 6.1 points; without per-document results there is no
 *      interval, and it may be luck
 */
void statistics_words(struct text *out, const struct statistics_difference *difference,
                      const char *than, enum statistics_unit unit);

/* The verdict on a whole search, from the winner's difference to the best parent: the first form
 * above, or "no merge beat the best parent" with the difference behind it. */
void statistics_verdict(struct text *out, const struct statistics_difference *to_best_parent,
                        enum statistics_unit unit);

#endif
