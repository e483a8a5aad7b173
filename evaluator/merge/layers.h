/*
 * layers.h - a checkpoint's tensors by their place: before the layers, in a layer, after them.
 *
 * Recipes that cut models into layers and stack them anew ask for "the tensors of layer 5", and put
 * them under the names of another layer. A name is kept as a stem with a hole for the number:
 *
 *   model.layers.5.mlp.up_proj.weight  ->  "model.layers." 5 ".mlp.up_proj.weight"
 */
#ifndef MERGE_LAYERS_H
#define MERGE_LAYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "evaluator/model/checkpoint.h"

enum layers_place { LAYERS_BEFORE, LAYERS_IN, LAYERS_AFTER };

struct layers_entry {
    enum layers_place place;
    uint32_t layer;   /* 0 unless LAYERS_IN */
    size_t n_head;    /* bytes of the name before the number; all of them unless LAYERS_IN */
    const char *tail; /* of the name behind the number, "" unless LAYERS_IN */
    const struct checkpoint_tensor *tensor;
};

struct layers {
    const struct checkpoint *checkpoint;
    size_t n_entries;
    struct layers_entry *entries; /* by place, layer, stem */
    uint32_t n_layers;            /* of the config */
    uint32_t n_stacked;           /* of the longest stack, if there are others */
    size_t n_stacks;              /* different heads of names: 1 for a plain decoder */
};

/* The checkpoint outlives the list. */
void layers_init(struct layers *out, const struct checkpoint *checkpoint);
void layers_release(struct layers *layers);

/* The entries of a place, [*n]; layer is ignored unless LAYERS_IN. */
const struct layers_entry *layers_at(const struct layers *layers, enum layers_place place,
                                     uint32_t layer, size_t *n);

/* The entry at that place whose stem is like's, or NULL. */
const struct layers_entry *layers_like(const struct layers *layers, const struct layers_entry *like,
                                       uint32_t layer);

/* How many layers the stack of this entry has. */
uint32_t layers_in_stack(const struct layers *layers, const struct layers_entry *entry);

/* The embedding, or NULL. */
const struct checkpoint_tensor *layers_embedding(const struct layers *layers);

/* The name of an entry in another layer; free() it. */
char *layers_name(const struct layers_entry *entry, uint32_t layer);

#endif
