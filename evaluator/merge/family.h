/*
 * family.h - how a method's arithmetic is plugged into mix.h.
 *
 * A family is a file that carries out one or more methods and answers for them by name:
 *
 *   sums.c       linear, passthrough, layer_swap
 *   vectors.c    task_arithmetic, ties, dare, breadcrumbs, della: task vectors pruned and put
 * together compeft.c    ternary task vectors pcb.c        task vectors balanced against each other
 *   span.c       slerp, nuslerp, multislerp, karcher, model_stock
 *   consensus.c  sce, ram, ramplus_tl
 *   pairs.c      nearswap, arcee_fusion
 *
 * Whatever a method does, it does in two steps: prepare reads the whole tensor as often as it needs
 * to, block by block, and leaves constants behind; next mixes one block. So memory is bounded by
 * the block, whatever the tensor's size, and results depend neither on how blocks are cut nor on
 * the kernels that mix them.
 */
#ifndef MERGE_FAMILY_H
#define MERGE_FAMILY_H

#include <stdint.h>

#include "base/err.h"
#include "evaluator/merge/mix.h"

struct family {
    const char *method;
    /* Once a tensor; NULL: nothing to do. Errors name the tensor. */
    int (*prepare)(struct mix *mix, struct err *err);
    /* Mix block.n elements from mix->at on into block.out; may shorten block.n. Nonzero when a
     * result is not finite. */
    uint32_t (*next)(struct mix *mix);
};

/* The row of this method, or NULL when the family does not have it. */
const struct family *sums_family(const char *method);
const struct family *vectors_family(const char *method);
const struct family *compeft_family(const char *method);
const struct family *pcb_family(const char *method);
const struct family *span_family(const char *method);
const struct family *consensus_family(const char *method);
const struct family *pairs_family(const char *method);

/* layer_swap: the second source's share of a layer. */
double sums_swap_share(uint32_t layer, uint32_t n_layers, double bottom, double top);

#endif
