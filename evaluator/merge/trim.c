/*
 * trim.c - magnitudes counted: each by itself while they are few, else by their upper bits.
 */
#include "evaluator/merge/trim.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/prune_kernels.h"

size_t trim_count(size_t n, double density)
{
    if (density >= 1.0) {
        return n;
    }
    return density > 0.0 ? (size_t)floor(density * (double)n) : 0;
}

void trim_counts_release(struct trim_counts *counts)
{
    free(counts->steps);
    *counts = (struct trim_counts){0};
}

/* True when kernels can work on the stored numbers. */
static bool is_brain(const struct trim_delta *delta)
{
    return delta->source_dtype == DTYPE_BF16 && delta->base_dtype == DTYPE_BF16 &&
           delta->work != DTYPE_F16;
}

static const char *source_at(const struct trim_delta *delta, size_t at)
{
    return (const char *)delta->source + at * dtype_size(delta->source_dtype);
}

static const char *base_at(const struct trim_delta *delta, size_t at)
{
    return (const char *)delta->base + at * dtype_size(delta->base_dtype);
}

static void pass(const struct trim_delta *delta, size_t at, size_t n)
{
    file_passed(source_at(delta, at), n * dtype_size(delta->source_dtype));
    file_passed(base_at(delta, at), n * dtype_size(delta->base_dtype));
}

static void read_floats(float *out, const void *in, enum dtype dtype, enum dtype work, size_t n)
{
    dtype_to_f32(out, in, dtype, n);
    if (work != DTYPE_F32) {
        dtype_round(out, work, n);
    }
}

void trim_read(const struct trim_delta *delta, size_t at, size_t n, float *out)
{
    const struct prune_kernels *kernels = prune_kernels_for(isa_best());
    float source[TRIM_BLOCK];
    float base[TRIM_BLOCK];

    if (is_brain(delta)) {
        kernels->delta_bf16(out, source_at(delta, at), base_at(delta, at), n);
    } else {
        read_floats(source, source_at(delta, at), delta->source_dtype, delta->work, n);
        read_floats(base, base_at(delta, at), delta->base_dtype, delta->work, n);
        kernels->delta_f32(out, source, base, n);
    }
    pass(delta, at, n);
}

double trim_sum(const struct trim_delta *delta, size_t at, size_t n, const unsigned char *keep)
{
    const struct prune_kernels *kernels = prune_kernels_for(isa_best());
    float d[TRIM_BLOCK];

    if (is_brain(delta)) {
        double sum = kernels->magnitudes_bf16(source_at(delta, at), base_at(delta, at), keep, n);

        pass(delta, at, n);
        return sum;
    }
    trim_read(delta, at, n, d);
    return kernels->magnitudes_f32(d, keep, n);
}

/* How many of elements [at, at + n) have a magnitude of these bits. */
static size_t count_equal(const struct trim_delta *delta, size_t at, size_t n, uint32_t bits)
{
    const struct prune_kernels *kernels = prune_kernels_for(isa_best());
    float d[TRIM_BLOCK];

    if (is_brain(delta)) {
        size_t count = kernels->equal_bf16(source_at(delta, at), base_at(delta, at), bits, n);

        pass(delta, at, n);
        return count;
    }
    trim_read(delta, at, n, d);
    return kernels->equal_f32(d, bits, n);
}

static size_t block_size(const struct trim_delta *delta, size_t at)
{
    return delta->n - at < TRIM_BLOCK ? delta->n - at : TRIM_BLOCK;
}

/* ---- each magnitude by itself ---- */

/* An open-addressed table from bits to how many; half of it is filled at most. */
#define SLOTS_LOG2 17
#define SLOTS (1U << SLOTS_LOG2)
#define EMPTY 0xffffffffU /* no magnitude: the sign bit is set */

_Static_assert(SLOTS >= 2 * TRIM_STEPS_MAX, "a table that is half empty");

struct table {
    struct trim_step slots[SLOTS];
    size_t n_used;
};

static void count_one(struct table *table, uint32_t bits)
{
    uint32_t slot = bits * 0x9e3779b1U >> (32 - SLOTS_LOG2);

    while (table->slots[slot].bits != bits) {
        if (table->slots[slot].bits == EMPTY) {
            table->slots[slot].bits = bits;
            table->n_used++;
            break;
        }
        slot = (slot + 1) % SLOTS;
    }
    table->slots[slot].n++;
}

/* False when there are too many different ones. */
static bool count_each(struct table *table, const struct trim_delta *delta)
{
    float d[TRIM_BLOCK];

    for (size_t slot = 0; slot < SLOTS; slot++) {
        table->slots[slot] = (struct trim_step){.bits = EMPTY};
    }
    for (size_t at = 0; at < delta->n; at += TRIM_BLOCK) {
        size_t n = block_size(delta, at);

        if (table->n_used + n > SLOTS) {
            return false;
        }
        trim_read(delta, at, n, d);
        for (size_t i = 0; i < n; i++) {
            uint32_t bits;

            memcpy(&bits, &d[i], sizeof(bits));
            count_one(table, bits & 0x7fffffffU);
        }
        if (table->n_used > TRIM_STEPS_MAX) {
            return false;
        }
    }
    return true;
}

static int downwards(const void *a, const void *b)
{
    uint32_t x = ((const struct trim_step *)a)->bits;
    uint32_t y = ((const struct trim_step *)b)->bits;

    return x < y ? 1 : x > y ? -1 : 0;
}

