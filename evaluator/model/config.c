/*
 * config.c - config.json read with every default filled in.
 *
 * Rotary settings have two spellings: top-level rope_theta with rope_scaling, or one object
 * rope_parameters; the latter wins, and holds an object a kind of attention where a family has two.
 * What a file may leave out stands in the table of families (architecture.h).
 */
#include "evaluator/model/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "evaluator/model/architecture.h"

#define WIDTH_MAX 1000000
#define VOCAB_MAX 10000000
#define DEFAULT_NORM_EPS 1e-6

/* null counts as absent. */
static json_t *member(const json_t *doc, const char *key)
{
    json_t *value = json_object_get(doc, key);

    return json_is_null(value) ? NULL : value;
}

static int get_size(const json_t *doc, const char *key, bool required, uint32_t fallback,
                    int64_t max, uint32_t *out, struct err *err)
{
    int64_t value;

    *out = fallback;
    if (member(doc, key) == NULL) {
        return required ? err_set(err, ERR_MISSING, "%s: missing", key) : 0;
    }
    int rc = doc_integer(doc, key, 1, max, &value, err);
    if (rc == 0) {
        *out = (uint32_t)value;
    }
    return rc;
}

/* For a family we do not know: what the file has, if it is such a number. */
static uint32_t find_size(const json_t *doc, const char *key, int64_t max)
{
    uint32_t size = 0;

    return get_size(doc, key, false, 0, max, &size, NULL) == 0 ? size : 0;
}

static int get_number(const json_t *doc, const char *key, double fallback, double *out,
                      struct err *err)
{
    *out = fallback;
    if (member(doc, key) == NULL) {
        return 0;
    }
    int rc = doc_number(doc, key, out, err);
    if (rc == 0 && !(isfinite(*out) && *out > 0)) {
        rc = err_set(err, ERR_FORMAT, "%s: %g is not positive", key, *out);
    }
    return rc;
}

/* null says "none", which is 0. */
static int get_number_or_none(const json_t *doc, const char *key, double fallback, double *out,
                              struct err *err)
{
    return get_number(doc, key, json_is_null(json_object_get(doc, key)) ? 0.0 : fallback, out, err);
}

static int get_flag(const json_t *doc, const char *key, bool fallback, bool *out, struct err *err)
{
    *out = fallback;
    return member(doc, key) == NULL ? 0 : doc_bool_or(doc, key, fallback, out, err);
}

static int get_word(const json_t *doc, const char *key, const char *fallback, const char **out,
                    struct err *err)
{
    *out = fallback;
    return member(doc, key) == NULL ? 0 : doc_text(doc, key, out, err);
}

static void find_sizes(struct config *config, const json_t *doc)
{
    config->n_layers = find_size(doc, "num_hidden_layers", CONFIG_LAYERS_MAX);
    config->width = find_size(doc, "hidden_size", WIDTH_MAX);
    config->mlp_width = find_size(doc, "intermediate_size", WIDTH_MAX);
    config->n_heads = find_size(doc, "num_attention_heads", WIDTH_MAX);
    config->n_kv_heads = find_size(doc, "num_key_value_heads", WIDTH_MAX);
    config->head_width = find_size(doc, "head_dim", WIDTH_MAX);
    config->vocab = find_size(doc, "vocab_size", VOCAB_MAX);
    config->positions = find_size(doc, "max_position_embeddings", INT32_MAX);
}

static int check_heads(const struct config *config, bool divides_width, struct err *err)
{
    if (divides_width && config->width % config->n_heads != 0) {
        return err_set(
            err, ERR_FORMAT,
            "hidden_size %u is no multiple of num_attention_heads %u, and head_dim is missing",
            config->width, config->n_heads);
    }
    if (config->n_heads % config->n_kv_heads != 0) {
        return err_set(err, ERR_FORMAT,
                       "num_attention_heads %u is no multiple of num_key_value_heads %u",
                       config->n_heads, config->n_kv_heads);
    }
    if (config->head_width % 2 != 0 || config->head_width == 0) {
        return err_set(err, ERR_FORMAT, "head_dim: %u is odd; rotary positions need pairs",
                       config->head_width);
    }
    return 0;
}

