/*
 * blend.h - carry a plan out: every tensor computed in one streaming pass, rounded, handed on.
 *
 * Inputs of any number type are read in blocks that fit the cache, computed in float, rounded to
 * the recipe's type. What is measured (float slots of the forward pass) and what is written (bytes
 * of a file) come from the same pass, and so does the digest of the weights.
 */
#ifndef MERGE_BLEND_H
#define MERGE_BLEND_H

#include <stddef.h>

#include "base/digest.h"
#include "base/err.h"
#include "evaluator/merge/plan.h"

/* What is worth keeping between candidates: histograms of task vectors, buffers. */
struct blend;

struct blend *blend_new(void);
void blend_free(struct blend *blend); /* NULL is fine */

/* Where results go. Either may be NULL. */
struct blend_sink {
    /* Where the rounded values [n] of this tensor belong, as floats. ERR_MISSING: nowhere. */
    int (*place)(void *context, const struct plan_tensor *tensor, float **out, struct err *err);
    /* The next bytes of this tensor, of the plan's type; called in order. */
    int (*write)(void *context, const struct plan_tensor *tensor, const void *bytes, size_t n,
                 struct err *err);
    void *context;
};

/*
 * Compute every tensor. weights receives the digest of the rounded tensors, equal to
 * checkpoint_weights_digest of their export. ERR_NUMERIC: a value that is not finite, in a source
 * (folder, file and tensor are named) or in the result.
 */
int blend_run(struct blend *blend, const struct plan *plan, const struct blend_sink *sink,
              char weights[DIGEST_HEX], struct err *err);

/*
 * One tensor on plain memory, for tests against other implementations: the inputs of a plan_tensor
 * made by hand. strict refuses a density that keeps nothing, as a written recipe is refused; else
 * one element is kept.
 */
int blend_tensor(struct blend *blend, const struct method *method, const struct plan_tensor *tensor,
                 size_t n_sources, int strict, float *out, struct err *err);

#endif
