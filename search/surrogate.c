/*
 * surrogate.c - lq-CMA-ES: a CMA-ES that asks a quadratic model first.
 *
 *      a generation of the CMA-ES, lambda candidates
 *          --> the model ranks them; the first few are evaluated
 *          --> the model is fitted again; does it rank what was evaluated last as the truth does?
 *                 no:  half as many again are evaluated, and so on until all are
 *                 yes: the CMA-ES is told the model's values, shifted to the best true one
 *          --> the model's bottom is put into the next generation
 *
 * On smooth objectives that takes a tenth to a hundredth of the evaluations; where the model ranks
 * badly all candidates are evaluated and the CMA-ES is what it would be without. A generation at
 * the door is one such portion, so their sizes vary.
 *
 * The model is a function of the archive, the last points evaluated; only that is saved.
 * N. Hansen, A global surrogate assisted CMA-ES, GECCO 2019.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/cmaes.h"
#include "search/optimiser_kinds.h"
#include "search/quadratic.h"
#include "search/snapshot.h"

#define MAGIC "LQCMA"
#define TAU_GOOD 0.85
#define ARCHIVE_LEAST 4   /* points before a model is worth asking */
#define ARCHIVE_SHARE 1.5 /* times the terms of the whole model: older points mislead */

struct surrogate {
    struct cmaes *search;
    size_t n, lambda, room;
    double *lower, *upper; /* [n] */
    size_t count;          /* points in the archive, the newest last */
    double *points;        /* [room, n] */
    double *values;        /* [room] */
    struct quadratic model;
    double *candidates; /* [lambda, n] of the open generation */
    double *truth;      /* [lambda] values told in it, NaN: failed or not yet */
    uint64_t *turn;     /* [lambda] 0: not evaluated, 1: being evaluated, 2: evaluated */
    size_t n_open;      /* being evaluated */
    double best;
    double *best_point; /* [n] */
};

/* ---- making ---- */

static void allocate(struct surrogate *t)
{
    t->room = (size_t)(ARCHIVE_SHARE * (double)quadratic_terms(t->n)) + t->lambda;
    t->lower = mem_array(3 * t->n, sizeof *t->lower);
    t->upper = t->lower + t->n;
    t->best_point = t->lower + 2 * t->n;
    t->points = mem_array(t->room * t->n, sizeof *t->points);
    t->values = mem_array(t->room, sizeof *t->values);
    t->candidates = mem_array(t->lambda * t->n, sizeof *t->candidates);
    t->truth = mem_array(t->lambda, sizeof *t->truth);
    t->turn = mem_array(t->lambda, sizeof *t->turn);
    quadratic_init(&t->model, t->n);
}

static void release(void *self)
{
    struct surrogate *t = self;

    cmaes_free(t->search);
    free(t->lower);
    free(t->points);
    free(t->values);
    free(t->candidates);
    free(t->truth);
    free(t->turn);
    quadratic_release(&t->model);
}

