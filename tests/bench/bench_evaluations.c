/*
 * bench_evaluations.c - evaluations to reach 1e-8 on functions with known minima, medians over
 * seeds, beside those of other implementations measured alike.
 *
 *   name value unit ratio reference         as CSV, the ratio below 1 where ours needs fewer
 *
 * A run counts evaluations one by one in the order asked and ends at the first f <= 1e-8, at the
 * limit, or when a rule stops it; the median is over runs that got there. References: pycma 4.4.0
 * and cmaes 0.13.1 with defaults, the better of the two medians.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "search/cmaes.h"
#include "tests/support/objectives.h"

#define TARGET 1e-8
#define RUNS 31

static const struct problem {
    const char *name;
    size_t n;
    double start, sigma, reference;
} problems[] = {
    {"sphere", 2, 3.0, 2.0, 239},        {"sphere", 5, 3.0, 2.0, 725},
    {"sphere", 10, 3.0, 2.0, 1454},      {"sphere", 20, 3.0, 2.0, 2771},
    {"sphere", 40, 3.0, 2.0, 5209},      {"ellipsoid", 2, 3.0, 2.0, 483},
    {"ellipsoid", 5, 3.0, 2.0, 1482},    {"ellipsoid", 10, 3.0, 2.0, 4040},
    {"ellipsoid", 20, 3.0, 2.0, 12849},  {"cigar", 5, 3.0, 2.0, 1743},
    {"cigar", 10, 3.0, 2.0, 3952},       {"cigar", 20, 3.0, 2.0, 8188},
    {"schwefel12", 5, 3.0, 2.0, 778},    {"schwefel12", 10, 3.0, 2.0, 1781},
    {"schwefel12", 20, 3.0, 2.0, 4609},  {"rosenbrock", 2, 0.0, 0.1, 433},
    {"rosenbrock", 5, 0.0, 0.1, 1658},   {"rosenbrock", 10, 0.0, 0.1, 4889},
    {"rosenbrock", 20, 0.0, 0.1, 16167}, {"ackley", 5, 15.5, 14.5, 1514.5},
    {"ackley", 10, 15.5, 14.5, 3003},    {"ackley", 20, 15.5, 14.5, 5434},
};

/* Evaluations until the target, or 0 when the run ended elsewhere. */
static size_t run(const struct problem *problem, uint64_t seed)
{
    const size_t n = problem->n, limit = 10000 * n;
    objective *f = objective_named(problem->name);
    double *start = mem_array(n, sizeof *start);
    struct cmaes *search = NULL;
    struct cmaes_options options = {.n = n, .start = start, .sigma = problem->sigma, .seed = seed};
    size_t evaluations = 0, hit = 0;

    for (size_t j = 0; j < n; j++) {
        start[j] = problem->start;
    }
    if (cmaes_new(&search, &options, NULL) != 0) {
        free(start);
        return 0;
    }
    const size_t lambda = cmaes_lambda(search);
    double *points = mem_array(lambda * n, sizeof *points);
    double *fitness = mem_array(lambda, sizeof *fitness);

    while (hit == 0 && evaluations < limit && cmaes_stop(search) == NULL) {
        cmaes_ask(search, points);
        for (size_t k = 0; k < lambda && hit == 0; k++) {
            fitness[k] = f(points + k * n, n);
            evaluations++;
            hit = fitness[k] <= TARGET ? evaluations : 0;
        }
        if (hit == 0 && cmaes_tell(search, fitness, NULL) != 0) {
            break;
        }
    }
    cmaes_free(search);
    free(start);
    free(points);
    free(fitness);
    return hit;
}

static int ascending(const void *left, const void *right)
{
    size_t a = *(const size_t *)left, b = *(const size_t *)right;

    return (a > b) - (a < b);
}

int main(void)
{
    printf("name,value,unit,ratio,reference\n");
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        const struct problem *problem = &problems[i];
        size_t hits[RUNS], n = 0;

        for (uint64_t seed = 1; seed <= RUNS; seed++) {
            size_t hit = run(problem, seed);

            if (hit > 0) {
                hits[n++] = hit;
            }
        }
        qsort(hits, n, sizeof *hits, ascending);
        double median = n == 0 ? HUGE_VAL : 0.5 * (double)(hits[(n - 1) / 2] + hits[n / 2]);

        printf("%s n=%zu (%zu of %d runs),%.1f,evaluations,%.3f,%.1f\n", problem->name, problem->n,
               n, RUNS, median, median / problem->reference, problem->reference);
        fflush(stdout);
    }
    return 0;
}
