/*
 * families.c - tiny models, written plainly.
 *
 * Weights are numbers in (-1, 1) from a multiplicative hash of their place, scaled so that every
 * part of a layer matters: scores spread over several units, gains differ from one.
 */
#include "tests/support/families.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/support/support.h"

#define ATTENTION                   \
    "self_attn.q_proj.weight Q D\n" \
    "self_attn.k_proj.weight E D\n" \
    "self_attn.v_proj.weight E D\n" \
    "self_attn.o_proj.weight D Q\n"
#define QKV_BIASES              \
    "self_attn.q_proj.bias Q\n" \
    "self_attn.k_proj.bias E\n" \
    "self_attn.v_proj.bias E\n"
#define HEAD_NORMS                \
    "self_attn.q_norm.weight K\n" \
    "self_attn.k_norm.weight K\n"
#define MLP                      \
    "mlp.gate_proj.weight F D\n" \
    "mlp.up_proj.weight F D\n"   \
    "mlp.down_proj.weight D F\n"
#define NORMS                    \
    "input_layernorm.weight D\n" \
    "post_attention_layernorm.weight D\n"
#define OUTPUT_NORMS                       \
    "pre_feedforward_layernorm.weight D\n" \
    "post_feedforward_layernorm.weight D\n"
#define FUSED                           \
    "self_attn.qkv_proj.weight QEE D\n" \
    "self_attn.o_proj.weight D Q\n"     \
    "mlp.gate_up_proj.weight FF D\n"    \
    "mlp.down_proj.weight D F\n"

