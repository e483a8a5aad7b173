#include "tests/bench/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double measure_wall(void)
{
    return seconds(CLOCK_MONOTONIC);
}

double measure_cpu(void)
{
    return seconds(CLOCK_THREAD_CPUTIME_ID);
}

static int upwards(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

double measure_median(double *values, size_t n)
{
    qsort(values, n, sizeof(double), upwards);
    return values[n / 2];
}

void measure_must(int rc, const struct err *err)
{
    if (rc != 0) {
        fprintf(stderr, "benchmark: %s\n", err->text);
        exit(1);
    }
}
