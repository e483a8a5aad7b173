/*
 * gemm_tiles.h - matrix products of bfloat16 tiles, on the processor's matrix units or in plain C.
 *
 * gemm.h is the door; this is for gemm.c, numeric.c and the tests.
 */
#ifndef MODEL_GEMM_TILES_H
#define MODEL_GEMM_TILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "evaluator/model/isa.h"

/* Rows and columns of a tile of results, and places of k that a tile of inputs has. A panel is two
 * tiles wide. */
#define TILE_SIDE ((size_t)16)
#define TILE_STEP ((size_t)32)
#define TILE_PANEL (2 * TILE_SIDE)

/* Activations a call splits at a time: rows, and places of k. One megabyte, which is half of the
 * second-level cache; whole tiles of either number. */
#define TILE_ROWS ((size_t)480)
#define TILE_DEPTH ((size_t)512)
#define TILE_DEPTH_3 ((size_t)256)
#define TILE_SPLIT (2 * TILE_ROWS * TILE_DEPTH)

struct gemm_tiles {
    const char *name; /* "" for the processor's own, "-emulated" */

    /* Columns [first, first + n) from w [n, k], rounded to bfloat16: packed [columns / TILE_PANEL,
     * k / TILE_STEP, 2 tiles, 16 pairs of k, 16 columns, the pair], k filled up with zeros. What
     * fills the last panel up is not touched, and never seen. */
    void (*pack)(uint16_t *packed, const float *w, size_t first, size_t n, size_t k);

    /*
     * out [rows, n] = x [rows, k] * w^T, or that much more when add. Each x is the sum of so many
     * parts, bfloat16 numbers: one keeps 8 of its 24 bits, two 16, three all; three are for k up to
     * TILE_DEPTH_3. split has TILE_SPLIT elements and is overwritten; packed and split start at
     * multiples of 64 bytes.
     */
    void (*multiply)(float *out, const float *x, const uint16_t *packed, uint16_t *split,
                     size_t rows, size_t n, size_t k, bool add, size_t parts);
};

/* Elements of packed weights. */
size_t gemm_tiles_packed(size_t n, size_t k);

/* One column of packed weights: w [k]. */
void gemm_tiles_unpack(float *w, const uint16_t *packed, size_t column, size_t k);

/* The plain set, compiled for isa or for the next lower one that this build has: all give the same
 * bits, and the matrix units' too. Static. */
const struct gemm_tiles *gemm_tiles_for(enum isa isa);

/* The processor's own; with BRAID_TILES=emulated the plain set; NULL when there is neither. The
 * first call decides for the process. */
const struct gemm_tiles *gemm_tiles_here(void);

#endif
