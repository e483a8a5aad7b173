/*
 * blend.c - every tensor computed in one streaming pass, rounded, handed on.
 *
 *   for each tensor, by name
 *     for each block
 *       mix.h -> results, rounded -> digest, file, memory
 *                                \-> floats of the forward pass
 *
 * When inputs and results are bfloat16, as nearly all are, the mix gives rounded bytes at once,
 * into their final place where nothing else reads them; everything else goes through floats, with
 * the same result.
 */
#include "evaluator/merge/blend.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/mix.h"

struct blend {
    struct mix_memory memory;
    float mixed[MIX_BLOCK]; /* a block of results as floats */
    float bytes[MIX_BLOCK]; /* and as stored */
};

struct blend *blend_new(void)
{
    return mem_array(1, sizeof(struct blend));
}

void blend_free(struct blend *blend)
{
    if (blend != NULL) {
        mix_memory_release(&blend->memory);
        free(blend);
    }
}

int blend_tensor(struct blend *blend, const struct plan *plan, const struct plan_tensor *tensor,
                 float *out, struct err *err)
{
    static const char by_hand[DIGEST_HEX] = "by hand";
    struct mix mix;
    bool bad = false;

    mix_memory_release(&blend->memory);
    mix_memory_fit(&blend->memory, tensor->index + 1, tensor->n_sources, by_hand);
    int rc = mix_start(&mix, &blend->memory, plan, tensor, false, err);
    while (rc == 0 && mix.at < tensor->n) {
        mix_next(&mix, out + mix.at, false, &bad);
        if (bad) {
            rc = err_set(err, ERR_NUMERIC, "%s: the merge gives a value that is not finite",
                         tensor->name);
        }
    }
    return rc;
}

/* ---- handing on ---- */

/* Where the results of one tensor go. */
struct target {
    const struct blend_sink *sink;
    float *floats;         /* NULL: not wanted */
    unsigned char *memory; /* NULL: not wanted */
    struct digest *digest; /* NULL: not wanted */
};

static int open_target(struct target *out, const struct blend_sink *sink,
                       const struct plan_tensor *tensor, struct err *err)
{
    void *memory = NULL;
    int rc = 0;

    *out = (struct target){.sink = sink};
    if (sink->place != NULL) {
        rc = sink->place(sink->context, tensor, &out->floats, err);
    }
    if (rc == 0 && sink->store != NULL) {
        rc = sink->store(sink->context, tensor, &memory, err);
    }
    out->memory = memory;
    return rc;
}

/* True when the next block may go straight to where it belongs, since nothing reads it here. */
static bool can_stream(const struct mix *mix, const struct target *target)
{
    return mix->brain && target->memory != NULL && target->digest == NULL &&
           target->floats == NULL && target->sink->write == NULL &&
           (uintptr_t)(target->memory + mix->at * sizeof(uint16_t)) % 64 == 0;
}

static int hand_on(const struct target *target, const struct plan_tensor *tensor, size_t at,
                   const void *bytes, size_t n, struct err *err)
{
    size_t size = dtype_size(tensor->dtype);

    if (target->digest != NULL) {
        digest_add(target->digest, bytes, n * size);
    }
    if (target->floats != NULL) {
        dtype_to_f32(target->floats + at, bytes, tensor->dtype, n);
    }
    if (target->memory != NULL && bytes != target->memory + at * size) {
        memcpy(target->memory + at * size, bytes, n * size);
    }
    if (target->sink->write != NULL) {
        return target->sink->write(target->sink->context, tensor, bytes, n * size, err);
    }
    return 0;
}

/* Say whose fault a value that is not finite is: a source's, or the recipe's. */
static int blame(const struct plan_tensor *tensor, struct err *err)
{
    int rc = mix_check_inputs(tensor, err);

    return rc != 0 ? rc
                   : err_set(err, ERR_NUMERIC, "%s: the merge gives a value that is not finite",
                             tensor->name);
}

/* In the scale of the tensor's hop. In float where nothing is offset, as a factor of the merge
 * itself would be. */
static void scale_block(const struct plan_tensor *tensor, float *values, size_t n)
{
    double offset = tensor->scale_offset;
    float scale = (float)tensor->scale;

    for (size_t i = 0; i < n && offset == 0; i++) {
        values[i] *= scale;
    }
    for (size_t i = 0; i < n && offset != 0; i++) {
        values[i] = (float)((offset + (double)values[i]) * tensor->scale - offset);
    }
}

