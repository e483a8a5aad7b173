/*
 * weights.c - one candidate's weights in one block.
 *
 * The table of tensors (tensors.h) says which there are and how large. Their order in the block is
 * ours: pieces that one product reads stand together.
 *
 *   embedding | final norm | head | layer 0: input_norm  q k v  biases  o ... down | layer 1 ...
 *
 * Layers come last, so that a model of fewer has every tensor at the same place.
 *
 * Streamed, every stage begins at the front of the block, and a tied head stands there too.
 */
#include "evaluator/model/weights.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Pieces start at multiples of 64 bytes. */
#define PIECE_FLOATS ((size_t)16)

/* A layer's tensors in the order of the block; those that continue the piece before them stand
 * without a gap. */
static const struct {
    enum tensor_role role;
    bool continues;
} layer_order[] = {
    {TENSOR_INPUT_NORM, false},
    {TENSOR_QKV, false},
    {TENSOR_Q, false},
    {TENSOR_K, true},
    {TENSOR_V, true},
    {TENSOR_Q_BIAS, false},
    {TENSOR_K_BIAS, true},
    {TENSOR_V_BIAS, true},
    {TENSOR_Q_NORM, false},
    {TENSOR_K_NORM, false},
    {TENSOR_O, false},
    {TENSOR_O_BIAS, false},
    {TENSOR_ATTENTION_NORM, false},
    {TENSOR_MLP_NORM, false},
    {TENSOR_GATE_UP, false},
    {TENSOR_GATE, false},
    {TENSOR_UP, true},
    {TENSOR_GATE_BIAS, false},
    {TENSOR_UP_BIAS, true},
    {TENSOR_DOWN, false},
    {TENSOR_DOWN_BIAS, false},
    {TENSOR_MLP_OUT_NORM, false},
};

#define LAYER_ORDER (sizeof(layer_order) / sizeof(layer_order[0]))

/* What is in a block that a source fills. */
struct stages {
    struct weights_source source;
    bool streamed; /* one stage at a time, all in the same place */
    bool *present; /* [layers_max + 2] */
};

struct weights {
    struct config config;
    struct stages *stages; /* NULL: filled by hand */
    enum dtype matrices;   /* in which embedding and head are held */
    float *block;
    uint32_t layers_max;          /* that the block has room for */
    float **slots;                /* [layers_max + 1, TENSOR_ROLES]; the first row is of no layer */
    bool *filled;                 /* the same */
    struct weights_layer *layers; /* [layers_max] */
};

static size_t slot_index(enum tensor_role role, uint32_t layer)
{
    return (tensors_role_in_layer(role) ? (size_t)layer + 1 : 0) * TENSOR_ROLES + role;
}

/* Elements of a tensor; 0 when the model has none. */
static size_t count_elements(const struct config *config, enum tensor_role role, uint32_t layer)
{
    struct tensor_place place;
    char name[TENSORS_NAME_MAX];
    size_t n = 1;

    if (!tensors_name(config, role, layer, name)) {
        return 0;
    }
    tensors_find(config, name, &place);
    for (size_t i = 0; i < place.n_dims; i++) {
        bool fits = mem_multiply(n, place.dims[i], &n);

        assert(fits); /* config_parse bounds every size */
        (void)fits;
    }
    return n;
}

static bool is_stored(const struct weights *weights, enum tensor_role role)
{
    return weights->matrices != DTYPE_F32 && (role == TENSOR_EMBEDDING || role == TENSOR_HEAD);
}

/* Floats that n elements of a tensor take in the block. */
static size_t count_floats(const struct weights *weights, enum tensor_role role, size_t n)
{
    return is_stored(weights, role)
               ? (n * dtype_size(weights->matrices) + sizeof(float) - 1) / sizeof(float)
               : n;
}

