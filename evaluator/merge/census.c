/*
 * census.c - magnitudes counted over all tensors: the upper 15 bits, then 16 lower ones.
 */
#include "evaluator/merge/census.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/prune_kernels.h"
#include "evaluator/merge/trim.h"

struct counts {
    uint64_t n;
    uint64_t high[PRUNE_HIGH_BINS];
    uint64_t low[PRUNE_LOW_BINS]; /* of one bin */
    uint32_t bin;
    bool has_high, has_low;
};

_Static_assert(sizeof(struct counts) <= CENSUS_SOURCE_BYTES, "as plans promise");

struct census {
    size_t n_sources;
    struct counts *counts[METHOD_SOURCES_MAX]; /* NULL: never asked */
};

struct census *census_new(size_t n_sources)
{
    struct census *census = mem_array(1, sizeof *census);

    assert(n_sources <= METHOD_SOURCES_MAX);
    census->n_sources = n_sources;
    return census;
}

void census_free(struct census *census)
{
    for (size_t s = 0; census != NULL && s < census->n_sources; s++) {
        free(census->counts[s]);
    }
    free(census);
}

bool census_has(const struct plan *plan, const struct plan_tensor *tensor)
{
    return !tensor->copies && tensor->base != NULL && tensor->n_sources == plan->n_sources;
}

/* Counts of one tensor are added before they could reach 2^32. */
#define TENSOR_PART ((size_t)1 << 30)

static void add_high(struct counts *counts, const struct trim_delta *delta, size_t at, size_t end)
{
    const struct prune_kernels *kernels = prune_kernels_for(isa_best());
    uint32_t *high = mem_array((size_t)PRUNE_HIGH_BANKS * PRUNE_HIGH_BINS, sizeof *high);
    float d[TRIM_BLOCK];

    for (; at < end; at += TRIM_BLOCK) {
        size_t n = end - at < TRIM_BLOCK ? end - at : TRIM_BLOCK;

        trim_read(delta, at, n, d);
        kernels->count_high(high, d, n);
    }
    for (size_t i = 0; i < (size_t)PRUNE_HIGH_BANKS * PRUNE_HIGH_BINS; i++) {
        counts->high[i % PRUNE_HIGH_BINS] += high[i];
    }
    free(high);
}

static void add_low(struct counts *counts, const struct trim_delta *delta, size_t at, size_t end)
{
    const struct prune_kernels *kernels = prune_kernels_for(isa_best());
    uint32_t *low = mem_array(PRUNE_LOW_BINS, sizeof *low);
    float d[TRIM_BLOCK];

    for (; at < end; at += TRIM_BLOCK) {
        size_t n = end - at < TRIM_BLOCK ? end - at : TRIM_BLOCK;

        trim_read(delta, at, n, d);
        kernels->count_low(low, counts->bin, d, n);
    }
    for (size_t i = 0; i < PRUNE_LOW_BINS; i++) {
        counts->low[i] += low[i];
    }
    free(low);
}

typedef void adder(struct counts *counts, const struct trim_delta *delta, size_t at, size_t end);

static void add_model(struct counts *counts, const struct plan *plan, size_t source, adder *add)
{
    for (size_t t = 0; t < plan->n_tensors; t++) {
        const struct plan_tensor *tensor = &plan->tensors[t];

        if (!census_has(plan, tensor)) {
            continue;
        }
        const struct trim_delta delta = plan_delta(tensor, source);

        for (size_t at = 0; at < tensor->n; at += TENSOR_PART) {
            add(counts, &delta, at, tensor->n - at < TENSOR_PART ? tensor->n : at + TENSOR_PART);
        }
    }
}

static struct counts *counts_of(struct census *census, const struct plan *plan, size_t source)
{
    struct counts **counts = &census->counts[source];

    assert(source < census->n_sources);
    if (*counts == NULL) {
        *counts = mem_array(1, sizeof **counts);
    }
    if (!(*counts)->has_high) {
        add_model(*counts, plan, source, add_high);
        for (size_t i = 0; i < PRUNE_HIGH_BINS; i++) {
            (*counts)->n += (*counts)->high[i];
        }
        (*counts)->has_high = true;
    }
    return *counts;
}

uint64_t census_size(struct census *census, const struct plan *plan, size_t source)
{
    return counts_of(census, plan, source)->n;
}

/* The bin that holds the left-th largest; *left becomes its place within. */
static uint32_t bin_of(const uint64_t *bins, uint32_t n_bins, uint64_t *left)
{
    uint32_t bin = n_bins - 1;

    while (*left > bins[bin]) {
        assert(bin > 0);
        *left -= bins[bin--];
    }
    return bin;
}

uint32_t census_find(struct census *census, const struct plan *plan, size_t source, uint64_t keep)
{
    struct counts *counts = counts_of(census, plan, source);
    uint64_t left = keep;

    assert(keep >= 1 && keep <= counts->n);
    uint32_t bin = bin_of(counts->high, PRUNE_HIGH_BINS, &left);
    if (!counts->has_low || counts->bin != bin) {
        memset(counts->low, 0, sizeof counts->low);
        counts->bin = bin;
        add_model(counts, plan, source, add_low);
        counts->has_low = true;
    }
    return bin << 16 | bin_of(counts->low, PRUNE_LOW_BINS, &left);
}
