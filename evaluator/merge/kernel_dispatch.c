/*
 * kernel_dispatch.c - which set of kernels runs: one an instruction set (cmake/isa.cmake).
 */
#include "evaluator/merge/blend_kernels.h"
#include "evaluator/merge/element_kernels.h"
#include "evaluator/merge/prune_kernels.h"

extern const struct blend_kernels blend_kernels_plain, blend_kernels_avx2, blend_kernels_avx512;
extern const struct element_kernels element_kernels_plain, element_kernels_avx2,
    element_kernels_avx512;
extern const struct prune_kernels prune_kernels_plain, prune_kernels_avx2, prune_kernels_avx512;

#if defined(__x86_64__)
#define SETS(stem)                                  \
    {                                               \
        &stem##_plain, &stem##_avx2, &stem##_avx512 \
    }
#else
#define SETS(stem)                                  \
    {                                               \
        &stem##_plain, &stem##_plain, &stem##_plain \
    }
#endif

const struct blend_kernels *blend_kernels_for(enum isa isa)
{
    static const struct blend_kernels *const sets[ISA_N] = SETS(blend_kernels);

    return sets[isa];
}

const struct element_kernels *element_kernels_for(enum isa isa)
{
    static const struct element_kernels *const sets[ISA_N] = SETS(element_kernels);

    return sets[isa];
}

const struct prune_kernels *prune_kernels_for(enum isa isa)
{
    static const struct prune_kernels *const sets[ISA_N] = SETS(prune_kernels);

    return sets[isa];
}