/* Mix and round the next block; *bytes points at the results, in a buffer or already in place. */
static size_t round_next(struct blend *blend, struct mix *mix, const struct plan_tensor *tensor,
                         const struct target *target, const void **bytes, bool *bad)
{
    enum dtype dtype = tensor->dtype;

    *bytes = blend->bytes;
    if (can_stream(mix, target)) {
        void *place = target->memory + mix->at * sizeof(uint16_t);

        *bytes = place;
        return mix_next(mix, place, true, bad);
    }
    if (mix->brain) {
        return mix_next(mix, blend->bytes, false, bad);
    }
    size_t n = mix_next(mix, blend->mixed, false, bad);
    if (tensor->scale != 0) {
        scale_block(tensor, blend->mixed, n);
    }
    if (tensor->work != DTYPE_F32) {
        dtype_round(blend->mixed, tensor->work, n);
    }
    dtype_from_f32(blend->bytes, blend->mixed, dtype, n);
    *bad = *bad || dtype_find_nonfinite(blend->bytes, dtype, n) < n;
    return n;
}

/* True when kernels can work on the stored numbers. */
static bool is_brain(const struct plan_tensor *tensor)
{
    bool all = tensor->dtype == DTYPE_BF16 && tensor->work != DTYPE_F16 && tensor->scale == 0 &&
               (tensor->base == NULL || tensor->base->dtype == DTYPE_BF16);

    for (size_t s = 0; s < tensor->n_sources; s++) {
        all = all && tensor->sources[s]->dtype == DTYPE_BF16;
    }
    return all;
}

/* All blocks of a tensor to where they go. */
static int mix_all(struct blend *blend, struct mix *mix, const struct plan_tensor *tensor,
                   const struct target *target, struct err *err)
{
    int rc = 0;

    while (rc == 0 && mix->at < tensor->n) {
        size_t at = mix->at;
        const void *bytes;
        bool bad;
        size_t n = round_next(blend, mix, tensor, target, &bytes, &bad);

        rc = bad && !mix->plan->rules.allow_nonfinite ? blame(tensor, err)
                                                      : hand_on(target, tensor, at, bytes, n, err);
    }
    return rc;
}

int blend_one(struct blend *blend, const struct plan *plan, size_t i, const struct blend_sink *sink,
              unsigned char *content, struct err *err)
{
    const struct plan_tensor *tensor = &plan->tensors[i];
    const struct plan *merge = plan_mixing(plan);
    unsigned char unused[DIGEST_SIZE];
    struct target target;
    struct mix mix;

    mix_memory_fit(&blend->memory, merge->n_tensors, merge->n_sources, merge->sources_digest);
    int rc = mix_start(&mix, &blend->memory, merge, plan_mixed(tensor), is_brain(tensor), err);
    if (rc == 0) {
        rc = open_target(&target, sink, tensor, err);
    }
    if (rc != 0) {
        return rc;
    }
    target.digest = content != NULL ? digest_new() : NULL;
    rc = mix_all(blend, &mix, tensor, &target, err);
    if (!plan_keeps_ranks(merge)) {
        mix_memory_forget(&blend->memory, mix.tensor->index);
    }
    if (target.digest != NULL) {
        digest_end(target.digest, rc == 0 ? content : unused);
    }
    return rc;
}

void blend_forget(struct blend *blend, size_t i)
{
    if (i < blend->memory.n_tensors) {
        mix_memory_forget(&blend->memory, i);
    }
}

int blend_run(struct blend *blend, const struct plan *plan, const struct blend_sink *sink,
              char weights[DIGEST_HEX], struct err *err)
{
    struct digest *digest = weights != NULL ? digest_new() : NULL;
    char made[DIGEST_HEX];
    int rc = 0;

    for (size_t i = 0; i < plan->n_tensors && rc == 0; i++) {
        const struct plan_tensor *tensor = &plan->tensors[i];
        unsigned char content[DIGEST_SIZE];

        rc = blend_one(blend, plan, i, sink, digest != NULL ? content : NULL, err);
        if (rc == 0 && digest != NULL) {
            checkpoint_digest_tensor(digest, tensor->name, tensor->dtype, tensor->dims,
                                     tensor->n_dims, content);
        }
    }
    if (digest != NULL) {
        digest_end_hex(digest, rc == 0 ? weights : made);
    }
    return rc;
}
