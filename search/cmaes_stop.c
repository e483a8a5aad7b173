/*
 * cmaes_stop.c - when a CMA-ES has nothing left to find.
 *
 * One small function a rule, all asked after every generation, so that a report can name each that
 * fired. Histories are rings: entry g lives at g modulo the size, and a rule that speaks of "the
 * last so many" waits until there are so many.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "search/cmaes_internal.h"

#define SLOW_STEP 5 /* the long histories keep every fifth generation */

static const struct {
    const char *name, *words;
} rules[CMAES_RULES] = {
    [CMAES_FTARGET] = {"ftarget", "the target was reached"},
    [CMAES_MAXITER] = {"maxiter", "the most generations allowed were made"},
    [CMAES_TOLX] = {"tolx", "the steps became too small to matter"},
    [CMAES_TOLFUN] = {"tolfun", "all candidates and the recent bests are worth the same"},
    [CMAES_TOLFUNHIST] = {"tolfunhist", "the best of each generation stopped changing"},
    [CMAES_TOLFLATFITNESS] = {"tolflatfitness",
                              "most candidates of a generation are worth exactly the same"},
    [CMAES_TOLFACUPX] = {"tolfacupx", "the steps grew far beyond where they started"},
    [CMAES_TOLUPSIGMA] = {"tolupsigma", "the step size grows without bound"},
    [CMAES_CONDITIONCOV] = {"conditioncov", "the distribution became too thin to compute with"},
    [CMAES_NOEFFECTAXIS] = {"noeffectaxis", "a step along an axis is lost in rounding"},
    [CMAES_NOEFFECTCOORD] = {"noeffectcoord", "a step along a coordinate is lost in rounding"},
    [CMAES_STAGNATION] = {"stagnation", "neither the best nor the median improved for long"},
    [CMAES_TOLXSTAGNATION] = {"tolxstagnation", "the mean stopped moving"},
    [CMAES_NUMERIC] = {"numeric", "the numbers ran out of range"},
};

void cmaes_limits_init(struct cmaes_limits *out)
{
    *out = (struct cmaes_limits){.f_target = -HUGE_VAL,
                                 .x = 1e-11,
                                 .f = 1e-11,
                                 .f_history = 1e-12,
                                 .flat = 1,
                                 .x_up = 1e3,
                                 .sigma_up = 1e20,
                                 .condition = 1e14,
                                 .no_effect = true,
                                 .stagnation = true,
                                 .x_stagnation = 1e-9};
}

unsigned cmaes_stops(const struct cmaes *cmaes)
{
    return (unsigned)cmaes->stops;
}

const char *cmaes_stop_words(const char *rule)
{
    size_t i = 0;

    while (strcmp(rules[i].name, rule) != 0) {
        i++;
        assert(i < CMAES_RULES);
    }
    return rules[i].words;
}

const char *cmaes_stop(const struct cmaes *cmaes)
{
    for (unsigned rule = 0; rule < CMAES_RULES; rule++) {
        if (cmaes->stops >> rule & 1) {
            return rules[rule].name;
        }
    }
    return NULL;
}

/* ---- the rules ---- */

static bool out_of_rounds(const struct cmaes *s)
{
    double n = (double)s->n + 3.0;
    double most = s->limits.rounds != 0 ? (double)s->limits.rounds
                                        : 100.0 + 150.0 * n * n / sqrt((double)s->lambda);

    return s->limits.rounds != UINT64_MAX && (double)s->round >= most;
}

/* Steps of integer coordinates say nothing: the margin keeps them up. */
static bool is_all_integer(const struct cmaes *s)
{
    for (size_t j = 0; j < s->n; j++) {
        if (!cmaes_is_integer(s, j)) {
            return false;
        }
    }
    return true;
}

static bool x_is_settled(const struct cmaes *s)
{
    for (size_t j = 0; j < s->n; j++) {
        if (cmaes_is_integer(s, j)) {
            continue;
        }
        double limit = s->limits.x * s->sigma_start * s->scales_start[j];

        if (!(cmaes_deviation(s, j) < limit && fabs(s->sigma * s->scales[j] * s->p_c[j]) < limit)) {
            return false;
        }
    }
    return !is_all_integer(s);
}

static bool x_has_exploded(const struct cmaes *s)
{
    for (size_t j = 0; j < s->n; j++) {
        if (!cmaes_is_integer(s, j) &&
            cmaes_deviation(s, j) > s->limits.x_up * s->sigma_start * s->scales_start[j]) {
            return true;
        }
    }
    return false;
}

/* Largest less smallest of the first `n` entries; infinity unless both are finite.
 */
static double range_of(const double *values, size_t n)
{
    double least = HUGE_VAL, most = -HUGE_VAL;

    for (size_t i = 0; i < n; i++) {
        least = fmin(least, values[i]);
        most = fmax(most, values[i]);
    }
    return isfinite(least) && isfinite(most) ? most - least : HUGE_VAL;
}

static bool f_is_settled(const struct cmaes *s)
{
    double now = s->order[s->lambda - 1].fitness - s->order[0].fitness;

    return now < s->limits.f && s->round >= s->n_recent &&
           range_of(s->recent, s->n_recent) < s->limits.f;
}

static bool bests_are_settled(const struct cmaes *s)
{
    size_t known = s->round < s->n_recent ? (size_t)s->round : s->n_recent;

    return known >= 10 && range_of(s->recent, known) < s->limits.f_history;
}

