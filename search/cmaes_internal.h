/*
 * cmaes_internal.h - the state of a CMA-ES, for the files called cmaes only.
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
    enum cmaes_model model;
    struct cmaes_limits limits;
    struct cmaes_constants
        constants;                   /* of the covariance; in the separable model of the diagonal */
    struct cmaes_constants diagonal; /* of the accelerated model's diagonal; its weights too */
    double *lower, *upper;           /* [N] */
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
    double *p_d;     /* [N] accelerated: the diagonal's path, in the units of p_c */

    /* integer coordinates; all three empty unless `mixed` (cmaes_margin.c) */
    bool mixed;
    double margin;
    double *steps;     /* [N] 0: continuous */
    double *spreads;   /* [N] A: x = mean + sigma * scales * spreads * y; 1 for continuous ones */
    double *mutation;  /* [N] chance to leave the mean's cell, as last set */
    double *succeeded; /* [N] scratch: 1 where one of the best left the mean's cell */

    struct cmaes_rates *rates; /* adaptive learning rates; NULL: none (cmaes_rates.c) */

    uint64_t foreign; /* candidates of the open generation that were injected: the last ones */
    double *injected; /* [L / 2, N] their y, the last candidate's first */

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

/* What decides how much memory a search takes. */
struct cmaes_shape {
    size_t n, lambda; /* within limits */
    enum cmaes_model model;
    bool passive, mixed, adaptive;
};

/* How one of the two steps is watched: E its mean look, W the mean square of looks. */
struct cmaes_rate {
    double *E; /* [N] for the mean, [N, N] for the covariance */
    double W, eta;
};

/* Of an adaptive search. */
struct cmaes_rates {
    struct cmaes_rate mean, covariance;
    double *old_mean, *old_covariance, *step; /* scratch: [N], [N, N], [N, N] */
    double old_sigma;
};

/* Everything allocated, sizes set, values zero. */
int cmaes_allocate(struct cmaes **out, const struct cmaes_shape *shape, struct err *err);

/* Entry j of the covariance's diagonal; 1 in the separable model, where scales hold it all. */
static inline double cmaes_variance(const struct cmaes *cmaes, size_t j)
{
    return cmaes->model == CMAES_SEPARABLE ? 1.0 : cmaes->covariance[j * cmaes->n + j];
}

static inline bool cmaes_is_integer(const struct cmaes *cmaes, size_t j)
{
    return cmaes->mixed && cmaes->steps[j] > 0.0;
}

/* The standard deviation of coordinate j in its own units, before folding. */
double cmaes_deviation(const struct cmaes *cmaes, size_t j);

/* Remember the generation just told, ranked in `order`, and set stops. */
void cmaes_stop_update(struct cmaes *cmaes);

double cmaes_length_squared(const double *v, size_t n);

/* Fade the covariance and add the ranked generation; h as cmaes.c's move() gives it. */
void cmaes_covariance_update(struct cmaes *cmaes, double h);

/* New axes and lengths from the covariance; false when it is no longer one. */
bool cmaes_decompose(struct cmaes *cmaes);

/* ---- cmaes_rates.c ---- */

/* ERR_MEMORY. */
int cmaes_rates_new(struct cmaes_rates **out, size_t n, struct err *err);
void cmaes_rates_free(struct cmaes_rates *rates);
/* Before the update; and after it: take back what is more noise than signal. False when the search
 * cannot go on. */
void cmaes_rates_begin(struct cmaes *cmaes);
bool cmaes_rates_end(struct cmaes *cmaes);

/* Upkeep after an update: bounds, scales, new axes when due. False when the search cannot go on. */
bool cmaes_stay_well(struct cmaes *cmaes);

/* v [N] times the symmetric root of the covariance (power 1) or its inverse (-1), as last
 * decomposed. Uses rows. */
void cmaes_multiply_root(const struct cmaes *cmaes, int power, double *v);

/* C = keep C + the first n_plus outer products of rows - the n_minus after them. */
void cmaes_add_products(struct cmaes *cmaes, double keep, size_t n_plus, size_t n_minus);

/* ---- cmaes_diagonal.c ---- */

/* The separable model's whole update of its covariance, in scales. */
void cmaes_diagonal_update(struct cmaes *cmaes, double h);
/* The accelerated model: move the diagonal's path by y_w [N]; after the covariance's update, learn
 * the diagonal. */
void cmaes_accelerate_path(struct cmaes *cmaes, double h, const double *y_w);
void cmaes_accelerate(struct cmaes *cmaes, double h);

/* ---- cmaes_margin.c ---- */

/* The value of the cell that x lies in; x on an edge belongs to the lower cell. */
double cmaes_cell(const struct cmaes *cmaes, size_t j, double x);
/* Before an update: what the best agree on moves to the middle of its cell. */
void cmaes_centre_integers(struct cmaes *cmaes);
/* After it: every integer coordinate keeps a chance to change. */
void cmaes_keep_margin(struct cmaes *cmaes);

/* A deviation wider than a third of its box says nothing more and only wraps around in the fold. */
void cmaes_cap_to_box(struct cmaes *cmaes);

#endif
