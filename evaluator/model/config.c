/*
 * config.c - config.json read with every default filled in.
 *
 * Rotary settings have two spellings: top-level rope_theta with rope_scaling, or one object
 * rope_parameters; the latter wins. Defaults differ by family and stand in one table.
 */
#include "evaluator/model/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define WIDTH_MAX 1000000
#define VOCAB_MAX 10000000
#define DEFAULT_NORM_EPS 1e-6

/* What holds where the file is silent. */
struct family {
    const char *architecture;
    enum config_family family;
    double rope_theta;
    bool qkv_bias;    /* always, whatever the file says */
    int32_t bos, eos; /* -1: none */
};

static const struct family families[] = {
    {"LlamaForCausalLM", CONFIG_LLAMA, 10000, false, 1, 2},
    {"MistralForCausalLM", CONFIG_MISTRAL, 10000, false, 1, 2},
    {"Qwen2ForCausalLM", CONFIG_QWEN2, 10000, true, -1, -1},
};

static const struct family other = {.rope_theta = 10000, .bos = -1, .eos = -1};

static const struct family *find_family(const char *architecture)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strcmp(families[i].architecture, architecture) == 0) {
            return &families[i];
        }
    }
    return &other;
}

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

static int read_sizes(struct config *config, const json_t *doc, struct err *err)
{
    const struct {
        const char *key;
        int64_t max;
        uint32_t *out;
    } required[] = {{"num_hidden_layers", CONFIG_LAYERS_MAX, &config->n_layers},
                    {"hidden_size", WIDTH_MAX, &config->width},
                    {"intermediate_size", WIDTH_MAX, &config->mlp_width},
                    {"num_attention_heads", WIDTH_MAX, &config->n_heads},
                    {"vocab_size", VOCAB_MAX, &config->vocab}};
    int rc = 0;

    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]) && rc == 0; i++) {
        rc = get_size(doc, required[i].key, true, 0, required[i].max, required[i].out, err);
    }
    if (rc != 0 ||
        (rc = get_size(doc, "num_key_value_heads", false, config->n_heads, WIDTH_MAX,
                       &config->n_kv_heads, err)) != 0 ||
        (rc = get_size(doc, "head_dim", false, config->width / config->n_heads, WIDTH_MAX,
                       &config->head_width, err)) != 0 ||
        (rc = get_size(doc, "max_position_embeddings", false, 0, INT32_MAX, &config->positions,
                       err)) != 0) {
        return rc;
    }
    return check_heads(config, member(doc, "head_dim") == NULL, err);
}

/* ---- rotary positions ---- */

static int read_rope_kind(struct config_rope *rope, const char *kind, struct err *err)
{
    static const struct {
        const char *name;
        enum config_rope_kind kind;
    } kinds[] = {{"default", CONFIG_ROPE_DEFAULT},
                 {"linear", CONFIG_ROPE_LINEAR},
                 {"llama3", CONFIG_ROPE_LLAMA3},
                 {"dynamic", CONFIG_ROPE_DYNAMIC},
                 {"yarn", CONFIG_ROPE_YARN}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, kind) == 0) {
            rope->kind = kinds[i].kind;
            return 0;
        }
    }
    return err_set(err, ERR_FORMAT, "rope_type: '%s' is not known", kind);
}

static int read_rope_scaling(struct config *config, const json_t *scaling, struct err *err)
{
    struct config_rope *rope = &config->rope;
    const char *kind;
    int rc = get_word(scaling, "rope_type", NULL, &kind, err);

    if (rc == 0 && kind == NULL) {
        rc = get_word(scaling, "type", "default", &kind, err);
    }
    if (rc != 0 || (rc = read_rope_kind(rope, kind, err)) != 0 ||
        (rc = get_number(scaling, "factor", 1, &rope->factor, err)) != 0 ||
        (rc = get_number(scaling, "low_freq_factor", 1, &rope->low_freq_factor, err)) != 0 ||
        (rc = get_number(scaling, "high_freq_factor", 4, &rope->high_freq_factor, err)) != 0 ||
        (rc = get_number(scaling, "original_max_position_embeddings",
                         config->positions > 0 ? config->positions : 2048,
                         &rope->original_positions, err)) != 0) {
        return rc;
    }
    if (rope->kind == CONFIG_ROPE_LLAMA3 && !(rope->low_freq_factor < rope->high_freq_factor)) {
        return err_set(err, ERR_FORMAT, "low_freq_factor %g is not below high_freq_factor %g",
                       rope->low_freq_factor, rope->high_freq_factor);
    }
    return 0;
}

