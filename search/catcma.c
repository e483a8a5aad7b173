/*
 * catcma.c - CatCMA with margin: continuous, integer and categorical coordinates in one search.
 *
 *      candidate k = ( a sample of a CMA-ES ; one category drawn from each table of chances )
 *
 * The Gaussian part is cmaes.c with its margin, and does not know of the rest. Each categorical
 * coordinate i keeps chances q_i over its K_i values and moves them along the natural gradient of
 * the mu best; the length of that step adapts by how steadily the gradient points one way (ASNG,
 * Akimoto et al., ICML 2019). No chance falls below a floor, so that no value is ever given up.
 * Switches, two values on a grid, are categories too: they do better so than as integers.
 *
 * Hamano, Saito, Nomura, Uchida, Shirakawa, CatCMA with Margin, 2025 (arXiv:2504.07884).
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/bounds.h"
#include "search/cmaes.h"
#include "search/cmaes_constants.h"
#include "search/optimiser_kinds.h"
#include "search/snapshot.h"

#define MAGIC "CATCMA"
#define CATEGORIES_MAX 256
#define STREAM 32 /* beside the Gaussian part's stream: above every purpose of rng.h */

struct catcma {
    size_t n, lambda;
    uint64_t seed, stream, round;
    double *lower, *upper, *steps; /* [N]; a Gaussian coordinate's are the CMA-ES's business */
    struct cmaes *gauss;           /* NULL: every coordinate is a category */
    size_t n_gauss, n_categories;
    size_t *gauss_at, *category_at; /* which coordinate each of theirs is */
    size_t *sizes;                  /* [n_categories] K_i */
    size_t n_chances;               /* sum of K_i */
    double *chances;                /* [n_chances] q, one table after the other */
    double *path;                   /* [n_chances] r; each table's last entry is unused */
    double gamma, Delta, delta;
    uint64_t settled; /* generations in a row that every table stood at its floor */
    double best;
    double *best_point; /* [N] */
    double *weights;    /* [lambda] of the mu best */
    size_t mu;
};

/* ---- making ---- */

/* Values on the grid of coordinate j, 0 when it is no category. */
static size_t categories_of(const struct catcma *t, size_t j)
{
    double step = fabs(t->steps[j]);
    double count = step > 0.0 ? floor((t->upper[j] - t->lower[j]) / step + 1e-9) + 1.0 : 0.0;

    return t->steps[j] < 0.0 || count == 2.0 ? (size_t)fmin(count, CATEGORIES_MAX + 1.0) : 0;
}

static void allocate_box(struct catcma *t)
{
    t->lower = mem_array(4 * t->n, sizeof *t->lower);
    t->upper = t->lower + t->n;
    t->steps = t->lower + 2 * t->n;
    t->best_point = t->lower + 3 * t->n;
}

/* Part the coordinates, once the box is known, and lay out the tables. */
static int part(struct catcma *t, struct err *err)
{
    struct cmaes_constants c;

    t->gauss_at = mem_array(3 * t->n, sizeof *t->gauss_at);
    t->category_at = t->gauss_at + t->n;
    t->sizes = t->gauss_at + 2 * t->n;
    for (size_t j = 0; j < t->n; j++) {
        size_t size = categories_of(t, j);

        if (size > CATEGORIES_MAX) {
            return err_set(err, ERR_LIMIT, "coordinate %zu: more than %d categories", j,
                           CATEGORIES_MAX);
        }
        if (size == 0) {
            t->gauss_at[t->n_gauss++] = j;
        } else {
            t->category_at[t->n_categories] = j;
            t->sizes[t->n_categories++] = size;
            t->n_chances += size;
        }
    }
    t->chances = mem_array(2 * t->n_chances + 1, sizeof *t->chances);
    t->path = t->chances + t->n_chances;
    cmaes_constants_init(&c, t->n, t->lambda, false);
    t->weights = mem_array(t->lambda, sizeof *t->weights);
    memcpy(t->weights, c.weights, t->lambda * sizeof *t->weights);
    t->mu = c.mu;
    cmaes_constants_release(&c);
    return 0;
}

