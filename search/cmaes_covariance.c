/*
 * cmaes_covariance.c - the covariance of a CMA-ES: what a generation adds to it, its axes, and its
 * upkeep.
 *
 * Only the triangle column <= row is kept. The samples' outer products come in two groups, since a
 * symmetric rank-k update knows no negative weights: the path and the better half are added, the
 * worse half is taken away.
 *
 * Upkeep (Hansen 2023, B.2, and what finite numbers ask for): the axes are renewed only every
 * 1 / (10 n (c_1 + c_mu)) generations, which makes a generation quadratic in n; deviations stay
 * within their boxes; sizes of coordinates that differ by more than 1e4 move into `scales`, a
 * runaway sigma moves into C.
 */
#include <assert.h>
#include <cblas.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "search/cmaes_internal.h"

#define SIGMA_DRIFT_MAX 1e9 /* beyond this factor sigma's growth moves into the covariance */
#define SCALE_RATIO_MAX 1e8 /* of the covariance's diagonal, before its scales are moved out */
#define BOX_SHARE_MAX (1.0 / 3.0) /* of a box side that a deviation may fill */

/* C = keep C + sum of the first n_plus rows' outer products - those of the n_minus rows after them.
 */
static void update_by_loops(struct cmaes *s, double keep, size_t n_plus, size_t n_minus)
{
    const size_t n = s->n;

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            s->covariance[i * n + j] *= keep;
        }
    }
    for (size_t r = 0; r < n_plus + n_minus; r++) {
        const double *row = s->rows + r * n;

        for (size_t i = 0; i < n; i++) {
            double factor = r < n_plus ? row[i] : -row[i];

            for (size_t j = 0; j <= i; j++) {
                s->covariance[i * n + j] += factor * row[j];
            }
        }
    }
}

static void update_by_blas(struct cmaes *s, double keep, size_t n_plus, size_t n_minus)
{
    const int n = (int)s->n;
    int threads = eigen_threads_one();

    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, n, (int)n_plus, 1.0, s->rows, n, keep,
                s->covariance, n);
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, n, (int)n_minus, -1.0,
                s->rows + n_plus * s->n, n, 1.0, s->covariance, n);
    eigen_threads_restore(threads);
}

void cmaes_add_products(struct cmaes *s, double keep, size_t n_plus, size_t n_minus)
{
    if (s->n <= CMAES_LOOPS_MAX) {
        update_by_loops(s, keep, n_plus, n_minus);
    } else {
        update_by_blas(s, keep, n_plus, n_minus);
    }
}

/* Fade the covariance and add the outer products: row 0 is p_c, then the candidates in order, each
 * times the root of its weight. */
void cmaes_covariance_update(struct cmaes *s, double h)
{
    const struct cmaes_constants *c = &s->constants;
    const size_t n = s->n;
    const size_t used = s->passive ? c->mu : s->lambda;
    double keep =
        1.0 + c->c_1 * (1.0 - h) * c->c_c * (2.0 - c->c_c) - c->c_1 - c->c_mu * c->weight_sum;

    for (size_t j = 0; j < n; j++) {
        s->rows[j] = sqrt(c->c_1) * s->p_c[j];
    }
    for (size_t i = 0; i < used; i++) {
        size_t k = s->order[i].index;
        double weight = fabs(c->weights[i]);

        if (i >= c->mu) { /* bad steps count by direction: as if each had the length of sqrt(n) */
            weight *= (double)n / (cmaes_length_squared(s->z + k * n, n) + DBL_MIN);
            weight *= k < s->lambda - s->foreign ? 1.0 : 0.0; /* foreign points are never bad */
        }
        double root = sqrt(c->c_mu * weight);

        for (size_t j = 0; j < n; j++) {
            s->rows[(i + 1) * n + j] = root * s->y[k * n + j];
        }
    }
    cmaes_add_products(s, keep, 1 + c->mu, used - c->mu);
}

/* ---- upkeep ---- */

static bool try_to_decompose(struct cmaes *s)
{
    const size_t n = s->n;
    int threads = eigen_threads_one();

    for (size_t i = 0; i < n; i++) {
        memcpy(s->work + i * n, s->covariance + i * n, (i + 1) * sizeof *s->work);
    }
    int rc = eigen_symmetric(&s->eigen, s->work, s->values, NULL);

    eigen_threads_restore(threads);
    return rc == 0 && s->values[0] > 0.0;
}

/* New axes and lengths. A matrix that rounding made indefinite is lifted once by its old smallest
 * eigenvalue. */
bool cmaes_decompose(struct cmaes *s)
{
    const size_t n = s->n;

    if (!try_to_decompose(s)) {
        for (size_t j = 0; j < n; j++) {
            s->covariance[j * n + j] += s->lengths[0] * s->lengths[0];
        }
        if (!try_to_decompose(s)) {
            return false;
        }
    }
    double *old = s->axes;

    s->axes = s->work;
    s->work = old;
    for (size_t j = 0; j < n; j++) {
        s->lengths[j] = sqrt(s->values[j]);
    }
    s->decomposed = s->generation;
    return true;
}

