/*
 * blend_kernels.c - loops over vectors, compiled once an instruction set (cmake/isa.cmake).
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
 *
 * The number of sources up to four is a constant to the compiler, which then keeps them in
 * registers; more go the same way through the stack.
 */
#include "evaluator/merge/blend_kernels.h"

#include <string.h>

#include "evaluator/model/dtype_bits.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif
#define KERNELS_PASTE(stem, isa) stem##_##isa
#define KERNELS_NAME(stem, isa) KERNELS_PASTE(stem, isa)
#ifdef KERNELS_CALL
#define INLINED static inline
#else
#define INLINED static inline __attribute__((always_inline))
#endif

#if defined(__AVX512F__)
#define WIDTH 64
#elif defined(__AVX2__)
#define WIDTH 32
#else
#define WIDTH 16
#endif

typedef float lanes __attribute__((vector_size(WIDTH)));
typedef uint32_t lane_bits __attribute__((vector_size(WIDTH)));
typedef int32_t lane_signs __attribute__((vector_size(WIDTH)));
typedef uint16_t lane_halves __attribute__((vector_size(WIDTH)));
typedef uint64_t lane_states __attribute__((vector_size(WIDTH)));

#define LANES (WIDTH / sizeof(float))
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

/* ---- bits that say what stays ---- */

/* x where its bit is set, else other; brain: bits of halves, else of lanes. `first` is the first
 * element's index. */
INLINED lane_bits kept(bool brain, const unsigned char *keep, size_t first, lane_bits x,
                       lane_bits other)
{
#if defined(__AVX512F__)
    __mmask32 bits = 0;

    memcpy(&bits, keep + first / 8, brain ? 4 : 2);
    return (lane_bits)(brain
                           ? _mm512_mask_blend_epi16(bits, (__m512i)other, (__m512i)x)
                           : _mm512_mask_blend_epi32((__mmask16)bits, (__m512i)other, (__m512i)x));
#else
    uint16_t bits = 0;
    lane_bits mask;

    memcpy(&bits, keep + first / 8, brain && WIDTH == 32 ? 2 : 1);
    if (brain) {
        lane_halves mine;

        for (size_t i = 0; i < 2 * LANES; i++) {
            mine[i] = (uint16_t)(1U << i);
        }
        mask = (lane_bits)((((lane_halves){0} + bits) & mine) == mine);
    } else {
        lane_bits mine;

        for (size_t i = 0; i < LANES; i++) {
            mine[i] = 1U << i;
        }
        mask = (lane_bits)((((lane_bits){0} + ((uint32_t)bits >> first % 8)) & mine) == mine);
    }
    return (x & mask) | (other & ~mask);
#endif
}

/* The bits of 2 * LANES elements. */
INLINED void store_keep(unsigned char *keep, size_t first, uint32_t bits)
{
    memcpy(keep + first / 8, &bits, WIDTH / 16);
}

#if !defined(__AVX512F__)
/* One bit a half that is all ones. */
INLINED uint32_t bits_of_halves(lane_halves mask)
{
#if defined(__AVX2__)
    __m256i bytes = _mm256_packs_epi16((__m256i)mask, _mm256_setzero_si256());

    return (uint32_t)_mm256_movemask_epi8(_mm256_permute4x64_epi64(bytes, 0xd8));
#else
    uint32_t bits = 0;

    for (size_t i = 0; i < 2 * LANES; i++) {
        bits |= (mask[i] & 1U) << i;
    }
    return bits;
#endif
}

/* One bit a lane that is all ones. */
INLINED uint32_t bits_of_lanes(lane_bits mask)
{
#if defined(__AVX2__)
    return (uint32_t)_mm256_movemask_ps((__m256)mask);
#else
    uint32_t bits = 0;

    for (size_t i = 0; i < LANES; i++) {
        bits |= (mask[i] & 1U) << i;
    }
    return bits;
#endif
}
#endif

/* One answer a lane. */
#if defined(__AVX512F__)
typedef __mmask16 lane_mask;
#else
typedef lane_bits lane_mask; /* all ones, or 0 */
#endif

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

/* w * d where the magnitude of d has bits of at least limit, and at most last if that is a cap;
 * else 0. */
