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

#include "evaluator/merge/kernel_set.h"

#define LANES 16
#define PART (WIDTH / sizeof(double)) /* lanes a register */
#define PARTS (LANES / PART)

typedef uint16_t halves __attribute__((vector_size(WIDTH / 4)));
typedef uint32_t float_bits __attribute__((vector_size(WIDTH / 2)));
typedef float floats __attribute__((vector_size(WIDTH / 2)));
typedef double doubles __attribute__((vector_size(WIDTH)));

/* As many floats as a register holds. */
#define WIDE (WIDTH / sizeof(float))
#define SIGN 0x80000000U

typedef float wide __attribute__((vector_size(WIDTH)));
typedef uint32_t wide_bits __attribute__((vector_size(WIDTH)));
typedef int32_t wide_signs __attribute__((vector_size(WIDTH)));

INLINED wide_bits load_bits(const void *x, size_t at)
{
    wide_bits out;

    memcpy(&out, (const char *)x + at * sizeof(float), sizeof out);
    return out;
}

INLINED void store_bits(void *out, size_t at, wide_bits value)
{
    memcpy((char *)out + at * sizeof(float), &value, sizeof value);
}

INLINED wide everywhere(float value)
{
    return (wide){0} + value;
}

/* a where the mask is all ones, b where it is zero. */
INLINED wide chosen(wide_bits mask, wide a, wide b)
{
    return (wide)(((wide_bits)a & mask) | ((wide_bits)b & ~mask));
}

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