static int read_sizes(struct config *config, const json_t *doc,
                      const struct architecture *architecture, struct err *err)
{
    const struct {
        const char *key;
        uint32_t fallback; /* 0: required */
        int64_t max;
        uint32_t *out;
    } sizes[] = {{"num_hidden_layers", 0, CONFIG_LAYERS_MAX, &config->n_layers},
                 {"hidden_size", 0, WIDTH_MAX, &config->width},
                 {"intermediate_size", 0, WIDTH_MAX, &config->mlp_width},
                 {"num_attention_heads", architecture->n_heads, WIDTH_MAX, &config->n_heads},
                 {"vocab_size", architecture->vocab, VOCAB_MAX, &config->vocab}};
    int rc = 0;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && rc == 0; i++) {
        rc = get_size(doc, sizes[i].key, sizes[i].fallback == 0, sizes[i].fallback, sizes[i].max,
                      sizes[i].out, err);
    }
    if (rc != 0 ||
        (rc = get_size(doc, "num_key_value_heads", false,
                       architecture->n_kv_heads > 0 ? architecture->n_kv_heads : config->n_heads,
                       WIDTH_MAX, &config->n_kv_heads, err)) != 0 ||
        (rc = get_size(doc, "head_dim", false,
                       architecture->head_width > 0 ? architecture->head_width
                                                    : config->width / config->n_heads,
                       WIDTH_MAX, &config->head_width, err)) != 0 ||
        (rc = get_size(doc, "max_position_embeddings", false, architecture->positions, INT32_MAX,
                       &config->positions, err)) != 0) {
        return rc;
    }
    return check_heads(config, architecture->head_width == 0 && member(doc, "head_dim") == NULL,
                       err);
}

/* ---- rotary positions ---- */

static void read_rope_kind(struct config_rope *rope, const char *kind)
{
    static const struct {
        const char *name;
        enum config_rope_kind kind;
    } kinds[] = {{"default", CONFIG_ROPE_DEFAULT}, {"linear", CONFIG_ROPE_LINEAR},
                 {"llama3", CONFIG_ROPE_LLAMA3},   {"dynamic", CONFIG_ROPE_DYNAMIC},
                 {"yarn", CONFIG_ROPE_YARN},       {"longrope", CONFIG_ROPE_LONGROPE},
                 {"su", CONFIG_ROPE_LONGROPE}};

    rope->kind = CONFIG_ROPE_OTHER;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, kind) == 0) {
            rope->kind = kinds[i].kind;
        }
    }
    if (rope->kind == CONFIG_ROPE_OTHER) {
        snprintf(rope->name, sizeof(rope->name), "%s", kind);
    }
}

/* Without it these would run as if nothing were scaled. */
static int read_rope_factor(struct config_rope *rope, const json_t *scaling, struct err *err)
{
    const bool required = rope->kind == CONFIG_ROPE_LINEAR || rope->kind == CONFIG_ROPE_LLAMA3 ||
                          rope->kind == CONFIG_ROPE_YARN;

    return required && member(scaling, "factor") == NULL
               ? err_set(err, ERR_MISSING, "rope scaling: factor: missing")
               : get_number(scaling, "factor", 1, &rope->factor, err);
}

/* Peng et al. 2023 (arXiv:2309.00071), eq. 22; mscale is a weight of the logarithm that some files
 * give, for the numerator and for the denominator. */
static double yarn_growth(double factor, double mscale)
{
    return factor <= 1.0 ? 1.0 : 0.1 * mscale * log(factor) + 1.0;
}

