/*
 * quadratic.h - a quadratic model of an objective, fitted to points that were evaluated.
 *
 *      f(x) ~ a + sum b_j u_j + sum c_jj u_j^2 + sum c_jk u_j u_k,    u = (x - centre) / width
 *
 * Terms are taken as the number of points allows: linear, then squares, then products. The best
 * three quarters of the points count, with weights that fall linearly with their rank, so that the
 * model is good where the search is. N. Hansen, lq-CMA-ES, GECCO 2019.
 */
#ifndef SEARCH_QUADRATIC_H
#define SEARCH_QUADRATIC_H

#include <stdbool.h>
#include <stddef.h>

#define QUADRATIC_N_MAX 40

struct quadratic {
    size_t n;
    size_t terms;    /* 0: nothing fitted; then n + 1, 2 n + 1 or all (n + 1) (n + 2) / 2 */
    double *centre;  /* [n] */
    double *width;   /* [n] > 0 */
    double *factors; /* [terms] 1, u_j, u_j^2, u_j u_k by rows j < k */
};

/* All terms of n coordinates. */
size_t quadratic_terms(size_t n);

void quadratic_init(struct quadratic *out, size_t n);
void quadratic_release(struct quadratic *model);

/* Fit to points [count, n] with finite values [count]. Too few points, or numbers that allow no
 * fit, leave terms 0. */
void quadratic_fit(struct quadratic *model, const double *points, const double *values,
                   size_t count);

/* The model's value at point [n]; 0 when nothing is fitted. */
double quadratic_value(const struct quadratic *model, const double *point);

/* Where the model is least within the box [n]: false when it bends down somewhere or has no
 * squares.
 */
bool quadratic_least(const struct quadratic *model, const double *lower, const double *upper,
                     double *point);

#endif
