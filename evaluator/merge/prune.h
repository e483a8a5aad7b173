/*
 * prune.h - which elements of a task vector stay.
 *
 *   PRUNE_NOTHING   all
 *   PRUNE_ALL       none
 *   PRUNE_RANGE     those that one trim keeps less those that a smaller one keeps: the largest but
 *                   for the very largest. Davari and Belilovsky 2023 (arXiv:2312.06795)
 *   PRUNE_RANDOM    each with one probability. Yu et al. 2023 (arXiv:2311.03099)
 *   PRUNE_RANKED    each with a probability by its rank (della.h)
 *   PRUNE_BITS      those with a bit, of the whole tensor
 */
#ifndef MERGE_PRUNE_H
#define MERGE_PRUNE_H

#include <stddef.h>
#include <stdint.h>

#include "evaluator/merge/della.h"
#include "evaluator/merge/random.h"
#include "evaluator/merge/trim.h"

/* Bits of no magnitude's upper end. */
#define PRUNE_NO_LIMIT 0x7fffffffU

enum prune_kind { PRUNE_NOTHING, PRUNE_ALL, PRUNE_RANGE, PRUNE_RANDOM, PRUNE_RANKED, PRUNE_BITS };

struct prune {
    enum prune_kind kind;
    struct trim low, high;       /* range: what low keeps less what high keeps */
    struct random_stream stream; /* random */
    uint64_t share;              /* random: of random.h */
    struct della della;          /* ranked */
    const unsigned char *bits;   /* bits [n] (prune_kernels.h) */
};

/* Keep `keep` elements behind the `top` largest, keep >= 1, keep + top <= n. counts as for
 * trim_find. */
void prune_range(struct prune *out, struct trim_counts *counts, const struct trim_delta *delta,
                 size_t keep, size_t top);

/* The bits of elements [at, at + n) into keep, which has room for n rounded up to 64; at is a
 * multiple of 64. */
void prune_read(const struct prune *prune, const struct trim_delta *delta, size_t at, size_t n,
                unsigned char *keep);

/* Range: the bits of magnitudes that stay from element `at` on; returns the element before which
 * this holds, at most end. PRUNE_NOTHING and PRUNE_ALL are ranges too. */
size_t prune_limits(const struct prune *prune, size_t at, size_t end, uint32_t *first,
                    uint32_t *last);

/* Sum of |delta| over what stays. One pass, or none when counts had the same question last. */
double prune_magnitudes(const struct prune *prune, struct trim_counts *counts,
                        const struct trim_delta *delta);

#endif