static int read_rope(struct config *config, const json_t *doc, double theta, struct err *err)
{
    const json_t *parameters = member(doc, "rope_parameters");
    const json_t *scaling = parameters != NULL ? parameters : member(doc, "rope_scaling");

    config->rope = (struct config_rope){.kind = CONFIG_ROPE_DEFAULT, .theta = theta, .factor = 1};
    int rc = get_number(doc, "rope_theta", theta, &config->rope.theta, err);
    if (rc == 0 && parameters != NULL) {
        rc = get_number(parameters, "rope_theta", config->rope.theta, &config->rope.theta, err);
    }
    if (rc != 0 || scaling == NULL) {
        return rc;
    }
    if (!json_is_object(scaling)) {
        return err_set(err, ERR_FORMAT, "rope_scaling: expected a mapping, got %s",
                       doc_kind(scaling));
    }
    return read_rope_scaling(config, scaling, err);
}

/* ---- the rest ---- */

static int read_flags(struct config *config, const json_t *doc, const struct family *family,
                      struct err *err)
{
    const char *activation;
    bool attention_bias;
    bool window;
    int rc;

    if ((rc = get_flag(doc, "tie_word_embeddings", false, &config->tied, err)) != 0 ||
        (rc = get_flag(doc, "attention_bias", false, &attention_bias, err)) != 0 ||
        (rc = get_flag(doc, "mlp_bias", false, &config->mlp_bias, err)) != 0 ||
        (rc = get_flag(doc, "use_sliding_window", config->family == CONFIG_MISTRAL, &window,
                       err)) != 0 ||
        (rc = get_word(doc, "hidden_act", "silu", &activation, err)) != 0) {
        return rc;
    }
    config->qkv_bias = family->qkv_bias || attention_bias;
    config->out_bias = !family->qkv_bias && attention_bias;
    config->silu = strcmp(activation, "silu") == 0 || strcmp(activation, "swish") == 0;
    /* A window that every context fits into is none. */
    uint32_t size = 0;
    if (window && member(doc, "sliding_window") != NULL) {
        rc = get_size(doc, "sliding_window", false, 0, INT32_MAX, &size, err);
    }
    config->window = size;
    return rc;
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
                     const struct family *family)
{
    const json_t *bos = json_object_get(doc, "bos_token_id");
    json_int_t id = json_integer_value(bos);

    config->bos = bos == NULL ? family->bos : -1;
    if (json_is_integer(bos) && id >= 0 && id <= INT32_MAX) {
        config->bos = (int32_t)id;
    }
    add_ends(config, doc);
    add_ends(config, generation);
    if (json_object_get(doc, "eos_token_id") == NULL && config->n_eos == 0 && family->eos >= 0) {
        config->eos[config->n_eos++] = family->eos;
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
    const struct family *family = find_family(made.architecture);
    made.family = family->family;
    if (made.family == CONFIG_OTHER) {
        find_sizes(&made, doc);
    } else if ((rc = read_sizes(&made, doc, err)) != 0 ||
               (rc = get_number(doc, "rms_norm_eps", DEFAULT_NORM_EPS, &made.norm_eps, err)) != 0 ||
               (rc = read_flags(&made, doc, family, err)) != 0 ||
               (rc = read_rope(&made, doc, family->rope_theta, err)) != 0) {
        return rc;
    }
    read_ids(&made, doc, generation, family);
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
    if (!config->silu) {
        return err_set(err, ERR_FORMAT, "hidden_act is not silu");
    }
    if (config->rope.kind == CONFIG_ROPE_YARN) {
        return err_set(err, ERR_FORMAT, "yarn rotary scaling is not supported");
    }
    if (config->window > 0 && (config->positions == 0 || config->window < config->positions)) {
        return err_set(err, ERR_FORMAT, "a sliding window of %u positions is not supported",
                       config->window);
    }
    return 0;
}

/* ---- the edits of an export ---- */

static int edit_layers(json_t *doc, uint32_t n_layers, struct err *err)
{
    json_t *types = json_object_get(doc, "layer_types");

    json_object_set_new(doc, "num_hidden_layers", json_integer(n_layers));
    if (!json_is_array(types)) {
        return 0;
    }
    if (json_array_size(types) < n_layers) {
        return err_set(err, ERR_FORMAT, "layer_types has %zu entries for %u layers",
                       json_array_size(types), n_layers);
    }
    while (json_array_size(types) > n_layers) {
        json_array_remove(types, json_array_size(types) - 1);
    }
    return 0;
}

int config_apply(json_t **out, const json_t *donor, const struct config_edit *edit, struct err *err)
{
    json_t *doc = json_deep_copy(donor);
    int rc = 0;

    if (edit->n_layers > 0) {
        rc = edit_layers(doc, edit->n_layers, err);
    }
    if (rc != 0) {
        json_decref(doc);
        return rc;
    }
    if (edit->vocab > 0) {
        json_object_set_new(doc, "vocab_size", json_integer(edit->vocab));
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
        json_object_set_new(doc, "tie_word_embeddings", json_false());
    }
    *out = doc;
    return 0;
}
