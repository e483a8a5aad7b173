/*
 * della.h - keep probabilities by rank: the larger a change within its row, the likelier it stays.
 *
 *   p = density - epsilon + 2 epsilon rank / (m - 1)      rank 0 .. m-1 by |d|, ascending
 *
 * DELLA-Merging: Deep et al. 2024 (arXiv:2406.11617), section 3.1. Among equal magnitudes the lower
 * index has the lower rank. A row of one element has p = density.
 */
#ifndef MERGE_DELLA_H
#define MERGE_DELLA_H

#include <stddef.h>
#include <stdint.h>

#include "evaluator/merge/random.h"
#include "evaluator/merge/trim.h"

/*
 * A tensor as slabs of rows: a row is what lies along the second dimension, or the whole of a
 * tensor with one; a slab holds `stride` of them, element k of row j at k * stride + j. A matrix
 * has a slab a row and a stride of 1.
 */
struct della_shape {
    size_t n_slabs, row, stride;
};

struct della_shape della_shape_of(const size_t *dims, size_t n_dims, size_t n);

/* Bytes that della_rank takes besides its result. */
size_t della_memory(const struct della_shape *shape);

/* Ranks [n] within rows, less their lowest bits where a row has more than 65536 elements. */
void della_rank(uint16_t *out, const struct trim_delta *delta, const struct della_shape *shape);

/* Probabilities [row * stride] of one slab of deltas. */
void della_probabilities(double *out, const float *d, const struct della_shape *shape,
                         double density, double epsilon);

/* What stays of one task vector. */
struct della {
    struct della_shape shape;
    double density, epsilon;
    const uint16_t *ranks; /* [n rounded up to 64] as della_rank makes them */
    struct random_stream stream;
};

/* The bits (prune_kernels.h) of elements [at, at + n) into keep, which has room for n rounded up to
 * 64; at is a multiple of 64. */
void della_keep(unsigned char *keep, const struct della *della, const struct trim_delta *delta,
                size_t at, size_t n);

#endif