INLINED lanes weighed(lanes d, lanes w, uint32_t limit, bool capped, uint32_t last)
{
#if defined(__AVX512F__)
    __m512i magnitude = (__m512i)magnitudes_of(d);
    lane_mask keep = _mm512_cmpge_epu32_mask(magnitude, _mm512_set1_epi32((int)limit));

    if (capped) {
        keep = _mm512_mask_cmple_epu32_mask(keep, magnitude, _mm512_set1_epi32((int)last));
    }
    return (lanes)_mm512_maskz_mul_ps(keep, (__m512)w, (__m512)d);
#else
    lane_signs magnitude = (lane_signs)magnitudes_of(d);
    lane_mask drop = (lane_mask)(magnitude < (int32_t)limit);

    if (capped) {
        drop |= (lane_mask)(magnitude > (int32_t)last);
    }
    return where(~drop, w * d);
#endif
}

/* Where e has the sign in `signs` and is not zero, or is NaN. */
INLINED lane_mask agrees(lanes e, lane_bits signs)
{
    lanes turned = (lanes)((lane_bits)e ^ signs);

#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask((__m512)turned, _mm512_setzero_ps(), _CMP_NLE_UQ);
#else
    return ~(lane_mask)(turned <= 0.0F);
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

/* a / b, or a where b is zero. */
INLINED lanes divided(lanes a, lanes b)
{
#if defined(__AVX512F__)
    __mmask16 divides = _mm512_cmp_ps_mask((__m512)b, _mm512_setzero_ps(), _CMP_NEQ_UQ);

    return (lanes)_mm512_mask_div_ps((__m512)a, divides, (__m512)a, (__m512)b);
#else
    lane_bits none = (lane_bits)(b == 0.0F);

    return a / (b + (lanes)((lane_bits)everywhere(1.0F) & none));
#endif
}

/* ---- one register of results ---- */

/* Of so many sources at most a table holds every set. */
#define LOOKED_UP_MAX 4

/* What to do; a constant in each kernel, so that nothing of it is decided in the loop. */
struct mix {
    bool elects;   /* else sums */
    bool has_base; /* task vectors are mixed, else sources */
    bool trims;    /* limits apply */
    bool capped;   /* and lasts */
    bool masked;   /* bits say what stays */
    bool divides;
    bool looks_up; /* divides, by a table of what every set of sources divides by */
    bool brain;    /* bfloat16, else float */
};

INLINED size_t size_of(struct mix mix)
{
    return mix.brain ? sizeof(uint16_t) : sizeof(float);
}

/* What does not change within a block. */
struct constants {
    lanes factors[METHOD_SOURCES_MAX], weights[METHOD_SOURCES_MAX];
    uint32_t limits[METHOD_SOURCES_MAX], lasts[METHOD_SOURCES_MAX];
    float shares[1 << LOOKED_UP_MAX]; /* lambda over the weights of a set of sources, or lambda */
    const unsigned char *keep[METHOD_SOURCES_MAX];
    lanes divisor, lambda;
};

INLINED lanes sum_lanes(struct mix mix, const struct constants *c, size_t k, const lanes *e)
{
    lanes total = {0};

    for (size_t s = 0; s < k; s++) {
        total = s > 0 ? total + e[s] : e[s];
    }
    return mix.divides ? total / c->divisor : total;
}

INLINED lanes look_up(const struct constants *c, size_t k, lane_bits which)
{
#if defined(__AVX512F__)
    (void)k;
    return (lanes)_mm512_permutexvar_ps((__m512i)which, _mm512_loadu_ps(c->shares));
#elif defined(__AVX2__)
    __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(c->shares), (__m256i)which);

    if (k <= 3) {
        return (lanes)low;
    }
    __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(c->shares + 8), (__m256i)which);
    return (lanes)_mm256_blendv_ps(low, high, (__m256)(which << 28));
#else
    lanes out;

    (void)k;
    for (size_t lane = 0; lane < LANES; lane++) {
        out[lane] = c->shares[which[lane]];
    }
    return out;
#endif
}

/*
 * A zero agrees with neither sign; a sum of zero elects the positive one. (A negative zero is the
 * sum of negative zeros only, which agree with nothing.) A NaN agrees with every sign, so that it
 * is not lost.
 */
