/*
 * bench_evaluations.c - evaluations to reach a target on functions with known minima, medians over
 * seeds, beside those of other implementations measured alike.
 *
 *   name value unit ratio reference         as CSV, the ratio below 1 where ours needs fewer
 *
 *     bench_evaluations [FILTER [ALGORITHM [SEEDS]]]
 *
 * has lines whose name contains FILTER, by the algorithm named in the line (or ALGORITHM, unless it
 * is -), over 25 seeds.
 *
 * A run counts evaluations one by one in the order asked and ends at the first f at the target, at
 * the limit, or when a rule stops it; the median is over runs that got there. References: the best
 * median and the best success rate of pycma 4.4.0 (with and without active update), cmaes 0.13.1
 * and c-cmaes 3.20 with defaults; for sep-cma-es of pycma's diagonal option and SepCMA; for
 * lq-cma-es of pycma's lq surrogate; for mixed
 * spaces of CMAwM, CatCMAwM, and pycma with integer variables, whose own rules are ignored.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/optimiser.h"
#include "tests/support/objectives.h"

#define RUNS 25
#define RUNS_MAX 10000

static const struct problem {
    const char *algorithm, *name;
    size_t n, lambda;
    double start, sigma;
    size_t limit;
    double reference, rate; /* median, share of runs that succeed */
} problems[] = {
    {"cma-es", "sphere", 2, 0, 3.0, 2.0, 20000, 239, 1.000},
    {"cma-es", "ellipsoid", 2, 0, 3.0, 2.0, 20000, 483, 1.000},
    {"cma-es", "cigar", 2, 0, 3.0, 2.0, 20000, 483, 1.000},
    {"cma-es", "schwefel12", 2, 0, 3.0, 2.0, 20000, 250, 1.000},
    {"cma-es", "rosenbrock", 2, 0, 0.0, 0.1, 20000, 433, 1.000},
    {"cma-es", "ackley", 2, 0, 15.5, 14.5, 20000, 541, 1.000},
    {"cma-es", "rastrigin", 2, 0, 3.0, 2.0, 20000, 398, 0.137},
    {"cma-es", "rastrigin", 2, 20, 3.0, 2.0, 100000, 842, 0.549},
    {"cma-es", "sphere", 5, 0, 3.0, 2.0, 50000, 725, 1.000},
    {"cma-es", "ellipsoid", 5, 0, 3.0, 2.0, 50000, 1482, 1.000},
    {"cma-es", "cigar", 5, 0, 3.0, 2.0, 50000, 1743, 1.000},
    {"cma-es", "schwefel12", 5, 0, 3.0, 2.0, 50000, 778, 1.000},
    {"cma-es", "rosenbrock", 5, 0, 0.0, 0.1, 50000, 1658, 1.000},
    {"cma-es", "ackley", 5, 0, 15.5, 14.5, 50000, 1512.5, 1.000},
    {"cma-es", "rastrigin", 5, 0, 3.0, 2.0, 50000, 1083, 0.032},
    {"cma-es", "rastrigin", 5, 50, 3.0, 2.0, 250000, 4268, 0.355},
    {"cma-es", "sphere", 10, 0, 3.0, 2.0, 100000, 1411, 1.000},
    {"cma-es", "ellipsoid", 10, 0, 3.0, 2.0, 100000, 4040, 1.000},
    {"cma-es", "cigar", 10, 0, 3.0, 2.0, 100000, 3952, 1.000},
    {"cma-es", "schwefel12", 10, 0, 3.0, 2.0, 100000, 1781, 1.000},
    {"cma-es", "rosenbrock", 10, 0, 0.0, 0.1, 100000, 4889, 1.000},
    {"cma-es", "ackley", 10, 0, 15.5, 14.5, 100000, 3003, 1.000},
    {"cma-es", "rastrigin", 10, 100, 3.0, 2.0, 500000, 14282, 0.143},
    {"cma-es", "sphere", 20, 0, 3.0, 2.0, 200000, 2684, 1.000},
    {"cma-es", "ellipsoid", 20, 0, 3.0, 2.0, 200000, 12849, 1.000},
    {"cma-es", "cigar", 20, 0, 3.0, 2.0, 200000, 8188, 1.000},
    {"cma-es", "schwefel12", 20, 0, 3.0, 2.0, 200000, 4609, 1.000},
    {"cma-es", "rosenbrock", 20, 0, 0.0, 0.1, 200000, 16167, 1.000},
    {"cma-es", "ackley", 20, 0, 15.5, 14.5, 200000, 5434, 1.000},
    {"cma-es", "rastrigin", 20, 200, 3.0, 2.0, 1000000, 47583.5, 0.200},
    {"cma-es", "sphere", 40, 0, 3.0, 2.0, 400000, 5182, 1.000},
    {"cma-es", "ellipsoid", 40, 0, 3.0, 2.0, 400000, 48759, 1.000},
    {"cma-es", "cigar", 40, 0, 3.0, 2.0, 400000, 16016, 1.000},
    {"cma-es", "schwefel12", 40, 0, 3.0, 2.0, 400000, 13707, 1.000},
    {"cma-es", "rosenbrock", 40, 0, 0.0, 0.1, 400000, 60924, 1.000},
    {"cma-es", "ackley", 40, 0, 15.5, 14.5, 400000, 9946.5, 1.000},
    {"cma-es", "rastrigin", 40, 400, 3.0, 2.0, 2000000, 176844, 0.200},
    {"sep-cma-es", "sphere", 2, 0, 3.0, 2.0, 20000, 229, 1.000},
    {"sep-cma-es", "ellipsoid", 2, 0, 3.0, 2.0, 20000, 447, 1.000},
    {"sep-cma-es", "cigar", 2, 0, 3.0, 2.0, 20000, 447, 1.000},
    {"sep-cma-es", "sphere", 5, 0, 3.0, 2.0, 50000, 611, 1.000},
    {"sep-cma-es", "ellipsoid", 5, 0, 3.0, 2.0, 50000, 1074, 1.000},
    {"sep-cma-es", "cigar", 5, 0, 3.0, 2.0, 50000, 1218, 1.000},
    {"sep-cma-es", "sphere", 10, 0, 3.0, 2.0, 100000, 1203, 1.000},
    {"sep-cma-es", "ellipsoid", 10, 0, 3.0, 2.0, 100000, 2234, 1.000},
    {"sep-cma-es", "cigar", 10, 0, 3.0, 2.0, 100000, 2443, 1.000},
    {"sep-cma-es", "sphere", 20, 0, 3.0, 2.0, 200000, 2342, 1.000},
    {"sep-cma-es", "ellipsoid", 20, 0, 3.0, 2.0, 200000, 4650, 1.000},
    {"sep-cma-es", "cigar", 20, 0, 3.0, 2.0, 200000, 4796, 1.000},
    {"sep-cma-es", "sphere", 40, 0, 3.0, 2.0, 400000, 4671, 1.000},
    {"sep-cma-es", "ellipsoid", 40, 0, 3.0, 2.0, 400000, 9830, 1.000},
    {"sep-cma-es", "cigar", 40, 0, 3.0, 2.0, 400000, 9170, 1.000},
    {"dd-cma-es", "sphere", 20, 0, 3.0, 2.0, 200000, 2684, 1.000},
    {"dd-cma-es", "ellipsoid", 20, 0, 3.0, 2.0, 200000, 12849, 1.000},
    {"dd-cma-es", "schwefel12", 20, 0, 3.0, 2.0, 200000, 4609, 1.000},
    {"dd-cma-es", "rosenbrock", 20, 0, 0.0, 0.1, 200000, 16167, 1.000},
    {"dd-cma-es", "ellipsoid", 40, 0, 3.0, 2.0, 400000, 48759, 1.000},
    {"dd-cma-es", "schwefel12", 40, 0, 3.0, 2.0, 400000, 13707, 1.000},
    {"dd-cma-es", "rosenbrock", 40, 0, 0.0, 0.1, 400000, 60924, 1.000},
    {"lq-cma-es", "sphere", 5, 0, 3.0, 2.0, 5000, 19, 1.000},
    {"lq-cma-es", "ellipsoid", 5, 0, 3.0, 2.0, 5000, 20, 1.000},
    {"lq-cma-es", "rosenbrock", 5, 0, 0.0, 0.5, 5000, 327, 1.000},
    {"lq-cma-es", "ackley", 5, 0, 15.5, 14.5, 5000, 500, 0.909},
    {"lq-cma-es", "sphere", 10, 0, 3.0, 2.0, 5000, 33, 1.000},
    {"lq-cma-es", "ellipsoid", 10, 0, 3.0, 2.0, 5000, 34, 1.000},
    {"lq-cma-es", "rosenbrock", 10, 0, 0.0, 0.5, 5000, 1278, 1.000},
    {"lq-cma-es", "ackley", 10, 0, 15.5, 14.5, 5000, 1583, 1.000},
    {"catcma", "sphere_int", 20, 0, 0.0, 1.0, 30000, 3782, 1.000},
    {"catcma", "sphere_int", 40, 0, 0.0, 1.0, 60000, 7881, 1.000},
    {"catcma", "ellipsoid_int", 20, 0, 0.0, 1.0, 30000, 7803, 1.000},
    {"catcma", "ellipsoid_int", 40, 0, 0.0, 1.0, 60000, 20923, 1.000},
    {"catcma", "sphere_onemax", 20, 0, 0.0, 1.0, 30000, 2484, 1.000},
    {"catcma", "sphere_onemax", 40, 0, 0.0, 1.0, 60000, 4597, 1.000},
    {"catcma", "ellipsoid_onemax", 20, 0, 0.0, 1.0, 30000, 5689, 1.000},
    {"catcma", "ellipsoid_onemax", 40, 0, 0.0, 1.0, 60000, 16433, 1.000},
};

