/*
 * element_kernels.c - loops over elements, compiled once an instruction set (cmake/isa.cmake).
 *
 * Sums are kept in sixteen lanes of double, whatever registers hold them, and added up in one
 * order. Products of two floats are exact in double, so nothing depends on fused operations either.
 * Exponentials and logarithms are polynomials of ours: libm's differ in their last bit from one
 * processor to the next, and a selection by rank would show it.
 */
#include "evaluator/merge/element_kernels.h"

#include <stdbool.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif
#define KERNELS_PASTE(stem, isa) stem##_##isa
#define KERNELS_NAME(stem, isa) KERNELS_PASTE(stem, isa)
#define INLINED static inline __attribute__((always_inline))

#if defined(__AVX512F__)
#define WIDTH 64
#elif defined(__AVX2__)
#define WIDTH 32
#else
#define WIDTH 16
#endif

#define LANES 16
#define PART (WIDTH / sizeof(double)) /* lanes a register */
#define PARTS (LANES / PART)

typedef uint16_t halves __attribute__((vector_size(WIDTH / 4)));
typedef uint32_t float_bits __attribute__((vector_size(WIDTH / 2)));
typedef float floats __attribute__((vector_size(WIDTH / 2)));
typedef double doubles __attribute__((vector_size(WIDTH)));

/* ---- dot products ---- */

/* PART numbers as floats, of which the base is taken off. */
INLINED floats load_floats(const void *in, size_t at, bool brain)
{
    floats value;

    if (brain) {
        halves raw;

        memcpy(&raw, (const char *)in + at * sizeof(uint16_t), sizeof raw);
        return (floats)(__builtin_convertvector(raw, float_bits) << 16);
    }
    memcpy(&value, (const char *)in + at * sizeof(float), sizeof value);
    return value;
}

/* sum + u * v. The product of two floats is exact in double, so that fused or not is the same. */
INLINED doubles add_product(doubles sum, doubles u, doubles v)
{
#if defined(__AVX512F__)
    return (doubles)_mm512_fmadd_pd((__m512d)u, (__m512d)v, (__m512d)sum);
#elif defined(__AVX2__) && defined(__FMA__)
    return (doubles)_mm256_fmadd_pd((__m256d)u, (__m256d)v, (__m256d)sum);
#else
    return sum + u * v;
#endif
}

/* All lanes, in one order whatever registers they are in. */
INLINED double sum_of(const double *lanes)
{
    double total = 0.0;

    for (size_t lane = 0; lane < LANES; lane++) {
        total += lanes[lane];
    }
    return total;
}

#define GRAM_MAX 4
#define FOURFOLD 4
#define PAIRS(k) ((k) * ((k) + 1) / 2)

/* Sixteen lanes of the product of each pair. */
struct products {
    doubles pairs[PAIRS(GRAM_MAX)][PARTS];
};

/* Sixteen numbers of each vector, from `at` on. */
INLINED void add_products(struct products *sums, const void *base, const void *const *x, size_t at,
                          size_t k, bool brain)
{
    for (size_t part = 0; part < PARTS; part++) {
        floats from = base != NULL ? load_floats(base, at + part * PART, brain) : (floats){0};
        doubles v[GRAM_MAX];
        size_t pair = 0;

        for (size_t i = 0; i < k; i++) {
            floats value = load_floats(x[i], at + part * PART, brain);

            v[i] = __builtin_convertvector(base != NULL ? value - from : value, doubles);
        }
        for (size_t j = 0; j < k; j++) {
            for (size_t i = 0; i <= j; i++, pair++) {
                sums->pairs[pair][part] = add_product(sums->pairs[pair][part], v[i], v[j]);
            }
        }
    }
}

/* Two neighbours to a lane: 2 * PART bfloat16 as floats. */
struct neighbours {
    floats even, odd;
};

INLINED struct neighbours load_neighbours(const void *x, size_t at)
{
    float_bits raw;

    memcpy(&raw, (const char *)x + at * sizeof(uint16_t), sizeof raw);
    return (struct neighbours){(floats)(raw << 16), (floats)(raw & 0xffff0000U)};
}

/*
 * Sixty-four bfloat16 of each vector, four to a lane. Their products are exact in float, and so is
 * a sum of four unless one is some 128 times another; then it is off by a few times 2^-25 of the
 * largest. So a quarter as many numbers become doubles.
 */
