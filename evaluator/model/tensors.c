/*
 * tensors.c - the table of a decoder's tensors.
 *
 * All families share it; which rows a model has follows from its config. A name may stand in two
 * rows: behind attention, post_attention_layernorm is the norm that the MLP reads through, but in
 * families that norm outputs it is the norm of attention's. Dims are written in the config's
 * letters: D width, F MLP width, V vocabulary, K head width, Q = heads * K, G = key and value heads
 * * K.
 */
#include "evaluator/model/tensors.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum dim { NONE, D, F, FF, V, K, Q, G, QGG }; /* FF = 2 F, QGG = Q + 2 G */
enum presence {
    ALWAYS,
    SPLIT,
    FUSED,
    QKV_BIAS,
    OUT_BIAS,
    MLP_BIAS,
    QK_NORM,
    PRE_NORM_ONLY,
    SANDWICH,
    UNTIED
};

struct row {
    enum tensor_role role;
    const char *stem; /* behind "model.", in layers behind the index; of the head whole */
    enum tensor_part part;
    enum dim rows, columns; /* columns NONE: a vector */
    enum presence presence;
};

/* In the order of the forward pass. */
static const struct row table[] = {
    {TENSOR_EMBEDDING, "embed_tokens.weight", TENSOR_PART_EMBEDDINGS, V, D, ALWAYS},
    {TENSOR_INPUT_NORM, "input_layernorm.weight", TENSOR_PART_NORM, D, NONE, ALWAYS},
    {TENSOR_QKV, "self_attn.qkv_proj.weight", TENSOR_PART_ATTENTION, QGG, D, FUSED},
    {TENSOR_Q, "self_attn.q_proj.weight", TENSOR_PART_ATTENTION, Q, D, SPLIT},
    {TENSOR_Q_BIAS, "self_attn.q_proj.bias", TENSOR_PART_ATTENTION, Q, NONE, QKV_BIAS},
    {TENSOR_K, "self_attn.k_proj.weight", TENSOR_PART_ATTENTION, G, D, SPLIT},
    {TENSOR_K_BIAS, "self_attn.k_proj.bias", TENSOR_PART_ATTENTION, G, NONE, QKV_BIAS},
    {TENSOR_V, "self_attn.v_proj.weight", TENSOR_PART_ATTENTION, G, D, SPLIT},
    {TENSOR_V_BIAS, "self_attn.v_proj.bias", TENSOR_PART_ATTENTION, G, NONE, QKV_BIAS},
    {TENSOR_Q_NORM, "self_attn.q_norm.weight", TENSOR_PART_ATTENTION, K, NONE, QK_NORM},
    {TENSOR_K_NORM, "self_attn.k_norm.weight", TENSOR_PART_ATTENTION, K, NONE, QK_NORM},
    {TENSOR_O, "self_attn.o_proj.weight", TENSOR_PART_ATTENTION, D, Q, ALWAYS},
    {TENSOR_O_BIAS, "self_attn.o_proj.bias", TENSOR_PART_ATTENTION, D, NONE, OUT_BIAS},
    {TENSOR_ATTENTION_NORM, "post_attention_layernorm.weight", TENSOR_PART_NORM, D, NONE, SANDWICH},
    {TENSOR_MLP_NORM, "post_attention_layernorm.weight", TENSOR_PART_NORM, D, NONE, PRE_NORM_ONLY},
    {TENSOR_MLP_NORM, "pre_feedforward_layernorm.weight", TENSOR_PART_NORM, D, NONE, SANDWICH},
    {TENSOR_GATE_UP, "mlp.gate_up_proj.weight", TENSOR_PART_MLP, FF, D, FUSED},
    {TENSOR_GATE, "mlp.gate_proj.weight", TENSOR_PART_MLP, F, D, SPLIT},
    {TENSOR_GATE_BIAS, "mlp.gate_proj.bias", TENSOR_PART_MLP, F, NONE, MLP_BIAS},
    {TENSOR_UP, "mlp.up_proj.weight", TENSOR_PART_MLP, F, D, SPLIT},
    {TENSOR_UP_BIAS, "mlp.up_proj.bias", TENSOR_PART_MLP, F, NONE, MLP_BIAS},
    {TENSOR_DOWN, "mlp.down_proj.weight", TENSOR_PART_MLP, D, F, ALWAYS},
    {TENSOR_DOWN_BIAS, "mlp.down_proj.bias", TENSOR_PART_MLP, D, NONE, MLP_BIAS},
    {TENSOR_MLP_OUT_NORM, "post_feedforward_layernorm.weight", TENSOR_PART_NORM, D, NONE, SANDWICH},
    {TENSOR_FINAL_NORM, "norm.weight", TENSOR_PART_FINAL_NORM, D, NONE, ALWAYS},
    {TENSOR_HEAD, "lm_head.weight", TENSOR_PART_HEAD, V, D, UNTIED},
};

