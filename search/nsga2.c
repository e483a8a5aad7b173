/*
 * nsga2.c - several objectives: a population that spreads along the front nobody dominates.
 *
 *      parents --> pairs, crossed and mutated --> offspring, measured
 *                  parents and offspring together, by front, then by distance from their neighbours
 *              --> the better half are the next parents
 *
 * What was ever found and is dominated by nothing is kept in an archive beside the population; it
 * is the result. Offspring are a function of (seed, round, index) and the parents.
 *
 * Deb, Pratap, Agarwal, Meyarivan, NSGA-II, IEEE TEC 6(2), 2002; simulated binary crossover and
 * polynomial mutation with the usual indices 15 and 20.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/archive.h"
#include "search/bounds.h"
#include "search/optimiser_kinds.h"
#include "search/pareto.h"
#include "search/snapshot.h"

#define MAGIC "NSGA2"
#define POPULATION 40       /* when not told */
#define POPULATION_MAX 1024 /* sorting is quadratic */
#define CROSS_CHANCE 0.9
#define CROSS_INDEX 15.0
#define MUTATE_INDEX 20.0
#define REACH 3.0 /* sigmas on a side without a bound */

struct nsga2 {
    size_t n, m, lambda;
    uint64_t seed, stream, round;
    double *lower, *upper, *steps, *start; /* [N] */
    size_t parents;                        /* 0 before the first generation, lambda after it */
    double *points;                        /* [2 lambda, N] parents, then offspring */
    double *values;                        /* [2 lambda, M] */
    struct archive archive;
};

/* ---- making ---- */

static void allocate(struct nsga2 *t)
{
    t->lower = mem_array(4 * t->n, sizeof *t->lower);
    t->upper = t->lower + t->n;
    t->steps = t->lower + 2 * t->n;
    t->start = t->lower + 3 * t->n;
    t->points = mem_array(2 * t->lambda * t->n, sizeof *t->points);
    t->values = mem_array(2 * t->lambda * t->m, sizeof *t->values);
    archive_init(&t->archive, t->n, t->m);
}

static void release(void *self)
{
    struct nsga2 *t = self;

    free(t->lower);
    free(t->points);
    free(t->values);
    archive_release(&t->archive);
}

static int make(void *self, const struct optimiser_options *o, struct err *err)
{
    if (o->lambda > POPULATION_MAX) {
        return err_set(err, ERR_LIMIT, "population %zu: at most %d for nsga-ii", o->lambda,
                       POPULATION_MAX);
    }
    struct nsga2 *t = self;

    *t = (struct nsga2){.n = o->n,
                        .m = o->objectives > 0 ? o->objectives : 1,
                        .lambda = o->lambda != 0 ? o->lambda : POPULATION,
                        .seed = o->seed,
                        .stream = o->stream != 0 ? o->stream : RNG_SAMPLING};
    allocate(t);
    for (size_t j = 0; j < t->n; j++) {
        double reach = REACH * o->sigma * (o->deviations != NULL ? o->deviations[j] : 1.0);

        t->lower[j] = o->lower != NULL ? o->lower[j] : -HUGE_VAL;
        t->upper[j] = o->upper != NULL ? o->upper[j] : HUGE_VAL;
        t->steps[j] = o->steps != NULL ? fabs(o->steps[j]) : 0.0;
        t->lower[j] = isinf(t->lower[j]) ? o->start[j] - reach : t->lower[j];
        t->upper[j] = isinf(t->upper[j]) ? o->start[j] + reach : t->upper[j];
        t->start[j] = o->start[j];
    }
    return 0;
}

/* ---- bytes ---- */

/* What was read is a state that a search can have. */
static bool is_sound(const struct nsga2 *t)
{
    bool sound = t->parents == 0 || t->parents == t->lambda;

    for (size_t j = 0; j < t->n; j++) {
        sound = sound && bounds_are_usable(t->lower[j], t->upper[j]) &&
                (t->steps[j] == 0.0 || bounds_take_step(t->steps[j], t->lower[j], t->upper[j]));
        for (size_t i = 0; i < t->parents; i++) {
            const double x = t->points[i * t->n + j];

            sound = sound && x >= t->lower[j] && x <= t->upper[j];
        }
    }
    return sound;
}