INLINED void add_fourfold(struct products *sums, const void *const *x, size_t at, size_t k)
{
    for (size_t part = 0; part < PARTS; part++) {
        struct neighbours low[GRAM_MAX];
        struct neighbours high[GRAM_MAX];
        size_t pair = 0;

        for (size_t i = 0; i < k; i++) {
            low[i] = load_neighbours(x[i], at + part * 4 * PART);
            high[i] = load_neighbours(x[i], at + part * 4 * PART + 2 * PART);
        }
        for (size_t j = 0; j < k; j++) {
            for (size_t i = 0; i <= j; i++, pair++) {
                floats four = (low[i].even * low[j].even + low[i].odd * low[j].odd) +
                              (high[i].even * high[j].even + high[i].odd * high[j].odd);

                sums->pairs[pair][part] += __builtin_convertvector(four, doubles);
            }
        }
    }
}

INLINED void gram_k(double *out, const void *base, const void *const *x, size_t k, size_t n,
                    bool brain)
{
    const bool fourfold = brain && base == NULL;
    const size_t step = fourfold ? FOURFOLD * LANES : LANES;
    size_t size = brain ? sizeof(uint16_t) : sizeof(float);
    struct products sums = {0};
    size_t at = 0;

    for (; at + step <= n; at += step) {
        if (fourfold) {
            add_fourfold(&sums, x, at, k);
        } else {
            add_products(&sums, base, x, at, k, brain);
        }
    }
    if (at < n) {
        float last[GRAM_MAX + 1][FOURFOLD * LANES / 2] = {{0}}; /* or as many halves */
        const void *rest[GRAM_MAX];

        for (size_t i = 0; i < k; i++) {
            memcpy(last[i], (const char *)x[i] + at * size, (n - at) * size);
            rest[i] = last[i];
        }
        if (base != NULL) {
            memcpy(last[GRAM_MAX], (const char *)base + at * size, (n - at) * size);
        }
        if (fourfold) {
            add_fourfold(&sums, rest, 0, k);
        } else {
            add_products(&sums, base != NULL ? last[GRAM_MAX] : NULL, rest, 0, k, brain);
        }
    }
    for (size_t pair = 0; pair < PAIRS(k); pair++) {
        double lanes[LANES];

        memcpy(lanes, sums.pairs[pair], sizeof lanes);
        out[pair] = sum_of(lanes);
    }
}

/* Up to four vectors stay in registers; more go two by two. */
INLINED void gram(double *out, const void *base, const void *const *x, size_t k, size_t n,
                  bool brain)
{
    switch (k) {
    case 2:
        gram_k(out, base, x, 2, n, brain);
        return;
    case 3:
        gram_k(out, base, x, 3, n, brain);
        return;
    case 4:
        gram_k(out, base, x, 4, n, brain);
        return;
    default:
        break;
    }
    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i < (j > 0 ? j : 1); i++) {
            const void *const two[2] = {x[i], x[j]};
            double dots[3];

            gram_k(dots, base, two, 2, n, brain);
            out[PAIRS(j) + i] = dots[1];
            out[PAIRS(j) + j] = dots[2];
        }
    }
}

static void gram_f32(double *out, const void *base, const void *const *x, size_t k, size_t n)
{
    if (base == NULL) {
        gram(out, NULL, x, k, n, false);
    } else {
        gram(out, base, x, k, n, false);
    }
}

static void gram_bf16(double *out, const void *base, const void *const *x, size_t k, size_t n)
{
    if (base == NULL) {
        gram(out, NULL, x, k, n, true);
    } else {
        gram(out, base, x, k, n, true);
    }
}

static void subtract(float *restrict x, const float *restrict base, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        x[i] -= base[i];
    }
}

static void columns(float *restrict out, const float *restrict base, const float *restrict x,
                    const float *restrict y, const float *restrict c, const float *restrict d,
                    size_t n)
{
    if (base == NULL) {
        for (size_t i = 0; i < n; i++) {
            out[i] = c[i] * x[i] + d[i] * y[i];
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = base[i] + (c[i] * x[i] + d[i] * y[i]);
    }
}

static void column_dots(double *restrict sums, const float *restrict x, const float *restrict y,
                        size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sums[i] += (double)x[i] * (double)x[i];
        sums[n + i] += (double)x[i] * (double)y[i];
        sums[2 * n + i] += (double)y[i] * (double)y[i];
    }
}

/* ---- nearswap ---- */

INLINED float magnitude(float value)
{
    return __builtin_fabsf(value);
}

#define NEAR_MIN 1e-6F

/* Written so that an input that is not finite gives a result that is not. */
static void near(float *restrict out, const float *restrict a, const float *restrict b, float t,
                 size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float far = magnitude(a[i] - b[i]);
        float w = t / (far < NEAR_MIN ? NEAR_MIN : far);

        w = w < 0.0F ? 0.0F : w;
        w = w > 1.0F ? 1.0F : w;
        out[i] = w * b[i] + (1.0F - w) * a[i];
    }
}

/* ---- sce ---- */

