/*
 * mergekit_internal.h - a recipe at work: what the files that make its plan share. Inside this room
 * only: the door is mergekit_plan.h.
 *
 *   mergekit_plan.c          slices to tensors
 *   mergekit_inputs.c        a tensor's inputs: found, made to fit each other, their types
 *   mergekit_parameters.c    its parameters: settings to numbers
 */
#ifndef MERGE_MERGEKIT_INTERNAL_H
#define MERGE_MERGEKIT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "evaluator/merge/layers.h"
#include "evaluator/merge/mergekit_plan.h"

/* Inputs of different shapes: refused; embeddings cut to what all have; cut to the base's shape,
 * and inputs whose other tensors differ left out. */
enum sizes { SIZES_EQUAL, SIZES_COMMON, SIZES_BASE };

/* What differs between methods, beside their arithmetic. */
struct manner {
    const char *method;
    enum sizes sizes;
    const char *required; /* the parameter without a default, or NULL */
};

struct maker {
    const struct mergekit_recipe *recipe;
    const struct manner *manner;
    struct layers *models; /* [recipe's models] */
    struct plan *plan;
    size_t capacity; /* of the plan's tensors */
    uint32_t n_layers;
    uint32_t *layers; /* [n_layers], the number each has in the donor, or in its slice's first */
    uint64_t sliding[CONFIG_LAYERS_MAX / 64]; /* of these, as in struct config */
    bool has_head;
    size_t vocab; /* rows of the embedding; 0: not known */
    struct text *warnings;
    struct err *err;
};

/* One input of the tensor at work. */
struct input {
    size_t source; /* in the slice */
    char *name;    /* what filters look into: the tensor's own name in that model */
    const struct checkpoint_tensor *tensor;
};

/* The tensor at work. */
struct work {
    const struct mergekit_slice *slice;
    const struct layers_entry *like;
    uint32_t layer;  /* of the output */
    double position; /* on schedules */
    char *name;      /* of the output */
    size_t n_inputs;
    struct input inputs[METHOD_SOURCES_MAX + 1];
    size_t base; /* among inputs, or SIZE_MAX */
};

/* ---- mergekit_inputs.c; errors go to the maker's ---- */

/* A tensor that a model may lack: the head, which a tied model has in its embedding. */
bool mergekit_is_optional(const struct layers_entry *like);

/* A matrix with a row for each token. */
bool mergekit_is_embedding(const struct layers_entry *like);

/* Add the input that one source of the slice gives, from its layer; a model may give none. */
int mergekit_add_input(const struct maker *maker, struct work *work, size_t source, uint32_t layer);

/* Make the shapes agree: embeddings aligned with the plan's vocabulary or cut, other inputs left
 * out where the method can do without; ERR_CONFLICT where it cannot. */
int mergekit_fit_shapes(const struct maker *maker, struct work *work);

/* The types of arithmetic and storage. */
void mergekit_set_types(const struct maker *maker, const struct work *work,
                        struct plan_tensor *out);

/* ---- mergekit_parameters.c ---- */

/* Of a method without a row of its own: nothing is cut, every parameter has a default. */
const struct manner *mergekit_manner_of(const struct method *method);

/* True when the base is not one of the sources but stands beside them. */
bool mergekit_takes_base(const struct method *method);

/* Every parameter of the tensor. ERR_MISSING: one without a default that no level gives. */
int mergekit_set_parameters(const struct maker *maker, const struct work *work,
                            struct plan_tensor *out);

/* How messages call a source's model. */
const char *mergekit_source_name(const struct maker *maker, const struct mergekit_slice *slice,
                                 size_t source);

#endif