static size_t largest(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Mark the `more` candidates that the model likes best among those not evaluated; without a model
 * the first ones. */
static void open_portion(struct surrogate *t, size_t more)
{
    for (t->n_open = 0; t->n_open < more; t->n_open++) {
        size_t pick = SIZE_MAX;
        double least = HUGE_VAL;

        for (size_t k = 0; k < t->lambda; k++) {
            double value = quadratic_value(&t->model, t->candidates + k * t->n);

            if (t->turn[k] == 0 && (pick == SIZE_MAX || value < least)) {
                least = value;
                pick = k;
            }
        }
        if (pick == SIZE_MAX) {
            return;
        }
        t->turn[pick] = 1;
    }
}

/* One, two in a hundred, or what the model lacks to be one. */
static size_t first_portion(const struct surrogate *t)
{
    size_t lacks = t->count < ARCHIVE_LEAST ? ARCHIVE_LEAST - t->count : 0;

    return 1 + largest(t->lambda / 50, lacks);
}

static void open_generation(struct surrogate *t)
{
    cmaes_ask(t->search, t->candidates);
    memset(t->turn, 0, t->lambda * sizeof *t->turn);
    open_portion(t, first_portion(t));
}

static int make(void *self, const struct optimiser_options *o, struct err *err)
{
    struct surrogate *t = self;
    const struct cmaes_options options = {.n = o->n,
                                          .start = o->start,
                                          .sigma = o->sigma,
                                          .deviations = o->deviations,
                                          .lambda = o->lambda,
                                          .seed = o->seed,
                                          .stream = o->stream,
                                          .lower = o->lower,
                                          .upper = o->upper,
                                          .limits = o->limits};

    *t = (struct surrogate){.n = o->n, .best = HUGE_VAL};
    int rc = cmaes_new(&t->search, &options, err);

    if (rc != 0) {
        return rc;
    }
    t->lambda = cmaes_lambda(t->search);
    allocate(t);
    for (size_t j = 0; j < t->n; j++) {
        t->lower[j] = o->lower != NULL ? o->lower[j] : -HUGE_VAL;
        t->upper[j] = o->upper != NULL ? o->upper[j] : HUGE_VAL;
        t->best_point[j] = o->start[j];
    }
    open_generation(t);
    return 0;
}

/* ---- bytes ---- */

static void walk_state(struct surrogate *t, struct snapshot *s)
{
    snapshot_size(s, &t->count, 0, t->room);
    snapshot_doubles(s, t->lower, t->n);
    snapshot_doubles(s, t->upper, t->n);
    snapshot_finite(s, t->best_point, t->n);
    snapshot_doubles(s, &t->best, 1);
    snapshot_finite(s, t->points, t->count * t->n);
    snapshot_finite(s, t->values, t->count);
    snapshot_any(s, t->truth, t->lambda);
    t->n_open = 0;
    for (size_t k = 0; k < t->lambda; k++) {
        snapshot_count(s, &t->turn[k], 2);
        t->n_open += t->turn[k] == 1 ? 1 : 0;
    }
    snapshot_expect(s, t->n_open > 0);
    for (size_t j = 0; j < t->n; j++) {
        snapshot_expect(s, t->lower[j] < t->upper[j]);
    }
}

static int walk(void *self, struct snapshot *s, struct err *err)
{
    struct surrogate *t = self;
    int rc = cmaes_walk_inner(&t->search, s, err);

    snapshot_expect(s, rc != 0 || (t->search != NULL && cmaes_n(t->search) <= QUADRATIC_N_MAX));
    if (s->bad || rc != 0) {
        return rc;
    }
    if (s->reading) {
        t->n = cmaes_n(t->search);
        t->lambda = cmaes_lambda(t->search);
        allocate(t);
    }
    walk_state(t, s);
    if (s->reading && !s->bad) {
        cmaes_ask(t->search, t->candidates);
        quadratic_fit(&t->model, t->points, t->values, t->count);
    }
    return 0;
}

/* ---- telling ---- */

static void add_to_archive(struct surrogate *t, size_t k)
{
    if (!isfinite(t->truth[k])) {
        return;
    }
    if (t->count == t->room) { /* the oldest goes */
        t->count--;
        memmove(t->points, t->points + t->n, t->count * t->n * sizeof *t->points);
        memmove(t->values, t->values + 1, t->count * sizeof *t->values);
    }
    memcpy(t->points + t->count * t->n, t->candidates + k * t->n, t->n * sizeof *t->points);
    t->values[t->count++] = t->truth[k];
}

static size_t evaluated(const struct surrogate *t)
{
    size_t count = 0;

    for (size_t k = 0; k < t->lambda; k++) {
        count += t->turn[k] == 2 ? 1 : 0;
    }
    return count;
}

static double sign(double x)
{
    return (double)((x > 0.0) - (x < 0.0));
}

/* Kendall's tau between model and truth over the newest points of the archive. */
static double agreement(const struct surrogate *t)
{
    double most = fmax(15.0, fmin(1.2 * (double)evaluated(t), 0.75 * (double)t->lambda));
    size_t n = (size_t)fmin(most, (double)t->count), first = t->count - n;
    double *model = mem_array(n + 1, sizeof *model), sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        model[i] = quadratic_value(&t->model, t->points + (first + i) * t->n);
        for (size_t j = 0; j < i; j++) {
            sum += sign(model[i] - model[j]) * sign(t->values[first + i] - t->values[first + j]);
        }
    }
    free(model);
    return n < 2 ? -1.0 : sum / (0.5 * (double)n * (double)(n - 1));
}

/* What the CMA-ES is told: the truth when there is nothing else; else the model, with its least
 * value set to the best true one. A candidate that failed stays one. */
static void fill_fitness(const struct surrogate *t, bool all, double *fitness)
{
    double least_model = HUGE_VAL, least_truth = HUGE_VAL;

    for (size_t k = 0; k < t->lambda; k++) {
        bool known = t->turn[k] == 2;

        fitness[k] = all ? t->truth[k] : quadratic_value(&t->model, t->candidates + k * t->n);
        fitness[k] = known && !isfinite(t->truth[k]) ? (double)NAN : fitness[k];
        least_model = fmin(least_model, fitness[k]);
        least_truth = known ? fmin(least_truth, t->truth[k]) : least_truth;
    }
    for (size_t k = 0; k < t->lambda && !all && isfinite(least_truth - least_model); k++) {
        fitness[k] += least_truth - least_model;
    }
}

