/*
 * trim.c - exact magnitude thresholds of task vectors.
 */
#include "evaluator/merge/trim.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define BLOCK 4096
#define LOW_BINS 65536

void trim_delta_block(const struct trim_delta *delta, size_t at, size_t n, float *out,
                      float *scratch)
{
    const char *source = delta->source;
    const char *base = delta->base;

    dtype_to_f32(out, source + at * dtype_size(delta->source_dtype), delta->source_dtype, n);
    dtype_to_f32(scratch, base + at * dtype_size(delta->base_dtype), delta->base_dtype, n);
    for (size_t i = 0; i < n; i++) {
        out[i] -= scratch[i];
    }
}

size_t trim_count(size_t n, double density)
{
    if (density >= 1.0) {
        return n;
    }
    return density > 0.0 ? (size_t)floor(density * (double)n) : 0;
}

static uint32_t magnitude_bits(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits & 0x7fffffffU;
}

/* Call visit on each block of the task vector. */
static void each_block(const struct trim_delta *delta,
                       void (*visit)(const float *d, size_t n, void *context), void *context)
{
    float d[BLOCK];
    float scratch[BLOCK];

    for (size_t at = 0; at < delta->n; at += BLOCK) {
        size_t n = delta->n - at < BLOCK ? delta->n - at : BLOCK;

        trim_delta_block(delta, at, n, d, scratch);
        visit(d, n, context);
    }
}

static void count_high(const float *d, size_t n, void *context)
{
    struct trim_histogram *histogram = context;
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        histogram->counts[magnitude_bits(d[i]) >> 16]++;
        sum += fabs((double)d[i]);
    }
    histogram->magnitudes += sum;
}

static void make_histogram(const struct trim_delta *delta, struct trim_histogram *histogram)
{
    if (histogram->counts == NULL) {
        histogram->counts = mem_array(TRIM_BINS, sizeof(uint32_t));
        histogram->magnitudes = 0.0;
        each_block(delta, count_high, histogram);
    }
}

struct low_counts {
    uint32_t high; /* the bin */
    uint32_t *counts;
};

static void count_low(const float *d, size_t n, void *context)
{
    struct low_counts *low = context;

    for (size_t i = 0; i < n; i++) {
        uint32_t bits = magnitude_bits(d[i]);

        if (bits >> 16 == low->high) {
            low->counts[bits & 0xffffU]++;
        }
    }
}

/* Walk down from the last bin until `left` elements are passed; returns the bin, and how many of it
 * are wanted. */
static uint32_t walk_down(const uint32_t *counts, uint32_t n_bins, size_t *left)
{
    uint32_t bin = n_bins;

    while (bin-- > 0) {
        if (counts[bin] >= *left) {
            return bin;
        }
        *left -= counts[bin];
    }
    assert(!"there are at least `left` elements");
    return 0;
}

void trim_find(const struct trim_delta *delta, struct trim_histogram *histogram, size_t keep,
               struct trim *out)
{
    size_t left = keep;

    assert(keep >= 1 && keep <= delta->n);
    make_histogram(delta, histogram);
    struct low_counts low = {.counts = mem_array(LOW_BINS, sizeof(uint32_t))};
    low.high = walk_down(histogram->counts, TRIM_BINS, &left);
    each_block(delta, count_low, &low);
    uint32_t bin = walk_down(low.counts, LOW_BINS, &left);
    uint32_t bits = low.high << 16 | bin;
    *out = (struct trim){.ties = left, .equal = low.counts[bin]};
    memcpy(&out->threshold, &bits, sizeof(bits));
    free(low.counts);
}

double trim_magnitudes(const struct trim_delta *delta, struct trim_histogram *histogram)
{
    make_histogram(delta, histogram);
    return histogram->magnitudes;
}

struct kept_sum {
    const struct trim *trim;
    double sum;
};

static void add_kept(const float *d, size_t n, void *context)
{
    struct kept_sum *kept = context;
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        double magnitude = fabs((double)d[i]);

        sum += magnitude > (double)kept->trim->threshold ? magnitude : 0.0;
    }
    kept->sum += sum;
}

double trim_kept_magnitudes(const struct trim_delta *delta, const struct trim *trim)
{
    struct kept_sum kept = {.trim = trim};

    each_block(delta, add_kept, &kept);
    return kept.sum + (double)trim->ties * (double)trim->threshold;
}