/* Give a tensor its place at *at and move on; with no block yet, only count. */
static void place_tensor(struct weights *weights, enum tensor_role role, uint32_t layer,
                         bool continues, size_t *at)
{
    size_t n = count_elements(&weights->config, role, layer);

    if (!continues) {
        *at = (*at + PIECE_FLOATS - 1) / PIECE_FLOATS * PIECE_FLOATS;
    }
    if (n > 0 && weights->block != NULL) {
        weights->slots[slot_index(role, layer)] = weights->block + *at;
    }
    *at += count_floats(weights, role, n);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The whole block; returns its floats. */
static size_t lay_out(struct weights *weights)
{
    const struct config *config = &weights->config;
    const bool streamed = weights->stages != NULL && weights->stages->streamed;
    size_t at = 0;

    place_tensor(weights, TENSOR_EMBEDDING, 0, false, &at);
    size_t largest = at;

    if (streamed && !config->tied) {
        at = 0;
    }
    place_tensor(weights, TENSOR_FINAL_NORM, 0, false, &at);
    place_tensor(weights, TENSOR_HEAD, 0, false, &at);
    largest = larger(largest, at);
    for (uint32_t layer = 0; layer < config->n_layers; layer++) {
        at = streamed ? 0 : at;
        for (size_t i = 0; i < LAYER_ORDER; i++) {
            place_tensor(weights, layer_order[i].role, layer, layer_order[i].continues, &at);
        }
        largest = larger(largest, at);
    }
    return largest;
}

size_t weights_bytes(const struct config *config)
{
    struct weights counted = {.config = *config, .matrices = DTYPE_F32};

    return lay_out(&counted) * sizeof(float);
}

size_t weights_bytes_streamed(const struct config *config, enum dtype matrices)
{
    struct stages stages = {.streamed = true};
    struct weights counted = {.config = *config, .stages = &stages, .matrices = matrices};

    return lay_out(&counted) * sizeof(float);
}

static const float *piece(const struct weights *weights, enum tensor_role role, uint32_t layer)
{
    return weights->slots[slot_index(role, layer)];
}

/* Where two roles share a place, the one that the model has. */
static const float *either(const struct weights *weights, enum tensor_role fused,
                           enum tensor_role first, uint32_t layer)
{
    return piece(weights, weights->config.fused ? fused : first, layer);
}

static void bind_layer(struct weights *weights, uint32_t layer)
{
    weights->layers[layer] = (struct weights_layer){
        .input_norm = piece(weights, TENSOR_INPUT_NORM, layer),
        .qkv = either(weights, TENSOR_QKV, TENSOR_Q, layer),
        .qkv_bias = piece(weights, TENSOR_Q_BIAS, layer),
        .q_norm = piece(weights, TENSOR_Q_NORM, layer),
        .k_norm = piece(weights, TENSOR_K_NORM, layer),
        .o = piece(weights, TENSOR_O, layer),
        .o_bias = piece(weights, TENSOR_O_BIAS, layer),
        .attention_norm = piece(weights, TENSOR_ATTENTION_NORM, layer),
        .mlp_norm = piece(weights, TENSOR_MLP_NORM, layer),
        .gate_up = either(weights, TENSOR_GATE_UP, TENSOR_GATE, layer),
        .gate_up_bias = piece(weights, TENSOR_GATE_BIAS, layer),
        .down = piece(weights, TENSOR_DOWN, layer),
        .down_bias = piece(weights, TENSOR_DOWN_BIAS, layer),
        .mlp_out_norm = piece(weights, TENSOR_MLP_OUT_NORM, layer),
    };
}

/* stages NULL: none; else copied. */
static int make_weights(struct weights **out, const struct config *config,
                        const struct stages *stages, enum dtype matrices, struct err *err)
{
    int rc = config_runnable(config, err);

    if (rc != 0) {
        return err_wrap(err, "%s", config->architecture);
    }
    struct weights *weights = mem_array(1, sizeof(*weights));
    size_t n_slots = ((size_t)config->n_layers + 1) * TENSOR_ROLES;

    weights->config = *config;
    weights->layers_max = config->n_layers;
    weights->matrices = matrices;
    if (stages != NULL) {
        weights->stages = mem_array(1, sizeof(struct stages));
        *weights->stages = *stages;
        weights->stages->present = mem_array((size_t)config->n_layers + 2, sizeof(bool));
    }
    weights->slots = mem_array(n_slots, sizeof(float *));
    weights->filled = mem_array(n_slots, sizeof(bool));
    weights->layers = mem_array(config->n_layers, sizeof(struct weights_layer));
    weights->block = mem_try_block(lay_out(weights), sizeof(float), "weights of a candidate", err);
    if (weights->block == NULL) {
        weights_free(weights);
        return ERR_MEMORY;
    }
    lay_out(weights);
    for (uint32_t layer = 0; layer < config->n_layers; layer++) {
        bind_layer(weights, layer);
    }
    *out = weights;
    return 0;
}

int weights_new(struct weights **out, const struct config *config, struct err *err)
{
    return make_weights(out, config, NULL, DTYPE_F32, err);
}

int weights_new_streamed(struct weights **out, const struct config *config, enum dtype matrices,
                         const struct weights_source *source, struct err *err)
{
    return make_weights(out, config, &(struct stages){.source = *source, .streamed = true},
                        matrices, err);
}

int weights_new_staged(struct weights **out, const struct config *config,
                       const struct weights_source *source, struct err *err)
{
    return make_weights(out, config, &(struct stages){.source = *source}, DTYPE_F32, err);
}

void weights_free(struct weights *weights)
{
    if (weights != NULL) {
        if (weights->stages != NULL) {
            free(weights->stages->present);
            free(weights->stages);
        }
        free(weights->block);
        free(weights->slots);
        free(weights->filled);
        free(weights->layers);
        free(weights);
    }
}

float *weights_slot(struct weights *weights, enum tensor_role role, uint32_t layer)
{
    if (role == TENSOR_UNKNOWN || layer >= weights->config.n_layers || is_stored(weights, role)) {
        return NULL;
    }
    size_t i = slot_index(role, layer);

    weights->filled[i] = true;
    return weights->slots[i];
}

void *weights_store(struct weights *weights, enum tensor_role role)
{
    size_t i = slot_index(role, 0);

    if (!is_stored(weights, role)) {
        return NULL;
    }
    weights->filled[i] = true;
    return weights->slots[i];
}

/* The first slot in [from, to) that nobody asked for is an error; all count as unfilled afterwards.
 */
static int check_filled(const struct weights *weights, size_t from, size_t to, struct err *err)
{
    int rc = 0;

    for (size_t i = from; i < to; i++) {
        if (rc == 0 && weights->slots[i] != NULL && !weights->filled[i]) {
            char name[TENSORS_NAME_MAX];

            tensors_name(&weights->config, (enum tensor_role)(i % TENSOR_ROLES),
                         (uint32_t)(i < TENSOR_ROLES ? 0 : i / TENSOR_ROLES - 1), name);
            rc = err_set(err, ERR_MISSING, "candidate: no values for tensor %s", name);
        }
        weights->filled[i] = false;
    }
    return rc;
}

int weights_bind(struct weights *weights, struct err *err)
{
    return check_filled(weights, 0, ((size_t)weights->config.n_layers + 1) * TENSOR_ROLES, err);
}

/* ---- stages ---- */

bool weights_in_stage(const struct config *config, enum tensor_role role, uint32_t layer,
                      uint32_t stage)
{
    if (stage > 0 && stage <= config->n_layers) {
        return tensors_role_in_layer(role) && layer + 1 == stage;
    }
    if (role == TENSOR_EMBEDDING) {
        return stage == 0 || config->tied;
    }
    return stage > 0 && !tensors_role_in_layer(role);
}

static int check_stage(const struct weights *weights, uint32_t stage, struct err *err)
{
    const struct config *config = &weights->config;
    int rc = 0;

    for (int role = 0; role < (int)TENSOR_ROLES && rc == 0; role++) {
        uint32_t layer = stage > 0 && stage <= config->n_layers ? stage - 1 : 0;
        size_t i = slot_index((enum tensor_role)role, layer);

        if (weights_in_stage(config, (enum tensor_role)role, layer, stage)) {
            rc = check_filled(weights, i, i + 1, err);
        }
    }
    return rc;
}

static void forget_stages(const struct weights *weights)
{
    memset(weights->stages->present, 0, ((size_t)weights->layers_max + 2) * sizeof(bool));
}

int weights_stage(const struct weights *weights, uint32_t stage, struct err *err)
{
    const struct stages *stages = weights->stages;

    if (stages == NULL || stages->present[stage]) {
        return 0;
    }
    if (stages->streamed) {
        forget_stages(weights);
    }
    int rc = stages->source.fill(stages->source.context, stage, err);
    if (rc == 0) {
        rc = check_stage(weights, stage, err);
    }
    stages->present[stage] = rc == 0;
    return rc;
}

void weights_renew(struct weights *weights)
{
    if (weights->stages != NULL) {
        forget_stages(weights);
    }
}

bool weights_adopt(struct weights *weights, const struct config *config)
{
    if (config->n_layers > weights->layers_max ||
        !config_equal_but_layers(&weights->config, config)) {
        return false;
    }
    weights->config = *config;
    weights_renew(weights);
    return true;
}

uint32_t weights_layers_max(const struct weights *weights)
{
    return weights->layers_max;
}

int weights_load(struct weights *weights, const struct checkpoint *checkpoint, struct err *err)
{
    for (size_t i = 0; i < checkpoint_count(checkpoint); i++) {
        const struct checkpoint_tensor *tensor = checkpoint_at(checkpoint, i);

        if (tensor->role == TENSOR_UNKNOWN) {
            continue; /* beside the text model */
        }
        float *slot = weights_slot(weights, tensor->role, tensor->depth);

        if (slot == NULL ||
            tensor->n_elements != count_elements(&weights->config, tensor->role, tensor->depth)) {
            return err_set(err, ERR_CONFLICT, "%s: tensor %s does not fit the candidate's shape",
                           checkpoint_folder(checkpoint), tensor->name);
        }
        dtype_to_f32(slot, tensor->data, tensor->dtype, tensor->n_elements);
    }
    return weights_bind(weights, err);
}

const struct config *weights_config(const struct weights *weights)
{
    return &weights->config;
}

const struct weights_layer *weights_layer(const struct weights *weights, uint32_t layer)
{
    assert(layer < weights->config.n_layers);
    return &weights->layers[layer];
}

const float *weights_final_norm(const struct weights *weights)
{
    return piece(weights, TENSOR_FINAL_NORM, 0);
}

static const float *rows(const struct weights *weights, enum tensor_role role, size_t first,
                         size_t n, float *scratch)
{
    size_t d = weights->config.width;
    const float *matrix = piece(weights, role, 0);

    if (!is_stored(weights, role)) {
        return matrix + first * d;
    }
    const unsigned char *stored = (const unsigned char *)matrix;

    dtype_to_f32(scratch, stored + first * d * dtype_size(weights->matrices), weights->matrices,
                 n * d);
    return scratch;
}

const float *weights_embedding_rows(const struct weights *weights, size_t first, size_t n,
                                    float *scratch)
{
    return rows(weights, TENSOR_EMBEDDING, first, n, scratch);
}

const float *weights_head_rows(const struct weights *weights, size_t first, size_t n,
                               float *scratch)
{
    return rows(weights, weights->config.tied ? TENSOR_EMBEDDING : TENSOR_HEAD, first, n, scratch);
}