INLINED lanes elect_lanes(struct mix mix, const struct constants *c, size_t k, const lanes *e)
{
    lanes total = {0};
    lanes agreed = {0};
    lanes share = {0};
    lane_bits which = {0};

    for (size_t s = 0; s < k; s++) {
        total = s > 0 ? total + e[s] : e[s];
    }
    lane_bits signs = (lane_bits)total & SIGN;
    for (size_t s = 0; s < k; s++) {
        lane_mask mask = agrees(e[s], signs);

        agreed = s > 0 ? add_where(agreed, mask, e[s]) : where(mask, e[s]);
        if (mix.looks_up) {
            which = or_where(which, mask, 1U << s);
        } else if (mix.divides) {
            share = s > 0 ? add_where(share, mask, c->weights[s]) : where(mask, c->weights[s]);
        }
    }
    if (mix.looks_up) {
        return agreed * look_up(c, k, which);
    }
    return (mix.divides ? divided(agreed, share) : agreed) * c->lambda;
}

INLINED lanes mix_lanes(struct mix mix, const struct constants *c, size_t k, lanes base,
                        const lanes *x)
{
    lanes e[METHOD_SOURCES_MAX];

    for (size_t s = 0; s < k; s++) {
        lanes d = mix.has_base ? x[s] - base : x[s];

        e[s] = mix.trims ? weighed(d, c->factors[s], c->limits[s], mix.capped, c->lasts[s])
                         : d * c->factors[s];
    }
    lanes merged = mix.elects ? elect_lanes(mix, c, k, e) : sum_lanes(mix, c, k, e) * c->lambda;
    return mix.has_base ? base + merged : merged;
}

/* ---- one register of stored numbers ---- */

/* The halves that are not finite have their sign bit set in the result. */
INLINED lane_bits nonfinite_bf16(lane_bits pair)
{
    return (pair & 0x7f807f80U) + 0x00800080U;
}

INLINED lane_bits nonfinite_f32(lane_bits value)
{
    return (value & 0x7f800000U) + 0x00800000U;
}

/* To the upper half, ties to even; the lower half is left over. A NaN stays one, for those that
 * come from bfloat16 have nothing in the lower half that could carry. */
INLINED lane_bits rounded(lanes value)
{
    lane_bits bits = (lane_bits)value;

#if defined(__AVX512F__)
    __m512i up = (__m512i)(bits + 0x7fffU);
    lane_mask odd = _mm512_test_epi32_mask((__m512i)bits, _mm512_set1_epi32(0x10000));

    return (lane_bits)_mm512_mask_add_epi32(up, odd, up, _mm512_set1_epi32(1));
#else
    return bits + 0x7fffU + ((bits >> 16) & 1U);
#endif
}

/* One register of each input, `at` bytes into it; `first` is its first element's index in the
 * block. A source's element that does not stay becomes the base's, whose task vector is zero. */
INLINED lane_bits step(struct mix mix, const struct constants *c, size_t k, const void *base,
                       const void *const *x, size_t at, size_t first)
{
    lane_bits raw_base = mix.has_base ? load_bits(base, at) : (lane_bits){0};
    lane_bits raw[METHOD_SOURCES_MAX];
    lanes values[METHOD_SOURCES_MAX];

    for (size_t s = 0; s < k; s++) {
        raw[s] = load_bits(x[s], at);
        raw[s] = mix.masked ? kept(mix.brain, c->keep[s], first, raw[s], raw_base) : raw[s];
        values[s] = (lanes)(mix.brain ? raw[s] << 16 : raw[s]);
    }
    lanes even = mix_lanes(mix, c, k, (lanes)(mix.brain ? raw_base << 16 : raw_base), values);
    if (!mix.brain) {
        return (lane_bits)even;
    }
    for (size_t s = 0; s < k; s++) {
        values[s] = (lanes)(raw[s] & UPPER_HALF);
    }
    lanes odd = mix_lanes(mix, c, k, (lanes)(raw_base & UPPER_HALF), values);
    return rounded(even) >> 16 | (rounded(odd) & UPPER_HALF);
}