static int read_yarn(struct config_rope *rope, const json_t *scaling, struct err *err)
{
    double mscale;
    double mscale_all;
    int rc;

    if ((rc = get_number(scaling, "beta_fast", 32, &rope->beta_fast, err)) != 0 ||
        (rc = get_number(scaling, "beta_slow", 1, &rope->beta_slow, err)) != 0 ||
        (rc = get_flag(scaling, "truncate", true, &rope->whole_pairs, err)) != 0 ||
        (rc = get_number(scaling, "mscale", 0, &mscale, err)) != 0 ||
        (rc = get_number(scaling, "mscale_all_dim", 0, &mscale_all, err)) != 0) {
        return rc;
    }
    if (rope->theta <= 1.0) {
        return err_set(err, ERR_FORMAT, "rope_theta: %g is too small for yarn", rope->theta);
    }
    double growth = mscale > 0 && mscale_all > 0
                        ? yarn_growth(rope->factor, mscale) / yarn_growth(rope->factor, mscale_all)
                        : yarn_growth(rope->factor, 1.0);
    return get_number(scaling, "attention_factor", growth, &rope->attention_factor, err);
}

/* Ding et al. 2024 (arXiv:2402.13753). How much longer contexts became is the ratio of the lengths
 * after and before. */
static int read_longrope(const struct config *config, struct config_rope *rope,
                         const json_t *scaling, struct err *err)
{
    size_t n_pairs = config->rotary_width / 2;
    json_t *divisors;
    double growth = 1.0;

    int rc = doc_array(scaling, "short_factor", &divisors, err);
    if (rc != 0) {
        return rc;
    }
    if (json_array_size(divisors) != n_pairs || n_pairs > CONFIG_PAIRS_MAX) {
        return err_set(err, ERR_FORMAT, "short_factor: %zu numbers for %zu rotary pairs",
                       json_array_size(divisors), n_pairs);
    }
    for (size_t j = 0; j < n_pairs; j++) {
        rope->divisors[j] = json_number_value(json_array_get(divisors, j));
        if (!(isfinite(rope->divisors[j]) && rope->divisors[j] > 0)) {
            return err_set(err, ERR_FORMAT, "short_factor: entry %zu is no positive number", j);
        }
    }
    double ratio =
        config->positions > 0 ? config->positions / rope->original_positions : rope->factor;
    if (ratio > 1.0 && rope->original_positions > 1.0) {
        growth = sqrt(1.0 + log(ratio) / log(rope->original_positions));
    }
    return get_number(scaling, "attention_factor", growth, &rope->attention_factor, err);
}

static int read_llama3(struct config_rope *rope, const json_t *scaling, struct err *err)
{
    int rc = get_number(scaling, "low_freq_factor", 1, &rope->low_freq_factor, err);

    if (rc == 0) {
        rc = get_number(scaling, "high_freq_factor", 4, &rope->high_freq_factor, err);
    }
    if (rc == 0 && !(rope->low_freq_factor < rope->high_freq_factor)) {
        rc = err_set(err, ERR_FORMAT, "low_freq_factor %g is not below high_freq_factor %g",
                     rope->low_freq_factor, rope->high_freq_factor);
    }
    return rc;
}

/* doc is the whole file, in which some keep the length before scaling. */
static int read_rope_scaling(const struct config *config, struct config_rope *rope,
                             const json_t *doc, const json_t *scaling, struct err *err)
{
    const char *original = "original_max_position_embeddings";
    const char *kind;
    int rc = get_word(scaling, "rope_type", NULL, &kind, err);

    if (rc == 0 && kind == NULL) {
        rc = get_word(scaling, "type", "default", &kind, err);
    }
    if (rc != 0) {
        return rc;
    }
    read_rope_kind(rope, kind);
    if (rope->kind == CONFIG_ROPE_OTHER) {
        return 0;
    }
    if ((rc = read_rope_factor(rope, scaling, err)) != 0 ||
        (rc = get_number(member(scaling, original) != NULL ? scaling : doc, original,
                         config->positions > 0 ? config->positions : 2048,
                         &rope->original_positions, err)) != 0) {
        return rc;
    }
    switch (rope->kind) {
    case CONFIG_ROPE_LLAMA3:
        return read_llama3(rope, scaling, err);
    case CONFIG_ROPE_YARN:
        return read_yarn(rope, scaling, err);
    case CONFIG_ROPE_LONGROPE:
        return read_longrope(config, rope, scaling, err);
    default:
        return 0;
    }
}

