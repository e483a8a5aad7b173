/*
 * restarts.c - begin again elsewhere when a run has nothing left to find.
 *
 *      ipop    population doubled after every run:
 *                 lambda, 2 lambda, 4 lambda, ...              Auger & Hansen, CEC 2005
 *      bipop   two budgets kept even: large runs, doubled as above with the full sigma; and small
 *              ones, of a random population below half the last large one's and a smaller random
 *              sigma, each at most half as long as the large runs together
 *                                                              Hansen, GECCO BBOB workshop 2009
 *
 * Run r samples from a stream of its own and starts at a point drawn as number r of the restart
 * stream, uniform in the box (one sigma around the start on sides without a bound): resuming inside
 * a run makes the same next one. The best, and the mean of the run that holds it, are kept over all
 * runs.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/cmaes_constants.h"
#include "search/optimiser_kept.h"
#include "search/optimiser_kinds.h"

#define MAGIC "RESTART"
#define LARGE_RUNS_MAX 9
#define STREAM_STEP                                                              \
    64 /* between the sampling streams of two runs: above every purpose of rng.h \
        */

struct restarts {
    struct kept kept;
    struct optimiser *run;
    uint64_t runs;                  /* begun before this one */
    uint64_t large;                 /* large runs begun */
    bool small;                     /* this run is a small one */
    uint64_t spent[2];              /* evaluations of earlier runs: large, small */
    uint64_t used, allowed;         /* by this run; 0: as many as it likes */
    size_t lambda, lambda_of_large; /* of the first run and of the last large one */
    double best;
    double *best_point, *best_mean; /* [N] */
};

static int walk(void *self, struct snapshot *s, struct err *err)
{
    struct restarts *r = self;

    kept_walk(&r->kept, s);
    const size_t n = r->kept.options.n;

    if (s->reading) {
        r->best_point = mem_array(2 * n, sizeof *r->best_point);
        r->best_mean = r->best_point + n;
    }
    snapshot_count(s, &r->runs, UINT32_MAX);
    snapshot_count(s, &r->large, LARGE_RUNS_MAX);
    snapshot_flag(s, &r->small);
    snapshot_count(s, &r->spent[0], UINT64_MAX / 4);
    snapshot_count(s, &r->spent[1], UINT64_MAX / 4);
    snapshot_count(s, &r->used, UINT64_MAX / 4);
    snapshot_count(s, &r->allowed, UINT64_MAX / 4);
    snapshot_size(s, &r->lambda, 2, CMAES_LAMBDA_MAX);
    snapshot_size(s, &r->lambda_of_large, 2, CMAES_LAMBDA_MAX);
    snapshot_doubles(s, &r->best, 1);
    snapshot_finite(s, r->best_point, n);
    snapshot_finite(s, r->best_mean, n);
    int rc = optimiser_walk(&r->run, s, err);

    snapshot_expect(s, r->run != NULL && optimiser_n(r->run) == n);
    return rc;
}

static void release(void *self)
{
    struct restarts *r = self;

    optimiser_free(r->run);
    kept_release(&r->kept);
    free(r->best_point);
}

/* ---- runs ---- */

/* Where run number `run` starts: [n] into start, then two more uniform numbers. */
static void draw(const struct restarts *r, uint64_t run, double *start, double uniform[2])
{
    const struct optimiser_options *o = &r->kept.options;
    struct rng64 rng;

    rng64_seed(&rng, o->seed, RNG_RESTART + STREAM_STEP * o->stream);
    rng64_advance(&rng, 0, run * (o->n + 2));
    uniform[0] = rng64_uniform(&rng);
    uniform[1] = rng64_uniform(&rng);
    for (size_t j = 0; j < o->n; j++) {
        double reach = o->sigma * o->deviations[j];
        double lower = isinf(o->lower[j]) ? o->start[j] - reach : o->lower[j];
        double upper = isinf(o->upper[j]) ? o->start[j] + reach : o->upper[j];

        start[j] = fmin(lower + rng64_uniform(&rng) * (upper - lower), upper);
    }
}

static int begin_run(struct restarts *r, const double *start, double sigma, size_t lambda,
                     struct err *err)
{
    struct optimiser_options options = r->kept.options;
    struct optimiser *run = NULL;

    options.start = start != NULL ? start : options.start;
    options.sigma = sigma;
    options.lambda = lambda;
    options.restarts = "none";
    if (r->runs > 0) {
        options.stream =
            (options.stream != 0 ? options.stream : RNG_SAMPLING) + STREAM_STEP * r->runs;
    }
    int rc = optimiser_new(&run, &options, err);

    if (rc == 0) {
        optimiser_free(r->run);
        r->run = run;
    }
    return rc;
}

