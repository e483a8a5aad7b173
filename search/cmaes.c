/*
 * cmaes.c - the covariance matrix adaptation evolution strategy.
 *
 * One generation, letters as in Hansen 2023 (arXiv:1604.00772); the covariance C = B^T D^2 B, B one
 * eigenvector a row:
 *
 *      z_k ~ N(0, I)    y_k = B^T D B z_k    x_k = m + sigma scales y_k      cmaes_ask
 *
 *      rank by f:  y_w = sum w_i y_i         over the mu best                cmaes_tell
 *      m        moves by sigma scales y_w
 *      p_sigma  fades, gains C^-1/2 y_w; sigma grows when steps add up, shrinks when they cancel
 *      p_c      fades, gains y_w
 *      C        fades, gains p_c p_c^T and sum w_i y_i y_i^T, the bad half with negative weights
 *
 * C^-1/2 y_i is z_i, since the root that made the sample is the one to undo: no inverse is ever
 * formed.
 *
 * Normals are addressed, not consumed: normal number (round * L + k) * N + j of one PCG64 stream is
 * coordinate j of candidate k. Box-Muller makes them in pairs from two draws, so number i costs
 * draws i and i^1, and a jump ahead to the even number below the first wanted one finds it. A
 * generation is then L * N numbers in a row, and the whole search reads the stream once from front
 * to end although no generator state is kept.
 *
 * Products run as plain loops up to CMAES_LOOPS_MAX coordinates, where a BLAS call costs more than
 * it saves and the result does not depend on the machine's kernels; above that through one thread
 * of OpenBLAS.
 */
#include "search/cmaes.h"

#include <assert.h>
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/bounds.h"
#include "search/cmaes_internal.h"

/* ---- making ---- */

static size_t padded(size_t n)
{
    return (n + 7) / 8 * 8; /* whole cache lines */
}

/* Lay every array out in one block; with arena NULL only the size is counted, in doubles. */
static size_t lay_out(struct cmaes *s, double *arena)
{
    const size_t n = s->n, samples = s->lambda * n;
    const size_t matrix = s->model == CMAES_SEPARABLE ? 0 : n * n;
    const size_t path = s->model == CMAES_ACCELERATED ? n : 0, cells = s->mixed ? n : 0;
    const struct {
        double **array;
        size_t size;
    } parts[] = {{&s->lower, n},
                 {&s->upper, n},
                 {&s->scales_start, n},
                 {&s->mean, n},
                 {&s->scales, n},
                 {&s->covariance, matrix},
                 {&s->axes, matrix},
                 {&s->lengths, n},
                 {&s->p_c, n},
                 {&s->p_sigma, n},
                 {&s->best_point, n},
                 {&s->recent, s->n_recent},
                 {&s->slow_best, s->n_slow},
                 {&s->slow_median, s->n_slow},
                 {&s->anchor, n},
                 {&s->normals, samples + 1},
                 {&s->y, samples},
                 {&s->rows, samples + n},
                 {&s->work, matrix},
                 {&s->values, n},
                 {&s->p_d, path},
                 {&s->steps, cells},
                 {&s->spreads, cells},
                 {&s->mutation, cells},
                 {&s->succeeded, cells},
                 {&s->injected, s->lambda / 2 * n}};
    size_t used = 0;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (arena != NULL) {
            *parts[i].array = arena + used;
        }
        used += padded(parts[i].size);
    }
    return used;
}