static int walk(void *self, struct snapshot *s, struct err *err)
{
    struct nsga2 *t = self;

    (void)err;
    snapshot_size(s, &t->n, 1, 4096);
    snapshot_size(s, &t->m, 1, OPTIMISER_OBJECTIVES_MAX);
    snapshot_size(s, &t->lambda, 2, POPULATION_MAX);
    if (s->reading) {
        allocate(t);
    }
    snapshot_count(s, &t->seed, UINT64_MAX);
    snapshot_count(s, &t->stream, UINT64_MAX);
    snapshot_count(s, &t->round, UINT64_C(1) << 32);
    snapshot_finite(s, t->lower, 4 * t->n); /* all four arrays */
    snapshot_size(s, &t->parents, 0, t->lambda);
    snapshot_finite(s, t->points, t->parents * t->n);
    snapshot_doubles(s, t->values, t->parents * t->m);
    archive_walk(&t->archive, s);
    snapshot_expect(s, !s->reading || is_sound(t));
    return 0;
}

/* ---- offspring ---- */

static double on_grid(const struct nsga2 *t, size_t j, double x)
{
    double step = t->steps[j], last = t->upper[j];

    if (step > 0.0) {
        x = t->lower[j] + step * round((x - t->lower[j]) / step);
        last = t->lower[j] + step * floor((t->upper[j] - t->lower[j]) / step + 1e-9);
    }
    return fmin(fmax(x, t->lower[j]), last);
}

/* The better of two parents drawn: by front, then by room around it. */
static const double *pick(const struct nsga2 *t, const size_t *fronts, const double *crowding,
                          struct rng64 *rng)
{
    size_t a = (size_t)(rng64_uniform(rng) * (double)t->parents);
    size_t b = (size_t)(rng64_uniform(rng) * (double)t->parents);
    bool first = fronts[a] < fronts[b] || (fronts[a] == fronts[b] && crowding[a] >= crowding[b]);

    return t->points + (first ? a : b) * t->n;
}

/* How far two children lie apart, over their parents' distance. */
static double spread(double u)
{
    double power = 1.0 / (CROSS_INDEX + 1.0);

    return u <= 0.5 ? pow(2.0 * u, power) : pow(1.0 / (2.0 * (1.0 - u)), power);
}

/* A step of polynomial mutation, over the box. */
static double mutation(double u)
{
    double power = 1.0 / (MUTATE_INDEX + 1.0);

    return u < 0.5 ? pow(2.0 * u, power) - 1.0 : 1.0 - pow(2.0 * (1.0 - u), power);
}

/* Draws a fixed number of uniform numbers: 6 + 4 n. */
static void breed(const struct nsga2 *t, const size_t *fronts, const double *crowding,
                  struct rng64 *rng, double *child)
{
    const double *a = pick(t, fronts, crowding, rng), *b = pick(t, fronts, crowding, rng);
    bool cross = rng64_uniform(rng) < CROSS_CHANCE;
    double side = rng64_uniform(rng) < 0.5 ? 1.0 : -1.0;

    for (size_t j = 0; j < t->n; j++) {
        double use = rng64_uniform(rng), share = spread(rng64_uniform(rng));
        double mutate = rng64_uniform(rng), step = mutation(rng64_uniform(rng));
        double x = a[j];

        if (cross && use < 0.5) {
            x = 0.5 * (a[j] + b[j]) + side * 0.5 * share * (a[j] - b[j]);
        }
        if (mutate * (double)t->n < 1.0) {
            x += step * (t->upper[j] - t->lower[j]);
        }
        child[j] = on_grid(t, j, x);
    }
}

/* The first generation: the start, then points all over the box. */
static void scatter(const struct nsga2 *t, struct rng64 *rng, double *points)
{
    for (size_t i = 0; i < t->lambda * t->n; i++) {
        size_t j = i % t->n;
        double share = rng64_uniform(rng);

        points[i] = i < t->n ? on_grid(t, j, t->start[j])
                             : on_grid(t, j, t->lower[j] + share * (t->upper[j] - t->lower[j]));
    }
}

