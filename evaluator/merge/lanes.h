/*
 * lanes.h - registers as lanes, for files that are compiled once an instruction set
 * (cmake/isa.cmake).
 *
 * Written with the compiler's vector types: `lanes` is as wide as the set's registers, operators
 * work lane by lane, and what a lane computes is the same in every set.
 *
 * bfloat16 is the upper half of a float, so one register of them is two registers of floats
 * without any shuffle, and back:
 *
 *   memory      b0 b1 | b2 b3 | ...        a 32-bit lane holds two neighbours
 *   even        lane << 16                 b0, b2, ... as floats
 *   odd         lane & 0xffff0000          b1, b3, ... as floats
 */
#ifndef MERGE_LANES_H
#define MERGE_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "evaluator/merge/kernel_set.h"

typedef float lanes __attribute__((vector_size(WIDTH)));
typedef uint32_t lane_bits __attribute__((vector_size(WIDTH)));
typedef int32_t lane_signs __attribute__((vector_size(WIDTH)));
typedef uint16_t lane_halves __attribute__((vector_size(WIDTH)));

#define LANES (WIDTH / sizeof(float))
#define HALVES (2 * LANES)
#define UPPER_HALF 0xffff0000U
#define SIGN 0x80000000U

INLINED lane_bits load_bits(const void *in, size_t at)
{
    lane_bits out;

    memcpy(&out, (const char *)in + at, sizeof out);
    return out;
}

INLINED void store_bits(void *out, size_t at, lane_bits value)
{
    memcpy((char *)out + at, &value, sizeof value);
}

/* Past the caches where the set can; `at` is a multiple of WIDTH and out of 64. */
INLINED void stream_bits(void *out, size_t at, lane_bits value)
{
#if defined(__AVX512F__)
    _mm512_stream_si512((void *)((char *)out + at), (__m512i)value);
#elif defined(__AVX2__)
    _mm256_stream_si256((void *)((char *)out + at), (__m256i)value);
#else
    store_bits(out, at, value);
#endif
}

/* What was streamed is there for whoever reads next. */
INLINED void stream_end(void)
{
#if defined(__AVX2__)
    _mm_sfence();
#endif
}

INLINED lanes everywhere(float value)
{
    return (lanes){0} + value;
}

INLINED lane_bits magnitudes_of(lanes value)
{
    return (lane_bits)value & ~SIGN;
}

INLINED uint32_t any_lane(lane_bits value)
{
    uint32_t any = 0;

    for (size_t lane = 0; lane < LANES; lane++) {
        any |= value[lane];
    }
    return any;
}

/* ---- one answer a lane, or a half of one ---- */

#if defined(__AVX512F__)
typedef __mmask16 lane_mask;
typedef __mmask32 half_mask;
#else
typedef lane_bits lane_mask; /* all ones, or 0 */
typedef lane_halves half_mask;
#endif

/* value where the mask says so, else 0. */
INLINED lanes where(lane_mask mask, lanes value)
{
#if defined(__AVX512F__)
    return (lanes)_mm512_maskz_mov_ps(mask, (__m512)value);
#else
    return (lanes)((lane_bits)value & mask);
#endif
}

INLINED lanes add_where(lanes sum, lane_mask mask, lanes value)
{
#if defined(__AVX512F__)
    return (lanes)_mm512_mask_add_ps((__m512)sum, mask, (__m512)sum, (__m512)value);
#else
    return sum + where(mask, value);
#endif
}

/* which | bit, where the mask says so. */
INLINED lane_bits or_where(lane_bits which, lane_mask mask, uint32_t bit)
{
#if defined(__AVX512F__)
    return (lane_bits)_mm512_mask_or_epi32((__m512i)which, mask, (__m512i)which,
                                           _mm512_set1_epi32((int)bit));
#else
    return which | (mask & bit);
#endif
}

/* a where the mask says so, else b. */
INLINED lane_bits chosen_lanes(lane_mask mask, lane_bits a, lane_bits b)
{
#if defined(__AVX512F__)
    return (lane_bits)_mm512_mask_blend_epi32(mask, (__m512i)b, (__m512i)a);
#else
    return (a & mask) | (b & ~mask);
#endif
}

INLINED lane_bits chosen_halves(half_mask mask, lane_bits a, lane_bits b)
{
#if defined(__AVX512F__)
    return (lane_bits)_mm512_mask_blend_epi16(mask, (__m512i)b, (__m512i)a);
#else
    return (a & (lane_bits)mask) | (b & ~(lane_bits)mask);
#endif
}

INLINED bool any_half(half_mask mask)
{
#if defined(__AVX512F__)
    return mask != 0;
#elif defined(__AVX2__)
    return _mm256_testz_si256((__m256i)mask, (__m256i)mask) == 0;
#else
    return any_lane((lane_bits)mask) != 0;
#endif
}

/* ---- masks as bits, the first lane's lowest ---- */

INLINED lane_mask lanes_of_bits(uint32_t bits)
{
#if defined(__AVX512F__)
    return (lane_mask)bits;
#else
    lane_bits mine;

    for (size_t i = 0; i < LANES; i++) {
        mine[i] = 1U << i;
    }
    return (lane_mask)((((lane_bits){0} + bits) & mine) == mine);
#endif
}

INLINED uint32_t bits_of_lanes(lane_mask mask)
{
#if defined(__AVX512F__)
    return mask;
#elif defined(__AVX2__)
    return (uint32_t)_mm256_movemask_ps((__m256)mask);
#else
    uint32_t bits = 0;

    for (size_t i = 0; i < LANES; i++) {
        bits |= (mask[i] & 1U) << i;
    }
    return bits;
#endif
}

INLINED half_mask halves_of_bits(uint32_t bits)
{
#if defined(__AVX512F__)
    return bits;
#else
    lane_halves mine;

    for (size_t i = 0; i < HALVES; i++) {
        mine[i] = (uint16_t)(1U << i);
    }
    return (half_mask)((((lane_halves){0} + (uint16_t)bits) & mine) == mine);
#endif
}

/* Halves that are all ones, or 0. */
INLINED half_mask mask_of_halves(lane_bits halves)
{
#if defined(__AVX512F__)
    return _mm512_movepi16_mask((__m512i)halves);
#else
    return (half_mask)halves;
#endif
}

INLINED uint32_t bits_of_halves(half_mask mask)
{
#if defined(__AVX512F__)
    return mask;
#elif defined(__AVX2__)
    __m256i bytes = _mm256_packs_epi16((__m256i)mask, _mm256_setzero_si256());

    return (uint32_t)_mm256_movemask_epi8(_mm256_permute4x64_epi64(bytes, 0xd8));
#else
    uint32_t bits = 0;

    for (size_t i = 0; i < HALVES; i++) {
        bits |= (mask[i] & 1U) << i;
    }
    return bits;
#endif
}

/* ---- bits in memory: bit i % 8 of byte i / 8 for element i ---- */

/* The bits of HALVES elements; first is a multiple of it. */
INLINED uint32_t load_keep(const unsigned char *keep, size_t first)
{
    uint32_t bits = 0;

    memcpy(&bits, keep + first / 8, HALVES / 8);
    return bits;
}

INLINED void store_keep(unsigned char *keep, size_t first, uint32_t bits)
{
    memcpy(keep + first / 8, &bits, HALVES / 8);
}

#endif
