#include "search/quadratic.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/eigen.h"

/* LAPACK, as Fortran calls it: minimum-norm least squares by pivoted QR. */
void dgelsy_(const int *m, const int *n, const int *nrhs, double *a, const int *lda, double *b,
             const int *ldb, int *jpvt, const double *rcond, int *rank, double *work,
             const int *lwork, int *info);

#define SURPLUS 1.1      /* points a term before it is taken */
#define KEPT 0.75        /* share of the points that counts */
#define WEIGHT_BEST 20.0 /* on the best point's error before it is squared; the last one's is 1 */
#define RANK_LOSS 1e-11  /* columns smaller than this share add nothing */
#define BEND_LEAST 1e-9  /* of the strongest curvature, below which there is no bottom */

size_t quadratic_terms(size_t n)
{
    return (n + 1) * (n + 2) / 2;
}

void quadratic_init(struct quadratic *out, size_t n)
{
    assert(n >= 1 && n <= QUADRATIC_N_MAX);
    *out = (struct quadratic){.n = n, .centre = mem_array(2 * n, sizeof(double))};
    out->width = out->centre + n;
    out->factors = mem_array(quadratic_terms(n), sizeof *out->factors);
}

void quadratic_release(struct quadratic *model)
{
    free(model->centre);
    free(model->factors);
    *model = (struct quadratic){0};
}

/* The most terms that so many points carry. */
static size_t terms_for(size_t n, size_t count)
{
    const size_t steps[] = {quadratic_terms(n), 2 * n + 1, n + 1};

    for (size_t i = 0; i < 3; i++) {
        if ((double)count >= SURPLUS * (double)steps[i]) {
            return steps[i];
        }
    }
    return 0;
}

/* The values of all terms at a point: row [terms]. */
static void expand(const struct quadratic *model, const double *point, double *row)
{
    const size_t n = model->n;
    size_t at = 2 * n + 1;

    row[0] = 1.0;
    for (size_t j = 0; j < n; j++) {
        double u = (point[j] - model->centre[j]) / model->width[j];

        row[1 + j] = u;
        if (model->terms > n + 1) {
            row[1 + n + j] = u * u;
        }
    }
    for (size_t j = 0; j < n && model->terms > 2 * n + 1; j++) {
        for (size_t k = j + 1; k < n; k++) {
            row[at++] = row[1 + j] * row[1 + k];
        }
    }
}

double quadratic_value(const struct quadratic *model, const double *point)
{
    double row[(QUADRATIC_N_MAX + 1) * (QUADRATIC_N_MAX + 2) / 2];
    double sum = 0.0;

    expand(model, point, row);
    for (size_t i = 0; i < model->terms; i++) {
        sum += model->factors[i] * row[i];
    }
    return sum;
}

/* ---- fitting ---- */

struct ranked {
    double value;
    size_t index;
};

static int by_value(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;

    return a->value < b->value ? -1 : a->value > b->value ? 1 : a->index < b->index ? -1 : 1;
}

/* Units in which the chosen points are of size one. */
static void find_units(struct quadratic *model, const double *points, const struct ranked *order,
                       size_t count)
{
    for (size_t j = 0; j < model->n; j++) {
        double sum = 0.0, squares = 0.0;

        for (size_t i = 0; i < count; i++) {
            sum += points[order[i].index * model->n + j];
        }
        model->centre[j] = sum / (double)count;
        for (size_t i = 0; i < count; i++) {
            double off = points[order[i].index * model->n + j] - model->centre[j];

            squares += off * off;
        }
        model->width[j] = squares > 0.0 ? sqrt(squares / (double)count) : 1.0;
    }
}

/* Least squares by a pivoted QR decomposition (LAPACK's dgelsy), which copes with points that lie
 * in a plane. rows [count, terms] column-major and right [count] are overwritten; false: no fit. */
