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

/* What a row is multiplied by before its gains. A double holds the square of any float: the mean is
 * finite exactly when every number is. */
static float rescale_of(const float *row, size_t D, float eps, bool *finite)
{
    double mean = sum_of_squares(row, D) / (double)D;

    *finite = *finite && isfinite(mean);
    return (float)(1.0 / sqrt(mean + (double)eps));
}

static bool rms_norm(float *restrict out, const float *restrict x, const struct kernels_norm *norm,
                     size_t T, size_t D)
{
    const float *restrict gain = norm->gain;
    bool finite = true;

    for (size_t t = 0; t < T; t++) {
        const float *row = x + t * D;
        float rescale = rescale_of(row, D, norm->eps, &finite);

        for (size_t d = 0; d < D; d++) {
            out[t * D + d] = row[d] * rescale * (norm->offset + gain[d]);
        }
    }
    return finite;
}

static void add_rms_norm(float *restrict x, const float *restrict y,
                         const struct kernels_norm *norm, size_t T, size_t D)
{
    const float *restrict gain = norm->gain;
    bool finite = true; /* the next norm of x notices */

    for (size_t t = 0; t < T; t++) {
        const float *row = y + t * D;
        float rescale = rescale_of(row, D, norm->eps, &finite);

        for (size_t d = 0; d < D; d++) {
            x[t * D + d] += row[d] * rescale * (norm->offset + gain[d]);
        }
    }
}

static void norm_heads(float *restrict x, size_t stride, const struct kernels_norm *norm, size_t T,
                       size_t H, size_t K)
{
    const float *restrict gain = norm->gain;
    bool finite = true;

    for (size_t t = 0; t < T; t++) {
        for (size_t h = 0; h < H; h++) {
            float *head = x + t * stride + h * K;
            float rescale = rescale_of(head, K, norm->eps, &finite);

            for (size_t d = 0; d < K; d++) {
                head[d] = head[d] * rescale * (norm->offset + gain[d]);
            }
        }
    }
}

/* a, b [n] are the two halves of a head. */
static inline void rotate_pairs(float *restrict a, float *restrict b, const float *restrict cosines,
                                const float *restrict sines, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        float turned = a[j] * cosines[j] - b[j] * sines[j];

        b[j] = b[j] * cosines[j] + a[j] * sines[j];
        a[j] = turned;
    }
}

static void rotate(float *restrict x, size_t stride, const float *restrict angles,
                   const uint32_t *restrict depths, size_t T, size_t H, size_t K, size_t R)
{
    const size_t half = R / 2;

    for (size_t t = 0; t < T; t++) {
        const float *cosines = angles + depths[t] * R;

        for (size_t h = 0; h < H; h++) {
            float *head = x + t * stride + h * K;

            rotate_pairs(head, head + half, cosines, cosines + half, half);
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

/* n < LANES numbers and `rest` after them, as a block. */
static const float *padded(float block[LANES], const float *x, size_t n, float rest)
{
    for (size_t j = 0; j < LANES; j++) {
        block[j] = j < n ? x[j] : rest;
    }
    return block;
}

/* Both gates are g sigmoid(s): silu has s = g; gelu, 1 + tanh(u) being 2 sigmoid(2 u), has s = 2
 * sqrt(2 / pi) (g + 0.044715 g^3). */
enum gate { SILU, GELU };

static ALWAYS_INLINE void gate_block(float *out, const float *gate, const float *up,
                                     const enum gate kind)
{
    for (size_t p = 0; p < LANES_PARTS; p++) {
        vector g = vector_load(gate + p * LANES_WIDTH);
        vector u = vector_load(up + p * LANES_WIDTH);
        vector s = kind == GELU ? g * (1.59576912F + 0.0713548163F * g * g) : g;

        vector_store(out + p * LANES_WIDTH, g * u / (1.0F + vector_exp(-s)));
    }
}

static ALWAYS_INLINE void gate_up(float *restrict out, const float *restrict x, size_t T, size_t F,
                                  const enum gate kind)
{
    for (size_t t = 0; t < T; t++) {
        const float *gate = x + t * 2 * F;
        const float *up = gate + F;
        size_t f = 0;

        for (; f + LANES <= F; f += LANES) {
            gate_block(out + t * F + f, gate + f, up + f, kind);
        }
        if (f < F) {
            float g[LANES], u[LANES], rest[LANES];

            gate_block(rest, padded(g, gate + f, F - f, 0.0F), padded(u, up + f, F - f, 0.0F),
                       kind);
            memcpy(out + t * F + f, rest, (F - f) * sizeof(float));
        }
    }
}

static void silu_up(float *restrict out, const float *restrict x, size_t T, size_t F)
{
    gate_up(out, x, T, F, SILU);
}

static void gelu_up(float *restrict out, const float *restrict x, size_t T, size_t F)
{
    gate_up(out, x, T, F, GELU);
}

static ALWAYS_INLINE void soft_cap_block(float *to, const float *from, float cap)
{
    for (size_t p = 0; p < LANES_PARTS; p++) {
        vector x = vector_load(from + p * LANES_WIDTH);

        vector_store(to + p * LANES_WIDTH, vector_tanh(x / cap) * cap);
    }
}

static void soft_cap(float *x, size_t n, float cap)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        soft_cap_block(x + i, x + i, cap);
    }
    if (i < n) {
        float block[LANES], rest[LANES];

        soft_cap_block(rest, padded(block, x + i, n - i, 0.0F), cap);
        memcpy(x + i, rest, (n - i) * sizeof(float));
    }
}

static ALWAYS_INLINE void keep_larger(vector largest[LANES_PARTS], const float *block)
{
    for (size_t p = 0; p < LANES_PARTS; p++) {
        largest[p] = vector_larger(vector_load(block + p * LANES_WIDTH), largest[p]);
    }
}

static float largest_of(const float *x, size_t n)
{
    vector largest[LANES_PARTS];
    float lane[LANES];
    size_t i = 0;

    for (size_t p = 0; p < LANES_PARTS; p++) {
        largest[p] = vector_all(-INFINITY);
    }
    for (; i + LANES <= n; i += LANES) {
        keep_larger(largest, x + i);
    }
    if (i < n) {
        keep_larger(largest, padded(lane, x + i, n - i, -INFINITY));
    }
    return vector_largest(largest);
}

static ALWAYS_INLINE void add_exponentials(double sum[LANES], const float *block, float largest)
{
    float e[LANES];

    for (size_t p = 0; p < LANES_PARTS; p++) {
        vector_store(e + p * LANES_WIDTH,
                     vector_exp(vector_load(block + p * LANES_WIDTH) - largest));
    }
    for (size_t j = 0; j < LANES; j++) {
        sum[j] += (double)e[j];
    }
}

static double sum_of_exponentials(const float *x, size_t n, float largest)
{
    double sum[LANES] = {0};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        add_exponentials(sum, x + i, largest);
    }
    if (i < n) {
        float block[LANES];

        add_exponentials(sum, padded(block, x + i, n - i, -INFINITY), largest);
    }
    return lanes_sum_double(sum);
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
    .add_rms_norm = add_rms_norm,
    .norm_heads = norm_heads,
    .rotate = rotate,
    .add_bias = add_bias,
    .silu_up = silu_up,
    .gelu_up = gelu_up,
    .soft_cap = soft_cap,
    .softmax_add = softmax_add,
};
