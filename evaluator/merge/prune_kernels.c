/*
 * prune_kernels.c - loops over the magnitudes of task vectors, compiled once an instruction set.
 */
#include "evaluator/merge/prune_kernels.h"

#include "evaluator/merge/draw_lanes.h"
#include "evaluator/merge/lanes.h"
#include "evaluator/model/dtype_bits.h"

INLINED float load_bf16(const void *in, size_t i)
{
    uint16_t half;

    memcpy(&half, (const char *)in + i * sizeof half, sizeof half);
    return bits_f32_of_bf16(half);
}

INLINED uint32_t magnitude_bits(float value)
{
    return bits_of_float(value) & ~SIGN;
}

static void delta_f32(float *restrict out, const float *restrict x, const float *restrict base,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = x[i] - base[i];
    }
}

static void delta_bf16(float *restrict out, const void *restrict x, const void *restrict base,
                       size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = load_bf16(x, i) - load_bf16(base, i);
    }
}

/* ---- sums ---- */

/* Additions that need not wait for each other. Their order is part of the result. */
#define SUMS 8
#define PART (WIDTH / sizeof(double)) /* of them in a register */
#define PARTS (SUMS / PART)

typedef double part_doubles __attribute__((vector_size(WIDTH)));
typedef float part_floats __attribute__((vector_size(WIDTH / 2)));
typedef uint32_t part_bits __attribute__((vector_size(WIDTH / 2)));
typedef uint16_t part_halves __attribute__((vector_size(WIDTH / 4)));

struct sums {
    part_doubles parts[PARTS];
};

INLINED part_floats load_part(const void *in, size_t at, bool brain)
{
    part_halves halves;
    part_floats floats;

    if (brain) {
        memcpy(&halves, (const char *)in + at * sizeof(uint16_t), sizeof halves);
        return (part_floats)(__builtin_convertvector(halves, part_bits) << 16);
    }
    memcpy(&floats, (const char *)in + at * sizeof(float), sizeof floats);
    return floats;
}

/* value added where the lowest bits say so. */
INLINED part_doubles add_kept(part_doubles sum, part_floats value, unsigned bits)
{
#if defined(__AVX512F__)
    return (part_doubles)_mm512_mask_add_pd((__m512d)sum, (__mmask8)bits, (__m512d)sum,
                                            _mm512_cvtps_pd((__m256)value));
#else
    part_bits mine;

    for (size_t i = 0; i < PART; i++) {
        mine[i] = 1U << i;
    }
    part_bits mask = (part_bits)((((part_bits){0} + bits) & mine) == mine);

    return sum + __builtin_convertvector((part_floats)((part_bits)value & mask), part_doubles);
#endif
}

/* |x - base|, or |x| where base is NULL, of eight elements from `at` on, where their bits are set.
 */
INLINED void add_eight(struct sums *sums, const void *x, const void *base, size_t at, bool brain,
                       unsigned bits)
{
    for (size_t part = 0; part < PARTS; part++) {
        part_floats d = load_part(x, at + part * PART, brain);

        if (base != NULL) {
            d -= load_part(base, at + part * PART, brain);
        }
        sums->parts[part] =
            add_kept(sums->parts[part], (part_floats)((part_bits)d & ~SIGN), bits >> part * PART);
    }
}

INLINED double sum_all(const void *x, const void *base, const unsigned char *keep, size_t n,
                       bool brain)
{
    const size_t size = brain ? sizeof(uint16_t) : sizeof(float);
    struct sums sums = {0};
    double each[SUMS];
    size_t at = 0;

    for (; at + SUMS <= n; at += SUMS) {
        add_eight(&sums, x, base, at, brain, keep != NULL ? keep[at / SUMS] : 0xff);
    }
    if (at < n) {
        float last[2][SUMS] = {{0}};

        memcpy(last[0], (const char *)x + at * size, (n - at) * size);
        if (base != NULL) {
            memcpy(last[1], (const char *)base + at * size, (n - at) * size);
        }
        add_eight(&sums, last[0], base != NULL ? last[1] : NULL, 0, brain,
                  keep != NULL ? keep[at / SUMS] : 0xff);
    }
    memcpy(each, &sums, sizeof each);
    return ((each[0] + each[4]) + (each[2] + each[6])) +
           ((each[1] + each[5]) + (each[3] + each[7]));
}

