/*
 * config.h - what config.json says of a model, with every default filled in.
 *
 * Three families can be run: llama, mistral (without a sliding window) and qwen2. Any other can
 * still be merged: then family is CONFIG_OTHER and the sizes are those the file happens to give, 0
 * when it is silent.
 */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/doc.h"
#include "base/err.h"
#include "evaluator/model/dtype.h"

#define CONFIG_SIZE_MAX ((size_t)4 << 20)
#define CONFIG_EOS_MAX 16
#define CONFIG_LAYERS_MAX 4096

enum config_family { CONFIG_OTHER, CONFIG_LLAMA, CONFIG_MISTRAL, CONFIG_QWEN2 };

enum config_rope_kind {
    CONFIG_ROPE_DEFAULT,
    CONFIG_ROPE_LINEAR,  /* every frequency divided by factor */
    CONFIG_ROPE_LLAMA3,  /* long wavelengths divided by factor, a ramp between */
    CONFIG_ROPE_DYNAMIC, /* as default up to the trained length */
    CONFIG_ROPE_YARN     /* recorded; the forward pass refuses it */
};

struct config_rope {
    enum config_rope_kind kind;
    double theta;                             /* base of the frequencies */
    double factor;                            /* linear, llama3, dynamic, yarn; else 1 */
    double low_freq_factor, high_freq_factor; /* llama3 */
    double original_positions;                /* llama3, yarn: length before scaling */
};

struct config {
    enum config_family family;
    char architecture[64]; /* "LlamaForCausalLM" */
    char model_type[64];   /* "llama" */
    uint32_t n_layers;     /* L */
    uint32_t width;        /* D, of the residual stream */
    uint32_t mlp_width;    /* F */
    uint32_t n_heads;      /* H, queries */
    uint32_t n_kv_heads;   /* G, keys and values; divides n_heads */
    uint32_t head_width;   /* K; n_heads * head_width need not be width */
    uint32_t vocab;        /* V, rows of the embedding */
    uint32_t positions;    /* longest trained context, 0: not said */
    uint32_t window;       /* sliding window of attention, 0: none */
    double norm_eps;
    struct config_rope rope;
    bool tied;        /* no output matrix of its own: the embedding is used */
    bool qkv_bias;    /* biases on q, k, v */
    bool out_bias;    /* bias on o */
    bool mlp_bias;    /* biases on gate, up, down */
    bool silu;        /* hidden_act is silu, the only one the forward pass knows */
    bool has_dtype;   /* the file names a type for the weights */
    enum dtype dtype; /* that type */
    int32_t bos;      /* -1: none */
    size_t n_eos;     /* from config.json and generation_config.json, without repetition */
    int32_t eos[CONFIG_EOS_MAX];
};

/*
 * Read folder/config.json, and the ends of sequence of folder/generation_config.json when there is
 * one. Errors start with the file's path: ERR_MISSING (no config.json, or a required member),
 * ERR_FORMAT (a member of the wrong kind or sizes that contradict each other), ERR_LIMIT (a size
 * out of all reason).
 */
int config_load(struct config *out, const char *folder, struct err *err);

/* The same from documents; generation may be NULL. */
int config_parse(struct config *out, const json_t *doc, const json_t *generation, struct err *err);

/* ERR_FORMAT unless the forward pass can run this model; the text says what it cannot do. */
int config_runnable(const struct config *config, struct err *err);

/* What an export changes in the donor's config.json; everything else, unknown members and their
 * order included, stays. */
struct config_edit {
    uint32_t n_layers; /* 0: as it was; layer_types is cut to match, and refused when it would have
                          to grow */
    uint32_t vocab;    /* 0: as it was */
    const char *dtype; /* "bfloat16", ...; NULL: as it was. Set under whichever of dtype and
                          torch_dtype is there */
    bool untie;        /* set tie_word_embeddings false */
};

/* A new reference: donor with the edit applied. ERR_FORMAT when layer_types does not fit. */
int config_apply(json_t **out, const json_t *donor, const struct config_edit *edit,
                 struct err *err);

#endif