static void variance(float *restrict out, const float *const *x, size_t k, size_t n)
{
    for (size_t at = 0; at < n; at += LANES) {
        size_t part = n - at < LANES ? n - at : LANES;
        double mean[LANES] = {0};
        double squares[LANES] = {0};

        for (size_t s = 0; s < k; s++) {
            for (size_t i = 0; i < part; i++) {
                mean[i] += (double)x[s][at + i];
            }
        }
        for (size_t i = 0; i < LANES; i++) {
            mean[i] /= (double)k;
        }
        for (size_t s = 0; s < k; s++) {
            for (size_t i = 0; i < part; i++) {
                double d = (double)x[s][at + i] - mean[i];

                squares[i] += d * d;
            }
        }
        for (size_t i = 0; i < part; i++) {
            out[at + i] = (float)(squares[i] / (double)k);
        }
    }
}

INLINED float masked(float value, uint32_t keep)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    bits &= keep;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double squares(const float *restrict x, const uint32_t *restrict keep, size_t n)
{
    double sums[LANES] = {0};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            double d = (double)masked(x[i + lane], keep[i + lane]);

            sums[lane] += d * d;
        }
    }
    for (size_t lane = 0; i < n; i++, lane++) {
        double d = (double)masked(x[i], keep[i]);

        sums[lane] += d * d;
    }
    return sum_of(sums);
}

#define SCE_SHARE_MIN 1e-6F

/* A zero agrees with neither sign, a NaN with both. */
static void sce(float *restrict out, const float *restrict base, const float *const *x,
                const float *restrict weights, const uint32_t *restrict keep, size_t k, size_t n)
{
    for (size_t at = 0; at < n; at += LANES) {
        size_t part = n - at < LANES ? n - at : LANES;
        float sum[LANES] = {0};
        float mix[LANES] = {0};
        float share[LANES] = {0};

        for (size_t s = 0; s < k; s++) {
            for (size_t i = 0; i < part; i++) {
                sum[i] += masked(x[s][at + i], keep[at + i]);
            }
        }
        for (size_t s = 0; s < k; s++) {
            for (size_t i = 0; i < part; i++) {
                float d = masked(x[s][at + i], keep[at + i]);
                float turned = sum[i] >= 0.0F ? d : -d;
                float w = turned <= 0.0F ? 0.0F : weights[s];

                mix[i] += w * d;
                share[i] += w;
            }
        }
        for (size_t i = 0; i < part; i++) {
            out[at + i] =
                base[at + i] + mix[i] / (share[i] < SCE_SHARE_MIN ? SCE_SHARE_MIN : share[i]);
        }
    }
}

/* ---- ram ---- */

/* One when this change counts; a NaN does. */
INLINED uint32_t is_active(float d, float epsilon)
{
    return magnitude(d) <= epsilon ? 0 : 1;
}

static void active(uint32_t *restrict out, const float *const *x, float epsilon, size_t k, size_t n)
{
    memset(out, 0, n * sizeof *out);
    for (size_t s = 0; s < k; s++) {
        const float *d = x[s];

        for (size_t i = 0; i < n; i++) {
            out[i] += is_active(d[i], epsilon);
        }
    }
}

static void shares(size_t *n_active, size_t *n_alone, const float *restrict x,
                   const uint32_t *restrict together, float epsilon, size_t n)
{
    uint32_t all = 0;
    uint32_t alone = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t counts = is_active(x[i], epsilon);

        all += counts;
        alone += together[i] == 1 ? counts : 0;
    }
    *n_active += all;
    *n_alone += alone;
}

static void ram(float *restrict out, const float *restrict base, const float *const *x,
                const float *restrict factors, const uint32_t *restrict together, float epsilon,
                size_t k, size_t n)
{
    for (size_t at = 0; at < n; at += LANES) {
        size_t part = n - at < LANES ? n - at : LANES;
        float sum[LANES] = {0};

        for (size_t s = 0; s < k; s++) {
            for (size_t i = 0; i < part; i++) {
                float d = x[s][at + i];
                float factor = together[at + i] == 1 ? factors[s] : 1.0F;

                sum[i] += magnitude(d) <= epsilon ? 0.0F : factor * d;
            }
        }
        for (size_t i = 0; i < part; i++) {
            uint32_t many = together[at + i];

            out[at + i] = base[at + i] + sum[i] / (float)(many > 1 ? many : 1);
        }
    }
}

/* ---- arcee_fusion ---- */

INLINED uint64_t bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

