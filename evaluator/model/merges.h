/*
 * merges.h - which pairs of tokens become one, and which of them first.
 */
#ifndef MODEL_MERGES_H
#define MODEL_MERGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MERGES_MAX ((size_t)1 << 22)
#define MERGES_NONE UINT32_MAX

/* left, then right become merged: ids of the vocabulary. */
struct merge {
    uint32_t left, right, merged;
};

/* All zero holds none. The arrays may lie in a file (tokenizer_image.h). */
struct merges_view {
    const struct merge *all; /* [n] by rank */
    size_t n;
    const uint32_t *slots; /* [n_slots] hash table: 0, or rank + 1 below bits of the pair's hash */
    size_t n_slots;        /* a power of two, or 0 */
};

/* The hash table of merges [n], n <= MERGES_MAX; free() it. Of two equal pairs the later counts, as
 * in the reference. */
uint32_t *merges_index(const struct merge *all, size_t n, size_t *n_slots);

/* True when lookups stay inside the arrays and come to an end, and all ids are below n_ids. */
bool merges_sound(const struct merges_view *view, size_t n_ids);

/* The rank of a pair, or MERGES_NONE. */
uint32_t merges_find(const struct merges_view *view, uint32_t left, uint32_t right);

#endif