/* The last numbers, fewer than a register holds, through padded copies. */
INLINED lane_bits last_step(struct mix mix, const struct constants *c,
                            const struct blend_block *block, size_t at, size_t n_bytes)
{
    lane_bits padded[METHOD_SOURCES_MAX + 1] = {{0}};
    const void *x[METHOD_SOURCES_MAX];
    const lane_bits *base = &padded[METHOD_SOURCES_MAX];

    for (size_t s = 0; s < block->k; s++) {
        memcpy(&padded[s], (const char *)block->x[s] + at, n_bytes);
        x[s] = &padded[s];
    }
    if (mix.has_base) {
        memcpy(&padded[METHOD_SOURCES_MAX], (const char *)block->base + at, n_bytes);
    }
    lane_bits result = step(mix, c, block->k, base, x, 0, at / size_of(mix));
    memcpy((char *)block->out + at, &result, n_bytes);
    return result;
}

INLINED uint32_t any_lane(lane_bits value)
{
    uint32_t any = 0;

    for (size_t lane = 0; lane < LANES; lane++) {
        any |= value[lane];
    }
    return any;
}

/* What each set of sources divides by; bit s of the index stands for source s. */
INLINED void fill_shares(struct constants *c, const struct blend_block *block, size_t k)
{
    for (size_t which = 0; which < (size_t)1 << k; which++) {
        float share = 0.0F;
        bool first = true;

        for (size_t s = 0; s < k; s++) {
            if ((which >> s & 1) != 0) {
                share = first ? block->weights[s] : share + block->weights[s];
                first = false;
            }
        }
        c->shares[which] = share != 0.0F ? block->lambda / share : block->lambda;
    }
}

INLINED uint32_t run_k(struct mix mix, const struct blend_block *block, size_t k)
{
    size_t n_bytes = block->n * size_of(mix);
    void *restrict out = block->out;
    const void *base = block->base;
    const void *x[METHOD_SOURCES_MAX];
    struct constants c = {.divisor = everywhere(block->divisor),
                          .lambda = everywhere(block->lambda)};
    const bool stream = block->stream;
    lane_bits bad = {0};
    size_t at = 0;

    for (size_t s = 0; s < k; s++) {
        x[s] = block->x[s];
        c.factors[s] = everywhere(block->factors[s]);
        c.weights[s] = everywhere(block->weights[s]);
        c.limits[s] = block->limits[s];
        c.keep[s] = block->keep[s];
        c.lasts[s] = block->lasts[s];
    }
    if (mix.looks_up) {
        fill_shares(&c, block, k);
    }
    for (; at + WIDTH <= n_bytes; at += WIDTH) {
        lane_bits result = step(mix, &c, k, base, x, at, at / size_of(mix));

        if (stream) {
            stream_bits(out, at, result);
        } else {
            store_bits(out, at, result);
        }
        bad |= mix.brain ? nonfinite_bf16(result) : nonfinite_f32(result);
    }
    if (at < n_bytes) {
        lane_bits result = last_step(mix, &c, block, at, n_bytes - at);

        bad |= mix.brain ? nonfinite_bf16(result) : nonfinite_f32(result);
    }
    if (stream) {
        stream_end();
    }
    return any_lane(bad) & (mix.brain ? 0x80008000U : SIGN);
}

INLINED uint32_t run(struct mix mix, const struct blend_block *block)
{
    struct mix few = mix;

    few.looks_up = mix.elects && mix.divides;
    switch (block->k) {
    case 1:
        return run_k(few, block, 1);
    case 2:
        return run_k(few, block, 2);
    case 3:
        return run_k(few, block, 3);
    case 4:
        return run_k(few, block, 4);
    default:
        return run_k(mix, block, block->k);
    }
}

/* How what stays of a task vector is said. */
INLINED uint32_t run_vectors(struct mix mix, const struct blend_block *block, bool limited)
{
    struct mix masked = mix;
    struct mix trimmed = mix;
    struct mix capped = mix;

    masked.masked = true;
    trimmed.trims = true;
    capped.trims = true;
    capped.capped = true;
    if (block->masked) {
        return run(masked, block);
    }
    if (limited && block->capped) {
        return run(capped, block);
    }
    return limited ? run(trimmed, block) : run(mix, block);
}

INLINED uint32_t sum(const struct blend_block *block, bool brain, bool divides)
{
    const struct mix sources = {.brain = brain, .divides = divides};
    const struct mix vectors = {.brain = brain, .divides = divides, .has_base = true};

    if (block->base == NULL) {
        return run(sources, block);
    }
    return block->limited ? run_vectors(vectors, block, true) : run_vectors(vectors, block, false);
}

