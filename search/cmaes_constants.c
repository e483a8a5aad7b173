#include "search/cmaes_constants.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

size_t cmaes_lambda_default(size_t n)
{
    return 4 + (size_t)(3.0 * log((double)n));
}

/* sqrt(2) Gamma((n+1)/2) / Gamma(n/2), to 1e-3 at n = 2 and better above: as everyone computes it.
 */
static double expected_length(double n)
{
    return sqrt(n) * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n));
}

static void set_rates(struct cmaes_constants *c, double n, double lambda)
{
    double mu_eff = c->mu_eff;

    c->c_1 = 2.0 / ((n + 1.3) * (n + 1.3) + mu_eff) * fmin(1.0, lambda / 6.0);
    c->c_mu = fmin(1.0 - c->c_1,
                   2.0 * (0.25 + mu_eff + 1.0 / mu_eff - 2.0) / ((n + 2.0) * (n + 2.0) + mu_eff));
    c->c_c = (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n);
    c->c_sigma = (mu_eff + 2.0) / (n + mu_eff + 5.0);
    c->d_sigma = 1.0 + 2.0 * fmax(0.0, sqrt((mu_eff - 1.0) / (n + 1.0)) - 1.0) + c->c_sigma;
    c->chi = expected_length(n);
    c->gap = 1.0 / (10.0 * n * (c->c_1 + c->c_mu));
}

static void set_diagonal_rates(struct cmaes_constants *c, double n)
{
    double mu_eff = c->mu_eff;

    c->c_1 = 1.0 / (n + 2.0 * sqrt(n) + mu_eff / n);
    c->c_mu = fmin(1.0 - c->c_1,
                   (0.25 + mu_eff + 1.0 / mu_eff - 2.0) / (n + 4.0 * sqrt(n) + mu_eff / 2.0));
    c->c_c = (1.0 + 1.0 / n + mu_eff / n) / (sqrt(n) + 1.0 / n + 2.0 * mu_eff / n);
    c->gap = 1.0;
}

/*
 * Size of the negative part: no net decay of the covariance, no more than the bad half is worth,
 * and never so much that the covariance could lose its positive definiteness (a diagonal guards
 * that itself). Hansen 2023, equations 50 to 52.
 */
static double negative_size(const struct cmaes_constants *c, double n, bool diagonal)
{
    double no_decay = 1.0 + c->c_1 / c->c_mu;
    double informative = 1.0 + 2.0 * c->mu_eff_minus / (c->mu_eff + 2.0);
    double definite = (1.0 - c->c_1 - c->c_mu) / (n * c->c_mu);

    return fmin(no_decay, diagonal ? informative : fmin(informative, definite));
}

static void init(struct cmaes_constants *out, size_t n, size_t lambda, bool passive, bool diagonal)
{
    assert(n >= 1 && lambda >= 2);
    struct cmaes_constants made = {.weights = mem_array(lambda, sizeof(double))};
    double sum[2] = {0.0, 0.0}; /* of the positive raw weights, of the others */
    double squares[2] = {0.0, 0.0};

    for (size_t i = 0; i < lambda; i++) {
        double raw = log(((double)lambda + 1.0) / 2.0) - log((double)i + 1.0);
        int half = raw > 0.0 ? 0 : 1;

        made.weights[i] = raw;
        made.mu += raw > 0.0;
        sum[half] += raw;
        squares[half] += raw * raw;
    }
    made.mu_eff = sum[0] * sum[0] / squares[0];
    made.mu_eff_minus = squares[1] > 0.0 ? sum[1] * sum[1] / squares[1] : 0.0;
    set_rates(&made, (double)n, (double)lambda);
    if (diagonal) {
        set_diagonal_rates(&made, (double)n);
    }

    double minus = passive || sum[1] == 0.0 ? 0.0 : negative_size(&made, (double)n, diagonal);

    made.weight_sum = 1.0 - minus;
    for (size_t i = 0; i < lambda; i++) {
        made.weights[i] *= i < made.mu ? 1.0 / sum[0] : minus == 0.0 ? 0.0 : minus / -sum[1];
    }
    *out = made;
}

void cmaes_constants_init(struct cmaes_constants *out, size_t n, size_t lambda, bool passive)
{
    init(out, n, lambda, passive, false);
}

void cmaes_constants_init_diagonal(struct cmaes_constants *out, size_t n, size_t lambda,
                                   bool passive)
{
    init(out, n, lambda, passive, true);
}

void cmaes_constants_release(struct cmaes_constants *constants)
{
    free(constants->weights);
    *constants = (struct cmaes_constants){0};
}
