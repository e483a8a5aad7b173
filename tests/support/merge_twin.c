/*
 * merge_twin.c - whole-tensor merge methods the plain way: arrays, double, one loop after another.
 */
#include "tests/support/merge_twin.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SLERP_NORM_MIN 1e-8
#define SLERP_STRAIGHT 0.9995
#define NUSLERP_NORM_MIN 1e-7
#define NUSLERP_STRAIGHT 1e-6
#define NUSLERP_WEIGHT_MIN 1e-6

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

void twin_slerp(float *out, const float *a, const float *b, size_t n, double t)
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

void twin_nuslerp(float *out, const float *a, const float *b, const float *base, size_t rows,
                  size_t columns, double weight_a, double weight_b, enum twin_vectors vectors)
{
    double sum = weight_a + weight_b;
    double t = fabs(sum) < NUSLERP_WEIGHT_MIN ? 0.5 : weight_b / sum;
    size_t n_vectors = vectors == TWIN_WHOLE ? 1 : vectors == TWIN_ROWS ? rows : columns;
    size_t step = vectors == TWIN_ROWS ? columns : 1;
    size_t n = vectors == TWIN_WHOLE ? rows * columns : vectors == TWIN_ROWS ? columns : rows;
    size_t stride = vectors == TWIN_COLUMNS ? columns : 1;

    for (size_t v = 0; v < n_vectors; v++) {
        const float *from = base != NULL ? base + v * step : NULL;
        struct view va = {a + v * step, from, n, stride};
        struct view vb = {b + v * step, from, n, stride};

        nuslerp_one(out + v * step, &va, &vb, t);
    }
}

/* ---- offsets from a base ---- */

#define STOCK_NORMS_MIN 1e-6 /* of the product of two norms */
#define SCE_SQUARES_MIN 1e-6 /* below it all models weigh the same */
#define SCE_SHARE_MIN 1e-6

static double offset_of(const float *base, const float *other, size_t i)
{
    return (double)(other[i] - base[i]);
}

/* ---- model_stock ---- */

/* The mean cosine of all pairs of offsets over elements [at, at + n). */
static double mean_cosine(const float *base, const float *const *others, size_t at, size_t n,
                          size_t n_others)
{
    double gram[TWIN_INPUTS_MAX][TWIN_INPUTS_MAX];
    double sum = 0.0;

    for (size_t j = 0; j < n_others; j++) {
        for (size_t i = 0; i <= j; i++) {
            double dot = 0.0;

            for (size_t e = at; e < at + n; e++) {
                dot += offset_of(base, others[i], e) * offset_of(base, others[j], e);
            }
            gram[i][j] = dot;
        }
    }
    for (size_t j = 1; j < n_others; j++) {
        for (size_t i = 0; i < j; i++) {
            double norms = fmax(sqrt(gram[i][i]) * sqrt(gram[j][j]), STOCK_NORMS_MIN);

            sum += fmin(1.0, fmax(-1.0, gram[i][j] / norms));
        }
    }
    double pairs = (double)n_others * (double)(n_others - 1) / 2.0;

    return sum / pairs;
}

static void stock_vector(float *out, const float *base, const float *const *others, size_t at,
                         size_t n, size_t n_others)
{
    double k = (double)n_others;
    double cosine = mean_cosine(base, others, at, n, n_others);
    double t = k * cosine / (1.0 + (k - 1.0) * cosine);

    for (size_t e = at; e < at + n; e++) {
        double mean = 0.0;

        for (size_t i = 0; i < n_others; i++) {
            mean += (double)others[i][e];
        }
        out[e] = (float)(t * mean / k + (1.0 - t) * (double)base[e]);
    }
}

void twin_stock(float *out, const float *base, const float *const *others, size_t n,
                size_t n_others, size_t vector)
{
    assert(n_others >= 2 && n_others <= TWIN_INPUTS_MAX);
    for (size_t at = 0; at < n; at += vector) {
        stock_vector(out, base, others, at, vector, n_others);
    }
}

/* ---- sce ---- */

static float variance_at(const float *base, const float *const *others, size_t e, size_t n_others)
{
    double sum = 0.0;
    double squares = 0.0;

    for (size_t i = 0; i < n_others; i++) {
        sum += offset_of(base, others[i], e);
    }
    double mean = sum / (double)n_others;
    for (size_t i = 0; i < n_others; i++) {
        double d = offset_of(base, others[i], e) - mean;

        squares += d * d;
    }
    return (float)(squares / (double)n_others);
}

