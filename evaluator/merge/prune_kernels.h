/*
 * prune_kernels.h - what pruning asks of task vectors, on blocks of numbers, one set an instruction
 * set: which elements stay, how large they are, how many there are of a size.
 *
 * What stays is said by bits (`keep`): bit i % 8 of byte i / 8 for element i. Room for bits is a
 * multiple of 64 of them: whole registers are read and written.
 *
 * d are task vectors as floats; `_bf16` reads source and base where they lie. Every set gives the
 * same bits. Blocks need no alignment.
 */
#ifndef MERGE_PRUNE_KERNELS_H
#define MERGE_PRUNE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "evaluator/merge/random.h"
#include "evaluator/model/isa.h"

/* A coarse draw of at most low + step * rank stays, one of at least high + step * rank does not. */
struct prune_odds {
    float low, high, step;
};

struct prune_kernels {
    /* out = x - base, as floats */
    void (*delta_f32)(float *out, const float *x, const float *base, size_t n);
    void (*delta_bf16)(float *out, const void *x, const void *base, size_t n);

    /* Sum of |d| over the elements with a bit, or over all (NULL), in double, element i in lane
     * i % 8. */
    double (*magnitudes_f32)(const float *d, const unsigned char *keep, size_t n);
    double (*magnitudes_bf16)(const void *x, const void *base, const unsigned char *keep, size_t n);
    /* How many magnitudes have just these bits. */
    size_t (*equal_f32)(const float *d, uint32_t bits, size_t n);
    size_t (*equal_bf16)(const void *x, const void *base, uint32_t bits, size_t n);
    /* counts[upper 15 bits of the magnitude]++; four banks, since neighbours often meet in a bin.
     */
    void (*count_high)(uint32_t *counts, const float *d, size_t n);
    /* counts[lower 16 bits]++ for the magnitudes whose upper bits are high. */
    void (*count_low)(uint32_t *counts, uint32_t high, const float *d, size_t n);

    /* Set the bits of elements whose magnitude has bits from low to last, at most 0x7fffffff. */
    void (*between)(unsigned char *keep, const float *d, uint32_t low, uint32_t last, size_t n);
    /* Set the bits of elements that stay at random. */
    void (*draw)(unsigned char *keep, const struct random_draws *draws, size_t n);
    /* The same, each by the probability of its rank [n]: those that stay whatever the bits behind
     * the coarse ones, and in close those of which these decide, and the exact probability; true
     * when there are any. ranks has room for n rounded up to 64. */
    bool (*draw_ranked)(unsigned char *keep, unsigned char *close, const uint16_t *ranks,
                        const struct random_draws *draws, const struct prune_odds *odds, size_t n);
};

#define PRUNE_HIGH_BINS 32768
#define PRUNE_HIGH_BANKS 4
#define PRUNE_LOW_BINS 65536

/* The set for isa, or for the next lower one that this build has. */
const struct prune_kernels *prune_kernels_for(enum isa isa);

#endif
