/*
 * optimiser.h - one door to every optimiser, by name, as ask and tell.
 *
 *     struct optimiser_options options = {.algorithm = "auto", .n = n, .start = start,
 *                                         .sigma = 0.25, .lower = lower, .upper = upper, .seed =
 * 7}; optimiser_new(&optimiser, &options, err); while (optimiser_stop(optimiser) == NULL) {
 *         optimiser_ask(optimiser, points);          // points [asks, n], asks may change every
 * time
 *         ... fitness[k] = what points + k * n is worth, lower is better ...
 *         optimiser_tell(optimiser, fitness, err);
 *     }
 *
 * What is behind it (optimiser_algorithms lists them with a sentence each):
 *
 *     cma-es, sep-cma-es, dd-cma-es     cmaes.h
 *     catcma                            catcma.c     integers and categories
 *     lq-cma-es                         surrogate.c  a quadratic model saves evaluations
 *     lm-ma-es                          lmma.c       a hundred thousand coordinates
 *     mo-cma-es                         mocma.c      several objectives
 *     nsga-ii                           nsga2.c      the same, many or whole coordinates
 *     discrete                          discrete.c   sets of choices
 *     random, halton, sobol             sampling.c   honest baselines
 *     listed                            listed.c     points that are known beforehand
 *
 * and around the single-objective ones, restarts (restarts.c) and care for noise.
 *
 * All of them keep one promise: what is asked next is a pure function of the options and of what
 * was told so far. Asking twice gives the same bits; so does asking after optimiser_restore.
 */
#ifndef SEARCH_OPTIMISER_H
#define SEARCH_OPTIMISER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define OPTIMISER_N_MAX 131072
#define OPTIMISER_OBJECTIVES_MAX 16
#define OPTIMISER_NAME_MAX 24
#define OPTIMISER_POINTS_MAX 1000000

struct optimiser;
struct cmaes_limits;

/* All-zero means the default, but for n, start and sigma. Everything pointed to is copied. */
struct optimiser_options {
    const char *algorithm; /* "auto" when NULL */
    const char *restarts;  /* "none" when NULL, "ipop", "bipop" */
    const char *noise;     /* "none" when NULL, "reevaluate", "adapt" (learning rates) */
    size_t n;
    const double *start;         /* [n] inside the bounds */
    double sigma;                /* > 0 */
    const double *deviations;    /* [n] > 0: starting deviations over sigma; NULL: all 1 */
    const double *lower, *upper; /* [n] or NULL; infinite where there is no bound */
    /* [n] or NULL: 0 for a continuous coordinate, else the grid that its values stand on, counted
     * from a bound; negative: the same grid, but its values have no order (a category). */
    const double *steps;
    size_t objectives; /* 0 means 1 */
    size_t lambda;     /* candidates a generation; 0: the algorithm's own */
    uint64_t seed;
    uint64_t stream;                   /* of the random numbers; 0: the first */
    uint64_t evaluations;              /* that will be paid for in all, for auto; 0: not known */
    const struct cmaes_limits *limits; /* of every run; NULL: the defaults */
    const double *points; /* [n_points, n] inside the bounds: what "listed" asks; else NULL */
    size_t n_points;
};

/*
 * ERR_MISSING: no such algorithm; ERR_CONFLICT: it cannot do what is asked (integers, several
 * objectives, restarts); ERR_LIMIT: a value out of range; ERR_MEMORY.
 */
int optimiser_new(struct optimiser **out, const struct optimiser_options *options, struct err *err);
void optimiser_free(struct optimiser *optimiser);
/* Whether it would take these options, algorithm named; errors as its. Makes nothing. */
int optimiser_check(const struct optimiser_options *options, struct err *err);

/* What auto is for these options, and why: one sentence [at most n bytes]. Returns the name. */
const char *optimiser_choose(const struct optimiser_options *options, char *why, size_t n);
/* Generations of lambda candidates (0: the usual number, which *lambda becomes) after which a
 * covariance of n coordinates has forgotten its start; 0 for algorithms that learn none. */
double optimiser_horizon(const char *algorithm, size_t n, size_t *lambda);

/* Name i and its sentence; NULL past the last. */
const char *optimiser_algorithm(size_t i, const char **words);

/* Whether an algorithm, or auto, is for more than one objective. */
bool optimiser_takes_several(const char *algorithm);

/* The algorithm, "with" what stands around it. Valid until optimiser_free. */
const char *optimiser_name(const struct optimiser *optimiser);

size_t optimiser_n(const struct optimiser *optimiser);
size_t optimiser_objectives(const struct optimiser *optimiser);
/* Candidates in the open generation; another number may stand in the next. */
size_t optimiser_asks(const struct optimiser *optimiser);
/* Candidates in a whole generation of the algorithm's own, which may be asked in portions. */
size_t optimiser_population(const struct optimiser *optimiser);

/* The open generation: points [asks, n], inside the bounds, integers on their grids. */
void optimiser_ask(struct optimiser *optimiser, double *points);

/*
 * Close it: fitness [asks, objectives] in the order of ask, lower is better. A candidate that
 * failed is NaN. ERR_NUMERIC, and nothing changes: a value is -INFINITY, or it stopped with
 * "numeric".
 */
int optimiser_tell(struct optimiser *optimiser, const double *fitness, struct err *err);

/* A known point [n] into the open generation. ERR_MISSING: this algorithm takes none. */
int optimiser_inject(struct optimiser *optimiser, const double *point, struct err *err);

/* Several objectives: what was found and nothing found dominates, points [count, n] with values
 * [count, objectives], lent until the next call; the count, 0 for a single objective. */
size_t optimiser_front(const struct optimiser *optimiser, const double **points,
                       const double **values);

/* The rule that says to go no further, a short name, NULL: go on; and the same for people. */
const char *optimiser_stop(const struct optimiser *optimiser);
const char *optimiser_stop_words(const struct optimiser *optimiser);

/* Where it looks now [n], how widely (0 where that means nothing), and the best told so far with
 * its point (unless NULL; the first objective's where there are several). */
void optimiser_mean(const struct optimiser *optimiser, double *out);
/* How widely it looks in each coordinate [n], before folding; sigma where it knows no better. */
void optimiser_deviations(const struct optimiser *optimiser, double *out);
double optimiser_sigma(const struct optimiser *optimiser);
double optimiser_best(const struct optimiser *optimiser, double *point);

/*
 * The whole state as bytes, which say themselves whose they are; the caller frees *bytes. A plain
 * CMA-ES gives cmaes_save's. Restore: ERR_FORMAT for bytes that save did not write.
 */
void optimiser_save(const struct optimiser *optimiser, unsigned char **bytes, size_t *n);
int optimiser_restore(struct optimiser **out, const unsigned char *bytes, size_t n,
                      struct err *err);

#endif
