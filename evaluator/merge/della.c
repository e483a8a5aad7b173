/*
 * della.c - ranks within rows, and what stays by them.
 *
 * A row is sorted by magnitude in four passes of eight bits (least significant first), which keeps
 * equal ones in the order of their indices.
 *
 * Ranks cost far more than all else and do not change from candidate to candidate: they are kept,
 * sixteen bits an element. A rank says between which two bounds the keep probability lies, and all
 * but a few in 65536 draws are below both or above both. For those the rank is counted anew.
 */
#include "evaluator/merge/della.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/prune_kernels.h"

struct della_shape della_shape_of(const size_t *dims, size_t n_dims, size_t n)
{
    struct della_shape shape = {.n_slabs = 1, .row = n, .stride = 1};

    if (n_dims >= 2 && n > 0) {
        shape.n_slabs = dims[0];
        shape.row = dims[1];
        shape.stride = n / (dims[0] * dims[1]);
    }
    return shape;
}

static uint32_t magnitude_of(float d)
{
    uint32_t bits;

    memcpy(&bits, &d, sizeof bits);
    return bits & 0x7fffffffU;
}

/* ---- ranks ---- */

#define DIGIT 8
#define DIGITS (1U << DIGIT)

static void sort_digit(uint64_t *out, const uint64_t *in, size_t n, unsigned shift)
{
    uint32_t starts[DIGITS] = {0};
    uint32_t at = 0;

    for (size_t i = 0; i < n; i++) {
        starts[in[i] >> shift & (DIGITS - 1)]++;
    }
    for (size_t digit = 0; digit < DIGITS; digit++) {
        uint32_t count = starts[digit];

        starts[digit] = at;
        at += count;
    }
    for (size_t i = 0; i < n; i++) {
        out[starts[in[i] >> shift & (DIGITS - 1)]++] = in[i];
    }
}

/* keys [row], index above magnitude, become sorted by magnitude. other [row] is scratch. */
static void sort_keys(uint64_t *keys, uint64_t *other, size_t row)
{
    for (unsigned shift = 0; shift < 32; shift += 2 * DIGIT) {
        sort_digit(other, keys, row, shift);
        sort_digit(keys, other, row, shift + DIGIT);
    }
}

/* Ranks [row * stride] of one slab. keys [2, row] is scratch. */
static void rank_slab(uint32_t *out, const float *d, const struct della_shape *shape,
                      uint64_t *keys)
{
    for (size_t j = 0; j < shape->stride; j++) {
        for (size_t i = 0; i < shape->row; i++) {
            keys[i] = (uint64_t)i << 32 | magnitude_of(d[i * shape->stride + j]);
        }
        sort_keys(keys, keys + shape->row, shape->row);
        for (size_t rank = 0; rank < shape->row; rank++) {
            out[(keys[rank] >> 32) * shape->stride + j] = (uint32_t)rank;
        }
    }
}

/* Bits that are left out, so that every rank of a row fits. */
static unsigned bits_left_out(size_t row)
{
    unsigned n = 0;

    while ((row - 1) >> n > UINT16_MAX) {
        n++;
    }
    return n;
}

size_t della_memory(const struct della_shape *shape)
{
    return shape->row * (2 * sizeof(uint64_t) + shape->stride * (sizeof(float) + sizeof(uint32_t)));
}

static void read_slab(float *out, const struct trim_delta *delta, size_t from, size_t slab)
{
    for (size_t at = 0; at < slab; at += TRIM_BLOCK) {
        size_t n = slab - at < TRIM_BLOCK ? slab - at : TRIM_BLOCK;

        trim_read(delta, from + at, n, out + at);
    }
}

void della_rank(uint16_t *out, const struct trim_delta *delta, const struct della_shape *shape)
{
    const unsigned left_out = bits_left_out(shape->row);
    size_t slab = shape->row * shape->stride;
    float *d = mem_array(slab, sizeof *d);
    uint32_t *ranks = mem_array(slab, sizeof *ranks);
    uint64_t *keys = mem_array(2 * shape->row, sizeof *keys);

    for (size_t from = 0; from < delta->n; from += slab) {
        read_slab(d, delta, from, slab);
        rank_slab(ranks, d, shape, keys);
        for (size_t i = 0; i < slab; i++) {
            out[from + i] = (uint16_t)(ranks[i] >> left_out);
        }
    }
    free(keys);
    free(ranks);
    free(d);
}

