/*
 * element_kernels.c - loops over elements, compiled once an instruction set (cmake/isa.cmake).
 *
 * Sums are kept in sixteen lanes of double, whatever registers hold them, and added up in one
 * order. Products of two floats are exact in double, so nothing depends on fused operations either.
 * Exponentials and logarithms are polynomials of ours: libm's differ in their last bit from one
 * processor to the next, and a selection by rank would show it.
 */
#include "evaluator/merge/element_kernels.h"

#include <string.h>

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

typedef float floats __attribute__((vector_size(WIDTH / 2)));
typedef double doubles __attribute__((vector_size(WIDTH)));

/* ---- dot products ---- */

INLINED doubles load_doubles(const float *x)
{
    floats value;

    memcpy(&value, x, sizeof value);
    return __builtin_convertvector(value, doubles);
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

/* Sixteen lanes of each of the three products. */
struct products {
    doubles xx[PARTS], xy[PARTS], yy[PARTS];
};

INLINED void add_products(struct products *sums, const float *x, const float *y)
{
    for (size_t part = 0; part < PARTS; part++) {
        doubles u = load_doubles(x + part * PART);
        doubles v = load_doubles(y + part * PART);

        sums->xx[part] += u * u;
        sums->xy[part] += u * v;
        sums->yy[part] += v * v;
    }
}

static void dots(double out[3], const float *restrict x, const float *restrict y, size_t n)
{
    struct products sums = {0};
    size_t at = 0;

    for (; at + LANES <= n; at += LANES) {
        add_products(&sums, x + at, y + at);
    }
    if (at < n) {
        float last_x[LANES] = {0};
        float last_y[LANES] = {0};

        memcpy(last_x, x + at, (n - at) * sizeof(float));
        memcpy(last_y, y + at, (n - at) * sizeof(float));
        add_products(&sums, last_x, last_y);
    }
    double lanes[3][LANES];

    memcpy(lanes[0], sums.xx, sizeof lanes[0]);
    memcpy(lanes[1], sums.xy, sizeof lanes[1]);
    memcpy(lanes[2], sums.yy, sizeof lanes[2]);
    for (size_t i = 0; i < 3; i++) {
        out[i] = sum_of(lanes[i]);
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
    .dots = dots,
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
