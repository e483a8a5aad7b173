/*
 * layers.c - a checkpoint's tensors by their place.
 */
#include "evaluator/merge/layers.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The first part of the name, between dots, that is this number; NULL when there is none. */
static const char *find_number(const char *name, uint32_t layer, const char **behind)
{
    for (const char *at = name; at != NULL; at = strchr(at, '.')) {
        char *end;

        at += at != name;
        if (isdigit((unsigned char)*at) && strtoul(at, &end, 10) == layer &&
            (*end == '.' || *end == '\0')) {
            *behind = end;
            return at;
        }
    }
    return NULL;
}

static void place_entry(const struct config *config, struct layers_entry *entry)
{
    const char *name = entry->tensor->name;
    struct tensor_place place;
    const char *number = NULL;

    if (!tensors_place(config, name, &place)) {
        tensors_guess(config, name, &place);
    }
    entry->n_head = strlen(name);
    entry->tail = name + entry->n_head;
    if (place.in_layer && (number = find_number(name, place.layer, &entry->tail)) != NULL) {
        entry->place = LAYERS_IN;
        entry->layer = place.layer;
        entry->n_head = (size_t)(number - name);
    } else if (place.part == TENSOR_PART_FINAL_NORM || place.part == TENSOR_PART_HEAD) {
        entry->place = LAYERS_AFTER;
    }
}

static int compare_heads(const struct layers_entry *a, const struct layers_entry *b)
{
    size_t n = a->n_head < b->n_head ? a->n_head : b->n_head;
    int order = memcmp(a->tensor->name, b->tensor->name, n);

    return order != 0 ? order : (a->n_head > b->n_head) - (a->n_head < b->n_head);
}

static int compare_stems(const struct layers_entry *a, const struct layers_entry *b)
{
    int order = compare_heads(a, b);

    return order != 0 ? order : strcmp(a->tail, b->tail);
}

static int compare_places(const struct layers_entry *a, enum layers_place place, uint32_t layer)
{
    return a->place != place ? (a->place > place) - (a->place < place)
                             : (a->layer > layer) - (a->layer < layer);
}

static int by_place(const void *a, const void *b)
{
    const struct layers_entry *right = b;
    int order = compare_places(a, right->place, right->layer);

    return order != 0 ? order : compare_stems(a, right);
}

/* Different heads of names in layers, and the layers of the longest. */
static void count_stacks(struct layers *layers)
{
    const struct layers_entry *first = NULL;

    layers->n_stacked = layers->n_layers;
    for (size_t i = 0; i < layers->n_entries; i++) {
        const struct layers_entry *entry = &layers->entries[i];

        if (entry->place != LAYERS_IN) {
            continue;
        }
        first = first == NULL ? entry : first;
        layers->n_stacks = layers->n_stacks == 0 ? 1 : layers->n_stacks;
        if (compare_heads(entry, first) != 0) {
            layers->n_stacks = 2; /* or more: which is all the same */
        }
        if (entry->layer >= layers->n_stacked) {
            layers->n_stacked = entry->layer + 1;
        }
    }
}

void layers_init(struct layers *out, const struct checkpoint *checkpoint)
{
    const struct config *config = checkpoint_config(checkpoint);
    size_t n = checkpoint_count(checkpoint);

    *out = (struct layers){.checkpoint = checkpoint,
                           .n_entries = n,
                           .entries = mem_array(n, sizeof(struct layers_entry)),
                           .n_layers = config->n_layers};
    for (size_t i = 0; i < n; i++) {
        out->entries[i].tensor = checkpoint_at(checkpoint, i);
        place_entry(config, &out->entries[i]);
    }
    if (n > 0) {
        qsort(out->entries, n, sizeof(struct layers_entry), by_place);
    }
    count_stacks(out);
}

void layers_release(struct layers *layers)
{
    free(layers->entries);
    *layers = (struct layers){0};
}

/* The first entry that does not come before the place, or before the stem in it. */
static size_t lower_bound(const struct layers *layers, enum layers_place place, uint32_t layer,
                          const struct layers_entry *stem)
{
    size_t low = 0;
    size_t high = layers->n_entries;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct layers_entry *entry = &layers->entries[middle];
        int order = compare_places(entry, place, layer);

        if (order < 0 || (order == 0 && stem != NULL && compare_stems(entry, stem) < 0)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct layers_entry *layers_at(const struct layers *layers, enum layers_place place,
                                     uint32_t layer, size_t *n)
{
    layer = place == LAYERS_IN ? layer : 0;
    size_t first = lower_bound(layers, place, layer, NULL);
    size_t end = first;

    while (end < layers->n_entries && compare_places(&layers->entries[end], place, layer) == 0) {
        end++;
    }
    *n = end - first;
    return layers->entries + first;
}

const struct layers_entry *layers_like(const struct layers *layers, const struct layers_entry *like,
                                       uint32_t layer)
{
    layer = like->place == LAYERS_IN ? layer : 0;
    size_t at = lower_bound(layers, like->place, layer, like);
    const struct layers_entry *entry = &layers->entries[at];

    if (at == layers->n_entries || compare_places(entry, like->place, layer) != 0 ||
        compare_stems(entry, like) != 0) {
        return NULL;
    }
    return entry;
}

uint32_t layers_in_stack(const struct layers *layers, const struct layers_entry *entry)
{
    uint32_t n = 0;

    if (layers->n_stacks <= 1) {
        return layers->n_layers;
    }
    for (size_t i = 0; i < layers->n_entries; i++) {
        const struct layers_entry *other = &layers->entries[i];

        if (other->place == LAYERS_IN && other->layer >= n && compare_heads(other, entry) == 0) {
            n = other->layer + 1;
        }
    }
    return n;
}

const struct checkpoint_tensor *layers_embedding(const struct layers *layers)
{
    size_t n;
    const struct layers_entry *before = layers_at(layers, LAYERS_BEFORE, 0, &n);

    for (size_t i = 0; i < n; i++) {
        if (before[i].tensor->part == TENSOR_PART_EMBEDDINGS && before[i].tensor->n_dims == 2) {
            return before[i].tensor;
        }
    }
    return NULL;
}

char *layers_name(const struct layers_entry *entry, uint32_t layer)
{
    if (entry->place != LAYERS_IN) {
        return mem_text(entry->tensor->name);
    }
    return mem_printf("%.*s%u%s", (int)entry->n_head, entry->tensor->name, layer, entry->tail);
}
