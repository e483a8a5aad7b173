/*
 * gram.c - methods on the sphere, in the few dimensions that their inputs span.
 *
 * A mean of vectors is shorter than its members; moving along arcs instead keeps what a direction
 * means and treats length apart. Vectors here are coefficients of the inputs:
 *
 *     u = sum_i u[i] x_i        <u, v> = sum_ij u[i] v[j] <x_i, x_j>
 *
 * Near opposite vectors, where an arc has no direction, the straight line is taken.
 */
#include "evaluator/merge/gram.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define SLERP_NORM_MIN 1e-8
#define SLERP_STRAIGHT 0.9995
#define NUSLERP_NORM_MIN 1e-7
#define NUSLERP_STRAIGHT 1e-6
#define NUSLERP_WEIGHT_MIN 1e-6
#define KARCHER_OPPOSITE 1e-7 /* shorter rejections are rounding noise of an opposite vector */
#define STOCK_NORMS_MIN 1e-6  /* of the product of two norms */

static double clamp_cosine(double c)
{
    return c < -1.0 ? -1.0 : c > 1.0 ? 1.0 : c; /* NaN stays */
}

static double norm_of(const struct gram *gram, size_t i)
{
    return sqrt(gram->dots[i][i]);
}

static double dot(const struct gram *gram, const double *u, const double *v)
{
    double sum = 0.0;

    for (size_t i = 0; i < gram->k; i++) {
        for (size_t j = 0; j < gram->k; j++) {
            sum += u[i] * v[j] * gram->dots[i][j];
        }
    }
    return sum;
}

static double length_of(const struct gram *gram, const double *u)
{
    double square = dot(gram, u, u);

    return square < 0.0 ? 0.0 : sqrt(square);
}

static void scale(const struct gram *gram, double *u, double factor)
{
    for (size_t i = 0; i < gram->k; i++) {
        u[i] *= factor;
    }
}

/* ---- two vectors ---- */

/* Shares of two vectors at t of the angle between them. */
static void along_arc(double *c, double t, double angle)
{
    double sine = sin(angle);

    c[0] = sin((1.0 - t) * angle) / sine;
    c[1] = sin(t * angle) / sine;
}

static void along_line(double *c, double t)
{
    c[0] = 1.0 - t;
    c[1] = t;
}

void gram_slerp(double *c, const struct gram *gram, double t)
{
    double norm_a = norm_of(gram, 0);
    double norm_b = norm_of(gram, 1);
    double cosine = gram->dots[0][1] / (norm_a > SLERP_NORM_MIN ? norm_a : 1.0) /
                    (norm_b > SLERP_NORM_MIN ? norm_b : 1.0);

    assert(gram->k == 2);
    if (fabs(cosine) > SLERP_STRAIGHT) {
        along_line(c, t);
    } else {
        along_arc(c, t, acos(cosine));
    }
}

void gram_nuslerp(double *c, const struct gram *gram, const double *weights)
{
    double sum = weights[0] + weights[1];
    double t = fabs(sum) < NUSLERP_WEIGHT_MIN ? 0.5 : weights[1] / sum;
    double norms =
        fmax(norm_of(gram, 0), NUSLERP_NORM_MIN) * fmax(norm_of(gram, 1), NUSLERP_NORM_MIN);
    double angle = acos(clamp_cosine(gram->dots[0][1] / norms));

    assert(gram->k == 2);
    if (fabs(sin(angle)) < NUSLERP_STRAIGHT) {
        along_line(c, t);
    } else {
        along_arc(c, t, angle);
    }
}

/* ---- multislerp ---- */

int gram_multislerp(double *c, const struct gram *gram, const double *weights, bool normalize,
                    double eps, struct err *err)
{
    double total = 0.0;
    double length = 0.0;

    assert(gram->k >= 2);
    for (size_t i = 0; i < gram->k; i++) {
        total += weights[i];
    }
    if (normalize && total == 0.0) {
        return err_set(err, ERR_NUMERIC, "weights sum to zero, and normalize_weights is on");
    }
    double divisor = normalize ? total : 1.0;

    for (size_t i = 0; i < gram->k; i++) {
        double weight = weights[i] / divisor;

        length += weight * norm_of(gram, i);
        c[i] = weight / (norm_of(gram, i) + eps);
    }
    double norm = length_of(gram, c);

    if (norm < eps && gram->k > 2) {
        return err_set(err, ERR_NUMERIC, "weighted directions cancel");
    }
    if (norm < eps) {
        c[0] = weights[0] / divisor;
        c[1] = weights[1] / divisor;
        return 0;
    }
    /* The published tangent step is the part of the mean at right angles to itself: zero. What is
     * left of it is its own guard eps, the cosine below. */
    scale(gram, c, cos(eps) * length / norm);
    return 0;
}

