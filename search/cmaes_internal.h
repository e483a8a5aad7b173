/*
 * cmaes_internal.h - the state of a CMA-ES, for cmaes.c, cmaes_stop.c and cmaes_bytes.c only.
 *
 * N coordinates, L candidates a generation.
 */
#ifndef SEARCH_CMAES_INTERNAL_H
#define SEARCH_CMAES_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "search/cmaes.h"
#include "search/cmaes_constants.h"
#include "search/eigen.h"

#define CMAES_LOOPS_MAX 20 /* coordinates up to which products are plain loops */
#define CMAES_FAR 1e150    /* no coordinate goes beyond: its square must still be a number */

/* Rules in the order of struct cmaes_limits; bit i of stops. */
enum cmaes_rule {
    CMAES_FTARGET,
    CMAES_MAXITER,
    CMAES_TOLX,
    CMAES_TOLFUN,
    CMAES_TOLFUNHIST,
    CMAES_TOLFLATFITNESS,
    CMAES_TOLFACUPX,
    CMAES_TOLUPSIGMA,
    CMAES_CONDITIONCOV,
    CMAES_NOEFFECTAXIS,
    CMAES_NOEFFECTCOORD,
    CMAES_STAGNATION,
    CMAES_TOLXSTAGNATION,
    CMAES_NUMERIC,
    CMAES_RULES
};

/* A candidate in the order of its fitness. */
struct cmaes_rank {
    double fitness;
    size_t index;
};

struct cmaes {
    /* fixed from the start */
    size_t n, lambda;
    size_t n_recent, n_slow; /* how many generations each history holds */
    uint64_t seed, stream;
    bool passive;
    struct cmaes_limits limits;
    struct cmaes_constants constants;
    double *lower, *upper; /* [N] */
    double sigma_start;
    double *scales_start; /* [N] */

    /* the distribution: x = mean + sigma * scales * y, y normal with this covariance */
    double *mean; /* [N] in the unfolded space */
    double sigma;
    double *scales;     /* [N] */
    double *covariance; /* [N, N] only the triangle column <= row means anything */
    double *axes;    /* [N, N] one eigenvector a row, of the covariance as it was at `decomposed` */
    double *lengths; /* [N] square roots of the eigenvalues, ascending */
    double *p_c;     /* [N] */
    double *p_sigma; /* [N] */
    uint64_t generation; /* updates made */
    uint64_t round;      /* generations told: those without an update too */
    uint64_t decomposed; /* generation of the last decomposition */

    /* what the rules remember */
    uint64_t stops;
    double best;
    double *best_point; /* [N] as the objective saw it */
    uint64_t best_generation;
    uint64_t flat;       /* flat generations in a row */
    double *recent;      /* [n_recent] ring: best f of each generation */
    double *slow_best;   /* [n_slow] ring: best f of every 5th generation */
    double *slow_median; /* [n_slow] ring: its median f */
    double *anchor;      /* [N] mean when it last moved noticeably */
    uint64_t anchor_generation;

    /* scratch */
    double *arena; /* all arrays above and below are parts of it */
    struct eigen eigen;
    struct cmaes_rank *order; /* [L] */
    double *normals;          /* [L * N + 1] */
    double *z;                /* [L, N] inside normals */
    double *y;                /* [L, N] */
    double *rows;             /* [L + 1, N] */
    double *work;             /* [N, N] */
    double *values;           /* [N] */
    bool sampled;             /* z and y belong to this round */
};

/* Everything allocated, sizes set, values zero. n and lambda within limits. */
int cmaes_allocate(struct cmaes **out, size_t n, size_t lambda, bool passive, struct err *err);

/* The standard deviation of coordinate j in its own units, before folding. */
double cmaes_deviation(const struct cmaes *cmaes, size_t j);

/* Remember the generation just told, ranked in `order`, and set stops. */
void cmaes_stop_update(struct cmaes *cmaes);

double cmaes_length_squared(const double *v, size_t n);

/* Fade the covariance and add the ranked generation; h as cmaes.c's move() gives it. */
void cmaes_covariance_update(struct cmaes *cmaes, double h);

/* Upkeep after an update: bounds, scales, new axes when due. False when the search cannot go on. */
bool cmaes_stay_well(struct cmaes *cmaes);

/* A deviation wider than a third of its box says nothing more and only wraps around in the fold. */
void cmaes_cap_to_box(struct cmaes *cmaes);

#endif
