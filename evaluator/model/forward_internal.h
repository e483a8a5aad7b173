/*
 * forward_internal.h - the forward pass's scratch: what forward.c computes in and forward_scratch.c
 * takes, and what generate.c keeps beside it. For these three only.
 *
 * Letters of shapes: D width, Q = H K query heads, E = G K key/value heads, F MLP width, V
 * vocabulary.
 */
#ifndef MODEL_FORWARD_INTERNAL_H
#define MODEL_FORWARD_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/attention.h"
#include "evaluator/model/config.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/gemm.h"
#include "evaluator/model/kernels.h"
#include "evaluator/model/trie.h"
#include "evaluator/model/weights.h"

/* Rows at a time: enough to make little of reading a layer's weights, few enough for the buffers of
 * small models to stay in the second-level cache. */
#define FORWARD_CHUNK GEMM_ROWS

/* Columns of the vocabulary at a time: a chunk's logits then take 2 MB, inside the second-level
 * cache, and a panel's weights are read once a chunk. */
#define FORWARD_PANEL ((size_t)1024)

/* What a pass is for; all but the first attend by lines. */
enum forward_pass_kind {
    FORWARD_SCORE,   /* a trie, for what stands at its nodes */
    FORWARD_PROMPTS, /* a trie of prompts that are generated from */
    FORWARD_STEP     /* nodes that are the newest of a line each */
};

/* Where a prompt ends: its keys and values go on in a slot. Of a step: where a node's are. */
struct forward_end {
    uint32_t node, slot;
};

/* Keys and values of lines that are generated (generate.c). */
struct forward_lines {
    size_t bytes;                 /* allowed for stacks */
    struct attention_shape shape; /* depth_max: the longest line */
    size_t n_slots;
    float *stacks; /* [n_slots, layers, attention_stack_floats] */
    enum forward_pass_kind pass;
    const struct forward_end *ends; /* [n_ends] of this pass, ascending by node */
    size_t n_ends;
};

/* Nodes [first, first + n) of a pass, in the chunk's buffers. */
struct forward_rows {
    size_t first, n;
    const uint32_t *depths; /* [n] */
    float *x;               /* [n, D] */
    float *stack;           /* of the current path */
};

struct forward {
    struct config config;
    struct gemm_kind kind; /* of the weights of the pass */
    const struct kernels *kernels;
    const struct attention *attention;
    size_t positions_max; /* as forward_new was told */
    uint64_t positions, blocks;
    struct forward_keeper keeper; /* its functions NULL: none */

    /* For any trie. */
    float *chunk;  /* one block of the buffers below, each FORWARD_CHUNK rows */
    float *normed; /* [D] */
    float *wide;   /* [max(Q + 2 E, 2 F, FORWARD_PANEL)]; q k v, then gate and up, or a panel of
                      logits */
    float *mixed;  /* [max(Q, F, D)]; attention's output, then the MLP's inside */
    struct kernels_softmax *softmax; /* [FORWARD_CHUNK] */
    float *packed; /* a panel of the head where it is held as it is stored, packed */
    float *panel;  /* [FORWARD_PANEL, D] the same before, in the same block */

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

    struct forward_lines lines;
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

/* All layers over nodes, and what stands at the scored ones. Errors as forward_score. */
int forward_pass(struct forward *forward, const struct weights *weights,
                 const struct trie_nodes *nodes, struct err *err);

/* What the pass found most likely at a scored node; loglikelihood is NaN. */
struct forward_place forward_place_at(const struct forward *forward, size_t scored);

/* Attention of a pass that is not FORWARD_SCORE: from wide to mixed, as attention.h. */
void generate_attend(struct forward *forward, uint32_t layer, const struct forward_rows *rows,
                     const struct attention_shape *shape);

#endif
