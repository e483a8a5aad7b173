/*
 * listed.c - points that are known beforehand, asked in their order and then no more.
 *
 * A map of single changes or a sensitivity pass is a list; behind the optimisers' door it is asked,
 * told, saved and resumed like any search.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/optimiser_kinds.h"
#include "search/snapshot.h"

#define BATCH 16 /* candidates a generation, when not told */
#define MAGIC "LISTED"

struct listed {
    size_t n, lambda, count, at; /* count points, those before `at` are told */
    size_t objectives;           /* the best is the first one's */
    double best;
    double *numbers; /* [(count + 1), n] */
    double *points;  /* [count, n] */
    double *best_point;
};

static void sizes(struct listed *t, struct snapshot *s)
{
    snapshot_size(s, &t->n, 1, OPTIMISER_N_MAX);
    snapshot_size(s, &t->lambda, 1, 65536);
    snapshot_size(s, &t->count, 1, OPTIMISER_POINTS_MAX);
    snapshot_size(s, &t->at, 0, t->count);
    snapshot_size(s, &t->objectives, 1, OPTIMISER_OBJECTIVES_MAX);
    snapshot_doubles(s, &t->best, 1);
}

static void allocate(struct listed *t)
{
    t->numbers = mem_array((t->count + 1) * t->n, sizeof *t->numbers);
    t->points = t->numbers;
    t->best_point = t->numbers + t->count * t->n;
}

static void release(void *self)
{
    struct listed *t = self;

    if (t != NULL) {
        free(t->numbers);
        free(t);
    }
}

static int make(void **self, const struct optimiser_options *o, struct err *err)
{
    if (o->points == NULL || o->n_points < 1 || o->n_points > OPTIMISER_POINTS_MAX) {
        return err_set(err, ERR_LIMIT, "listed: %zu points, 1 to %d are possible", o->n_points,
                       OPTIMISER_POINTS_MAX);
    }
    struct listed *t = mem_alloc(sizeof *t);

    *t = (struct listed){.n = o->n,
                         .lambda = o->lambda != 0 ? o->lambda : BATCH,
                         .count = o->n_points,
                         .objectives = o->objectives != 0 ? o->objectives : 1,
                         .best = HUGE_VAL};
    allocate(t);
    memcpy(t->points, o->points, t->count * t->n * sizeof *t->points);
    memcpy(t->best_point, o->start, t->n * sizeof *t->best_point);
    *self = t;
    return 0;
}

static void save(const void *self, unsigned char **bytes, size_t *n)
{
    struct listed *t = (struct listed *)self; /* the walk reads it only */
    struct snapshot s;

    snapshot_write(&s, MAGIC);
    sizes(t, &s);
    snapshot_finite(&s, t->numbers, (t->count + 1) * t->n);
    snapshot_take(&s, bytes, n);
}

static int restore(void **self, const unsigned char *bytes, size_t n, struct err *err)
{
    struct listed *t = mem_alloc(sizeof *t);
    struct snapshot s;

    *t = (struct listed){0};
    snapshot_read(&s, MAGIC, bytes, n);
    sizes(t, &s);
    snapshot_expect(&s, snapshot_holds(&s, (t->count + 1) * t->n));
    t->n = s.bad ? 1 : t->n;
    t->count = s.bad ? 1 : t->count;
    allocate(t);
    snapshot_finite(&s, t->numbers, (t->count + 1) * t->n);
    int rc = snapshot_end(&s, "listed points", err);

    if (rc != 0) {
        release(t);
        return rc;
    }
    *self = t;
    return 0;
}

/* ---- asking ---- */

/* Whole generations, and what remains in the last. */
static size_t asks(const void *self)
{
    const struct listed *t = self;

    return t->count - t->at < t->lambda ? t->count - t->at : t->lambda;
}

static void ask(void *self, double *points)
{
    const struct listed *t = self;

    memcpy(points, t->points + t->at * t->n, asks(t) * t->n * sizeof *points);
}

static int tell(void *self, const double *fitness, struct err *err)
{
    struct listed *t = self;
    const size_t told = asks(t);

    (void)err;
    for (size_t k = 0; k < told; k++) {
        if (fitness[k * t->objectives] < t->best) {
            t->best = fitness[k * t->objectives];
            memcpy(t->best_point, t->points + (t->at + k) * t->n, t->n * sizeof *t->best_point);
        }
    }
    t->at += told;
    return 0;
}

/* ---- looking ---- */

static const char *name(const void *self)
{
    (void)self;
    return "listed";
}

static size_t n_of(const void *self)
{
    return ((const struct listed *)self)->n;
}

static size_t objectives(const void *self)
{
    return ((const struct listed *)self)->objectives;
}

static const char *stop(const void *self, const char **words)
{
    const struct listed *t = self;

    *words = "every point of the list was asked";
    return t->at == t->count ? "listed" : NULL;
}

/* It looks nowhere in particular: the best so far says more. */
static void mean(const void *self, double *out)
{
    const struct listed *t = self;

    memcpy(out, t->best_point, t->n * sizeof *out);
}

static double best(const void *self, double *point)
{
    const struct listed *t = self;

    if (point != NULL) {
        memcpy(point, t->best_point, t->n * sizeof *point);
    }
    return t->best;
}

const struct optimiser_kind optimiser_listed = {
    .magic = MAGIC,
    .make = make,
    .restore = restore,
    .save = save,
    .free = release,
    .name = name,
    .n = n_of,
    .objectives = objectives,
    .asks = asks,
    .ask = ask,
    .tell = tell,
    .stop = stop,
    .mean = mean,
    .best = best,
};
