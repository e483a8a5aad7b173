/*
 * bench_cmaes.c - time of ask and tell, a generation, over that of one dsyevd of the same size.
 *
 *   name value unit ratio reference         as CSV: microseconds of ours, and of dsyevd in the same
 * process
 *
 * CPU time of the thread; ours and the reference take turns; median of nine. Each turn runs whole
 * generations on the ellipsoid until the covariance is no longer round; the objective's own time is
 * outside the clock.
 */
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/cmaes.h"
#include "search/eigen.h"
#include "tests/support/objectives.h"

#define TURNS 9

void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
             double *work, const int *lwork, int *iwork, const int *liwork, int *info);

static double cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* A covariance to decompose: I plus a random sum of outer products. */
static double *make_matrix(size_t n)
{
    double *matrix = mem_array(n * n, sizeof *matrix);
    double *rows = mem_array(n * n, sizeof *rows);
    struct rng64 rng;

    rng64_seed(&rng, 1, 1);
    rng64_normals(&rng, rows, n * n);
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)n, (int)n, 1.0 / (double)n, rows,
                (int)n, 0.0, matrix, (int)n);
    free(rows);
    return matrix;
}

static double time_dsyevd(const double *matrix, int n, int repeats)
{
    size_t size = (size_t)n * (size_t)n;
    int real_n = 1 + 6 * n + 2 * n * n, integer_n = 3 + 5 * n, info;
    double *a = mem_array(size, sizeof *a), *w = mem_array((size_t)n, sizeof *w);
    double *work = mem_array((size_t)real_n, sizeof *work);
    int *iwork = mem_array((size_t)integer_n, sizeof *iwork);
    double spent = 0.0;

    for (int i = 0; i < repeats; i++) {
        memcpy(a, matrix, size * sizeof *a);
        double before = cpu_us();

        dsyevd_("V", "U", &n, a, &n, w, work, &real_n, iwork, &integer_n, &info);
        spent += cpu_us() - before;
    }
    free(a);
    free(w);
    free(work);
    free(iwork);
    return spent / repeats;
}

static double time_generations(struct cmaes *search, int repeats, double *points, double *fitness)
{
    const size_t n = cmaes_n(search), lambda = cmaes_lambda(search);
    double spent = 0.0;

    for (int i = 0; i < repeats; i++) {
        double before = cpu_us();

        cmaes_ask(search, points);
        spent += cpu_us() - before;
        for (size_t k = 0; k < lambda; k++) {
            fitness[k] = objective_ellipsoid(points + k * n, n);
        }
        before = cpu_us();
        (void)cmaes_tell(search, fitness, NULL);
        spent += cpu_us() - before;
    }
    return spent / repeats;
}

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static double median(double *values)
{
    qsort(values, TURNS, sizeof *values, ascending);
    return values[TURNS / 2];
}

static void bench(size_t n, int repeats)
{
    double *start = mem_array(n, sizeof *start);
    struct cmaes_options options = {.n = n, .start = start, .sigma = 0.5, .seed = 1};
    struct cmaes *search = NULL;
    double ours[TURNS], theirs[TURNS];

    for (size_t j = 0; j < n; j++) {
        start[j] = 3.0;
    }
    if (cmaes_new(&search, &options, NULL) != 0) {
        exit(1);
    }
    double *points = mem_array(cmaes_lambda(search) * n, sizeof *points);
    double *fitness = mem_array(cmaes_lambda(search), sizeof *fitness);
    double *matrix = make_matrix(n);

    time_generations(search, repeats, points, fitness); /* warm */
    time_dsyevd(matrix, (int)n, 1 + repeats / 10);
    for (int turn = 0; turn < TURNS; turn++) {
        ours[turn] = time_generations(search, repeats, points, fitness);
        theirs[turn] = time_dsyevd(matrix, (int)n, 1 + repeats / 2);
    }
    double us = median(ours), reference = median(theirs);

    printf("cmaes ask+tell n=%zu lambda=%zu,%.2f,us,%.3f,%.2f\n", n, cmaes_lambda(search), us,
           us / reference, reference);
    fflush(stdout);
    cmaes_free(search);
    free(start);
    free(points);
    free(fitness);
    free(matrix);
}

int main(void)
{
    openblas_set_num_threads(1);
    printf("name,value,unit,ratio,reference\n");
    bench(5, 800);
    bench(10, 800);
    bench(20, 400);
    bench(40, 200);
    bench(100, 40);
    bench(400, 12);
    bench(1000, 5);
    return 0;
}
