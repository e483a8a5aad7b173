/*
 * lanes.h - what the kernel files share: sums in sixteen lanes, registers of floats, and an
 * exponential on them.
 *
 * A long sum is kept in LANES partial sums, element i in lane i % LANES, folded in a fixed tree. So
 * its value depends on the numbers and their places alone, not on how wide a register is. For
 * kernels.c and attention.c only, which are compiled once an instruction set.
 */
#ifndef MODEL_LANES_H
#define MODEL_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define LANES ((size_t)16)

/* Floats in a register, and registers that make LANES. */
#if defined(__AVX512F__)
#define LANES_WIDTH 16
#elif defined(__AVX2__)
#define LANES_WIDTH 8
#else
#define LANES_WIDTH 4
#endif
#define LANES_PARTS (LANES / LANES_WIDTH)

#define ALWAYS_INLINE inline __attribute__((always_inline))

typedef float vector __attribute__((vector_size(LANES_WIDTH * sizeof(float))));
typedef uint32_t vector_bits __attribute__((vector_size(LANES_WIDTH * sizeof(float))));

static ALWAYS_INLINE vector vector_load(const float *from)
{
    vector loaded;

    memcpy(&loaded, from, sizeof(loaded));
    return loaded;
}

static ALWAYS_INLINE void vector_store(float *to, vector value)
{
    memcpy(to, &value, sizeof(value));
}

static ALWAYS_INLINE vector vector_all(float value)
{
    return value - (vector){0};
}

/* Element by element the larger of two, the smaller of two; b where either is NaN. */
static ALWAYS_INLINE vector vector_larger(vector a, vector b)
{
#if defined(__AVX512F__)
    return (vector)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vector)_mm256_max_ps((__m256)a, (__m256)b);
#else
    vector_bits chosen = (vector_bits)(a > b);

    return (vector)((chosen & (vector_bits)a) | (~chosen & (vector_bits)b));
#endif
}

static ALWAYS_INLINE vector vector_smaller(vector a, vector b)
{
#if defined(__AVX512F__)
    return (vector)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vector)_mm256_min_ps((__m256)a, (__m256)b);
#else
    vector_bits chosen = (vector_bits)(a < b);

    return (vector)((chosen & (vector_bits)a) | (~chosen & (vector_bits)b));
#endif
}

/*
 * x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 in two pieces so that r is exact (Cody & Waite 1980).
 * Adding 1.5 * 2^23 + 127 rounds x / ln 2 to an integer and leaves n + 127, the exponent bits of
 * 2^n, in the low bits; n = -127 makes them zero. Below -88.03 and above 88, x is taken as these.
 */
struct vector_halvings {
    vector r, power; /* 2^n */
};

static ALWAYS_INLINE struct vector_halvings vector_reduce(vector x)
{
    const float shift = 12582912.0F + 127.0F;
    vector clamped = vector_smaller(vector_all(88.0F), vector_larger(vector_all(-88.03F), x));
    vector shifted = clamped * 1.44269504F + shift;
    vector n = shifted - shift;

    return (struct vector_halvings){.r = clamped - n * 0.693145752F - n * 1.42860677e-6F,
                                    .power = (vector)((vector_bits)shifted << 23)};
}

/* (e^r - 1) / r by its Taylor polynomial of degree 6. */
static ALWAYS_INLINE vector vector_slope(vector r)
{
    vector p = r * 1.98412698e-4F + 1.38888889e-3F;

    p = p * r + 8.33333333e-3F;
    p = p * r + 4.16666667e-2F;
    p = p * r + 1.66666667e-1F;
    p = p * r + 0.5F;
    return p * r + 1.0F;
}

/* e^x with a relative error below 1.1e-7 (every float of the range was tried); 0 below -87.7, e^88
 * above 88, NaN for NaN. libm's expf is a call a number; attention, gates and logits are made of
 * exponentials. */
static ALWAYS_INLINE vector vector_exp(vector x)
{
    struct vector_halvings halved = vector_reduce(x);

    return (vector_slope(halved.r) * halved.r + 1.0F) * halved.power;
}

/* tanh x = E / (E + 2) with E = e^2x - 1, which stays exact near zero: e^2x - 1 = 2^n (e^r - 1) +
 * (2^n - 1). Relative error below 3e-7; -1 and 1 far out, NaN for NaN. */
static ALWAYS_INLINE vector vector_tanh(vector x)
{
    struct vector_halvings halved = vector_reduce(x + x);
    vector e = vector_slope(halved.r) * halved.r * halved.power + (halved.power - 1.0F);

    return e / (e + 2.0F);
}

/* LANES partial results are folded into one: halves onto each other, four times. Compilers make do
 * where a register is narrower than a half. */
typedef float lanes_half __attribute__((vector_size(LANES / 2 * sizeof(float))));
typedef float lanes_quarter __attribute__((vector_size(LANES / 4 * sizeof(float))));

static ALWAYS_INLINE float vector_sum(const vector part[LANES_PARTS])
{
    lanes_half half[2];
    lanes_quarter quarter[2];

    memcpy(half, part, sizeof(half));
    half[0] += half[1];
    memcpy(quarter, half, sizeof(quarter));
    quarter[0] += quarter[1];
    return (quarter[0][0] + quarter[0][2]) + (quarter[0][1] + quarter[0][3]);
}

static inline double lanes_sum_double(const double lane[LANES])
{
    double eight[8], four[4];

    for (size_t i = 0; i < 8; i++) {
        eight[i] = lane[i] + lane[i + 8];
    }
    for (size_t i = 0; i < 4; i++) {
        four[i] = eight[i] + eight[i + 4];
    }
    return (four[0] + four[2]) + (four[1] + four[3]);
}

static inline float lanes_larger(float a, float b)
{
    return a > b ? a : b;
}

static ALWAYS_INLINE float vector_largest(const vector part[LANES_PARTS])
{
    float lane[LANES], eight[8], four[4];

    memcpy(lane, part, sizeof(lane));
    for (size_t i = 0; i < 8; i++) {
        eight[i] = lanes_larger(lane[i], lane[i + 8]);
    }
    for (size_t i = 0; i < 4; i++) {
        four[i] = lanes_larger(eight[i], eight[i + 4]);
    }
    return lanes_larger(lanes_larger(four[0], four[2]), lanes_larger(four[1], four[3]));
}

#endif
