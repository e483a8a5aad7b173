/*
 * architecture.h - what the families that can be scored differ in, a row a family.
 *
 * All are decoders of one plan: attention, then a gated MLP, each read from a normed stream and
 * added to it. A row says what config.json leaves unsaid. config.c turns it, with the file, into a
 * struct config; the names and shapes of tensors (tensors.c), their places in memory (weights.c)
 * and the forward pass follow from that alone.
 */
#ifndef MODEL_ARCHITECTURE_H
#define MODEL_ARCHITECTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "evaluator/model/config.h"

/* Which layers slide where the file has no layer_types. */
enum architecture_sliding {
    ARCHITECTURE_SLIDES_NEVER,   /* a sliding_window in the file means nothing */
    ARCHITECTURE_SLIDES_ALWAYS,  /* every layer */
    ARCHITECTURE_SLIDES_LATE,    /* from max_window_layers on, if use_sliding_window */
    ARCHITECTURE_SLIDES_EVEN,    /* 0, 2, 4, ... */
    ARCHITECTURE_SLIDES_PATTERN, /* all but the last of every sliding_window_pattern */
};

struct architecture {
    const char *name; /* in config.json's architectures */
    enum config_family family;

    /* What always holds. */
    enum architecture_sliding sliding;
    bool qkv_bias; /* on q, k, v whatever the file says, and none on o */
    bool qk_norm;
    bool fused;
    bool sandwich;
    bool nested; /* config.json has the text model's members in text_config, beside those of an
                    image tower that only merges need */
    bool gemma;  /* norms 1 + w, embeddings times sqrt(width), the gate's function hidden_activation
                    (tanh GELU where it is not said) instead of hidden_act */

    /* What holds where the file is silent. */
    double rope_theta;
    double local_theta;  /* of sliding layers; 0: as the others */
    uint32_t n_heads;    /* 0: must be said, as the two below */
    uint32_t n_kv_heads; /* 0: as many as heads */
    uint32_t vocab;
    uint32_t positions;   /* 0: no limit is known */
    uint32_t head_width;  /* 0: width / heads */
    uint32_t window;      /* 0: none */
    double query_scalar;  /* 0: head width; the file's query_pre_attn_scalar is read else */
    double attention_cap; /* 0: none */
    double logit_cap;
    bool tied;
    int32_t bos, eos; /* -1: none */
};

/* The row of a name. For names of no family: a row of CONFIG_OTHER, never NULL. Static. */
const struct architecture *architecture_find(const char *name);

#endif
