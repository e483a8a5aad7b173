/*
 * prune.c - bits for the elements of a task vector that stay, block by block.
 *
 * A range ends at two magnitudes. Of the elements that equal the lower one the first few stay, of
 * those that equal the upper one the first few go: running counters tell which. Almost every block
 * lies on one side of the last of them and takes all of its own or none; only in the block that
 * holds it they are told apart one by one.
 */
#include "evaluator/merge/prune.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "evaluator/merge/blend_kernels.h"

void prune_range(struct prune *out, struct trim_counts *counts, const struct trim_delta *delta,
                 size_t keep, size_t top)
{
    *out = (struct prune){.kind = PRUNE_RANGE, .high = {.bits = PRUNE_NO_LIMIT}};
    trim_find(&out->low, counts, delta, keep + top);
    if (top > 0) {
        trim_find(&out->high, counts, delta, top);
    }
}

/* Some of those that equal this end are told apart in blocks to come. */
static bool is_open(const struct trim *end)
{
    return end->ties > 0 && end->ties < end->equal;
}

/* Set or clear the bits of elements that equal bits, but for the first `skip` of them. */
static void set_equal(unsigned char *keep, const float *d, size_t n, uint32_t bits, size_t skip,
                      bool set)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char bit = (unsigned char)(1U << i % 8);
        uint32_t magnitude;

        memcpy(&magnitude, &d[i], sizeof magnitude);
        if ((magnitude & PRUNE_NO_LIMIT) != bits) {
            continue;
        }
        if (skip > 0) {
            skip--;
        } else {
            keep[i / 8] = (unsigned char)(set ? keep[i / 8] | bit : keep[i / 8] & ~bit);
        }
    }
}

static void pass(struct trim *end, size_t equal)
{
    end->ties -= equal < end->ties ? equal : end->ties;
    end->equal -= equal;
}

static void range_block(struct prune *prune, const float *d, size_t n, unsigned char *keep)
{
    struct trim *low = &prune->low;
    struct trim *high = &prune->high;
    const struct blend_range range = {.low = low->bits + (low->ties == 0),
                                      .last = high->bits - (high->ties > 0),
                                      .edges = {low->bits, high->bits}};
    bool counts = is_open(low) || is_open(high);
    size_t equal[2];

    blend_kernels_for(isa_best())->between(keep, d, &range, n, counts ? equal : NULL);
    if (is_open(high)) {
        if (equal[1] > high->ties) {
            set_equal(keep, d, n, high->bits, high->ties, true);
        }
        pass(high, equal[1]);
    }
    if (is_open(low)) {
        if (equal[0] > low->ties) {
            set_equal(keep, d, n, low->bits, low->ties, false);
        }
        pass(low, equal[0]);
    }
}

/* d: the block's elements, read by those kinds alone that go by magnitude. */
static void keep_block(struct prune *prune, const float *d, size_t at, size_t n,
                       unsigned char *keep)
{
    switch (prune->kind) {
    case PRUNE_RANGE:
        range_block(prune, d, n, keep);
        break;
    case PRUNE_RANDOM:
        random_keep(&prune->stream, prune->share, at, n, keep);
        break;
    case PRUNE_BITS:
        memcpy(keep, prune->bits + at / 8, (n + 7) / 8);
        break;
    default:
        memset(keep, prune->kind == PRUNE_NOTHING ? 0xff : 0, (n + 7) / 8);
        break;
    }
}

void prune_next(struct prune *prune, const struct trim_delta *delta, size_t at, size_t n,
                unsigned char *keep)
{
    float d[TRIM_BLOCK];

    assert(at % 64 == 0);
    if (prune->kind != PRUNE_RANGE) {
        keep_block(prune, NULL, at, n, keep);
        return;
    }
    for (size_t i = 0; i < n; i += TRIM_BLOCK) {
        size_t part = n - i < TRIM_BLOCK ? n - i : TRIM_BLOCK;

        trim_read(delta, at + i, part, d);
        keep_block(prune, d, at + i, part, keep + i / 8);
    }
}

static double sum_kept(const struct prune *prune, const struct trim_delta *delta)
{
    const struct blend_kernels *kernels = blend_kernels_for(isa_best());
    struct prune running = *prune;
    unsigned char keep[TRIM_BLOCK / 8];
    float d[TRIM_BLOCK];
    double sum = 0.0;

    for (size_t at = 0; at < delta->n; at += TRIM_BLOCK) {
        size_t n = delta->n - at < TRIM_BLOCK ? delta->n - at : TRIM_BLOCK;

        trim_read(delta, at, n, d);
        keep_block(&running, d, at, n, keep);
        kernels->drop(d, keep, n);
        sum += kernels->magnitudes(d, 0, n);
    }
    return sum;
}

/* False for what cannot be told by a few numbers. */
static bool make_key(uint64_t key[4], const struct prune *prune)
{
    const struct trim *low = &prune->low;
    const struct trim *high = &prune->high;

    key[0] = prune->kind;
    if (prune->kind == PRUNE_RANGE) {
        key[1] = (uint64_t)low->bits << 32 | high->bits;
        key[2] = low->ties;
        key[3] = high->ties;
    } else {
        key[1] = prune->share;
        key[2] = prune->stream.coarse.state;
        key[3] = prune->stream.coarse.inc;
    }
    return prune->kind == PRUNE_RANGE || prune->kind == PRUNE_RANDOM;
}

double prune_magnitudes(const struct prune *prune, struct trim_counts *counts,
                        const struct trim_delta *delta)
{
    uint64_t key[4];

    if (!make_key(key, prune)) {
        return sum_kept(prune, delta);
    }
    if (memcmp(counts->kept_key, key, sizeof key) != 0) {
        memcpy(counts->kept_key, key, sizeof key);
        counts->kept = sum_kept(prune, delta);
    }
    return counts->kept;
}
