/*
 * random.h - keep decisions of random pruning, as functions of (seed, source, tensor, element).
 *
 * Every element of a source's tensor has a number u in [0, 1), always the same, and stays when u is
 * below its keep probability. So a decision depends on no other, nor on blocks, processes or the
 * order of work, and what stays at one density stays at every higher one: a search sees masks that
 * grow, not new ones.
 *
 * u has 48 bits. The first 16 come from the halves of a PCG32 stream (base/rng.h), two
 * elements an output; in one of 65536 cases they equal the probability's own, and 32 more from a
 * second stream decide.
 */
#ifndef MERGE_RANDOM_H
#define MERGE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"

struct random_stream {
    struct rng32 coarse, fine;
};

/* source: index among the recipe's sources. */
void random_open(struct random_stream *out, uint64_t seed, size_t source, const char *tensor);

/* 2^48 u of one element. */
uint64_t random_at(const struct random_stream *stream, size_t element);

/* The numbers of a block of elements, for kernels. */
struct random_draws {
    struct rng32 coarse; /* its next output is of the block's first two elements */
    struct rng32 fine;   /* its next output is of the tensor's first element */
    size_t first;        /* which the block's first element is; even */
    uint64_t share;      /* what is below it stays; at most 2^48 */
};

void random_draws_from(struct random_draws *out, const struct random_stream *stream, uint64_t share,
                       size_t first);

/* A coarse draw below this stays, and one that equals it is a tie. */
static inline uint32_t random_coarse(uint64_t share)
{
    return share >> 48 == 0 ? (uint32_t)(share >> 32) : 0xffff;
}

/* Of up to 32 elements from element `at` of the block on, those with a bit are ties: the bits of
 * those that stay. */
uint32_t random_settle(const struct random_draws *draws, size_t at, uint32_t ties);

/* A probability in the same unit: u < p exactly when random_at is below it. */
uint64_t random_share(double probability);

/* Set the bits (prune_kernels.h) of the elements from `first`, an even number, that stay. keep
 * has room for n rounded up to 64. */
void random_keep(const struct random_stream *stream, uint64_t share, size_t first, size_t n,
                 unsigned char *keep);

#endif
