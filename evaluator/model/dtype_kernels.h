/*
 * dtype_kernels.h - dtype's block converters, one set an instruction set.
 *
 * dtype.h is the door; this is for dtype.c and for the test that holds the sets against each other.
 */
#ifndef MODEL_DTYPE_KERNELS_H
#define MODEL_DTYPE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "evaluator/model/isa.h"

/* All arrays [n]; stored numbers come as bytes of any alignment. */
struct dtype_kernels {
    void (*f32_of_f16)(float *out, const void *in, size_t n);
    void (*f32_of_bf16)(float *out, const void *in, size_t n);
    void (*f16_of_f32)(void *out, const float *in, size_t n);
    void (*bf16_of_f32)(void *out, const float *in, size_t n);
    /* Nonzero when any value is infinite or NaN. */
    uint32_t (*nonfinite_f32)(const void *in, size_t n);
    uint32_t (*nonfinite_f16)(const void *in, size_t n);
    uint32_t (*nonfinite_bf16)(const void *in, size_t n);
};

/* The set for isa, or for the next lower one that this build has. */
const struct dtype_kernels *dtype_kernels_for(enum isa isa);

#endif
