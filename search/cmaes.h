/*
 * cmaes.h - CMA-ES as ask and tell.
 *
 *     struct cmaes_options options = {.n = n, .start = start, .sigma = 0.25, .seed = 7};
 *     cmaes_new(&search, &options, err);
 *     while (cmaes_stop(search) == NULL) {
 *         cmaes_ask(search, points);               // points [lambda, n]
 *         ... fitness[k] = what points + k * n is worth, lower is better ...
 *         cmaes_tell(search, fitness, err);
 *     }
 *     cmaes_mean(search, point);
 *
 * The full covariance with active update and cumulative step-size control of N. Hansen, "The CMA
 * Evolution Strategy: A Tutorial", arXiv:1604.00772 (2023); samples use the symmetric root of the
 * covariance, so they do not depend on how an eigenvector routine chooses signs and bases.
 *
 * The covariance comes in three models (enum cmaes_model); coordinates may be integers, with a
 * margin that keeps them from freezing (search/cmaes_margin.c); learning rates may adapt to noise
 * (search/cmaes_rates.c); foreign points may be injected.
 *
 * A candidate is a pure function of the state and of (seed, round, index): asking twice gives the
 * same bits, so does asking after a restore. Everything is single-threaded and in a fixed order:
 * one build on one machine gives one trajectory.
 */
#ifndef SEARCH_CMAES_H
#define SEARCH_CMAES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CMAES_N_MAX 4096
#define CMAES_LAMBDA_MAX 65536

struct cmaes;

/*
 * When to stop. cmaes_limits_init fills in the defaults; what stands in brackets switches a rule
 * off. Deviations are those of the coordinates, each measured against where it started.
 */
struct cmaes_limits {
    /* "ftarget": the best f is at most this. Default off [-INFINITY]. */
    double f_target;
    /* "maxiter": so many generations were told. 0 means 100 + 150 (n+3)^2 / sqrt(lambda)
     * [UINT64_MAX]. */
    uint64_t rounds;
    /* "tolx": every deviation and every step of p_c is below this share of its start. 1e-11 [0]. */
    double x;
    /* "tolfun": f varies by less, within the generation and over the recent bests. 1e-11 [0]. */
    double f;
    /* "tolfunhist": the recent bests alone vary by less. 1e-12 [0]. */
    double f_history;
    /* "tolflatfitness": in more generations in a row than this, the best f equals that of rank
     * 1 + 3/4 lambda. 1 [UINT64_MAX]. */
    uint64_t flat;
    /* "tolfacupx": some deviation grew by more than this factor. 1e3 [INFINITY]. */
    double x_up;
    /* "tolupsigma": sigma grew by more than this beyond what the covariance did. 1e20 [INFINITY].
     */
    double sigma_up;
    /* "conditioncov": the covariance's condition is above this. 1e14 [INFINITY]. */
    double condition;
    /* "noeffectaxis", "noeffectcoord": a tenth of a deviation along an axis, a fifth along a
     * coordinate, changes nothing in floating point. true [false]. */
    bool no_effect;
    /* "stagnation": the medians of best and median f have not improved for long. true [false]. */
    bool stagnation;
    /* "tolxstagnation": the mean moved less than this share of the starting deviations over
     * 20 + 0.1 g generations. 1e-9 [0]. */
    double x_stagnation;
};
void cmaes_limits_init(struct cmaes_limits *out);

/* What is learned of how coordinates depend on each other. */
enum cmaes_model {
    CMAES_FULL,
    /* Nothing: each coordinate has a deviation of its own. Linear in n, learns n / 3 times faster,
     * fails on long valleys that run across the axes. Ros & Hansen, PPSN 2008. */
    CMAES_SEPARABLE,
    /* Full, with a fast diagonal in front that steps back where coordinates are correlated.
     * Akimoto & Hansen, Diagonal Acceleration for CMA-ES, ECJ 28(3), 2020. */
    CMAES_ACCELERATED
};

/* All-zero means the default, but for n, start and sigma. Everything pointed to is copied. */
struct cmaes_options {
    size_t n;                 /* coordinates, 1 .. CMAES_N_MAX */
    const double *start;      /* [n] the first mean, as the objective sees it: inside the bounds */
    double sigma;             /* > 0; the optimum should lie within 3 sigma of the start */
    const double *deviations; /* [n] > 0: a starting deviation over sigma; NULL: all 1 */
    size_t lambda; /* candidates a generation, 2 .. CMAES_LAMBDA_MAX; 0: 4 + floor(3 ln n) */
    uint64_t seed;
    uint64_t stream;             /* of the random numbers; 0: RNG_SAMPLING */
    const double *lower, *upper; /* [n] or NULL; -INFINITY and INFINITY where there is no bound */
    /* [n] or NULL: the grid an integer coordinate lives on, counted from its lower bound (or its
     * upper, or 0); 0: continuous. Its values stay within the bounds without folding. */
    const double *steps;
    double margin; /* least chance of an integer coordinate to leave its value; 0: the default */
    enum cmaes_model model; /* integers go with CMAES_FULL and CMAES_SEPARABLE */
    bool adaptive; /* learning rates follow the signal-to-noise ratio; CMAES_FULL, no integers */
    bool passive;  /* positive weights only: slower, for comparison */
    const struct cmaes_limits *limits; /* NULL: the defaults */
};