INLINED doubles load_doubles(const float *x)
{
    return __builtin_convertvector(load_floats(x, 0, false), doubles);
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

/* Arrays of lanes, the number of sources up to four a constant to the compiler: all in registers.
 */
INLINED void variance_k(float *restrict out, const float *const *x, size_t k, size_t n)
{
    for (size_t at = 0; at < n; at += LANES) {
        double mean[LANES] = {0};
        double squared[LANES] = {0};

        for (size_t s = 0; s < k; s++) {
            for (size_t i = 0; i < LANES; i++) {
                mean[i] += (double)x[s][at + i];
            }
        }
        for (size_t i = 0; i < LANES; i++) {
            mean[i] *= 1.0 / (double)k;
        }
        for (size_t s = 0; s < k; s++) {
            for (size_t i = 0; i < LANES; i++) {
                double d = (double)x[s][at + i] - mean[i];

                squared[i] += d * d;
            }
        }
        for (size_t i = 0; i < LANES; i++) {
            out[at + i] = (float)(squared[i] * (1.0 / (double)k));
        }
    }
}

static void variance(float *restrict out, const float *const *x, size_t k, size_t n)
{
    switch (k) {
    case 2:
        variance_k(out, x, 2, n);
        return;
    case 3:
        variance_k(out, x, 3, n);
        return;
    case 4:
        variance_k(out, x, 4, n);
        return;
    default:
        variance_k(out, x, k, n);
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
INLINED void sce_k(float *restrict out, const float *restrict base, const float *const *x,
                   const float *restrict weights, const uint32_t *restrict keep, size_t k, size_t n)
{
    for (size_t at = 0; at < n; at += WIDE) {
        wide_bits kept = load_bits(keep, at);
        wide sum = {0};
        wide mix = {0};
        wide share = {0};

        for (size_t s = 0; s < k; s++) {
            sum += (wide)(load_bits(x[s], at) & kept);
        }
        wide_bits sign = (wide_bits)sum & SIGN;

        for (size_t s = 0; s < k; s++) {
            wide_bits d = load_bits(x[s], at) & kept;
            wide_bits agrees = ~(wide_bits)((wide)(d ^ sign) <= 0.0F);
            wide w = (wide)((wide_bits)everywhere(weights[s]) & agrees);

            mix += w * (wide)d;
            share += w;
        }
        wide_bits is_small = (wide_bits)(share < SCE_SHARE_MIN);
        wide divisor = chosen(is_small, everywhere(SCE_SHARE_MIN), share);

        store_bits(out, at, (wide_bits)((wide)load_bits(base, at) + mix / divisor));
    }
}

static void sce(float *restrict out, const float *restrict base, const float *const *x,
                const float *restrict weights, const uint32_t *restrict keep, size_t k, size_t n)
{
    switch (k) {
    case 2:
        sce_k(out, base, x, weights, keep, 2, n);
        return;
    case 3:
        sce_k(out, base, x, weights, keep, 3, n);
        return;
    case 4:
        sce_k(out, base, x, weights, keep, 4, n);
        return;
    default:
        sce_k(out, base, x, weights, keep, k, n);
    }
}

/* ---- ram ---- */

/* All ones where this change counts; a NaN does. */
INLINED wide_bits is_active(wide_bits d, float epsilon)
{
    return ~(wide_bits)((wide)(d & ~SIGN) <= epsilon);
}

static void active(uint32_t *restrict out, const float *const *x, float epsilon, size_t k, size_t n)
{
    for (size_t at = 0; at < n; at += WIDE) {
        wide_bits count = {0};

        for (size_t s = 0; s < k; s++) {
            count -= is_active(load_bits(x[s], at), epsilon);
        }
        store_bits(out, at, count);
    }
}

static void shares(size_t *n_active, size_t *n_alone, const float *restrict x,
                   const uint32_t *restrict together, float epsilon, size_t n)
{
    uint32_t all = 0;
    uint32_t alone = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t counts = magnitude(x[i]) <= epsilon ? 0 : 1;

        all += counts;
        alone += together[i] == 1 ? counts : 0;
    }
    *n_active += all;
    *n_alone += alone;
}

INLINED void ram_k(float *restrict out, const float *restrict base, const float *const *x,
                   const float *restrict factors, const uint32_t *restrict together, float epsilon,
                   size_t k, size_t n)
{
    for (size_t at = 0; at < n; at += WIDE) {
        wide_bits many = load_bits(together, at);
        wide_bits is_alone = (wide_bits)(many == 1);
        wide_bits none = (wide_bits)(many == 0) & 1U;
        wide sum = {0};

        for (size_t s = 0; s < k; s++) {
            wide_bits d = load_bits(x[s], at);
            wide factor = chosen(is_alone, everywhere(factors[s]), everywhere(1.0F));

            sum += (wide)((wide_bits)(factor * (wide)d) & is_active(d, epsilon));
        }
        wide divisor = __builtin_convertvector((wide_signs)(many + none), wide);

        store_bits(out, at, (wide_bits)((wide)load_bits(base, at) + sum / divisor));
    }
}

static void ram(float *restrict out, const float *restrict base, const float *const *x,
                const float *restrict factors, const uint32_t *restrict together, float epsilon,
                size_t k, size_t n)
{
    switch (k) {
    case 2:
        ram_k(out, base, x, factors, together, epsilon, 2, n);
        return;
    case 3:
        ram_k(out, base, x, factors, together, epsilon, 3, n);
        return;
    case 4:
        ram_k(out, base, x, factors, together, epsilon, 4, n);
        return;
    default:
        ram_k(out, base, x, factors, together, epsilon, k, n);
    }
}

/* ---- arcee_fusion ---- */

typedef uint64_t double_bits __attribute__((vector_size(WIDTH)));

INLINED doubles all_of(double value)
{
    return (doubles){0} + value;
}

/* a where the mask is all ones, b where it is zero. */
INLINED doubles chosen_double(double_bits mask, doubles a, doubles b)
{
    return (doubles)(((double_bits)a & mask) | ((double_bits)b & ~mask));
}

/* The polynomial whose coefficients [n], highest power first, these are, at x. */
INLINED doubles polynomial(const double *coefficients, size_t n, doubles x)
{
    doubles p = all_of(coefficients[0]);

    for (size_t i = 1; i < n; i++) {
        p = p * x + coefficients[i];
    }
    return p;
}

#define LOG2_E 1.4426950408889634074
#define LN2_HIGH 6.93147180369123816490e-01 /* 32 bits of ln 2, and the rest: as in fdlibm */
#define LN2_LOW 1.90821492927058770002e-10
#define TO_INTEGER 6755399441055744.0 /* 1.5 * 2^52: added, it leaves the nearest integer below */
#define EXP_MIN (-700.0)              /* below it, next to nothing */

/* e^x for x <= 0: 2^k e^r with |r| <= ln 2 / 2, whose series is cut at the 14th power. NaN stays.
 */
INLINED doubles exp_of(doubles x)
{
    static const double series[] = {1.0 / 6227020800.0,
                                    1.0 / 479001600.0,
                                    1.0 / 39916800.0,
                                    1.0 / 3628800.0,
                                    1.0 / 362880.0,
                                    1.0 / 40320.0,
                                    1.0 / 5040.0,
                                    1.0 / 720.0,
                                    1.0 / 120.0,
                                    1.0 / 24.0,
                                    1.0 / 6.0,
                                    0.5,
                                    1.0,
                                    1.0};
    doubles low = chosen_double((double_bits)(x < EXP_MIN), all_of(EXP_MIN), x);
    doubles shifted = low * LOG2_E + TO_INTEGER;
    doubles k = shifted - TO_INTEGER;
    doubles r = (low - k * LN2_HIGH) - k * LN2_LOW;
    doubles p = polynomial(series, sizeof series / sizeof *series, r);

    return p * (doubles)(((double_bits)shifted + 1023) << 52);
}

#define ROOT_2 1.4142135623730951
#define TWO_52 4503599627370496.0

/* ln x for normal x > 0, NaN for NaN: e ln 2 + ln m with m near 1, ln m = 2 artanh((m - 1) / (m +
 * 1)). */
INLINED doubles log_of(doubles x)
{
    static const double series[] = {1.0 / 23.0, 1.0 / 21.0, 1.0 / 19.0, 1.0 / 17.0,
                                    1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0,
                                    1.0 / 7.0,  1.0 / 5.0,  1.0 / 3.0};
    double_bits bits = (double_bits)x;
    doubles whole = (doubles)((bits & 0xfffffffffffffU) | 0x3ff0000000000000U);
    double_bits is_high = (double_bits)(whole > ROOT_2);
    doubles m = chosen_double(is_high, whole * 0.5, whole);
    doubles e = (doubles)((bits >> 52) | (double_bits)all_of(TWO_52)) - TWO_52 - 1023.0 +
                (doubles)(is_high & (double_bits)all_of(1.0));
    doubles s = (m - 1.0) / (m + 1.0);
    doubles q = s * s;
    doubles p = polynomial(series, sizeof series / sizeof *series, q);
    doubles zero_or_nan = x * 0.0; /* the bits above hide a NaN */

    return e * LN2_HIGH + (2.0 * s + (2.0 * s * q * p + e * LN2_LOW)) + zero_or_nan;
}

/* Sixteen lanes. */
struct lanes {
    doubles parts[PARTS];
};

/* The first n lanes alone, in one order. */
INLINED double sum_first(const struct lanes *lanes, size_t n)
{
    double values[LANES];

    memcpy(values, lanes->parts, sizeof values);
    memset(values + n, 0, (LANES - n) * sizeof(double));
    return sum_of(values);
}

INLINED struct lanes exponential_lanes(const float *x, float top)
{
    struct lanes out;

    for (size_t part = 0; part < PARTS; part++) {
        out.parts[part] = exp_of(load_doubles(x + part * PART) - (double)top);
    }
    return out;
}

static double exponentials(const float *restrict x, float top, size_t n)
{
    struct lanes sums = {0};
    float last[LANES] = {0};
    size_t at = 0;

    for (; at + LANES <= n; at += LANES) {
        struct lanes terms = exponential_lanes(x + at, top);

        for (size_t part = 0; part < PARTS; part++) {
            sums.parts[part] += terms.parts[part];
        }
    }
    memcpy(last, x + at, (n - at) * sizeof(float));
    struct lanes rest = exponential_lanes(last, top);

    return sum_first(&sums, LANES) + sum_first(&rest, n - at);
}

#define SOFTMAX_FLOOR 1e-8

/* One over a softmax's sum, and the largest of what it is of. */
struct softmax {
    double share;
    float top;
};

INLINED struct lanes divergence_lanes(const float *b, struct softmax of_b, const float *a,
                                      struct softmax of_a)
{
    struct lanes out;

    for (size_t part = 0; part < PARTS; part++) {
        doubles u = load_doubles(b + part * PART) - (double)of_b.top;
        doubles v = load_doubles(a + part * PART) - (double)of_a.top;
        doubles p = exp_of(u) * of_b.share + SOFTMAX_FLOOR;
        doubles q = exp_of(v) * of_a.share + SOFTMAX_FLOOR;

        out.parts[part] = p * log_of(p / q);
    }
    return out;
}

static double divergence(const float *restrict b, float top_b, double sum_b,
                         const float *restrict a, float top_a, double sum_a, size_t n)
{
    const struct softmax of_b = {1.0 / sum_b, top_b};
    const struct softmax of_a = {1.0 / sum_a, top_a};
    struct lanes sums = {0};
    float last_b[LANES] = {0};
    float last_a[LANES] = {0};
    size_t at = 0;

    for (; at + LANES <= n; at += LANES) {
        struct lanes terms = divergence_lanes(b + at, of_b, a + at, of_a);

        for (size_t part = 0; part < PARTS; part++) {
            sums.parts[part] += terms.parts[part];
        }
    }
    memcpy(last_b, b + at, (n - at) * sizeof(float));
    memcpy(last_a, a + at, (n - at) * sizeof(float));
    struct lanes rest = divergence_lanes(last_b, of_b, last_a, of_a);

    return sum_first(&sums, LANES) + sum_first(&rest, n - at);
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
