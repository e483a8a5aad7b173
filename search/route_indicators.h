/*
 * route_indicators.h - routes as one bit a slot: all blocks of all models in order, the whole list
 * several times over, and every slot either on the path or not (Akiba et al. 2024,
 * arXiv:2403.13187, data flow space).
 *
 *      slots, 2 models of 3 blocks, 2 repeats    A0 A1 A2 B0 B1 B2  A0 A1 A2 B0 B1 B2
 *      pinned 1                                  first  -  -  -  -  -  -  -  -  - -  then A2
 *
 * The host's pinned blocks open and close every route; their slots in the first repeat are no bits.
 * A hop's scale comes from where the path comes from and goes to, by one of four small models:
 *
 *      none       1
 *      seams      a log scale an ordered pair of models and third of depth, at seams only
 *      dense      a scale an ordered pair of blocks, at every hop: as published
 *      network    a log scale from a small net of (block before, block, place in the route)
 */
#ifndef SEARCH_ROUTE_INDICATORS_H
#define SEARCH_ROUTE_INDICATORS_H

#include "search/route_frame.h"
#include "study/study.h"

#define INDICATORS_HIDDEN                                                   \
    6 /* units of the network. Ours: the smallest that fits a bump a source \
       */

struct indicators {
    struct route_frame frame;
    uint32_t repeats; /* r */
    enum study_route_scales scales;
};

/* How many bits, and how many numbers the scales take. */
size_t indicators_bits(const struct indicators *indicators);
size_t indicators_numbers(const struct indicators *indicators);

/* The slot of a bit: model, block, and which of the repeats. */
struct indicators_slot {
    uint32_t model, layer, round;
};
struct indicators_slot indicators_slot(const struct indicators *indicators, size_t bit);

/* The route of bits [indicators_bits], on the path where true; slots beyond hops_max are left out.
 * The caller releases it. */
void indicators_build(struct route *out, const struct indicators *indicators, const bool *bits);

/* Set the scales of a route from numbers [indicators_numbers], each number of `dense` a scale (1:
 * nothing), of the others a logarithm or a weight of the net (0: nothing). */
void indicators_scale(struct route *route, const struct indicators *indicators,
                      const double *numbers);

/* Numbers whose scales come near those of a route: means over the hops that share one; the net's
 * are not looked for and become nothing. */
void indicators_fit(double *numbers, const struct indicators *indicators,
                    const struct route *route);

/* Bits whose route comes nearest to one, [indicators_bits]: each hop takes the first slot after the
 * one before it; what finds no slot is left out. */
void indicators_match(bool *bits, const struct indicators *indicators, const struct route *route);

#endif
