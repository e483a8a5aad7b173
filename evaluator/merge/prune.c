/*
 * prune.c - bits for the elements of a task vector that stay, block by block.
 *
 * A range ends at two magnitudes. Of the elements that equal the lower one the first few stay, of
 * those that equal the upper one the first few go, up to their cuts (trim.h). So a block is one
 * range of bits, or a few with cuts between them.
 */
#include "evaluator/merge/prune.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "evaluator/merge/prune_kernels.h"

void prune_range(struct prune *out, struct trim_counts *counts, const struct trim_delta *delta,
                 size_t keep, size_t top)
{
    *out = (struct prune){.kind = PRUNE_RANGE, .high = {.bits = PRUNE_NO_LIMIT}};
    trim_find(&out->low, counts, delta, keep + top);
    if (top > 0) {
        trim_find(&out->high, counts, delta, top);
    }
}

size_t prune_limits(const struct prune *prune, size_t at, size_t end, uint32_t *first,
                    uint32_t *last)
{
    const struct trim *low = &prune->low;
    const struct trim *high = &prune->high;

    *first = prune->kind == PRUNE_ALL ? PRUNE_NO_LIMIT : 0;
    *last = prune->kind == PRUNE_ALL ? 0 : PRUNE_NO_LIMIT;
    if (prune->kind != PRUNE_RANGE) {
        return end;
    }
    *first = low->bits + (low->bits > 0 && at >= low->cut);
    *last = high->bits - (high->bits > 0 && at < high->cut);
    end = at < low->cut && low->cut < end ? low->cut : end;
    return at < high->cut && high->cut < end ? high->cut : end;
}

/* Bits from element `from` of the block on, where a cut lies within. */
static void set_rest(unsigned char *keep, const float *d, size_t from, size_t n, uint32_t first,
                     uint32_t last)
{
    for (size_t i = from; i < n; i++) {
        unsigned bit = 1U << i % 8;
        uint32_t magnitude;

        memcpy(&magnitude, &d[i], sizeof magnitude);
        magnitude &= PRUNE_NO_LIMIT;
        keep[i / 8] = (unsigned char)(first <= magnitude && magnitude <= last ? keep[i / 8] | bit
                                                                              : keep[i / 8] & ~bit);
    }
}

static void range_block(const struct prune *prune, const float *d, size_t at, size_t n,
                        unsigned char *keep)
{
    uint32_t first;
    uint32_t last;
    size_t end = prune_limits(prune, at, at + n, &first, &last);

    prune_kernels_for(isa_best())->between(keep, d, first, last, n);
    while (end < at + n) {
        size_t from = end - at;

        end = prune_limits(prune, end, at + n, &first, &last);
        set_rest(keep, d, from, n, first, last);
    }
}

/* d: the block's elements, read by those kinds alone that go by magnitude. */
static void keep_block(const struct prune *prune, const float *d, size_t at, size_t n,
                       unsigned char *keep)
{
    switch (prune->kind) {
    case PRUNE_RANGE:
        range_block(prune, d, at, n, keep);
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

void prune_read(const struct prune *prune, const struct trim_delta *delta, size_t at, size_t n,
                unsigned char *keep)
{
    float d[TRIM_BLOCK];

    assert(at % 64 == 0);
    if (prune->kind == PRUNE_RANKED) {
        della_keep(keep, &prune->della, delta, at, n);
        return;
    }
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
    unsigned char keep[TRIM_BLOCK / 8];
    double sum = 0.0;

    for (size_t at = 0; at < delta->n; at += TRIM_BLOCK) {
        size_t n = delta->n - at < TRIM_BLOCK ? delta->n - at : TRIM_BLOCK;

        prune_read(prune, delta, at, n, keep);
        sum += trim_sum(delta, at, n, keep);
    }
    return sum;
}

/* False for what cannot be told by a few numbers. */
static bool make_key(uint64_t key[PRUNE_KEY], const struct prune *prune)
{
    const struct trim *low = &prune->low;
    const struct trim *high = &prune->high;

    memset(key, 0, PRUNE_KEY * sizeof *key);
    key[0] = prune->kind;
    switch (prune->kind) {
    case PRUNE_RANGE:
        key[1] = (uint64_t)low->bits << 32 | high->bits;
        key[2] = low->cut;
        key[3] = high->cut;
        return true;
    case PRUNE_RANDOM:
        key[1] = prune->share;
        key[2] = prune->stream.coarse.state;
        key[3] = prune->stream.coarse.inc;
        return true;
    case PRUNE_RANKED:
        memcpy(&key[1], &prune->della.density, sizeof key[1]);
        memcpy(&key[2], &prune->della.epsilon, sizeof key[2]);
        key[3] = prune->della.stream.coarse.state;
        key[4] = prune->della.stream.coarse.inc;
        return true;
    default:
        return false;
    }
}

double prune_magnitudes(const struct prune *prune, struct trim_counts *counts,
                        const struct trim_delta *delta)
{
    uint64_t key[PRUNE_KEY];

    if (!make_key(key, prune)) {
        return sum_kept(prune, delta);
    }
    if (memcmp(counts->kept_key, key, sizeof key) != 0) {
        memcpy(counts->kept_key, key, sizeof key);
        counts->kept = sum_kept(prune, delta);
    }
    return counts->kept;
}
