/*
 * weights.h - one candidate's weights as the forward pass reads them.
 *
 * In one block that is taken once and filled again for every candidate. Vectors are floats.
 * Matrices are in the order of the products that read them (gemm_pack): whoever blends pours them
 * in as they are in the file, [outputs, inputs], and they are packed on the way, out of the caches.
 * q, k and v stand in one piece so that one product makes all three, and so do gate and up.
 *
 *   struct weights *weights = NULL;
 *   int rc = weights_new(&weights, config, err);
 *   ... for each tensor: weights_fill(weights, role, layer, values, dtype)
 *   rc = weights_bind(weights, err);
 *   forward_score(forward, weights, ...);
 *
 * Or streamed, for models that do not fit: the block holds one stage at a time, which the forward
 * pass asks for and a source fills. Slots of all stages are then the same memory.
 *
 *   stage 0            the embedding
 *   stage 1 .. L       a layer each
 *   stage L + 1        final norm and head (the embedding again when tied)
 *
 * Some may stay in the type they are stored in: an embedding that is not the head too, of which
 * few rows are read, and both when streamed, since they are the largest.
 */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/checkpoint.h"
#include "evaluator/model/config.h"
#include "evaluator/model/gemm.h"
#include "evaluator/model/tensors.h"

/* D width, Q = H K of all query heads, E = G K of all key/value heads, F MLP width, V vocabulary.
 * Biases and norms that the model does not have are NULL. Matrices are packed. */
struct weights_layer {
    const float *input_norm;             /* [D] */
    const float *qkv, *qkv_bias;         /* [Q + 2 E, D], [Q + 2 E] */
    const float *q_norm, *k_norm;        /* [K] */
    const float *o, *o_bias;             /* [D, Q], [D] */
    const float *attention_norm;         /* [D], of what o gives */
    const float *mlp_norm;               /* [D] */
    const float *gate_up, *gate_up_bias; /* [2 F, D], [2 F] */
    const float *down, *down_bias;       /* [D, F], [D] */
    const float *mlp_out_norm;           /* [D], of what down gives */
};

struct weights;

/* How matrices are held. */
struct weights_form {
    struct gemm_kind kind; /* of products that read them */
    enum dtype stored;     /* of those that stay in the type they are stored in; F32: none does */
};

/* Values are not set. ERR_FORMAT when the model cannot be run (config_runnable), ERR_MEMORY. */
int weights_new(struct weights **out, const struct config *config, struct err *err); /* floats */
int weights_new_on(struct weights **out, const struct config *config, struct gemm_kind kind,
                   struct err *err);
void weights_free(struct weights *weights); /* NULL is fine */

/* Who fills stages: every tensor of the stage (weights_in_stage), in any of the ways below. context
 * is lent until weights_free. */
struct weights_source {
    int (*fill)(void *context, uint32_t stage, struct err *err);
    void *context;
};

/* The same in the memory of the largest stage; source is copied. There is nothing to bind. */
int weights_new_streamed(struct weights **out, const struct config *config,
                         struct weights_form form, const struct weights_source *source,
                         struct err *err);

/* All stages beside each other, each filled when it is first asked for. */
int weights_new_staged(struct weights **out, const struct config *config, struct weights_form form,
                       const struct weights_source *source, struct err *err);

/* Bytes that they take, whole and streamed. */
size_t weights_bytes(const struct config *config, struct weights_form form);
size_t weights_bytes_streamed(const struct config *config, struct weights_form form);

/* True when a tensor belongs to a stage; the embedding of a tied model does to two. */
bool weights_in_stage(const struct config *config, enum tensor_role role, uint32_t layer,
                      uint32_t stage);

/* Make a stage present: streamed, for as long as no other is asked for. Weights without a source
 * have them all. Errors are the source's, and ERR_MISSING for a tensor that it did not fill. */
int weights_stage(const struct weights *weights, uint32_t stage, struct err *err);

/* Forget which stages are present: the next candidate's are others. */
void weights_renew(struct weights *weights);

/* Be the weights of a model with other layers, fewer or as many, and the same in all else: true,
 * and every tensor stays where it was. False, and nothing changes, when it is another. */
bool weights_adopt(struct weights *weights, const struct config *config);

/* The layers that there is room for. */
uint32_t weights_layers_max(const struct weights *weights);

/* A whole tensor from values of a type, in the file's order; false when the model has none such.
 * For weights that hold nothing as it is stored. It counts as filled until the next weights_bind.
 */
bool weights_fill(struct weights *weights, enum tensor_role role, uint32_t layer,
                  const void *values, enum dtype dtype);

/* The same piece by piece. True when the tensor is a matrix that is packed: then weights_pour takes
 * its next n values, until it has all. */
bool weights_begin(struct weights *weights, enum tensor_role role, uint32_t layer);
void weights_pour(struct weights *weights, const void *values, enum dtype dtype, size_t n);

/* Where the floats of one go that is not packed, in the file's order; NULL when the model has no
 * such tensor, packs it, or holds it as it is stored. It counts as filled. */
float *weights_slot(struct weights *weights, enum tensor_role role, uint32_t layer);

/* The same for its stored bytes, where it is held in a type that is not F32; else NULL. */
void *weights_store(struct weights *weights, enum tensor_role role);

/* It counts as filled with what it has. */
void weights_retain(struct weights *weights, enum tensor_role role, uint32_t layer);

/* The candidate is complete: ERR_MISSING names a tensor that nobody filled since the last
 * weights_bind. Every one counts as unfilled afterwards. */
int weights_bind(struct weights *weights, struct err *err);

/* Fill all from one checkpoint of the same shape, and bind: how a parent is measured. */
int weights_load(struct weights *weights, const struct checkpoint *checkpoint, struct err *err);

/* Lent, valid until weights_free; values are those of the stage that is present. */
const struct config *weights_config(const struct weights *weights);
struct gemm_kind weights_kind(const struct weights *weights);
const struct weights_layer *weights_layer(const struct weights *weights, uint32_t layer);
const float *weights_final_norm(const struct weights *weights); /* [D] */

/* A row [D] of the embedding [V, D]: where it lies, or made in scratch. */
const float *weights_embedding_row(const struct weights *weights, size_t row, float *scratch);

/* Rows [first, first + n) of the head [V, D], which is the embedding when tied, packed: where they
 * lie, or made in packed, room for so many, by way of rows [n, D]. first is a multiple of
 * GEMM_PANEL. */
const float *weights_head_rows(const struct weights *weights, size_t first, size_t n, float *packed,
                               float *rows);

#endif
