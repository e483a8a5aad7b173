/*
 * cmaes_diagonal.c - learning each coordinate's deviation apart from the covariance.
 *
 *      x = m + sigma scales y,   y ~ N(0, C)
 *
 * In the separable model C stays I and scales are all that is learned: the diagonal of the plain
 * update, with the faster rates of n numbers instead of n (n + 1) / 2. In the accelerated model C
 * is learned as ever and scales follow a second, fast update, multiplicative, divided by beta: 1
 * while coordinates look independent, the root of C's condition when they do not, so that the
 * diagonal holds still where it cannot help.
 */
#include <float.h>
#include <math.h>

#include "search/cmaes_internal.h"

/* The least factor on a variance in one generation: negative weights alone could make it negative.
 */
#define SHRINK_MAX 0.25

/* Sum over the ranked candidates of weight * z_j^2 of each, into values [N]; bad steps count by
 * direction, as in the full update. */
static void weigh_squares(struct cmaes *s, const struct cmaes_constants *c)
{
    const size_t n = s->n, used = s->passive ? c->mu : s->lambda;

    for (size_t j = 0; j < n; j++) {
        s->values[j] = 0.0;
    }
    for (size_t i = 0; i < used; i++) {
        size_t k = s->order[i].index;
        const double *z = s->z + k * n;
        double weight = c->weights[i];

        if (i >= c->mu) {
            weight *= (double)n / (cmaes_length_squared(z, n) + DBL_MIN);
            weight *= k < s->lambda - s->foreign ? 1.0 : 0.0;
        }
        for (size_t j = 0; j < n; j++) {
            s->values[j] += weight * z[j] * z[j];
        }
    }
}

void cmaes_diagonal_update(struct cmaes *s, double h)
{
    const struct cmaes_constants *c = &s->constants;
    double keep =
        1.0 + c->c_1 * (1.0 - h) * c->c_c * (2.0 - c->c_c) - c->c_1 - c->c_mu * c->weight_sum;

    weigh_squares(s, c);
    for (size_t j = 0; j < s->n; j++) {
        double variance = keep + c->c_1 * s->p_c[j] * s->p_c[j] + c->c_mu * s->values[j];
        double factor = sqrt(fmax(variance, SHRINK_MAX));

        s->scales[j] *= factor;
        s->p_c[j] /= factor; /* the path is told in units of scales */
    }
}

/* How strongly coordinates depend on each other: the damping of the diagonal. */
static double entanglement(const struct cmaes *s)
{
    return fmax(1.0, s->lengths[s->n - 1] / s->lengths[0] - 1.0);
}

void cmaes_accelerate_path(struct cmaes *s, double h, const double *y_w)
{
    const struct cmaes_constants *c = &s->diagonal;
    double gain = h * sqrt(c->c_c * (2.0 - c->c_c) * c->mu_eff);

    for (size_t j = 0; j < s->n; j++) {
        s->p_d[j] = (1.0 - c->c_c) * s->p_d[j] + gain * y_w[j];
    }
}

void cmaes_accelerate(struct cmaes *s, double h)
{
    const struct cmaes_constants *c = &s->diagonal;
    const size_t n = s->n;
    double fade = c->c_1 * (1.0 - (1.0 - h) * c->c_c * (2.0 - c->c_c)) + c->c_mu * c->weight_sum;
    const double beta = entanglement(s);

    weigh_squares(s, c);
    for (size_t j = 0; j < n; j++) {
        s->work[j] = s->p_d[j];
    }
    cmaes_multiply_root(s, -1, s->work);
    for (size_t j = 0; j < n; j++) {
        double growth = c->c_1 * s->work[j] * s->work[j] + c->c_mu * s->values[j] - fade;

        double factor = exp(fmax(-1.0, fmin(1.0, growth / (2.0 * beta))));

        s->scales[j] *= factor;
        s->p_c[j] /= factor; /* both paths are told in units of scales */
        s->p_d[j] /= factor;
    }
}