/* The next run's population and sigma; says whether it is a small one. */
static bool plan(struct restarts *r, const double uniform[2], size_t *lambda, double *sigma)
{
    double room = (double)r->lambda_of_large / (double)r->lambda / 2.0;

    *sigma = r->kept.options.sigma;
    if (strcmp(r->kept.restarts, "bipop") != 0 || r->spent[1] >= r->spent[0]) {
        r->lambda_of_large = r->lambda << (r->large + 1);
        *lambda = r->lambda_of_large;
        return false;
    }
    double drawn = floor((double)r->lambda * pow(room, uniform[0] * uniform[0]));

    *lambda = drawn > (double)r->lambda ? (size_t)drawn : r->lambda;
    *sigma *= pow(10.0, -2.0 * uniform[1]);
    return true;
}

static int next_run(struct restarts *r, struct err *err)
{
    double *start = mem_array(r->kept.options.n, sizeof *start), uniform[2], sigma;
    size_t lambda;

    r->spent[r->small] += r->used;
    r->used = 0;
    r->runs++;
    draw(r, r->runs, start, uniform);
    r->small = plan(r, uniform, &lambda, &sigma);
    r->allowed = r->small ? r->spent[0] / 2 : 0;
    r->large += r->small ? 0 : 1;
    int rc = begin_run(r, start, sigma, lambda, err);

    free(start);
    return rc;
}

static int make(void *self, const struct optimiser_options *o, struct err *err)
{
    struct restarts *r = self;

    *r = (struct restarts){.small = true, .best = HUGE_VAL};
    kept_init(&r->kept, o);
    r->best_point = mem_array(2 * o->n, sizeof *r->best_point);
    r->best_mean = r->best_point + o->n;
    memcpy(r->best_point, o->start, o->n * sizeof *r->best_point);
    memcpy(r->best_mean, o->start, o->n * sizeof *r->best_mean);
    int rc = begin_run(r, NULL, o->sigma, o->lambda, err);

    r->lambda = o->lambda != 0 ? o->lambda : cmaes_lambda_default(o->n);
    r->lambda_of_large = r->lambda;
    return rc;
}

/* ---- at the door ---- */

static bool is_over(const struct restarts *r)
{
    const char *why = optimiser_stop(r->run);

    return (why != NULL && strcmp(why, "ftarget") == 0) ||
           (why != NULL && r->large == LARGE_RUNS_MAX && !r->small) ||
           (r->lambda << (r->large + 1) > CMAES_LAMBDA_MAX && why != NULL);
}

static int tell(void *self, const double *fitness, struct err *err)
{
    struct restarts *r = self;
    size_t asked = optimiser_asks(r->run);
    int rc = optimiser_tell(r->run, fitness, err);

    if (rc != 0) {
        return rc;
    }
    r->used += asked;
    if (optimiser_best(r->run, NULL) <= r->best) {
        r->best = optimiser_best(r->run, r->best_point);
        optimiser_mean(r->run, r->best_mean);
    }
    bool spent = r->allowed > 0 && r->used >= r->allowed;

    return !is_over(r) && (optimiser_stop(r->run) != NULL || spent) ? next_run(r, err) : 0;
}

static const char *stop(const void *self, const char **words)
{
    const struct restarts *r = self;

    if (!is_over(r)) {
        return NULL;
    }
    if (strcmp(optimiser_stop(r->run), "ftarget") == 0) {
        *words = optimiser_stop_words(r->run);
        return "ftarget";
    }
    *words = "the most restarts allowed were made";
    return "maxrestarts";
}

static void introduce(const void *self, struct optimiser_card *out)
{
    const struct restarts *r = self;

    *out = (struct optimiser_card){.n = r->kept.options.n, .objectives = 1};
    snprintf(out->name, sizeof out->name, "%s with %s restarts", optimiser_name(r->run),
             r->kept.restarts);
}

static size_t population(const void *self)
{
    return optimiser_population(((const struct restarts *)self)->run);
}

static size_t asks(const void *self)
{
    return optimiser_asks(((const struct restarts *)self)->run);
}

static void ask(void *self, double *points)
{
    optimiser_ask(((struct restarts *)self)->run, points);
}

static int inject(void *self, const double *point, struct err *err)
{
    return optimiser_inject(((struct restarts *)self)->run, point, err);
}

static void mean(const void *self, double *out)
{
    const struct restarts *r = self;

    memcpy(out, r->best_mean, r->kept.options.n * sizeof *out);
}

static void deviations(const void *self, double *out)
{
    optimiser_deviations(((const struct restarts *)self)->run, out);
}

static double sigma(const void *self)
{
    return optimiser_sigma(((const struct restarts *)self)->run);
}

static double best(const void *self, double *point)
{
    const struct restarts *r = self;

    if (point != NULL) {
        memcpy(point, r->best_point, r->kept.options.n * sizeof *point);
    }
    return r->best;
}

const struct optimiser_kind optimiser_restarts = {
    .magic = MAGIC,
    .what = "restarts",
    .size = sizeof(struct restarts),
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