static uint32_t sum_f32(const struct blend_block *block)
{
    return block->divisor != 1.0F ? sum(block, false, true) : sum(block, false, false);
}

static uint32_t sum_bf16(const struct blend_block *block)
{
    return block->divisor != 1.0F ? sum(block, true, true) : sum(block, true, false);
}

INLINED uint32_t elect(const struct blend_block *block, bool brain, bool divides)
{
    const struct mix vectors = {
        .elects = true, .has_base = true, .divides = divides, .brain = brain};

    return run_vectors(vectors, block, true);
}

static uint32_t elect_f32(const struct blend_block *block)
{
    return block->normalize ? elect(block, false, true) : elect(block, false, false);
}

static uint32_t elect_bf16(const struct blend_block *block)
{
    return block->normalize ? elect(block, true, true) : elect(block, true, false);
}

/* ---- magnitudes ---- */

INLINED float load_f32(const void *in, size_t i)
{
    float value;

    memcpy(&value, (const char *)in + i * sizeof value, sizeof value);
    return value;
}

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

static void delta_f32(float *restrict out, const void *restrict x, const void *restrict base,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = load_f32(x, i) - load_f32(base, i);
    }
}

static void delta_bf16(float *restrict out, const void *restrict x, const void *restrict base,
                       size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = load_bf16(x, i) - load_bf16(base, i);
    }
}

