/*
 * cmaes_constants.h - what a CMA-ES knows before its first generation: weights and learning rates.
 *
 * N. Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772 (2023), table 1; letters as
 * there.
 */
#ifndef SEARCH_CMAES_CONSTANTS_H
#define SEARCH_CMAES_CONSTANTS_H

#include <stdbool.h>
#include <stddef.h>

struct cmaes_constants {
    size_t mu;           /* how many weights are positive */
    double mu_eff;       /* variance-effective number of parents */
    double mu_eff_minus; /* the same for the negative weights */
    double c_1, c_mu;    /* learning rates of the covariance: rank one, rank mu */
    double c_c;          /* decay of the covariance's path */
    double c_sigma;      /* decay of the step size's path */
    double d_sigma;      /* damping of the step size */
    double chi;          /* expected length of a standard normal vector */
    double gap;          /* generations between two decompositions, at least */
    double weight_sum;   /* of all weights: 1 less the size of the negative part */
    double *weights;     /* [lambda] best rank first; the first mu sum to 1 */
};

/* The customary population: 4 + floor(3 ln n). */
size_t cmaes_lambda_default(size_t n);

/* n >= 1, lambda >= 2. passive: no negative weights. Small allocation, cannot fail. */
void cmaes_constants_init(struct cmaes_constants *out, size_t n, size_t lambda, bool passive);
/* For a diagonal alone, which has n numbers to learn instead of n (n + 1) / 2. Ros & Hansen 2008,
 * with the rates of pycma. */
void cmaes_constants_init_diagonal(struct cmaes_constants *out, size_t n, size_t lambda,
                                   bool passive);
void cmaes_constants_release(struct cmaes_constants *constants);

#endif
