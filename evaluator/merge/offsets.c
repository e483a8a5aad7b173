/*
 * offsets.c - methods that weigh offsets from a base by what they have in common.
 */
#include "evaluator/merge/offsets.h"

#include <assert.h>
#include <math.h>
#include <string.h>

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
    double gram[OFFSETS_INPUTS_MAX][OFFSETS_INPUTS_MAX];
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

static int stock_vector(float *out, const float *base, const float *const *others, size_t at,
                        size_t n, size_t n_others, struct err *err)
{
    double k = (double)n_others;
    double cosine = mean_cosine(base, others, at, n, n_others);
    double t = k * cosine / (1.0 + (k - 1.0) * cosine);

    if (!isfinite(t)) {
        return err_set(err, ERR_NUMERIC, "model_stock: offsets cancel, there is no finite answer");
    }
    for (size_t e = at; e < at + n; e++) {
        double mean = 0.0;

        for (size_t i = 0; i < n_others; i++) {
            mean += (double)others[i][e];
        }
        out[e] = (float)(t * mean / k + (1.0 - t) * (double)base[e]);
    }
    return 0;
}

int offsets_stock(float *out, const float *base, const float *const *others, size_t n,
                  size_t n_others, size_t vector, struct err *err)
{
    int rc = 0;

    assert(n_others >= 2 && n_others <= OFFSETS_INPUTS_MAX);
    for (size_t at = 0; at < n && rc == 0; at += vector) {
        rc = stock_vector(out, base, others, at, vector, n_others, err);
    }
    return rc;
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

void offsets_sce(float *out, const float *base, const float *const *others, size_t n,
                 size_t n_others, double top_share, float *scratch)
{
    double squares[OFFSETS_INPUTS_MAX] = {0};
    double weights[OFFSETS_INPUTS_MAX];
    struct sce_choice choice = {0};
    size_t kept = n;
    size_t ties;

    assert(n_others <= OFFSETS_INPUTS_MAX);
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
    size_t shared[OFFSETS_INPUTS_MAX] = {0};
    size_t unique[OFFSETS_INPUTS_MAX] = {0};
    uint8_t active[OFFSETS_INPUTS_MAX];

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

void offsets_ram(float *out, const float *base, const float *const *others, size_t n,
                 size_t n_others, double epsilon, double r, double alpha)
{
    double factors[OFFSETS_INPUTS_MAX];
    uint8_t active[OFFSETS_INPUTS_MAX];

    assert(n_others <= OFFSETS_INPUTS_MAX);
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
