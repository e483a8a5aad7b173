/*
 * kernels.c - the arithmetic of a transformer layer, in loops that compilers vectorise.
 *
 * The build compiles this file once an instruction set and defines KERNELS_ISA. Multiplications and
 * additions may fuse here: sets differ in last bits, as BLAS kernels do, and the name of the path
 * goes with every score.
 */
#include "evaluator/model/kernels.h"

#include <math.h>

#include "evaluator/model/lanes.h"

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif
#define KERNELS_PASTE(stem, isa) stem##_##isa
#define KERNELS_NAME(stem, isa) KERNELS_PASTE(stem, isa)

static double sum_of_squares(const float *x, size_t n)
{
    double lane[LANES] = {0};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            lane[j] += (double)x[i + j] * (double)x[i + j];
        }
    }
    for (size_t j = 0; i < n; i++, j++) {
        lane[j] += (double)x[i] * (double)x[i];
    }
    return lanes_sum_double(lane);
}

/* A double holds the square of any float: the sum is finite exactly when every number is. */
static bool rms_norm(float *restrict out, const float *restrict x, const float *restrict gain,
                     size_t T, size_t D, float eps)
{
    bool finite = true;

    for (size_t t = 0; t < T; t++) {
        const float *row = x + t * D;
        double mean = sum_of_squares(row, D) / (double)D;
        float rescale = (float)(1.0 / sqrt(mean + (double)eps));

        finite = finite && isfinite(mean);
        for (size_t d = 0; d < D; d++) {
            out[t * D + d] = row[d] * rescale * gain[d];
        }
    }
    return finite;
}

/* One head: x[j] cos[j] + partner[j] sin[j], the partner being half a head away. */
static inline void rotate_head(float *restrict x, const float *restrict angles, size_t K)
{
    float partner[KERNELS_HEAD_MAX];

    memcpy(partner, x + K / 2, K / 2 * sizeof(float));
    memcpy(partner + K / 2, x, K / 2 * sizeof(float));
    for (size_t j = 0; j < K; j++) {
        x[j] = x[j] * angles[j] + partner[j] * angles[K + j];
    }
}

static void rotate(float *restrict x, size_t stride, const float *restrict angles,
                   const uint32_t *restrict depths, size_t T, size_t H, size_t K)
{
    for (size_t t = 0; t < T; t++) {
        for (size_t h = 0; h < H; h++) {
            rotate_head(x + t * stride + h * K, angles + depths[t] * 2 * K, K);
        }
    }
}

static void add_bias(float *restrict x, const float *restrict bias, size_t T, size_t D)
{
    for (size_t t = 0; t < T; t++) {
        for (size_t d = 0; d < D; d++) {
            x[t * D + d] += bias[d];
        }
    }
}

static void silu_up(float *restrict out, const float *restrict x, size_t T, size_t F)
{
    for (size_t t = 0; t < T; t++) {
        const float *restrict gate = x + t * 2 * F;
        const float *restrict up = gate + F;

        for (size_t f = 0; f < F; f++) {
            out[t * F + f] = gate[f] * up[f] / (1.0F + lanes_exp(-gate[f]));
        }
    }
}

static float largest_of(const float *x, size_t n)
{
    float lane[LANES];
    size_t i = 0;

    for (size_t j = 0; j < LANES; j++) {
        lane[j] = -INFINITY;
    }
    for (; i + LANES <= n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            lane[j] = lanes_larger(x[i + j], lane[j]);
        }
    }
    for (size_t j = 0; i < n; i++, j++) {
        lane[j] = lanes_larger(x[i], lane[j]);
    }
    return lanes_largest(lane);
}

static double sum_of_exponentials(const float *x, size_t n, float largest)
{
    double lane[LANES] = {0};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            lane[j] += (double)lanes_exp(x[i + j] - largest);
        }
    }
    for (size_t j = 0; i < n; i++, j++) {
        lane[j] += (double)lanes_exp(x[i] - largest);
    }
    return lanes_sum_double(lane);
}

/* A NaN is never the largest but makes the sum NaN; so does infinity minus itself. */
static void softmax_add(struct kernels_softmax *softmax, const float *logits, size_t n,
                        uint32_t first)
{
    float largest = largest_of(logits, n);

    if (!softmax->started || largest > softmax->largest) {
        uint32_t at = 0;

        while (at + 1 < n && logits[at] != largest) {
            at++;
        }
        if (softmax->started) {
            softmax->sum *= exp((double)softmax->largest - (double)largest);
        }
        softmax->largest = largest;
        softmax->at = first + at;
        softmax->started = true;
    }
    softmax->sum += sum_of_exponentials(logits, n, softmax->largest);
}

extern const struct kernels KERNELS_NAME(kernels, KERNELS_ISA);
const struct kernels KERNELS_NAME(kernels, KERNELS_ISA) = {
    .rms_norm = rms_norm,
    .rotate = rotate,
    .add_bias = add_bias,
    .silu_up = silu_up,
    .softmax_add = softmax_add,
};