const struct family_model family_models[] = {
    {"llama", "LlamaForCausalLM", "llama", 3, 48, 40, 6, 6, 0, 60,
     ",\"rms_norm_eps\":1e-5,\"tie_word_embeddings\":false", NORMS ATTENTION MLP, "lm_head.weight",
     "F32", 0, NULL},
    {"llama-3.1", "LlamaForCausalLM", "llama", 3, 48, 40, 6, 2, 0, 60,
     ",\"rope_theta\":500000.0,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,"
     "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
     "\"original_max_position_embeddings\":32}",
     NORMS ATTENTION MLP, "lm_head.weight", "BF16", 0, NULL},
    {"llama-3.1-new-keys", "LlamaForCausalLM", "llama", 3, 48, 40, 6, 2, 0, 60,
     ",\"dtype\":\"bfloat16\",\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":"
     "500000.0,\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
     "\"original_max_position_embeddings\":32}",
     NORMS ATTENTION MLP, "lm_head.weight", "BF16", 0, NULL},
    {"llama-linear", "LlamaForCausalLM", "llama", 2, 48, 40, 6, 6, 0, 60,
     ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":4.0}", NORMS ATTENTION MLP,
     "lm_head.weight", "F32", 0, NULL},
    {"llama-dynamic", "LlamaForCausalLM", "llama", 2, 48, 40, 6, 6, 0, 60,
     ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":4.0}", NORMS ATTENTION MLP,
     "lm_head.weight", "F32", 0, NULL},
    {"llama-yarn", "LlamaForCausalLM", "llama", 2, 48, 40, 3, 3, 0, 60,
     ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0,\"beta_fast\":8.0,"
     "\"original_max_position_embeddings\":64}",
     NORMS ATTENTION MLP, "lm_head.weight", "F32", 0, NULL},
    {"llama-biases", "LlamaForCausalLM", "llama", 2, 48, 40, 6, 6, 0, 60,
     ",\"attention_bias\":true,\"mlp_bias\":true",
     NORMS ATTENTION QKV_BIASES "self_attn.o_proj.bias D\n" MLP
                                "mlp.gate_proj.bias F\nmlp.up_proj.bias F\nmlp.down_proj.bias D\n",
     "lm_head.weight", "F32", 0, NULL},
    {"mistral", "MistralForCausalLM", "mistral", 3, 48, 40, 4, 2, 20, 60,
     ",\"sliding_window\":7,\"rope_theta\":1000000.0", NORMS ATTENTION MLP, "lm_head.weight",
     "BF16", 0, NULL},
    {"mistral-without-window", "MistralForCausalLM", "mistral", 3, 48, 40, 4, 2, 20, 60,
     ",\"sliding_window\":null", NORMS ATTENTION MLP, "lm_head.weight", "BF16", 0, NULL},
    {"qwen2", "Qwen2ForCausalLM", "qwen2", 3, 48, 40, 6, 2, 0, 60,
     ",\"tie_word_embeddings\":true,\"use_sliding_window\":false,\"sliding_window\":7,"
     "\"max_window_layers\":1,\"rope_theta\":1000000.0",
     NORMS ATTENTION QKV_BIASES MLP, NULL, "BF16", 0, NULL},
    {"qwen2-sliding", "Qwen2ForCausalLM", "qwen2", 3, 48, 40, 6, 2, 0, 60,
     ",\"tie_word_embeddings\":true,\"use_sliding_window\":true,\"sliding_window\":7,"
     "\"max_window_layers\":1,\"rope_theta\":1000000.0",
     NORMS ATTENTION QKV_BIASES MLP, NULL, "BF16", 0, NULL},
    {"qwen3", "Qwen3ForCausalLM", "qwen3", 3, 48, 40, 4, 2, 20, 60,
     ",\"tie_word_embeddings\":false,\"attention_bias\":false,\"rope_theta\":1000000.0,"
     "\"layer_types\":[\"full_attention\",\"full_attention\",\"full_attention\"]",
     NORMS ATTENTION HEAD_NORMS MLP, "lm_head.weight", "BF16", 0, NULL},
    {"qwen3-wide-heads", "Qwen3ForCausalLM", "qwen3", 2, 48, 40, 2, 1, 0, 60,
     ",\"tie_word_embeddings\":true", NORMS ATTENTION HEAD_NORMS MLP, NULL, "F32", 0, NULL},
    {"gemma", "GemmaForCausalLM", "gemma", 2, 48, 40, 4, 1, 16, 60, ",\"hidden_act\":\"gelu\"",
     NORMS ATTENTION MLP, NULL, "BF16", 0, NULL},
    {"gemma2", "Gemma2ForCausalLM", "gemma2", 4, 48, 40, 4, 2, 16, 60,
     ",\"sliding_window\":7,\"query_pre_attn_scalar\":24,\"attn_logit_softcapping\":2.0,"
     "\"final_logit_softcapping\":3.0,\"hidden_activation\":\"gelu_pytorch_tanh\"",
     NORMS ATTENTION MLP OUTPUT_NORMS, NULL, "BF16", 0, NULL},
    {"gemma2-layer-types", "Gemma2ForCausalLM", "gemma2", 4, 48, 40, 4, 2, 16, 60,
     ",\"sliding_window\":7,\"query_pre_attn_scalar\":24,\"attn_logit_softcapping\":null,"
     "\"final_logit_softcapping\":3.0,\"layer_types\":[\"full_attention\",\"sliding_attention\","
     "\"sliding_attention\",\"full_attention\"]",
     NORMS ATTENTION MLP OUTPUT_NORMS, NULL, "BF16", 0, NULL},
    {"gemma3", "Gemma3ForCausalLM", "gemma3_text", 4, 48, 40, 4, 2, 16, 60,
     ",\"sliding_window\":7,\"sliding_window_pattern\":3,\"query_pre_attn_scalar\":24,"
     "\"rope_theta\":1000000.0,\"rope_local_base_freq\":100.0,"
     "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8.0}",
     NORMS ATTENTION HEAD_NORMS MLP OUTPUT_NORMS, NULL, "BF16", 0, NULL},
    {"gemma3-new-keys", "Gemma3ForCausalLM", "gemma3_text", 4, 48, 40, 4, 2, 16, 60,
     ",\"sliding_window\":7,\"query_pre_attn_scalar\":24,\"layer_types\":[\"sliding_attention\","
     "\"sliding_attention\",\"full_attention\",\"sliding_attention\"],\"rope_parameters\":{"
     "\"full_attention\":{\"rope_type\":\"linear\",\"factor\":8.0,\"rope_theta\":1000000.0},"
     "\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":100.0}}",
     NORMS ATTENTION HEAD_NORMS MLP OUTPUT_NORMS, NULL, "BF16", 0, NULL},
    {"gemma3-with-images", "Gemma3ForConditionalGeneration", "gemma3_text", 4, 48, 40, 4, 2, 16, 60,
     ",\"sliding_window\":7,\"sliding_window_pattern\":3,\"rope_local_base_freq\":100.0,"
     "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8.0}",
     NORMS ATTENTION HEAD_NORMS MLP OUTPUT_NORMS, NULL, "BF16", 0, "language_model.model."},
    {"gemma3-with-images-new-names", "Gemma3ForConditionalGeneration", "gemma3_text", 4, 48, 40, 4,
     2, 16, 60, ",\"sliding_window\":7", NORMS ATTENTION HEAD_NORMS MLP OUTPUT_NORMS, NULL, "BF16",
     0, "model.language_model."},
    {"phi3", "Phi3ForCausalLM", "phi3", 3, 48, 40, 4, 4, 0, 60,
     ",\"sliding_window\":7,\"tie_word_embeddings\":false", NORMS FUSED, "lm_head.weight", "BF16",
     0, NULL},
    {"phi3-longrope", "Phi3ForCausalLM", "phi3", 2, 48, 40, 4, 2, 0, 60,
     ",\"tie_word_embeddings\":true,\"partial_rotary_factor\":0.5,"
     "\"original_max_position_embeddings\":64,\"rope_scaling\":{\"type\":\"longrope\","
     "\"short_factor\":[1.0,1.25,2.5],\"long_factor\":[4.0,8.0,16.0]}",
     NORMS FUSED, NULL, "F32", 0, NULL},
};

