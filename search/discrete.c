/*
 * discrete.c - a (mu, lambda) search over whole numbers and categories.
 *
 *      parents --> one or two drawn, crossed, a few coordinates changed --> children, measured
 *              --> the best of the children, and the best of all, are the next parents
 *
 * For spaces that are too small, or whose neighbours are too unlike, for a distribution to learn:
 * sets of edits of a route, say. No point is asked twice while there are others near, since equal
 * points have equal values here.
 *
 * How many coordinates change, and how far, both come from distributions with heavy tails, so there
 * is no strength to set: a power law for their number (Doerr, Le, Makhmara, Nguyen, GECCO 2017,
 * exponent 1.5), a harmonic one for the step (Doerr, Doerr, Koetzing, Algorithmica 80, 2018). A
 * continuous coordinate moves by the same law, from the whole box down to a ten-thousandth of it.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/bounds.h"
#include "search/cmaes_constants.h"
#include "search/optimiser_kinds.h"
#include "search/snapshot.h"

#define MAGIC "DISCRET"
#define N_MAX 4096
#define LAMBDA_MAX 4096
#define SEEN_MAX 16384
#define TRIES 24 /* of a child that nobody asked for yet */
#define CROSS_CHANCE \
    0.5 /* ours: half of the children have one parent and differ by changes alone */
#define NUMBER_POWER 1.5 /* Doerr et al. 2017 */
#define FINEST 1e-4      /* continuous step, over the box */
#define REACH 3.0        /* sigmas on a side without a bound */

struct discrete {
    size_t n, lambda, mu;
    uint64_t seed, stream, round;
    double *lower, *upper, *steps, *start; /* [N]; steps as optimiser_options have them */
    size_t parents;                        /* 0 before the first generation, at most mu after it */
    double *points;                        /* [mu, N] best first */
    double *values;                        /* [mu] */
    size_t seen;
    uint64_t *hashes; /* [SEEN_MAX] of the points told */
    bool exhausted;   /* the last generation held nothing new */
    double best;
    double *best_point; /* [N] */
};

/* ---- making ---- */

static void allocate(struct discrete *t)
{
    t->lower = mem_array(5 * t->n, sizeof *t->lower);
    t->upper = t->lower + t->n;
    t->steps = t->lower + 2 * t->n;
    t->start = t->lower + 3 * t->n;
    t->best_point = t->lower + 4 * t->n;
    t->points = mem_array(t->mu * t->n, sizeof *t->points);
    t->values = mem_array(t->mu, sizeof *t->values);
    t->hashes = mem_array(SEEN_MAX, sizeof *t->hashes);
}

static void release(void *self)
{
    struct discrete *t = self;

    free(t->lower);
    free(t->points);
    free(t->values);
    free(t->hashes);
}

static size_t parents_of(size_t lambda)
{
    return lambda < 8 ? 2 : lambda / 4;
}

static double on_grid(const struct discrete *t, size_t j, double x)
{
    double step = fabs(t->steps[j]), last = t->upper[j];

    if (step > 0.0) {
        x = t->lower[j] + step * round((x - t->lower[j]) / step);
        last = t->lower[j] + step * floor((t->upper[j] - t->lower[j]) / step + 1e-9);
    }
    return fmin(fmax(x, t->lower[j]), last);
}