/* One object of settings (NULL: none) over a base. */
static int read_rope(const struct config *config, struct config_rope *rope, const json_t *doc,
                     const json_t *settings, double theta, struct err *err)
{
    *rope = (struct config_rope){.kind = CONFIG_ROPE_DEFAULT, .theta = theta, .factor = 1};
    if (settings == NULL) {
        return 0;
    }
    if (!json_is_object(settings)) {
        return err_set(err, ERR_FORMAT, "rope_scaling: expected a mapping, got %s",
                       doc_kind(settings));
    }
    int rc = get_number(settings, "rope_theta", theta, &rope->theta, err);
    return rc != 0 ? rc : read_rope_scaling(config, rope, doc, settings, err);
}

static int read_rotary_width(struct config *config, const json_t *doc, const json_t *settings,
                             struct err *err)
{
    const char *key = "partial_rotary_factor";
    double share;
    int rc = get_number(member(settings, key) != NULL ? settings : doc, key, 1, &share, err);

    if (rc != 0) {
        return rc;
    }
    config->rotary_width = (uint32_t)((double)config->head_width * fmin(share, 1.0));
    if (config->rotary_width == 0 || config->rotary_width % 2 != 0) {
        return err_set(err, ERR_FORMAT, "%s: %g of %u is %u; rotary positions need pairs", key,
                       share, config->head_width, config->rotary_width);
    }
    return 0;
}

static int read_ropes(struct config *config, const json_t *doc,
                      const struct architecture *architecture, struct err *err)
{
    const json_t *settings = member(doc, "rope_parameters");
    const json_t *local = member(settings, "sliding_attention");
    double theta;
    double local_theta;
    int rc;

    if (json_is_object(member(settings, "full_attention"))) {
        settings = member(settings, "full_attention");
    }
    if (settings == NULL) {
        settings = member(doc, "rope_scaling");
    }
    if ((rc = get_number(doc, "rope_theta", architecture->rope_theta, &theta, err)) != 0 ||
        (rc = get_number(doc, "rope_local_base_freq", architecture->local_theta, &local_theta,
                         err)) != 0 ||
        (rc = read_rotary_width(config, doc, settings, err)) != 0 ||
        (rc = read_rope(config, &config->rope, doc, settings, theta, err)) != 0) {
        return rc;
    }
    if (local != NULL || architecture->local_theta > 0) {
        rc = read_rope(config, &config->local_rope, doc, local,
                       architecture->local_theta > 0 ? local_theta : theta, err);
    }
    return rc;
}

/* ---- sliding windows ---- */

static void slide(struct config *config, uint32_t layer)
{
    config->sliding[layer / 64] |= (uint64_t)1 << layer % 64;
}

static int read_layer_types(struct config *config, const json_t *types, struct err *err)
{
    if (!json_is_array(types) || json_array_size(types) < config->n_layers) {
        return err_set(err, ERR_FORMAT, "layer_types: %zu entries for %u layers",
                       json_array_size(types), config->n_layers);
    }
    for (uint32_t layer = 0; layer < config->n_layers; layer++) {
        const char *type = json_string_value(json_array_get(types, layer));

        if (type != NULL && strcmp(type, "sliding_attention") == 0) {
            slide(config, layer);
        } else if (type == NULL || strcmp(type, "full_attention") != 0) {
            return err_set(err, ERR_FORMAT, "layer_types: layer %u: '%s' is not known", layer,
                           type != NULL ? type : doc_kind(json_array_get(types, layer)));
        }
    }
    return 0;
}

