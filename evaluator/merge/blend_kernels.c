/*
 * blend_kernels.c - loops over vectors, compiled once an instruction set (cmake/isa.cmake).
 *
 * What does not change within a block is a constant to the compiler: how elements are mixed, what
 * says that they stay, and the number of sources up to four, which it then keeps in registers; more
 * go the same way through the stack.
 */
#include "evaluator/merge/blend_kernels.h"

#include "evaluator/merge/draw_lanes.h"
#include "evaluator/merge/lanes.h"

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
    bool elects;            /* else sums */
    bool has_base;          /* task vectors are mixed, else sources */
    enum blend_stays stays; /* what stays of them */
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

/* One register halfway: what counts of each source, and the base. */
struct halfway {
    lanes e[METHOD_SOURCES_MAX], base;
};

INLINED void weigh_lanes(struct halfway *out, struct mix mix, const struct constants *c, size_t k,
                         lanes base, const lanes *x)
{
    const bool capped = mix.stays == BLEND_BETWEEN;
    const bool limited = mix.stays == BLEND_ABOVE || capped;

    out->base = base;
    for (size_t s = 0; s < k; s++) {
        lanes d = mix.has_base ? x[s] - base : x[s];

        out->e[s] = limited ? weighed(d, c->factors[s], c->limits[s], capped, c->lasts[s])
                            : d * c->factors[s];
    }
}

