/*
 * blend_dispatch.c - which set of kernels runs.
 */
#include "evaluator/merge/blend_kernels.h"

extern const struct blend_kernels blend_kernels_plain;
#if defined(__x86_64__)
extern const struct blend_kernels blend_kernels_avx2;
extern const struct blend_kernels blend_kernels_avx512;
#endif

const struct blend_kernels *blend_kernels_for(enum isa isa)
{
#if defined(__x86_64__)
    if (isa == ISA_AVX512) {
        return &blend_kernels_avx512;
    }
    if (isa == ISA_AVX2) {
        return &blend_kernels_avx2;
    }
#endif
    (void)isa;
    return &blend_kernels_plain;
}
