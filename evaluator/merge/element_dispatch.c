/*
 * element_dispatch.c - which set of kernels runs.
 */
#include "evaluator/merge/element_kernels.h"

extern const struct element_kernels element_kernels_plain;
#if defined(__x86_64__)
extern const struct element_kernels element_kernels_avx2;
extern const struct element_kernels element_kernels_avx512;
#endif

const struct element_kernels *element_kernels_for(enum isa isa)
{
#if defined(__x86_64__)
    if (isa == ISA_AVX512) {
        return &element_kernels_avx512;
    }
    if (isa == ISA_AVX2) {
        return &element_kernels_avx2;
    }
#endif
    (void)isa;
    return &element_kernels_plain;
}
