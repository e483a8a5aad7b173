/*
 * reevaluation.c - care for noise: some candidates are measured twice, and what differs decides how
 * often all are measured.
 *
 *      a generation of k evaluations a candidate:
 *          k times  candidates 0 .. lambda - 1
 *          k times  candidates 0 .. L - 1 again          L = 2 + lambda / 20
 *
 * Were the order of the candidates noise, the second ranks of the first L would jump about: the
 * mean excess of those jumps over what is tolerated is u, and S its fading mean. While S > 0 every
 * candidate is measured more often and the search kept wider; while it is not, less often again. A
 * candidate counts with the mean of all its measurements. Repeated points are moved by 1e-7 sigma,
 * so that no cache answers for them.
 *
 * Hansen, Niederberger, Guzzella, Koumoutsakos, IEEE TEC 13(1), 2009. There, half of the L are the
 * best ones; here all stand in one portion, so that workers need not wait for a second one.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/optimiser_kept.h"
#include "search/optimiser_kinds.h"

#define MAGIC "NOISE"
#define TOLERATED 0.5 /* theta: the share of rank changes that goes unnoticed */
#define FADE 0.3      /* of S */
#define TIMES_MAX 32  /* measurements a candidate */
#define NUDGE 1e-7    /* sigmas */

struct reevaluation {
    struct kept kept;
    struct optimiser *search;
    uint64_t round;
    double times, S; /* measurements a candidate, rounded when used */
};

/* ---- sizes ---- */

static size_t times_of(const struct reevaluation *t)
{
    return (size_t)floor(t->times + 0.5);
}

static size_t again_of(const struct reevaluation *t)
{
    size_t lambda = optimiser_asks(t->search), again = 2 + lambda / 20;

    return again < lambda ? again : lambda;
}

static size_t asks(const void *self)
{
    const struct reevaluation *t = self;

    return times_of(t) * (optimiser_asks(t->search) + again_of(t));
}

/* ---- making ---- */

static void release(void *self)
{
    struct reevaluation *t = self;

    optimiser_free(t->search);
    kept_release(&t->kept);
}

static int make(void *self, const struct optimiser_options *o, struct err *err)
{
    struct reevaluation *t = self;
    struct optimiser_options options = *o;

    *t = (struct reevaluation){.times = 1.0};
    kept_init(&t->kept, o);
    options.noise = "none";
    return optimiser_new(&t->search, &options, err);
}

static int walk(void *self, struct snapshot *s, struct err *err)
{
    struct reevaluation *t = self;

    kept_walk(&t->kept, s);
    snapshot_count(s, &t->round, UINT64_C(1) << 40);
    snapshot_finite(s, &t->times, 1);
    snapshot_finite(s, &t->S, 1);
    snapshot_expect(s, t->times >= 1.0 && t->times <= TIMES_MAX);
    int rc = optimiser_walk(&t->search, s, err);

    snapshot_expect(s, t->search != NULL && optimiser_n(t->search) == t->kept.options.n &&
                           optimiser_objectives(t->search) == 1);
    return rc;
}

/* ---- asking ---- */

/* A repeated point: as the first, a little beside it, inside the box and on its grid. */
static void nudge(const struct reevaluation *t, struct rng64 *rng, const double *from, double *to)
{
    const struct optimiser_options *o = &t->kept.options;

    for (size_t j = 0; j < o->n; j++) {
        double width = NUDGE * optimiser_sigma(t->search) * o->deviations[j];
        double moved = from[j] + (2.0 * rng64_uniform(rng) - 1.0) * width;

        to[j] = o->steps[j] != 0.0 ? from[j] : fmin(fmax(moved, o->lower[j]), o->upper[j]);
    }
}

static void ask(void *self, double *points)
{
    struct reevaluation *t = self;
    const size_t n = t->kept.options.n, lambda = optimiser_asks(t->search), total = asks(t);
    struct rng64 rng;

    optimiser_ask(t->search, points);
    rng64_seed(&rng, t->kept.options.seed, RNG_NOISE);
    rng64_advance(&rng, t->round, 0); /* each round has 2^64 numbers of its own */
    for (size_t i = lambda; i < total; i++) {
        size_t k = i < times_of(t) * lambda ? i % lambda : (i - times_of(t) * lambda) % again_of(t);

        nudge(t, &rng, points + k * n, points + i * n);
    }
}

/* ---- telling ---- */

static double mean_of(const double *values, size_t count, size_t stride)
{
    double sum = 0.0;

    for (size_t i = 0; i < count; i++) {
        sum += values[i * stride];
    }
    return sum / (double)count;
}

