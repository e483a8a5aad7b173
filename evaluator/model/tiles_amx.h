/*
 * tiles_amx.h - eight tiles in the processor, for gemm_tiles.c.
 *
 * Palette 1 of AMX has eight tiles of up to 16 rows of 64 bytes; all are used whole. Their numbers
 * are part of the instructions, hence macros.
 */
#ifndef MODEL_TILES_AMX_H
#define MODEL_TILES_AMX_H

#include <immintrin.h>
#include <stdint.h>

#define TILES_NAME ""

#define tile_zero(t) _tile_zero(t)
#define tile_load(t, from) _tile_loadd(t, from, 64)
#define tile_dot(sum, a, b) _tile_dpbf16ps(sum, a, b)
#define tile_store(t, to, stride) _tile_stored(t, to, stride)

/* The operand of LDTILECFG: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1,
 * table 18-2. */
struct tiles_shape {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* What was written to memory is there: gcc 12 does not know that loads of tiles and of their shape
 * read it. */
static inline void tiles_fence(const void *written)
{
    __asm__ volatile("" : : "r"(written) : "memory");
}

static inline void tiles_begin(void)
{
    _Alignas(64) struct tiles_shape shape = {.palette = 1};

    for (int t = 0; t < 8; t++) {
        shape.row_bytes[t] = 64;
        shape.rows[t] = 16;
    }
    tiles_fence(&shape);
    _tile_loadconfig(&shape);
}

/* Without tiles there is less of the process to save at a switch. */
static inline void tiles_end(void)
{
    _tile_release();
}

#endif