const size_t n_family_models = sizeof(family_models) / sizeof(family_models[0]);

const struct family_model *family_model(const char *name)
{
    for (size_t i = 0; i < n_family_models; i++) {
        if (strcmp(family_models[i].name, name) == 0) {
            return &family_models[i];
        }
    }
    abort();
}

/* ---- numbers ---- */

static uint32_t hash(uint32_t a, uint32_t b)
{
    uint32_t x = (a * 2654435761U) ^ (b + 0x9e3779b9U);

    x = (x ^ x >> 16) * 0x85ebca6bU;
    x = (x ^ x >> 13) * 0xc2b2ae35U;
    return x ^ x >> 16;
}

static uint32_t hash_of_name(const char *name)
{
    uint32_t x = 7;

    for (; *name != '\0'; name++) {
        x = hash(x, (unsigned char)*name);
    }
    return x;
}

static float value_at(const struct family_model *model, const char *name, size_t n_dims,
                      size_t columns, size_t i)
{
    double u = (double)hash(hash_of_name(name) + model->seed, (uint32_t)i) / 2147483648.0 - 1.0;

    if (n_dims == 2) {
        bool scores = strstr(name, "q_proj") != NULL || strstr(name, "k_proj") != NULL;
        double size = strstr(name, "embed") != NULL ? 1.7 : 1.7 / sqrt((double)columns);

        return (float)(u * size * (scores ? 1.5 : 1.0));
    }
    bool gain = strstr(name, "norm") != NULL && strncmp(model->model_type, "gemma", 5) != 0;
    return (float)(u * 0.3 + (gain ? 1.0 : 0.0));
}

/* ---- the folder ---- */

static size_t dim_of(const struct family_model *model, const char *dim)
{
    size_t K = model->K;

    if (K == 0) {
        K = strcmp(model->model_type, "qwen3") == 0 ? 128 : model->D / model->H;
    }
    size_t Q = model->H * K;
    size_t E = model->G * K;
    const struct {
        const char *name;
        size_t value;
    } dims[] = {{"D", model->D}, {"F", model->F}, {"FF", 2 * model->F}, {"K", K},
                {"Q", Q},        {"E", E},        {"QEE", Q + 2 * E},   {"V", model->V}};

    for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++) {
        if (strcmp(dims[i].name, dim) == 0) {
            return dims[i].value;
        }
    }
    abort();
}

/* Header and data of a safetensors file as they grow. */
struct growing {
    struct text header, data;
};

