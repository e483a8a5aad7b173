/*
 * mix.c - parameters to thresholds and weights, blocks to kernels.
 */
#include "evaluator/merge/mix.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define DIVISOR_MIN 1e-8    /* a smaller sum of weights does not divide task vectors */
#define MAGNITUDES_MIN 1e-7 /* below it a trimmed vector is not scaled back */

/* How each method trims task vectors and puts them together. */
static const struct family {
    const char *method;
    bool trims;  /* keeps the largest, by density */
    bool elects; /* a sign an element; else sums */
} families[] = {
    {"linear", false, false},
    {"passthrough", false, false},
    {"task_arithmetic", false, false},
    {"ties", true, true},
};

/* NULL when there is none. */
static const struct family *find_family(const struct method *method)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strcmp(families[i].method, method->name) == 0) {
            return &families[i];
        }
    }
    return NULL;
}

/* ---- memory ---- */

static void drop_counts(struct mix_memory *memory)
{
    for (size_t i = 0; i < memory->n_tensors * memory->n_sources; i++) {
        trim_counts_release(&memory->counts[i]);
    }
    free(memory->counts);
    memory->counts = NULL;
    memory->n_tensors = 0;
}

void mix_memory_release(struct mix_memory *memory)
{
    drop_counts(memory);
    free(memory->buffers);
    *memory = (struct mix_memory){0};
}

void mix_memory_fit(struct mix_memory *memory, size_t n_tensors, size_t n_sources,
                    const char *sources)
{
    if (memory->n_tensors == n_tensors && memory->n_sources == n_sources &&
        strcmp(memory->sources, sources) == 0) {
        return;
    }
    drop_counts(memory);
    memory->n_tensors = n_tensors;
    memory->n_sources = n_sources;
    memory->counts = mem_array(n_tensors * n_sources, sizeof(struct trim_counts));
    memcpy(memory->sources, sources, DIGEST_HEX);
}

static void fit_buffers(struct mix_memory *memory, size_t n)
{
    if (memory->n_buffers < n) {
        memory->n_buffers = n;
        free(memory->buffers);
        memory->buffers = mem_array(n * MIX_BLOCK, sizeof(float));
    }
}

/* ---- making ready ---- */

static double source_value(const struct mix *mix, const struct method *method, size_t source,
                           const char *name, double fallback)
{
    size_t n = method_count(method, METHOD_SOURCE);
    size_t k = method_index(method, METHOD_SOURCE, name);

    return k == SIZE_MAX ? fallback : mix->tensor->group->source_values[source * n + k];
}

static double whole_value(const struct mix *mix, const struct method *method, const char *name,
                          double fallback)
{
    size_t k = method_index(method, METHOD_WHOLE, name);

    return k == SIZE_MAX ? fallback : mix->tensor->group->whole_values[k];
}

static int set_weights(struct mix *mix, const struct method *method, struct err *err)
{
    struct blend_block *block = &mix->block;
    double sum = 0.0;

    for (size_t s = 0; s < block->k; s++) {
        double scale = source_value(mix, method, s, "scale", 1.0);
        double weight = source_value(mix, method, s, "weight", scale);

        block->weights[s] = (float)weight;
        block->factors[s] = block->weights[s];
        sum += weight;
    }
    block->lambda = (float)whole_value(mix, method, "lambda", 1.0);
    block->normalize = whole_value(mix, method, "normalize", 0.0) != 0.0;
    block->divisor = 1.0F;
    if (block->normalize && !mix->has_base && sum == 0.0) {
        return err_set(err, ERR_NUMERIC, "%s: weights sum to zero, and normalize is on",
                       mix->tensor->name);
    }
    if (block->normalize && (!mix->has_base || fabs(sum) >= DIVISOR_MIN)) {
        block->divisor = (float)sum;
    }
    return 0;
}

/* The factor that gives a trimmed task vector its old L1 norm. */
static double rescaling(const struct trim *trim, struct trim_counts *counts,
                        const struct trim_delta *delta)
{
    double before = trim_magnitudes(counts, delta);
    double after = trim_kept_magnitudes(trim, delta);

    return before >= MAGNITUDES_MIN && after >= MAGNITUDES_MIN ? before / after : 1.0;
}

static int set_trim(struct mix *mix, const struct method *method, size_t s,
                    struct trim_counts *counts, bool strict, struct err *err)
{
    const struct plan_tensor *tensor = mix->tensor;
    const struct trim_delta delta = {.source = tensor->sources[s]->data,
                                     .base = tensor->base->data,
                                     .source_dtype = tensor->sources[s]->dtype,
                                     .base_dtype = tensor->base->dtype,
                                     .n = tensor->n};
    double density = source_value(mix, method, s, "density", 1.0);
    size_t keep = trim_count(delta.n, density);

    if (keep == 0 && delta.n > 0 && strict) {
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
    trim_find(&mix->trim[s], counts, &delta, keep);
    mix->trims[s] = mix->trim[s].bits > 0; /* zeros may stay: they mix as if they were dropped */
    if (whole_value(mix, method, "rescale", 0.0) != 0.0) {
        double factor = rescaling(&mix->trim[s], counts, &delta);

        mix->block.factors[s] = (float)((double)mix->block.weights[s] * factor);
    }
    return 0;
}

int mix_start(struct mix *out, struct mix_memory *memory, const struct method *method,
              const struct plan_tensor *tensor, size_t n_sources, bool brain, bool strict,
              struct err *err)
{
    const struct family *family = find_family(method);

