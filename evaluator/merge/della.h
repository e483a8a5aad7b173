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

/* Bytes that della_keep takes for one tensor besides its result. */
size_t della_memory(const struct della_shape *shape);

/* Probabilities [row * stride] of one slab of deltas. */
void della_probabilities(double *out, const float *d, const struct della_shape *shape,
                         double density, double epsilon);

/* Set the bits (prune_kernels.h) of what stays in the whole tensor; keep has room for n rounded up
 * to 64. */
void della_keep(unsigned char *keep, const struct trim_delta *delta,
                const struct della_shape *shape, double density, double epsilon,
                const struct random_stream *stream);

#endif