/* ---- karcher ---- */

/* What stays the same from step to step. */
struct karcher {
    const struct gram *gram;
    double shares[GRAM_INPUTS_MAX]; /* weights of those with a direction, summing to 1; else 0 */
    double tolerance;
};

/* The mean of the inputs' logarithms at u. */
static void karcher_tangent(const struct karcher *mean, const double *u, double *tangent)
{
    const struct gram *gram = mean->gram;

    memset(tangent, 0, gram->k * sizeof *tangent);
    for (size_t i = 0; i < gram->k; i++) {
        double unit[GRAM_INPUTS_MAX] = {0};

        if (mean->shares[i] == 0.0) {
            continue;
        }
        unit[i] = 1.0 / norm_of(gram, i);
        double cosine = clamp_cosine(dot(gram, u, unit));
        double angle = acos(cosine);
        double rejection = sqrt(1.0 - cosine * cosine); /* length of unit - cosine * u */
        if (angle < mean->tolerance || rejection < KARCHER_OPPOSITE) {
            continue;
        }
        double share = mean->shares[i] * angle / sin(angle);
        for (size_t j = 0; j < gram->k; j++) {
            tangent[j] += share * (unit[j] - cosine * u[j]);
        }
    }
}

/* Step from u along the tangent by its length, back onto the sphere. */
static void karcher_step(const struct karcher *mean, double *u, const double *tangent,
                         double length)
{
    for (size_t i = 0; i < mean->gram->k; i++) {
        u[i] = cos(length) * u[i] + sin(length) * tangent[i] / length;
    }
    double norm = length_of(mean->gram, u);

    if (norm > mean->tolerance) {
        scale(mean->gram, u, 1.0 / norm);
    }
}

/* The mean direction, normalized, or the first one where they cancel. */
static void karcher_start(const struct karcher *mean, double *u)
{
    const struct gram *gram = mean->gram;
    size_t first = gram->k;

    for (size_t i = gram->k; i-- > 0;) {
        bool counts = mean->shares[i] != 0.0;

        u[i] = counts ? mean->shares[i] / norm_of(gram, i) : 0.0;
        first = counts ? i : first;
    }
    double norm = length_of(gram, u);

    if (norm >= mean->tolerance) {
        scale(gram, u, 1.0 / norm);
        return;
    }
    memset(u, 0, gram->k * sizeof *u);
    u[first] = 1.0 / norm_of(gram, first);
}

int gram_karcher(double *c, const struct gram *gram, const double *weights, size_t steps_max,
                 double tolerance, struct err *err)
{
    struct karcher mean = {.gram = gram, .tolerance = tolerance};
    double tangent[GRAM_INPUTS_MAX];
    double total = 0.0;
    double directed = 0.0;
    double length = 0.0;

    for (size_t i = 0; i < gram->k; i++) {
        mean.shares[i] = norm_of(gram, i) <= tolerance ? 0.0 : weights[i];
        total += weights[i];
        directed += mean.shares[i];
        length += weights[i] * norm_of(gram, i);
    }
    if (total == 0.0) {
        return err_set(err, ERR_NUMERIC, "all weights are zero");
    }
    memset(c, 0, gram->k * sizeof *c);
    if (directed == 0.0) {
        return 0;
    }
    for (size_t i = 0; i < gram->k; i++) {
        mean.shares[i] /= directed;
    }
    karcher_start(&mean, c);
    for (size_t step = 0; step < steps_max; step++) {
        karcher_tangent(&mean, c, tangent);
        double size = length_of(gram, tangent);

        if (size < tolerance) {
            break;
        }
        karcher_step(&mean, c, tangent, size);
    }
    scale(gram, c, length / total);
    return 0;
}

/* ---- model_stock ---- */

double gram_stock(const struct gram *gram)
{
    double k = (double)gram->k;
    double sum = 0.0;

    assert(gram->k >= 2);
    for (size_t j = 1; j < gram->k; j++) {
        for (size_t i = 0; i < j; i++) {
            double norms = norm_of(gram, i) * norm_of(gram, j);

            sum += clamp_cosine(gram->dots[i][j] / fmax(norms, STOCK_NORMS_MIN));
        }
    }
    double cosine = sum / (k * (k - 1.0) / 2.0);

    return k * cosine / (1.0 + (k - 1.0) * cosine);
}