static bool axis_has_no_effect(const struct cmaes *s)
{
    size_t i = (size_t)(s->generation % s->n);
    double step = 0.1 * s->sigma * s->lengths[i];

    if (s->mixed) {
        return false; /* an axis may lie along an integer coordinate */
    }
    if (s->model == CMAES_SEPARABLE) {
        return s->mean[i] + step * s->scales[i] == s->mean[i];
    }
    for (size_t j = 0; j < s->n; j++) {
        if (s->mean[j] + step * s->scales[j] * s->axes[i * s->n + j] != s->mean[j]) {
            return false;
        }
    }
    return true;
}

static bool coordinate_has_no_effect(const struct cmaes *s)
{
    for (size_t j = 0; j < s->n; j++) {
        if (!cmaes_is_integer(s, j) && s->mean[j] + 0.2 * cmaes_deviation(s, j) == s->mean[j]) {
            return true;
        }
    }
    return false;
}

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* The median of n entries of a ring from its entry `from` on. scratch [n]. */
static double ring_median(const double *ring, size_t size, uint64_t from, size_t n, double *scratch)
{
    for (size_t i = 0; i < n; i++) {
        scratch[i] = ring[(from + i) % size];
    }
    qsort(scratch, n, sizeof *scratch, ascending);
    return n % 2 == 1 ? scratch[n / 2] : 0.5 * (scratch[n / 2 - 1] + scratch[n / 2]);
}

/* The newer half of a full ring is no better than the older one. The ring's next entry would be
 * `next`. */
static bool ring_stagnates(const double *ring, size_t size, uint64_t next, double *scratch)
{
    size_t half = size / 2;
    double older = ring_median(ring, size, next - size, half, scratch);
    double newer = ring_median(ring, size, next - half, half, scratch);

    return newer >= older;
}

static bool search_stagnates(const struct cmaes *s)
{
    uint64_t entries = s->round / SLOW_STEP;
    uint64_t half = s->n_slow * SLOW_STEP / 2;

    if (s->round % SLOW_STEP != 0 || entries < s->n_slow ||
        s->generation - s->best_generation < half) {
        return false;
    }
    double *scratch = malloc(s->n_slow * sizeof *scratch);
    bool stagnates = scratch != NULL && ring_stagnates(s->slow_best, s->n_slow, entries, scratch) &&
                     ring_stagnates(s->slow_median, s->n_slow, entries, scratch);

    free(scratch);
    return stagnates;
}

/* Distance of the mean from its anchor, in starting deviations. */
static double distance_moved(const struct cmaes *s)
{
    double sum = 0.0;

    for (size_t j = 0; j < s->n; j++) {
        double moved = (s->mean[j] - s->anchor[j]) / (s->sigma_start * s->scales_start[j]);

        sum += moved * moved;
    }
    return sqrt(sum);
}

static bool mean_stands_still(const struct cmaes *s)
{
    double waited = (double)(s->generation - s->anchor_generation);

    return s->limits.x_stagnation > 0.0 && !s->mixed && waited > 20.0 + 0.1 * (double)s->generation;
}

/* ---- after each generation ---- */

static void remember(struct cmaes *s)
{
    const size_t L = s->lambda;
    double best = isnan(s->order[0].fitness) ? HUGE_VAL : s->order[0].fitness;
    double third = s->order[3 * L / 4].fitness; /* rank 1 + 3/4 lambda */
    uint64_t last = s->round - 1;

    s->recent[last % s->n_recent] = best;
    s->flat = isfinite(best) && best == third ? s->flat + 1 : 0;
    if (s->round % SLOW_STEP == 0) {
        double median = 0.5 * (s->order[(L - 1) / 2].fitness + s->order[L / 2].fitness);
        uint64_t at = (s->round / SLOW_STEP - 1) % s->n_slow;

        s->slow_best[at] = best;
        s->slow_median[at] = isnan(median) ? HUGE_VAL : median;
    }
    if (!(distance_moved(s) < s->limits.x_stagnation)) {
        memcpy(s->anchor, s->mean, s->n * sizeof *s->anchor);
        s->anchor_generation = s->generation;
    }
}

void cmaes_stop_update(struct cmaes *cmaes)
{
    const struct cmaes *s = cmaes;
    uint64_t fired = 0;

    assert(s->round > 0);
    remember(cmaes);
    const bool answers[CMAES_RULES] = {
        [CMAES_FTARGET] = s->best <= s->limits.f_target,
        [CMAES_MAXITER] = out_of_rounds(s),
        [CMAES_TOLX] = x_is_settled(s),
        [CMAES_TOLFUN] = f_is_settled(s),
        [CMAES_TOLFUNHIST] = bests_are_settled(s),
        [CMAES_TOLFLATFITNESS] = s->flat > s->limits.flat && !is_all_integer(s),
        [CMAES_TOLFACUPX] = x_has_exploded(s),
        [CMAES_TOLUPSIGMA] = s->sigma / s->lengths[s->n - 1] > s->limits.sigma_up * s->sigma_start,
        [CMAES_CONDITIONCOV] = cmaes_condition(s) > s->limits.condition,
        [CMAES_NOEFFECTAXIS] = s->limits.no_effect && axis_has_no_effect(s),
        [CMAES_NOEFFECTCOORD] = s->limits.no_effect && coordinate_has_no_effect(s),
        [CMAES_STAGNATION] = s->limits.stagnation && search_stagnates(s),
        [CMAES_TOLXSTAGNATION] = mean_stands_still(s),
    };
    for (unsigned rule = 0; rule < CMAES_RULES; rule++) {
        fired |= (uint64_t)answers[rule] << rule;
    }
    cmaes->stops = fired;
}
