/*
 * lanes.h - what the kernel files share: sums in sixteen lanes, and an exponential that vectorises.
 *
 * A long sum is kept in LANES partial sums, element i in lane i % LANES, added up in a fixed tree.
 * So its value depends on the numbers and their places alone, never on the instruction set's width.
 * For kernels.c and attention.c only.
 */
#ifndef MODEL_LANES_H
#define MODEL_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES ((size_t)16)

/*
 * e^x with a relative error below 1.2e-7 (measured over all floats in the range); 0 below -87,
 * e^88 above 88, NaN for NaN. libm's expf is a call a number; attention, gates and logits are made
 * of exponentials.
 *
 * x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 in two pieces so that r is exact (Cody & Waite 1980);
 * e^r by its Taylor polynomial of degree 7; times 2^n by adding n to the exponent bits. Adding
 * 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
 */
static inline float lanes_exp(float x)
{
    const float shift = 12582912.0F;
    float low = x < -87.0F ? -87.0F : x;
    float clamped = low > 88.0F ? 88.0F : low;
    float shifted = clamped * 1.44269504F + shift;
    float n = shifted - shift;
    float r = clamped - n * 0.693145752F - n * 1.42860677e-6F;
    float p = 1.98412698e-4F;
    p = p * r + 1.38888889e-3F;
    p = p * r + 8.33333333e-3F;
    p = p * r + 4.16666667e-2F;
    p = p * r + 1.66666667e-1F;
    p = p * r + 0.5F;
    p = p * r + 1.0F;
    p = p * r + 1.0F;
    uint32_t exponent;
    uint32_t bits;
    memcpy(&exponent, &shifted, sizeof(exponent));
    memcpy(&bits, &p, sizeof(bits));
    bits += exponent << 23;
    memcpy(&p, &bits, sizeof(p));
    return x < -87.0F ? 0.0F : p;
}

/* The larger of two; the second when either is NaN. */
static inline float lanes_larger(float a, float b)
{
    return a > b ? a : b;
}

/* Fold LANES partial results into one; lane is overwritten. */
static inline float lanes_sum(float lane[LANES])
{
    for (size_t width = LANES / 2; width > 0; width /= 2) {
        for (size_t i = 0; i < width; i++) {
            lane[i] += lane[i + width];
        }
    }
    return lane[0];
}

static inline double lanes_sum_double(double lane[LANES])
{
    for (size_t width = LANES / 2; width > 0; width /= 2) {
        for (size_t i = 0; i < width; i++) {
            lane[i] += lane[i + width];
        }
    }
    return lane[0];
}

static inline float lanes_largest(float lane[LANES])
{
    for (size_t width = LANES / 2; width > 0; width /= 2) {
        for (size_t i = 0; i < width; i++) {
            lane[i] = lanes_larger(lane[i], lane[i + width]);
        }
    }
    return lane[0];
}

#endif