static int make(void *self, const struct optimiser_options *o, struct err *err)
{
    size_t lambda = o->lambda != 0 ? o->lambda : cmaes_lambda_default(o->n);

    if (lambda > LAMBDA_MAX) {
        return err_set(err, ERR_LIMIT, "population %zu: at most %d for discrete", lambda,
                       LAMBDA_MAX);
    }
    struct discrete *t = self;

    *t = (struct discrete){.n = o->n,
                           .lambda = lambda,
                           .mu = parents_of(lambda),
                           .seed = o->seed,
                           .stream = o->stream != 0 ? o->stream : RNG_SAMPLING,
                           .best = HUGE_VAL};
    allocate(t);
    for (size_t j = 0; j < t->n; j++) {
        double reach = REACH * o->sigma * (o->deviations != NULL ? o->deviations[j] : 1.0);

        t->lower[j] = o->lower != NULL ? o->lower[j] : -HUGE_VAL;
        t->upper[j] = o->upper != NULL ? o->upper[j] : HUGE_VAL;
        t->lower[j] = isinf(t->lower[j]) ? o->start[j] - reach : t->lower[j];
        t->upper[j] = isinf(t->upper[j]) ? o->start[j] + reach : t->upper[j];
        t->steps[j] = o->steps != NULL ? o->steps[j] : 0.0;
        t->start[j] = on_grid(t, j, o->start[j]);
    }
    memcpy(t->best_point, t->start, t->n * sizeof *t->start);
    return 0;
}

/* ---- bytes ---- */

/* What was read is a state that a search can have: every point lies in the box. */
static bool is_inside(const struct discrete *t, const double *point)
{
    bool inside = true;

    for (size_t j = 0; j < t->n; j++) {
        inside = inside && point[j] >= t->lower[j] && point[j] <= t->upper[j];
    }
    return inside;
}

static bool is_sound(const struct discrete *t)
{
    bool sound = is_inside(t, t->start) && is_inside(t, t->best_point);

    for (size_t j = 0; j < t->n; j++) {
        sound =
            sound && bounds_are_usable(t->lower[j], t->upper[j]) &&
            (t->steps[j] == 0.0 || bounds_take_step(fabs(t->steps[j]), t->lower[j], t->upper[j]));
    }
    for (size_t i = 0; i < t->parents; i++) {
        sound = sound && is_inside(t, t->points + i * t->n);
    }
    return sound;
}

static int walk(void *self, struct snapshot *s, struct err *err)
{
    struct discrete *t = self;

    (void)err;
    snapshot_size(s, &t->n, 1, N_MAX);
    snapshot_size(s, &t->lambda, 2, LAMBDA_MAX);
    if (s->reading) {
        t->mu = parents_of(t->lambda);
        allocate(t);
    }
    snapshot_count(s, &t->seed, UINT64_MAX);
    snapshot_count(s, &t->stream, UINT64_MAX);
    snapshot_count(s, &t->round, UINT64_C(1) << 31);
    snapshot_finite(s, t->lower, 5 * t->n); /* all five arrays */
    snapshot_doubles(s, &t->best, 1);
    snapshot_size(s, &t->parents, 0, t->mu);
    snapshot_finite(s, t->points, t->parents * t->n);
    snapshot_doubles(s, t->values, t->parents);
    snapshot_size(s, &t->seen, 0, SEEN_MAX);
    for (size_t i = 0; i < t->seen; i++) {
        snapshot_count(s, &t->hashes[i], UINT64_MAX);
    }
    snapshot_flag(s, &t->exhausted);
    snapshot_expect(s, !s->reading || is_sound(t));
    return 0;
}

/* ---- what was asked before ---- */

static uint64_t hash_of(const double *point, size_t n)
{
    uint64_t hash = n;

    for (size_t j = 0; j < n; j++) {
        struct rng64 rng;
        uint64_t bits;

        memcpy(&bits, &point[j], sizeof bits);
        rng64_seed(&rng, hash, bits); /* 64 well mixed bits of two numbers */
        hash = rng64_next(&rng);
    }
    return hash;
}

static bool holds(const uint64_t *hashes, size_t n, uint64_t hash)
{
    for (size_t i = 0; i < n; i++) {
        if (hashes[i] == hash) {
            return true;
        }
    }
    return false;
}

/* ---- children ---- */

static size_t below(struct rng64 *rng, size_t n)
{
    return (size_t)(rng64_uniform(rng) * (double)n);
}