static size_t equal(const float *d, uint32_t bits, size_t n)
{
    size_t found = 0;

    while (n > 0) {
        size_t part = n < 65536 ? n : 65536;
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

/* Eight sums, so that the additions need not wait for each other; their order is part of the result
 * and the same everywhere. */
static double magnitudes(const float *d, uint32_t limit, size_t n)
{
    double sums[8] = {0};
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        for (size_t lane = 0; lane < 8; lane++) {
            uint32_t bits = magnitude_bits(d[i + lane]);

            sums[lane] += bits >= limit ? (double)float_of_bits(bits) : 0.0;
        }
    }
    for (size_t lane = 0; i < n; i++, lane++) {
        uint32_t bits = magnitude_bits(d[i]);

        sums[lane] += bits >= limit ? (double)float_of_bits(bits) : 0.0;
    }
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) +
           ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

static void count_high(uint32_t *counts, const float *d, size_t n)
{
    size_t i = 0;

    for (; i + BLEND_HIGH_BANKS <= n; i += BLEND_HIGH_BANKS) {
        for (size_t bank = 0; bank < BLEND_HIGH_BANKS; bank++) {
            counts[bank * BLEND_HIGH_BINS + (magnitude_bits(d[i + bank]) >> 16)]++;
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

static void between(unsigned char *keep, const float *d, uint32_t low, uint32_t last, size_t n)
{
    size_t at = 0;

    for (; at + 2 * LANES <= n; at += 2 * LANES) {
        store_keep(keep, at,
                   in_range(d + at, low, last) | in_range(d + at + LANES, low, last) << LANES);
    }
    if (at < n) {
        float padded[2 * LANES] = {0};

        memcpy(padded, d + at, (n - at) * sizeof *d);
        store_keep(keep, at,
                   in_range(padded, low, last) | in_range(padded + LANES, low, last) << LANES);
    }
}

static void drop(float *d, const unsigned char *keep, size_t n)
{
    size_t at = 0;

    for (; at + LANES <= n; at += LANES) {
        store_bits(d + at, 0, kept(false, keep, at, load_bits(d + at, 0), (lane_bits){0}));
    }
    for (; at < n; at++) {
        d[at] = keep[at / 8] >> at % 8 & 1 ? d[at] : 0.0F;
    }
}

/* ---- draws ---- */

/*
 * PCG32 (base/rng.h) for LANES outputs at once. The 64-bit lane j of `even` holds the state of
 * output 2j, of `odd` that of 2j + 1: what becomes of them falls in place as 32-bit lanes.
 */
struct states {
    lane_states even, odd;
    lane_states mul, add; /* DRAW_WAYS * LANES steps at once */
};

/* Registers of outputs that do not wait for one another's states. */
#define DRAW_WAYS 2

/* Way w starts LANES * w outputs on. */
INLINED void states_from(struct states ways[DRAW_WAYS], const struct rng32 *stream)
{
    uint64_t state = stream->state;
    uint64_t mul = 1;
    uint64_t add = 0;

    for (size_t way = 0; way < DRAW_WAYS; way++) {
        for (size_t lane = 0; lane < LANES; lane++) {
            if (lane % 2 == 0) {
                ways[way].even[lane / 2] = state;
            } else {
                ways[way].odd[lane / 2] = state;
            }
            state = state * RNG32_MUL + stream->inc;
            add = add * RNG32_MUL + stream->inc;
            mul *= RNG32_MUL;
        }
    }
    for (size_t way = 0; way < DRAW_WAYS; way++) {
        ways[way].mul = (lane_states){0} + mul;
        ways[way].add = (lane_states){0} + add;
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
INLINED lane_bits outputs_of(struct states *states)
{
    lane_bits upper = upper_of(states->even, states->odd);
    lane_bits lower = lower_of(states->even, states->odd);
    lane_bits mixed = (upper << 5 | lower >> 27) ^ upper >> 13;
    lane_bits turns = upper >> 27;

    states->even = states->even * states->mul + states->add;
    states->odd = states->odd * states->mul + states->add;
#if defined(__AVX512F__)
    return (lane_bits)_mm512_rorv_epi32((__m512i)mixed, (__m512i)turns);
#else
    return mixed >> turns | mixed << (-turns & 31U);
#endif
}

/* One bit a half: below limit, or equal to it. */
INLINED uint32_t halves_below(lane_bits draws, uint32_t limit)
{
#if defined(__AVX512F__)
    return _mm512_cmplt_epu16_mask((__m512i)draws, _mm512_set1_epi16((short)limit));
#else
    return bits_of_halves((lane_halves)((lane_halves)draws < (uint16_t)limit));
#endif
}

INLINED uint32_t halves_equal(lane_bits draws, uint32_t limit)
{
#if defined(__AVX512F__)
    return _mm512_cmpeq_epu16_mask((__m512i)draws, _mm512_set1_epi16((short)limit));
#else
    return bits_of_halves((lane_halves)((lane_halves)draws == (uint16_t)limit));
#endif
}

/* The next 2 * LANES elements; returns the bits of those that equal the limit. */
INLINED uint32_t draw_some(unsigned char *below, unsigned char *equal, struct states *states,
                           uint32_t limit, size_t at)
{
    lane_bits draws = outputs_of(states);
    uint32_t same = halves_equal(draws, limit);

    store_keep(below, at, halves_below(draws, limit));
    if (equal != NULL) {
        store_keep(equal, at, same);
    }
    return same;
}

INLINED bool draw_all(unsigned char *below, unsigned char *equal, const struct rng32 *stream,
                      uint32_t limit, size_t n)
{
    const size_t some = 2 * LANES;
    struct states ways[DRAW_WAYS];
    uint32_t any = 0;
    size_t at = 0;

    states_from(ways, stream);
    for (; n - at >= DRAW_WAYS * some; at += DRAW_WAYS * some) {
        for (size_t way = 0; way < DRAW_WAYS; way++) {
            any |= draw_some(below, equal, &ways[way], limit, at + way * some);
        }
    }
    for (size_t way = 0; at < n; way++, at += some) {
        uint32_t same = draw_some(below, equal, &ways[way], limit, at);

        any |= n - at >= some ? same : same & ((1U << (n - at)) - 1);
    }
    return any != 0;
}

static bool draw(unsigned char *below, unsigned char *equal, const struct rng32 *stream,
                 uint32_t limit, size_t n)
{
    return equal != NULL ? draw_all(below, equal, stream, limit, n)
                         : draw_all(below, NULL, stream, limit, n);
}

extern const struct blend_kernels KERNELS_NAME(blend_kernels, KERNELS_ISA);
const struct blend_kernels KERNELS_NAME(blend_kernels, KERNELS_ISA) = {
    .sum_f32 = sum_f32,
    .sum_bf16 = sum_bf16,
    .elect_f32 = elect_f32,
    .elect_bf16 = elect_bf16,
    .delta_f32 = delta_f32,
    .delta_bf16 = delta_bf16,
    .equal = equal,
    .magnitudes = magnitudes,
    .count_high = count_high,
    .count_low = count_low,
    .between = between,
    .drop = drop,
    .draw = draw,
};
