/*
 * sphere.c - methods that mix directions on the unit sphere.
 *
 * A mean of vectors is shorter than its members; moving along arcs instead keeps what a direction
 * means and treats length apart. Every formula is the one of mergekit 0.1.4, with its slips near
 * opposite vectors replaced by the straight line they were meant to take.
 */
#include "evaluator/merge/sphere.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define SLERP_NORM_MIN 1e-8
#define SLERP_STRAIGHT 0.9995
#define NUSLERP_NORM_MIN 1e-7
#define NUSLERP_STRAIGHT 1e-6
#define NUSLERP_WEIGHT_MIN 1e-6
#define KARCHER_OPPOSITE 1e-7 /* shorter rejections are rounding noise of an opposite vector */

/* A vector seen through a stride, minus a base when there is one. */
struct view {
    const float *x, *base;
    size_t n, stride;
};

static double view_at(const struct view *view, size_t i)
{
    size_t at = i * view->stride;

    return view->base != NULL ? (double)(view->x[at] - view->base[at]) : (double)view->x[at];
}

static double view_dot(const struct view *a, const struct view *b)
{
    double sum = 0.0;

    for (size_t i = 0; i < a->n; i++) {
        sum += view_at(a, i) * view_at(b, i);
    }
    return sum;
}

static double clamp_cosine(double c)
{
    return fmin(1.0, fmax(-1.0, c));
}

void sphere_slerp(float *out, const float *a, const float *b, size_t n, double t)
{
    struct view va = {a, NULL, n, 1};
    struct view vb = {b, NULL, n, 1};
    double norm_a = sqrt(view_dot(&va, &va));
    double norm_b = sqrt(view_dot(&vb, &vb));
    double cosine = view_dot(&va, &vb) / (norm_a > SLERP_NORM_MIN ? norm_a : 1.0) /
                    (norm_b > SLERP_NORM_MIN ? norm_b : 1.0);
    double share_a = 1.0 - t;
    double share_b = t;

    if (fabs(cosine) <= SLERP_STRAIGHT) {
        double angle = acos(cosine);

        share_a = sin((1.0 - t) * angle) / sin(angle);
        share_b = sin(t * angle) / sin(angle);
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)(share_a * (double)a[i] + share_b * (double)b[i]);
    }
}

static void nuslerp_one(float *out, const struct view *a, const struct view *b, double t)
{
    double norm_a = fmax(sqrt(view_dot(a, a)), NUSLERP_NORM_MIN);
    double norm_b = fmax(sqrt(view_dot(b, b)), NUSLERP_NORM_MIN);
    double angle = acos(clamp_cosine(view_dot(a, b) / (norm_a * norm_b)));
    double sine = sin(angle);
    double share_a = 1.0 - t;
    double share_b = t;

    if (fabs(sine) >= NUSLERP_STRAIGHT) {
        share_a = sin((1.0 - t) * angle) / sine;
        share_b = sin(t * angle) / sine;
    }
    for (size_t i = 0; i < a->n; i++) {
        double mixed = share_a * view_at(a, i) + share_b * view_at(b, i);
        size_t at = i * a->stride;

        out[at] = (float)(mixed + (a->base != NULL ? (double)a->base[at] : 0.0));
    }
}

void sphere_nuslerp(float *out, const float *a, const float *b, const float *base, size_t rows,
                    size_t columns, double weight_a, double weight_b, enum sphere_vectors vectors)
{
    double sum = weight_a + weight_b;
    double t = fabs(sum) < NUSLERP_WEIGHT_MIN ? 0.5 : weight_b / sum;
    size_t n_vectors = vectors == SPHERE_WHOLE ? 1 : vectors == SPHERE_ROWS ? rows : columns;
    size_t step = vectors == SPHERE_ROWS ? columns : 1;
    size_t n = vectors == SPHERE_WHOLE ? rows * columns : vectors == SPHERE_ROWS ? columns : rows;
    size_t stride = vectors == SPHERE_COLUMNS ? columns : 1;

    for (size_t v = 0; v < n_vectors; v++) {
        const float *from = base != NULL ? base + v * step : NULL;
        struct view va = {a + v * step, from, n, stride};
        struct view vb = {b + v * step, from, n, stride};

        nuslerp_one(out + v * step, &va, &vb, t);
    }
}

/*
 * K inputs span at most K dimensions, and every step of the two means below stays in that span. So
 * one pass over the data makes the Gram matrix, the iteration runs on K coefficients, and a second
 * pass writes the result: nothing of the tensor's size is kept.
 *
 *   direction = sum_i c[i] x_i        <c, d> = sum_ij c[i] d[j] gram[i][j]
 */
struct span {
    size_t n_inputs; /* K */
    double gram[SPHERE_INPUTS_MAX][SPHERE_INPUTS_MAX];
};

static void span_init(struct span *span, const float *const *inputs, const float *base, size_t n,
                      size_t n_inputs)
{
    assert(n_inputs > 0 && n_inputs <= SPHERE_INPUTS_MAX);
    span->n_inputs = n_inputs;
    for (size_t i = 0; i < n_inputs; i++) {
        for (size_t j = 0; j <= i; j++) {
            struct view a = {inputs[i], base, n, 1};
            struct view b = {inputs[j], base, n, 1};

            span->gram[i][j] = span->gram[j][i] = view_dot(&a, &b);
        }
    }
}

static double span_dot(const struct span *span, const double *c, const double *d)
{
    double sum = 0.0;

    for (size_t i = 0; i < span->n_inputs; i++) {
        for (size_t j = 0; j < span->n_inputs; j++) {
            sum += c[i] * d[j] * span->gram[i][j];
        }
    }
    return sum;
}

