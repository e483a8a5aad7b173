/*
 * della.c - ranks within rows, and what stays by them.
 *
 * A row is sorted by magnitude in three passes of eleven bits (least significant first), which
 * keeps equal ones in the order of their indices.
 */
#include "evaluator/merge/della.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define DIGIT 11
#define DIGITS (1U << DIGIT)

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

/* Index above, magnitude below. */
static uint64_t key_of(float d, size_t index)
{
    uint32_t bits;

    memcpy(&bits, &d, sizeof bits);
    return (uint64_t)index << 32 | (bits & 0x7fffffffU);
}

static void sort_digit(uint64_t *out, const uint64_t *in, size_t n, unsigned shift)
{
    size_t starts[DIGITS] = {0};
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        starts[(uint32_t)in[i] >> shift & (DIGITS - 1)]++;
    }
    for (size_t digit = 0; digit < DIGITS; digit++) {
        size_t count = starts[digit];

        starts[digit] = at;
        at += count;
    }
    for (size_t i = 0; i < n; i++) {
        out[starts[(uint32_t)in[i] >> shift & (DIGITS - 1)]++] = in[i];
    }
}

/* keys [m] become sorted by magnitude, in other. */
static void sort_keys(uint64_t *keys, uint64_t *other, size_t m)
{
    sort_digit(other, keys, m, 0);
    sort_digit(keys, other, m, DIGIT);
    sort_digit(other, keys, m, 2 * DIGIT);
}

static double probability(size_t rank, size_t m, double density, double epsilon)
{
    return m == 1 ? density : density - epsilon + 2.0 * epsilon * (double)rank / (double)(m - 1);
}

/* keys [2, row] is scratch. */
static void row_probabilities(double *out, const float *d, const struct della_shape *shape,
                              double density, double epsilon, uint64_t *keys)
{
    uint64_t *sorted = keys + shape->row;

    for (size_t i = 0; i < shape->row; i++) {
        keys[i] = key_of(d[i * shape->stride], i);
    }
    sort_keys(keys, sorted, shape->row);
    for (size_t rank = 0; rank < shape->row; rank++) {
        out[(sorted[rank] >> 32) * shape->stride] = probability(rank, shape->row, density, epsilon);
    }
}

static void slab_probabilities(double *out, const float *d, const struct della_shape *shape,
                               double density, double epsilon, uint64_t *keys)
{
    for (size_t j = 0; j < shape->stride; j++) {
        row_probabilities(out + j, d + j, shape, density, epsilon, keys);
    }
}

void della_probabilities(double *out, const float *d, const struct della_shape *shape,
                         double density, double epsilon)
{
    uint64_t *keys = mem_array(2 * shape->row, sizeof *keys);

    slab_probabilities(out, d, shape, density, epsilon, keys);
    free(keys);
}

size_t della_memory(const struct della_shape *shape)
{
    return shape->row * (2 * sizeof(uint64_t) +
                         shape->stride * (sizeof(float) + sizeof(double) + sizeof(uint64_t)));
}

void della_keep(unsigned char *keep, const struct trim_delta *delta,
                const struct della_shape *shape, double density, double epsilon,
                const struct random_stream *stream)
{
    size_t slab = shape->row * shape->stride;
    float *d = mem_array(slab, sizeof *d);
    double *p = mem_array(slab, sizeof *p);
    uint64_t *shares = mem_array(slab, sizeof *shares);
    uint64_t *keys = mem_array(2 * shape->row, sizeof *keys);

    memset(keep, 0, (delta->n + 63) / 64 * 8);
    for (size_t i = 0; i < shape->n_slabs; i++) {
        for (size_t at = 0; at < slab; at += TRIM_BLOCK) {
            trim_read(delta, i * slab + at, slab - at < TRIM_BLOCK ? slab - at : TRIM_BLOCK,
                      d + at);
        }
        slab_probabilities(p, d, shape, density, epsilon, keys);
        for (size_t e = 0; e < slab; e++) {
            shares[e] = random_share(p[e]);
        }
        random_keep_each(stream, shares, i * slab, slab, keep);
    }
    free(keys);
    free(shares);
    free(p);
    free(d);
}
