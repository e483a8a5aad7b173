/*
 * numeric.h - the arithmetics that scores are made with. Scores compare only within one.
 *
 *   f32    floats throughout; anywhere; the reference
 *   amx2   products on the processor's matrix units (AMX): weights are bfloat16, and each
 *          activation is the sum of two, which keep 16 of its 24 bits (of three, which keep all,
 *          where a sum has at most 256 terms); sums are float
 *   amx1   the same with activations rounded to one bfloat16: faster, and only on request
 *
 * amx2 and amx1 are for weights that are bfloat16, which they then hold exactly; others are scored
 * in f32. With BRAID_TILES=emulated in the environment plain C does what the matrix units would,
 * bit for bit and slowly: for tests on processors that have none.
 */
#ifndef MODEL_NUMERIC_H
#define MODEL_NUMERIC_H

#include <stdbool.h>

enum numeric { NUMERIC_F32, NUMERIC_AMX2, NUMERIC_AMX1 };

#define NUMERIC_N 3

/* "f32", "amx2", "amx1"; and back, false when unknown. */
const char *numeric_name(enum numeric numeric);
bool numeric_parse(const char *name, enum numeric *out);

/* What this processor, this build and this process's environment can do. The system is asked for
 * the matrix units at the first call. */
bool numeric_available(enum numeric numeric);

/* What scores are made with unless somebody chooses: amx2 where available, else f32. */
enum numeric numeric_best(void);

#endif
