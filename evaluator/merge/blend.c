/*
 * blend.c - every tensor computed in one streaming pass, rounded, handed on.
 *
 *   for each tensor, by name
 *     parameters of its group, divisor, thresholds of trimmed task vectors
 *     for each block
 *       inputs -> mix -> rounded bytes -> digest, file, memory
 *                                      \-> floats of the forward pass
 *
 * When inputs and result are bfloat16, as nearly all are, a kernel reads the one and gives the
 * other; everything else goes through floats, with the same result.
 */
#include "evaluator/merge/blend.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/blend_kernels.h"

/* Elements: enough for the processor to see where a stream goes, few enough that a block of results
 * is still in the cache when its digest is taken. */
#define BLOCK 16384

#define DIVISOR_MIN 1e-8    /* a smaller sum of weights does not divide task vectors */
#define MAGNITUDES_MIN 1e-7 /* below it a trimmed vector is not scaled back */

struct blend {
    const struct blend_kernels *kernels;
    size_t n_buffers;
    float
        *buffers; /* [n_buffers, BLOCK] inputs as floats, then the result as floats and as bytes */
    size_t n_counts;
    struct trim_counts *counts; /* [tensor index, source], of one set of sources */
    size_t n_sources;           /* of counts */
    char sources[DIGEST_HEX];   /* which set */
};

struct blend *blend_new(void)
{
    struct blend *blend = mem_array(1, sizeof(*blend));

    blend->kernels = blend_kernels_for(isa_best());
    return blend;
}

static void drop_counts(struct blend *blend)
{
    for (size_t i = 0; i < blend->n_counts; i++) {
        trim_counts_release(&blend->counts[i]);
    }
    free(blend->counts);
    blend->counts = NULL;
    blend->n_counts = 0;
}

void blend_free(struct blend *blend)
{
    if (blend != NULL) {
        drop_counts(blend);
        free(blend->buffers);
        free(blend);
    }
}

/* Counts belong to one set of sources; a plan with others starts anew. */
static void fit_counts(struct blend *blend, size_t n_tensors, size_t n_sources, const char *sources)
{
    if (blend->n_counts == n_tensors * n_sources && strcmp(blend->sources, sources) == 0) {
        return;
    }
    drop_counts(blend);
    blend->n_counts = n_tensors * n_sources;
    blend->n_sources = n_sources;
    blend->counts = mem_array(blend->n_counts, sizeof(struct trim_counts));
    memcpy(blend->sources, sources, DIGEST_HEX);
}

static void fit_buffers(struct blend *blend, size_t n_sources)
{
    if (blend->n_buffers < n_sources + 3) {
        blend->n_buffers = n_sources + 3;
        free(blend->buffers);
        blend->buffers = mem_array(blend->n_buffers * BLOCK, sizeof(float));
    }
}

/* ---- setting up a tensor ---- */

/* All that the blocks of one tensor share. */
struct tensor_job {
    struct blend *blend;
    const struct method *method;
    const struct plan_tensor *tensor;
    bool elects;                          /* TIES; else a sum */
    bool brain;                           /* inputs and result are bfloat16 */
    bool trims[METHOD_SOURCES_MAX];       /* this source is trimmed */
    struct trim trim[METHOD_SOURCES_MAX]; /* ties and equal are those still to come */
    float *floats[METHOD_SOURCES_MAX];    /* [BLOCK] each: sources that are not used in place */
    float *base_floats, *mixed, *bytes;   /* [BLOCK] each */
    struct blend_block block;
};

static double source_value(const struct tensor_job *job, size_t source, const char *name,
                           double fallback)
{
    size_t n = method_count(job->method, METHOD_SOURCE);
    size_t k = method_index(job->method, METHOD_SOURCE, name);

    return k == SIZE_MAX ? fallback : job->tensor->group->source_values[source * n + k];
}

static double whole_value(const struct tensor_job *job, const char *name, double fallback)
{
    size_t k = method_index(job->method, METHOD_WHOLE, name);

    return k == SIZE_MAX ? fallback : job->tensor->group->whole_values[k];
}

