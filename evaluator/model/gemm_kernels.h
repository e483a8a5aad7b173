/*
 * gemm_kernels.h - the product's inner loops, one set an instruction set.
 *
 * gemm.h is the door; this is for gemm.c and for the test that holds the sets against OpenBLAS.
 */
#ifndef MODEL_GEMM_KERNELS_H
#define MODEL_GEMM_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include "evaluator/model/isa.h"

struct gemm_kernels {
    size_t panel; /* columns of a panel; packed weights [n, k] take k floats a column, in panels */

    /* Columns [first, first + n) of packed [columns / panel, k, panel] from w [n, k], as floats or
     * as the bfloat16 that they are. What fills the last panel up is not touched, and never seen.
     */
    void (*pack)(void *packed, const float *w, size_t first, size_t n, size_t k, bool brain);

    /* out [rows, n] = x [rows, k] * w^T, or that much more when add. */
    void (*multiply)(float *out, const float *x, const void *packed, size_t rows, size_t n,
                     size_t k, bool add, bool brain);
};

/* The set for isa, or for the next lower one that this build has. Static. */
const struct gemm_kernels *gemm_kernels_for(enum isa isa);

#endif
