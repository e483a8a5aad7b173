/*
 * twin_folder.c - a twin read from a folder, with a reader of its own.
 *
 * What each family means is written here once more, from the descriptions of the formats and not
 * from the engine's tables: defaults, which layers slide, how heads turn.
 */
#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/twin_internal.h"

/* ---- tensors ---- */

static unsigned char *read_file(const char *folder, const char *name, size_t *n)
{
    char *path = mem_printf("%s/%s", folder, name);
    FILE *file = fopen(path, "rb");

    assert(file != NULL && fseek(file, 0, SEEK_END) == 0);
    *n = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = mem_array(*n + 1, 1);
    size_t got = fread(bytes, 1, *n, file);
    assert(got == *n);
    (void)got;
    fclose(file);
    free(path);
    return bytes;
}

static double element(const unsigned char *bytes, bool is_bf16, size_t i)
{
    uint32_t bits = 0;
    float value;

    if (is_bf16) {
        bits = ((uint32_t)bytes[2 * i] | (uint32_t)bytes[2 * i + 1] << 8) << 16;
    } else {
        memcpy(&bits, bytes + 4 * i, 4);
    }
    memcpy(&value, &bits, 4);
    return (double)value;
}

/* The name that a tensor of a nested text model has in a model alone. */
static void name_alone(char *out, size_t size, const char *name)
{
    static const char inner[] = "language_model.";
    const char *at = strstr(name, inner);

    if (at == NULL) {
        snprintf(out, size, "%s", name);
    } else {
        snprintf(out, size, "%.*s%s", (int)(at - name), name, at + strlen(inner));
    }
}

static void read_tensors(struct twin *twin, const char *folder)
{
    size_t size;
    unsigned char *bytes = read_file(folder, "model.safetensors", &size);
    uint64_t header_size;
    const char *name;
    json_t *entry;

    memcpy(&header_size, bytes, 8);
    json_t *header = json_loadb((char *)bytes + 8, (size_t)header_size, 0, NULL);
    twin->tensors = mem_array(json_object_size(header), sizeof(struct twin_tensor));
    json_object_foreach(header, name, entry)
    {
        struct twin_tensor *tensor = &twin->tensors[twin->n_tensors];
        const char *dtype = json_string_value(json_object_get(entry, "dtype"));
        const json_t *offsets = json_object_get(entry, "data_offsets");
        size_t from = (size_t)json_integer_value(json_array_get(offsets, 0));
        size_t to = (size_t)json_integer_value(json_array_get(offsets, 1));

        if (dtype == NULL) {
            continue; /* __metadata__ */
        }
        bool is_bf16 = strcmp(dtype, "BF16") == 0;
        name_alone(tensor->name, sizeof(tensor->name), name);
        tensor->n = (to - from) / (is_bf16 ? 2 : 4);
        tensor->values = mem_array(tensor->n + 1, sizeof(double));
        for (size_t i = 0; i < tensor->n; i++) {
            tensor->values[i] = element(bytes + 8 + header_size + from, is_bf16, i);
        }
        twin->n_tensors++;
    }
    json_decref(header);
    free(bytes);
}

/* ---- config.json ---- */

/* Absent and null are the fallback. */
static double number(const json_t *doc, const char *key, double fallback)
{
    const json_t *value = json_object_get(doc, key);

    return json_is_number(value) ? json_number_value(value) : fallback;
}

static size_t size_of(const json_t *doc, const char *key, size_t fallback)
{
    return (size_t)number(doc, key, (double)fallback);
}

static bool is_type(const json_t *doc, const char *type)
{
    const char *have = json_string_value(json_object_get(doc, "model_type"));

    assert(have != NULL);
    return strcmp(have, type) == 0;
}

static bool is_gemma(const json_t *doc)
{
    return is_type(doc, "gemma") || is_type(doc, "gemma2") || is_type(doc, "gemma3_text");
}

static const char *kind_of(const json_t *rope)
{
    const char *kind = json_string_value(json_object_get(rope, "rope_type"));

    if (kind == NULL) {
        kind = json_string_value(json_object_get(rope, "type"));
    }
    return kind != NULL ? kind : "default";
}

static double llama3(const json_t *rope, double turn)
{
    double factor = number(rope, "factor", 1.0);
    double low = number(rope, "low_freq_factor", 1.0);
    double high = number(rope, "high_freq_factor", 4.0);
    double original = number(rope, "original_max_position_embeddings", 8192.0);
    double wavelength = 2.0 * acos(-1.0) / turn;

    if (wavelength < original / high) {
        return turn;
    }
    if (wavelength > original / low) {
        return turn / factor;
    }
    double s = (original / wavelength - low) / (high - low);
    return (1.0 - s) * turn / factor + s * turn;
}

/* The dimension index (of R) at which a pair makes so many turns in the trained length. */
static double correction_dim(double turns, double R, double theta, double original)
{
    return R * log(original / (turns * 2.0 * acos(-1.0))) / (2.0 * log(theta));
}

static double yarn(const json_t *rope, double R, double theta, double original, size_t j)
{
    double factor = number(rope, "factor", 1.0);
    double low =
        fmax(floor(correction_dim(number(rope, "beta_fast", 32.0), R, theta, original)), 0.0);
    double high =
        fmin(ceil(correction_dim(number(rope, "beta_slow", 1.0), R, theta, original)), R - 1.0);
    double ramp = ((double)j - low) / (high - low);
    double extrapolation = 1.0 / pow(theta, 2.0 * (double)j / R);
    double mask = 1.0 - (ramp < 0.0 ? 0.0 : ramp > 1.0 ? 1.0 : ramp);

    return extrapolation / factor * (1.0 - mask) + extrapolation * mask;
}

