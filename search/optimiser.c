/*
 * optimiser.c - the door: who is behind it, who is asked for, who is sent away.
 *
 * Bytes name their maker in their first letters, so restore needs no options; what stands around an
 * optimiser (restarts, re-evaluation) holds another door inside.
 */
#include "search/optimiser.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/bounds.h"
#include "search/cmaes.h"
#include "search/cmaes_constants.h"
#include "search/optimiser_kinds.h"
#include "search/quadratic.h"
#include "search/snapshot.h"

struct optimiser {
    const struct optimiser_kind *kind;
    struct optimiser_card card;
    void *self;
};

enum { INTEGERS = 1, RESTARTS = 2, REEVALUATES = 4, ADAPTS = 8, SEVERAL = 16, CATEGORIES = 32 };

static const struct algorithm {
    const char *name, *words;
    const struct optimiser_kind *kind;
    size_t n_max;
    unsigned can;
} algorithms[] = {
    {"cma-es", "CMA-ES with full covariance and active update: the one to start with",
     &optimiser_cmaes, CMAES_N_MAX, INTEGERS | RESTARTS | REEVALUATES | ADAPTS},
    {"sep-cma-es", "CMA-ES with a diagonal covariance: many coordinates that hardly interact",
     &optimiser_cmaes, CMAES_N_MAX, INTEGERS | RESTARTS | REEVALUATES},
    {"dd-cma-es",
     "CMA-ES with full covariance and a fast diagonal: many coordinates that may interact",
     &optimiser_cmaes, CMAES_N_MAX, RESTARTS | REEVALUATES},
    {"lq-cma-es", "CMA-ES that asks a quadratic model first: few coordinates, costly evaluations",
     &optimiser_surrogate, QUADRATIC_N_MAX, RESTARTS},
    {"catcma",
     "CMA-ES with margin and categories: switches and whole numbers among the coordinates",
     &optimiser_catcma, CMAES_N_MAX, INTEGERS | CATEGORIES | RESTARTS},
    {"lm-ma-es", "limited-memory matrix adaptation: up to a hundred thousand coordinates",
     &optimiser_lmma, OPTIMISER_N_MAX, RESTARTS},
    {"mo-cma-es", "a small CMA-ES for each part of the front of several objectives",
     &optimiser_mocma, MOCMA_N_MAX, SEVERAL},
    {"nsga-ii", "a population along the front of several objectives", &optimiser_nsga2, 4096,
     INTEGERS | CATEGORIES | SEVERAL},
    {"discrete", "a (mu, lambda) search that asks nothing twice: sets of choices, edits of a route",
     &optimiser_discrete, 4096, INTEGERS | CATEGORIES},
    {"random", "uniform random points: the honest baseline", &optimiser_sampling, OPTIMISER_N_MAX,
     INTEGERS | CATEGORIES},
    {"halton", "points that fill the box evenly: the better baseline", &optimiser_sampling,
     OPTIMISER_N_MAX, INTEGERS | CATEGORIES},
    {"sobol", "points that fill every box evenly: the best of these baselines", &optimiser_sampling,
     OPTIMISER_N_MAX, INTEGERS | CATEGORIES},
    {"listed", "points that are known beforehand", &optimiser_listed, OPTIMISER_N_MAX,
     INTEGERS | CATEGORIES | SEVERAL},
};

#define ALGORITHMS (sizeof algorithms / sizeof *algorithms)

/* All that can be in bytes; NULL past the last. */
static const struct optimiser_kind *const kinds[] = {
    &optimiser_cmaes,        &optimiser_restarts, &optimiser_sampling, &optimiser_catcma,
    &optimiser_surrogate,    &optimiser_lmma,     &optimiser_nsga2,    &optimiser_mocma,
    &optimiser_reevaluation, &optimiser_discrete, &optimiser_listed,   NULL};

