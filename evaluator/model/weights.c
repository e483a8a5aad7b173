/*
 * weights.c - one candidate's weights in one block.
 *
 * The table of tensors (tensors.h) says which there are and how large. Their order in the block is
 * ours: what one product reads is one piece.
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

/* Where a tensor is: a vector, or what is held as it is stored, at `at`; a matrix in the packed
 * piece that begins there, from its output `first` on. */
struct slot {
    float *at; /* NULL: the model has no such tensor */
    size_t first;
    bool filled;
};

/* The outputs of a matrix that wait until they make a panel, and where they belong. */
struct desk {
    float *values; /* [GEMM_PANEL, largest number of inputs] */
    size_t n;      /* values that are there */
    struct slot *slot;
    size_t outputs, inputs; /* of the matrix */
    size_t packed;          /* outputs that are done */
};

/* What is in a block that a source fills. */
struct stages {
    struct weights_source source;
    bool streamed; /* one stage at a time, all in the same place */
    bool *present; /* [layers_max + 2] */
};

struct weights {
    struct config config;
    struct stages *stages; /* NULL: filled by hand */
    struct weights_form form;
    struct desk *desk;
    float *block;
    uint32_t layers_max;          /* that the block has room for */
    struct slot *slots;           /* [layers_max + 1, TENSOR_ROLES]; the first row is of no layer */
    struct weights_layer *layers; /* [layers_max] */
};

static size_t slot_index(enum tensor_role role, uint32_t layer)
{
    return (tensors_role_in_layer(role) ? (size_t)layer + 1 : 0) * TENSOR_ROLES + role;
}

/* A tensor's outputs and inputs; n 0 when the model has none, k 0 of a vector [n]. */
struct shape {
    size_t n, k;
};

static struct shape shape_of(const struct config *config, enum tensor_role role, uint32_t layer)
{
    struct tensor_place place;
    char name[TENSORS_NAME_MAX];

    if (layer >= config->n_layers || !tensors_name(config, role, layer, name)) {
        return (struct shape){0};
    }
    tensors_find(config, name, &place);
    return (struct shape){place.dims[0], place.n_dims == 2 ? place.dims[1] : 0};
}

static size_t count_elements(struct shape shape)
{
    size_t n = shape.n;
    bool fits = shape.k == 0 || mem_multiply(shape.n, shape.k, &n);

    assert(fits); /* config_parse bounds every size */
    (void)fits;
    return n;
}

static bool is_streamed(const struct weights *weights)
{
    return weights->stages != NULL && weights->stages->streamed;
}

static bool is_stored(const struct weights *weights, enum tensor_role role)
{
    return weights->form.stored != DTYPE_F32 &&
           (role == TENSOR_EMBEDDING ? is_streamed(weights) || !weights->config.tied
                                     : role == TENSOR_HEAD && is_streamed(weights));
}

/* An embedding that is not the head too is read by rows alone. */
static bool is_packed(const struct weights *weights, enum tensor_role role, struct shape shape)
{
    return shape.k > 0 && !is_stored(weights, role) &&
           (role != TENSOR_EMBEDDING || weights->config.tied);
}

/* Where the next tensor goes, in floats of the block, and the piece that it may continue. */
struct cursor {
    size_t at, piece, outputs;
};