static void read_rope(struct twin *twin, const json_t *doc, const json_t *rope, double theta,
                      struct twin_rope *out)
{
    const char *kind = kind_of(rope);
    double positions = number(doc, "max_position_embeddings", 2048.0);
    double original = number(rope, "original_max_position_embeddings",
                             number(doc, "original_max_position_embeddings", positions));
    double R = (double)twin->R;

    theta = number(rope, "rope_theta", theta);
    out->growth = 1.0;
    for (size_t j = 0; j < twin->R / 2; j++) {
        double turn = pow(theta, -2.0 * (double)j / R);

        if (strcmp(kind, "linear") == 0) {
            turn /= number(rope, "factor", 1.0);
        } else if (strcmp(kind, "llama3") == 0) {
            turn = llama3(rope, turn);
        } else if (strcmp(kind, "yarn") == 0) {
            turn = yarn(rope, R, theta, original, j);
        } else if (strcmp(kind, "longrope") == 0) {
            turn /= json_number_value(json_array_get(json_object_get(rope, "short_factor"), j));
        }
        out->turns[j] = turn;
    }
    if (strcmp(kind, "yarn") == 0) {
        out->growth =
            number(rope, "attention_factor", 0.1 * log(number(rope, "factor", 1.0)) + 1.0);
    } else if (strcmp(kind, "longrope") == 0) {
        out->growth = sqrt(1.0 + log(positions / original) / log(original));
    }
}

static void read_ropes(struct twin *twin, const json_t *doc)
{
    const json_t *rope = json_object_get(doc, "rope_parameters");
    const json_t *local = json_object_get(rope, "sliding_attention");

    if (json_is_object(json_object_get(rope, "full_attention"))) {
        rope = json_object_get(rope, "full_attention");
    }
    if (rope == NULL) {
        rope = json_object_get(doc, "rope_scaling");
    }
    read_rope(twin, doc, rope, number(doc, "rope_theta", is_type(doc, "gemma3_text") ? 1e6 : 1e4),
              &twin->ropes[0]);
    read_rope(twin, doc, local, number(doc, "rope_local_base_freq", 1e4), &twin->ropes[1]);
}

static bool slides(const json_t *doc, size_t layer)
{
    const json_t *types = json_object_get(doc, "layer_types");

    if (types != NULL) {
        return strcmp(json_string_value(json_array_get(types, layer)), "sliding_attention") == 0;
    }
    if (is_type(doc, "mistral") || is_type(doc, "phi3")) {
        return true;
    }
    if (is_type(doc, "qwen2") || is_type(doc, "qwen3")) {
        return json_is_true(json_object_get(doc, "use_sliding_window")) &&
               layer >= size_of(doc, "max_window_layers", 28);
    }
    if (is_type(doc, "gemma2")) {
        return layer % 2 == 0;
    }
    return is_type(doc, "gemma3_text") &&
           (layer + 1) % size_of(doc, "sliding_window_pattern", 6) != 0;
}

static void read_layers(struct twin *twin, const json_t *doc)
{
    bool gemma = is_type(doc, "gemma2") || is_type(doc, "gemma3_text");

    for (size_t l = 0; l < twin->L; l++) {
        bool sliding = slides(doc, l);

        twin->window[l] = sliding ? size_of(doc, "sliding_window", gemma ? 4096 : 0) : 0;
        twin->turns_locally[l] = is_type(doc, "gemma3_text") && sliding;
    }
}

static void read_sizes(struct twin *twin, const json_t *doc)
{
    twin->L = size_of(doc, "num_hidden_layers", 0);
    twin->D = size_of(doc, "hidden_size", 0);
    twin->F = size_of(doc, "intermediate_size", 0);
    twin->H = size_of(doc, "num_attention_heads", 0);
    twin->G = size_of(doc, "num_key_value_heads", twin->H);
    twin->V = size_of(doc, "vocab_size", 0);
    twin->K = size_of(doc, "head_dim",
                      is_gemma(doc)           ? 256
                      : is_type(doc, "qwen3") ? 128
                                              : twin->D / twin->H);
    twin->R = (size_t)((double)twin->K * number(doc, "partial_rotary_factor", 1.0));
    assert(twin->L <= TWIN_LAYERS_MAX && twin->R <= 2 * TWIN_PAIRS_MAX);
}

struct twin *twin_of_folder(const char *folder)
{
    struct twin *twin = mem_array(1, sizeof(*twin));
    size_t size;
    unsigned char *bytes = read_file(folder, "config.json", &size);
    json_t *whole = json_loadb((char *)bytes, size, 0, NULL);
    json_t *text = json_object_get(whole, "text_config");
    const json_t *doc = text != NULL ? text : whole;
    bool scalar = is_type(doc, "gemma2") || is_type(doc, "gemma3_text");

    read_sizes(twin, doc);
    read_layers(twin, doc);
    read_ropes(twin, doc);
    twin->eps = number(doc, "rms_norm_eps", 1e-6);
    twin->norm_offset = is_gemma(doc) ? 1.0 : 0.0;
    twin->embedding_scale = is_gemma(doc) ? sqrt((double)twin->D) : 1.0;
    twin->gelu = is_gemma(doc);
    twin->score_divisor =
        sqrt(scalar ? number(doc, "query_pre_attn_scalar", 256.0) : (double)twin->K);
    if (is_type(doc, "gemma2")) {
        twin->attention_cap = number(doc, "attn_logit_softcapping", 0.0);
        twin->logit_cap = number(doc, "final_logit_softcapping", 0.0);
    }
    read_tensors(twin, folder);
    json_decref(whole);
    free(bytes);
    return twin;
}