/* 1 + how many of values [n] come before value i, equal ones by index; NaN comes last. */
static double rank_of(const double *values, size_t n, size_t i)
{
    double rank = 1.0;

    for (size_t k = 0; k < n; k++) {
        bool less = values[k] < values[i] || (!isnan(values[k]) && isnan(values[i]));
        bool same = !(less || values[i] < values[k] || (!isnan(values[i]) && isnan(values[k])));

        rank += less || (same && k < i) ? 1.0 : 0.0;
    }
    return rank;
}

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* The change of rank that so large a share of all possible ones would stay below. scratch [places]
 */
static double tolerated(double rank, size_t places, double *scratch)
{
    for (size_t r = 0; r < places; r++) {
        scratch[r] = fabs((double)r + 1.0 - rank);
    }
    qsort(scratch, places, sizeof *scratch, ascending);
    double at = 0.5 * TOLERATED * (double)(places - 1);
    size_t below = (size_t)at, above = below + 1 < places ? below + 1 : below;

    return scratch[below] + (at - (double)below) * (scratch[above] - scratch[below]);
}

/* Mean excess of the rank changes of the `again` candidates whose second values stand from lambda
 * on in both [2 lambda]. */
static double excess(const double *both, size_t lambda, size_t again)
{
    double *scratch = mem_array(2 * lambda, sizeof *scratch), sum = 0.0;

    for (size_t k = 0; k < again; k++) {
        double old = rank_of(both, 2 * lambda, k), new = rank_of(both, 2 * lambda, lambda + k);
        double change = fabs(new - old) - 1.0; /* its own first value stands between */
        double limit = 0.5 * (tolerated(new - (new > old), 2 * lambda - 1, scratch) +
                              tolerated(old - (old > new), 2 * lambda - 1, scratch));

        sum += change - limit;
    }
    free(scratch);
    return sum / (double)again;
}

static void adapt(struct reevaluation *t, double u)
{
    double step = 1.0 + 2.0 / ((double)t->kept.options.n + 10.0);

    t->S = (1.0 - FADE) * t->S + FADE * u;
    if (t->S > 0.0) {
        t->times = fmin(t->times * step, TIMES_MAX);
        optimiser_widen(t->search, step);
    } else {
        t->times = fmax(t->times / pow(step, 0.25), 1.0);
    }
}

static int tell(void *self, const double *fitness, struct err *err)
{
    struct reevaluation *t = self;
    const size_t lambda = optimiser_asks(t->search), again = again_of(t), times = times_of(t);
    const double *second = fitness + times * lambda;
    double *both = mem_array(3 * lambda, sizeof *both), *told = both + 2 * lambda;

    for (size_t k = 0; k < lambda; k++) {
        both[k] = mean_of(fitness + k, times, lambda);
        both[lambda + k] = k < again ? mean_of(second + k, times, again) : both[k];
        told[k] = 0.5 * (both[k] + both[lambda + k]);
    }
    int rc = optimiser_tell(t->search, told, err);

    if (rc == 0) {
        adapt(t, excess(both, lambda, again));
        t->round++;
    }
    free(both);
    return rc;
}

/* ---- at the door ---- */

static const char *stop(const void *self, const char **words)
{
    const struct reevaluation *t = self;

    *words = optimiser_stop_words(t->search);
    return optimiser_stop(t->search);
}

static void introduce(const void *self, struct optimiser_card *out)
{
    const struct reevaluation *t = self;

    *out = (struct optimiser_card){.n = t->kept.options.n, .objectives = 1};
    snprintf(out->name, sizeof out->name, "%s with re-evaluation", optimiser_name(t->search));
}

static int inject(void *self, const double *point, struct err *err)
{
    return optimiser_inject(((struct reevaluation *)self)->search, point, err);
}

static void mean(const void *self, double *out)
{
    optimiser_mean(((const struct reevaluation *)self)->search, out);
}

static void deviations(const void *self, double *out)
{
    optimiser_deviations(((const struct reevaluation *)self)->search, out);
}

static double sigma(const void *self)
{
    return optimiser_sigma(((const struct reevaluation *)self)->search);
}

static double best(const void *self, double *point)
{
    return optimiser_best(((const struct reevaluation *)self)->search, point);
}

const struct optimiser_kind optimiser_reevaluation = {
    .magic = MAGIC,
    .what = "re-evaluation",
    .size = sizeof(struct reevaluation),
    .make = make,
    .walk = walk,
    .release = release,
    .introduce = introduce,
    .asks = asks,
    .ask = ask,
    .tell = tell,
    .inject = inject,
    .stop = stop,
    .mean = mean,
    .deviations = deviations,
    .sigma = sigma,
    .best = best,
};
