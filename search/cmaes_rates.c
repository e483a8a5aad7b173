/*
 * cmaes_rates.c - learning rates that follow the signal-to-noise ratio.
 *
 * The plain update proposes steps dm of the mean and dS of the covariance S = sigma^2 C. Each is
 * looked at in the metric of the old S, where it ought to have unit size; a running mean E of these
 * looks against their running square W tells how much of a step is signal. While it is little the
 * rate eta shrinks, which acts like a larger population:
 *
 *      m = m_old + eta_m dm        S = S_old + eta_S dS        both etas at most 1
 *
 * sigma is then the geometric mean of S's deviations. For noisy or rugged objectives and large
 * budgets: on easy functions it costs 2.5 to 8 times the evaluations.
 *
 * Nomura, Akimoto, Ono, CMA-ES with Learning Rate Adaptation, GECCO 2023 (arXiv:2304.03473).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/cmaes_internal.h"

#define SNR_WANTED 1.4
#define BETA_MEAN 0.1
#define BETA_COVARIANCE 0.03
#define DAMPING 0.1 /* of eta itself, on the change of its logarithm */
#define ETA_LEAST 1e-8

int cmaes_rates_new(struct cmaes_rates **out, size_t n, struct err *err)
{
    struct cmaes_rates *made = mem_alloc(sizeof *made);

    *made = (struct cmaes_rates){.mean = {.eta = 1.0}, .covariance = {.eta = 1.0}};
    made->mean.E = mem_try(3 * n * n + 2 * n, sizeof(double), "adaptive learning rates", err);
    if (made->mean.E == NULL) {
        free(made);
        return ERR_MEMORY;
    }
    made->covariance.E = made->mean.E + n;
    made->old_mean = made->covariance.E + n * n;
    made->old_covariance = made->old_mean + n;
    made->step = made->old_covariance + n * n;
    *out = made;
    return 0;
}

void cmaes_rates_free(struct cmaes_rates *rates)
{
    if (rates != NULL) {
        free(rates->mean.E);
        free(rates);
    }
}

void cmaes_rates_begin(struct cmaes *s)
{
    struct cmaes_rates *rates = s->rates;

    memcpy(rates->old_mean, s->mean, s->n * sizeof *s->mean);
    memcpy(rates->old_covariance, s->covariance, s->n * s->n * sizeof *s->covariance);
    rates->old_sigma = s->sigma;
}

/* Take in a look [n] at a step; the new eta. */
static void adapt(struct cmaes_rate *rate, const double *look, size_t n, double beta)
{
    double squares = 0.0, size = 0.0;

    for (size_t i = 0; i < n; i++) {
        rate->E[i] = (1.0 - beta) * rate->E[i] + beta * look[i];
        size += rate->E[i] * rate->E[i];
        squares += look[i] * look[i];
    }
    rate->W = (1.0 - beta) * rate->W + beta * squares;
    double noise = rate->W - size, signal = size - beta / (2.0 - beta) * rate->W;
    double snr = noise > 0.0 ? signal / noise : 0.0;
    double push = fmin(fmax(snr / (SNR_WANTED * rate->eta) - 1.0, -1.0), 1.0);

    rate->eta *= exp(fmin(DAMPING * rate->eta, beta) * push);
    rate->eta = fmax(fmin(rate->eta, 1.0), ETA_LEAST);
}

static double full(const double *lower_triangle, size_t n, size_t i, size_t j)
{
    return j <= i ? lower_triangle[i * n + j] : lower_triangle[j * n + i];
}

static void transpose(double *matrix, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            double kept = matrix[i * n + j];

            matrix[i * n + j] = matrix[j * n + i];
            matrix[j * n + i] = kept;
        }
    }
}

/* The mean's step, halved or quartered by its rate. */
static void move_mean(struct cmaes *s, double *look)
{
    struct cmaes_rates *rates = s->rates;

    for (size_t j = 0; j < s->n; j++) {
        look[j] = (s->mean[j] - rates->old_mean[j]) / (rates->old_sigma * s->scales[j]);
    }
    cmaes_multiply_root(s, -1, look);
    adapt(&rates->mean, look, s->n, BETA_MEAN);
    for (size_t j = 0; j < s->n; j++) {
        s->mean[j] = rates->old_mean[j] + rates->mean.eta * (s->mean[j] - rates->old_mean[j]);
    }
}

/* The covariance's step over sigma_old^2, seen from the old covariance: both sides times C^-1/2. */
static void move_covariance(struct cmaes *s)
{
    struct cmaes_rates *rates = s->rates;
    const size_t n = s->n;
    const double grown = s->sigma / rates->old_sigma * (s->sigma / rates->old_sigma);
    double *look = rates->step;

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            look[i * n + j] =
                (grown * full(s->covariance, n, i, j) - full(rates->old_covariance, n, i, j)) /
                sqrt(2.0);
        }
    }
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < n; i++) {
            cmaes_multiply_root(s, -1, look + i * n);
        }
        transpose(look, n);
    }
    adapt(&rates->covariance, look, n * n, BETA_COVARIANCE);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double old = rates->old_covariance[i * n + j];

            s->covariance[i * n + j] =
                old + rates->covariance.eta * (grown * s->covariance[i * n + j] - old);
        }
    }
    s->sigma = rates->old_sigma;
}

bool cmaes_rates_end(struct cmaes *s)
{
    const size_t n = s->n;
    const double eta_before = s->rates->mean.eta;
    double logs = 0.0;

    move_mean(s, s->values);
    move_covariance(s);
    if (!cmaes_decompose(s)) {
        return false;
    }
    for (size_t j = 0; j < n; j++) {
        logs += log(s->lengths[j]);
    }
    double size = exp(logs / (double)n); /* det(C)^(1 / 2n): what belongs to sigma */

    for (size_t i = 0; i < n; i++) {
        s->lengths[i] /= size;
        for (size_t j = 0; j <= i; j++) {
            s->covariance[i * n + j] /= size * size;
        }
    }
    s->sigma *= size * eta_before / s->rates->mean.eta;
    return true;
}