#define ROWS (sizeof(table) / sizeof(table[0]))
#define LAYERS "layers."

static bool is_present(const struct config *config, const struct row *row)
{
    if (config->family == CONFIG_EVERY) {
        return true;
    }
    switch (row->presence) {
    case SPLIT:
        return !config->fused;
    case FUSED:
        return config->fused;
    case QKV_BIAS:
        return config->qkv_bias;
    case OUT_BIAS:
        return config->out_bias;
    case MLP_BIAS:
        return config->mlp_bias;
    case QK_NORM:
        return config->qk_norm;
    case PRE_NORM_ONLY:
        return !config->sandwich;
    case SANDWICH:
        return config->sandwich;
    case UNTIED:
        return !config->tied;
    default:
        return true;
    }
}

static size_t dim_of(const struct config *config, enum dim dim)
{
    switch (dim) {
    case D:
        return config->width;
    case F:
        return config->mlp_width;
    case FF:
        return 2 * (size_t)config->mlp_width;
    case V:
        return config->vocab;
    case K:
        return config->head_width;
    case Q:
        return (size_t)config->n_heads * config->head_width;
    case G:
        return (size_t)config->n_kv_heads * config->head_width;
    case QGG:
        return dim_of(config, Q) + 2 * dim_of(config, G);
    default:
        return 0;
    }
}

/* What all names of the text model begin with, and the head's. */
static const char *root_of(const struct config *config)
{
    static const char *const roots[] = {[CONFIG_ALONE] = "model.",
                                        [CONFIG_NESTED] = "language_model.model.",
                                        [CONFIG_NESTED_NEWER] = "model.language_model."};

    return roots[config->nesting];
}

static const char *head_root_of(const struct config *config)
{
    return config->nesting == CONFIG_NESTED ? "language_model." : "";
}

static void name_row(const struct config *config, const struct row *row, uint32_t layer,
                     char out[TENSORS_NAME_MAX])
{
    if (tensors_role_in_layer(row->role)) {
        snprintf(out, TENSORS_NAME_MAX, "%s" LAYERS "%u.%s", root_of(config), layer, row->stem);
    } else {
        snprintf(out, TENSORS_NAME_MAX, "%s%s",
                 row->role == TENSOR_HEAD ? head_root_of(config) : root_of(config), row->stem);
    }
}

bool tensors_name(const struct config *config, enum tensor_role role, uint32_t layer,
                  char out[TENSORS_NAME_MAX])
{
    for (size_t i = 0; i < ROWS; i++) {
        if (table[i].role == role && is_present(config, &table[i])) {
            name_row(config, &table[i], layer, out);
            return true;
        }
    }
    return false;
}

static void place(const struct config *config, const struct row *row, uint32_t layer,
                  struct tensor_place *out)
{
    bool in_layer = tensors_role_in_layer(row->role);

    *out = (struct tensor_place){.role = row->role, .part = row->part, .in_layer = in_layer};
    name_row(config, row, layer, out->name);
    out->layer = in_layer ? layer : 0;
    out->depth = in_layer || row->role == TENSOR_EMBEDDING ? out->layer : config->n_layers - 1;
    out->dims[0] = dim_of(config, row->rows);
    out->dims[1] = dim_of(config, row->columns);
    out->n_dims = row->columns == NONE ? 1 : 2;
}

static bool in_each_layer(const struct config *config, const struct row *row)
{
    return tensors_role_in_layer(row->role) && is_present(config, row);
}

static size_t rows_in_layer(const struct config *config)
{
    size_t n = 0;

    for (size_t i = 0; i < ROWS; i++) {
        n += in_each_layer(config, &table[i]);
    }
    return n;
}

size_t tensors_count(const struct config *config)
{
    if (config->family == CONFIG_OTHER) {
        return 0;
    }
    return 2 + rows_in_layer(config) * config->n_layers + !config->tied;
}

/* The k-th row that each layer has. */
static const struct row *layer_row(const struct config *config, size_t k)
{
    const struct row *row = table;

    while (!in_each_layer(config, row) || k-- > 0) {
        row++;
    }
    return row;
}

void tensors_at(const struct config *config, size_t i, struct tensor_place *out)
{
    size_t per_layer = rows_in_layer(config);
    size_t in_layers = per_layer * config->n_layers;

    assert(i < tensors_count(config));
    if (i == 0) {
        place(config, &table[0], 0, out);
    } else if (i <= in_layers) {
        place(config, layer_row(config, (i - 1) % per_layer), (uint32_t)((i - 1) / per_layer), out);
    } else {
        place(config, &table[i == in_layers + 1 ? ROWS - 2 : ROWS - 1], 0, out);
    }
}