static const struct algorithm *find(const char *name)
{
    for (size_t i = 0; i < ALGORITHMS; i++) {
        if (strcmp(algorithms[i].name, name) == 0) {
            return &algorithms[i];
        }
    }
    return NULL;
}

const char *optimiser_algorithm(size_t i, const char **words)
{
    if (i >= ALGORITHMS) {
        return NULL;
    }
    *words = algorithms[i].words;
    return algorithms[i].name;
}

bool optimiser_takes_several(const char *algorithm)
{
    const struct algorithm *found = find(algorithm);

    return strcmp(algorithm, "auto") == 0 || (found != NULL && (found->can & SEVERAL) != 0);
}

/* ---- choosing ---- */

static bool is_set(const char *choice)
{
    return choice != NULL && strcmp(choice, "none") != 0;
}

#define FULL_MAX 40 /* coordinates up to which the full covariance is learned soon enough */
#define MODEL_MAX \
    20 /* coordinates up to which a quadratic model is learned within a small budget */
#define SMALL_BUDGET 1000 /* evaluations: beyond that CMA-ES alone gets as far */

static bool has_integers(const struct optimiser_options *o)
{
    bool any = false;

    for (size_t j = 0; j < o->n && o->steps != NULL; j++) {
        any = any || o->steps[j] != 0.0;
    }
    return any;
}

static bool has_categories(const struct optimiser_options *o)
{
    bool any = false;

    for (size_t j = 0; j < o->n && o->steps != NULL; j++) {
        any = any || o->steps[j] < 0.0;
    }
    return any;
}

double optimiser_horizon(const char *algorithm, size_t n, size_t *lambda)
{
    static const char *const full[] = {"cma-es", "dd-cma-es", "lq-cma-es", "catcma"};
    const bool diagonal = strcmp(algorithm, "sep-cma-es") == 0;
    struct cmaes_constants c;
    bool learns = diagonal;

    for (size_t i = 0; i < sizeof full / sizeof *full; i++) {
        learns = learns || strcmp(algorithm, full[i]) == 0;
    }
    *lambda = *lambda > 0 ? *lambda : cmaes_lambda_default(n);
    if (!learns) {
        return 0.0;
    }
    if (diagonal) {
        cmaes_constants_init_diagonal(&c, n, *lambda, false);
    } else {
        cmaes_constants_init(&c, n, *lambda, false);
    }
    double horizon = 1.0 / (c.c_1 + c.c_mu);

    cmaes_constants_release(&c);
    return horizon;
}

const char *optimiser_choose(const struct optimiser_options *o, char *why, size_t n)
{
    if (o->objectives > 1 && (o->n > MOCMA_N_MAX || has_integers(o))) {
        snprintf(why, n, "nsga-ii: %zu objectives have a front, not a best point", o->objectives);
        return "nsga-ii";
    }
    if (o->objectives > 1) {
        snprintf(why, n, "mo-cma-es: climbs each part of the front of %zu objectives by itself",
                 o->objectives);
        return "mo-cma-es";
    }
    if (has_integers(o)) {
        snprintf(why, n,
                 "catcma: whole numbers keep moving by a margin, switches by their chances");
        return "catcma";
    }
    bool small = o->evaluations != 0 && o->evaluations <= SMALL_BUDGET;

    if (o->n <= MODEL_MAX && small && !is_set(o->noise)) {
        snprintf(why, n,
                 "lq-cma-es: %zu coordinates and %llu evaluations, which a model can save; it asks "
                 "few at a time, so name cma-es when many workers wait",
                 o->n, (unsigned long long)o->evaluations);
        return "lq-cma-es";
    }
    if (o->n <= FULL_MAX || is_set(o->noise)) {
        snprintf(why, n, "cma-es: learns how %zu coordinates interact", o->n);
        return "cma-es";
    }
    if (o->n > CMAES_N_MAX) {
        snprintf(why, n, "lm-ma-es: a covariance of %zu coordinates does not fit", o->n);
        return "lm-ma-es";
    }
    size_t lambda = 0;
    double time = optimiser_horizon("cma-es", o->n, &lambda) * (double)lambda;

    if (o->evaluations != 0 && (double)o->evaluations < time) {
        snprintf(why, n,
                 "sep-cma-es: how %zu coordinates interact takes %.0f evaluations to learn, the "
                 "budget is %llu",
                 o->n, time, (unsigned long long)o->evaluations);
        return "sep-cma-es";
    }
    snprintf(why, n, "dd-cma-es: %zu coordinates, their scales learned before how they interact",
             o->n);
    return "dd-cma-es";
}