/* The threshold of one source, and the factor that gives its task vector the old L1 norm. */
static int set_up_trim(struct tensor_job *job, size_t s, bool strict, struct err *err)
{
    const struct plan_tensor *tensor = job->tensor;
    const struct trim_delta delta = {.source = tensor->sources[s]->data,
                                     .base = tensor->base->data,
                                     .source_dtype = tensor->sources[s]->dtype,
                                     .base_dtype = tensor->base->dtype,
                                     .n = tensor->n};
    struct trim_counts *counts = &job->blend->counts[tensor->index * job->blend->n_sources + s];
    double density = source_value(job, s, "density", 1.0);
    size_t keep = trim_count(delta.n, density);

    if (keep == 0 && strict) {
        return err_set(err, ERR_NUMERIC, "%s: density %g keeps no element of %zu", tensor->name,
                       density, delta.n);
    }
    keep = keep == 0 ? 1 : keep;
    if (keep >= delta.n) {
        return 0;
    }
    if (delta.n > UINT32_MAX) {
        return err_set(err, ERR_LIMIT, "%s: %zu elements are too many to trim", tensor->name,
                       delta.n);
    }
    trim_find(&job->trim[s], counts, &delta, keep);
    job->trims[s] = job->trim[s].bits > 0; /* zeros may stay: they mix as if they were trimmed */
    if (whole_value(job, "rescale", 0.0) != 0.0) {
        double before = trim_magnitudes(counts, &delta);
        double after = trim_kept_magnitudes(&job->trim[s], &delta);

        if (before >= MAGNITUDES_MIN && after >= MAGNITUDES_MIN) {
            job->block.factors[s] = (float)((double)job->block.weights[s] * (before / after));
        }
    }
    return 0;
}

static int set_up_weights(struct tensor_job *job, struct err *err)
{
    struct blend_block *block = &job->block;
    bool normalize = whole_value(job, "normalize", 0.0) != 0.0;
    double sum = 0.0;

    for (size_t s = 0; s < block->k; s++) {
        double weight = source_value(job, s, "weight", source_value(job, s, "scale", 1.0));

        block->weights[s] = (float)weight;
        block->factors[s] = block->weights[s];
        sum += weight;
    }
    block->lambda = (float)whole_value(job, "lambda", 1.0);
    block->normalize = normalize;
    block->divisor = 1.0F;
    if (normalize && !job->method->needs_base && sum == 0.0) {
        return err_set(err, ERR_NUMERIC, "%s: weights sum to zero, and normalize is on",
                       job->tensor->name);
    }
    if (normalize && (!job->method->needs_base || fabs(sum) >= DIVISOR_MIN)) {
        block->divisor = (float)sum;
    }
    return 0;
}

/* True when the kernels can read the inputs where they lie. */
static bool all_bf16(const struct plan_tensor *tensor, size_t n_sources)
{
    bool all = tensor->base == NULL || tensor->base->dtype == DTYPE_BF16;

    for (size_t s = 0; s < n_sources; s++) {
        all = all && tensor->sources[s]->dtype == DTYPE_BF16;
    }
    return all;
}

static int start_tensor(struct tensor_job *job, struct blend *blend, const struct method *method,
                        const struct plan_tensor *tensor, size_t n_sources, bool strict,
                        struct err *err)
{
    assert(n_sources >= 1 && n_sources <= METHOD_SOURCES_MAX);
    fit_buffers(blend, n_sources);
    *job = (struct tensor_job){.blend = blend, .method = method, .tensor = tensor};
    for (size_t s = 0; s < n_sources; s++) {
        job->floats[s] = blend->buffers + s * BLOCK;
    }
    job->base_floats = blend->buffers + n_sources * BLOCK;
    job->mixed = job->base_floats + BLOCK;
    job->bytes = job->mixed + BLOCK;
    job->elects = strcmp(method->name, "ties") == 0;
    job->block.k = n_sources;
    int rc = set_up_weights(job, err);
    bool trims = method_index(method, METHOD_SOURCE, "density") != SIZE_MAX;
    for (size_t s = 0; trims && rc == 0 && s < n_sources; s++) {
        rc = set_up_trim(job, s, strict, err);
    }
    return rc;
}

/* ---- one block ---- */

/* A stored input at this element: in place, or as floats in a buffer. */
static const void *input(const struct tensor_job *job, const struct checkpoint_tensor *from,
                         size_t at, size_t n, float *buffer)
{
    const unsigned char *data = from->data + at * dtype_size(from->dtype);

    if (job->brain) {
        return data;
    }
    dtype_to_f32(buffer, data, from->dtype, n);
    return buffer;
}