int cmaes_allocate(struct cmaes **out, const struct cmaes_shape *shape, struct err *err)
{
    const size_t n = shape->n, lambda = shape->lambda;

    assert(n >= 1 && n <= CMAES_N_MAX && lambda >= 2 && lambda <= CMAES_LAMBDA_MAX);
    struct cmaes *made = mem_alloc(sizeof *made);
    const double N = (double)n, L = (double)lambda;

    made->n = n;
    made->lambda = lambda;
    made->passive = shape->passive;
    made->model = shape->model;
    made->mixed = shape->mixed;
    made->n_recent = 10 + (size_t)ceil(30.0 * N / L);
    made->n_slow = (size_t)ceil((100.0 + 100.0 * pow(N, 1.5) / L) / 5.0);
    if (shape->model == CMAES_SEPARABLE) {
        cmaes_constants_init_diagonal(&made->constants, n, lambda, shape->passive);
    } else {
        cmaes_constants_init(&made->constants, n, lambda, shape->passive);
    }
    if (shape->model == CMAES_ACCELERATED) {
        cmaes_constants_init_diagonal(&made->diagonal, n, lambda, shape->passive);
    }
    size_t size = lay_out(made, NULL);
    int rc = shape->model == CMAES_SEPARABLE ? 0 : eigen_init(&made->eigen, n, err);

    if (rc == 0) {
        made->order = mem_array(lambda, sizeof *made->order);
        made->arena = mem_try_block(size, sizeof(double), "the state of CMA-ES", err);
        rc = made->arena == NULL ? ERR_MEMORY : 0;
    }
    if (rc == 0 && shape->adaptive) {
        rc = cmaes_rates_new(&made->rates, n, err);
    }
    if (rc != 0) {
        cmaes_free(made);
        return rc;
    }
    memset(made->arena, 0, size * sizeof(double));
    lay_out(made, made->arena);
    *out = made;
    return 0;
}

void cmaes_free(struct cmaes *cmaes)
{
    if (cmaes != NULL) {
        cmaes_constants_release(&cmaes->constants);
        cmaes_constants_release(&cmaes->diagonal);
        eigen_release(&cmaes->eigen);
        cmaes_rates_free(cmaes->rates);
        free(cmaes->order);
        free(cmaes->arena);
        free(cmaes);
    }
}

static bool is_integer(const struct cmaes_options *o, size_t j)
{
    return o->steps != NULL && o->steps[j] != 0.0;
}

static size_t count_integers(const struct cmaes_options *o)
{
    size_t count = 0;

    for (size_t j = 0; j < o->n; j++) {
        count += is_integer(o, j) ? 1 : 0;
    }
    return count;
}

static int check_options(const struct cmaes_options *o, struct err *err)
{
    if (o->n < 1 || o->n > CMAES_N_MAX) {
        return err_set(err, ERR_LIMIT, "%zu coordinates: 1 to %d are possible", o->n, CMAES_N_MAX);
    }
    if (o->lambda == 1 || o->lambda > CMAES_LAMBDA_MAX) {
        return err_set(err, ERR_LIMIT, "population %zu: 2 to %d are possible", o->lambda,
                       CMAES_LAMBDA_MAX);
    }
    if (!(o->sigma > 0.0 && o->sigma <= CMAES_FAR)) {
        return err_set(err, ERR_LIMIT, "sigma %g: must be above 0 and at most %g", o->sigma,
                       CMAES_FAR);
    }
    for (size_t j = 0; j < o->n; j++) {
        double lower = o->lower != NULL ? o->lower[j] : -HUGE_VAL;
        double upper = o->upper != NULL ? o->upper[j] : HUGE_VAL;
        double deviation = o->sigma * (o->deviations != NULL ? o->deviations[j] : 1.0);

        if (!bounds_are_usable(lower, upper)) {
            return err_set(err, ERR_LIMIT, "coordinate %zu: bounds %g to %g", j, lower, upper);
        }
        if (!(deviation > 0.0 && deviation <= CMAES_FAR)) {
            return err_set(err, ERR_LIMIT, "coordinate %zu: deviation %g", j, deviation);
        }
        if (!(fabs(o->start[j]) <= CMAES_FAR && o->start[j] >= lower && o->start[j] <= upper)) {
            return err_set(err, ERR_LIMIT, "coordinate %zu: start %g outside %g to %g", j,
                           o->start[j], lower, upper);
        }
        if (is_integer(o, j) && !bounds_take_step(o->steps[j], lower, upper)) {
            return err_set(err, ERR_LIMIT, "coordinate %zu: step %g between %g and %g", j,
                           o->steps[j], lower, upper);
        }
    }
    if (count_integers(o) > 0 && (o->model == CMAES_ACCELERATED || o->adaptive)) {
        return err_set(err, ERR_LIMIT, "integer coordinates go with the full and separable models");
    }
    if (o->adaptive && o->model != CMAES_FULL) {
        return err_set(err, ERR_LIMIT, "adaptive learning rates go with the full model");
    }
    if (!(o->margin >= 0.0 && o->margin < 0.5)) {
        return err_set(err, ERR_LIMIT, "margin %g: no chance below a half", o->margin);
    }
    return 0;
}

