/*
 * lmma.c - limited-memory matrix adaptation: a CMA-ES for a hundred thousand coordinates.
 *
 * Instead of a covariance it keeps r directions M_i, each a fading sum of steps that worked, fast
 * ones first, and bends every sample along them:
 *
 *      d = z;  for i < r:  d = (1 - c_i) d + c_i M_i (M_i . d);      x = m + sigma scales d
 *
 * Time and memory are n times r = 4 + floor(3 ln n) a candidate; nothing is decomposed. Samples are
 * made again when they are needed: they are a function of (seed, round, index), so a generation
 * holds one at a time.
 *
 * Loshchilov, Glasmachers, Beyer, Large Scale Black-Box Optimization by Limited-Memory Matrix
 * Adaptation, IEEE TEC 23(2), 2019.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/bounds.h"
#include "search/cmaes.h"
#include "search/cmaes_constants.h"
#include "search/optimiser_kinds.h"
#include "search/snapshot.h"

#define MAGIC "LMMA"
#define X_LEAST 1e-11 /* of the starting sigma: "tolx", as in cmaes.h */
#define FAR 1e150

enum stop { GO_ON, FTARGET, TOLX, NUMERIC };

struct lmma {
    size_t n, lambda, mu, r;
    uint64_t seed, stream, round, generation;
    double sigma, sigma_start, f_target;
    double mu_eff, c_sigma;
    double *weights;                              /* [mu] */
    double *lower, *upper, *scales, *mean, *path; /* [N] */
    double *best_point;                           /* [N] */
    double *directions;                           /* [r, N] */
    double *sample;                               /* [N + 1] scratch */
    double *step;                                 /* [2, N] scratch: sums of weight * d and of z */
    double best;
    size_t stop;
};

/* ---- making ---- */

static int allocate(struct lmma *t, struct err *err)
{
    struct cmaes_constants c;

    t->r = cmaes_lambda_default(t->n);
    cmaes_constants_init(&c, t->n, t->lambda, true);
    t->mu = c.mu;
    t->mu_eff = c.mu_eff;
    t->weights = mem_array(t->mu, sizeof *t->weights);
    memcpy(t->weights, c.weights, t->mu * sizeof *t->weights);
    cmaes_constants_release(&c);
    t->c_sigma = fmin(0.5, 2.0 * (double)t->lambda / (double)t->n);
    t->lower = mem_try((9 + t->r) * t->n + 1, sizeof *t->lower, "the state of LM-MA-ES", err);
    if (t->lower == NULL) {
        return ERR_MEMORY;
    }
    double **const arrays[] = {&t->upper, &t->scales, &t->mean, &t->path, &t->best_point};

    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i] = t->lower + (i + 1) * t->n;
    }
    t->step = t->lower + 6 * t->n;
    t->directions = t->lower + 8 * t->n;
    t->sample = t->lower + (8 + t->r) * t->n;
    return 0;
}

static void release(void *self)
{
    struct lmma *t = self;

    free(t->weights);
    free(t->lower);
}

static int make(void *self, const struct optimiser_options *o, struct err *err)
{
    struct lmma *t = self;

    *t = (struct lmma){.n = o->n,
                       .lambda = o->lambda != 0 ? o->lambda : cmaes_lambda_default(o->n),
                       .seed = o->seed,
                       .stream = o->stream != 0 ? o->stream : RNG_SAMPLING,
                       .sigma = o->sigma,
                       .sigma_start = o->sigma,
                       .f_target = o->limits != NULL ? o->limits->f_target : -HUGE_VAL,
                       .best = HUGE_VAL};
    int rc = allocate(t, err);

    for (size_t j = 0; j < t->n && rc == 0; j++) {
        t->lower[j] = o->lower != NULL ? o->lower[j] : -HUGE_VAL;
        t->upper[j] = o->upper != NULL ? o->upper[j] : HUGE_VAL;
        t->scales[j] = o->deviations != NULL ? o->deviations[j] : 1.0;
        t->mean[j] = bounds_unfold(o->start[j], t->lower[j], t->upper[j]);
        t->best_point[j] = o->start[j];
    }
    return rc;
}

/* ---- bytes ---- */

