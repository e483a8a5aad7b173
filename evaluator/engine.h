/*
 * engine.h - a plan made runnable: its merged weights, and the scratch of the forward pass.
 *
 * A layer is blended when the first position comes to it. Resident where memory allows: it stays
 * then, and a tensor that the next candidate has too is not blended again. Else streamed: every
 * position passes layer l before any passes l + 1, whose weights are blended over it: once for all
 * tasks where their activations fit (engine_sweep), else once a task. All give the same bits.
 *
 * Candidates that agree up to a layer share the activations behind it (prefix.h): layers that are
 * left out are neither blended nor run, and the bits are the same again.
 *
 *   struct engine *engine = engine_new(memory, numeric);
 *   engine_share(engine, tries, n_tries);
 *   for each candidate:
 *     engine_load(engine, &plan, &largest, err);
 *     engine_sweep(engine, err);
 *     task_run(task_plan, engine_forward(engine), engine_weights(engine), ...);
 *     engine_digest(engine, digest, err);
 */
#ifndef EVALUATOR_ENGINE_H
#define EVALUATOR_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "evaluator/merge/plan.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/weights.h"

struct engine;

/* memory: bytes it may take, 0: any. Mapped sources are not counted: the system drops their pages,
 * and a process that streams keeps none that it has passed (file_drop_passed). numeric: the
 * arithmetic of candidates that allow it (engine_numeric); available. */
struct engine *engine_new(uint64_t memory, enum numeric numeric);
void engine_free(struct engine *engine); /* NULL is fine */

/* Activations over these tries [n], which the coming candidates run on, are kept for those that
 * agree: in what a candidate leaves of the memory, or in a worker's share of the machine's when any
 * may be taken. Copied; tries are told apart by address until engine_free. None at first: nothing
 * is kept. */
void engine_share(struct engine *engine, const struct trie *const *tries, size_t n);

/* What a candidate takes in either way: weights, scratch for the largest trie, blending, and where
 * text is generated (largest->n_sequences > 0) keys and values of one line; of more lines as far as
 * the memory allows. */
uint64_t engine_bytes(const struct plan *plan, enum numeric numeric,
                      const struct trie_nodes *largest, bool streamed);

/* wish, or f32 where wish would change weights: for amx2 and amx1 all matrices of the merge are
 * bfloat16. */
enum numeric engine_numeric(const struct plan *plan, enum numeric wish);

/* How a plan's merge would run, and in what. */
struct engine_needs {
    bool streams;
    uint64_t bytes; /* engine_bytes, and as many lines of generated text as there is room for */
    uint64_t lines; /* of those the lines */
    uint64_t kept;  /* and of activations that candidates share, at most */
};

/* Found without taking anything. ERR_FORMAT when the model cannot be run, ERR_MEMORY as
 * engine_load. */
int engine_needs(const struct engine *engine, const struct plan *plan,
                 const struct trie_nodes *largest, struct engine_needs *out, struct err *err);

/*
 * Make a plan's merge the one that runs. plan is kept until the next engine_load or engine_free.
 * largest: the most that any trie to come has of each number that forward_bytes reads. Weights and
 * scratch are taken at the first candidate, and anew only where the merged model's config differs.
 *
 * ERR_MEMORY: neither way fits memory, the text says what streaming takes. Errors of weights_new
 * and forward_new. Those of blending come when the merge runs.
 */
int engine_load(struct engine *engine, const struct plan *plan, const struct trie_nodes *largest,
                struct err *err);

/* Streamed, take all shared tries through the layers together, as far as memory allows: scoring
 * them then begins behind the last layer. Else nothing is done. Errors as forward_score. */
int engine_sweep(struct engine *engine, struct err *err);

/* Lent, valid until the next engine_load. */
struct forward *engine_forward(struct engine *engine);
const struct weights *engine_weights(const struct engine *engine);
bool engine_streams(const struct engine *engine);

/* Digest of the loaded merge's weights, equal to checkpoint_weights_digest of its export. Tensors
 * that no run needed are blended for it; errors of blending. */
int engine_digest(struct engine *engine, char out[DIGEST_HEX], struct err *err);

/* Bytes of activations that are kept for other candidates now. */
uint64_t engine_kept(const struct engine *engine);

/* Tensors blended into weights since engine_new. */
uint64_t engine_blended(const struct engine *engine);

#endif
