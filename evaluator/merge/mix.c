/*
 * mix.c - blocks of inputs to the family that mixes them.
 */
#include "evaluator/merge/mix.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/family.h"

#define DIVISOR_MIN 1e-8 /* a smaller sum of weights does not divide task vectors */

/* ---- families ---- */

static int copy_prepare(struct mix *mix, struct err *err)
{
    (void)err;
    assert(mix->block.k == 1);
    mix->block.weights[0] = 1.0F;
    mix->block.factors[0] = 1.0F;
    mix->block.lambda = 1.0F;
    mix->block.divisor = 1.0F;
    return 0;
}

static uint32_t copy_next(struct mix *mix)
{
    return (mix->brain ? mix->kernels->sum_bf16 : mix->kernels->sum_f32)(&mix->block);
}

/* A tensor that copies its source. */
static const struct family copy_family = {NULL, copy_prepare, copy_next};

/* NULL when there is none. */
static const struct family *find_family(const char *method)
{
    static const struct family *(*const families[])(const char *) = {
        sums_family,  vectors_family, span_family, consensus_family,
        pairs_family, compeft_family, pcb_family};
    const struct family *found = NULL;

    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]) && found == NULL; i++) {
        found = families[i](method);
    }
    return found;
}

/* ---- memory ---- */

static void drop_counts(struct mix_memory *memory)
{
    for (size_t i = 0; i < memory->n_tensors * memory->n_sources; i++) {
        trim_counts_release(&memory->counts[i]);
    }
    free(memory->counts);
    census_free(memory->census);
    memory->counts = NULL;
    memory->census = NULL;
    memory->n_tensors = 0;
}

/* Another method asks other questions. */
static void drop_found(struct mix_memory *memory)
{
    for (size_t i = 0; memory->found != NULL && i < memory->n_tensors; i++) {
        free(memory->found[i]);
    }
    free(memory->found);
    memory->found = NULL;
}

void mix_memory_release(struct mix_memory *memory)
{
    drop_found(memory);
    drop_counts(memory);
    free(memory->buffers);
    free(memory->state);
    free(memory->keep);
    *memory = (struct mix_memory){0};
}

void mix_memory_fit(struct mix_memory *memory, size_t n_tensors, size_t n_sources,
                    const char *sources)
{
    if (memory->n_tensors == n_tensors && memory->n_sources == n_sources &&
        strcmp(memory->sources, sources) == 0) {
        return;
    }
    drop_found(memory);
    drop_counts(memory);
    memory->n_tensors = n_tensors;
    memory->n_sources = n_sources;
    memory->counts = mem_array(n_tensors * n_sources, sizeof(struct trim_counts));
    memcpy(memory->sources, sources, DIGEST_HEX);
}

void mix_memory_forget(struct mix_memory *memory, size_t tensor)
{
    for (size_t s = 0; s < memory->n_sources; s++) {
        trim_counts_release(mix_counts(memory, tensor, s));
    }
    if (memory->found != NULL) {
        free(memory->found[tensor]);
        memory->found[tensor] = NULL;
    }
}

struct trim_counts *mix_counts(struct mix_memory *memory, size_t tensor, size_t source)
{
    return &memory->counts[tensor * memory->n_sources + source];
}

struct census *mix_census(struct mix *mix)
{
    struct mix_memory *memory = mix->memory;

    if (memory->census == NULL) {
        memory->census = census_new(memory->n_sources);
    }
    return memory->census;
}

static void fit_buffers(struct mix_memory *memory, size_t n)
{
    if (memory->n_buffers < n) {
        memory->n_buffers = n;
        free(memory->buffers);
        memory->buffers = mem_array(n * MIX_BLOCK, sizeof(float));
        free(memory->keep);
        memory->keep = mem_array(n, MIX_KEEP);
    }
}

void *mix_state(struct mix *mix, size_t bytes)
{
    struct mix_memory *memory = mix->memory;

    if (memory->state_bytes < bytes) {
        free(memory->state);
        memory->state = mem_alloc(bytes);
        memory->state_bytes = bytes;
    }
    memset(memory->state, 0, bytes);
    mix->state = memory->state;
    return mix->state;
}

void **mix_found(const struct mix *mix)
{
    struct mix_memory *memory = mix->memory;

    if (memory->found_by != mix->plan->method) {
        drop_found(memory);
        memory->found_by = mix->plan->method;
    }
    if (memory->found == NULL) {
        memory->found = mem_array(memory->n_tensors, sizeof(void *));
    }
    return &memory->found[mix->tensor->index];
}

/* ---- making ready ---- */

double mix_source_value(const struct mix *mix, size_t source, const char *name, double fallback)
{
    size_t n = method_count(mix->plan->method, METHOD_SOURCE);
    size_t k = method_index(mix->plan->method, METHOD_SOURCE, name);

    return k == SIZE_MAX ? fallback : mix->tensor->source_values[source * n + k];
}

double mix_whole_value(const struct mix *mix, const char *name, double fallback)
{
    size_t k = method_index(mix->plan->method, METHOD_WHOLE, name);

    return k == SIZE_MAX ? fallback : mix->tensor->whole_values[k];
}

