/*
 * measure.h - what the benchmarks share: clocks, medians, and the end when something fails.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>

#include "base/err.h"

/* Seconds of the wall, and of this thread's work. */
double measure_wall(void);
double measure_cpu(void);

/* Of values [n], which are sorted by it. */
double measure_median(double *values, size_t n);

/* Print err and exit with 1 unless rc is 0. */
void measure_must(int rc, const struct err *err);

#endif
