/*
 * gemm.h - one door for matrix products.
 *
 * In f32, kernels of our own (gemm_kernels.h) by default, OpenBLAS when the environment says
 * BRAID_GEMM=openblas: the reference that ours are tested against. In amx2 and amx1, the
 * processor's matrix units (gemm_tiles.h). All on one thread; parallelism is by processes. The
 * path's name goes with every score, since bits differ.
 *
 * With our kernels a row's result depends on that row and the weights alone, to the last bit, not
 * on how many rows are beside it nor on its place among them. OpenBLAS does not promise that: its
 * tiles for Haswell and Zen, and its small products everywhere, round some rows otherwise.
 */
#ifndef MODEL_GEMM_H
#define MODEL_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "evaluator/model/numeric.h"

/* Rows that make whole tiles of every kernel. */
#define GEMM_ROWS ((size_t)480)

/* Weights are packed once and then used for any number of rows. Packed as bfloat16 they take half
 * the memory: in amx2 and amx1 all are, in f32 those that are bfloat16 may be, to the same bits. */
struct gemm_kind {
    enum numeric numeric;
    bool brain; /* f32: the weights are bfloat16 */
};

/* Floats that packed weights [n, k] take. */
size_t gemm_packed_floats(struct gemm_kind kind, size_t n, size_t k);

/* Outputs [first, first + n) of weights whose inputs are k: w [n, k], row-major as stored. packed
 * has room for gemm_packed_floats of them all and starts at a multiple of 64 bytes. */
void gemm_pack(struct gemm_kind kind, float *packed, const float *w, size_t first, size_t n,
               size_t k);

/* One output's weights [k] back from packed ones. */
void gemm_unpack(struct gemm_kind kind, float *w, const float *packed, size_t output, size_t k);

/* Where the outputs from `first` on, a multiple of GEMM_PANEL, begin: packed weights themselves. */
#define GEMM_PANEL ((size_t)64)
const float *gemm_packed_from(struct gemm_kind kind, const float *packed, size_t first, size_t k);

/* out [rows, n] = x [rows, k] * w [n, k]^T, all row-major. kind's arithmetic is available. */
void gemm(struct gemm_kind kind, float *out, const float *x, const float *packed, size_t rows,
          size_t n, size_t k);

/* The same, added to out. */
void gemm_add(struct gemm_kind kind, float *out, const float *x, const float *packed, size_t rows,
              size_t n, size_t k);

/* "f32/avx512", "f32/openblas-SkylakeX/avx512", "amx2/avx512": arithmetic, whose products, our
 * other kernels. Static. */
const char *gemm_path(enum numeric numeric);

#endif
