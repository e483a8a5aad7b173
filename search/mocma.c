/*
 * mocma.c - MO-CMA-ES: several objectives, and each parent is a small CMA-ES of its own.
 *
 *      parent i   x, sigma, C  --> offspring i, i + mu, ...   x + sigma N(0, C), measured
 *
 *                 parents and offspring together, by front, then by the volume each covers alone
 *             --> the best mu are the next parents, each with its step size and covariance
 *
 * An offspring that gets in is a success: its own and its parent's step size grow, and its
 * covariance learns the step; one that does not lets its parent's step size shrink. So each part of
 * the front is climbed with steps of its own, from few evaluations: parents are a third of a
 * generation. What nothing dominates is kept in an archive beside them; it is the result.
 * Offspring are a function of (seed, round, index) and the parents.
 *
 * Igel, Hansen, Roth, Covariance Matrix Adaptation for Multi-objective Optimization, ECJ 15(1),
 * 2007; success as selection: Voss, Hansen, Igel, Improved Step Size Adaptation for the MO-CMA-ES,
 * GECCO 2010.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/archive.h"
#include "search/bounds.h"
#include "search/cmaes_constants.h"
#include "search/optimiser_kinds.h"
#include "search/pareto.h"

#define MAGIC "MOCMA"
#define LAMBDA_MAX 1024
#define PARENTS_SHARE 3 /* a third of a generation. Ours, by trial at 150 to 1000 evaluations. */
/* A generation has this times the root of the evaluations that are to come: few parents climb soon,
 * many cover more in the end. Ours, by trial at 200 to 5000 evaluations. */
#define BUDGET_SHARE 0.8
#define SIGMA_SHARE 0.25 /* of the sigma of a search from one point: steps of (1+1) kind. Ours. */
#define SUCCESS (1.0 / 5.5) /* the paper's table 1, from here on */
#define SUCCESS_STALL 0.44  /* above it the path stands still */
#define SUCCESS_FADE (SUCCESS / (2.0 + SUCCESS))
#define FAR 1e150         /* where there is no wall */
#define SIGMA_LEAST 1e-11 /* of the start: all parents there, nothing moves: "tolx" */

/* A parent or an offspring. */
struct member {
    double sigma, success;
    double *x;          /* [N] in the box */
    double *values;     /* [M] */
    double *path;       /* [N] */
    double *covariance; /* [N, N] */
};

struct mocma {
    size_t n, m, lambda, mu;
    uint64_t seed, stream, round;
    double sigma_start;
    double *lower, *upper, *scales, *start; /* [N] */
    struct member *parents;                 /* [mu], nothing in them before round 1 */
    struct archive archive;
};

/* ---- making ---- */

static void member_init(struct member *member, size_t n, size_t m)
{
    *member = (struct member){.x = mem_array(2 * n + m + n * n, sizeof(double))};
    member->path = member->x + n;
    member->values = member->x + 2 * n;
    member->covariance = member->x + 2 * n + m;
}

static void member_copy(struct member *to, const struct member *from, size_t n, size_t m)
{
    to->sigma = from->sigma;
    to->success = from->success;
    memcpy(to->x, from->x, (2 * n + m + n * n) * sizeof(double));
}

static void allocate(struct mocma *t)
{
    t->lower = mem_array(4 * t->n, sizeof *t->lower);
    t->upper = t->lower + t->n;
    t->scales = t->lower + 2 * t->n;
    t->start = t->lower + 3 * t->n;
    t->mu = (t->lambda + PARENTS_SHARE - 1) / PARENTS_SHARE;
    t->parents = mem_array(t->mu, sizeof *t->parents);
    for (size_t i = 0; i < t->mu; i++) {
        member_init(&t->parents[i], t->n, t->m);
    }
    archive_init(&t->archive, t->n, t->m);
}

static void release(void *self)
{
    struct mocma *t = self;

    for (size_t i = 0; i < t->mu; i++) {
        free(t->parents[i].x);
    }
    free(t->parents);
    free(t->lower);
    archive_release(&t->archive);
}

static size_t lambda_default(const struct optimiser_options *o, size_t m)
{
    double lambda = fmax((double)cmaes_lambda_default(o->n), (double)(2 * PARENTS_SHARE * m));

    return (size_t)fmin(fmax(lambda, BUDGET_SHARE * sqrt((double)o->evaluations)), LAMBDA_MAX);
}