/* ---- probabilities ---- */

static double probability(size_t rank, size_t row, double density, double epsilon)
{
    return row == 1 ? density
                    : density - epsilon + 2.0 * epsilon * (double)rank / (double)(row - 1);
}

void della_probabilities(double *out, const float *d, const struct della_shape *shape,
                         double density, double epsilon)
{
    size_t slab = shape->row * shape->stride;
    uint32_t *ranks = mem_array(slab, sizeof *ranks);
    uint64_t *keys = mem_array(2 * shape->row, sizeof *keys);

    rank_slab(ranks, d, shape, keys);
    for (size_t i = 0; i < slab; i++) {
        out[i] = probability(ranks[i], shape->row, density, epsilon);
    }
    free(keys);
    free(ranks);
}

/* ---- what stays ---- */

/* The rank of one element, by those of its row that come before it. */
static size_t count_rank(const struct trim_delta *delta, const struct della_shape *shape,
                         size_t element)
{
    size_t slab = shape->row * shape->stride;
    size_t from = element / slab * slab;
    uint32_t mine;
    float d[TRIM_BLOCK];
    size_t rank = 0;

    trim_read(delta, element, 1, d);
    mine = magnitude_of(d[0]);
    for (size_t at = from; at < from + slab; at += TRIM_BLOCK) {
        size_t n = from + slab - at < TRIM_BLOCK ? from + slab - at : TRIM_BLOCK;

        trim_read(delta, at, n, d);
        for (size_t i = 0; i < n; i++) {
            uint32_t other = magnitude_of(d[i]);
            bool before = other < mine || (other == mine && at + i < element);

            rank += before && (at + i) % shape->stride == element % shape->stride;
        }
    }
    return rank;
}

static bool stays(const struct della *della, const struct trim_delta *delta, size_t element)
{
    size_t rank = count_rank(delta, &della->shape, element);
    double p = probability(rank, della->shape.row, della->density, della->epsilon);

    return random_at(&della->stream, element) < random_share(p);
}

#define ODDS_SLACK 0.0625 /* far more than what floats lose */

/* In coarse draws (random.h): between what bounds the probability of a kept rank lies. */
static struct prune_odds odds_of(const struct della *della)
{
    const size_t row = della->shape.row;
    const size_t per_rank = (size_t)1 << bits_left_out(row);
    double first = 0x1p16 * probability(0, row, della->density, della->epsilon);
    double last = 0x1p16 * probability(per_rank - 1, row, della->density, della->epsilon);
    double next = 0x1p16 * probability(per_rank, row, della->density, della->epsilon);

    return (struct prune_odds){
        .low = (float)((first < last ? first : last) - 1.0 - ODDS_SLACK),
        .high = (float)((first < last ? last : first) + ODDS_SLACK),
        .step = (float)(next - first),
    };
}

void della_keep(unsigned char *keep, const struct della *della, const struct trim_delta *delta,
                size_t at, size_t n)
{
    const struct prune_kernels *kernels = prune_kernels_for(isa_best());
    const struct prune_odds odds = odds_of(della);
    unsigned char close[TRIM_BLOCK / 8];

    for (size_t from = 0; from < n; from += TRIM_BLOCK) {
        size_t part = n - from < TRIM_BLOCK ? n - from : TRIM_BLOCK;
        unsigned char *bits = keep + from / 8;
        struct random_draws draws;

        random_draws_from(&draws, &della->stream, 0, at + from);
        if (!kernels->draw_ranked(bits, close, della->ranks + at + from, &draws, &odds, part)) {
            continue;
        }
        for (size_t i = 0; i < part; i++) {
            if ((close[i / 8] >> i % 8 & 1) != 0 && stays(della, delta, at + from + i)) {
                bits[i / 8] = (unsigned char)(bits[i / 8] | 1U << i % 8);
            }
        }
    }
}
