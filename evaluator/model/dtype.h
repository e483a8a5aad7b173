/*
 * dtype.h - the types numbers are stored in, and their only way to float and back.
 *
 * Models are stored as F32, F16 or BF16 (F64 is read); everything is computed as float. Narrowing
 * rounds to nearest, ties to even; what is too large becomes infinity; a NaN stays a NaN (its top
 * mantissa bits are kept, the quiet bit is set). Pointers to stored numbers need no alignment,
 * since tensors in a file start anywhere. The host is little-endian, as the files are.
 */
#ifndef MODEL_DTYPE_H
#define MODEL_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every type a safetensors file may hold; the first four are numbers we compute with. */
enum dtype {
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_F64,
    DTYPE_BOOL,
    DTYPE_U8,
    DTYPE_I8,
    DTYPE_U16,
    DTYPE_I16,
    DTYPE_U32,
    DTYPE_I32,
    DTYPE_U64,
    DTYPE_I64,
    DTYPE_C64,
    DTYPE_F8_E4M3,
    DTYPE_F8_E5M2,
    DTYPE_F8_E8M0,
    DTYPE_F8_E4M3FNUZ,
    DTYPE_F8_E5M2FNUZ,
    DTYPE_F6_E2M3,
    DTYPE_F6_E3M2,
    DTYPE_F4
};

#define DTYPE_N 22

/* "F32", "BF16", ...: the spelling of safetensors headers; and back (false when unknown). */
const char *dtype_name(enum dtype dtype);
bool dtype_parse(const char *name, enum dtype *out);

/* The spelling of config.json, "float32", "bfloat16", ...: NULL for what has none; and back. */
const char *dtype_config_name(enum dtype dtype);
bool dtype_config_parse(const char *name, enum dtype *out);

/* Bits an element: 4, 6, 8, 16, 32 or 64. */
unsigned dtype_bits(enum dtype dtype);

/* Bytes an element, for the four types we compute with. */
size_t dtype_size(enum dtype dtype);

/* True for F32, F16, BF16 and F64. */
bool dtype_is_number(enum dtype dtype);

/* One number. */
float dtype_f32_of_f16(uint16_t half);
float dtype_f32_of_bf16(uint16_t brain);
uint16_t dtype_f16_of_f32(float value);
uint16_t dtype_bf16_of_f32(float value);

/*
 * Blocks. Vector code where the processor has it, bit for bit what the one-number functions give.
 *
 *   out  [n]  in  [n], of type `from`/`to`, any alignment; they must not overlap
 *
 * dtype_to_f32 takes any of the four number types (F64 is rounded); dtype_from_f32 gives F32, F16
 * or BF16.
 */
void dtype_to_f32(float *out, const void *in, enum dtype from, size_t n);
void dtype_from_f32(void *out, const float *in, enum dtype to, size_t n);

/* Round in place to what storing as `to` would keep: dtype_from_f32 and back. */
void dtype_round(float *values, enum dtype to, size_t n);

/* The index of the first of n stored numbers that is NaN or infinite as float, or n. */
size_t dtype_find_nonfinite(const void *in, enum dtype dtype, size_t n);

#endif