/* The mean in the unfolded space, and what integer coordinates begin with. */
static void place_start(struct cmaes *s, const struct cmaes_options *o, size_t j)
{
    bool integer = is_integer(o, j);

    s->lower[j] = o->lower != NULL ? o->lower[j] : -HUGE_VAL;
    s->upper[j] = o->upper != NULL ? o->upper[j] : HUGE_VAL;
    s->mean[j] = integer ? o->start[j] : bounds_unfold(o->start[j], s->lower[j], s->upper[j]);
    s->anchor[j] = s->mean[j];
    s->best_point[j] = o->start[j];
    if (s->mixed) {
        s->steps[j] = integer ? o->steps[j] : 0.0;
        s->spreads[j] = 1.0;
        s->mutation[j] = 0.5;
        s->best_point[j] = integer ? cmaes_cell(s, j, o->start[j]) : o->start[j];
    }
}

int cmaes_new(struct cmaes **out, const struct cmaes_options *options, struct err *err)
{
    struct cmaes *s = NULL;
    int rc = check_options(options, err);

    if (rc != 0) {
        return rc;
    }
    const size_t n = options->n;

    const struct cmaes_shape shape = {.n = n,
                                      .lambda = options->lambda != 0 ? options->lambda
                                                                     : cmaes_lambda_default(n),
                                      .model = options->model,
                                      .passive = options->passive,
                                      .mixed = count_integers(options) > 0,
                                      .adaptive = options->adaptive};

    rc = cmaes_allocate(&s, &shape, err);
    if (rc != 0) {
        return rc;
    }
    s->seed = options->seed;
    s->stream = options->stream != 0 ? options->stream : RNG_SAMPLING;
    cmaes_limits_init(&s->limits);
    if (options->limits != NULL) {
        s->limits = *options->limits;
    }
    s->sigma = s->sigma_start = options->sigma;
    s->best = HUGE_VAL;
    s->margin =
        options->margin > 0.0 ? options->margin : cmaes_margin_default(count_integers(options));
    for (size_t j = 0; j < n; j++) {
        place_start(s, options, j);
        s->scales[j] = options->deviations != NULL ? options->deviations[j] : 1.0;
        s->lengths[j] = 1.0;
        if (s->model != CMAES_SEPARABLE) {
            s->covariance[j * n + j] = s->axes[j * n + j] = 1.0;
        }
    }
    cmaes_cap_to_box(s);
    memcpy(s->scales_start, s->scales, n * sizeof *s->scales);
    *out = s;
    return 0;
}

/* ---- looking ---- */

enum cmaes_model cmaes_model(const struct cmaes *cmaes)
{
    return cmaes->model;
}

size_t cmaes_n(const struct cmaes *cmaes)
{
    return cmaes->n;
}

size_t cmaes_lambda(const struct cmaes *cmaes)
{
    return cmaes->lambda;
}

uint64_t cmaes_generation(const struct cmaes *cmaes)
{
    return cmaes->generation;
}

double cmaes_sigma(const struct cmaes *cmaes)
{
    return cmaes->sigma;
}

void cmaes_widen(struct cmaes *cmaes, double factor)
{
    cmaes->sigma = fmin(cmaes->sigma * factor, fmax(cmaes->sigma, cmaes->sigma_start));
    cmaes->sampled = false;
}

double cmaes_deviation(const struct cmaes *cmaes, size_t j)
{
    return cmaes->sigma * cmaes->scales[j] * sqrt(cmaes_variance(cmaes, j));
}

