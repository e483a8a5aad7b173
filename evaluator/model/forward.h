/*
 * forward.h - the forward pass over a trie of token prefixes, and what it scores.
 *
 * A decoder of the Llama kind (architecture.h lists the families): x += O attention(norm(x)), then
 * x += down(silu(gate) * up) of norm(x); logits = head norm(x). Logits are made only where a target
 * stands, a panel of the vocabulary at a time, never [positions, vocabulary].
 *
 * What a sequence scores depends on its tokens and the weights alone, to the last bit: not on the
 * other sequences of the trie, nor on how they fall into chunks and batches.
 */
#ifndef MODEL_FORWARD_H
#define MODEL_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/numeric.h"
#include "evaluator/model/trie.h"
#include "evaluator/model/weights.h"

/* What forward_new takes for positions_max 0. Activations of a batch are 4 bytes times this times
 * the width; batches only cost a stack of keys and values a layer instead of one for all. */
#define FORWARD_POSITIONS ((size_t)8192)

/* Of one sequence. */
struct forward_result {
    double loglikelihood; /* sum over the scored tokens of ln p(token | all before it) */
    bool greedy;   /* every scored token was the most likely one; of equal ones the lowest id is */
    uint32_t next; /* most likely token after the last, when asked for; else TRIE_NONE */
};

struct forward;

/* Of streamed weights: whole tries go through one layer before the next (forward_advance), by
 * batches of the default number of positions that share one stack. A pass through all layers is
 * then one batch: forward_batch_max says how many nodes that may have. */
#define FORWARD_BY_LAYER SIZE_MAX

/*
 * Who keeps the residual stream between passes (prefix.h), so that a pass can begin behind the
 * layers that it shares with one before it. It gives the same bits.
 */
struct forward_keeper {
    /* How many layers a pass over this trie may leave out, and in *x [nodes, D] the stream behind
     * them, lent until the pass ends; 0: none. */
    uint32_t (*find)(void *context, const struct trie *trie, const float **x);
    /* The stream behind so many layers at nodes [first, first + n): x [n, D]. A pass that fails may
     * leave out the rest. */
    void (*keep)(void *context, const struct trie *trie, uint32_t n_layers, size_t first, size_t n,
                 const float *x);
    void *context;
};

/* In f32. positions_max: trie nodes a batch at most; 0 for the default. ERR_FORMAT when the model
 * cannot be run, ERR_MEMORY. */
int forward_new(struct forward **out, const struct config *config, size_t positions_max,
                struct err *err);

/* In an arithmetic that is available. amx2 and amx1 round matrices to bfloat16: for weights that
 * are. */
int forward_new_on(struct forward **out, const struct config *config, enum numeric numeric,
                   size_t positions_max, struct err *err);
void forward_free(struct forward *forward); /* NULL is fine */

/* Run models with other layers, any number, that are the same in all else: true. */
bool forward_adopt(struct forward *forward, const struct config *config);

/* forward_score asks this keeper from now on, which is copied; NULL: none. */
void forward_keep(struct forward *forward, const struct forward_keeper *keeper);

/*
 * Score every sequence of a finished trie: results [trie_sequences]. weights are of forward_new's
 * config and arithmetic. Scratch grows to the largest trie seen; after that nothing is allocated.
 *
 * ERR_NUMERIC names the layer, or "logits", where a number was not finite: the candidate failed.
 * ERR_LIMIT: a token outside the vocabulary, or a sequence too long for the rotary scaling.
 * ERR_MEMORY. Errors of weights_stage. results are then as they were.
 */
int forward_score(struct forward *forward, const struct weights *weights, const struct trie *trie,
                  struct forward_result *results, struct err *err);

/*
 * The residual stream x [nodes, D] of a trie by itself, for whoever takes several tries through a
 * layer before the next: made of the tokens, and taken through one layer. A keeper is told of it,
 * and can give it to forward_score. Errors as there; x is then of no use.
 */
int forward_embed(struct forward *forward, const struct weights *weights, const struct trie *trie,
                  float *x, struct err *err);
int forward_advance(struct forward *forward, const struct weights *weights, const struct trie *trie,
                    uint32_t layer, float *x, struct err *err);

/* What stands at one place of a sequence, and what the model would rather have there. */
struct forward_place {
    double loglikelihood;      /* ln p of the token there; NaN after the last token */
    uint32_t best;             /* the most likely token; of equal ones the lowest id */
    double best_loglikelihood; /* the very same number when best stands there */
};

/*
 * After forward_score of this trie returned 0 and until the next pass: place i of a sequence is its
 * i-th scored token; one more when it wants the next.
 */
struct forward_place forward_place(const struct forward *forward, const struct trie *trie,
                                   size_t sequence, size_t i);

/* Nodes that a batch has at most, where the longest path has depth_max of them. */
size_t forward_batch_max(size_t positions_max, size_t depth_max);

/* Bytes of scratch for the largest of some tries. Nodes are
 * what the trie's plan states: n, depth_max, n_scored, n_targets are read. */
size_t forward_bytes(const struct config *config, enum numeric numeric, size_t positions_max,
                     const struct trie_nodes *nodes);

/* Whole logits [n, vocabulary] after each token of one sequence. For tests and inspection. */
int forward_logits(struct forward *forward, const struct weights *weights, const uint32_t *tokens,
                   size_t n, float *logits, struct err *err);

/* Positions scored since forward_new: a trie's nodes, once each forward_score. */
uint64_t forward_positions(const struct forward *forward);

/* Layers run since then, each times the positions it ran on: fewer than positions times layers
 * where a keeper had the first ones. */
uint64_t forward_blocks(const struct forward *forward);

/* The path's name (gemm_path), kept with every score: scores compare only within one arithmetic.
 * Static. */
const char *forward_path(const struct forward *forward);

#endif