static void swap_floats(float *a, float *b)
{
    float t = *a;

    *a = *b;
    *b = t;
}

/* The k-th largest (k from 1) of values [n], which are reordered. Hoare's selection with the middle
 * as pivot. */
static float kth_largest(float *values, size_t n, size_t k)
{
    size_t low = 0;
    size_t high = n;

    while (high - low > 1) {
        float pivot = values[low + (high - low) / 2];
        size_t above = low;
        size_t at = low;
        size_t below = high;

        while (at < below) {
            if (values[at] > pivot) {
                swap_floats(&values[above++], &values[at++]);
            } else if (values[at] < pivot) {
                swap_floats(&values[at], &values[--below]);
            } else {
                at++;
            }
        }
        if (k - 1 < above) {
            high = above;
        } else if (k - 1 >= below) {
            low = below;
        } else {
            return pivot;
        }
    }
    return values[low];
}

/* What sce keeps: elements of variance above the threshold, and the first `ties` of those equal to
 * it. */
struct sce_choice {
    float threshold;
    size_t ties;
};

static struct sce_choice sce_choose(const float *base, const float *const *others, size_t n,
                                    size_t n_others, double top_share, float *scratch, size_t *kept)
{
    struct sce_choice choice = {0};
    size_t positive = 0;
    size_t above = 0;

    for (size_t e = 0; e < n; e++) {
        scratch[e] = variance_at(base, others, e, n_others);
        positive += scratch[e] > 0.0F;
    }
    /* Truncated after a product in float, as the reference does it. */
    *kept = top_share > 0.0 ? (size_t)((float)positive * (float)top_share) : 0;
    if (*kept == 0) {
        return choice;
    }
    choice.threshold = kth_largest(scratch, n, *kept);
    for (size_t e = 0; e < n; e++) {
        above += scratch[e] > choice.threshold;
    }
    choice.ties = *kept - above;
    return choice;
}

static void sce_weights(const double *squares, size_t n, size_t n_others, double *weights)
{
    double total = 0.0;

    for (size_t i = 0; i < n_others; i++) {
        total += squares[i] / (double)n;
    }
    for (size_t i = 0; i < n_others; i++) {
        weights[i] =
            fabs(total) < SCE_SQUARES_MIN ? 1.0 / (double)n_others : squares[i] / (double)n / total;
    }
}

static float sce_element(const float *base, const float *const *others, size_t e, size_t n_others,
                         const double *weights)
{
    double sum = 0.0;
    double mix = 0.0;
    double share = 0.0;

    for (size_t i = 0; i < n_others; i++) {
        sum += offset_of(base, others[i], e);
    }
    for (size_t i = 0; i < n_others; i++) {
        double d = offset_of(base, others[i], e);

        if (d != 0.0 && (d > 0.0) == (sum >= 0.0)) {
            mix += weights[i] * d;
            share += weights[i];
        }
    }
    return (float)((double)base[e] + mix / fmax(share, SCE_SHARE_MIN));
}

void twin_sce(float *out, const float *base, const float *const *others, size_t n, size_t n_others,
              double top_share, float *scratch)
{
    double squares[TWIN_INPUTS_MAX] = {0};
    double weights[TWIN_INPUTS_MAX];
    struct sce_choice choice = {0};
    size_t kept = n;
    size_t ties;

    assert(n_others <= TWIN_INPUTS_MAX);
    memcpy(out, base, n * sizeof(float));
    if (top_share < 1.0) {
        choice = sce_choose(base, others, n, n_others, top_share, scratch, &kept);
    }
    if (kept == 0 || n_others == 0) {
        return;
    }
    /* Two passes over the kept elements: what each model weighs, then the mix. */
    for (int pass = 0; pass < 2; pass++) {
        ties = choice.ties;
        for (size_t e = 0; e < n; e++) {
            if (top_share < 1.0) {
                float variance = variance_at(base, others, e, n_others);

                if (variance < choice.threshold || (variance == choice.threshold && ties == 0)) {
                    continue;
                }
                ties -= variance == choice.threshold;
            }
            if (pass == 1) {
                out[e] = sce_element(base, others, e, n_others, weights);
                continue;
            }
            for (size_t i = 0; i < n_others; i++) {
                double d = offset_of(base, others[i], e);

                squares[i] += d * d;
            }
        }
        sce_weights(squares, n, n_others, weights);
    }
}

