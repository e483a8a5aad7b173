/*
 * gemm.h - one door for matrix products.
 *
 * f32 through OpenBLAS with one thread; parallelism is by processes. The path's name goes with
 * every score, since last bits differ between processors.
 */
#ifndef MODEL_GEMM_H
#define MODEL_GEMM_H

#include <stddef.h>

/*
 * Products are computed in whole multiples of GEMM_ROWS rows, GEMM_CHUNK at most, and so that a
 * row's result does not depend on how many rows are beside it (gemm.c says how). Every x and out
 * has room for GEMM_CHUNK rows from where it starts; what lies in rows beyond those asked for is
 * read and overwritten, and means nothing.
 */
#define GEMM_ROWS ((size_t)48)
#define GEMM_CHUNK (11 * GEMM_ROWS)

/* out [rows, n] = x [rows, k] * w [n, k]^T, all row-major; rows in [1, GEMM_CHUNK]. */
void gemm(float *out, const float *x, const float *w, size_t rows, size_t n, size_t k);

/* The same, added to out. */
void gemm_add(float *out, const float *x, const float *w, size_t rows, size_t n, size_t k);

/* "f32/openblas-SkylakeX/avx512": arithmetic, the library's kernels, our own kernels. Static. */
const char *gemm_path(void);

#endif