INLINED double double_of(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

#define LOG2_E 1.4426950408889634074
#define LN2_HIGH 6.93147180369123816490e-01 /* 32 bits of ln 2, and the rest: as in fdlibm */
#define LN2_LOW 1.90821492927058770002e-10
#define TO_INTEGER 6755399441055744.0 /* 1.5 * 2^52: added, it leaves the nearest integer below */
#define EXP_MIN (-700.0)              /* below it, next to nothing */

/* e^x for x <= 0: 2^k e^r with |r| <= ln 2 / 2, whose series is cut at the 14th power. NaN stays.
 */
INLINED double exp_of(double x)
{
    double low = x < EXP_MIN ? EXP_MIN : x;
    double shifted = low * LOG2_E + TO_INTEGER;
    double k = shifted - TO_INTEGER;
    double r = (low - k * LN2_HIGH) - k * LN2_LOW;
    double p = 1.0 / 6227020800.0;

    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    return p * double_of((bits_of(shifted) + 1023) << 52);
}

#define ROOT_2 1.4142135623730951
#define TWO_52 4503599627370496.0

/* ln x for normal x > 0, NaN for NaN: e ln 2 + ln m with m near 1, ln m = 2 artanh((m - 1) / (m +
 * 1)). */
INLINED double log_of(double x)
{
    uint64_t bits = bits_of(x);
    double m = double_of((bits & 0xfffffffffffffU) | 0x3ff0000000000000U);
    double e = double_of((bits >> 52) | bits_of(TWO_52)) - TWO_52 - 1023.0;
    double up = m > ROOT_2 ? 1.0 : 0.0;

    e += up;
    m *= 1.0 - 0.5 * up;
    double s = (m - 1.0) / (m + 1.0);
    double q = s * s;
    double p = 1.0 / 23.0;

    p = p * q + 1.0 / 21.0;
    p = p * q + 1.0 / 19.0;
    p = p * q + 1.0 / 17.0;
    p = p * q + 1.0 / 15.0;
    p = p * q + 1.0 / 13.0;
    p = p * q + 1.0 / 11.0;
    p = p * q + 1.0 / 9.0;
    p = p * q + 1.0 / 7.0;
    p = p * q + 1.0 / 5.0;
    p = p * q + 1.0 / 3.0;
    return e * LN2_HIGH + (2.0 * s + (2.0 * s * q * p + e * LN2_LOW)) + (x - x);
}

static double exponentials(const float *restrict x, float top, size_t n)
{
    double sums[LANES] = {0};

    for (size_t at = 0; at < n; at += LANES) {
        size_t part = n - at < LANES ? n - at : LANES;
        float values[LANES] = {0};

        memcpy(values, x + at, part * sizeof(float));
        for (size_t i = 0; i < LANES; i++) {
            double e = exp_of((double)values[i] - (double)top);

            sums[i] += i < part ? e : 0.0;
        }
    }
    return sum_of(sums);
}

#define SOFTMAX_FLOOR 1e-8

static double divergence(const float *restrict b, float top_b, double sum_b,
                         const float *restrict a, float top_a, double sum_a, size_t n)
{
    double sums[LANES] = {0};

    for (size_t at = 0; at < n; at += LANES) {
        size_t part = n - at < LANES ? n - at : LANES;
        float u[LANES] = {0};
        float v[LANES] = {0};

        memcpy(u, b + at, part * sizeof(float));
        memcpy(v, a + at, part * sizeof(float));
        for (size_t i = 0; i < LANES; i++) {
            double p = exp_of((double)u[i] - (double)top_b) / sum_b + SOFTMAX_FLOOR;
            double q = exp_of((double)v[i] - (double)top_a) / sum_a + SOFTMAX_FLOOR;
            double term = p * log_of(p / q);

            sums[i] += i < part ? term : 0.0;
        }
    }
    return sum_of(sums);
}

static void scores(float *restrict out, const float *restrict a, const float *restrict b,
                   double factor, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)((double)magnitude(b[i] - a[i]) * factor);
    }
}

static uint32_t choose(float *restrict out, const float *restrict a, const float *restrict b,
                       const float *restrict of, double threshold, size_t n)
{
    uint32_t bad = 0;

    for (size_t i = 0; i < n; i++) {
        out[i] = (double)of[i] >= threshold ? b[i] : a[i];
        bad |= of[i] != of[i];
    }
    return bad;
}

extern const struct element_kernels KERNELS_NAME(element_kernels, KERNELS_ISA);
const struct element_kernels KERNELS_NAME(element_kernels, KERNELS_ISA) = {
    .gram_f32 = gram_f32,
    .gram_bf16 = gram_bf16,
    .subtract = subtract,
    .columns = columns,
    .column_dots = column_dots,
    .near = near,
    .variance = variance,
    .squares = squares,
    .sce = sce,
    .active = active,
    .shares = shares,
    .ram = ram,
    .exponentials = exponentials,
    .divergence = divergence,
    .scores = scores,
    .choose = choose,
};