/* ---- ram ---- */

static size_t active_at(const float *base, const float *const *others, size_t e, size_t n_others,
                        double epsilon, uint8_t *active)
{
    size_t n = 0;

    for (size_t i = 0; i < n_others; i++) {
        active[i] = fabs(offset_of(base, others[i], e)) > epsilon;
        n += active[i];
    }
    return n;
}

/* How much each model's unique changes are amplified, from how much it shares. */
static void ram_factors(const float *base, const float *const *others, size_t n, size_t n_others,
                        double epsilon, double r, double alpha, double *factors)
{
    size_t shared[TWIN_INPUTS_MAX] = {0};
    size_t unique[TWIN_INPUTS_MAX] = {0};
    uint8_t active[TWIN_INPUTS_MAX];

    for (size_t e = 0; e < n; e++) {
        size_t together = active_at(base, others, e, n_others, epsilon, active);

        for (size_t i = 0; i < n_others; i++) {
            shared[i] += active[i] && together > 1;
            unique[i] += active[i] && together == 1;
        }
    }
    for (size_t i = 0; i < n_others; i++) {
        double overlap = (double)shared[i] / fmax((double)unique[i], epsilon);

        factors[i] = 1.0 + r * fmin(fmax(overlap, 0.0), alpha);
    }
}

void twin_ram(float *out, const float *base, const float *const *others, size_t n, size_t n_others,
              double epsilon, double r, double alpha)
{
    double factors[TWIN_INPUTS_MAX];
    uint8_t active[TWIN_INPUTS_MAX];

    assert(n_others <= TWIN_INPUTS_MAX);
    for (size_t i = 0; i < n_others; i++) {
        factors[i] = 1.0;
    }
    if (alpha >= 0.0) {
        ram_factors(base, others, n, n_others, epsilon, r, alpha, factors);
    }
    for (size_t e = 0; e < n; e++) {
        size_t together = active_at(base, others, e, n_others, epsilon, active);
        double sum = 0.0;

        for (size_t i = 0; i < n_others; i++) {
            double factor = together == 1 ? factors[i] : 1.0;

            sum += active[i] ? factor * offset_of(base, others[i], e) : 0.0;
        }
        out[e] = together == 0 ? base[e] : (float)((double)base[e] + sum / (double)together);
    }
}

/* ---- arcee_fusion ---- */

static double softmax_divergence(const float *a, const float *b, size_t n)
{
    double sum_a = 0.0;
    double sum_b = 0.0;
    double total = 0.0;

    for (size_t i = 0; i < n; i++) { /* small numbers: no maximum need be taken off */
        sum_a += exp((double)a[i]);
        sum_b += exp((double)b[i]);
    }
    for (size_t i = 0; i < n; i++) {
        double p = exp((double)b[i]) / sum_b + 1e-8;
        double q = exp((double)a[i]) / sum_a + 1e-8;

        total += p * log(p / q);
    }
    return total;
}

static int by_score(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double score_of(const float *a, const float *b, size_t i, double divergence)
{
    return fabs((double)(b[i] - a[i])) * divergence;
}

void twin_fusion(float *out, const float *a, const float *b, size_t rows, size_t columns,
                 double spread)
{
    size_t n = rows * columns;
    double *scores = malloc(2 * n * sizeof *scores);
    double *sorted = scores + n;

    assert(scores != NULL);
    for (size_t row = 0; row < rows; row++) {
        double divergence = softmax_divergence(a + row * columns, b + row * columns, columns);

        for (size_t i = row * columns; i < (row + 1) * columns; i++) {
            scores[i] = score_of(a, b, i, divergence);
        }
    }
    memcpy(sorted, scores, n * sizeof *scores);
    qsort(sorted, n, sizeof *sorted, by_score);
    double quartile = sorted[(n - 1) / 4];
    double threshold =
        sorted[(n - 1) / 2] + spread * (sorted[(size_t)(0.75 * (double)(n - 1))] - quartile);

    for (size_t i = 0; i < n; i++) {
        out[i] = scores[i] >= threshold ? b[i] : a[i];
    }
    free(scores);
}