    if (family == NULL) {
        return err_set(err, ERR_MISSING, "%s: this version cannot carry it out", method->name);
    }
    assert(n_sources >= 1 && n_sources <= METHOD_SOURCES_MAX);
    *out = (struct mix){.kernels = blend_kernels_for(isa_best()),
                        .tensor = tensor,
                        .has_base = method->needs_base,
                        .elects = family->elects,
                        .brain = brain,
                        .block = {.k = n_sources}};
    fit_buffers(memory, n_sources + 1);
    for (size_t s = 0; s < n_sources; s++) {
        out->floats[s] = memory->buffers + s * MIX_BLOCK;
    }
    out->base_floats = memory->buffers + n_sources * MIX_BLOCK;
    int rc = set_weights(out, method, err);
    for (size_t s = 0; family->trims && rc == 0 && s < n_sources; s++) {
        struct trim_counts *counts = &memory->counts[tensor->index * memory->n_sources + s];

        rc = set_trim(out, method, s, counts, strict, err);
    }
    return rc;
}

/* ---- blocks ---- */

/* The next elements of an input: where they lie, or as floats in a buffer. */
static const void *input(const struct mix *mix, const struct checkpoint_tensor *from, size_t n,
                         float *buffer)
{
    const unsigned char *data = from->data + mix->at * dtype_size(from->dtype);

    if (mix->brain) {
        return data;
    }
    dtype_to_f32(buffer, data, from->dtype, n);
    return buffer;
}

static size_t count_equal(const struct mix *mix, size_t s, size_t n)
{
    const struct blend_block *block = &mix->block;

    return (mix->brain ? mix->kernels->equal_bf16
                       : mix->kernels->equal_f32)(block->x[s], block->base, mix->trim[s].bits, n);
}

/* The shortest part of the block that holds so many of those that equal the threshold. */
static size_t length_to(const struct mix *mix, size_t s, size_t count)
{
    size_t low = 0;
    size_t high = mix->block.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (count_equal(mix, s, middle) < count) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Some of those that equal the threshold are behind the last that is kept, or will be. */
static bool is_open(const struct mix *mix, size_t s)
{
    const struct trim *trim = &mix->trim[s];

    return mix->trims[s] && trim->ties > 0 && trim->ties < trim->equal;
}

static uint32_t elect(const struct mix *mix)
{
    return mix->brain ? mix->kernels->elect_bf16(&mix->block)
                      : mix->kernels->elect_f32(&mix->block);
}

/*
 * Of the elements that equal a threshold the first `ties` stay. So a block either lies before the
 * last of them and keeps all of its own, or behind it and keeps none. It is mixed as if it lay
 * before, and counted; when there were too many it is cut short behind the last and mixed again.
 */
static uint32_t elect_trimmed(struct mix *mix)
{
    struct blend_block *block = &mix->block;
    size_t equal[METHOD_SOURCES_MAX] = {0};
    size_t n = block->n;

    block->equal = NULL;
    for (size_t s = 0; s < block->k; s++) {
        block->limits[s] = mix->trim[s].bits + (mix->trims[s] && mix->trim[s].ties == 0);
        block->equal = is_open(mix, s) ? equal : block->equal;
    }
    uint32_t bad = elect(mix);
    for (size_t s = 0; s < block->k; s++) {
        if (is_open(mix, s) && equal[s] > mix->trim[s].ties) {
            size_t length = length_to(mix, s, mix->trim[s].ties);

            n = length < n ? length : n;
        }
    }
    if (n < block->n) {
        block->n = n;
        bad = elect(mix);
    }
    for (size_t s = 0; s < block->k; s++) {
        if (is_open(mix, s)) {
            mix->trim[s].ties -= equal[s];
            mix->trim[s].equal -= equal[s];
        }
    }
    return bad;
}

size_t mix_next(struct mix *mix, void *out, bool stream, bool *bad)
{
    const struct plan_tensor *tensor = mix->tensor;
    struct blend_block *block = &mix->block;
    size_t to_edge = MIX_BLOCK - mix->at % MIX_BLOCK; /* one cut short leaves it the rest */
    size_t left = tensor->n - mix->at;
    size_t n = left < to_edge ? left : to_edge;
    uint32_t found;

    block->n = n;
    block->out = out;
    block->stream = stream;
    block->base = mix->has_base ? input(mix, tensor->base, n, mix->base_floats) : NULL;
    for (size_t s = 0; s < block->k; s++) {
        block->x[s] = input(mix, tensor->sources[s], n, mix->floats[s]);
    }
    if (mix->elects) {
        found = elect_trimmed(mix);
    } else {
        found = mix->brain ? mix->kernels->sum_bf16(block) : mix->kernels->sum_f32(block);
    }
    *bad = found != 0;
    mix->at += block->n;
    return block->n;
}