static int make(void *self, const struct optimiser_options *o, struct err *err)
{
    const size_t m = o->objectives > 0 ? o->objectives : 1;

    if (o->lambda > LAMBDA_MAX) {
        return err_set(err, ERR_LIMIT, "population %zu: at most %d for mo-cma-es", o->lambda,
                       LAMBDA_MAX);
    }
    struct mocma *t = self;

    *t = (struct mocma){.n = o->n,
                        .m = m,
                        .lambda = o->lambda != 0 ? o->lambda : lambda_default(o, m),
                        .seed = o->seed,
                        .stream = o->stream != 0 ? o->stream : RNG_SAMPLING,
                        .sigma_start = SIGMA_SHARE * o->sigma};
    allocate(t);
    for (size_t j = 0; j < t->n; j++) {
        t->lower[j] = o->lower != NULL ? o->lower[j] : -HUGE_VAL;
        t->upper[j] = o->upper != NULL ? o->upper[j] : HUGE_VAL;
        t->scales[j] = o->deviations != NULL ? o->deviations[j] : 1.0;
        t->start[j] = o->start[j];
    }
    return 0;
}

/* ---- bytes ---- */

static void walk_parent(const struct mocma *t, struct member *parent, struct snapshot *s)
{
    snapshot_finite(s, &parent->sigma, 1);
    snapshot_finite(s, &parent->success, 1);
    snapshot_finite(s, parent->x, 2 * t->n); /* and path */
    snapshot_doubles(s, parent->values, t->m);
    snapshot_finite(s, parent->covariance, t->n * t->n);
}

/* What was read is a state that a search can have. */
static bool is_sound(const struct mocma *t)
{
    bool sound = t->sigma_start > 0.0;

    for (size_t j = 0; j < t->n; j++) {
        sound = sound && bounds_are_usable(t->lower[j], t->upper[j]) && t->scales[j] > 0.0 &&
                t->start[j] >= t->lower[j] && t->start[j] <= t->upper[j];
    }
    for (size_t i = 0; i < t->mu && t->round > 0; i++) {
        sound = sound && t->parents[i].sigma > 0.0;
        for (size_t j = 0; j < t->n; j++) {
            sound = sound && t->parents[i].x[j] >= t->lower[j] && t->parents[i].x[j] <= t->upper[j];
        }
    }
    return sound;
}

static int walk(void *self, struct snapshot *s, struct err *err)
{
    struct mocma *t = self;

    (void)err;
    snapshot_size(s, &t->n, 1, MOCMA_N_MAX);
    snapshot_size(s, &t->m, 1, OPTIMISER_OBJECTIVES_MAX);
    snapshot_size(s, &t->lambda, 2, LAMBDA_MAX);
    if (s->reading) {
        allocate(t);
    }
    snapshot_count(s, &t->seed, UINT64_MAX);
    snapshot_count(s, &t->stream, UINT64_MAX);
    snapshot_count(s, &t->round, UINT64_C(1) << 32);
    snapshot_finite(s, &t->sigma_start, 1);
    snapshot_doubles(s, t->lower, 2 * t->n);
    snapshot_finite(s, t->scales, 2 * t->n); /* and start */
    for (size_t i = 0; i < t->mu && t->round > 0; i++) {
        walk_parent(t, &t->parents[i], s);
    }
    archive_walk(&t->archive, s);
    snapshot_expect(s, !s->reading || is_sound(t));
    return 0;
}

/* ---- offspring ---- */

/* The lower triangle L of C = L L^T, both [n, n]. C is positive definite but for rounding. */
static void cholesky(const double *covariance, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = covariance[i * n + j];

            for (size_t k = 0; k < j; k++) {
                sum -= out[i * n + k] * out[j * n + k];
            }
            out[i * n + j] = i == j ? sqrt(fmax(sum, DBL_MIN)) : sum / out[j * n + j];
        }
    }
}

/* A point beyond a wall comes back from it as far; beyond the other one too, it stands there. */
static double mirror(double x, double lower, double upper)
{
    double back = x < lower ? 2.0 * lower - x : x > upper ? 2.0 * upper - x : x;

    return fmin(fmax(back, fmax(lower, -FAR)), fmin(upper, FAR));
}

