/*
 * trim.h - exact magnitude thresholds of task vectors.
 *
 * "Keep the k largest magnitudes, ties to the lower index" needs the k-th largest of n numbers for
 * every candidate, with another k each time. The order of non-negative floats is the order of their
 * bits, so a histogram of the upper 15 bits finds the bin of the threshold at once; it is made once
 * a (tensor, source) and kept. A second histogram over that bin's lower 16 bits gives the exact
 * value. O(n), no sort.
 */
#ifndef MERGE_TRIM_H
#define MERGE_TRIM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/dtype.h"

/* A task vector as it is stored: source minus base, [n] numbers each. */
struct trim_delta {
    const void *source, *base;
    enum dtype source_dtype, base_dtype;
    size_t n;
};

/* delta[at .. at + n) = source - base, as floats; scratch [n]. */
void trim_delta_block(const struct trim_delta *delta, size_t at, size_t n, float *out,
                      float *scratch);

#define TRIM_BINS 32768

struct trim_histogram {
    uint32_t *counts;  /* [TRIM_BINS] of the upper 15 magnitude bits; NULL: not made yet */
    double magnitudes; /* sum of |delta| */
};

/* Magnitudes above threshold are kept, and the first `ties` of the `equal` ones that meet it. */
struct trim {
    float threshold;
    size_t ties, equal;
};

/* floor(density * n), as the published methods count; density >= 1 keeps all. */
size_t trim_count(size_t n, double density);

/* The threshold that keeps exactly keep elements, 1 <= keep < n. Makes the histogram when it has
 * not been made. */
void trim_find(const struct trim_delta *delta, struct trim_histogram *histogram, size_t keep,
               struct trim *out);

/* Sum of |delta| over all, and over what a trim keeps. */
double trim_magnitudes(const struct trim_delta *delta, struct trim_histogram *histogram);
double trim_kept_magnitudes(const struct trim_delta *delta, const struct trim *trim);

#endif