/* Samples of what was read are numbers: no direction is longer than a search makes it. */
static bool is_sound(const struct lmma *t)
{
    bool sound = t->sigma > 0.0 && t->sigma <= FAR && t->sigma_start > 0.0;

    for (size_t j = 0; j < t->n; j++) {
        sound = sound && bounds_are_usable(t->lower[j], t->upper[j]) && t->scales[j] > 0.0 &&
                t->scales[j] <= FAR / t->sigma && fabs(t->mean[j]) <= FAR;
    }
    for (size_t i = 0; i < t->r * t->n; i++) {
        sound = sound && fabs(t->directions[i]) <= 1e6;
    }
    return sound;
}

static void walk_state(struct lmma *t, struct snapshot *s)
{
    snapshot_count(s, &t->seed, UINT64_MAX);
    snapshot_count(s, &t->stream, UINT64_MAX);
    snapshot_count(s, &t->round, UINT64_C(1) << 32);
    snapshot_count(s, &t->generation, t->round);
    snapshot_finite(s, &t->sigma, 1);
    snapshot_finite(s, &t->sigma_start, 1);
    snapshot_doubles(s, &t->f_target, 1);
    snapshot_doubles(s, &t->best, 1);
    snapshot_size(s, &t->stop, GO_ON, NUMERIC);
    snapshot_doubles(s, t->lower, t->n);
    snapshot_doubles(s, t->upper, t->n);
    snapshot_finite(s, t->scales, t->n);
    snapshot_finite(s, t->mean, t->n);
    snapshot_finite(s, t->path, t->n);
    snapshot_finite(s, t->best_point, t->n);
    snapshot_finite(s, t->directions, t->r * t->n);
    snapshot_expect(s, !s->reading || is_sound(t));
}

static int walk(void *self, struct snapshot *s, struct err *err)
{
    struct lmma *t = self;

    snapshot_size(s, &t->n, 1, OPTIMISER_N_MAX);
    snapshot_size(s, &t->lambda, 2, CMAES_LAMBDA_MAX);
    if (s->reading) {
        snapshot_expect(s, snapshot_holds(s, 6 * t->n));
        int rc = s->bad ? 0 : allocate(t, err);

        if (s->bad || rc != 0) {
            return rc;
        }
    }
    walk_state(t, s);
    return 0;
}

/* ---- samples ---- */

/* How fast direction i bends samples, and how fast it forgets: slower by factors of 1.5 and 4. */
static double bend_of(const struct lmma *t, size_t i)
{
    return fmin(0.9, pow(1.5, -(double)i) / (double)t->n);
}

static double fade_of(const struct lmma *t, size_t i)
{
    return fmin(0.9, pow(4.0, -(double)i) * (double)t->lambda / (double)t->n);
}

/* z of candidate k into sample; returns it. */
static double *draw(struct lmma *t, size_t k)
{
    const uint64_t first = (t->round * t->lambda + k) * t->n, odd = first & 1;
    struct rng64 rng;

    rng64_seed(&rng, t->seed, t->stream);
    rng64_advance(&rng, 0, first - odd);
    rng64_normals(&rng, t->sample, t->n + odd);
    return t->sample + odd;
}

/* z becomes d. */
static void bend(const struct lmma *t, double *z)
{
    size_t used = t->generation < t->r ? (size_t)t->generation : t->r;

    for (size_t i = 0; i < used; i++) {
        const double *direction = t->directions + i * t->n;
        double share = bend_of(t, i), along = 0.0;

        for (size_t j = 0; j < t->n; j++) {
            along += direction[j] * z[j];
        }
        for (size_t j = 0; j < t->n; j++) {
            z[j] = (1.0 - share) * z[j] + share * along * direction[j];
        }
    }
}

static void place(struct lmma *t, size_t k, double *point)
{
    double *d = draw(t, k);

    bend(t, d);
    for (size_t j = 0; j < t->n; j++) {
        point[j] =
            bounds_fold(t->mean[j] + t->sigma * t->scales[j] * d[j], t->lower[j], t->upper[j]);
    }
}

static void ask(void *self, double *points)
{
    struct lmma *t = self;

    for (size_t k = 0; k < t->lambda; k++) {
        place(t, k, points + k * t->n);
    }
}

/* ---- telling ---- */

/* Best first, equal ones by index, failures last; returns how many are finite. */
static size_t rank(const struct lmma *t, const double *fitness, size_t *order)
{
    size_t finite = 0;

    for (size_t k = 0; k < t->lambda; k++) {
        double value = isnan(fitness[k]) ? HUGE_VAL : fitness[k];
        size_t at = k;

        while (at > 0 &&
               (isnan(fitness[order[at - 1]]) ? HUGE_VAL : fitness[order[at - 1]]) > value) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = k;
        finite += isfinite(fitness[k]) ? 1 : 0;
    }
    return finite;
}