static double magnitudes_f32(const float *d, const unsigned char *keep, size_t n)
{
    return keep != NULL ? sum_all(d, NULL, keep, n, false) : sum_all(d, NULL, NULL, n, false);
}

static double magnitudes_bf16(const void *x, const void *base, const unsigned char *keep, size_t n)
{
    return keep != NULL ? sum_all(x, base, keep, n, true) : sum_all(x, base, NULL, n, true);
}

/* ---- counts ---- */

/* Counted in 32 bits, which a loop over lanes likes, as long as they hold. */
#define COUNT_PART 65536

static size_t equal_f32(const float *d, uint32_t bits, size_t n)
{
    size_t found = 0;

    while (n > 0) {
        size_t part = n < COUNT_PART ? n : COUNT_PART;
        uint32_t in_part = 0;

        for (size_t i = 0; i < part; i++) {
            in_part += magnitude_bits(d[i]) == bits;
        }
        found += in_part;
        n -= part;
        d += part;
    }
    return found;
}

/* How many lanes of x - base have these bits, taken off each lane of the counts. */
INLINED lane_bits less_equal(lane_bits counts, lane_bits x, lane_bits base, uint32_t bits)
{
    lane_bits even = magnitudes_of((lanes)(x << 16) - (lanes)(base << 16));
    lane_bits odd = magnitudes_of((lanes)(x & UPPER_HALF) - (lanes)(base & UPPER_HALF));

    return counts + (lane_bits)(even == bits) + (lane_bits)(odd == bits);
}

static size_t equal_bf16(const void *x, const void *base, uint32_t bits, size_t n)
{
    size_t found = 0;
    size_t at = 0;

    while (n - at >= HALVES) {
        size_t end = n - at < COUNT_PART ? n : at + COUNT_PART;
        lane_bits counts = {0};

        for (; at + HALVES <= end; at += HALVES) {
            counts = less_equal(counts, load_bits(x, 2 * at), load_bits(base, 2 * at), bits);
        }
        for (size_t lane = 0; lane < LANES; lane++) {
            found -= (size_t)(int32_t)counts[lane];
        }
    }
    for (; at < n; at++) {
        found += magnitude_bits(load_bf16(x, at) - load_bf16(base, at)) == bits;
    }
    return found;
}

static void count_high(uint32_t *counts, const float *d, size_t n)
{
    size_t i = 0;

    for (; i + PRUNE_HIGH_BANKS <= n; i += PRUNE_HIGH_BANKS) {
        for (size_t bank = 0; bank < PRUNE_HIGH_BANKS; bank++) {
            counts[bank * PRUNE_HIGH_BINS + (magnitude_bits(d[i + bank]) >> 16)]++;
        }
    }
    for (; i < n; i++) {
        counts[magnitude_bits(d[i]) >> 16]++;
    }
}

/* A bin holds about one element in a hundred: most groups of sixteen are passed over whole. */
static void count_low(uint32_t *counts, uint32_t high, const float *d, size_t n)
{
    for (size_t at = 0; at < n; at += 16) {
        size_t part = n - at < 16 ? n - at : 16;
        uint32_t any = 0;

        for (size_t i = 0; i < part; i++) {
            any |= magnitude_bits(d[at + i]) >> 16 == high;
        }
        for (size_t i = 0; any != 0 && i < part; i++) {
            uint32_t bits = magnitude_bits(d[at + i]);

            if (bits >> 16 == high) {
                counts[bits & 0xffffU]++;
            }
        }
    }
}

/* ---- what stays ---- */