/* ---- checking ---- */

static int check_coordinate(const struct optimiser_options *o, size_t j, struct err *err)
{
    double lower = o->lower != NULL ? o->lower[j] : -HUGE_VAL;
    double upper = o->upper != NULL ? o->upper[j] : HUGE_VAL;
    double step = o->steps != NULL ? o->steps[j] : 0.0;
    double deviation = o->sigma * (o->deviations != NULL ? o->deviations[j] : 1.0);

    if (!bounds_are_usable(lower, upper)) {
        return err_set(err, ERR_LIMIT, "coordinate %zu: bounds %g to %g", j, lower, upper);
    }
    if (!(deviation > 0.0 && deviation <= 1e150)) {
        return err_set(err, ERR_LIMIT, "coordinate %zu: deviation %g", j, deviation);
    }
    if (!(fabs(o->start[j]) <= 1e150 && o->start[j] >= lower && o->start[j] <= upper)) {
        return err_set(err, ERR_LIMIT, "coordinate %zu: start %g outside %g to %g", j, o->start[j],
                       lower, upper);
    }
    if (step != 0.0 &&
        (!bounds_take_step(fabs(step), lower, upper) || (step < 0.0 && isinf(upper - lower)))) {
        return err_set(err, ERR_LIMIT, "coordinate %zu: step %g between %g and %g", j, step, lower,
                       upper);
    }
    return 0;
}

/* What the algorithm is asked to do, it can. */
static int check_abilities(const struct optimiser_options *o, const struct algorithm *a,
                           struct err *err)
{
    bool reevaluate = is_set(o->noise) && strcmp(o->noise, "reevaluate") == 0;
    const struct {
        bool wanted;
        unsigned ability;
        const char *words;
    } wishes[] = {{has_integers(o), INTEGERS, "integer coordinates"},
                  {has_categories(o), CATEGORIES, "categories"},
                  {is_set(o->restarts), RESTARTS, "restarts"},
                  {is_set(o->noise) && !reevaluate, ADAPTS, "learning rates that adapt to noise"},
                  {reevaluate, REEVALUATES, "re-evaluation of noisy candidates"},
                  {o->objectives > 1, SEVERAL, "several objectives"}};

    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        if (wishes[i].wanted && (a->can & wishes[i].ability) == 0) {
            return err_set(err, ERR_CONFLICT, "%s has no %s", a->name, wishes[i].words);
        }
    }
    return 0;
}

static bool is_one_of(const char *choice, const char *first, const char *second)
{
    return !is_set(choice) || strcmp(choice, first) == 0 || strcmp(choice, second) == 0;
}