static void release(void *self)
{
    struct catcma *t = self;

    cmaes_free(t->gauss);
    free(t->lower);
    free(t->gauss_at);
    free(t->chances);
    free(t->weights);
}

/* How many coordinates are not continuous, for the margin they share. */
static size_t n_discrete(const struct catcma *t)
{
    size_t count = t->n_categories;

    for (size_t i = 0; i < t->n_gauss; i++) {
        count += t->steps[t->gauss_at[i]] > 0.0 ? 1 : 0;
    }
    return count;
}

static int make_gauss(struct catcma *t, const struct optimiser_options *o, struct err *err)
{
    const size_t n = t->n_gauss;
    double *arrays = mem_array(5 * n + 1, sizeof *arrays);
    const struct cmaes_options options = {.n = n,
                                          .start = arrays,
                                          .sigma = o->sigma,
                                          .deviations = arrays + n,
                                          .lambda = t->lambda,
                                          .seed = t->seed,
                                          .stream = t->stream,
                                          .lower = arrays + 2 * n,
                                          .upper = arrays + 3 * n,
                                          .steps = arrays + 4 * n,
                                          .margin = cmaes_margin_default(n_discrete(t)),
                                          .limits = o->limits};

    for (size_t i = 0; i < n; i++) {
        size_t j = t->gauss_at[i];

        arrays[i] = o->start[j];
        arrays[n + i] = o->deviations != NULL ? o->deviations[j] : 1.0;
        arrays[2 * n + i] = t->lower[j];
        arrays[3 * n + i] = t->upper[j];
        arrays[4 * n + i] = t->steps[j];
    }
    int rc = cmaes_new(&t->gauss, &options, err);

    free(arrays);
    return rc;
}

static int make(void *self, const struct optimiser_options *o, struct err *err)
{
    struct catcma *t = self;

    *t = (struct catcma){.n = o->n,
                         .lambda = o->lambda != 0 ? o->lambda : cmaes_lambda_default(o->n),
                         .seed = o->seed,
                         .stream = o->stream != 0 ? o->stream : RNG_SAMPLING,
                         .Delta = 1.0,
                         .delta = 1.0,
                         .best = HUGE_VAL};
    allocate_box(t);
    for (size_t j = 0; j < t->n; j++) {
        t->lower[j] = o->lower != NULL ? o->lower[j] : -HUGE_VAL;
        t->upper[j] = o->upper != NULL ? o->upper[j] : HUGE_VAL;
        t->steps[j] = o->steps != NULL ? o->steps[j] : 0.0;
        t->best_point[j] = o->start[j];
    }
    int rc = part(t, err);

    assert(rc != 0 || t->chances != NULL);
    for (size_t i = 0, at = 0; i < t->n_categories && rc == 0; i++) {
        for (size_t c = 0; c < t->sizes[i]; c++) {
            t->chances[at++] = 1.0 / (double)t->sizes[i];
        }
    }
    if (rc == 0 && t->n_gauss > 0) {
        rc = make_gauss(t, o, err);
    }
    return rc;
}

/* ---- bytes ---- */

static void walk_box(struct catcma *t, struct snapshot *s)
{
    snapshot_size(s, &t->n, 1, CMAES_N_MAX);
    snapshot_size(s, &t->lambda, 2, CMAES_LAMBDA_MAX);
    if (s->reading) {
        snapshot_expect(s, snapshot_holds(s, 4 * t->n));
        t->n = s->bad ? 1 : t->n;
        allocate_box(t);
    }
    snapshot_doubles(s, t->lower, 4 * t->n); /* all four arrays */
}

static void walk_state(struct catcma *t, struct snapshot *s)
{
    snapshot_count(s, &t->seed, UINT64_MAX);
    snapshot_count(s, &t->stream, UINT64_MAX);
    snapshot_count(s, &t->round, UINT64_C(1) << 40);
    snapshot_doubles(s, t->chances, t->n_chances);
    snapshot_finite(s, t->path, t->n_chances);
    snapshot_finite(s, &t->gamma, 1);
    snapshot_finite(s, &t->Delta, 1);
    snapshot_finite(s, &t->delta, 1);
    snapshot_count(s, &t->settled, UINT64_C(1) << 40);
    snapshot_doubles(s, &t->best, 1);
}

