/*
 * tensors.c - the table of a decoder's tensors.
 *
 * llama, mistral and qwen2 share it; they differ in which biases exist, which config.c decides.
 * Dims are written in the config's letters: D width, F MLP width, V vocabulary, Q = heads * head
 * width, G = key and value heads * head width.
 */
#include "evaluator/model/tensors.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum dim { NONE, D, F, V, Q, G };
enum presence { ALWAYS, QKV_BIAS, OUT_BIAS, MLP_BIAS, UNTIED };

struct row {
    const char *stem; /* before and, in layers, after the index */
    enum tensor_part part;
    bool in_layer;
    enum dim rows, columns; /* columns NONE: a vector */
    enum presence presence;
};

#define LAYER(name, part, rows, columns, presence)              \
    {                                                           \
        name, TENSOR_PART_##part, true, rows, columns, presence \
    }

/* In the order of enum tensor_role, which is the order of the forward pass. */
static const struct row table[TENSOR_ROLES] = {
    {"model.embed_tokens.weight", TENSOR_PART_EMBEDDINGS, false, V, D, ALWAYS},
    LAYER("input_layernorm.weight", NORM, D, NONE, ALWAYS),
    LAYER("self_attn.q_proj.weight", ATTENTION, Q, D, ALWAYS),
    LAYER("self_attn.q_proj.bias", ATTENTION, Q, NONE, QKV_BIAS),
    LAYER("self_attn.k_proj.weight", ATTENTION, G, D, ALWAYS),
    LAYER("self_attn.k_proj.bias", ATTENTION, G, NONE, QKV_BIAS),
    LAYER("self_attn.v_proj.weight", ATTENTION, G, D, ALWAYS),
    LAYER("self_attn.v_proj.bias", ATTENTION, G, NONE, QKV_BIAS),
    LAYER("self_attn.o_proj.weight", ATTENTION, D, Q, ALWAYS),
    LAYER("self_attn.o_proj.bias", ATTENTION, D, NONE, OUT_BIAS),
    LAYER("post_attention_layernorm.weight", NORM, D, NONE, ALWAYS),
    LAYER("mlp.gate_proj.weight", MLP, F, D, ALWAYS),
    LAYER("mlp.gate_proj.bias", MLP, F, NONE, MLP_BIAS),
    LAYER("mlp.up_proj.weight", MLP, F, D, ALWAYS),
    LAYER("mlp.up_proj.bias", MLP, F, NONE, MLP_BIAS),
    LAYER("mlp.down_proj.weight", MLP, D, F, ALWAYS),
    LAYER("mlp.down_proj.bias", MLP, D, NONE, MLP_BIAS),
    {"model.norm.weight", TENSOR_PART_FINAL_NORM, false, D, NONE, ALWAYS},
    {"lm_head.weight", TENSOR_PART_HEAD, false, V, D, UNTIED},
};

#define LAYER_PREFIX "model.layers."
#define FIRST_LAYER_ROLE TENSOR_INPUT_NORM
#define LAST_LAYER_ROLE TENSOR_DOWN_BIAS

static bool is_present(const struct config *config, enum tensor_role role)
{
    switch (table[role].presence) {
    case QKV_BIAS:
        return config->qkv_bias;
    case OUT_BIAS:
        return config->out_bias;
    case MLP_BIAS:
        return config->mlp_bias;
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
    case V:
        return config->vocab;
    case Q:
        return (size_t)config->n_heads * config->head_width;
    case G:
        return (size_t)config->n_kv_heads * config->head_width;
    default:
        return 0;
    }
}

void tensors_name(char out[TENSORS_NAME_MAX], enum tensor_role role, uint32_t layer)
{
    assert(role < TENSOR_UNKNOWN);
    if (table[role].in_layer) {
        snprintf(out, TENSORS_NAME_MAX, LAYER_PREFIX "%u.%s", layer, table[role].stem);
    } else {
        snprintf(out, TENSORS_NAME_MAX, "%s", table[role].stem);
    }
}

static void place(const struct config *config, enum tensor_role role, uint32_t layer,
                  struct tensor_place *out)
{
    const struct row *row = &table[role];

    *out = (struct tensor_place){.role = role, .part = row->part, .in_layer = row->in_layer};
    tensors_name(out->name, role, layer);
    out->layer = row->in_layer ? layer : 0;
    out->depth = row->in_layer || role == TENSOR_EMBEDDING ? out->layer : config->n_layers - 1;
    out->dims[0] = dim_of(config, row->rows);
    out->dims[1] = dim_of(config, row->columns);
    out->n_dims = row->columns == NONE ? 1 : 2;
}

static size_t roles_in_layer(const struct config *config)
{
    size_t n = 0;

    for (int role = FIRST_LAYER_ROLE; role <= LAST_LAYER_ROLE; role++) {
        n += is_present(config, (enum tensor_role)role);
    }
    return n;
}

size_t tensors_count(const struct config *config)
{
    if (config->family == CONFIG_OTHER) {
        return 0;
    }
    return 2 + roles_in_layer(config) * config->n_layers + !config->tied;
}

/* The k-th present role of a layer. */
static enum tensor_role layer_role(const struct config *config, size_t k)
{
    for (int role = FIRST_LAYER_ROLE; role <= LAST_LAYER_ROLE; role++) {
        if (is_present(config, (enum tensor_role)role) && k-- == 0) {
            return (enum tensor_role)role;
        }
    }
    return TENSOR_UNKNOWN; /* k is below roles_in_layer: not reached */
}

void tensors_at(const struct config *config, size_t i, struct tensor_place *out)
{
    size_t per_layer = roles_in_layer(config);
    size_t in_layers = per_layer * config->n_layers;

    assert(i < tensors_count(config));
    if (i == 0) {
        place(config, TENSOR_EMBEDDING, 0, out);
    } else if (i <= in_layers) {
        place(config, layer_role(config, (i - 1) % per_layer), (uint32_t)((i - 1) / per_layer),
              out);
    } else {
        place(config, i == in_layers + 1 ? TENSOR_FINAL_NORM : TENSOR_HEAD, 0, out);
    }
}

bool tensors_find(const struct config *config, const char *name, struct tensor_place *out)
{
    const char *stem = name;
    unsigned long layer = 0;
    bool in_layer = strncmp(name, LAYER_PREFIX, strlen(LAYER_PREFIX)) == 0;

    if (config->family == CONFIG_OTHER) {
        return false;
    }
    if (in_layer) {
        const char *digits = name + strlen(LAYER_PREFIX);
        char *end;

        layer = strtoul(digits, &end, 10);
        /* No sign, no leading zero: one name a tensor. */
        if (!isdigit((unsigned char)*digits) || (*digits == '0' && end != digits + 1) ||
            *end != '.' || layer >= config->n_layers) {
            return false;
        }
        stem = end + 1;
    }
    for (size_t role = 0; role < TENSOR_ROLES; role++) {
        if (table[role].in_layer == in_layer && strcmp(table[role].stem, stem) == 0 &&
            is_present(config, (enum tensor_role)role)) {
            place(config, (enum tensor_role)role, (uint32_t)layer, out);
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
    return config->family != CONFIG_OTHER && config->tied &&
           strcmp(name, table[TENSOR_HEAD].stem) == 0;
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
