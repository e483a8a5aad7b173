/*
 * tensors.h - which tensors a model of a family has: name, shape, place.
 *
 * One table (tensors.c) drives checking a checkpoint, binding it to the forward pass, grouping its
 * tensors for a recipe and ordering an export. Shapes are [outputs, inputs], as stored. Names of
 * layers are written with their index, "model.layers.3.mlp.up_proj.weight"; where a text model is a
 * part of a larger one, "model." is longer (enum config_nesting).
 */
#ifndef MODEL_TENSORS_H
#define MODEL_TENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "evaluator/model/config.h"

#define TENSORS_NAME_MAX 512 /* bytes of a tensor's name, terminator included */
#define TENSORS_DIMS_MAX 8

/* What a tensor does. Those from INPUT_NORM to MLP_OUT_NORM occur once a layer. */
enum tensor_role {
    TENSOR_EMBEDDING,
    TENSOR_INPUT_NORM,
    TENSOR_QKV, /* the three in one */
    TENSOR_Q,
    TENSOR_Q_BIAS,
    TENSOR_K,
    TENSOR_K_BIAS,
    TENSOR_V,
    TENSOR_V_BIAS,
    TENSOR_Q_NORM, /* of every head of queries */
    TENSOR_K_NORM, /* of every head of keys */
    TENSOR_O,
    TENSOR_O_BIAS,
    TENSOR_ATTENTION_NORM, /* of attention's output */
    TENSOR_MLP_NORM,       /* of the MLP's input */
    TENSOR_GATE_UP,        /* the two in one */
    TENSOR_GATE,
    TENSOR_GATE_BIAS,
    TENSOR_UP,
    TENSOR_UP_BIAS,
    TENSOR_DOWN,
    TENSOR_DOWN_BIAS,
    TENSOR_MLP_OUT_NORM, /* of the MLP's output */
    TENSOR_FINAL_NORM,
    TENSOR_HEAD,
    TENSOR_UNKNOWN /* no row of the table: a family we do not know, or an image tower */
};

#define TENSOR_ROLES ((size_t)TENSOR_UNKNOWN)

static inline bool tensors_role_in_layer(enum tensor_role role)
{
    return role >= TENSOR_INPUT_NORM && role <= TENSOR_MLP_OUT_NORM;
}

/* The part of a model a tensor belongs to; a recipe's components select by it. Same order as enum
 * recipe_component. */
enum tensor_part {
    TENSOR_PART_EMBEDDINGS,
    TENSOR_PART_ATTENTION,
    TENSOR_PART_MLP,
    TENSOR_PART_NORM,
    TENSOR_PART_FINAL_NORM,
    TENSOR_PART_HEAD
};

/* A tensor's place in a model. */
struct tensor_place {
    char name[TENSORS_NAME_MAX];
    enum tensor_role role;
    enum tensor_part part;
    bool in_layer;
    uint32_t layer; /* 0 when not in a layer */
    uint32_t depth; /* layer; 0 for the embedding, n_layers - 1 for final norm and head */
    size_t n_dims;
    size_t dims[TENSORS_DIMS_MAX];
};

/* How many tensors a model of a known family has (0 for CONFIG_OTHER); the i-th in forward order:
 * embedding, layer by layer, final norm, head. What the config says is not there is not counted: a
 * tied head, biases, a family's own norms. */
size_t tensors_count(const struct config *config);
void tensors_at(const struct config *config, size_t i, struct tensor_place *out);

/* The place of a name; false when the model has no such tensor. */
bool tensors_find(const struct config *config, const char *name, struct tensor_place *out);

/* The name of a role in a layer (ignored when the role is not a layer's); false when the model has
 * no such tensor. */
bool tensors_name(const struct config *config, enum tensor_role role, uint32_t layer,
                  char out[TENSORS_NAME_MAX]);

/* The place of any tensor that a model may hold: its own of a family, the best guess of another,
 * and what stands beside a nested text model in no layer. False for a name that no model of the
 * family has. */
bool tensors_place(const struct config *config, const char *name, struct tensor_place *out);

/* True for tensors that some files hold and nobody reads: old rotary buffers, the head of a tied
 * model. */
bool tensors_ignored(const struct config *config, const char *name);

/*
 * The best that can be said of a name when the family is unknown: the layer is the number after
 * "layers.", "h.", "blocks." or "block."; the part follows from the words attn, mlp, norm, embed,
 * lm_head. dims are left empty.
 */
void tensors_guess(const struct config *config, const char *name, struct tensor_place *out);

#endif