/* Give a tensor its place and move on; with no block yet, only count. */
static void place_tensor(struct weights *weights, enum tensor_role role, uint32_t layer,
                         bool continues, struct cursor *cursor)
{
    const struct shape shape = shape_of(&weights->config, role, layer);

    if (!continues) {
        cursor->at = (cursor->at + PIECE_FLOATS - 1) / PIECE_FLOATS * PIECE_FLOATS;
        cursor->piece = cursor->at;
        cursor->outputs = 0;
    }
    const bool packed = is_packed(weights, role, shape);

    if (shape.n > 0 && weights->block != NULL) {
        weights->slots[slot_index(role, layer)] =
            (struct slot){.at = weights->block + (packed ? cursor->piece : cursor->at),
                          .first = packed ? cursor->outputs : 0};
    }
    cursor->outputs += shape.n;
    if (packed) {
        cursor->at =
            cursor->piece + gemm_packed_floats(weights->form.kind, cursor->outputs, shape.k);
    } else if (is_stored(weights, role)) {
        cursor->at +=
            (count_elements(shape) * dtype_size(weights->form.stored) + sizeof(float) - 1) /
            sizeof(float);
    } else {
        cursor->at += count_elements(shape);
    }
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The whole block; returns its floats. */
static size_t lay_out(struct weights *weights)
{
    const struct config *config = &weights->config;
    const bool streamed = is_streamed(weights);
    struct cursor cursor = {0};

    place_tensor(weights, TENSOR_EMBEDDING, 0, false, &cursor);
    size_t largest = cursor.at;

    if (streamed && !config->tied) {
        cursor.at = 0;
    }
    place_tensor(weights, TENSOR_FINAL_NORM, 0, false, &cursor);
    place_tensor(weights, TENSOR_HEAD, 0, false, &cursor);
    largest = larger(largest, cursor.at);
    for (uint32_t layer = 0; layer < config->n_layers; layer++) {
        cursor.at = streamed ? 0 : cursor.at;
        for (size_t i = 0; i < LAYER_ORDER; i++) {
            place_tensor(weights, layer_order[i].role, layer, layer_order[i].continues, &cursor);
        }
        largest = larger(largest, cursor.at);
    }
    return largest;
}

static size_t desk_floats(const struct weights *weights)
{
    size_t inputs = 0;

    for (int role = 0; role < (int)TENSOR_ROLES; role++) {
        const struct shape shape = shape_of(&weights->config, (enum tensor_role)role, 0);

        inputs =
            is_packed(weights, (enum tensor_role)role, shape) ? larger(inputs, shape.k) : inputs;
    }
    return GEMM_PANEL * inputs;
}

static size_t count_bytes(struct weights *weights)
{
    return (lay_out(weights) + desk_floats(weights)) * sizeof(float);
}

size_t weights_bytes(const struct config *config, struct weights_form form)
{
    struct weights counted = {.config = *config, .form = form};

    return count_bytes(&counted);
}

size_t weights_bytes_streamed(const struct config *config, struct weights_form form)
{
    struct stages stages = {.streamed = true};
    struct weights counted = {.config = *config, .stages = &stages, .form = form};

    return count_bytes(&counted);
}

static const float *piece(const struct weights *weights, enum tensor_role role, uint32_t layer)
{
    return weights->slots[slot_index(role, layer)].at;
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

static int take_block(struct weights *weights, struct err *err)
{
    const size_t n = lay_out(weights);

    weights->desk->values =
        mem_try_block(desk_floats(weights), sizeof(float), "weights of a candidate", err);
    weights->block = mem_try_block(n, sizeof(float), "weights of a candidate", err);
    if (weights->block == NULL || weights->desk->values == NULL) {
        return ERR_MEMORY;
    }
    memset(weights->block, 0, n * sizeof(float)); /* what fills panels up is multiplied too */
    lay_out(weights);
    return 0;
}

/* stages NULL: none; else copied. */
static int make_weights(struct weights **out, const struct config *config,
                        const struct stages *stages, struct weights_form form, struct err *err)
{
    int rc = config_runnable(config, err);

    if (rc != 0) {
        return err_wrap(err, "%s", config->architecture);
    }
    struct weights *weights = mem_array(1, sizeof(*weights));

    weights->config = *config;
    weights->layers_max = config->n_layers;
    weights->form = form;
    if (stages != NULL) {
        weights->stages = mem_array(1, sizeof(struct stages));
        *weights->stages = *stages;
        weights->stages->present = mem_array((size_t)config->n_layers + 2, sizeof(bool));
    }
    weights->desk = mem_array(1, sizeof(struct desk));
    weights->slots = mem_array(((size_t)config->n_layers + 1) * TENSOR_ROLES, sizeof(struct slot));
    weights->layers = mem_array(config->n_layers, sizeof(struct weights_layer));
    rc = take_block(weights, err);
    if (rc != 0) {
        weights_free(weights);
        return rc;
    }
    for (uint32_t layer = 0; layer < config->n_layers; layer++) {
        bind_layer(weights, layer);
    }
    *out = weights;
    return 0;
}

int weights_new(struct weights **out, const struct config *config, struct err *err)
{
    return weights_new_on(out, config, (struct gemm_kind){.numeric = NUMERIC_F32}, err);
}

int weights_new_on(struct weights **out, const struct config *config, struct gemm_kind kind,
                   struct err *err)
{
    return make_weights(out, config, NULL, (struct weights_form){.kind = kind, .stored = DTYPE_F32},
                        err);
}

int weights_new_streamed(struct weights **out, const struct config *config,
                         struct weights_form form, const struct weights_source *source,
                         struct err *err)
{
    return make_weights(out, config, &(struct stages){.source = *source, .streamed = true}, form,
                        err);
}

int weights_new_staged(struct weights **out, const struct config *config, struct weights_form form,
                       const struct weights_source *source, struct err *err)
{
    return make_weights(out, config, &(struct stages){.source = *source}, form, err);
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
        free(weights->desk->values);
        free(weights->desk);
        free(weights->layers);
        free(weights);
    }
}

/* ---- filling ---- */

bool weights_begin(struct weights *weights, enum tensor_role role, uint32_t layer)
{
    const struct shape shape = shape_of(&weights->config, role, layer);
    struct desk *desk = weights->desk;

    if (!is_packed(weights, role, shape)) {
        return false;
    }
    desk->slot = &weights->slots[slot_index(role, layer)];
    desk->outputs = shape.n;
    desk->inputs = shape.k;
    desk->n = desk->packed = 0;
    return true;
}

void weights_pour(struct weights *weights, const void *values, enum dtype dtype, size_t n)
{
    struct desk *desk = weights->desk;
    const unsigned char *from = values;

    while (n > 0) {
        const size_t first = desk->slot->first + desk->packed;
        const size_t outputs =
            smaller(GEMM_PANEL - first % GEMM_PANEL, desk->outputs - desk->packed);
        const size_t now = smaller(n, outputs * desk->inputs - desk->n);

        assert(now > 0);
        dtype_to_f32(desk->values + desk->n, from, dtype, now);
        from += now * dtype_size(dtype);
        n -= now;
        desk->n += now;
        if (desk->n == outputs * desk->inputs) {
            gemm_pack(weights->form.kind, desk->slot->at, desk->values, first, outputs,
                      desk->inputs);
            desk->packed += outputs;
            desk->n = 0;
        }
    }
    desk->slot->filled = desk->packed == desk->outputs;
}

float *weights_slot(struct weights *weights, enum tensor_role role, uint32_t layer)
{
    const struct shape shape = shape_of(&weights->config, role, layer);

    if (shape.n == 0 || is_stored(weights, role) || is_packed(weights, role, shape)) {
        return NULL;
    }
    struct slot *slot = &weights->slots[slot_index(role, layer)];

    slot->filled = true;
    return slot->at;
}

bool weights_fill(struct weights *weights, enum tensor_role role, uint32_t layer,
                  const void *values, enum dtype dtype)
{
    const size_t n = count_elements(shape_of(&weights->config, role, layer));

    if (weights_begin(weights, role, layer)) {
        weights_pour(weights, values, dtype, n);
        return true;
    }
    float *slot = weights_slot(weights, role, layer);

    if (slot != NULL) {
        dtype_to_f32(slot, values, dtype, n);
    }
    return slot != NULL;
}

void *weights_store(struct weights *weights, enum tensor_role role)
{
    if (!is_stored(weights, role)) {
        return NULL;
    }
    struct slot *slot = &weights->slots[slot_index(role, 0)];

    slot->filled = true;
    return slot->at;
}

void weights_retain(struct weights *weights, enum tensor_role role, uint32_t layer)
{
    weights->slots[slot_index(role, layer)].filled = true;
}

/* The first slot in [from, to) that nobody asked for is an error; all count as unfilled afterwards.
 */
static int check_filled(const struct weights *weights, size_t from, size_t to, struct err *err)
{
    int rc = 0;

    for (size_t i = from; i < to; i++) {
        if (rc == 0 && weights->slots[i].at != NULL && !weights->slots[i].filled) {
            char name[TENSORS_NAME_MAX];

            tensors_name(&weights->config, (enum tensor_role)(i % TENSOR_ROLES),
                         (uint32_t)(i < TENSOR_ROLES ? 0 : i / TENSOR_ROLES - 1), name);
            rc = err_set(err, ERR_MISSING, "candidate: no values for tensor %s", name);
        }
        weights->slots[i].filled = false;
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
        const enum tensor_role role = tensor->role;

        if (role == TENSOR_UNKNOWN) {
            continue; /* beside the text model */
        }
        if (tensor->n_elements != count_elements(shape_of(&weights->config, role, tensor->depth)) ||
            !weights_fill(weights, role, tensor->depth, tensor->data, tensor->dtype)) {
            return err_set(err, ERR_CONFLICT, "%s: tensor %s does not fit the candidate's shape",
                           checkpoint_folder(checkpoint), tensor->name);
        }
    }
    return weights_bind(weights, err);
}

const struct config *weights_config(const struct weights *weights)
{
    return &weights->config;
}

struct gemm_kind weights_kind(const struct weights *weights)
{
    return weights->form.kind;
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

const float *weights_embedding_row(const struct weights *weights, size_t row, float *scratch)
{
    const size_t d = weights->config.width;
    const float *matrix = piece(weights, TENSOR_EMBEDDING, 0);

    if (is_stored(weights, TENSOR_EMBEDDING)) {
        const size_t bytes = d * dtype_size(weights->form.stored);

        dtype_to_f32(scratch, (const unsigned char *)matrix + row * bytes, weights->form.stored, d);
        return scratch;
    }
    if (weights->config.tied) {
        gemm_unpack(weights->form.kind, scratch, matrix, row, d);
        return scratch;
    }
    return matrix + row * d;
}

const float *weights_head_rows(const struct weights *weights, size_t first, size_t n, float *packed,
                               float *rows)
{
    const size_t d = weights->config.width;
    const enum tensor_role role = weights->config.tied ? TENSOR_EMBEDDING : TENSOR_HEAD;
    const float *matrix = piece(weights, role, 0);

    if (!is_stored(weights, role)) {
        return gemm_packed_from(weights->form.kind, matrix, first, d);
    }
    const size_t bytes = d * dtype_size(weights->form.stored);

    dtype_to_f32(rows, (const unsigned char *)matrix + first * bytes, weights->form.stored, n * d);
    gemm_pack(weights->form.kind, packed, rows, 0, n, d);
    return packed;
}