static int slide_by_rule(struct config *config, const json_t *doc,
                         const struct architecture *architecture, struct err *err)
{
    uint32_t late;
    uint32_t pattern;
    const char *key = member(doc, "_sliding_window_pattern") != NULL ? "_sliding_window_pattern"
                                                                     : "sliding_window_pattern";
    int rc = get_size(doc, key, false, 6, CONFIG_LAYERS_MAX, &pattern, err);

    late = 28; /* what loaders take; 0 is allowed, unlike of a size */
    if (rc == 0 && member(doc, "max_window_layers") != NULL) {
        int64_t value;

        rc = doc_integer(doc, "max_window_layers", 0, INT32_MAX, &value, err);
        late = rc == 0 ? (uint32_t)value : late;
    }
    for (uint32_t layer = 0; layer < config->n_layers && rc == 0; layer++) {
        if (architecture->sliding == ARCHITECTURE_SLIDES_ALWAYS ||
            (architecture->sliding == ARCHITECTURE_SLIDES_LATE && layer >= late) ||
            (architecture->sliding == ARCHITECTURE_SLIDES_EVEN && layer % 2 == 0) ||
            (architecture->sliding == ARCHITECTURE_SLIDES_PATTERN && (layer + 1) % pattern != 0)) {
            slide(config, layer);
        }
    }
    return rc;
}

static int read_windows(struct config *config, const json_t *doc,
                        const struct architecture *architecture, struct err *err)
{
    const json_t *types = member(doc, "layer_types");
    bool said = json_object_get(doc, "sliding_window") != NULL;
    bool wanted;
    uint32_t size;
    int rc = get_flag(doc, "use_sliding_window", architecture->sliding != ARCHITECTURE_SLIDES_LATE,
                      &wanted, err);

    if (architecture->sliding == ARCHITECTURE_SLIDES_NEVER) {
        return 0;
    }
    if (rc == 0) {
        rc = get_size(doc, "sliding_window", false, said ? 0 : architecture->window, INT32_MAX,
                      &size, err);
    }
    if (rc != 0 || !wanted || size == 0) {
        return rc;
    }
    config->window = size;
    return types != NULL ? read_layer_types(config, types, err)
                         : slide_by_rule(config, doc, architecture, err);
}

/* Configs begin as zeros, padding too, and are copied whole. */
bool config_equal(const struct config *a, const struct config *b)
{
    return memcmp((const unsigned char *)a, (const unsigned char *)b, sizeof(*a)) == 0;
}

struct config config_without_layers(const struct config *config)
{
    struct config rest = *config;

    rest.n_layers = 0;
    memset(rest.sliding, 0, sizeof(rest.sliding));
    return rest;
}

bool config_equal_but_layers(const struct config *a, const struct config *b)
{
    const struct config rest_a = config_without_layers(a);
    const struct config rest_b = config_without_layers(b);

    return config_equal(&rest_a, &rest_b);
}

bool config_slides(const struct config *config, uint32_t layer)
{
    return layer < CONFIG_LAYERS_MAX && config->sliding[layer / 64] >> layer % 64 & 1;
}

uint32_t config_window(const struct config *config, uint32_t layer)
{
    return config_slides(config, layer) ? config->window : 0;
}

const struct config_rope *config_rope_of(const struct config *config, uint32_t layer)
{
    return config_window(config, layer) > 0 && config->local_rope.theta > 0 ? &config->local_rope
                                                                            : &config->rope;
}

uint32_t config_positions_max(const struct config *config)
{
    switch (config->rope.kind) {
    case CONFIG_ROPE_DYNAMIC:
        return config->positions;
    case CONFIG_ROPE_LONGROPE:
        return (uint32_t)fmin(config->rope.original_positions, (double)UINT32_MAX);
    default:
        return 0;
    }
}

uint32_t config_context(const struct config *config)
{
    uint32_t scaled = config_positions_max(config);

    return scaled > 0 && (config->positions == 0 || scaled < config->positions) ? scaled
                                                                                : config->positions;
}

bool config_context_warning(const struct config *config, struct text *out)
{
    uint32_t context = config_context(config);

    if (context == config->positions) {
        return false;
    }
    text_printf(out,
                "contexts are cut at %u tokens, not %u: rotary scaling of longer ones is not run",
                context, config->positions);
    return true;
}

/* ---- the rest ---- */