int optimiser_check(const struct optimiser_options *o, struct err *err)
{
    const struct algorithm *a = find(o->algorithm);

    if (a == NULL) {
        return err_set(err, ERR_MISSING, "there is no algorithm '%s'", o->algorithm);
    }
    if (!is_one_of(o->restarts, "ipop", "bipop")) {
        return err_set(err, ERR_MISSING, "restarts: no '%s'; there are none, ipop and bipop",
                       o->restarts);
    }
    if (!is_one_of(o->noise, "reevaluate", "adapt")) {
        return err_set(err, ERR_MISSING, "noise: no '%s'; there are none, reevaluate and adapt",
                       o->noise);
    }
    if (o->n < 1 || o->n > a->n_max) {
        return err_set(err, ERR_LIMIT, "%zu coordinates: %s takes 1 to %zu", o->n, a->name,
                       a->n_max);
    }
    if (o->lambda == 1 || o->lambda > CMAES_LAMBDA_MAX) {
        return err_set(err, ERR_LIMIT, "population %zu: 2 to %d are possible", o->lambda,
                       CMAES_LAMBDA_MAX);
    }
    if (!(o->sigma > 0.0 && o->sigma <= 1e150)) {
        return err_set(err, ERR_LIMIT, "sigma %g: must be above 0", o->sigma);
    }
    if (o->objectives > OPTIMISER_OBJECTIVES_MAX) {
        return err_set(err, ERR_LIMIT, "%zu objectives: at most %d", o->objectives,
                       OPTIMISER_OBJECTIVES_MAX);
    }
    for (size_t j = 0; j < o->n; j++) {
        int rc = check_coordinate(o, j, err);

        if (rc != 0) {
            return rc;
        }
    }
    return check_abilities(o, a, err);
}

/* ---- making ---- */

static struct optimiser *blank(const struct optimiser_kind *kind)
{
    struct optimiser *made = mem_alloc(sizeof *made);

    *made = (struct optimiser){.kind = kind, .self = mem_array(1, kind->size)};
    return made;
}

/* Hand out what was made, or let it go. */
static int finish(struct optimiser *made, int rc, struct optimiser **out)
{
    if (rc != 0) {
        optimiser_free(made);
        return rc;
    }
    made->kind->introduce(made->self, &made->card);
    *out = made;
    return 0;
}

int optimiser_new(struct optimiser **out, const struct optimiser_options *options, struct err *err)
{
    struct optimiser_options o = *options;
    char why[160];

    if (o.n < 1 || o.n > OPTIMISER_N_MAX) {
        return err_set(err, ERR_LIMIT, "%zu coordinates: 1 to %d are possible", o.n,
                       OPTIMISER_N_MAX);
    }
    if (o.algorithm == NULL || strcmp(o.algorithm, "auto") == 0) {
        o.algorithm = optimiser_choose(&o, why, sizeof why);
    }
    int rc = optimiser_check(&o, err);

    if (rc != 0) {
        return rc;
    }
    bool reevaluates = is_set(o.noise) && strcmp(o.noise, "reevaluate") == 0;
    const struct optimiser_kind *kind = is_set(o.restarts) ? &optimiser_restarts
                                        : reevaluates      ? &optimiser_reevaluation
                                                           : find(o.algorithm)->kind;

    struct optimiser *made = blank(kind);

    return finish(made, kind->make(made->self, &o, err), out);
}

void optimiser_free(struct optimiser *optimiser)
{
    if (optimiser != NULL) {
        optimiser->kind->release(optimiser->self);
        free(optimiser->self);
        free(optimiser);
    }
}

void optimiser_save(const struct optimiser *optimiser, unsigned char **bytes, size_t *n)
{
    struct snapshot s;

    snapshot_write(&s, optimiser->kind->magic);
    optimiser->kind->walk(optimiser->self, &s, NULL); /* writing, it only looks */
    snapshot_take(&s, bytes, n);
}

static int restore(struct optimiser **out, const struct optimiser_kind *kind,
                   const unsigned char *bytes, size_t n, struct err *err)
{
    struct optimiser *made = blank(kind);
    struct snapshot s;

    snapshot_read(&s, kind->magic, bytes, n);
    int rc = kind->walk(made->self, &s, err);

    return finish(made, rc == 0 ? snapshot_end(&s, kind->what, err) : rc, out);
}

int optimiser_restore(struct optimiser **out, const unsigned char *bytes, size_t n, struct err *err)
{
    for (size_t i = 0; kinds[i] != NULL; i++) {
        if (snapshot_has_magic(kinds[i]->magic, bytes, n)) {
            return restore(out, kinds[i], bytes, n, err);
        }
    }
    return err_set(err, ERR_FORMAT, "optimiser state: not of an optimiser of this version");
}

