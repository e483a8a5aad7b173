/*
 * sphere.h - methods that mix directions on the unit sphere: slerp, nuslerp, multislerp, karcher.
 *
 * Plain arrays: K inputs of n floats, `out` first and never one of the inputs. Norms, dot products
 * and angles are double; each result is rounded to float once. Nothing here allocates more than K
 * numbers. Shoemake 1985 (slerp); Grove & Karcher 1973 (the mean).
 */
#ifndef MERGE_SPHERE_H
#define MERGE_SPHERE_H

#include <stddef.h>

#include "base/err.h"

#define SPHERE_INPUTS_MAX 64

/*
 * Between a (t = 0) and b (t = 1) along the arc of their directions; a and b themselves are
 * combined, so lengths are not interpolated. A straight line where |cos| > 0.9995. A zero input
 * counts as at a right angle. t is not clamped. Cannot fail.
 */
void sphere_slerp(float *out, const float *a, const float *b, size_t n, double t);

/* The vectors nuslerp works on: whole tensor, rows (last dimension) or columns (first dimension).
 */
enum sphere_vectors { SPHERE_WHOLE, SPHERE_ROWS, SPHERE_COLUMNS };

/*
 * Slerp by weights, t = w_b / (w_a + w_b), 0.5 when they sum to less than 1e-6 in size; of task
 * vectors when base is not NULL. rows * columns elements. A straight line where |sin| < 1e-6.
 * Cannot fail.
 */
void sphere_nuslerp(float *out, const float *a, const float *b, const float *base, size_t rows,
                    size_t columns, double weight_a, double weight_b, enum sphere_vectors vectors);

/*
 * The weighted tangent-space mean of K directions, then a step back onto the sphere, at the
 * weighted mean length. weights [K]; base may be NULL. ERR_NUMERIC when more than two directions
 * cancel or weights that are to be normalised sum to zero.
 */
int sphere_multislerp(float *out, const float *const *inputs, const float *base, size_t n,
                      const double *weights, size_t n_inputs, int normalize, double eps,
                      struct err *err);

/*
 * The Karcher mean of K directions with equal weights at the mean length. Inputs no longer than
 * tolerance pull the length down only; none longer: zeros. Cannot fail.
 */
void sphere_karcher(float *out, const float *const *inputs, size_t n, size_t n_inputs,
                    size_t iterations_max, double tolerance);

#endif
