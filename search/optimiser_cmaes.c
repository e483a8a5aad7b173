/*
 * optimiser_cmaes.c - CMA-ES in its three models, at the door.
 */
#include <string.h>

#include "search/cmaes.h"
#include "search/optimiser_kinds.h"

static int make(void **self, const struct optimiser_options *o, struct err *err)
{
    const struct cmaes_options options = {
        .n = o->n,
        .start = o->start,
        .sigma = o->sigma,
        .deviations = o->deviations,
        .lambda = o->lambda,
        .seed = o->seed,
        .stream = o->stream,
        .lower = o->lower,
        .upper = o->upper,
        .steps = o->steps,
        .model = strcmp(o->algorithm, "sep-cma-es") == 0  ? CMAES_SEPARABLE
                 : strcmp(o->algorithm, "dd-cma-es") == 0 ? CMAES_ACCELERATED
                                                          : CMAES_FULL,
        .adaptive = o->noise != NULL && strcmp(o->noise, "adapt") == 0,
        .limits = o->limits,
    };
    struct cmaes *made = NULL;
    int rc = cmaes_new(&made, &options, err);

    *self = made;
    return rc;
}

static int restore(void **self, const unsigned char *bytes, size_t n, struct err *err)
{
    struct cmaes *made = NULL;
    int rc = cmaes_restore(&made, bytes, n, err);

    *self = made;
    return rc;
}

static void save(const void *self, unsigned char **bytes, size_t *n)
{
    cmaes_save(self, bytes, n);
}

static void release(void *self)
{
    cmaes_free(self);
}

static const char *name(const void *self)
{
    static const char *const names[] = {[CMAES_FULL] = "cma-es",
                                        [CMAES_SEPARABLE] = "sep-cma-es",
                                        [CMAES_ACCELERATED] = "dd-cma-es"};

    return names[cmaes_model(self)];
}

static size_t n_of(const void *self)
{
    return cmaes_n(self);
}

static size_t asks(const void *self)
{
    return cmaes_lambda(self);
}

static void ask(void *self, double *points)
{
    cmaes_ask(self, points);
}

static int tell(void *self, const double *fitness, struct err *err)
{
    return cmaes_tell(self, fitness, err);
}

static int inject(void *self, const double *point, struct err *err)
{
    return cmaes_inject(self, point, err);
}

static void widen(void *self, double factor)
{
    cmaes_widen(self, factor);
}

static const char *stop(const void *self, const char **words)
{
    unsigned stops = cmaes_stops(self), rule = 0;

    if (stops == 0) {
        return NULL;
    }
    while ((stops >> rule & 1U) == 0) {
        rule++;
    }
    *words = cmaes_stop_words(rule);
    return cmaes_stop_name(rule);
}

static void mean(const void *self, double *out)
{
    cmaes_mean(self, out);
}

static void deviations(const void *self, double *out)
{
    cmaes_deviations(self, out);
}

static double sigma(const void *self)
{
    return cmaes_sigma(self);
}

static double best(const void *self, double *point)
{
    return cmaes_best(self, point);
}

const struct optimiser_kind optimiser_cmaes = {
    .magic = "CMAES",
    .make = make,
    .restore = restore,
    .save = save,
    .free = release,
    .name = name,
    .n = n_of,
    .asks = asks,
    .ask = ask,
    .tell = tell,
    .inject = inject,
    .widen = widen,
    .stop = stop,
    .mean = mean,
    .deviations = deviations,
    .sigma = sigma,
    .best = best,
};
