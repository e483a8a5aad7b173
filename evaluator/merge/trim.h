/*
 * trim.h - the k largest magnitudes of a task vector, exactly.
 *
 * A search asks for another k with every candidate, so the magnitudes are counted once a (tensor,
 * source), and the counts are kept. Weights of few mantissa bits have few different differences: a
 * tensor of bfloat16 has some ten thousand, and with a count of each, any k costs a walk over a
 * list. Where there are too many, the upper 15 bits of the magnitude are counted instead, and each
 * k costs a pass more, which counts the lower 16 bits of those in the bin that it ends in.
 *
 *   s eeeeeeee mmmmmmm | mmmmmmmmmmmmmmmm      bits of non-negative floats are ordered as they are
 *
 * O(n), no sort. Among elements of equal magnitude those with the lower index are kept.
 */
#ifndef MERGE_TRIM_H
#define MERGE_TRIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "evaluator/model/dtype.h"

/* A task vector as it is stored: source minus base, [n] numbers each, subtracted as floats. */
struct trim_delta {
    const void *source, *base;
    enum dtype source_dtype, base_dtype;
    enum dtype work; /* both are rounded to it first; F32: not rounded */
    size_t n;        /* at most UINT32_MAX */
};

/* Elements at once: as floats they fit the innermost cache. */
#define TRIM_BLOCK 4096

/* Elements [at, at + n) as floats, n <= TRIM_BLOCK. */
void trim_read(const struct trim_delta *delta, size_t at, size_t n, float *out);

/* Sum of |delta| over those of elements [at, at + n), n <= TRIM_BLOCK, that have a bit in keep
 * (prune_kernels.h), or over all of them (NULL). */
double trim_sum(const struct trim_delta *delta, size_t at, size_t n, const unsigned char *keep);

/* Elements of one magnitude. */
struct trim_step {
    uint32_t bits; /* all of them, or the upper 15 */
    uint32_t n;
};

/* Most different magnitudes that are counted one by one. */
#define TRIM_STEPS_MAX 65536

/* Counting takes no more than this besides the counts. */
#define TRIM_SCRATCH_BYTES ((size_t)2 << 20)

/* What is kept: magnitudes with larger bits, and those that equal them before element `cut`; so
 * that it can be said of any element without looking at others. (Zeros may stay: they mix as if
 * they were dropped, and have no cut.) */
struct trim {
    uint32_t bits;
    size_t cut;
};

/* Thresholds that are remembered: of the two ends of a range. */
#define TRIM_KNOWN 2

/* Numbers that say what was kept (prune.c). */
#define PRUNE_KEY 5

/* All that is known of one task vector. All zero: nothing yet. */
struct trim_counts {
    size_t n_steps;
    struct trim_step *steps; /* largest first */
    bool exact;              /* steps are of single magnitudes */
    struct {
        size_t keep; /* 0: none yet */
        struct trim trim;
    } known[TRIM_KNOWN];          /* the last that were looked for, the latest first */
    double magnitudes;            /* sum of |delta|; 0: not taken yet */
    uint64_t kept_key[PRUNE_KEY]; /* what was kept when last asked (prune.c); zero: never asked */
    double kept;                  /* sum of |delta| over it */
};

void trim_counts_release(struct trim_counts *counts);

/* floor(density * n), as the published methods count; all of n from density 1 on. */
size_t trim_count(size_t n, double density);

/* Keep exactly `keep` elements, 1 <= keep <= n. counts belongs to this delta, and is filled by the
 * first call. A threshold that was looked for lately is known without reading anything. */
void trim_find(struct trim *out, struct trim_counts *counts, const struct trim_delta *delta,
               size_t keep);

/* False when an element is not finite. Known from the counts when they were filled; else by the sum
 * below. */
bool trim_is_finite(struct trim_counts *counts, const struct trim_delta *delta);

/* Sum of |delta| over all elements. One pass, and kept in counts. */
double trim_magnitudes(struct trim_counts *counts, const struct trim_delta *delta);

#endif
