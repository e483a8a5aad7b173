/*
 * gemm.c - which matrix products run.
 */
#include "evaluator/model/gemm.h"

#include <assert.h>
#include <cblas.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/model/dtype_bits.h"
#include "evaluator/model/gemm_kernels.h"
#include "evaluator/model/gemm_tiles.h"

/* What the first product of the process decided. */
static struct {
    bool already;
    const struct gemm_kernels *kernels; /* f32; NULL: OpenBLAS */
    char paths[NUMERIC_N][96];
} chosen;

/* Activations of the product that runs; there are no threads. */
static _Alignas(64) uint16_t split[TILE_SPLIT];

static void choose(void)
{
    if (chosen.already) {
        return;
    }
    const char *wish = getenv("BRAID_GEMM");
    const char *isa = isa_name(isa_best());
    char *f32 = chosen.paths[NUMERIC_F32];

    chosen.already = true;
    if (wish != NULL && strcmp(wish, "openblas") == 0) {
        openblas_set_num_threads(1);
        snprintf(f32, sizeof(chosen.paths[0]), "f32/openblas-%s/%s", openblas_get_corename(), isa);
    } else {
        chosen.kernels = gemm_kernels_for(isa_best());
        snprintf(f32, sizeof(chosen.paths[0]), "f32/%s", isa);
    }
    for (int i = NUMERIC_AMX2; i < NUMERIC_N && gemm_tiles_here() != NULL; i++) {
        snprintf(chosen.paths[i], sizeof(chosen.paths[i]), "%s%s/%s", numeric_name((enum numeric)i),
                 gemm_tiles_here()->name, isa);
    }
}

/* The tiles of amx2 and amx1; NULL for f32. */
static const struct gemm_tiles *tiles_of(enum numeric numeric)
{
    choose();
    if (numeric == NUMERIC_F32) {
        return NULL;
    }
    assert(gemm_tiles_here() != NULL);
    return gemm_tiles_here();
}

/* OpenBLAS takes floats. */
static bool is_brain(struct gemm_kind kind)
{
    return kind.brain && chosen.kernels != NULL;
}

size_t gemm_packed_floats(struct gemm_kind kind, size_t n, size_t k)
{
    if (tiles_of(kind.numeric) != NULL) {
        return gemm_tiles_packed(n, k) / 2;
    }
    const size_t panel = chosen.kernels != NULL ? chosen.kernels->panel : 1;
    const size_t whole = (n + panel - 1) / panel * panel * k;

    return is_brain(kind) ? (whole + 1) / 2 : whole;
}

void gemm_pack(struct gemm_kind kind, float *packed, const float *w, size_t first, size_t n,
               size_t k)
{
    const struct gemm_tiles *tiles = tiles_of(kind.numeric);

    if (tiles != NULL) {
        tiles->pack((uint16_t *)(void *)packed, w, first, n, k);
    } else if (chosen.kernels != NULL) {
        chosen.kernels->pack(packed, w, first, n, k, is_brain(kind));
    } else {
        memcpy(packed + first * k, w, n * k * sizeof(float));
    }
}

void gemm_unpack(struct gemm_kind kind, float *w, const float *packed, size_t output, size_t k)
{
    if (tiles_of(kind.numeric) != NULL) {
        gemm_tiles_unpack(w, (const uint16_t *)(const void *)packed, output, k);
        return;
    }
    const size_t panel = chosen.kernels != NULL ? chosen.kernels->panel : 1;
    const size_t first = output / panel * panel * k + output % panel;
    const uint16_t *brains = (const uint16_t *)(const void *)packed;

    for (size_t i = 0; i < k; i++) {
        const size_t at = first + i * panel;

        w[i] = is_brain(kind) ? bits_f32_of_bf16(brains[at]) : packed[at];
    }
}

const float *gemm_packed_from(struct gemm_kind kind, const float *packed, size_t first, size_t k)
{
    assert(first % GEMM_PANEL == 0);
    return packed + gemm_packed_floats(kind, first, k);
}

/* Parts of an activation. Short sums take three in amx2: there the error of two weighs most, and
 * the time of products least. */
static size_t parts_of(enum numeric numeric, size_t k)
{
    return numeric == NUMERIC_AMX1 ? 1 : k <= TILE_DEPTH_3 ? 3 : 2;
}

static void product(struct gemm_kind kind, float *out, const float *x, const float *packed,
                    size_t rows, size_t n, size_t k, bool add)
{
    const struct gemm_tiles *tiles = tiles_of(kind.numeric);

    if (tiles != NULL) {
        tiles->multiply(out, x, (const uint16_t *)(const void *)packed, split, rows, n, k, add,
                        parts_of(kind.numeric, k));
    } else if (chosen.kernels != NULL) {
        chosen.kernels->multiply(out, x, packed, rows, n, k, add, is_brain(kind));
    } else {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)rows, (blasint)n, (blasint)k,
                    1.0F, x, (blasint)k, packed, (blasint)k, add ? 1.0F : 0.0F, out, (blasint)n);
    }
}

void gemm(struct gemm_kind kind, float *out, const float *x, const float *packed, size_t rows,
          size_t n, size_t k)
{
    product(kind, out, x, packed, rows, n, k, false);
}

void gemm_add(struct gemm_kind kind, float *out, const float *x, const float *packed, size_t rows,
              size_t n, size_t k)
{
    product(kind, out, x, packed, rows, n, k, true);
}

const char *gemm_path(enum numeric numeric)
{
    choose();
    return chosen.paths[numeric];
}
