/*
 * rank.c - exact order statistics of scores that are made anew whenever they are read.
 */
#include "evaluator/merge/rank.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/prune_kernels.h"

struct rank_counts {
    size_t zeros;
    uint32_t high[PRUNE_HIGH_BANKS * PRUNE_HIGH_BINS]; /* all in the first bank, once counted */
};

static size_t part_size(const struct rank_scores *scores, size_t at)
{
    return scores->n - at < RANK_BLOCK ? scores->n - at : RANK_BLOCK;
}

struct rank_counts *rank_count(const struct rank_scores *scores)
{
    const struct prune_kernels *kernels = prune_kernels_for(isa_best());
    struct rank_counts *counts = mem_array(1, sizeof *counts);
    float block[RANK_BLOCK];

    assert(scores->n <= UINT32_MAX);
    for (size_t at = 0; at < scores->n; at += RANK_BLOCK) {
        size_t n = part_size(scores, at);

        scores->read(scores->context, at, n, block);
        kernels->count_high(counts->high, block, n);
        for (size_t i = 0; i < n; i++) {
            counts->zeros += block[i] == 0.0F;
        }
    }
    for (size_t i = PRUNE_HIGH_BINS; i < PRUNE_HIGH_BANKS * PRUNE_HIGH_BINS; i++) {
        counts->high[i % PRUNE_HIGH_BINS] += counts->high[i];
    }
    return counts;
}

void rank_counts_free(struct rank_counts *counts)
{
    free(counts);
}

size_t rank_zeros(const struct rank_counts *counts)
{
    return counts->zeros;
}

/* The bin that holds a rank; *rank becomes the rank within it. */
static uint32_t bin_of(const uint32_t *bins, size_t n_bins, size_t *rank)
{
    uint32_t bin = 0;

    while (*rank >= bins[bin]) {
        *rank -= bins[bin++];
        assert(bin < n_bins);
    }
    return bin;
}

void rank_find(struct rank *out, const struct rank_counts *counts, const struct rank_scores *scores,
               const size_t *sought, size_t n_sought)
{
    const struct prune_kernels *kernels = prune_kernels_for(isa_best());
    uint32_t *low = mem_array(n_sought * PRUNE_LOW_BINS, sizeof *low);
    uint32_t high[RANK_SOUGHT_MAX];
    size_t within[RANK_SOUGHT_MAX];
    float block[RANK_BLOCK];

    assert(n_sought <= RANK_SOUGHT_MAX);
    for (size_t s = 0; s < n_sought; s++) {
        assert(sought[s] < scores->n);
        within[s] = sought[s];
        high[s] = bin_of(counts->high, PRUNE_HIGH_BINS, &within[s]);
    }
    for (size_t at = 0; at < scores->n; at += RANK_BLOCK) {
        size_t n = part_size(scores, at);

        scores->read(scores->context, at, n, block);
        for (size_t s = 0; s < n_sought; s++) {
            kernels->count_low(low + s * PRUNE_LOW_BINS, high[s], block, n);
        }
    }
    for (size_t s = 0; s < n_sought; s++) {
        uint32_t bin = bin_of(low + s * PRUNE_LOW_BINS, PRUNE_LOW_BINS, &within[s]);
        uint32_t bits = high[s] << 16 | bin;

        out[s].below = sought[s] - within[s];
        out[s].equal = low[s * PRUNE_LOW_BINS + bin];
        memcpy(&out[s].score, &bits, sizeof bits);
    }
    free(low);
}