static int read_activation(struct config *config, const json_t *doc,
                           const struct architecture *architecture, struct err *err)
{
    static const struct {
        const char *name;
        enum config_activation activation;
    } known[] = {{"silu", CONFIG_SILU},
                 {"swish", CONFIG_SILU},
                 {"gelu_pytorch_tanh", CONFIG_GELU_TANH},
                 {"gelu_new", CONFIG_GELU_TANH}};
    const char *name;
    int rc = architecture->gemma
                 ? get_word(doc, "hidden_activation", "gelu_pytorch_tanh", &name, err)
                 : get_word(doc, "hidden_act", "silu", &name, err);

    config->activation = CONFIG_ACTIVATION_OTHER;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && rc == 0; i++) {
        if (strcmp(known[i].name, name) == 0) {
            config->activation = known[i].activation;
        }
    }
    return rc;
}

/* What only families with a query_pre_attn_scalar have. */
static int read_caps(struct config *config, const json_t *doc,
                     const struct architecture *architecture, struct err *err)
{
    int rc;

    if (architecture->query_scalar == 0) {
        return 0;
    }
    if ((rc = get_number(doc, "query_pre_attn_scalar", architecture->query_scalar,
                         &config->query_scalar, err)) != 0 ||
        (rc = get_number_or_none(doc, "attn_logit_softcapping", architecture->attention_cap,
                                 &config->attention_cap, err)) != 0) {
        return rc;
    }
    return get_number_or_none(doc, "final_logit_softcapping", architecture->logit_cap,
                              &config->logit_cap, err);
}

static int read_traits(struct config *config, const json_t *doc,
                       const struct architecture *architecture, struct err *err)
{
    bool attention_bias;
    int rc;

    if ((rc = get_number(doc, "rms_norm_eps", DEFAULT_NORM_EPS, &config->norm_eps, err)) != 0 ||
        (rc = get_flag(doc, "tie_word_embeddings", architecture->tied, &config->tied, err)) != 0 ||
        (rc = get_flag(doc, "attention_bias", false, &attention_bias, err)) != 0 ||
        (rc = get_flag(doc, "mlp_bias", false, &config->mlp_bias, err)) != 0 ||
        (rc = read_activation(config, doc, architecture, err)) != 0 ||
        (rc = read_caps(config, doc, architecture, err)) != 0) {
        return rc;
    }
    attention_bias = attention_bias && !architecture->fused; /* fused tensors have none */
    config->mlp_bias = config->mlp_bias && !architecture->fused;
    config->qkv_bias = architecture->qkv_bias || attention_bias;
    config->out_bias = !architecture->qkv_bias && attention_bias;
    config->qk_norm = architecture->qk_norm;
    config->fused = architecture->fused;
    config->sandwich = architecture->sandwich;
    if (architecture->gemma) {
        config->norm_offset = 1.0F;
        config->embedding_scale = sqrt((double)config->width);
    }
    return 0;
}

static void add_eos(struct config *config, const json_t *value)
{
    json_int_t id = json_integer_value(value);

    if (!json_is_integer(value) || id < 0 || id > INT32_MAX || config->n_eos == CONFIG_EOS_MAX) {
        return;
    }
    for (size_t i = 0; i < config->n_eos; i++) {
        if (config->eos[i] == (int32_t)id) {
            return;
        }
    }
    config->eos[config->n_eos++] = (int32_t)id;
}

static void add_ends(struct config *config, const json_t *doc)
{
    const json_t *eos = json_object_get(doc, "eos_token_id");

    if (!json_is_array(eos)) {
        add_eos(config, eos);
    }
    for (size_t i = 0; i < json_array_size(eos); i++) {
        add_eos(config, json_array_get(eos, i));
    }
}

