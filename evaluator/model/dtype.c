/*
 * dtype.c - names and sizes of the stored types, and the choice of a converter.
 */
#include "evaluator/model/dtype.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "evaluator/model/dtype_bits.h"
#include "evaluator/model/dtype_kernels.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stored numbers are read as they lie");

struct dtype_row {
    const char *name;        /* in safetensors headers */
    const char *config_name; /* in config.json */
    unsigned bits;
};

static const struct dtype_row rows[DTYPE_N] = {
    [DTYPE_F32] = {"F32", "float32", 32},
    [DTYPE_F16] = {"F16", "float16", 16},
    [DTYPE_BF16] = {"BF16", "bfloat16", 16},
    [DTYPE_F64] = {"F64", "float64", 64},
    [DTYPE_BOOL] = {"BOOL", NULL, 8},
    [DTYPE_U8] = {"U8", NULL, 8},
    [DTYPE_I8] = {"I8", NULL, 8},
    [DTYPE_U16] = {"U16", NULL, 16},
    [DTYPE_I16] = {"I16", NULL, 16},
    [DTYPE_U32] = {"U32", NULL, 32},
    [DTYPE_I32] = {"I32", NULL, 32},
    [DTYPE_U64] = {"U64", NULL, 64},
    [DTYPE_I64] = {"I64", NULL, 64},
    [DTYPE_C64] = {"C64", NULL, 64},
    [DTYPE_F8_E4M3] = {"F8_E4M3", NULL, 8},
    [DTYPE_F8_E5M2] = {"F8_E5M2", NULL, 8},
    [DTYPE_F8_E8M0] = {"F8_E8M0", NULL, 8},
    [DTYPE_F8_E4M3FNUZ] = {"F8_E4M3FNUZ", NULL, 8},
    [DTYPE_F8_E5M2FNUZ] = {"F8_E5M2FNUZ", NULL, 8},
    [DTYPE_F6_E2M3] = {"F6_E2M3", NULL, 6},
    [DTYPE_F6_E3M2] = {"F6_E3M2", NULL, 6},
    [DTYPE_F4] = {"F4", NULL, 4},
};

const char *dtype_name(enum dtype dtype)
{
    return rows[dtype].name;
}

bool dtype_parse(const char *name, enum dtype *out)
{
    for (size_t i = 0; i < DTYPE_N; i++) {
        if (strcmp(name, rows[i].name) == 0) {
            *out = (enum dtype)i;
            return true;
        }
    }
    return false;
}

const char *dtype_config_name(enum dtype dtype)
{
    return rows[dtype].config_name;
}

bool dtype_config_parse(const char *name, enum dtype *out)
{
    for (size_t i = 0; i < DTYPE_N; i++) {
        if (rows[i].config_name != NULL && strcmp(name, rows[i].config_name) == 0) {
            *out = (enum dtype)i;
            return true;
        }
    }
    return false;
}

unsigned dtype_bits(enum dtype dtype)
{
    return rows[dtype].bits;
}

size_t dtype_size(enum dtype dtype)
{
    return rows[dtype].bits / 8;
}

bool dtype_is_number(enum dtype dtype)
{
    return dtype <= DTYPE_F64;
}

float dtype_f32_of_f16(uint16_t half)
{
    return bits_f32_of_f16(half);
}

float dtype_f32_of_bf16(uint16_t brain)
{
    return bits_f32_of_bf16(brain);
}

uint16_t dtype_f16_of_f32(float value)
{
    return bits_f16_of_f32(value);
}

uint16_t dtype_bf16_of_f32(float value)
{
    return bits_bf16_of_f32(value);
}

extern const struct dtype_kernels dtype_kernels_plain;
#if defined(__x86_64__)
extern const struct dtype_kernels dtype_kernels_avx2, dtype_kernels_avx512;
#endif

const struct dtype_kernels *dtype_kernels_for(enum isa isa)
{
#if defined(__x86_64__)
    static const struct dtype_kernels *const sets[ISA_N] = {
        &dtype_kernels_plain, &dtype_kernels_avx2, &dtype_kernels_avx512};

    return sets[isa];
#else
    (void)isa;
    return &dtype_kernels_plain;
#endif
}

static const struct dtype_kernels *kernels(void)
{
    static const struct dtype_kernels *chosen;

    if (chosen == NULL) {
        chosen = dtype_kernels_for(isa_best());
    }
    return chosen;
}

static void f32_of_f64(float *out, const void *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double value;

        memcpy(&value, (const char *)in + i * sizeof value, sizeof value);
        out[i] = (float)value;
    }
}

void dtype_to_f32(float *out, const void *in, enum dtype from, size_t n)
{
    switch (from) {
    case DTYPE_F32:
        memcpy(out, in, n * sizeof *out);
        break;
    case DTYPE_F16:
        kernels()->f32_of_f16(out, in, n);
        break;
    case DTYPE_BF16:
        kernels()->f32_of_bf16(out, in, n);
        break;
    default:
        assert(from == DTYPE_F64);
        f32_of_f64(out, in, n);
        break;
    }
}

void dtype_from_f32(void *out, const float *in, enum dtype to, size_t n)
{
    switch (to) {
    case DTYPE_F32:
        memcpy(out, in, n * sizeof *in);
        break;
    case DTYPE_F16:
        kernels()->f16_of_f32(out, in, n);
        break;
    default:
        assert(to == DTYPE_BF16);
        kernels()->bf16_of_f32(out, in, n);
        break;
    }
}

void dtype_round(float *values, enum dtype to, size_t n)
{
    if (to == DTYPE_F32) {
        return;
    }
    assert(to == DTYPE_F16 || to == DTYPE_BF16);
    for (size_t i = 0; i < n; i++) {
        values[i] = to == DTYPE_F16 ? bits_f32_of_f16(bits_f16_of_f32(values[i]))
                                    : bits_f32_of_bf16(bits_bf16_of_f32(values[i]));
    }
}

/* The first element of a block that is known to hold one. */
static size_t first_nonfinite(const void *in, enum dtype dtype, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float value;

        dtype_to_f32(&value, (const char *)in + i * dtype_size(dtype), dtype, 1);
        if (!isfinite(value)) {
            return i;
        }
    }
    return n;
}

size_t dtype_find_nonfinite(const void *in, enum dtype dtype, size_t n)
{
    uint32_t found = 1;

    switch (dtype) {
    case DTYPE_F32:
        found = kernels()->nonfinite_f32(in, n);
        break;
    case DTYPE_F16:
        found = kernels()->nonfinite_f16(in, n);
        break;
    case DTYPE_BF16:
        found = kernels()->nonfinite_bf16(in, n);
        break;
    default:
        assert(dtype == DTYPE_F64);
        break;
    }
    return found != 0 ? first_nonfinite(in, dtype, n) : n;
}