/* What was read is a state that a search can have. */
static bool is_sound(const struct catcma *t)
{
    bool sound = t->Delta > 0.0 && t->delta > 0.0;
    double sum = 0.0;

    for (size_t i = 0, at = 0; i < t->n_categories; i++, sum = 0.0) {
        for (size_t c = 0; c < t->sizes[i]; c++, at++) {
            sound = sound && t->chances[at] > 0.0;
            sum += t->chances[at];
        }
        sound = sound && fabs(sum - 1.0) < 1e-6;
    }
    return sound;
}

static bool is_box_sound(const struct catcma *t)
{
    bool sound = true;

    for (size_t j = 0; j < t->n; j++) {
        const double step = t->steps[j];

        sound = sound && bounds_are_usable(t->lower[j], t->upper[j]) &&
                fabs(t->best_point[j]) <= 1e200 &&
                (step == 0.0 || bounds_take_step(fabs(step), t->lower[j], t->upper[j])) &&
                (step >= 0.0 || !isinf(t->upper[j] - t->lower[j]));
    }
    return sound;
}

static int walk(void *self, struct snapshot *s, struct err *err)
{
    struct catcma *t = self;

    walk_box(t, s);
    if (s->reading) {
        snapshot_expect(s, is_box_sound(t));
        int rc = s->bad ? 0 : part(t, err);

        if (s->bad || rc != 0) {
            return rc;
        }
    }
    walk_state(t, s);
    snapshot_expect(s, !s->reading || is_sound(t));
    int rc = s->bad ? 0 : cmaes_walk_inner(&t->gauss, s, err);

    if (rc == 0 && s->reading) {
        snapshot_expect(s, (t->gauss != NULL ? cmaes_n(t->gauss) : 0) == t->n_gauss);
        snapshot_expect(s, t->gauss == NULL || cmaes_lambda(t->gauss) == t->lambda);
    }
    return rc;
}

/* ---- asking ---- */

/* The categories of all candidates: drawn [lambda, n_categories]. Candidate k's i-th is a function
 * of (seed, round, k, i) and the chances. */
static void draw(const struct catcma *t, size_t *drawn)
{
    struct rng64 rng;

    rng64_seed(&rng, t->seed, t->stream + STREAM);
    rng64_advance(&rng, 0, t->round * t->lambda * t->n_categories);
    for (size_t k = 0; k < t->lambda; k++) {
        const double *q = t->chances;

        for (size_t i = 0; i < t->n_categories; i++) {
            double left = rng64_uniform(&rng);
            size_t c = 0;

            while (c + 1 < t->sizes[i] && left >= q[c]) {
                left -= q[c++];
            }
            drawn[k * t->n_categories + i] = c;
            q += t->sizes[i];
        }
    }
}

static double value_of(const struct catcma *t, size_t i, size_t category)
{
    size_t j = t->category_at[i];

    return fmin(t->lower[j] + (double)category * fabs(t->steps[j]), t->upper[j]);
}

static void ask(void *self, double *points)
{
    struct catcma *t = self;
    double *gaussian = mem_array(t->lambda * t->n_gauss + 1, sizeof *gaussian);
    size_t *drawn = mem_array(t->lambda * t->n_categories + 1, sizeof *drawn);

    if (t->gauss != NULL) {
        cmaes_ask(t->gauss, gaussian);
    }
    draw(t, drawn);
    for (size_t k = 0; k < t->lambda; k++) {
        for (size_t i = 0; i < t->n_gauss; i++) {
            points[k * t->n + t->gauss_at[i]] = gaussian[k * t->n_gauss + i];
        }
        for (size_t i = 0; i < t->n_categories; i++) {
            points[k * t->n + t->category_at[i]] = value_of(t, i, drawn[k * t->n_categories + i]);
        }
    }
    free(gaussian);
    free(drawn);
}