/* ERR_LIMIT for a value out of its range (coordinates and starting deviations are refused beyond
 * 1e150), ERR_MEMORY. */
int cmaes_new(struct cmaes **out, const struct cmaes_options *options, struct err *err);
void cmaes_free(struct cmaes *cmaes);

enum cmaes_model cmaes_model(const struct cmaes *cmaes);
size_t cmaes_n(const struct cmaes *cmaes);
size_t cmaes_lambda(const struct cmaes *cmaes);
uint64_t cmaes_generation(const struct cmaes *cmaes); /* finished ones, from 0 */

/* The open generation: points [lambda, n], row k is candidate k, inside the bounds. Ask as often as
 * you like. */
void cmaes_ask(struct cmaes *cmaes, double *points);

/* The margin for so many coordinates that are not continuous: one of them mutates in about a third
 * of all candidates. */
double cmaes_margin_default(size_t n_discrete);

/*
 * Put a foreign point [n], inside the bounds, in place of a candidate of the open generation: the
 * last one, then the one before. A point further out than samples lie is drawn in to that distance,
 * so ask shows what will be learned from. Hansen, arXiv:1110.4181. ERR_LIMIT: half of the
 * generation is foreign already, or there are integer coordinates.
 */
int cmaes_inject(struct cmaes *cmaes, const double *point, struct err *err);

/*
 * Close the generation: fitness [lambda] in the order of ask, lower is better; only its order
 * matters. Equal ones rank by index. A candidate that failed is NaN and ranks last, after
 * +INFINITY. With fewer finite values than parents (lambda / 2) nothing is learned and the next ask
 * draws anew.
 *
 * ERR_NUMERIC, and nothing changes: a value is -INFINITY, or the search has stopped with "numeric".
 */
int cmaes_tell(struct cmaes *cmaes, const double *fitness, struct err *err);

/* The first rule of struct cmaes_limits that the last tell made true, or "numeric" (numbers ran out
 * of range: cannot go on); NULL: go on. A stopped search may go on all the same, unless "numeric".
 * A constant. */
const char *cmaes_stop(const struct cmaes *cmaes);
/* Every rule that fired: a bit each. */
unsigned cmaes_stops(const struct cmaes *cmaes);
/* A rule's name in words for people: "the steps became too small to matter". */
const char *cmaes_stop_words(const char *rule);

/* The distribution's mean [n] as the objective sees it, and the standard deviations [n] in the
 * coordinates' units, before folding. */
void cmaes_mean(const struct cmaes *cmaes, double *out);
void cmaes_deviations(const struct cmaes *cmaes, double *out);
double cmaes_sigma(const struct cmaes *cmaes);
/* Let the search look further, sigma times this factor >= 1, never beyond where it started. */
void cmaes_widen(struct cmaes *cmaes, double factor);
double cmaes_condition(const struct cmaes *cmaes); /* of the covariance as last decomposed, >= 1 */

/* The best f told so far and, unless NULL, its point [n]; INFINITY and the start when nothing
 * finite was told. */
double cmaes_best(const struct cmaes *cmaes, double *point);

/*
 * The whole state as bytes: little-endian, doubles as their bits, a version in front
 * (search/cmaes_bytes.c draws it). The caller frees *bytes. Restore checks every size and value:
 * ERR_FORMAT for bytes that save did not write, ERR_MEMORY. What it makes goes on bit for bit as
 * the saved one would have, open generation included.
 */
void cmaes_save(const struct cmaes *cmaes, unsigned char **bytes, size_t *n);
int cmaes_restore(struct cmaes **out, const unsigned char *bytes, size_t n, struct err *err);

struct snapshot;

/* The same behind the first eight bytes, for a state that begins with its own: writes *cmaes, or
 * makes it (NULL before, and after bad bytes). */
int cmaes_walk(struct cmaes **cmaes, struct snapshot *s, struct err *err);
/* A CMA-ES inside another one's state; NULL where there is none, one way and the other. */
int cmaes_walk_inner(struct cmaes **cmaes, struct snapshot *s, struct err *err);
void cmaes_limits_walk(struct cmaes_limits *limits, struct snapshot *s);

#endif
