/*
 * blend_kernels.h - the arithmetic of merging on blocks of floats, one set an instruction set.
 *
 * Arrays are [n]; x and d are K of them. Sums run over the sources in order, in float, without
 * contraction: every set gives the same bits.
 */
#ifndef MERGE_BLEND_KERNELS_H
#define MERGE_BLEND_KERNELS_H

#include <stddef.h>

#include "evaluator/model/isa.h"

struct blend_kernels {
    /* out = sum_i w[i] x[i] / divisor */
    void (*weighted)(float *out, const float *const *x, const float *w, size_t k, float divisor,
                     size_t n);
    /* d -= base */
    void (*subtract)(float *d, const float *base, size_t n);
    /* Zero what is smaller in magnitude than threshold (at_least), or not larger (above). */
    void (*keep_at_least)(float *d, float threshold, size_t n);
    void (*keep_above)(float *d, float threshold, size_t n);
    /* out = base + lambda * sum_i w[i] d[i] / divisor */
    void (*task_sum)(float *out, const float *base, const float *const *d, const float *w, size_t k,
                     float divisor, float lambda, size_t n);
    /* Elect a sign an element from the weighted sum; out = base + lambda * mix of those that agree,
     * divided by their weights when normalize. mix and share [n] are scratch. Yadav et al. 2023,
     * Algorithm 1, steps 2 and 3. */
    void (*elect)(float *out, const float *base, const float *const *d, const float *w, size_t k,
                  int normalize, float lambda, float *mix, float *share, size_t n);
};

/* The set for isa, or for the next lower one that this build has. */
const struct blend_kernels *blend_kernels_for(enum isa isa);

#endif
