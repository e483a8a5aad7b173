/*
 * gram.h - methods on the sphere, in the few dimensions that their inputs span.
 *
 * slerp, nuslerp, multislerp, karcher and model_stock all return a linear combination of their K
 * inputs, and its coefficients follow from the inputs' dot products alone. So a tensor of any size
 * is two passes over its elements (span.c), and what is between them is K numbers:
 *
 *     gram [K, K]   <x_i, x_j>, symmetric
 *     c [K]         the result is sum_i c[i] x_i
 *
 * What is said of x holds of task vectors as well, where those are the inputs. Shoemake 1985
 * (slerp); Grove and Karcher 1973 (the mean); Jang et al. 2024 (model stock).
 */
#ifndef MERGE_GRAM_H
#define MERGE_GRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define GRAM_INPUTS_MAX 65 /* 64 sources and a base */

struct gram {
    size_t k;
    double dots[GRAM_INPUTS_MAX][GRAM_INPUTS_MAX];
};

/* From x_0 (t = 0) to x_1 (t = 1) along the arc of their directions; a straight line where |cos| >
 * 0.9995. An input that is zero counts as at a right angle. t is not clamped. */
void gram_slerp(double *c, const struct gram *gram, double t);

/* The same by weights, t = w_1 / (w_0 + w_1), or 0.5 when they sum to less than 1e-6 in size; a
 * straight line where |sin| < 1e-6. */
void gram_nuslerp(double *c, const struct gram *gram, const double *weights);

/*
 * The mean of K >= 2 directions by weights [K], at the mean length by weights. ERR_NUMERIC: weights
 * that are to be divided by their sum have none; more than two directions that cancel. Errors say
 * what, not where.
 */
int gram_multislerp(double *c, const struct gram *gram, const double *weights, bool normalize,
                    double eps, struct err *err);

/*
 * The Karcher mean of directions by weights [K], none negative, at the mean length by weights.
 * Inputs no longer than tolerance pull the length down only; none longer: zero. ERR_NUMERIC: there
 * is no weight.
 */
int gram_karcher(double *c, const struct gram *gram, const double *weights, size_t steps_max,
                 double tolerance, struct err *err);

/* How much of the mean of K >= 2 offsets from a base model_stock takes. Not finite where the mean
 * cosine is -1 / (K - 1). */
double gram_stock(const struct gram *gram);

#endif