static double span_norm(const struct span *span, const double *c)
{
    return sqrt(fmax(span_dot(span, c, c), 0.0));
}

static void span_scale(const struct span *span, double *c, double factor)
{
    for (size_t i = 0; i < span->n_inputs; i++) {
        c[i] *= factor;
    }
}

/* out = sum_i c[i] (x_i - base) + base */
static void span_write(float *out, const float *const *inputs, const float *base, size_t n,
                       const double *c, size_t n_inputs)
{
    for (size_t e = 0; e < n; e++) {
        double from = base != NULL ? (double)base[e] : 0.0;
        double sum = 0.0;

        for (size_t i = 0; i < n_inputs; i++) {
            double v = base != NULL ? (double)(inputs[i][e] - base[e]) : (double)inputs[i][e];

            sum += c[i] * v;
        }
        out[e] = (float)(sum + from);
    }
}

int sphere_multislerp(float *out, const float *const *inputs, const float *base, size_t n,
                      const double *weights, size_t n_inputs, int normalize, double eps,
                      struct err *err)
{
    struct span span;
    double c[SPHERE_INPUTS_MAX] = {0};
    double total = 0.0;
    double length = 0.0;

    if (n_inputs == 1) {
        memcpy(out, inputs[0], n * sizeof(float));
        return 0;
    }
    for (size_t i = 0; i < n_inputs; i++) {
        total += weights[i];
    }
    if (normalize && total == 0.0) {
        return err_set(err, ERR_NUMERIC, "multislerp: weights sum to zero");
    }
    span_init(&span, inputs, base, n, n_inputs);
    for (size_t i = 0; i < n_inputs; i++) {
        double weight = normalize ? weights[i] / total : weights[i];
        double norm = sqrt(span.gram[i][i]);

        length += weight * norm;
        c[i] = weight / (norm + eps);
    }
    double norm = span_norm(&span, c);
    if (norm >= eps) {
        /* The published tangent step is the part of the mean at right angles to itself: zero. What
         * is left of it is its own guard eps, the cosine below. */
        span_scale(&span, c, cos(eps) * length / norm);
    } else if (n_inputs == 2) {
        for (size_t i = 0; i < n_inputs; i++) {
            c[i] = normalize ? weights[i] / total : weights[i];
        }
    } else {
        return err_set(err, ERR_NUMERIC, "multislerp: weighted directions cancel");
    }
    span_write(out, inputs, base, n, c, n_inputs);
    return 0;
}

/* One Karcher step: the mean of the inputs' logarithms at u, into tangent. */
static void karcher_tangent(const struct span *span, const double *u, const double *norms,
                            size_t n_long, double tolerance, double *tangent)
{
    for (size_t i = 0; i < span->n_inputs; i++) {
        tangent[i] = 0.0;
    }
    for (size_t i = 0; i < span->n_inputs; i++) {
        double unit[SPHERE_INPUTS_MAX] = {0};

        if (norms[i] <= tolerance) {
            continue;
        }
        unit[i] = 1.0 / norms[i];
        double cosine = clamp_cosine(span_dot(span, u, unit));
        double angle = acos(cosine);
        double rejection = sqrt(fmax(1.0 - cosine * cosine, 0.0)); /* length of unit - cosine * u */
        if (angle < tolerance || rejection < KARCHER_OPPOSITE) {
            continue;
        }
        double share = angle / sin(angle) / (double)n_long;
        for (size_t j = 0; j < span->n_inputs; j++) {
            tangent[j] += share * (unit[j] - cosine * u[j]);
        }
    }
}

/* Step from u along the tangent by its length, back onto the sphere. */
static void karcher_step(const struct span *span, double *u, const double *tangent, double length,
                         double tolerance)
{
    for (size_t i = 0; i < span->n_inputs; i++) {
        u[i] = cos(length) * u[i] + sin(length) * tangent[i] / length;
    }
    double norm = span_norm(span, u);
    if (norm > tolerance) {
        span_scale(span, u, 1.0 / norm);
    }
}

void sphere_karcher(float *out, const float *const *inputs, size_t n, size_t n_inputs,
                    size_t iterations_max, double tolerance)
{
    struct span span;
    double norms[SPHERE_INPUTS_MAX] = {0};
    double u[SPHERE_INPUTS_MAX] = {0};
    double tangent[SPHERE_INPUTS_MAX] = {0};
    double length = 0.0;
    size_t n_long = 0;
    size_t first = n_inputs;

    if (n_inputs == 1) {
        memcpy(out, inputs[0], n * sizeof(float));
        return;
    }
    span_init(&span, inputs, NULL, n, n_inputs);
    for (size_t i = 0; i < n_inputs; i++) {
        norms[i] = sqrt(span.gram[i][i]);
        length += norms[i] / (double)n_inputs;
        if (norms[i] > tolerance) {
            first = n_long == 0 ? i : first;
            n_long++;
        }
    }
    if (n_long == 0) {
        memset(out, 0, n * sizeof(float));
        return;
    }
    for (size_t i = 0; i < n_inputs; i++) {
        u[i] = norms[i] > tolerance ? 1.0 / norms[i] / (double)n_long : 0.0;
    }
    double norm = span_norm(&span, u);
    if (norm >= tolerance) {
        span_scale(&span, u, 1.0 / norm);
    } else {
        memset(u, 0, sizeof(u));
        u[first] = 1.0 / norms[first];
    }
    for (size_t k = 0; k < iterations_max; k++) {
        karcher_tangent(&span, u, norms, n_long, tolerance, tangent);
        double step = span_norm(&span, tangent);
        if (step < tolerance) {
            break;
        }
        karcher_step(&span, u, tangent, step, tolerance);
    }
    span_scale(&span, u, length);
    span_write(out, inputs, NULL, n, u, n_inputs);
}