static void keep_table(struct trim_counts *counts, const struct table *table)
{
    counts->exact = true;
    counts->steps = mem_array(table->n_used, sizeof(struct trim_step));
    for (size_t slot = 0; slot < SLOTS; slot++) {
        if (table->slots[slot].bits != EMPTY) {
            counts->steps[counts->n_steps++] = table->slots[slot];
        }
    }
    qsort(counts->steps, counts->n_steps, sizeof(struct trim_step), downwards);
}

/* ---- upper bits, then lower ones ---- */

static void count_upper(struct trim_counts *counts, const struct trim_delta *delta)
{
    const struct prune_kernels *kernels = prune_kernels_for(isa_best());
    uint32_t *high = mem_array((size_t)PRUNE_HIGH_BANKS * PRUNE_HIGH_BINS, sizeof(*high));
    float d[TRIM_BLOCK];

    for (size_t at = 0; at < delta->n; at += TRIM_BLOCK) {
        trim_read(delta, at, block_size(delta, at), d);
        kernels->count_high(high, d, block_size(delta, at));
    }
    counts->steps = mem_array(PRUNE_HIGH_BINS, sizeof(struct trim_step));
    for (uint32_t bin = PRUNE_HIGH_BINS; bin-- > 0;) {
        uint32_t n = 0;

        for (size_t bank = 0; bank < PRUNE_HIGH_BANKS; bank++) {
            n += high[bank * PRUNE_HIGH_BINS + bin];
        }
        if (n > 0) {
            counts->steps[counts->n_steps++] = (struct trim_step){.bits = bin, .n = n};
        }
    }
    counts->steps = mem_resize(counts->steps, counts->n_steps, sizeof(struct trim_step));
    free(high);
}

/* The left-th largest of those whose upper bits are high. *left becomes its place among those that
 * equal it, *equal their number. */
static uint32_t find_lower(const struct trim_delta *delta, uint32_t high, size_t *left,
                           size_t *equal)
{
    const struct prune_kernels *kernels = prune_kernels_for(isa_best());
    uint32_t *low = mem_array(PRUNE_LOW_BINS, sizeof(*low));
    uint32_t bin = PRUNE_LOW_BINS - 1;
    float d[TRIM_BLOCK];

    for (size_t at = 0; at < delta->n; at += TRIM_BLOCK) {
        trim_read(delta, at, block_size(delta, at), d);
        kernels->count_low(low, high, d, block_size(delta, at));
    }
    while (*left > low[bin]) {
        assert(bin > 0);
        *left -= low[bin--];
    }
    *equal = low[bin];
    free(low);
    return high << 16 | bin;
}

/* The element behind the count-th of those whose magnitude has these bits. */
static size_t find_cut(const struct trim_delta *delta, uint32_t bits, size_t count)
{
    size_t at = 0;

    for (;; at += TRIM_BLOCK) {
        assert(at < delta->n);
        size_t equal = count_equal(delta, at, block_size(delta, at), bits);
        if (equal >= count) {
            break;
        }
        count -= equal;
    }
    for (; count > 0; at++) {
        count -= count_equal(delta, at, 1, bits);
    }
    return at;
}

/* ---- the door ---- */

static void fill_counts(struct trim_counts *counts, const struct trim_delta *delta)
{
    struct table *table = mem_array(1, sizeof(*table));

    if (count_each(table, delta)) {
        keep_table(counts, table);
    } else {
        count_upper(counts, delta);
    }
    free(table);
}

static struct trim find(struct trim_counts *counts, const struct trim_delta *delta, size_t keep)
{
    struct trim found = {.cut = delta->n};
    size_t left = keep;
    size_t i = 0;

    if (counts->steps == NULL) {
        fill_counts(counts, delta);
    }
    while (left > counts->steps[i].n) {
        left -= counts->steps[i++].n;
        assert(i < counts->n_steps);
    }
    size_t equal = counts->steps[i].n;

    found.bits = counts->exact ? counts->steps[i].bits
                               : find_lower(delta, counts->steps[i].bits, &left, &equal);
    if (found.bits > 0 && left < equal) {
        found.cut = find_cut(delta, found.bits, left);
    }
    return found;
}

void trim_find(struct trim *out, struct trim_counts *counts, const struct trim_delta *delta,
               size_t keep)
{
    assert(keep >= 1 && keep <= delta->n && delta->n <= UINT32_MAX);
    for (size_t i = 0; i < TRIM_KNOWN; i++) {
        if (counts->known[i].keep == keep) {
            *out = counts->known[i].trim;
            return;
        }
    }
    *out = find(counts, delta, keep);
    memmove(&counts->known[1], &counts->known[0], (TRIM_KNOWN - 1) * sizeof(counts->known[0]));
    counts->known[0].keep = keep;
    counts->known[0].trim = *out;
}

static double sum_all(const struct trim_delta *delta)
{
    double sum = 0.0;

    for (size_t at = 0; at < delta->n; at += TRIM_BLOCK) {
        sum += trim_sum(delta, at, block_size(delta, at), NULL);
    }
    return sum;
}

double trim_magnitudes(struct trim_counts *counts, const struct trim_delta *delta)
{
    if (counts->magnitudes == 0.0) {
        counts->magnitudes = sum_all(delta);
    }
    return counts->magnitudes;
}

bool trim_is_finite(struct trim_counts *counts, const struct trim_delta *delta)
{
    if (counts->n_steps > 0) {
        return counts->steps[0].bits < (counts->exact ? 0x7f800000U : 0x7f80U);
    }
    return isfinite(trim_magnitudes(counts, delta));
}
