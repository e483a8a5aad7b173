/*
 * listed.c - points that are known beforehand, asked in their order and then no more.
 *
 * A map of single changes or a sensitivity pass is a list; behind the optimisers' door it is asked,
 * told, saved and resumed like any search.
 */
#include <math.h>
#include <stdio.h>
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

static void allocate(struct listed *t)
{
    t->numbers = mem_array((t->count + 1) * t->n, sizeof *t->numbers);
    t->points = t->numbers;
    t->best_point = t->numbers + t->count * t->n;
}

static void release(void *self)
{
    struct listed *t = self;

    free(t->numbers);
}

static int make(void *self, const struct optimiser_options *o, struct err *err)
{
    if (o->points == NULL || o->n_points < 1 || o->n_points > OPTIMISER_POINTS_MAX) {
        return err_set(err, ERR_LIMIT, "listed: %zu points, 1 to %d are possible", o->n_points,
                       OPTIMISER_POINTS_MAX);
    }
    struct listed *t = self;

    *t = (struct listed){.n = o->n,
                         .lambda = o->lambda != 0 ? o->lambda : BATCH,
                         .count = o->n_points,
                         .objectives = o->objectives != 0 ? o->objectives : 1,
                         .best = HUGE_VAL};
    allocate(t);
    memcpy(t->points, o->points, t->count * t->n * sizeof *t->points);
    memcpy(t->best_point, o->start, t->n * sizeof *t->best_point);
    return 0;
}

static int walk(void *self, struct snapshot *s, struct err *err)
{
    struct listed *t = self;

    (void)err;
    snapshot_size(s, &t->n, 1, OPTIMISER_N_MAX);
    snapshot_size(s, &t->lambda, 1, 65536);
    snapshot_size(s, &t->count, 1, OPTIMISER_POINTS_MAX);
    snapshot_size(s, &t->at, 0, t->count);
    snapshot_size(s, &t->objectives, 1, OPTIMISER_OBJECTIVES_MAX);
    snapshot_doubles(s, &t->best, 1);
    if (s->reading) {
        snapshot_expect(s, snapshot_holds(s, (t->count + 1) * t->n));
        t->n = s->bad ? 1 : t->n;
        t->count = s->bad ? 1 : t->count;
        allocate(t);
    }
    snapshot_finite(s, t->numbers, (t->count + 1) * t->n);
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

static void introduce(const void *self, struct optimiser_card *out)
{
    const struct listed *t = self;

    *out = (struct optimiser_card){.n = t->n, .objectives = t->objectives};
    snprintf(out->name, sizeof out->name, "listed");
}

static const char *stop(const void *self, const char **words)
{
    const struct listed *t = self;

    *words = "every point of the list was asked";
    return t->at == t->count ? "listed" : NULL;
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
    .what = "listed points",
    .size = sizeof(struct listed),
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
