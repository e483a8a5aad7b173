/*
 * objectives.h - functions with known minima, for tests and benchmarks of optimisers. n
 * coordinates, lower is better, the least value is 0.
 */
#ifndef TESTS_OBJECTIVES_H
#define TESTS_OBJECTIVES_H

#include <math.h>
#include <stddef.h>
#include <string.h>

typedef double objective(const double *x, size_t n);

static inline double objective_sphere(const double *x, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        sum += x[i] * x[i];
    }
    return sum;
}

static inline double objective_ellipsoid(const double *x, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        double share = n > 1 ? (double)i / (double)(n - 1) : 0.0;

        sum += pow(10.0, 6.0 * share) * x[i] * x[i];
    }
    return sum;
}

static inline double objective_cigar(const double *x, size_t n)
{
    return x[0] * x[0] + 1e6 * (objective_sphere(x, n) - x[0] * x[0]);
}

static inline double objective_schwefel12(const double *x, size_t n)
{
    double sum = 0.0, partial = 0.0;

    for (size_t i = 0; i < n; i++) {
        partial += x[i];
        sum += partial * partial;
    }
    return sum;
}

static inline double objective_rosenbrock(const double *x, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i + 1 < n; i++) {
        double valley = x[i] * x[i] - x[i + 1];

        sum += 100.0 * valley * valley + (x[i] - 1.0) * (x[i] - 1.0);
    }
    return sum;
}

static inline double objective_ackley(const double *x, size_t n)
{
    double waves = 0.0;

    for (size_t i = 0; i < n; i++) {
        waves += cos(2.0 * 3.14159265358979323846 * x[i]);
    }
    return 20.0 - 20.0 * exp(-0.2 * sqrt(objective_sphere(x, n) / (double)n)) + exp(1.0) -
           exp(waves / (double)n);
}

static inline double objective_rastrigin(const double *x, size_t n)
{
    double sum = 10.0 * (double)n;

    for (size_t i = 0; i < n; i++) {
        sum += x[i] * x[i] - 10.0 * cos(2.0 * 3.14159265358979323846 * x[i]);
    }
    return sum;
}

/* ---- mixed spaces: the last n / 2 coordinates are whole numbers ---- */

static inline double objective_ellipsoid_int(const double *x, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        double scaled = pow(1000.0, (double)i / (double)(n - 1)) * x[i];

        sum += scaled * scaled;
    }
    return sum;
}

/* Zeros among the last n / 2, which are 0 or 1. */
static inline double objective_zeros(const double *x, size_t n)
{
    double zeros = 0.0;

    for (size_t i = n - n / 2; i < n; i++) {
        zeros += 1.0 - x[i];
    }
    return zeros;
}

static inline double objective_sphere_onemax(const double *x, size_t n)
{
    return objective_sphere(x, n - n / 2) + objective_zeros(x, n);
}

static inline double objective_ellipsoid_onemax(const double *x, size_t n)
{
    return objective_ellipsoid_int(x, n - n / 2) + objective_zeros(x, n);
}

/* NULL when there is no function of this name. */
static inline objective *objective_named(const char *name)
{
    static const struct {
        const char *name;
        objective *f;
    } table[] = {{"sphere", objective_sphere},
                 {"ellipsoid", objective_ellipsoid},
                 {"cigar", objective_cigar},
                 {"schwefel12", objective_schwefel12},
                 {"rosenbrock", objective_rosenbrock},
                 {"ackley", objective_ackley},
                 {"rastrigin", objective_rastrigin},
                 {"sphere_int", objective_sphere},
                 {"ellipsoid_int", objective_ellipsoid_int},
                 {"sphere_onemax", objective_sphere_onemax},
                 {"ellipsoid_onemax", objective_ellipsoid_onemax}};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].name, name) == 0) {
            return table[i].f;
        }
    }
    return NULL;
}

#endif
