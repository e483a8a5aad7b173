/*
 * forward_internal.h - the forward pass's scratch: what forward.c computes in and forward_scratch.c
 * takes. For these two only.
 *
 * Letters of shapes: D width, Q = H K query heads, E = G K key/value heads, F MLP width, V
 * vocabulary.
 */
#ifndef MODEL_FORWARD_INTERNAL_H
#define MODEL_FORWARD_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/attention.h"
#include "evaluator/model/config.h"
#include "evaluator/model/kernels.h"
#include "evaluator/model/trie.h"

/* Rows at a time: enough to make little of reading a layer's weights, few enough for the buffers of
 * small models to stay in the second-level cache; whole tiles of gemm_kernels.c. */
#define FORWARD_CHUNK ((size_t)516)

/* Columns of the vocabulary at a time: a chunk's logits then take 2 MB, inside the second-level
 * cache, and a panel's weights are read once a chunk. */
#define FORWARD_PANEL ((size_t)1024)

struct forward {
    struct config config;
    const struct kernels *kernels;
    const struct attention *attention;
    size_t positions_max;
    uint64_t positions;

    /* For any trie. */
    float *chunk;  /* one block of the buffers below, each FORWARD_CHUNK rows */
    float *normed; /* [D] */
    float *wide;   /* [max(Q + 2 E, 2 F, FORWARD_PANEL)]; q k v, then gate and up, or a panel of
                      logits */
    float *mixed;  /* [max(Q, F, D)]; attention's output, then the MLP's inside */
    struct kernels_softmax *softmax; /* [FORWARD_CHUNK] */
    float *packed; /* one block of weights ready for products: of a layer, and of a panel */
    float *packed_qkv, *packed_o, *packed_gate_up, *packed_down, *packed_panel;

    /* For the largest trie seen. */
    size_t rows, depth_max, n_stacks, n_scored, n_targets;
    struct attention_shape shape;
    float *x;              /* [rows, D] */
    float *angles;         /* [depth_max, R] twice: of rope, then of local_rope; R elements turn */
    float *stacks;         /* [n_stacks, attention_stack_floats] */
    float *scratch;        /* attention's */
    double *log_sums;      /* [n_scored] ln of the sum of exp over all logits */
    uint32_t *most_likely; /* [n_scored] */
    float *largest;        /* [n_scored] its logit */
    float *target_logits;  /* [n_targets] */
};

static inline size_t forward_smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t forward_q_width(const struct config *config)
{
    return (size_t)config->n_heads * config->head_width;
}

static inline size_t forward_qkv_width(const struct config *config)
{
    return forward_q_width(config) + 2 * (size_t)config->n_kv_heads * config->head_width;
}

/* Make every buffer large enough for this trie; nothing is taken when they are. ERR_MEMORY. */
int forward_fit(struct forward *forward, const struct trie_nodes *nodes, struct err *err);

#endif
