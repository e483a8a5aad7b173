/*
 * vectors.c - task vectors, trimmed and put together: ties.
 *
 * Yadav et al. 2023 (arXiv:2306.01708).
 */
#include <string.h>

#include "evaluator/merge/family.h"

#define MAGNITUDES_MIN 1e-7 /* below it a trimmed vector is not scaled back */

/* ---- thresholds ---- */

/* The factor that gives a trimmed task vector its old L1 norm. */
static double rescaling(const struct trim *trim, struct trim_counts *counts,
                        const struct trim_delta *delta)
{
    double before = trim_magnitudes(counts, delta);
    double after = trim_kept_magnitudes(trim, delta);

    return before >= MAGNITUDES_MIN && after >= MAGNITUDES_MIN ? before / after : 1.0;
}

static int set_trim(struct mix *mix, size_t s, struct err *err)
{
    const struct plan_tensor *tensor = mix->tensor;
    struct trim_counts *counts = mix_counts(mix->memory, tensor->index, s);
    const struct trim_delta delta = {.source = tensor->sources[s]->data,
                                     .base = tensor->base->data,
                                     .source_dtype = tensor->sources[s]->dtype,
                                     .base_dtype = tensor->base->dtype,
                                     .work = tensor->work,
                                     .n = tensor->n};
    double density = mix_source_value(mix, s, "density", 1.0);
    size_t keep = trim_count(delta.n, density);

    if (keep == 0 && delta.n > 0 && mix->plan->rules.strict) {
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
    if (mix_whole_value(mix, "rescale", 0.0) != 0.0) {
        double factor = rescaling(&mix->trim[s], counts, &delta);

        mix->block.factors[s] = (float)((double)mix->block.weights[s] * factor);
    }
    return 0;
}

static int trim_prepare(struct mix *mix, struct err *err)
{
    int rc = mix_set_weights(mix, err);

    for (size_t s = 0; rc == 0 && s < mix->block.k; s++) {
        rc = set_trim(mix, s, err);
    }
    return rc;
}

/* ---- blocks ---- */

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
static uint32_t trimmed_next(struct mix *mix)
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

static const struct family families[] = {
    {"ties", trim_prepare, trimmed_next},
};

const struct family *vectors_family(const char *method)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strcmp(families[i].method, method) == 0) {
            return &families[i];
        }
    }
    return NULL;
}