/* Sample k of the open round, z [n] standard normal; scratch [n + 1]. */
static const double *draw(const struct mocma *t, size_t k, double *scratch)
{
    const uint64_t first = (t->round * t->lambda + k) * t->n, odd = first & 1;
    struct rng64 rng;

    rng64_seed(&rng, t->seed, t->stream);
    rng64_advance(&rng, 0, first - odd); /* normals come in pairs */
    rng64_normals(&rng, scratch, t->n + odd);
    return scratch + odd;
}

/* Around a point with a root of the covariance, NULL: the identity. */
static void place(const struct mocma *t, const double *x, double sigma, const double *root,
                  const double *z, double *out)
{
    for (size_t i = 0; i < t->n; i++) {
        double step = root == NULL ? z[i] : 0.0;

        for (size_t k = 0; k <= i && root != NULL; k++) {
            step += root[i * t->n + k] * z[k];
        }
        out[i] = mirror(x[i] + sigma * t->scales[i] * step, t->lower[i], t->upper[i]);
    }
}

/* The first generation: the start, then points around it. */
static void ask(void *self, double *points)
{
    struct mocma *t = self;
    double *root = mem_array(t->n * t->n, sizeof *root), *z = mem_array(t->n + 1, sizeof *z);

    for (size_t k = 0; k < t->lambda && t->round == 0; k++) {
        place(t, t->start, k == 0 ? 0.0 : t->sigma_start, NULL, draw(t, k, z), points + k * t->n);
    }
    for (size_t i = 0; i < t->mu && t->round > 0; i++) {
        const struct member *parent = &t->parents[i];

        cholesky(parent->covariance, t->n, root);
        for (size_t k = i; k < t->lambda; k += t->mu) {
            place(t, parent->x, parent->sigma, root, draw(t, k, z), points + k * t->n);
        }
    }
    free(root);
    free(z);
}

/* ---- telling ---- */

static void adapt_sigma(struct member *member, size_t n, bool success)
{
    const double damping = 1.0 + 0.5 * (double)n;

    member->success = (1.0 - SUCCESS_FADE) * member->success + (success ? SUCCESS_FADE : 0.0);
    member->sigma *= exp((member->success - SUCCESS) / (damping * (1.0 - SUCCESS)));
    member->sigma = fmin(member->sigma, FAR);
}

/* An offspring that got in learns the step [n], over sigma and scales, that made it. */
static void adapt_covariance(struct member *member, size_t n, const double *step)
{
    const double c_c = 2.0 / ((double)n + 2.0), c_cov = 2.0 / ((double)(n * n) + 6.0);
    const bool stalled = member->success >= SUCCESS_STALL;
    const double keep = 1.0 - c_cov + (stalled ? c_cov * c_c * (2.0 - c_c) : 0.0);

    for (size_t i = 0; i < n; i++) {
        member->path[i] =
            (1.0 - c_c) * member->path[i] + (stalled ? 0.0 : sqrt(c_c * (2.0 - c_c)) * step[i]);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            member->covariance[i * n + j] =
                keep * member->covariance[i * n + j] + c_cov * member->path[i] * member->path[j];
        }
    }
}

/* Offspring k as its parent's heir, before anything is learnt. */
static void beget(const struct mocma *t, size_t k, const double *x, const double *values,
                  struct member *out)
{
    if (t->round > 0) {
        member_copy(out, &t->parents[k % t->mu], t->n, t->m);
    } else {
        out->sigma = t->sigma_start;
        out->success = SUCCESS;
        for (size_t i = 0; i < t->n; i++) {
            out->covariance[i * t->n + i] = 1.0;
        }
    }
    memcpy(out->x, x, t->n * sizeof *x);
    memcpy(out->values, values, t->m * sizeof *values);
    pareto_mark_failed(out->values, t->m);
}

