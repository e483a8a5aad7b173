/*
 * cmaes_bytes.c - the state of a CMA-ES as bytes and back, by one walk (snapshot.h).
 *
 *      0   8  "CMAES\0\0" and the version, one byte
 *      8   8  n
 *     16   8  lambda
 *     24   8  what kind of search, a bit each: 1 passive, 2 separable, 4 accelerated, 8 integer
 *             coordinates, 16 adaptive rates; from bit 32 on how many candidates are foreign
 *     32      the state, field after field as walk_state() passes them; of the covariance rows
 *             0 .. n - 1, columns 0 .. row. What this kind of search lacks takes no bytes.
 *
 * The axes are stored although they follow from a covariance: with lazy decomposition it is an
 * older covariance, which is gone. Samples are not stored: they follow from seed and round.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/bounds.h"
#include "search/cmaes_internal.h"
#include "search/snapshot.h"

#define MAGIC "CMAES"

enum { PASSIVE = 1, SEPARABLE = 2, ACCELERATED = 4, MIXED = 8, ADAPTIVE = 16, KINDS = 31 };

void cmaes_limits_walk(struct cmaes_limits *l, struct snapshot *s)
{
    snapshot_doubles(s, &l->f_target, 1);
    snapshot_count(s, &l->rounds, UINT64_MAX);
    snapshot_doubles(s, &l->x, 1);
    snapshot_doubles(s, &l->f, 1);
    snapshot_doubles(s, &l->f_history, 1);
    snapshot_count(s, &l->flat, UINT64_MAX);
    snapshot_doubles(s, &l->x_up, 1);
    snapshot_doubles(s, &l->sigma_up, 1);
    snapshot_doubles(s, &l->condition, 1);
    snapshot_flag(s, &l->no_effect);
    snapshot_flag(s, &l->stagnation);
    snapshot_doubles(s, &l->x_stagnation, 1);
}

static void walk_distribution(struct cmaes *c, struct snapshot *s)
{
    const size_t n = c->n, matrix = c->model == CMAES_SEPARABLE ? 0 : n;

    snapshot_any(s, c->lower, n);
    snapshot_any(s, c->upper, n);
    snapshot_any(s, &c->sigma_start, 1);
    snapshot_any(s, c->scales_start, n);
    snapshot_any(s, c->mean, n);
    snapshot_any(s, &c->sigma, 1);
    snapshot_any(s, c->scales, n);
    for (size_t row = 0; row < matrix; row++) {
        snapshot_any(s, c->covariance + row * n, row + 1);
    }
    snapshot_any(s, c->axes, matrix * n);
    snapshot_any(s, c->lengths, n);
    snapshot_any(s, c->p_c, n);
    snapshot_any(s, c->p_sigma, n);
}

/* What the rules remember, and how far the search is. */
static void walk_history(struct cmaes *c, struct snapshot *s)
{
    snapshot_count(s, &c->generation, UINT64_MAX);
    snapshot_count(s, &c->round, UINT64_MAX);
    snapshot_count(s, &c->decomposed, UINT64_MAX);
    snapshot_count(s, &c->stops, UINT64_MAX);
    snapshot_any(s, &c->best, 1);
    snapshot_any(s, c->best_point, c->n);
    snapshot_count(s, &c->best_generation, UINT64_MAX);
    snapshot_count(s, &c->flat, UINT64_MAX);
    snapshot_any(s, c->recent, c->n_recent);
    snapshot_any(s, c->slow_best, c->n_slow);
    snapshot_any(s, c->slow_median, c->n_slow);
    snapshot_any(s, c->anchor, c->n);
    snapshot_count(s, &c->anchor_generation, UINT64_MAX);
}

static void walk_rate(struct cmaes_rate *rate, size_t n, struct snapshot *s)
{
    snapshot_any(s, &rate->eta, 1);
    snapshot_any(s, &rate->W, 1);
    snapshot_any(s, rate->E, n);
}