INLINED lanes mix_lanes(struct mix mix, const struct constants *c, size_t k,
                        const struct halfway *in)
{
    lanes merged =
        mix.elects ? elect_lanes(mix, c, k, in->e) : sum_lanes(mix, c, k, in->e) * c->lambda;

    return mix.has_base ? in->base + merged : merged;
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

/* A register of a source, or the base's where an element does not stay: its task vector is zero.
 * `first` is the index in the block of its first element. */
INLINED lane_bits kept(struct mix mix, const struct blend_block *block, size_t s, size_t first,
                       struct draw_lanes *draws, lane_bits x, lane_bits base)
{
    if (mix.stays == BLEND_DRAWN) {
        return chosen_halves(draw_halves(&draws[s], &block->draws[s], first), x, base);
    }
    if (mix.stays != BLEND_MARKED) {
        return x;
    }
    uint32_t bits = load_keep(block->keep[s], first / HALVES * HALVES) >> first % HALVES;

    return mix.brain ? chosen_halves(halves_of_bits(bits), x, base)
                     : chosen_lanes(lanes_of_bits(bits), x, base);
}

/* One register of each input, `at` bytes into it: bfloat16 becomes two of floats. */
struct halves {
    struct halfway even, odd;
};

INLINED void begin(struct halves *out, struct mix mix, const struct constants *c,
                   const struct blend_block *block, size_t k, struct draw_lanes *draws,
                   const void *base, const void *const *x, size_t at)
{
    const size_t first = at / size_of(mix);
    lane_bits raw_base = mix.has_base ? load_bits(base, at) : (lane_bits){0};
    lane_bits raw[METHOD_SOURCES_MAX];
    lanes values[METHOD_SOURCES_MAX];

    for (size_t s = 0; s < k; s++) {
        raw[s] = kept(mix, block, s, first, draws, load_bits(x[s], at), raw_base);
        values[s] = (lanes)(mix.brain ? raw[s] << 16 : raw[s]);
    }
    weigh_lanes(&out->even, mix, c, k, (lanes)(mix.brain ? raw_base << 16 : raw_base), values);
    for (size_t s = 0; mix.brain && s < k; s++) {
        values[s] = (lanes)(raw[s] & UPPER_HALF);
    }
    if (mix.brain) {
        weigh_lanes(&out->odd, mix, c, k, (lanes)(raw_base & UPPER_HALF), values);
    }
}

INLINED lane_bits finish(struct mix mix, const struct constants *c, size_t k,
                         const struct halves *in)
{
    lanes even = mix_lanes(mix, c, k, &in->even);

    if (!mix.brain) {
        return (lane_bits)even;
    }
    lanes odd = mix_lanes(mix, c, k, &in->odd);

    return rounded(even) >> 16 | (rounded(odd) & UPPER_HALF);
}

/* By source, so that it stays in registers. */
INLINED void copy_halves(struct halves *out, const struct halves *in, size_t k)
{
    out->even.base = in->even.base;
    out->odd.base = in->odd.base;
    for (size_t s = 0; s < k; s++) {
        out->even.e[s] = in->even.e[s];
        out->odd.e[s] = in->odd.e[s];
    }
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

INLINED void fill_constants(struct mix mix, struct constants *c, const struct blend_block *block,
                            size_t k)
{
    c->divisor = everywhere(block->divisor);
    c->lambda = everywhere(block->lambda);
    for (size_t s = 0; s < k; s++) {
        c->factors[s] = everywhere(block->factors[s]);
        c->weights[s] = everywhere(block->weights[s]);
        c->limits[s] = block->limits[s];
        c->lasts[s] = block->lasts[s];
    }
    memset(c->shares, 0, sizeof c->shares);
    if (mix.looks_up) {
        fill_shares(c, block, k);
    }
}

/* All but the last block->n % HALVES elements. */
INLINED uint32_t run_k(struct mix mix, const struct blend_block *block, size_t k)
{
    const bool stream = block->stream;
    size_t n_bytes = block->n / HALVES * HALVES * size_of(mix);
    void *restrict out = block->out;
    const void *base = block->base;
    const void *x[METHOD_SOURCES_MAX];
    struct draw_lanes draws[METHOD_SOURCES_MAX];
    struct constants c;
    struct halves now = {0}, next = {0};
    lane_bits bad = {0};

    fill_constants(mix, &c, block, k);
    for (size_t s = 0; s < k; s++) {
        x[s] = block->x[s];
        if (mix.stays == BLEND_DRAWN) {
            draw_lanes_from(&draws[s], 1, &block->draws[s]);
        }
    }
    /* An election waits long for its sums: the next register's are made meanwhile. */
    if (mix.elects && n_bytes > 0) {
        begin(&now, mix, &c, block, k, draws, base, x, 0);
    }
    for (size_t at = 0; at < n_bytes; at += WIDTH) {
        if (mix.elects) {
            begin(&next, mix, &c, block, k, draws, base, x, at + WIDTH < n_bytes ? at + WIDTH : at);
        } else {
            begin(&now, mix, &c, block, k, draws, base, x, at);
        }
        lane_bits result = finish(mix, &c, k, &now);

        if (stream) {
            stream_bits(out, at, result);
        } else {
            store_bits(out, at, result);
        }
        bad |= mix.brain ? nonfinite_bf16(result) : nonfinite_f32(result);
        if (mix.elects) {
            copy_halves(&now, &next, k);
        }
    }
    if (stream) {
        stream_end();
    }
    return any_lane(bad) & (mix.brain ? 0x80008000U : SIGN);
}

/* A block of HALVES elements, of which the last are nothing. */
struct padded {
    struct blend_block block;
    lane_bits x[METHOD_SOURCES_MAX][2], base[2], out[2];
};

/* The last block->n % HALVES elements, of so many bytes each. */
static const struct blend_block *pad_last(struct padded *padded, const struct blend_block *block,
                                          size_t size)
{
    size_t first = block->n / HALVES * HALVES;
    size_t n_bytes = (block->n - first) * size;

    padded->block = *block;
    padded->block.n = HALVES;
    padded->block.stream = false;
    padded->block.out = memset(padded->out, 0, sizeof padded->out);
    memset(padded->base, 0, sizeof padded->base);
    if (block->base != NULL) {
        padded->block.base =
            memcpy(padded->base, (const char *)block->base + first * size, n_bytes);
    }
    for (size_t s = 0; s < block->k; s++) {
        memset(padded->x[s], 0, sizeof padded->x[s]);
        padded->block.x[s] =
            memcpy(padded->x[s], (const char *)block->x[s] + first * size, n_bytes);
        if (block->stays == BLEND_MARKED) {
            padded->block.keep[s] += first / 8;
        } else if (block->stays == BLEND_DRAWN) {
            rng32_advance(&padded->block.draws[s].coarse, first / 2);
            padded->block.draws[s].first += first;
        }
    }
    return &padded->block;
}

INLINED uint32_t run(struct mix mix, const struct blend_block *block)
{
    struct mix few = mix;
    struct padded last;
    uint32_t bad = 0;

    few.looks_up = mix.elects && mix.divides;
    for (const struct blend_block *part = block; part != NULL;) {
        switch (part->k) {
        case 1:
            bad |= run_k(few, part, 1);
            break;
        case 2:
            bad |= run_k(few, part, 2);
            break;
        case 3:
            bad |= run_k(few, part, 3);
            break;
        case 4:
            bad |= run_k(few, part, 4);
            break;
        default:
            bad |= run_k(mix, part, part->k);
        }
        part =
            part == block && block->n % HALVES != 0 ? pad_last(&last, block, size_of(mix)) : NULL;
    }
    if (block->n % HALVES != 0) {
        memcpy((char *)block->out + block->n / HALVES * HALVES * size_of(mix), last.out,
               block->n % HALVES * size_of(mix));
    }
    return bad;
}

/* Draws fall into place for bfloat16 alone. */
INLINED uint32_t run_vectors(struct mix mix, const struct blend_block *block)
{
    switch (block->stays) {
    case BLEND_ALL:
        mix.stays = BLEND_ALL;
        return run(mix, block);
    case BLEND_ABOVE:
        mix.stays = BLEND_ABOVE;
        return run(mix, block);
    case BLEND_BETWEEN:
        mix.stays = BLEND_BETWEEN;
        return run(mix, block);
    case BLEND_DRAWN:
        if (mix.brain) {
            mix.stays = BLEND_DRAWN;
            return run(mix, block);
        } /* fall through */
    case BLEND_MARKED:
        break;
    }
    mix.stays = BLEND_MARKED;
    return run(mix, block);
}

INLINED uint32_t sum(const struct blend_block *block, bool brain, bool divides)
{
    struct mix mix = {.brain = brain, .divides = divides};

    if (block->base == NULL) {
        return run(mix, block);
    }
    mix.has_base = true;
    return run_vectors(mix, block);
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
    const struct mix mix = {.elects = true, .has_base = true, .divides = divides, .brain = brain};

    return run_vectors(mix, block);
}

static uint32_t elect_f32(const struct blend_block *block)
{
    return block->normalize ? elect(block, false, true) : elect(block, false, false);
}

static uint32_t elect_bf16(const struct blend_block *block)
{
    return block->normalize ? elect(block, true, true) : elect(block, true, false);
}

extern const struct blend_kernels KERNELS_NAME(blend_kernels, KERNELS_ISA);
const struct blend_kernels KERNELS_NAME(blend_kernels, KERNELS_ISA) = {
    .sum_f32 = sum_f32,
    .sum_bf16 = sum_bf16,
    .elect_f32 = elect_f32,
    .elect_bf16 = elect_bf16,
};
