/*
 * mix.h - one tensor of a plan, mixed block by block.
 *
 * Between a plan and its results (blend.h): the parameters of the tensor's group made into what the
 * kernels take, thresholds of trimmed task vectors found, inputs read where they lie or as floats.
 * Methods that differ only in how task vectors are trimmed and put together are rows of one table
 * in mix.c.
 */
#ifndef MERGE_MIX_H
#define MERGE_MIX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "evaluator/merge/blend_kernels.h"
#include "evaluator/merge/plan.h"
#include "evaluator/merge/trim.h"

/* Elements: enough for the processor to see where a stream goes, few enough that a block of results
 * is still in the cache when its digest is taken. */
#define MIX_BLOCK 16384

/* What is worth keeping between candidates. All zero: empty. */
struct mix_memory {
    size_t n_buffers;
    float *buffers; /* [n_buffers, MIX_BLOCK] for inputs as floats */
    size_t n_tensors, n_sources;
    struct trim_counts *counts; /* [n_tensors, n_sources], of one list of sources */
    char sources[DIGEST_HEX];   /* which list (plan.h) */
};

void mix_memory_release(struct mix_memory *memory);

/* Counts for so many tensors and sources; those of another list of sources are dropped. */
void mix_memory_fit(struct mix_memory *memory, size_t n_tensors, size_t n_sources,
                    const char *sources);

struct mix {
    const struct blend_kernels *kernels;
    const struct plan_tensor *tensor;
    bool has_base, elects;
    bool brain; /* inputs and results are bfloat16; else both are floats */
    size_t at;  /* elements done */
    struct blend_block block;
    float *floats[METHOD_SOURCES_MAX], *base_floats; /* [MIX_BLOCK] each */
    bool trims[METHOD_SOURCES_MAX];                  /* some of this source is dropped */
    struct trim trim[METHOD_SOURCES_MAX];            /* ties and equal: those still to come */
};

/*
 * Make a tensor ready. brain: work on bfloat16 in place, which all its inputs must be. strict: a
 * density that keeps no element is refused; else it keeps one. memory is kept until the last block.
 * ERR_NUMERIC: weights that sum to zero where they divide; ERR_LIMIT: too large to trim;
 * ERR_MISSING: a method that this version cannot carry out.
 */
int mix_start(struct mix *out, struct mix_memory *memory, const struct method *method,
              const struct plan_tensor *tensor, size_t n_sources, bool brain, bool strict,
              struct err *err);

/* Mix the next elements into out, at most as many as a block has left; returns how many, 0 at the
 * end. stream: past the caches, out starts at a multiple of 64. *bad is set when a result is not
 * finite. */
size_t mix_next(struct mix *mix, void *out, bool stream, bool *bad);

#endif
