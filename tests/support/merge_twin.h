/*
 * merge_twin.h - whole-tensor merge methods computed the plain way, for tests of the fast ones.
 *
 * Arrays of n floats, `out` none of the inputs. Everything else is double: formulas as
 * evaluator/merge/gram.h, consensus.c and pairs.c state them, but a vector at a time, with sorts
 * and libm. No code is shared.
 */
#ifndef TESTS_MERGE_TWIN_H
#define TESTS_MERGE_TWIN_H

#include <stddef.h>

#define TWIN_INPUTS_MAX 64

/* The vectors nuslerp works on: whole tensor, rows (last dimension) or columns (first dimension).
 */
enum twin_vectors { TWIN_WHOLE, TWIN_ROWS, TWIN_COLUMNS };

void twin_slerp(float *out, const float *a, const float *b, size_t n, double t);
/* base may be NULL. rows * columns elements. */
void twin_nuslerp(float *out, const float *a, const float *b, const float *base, size_t rows,
                  size_t columns, double weight_a, double weight_b, enum twin_vectors vectors);
/* vector: elements of each, n or the columns. */
void twin_stock(float *out, const float *base, const float *const *others, size_t n,
                size_t n_others, size_t vector);
/* scratch [n] */
void twin_sce(float *out, const float *base, const float *const *others, size_t n, size_t n_others,
              double top_share, float *scratch);
/* alpha < 0: plain ram. */
void twin_ram(float *out, const float *base, const float *const *others, size_t n, size_t n_others,
              double epsilon, double r, double alpha);
void twin_fusion(float *out, const float *a, const float *b, size_t rows, size_t columns,
                 double spread);

#endif
