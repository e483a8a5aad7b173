/*
 * blend.h - carry a plan out: every tensor computed in one streaming pass, rounded, handed on.
 *
 * Inputs of any number type are read in blocks that fit the cache, mixed in float, rounded to the
 * recipe's type. What is measured (floats of the forward pass) and what is written (bytes of a
 * file) come from the same pass, and so does the digest of the weights: they cannot differ.
 */
#ifndef MERGE_BLEND_H
#define MERGE_BLEND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/digest.h"
#include "base/err.h"
#include "evaluator/merge/plan.h"

/* What is worth keeping between candidates: counts of task vectors (trim.h), buffers. */
struct blend;

struct blend *blend_new(void);
void blend_free(struct blend *blend); /* NULL is fine */

/* Where results go: any of the three, NULL for those not wanted. Each returns 0 or an error, which
 * ends the run. */
struct blend_sink {
    /* Where the rounded values [n] of this tensor belong, as floats. */
    int (*place)(void *context, const struct plan_tensor *tensor, float **out, struct err *err);
    /* Where its bytes belong, of the plan's type; written past the caches. */
    int (*store)(void *context, const struct plan_tensor *tensor, void **out, struct err *err);
    /* Its next bytes; called in order. */
    int (*write)(void *context, const struct plan_tensor *tensor, const void *bytes, size_t n,
                 struct err *err);
    void *context;
};

/*
 * Compute every tensor, by name. weights receives the digest of the rounded tensors, equal to
 * checkpoint_weights_digest of their export; NULL: not wanted, which spares reading every byte once
 * more. ERR_NUMERIC: a value that is not finite, in a source (folder, file and tensor are named) or
 * in the result, or parameters that have no finite result.
 */
int blend_run(struct blend *blend, const struct plan *plan, const struct blend_sink *sink,
              char weights[DIGEST_HEX], struct err *err);

/* The same for the i-th tensor alone, for models that are never whole in memory. content receives
 * the SHA-256 of its bytes; NULL: not wanted. */
int blend_one(struct blend *blend, const struct plan *plan, size_t i, const struct blend_sink *sink,
              unsigned char *content, struct err *err);

/* What blend_one keeps of the i-th tensor of the merge (plan_mixed) is of no more use; what it
 * knows of whole sources stays. For plans that are carried out once. */
void blend_forget(struct blend *blend, size_t i);

/*
 * One tensor on plain memory, not rounded: the inputs of a plan_tensor made by hand, out [n]. Of
 * plan the method, rules and seed are read. Forgets what blend knew of other sources.
 */
int blend_tensor(struct blend *blend, const struct plan *plan, const struct plan_tensor *tensor,
                 float *out, struct err *err);

#endif
