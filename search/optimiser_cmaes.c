/*
 * optimiser_cmaes.c - CMA-ES in its three models, at the door.
 */
#include <stdio.h>
#include <string.h>

#include "search/cmaes.h"
#include "search/optimiser_kinds.h"

struct plain {
    struct cmaes *search;
};

static struct cmaes *search_of(const void *self)
{
    return ((const struct plain *)self)->search;
}

static int make(void *self, const struct optimiser_options *o, struct err *err)
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
    struct plain *t = self;

    return cmaes_new(&t->search, &options, err);
}

static int walk(void *self, struct snapshot *s, struct err *err)
{
    return cmaes_walk(&((struct plain *)self)->search, s, err);
}

static void release(void *self)
{
    cmaes_free(search_of(self));
}

static void introduce(const void *self, struct optimiser_card *out)
{
    static const char *const names[] = {[CMAES_FULL] = "cma-es",
                                        [CMAES_SEPARABLE] = "sep-cma-es",
                                        [CMAES_ACCELERATED] = "dd-cma-es"};
    const struct cmaes *search = search_of(self);

    *out = (struct optimiser_card){.n = cmaes_n(search), .objectives = 1};
    snprintf(out->name, sizeof out->name, "%s", names[cmaes_model(search)]);
}

static size_t asks(const void *self)
{
    return cmaes_lambda(search_of(self));
}

static void ask(void *self, double *points)
{
    cmaes_ask(search_of(self), points);
}

static int tell(void *self, const double *fitness, struct err *err)
{
    return cmaes_tell(search_of(self), fitness, err);
}

static int inject(void *self, const double *point, struct err *err)
{
    return cmaes_inject(search_of(self), point, err);
}

static void widen(void *self, double factor)
{
    cmaes_widen(search_of(self), factor);
}

static const char *stop(const void *self, const char **words)
{
    const char *rule = cmaes_stop(search_of(self));

    *words = rule != NULL ? cmaes_stop_words(rule) : NULL;
    return rule;
}

static void mean(const void *self, double *out)
{
    cmaes_mean(search_of(self), out);
}

static void deviations(const void *self, double *out)
{
    cmaes_deviations(search_of(self), out);
}

static double sigma(const void *self)
{
    return cmaes_sigma(search_of(self));
}

static double best(const void *self, double *point)
{
    return cmaes_best(search_of(self), point);
}

const struct optimiser_kind optimiser_cmaes = {
    .magic = "CMAES",
    .what = "CMA-ES",
    .size = sizeof(struct plain),
    .make = make,
    .walk = walk,
    .release = release,
    .introduce = introduce,
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
