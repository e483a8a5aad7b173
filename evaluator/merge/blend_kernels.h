/*
 * blend_kernels.h - the arithmetic of merging, on blocks of numbers, one set an instruction set.
 *
 * Two ways to mix, after an optional trim of each source's task vector:
 *
 *   sum     out = base + lambda * sum_i w_i d_i / divisor                          d_i = x_i - base
 *   elect   the same sum over those i alone whose w_i d_i has the sign of the whole sum, divided by
 *           their own weights. TIES-Merging: Yadav et al. 2023 (arXiv:2306.01708), Algorithm 1.
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

#include "evaluator/merge/random.h"
#include "evaluator/model/isa.h"
#include "study/method.h"

/* Which elements of a task vector stay; the others count as 0. */
enum blend_stays {
    BLEND_ALL,
    BLEND_ABOVE,   /* magnitudes whose bits are at least limits */
    BLEND_BETWEEN, /* and at most lasts */
    BLEND_MARKED,  /* those with a bit in keep */
    BLEND_DRAWN    /* those that are drawn; of bfloat16 alone */
};

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
    enum blend_stays stays;            /* of every task vector */
    uint32_t limits[METHOD_SOURCES_MAX], lasts[METHOD_SOURCES_MAX]; /* at most 0x7fffffff */
    const unsigned char *keep[METHOD_SOURCES_MAX];                  /* bits (prune_kernels.h) [n] */
    struct random_draws draws[METHOD_SOURCES_MAX];
    float divisor; /* sum: of the weighted sum */
    float lambda;
    bool normalize; /* elect: divide by the weights that agree */
    bool stream;    /* out is memory that the caches need not keep; it starts at a multiple of 64 */
};

struct blend_kernels {
    /* Nonzero when a result is infinite or NaN, as it is when an element that counts is. */
    uint32_t (*sum_f32)(const struct blend_block *block);
    uint32_t (*sum_bf16)(const struct blend_block *block);
    uint32_t (*elect_f32)(const struct blend_block *block);
    uint32_t (*elect_bf16)(const struct blend_block *block);
};

/* The set for isa, or for the next lower one that this build has. */
const struct blend_kernels *blend_kernels_for(enum isa isa);

#endif