/* Fill the box and the grid of a mixed problem: its last n / 2 coordinates are whole numbers. */
static bool lay_out(const struct problem *p, uint64_t seed, double *start, double *lower,
                    double *upper, double *steps)
{
    bool integers = strstr(p->name, "_int") != NULL, binaries = strstr(p->name, "_onemax") != NULL;
    struct rng32 rng;

    rng32_seed(&rng, seed, 77);
    for (size_t j = 0; j < p->n; j++) {
        bool whole = (integers || binaries) && j >= p->n - p->n / 2;

        double u = ((double)rng32_next(&rng) + 0.5) * 0x1p-32;

        start[j] = !(integers || binaries) ? p->start : whole && binaries ? 0.5 : 1.0 + 2.0 * u;
        lower[j] = !whole ? -HUGE_VAL : binaries ? 0.0 : -10.0;
        upper[j] = !whole ? HUGE_VAL : binaries ? 1.0 : 10.0;
        steps[j] = whole ? 1.0 : 0.0;
    }
    return integers || binaries;
}

/* One generation; evaluations until the target within it are added to *used, true when hit. */
static bool generation(struct optimiser *search, objective *f, double target, size_t *used)
{
    const size_t n = optimiser_n(search), asks = optimiser_asks(search);
    double *points = mem_array(asks * n, sizeof *points);
    double *fitness = mem_array(asks, sizeof *fitness);
    bool hit = false;

    optimiser_ask(search, points);
    for (size_t k = 0; k < asks && !hit; k++) {
        fitness[k] = f(points + k * n, n);
        (*used)++;
        hit = fitness[k] <= target;
    }
    if (!hit && optimiser_tell(search, fitness, NULL) != 0) {
        *used = SIZE_MAX; /* ran out of numbers: over */
    }

    free(points);
    free(fitness);
    return hit;
}