/* The bits of the LANES elements at d that are in range. */
INLINED uint32_t in_range(const float *d, uint32_t low, uint32_t last)
{
    lane_bits magnitude = load_bits(d, 0) & ~SIGN;

#if defined(__AVX512F__)
    __mmask16 from = _mm512_cmpge_epu32_mask((__m512i)magnitude, _mm512_set1_epi32((int)low));

    return _mm512_mask_cmple_epu32_mask(from, (__m512i)magnitude, _mm512_set1_epi32((int)last));
#else
    return bits_of_lanes((lane_bits)((lane_signs)magnitude >= (int32_t)low) &
                         (lane_bits)((lane_signs)magnitude <= (int32_t)last));
#endif
}

INLINED uint32_t two_in_range(const float *d, uint32_t low, uint32_t last)
{
    return in_range(d, low, last) | in_range(d + LANES, low, last) << LANES;
}

static void between(unsigned char *keep, const float *d, uint32_t low, uint32_t last, size_t n)
{
    size_t at = 0;

    for (; at + HALVES <= n; at += HALVES) {
        store_keep(keep, at, two_in_range(d + at, low, last));
    }
    if (at < n) {
        float padded[HALVES] = {0};

        memcpy(padded, d + at, (n - at) * sizeof *d);
        store_keep(keep, at, two_in_range(padded, low, last));
    }
}

#define DRAW_WAYS 2

static void draw(unsigned char *keep, const struct random_draws *draws, size_t n)
{
    struct draw_lanes ways[DRAW_WAYS];
    size_t at = 0;

    draw_lanes_from(ways, DRAW_WAYS, draws);
    for (; at < n; at += DRAW_WAYS * HALVES) {
        for (size_t way = 0; way < DRAW_WAYS; way++) {
            size_t first = at + way * HALVES;
            uint32_t bits = bits_of_halves(draw_halves(&ways[way], draws, first));

            if (first < n) {
                store_keep(keep, first, bits);
            }
        }
    }
}

/* All ones where a draw is at most from + step * rank. */
INLINED lane_bits at_most(lane_bits draws, lane_bits ranks, float from, float step)
{
    lanes limit = __builtin_convertvector((lane_signs)ranks, lanes) * step + from;

    return (lane_bits)(__builtin_convertvector((lane_signs)draws, lanes) <= limit);
}

INLINED half_mask halves_at_most(lane_bits draws, lane_bits ranks, float from, float step)
{
    lane_bits even = at_most(draws & ~UPPER_HALF, ranks & ~UPPER_HALF, from, step);
    lane_bits odd = at_most(draws >> 16, ranks >> 16, from, step);

    return mask_of_halves((even & ~UPPER_HALF) | (odd & UPPER_HALF));
}

static bool draw_ranked(unsigned char *keep, unsigned char *close, const uint16_t *ranks,
                        const struct random_draws *draws, const struct prune_odds *odds, size_t n)
{
    struct draw_lanes way;
    uint32_t any = 0;

    draw_lanes_from(&way, 1, draws);
    for (size_t at = 0; at < n; at += HALVES) {
        lane_bits outputs = draw_outputs(&way);
        lane_bits mine = load_bits(ranks, at * sizeof *ranks);
        uint32_t sure = bits_of_halves(halves_at_most(outputs, mine, odds->low, odds->step));
        uint32_t maybe = bits_of_halves(halves_at_most(outputs, mine, odds->high, odds->step));

        store_keep(keep, at, sure);
        store_keep(close, at, maybe & ~sure);
        any |= maybe & ~sure;
    }
    return any != 0;
}

extern const struct prune_kernels KERNELS_NAME(prune_kernels, KERNELS_ISA);
const struct prune_kernels KERNELS_NAME(prune_kernels, KERNELS_ISA) = {
    .delta_f32 = delta_f32,
    .delta_bf16 = delta_bf16,
    .magnitudes_f32 = magnitudes_f32,
    .magnitudes_bf16 = magnitudes_bf16,
    .equal_f32 = equal_f32,
    .equal_bf16 = equal_bf16,
    .count_high = count_high,
    .count_low = count_low,
    .between = between,
    .draw = draw,
    .draw_ranked = draw_ranked,
};