static void move(struct lmma *t, const size_t *order)
{
    const size_t n = t->n;
    double *d_w = t->step, *z_w = t->step + n;

    memset(t->step, 0, 2 * n * sizeof *t->step);
    for (size_t i = 0; i < t->mu; i++) {
        double *z = draw(t, order[i]);

        for (size_t j = 0; j < n; j++) {
            z_w[j] += t->weights[i] * z[j];
        }
        bend(t, z);
        for (size_t j = 0; j < n; j++) {
            d_w[j] += t->weights[i] * z[j];
        }
    }
    double gain = sqrt(t->mu_eff * t->c_sigma * (2.0 - t->c_sigma)), squares = 0.0;

    for (size_t j = 0; j < n; j++) {
        t->mean[j] += t->sigma * t->scales[j] * d_w[j];
        t->path[j] = (1.0 - t->c_sigma) * t->path[j] + gain * z_w[j];
        squares += t->path[j] * t->path[j];
    }
    for (size_t i = 0; i < t->r; i++) {
        double fade = fade_of(t, i), add = sqrt(t->mu_eff * fade * (2.0 - fade));
        double *direction = t->directions + i * n;

        for (size_t j = 0; j < n; j++) {
            direction[j] = (1.0 - fade) * direction[j] + add * z_w[j];
        }
    }
    t->sigma *= exp(fmin(1.0, 0.5 * t->c_sigma * (squares / (double)n - 1.0)));
    t->generation++;
}

/* Deviations capped at a third of their boxes, as in cmaes_covariance.c; the rules. */
static void look_after(struct lmma *t)
{
    bool sound = t->sigma >= DBL_MIN && isfinite(t->sigma);

    for (size_t j = 0; j < t->n && sound; j++) {
        t->scales[j] = fmin(t->scales[j], (t->upper[j] - t->lower[j]) / 3.0 / t->sigma);
        sound = fabs(t->mean[j]) + 100.0 * t->sigma * t->scales[j] * sqrt((double)t->n) <= FAR;
    }
    t->stop = !sound                                ? NUMERIC
              : t->best <= t->f_target              ? FTARGET
              : t->sigma < X_LEAST * t->sigma_start ? TOLX
                                                    : GO_ON;
}

static int tell(void *self, const double *fitness, struct err *err)
{
    struct lmma *t = self;

    if (t->stop == NUMERIC) {
        return err_set(err, ERR_NUMERIC, "the search has run out of numbers and cannot go on");
    }
    size_t *order = mem_array(t->lambda, sizeof *order);
    size_t finite = rank(t, fitness, order);

    if (fitness[order[0]] < t->best) {
        t->best = fitness[order[0]];
        place(t, order[0], t->best_point);
    }
    if (finite >= t->mu) {
        move(t, order);
    }
    t->round++;
    look_after(t);
    free(order);
    return 0;
}

/* ---- looking ---- */

static const char *stop(const void *self, const char **words)
{
    static const char *const names[] = {NULL, "ftarget", "tolx", "numeric"};
    const struct lmma *t = self;

    *words = t->stop != GO_ON ? cmaes_stop_words(names[t->stop]) : NULL;
    return names[t->stop];
}

static void introduce(const void *self, struct optimiser_card *out)
{
    const struct lmma *t = self;

    *out = (struct optimiser_card){.n = t->n, .objectives = 1};
    snprintf(out->name, sizeof out->name, "lm-ma-es");
}

static size_t asks(const void *self)
{
    return ((const struct lmma *)self)->lambda;
}

static void mean(const void *self, double *out)
{
    const struct lmma *t = self;

    for (size_t j = 0; j < t->n; j++) {
        out[j] = bounds_fold(t->mean[j], t->lower[j], t->upper[j]);
    }
}

static double sigma(const void *self)
{
    return ((const struct lmma *)self)->sigma;
}

static double best(const void *self, double *point)
{
    const struct lmma *t = self;

    if (point != NULL) {
        memcpy(point, t->best_point, t->n * sizeof *point);
    }
    return t->best;
}

const struct optimiser_kind optimiser_lmma = {
    .magic = MAGIC,
    .what = "LM-MA-ES",
    .size = sizeof(struct lmma),
    .make = make,
    .walk = walk,
    .release = release,
    .introduce = introduce,
    .asks = asks,
    .ask = ask,
    .tell = tell,
    .stop = stop,
    .mean = mean,
    .sigma = sigma,
    .best = best,
};
