/*
 * plan_digest.h - what decides a plan's weights, as digests: before anything is blended.
 *
 * Two tensors with one digest have the same values, and two candidates with one digest after layer
 * k have the same activations there, whatever comes behind: what was found out of the one holds for
 * the other (prefix.h, contents.h). Inputs are told apart by where they are mapped, so digests hold
 * while the same checkpoints stay open and unchanged, and mean nothing to another process.
 *
 *   digests[0]  embedding, and what of the config all layers run by
 *   digests[k]  digests[k - 1], the tensors of layer k - 1, its window and rotary kind
 */
#ifndef MERGE_PLAN_DIGEST_H
#define MERGE_PLAN_DIGEST_H

#include "base/digest.h"
#include "evaluator/merge/plan.h"

/* Of each tensor's values, [n_tensors] in the plan's order. A copy has its source's digest under
 * whatever name; a method that draws or counts by name takes the name in. */
void plan_digest_tensors(const struct plan *plan, unsigned char (*out)[DIGEST_SIZE]);

/* Of the residual stream before the first layer and after each, [n_layers + 1], from those of the
 * tensors. */
void plan_digest_prefixes(const struct plan *plan, unsigned char (*tensors)[DIGEST_SIZE],
                          unsigned char (*out)[DIGEST_SIZE]);

#endif