/* A member that is null says "none"; one that is absent leaves the family's default. */
static void read_ids(struct config *config, const json_t *doc, const json_t *generation,
                     const struct architecture *architecture)
{
    const json_t *bos = json_object_get(doc, "bos_token_id");
    json_int_t id = json_integer_value(bos);

    config->bos = bos == NULL ? architecture->bos : -1;
    if (json_is_integer(bos) && id >= 0 && id <= INT32_MAX) {
        config->bos = (int32_t)id;
    }
    add_ends(config, doc);
    add_ends(config, generation);
    if (json_object_get(doc, "eos_token_id") == NULL && config->n_eos == 0 &&
        architecture->eos >= 0) {
        config->eos[config->n_eos++] = architecture->eos;
    }
}

static int read_words(struct config *config, const json_t *doc, struct err *err)
{
    const json_t *first = json_array_get(json_object_get(doc, "architectures"), 0);
    const char *architecture = json_string_value(first);
    const char *model_type;
    const char *dtype;
    int rc;

    if ((rc = get_word(doc, "model_type", "", &model_type, err)) != 0 ||
        (rc = get_word(doc, "torch_dtype", NULL, &dtype, err)) != 0 ||
        (rc = get_word(doc, "dtype", dtype, &dtype, err)) != 0) {
        return rc;
    }
    if (architecture == NULL) {
        return err_set(err, ERR_MISSING, "architectures: missing");
    }
    snprintf(config->architecture, sizeof(config->architecture), "%s", architecture);
    snprintf(config->model_type, sizeof(config->model_type), "%s", model_type);
    config->has_dtype = dtype != NULL && dtype_config_parse(dtype, &config->dtype);
    return 0;
}

static int read_known(struct config *config, const json_t *doc,
                      const struct architecture *architecture, struct err *err)
{
    int rc;

    if (architecture->nested) {
        config->nesting = CONFIG_NESTED;
        doc = member(doc, "text_config");
        if (!json_is_object(doc)) {
            return err_set(err, ERR_MISSING, "text_config: missing");
        }
    }
    if ((rc = read_sizes(config, doc, architecture, err)) == 0 &&
        (rc = read_traits(config, doc, architecture, err)) == 0 &&
        (rc = read_windows(config, doc, architecture, err)) == 0) {
        rc = read_ropes(config, doc, architecture, err);
    }
    return rc == 0 || !architecture->nested ? rc : err_wrap(err, "text_config");
}

int config_parse(struct config *out, const json_t *doc, const json_t *generation, struct err *err)
{
    struct config made = {0};
    int rc;

    if (!json_is_object(doc)) {
        return err_set(err, ERR_FORMAT, "expected an object, got %s", doc_kind(doc));
    }
    rc = read_words(&made, doc, err);
    if (rc != 0) {
        return rc;
    }
    const struct architecture *architecture = architecture_find(made.architecture);
    made.family = architecture->family;
    if (made.family == CONFIG_OTHER) {
        find_sizes(&made, doc);
    } else if ((rc = read_known(&made, doc, architecture, err)) != 0) {
        return rc;
    }
    read_ids(&made, doc, generation, architecture);
    *out = made;
    return 0;
}

int config_load(struct config *out, const char *folder, struct err *err)
{
    char *path = file_join(folder, "config.json");
    char *generation_path = file_join(folder, "generation_config.json");
    json_t *doc = NULL;
    json_t *generation = NULL;

    int rc = doc_load(&doc, path, CONFIG_SIZE_MAX, err);
    if (rc == 0 && file_exists(generation_path)) {
        rc = doc_load(&generation, generation_path, CONFIG_SIZE_MAX, err);
    }
    if (rc == 0) {
        rc = config_parse(out, doc, generation, err);
        if (rc != 0) {
            rc = err_wrap(err, "%s", path);
        }
    }
    json_decref(doc);
    json_decref(generation);
    free(path);
    free(generation_path);
    return rc;
}