/* Evaluations until the target, or 0 when the run ended elsewhere. */
static size_t run(const struct problem *p, const char *algorithm, uint64_t seed)
{
    double *numbers = mem_array(4 * p->n, sizeof *numbers);
    double *lower = numbers + p->n, *upper = lower + p->n, *steps = upper + p->n;
    bool mixed = lay_out(p, seed, numbers, lower, upper, steps);
    const double target = mixed ? 1e-10 : 1e-8;
    struct optimiser_options options = {.algorithm = algorithm,
                                        .n = p->n,
                                        .start = numbers,
                                        .sigma = p->sigma,
                                        .lambda = p->lambda,
                                        .seed = seed,
                                        .lower = lower,
                                        .upper = upper,
                                        .steps = steps};
    struct optimiser *search = NULL;
    struct err err = {0};
    size_t used = 0;
    bool hit = false;

    if (optimiser_new(&search, &options, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    while (!hit && used < p->limit && (mixed || optimiser_stop(search) == NULL)) {
        hit = generation(search, objective_named(p->name), target, &used);
    }
    optimiser_free(search);
    free(numbers);
    return hit ? used : 0;
}

static int ascending(const void *left, const void *right)
{
    size_t a = *(const size_t *)left, b = *(const size_t *)right;

    return (a > b) - (a < b);
}

static void show(const struct problem *p, const char *algorithm, const char *filter, size_t runs)
{
    size_t hits[RUNS_MAX], n = 0;
    char name[80];

    snprintf(name, sizeof name, "%s %s n=%zu%s", algorithm, p->name, p->n,
             p->lambda != 0 ? " large population" : "");
    if (strstr(name, filter) == NULL) {
        return;
    }
    for (uint64_t seed = 1; seed <= runs; seed++) {
        size_t hit = run(p, algorithm, seed);

        if (hit > 0) {
            hits[n++] = hit;
        }
    }
    qsort(hits, n, sizeof *hits, ascending);
    const size_t low = n > 0 ? (n - 1) / 2 : 0, high = n / 2;
    double median = n == 0 ? HUGE_VAL : 0.5 * (double)(hits[low] + hits[high]);

    printf("%s (%zu of %zu runs; reference %.0f %%),%.1f,evaluations,%.3f,%.1f\n", name, n, runs,
           100.0 * p->rate, median, median / p->reference, p->reference);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const char *filter = argc > 1 ? argv[1] : "";
    const char *other = argc > 2 && strcmp(argv[2], "-") != 0 ? argv[2] : NULL;
    size_t runs = argc > 3 ? strtoul(argv[3], NULL, 10) : RUNS;

    runs = runs < RUNS_MAX ? runs : RUNS_MAX;
    printf("name,value,unit,ratio,reference\n");
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        show(&problems[i], other != NULL ? other : problems[i].algorithm, filter, runs);
    }
    return 0;
}