void cmaes_deviations(const struct cmaes *cmaes, double *out)
{
    for (size_t j = 0; j < cmaes->n; j++) {
        out[j] = cmaes_deviation(cmaes, j) * (cmaes->mixed ? cmaes->spreads[j] : 1.0);
    }
}

/* As the objective sees it. */
static double seen(const struct cmaes *s, size_t j, double x)
{
    return cmaes_is_integer(s, j) ? cmaes_cell(s, j, x) : bounds_fold(x, s->lower[j], s->upper[j]);
}

void cmaes_mean(const struct cmaes *cmaes, double *out)
{
    for (size_t j = 0; j < cmaes->n; j++) {
        out[j] = seen(cmaes, j, cmaes->mean[j]);
    }
}

double cmaes_condition(const struct cmaes *cmaes)
{
    double least = cmaes->lengths[0], most = cmaes->lengths[cmaes->n - 1];

    for (size_t j = 0; j < cmaes->n && cmaes->model == CMAES_SEPARABLE; j++) {
        least = fmin(j == 0 ? HUGE_VAL : least, cmaes->scales[j] / cmaes->scales_start[j]);
        most = fmax(j == 0 ? 0.0 : most, cmaes->scales[j] / cmaes->scales_start[j]);
    }
    return most / least * (most / least);
}

double cmaes_best(const struct cmaes *cmaes, double *point)
{
    if (point != NULL) {
        memcpy(point, cmaes->best_point, cmaes->n * sizeof *point);
    }
    return cmaes->best;
}

/* ---- asking ---- */

/* Fill z: the L * N normals of this round. */
static void draw(struct cmaes *s)
{
    const size_t count = s->lambda * s->n;
    const uint64_t first = s->round * count; /* n, lambda and round are bounded: below 2^64 */
    const size_t odd = first & 1;
    struct rng64 rng;

    rng64_seed(&rng, s->seed, s->stream);
    rng64_advance(&rng, 0, first - odd);
    rng64_normals(&rng, s->normals, count + odd);
    s->z = s->normals + odd;
}

/* y_k = sum over axes i of lengths_i (axis_i . z_k) axis_i; along_k holds the middle factors. */
static void shape_by_loops(const struct cmaes *s, double *along)
{
    const size_t n = s->n;

    for (size_t k = 0; k < s->lambda; k++) {
        const double *z = s->z + k * n;
        double *y = s->y + k * n;

        memset(y, 0, n * sizeof *y);
        for (size_t i = 0; i < n; i++) {
            const double *axis = s->axes + i * n;
            double sum = 0.0;

            for (size_t j = 0; j < n; j++) {
                sum += axis[j] * z[j];
            }
            along[i] = sum * s->lengths[i];
            for (size_t j = 0; j < n; j++) {
                y[j] += along[i] * axis[j];
            }
        }
    }
}

static void shape_by_blas(const struct cmaes *s, double *along)
{
    const int n = (int)s->n, lambda = (int)s->lambda;
    int threads = eigen_threads_one();

    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, lambda, n, n, 1.0, s->z, n, s->axes, n,
                0.0, along, n);
    for (size_t k = 0; k < s->lambda; k++) {
        for (size_t i = 0; i < s->n; i++) {
            along[k * s->n + i] *= s->lengths[i];
        }
    }
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, lambda, n, n, 1.0, along, n, s->axes, n,
                0.0, s->y, n);
    eigen_threads_restore(threads);
}

static void sample(struct cmaes *s)
{
    if (s->sampled) {
        return;
    }
    draw(s);
    if (s->model == CMAES_SEPARABLE) {
        memcpy(s->y, s->z, s->lambda * s->n * sizeof *s->y);
    } else if (s->n <= CMAES_LOOPS_MAX) {
        shape_by_loops(s, s->rows);
    } else {
        shape_by_blas(s, s->rows);
    }
    for (size_t i = 0; i < s->foreign; i++) {
        size_t at = (s->lambda - 1 - i) * s->n;

        memcpy(s->y + at, s->injected + i * s->n, s->n * sizeof *s->y);
        memcpy(s->z + at, s->y + at, s->n * sizeof *s->z);
        cmaes_multiply_root(s, -1, s->z + at);
    }
    s->sampled = true;
}