static void ask(void *self, double *points)
{
    struct nsga2 *t = self;
    size_t *fronts = mem_array(t->parents + 1, sizeof *fronts);
    double *crowding = mem_array(t->parents + 1, sizeof *crowding);
    struct rng64 rng;

    rng64_seed(&rng, t->seed, t->stream);
    rng64_advance(&rng, 0, t->round * t->lambda * (6 + 4 * t->n));
    if (t->parents == 0) {
        scatter(t, &rng, points);
    } else {
        pareto_fronts(t->values, t->parents, t->m, fronts);
        pareto_crowding(t->values, t->parents, t->m, fronts, crowding);
        for (size_t k = 0; k < t->lambda; k++) {
            breed(t, fronts, crowding, &rng, points + k * t->n);
        }
    }
    free(fronts);
    free(crowding);
}

/* ---- telling ---- */

struct rank {
    size_t front, index;
    double crowding;
};

static int by_rank(const void *left, const void *right)
{
    const struct rank *a = left, *b = right;

    if (a->front != b->front) {
        return a->front < b->front ? -1 : 1;
    }
    if (a->crowding != b->crowding) {
        return a->crowding > b->crowding ? -1 : 1;
    }
    return a->index < b->index ? -1 : 1;
}

/* Of parents and offspring [n] the best lambda become parents. */
static void select_parents(struct nsga2 *t, size_t n)
{
    size_t *fronts = mem_array(n, sizeof *fronts);
    double *crowding = mem_array(n, sizeof *crowding);
    struct rank *order = mem_array(n, sizeof *order);
    double *points = mem_array(2 * t->lambda * t->n, sizeof *points);
    double *values = mem_array(2 * t->lambda * t->m, sizeof *values);

    pareto_fronts(t->values, n, t->m, fronts);
    pareto_crowding(t->values, n, t->m, fronts, crowding);
    for (size_t i = 0; i < n; i++) {
        order[i] = (struct rank){fronts[i], i, crowding[i]};
    }
    qsort(order, n, sizeof *order, by_rank);
    for (size_t i = 0; i < t->lambda; i++) {
        memcpy(points + i * t->n, t->points + order[i].index * t->n, t->n * sizeof *points);
        memcpy(values + i * t->m, t->values + order[i].index * t->m, t->m * sizeof *values);
    }
    free(t->points);
    free(t->values);
    t->points = points;
    t->values = values;
    t->parents = t->lambda;
    free(fronts);
    free(crowding);
    free(order);
}

static int tell(void *self, const double *fitness, struct err *err)
{
    struct nsga2 *t = self;
    const size_t first = t->parents;

    (void)err;
    ask(t, t->points + first * t->n);
    memcpy(t->values + first * t->m, fitness, t->lambda * t->m * sizeof *fitness);
    for (size_t k = 0; k < t->lambda; k++) {
        double *row = t->values + (first + k) * t->m;

        pareto_mark_failed(row, t->m);
        archive_add(&t->archive, t->points + (first + k) * t->n, row);
    }
    select_parents(t, first + t->lambda);
    t->round++;
    return 0;
}

static void introduce(const void *self, struct optimiser_card *out)
{
    const struct nsga2 *t = self;

    *out = (struct optimiser_card){.n = t->n, .objectives = t->m};
    snprintf(out->name, sizeof out->name, "nsga-ii");
}

static size_t asks(const void *self)
{
    return ((const struct nsga2 *)self)->lambda;
}

static size_t front(const void *self, const double **points, const double **values)
{
    const struct nsga2 *t = self;

    *points = t->archive.points;
    *values = t->archive.values;
    return t->archive.count;
}

static void mean(const void *self, double *out)
{
    const struct nsga2 *t = self;

    archive_compromise(&t->archive, t->start, out);
}

static double best(const void *self, double *point)
{
    const struct nsga2 *t = self;

    return archive_best(&t->archive, t->start, point);
}

const struct optimiser_kind optimiser_nsga2 = {
    .magic = MAGIC,
    .what = "NSGA-II",
    .size = sizeof(struct nsga2),
    .make = make,
    .walk = walk,
    .release = release,
    .introduce = introduce,
    .asks = asks,
    .ask = ask,
    .tell = tell,
    .front = front,
    .mean = mean,
    .best = best,
};
