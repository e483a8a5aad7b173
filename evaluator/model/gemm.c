/*
 * gemm.c - matrix products through OpenBLAS.
 *
 * OpenBLAS computes the last rows of a product, and whole products that are small, with other
 * kernels than the bulk, so the same row can come out with other last bits in longer company. A
 * document must score the same whichever documents it is computed with. So rows are rounded up to a
 * multiple of 48, which the row tiles of its x86-64 kernels divide (24 for Haswell and Zen, 16 or
 * less for the others), and to more than the limit of the small-matrix path (rows * n * k <= 10^6,
 * SkylakeX and later). Tests hold every product shape against this.
 */
#include "evaluator/model/gemm.h"

#include <assert.h>
#include <cblas.h>
#include <stdbool.h>
#include <stdio.h>

#include "evaluator/model/isa.h"

#define SMALL_PRODUCT ((size_t)1000000)

static size_t rows_to_compute(size_t rows, size_t n, size_t k)
{
    size_t least = SMALL_PRODUCT / (n * k) + 1;
    size_t wanted = rows > least ? rows : least;
    size_t whole = (wanted + GEMM_ROWS - 1) / GEMM_ROWS * GEMM_ROWS;

    return whole < GEMM_CHUNK ? whole : GEMM_CHUNK;
}

static void use_one_thread(void)
{
    static bool done;

    if (!done) {
        openblas_set_num_threads(1);
        done = true;
    }
}

static void product(float *out, const float *x, const float *w, size_t rows, size_t n, size_t k,
                    float beta)
{
    assert(rows >= 1 && rows <= GEMM_CHUNK);
    use_one_thread();
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)rows_to_compute(rows, n, k),
                (blasint)n, (blasint)k, 1.0F, x, (blasint)k, w, (blasint)k, beta, out, (blasint)n);
}

void gemm(float *out, const float *x, const float *w, size_t rows, size_t n, size_t k)
{
    product(out, x, w, rows, n, k, 0.0F);
}

void gemm_add(float *out, const float *x, const float *w, size_t rows, size_t n, size_t k)
{
    product(out, x, w, rows, n, k, 1.0F);
}

const char *gemm_path(void)
{
    static char path[96];

    if (path[0] == '\0') {
        snprintf(path, sizeof(path), "f32/openblas-%s/%s", openblas_get_corename(),
                 isa_name(isa_best()));
    }
    return path;
}