/* All that a restored search needs, in the order of the bytes. */
static void walk_state(struct cmaes *c, struct snapshot *s)
{
    const size_t n = c->n;

    snapshot_count(s, &c->seed, UINT64_MAX);
    snapshot_count(s, &c->stream, UINT64_MAX);
    cmaes_limits_walk(&c->limits, s);
    walk_distribution(c, s);
    walk_history(c, s);
    if (c->model == CMAES_ACCELERATED) {
        snapshot_any(s, c->p_d, n);
    }
    if (c->mixed) {
        snapshot_any(s, &c->margin, 1);
        snapshot_any(s, c->steps, n);
        snapshot_any(s, c->spreads, n);
        snapshot_any(s, c->mutation, n);
    }
    if (c->rates != NULL) {
        walk_rate(&c->rates->mean, n, s);
        walk_rate(&c->rates->covariance, n * n, s);
    }
    snapshot_any(s, c->injected, (size_t)c->foreign * n);
}

/* ---- bytes that nobody saved ---- */

static bool all_within(const double *values, size_t n, double least, double most)
{
    for (size_t i = 0; i < n; i++) {
        if (!(values[i] >= least && values[i] <= most)) {
            return false;
        }
    }
    return true;
}

static bool counters_agree(const struct cmaes *s)
{
    return s->stream != 0 && s->generation <= s->round && s->decomposed <= s->generation &&
           s->best_generation <= s->generation && s->anchor_generation <= s->generation &&
           s->flat <= s->round && s->stops >> CMAES_RULES == 0 &&
           s->round < UINT64_MAX / 2 / (s->lambda * s->n);
}

/* What a search that stopped with "numeric" can have at most, so that sampling still gives finite
 * points. */
#define VALUE_MAX 1e200

static bool distribution_is_sound(const struct cmaes *s)
{
    const size_t n = s->n;
    const double least = 5e-324; /* the smallest positive double */

    for (size_t j = 0; j < n; j++) {
        const double *row = s->covariance + j * n;
        bool full = s->model != CMAES_SEPARABLE;
        double reach = s->sigma * s->scales[j] * s->lengths[n - 1] * 100.0 * (double)n * (double)n;

        if (!bounds_are_usable(s->lower[j], s->upper[j]) || !(reach <= VALUE_MAX) ||
            (full && !all_within(row, j, -VALUE_MAX, VALUE_MAX)) ||
            (full && !all_within(row + j, 1, least, VALUE_MAX)) ||
            (j > 0 && s->lengths[j] < s->lengths[j - 1])) {
            return false;
        }
    }
    return all_within(&s->sigma_start, 1, least, VALUE_MAX) &&
           all_within(&s->sigma, 1, least, VALUE_MAX) &&
           all_within(s->scales_start, n, least, VALUE_MAX) &&
           all_within(s->scales, n, least, VALUE_MAX) &&
           all_within(s->lengths, n, least, VALUE_MAX) &&
           (s->model == CMAES_SEPARABLE || all_within(s->axes, n * n, -1.001, 1.001)) &&
           all_within(s->mean, n, -VALUE_MAX, VALUE_MAX) &&
           all_within(s->anchor, n, -VALUE_MAX, VALUE_MAX) &&
           all_within(s->p_c, n, -VALUE_MAX, VALUE_MAX) &&
           all_within(s->p_sigma, n, -VALUE_MAX, VALUE_MAX) &&
           all_within(s->best_point, n, -VALUE_MAX, VALUE_MAX) && !isnan(s->best);
}

static bool rate_is_sound(const struct cmaes_rate *rate, size_t n)
{
    return rate->eta > 0.0 && rate->eta <= 1.0 && rate->W >= 0.0 && rate->W <= VALUE_MAX &&
           all_within(rate->E, n, -1e100, 1e100);
}

static bool extras_are_sound(const struct cmaes *s)
{
    const double least = 5e-324;

    for (size_t j = 0; s->mixed && j < s->n; j++) {
        if (s->steps[j] != 0.0 && !bounds_take_step(s->steps[j], s->lower[j], s->upper[j])) {
            return false;
        }
    }
    if (s->rates != NULL && !(rate_is_sound(&s->rates->mean, s->n) &&
                              rate_is_sound(&s->rates->covariance, s->n * s->n))) {
        return false;
    }
    return (!s->mixed ||
            (s->margin > 0.0 && s->margin < 0.5 && all_within(s->spreads, s->n, least, VALUE_MAX) &&
             all_within(s->mutation, s->n, 0.0, 1.0))) &&
           (s->model != CMAES_ACCELERATED || all_within(s->p_d, s->n, -VALUE_MAX, VALUE_MAX)) &&
           all_within(s->injected, (size_t)s->foreign * s->n, -1e100, 1e100);
}

