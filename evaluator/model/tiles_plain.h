/*
 * tiles_plain.h - eight tiles in memory, for gemm_tiles.c: what tiles_amx.h does, in plain C.
 *
 * TDPBF16PS as Intel's manual (volume 2, its page) writes it out. To each number of the result come
 * two sums, over the first and over the second of each pair, by fused multiply-add from zero in the
 * order of k; then these two are added, then that is added to the result. Every step rounds to
 * nearest even; subnormal numbers are taken as zero and become zero.
 */
#ifndef MODEL_TILES_PLAIN_H
#define MODEL_TILES_PLAIN_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "evaluator/model/dtype_bits.h"

#define TILES_NAME "-emulated"

/* A row is 16 floats, or 16 pairs of bfloat16, the first in the lower half. */
static uint32_t tiles[8][16][16];

static inline void tiles_fence(const void *written)
{
    (void)written;
}

static inline void tiles_begin(void)
{
}

static inline void tiles_end(void)
{
}

static inline void tile_zero(int t)
{
    memset(tiles[t], 0, sizeof(tiles[t]));
}

static inline void tile_load(int t, const void *from)
{
    memcpy(tiles[t], from, sizeof(tiles[t]));
}

static inline void tile_store(int t, float *to, size_t stride)
{
    for (size_t r = 0; r < 16; r++) {
        memcpy((char *)to + r * stride, tiles[t][r], sizeof(tiles[t][r]));
    }
}

static inline float flushed(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0.0F, x) : x;
}

static inline float first_of(uint32_t pair)
{
    return flushed(float_of_bits(pair << 16));
}

static inline float second_of(uint32_t pair)
{
    return flushed(float_of_bits(pair & 0xffff0000U));
}

static void tile_dot(int sum, int a, int b)
{
    float b_first[16][16], b_second[16][16];

    for (size_t k = 0; k < 16; k++) {
        for (size_t n = 0; n < 16; n++) {
            b_first[k][n] = first_of(tiles[b][k][n]);
            b_second[k][n] = second_of(tiles[b][k][n]);
        }
    }
    for (size_t m = 0; m < 16; m++) {
        float first[16] = {0}, second[16] = {0};

        for (size_t k = 0; k < 16; k++) {
            const float a_first = first_of(tiles[a][m][k]);
            const float a_second = second_of(tiles[a][m][k]);

            for (size_t n = 0; n < 16; n++) {
                first[n] = flushed(fmaf(a_first, b_first[k][n], first[n]));
                second[n] = flushed(fmaf(a_second, b_second[k][n], second[n]));
            }
        }
        for (size_t n = 0; n < 16; n++) {
            const float more = flushed(first[n] + second[n]);

            tiles[sum][m][n] =
                bits_of_float(flushed(flushed(float_of_bits(tiles[sum][m][n])) + more));
        }
    }
}

#endif