int mix_set_weights(struct mix *mix, struct err *err)
{
    struct blend_block *block = &mix->block;
    bool has_base = mix->plan->method->needs_base;
    double sum = 0.0;

    for (size_t s = 0; s < block->k; s++) {
        double scale = mix_source_value(mix, s, "scale", 1.0);
        double weight = mix_source_value(mix, s, "weight", scale);

        block->weights[s] = (float)weight;
        block->factors[s] = block->weights[s];
        sum += weight;
    }
    block->lambda = (float)mix_whole_value(mix, "lambda", 1.0);
    block->normalize = mix_whole_value(mix, "normalize", 0.0) != 0.0;
    block->divisor = 1.0F;
    if (block->normalize && !has_base && sum == 0.0) {
        return err_set(err, ERR_NUMERIC, "%s: weights sum to zero, and normalize is on",
                       mix->tensor->name);
    }
    if (block->normalize && (!has_base || fabs(sum) >= DIVISOR_MIN)) {
        block->divisor = (float)sum;
    }
    return 0;
}

/* Numbers of an input that are not finite, and where the first is. */
static size_t count_nonfinite(const struct checkpoint_tensor *from, size_t *first)
{
    size_t size = dtype_size(from->dtype);
    size_t count = 0;

    for (size_t at = 0; at < from->n_elements; at++) {
        at += dtype_find_nonfinite(from->data + at * size, from->dtype, from->n_elements - at);
        if (at < from->n_elements) {
            *first = count++ == 0 ? at : *first;
        }
    }
    return count;
}

int mix_check_inputs(const struct plan_tensor *tensor, struct err *err)
{
    for (size_t s = 0; s <= tensor->n_sources; s++) {
        const struct checkpoint_tensor *from =
            s == tensor->n_sources ? tensor->base : tensor->sources[s];
        size_t first = 0;
        size_t n = from != NULL ? count_nonfinite(from, &first) : 0;

        if (n > 0) {
            return err_set(err, ERR_NUMERIC, "%s/%s: %s: element %zu is not finite (%zu of %zu)",
                           from->folder, from->file, from->name, first, n, from->n_elements);
        }
    }
    return 0;
}

int mix_start(struct mix *out, struct mix_memory *memory, const struct plan *plan,
              const struct plan_tensor *tensor, bool brain, struct err *err)
{
    const struct family *family = tensor->copies ? &copy_family : find_family(plan->method->name);
    size_t n_sources = tensor->n_sources;

    if (family == NULL) {
        return err_set(err, ERR_MISSING, "%s: this version cannot carry it out",
                       plan->method->name);
    }
    assert(n_sources <= METHOD_SOURCES_MAX);
    *out = (struct mix){.kernels = blend_kernels_for(isa_best()),
                        .family = family,
                        .plan = plan,
                        .tensor = tensor,
                        .memory = memory,
                        .brain = brain,
                        .block = {.k = n_sources}};
    fit_buffers(memory, n_sources + 1);
    for (size_t s = 0; s < n_sources; s++) {
        out->floats[s] = memory->buffers + s * MIX_BLOCK;
        out->keep[s] = memory->keep + s * MIX_KEEP;
    }
    out->base_floats = memory->buffers + n_sources * MIX_BLOCK;
    return family->prepare != NULL ? family->prepare(out, err) : 0;
}

/* ---- blocks ---- */

const unsigned char *mix_stored(const struct mix *mix, size_t source)
{
    return (source == MIX_BASE ? mix->tensor->base : mix->tensor->sources[source])->data;
}

void mix_read(const struct mix *mix, size_t source, size_t at, size_t n, float *out)
{
    const struct checkpoint_tensor *from =
        source == MIX_BASE ? mix->tensor->base : mix->tensor->sources[source];
    const unsigned char *data = from->data + at * dtype_size(from->dtype);

    dtype_to_f32(out, data, from->dtype, n);
    if (mix->tensor->work != DTYPE_F32) {
        dtype_round(out, mix->tensor->work, n);
    }
    file_passed(data, n * dtype_size(from->dtype));
}

uint32_t mix_put(const struct mix *mix, size_t from, size_t n, const float *values)
{
    enum dtype dtype = mix->brain ? DTYPE_BF16 : DTYPE_F32;
    void *out = (char *)mix->block.out + from * dtype_size(dtype);

    dtype_from_f32(out, values, dtype, n);
    return dtype_find_nonfinite(out, dtype, n) < n;
}

/* The next elements of an input: where they lie, or as floats in a buffer. */
static const void *input(const struct mix *mix, const struct checkpoint_tensor *from, size_t n,
                         float *buffer)
{
    if (mix->brain) {
        return from->data + mix->at * dtype_size(from->dtype);
    }
    dtype_to_f32(buffer, from->data + mix->at * dtype_size(from->dtype), from->dtype, n);
    if (mix->tensor->work != DTYPE_F32) {
        dtype_round(buffer, mix->tensor->work, n);
    }
    return buffer;
}

static void pass(const struct mix *mix, const struct checkpoint_tensor *from)
{
    size_t size = dtype_size(from->dtype);

    file_passed(from->data + mix->at * size, mix->block.n * size);
}

size_t mix_next(struct mix *mix, void *out, bool stream, bool *bad)
{
    const struct plan_tensor *tensor = mix->tensor;
    struct blend_block *block = &mix->block;
    size_t to_edge = MIX_BLOCK - mix->at % MIX_BLOCK; /* one cut short leaves it the rest */
    size_t left = tensor->n - mix->at;
    size_t n = left < to_edge ? left : to_edge;

    block->n = n;
    block->out = out;
    block->stream = stream;
    block->base = tensor->base != NULL ? input(mix, tensor->base, n, mix->base_floats) : NULL;
    for (size_t s = 0; s < block->k; s++) {
        block->x[s] = input(mix, tensor->sources[s], n, mix->floats[s]);
    }
    *bad = mix->family->next(mix) != 0;
    if (tensor->base != NULL) {
        pass(mix, tensor->base);
    }
    for (size_t s = 0; s < block->k; s++) {
        pass(mix, tensor->sources[s]);
    }
    mix->at += block->n;
    return block->n;
}
