/*
 * element_kernels.h - arithmetic of the methods that look at whole tensors: dot products, scores of
 * elements, mixes by element; one set an instruction set.
 *
 * All arrays are floats unless a name says otherwise. What is summed is summed in double, in
 * sixteen lanes, element i in lane i % 16, so that every set gives the same bits. `out` overlaps no
 * input. What is called padded has room for a multiple of sixteen elements: those past n are read
 * and written, and mean nothing.
 */
#ifndef MERGE_ELEMENT_KERNELS_H
#define MERGE_ELEMENT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "evaluator/model/isa.h"

/* Most elements of one call: what is summed over more is the sum of such parts, in order. */
#define ELEMENT_BLOCK 4096

struct element_kernels {
    /* Dot products of k >= 2 vectors, less the base unless that is NULL, in the order 00, 01, 11,
     * 02, 12, 22, ...: out [k (k + 1) / 2]. Of bfloat16 without a base, four products are
     * added in float first, which is exact but for the smallest of them. */
    void (*gram_f32)(double *out, const void *base, const void *const *x, size_t k, size_t n);
    void (*gram_bf16)(double *out, const void *base, const void *const *x, size_t k, size_t n);
    /* x -= base */
    void (*subtract)(float *x, const float *base, size_t n);
    /* out = base + c * x + d * y, each element with its own c and d. base may be NULL. */
    void (*columns)(float *out, const float *base, const float *x, const float *y, const float *c,
                    const float *d, size_t n);
    /* xx, xy, yy of each column, added to sums [3, n]. */
    void (*column_dots)(double *sums, const float *x, const float *y, size_t n);

    /* nearswap: from a to b where they differ by no more than t, by t / |a - b| where they do. */
    void (*near)(float *out, const float *a, const float *b, float t, size_t n);

    /* Population variance of x[0][i] .. x[k - 1][i]; all padded. */
    void (*variance)(float *out, const float *const *x, size_t k, size_t n);
    /* Sum of squares where keep [n] is all ones; it is zero elsewhere. */
    double (*squares)(const float *x, const uint32_t *keep, size_t n);
    /* Offsets x [k] of the sign of their sum, averaged by weights, where keep is all ones; plus the
     * base. All padded. */
    void (*sce)(float *out, const float *base, const float *const *x, const float *weights,
                const uint32_t *keep, size_t k, size_t n);

    /* ram: how many offsets x [k] are larger than epsilon, at each element. All padded. */
    void (*active)(uint32_t *out, const float *const *x, float epsilon, size_t k, size_t n);
    /* Elements that are active in x, and in it alone. */
    void (*shares)(size_t *active, size_t *alone, const float *x, const uint32_t *n_active,
                   float epsilon, size_t n);
    /* The base plus the mean of what is active; what is so in one alone times that one's factor.
     * All padded. */
    void (*ram)(float *out, const float *base, const float *const *x, const float *factors,
                const uint32_t *n_active, float epsilon, size_t k, size_t n);

    /* Sum of e^(x - top), none of which is above 0. */
    double (*exponentials)(const float *x, float top, size_t n);
    /* Sum of P ln (P / Q), P = e^(b - top_b) / sum_b + 1e-8, Q likewise of a. */
    double (*divergence)(const float *b, float top_b, double sum_b, const float *a, float top_a,
                         double sum_a, size_t n);
    /* |b - a| * factor */
    void (*scores)(float *out, const float *a, const float *b, double factor, size_t n);
    /* b where its score is at least the threshold, else a. Nonzero when a score is no number. */
    uint32_t (*choose)(float *out, const float *a, const float *b, const float *scores,
                       double threshold, size_t n);
};

/* The set for isa, or for the next lower one that this build has. */
const struct element_kernels *element_kernels_for(enum isa isa);

#endif
