/*
 * kernels_dispatch.c - which compilation of kernels.c, attention.c, gemm_kernels.c and gemm_tiles.c
 * runs, and what all of attention.c's have in common: the layout of a stack.
 */
#include <stdlib.h>
#include <string.h>

#include "evaluator/model/amx.h"
#include "evaluator/model/attention.h"
#include "evaluator/model/dtype_bits.h"
#include "evaluator/model/gemm_kernels.h"
#include "evaluator/model/gemm_tiles.h"
#include "evaluator/model/kernels.h"
#include "evaluator/model/lanes.h"

extern const struct kernels kernels_plain;
extern const struct attention attention_plain;
extern const struct gemm_kernels gemm_kernels_plain;
extern const struct gemm_tiles gemm_tiles_plain;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2, kernels_avx512;
extern const struct attention attention_avx2, attention_avx512;
extern const struct gemm_kernels gemm_kernels_avx2, gemm_kernels_avx512;
extern const struct gemm_tiles gemm_tiles_avx2, gemm_tiles_avx512, gemm_tiles_amx;
#endif

const struct kernels *kernels_for(enum isa isa)
{
#if defined(__x86_64__)
    if (isa == ISA_AVX512) {
        return &kernels_avx512;
    }
    if (isa == ISA_AVX2) {
        return &kernels_avx2;
    }
#endif
    (void)isa;
    return &kernels_plain;
}

const struct attention *attention_for(enum isa isa)
{
#if defined(__x86_64__)
    if (isa == ISA_AVX512) {
        return &attention_avx512;
    }
    if (isa == ISA_AVX2) {
        return &attention_avx2;
    }
#endif
    (void)isa;
    return &attention_plain;
}

const struct gemm_kernels *gemm_kernels_for(enum isa isa)
{
#if defined(__x86_64__)
    if (isa == ISA_AVX512) {
        return &gemm_kernels_avx512;
    }
    if (isa == ISA_AVX2) {
        return &gemm_kernels_avx2;
    }
#endif
    (void)isa;
    return &gemm_kernels_plain;
}

const struct gemm_tiles *gemm_tiles_for(enum isa isa)
{
#if defined(__x86_64__)
    if (isa == ISA_AVX512) {
        return &gemm_tiles_avx512;
    }
    if (isa == ISA_AVX2) {
        return &gemm_tiles_avx2;
    }
#endif
    (void)isa;
    return &gemm_tiles_plain;
}

static const struct gemm_tiles *find_tiles(void)
{
    const char *wish = getenv("BRAID_TILES");

    if (wish != NULL && strcmp(wish, "emulated") == 0) {
        return gemm_tiles_for(isa_best());
    }
#if defined(__x86_64__)
    if (amx_ready()) {
        return &gemm_tiles_amx;
    }
#endif
    return NULL;
}

const struct gemm_tiles *gemm_tiles_here(void)
{
    static const struct gemm_tiles *found;
    static bool looked;

    if (!looked) {
        found = find_tiles();
        looked = true;
    }
    return found;
}

static size_t whole_tiles(size_t n, size_t tile)
{
    return (n + tile - 1) / tile * tile;
}

size_t gemm_tiles_packed(size_t n, size_t k)
{
    return whole_tiles(n, TILE_PANEL) * whole_tiles(k, TILE_STEP);
}

void gemm_tiles_unpack(float *w, const uint16_t *packed, size_t column, size_t k)
{
    const uint16_t *panel = packed + column / TILE_PANEL * TILE_PANEL * whole_tiles(k, TILE_STEP);
    const size_t side = column % TILE_PANEL / TILE_SIDE;

    for (size_t i = 0; i < k; i++) {
        const size_t tile = 2 * (i / TILE_STEP) + side;
        const size_t pair = i % TILE_STEP / 2;

        w[i] = bits_f32_of_bf16(
            panel[(tile * TILE_SIDE + pair) * TILE_STEP + 2 * (column % TILE_SIDE) + i % 2]);
    }
}

static size_t whole_lanes(size_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

size_t attention_stack_floats(const struct attention_shape *shape)
{
    size_t head = shape->head_width + whole_lanes(shape->head_width);

    return shape->n_kv_heads * whole_lanes(shape->depth_max) * head;
}

size_t attention_scratch_floats(const struct attention_shape *shape)
{
    return ATTENTION_QUERIES * whole_lanes(shape->depth_max);
}

void attention_copy_stack(float *to, const struct attention_shape *to_shape, const float *from,
                          const struct attention_shape *from_shape, size_t n)
{
    const size_t K = to_shape->head_width;
    const size_t value_width = whole_lanes(K);
    const size_t to_room = whole_lanes(to_shape->depth_max);
    const size_t from_room = whole_lanes(from_shape->depth_max);

    for (size_t g = 0; g < to_shape->n_kv_heads; g++) {
        memcpy(to, from, whole_lanes(n) * K * sizeof(float));
        memcpy(to + to_room * K, from + from_room * K, n * value_width * sizeof(float));
        to += to_room * (K + value_width);
        from += from_room * (K + value_width);
    }
}
