/*
 * trim.c - counts of magnitudes, coarse ones once, fine ones where they are asked for.
 */
#include "evaluator/merge/trim.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/blend_kernels.h"

#define BLOCK 4096

/* A bin with more different magnitudes than this is counted again whenever it is asked for: at
 * 16 bytes a step, memory would cost more than the pass. */
#define STEPS_KEPT_MAX 512

size_t trim_count(size_t n, double density)
{
    if (density >= 1.0) {
        return n;
    }
    return density > 0.0 ? (size_t)floor(density * (double)n) : 0;
}

void trim_counts_release(struct trim_counts *counts)
{
    for (size_t i = 0; i < counts->n_bins; i++) {
        free(counts->bins[i].steps);
    }
    free(counts->bins);
    *counts = (struct trim_counts){0};
}

/* ---- passes over the task vector ---- */

/* Elements [at, at + n) as floats, n <= BLOCK. */
static void delta_block(const struct blend_kernels *kernels, const struct trim_delta *delta,
                        size_t at, size_t n, float *out)
{
    const char *source = (const char *)delta->source + at * dtype_size(delta->source_dtype);
    const char *base = (const char *)delta->base + at * dtype_size(delta->base_dtype);
    float floats[BLOCK];
    float bases[BLOCK];

    if (delta->source_dtype == DTYPE_BF16 && delta->base_dtype == DTYPE_BF16) {
        kernels->delta_bf16(out, source, base, n);
        return;
    }
    dtype_to_f32(floats, source, delta->source_dtype, n);
    dtype_to_f32(bases, base, delta->base_dtype, n);
    kernels->delta_f32(out, floats, bases, n);
}

/* What a pass gathers; one of the pointers is set. */
struct gather {
    uint32_t *high; /* [BLEND_HIGH_BANKS, BLEND_HIGH_BINS] */
    uint32_t *low;  /* [BLEND_LOW_BINS], of one bin */
    uint32_t low_of;
    double *sum; /* of magnitudes */
    uint32_t sum_from;
};

static void each_block(const struct trim_delta *delta, const struct gather *gather)
{
    const struct blend_kernels *kernels = blend_kernels_for(isa_best());
    float d[BLOCK];

    for (size_t at = 0; at < delta->n; at += BLOCK) {
        size_t n = delta->n - at < BLOCK ? delta->n - at : BLOCK;

        delta_block(kernels, delta, at, n, d);
        if (gather->high != NULL) {
            kernels->count_high(gather->high, d, n);
        }
        if (gather->low != NULL) {
            kernels->count_low(gather->low, gather->low_of, d, n);
        }
        if (gather->sum != NULL) {
            *gather->sum += kernels->magnitudes(d, gather->sum_from, n);
        }
    }
}

/* ---- counts ---- */

static void keep_bins(struct trim_counts *counts, const uint32_t *high)
{
    size_t above = 0;
    size_t n_bins = 0;

    for (size_t bin = 0; bin < BLEND_HIGH_BINS; bin++) {
        n_bins += high[bin] > 0;
    }
    counts->bins = mem_array(n_bins, sizeof(struct trim_bin));
    for (size_t bin = BLEND_HIGH_BINS; bin-- > 0;) {
        if (high[bin] > 0) {
            counts->bins[counts->n_bins++] =
                (struct trim_bin){.high = (uint32_t)bin, .n = high[bin], .above = above};
            above += high[bin];
        }
    }
}

static void count_bins(struct trim_counts *counts, const struct trim_delta *delta)
{
    uint32_t *high = mem_array((size_t)BLEND_HIGH_BANKS * BLEND_HIGH_BINS, sizeof(*high));

    each_block(delta, &(struct gather){.high = high});
    for (size_t bank = 1; bank < BLEND_HIGH_BANKS; bank++) {
        for (size_t bin = 0; bin < BLEND_HIGH_BINS; bin++) {
            high[bin] += high[bank * BLEND_HIGH_BINS + bin];
        }
    }
    keep_bins(counts, high);
    free(high);
}

static void count_steps(struct trim_bin *bin, const struct trim_delta *delta)
{
    uint32_t *low = mem_array(BLEND_LOW_BINS, sizeof(*low));
    size_t n_steps = 0;

    each_block(delta, &(struct gather){.low = low, .low_of = bin->high});
    for (size_t i = 0; i < BLEND_LOW_BINS; i++) {
        n_steps += low[i] > 0;
    }
    bin->steps = mem_array(n_steps, sizeof(struct trim_step));
    for (size_t i = BLEND_LOW_BINS; i-- > 0;) {
        if (low[i] > 0) {
            bin->steps[bin->n_steps++] =
                (struct trim_step){.bits = bin->high << 16 | (uint32_t)i, .n = low[i]};
        }
    }
    free(low);
}

/* The bin that the k-th largest magnitude is in: the last one with fewer than k above it. */
static struct trim_bin *find_bin(const struct trim_counts *counts, size_t k)
{
    size_t first = 0;
    size_t end = counts->n_bins;

    while (end - first > 1) {
        size_t middle = first + (end - first) / 2;

        if (counts->bins[middle].above < k) {
            first = middle;
        } else {
            end = middle;
        }
    }
    return &counts->bins[first];
}

void trim_find(struct trim *out, struct trim_counts *counts, const struct trim_delta *delta,
               size_t keep)
{
    assert(keep >= 1 && keep <= delta->n && delta->n <= UINT32_MAX);
    if (counts->bins == NULL) {
        count_bins(counts, delta);
    }
    struct trim_bin *bin = find_bin(counts, keep);
    if (bin->steps == NULL) {
        count_steps(bin, delta);
    }
    size_t left = keep - bin->above;
    size_t i = 0;
    while (left > bin->steps[i].n) {
        left -= bin->steps[i++].n;
        assert(i < bin->n_steps);
    }
    *out = (struct trim){.bits = bin->steps[i].bits, .ties = left, .equal = bin->steps[i].n};
    if (bin->n_steps > STEPS_KEPT_MAX) {
        free(bin->steps);
        bin->steps = NULL;
        bin->n_steps = 0;
    }
}

double trim_magnitudes(struct trim_counts *counts, const struct trim_delta *delta)
{
    if (counts->magnitudes == 0.0) {
        each_block(delta, &(struct gather){.sum = &counts->magnitudes});
    }
    return counts->magnitudes;
}

double trim_kept_magnitudes(const struct trim *trim, const struct trim_delta *delta)
{
    double sum = 0.0;
    float tie;

    each_block(delta, &(struct gather){.sum = &sum, .sum_from = trim->bits + 1});
    memcpy(&tie, &trim->bits, sizeof(tie));
    return sum + (double)trim->ties * (double)tie;
}