/* ---- telling ---- */

/* The natural gradient: G_{i,c} over the mu best into gradient [n_chances]; returns the length of
 * its normalised form, which is left in e [n_chances] (last entries 0). */
static double find_gradient(const struct catcma *t, const size_t *order, const size_t *drawn,
                            double *gradient, double *e)
{
    double squares = 0.0;

    for (size_t i = 0, at = 0; i < t->n_categories; at += t->sizes[i], i++) {
        const size_t last = at + t->sizes[i] - 1;
        double sum = 0.0;

        for (size_t c = 0; c < t->sizes[i]; c++) {
            gradient[at + c] = -t->chances[at + c];
        }
        for (size_t r = 0; r < t->mu; r++) {
            gradient[at + drawn[order[r] * t->n_categories + i]] += t->weights[r];
        }
        for (size_t c = at; c < last; c++) {
            sum += gradient[c];
        }
        for (size_t c = at; c < last; c++) {
            double root = sqrt(t->chances[c]);

            e[c] = gradient[c] / root + root * sum / (t->chances[last] + sqrt(t->chances[last]));
            squares += e[c] * e[c];
        }
        e[last] = 0.0;
    }
    return sqrt(squares);
}

/* No chance below the floor; what that takes comes from those above it. Returns whether the table
 * has nowhere left to go. */
static bool keep_floor(double *q, size_t n, double floor_)
{
    double sum = 0.0, all = 0.0, most = 0.0;

    for (size_t c = 0; c < n; c++) {
        q[c] = fmax(q[c], floor_);
        sum += q[c];
    }
    for (size_t c = 0; c < n; c++) {
        q[c] -= (sum - 1.0) * (q[c] - floor_) / (sum - (double)n * floor_);
        all += q[c];
    }
    for (size_t c = 0; c < n; c++) {
        q[c] /= all;
        most = fmax(most, q[c]);
    }
    return most >= 1.0 - (double)(n - 1) * floor_ * 1.01;
}

/* Move the chances and adapt the step; order has the best first. */
static void learn(struct catcma *t, const size_t *order, const size_t *drawn)
{
    double *gradient = mem_array(2 * t->n_chances + 1, sizeof *gradient);
    double *e = gradient + t->n_chances;
    double length = find_gradient(t, order, drawn, gradient, e);
    double free_ = (double)(t->n_chances - t->n_categories); /* N: chances that are free to move */
    double squares = 0.0, share = cmaes_margin_default(n_discrete(t));
    bool settled = true;

    for (size_t c = 0; c < t->n_chances; c++) {
        t->chances[c] += t->delta * gradient[c] / (length + 1e-8);
    }
    t->delta = 1.0 / t->Delta;
    double beta = t->delta / sqrt(free_), gain = sqrt(beta * (2.0 - beta));

    for (size_t c = 0; c < t->n_chances; c++) {
        t->path[c] = (1.0 - beta) * t->path[c] + gain * e[c] / (length + 1e-300);
        squares += t->path[c] * t->path[c];
    }
    t->gamma = (1.0 - beta) * (1.0 - beta) * t->gamma + beta * (2.0 - beta);
    t->Delta *= exp(beta * (t->gamma - squares / 1.5));
    t->Delta = fmin(fmax(t->Delta, 1.0 / sqrt(free_)), 1e10); /* beta stays at most 1 */
    for (size_t i = 0, at = 0; i < t->n_categories; at += t->sizes[i], i++) {
        settled =
            keep_floor(t->chances + at, t->sizes[i], share / (double)(t->sizes[i] - 1)) && settled;
    }
    t->settled = settled ? t->settled + 1 : 0;
    free(gradient);
}

/* Candidates with the best first, equal ones by index, failures last; returns how many are finite.
 */
