/*
 * gemm.c - which matrix products run.
 */
#include "evaluator/model/gemm.h"

#include <cblas.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/model/gemm_kernels.h"

/* What the first product of the process decided. */
static struct {
    const struct gemm_kernels *kernels; /* NULL: OpenBLAS */
    char path[96];                      /* "": not decided yet */
} chosen;

static void choose(void)
{
    if (chosen.path[0] != '\0') {
        return;
    }
    const char *wish = getenv("BRAID_GEMM");

    if (wish != NULL && strcmp(wish, "openblas") == 0) {
        openblas_set_num_threads(1);
        snprintf(chosen.path, sizeof(chosen.path), "f32/openblas-%s/%s", openblas_get_corename(),
                 isa_name(isa_best()));
    } else {
        chosen.kernels = gemm_kernels_for(isa_best());
        snprintf(chosen.path, sizeof(chosen.path), "f32/%s", isa_name(isa_best()));
    }
}

size_t gemm_packed_floats(size_t n, size_t k)
{
    choose();
    size_t panel = chosen.kernels != NULL ? chosen.kernels->panel : 1;

    return (n + panel - 1) / panel * panel * k;
}

void gemm_pack(float *packed, const float *w, size_t n, size_t k)
{
    choose();
    if (chosen.kernels != NULL) {
        chosen.kernels->pack(packed, w, n, k);
    } else {
        memcpy(packed, w, n * k * sizeof(float));
    }
}

static void product(float *out, const float *x, const float *packed, size_t rows, size_t n,
                    size_t k, bool add)
{
    choose();
    if (chosen.kernels != NULL) {
        chosen.kernels->multiply(out, x, packed, rows, n, k, add);
    } else {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)rows, (blasint)n, (blasint)k,
                    1.0F, x, (blasint)k, packed, (blasint)k, add ? 1.0F : 0.0F, out, (blasint)n);
    }
}

void gemm(float *out, const float *x, const float *packed, size_t rows, size_t n, size_t k)
{
    product(out, x, packed, rows, n, k, false);
}

void gemm_add(float *out, const float *x, const float *packed, size_t rows, size_t n, size_t k)
{
    product(out, x, packed, rows, n, k, true);
}

const char *gemm_path(void)
{
    choose();
    return chosen.path;
}
