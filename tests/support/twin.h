/*
 * twin.h - a decoder computed the plain way, for tests of the fast one.
 *
 * One sequence, one position after another, in double, with libm's functions and no sharing: every
 * formula as formats and papers write it. A twin of a folder shares nothing with the engine: it
 * reads config.json and the weights itself, and what a family means stands here a second time.
 */
#ifndef TESTS_TWIN_H
#define TESTS_TWIN_H

#include <stddef.h>
#include <stdint.h>

#include "evaluator/model/config.h"
#include "evaluator/model/weights.h"

struct twin;

/* The model in a folder with one model.safetensors of F32 and BF16. Ends the test when it is not
 * one of the families. */
struct twin *twin_of_folder(const char *folder);

/* A small llama: 3 layers, width 48, MLP 40, 6 heads of width 8, vocabulary 50, no biases, untied.
 * Change what a test is about before twin_new. */
struct config twin_config(void);

/* Random weights for such a config, rounded to floats; norms near one, matrices of size
 * 1/sqrt(inputs). Rotary scaling: none, linear or llama3. */
struct twin *twin_new(const struct config *config, uint64_t seed);

/* The same weights for the fast one: new, bound. Of twin_new only. */
struct weights *twin_weights(const struct twin *twin);

/* Fill one of their tensors again, with another first value. */
void twin_spoil(const struct twin *twin, struct weights *weights, enum tensor_role role,
                uint32_t layer, float first);

/* A way through the layers of several twins [..]: h = layer(scale * h) hop by hop, between the
 * embedding and the head of the first. */
struct twin_hop {
    size_t model, layer;
    double scale;
};
struct twin *twin_routed(const struct twin *const *twins, const struct twin_hop *hops, size_t n);

void twin_free(struct twin *twin); /* NULL is fine */

/* Logits [n, V] after each token. */
void twin_logits(const struct twin *twin, const uint32_t *tokens, size_t n, double *logits);

/* Sum over tokens[from .. n) of ln p(token | before). */
double twin_loglikelihood(const struct twin *twin, const uint32_t *tokens, size_t n, size_t from);

#endif
