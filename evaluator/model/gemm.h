/*
 * gemm.h - one door for matrix products.
 *
 * Kernels of our own (gemm_kernels.h) by default, OpenBLAS when the environment says
 * BRAID_GEMM=openblas: the reference that ours are tested against. Both are f32 on one thread;
 * parallelism is by processes. The path's name goes with every score, since last bits differ.
 *
 * With our kernels a row's result depends on that row and the weights alone, to the last bit, not
 * on how many rows are beside it nor on its place among them. OpenBLAS does not promise that: its
 * tiles for Haswell and Zen, and its small products everywhere, round some rows otherwise.
 */
#ifndef MODEL_GEMM_H
#define MODEL_GEMM_H

#include <stddef.h>

/* Weights are packed once and then used for many rows. Floats that packed weights [n, k] take. */
size_t gemm_packed_floats(size_t n, size_t k);

/* w [n, k], row-major as stored; packed has room for gemm_packed_floats. */
void gemm_pack(float *packed, const float *w, size_t n, size_t k);

/* out [rows, n] = x [rows, k] * w [n, k]^T, all row-major. */
void gemm(float *out, const float *x, const float *packed, size_t rows, size_t n, size_t k);

/* The same, added to out. */
void gemm_add(float *out, const float *x, const float *packed, size_t rows, size_t n, size_t k);

/* "f32/avx512", "f32/openblas-SkylakeX/avx512": arithmetic, whose products, our other kernels.
 * Static. */
const char *gemm_path(void);

#endif
