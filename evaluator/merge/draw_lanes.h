/*
 * draw_lanes.h - random pruning in registers: which of the next elements stay (random.h).
 *
 * PCG32 (base/rng.h) for LANES outputs at once, two elements an output. The 64-bit lane j of `even`
 * holds the state of output 2j, of `odd` that of 2j + 1: what becomes of them falls in place as
 * 32-bit lanes, and its halves where a register of bfloat16 has its elements.
 */
#ifndef MERGE_DRAW_LANES_H
#define MERGE_DRAW_LANES_H

#include "base/rng.h"
#include "evaluator/merge/lanes.h"
#include "evaluator/merge/random.h"

typedef uint64_t lane_states __attribute__((vector_size(WIDTH)));

struct draw_lanes {
    lane_states even, odd;
    lane_states mul, add; /* as many steps at once as all ways take */
    uint32_t coarse;      /* a draw stays below it, and asks for more bits at it */
};

/* `ways` of them [n_ways] take turns at the registers of a block, and need not wait for one
 * another's states. */
INLINED void draw_lanes_from(struct draw_lanes *ways, size_t n_ways,
                             const struct random_draws *from)
{
    uint64_t states[2][LANES / 2]; /* of even and odd outputs */
    uint64_t state = from->coarse.state;
    uint64_t mul = 1;
    uint64_t add = 0;

    for (size_t way = 0; way < n_ways; way++) {
        for (size_t lane = 0; lane < LANES; lane++) {
            states[lane % 2][lane / 2] = state;
            state = state * RNG32_MUL + from->coarse.inc;
            add = add * RNG32_MUL + from->coarse.inc;
            mul *= RNG32_MUL;
        }
        ways[way].even = (lane_states)load_bits(states[0], 0);
        ways[way].odd = (lane_states)load_bits(states[1], 0);
    }
    for (size_t way = 0; way < n_ways; way++) {
        ways[way].mul = (lane_states){0} + mul;
        ways[way].add = (lane_states){0} + add;
        ways[way].coarse = random_coarse(from->share);
    }
}

/* The upper halves of both, and the lower ones. */
INLINED lane_bits upper_of(lane_states even, lane_states odd)
{
#if defined(__AVX512F__)
    return (lane_bits)_mm512_mask_shuffle_epi32((__m512i)odd, 0x5555, (__m512i)even, _MM_PERM_DDBB);
#else
    return (lane_bits)(even >> 32 | (odd & ~(uint64_t)0xffffffffU));
#endif
}

INLINED lane_bits lower_of(lane_states even, lane_states odd)
{
#if defined(__AVX512F__)
    return (lane_bits)_mm512_mask_shuffle_epi32((__m512i)even, 0xaaaa, (__m512i)odd, _MM_PERM_CCAA);
#else
    return (lane_bits)((even & 0xffffffffU) | odd << 32);
#endif
}

/* The output is made of bits 27 to 58 of state ^ state >> 18, turned right by bits 59 to 63. */
INLINED lane_bits draw_outputs(struct draw_lanes *draws)
{
    lane_bits upper = upper_of(draws->even, draws->odd);
    lane_bits lower = lower_of(draws->even, draws->odd);
    lane_bits mixed = (upper << 5 | lower >> 27) ^ upper >> 13;
    lane_bits turns = upper >> 27;

    draws->even = draws->even * draws->mul + draws->add;
    draws->odd = draws->odd * draws->mul + draws->add;
#if defined(__AVX512F__)
    return (lane_bits)_mm512_rorv_epi32((__m512i)mixed, (__m512i)turns);
#else
    return mixed >> turns | mixed << (-turns & 31U);
#endif
}

/* One answer a half: below limit, or equal to it. */
INLINED half_mask halves_below(lane_bits draws, uint32_t limit)
{
#if defined(__AVX512F__)
    return _mm512_cmplt_epu16_mask((__m512i)draws, _mm512_set1_epi16((short)limit));
#else
    return (half_mask)((lane_halves)draws < (uint16_t)limit);
#endif
}

INLINED half_mask halves_equal(lane_bits draws, uint32_t limit)
{
#if defined(__AVX512F__)
    return _mm512_cmpeq_epu16_mask((__m512i)draws, _mm512_set1_epi16((short)limit));
#else
    return (half_mask)((lane_halves)draws == (uint16_t)limit);
#endif
}

/* Which of HALVES elements stay, the first of which is element `at` of the block. */
INLINED half_mask draw_halves(struct draw_lanes *draws, const struct random_draws *from, size_t at)
{
    lane_bits outputs = draw_outputs(draws);
    half_mask stay = halves_below(outputs, draws->coarse);
    half_mask ties = halves_equal(outputs, draws->coarse);

    if (__builtin_expect(any_half(ties), 0)) {
        stay |= halves_of_bits(random_settle(from, at, bits_of_halves(ties)));
    }
    return stay;
}

#endif