static bool is_sound(const struct cmaes *c)
{
    return counters_agree(c) && distribution_is_sound(c) && extras_are_sound(c);
}

/* ---- the walk ---- */

static uint64_t kind_of(const struct cmaes *c)
{
    return (c->passive ? PASSIVE : 0) | (c->model == CMAES_SEPARABLE ? SEPARABLE : 0) |
           (c->model == CMAES_ACCELERATED ? ACCELERATED : 0) | (c->mixed ? MIXED : 0) |
           (c->rates != NULL ? ADAPTIVE : 0) | c->foreign << 32;
}

static bool can_be(uint64_t kind, size_t lambda)
{
    const uint64_t model = kind & (SEPARABLE | ACCELERATED);

    return (kind & UINT32_MAX) <= KINDS && kind >> 32 <= lambda / 2 &&
           model != (SEPARABLE | ACCELERATED) &&
           !(model == ACCELERATED && (kind & (MIXED | ADAPTIVE)) != 0) &&
           !((kind & ADAPTIVE) != 0 && (kind & (MIXED | SEPARABLE)) != 0);
}

static struct cmaes_shape shape_of(uint64_t kind, size_t n, size_t lambda)
{
    return (struct cmaes_shape){.n = n,
                                .lambda = lambda,
                                .model = (kind & SEPARABLE) != 0     ? CMAES_SEPARABLE
                                         : (kind & ACCELERATED) != 0 ? CMAES_ACCELERATED
                                                                     : CMAES_FULL,
                                .passive = (kind & PASSIVE) != 0,
                                .mixed = (kind & MIXED) != 0,
                                .adaptive = (kind & ADAPTIVE) != 0};
}

int cmaes_walk(struct cmaes **cmaes, struct snapshot *s, struct err *err)
{
    size_t n = s->reading ? 0 : (*cmaes)->n, lambda = s->reading ? 0 : (*cmaes)->lambda;
    uint64_t kind = s->reading ? 0 : kind_of(*cmaes);

    snapshot_size(s, &n, 1, CMAES_N_MAX);
    snapshot_size(s, &lambda, 2, CMAES_LAMBDA_MAX);
    snapshot_count(s, &kind, UINT64_MAX);
    if (s->reading) {
        const struct cmaes_shape shape = shape_of(kind, n, lambda);

        snapshot_expect(s, can_be(kind, lambda) &&
                               snapshot_holds(s, shape.model == CMAES_SEPARABLE ? n : n * n));
        int rc = s->bad ? 0 : cmaes_allocate(cmaes, &shape, err);

        if (s->bad || rc != 0) {
            return rc;
        }
        (*cmaes)->foreign = kind >> 32;
    }
    walk_state(*cmaes, s);
    snapshot_expect(s, !s->reading || is_sound(*cmaes));
    return 0;
}

void cmaes_save(const struct cmaes *cmaes, unsigned char **bytes, size_t *n)
{
    struct cmaes *c = (struct cmaes *)cmaes; /* writing, the walk only looks */
    struct snapshot s;

    snapshot_write(&s, MAGIC);
    cmaes_walk(&c, &s, NULL);
    snapshot_take(&s, bytes, n);
}

int cmaes_restore(struct cmaes **out, const unsigned char *bytes, size_t n, struct err *err)
{
    struct cmaes *made = NULL;
    struct snapshot s;

    snapshot_read(&s, MAGIC, bytes, n);
    int rc = cmaes_walk(&made, &s, err);

    rc = rc == 0 ? snapshot_end(&s, "CMA-ES", err) : rc;
    if (rc != 0) {
        cmaes_free(made);
        return rc;
    }
    *out = made;
    return 0;
}

int cmaes_walk_inner(struct cmaes **cmaes, struct snapshot *s, struct err *err)
{
    unsigned char *bytes = NULL;
    size_t n = 0;

    if (s->reading) {
        snapshot_inner(s, &bytes, &n);
        return n == 0 ? 0 : cmaes_restore(cmaes, bytes, n, err);
    }
    if (*cmaes != NULL) {
        cmaes_save(*cmaes, &bytes, &n);
    }
    snapshot_inner(s, &bytes, &n);
    free(bytes);
    return 0;
}
