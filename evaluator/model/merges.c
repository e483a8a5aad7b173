/*
 * merges.c - a list by rank, and a hash table of pairs.
 *
 *   slot    | 9 bits of the hash | 23 bits: rank + 1 |
 *
 * Most pairs asked for do not merge: the bits of the hash say so without a look at the list.
 */
#include "evaluator/model/merges.h"

#include "base/mem.h"

#define SLOT_RANK_BITS 23 /* MERGES_MAX and 0 for an empty slot */
#define SLOT_RANK_MASK ((UINT32_C(1) << SLOT_RANK_BITS) - 1)

/* The slot that holds the pair, or the empty one where it belongs. *tag: the bits kept in it. */
static size_t slot_of(const struct merges_view *view, uint32_t left, uint32_t right, uint32_t *tag)
{
    const size_t mask = view->n_slots - 1;
    const uint64_t hash = ((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u;
    size_t slot = (size_t)(hash ^ hash >> 29) & mask;

    *tag = (uint32_t)(hash >> 32) & ~SLOT_RANK_MASK;
    for (; view->slots[slot] != 0; slot = (slot + 1) & mask) {
        if ((view->slots[slot] & ~SLOT_RANK_MASK) != *tag) {
            continue;
        }
        const struct merge *merge = &view->all[(view->slots[slot] & SLOT_RANK_MASK) - 1];

        if (merge->left == left && merge->right == right) {
            break;
        }
    }
    return slot;
}

uint32_t *merges_index(const struct merge *all, size_t n, size_t *n_slots)
{
    struct merges_view view = {.all = all, .n = n, .n_slots = 16};

    while (view.n_slots < n + n / 2) { /* at most two thirds full */
        view.n_slots *= 2;
    }
    uint32_t *slots = mem_array(view.n_slots, sizeof *slots);

    view.slots = slots;
    for (uint32_t rank = 0; rank < n; rank++) {
        uint32_t tag = 0;
        const size_t slot = slot_of(&view, all[rank].left, all[rank].right, &tag);

        slots[slot] = tag | (rank + 1);
    }
    *n_slots = view.n_slots;
    return slots;
}

bool merges_sound(const struct merges_view *view, size_t n_ids)
{
    size_t empty = 0;

    if ((view->n_slots & (view->n_slots - 1)) != 0 || view->n > MERGES_MAX) {
        return false;
    }
    for (size_t rank = 0; rank < view->n; rank++) {
        const struct merge *merge = &view->all[rank];

        if (merge->left >= n_ids || merge->right >= n_ids || merge->merged >= n_ids) {
            return false;
        }
    }
    for (size_t i = 0; i < view->n_slots; i++) {
        const uint32_t next = view->slots[i] & SLOT_RANK_MASK; /* rank + 1 */

        empty += view->slots[i] == 0;
        if (next > view->n || (next == 0) != (view->slots[i] == 0)) {
            return false;
        }
    }
    return view->n_slots == 0 || empty > 0;
}

uint32_t merges_find(const struct merges_view *view, uint32_t left, uint32_t right)
{
    uint32_t tag = 0;

    if (view->n_slots == 0) {
        return MERGES_NONE;
    }
    const uint32_t found = view->slots[slot_of(view, left, right, &tag)];

    return found == 0 ? MERGES_NONE : (found & SLOT_RANK_MASK) - 1;
}