static size_t rank(const struct catcma *t, const double *fitness, size_t *order)
{
    size_t finite = 0;

    for (size_t k = 0; k < t->lambda; k++) {
        double value = isnan(fitness[k]) ? HUGE_VAL : fitness[k];
        size_t at = k;

        while (at > 0 &&
               (isnan(fitness[order[at - 1]]) ? HUGE_VAL : fitness[order[at - 1]]) > value) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = k;
        finite += isfinite(fitness[k]) ? 1 : 0;
    }
    return finite;
}

static void note_best(struct catcma *t, double fitness, size_t k)
{
    double *points = mem_array(t->lambda * t->n, sizeof *points);

    ask(t, points);
    t->best = fitness;
    memcpy(t->best_point, points + k * t->n, t->n * sizeof *points);
    free(points);
}

static int tell(void *self, const double *fitness, struct err *err)
{
    struct catcma *t = self;
    size_t *order = mem_array(t->lambda, sizeof *order);
    size_t *drawn = mem_array(t->lambda * t->n_categories + 1, sizeof *drawn);
    size_t finite = rank(t, fitness, order);

    if (fitness[order[0]] < t->best) {
        note_best(t, fitness[order[0]], order[0]);
    }
    int rc = t->gauss != NULL ? cmaes_tell(t->gauss, fitness, err) : 0;

    if (rc == 0) {
        draw(t, drawn);
        if (finite >= t->mu && t->n_categories > 0) {
            learn(t, order, drawn);
        }
        t->round++;
    }
    free(order);
    free(drawn);
    return rc;
}

/* ---- looking ---- */

/* The Gaussian part's rules speak only when the categories have settled. */
static const char *stop(const void *self, const char **words)
{
    const struct catcma *t = self;
    double long_ = 10.0 + 30.0 * (double)t->n / (double)t->lambda;
    const char *rule = t->gauss != NULL ? cmaes_stop(t->gauss) : NULL;
    bool settled = t->n_categories == 0 || (double)t->settled >= long_;

    if (t->gauss == NULL && settled) {
        *words = "every category settled on one value";
        return "tolcategory";
    }
    if (rule == NULL || !(settled || strcmp(rule, "numeric") == 0 || strcmp(rule, "ftarget") == 0 ||
                          strcmp(rule, "maxiter") == 0)) {
        return NULL;
    }
    *words = cmaes_stop_words(rule);
    return rule;
}

static void introduce(const void *self, struct optimiser_card *out)
{
    const struct catcma *t = self;

    *out = (struct optimiser_card){.n = t->n, .objectives = 1};
    snprintf(out->name, sizeof out->name, "catcma");
}

static size_t asks(const void *self)
{
    return ((const struct catcma *)self)->lambda;
}

static void mean(const void *self, double *out)
{
    const struct catcma *t = self;
    double *gaussian = mem_array(t->n_gauss + 1, sizeof *gaussian);

    if (t->gauss != NULL) {
        cmaes_mean(t->gauss, gaussian);
    }
    for (size_t i = 0; i < t->n_gauss; i++) {
        out[t->gauss_at[i]] = gaussian[i];
    }
    for (size_t i = 0, at = 0; i < t->n_categories; at += t->sizes[i], i++) {
        size_t likely = 0;

        for (size_t c = 1; c < t->sizes[i]; c++) {
            likely = t->chances[at + c] > t->chances[at + likely] ? c : likely;
        }
        out[t->category_at[i]] = value_of(t, i, likely);
    }
    free(gaussian);
}

static double sigma(const void *self)
{
    const struct catcma *t = self;

    return t->gauss != NULL ? cmaes_sigma(t->gauss) : 0.0;
}

static double best(const void *self, double *point)
{
    const struct catcma *t = self;

    if (point != NULL) {
        memcpy(point, t->best_point, t->n * sizeof *point);
    }
    return t->best;
}

const struct optimiser_kind optimiser_catcma = {
    .magic = MAGIC,
    .what = "CatCMA",
    .size = sizeof(struct catcma),
    .make = make,
    .walk = walk,
    .release = release,
    .introduce = introduce,
    .asks = asks,
    .ask = ask,
    .tell = tell,
    .stop = stop,
    .mean = mean,
    .sigma = sigma,
    .best = best,
};
