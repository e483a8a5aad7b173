/*
 * isa.h - which instruction set the arithmetic files may use.
 *
 * A kernel file is plain C, compiled once for each set below (CMake function isa_variants), so the
 * three versions do the same operations in the same order and give the same bits. isa_best picks at
 * run time.
 */
#ifndef MODEL_ISA_H
#define MODEL_ISA_H

enum isa { ISA_PLAIN, ISA_AVX2, ISA_AVX512 };

#define ISA_N 3

/* The best set that this processor and this build have. */
enum isa isa_best(void);

/* "plain", "avx2", "avx512". */
const char *isa_name(enum isa isa);

#endif