/* How many of n coordinates change: k with a chance in proportion to k^-1.5. */
static size_t number_of_changes(struct rng64 *rng, size_t n)
{
    double total = 0.0;

    for (size_t k = 1; k <= n; k++) {
        total += pow((double)k, -NUMBER_POWER);
    }
    double at = rng64_uniform(rng) * total;
    size_t k = 1;

    for (; k < n && at >= pow((double)k, -NUMBER_POWER); k++) {
        at -= pow((double)k, -NUMBER_POWER);
    }
    return k;
}

/* Another value of a coordinate; the same one only where there is no other. */
static double changed(const struct discrete *t, size_t j, double x, struct rng64 *rng)
{
    double step = fabs(t->steps[j]), width = t->upper[j] - t->lower[j];
    double draw = rng64_uniform(rng), side = rng64_uniform(rng) < 0.5 ? -1.0 : 1.0;

    if (step == 0.0) {
        double length = width * pow(FINEST, draw);

        side = x + side * length < t->lower[j] || x + side * length > t->upper[j] ? -side : side;
        return fmin(fmax(x + side * length, t->lower[j]), t->upper[j]);
    }
    double last = floor(width / step + 1e-9), at = round((x - t->lower[j]) / step);

    if (t->steps[j] < 0.0) { /* any of the others */
        double other = fmin(floor(draw * last), last - 1.0);

        at = other < at ? other : fmin(other + 1.0, last);
    } else {
        double room = side < 0.0 ? at : last - at;

        side = room >= 1.0 ? side : -side;
        room = room >= 1.0 ? room : last - room;
        at += side * fmin(floor(exp(draw * log(room + 1.0))), room);
    }
    return t->lower[j] + step * at;
}

/* Change so many coordinates of a point, none twice. order [N] is scratch. */
static void mutate(const struct discrete *t, double *point, size_t *order, struct rng64 *rng)
{
    size_t k = number_of_changes(rng, t->n);

    for (size_t j = 0; j < t->n; j++) {
        order[j] = j;
    }
    for (size_t i = 0; i < k; i++) {
        size_t other = i + below(rng, t->n - i), j = order[other];

        order[other] = order[i];
        point[j] = changed(t, j, point[j], rng);
    }
}

static void scatter(const struct discrete *t, double *point, struct rng64 *rng)
{
    for (size_t j = 0; j < t->n; j++) {
        double width = t->upper[j] - t->lower[j], step = fabs(t->steps[j]);
        double cells = step > 0.0 ? floor(width / step + 1e-9) + 1.0 : 0.0;
        double draw = rng64_uniform(rng);

        point[j] = step > 0.0 ? t->lower[j] + step * fmin(floor(draw * cells), cells - 1.0)
                              : t->lower[j] + draw * width;
    }
}

static void breed(const struct discrete *t, double *child, size_t *order, struct rng64 *rng)
{
    const double *a = t->points + below(rng, t->parents) * t->n;
    const double *b = t->points + below(rng, t->parents) * t->n;
    bool cross = rng64_uniform(rng) < CROSS_CHANCE;

    for (size_t j = 0; j < t->n; j++) {
        child[j] = cross && rng64_uniform(rng) < 0.5 ? b[j] : a[j];
    }
    mutate(t, child, order, rng);
}

/* The first generation: the start, then by turns what is near it and what is anywhere. */
static void begin(const struct discrete *t, size_t k, double *child, size_t *order,
                  struct rng64 *rng)
{
    memcpy(child, t->start, t->n * sizeof *child);
    if (k % 2 == 1) {
        mutate(t, child, order, rng);
    } else if (k > 0) {
        scatter(t, child, rng);
    }
}