/* The CMA-ES ran out of numbers. */
static bool has_run_out(const struct surrogate *t)
{
    const char *rule = cmaes_stop(t->search);

    return rule != NULL && strcmp(rule, "numeric") == 0;
}

static int close_generation(struct surrogate *t, bool all, struct err *err)
{
    double *fitness = mem_array(t->lambda, sizeof *fitness);
    double *bottom = mem_array(t->n, sizeof *bottom);

    fill_fitness(t, all, fitness);
    int rc = cmaes_tell(t->search, fitness, err);

    if (rc == 0 && has_run_out(t)) {
        t->turn[0] = 1; /* nothing more can be asked: what was asked stays */
        t->n_open = 1;
    } else if (rc == 0) {
        if (quadratic_least(&t->model, t->lower, t->upper, bottom)) {
            (void)cmaes_inject(t->search, bottom, NULL); /* a bottom beyond all numbers is none */
        }
        open_generation(t);
    }
    free(fitness);
    free(bottom);
    return rc;
}

static int tell(void *self, const double *fitness, struct err *err)
{
    struct surrogate *t = self;

    if (has_run_out(t)) {
        return cmaes_tell(t->search, fitness, err); /* refuses, with its words */
    }
    for (size_t k = 0, i = 0; k < t->lambda; k++) {
        if (t->turn[k] == 1) {
            t->truth[k] = fitness[i++];
            t->turn[k] = 2;
            add_to_archive(t, k);
            if (t->truth[k] < t->best) {
                t->best = t->truth[k];
                memcpy(t->best_point, t->candidates + k * t->n, t->n * sizeof *t->best_point);
            }
        }
    }
    quadratic_fit(&t->model, t->points, t->values, t->count);
    const size_t done = evaluated(t);
    const bool all = done == t->lambda;

    if (all || (t->model.terms > 0 && agreement(t) >= TAU_GOOD)) {
        return close_generation(t, all, err);
    }
    open_portion(t, (done + 1) / 2);
    return 0;
}

/* ---- at the door ---- */

static size_t population(const void *self)
{
    return ((const struct surrogate *)self)->lambda;
}

static size_t asks(const void *self)
{
    return ((const struct surrogate *)self)->n_open;
}

static void ask(void *self, double *points)
{
    const struct surrogate *t = self;

    for (size_t k = 0; k < t->lambda; k++) {
        if (t->turn[k] == 1) {
            memcpy(points, t->candidates + k * t->n, t->n * sizeof *points);
            points += t->n;
        }
    }
}

static int inject(void *self, const double *point, struct err *err)
{
    struct surrogate *t = self;

    if (evaluated(t) > 0) {
        return err_set(err, ERR_LIMIT, "the open generation is half evaluated");
    }
    int rc = cmaes_inject(t->search, point, err);

    if (rc == 0) {
        open_generation(t);
    }
    return rc;
}

static const char *stop(const void *self, const char **words)
{
    const struct surrogate *t = self;
    const char *rule = cmaes_stop(t->search);

    *words = rule != NULL ? cmaes_stop_words(rule) : NULL;
    return rule;
}

static void introduce(const void *self, struct optimiser_card *out)
{
    const struct surrogate *t = self;

    *out = (struct optimiser_card){.n = t->n, .objectives = 1};
    snprintf(out->name, sizeof out->name, "lq-cma-es");
}

static void mean(const void *self, double *out)
{
    cmaes_mean(((const struct surrogate *)self)->search, out);
}

static void deviations(const void *self, double *out)
{
    cmaes_deviations(((const struct surrogate *)self)->search, out);
}

static double sigma(const void *self)
{
    return cmaes_sigma(((const struct surrogate *)self)->search);
}

static double best(const void *self, double *point)
{
    const struct surrogate *t = self;

    if (point != NULL) {
        memcpy(point, t->best_point, t->n * sizeof *point);
    }
    return t->best;
}

const struct optimiser_kind optimiser_surrogate = {
    .magic = MAGIC,
    .what = "lq-CMA-ES",
    .size = sizeof(struct surrogate),
    .make = make,
    .walk = walk,
    .release = release,
    .introduce = introduce,
    .asks = asks,
    .population = population,
    .ask = ask,
    .tell = tell,
    .inject = inject,
    .stop = stop,
    .mean = mean,
    .deviations = deviations,
    .sigma = sigma,
    .best = best,
};
