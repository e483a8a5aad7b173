/*
 * mix.h - one tensor of a plan, mixed block by block.
 *
 * Between a plan and its results (blend.h): inputs read where they lie or as floats, handed block
 * by block to the family of methods that the plan's method belongs to (family.h).
 */
#ifndef MERGE_MIX_H
#define MERGE_MIX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "evaluator/merge/blend_kernels.h"
#include "evaluator/merge/census.h"
#include "evaluator/merge/plan.h"
#include "evaluator/merge/prune.h"

/* Elements: enough for the processor to see where a stream goes, few enough that a block of results
 * is still in the cache when its digest is taken. */
#define MIX_BLOCK 16384

/* Bytes for the bits of a block (prune_kernels.h). */
#define MIX_KEEP (MIX_BLOCK / 8)

/* What is worth keeping between candidates. All zero: empty. */
struct mix_memory {
    size_t n_buffers;
    float *buffers; /* [n_buffers, MIX_BLOCK] for inputs as floats */
    size_t n_tensors, n_sources;
    unsigned char *keep;        /* [n_buffers, MIX_KEEP] bits of what stays in a block */
    struct trim_counts *counts; /* [n_tensors, n_sources], of one list of sources */
    struct census *census;      /* of the same; NULL: not taken yet */
    char sources[DIGEST_HEX];   /* which list (plan.h) */
    const struct method *found_by;
    void **found; /* [n_tensors] what this method found out of the same sources */
    size_t state_bytes;
    void *state; /* of the family, a tensor at a time */
};

void mix_memory_release(struct mix_memory *memory);

/* Counts for so many tensors and sources; those of another list of sources are dropped. */
void mix_memory_fit(struct mix_memory *memory, size_t n_tensors, size_t n_sources,
                    const char *sources);

/* What is known of one tensor alone is of no more use. */
void mix_memory_forget(struct mix_memory *memory, size_t tensor);

/* What is known of one source's task vector in one tensor. */
struct trim_counts *mix_counts(struct mix_memory *memory, size_t tensor, size_t source);

struct mix {
    const struct blend_kernels *kernels;
    const struct family *family;
    const struct plan *plan; /* method, rules, seed */
    const struct plan_tensor *tensor;
    struct mix_memory *memory;
    void *state; /* the family's own, by mix_state */
    bool brain;  /* inputs and results are bfloat16; else both are floats */
    size_t at;   /* elements done */
    struct blend_block block;
    float *floats[METHOD_SOURCES_MAX], *base_floats; /* [MIX_BLOCK] each */
    unsigned char *keep[METHOD_SOURCES_MAX];         /* [MIX_KEEP] each */
    struct prune prune[METHOD_SOURCES_MAX];          /* what stays of each task vector */
};

/*
 * Make a tensor of the plan ready. brain: work on bfloat16 in place, which all its inputs must be.
 * memory is kept until the last block. ERR_NUMERIC: parameters that have no finite result, or leave
 * nothing where the plan's rules are strict; ERR_LIMIT: too large to trim; ERR_MISSING: a method
 * that this version cannot carry out.
 */
int mix_start(struct mix *out, struct mix_memory *memory, const struct plan *plan,
              const struct plan_tensor *tensor, bool brain, struct err *err);

/* Mix the next elements into out, at most as many as a block has left; returns how many, 0 at the
 * end. stream: past the caches, out starts at a multiple of 64. *bad is set when a result is not
 * finite. */
size_t mix_next(struct mix *mix, void *out, bool stream, bool *bad);

/* ---- for families (family.h) ---- */

#define MIX_BASE SIZE_MAX

/* A source, or the base, as it is stored: bfloat16 where mix->brain. */
const unsigned char *mix_stored(const struct mix *mix, size_t source);

/* n elements of a source, or of the base, as floats. */
void mix_read(const struct mix *mix, size_t source, size_t at, size_t n, float *out);

/* So many bytes, all zero, for what a family's prepare leaves to its next; valid until the next
 * mix_start, and mix->state from now on. */
void *mix_state(struct mix *mix, size_t bytes);

/* Where a family keeps what it found out about the tensor that depends on its inputs alone, for the
 * next candidate: *slot is NULL at first, and is freed with the memory. */
void **mix_found(const struct mix *mix);

/* Results as floats, for elements [from, from + n) of the block: rounded where it is bfloat16.
 * Nonzero when one is not finite. */
uint32_t mix_put(const struct mix *mix, size_t from, size_t n, const float *values);

/* Parameters of the tensor; the fallback when the method has none of that name. */
double mix_source_value(const struct mix *mix, size_t source, const char *name, double fallback);
double mix_whole_value(const struct mix *mix, const char *name, double fallback);

/* One pass over all inputs: ERR_NUMERIC names the first that has a number that is not finite. */
int mix_check_inputs(const struct plan_tensor *tensor, struct err *err);

/* Block by block with the sum kernels (blend_kernels.h): the weights of the tensor's sources,
 * lambda and divisor set from its parameters. */
int mix_set_weights(struct mix *mix, struct err *err);

/* Counts of whole task vectors of the plan's sources, kept as long as those of tensors. */
struct census *mix_census(struct mix *mix);

#endif
