/*
 * rank.h - exact order statistics of scores that are made anew whenever they are read.
 *
 * Scores of a tensor's elements would take as much memory as the tensor. So they are never kept:
 * one pass over them counts the upper 16 bits of each (non-negative floats are ordered as their
 * bits), and each search for ranks takes one more, which counts the lower 16 bits of those that
 * share a bin with a rank that is sought.
 */
#ifndef MERGE_RANK_H
#define MERGE_RANK_H

#include <stddef.h>
#include <stdint.h>

#define RANK_BLOCK 4096
#define RANK_SOUGHT_MAX 4

/* n scores, none negative; a NaN is above all numbers. */
struct rank_scores {
    /* Those of elements [at, at + part), part <= RANK_BLOCK; the same every time. */
    void (*read)(void *context, size_t at, size_t part, float *out);
    void *context;
    size_t n; /* at most UINT32_MAX */
};

struct rank_counts;

/* One pass. */
struct rank_counts *rank_count(const struct rank_scores *scores);
void rank_counts_free(struct rank_counts *counts);

/* How many scores are just zero. */
size_t rank_zeros(const struct rank_counts *counts);

/* The score of a rank, and how many scores are below it or equal to it. */
struct rank {
    float score;
    size_t below, equal;
};

/* The scores at ranks [n_sought], counted from 0, the lowest. One pass. */
void rank_find(struct rank *out, const struct rank_counts *counts, const struct rank_scores *scores,
               const size_t *sought, size_t n_sought);

#endif