static size_t count_equal(const struct tensor_job *job, size_t s, size_t n)
{
    const struct blend_block *block = &job->block;

    return (job->brain ? job->blend->kernels->equal_bf16 : job->blend->kernels->equal_f32)(
        block->x[s], block->base, job->trim[s].bits, n);
}

/* The shortest part of the block that holds so many of those that equal the threshold. */
static size_t length_to(const struct tensor_job *job, size_t s, size_t count)
{
    size_t low = 0;
    size_t high = job->block.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (count_equal(job, s, middle) < count) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Some of those that equal the threshold are behind the last that is kept, or will be. */
static bool is_open(const struct tensor_job *job, size_t s)
{
    const struct trim *trim = &job->trim[s];

    return job->trims[s] && trim->ties > 0 && trim->ties < trim->equal;
}

static uint32_t elect(const struct tensor_job *job)
{
    const struct blend_kernels *kernels = job->blend->kernels;

    return job->brain ? kernels->elect_bf16(&job->block) : kernels->elect_f32(&job->block);
}

/*
 * Of the elements that equal a threshold the first `ties` stay. So a block either lies before the
 * last of them and keeps all of its own, or behind it and keeps none. It is mixed as if it lay
 * before, and counted; when there were too many it is cut short behind the last and mixed again.
 */
static uint32_t elect_trimmed(struct tensor_job *job)
{
    struct blend_block *block = &job->block;
    size_t equal[METHOD_SOURCES_MAX] = {0};
    size_t n = block->n;

    block->equal = NULL;
    for (size_t s = 0; s < block->k; s++) {
        block->limits[s] = job->trim[s].bits + (job->trims[s] && job->trim[s].ties == 0);
        block->equal = is_open(job, s) ? equal : block->equal;
    }
    uint32_t bad = elect(job);
    for (size_t s = 0; s < block->k; s++) {
        if (is_open(job, s) && equal[s] > job->trim[s].ties) {
            size_t length = length_to(job, s, job->trim[s].ties);

            n = length < n ? length : n;
        }
    }
    if (n < block->n) {
        block->n = n;
        bad = elect(job);
    }
    for (size_t s = 0; s < block->k; s++) {
        if (is_open(job, s)) {
            job->trim[s].ties -= equal[s];
            job->trim[s].equal -= equal[s];
        }
    }
    return bad;
}

/* Mix elements from `at` on into out, of the kernel's type; at most n. Returns how many; *bad is
 * set when one is not finite. */
static size_t mix_block(struct tensor_job *job, size_t at, size_t n, void *out, bool *bad)
{
    const struct blend_kernels *kernels = job->blend->kernels;
    const struct plan_tensor *tensor = job->tensor;
    struct blend_block *block = &job->block;
    uint32_t found;

    block->out = out;
    block->base =
        job->method->needs_base ? input(job, tensor->base, at, n, job->base_floats) : NULL;
    for (size_t s = 0; s < block->k; s++) {
        block->x[s] = input(job, tensor->sources[s], at, n, job->floats[s]);
    }
    block->n = n;
    if (job->elects) {
        found = elect_trimmed(job);
    } else {
        found = job->brain ? kernels->sum_bf16(block) : kernels->sum_f32(block);
    }
    *bad = found != 0;
    return block->n;
}

int blend_tensor(struct blend *blend, const struct method *method, const struct plan_tensor *tensor,
                 size_t n_sources, bool strict, float *out, struct err *err)
{
    static const char by_hand[DIGEST_HEX] = "by hand";
    struct tensor_job job;
    bool bad = false;

    drop_counts(blend);
    fit_counts(blend, tensor->index + 1, n_sources, by_hand);
    int rc = start_tensor(&job, blend, method, tensor, n_sources, strict, err);
    for (size_t at = 0; at < tensor->n && rc == 0;) {
        at += mix_block(&job, at, tensor->n - at < BLOCK ? tensor->n - at : BLOCK, out + at, &bad);
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

/* True when the kernel may write the block straight to where it belongs, and nothing reads it. */
static bool can_stream(const struct tensor_job *job, const struct target *target, size_t at)
{
    return job->brain && target->memory != NULL && target->digest == NULL &&
           target->floats == NULL && target->sink->write == NULL &&
           (uintptr_t)(target->memory + at * sizeof(uint16_t)) % 64 == 0;
}

static int hand_on(const struct target *target, const struct plan_tensor *tensor, enum dtype dtype,
                   size_t at, const void *bytes, size_t n, struct err *err)
{
    size_t size = dtype_size(dtype);

    if (target->digest != NULL) {
        digest_add(target->digest, bytes, n * size);
    }
    if (target->floats != NULL) {
        dtype_to_f32(target->floats + at, bytes, dtype, n);
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
static int blame(const struct plan *plan, const struct plan_tensor *tensor, size_t at, size_t n,
                 struct err *err)
{
    for (size_t s = 0; s <= plan->recipe->n_sources; s++) {
        bool is_base = s == plan->recipe->n_sources;
        const struct checkpoint_tensor *from = is_base ? tensor->base : tensor->sources[s];
        const struct checkpoint *model = is_base ? plan->base : plan->sources[s];

        if (from == NULL) {
            continue;
        }
        size_t size = dtype_size(from->dtype);
        size_t found = dtype_find_nonfinite(from->data + at * size, from->dtype, n);
        if (found < n) {
            return err_set(err, ERR_NUMERIC, "%s/%s: %s: element %zu is not finite",
                           checkpoint_folder(model), from->file, from->name, at + found);
        }
    }
    return err_set(err, ERR_NUMERIC, "%s: the merge gives a value that is not finite",
                   tensor->name);
}

/* Compute and round one block; *bytes points at the results, in a buffer or already in place. */
static size_t round_block(struct tensor_job *job, enum dtype dtype, const struct target *target,
                          size_t at, const void **bytes, bool *bad)
{
    size_t left = job->tensor->n - at;
    size_t to_edge = BLOCK - at % BLOCK; /* one that was cut short leaves the rest for the next */
    size_t n = left < to_edge ? left : to_edge;

    job->block.stream = can_stream(job, target, at);
    if (job->brain) {
        void *out = job->block.stream ? (void *)(target->memory + at * sizeof(uint16_t))
                                      : (void *)job->bytes;

        *bytes = out;
        return mix_block(job, at, n, out, bad);
    }
    n = mix_block(job, at, n, job->mixed, bad);
    dtype_from_f32(job->bytes, job->mixed, dtype, n);
    *bad = *bad || dtype_find_nonfinite(job->bytes, dtype, n) < n;
    *bytes = job->bytes;
    return n;
}

int blend_one(struct blend *blend, const struct plan *plan, size_t i, const struct blend_sink *sink,
              unsigned char *content, struct err *err)
{
    const struct plan_tensor *tensor = &plan->tensors[i];
    const struct recipe *recipe = plan->recipe;
    unsigned char unused[DIGEST_SIZE];
    struct tensor_job job;
    struct target target;

    if (method_index(recipe->method, METHOD_SOURCE, "density") != SIZE_MAX) {
        fit_counts(blend, plan->n_tensors, recipe->n_sources, plan->sources_digest);
    }
    int rc = start_tensor(&job, blend, recipe->method, tensor, recipe->n_sources, false, err);
    if (rc == 0) {
        rc = open_target(&target, sink, tensor, err);
    }
    if (rc != 0) {
        return rc;
    }
    job.brain = plan->dtype == DTYPE_BF16 && all_bf16(tensor, recipe->n_sources);
    target.digest = content != NULL ? digest_new() : NULL;
    for (size_t at = 0; at < tensor->n && rc == 0;) {
        const void *bytes;
        bool bad;
        size_t n = round_block(&job, plan->dtype, &target, at, &bytes, &bad);

        rc = bad ? blame(plan, tensor, at, n, err)
                 : hand_on(&target, tensor, plan->dtype, at, bytes, n, err);
        at += n;
    }
    if (target.digest != NULL) {
        digest_end(target.digest, rc == 0 ? content : unused);
    }
    return rc;
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
            checkpoint_digest_tensor(digest, tensor->name, plan->dtype, tensor->dims,
                                     tensor->n_dims, content);
        }
    }
    if (digest != NULL) {
        digest_end_hex(digest, rc == 0 ? weights : made);
    }
    return rc;
}