static void ask(void *self, double *points)
{
    const struct discrete *t = self;
    size_t *order = mem_array(t->n, sizeof *order);
    uint64_t *asked = mem_array(t->lambda, sizeof *asked);
    struct rng64 rng;

    rng64_seed(&rng, t->seed, t->stream);
    rng64_advance(&rng, 0, t->round << 32);
    for (size_t k = 0; k < t->lambda; k++) {
        double *child = points + k * t->n;
        bool again = true;

        for (int i = 0; i < TRIES && again; i++) {
            if (t->parents == 0) {
                begin(t, k, child, order, &rng);
            } else {
                breed(t, child, order, &rng);
            }
            asked[k] = hash_of(child, t->n);
            again = holds(asked, k, asked[k]) || holds(t->hashes, t->seen, asked[k]);
        }
    }
    free(asked);
    free(order);
}

/* ---- telling ---- */

struct rank {
    double value;
    size_t index;
};

static int by_value(const void *left, const void *right)
{
    const struct rank *a = left, *b = right;

    if (a->value != b->value) {
        return a->value < b->value ? -1 : 1;
    }
    return a->index < b->index ? -1 : 1;
}

/* The mu best children are the next parents; the best of all time takes the last one's place when
 * it is not among them. */
static void select_parents(struct discrete *t, const double *points, const struct rank *ranks)
{
    t->parents = 0;
    for (size_t i = 0; i < t->mu && ranks[i].value < HUGE_VAL; i++) {
        memcpy(t->points + i * t->n, points + ranks[i].index * t->n, t->n * sizeof *points);
        t->values[i] = ranks[i].value;
        t->parents++;
    }
    if (t->best < HUGE_VAL && (t->parents == 0 || t->values[0] > t->best)) {
        size_t at = t->parents < t->mu ? t->parents++ : t->mu - 1;

        memcpy(t->points + at * t->n, t->best_point, t->n * sizeof *points);
        t->values[at] = t->best;
    }
}

static int tell(void *self, const double *fitness, struct err *err)
{
    struct discrete *t = self;
    double *points = mem_array(t->lambda * t->n, sizeof *points);
    struct rank *ranks = mem_array(t->lambda, sizeof *ranks);

    (void)err;
    ask(t, points);
    t->exhausted = true;
    for (size_t k = 0; k < t->lambda; k++) {
        const double *point = points + k * t->n;
        uint64_t hash = hash_of(point, t->n);

        ranks[k] = (struct rank){isnan(fitness[k]) ? HUGE_VAL : fitness[k], k};
        if (!holds(t->hashes, t->seen, hash)) {
            t->exhausted = false;
            if (t->seen < SEEN_MAX) {
                t->hashes[t->seen++] = hash;
            }
        }
        if (ranks[k].value < t->best) {
            t->best = ranks[k].value;
            memcpy(t->best_point, point, t->n * sizeof *point);
        }
    }
    qsort(ranks, t->lambda, sizeof *ranks, by_value);
    select_parents(t, points, ranks);
    t->round++;
    free(points);
    free(ranks);
    return 0;
}

/* ---- looking ---- */

static void introduce(const void *self, struct optimiser_card *out)
{
    const struct discrete *t = self;

    *out = (struct optimiser_card){.n = t->n, .objectives = 1};
    snprintf(out->name, sizeof out->name, "discrete");
}

static size_t asks(const void *self)
{
    return ((const struct discrete *)self)->lambda;
}

static const char *stop(const void *self, const char **words)
{
    if (!((const struct discrete *)self)->exhausted) {
        return NULL;
    }
    *words = "every point near the best ones was measured";
    return "exhausted";
}

static double best(const void *self, double *point)
{
    const struct discrete *t = self;

    if (point != NULL) {
        memcpy(point, t->best_point, t->n * sizeof *point);
    }
    return t->best;
}

const struct optimiser_kind optimiser_discrete = {
    .magic = MAGIC,
    .what = "discrete search",
    .size = sizeof(struct discrete),
    .make = make,
    .walk = walk,
    .release = release,
    .introduce = introduce,
    .asks = asks,
    .ask = ask,
    .tell = tell,
    .stop = stop,
    .best = best,
};
