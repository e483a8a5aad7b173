/*
 * kernels.h - the arithmetic of a transformer layer other than matrix products and attention.
 *
 * Arrays are row-major float. T rows in this call, D model width, F MLP width, H heads of width K.
 * kernels.c is plain C, compiled once an instruction set. Sums are taken in lanes of a fixed layout
 * (lanes.h): a row's result depends on that row alone, not on the rows beside it.
 */
#ifndef MODEL_KERNELS_H
#define MODEL_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "evaluator/model/isa.h"

/* What is known of the logits of a row after some of the vocabulary. All zero: nothing yet. */
struct kernels_softmax {
    double sum;    /* of exp(logit - largest); not finite when a logit is not */
    float largest; /* logit */
    uint32_t at;   /* its first index */
    bool started;
};

/* A norm's numbers: rows are multiplied by offset + gain. */
struct kernels_norm {
    const float *gain; /* one an element of a row */
    float offset;
    float eps;
};

struct kernels {
    /* out[t] = x[t] / sqrt(mean(x[t]^2) + eps) * gain; out, x [T, D]. False when a number of x is
     * not finite. Zhang & Sennrich 2019 (arXiv:1910.07467). */
    bool (*rms_norm)(float *out, const float *x, const struct kernels_norm *norm, size_t T,
                     size_t D);

    /* x[t] += y[t] normed the same way; x, y [T, D]. */
    void (*add_rms_norm)(float *x, const float *y, const struct kernels_norm *norm, size_t T,
                         size_t D);

    /* The first H heads, K wide, of each row of x [T, stride] normed, each on its own, in place. */
    void (*norm_heads)(float *x, size_t stride, const struct kernels_norm *norm, size_t T, size_t H,
                       size_t K);

    /*
     * Rotary embedding (Su et al. 2021, arXiv:2104.09864) in the pairing of Llama checkpoints:
     * element j with j + R/2, in place, of the first H heads, K wide, of each row.
     *
     *   x       [T, stride]
     *   angles  [depths, R]  a row for each depth: R/2 cosines, then R/2 sines
     *   depths  [T]          each row's place in its sequence
     *   R                    elements of a head that turn, at most K
     */
    void (*rotate)(float *x, size_t stride, const float *angles, const uint32_t *depths, size_t T,
                   size_t H, size_t K, size_t R);

    /* x[t] += bias; x [T, D], bias [D]. */
    void (*add_bias)(float *x, const float *bias, size_t T, size_t D);

    /* out[t] = silu(gate) * up, where x[t] is gate [F] then up [F]; out [T, F], x [T, 2 F].
     * Shazeer 2020 (arXiv:2002.05202). */
    void (*silu_up)(float *out, const float *x, size_t T, size_t F);

    /* The same with gelu(gate), its tanh form: gate / 2 (1 + tanh(sqrt(2 / pi) (gate + 0.044715
     * gate^3))). Hendrycks & Gimpel 2016 (arXiv:1606.08415). */
    void (*gelu_up)(float *out, const float *x, size_t T, size_t F);

    /* x = cap tanh(x / cap); x [n]. */
    void (*soft_cap)(float *x, size_t n, float cap);

    /* Take the logits [n] of tokens first .. first + n into account. Equal logits: the lowest index
     * counts as the largest. */
    void (*softmax_add)(struct kernels_softmax *softmax, const float *logits, size_t n,
                        uint32_t first);
};

/* The set for isa, or for the next lower one that this build has. Static. */
const struct kernels *kernels_for(enum isa isa);

#endif