void cmaes_multiply_root(const struct cmaes *s, int power, double *v)
{
    const size_t n = s->n;

    if (s->model == CMAES_SEPARABLE) {
        return; /* C is I: all there is stands in scales */
    }
    double *along = s->rows, *sum = s->rows + n;

    memset(sum, 0, n * sizeof *sum);
    for (size_t i = 0; i < n; i++) {
        const double *axis = s->axes + i * n;

        along[i] = 0.0;
        for (size_t j = 0; j < n; j++) {
            along[i] += axis[j] * v[j];
        }
        along[i] = power > 0 ? along[i] * s->lengths[i] : along[i] / s->lengths[i];
        for (size_t j = 0; j < n; j++) {
            sum[j] += along[i] * axis[j];
        }
    }
    memcpy(v, sum, n * sizeof *v);
}

/*
 * Make C a correlation matrix and keep the coordinates' sizes in scales: axis-parallel differences
 * in scale then do not count against C's condition. p_sigma lives where C is I, so it is taken
 * through the old root into the coordinates and back through the new one.
 */
static bool move_scales_out(struct cmaes *s)
{
    const size_t n = s->n;
    double *size = s->y; /* the samples of this round are used up */

    cmaes_multiply_root(s, 1, s->p_sigma);
    for (size_t j = 0; j < n; j++) {
        size[j] = sqrt(s->covariance[j * n + j]);
        s->scales[j] *= size[j];
        s->p_c[j] /= size[j];
        s->p_sigma[j] /= size[j];
        if (s->model == CMAES_ACCELERATED) {
            s->p_d[j] /= size[j];
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            s->covariance[i * n + j] /= size[i] * size[j];
        }
        s->covariance[i * n + i] = 1.0;
    }
    if (!cmaes_decompose(s)) {
        return false;
    }
    cmaes_multiply_root(s, -1, s->p_sigma);
    return true;
}

static bool axes_are_due(const struct cmaes *s)
{
    return (double)(s->generation - s->decomposed) >= s->constants.gap;
}

static bool scales_drifted(const struct cmaes *s)
{
    double least = HUGE_VAL, most = 0.0;

    if (s->model == CMAES_ACCELERATED) {
        return axes_are_due(s); /* its C is a correlation matrix whenever it is decomposed */
    }

    for (size_t j = 0; j < s->n; j++) {
        least = fmin(least, s->covariance[j * s->n + j]);
        most = fmax(most, s->covariance[j * s->n + j]);
    }
    return most > SCALE_RATIO_MAX * least && least > 0.0;
}

/* sigma and C are only known as a product: give sigma's excess to C. */
static void pull_sigma_back(struct cmaes *s)
{
    const double factor = s->sigma / s->sigma_start;

    for (size_t j = 0; j < s->n; j++) {
        if (s->model == CMAES_SEPARABLE) {
            s->scales[j] *= factor;
            continue;
        }
        s->lengths[j] *= factor;
        s->p_c[j] *= factor;
        if (s->model == CMAES_ACCELERATED) {
            s->p_d[j] *= factor;
        }
        for (size_t i = j; i < s->n; i++) {
            s->covariance[i * s->n + j] *= factor * factor;
        }
    }
    s->sigma = s->sigma_start;
}

static bool numbers_in_range(const struct cmaes *s)
{
    if (!(s->sigma >= DBL_MIN && isfinite(s->sigma))) {
        return false;
    }
    for (size_t j = 0; j < s->n; j++) { /* Box-Muller's longest normal is 8.6 */
        double reach = 10.0 * sqrt((double)s->n) * cmaes_deviation(s, j);

        if (!(fabs(s->mean[j]) + reach <= CMAES_FAR)) {
            return false;
        }
    }
    return true;
}

void cmaes_cap_to_box(struct cmaes *s)
{
    for (size_t j = 0; j < s->n; j++) {
        double cap = BOX_SHARE_MAX * (s->upper[j] - s->lower[j]);
        double deviation = cmaes_deviation(s, j);

        if (deviation > cap &&
            !cmaes_is_integer(s,
                              j)) { /* as if row and column of C and the entry of p_c were scaled */
            s->scales[j] *= cap / deviation;
        }
    }
}

bool cmaes_stay_well(struct cmaes *s)
{
    if (!numbers_in_range(s)) {
        return false;
    }
    cmaes_cap_to_box(s);
    if (s->sigma > SIGMA_DRIFT_MAX * s->sigma_start) {
        pull_sigma_back(s);
    }
    if (s->model == CMAES_SEPARABLE) {
        return true;
    }
    if (scales_drifted(s)) {
        return move_scales_out(s);
    }
    return axes_are_due(s) ? cmaes_decompose(s) : true;
}
