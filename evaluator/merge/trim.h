/*
 * trim.h - the k largest magnitudes of a task vector, exactly.
 *
 * A search asks for another k with every candidate, so what does not depend on k is counted once a
 * (tensor, source) and kept. Non-negative floats are ordered as their bits are:
 *
 *   s eeeeeeee mmmmmmm | mmmmmmmmmmmmmmmm      upper 15 bits of the magnitude: the bin
 *                                              lower 16: the step within it
 *
 * Counts of all bins take one pass and at most 32768 entries; a binary search over them finds the
 * bin that a k ends in. That bin's steps take a second pass, the first time a k ends there: weights
 * of few mantissa bits have few different ones, and these are kept too. Searches return to the same
 * bins, so soon a k costs no pass at all.
 *
 * Among elements of equal magnitude those with the lower index are kept.
 */
#ifndef MERGE_TRIM_H
#define MERGE_TRIM_H

#include <stddef.h>
#include <stdint.h>

#include "evaluator/model/dtype.h"

/* A task vector as it is stored: source minus base, [n] numbers each, subtracted as floats. */
struct trim_delta {
    const void *source, *base;
    enum dtype source_dtype, base_dtype;
    size_t n;
};

/* Elements of one exact magnitude. */
struct trim_step {
    uint32_t bits;
    size_t n;
};

/* Elements whose magnitudes share their upper bits. */
struct trim_bin {
    uint32_t high;
    size_t n, above; /* elements in it, and in larger bins */
    size_t n_steps;
    struct trim_step *steps; /* largest first; NULL: not counted yet, or too many to keep */
};

/* All that is known of one task vector. All zero: nothing yet. */
struct trim_counts {
    size_t n_bins;
    struct trim_bin *bins; /* those that are not empty, largest first */
    double magnitudes;     /* sum of |delta|; 0: not taken yet */
};

void trim_counts_release(struct trim_counts *counts);

/* What is kept: magnitudes with larger bits, and the first `ties` of the `equal` elements whose
 * bits these are. */
struct trim {
    uint32_t bits;
    size_t ties, equal;
};

/* floor(density * n), as the published methods count; all of n from density 1 on. */
size_t trim_count(size_t n, double density);

/* Keep exactly `keep` elements, 1 <= keep <= n. counts belongs to this delta and learns. */
void trim_find(struct trim *out, struct trim_counts *counts, const struct trim_delta *delta,
               size_t keep);

/* Sum of |delta| over all elements, and over what a trim keeps. One pass each; the first is kept in
 * counts. */
double trim_magnitudes(struct trim_counts *counts, const struct trim_delta *delta);
double trim_kept_magnitudes(const struct trim *trim, const struct trim_delta *delta);

#endif
