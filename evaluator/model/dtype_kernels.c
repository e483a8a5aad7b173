/*
 * dtype_kernels.c - plain loops over dtype_bits.h, compiled once an instruction set.
 *
 * The build defines KERNELS_ISA (plain, avx2, avx512) and the matching compiler flags. Numbers are
 * moved with memcpy, which costs nothing and allows any alignment.
 */
#include "evaluator/model/dtype_kernels.h"

#include "evaluator/model/dtype_bits.h"

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif
#define KERNELS_PASTE(stem, isa) stem##_##isa
#define KERNELS_NAME(stem, isa) KERNELS_PASTE(stem, isa)

static uint16_t load_u16(const void *in, size_t i)
{
    uint16_t value;

    memcpy(&value, (const char *)in + i * sizeof value, sizeof value);
    return value;
}

static void store_u16(void *out, size_t i, uint16_t value)
{
    memcpy((char *)out + i * sizeof value, &value, sizeof value);
}

static void f32_of_f16(float *restrict out, const void *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = bits_f32_of_f16(load_u16(in, i));
    }
}

static void f32_of_bf16(float *restrict out, const void *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = bits_f32_of_bf16(load_u16(in, i));
    }
}

static void f16_of_f32(void *restrict out, const float *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        store_u16(out, i, bits_f16_of_f32(in[i]));
    }
}

static void bf16_of_f32(void *restrict out, const float *restrict in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        store_u16(out, i, bits_bf16_of_f32(in[i]));
    }
}

static uint32_t nonfinite_f32(const void *in, size_t n)
{
    uint32_t found = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, (const char *)in + i * sizeof bits, sizeof bits);
        found |= (bits & 0x7f800000U) == 0x7f800000U;
    }
    return found;
}

static uint32_t nonfinite_f16(const void *in, size_t n)
{
    uint16_t found = 0;

    for (size_t i = 0; i < n; i++) {
        found = (uint16_t)(found | ((load_u16(in, i) & 0x7c00U) == 0x7c00U));
    }
    return found;
}

static uint32_t nonfinite_bf16(const void *in, size_t n)
{
    uint16_t found = 0;

    for (size_t i = 0; i < n; i++) {
        found = (uint16_t)(found | ((load_u16(in, i) & 0x7f80U) == 0x7f80U));
    }
    return found;
}

extern const struct dtype_kernels KERNELS_NAME(dtype_kernels, KERNELS_ISA);
const struct dtype_kernels KERNELS_NAME(dtype_kernels, KERNELS_ISA) = {
    .f32_of_f16 = f32_of_f16,
    .f32_of_bf16 = f32_of_bf16,
    .f16_of_f32 = f16_of_f32,
    .bf16_of_f32 = bf16_of_f32,
    .nonfinite_f32 = nonfinite_f32,
    .nonfinite_f16 = nonfinite_f16,
    .nonfinite_bf16 = nonfinite_bf16,
};
