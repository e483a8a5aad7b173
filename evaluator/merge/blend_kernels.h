/*
 * blend_kernels.h - the arithmetic of merging, on blocks of numbers, one set an instruction set.
 *
 * Two ways to mix, after an optional trim of each source's task vector:
 *
 *   sum     out = base + lambda * sum_i w_i d_i / divisor                          d_i = x_i - base
 *   elect   the same sum over those i alone whose w_i d_i has the sign of the whole sum, divided by
 *           their own weights. TIES-Merging: Yadav et al. 2023 (arXiv:2306.01708), Algorithm 1.
 *
 * Which elements of a task vector stay is said by a limit, or by bits (`keep`): bit i % 8 of byte
 * i / 8 for element i. Room for bits is a multiple of 64 of them: whole registers are read and
 * written.
 *
 * Computed in float, sources in order, without contraction, so that every set gives the same bits.
 * Each comes twice: floats to floats, and bfloat16 to bfloat16 in one pass without a detour through
 * memory; both give the same bits after rounding. Blocks need no alignment.
 */
#ifndef MERGE_BLEND_KERNELS_H
#define MERGE_BLEND_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "evaluator/model/isa.h"
#include "study/method.h"

/* What the blocks of one tensor share, and one block of it. All numbers are of the kernel's type.
 */
struct blend_block {
    size_t n;
    void *out;        /* [n]; overlaps no input */
    const void *base; /* [n]; NULL, for sum only: sources are mixed themselves, d_i = x_i */
    size_t k;         /* sources */
    const void *x[METHOD_SOURCES_MAX]; /* [k] of [n] */
    float factors[METHOD_SOURCES_MAX]; /* w_i, times what a trim took when it is given back */
    float weights[METHOD_SOURCES_MAX]; /* elect: w_i, of which the divisor is made */
    /* d_i whose magnitude has bits below limits or above lasts (at most 0x7fffffff) counts as 0;
     * for elect always, for sum where it is limited. */
    uint32_t limits[METHOD_SOURCES_MAX];
    uint32_t lasts[METHOD_SOURCES_MAX];
    const unsigned char *keep[METHOD_SOURCES_MAX]; /* masked: bits [n]; d_i counts as 0 without */
    float divisor;                                 /* sum: of the weighted sum */
    float lambda;
    bool limited;   /* limits apply to sum */
    bool capped;    /* lasts apply; else they are taken for the largest */
    bool masked;    /* keep says what stays, for every source, and limits do not */
    bool normalize; /* elect: divide by the weights that agree */
    bool stream;    /* out is memory that the caches need not keep; it starts at a multiple of 64 */
};

struct blend_kernels {
    /* Nonzero when a result is infinite or NaN, as it is when an element that counts is. */
    uint32_t (*sum_f32)(const struct blend_block *block);
    uint32_t (*sum_bf16)(const struct blend_block *block);
    uint32_t (*elect_f32)(const struct blend_block *block);
    uint32_t (*elect_bf16)(const struct blend_block *block);

    /* out = x - base, as floats */
    void (*delta_f32)(float *out, const void *x, const void *base, size_t n);
    void (*delta_bf16)(float *out, const void *x, const void *base, size_t n);
    /* How many magnitudes have just these bits. */
    size_t (*equal)(const float *d, uint32_t bits, size_t n);
    /* Sum of |d| over magnitudes whose bits are at least limit, in double, in eight lanes. */
    double (*magnitudes)(const float *d, uint32_t limit, size_t n);
    /* counts[upper 15 bits of the magnitude]++; four banks, since neighbours often meet in a bin.
     */
    void (*count_high)(uint32_t *counts, const float *d, size_t n);
    /* counts[lower 16 bits]++ for the magnitudes whose upper bits are high. */
    void (*count_low)(uint32_t *counts, uint32_t high, const float *d, size_t n);

    /* Set the bits of elements whose magnitude has bits from low to last, at most 0x7fffffff. */
    void (*between)(unsigned char *keep, const float *d, uint32_t low, uint32_t last, size_t n);
    /* d counts as 0 where its bit is not set. */
    void (*drop)(float *d, const unsigned char *keep, size_t n);
    /* Element i draws 16 bits: half i % 2, the lower one first, of the stream's i / 2-th output.
     * Set the bits of draws below limit, and in equal (NULL: not wanted) of those that equal it;
     * true when there are any of these. limit < 65536. */
    bool (*draw)(unsigned char *below, unsigned char *equal, const struct rng32 *stream,
                 uint32_t limit, size_t n);
};

#define BLEND_HIGH_BINS 32768
#define BLEND_HIGH_BANKS 4
#define BLEND_LOW_BINS 65536

/* The set for isa, or for the next lower one that this build has. */
const struct blend_kernels *blend_kernels_for(enum isa isa);

#endif
