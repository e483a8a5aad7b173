/*
 * config.h - what config.json says of a model, with every default filled in.
 *
 * The families of architecture.h can be run. Any other can still be merged: then family is
 * CONFIG_OTHER and the sizes are those the file happens to give, 0 when it is silent.
 */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"
#include "evaluator/model/dtype.h"

#define CONFIG_SIZE_MAX ((size_t)4 << 20)
#define CONFIG_EOS_MAX 16
#define CONFIG_LAYERS_MAX 4096
#define CONFIG_PAIRS_MAX 256 /* rotary pairs of a head that longrope can stretch */

enum config_family {
    CONFIG_OTHER,
    CONFIG_LLAMA,
    CONFIG_MISTRAL,
    CONFIG_QWEN2,
    CONFIG_QWEN3,
    CONFIG_GEMMA,
    CONFIG_GEMMA2,
    CONFIG_GEMMA3,
    CONFIG_PHI3,
    CONFIG_EVERY /* no family: its tensors are all that any may have, for lists of names */
};

/* How tensors of a text model that is a part of a larger one are called. */
enum config_nesting {
    CONFIG_ALONE,       /* it is the whole: model.layers.0., lm_head. */
    CONFIG_NESTED,      /* language_model.model.layers.0., language_model.lm_head. */
    CONFIG_NESTED_NEWER /* model.language_model.layers.0., lm_head. */
};

enum config_activation {
    CONFIG_SILU,
    CONFIG_GELU_TANH,       /* the tanh form of GELU */
    CONFIG_ACTIVATION_OTHER /* the forward pass refuses it */
};

enum config_rope_kind {
    CONFIG_ROPE_DEFAULT,
    CONFIG_ROPE_LINEAR,   /* every frequency divided by factor */
    CONFIG_ROPE_LLAMA3,   /* long wavelengths divided by factor, a ramp between */
    CONFIG_ROPE_DYNAMIC,  /* as default up to the trained length, the longest that is run */
    CONFIG_ROPE_YARN,     /* a ramp over the pairs, between kept and divided by factor */
    CONFIG_ROPE_LONGROPE, /* a divisor a pair; run up to the length before scaling */
    CONFIG_ROPE_OTHER     /* the forward pass refuses it */
};

struct config_rope {
    enum config_rope_kind kind;
    char name[24];                            /* as the file calls it */
    double theta;                             /* base of the frequencies */
    double factor;                            /* linear, llama3, dynamic, yarn; else 1 */
    double low_freq_factor, high_freq_factor; /* llama3 */
    double beta_fast, beta_slow;              /* yarn: turns in the length before scaling */
    bool whole_pairs;                         /* yarn: the ramp begins and ends at whole pairs */
    double original_positions;                /* llama3, yarn, longrope: length before scaling */
    double attention_factor;                  /* queries and keys grow by it; 0 is 1 */
    double divisors[CONFIG_PAIRS_MAX];        /* longrope: of each pair, for short contexts */
};

struct config {
    enum config_family family;
    enum config_nesting nesting; /* which of the two, the tensors tell (checkpoint.h) */
    char architecture[64];       /* "LlamaForCausalLM" */
    char model_type[64];         /* "llama" */
    uint32_t n_layers;           /* L */
    uint32_t width;              /* D, of the residual stream */
    uint32_t mlp_width;          /* F */
    uint32_t n_heads;            /* H, queries */
    uint32_t n_kv_heads;         /* G, keys and values; divides n_heads */
    uint32_t head_width;         /* K; n_heads * head_width need not be width */
    uint32_t vocab;              /* V, rows of the embedding */
    uint32_t positions;          /* longest trained context, 0: not said */
    uint32_t window; /* places a sliding layer attends to, its own included; 0: none slides */
    uint64_t sliding[CONFIG_LAYERS_MAX / 64]; /* a bit a layer, see config_window */
    double norm_eps;
    float norm_offset;             /* norms multiply by norm_offset + weight; Gemma 1, else 0 */
    uint32_t rotary_width;         /* elements of a head that turn, from the first; 0: all */
    struct config_rope rope;       /* of layers that see everything, and of all unless ... */
    struct config_rope local_rope; /* of sliding layers; theta 0: as rope */
    double query_scalar;           /* scores are divided by its square root; 0: head_width */
    double attention_cap;          /* scores become cap tanh(score / cap); 0: they stay */
    double logit_cap;              /* the same for logits */
    double embedding_scale;        /* embeddings are multiplied by it; 0: they stay */
    enum config_activation activation;
    bool tied;        /* no output matrix of its own: the embedding is used */
    bool qkv_bias;    /* biases on q, k, v */
    bool out_bias;    /* bias on o */
    bool mlp_bias;    /* biases on gate, up, down */
    bool qk_norm;     /* each head of queries and keys is normed before it turns */
    bool fused;       /* q, k, v are one tensor, gate and up another */
    bool sandwich;    /* norms behind attention and MLP too, before they join the stream */
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

/* True when every number is the same: one model's weights then run as the other's do. Configs come
 * from config_parse, or are copies of such. */
bool config_equal(const struct config *a, const struct config *b);

/* The same number of everything but layers, and of what each has for itself. */
bool config_equal_but_layers(const struct config *a, const struct config *b);
/* The rest: two such configs without it are equal. */
struct config config_without_layers(const struct config *config);

/* Of one layer: whether it slides; places it attends to, 0 for all; how its heads turn. */
bool config_slides(const struct config *config, uint32_t layer);
uint32_t config_window(const struct config *config, uint32_t layer);
const struct config_rope *config_rope_of(const struct config *config, uint32_t layer);

/* The longest sequence that rotary scaling allows here, 0 for any. */
uint32_t config_positions_max(const struct config *config);

/* The longest context that is run: the trained one, or less where rotary scaling does not allow
 * that; 0 when the file names none. */
uint32_t config_context(const struct config *config);

/* Append one line when that is less than the trained one; false: it is not. */
bool config_context_warning(const struct config *config, struct text *out);

/* ERR_FORMAT unless the forward pass can run this model; the text says what it cannot do. */
int config_runnable(const struct config *config, struct err *err);

/* What an export changes in the donor's config.json; everything else, unknown members and their
 * order included, stays. */
struct config_edit {
    uint32_t n_layers; /* 0: as it was; layer_types is cut to match, and refused when it would have
                          to grow */
    const uint32_t *layers;  /* [n_layers], the donor's layer whose type each has; NULL: of the same
                                number */
    const uint64_t *sliding; /* bits of struct config: which layers slide, instead of `layers`; then
                                layer_types is written where the file would not say so by itself */
    uint32_t vocab;          /* 0: as it was */
    const char *dtype;       /* "bfloat16", ...; NULL: as it was. Set under whichever of dtype and
                                torch_dtype is there */
    bool untie;              /* set tie_word_embeddings false */
};

/* A new reference: donor with the edit applied. ERR_FORMAT when layer_types does not fit. */
int config_apply(json_t **out, const json_t *donor, const struct config_edit *edit,
                 struct err *err);

#endif
