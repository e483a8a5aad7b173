/*
 * kernel_set.h - the instruction set that a kernel file is compiled for this time
 * (cmake/isa.cmake): its name behind the functions', and the bytes of its registers.
 *
 * KERNELS_CALL: kernels call each other instead of being copied (sanitizers: gcc takes minutes a
 * file otherwise).
 */
#ifndef MERGE_KERNEL_SET_H
#define MERGE_KERNEL_SET_H

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif
#define KERNELS_PASTE(stem, isa) stem##_##isa
#define KERNELS_NAME(stem, isa) KERNELS_PASTE(stem, isa)
#ifdef KERNELS_CALL
#define INLINED static inline
#else
#define INLINED static inline __attribute__((always_inline))
#endif

#if defined(__AVX512F__)
#define WIDTH 64
#elif defined(__AVX2__)
#define WIDTH 32
#else
#define WIDTH 16
#endif

#endif