static void place(const struct cmaes *s, size_t k, double *point)
{
    for (size_t j = 0; j < s->n; j++) {
        double spread = s->mixed ? s->spreads[j] : 1.0;
        double x = s->mean[j] + s->sigma * s->scales[j] * spread * s->y[k * s->n + j];

        point[j] = seen(s, j, x);
    }
}

void cmaes_ask(struct cmaes *cmaes, double *points)
{
    sample(cmaes);
    for (size_t k = 0; k < cmaes->lambda; k++) {
        place(cmaes, k, points + k * cmaes->n);
    }
}

int cmaes_inject(struct cmaes *cmaes, const double *point, struct err *err)
{
    struct cmaes *s = cmaes;

    if (s->foreign >= s->lambda / 2 || s->mixed) {
        return err_set(err, ERR_LIMIT, "a generation of %zu takes no more foreign points",
                       s->lambda);
    }
    const double N = (double)s->n;
    double *y = s->injected + s->foreign * s->n, *z = s->values;

    for (size_t j = 0; j < s->n; j++) {
        if (!(point[j] >= s->lower[j] && point[j] <= s->upper[j] && fabs(point[j]) <= CMAES_FAR)) {
            return err_set(err, ERR_LIMIT, "coordinate %zu: injected %g outside %g to %g", j,
                           point[j], s->lower[j], s->upper[j]);
        }
        double x = bounds_unfold(point[j], s->lower[j], s->upper[j]);

        y[j] = (x - s->mean[j]) / (s->sigma * s->scales[j]);
        z[j] = y[j];
    }
    cmaes_multiply_root(s, -1, z);
    double length = sqrt(cmaes_length_squared(z, s->n));
    double most = sqrt(N) + 2.0 * N / (N + 2.0);

    for (size_t j = 0; j < s->n && length > most; j++) {
        y[j] *= most / length;
    }
    s->foreign++;
    s->sampled = false;
    return 0;
}

/* ---- telling ---- */

static int by_fitness(const void *left, const void *right)
{
    const struct cmaes_rank *a = left, *b = right;
    bool a_failed = isnan(a->fitness), b_failed = isnan(b->fitness);

    if (a_failed != b_failed) {
        return a_failed ? 1 : -1;
    }
    if (a->fitness < b->fitness) {
        return -1;
    }
    if (a->fitness > b->fitness) {
        return 1;
    }
    return a->index < b->index ? -1 : 1;
}

/* Sort into order and keep the best so far; returns how many are finite. */
static size_t rank(struct cmaes *s, const double *fitness)
{
    size_t finite = 0;

    for (size_t k = 0; k < s->lambda; k++) {
        s->order[k] = (struct cmaes_rank){fitness[k], k};
        finite += isfinite(fitness[k]) ? 1 : 0;
    }
    qsort(s->order, s->lambda, sizeof *s->order, by_fitness);
    if (s->order[0].fitness < s->best) {
        s->best = s->order[0].fitness;
        s->best_generation = s->generation;
        place(s, s->order[0].index, s->best_point);
    }
    return finite;
}

/* out = sum over the mu best of weight * row. */
static void recombine(const struct cmaes *s, const double *samples, double *out)
{
    memset(out, 0, s->n * sizeof *out);
    for (size_t i = 0; i < s->constants.mu; i++) {
        const double *row = samples + s->order[i].index * s->n;

        for (size_t j = 0; j < s->n; j++) {
            out[j] += s->constants.weights[i] * row[j];
        }
    }
}

double cmaes_length_squared(const double *v, size_t n)
{
    double sum = 0.0;

    for (size_t j = 0; j < n; j++) {
        sum += v[j] * v[j];
    }
    return sum;
}

/* Foreign points can make the mean jump further than samples ever would: the step size's path takes
 * such a jump as one of the usual length. */