/* What follows a beginning, or NULL. */
static const char *behind(const char *name, const char *beginning)
{
    size_t n = strlen(beginning);

    return strncmp(name, beginning, n) == 0 ? name + n : NULL;
}

bool tensors_find(const struct config *config, const char *name, struct tensor_place *out)
{
    const struct row *head = &table[ROWS - 1];
    const char *stem = behind(name, root_of(config));
    unsigned long layer = 0;

    if (config->family == CONFIG_OTHER) {
        return false;
    }
    if (stem == NULL) {
        stem = behind(name, head_root_of(config));
        if (stem == NULL || strcmp(stem, head->stem) != 0 || !is_present(config, head)) {
            return false;
        }
        place(config, head, 0, out);
        return true;
    }
    const char *digits = behind(stem, LAYERS);
    bool in_layer = digits != NULL;
    if (in_layer) {
        char *end;

        layer = strtoul(digits, &end, 10);
        /* No sign, no leading zero: one name a tensor. */
        if (!isdigit((unsigned char)*digits) || (*digits == '0' && end != digits + 1) ||
            *end != '.' || layer >= config->n_layers) {
            return false;
        }
        stem = end + 1;
    }
    for (size_t i = 0; i < ROWS; i++) {
        if (tensors_role_in_layer(table[i].role) == in_layer && &table[i] != head &&
            strcmp(table[i].stem, stem) == 0 && is_present(config, &table[i])) {
            place(config, &table[i], (uint32_t)layer, out);
            return true;
        }
    }
    return false;
}

bool tensors_ignored(const struct config *config, const char *name)
{
    static const char rotary[] = ".rotary_emb.inv_freq";
    size_t n = strlen(name);
    size_t tail = sizeof(rotary) - 1;

    if (n > tail && strcmp(name + n - tail, rotary) == 0) {
        return true;
    }
    const char *stem = behind(name, head_root_of(config));

    return config->family != CONFIG_OTHER && config->tied && stem != NULL &&
           strcmp(stem, table[ROWS - 1].stem) == 0;
}

/* ---- unknown families ---- */

static bool guess_layer(const char *name, uint32_t *layer)
{
    static const char *const marks[] = {"layers.", "h.", "blocks.", "block."};

    for (size_t m = 0; m < sizeof(marks) / sizeof(marks[0]); m++) {
        for (const char *at = strstr(name, marks[m]); at != NULL; at = strstr(at + 1, marks[m])) {
            const char *digits = at + strlen(marks[m]);

            if ((at == name || at[-1] == '.') && isdigit((unsigned char)*digits)) {
                *layer = (uint32_t)strtoul(digits, NULL, 10);
                return true;
            }
        }
    }
    return false;
}

void tensors_guess(const struct config *config, const char *name, struct tensor_place *out)
{
    *out = (struct tensor_place){.role = TENSOR_UNKNOWN, .part = TENSOR_PART_MLP};
    snprintf(out->name, sizeof(out->name), "%s", name);
    out->in_layer = guess_layer(name, &out->layer);
    if (strstr(name, "norm") != NULL || strstr(name, "ln_") != NULL) {
        out->part = out->in_layer ? TENSOR_PART_NORM : TENSOR_PART_FINAL_NORM;
    } else if (strstr(name, "attn") != NULL || strstr(name, "attention") != NULL) {
        out->part = TENSOR_PART_ATTENTION;
    } else if (!out->in_layer &&
               (strstr(name, "lm_head") != NULL || strstr(name, "output") != NULL)) {
        out->part = TENSOR_PART_HEAD;
    } else if (!out->in_layer && (strstr(name, "embed") != NULL || strstr(name, "wte") != NULL)) {
        out->part = TENSOR_PART_EMBEDDINGS;
    }
    bool at_end = out->part == TENSOR_PART_FINAL_NORM || out->part == TENSOR_PART_HEAD;
    if (out->in_layer) {
        out->depth = out->layer;
    } else if (at_end && config->n_layers > 0) {
        out->depth = config->n_layers - 1;
    }
}

bool tensors_place(const struct config *config, const char *name, struct tensor_place *out)
{
    if (config->family == CONFIG_OTHER) {
        tensors_guess(config, name, out);
        return true;
    }
    if (tensors_find(config, name, out)) {
        return true;
    }
    if (config->nesting == CONFIG_ALONE || behind(name, root_of(config)) != NULL) {
        return false;
    }
    tensors_guess(config, name, out);
    out->in_layer = false; /* its layers are not the text model's */
    out->layer = 0;
    out->depth = 0;
    return true;
}
