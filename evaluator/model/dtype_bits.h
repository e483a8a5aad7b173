/*
 * dtype_bits.h - one number from one format to another, by bits.
 *
 *   f32   s eeeeeeee mmmmmmmmmmmmmmmmmmmmmmm   bias 127
 *   bf16  s eeeeeeee mmmmmmm                   the upper half of a float
 *   f16   s eeeee    mmmmmmmmmm                bias 15, subnormals below 2^-14
 *
 * Without branches, so that a loop over them becomes vector code under any instruction set.
 */
#ifndef MODEL_DTYPE_BITS_H
#define MODEL_DTYPE_BITS_H

#include <stdint.h>
#include <string.h>

static inline uint32_t bits_of_float(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_of_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float bits_f32_of_bf16(uint16_t brain)
{
    return float_of_bits((uint32_t)brain << 16);
}

/* Half an ulp less one, plus the lowest kept bit: ties go to even, and a carry runs into the
 * exponent. */
static inline uint16_t bits_bf16_of_f32(float value)
{
    uint32_t bits = bits_of_float(value);
    uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
    uint32_t nan = (bits >> 16) | 0x40U;

    return (uint16_t)((bits & 0x7fffffffU) > 0x7f800000U ? nan : rounded);
}

/*
 * The exponent and mantissa, moved in place, name a float 2^112 too small; the product by 2^112 is
 * exact and makes subnormals normal. Infinity and NaN have the highest exponent and get the float's
 * highest one instead.
 */
static inline float bits_f32_of_f16(uint16_t half)
{
    uint32_t sign = ((uint32_t)half & 0x8000U) << 16;
    uint32_t magnitude = ((uint32_t)half & 0x7fffU) << 13;
    uint32_t finite = bits_of_float(float_of_bits(magnitude) * 0x1p112f);
    uint32_t quiet = magnitude > 0x0f800000U ? 0x00400000U : 0U;
    uint32_t special = magnitude | 0x7f800000U | quiet;

    return float_of_bits(sign | (magnitude >= 0x0f800000U ? special : finite));
}

/*
 * Three ranges by magnitude. From 2^-14 up: shift the bias, round to nearest even at bit 13; a
 * carry past 65504 gives infinity by itself. Below: adding 0.5 lines the value up with the
 * subnormal's last bit, and the addition rounds it. From 65536 up, infinity; NaN keeps its upper
 * mantissa.
 */
static inline uint16_t bits_f16_of_f32(float value)
{
    uint32_t bits = bits_of_float(value);
    uint32_t sign = (bits >> 16) & 0x8000U;
    uint32_t magnitude = bits & 0x7fffffffU;
    uint32_t normal = (magnitude - 0x38000000U + 0xfffU + ((magnitude >> 13) & 1U)) >> 13;
    uint32_t subnormal = bits_of_float(float_of_bits(magnitude) + 0.5F) - 0x3f000000U;
    uint32_t nan = 0x7e00U | ((magnitude >> 13) & 0x3ffU);
    uint32_t finite = magnitude < 0x38800000U ? subnormal : normal;
    uint32_t special = magnitude > 0x7f800000U ? nan : 0x7c00U;

    return (uint16_t)(sign | (magnitude >= 0x47800000U ? special : finite));
}

#endif