int config_runnable(const struct config *config, struct err *err)
{
    if (config->family == CONFIG_OTHER) {
        return err_set(err, ERR_FORMAT, "%s models can be merged but not scored by this version",
                       config->architecture);
    }
    if (config->activation == CONFIG_ACTIVATION_OTHER) {
        return err_set(err, ERR_FORMAT, "hidden_act is neither silu nor gelu_pytorch_tanh");
    }
    if (config->rope.kind == CONFIG_ROPE_OTHER || config->local_rope.kind == CONFIG_ROPE_OTHER) {
        return err_set(err, ERR_FORMAT,
                       "rope_type %s: such a model can be merged but not scored by this version",
                       config->rope.kind == CONFIG_ROPE_OTHER ? config->rope.name
                                                              : config->local_rope.name);
    }
    return 0;
}

/* ---- the edits of an export ---- */

/* Where the members of the text model stand. */
static json_t *text_of(json_t *doc)
{
    const char *name = json_string_value(json_array_get(json_object_get(doc, "architectures"), 0));
    json_t *text = json_object_get(doc, "text_config");

    return name != NULL && architecture_find(name)->nested && json_is_object(text) ? text : doc;
}

/* The list of what each layer is, where a config has one, goes by the layers it is made of. */
static int edit_layers(json_t *whole, uint32_t n_layers, const uint32_t *layers, struct err *err)
{
    json_t *doc = text_of(whole);
    json_t *types = json_object_get(doc, "layer_types");
    json_t *edited = json_array();

    json_object_set_new(doc, "num_hidden_layers", json_integer(n_layers));
    for (uint32_t i = 0; i < n_layers && json_is_array(types); i++) {
        size_t from = layers != NULL ? layers[i] : i;

        if (from >= json_array_size(types)) {
            json_decref(edited);
            return err_set(err, ERR_FORMAT, "layer_types has %zu entries, none for layer %zu",
                           json_array_size(types), from);
        }
        json_array_append(edited, json_array_get(types, from));
    }
    if (json_is_array(types)) {
        json_object_set(doc, "layer_types", edited);
    }
    json_decref(edited);
    return 0;
}

static void write_types(json_t *doc, uint32_t n_layers, const uint64_t *sliding)
{
    json_t *types = json_array();

    for (uint32_t i = 0; i < n_layers; i++) {
        bool slides = sliding[i / 64] >> i % 64 & 1;

        json_array_append_new(types, json_string(slides ? "sliding_attention" : "full_attention"));
    }
    json_object_set_new(doc, "layer_types", types);
}

/* A list is written where there was one, or where the family's rule gives other layers. */
static int edit_sliding(json_t *whole, uint32_t n_layers, const uint64_t *sliding, struct err *err)
{
    json_t *doc = text_of(whole);
    struct config read = {0};

    json_object_set_new(doc, "num_hidden_layers", json_integer(n_layers));
    if (member(doc, "layer_types") != NULL) {
        write_types(doc, n_layers, sliding);
    }
    int rc = config_parse(&read, whole, NULL, err);
    if (rc == 0 && memcmp(read.sliding, sliding, sizeof(read.sliding)) != 0) {
        write_types(doc, n_layers, sliding);
    }
    return rc;
}

int config_apply(json_t **out, const json_t *donor, const struct config_edit *edit, struct err *err)
{
    json_t *doc = json_deep_copy(donor);
    int rc = 0;

    if (edit->sliding != NULL) {
        rc = edit_sliding(doc, edit->n_layers, edit->sliding, err);
    } else if (edit->n_layers > 0) {
        rc = edit_layers(doc, edit->n_layers, edit->layers, err);
    }
    if (rc != 0) {
        json_decref(doc);
        return rc;
    }
    if (edit->vocab > 0) {
        json_object_set_new(text_of(doc), "vocab_size", json_integer(edit->vocab));
    }
    if (edit->dtype != NULL) {
        bool newer = json_object_get(doc, "dtype") != NULL;
        bool older = json_object_get(doc, "torch_dtype") != NULL;

        if (newer) {
            json_object_set_new(doc, "dtype", json_string(edit->dtype));
        }
        if (older || !newer) {
            json_object_set_new(doc, "torch_dtype", json_string(edit->dtype));
        }
    }
    if (edit->untie) {
        json_object_set_new(text_of(doc), "tie_word_embeddings", json_false());
    }
    *out = doc;
    return 0;
}
