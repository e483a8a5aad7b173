/*
 * engine.h - a plan made runnable: its merged weights, and the scratch of the forward pass.
 *
 * A layer is blended when the first position comes to it. Resident where memory allows: it stays
 * then, and a tensor that the next candidate has too is not blended again. Else streamed: every
 * position passes layer l before any passes l + 1, whose weights are blended over it: once for as
 * many tries as memory holds the activations of (engine_sweep). All give the same bits.
 *
 * Candidates that agree up to a layer share the activations behind it (prefix.h): layers that are
 * left out are neither blended nor run, and the bits are the same again.
 *
 *   struct engine *engine = engine_new(memory, numeric);
 *   engine_expect(engine, &work);
 *   for each candidate:
 *     engine_load(engine, &plan, &largest, err);
 *     for (first = 0; first < work.n_tries; first = end)
 *       engine_sweep(engine, first, NULL, &end, err);
 *       forward_score(engine_forward(engine), engine_weights(engine), tries [first, end), ...);
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

/* What the coming candidates run on. */
struct engine_work {
    const struct trie *const *tries; /* [n_tries] scored in this order */
    size_t n_tries;
    bool keeps; /* activations over them, for candidates that agree: in what a candidate leaves of
                   the memory, or in a worker's share of the machine's when any may be taken */
};

/* Copied; tries are told apart by address until engine_forget. At first there is none. */
void engine_expect(struct engine *engine, const struct engine_work *work);

/* Nothing is expected, and no activations are kept: before tries are freed and others come. */
void engine_forget(struct engine *engine);

/* The least that a candidate takes in either way: weights, scratch for the largest trie, blending,
 * streamed that trie's activations, and where text is generated (largest->n_sequences > 0) keys and
 * values of one line. */
uint64_t engine_bytes(const struct plan *plan, enum numeric numeric,
                      const struct trie_nodes *largest, bool streamed);

/* wish, or f32 where wish would change weights: for amx2 and amx1 all matrices of the merge are
 * bfloat16. */
enum numeric engine_numeric(const struct plan *plan, enum numeric wish);

/* How a plan's merge would run, and in what. */
struct engine_needs {
    bool streams;
    uint64_t bytes;  /* the most that is taken at once, what is kept left out */
    uint64_t sweep;  /* of those the activations of a sweep */
    uint64_t lines;  /* of those the lines of generated text; streamed, after the sweeps */
    uint64_t kept;   /* and of activations that candidates share, at most */
    size_t n_sweeps; /* that the expected tries take: times that all layers are blended */
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

/* Looks at a sweep: told of the layers [0, n) that so many positions have just passed; false: stop
 * there. */
struct engine_look {
    bool (*passed)(void *context, uint32_t n_layers, size_t positions);
    void *context;
};

/* Streamed, take the expected tries from `first` on through the layers together, as many as memory
 * holds, until the next sweep: scoring tries [first, *end) then begins behind the last layer. Where
 * look stops it, *end is first. Resident, nothing is done, and *end is the next trie. look may be
 * NULL. Errors as forward_score. */
int engine_sweep(struct engine *engine, size_t first, const struct engine_look *look, size_t *end,
                 struct err *err);

/* Streamed, what was swept is let go, so that lines have its room. */
void engine_end_sweep(struct engine *engine);

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
