/*
 * blend_kernels.c - plain loops, compiled once an instruction set (cmake/isa.cmake).
 *
 * Written so that the compiler vectorises them: no branch that is not a select, one output an
 * iteration, the loop over sources outside where that keeps the inner loop straight.
 */
#include "evaluator/merge/blend_kernels.h"

#include <math.h>

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif
#define KERNELS_PASTE(stem, isa) stem##_##isa
#define KERNELS_NAME(stem, isa) KERNELS_PASTE(stem, isa)

static void add_scaled(float *restrict out, const float *restrict x, float w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] += w * x[i];
    }
}

static void start_scaled(float *restrict out, const float *restrict x, float w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = w * x[i];
    }
}

static void sum_scaled(float *restrict out, const float *const *x, const float *w, size_t k,
                       size_t n)
{
    start_scaled(out, x[0], w[0], n);
    for (size_t s = 1; s < k; s++) {
        add_scaled(out, x[s], w[s], n);
    }
}

static void weighted(float *out, const float *const *x, const float *w, size_t k, float divisor,
                     size_t n)
{
    sum_scaled(out, x, w, k, n);
    for (size_t i = 0; i < n; i++) {
        out[i] /= divisor;
    }
}

static void subtract(float *restrict d, const float *restrict base, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        d[i] -= base[i];
    }
}

static void keep_at_least(float *d, float threshold, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        d[i] = fabsf(d[i]) >= threshold ? d[i] : 0.0F;
    }
}

static void keep_above(float *d, float threshold, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        d[i] = fabsf(d[i]) > threshold ? d[i] : 0.0F;
    }
}

static void task_sum(float *restrict out, const float *restrict base, const float *const *d,
                     const float *w, size_t k, float divisor, float lambda, size_t n)
{
    sum_scaled(out, d, w, k, n);
    for (size_t i = 0; i < n; i++) {
        out[i] = base[i] + out[i] / divisor * lambda;
    }
}

/* Those that agree with the sign of out join mix; a zero agrees with neither. */
static void join(float *restrict mix, float *restrict share, const float *restrict sum,
                 const float *restrict d, float w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float e = w * d[i];
        int agrees = sum[i] >= 0.0F ? e > 0.0F : e < 0.0F;

        mix[i] += agrees ? e : 0.0F;
        share[i] += agrees ? w : 0.0F;
    }
}

static void elect(float *restrict out, const float *restrict base, const float *const *d,
                  const float *w, size_t k, int normalize, float lambda, float *restrict mix,
                  float *restrict share, size_t n)
{
    sum_scaled(out, d, w, k, n);
    for (size_t i = 0; i < n; i++) {
        mix[i] = 0.0F;
        share[i] = 0.0F;
    }
    for (size_t s = 0; s < k; s++) {
        join(mix, share, out, d[s], w[s], n);
    }
    for (size_t i = 0; i < n; i++) {
        float divisor = normalize && share[i] != 0.0F ? share[i] : 1.0F;

        out[i] = base[i] + mix[i] / divisor * lambda;
    }
}

extern const struct blend_kernels KERNELS_NAME(blend_kernels, KERNELS_ISA);
const struct blend_kernels KERNELS_NAME(blend_kernels, KERNELS_ISA) = {
    .weighted = weighted,
    .subtract = subtract,
    .keep_at_least = keep_at_least,
    .keep_above = keep_above,
    .task_sum = task_sum,
    .elect = elect,
};
