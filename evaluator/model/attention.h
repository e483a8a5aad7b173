/*
 * attention.h - causal attention over a trie of prefixes.
 *
 * Nodes come depth first, so the ancestors of the next node are always the first `depth` entries of
 * a stack: the keys and values of the path from the root. A node writes its own key and value at
 * its depth, over what another branch left there, and attends to entries 0 .. depth, or with a
 * sliding window (Beltagy et al. 2020, arXiv:2004.05150) to the last of them. Shared prefixes are
 * thus neither copied nor looked up, and a node's result depends on its path alone, not on the rest
 * of the tree.
 *
 *   nodes (depth:token)  0:q 1:a 2:b 1:d      stack at node d: q d, and a stale b that nobody reads
 */
#ifndef MODEL_ATTENTION_H
#define MODEL_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#include "evaluator/model/isa.h"

/* Queries taken through the stack together: of nodes that follow each other on one path, or of the
 * heads of one node that share keys. */
#define ATTENTION_QUERIES ((size_t)4)

/* H query heads share G heads of keys and values (Ainslie et al. 2023, arXiv:2305.13245: query head
 * h uses h / (H / G)), K wide. */
struct attention_shape {
    size_t n_heads;
    size_t n_kv_heads;
    size_t head_width;
    size_t depth_max; /* longest path */
    float scale;      /* of scores, 1 / sqrt(K) */
    size_t window;    /* entries that a node attends to, its own included; 0: its whole path */
    float cap;        /* scores become cap tanh(score / cap), Bello et al. 2016 (arXiv:1611.09940)
                         5.1; 0: they stay */
};

/* Floats of one layer's stack, and of the scratch. */
size_t attention_stack_floats(const struct attention_shape *shape);
size_t attention_scratch_floats(const struct attention_shape *shape);

/* Copy the first n entries of a stack to one for paths of another length; shapes are alike in
 * heads. */
void attention_copy_stack(float *to, const struct attention_shape *to_shape, const float *from,
                          const struct attention_shape *from_shape, size_t n);

struct attention {
    /*
     * Attend from T nodes, depth first, to their paths.
     *
     *   out      [T, H K]
     *   qkv      [T, (H + 2 G) K]  queries, keys, values; rotated
     *   depths   [T]               the first node's ancestors are on the stack from earlier calls
     *   stack                      attention_stack_floats, finite at first
     *   scratch                    attention_scratch_floats
     */
    void (*attend)(float *out, const float *qkv, const uint32_t *depths, size_t T,
                   const struct attention_shape *shape, float *stack, float *scratch);
};

/* The set for isa, or for the next lower one that this build has. Static. */
const struct attention *attention_for(enum isa isa);

#endif