static double path_share(const struct cmaes *s, const double *z_w)
{
    const double N = (double)s->n;
    double length = sqrt(s->constants.mu_eff * cmaes_length_squared(z_w, s->n));
    double most = sqrt(2.0 * N) + 2.0 * N / (N + 2.0);

    return s->foreign > 0 && length > most ? most / length : 1.0;
}

/* Move the mean and both paths; returns h: 0 while sigma grows so fast that p_c must wait. */
static double move(struct cmaes *s)
{
    const struct cmaes_constants *c = &s->constants;
    const size_t n = s->n;
    double *y_w = s->rows, *z_w = s->values;
    double gain = sqrt(c->c_sigma * (2.0 - c->c_sigma) * c->mu_eff);

    recombine(s, s->y, y_w);
    recombine(s, s->z, z_w);
    gain *= path_share(s, z_w);
    for (size_t j = 0; j < n; j++) {
        double spread = s->mixed ? s->spreads[j] : 1.0;

        s->mean[j] += s->sigma * s->scales[j] * spread * y_w[j];
        s->p_sigma[j] = (1.0 - c->c_sigma) * s->p_sigma[j] + gain * z_w[j];
    }
    double fresh = 1.0 - pow(1.0 - c->c_sigma, 2.0 * ((double)s->generation + 1.0));
    double length = sqrt(cmaes_length_squared(s->p_sigma, n) / fresh);
    double h = length < (1.4 + 2.0 / ((double)n + 1.0)) * c->chi ? 1.0 : 0.0;

    gain = h * sqrt(c->c_c * (2.0 - c->c_c) * c->mu_eff);
    for (size_t j = 0; j < n; j++) {
        s->p_c[j] = (1.0 - c->c_c) * s->p_c[j] + gain * y_w[j];
    }
    if (s->model == CMAES_ACCELERATED) {
        cmaes_accelerate_path(s, h, y_w);
    }
    return h;
}

static void update_sigma(struct cmaes *s)
{
    const struct cmaes_constants *c = &s->constants;
    double length = sqrt(cmaes_length_squared(s->p_sigma, s->n));

    s->sigma *= exp(fmin(1.0, c->c_sigma / c->d_sigma * (length / c->chi - 1.0)));
}

int cmaes_tell(struct cmaes *cmaes, const double *fitness, struct err *err)
{
    if (cmaes->stops >> CMAES_NUMERIC & 1) {
        return err_set(err, ERR_NUMERIC, "the search has run out of numbers and cannot go on");
    }
    for (size_t k = 0; k < cmaes->lambda; k++) {
        if (fitness[k] == -HUGE_VAL) {
            return err_set(err, ERR_NUMERIC, "candidate %zu: the fitness is minus infinity", k);
        }
    }
    sample(cmaes);
    size_t finite = rank(cmaes, fitness);
    bool well = true;

    if (finite >= cmaes->constants.mu) {
        if (cmaes->mixed) {
            cmaes_centre_integers(cmaes);
        }
        if (cmaes->rates != NULL) {
            cmaes_rates_begin(cmaes);
        }
        double h = move(cmaes);

        if (cmaes->model == CMAES_SEPARABLE) {
            cmaes_diagonal_update(cmaes, h);
        } else {
            cmaes_covariance_update(cmaes, h);
        }
        if (cmaes->model == CMAES_ACCELERATED) {
            cmaes_accelerate(cmaes, h);
        }
        update_sigma(cmaes);
        well = cmaes->rates == NULL || cmaes_rates_end(cmaes);
        cmaes->generation++;
        well = well && cmaes_stay_well(cmaes);
    }
    if (well && cmaes->mixed) {
        cmaes_keep_margin(cmaes);
    }
    cmaes->round++;
    cmaes->foreign = 0;
    cmaes->sampled = false;
    cmaes_stop_update(cmaes);
    if (!well) {
        cmaes->stops |= UINT64_C(1) << CMAES_NUMERIC;
    }
    return 0;
}