static bool solve(double *rows, double *right, size_t count, size_t terms)
{
    int m = (int)count, n = (int)terms, one = 1, rank = 0, info = 0, room = -1;
    int *pivots = mem_array(terms, sizeof *pivots);
    double loss = RANK_LOSS, wanted = 0.0;
    int threads = eigen_threads_one();

    dgelsy_(&m, &n, &one, rows, &m, right, &m, pivots, &loss, &rank, &wanted, &room, &info);
    room = (int)wanted;
    double *work = mem_array((size_t)room, sizeof *work);

    dgelsy_(&m, &n, &one, rows, &m, right, &m, pivots, &loss, &rank, work, &room, &info);
    eigen_threads_restore(threads);
    free(work);
    free(pivots);
    for (size_t i = 0; i < terms && info == 0; i++) {
        info = isfinite(right[i]) ? 0 : 1;
    }
    return info == 0;
}

void quadratic_fit(struct quadratic *model, const double *points, const double *values,
                   size_t count)
{
    struct ranked *order = mem_array(count + 1, sizeof *order);
    const size_t terms = terms_for(model->n, count);
    size_t used = (size_t)(KEPT * (double)count);

    for (size_t i = 0; i < count; i++) {
        order[i] = (struct ranked){values[i], i};
    }
    qsort(order, count, sizeof *order, by_value);
    while (used < count && (double)used < SURPLUS * (double)terms) {
        used++; /* no term without its points */
    }
    model->terms = terms;
    if (terms == 0) {
        free(order);
        return;
    }
    double *rows = mem_array(used * terms + used, sizeof *rows), *right = rows + used * terms;
    double *row = mem_array(terms, sizeof *row);

    find_units(model, points, order, used);
    for (size_t i = 0; i < used; i++) {
        double share = used > 1 ? (double)i / (double)(used - 1) : 0.0;
        double weight = WEIGHT_BEST + share * (1.0 - WEIGHT_BEST);

        expand(model, points + order[i].index * model->n, row);
        for (size_t t = 0; t < terms; t++) {
            rows[t * used + i] = weight * row[t];
        }
        right[i] = weight * (order[i].value - order[0].value); /* small numbers near the best */
    }
    model->terms = solve(rows, right, used, terms) ? terms : 0;
    memcpy(model->factors, right, model->terms * sizeof *right);
    if (model->terms > 0) {
        model->factors[0] += order[0].value;
    }
    free(rows);
    free(row);
    free(order);
}

/* ---- the bottom ---- */

/* Half the second derivatives [n, n], lower triangle. */
static void curvature(const struct quadratic *model, double *out)
{
    const size_t n = model->n;
    size_t at = 2 * n + 1;

    memset(out, 0, n * n * sizeof *out);
    for (size_t j = 0; j < n; j++) {
        out[j * n + j] = model->factors[1 + n + j];
    }
    for (size_t j = 0; j < n && model->terms > 2 * n + 1; j++) {
        for (size_t k = j + 1; k < n; k++) {
            out[k * n + j] = 0.5 * model->factors[at++];
        }
    }
}

bool quadratic_least(const struct quadratic *model, const double *lower, const double *upper,
                     double *point)
{
    const size_t n = model->n;
    struct eigen eigen = {0};

    if (model->terms < 2 * n + 1 || eigen_init(&eigen, n, NULL) != 0) {
        return false;
    }
    double *axes = mem_array(n * n + n, sizeof *axes), *bends = axes + n * n;
    int threads = eigen_threads_one();

    curvature(model, axes);
    bool found =
        eigen_symmetric(&eigen, axes, bends, NULL) == 0 && bends[0] > BEND_LEAST * bends[n - 1];

    eigen_threads_restore(threads);
    for (size_t j = 0; j < n && found; j++) {
        point[j] = 0.0;
    }
    for (size_t i = 0; i < n && found; i++) { /* u = - (2 C)^-1 b, along the axes of C */
        double along = 0.0;

        for (size_t j = 0; j < n; j++) {
            along += axes[i * n + j] * model->factors[1 + j];
        }
        for (size_t j = 0; j < n; j++) {
            point[j] -= 0.5 * along / bends[i] * axes[i * n + j];
        }
    }
    for (size_t j = 0; j < n && found; j++) {
        double x = model->centre[j] + model->width[j] * point[j];

        found = isfinite(x);
        point[j] = fmin(fmax(x, lower[j]), upper[j]);
    }
    free(axes);
    eigen_release(&eigen);
    return found;
}