int optimiser_walk(struct optimiser **inner, struct snapshot *s, struct err *err)
{
    unsigned char *bytes = NULL;
    size_t n = 0;

    if (s->reading) {
        snapshot_inner(s, &bytes, &n);
        return s->bad ? 0 : optimiser_restore(inner, bytes, n, err);
    }
    optimiser_save(*inner, &bytes, &n);
    snapshot_inner(s, &bytes, &n);
    free(bytes);
    return 0;
}

/* ---- passing on ---- */

const char *optimiser_name(const struct optimiser *optimiser)
{
    return optimiser->card.name;
}

size_t optimiser_n(const struct optimiser *optimiser)
{
    return optimiser->card.n;
}

size_t optimiser_objectives(const struct optimiser *optimiser)
{
    return optimiser->card.objectives;
}

size_t optimiser_asks(const struct optimiser *optimiser)
{
    return optimiser->kind->asks(optimiser->self);
}

size_t optimiser_population(const struct optimiser *optimiser)
{
    return optimiser->kind->population != NULL ? optimiser->kind->population(optimiser->self)
                                               : optimiser_asks(optimiser);
}

void optimiser_ask(struct optimiser *optimiser, double *points)
{
    optimiser->kind->ask(optimiser->self, points);
}

int optimiser_tell(struct optimiser *optimiser, const double *fitness, struct err *err)
{
    const size_t n = optimiser_asks(optimiser) * optimiser_objectives(optimiser);

    for (size_t k = 0; k < n; k++) {
        if (fitness[k] == -HUGE_VAL) {
            return err_set(err, ERR_NUMERIC, "candidate %zu: the fitness is minus infinity",
                           k / optimiser_objectives(optimiser));
        }
    }
    return optimiser->kind->tell(optimiser->self, fitness, err);
}

int optimiser_inject(struct optimiser *optimiser, const double *point, struct err *err)
{
    if (optimiser->kind->inject == NULL) {
        return err_set(err, ERR_MISSING, "%s takes no foreign points", optimiser_name(optimiser));
    }
    return optimiser->kind->inject(optimiser->self, point, err);
}

void optimiser_widen(struct optimiser *optimiser, double factor)
{
    if (optimiser->kind->widen != NULL) {
        optimiser->kind->widen(optimiser->self, factor);
    }
}

size_t optimiser_front(const struct optimiser *optimiser, const double **points,
                       const double **values)
{
    return optimiser->kind->front != NULL ? optimiser->kind->front(optimiser->self, points, values)
                                          : 0;
}

static const char *stop(const struct optimiser *optimiser, const char **words)
{
    return optimiser->kind->stop != NULL ? optimiser->kind->stop(optimiser->self, words) : NULL;
}

const char *optimiser_stop(const struct optimiser *optimiser)
{
    const char *words = NULL;

    return stop(optimiser, &words);
}

const char *optimiser_stop_words(const struct optimiser *optimiser)
{
    const char *words = NULL;

    return stop(optimiser, &words) != NULL ? words : NULL;
}

void optimiser_mean(const struct optimiser *optimiser, double *out)
{
    if (optimiser->kind->mean != NULL) {
        optimiser->kind->mean(optimiser->self, out);
    } else {
        optimiser->kind->best(optimiser->self, out);
    }
}

void optimiser_deviations(const struct optimiser *optimiser, double *out)
{
    if (optimiser->kind->deviations != NULL) {
        optimiser->kind->deviations(optimiser->self, out);
        return;
    }
    for (size_t j = 0; j < optimiser_n(optimiser); j++) {
        out[j] = optimiser_sigma(optimiser);
    }
}

double optimiser_sigma(const struct optimiser *optimiser)
{
    return optimiser->kind->sigma != NULL ? optimiser->kind->sigma(optimiser->self) : 0.0;
}

double optimiser_best(const struct optimiser *optimiser, double *point)
{
    return optimiser->kind->best(optimiser->self, point);
}