static void add_tensor(struct growing *file, const struct family_model *model, const char *name,
                       const char *rows_name, const char *columns_name)
{
    size_t rows = dim_of(model, rows_name);
    size_t n_dims = columns_name[0] != '\0' ? 2 : 1;
    size_t columns = n_dims == 2 ? dim_of(model, columns_name) : 1;
    size_t bytes = strcmp(model->dtype, "BF16") == 0 ? 2 : 4;
    size_t from = file->data.size;

    for (size_t i = 0; i < rows * columns; i++) {
        float value = value_at(model, name, n_dims, columns, i);
        unsigned char stored[4];

        memcpy(stored, &value, 4); /* bf16 is the upper half */
        text_add_n(&file->data, (char *)stored + (4 - bytes), bytes);
    }
    text_printf(&file->header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%zu",
                file->header.size > 0 ? "," : "{", name, model->dtype, rows);
    if (n_dims == 2) {
        text_printf(&file->header, ",%zu", columns);
    }
    text_printf(&file->header, "],\"data_offsets\":[%zu,%zu]}", from, file->data.size);
}

static const char *root_of(const struct family_model *model)
{
    return model->root != NULL ? model->root : "model.";
}

static void add_rooted(struct growing *file, const struct family_model *model, const char *stem,
                       const char *rows, const char *columns)
{
    char *name = mem_printf("%s%s", root_of(model), stem);

    add_tensor(file, model, name, rows, columns);
    free(name);
}

static void add_layer(struct growing *file, const struct family_model *model, size_t layer)
{
    for (const char *line = model->layer; *line != '\0'; line = strchr(line, '\n') + 1) {
        char name[128], stem[96] = "", rows[8] = "", columns[8] = "";
        char copy[128];

        snprintf(copy, sizeof(copy), "%.*s", (int)(strchr(line, '\n') - line), line);
        int n = sscanf(copy, "%95s %7s %7s", stem, rows, columns);
        assert(n >= 2);
        (void)n;
        snprintf(name, sizeof(name), "%slayers.%zu.%s", root_of(model), layer, stem);
        add_tensor(file, model, name, rows, columns);
    }
}

static void write_weights(const char *path, const struct family_model *model)
{
    struct growing file = {0};
    struct text whole = {0};

    if (model->root != NULL) { /* more layers than the text model has */
        add_tensor(&file, model, "vision_tower.encoder.layers.9.self_attn.q_proj.weight", "K", "K");
    }
    add_rooted(&file, model, "embed_tokens.weight", "V", "D");
    for (size_t l = 0; l < model->L; l++) {
        add_layer(&file, model, l);
    }
    add_rooted(&file, model, "norm.weight", "D", "");
    if (model->head != NULL) {
        add_tensor(&file, model, model->head, "V", "D");
    }
    text_add_char(&file.header, '}');
    uint64_t n = file.header.size;
    text_add_n(&whole, (const char *)&n, 8);
    text_add_n(&whole, text_get(&file.header), file.header.size);
    text_add_n(&whole, text_get(&file.data), file.data.size);
    int rc = file_write(path, text_get(&whole), whole.size, 0666, NULL);
    assert(rc == 0);
    (void)rc;
    text_release(&file.header);
    text_release(&file.data);
    text_release(&whole);
}

char *family_model_write(const char *folder, const struct family_model *model)
{
    char *path = file_join(folder, model->name);
    char *weights = file_join(path, "model.safetensors");
    struct text config = {0};

    int rc = file_make_dirs(path, NULL);
    assert(rc == 0);
    (void)rc;
    text_printf(&config, "{\"architectures\":[\"%s\"],", model->architecture);
    if (model->root != NULL) {
        text_printf(&config, "\"model_type\":\"gemma3\",\"text_config\":{");
    }
    text_printf(&config,
                "\"model_type\":\"%s\",\"hidden_size\":%zu,"
                "\"intermediate_size\":%zu,\"num_hidden_layers\":%zu,\"num_attention_heads\":%zu,"
                "\"num_key_value_heads\":%zu,\"vocab_size\":%zu,\"max_position_embeddings\":256",
                model->model_type, model->D, model->F, model->L, model->H, model->G, model->V);
    if (model->K > 0) {
        text_printf(&config, ",\"head_dim\":%zu", model->K);
    }
    text_printf(&config, "%s}%s", model->config, model->root != NULL ? "}" : "");
    support_write(path, "config.json", text_get(&config));
    write_weights(weights, model);
    text_release(&config);
    free(weights);
    return path;
}