/* After selection: places [mu + lambda] says how each came out, below mu it got in. */
static void learn(struct mocma *t, struct member *offspring, const size_t *places)
{
    double *step = mem_array(t->n, sizeof *step);

    for (size_t k = 0; k < t->lambda && t->round > 0; k++) {
        struct member *parent = &t->parents[k % t->mu], *child = &offspring[k];
        const bool success = places[t->mu + k] < t->mu;

        if (success) {
            for (size_t i = 0; i < t->n; i++) {
                step[i] = (child->x[i] - parent->x[i]) / (child->sigma * t->scales[i]);
            }
            adapt_sigma(child, t->n, true);
            adapt_covariance(child, t->n, step);
        }
        adapt_sigma(parent, t->n, success);
    }
    free(step);
}

/* The best mu of parents and offspring; of the first round there are no parents. */
static void select_parents(struct mocma *t, struct member *offspring)
{
    const size_t first = t->round > 0 ? t->mu : 0, n = first + t->lambda;
    double *rows = mem_array(n * t->m, sizeof *rows);
    size_t *order = mem_array(n, sizeof *order), *places = mem_array(n, sizeof *places);
    struct member *next = mem_array(t->mu, sizeof *next);

    for (size_t i = 0; i < n; i++) {
        const struct member *member = i < first ? &t->parents[i] : &offspring[i - first];

        memcpy(rows + i * t->m, member->values, t->m * sizeof *rows);
    }
    pareto_order(rows, n, t->m, order);
    for (size_t i = 0; i < n; i++) {
        places[order[i]] = i;
    }
    learn(t, offspring, places);
    for (size_t i = 0; i < t->mu; i++) {
        size_t from = order[i];

        member_init(&next[i], t->n, t->m);
        member_copy(&next[i], from < first ? &t->parents[from] : &offspring[from - first], t->n,
                    t->m);
    }
    for (size_t i = 0; i < t->mu; i++) {
        free(t->parents[i].x);
    }
    free(t->parents);
    t->parents = next;
    free(rows);
    free(order);
    free(places);
}

static int tell(void *self, const double *fitness, struct err *err)
{
    struct mocma *t = self;
    double *points = mem_array(t->lambda * t->n, sizeof *points);
    struct member *offspring = mem_array(t->lambda, sizeof *offspring);

    (void)err;
    ask(t, points);
    for (size_t k = 0; k < t->lambda; k++) {
        member_init(&offspring[k], t->n, t->m);
        beget(t, k, points + k * t->n, fitness + k * t->m, &offspring[k]);
        archive_add(&t->archive, offspring[k].x, offspring[k].values);
    }
    select_parents(t, offspring);
    t->round++;
    for (size_t k = 0; k < t->lambda; k++) {
        free(offspring[k].x);
    }
    free(offspring);
    free(points);
    return 0;
}

/* ---- looking ---- */

/* The widest of the parents. */
static double sigma(const void *self)
{
    const struct mocma *t = self;
    double most = t->round > 0 ? 0.0 : t->sigma_start;

    for (size_t i = 0; i < t->mu && t->round > 0; i++) {
        most = fmax(most, t->parents[i].sigma);
    }
    return most;
}

static const char *stop(const void *self, const char **words)
{
    const struct mocma *t = self;

    if (sigma(self) > SIGMA_LEAST * t->sigma_start) {
        return NULL;
    }
    *words = "no part of the front moves any more";
    return "tolx";
}

static void introduce(const void *self, struct optimiser_card *out)
{
    const struct mocma *t = self;

    *out = (struct optimiser_card){.n = t->n, .objectives = t->m};
    snprintf(out->name, sizeof out->name, "mo-cma-es");
}

static size_t asks(const void *self)
{
    return ((const struct mocma *)self)->lambda;
}

static size_t front(const void *self, const double **points, const double **values)
{
    const struct mocma *t = self;

    *points = t->archive.points;
    *values = t->archive.values;
    return t->archive.count;
}

static void mean(const void *self, double *out)
{
    const struct mocma *t = self;

    archive_compromise(&t->archive, t->start, out);
}

static double best(const void *self, double *point)
{
    const struct mocma *t = self;

    return archive_best(&t->archive, t->start, point);
}

const struct optimiser_kind optimiser_mocma = {
    .magic = MAGIC,
    .what = "MO-CMA-ES",
    .size = sizeof(struct mocma),
    .make = make,
    .walk = walk,
    .release = release,
    .introduce = introduce,
    .asks = asks,
    .ask = ask,
    .tell = tell,
    .front = front,
    .stop = stop,
    .mean = mean,
    .sigma = sigma,
    .best = best,
};
