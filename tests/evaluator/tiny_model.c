#include "tests/evaluator/tiny_model.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/model/safetensors_write.h"
#include "evaluator/model/tensors.h"
#include "tests/support/support.h"

#define TENSORS_MAX 64

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor_place *)a)->name, ((const struct tensor_place *)b)->name);
}

static char *config_text(const struct tiny_model *model)
{
    return mem_printf(
        "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"unknown\":[1,{}],"
        "\"hidden_size\":%d,\"intermediate_size\":%u,\"num_hidden_layers\":%d,"
        "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"vocab_size\":%u,"
        "\"tie_word_embeddings\":%s,\"torch_dtype\":\"%s\"}",
        TINY_WIDTH, model->mlp_width, TINY_LAYERS, model->vocab, model->tied ? "true" : "false",
        dtype_config_name(model->dtype));
}

/* Rewrites its numbers for every tensor, so that one left out changes no other. */
static void *make_tensor(const struct tiny_model *model, const struct tensor_place *place, size_t n)
{
    double *normals = mem_array(n, sizeof(double));
    float *floats = mem_array(n, sizeof(float));
    void *stored = mem_array(n, sizeof(float));
    uint64_t stream = 0;
    struct rng64 rng;

    for (const char *c = place->name; *c != '\0'; c++) {
        stream = stream * 31 + (unsigned char)*c;
    }
    rng64_seed(&rng, model->seed, stream);
    rng64_normals(&rng, normals, n);
    for (size_t i = 0; i < n; i++) {
        floats[i] = (float)(normals[i] * (model->spread > 0 ? model->spread : 0.02));
    }
    if (model->with_nan != NULL && strcmp(model->with_nan, place->name) == 0) {
        floats[5] = NAN;
    }
    dtype_from_f32(stored, floats, model->dtype, n);
    free(normals);
    free(floats);
    return stored;
}

char *tiny_model_write(const char *folder, const char *name, const struct tiny_model *asked)
{
    struct tiny_model model = *asked;
    char *path = file_join(folder, name);
    struct tensor_place places[TENSORS_MAX];
    struct safetensors_output outputs[TENSORS_MAX];
    struct safetensors_writer *writer = NULL;
    struct config config;
    size_t n = 0;

    model.mlp_width = model.mlp_width > 0 ? model.mlp_width : 48;
    model.vocab = model.vocab > 0 ? model.vocab : TINY_VOCAB;
    int rc = file_make_dirs(path, NULL);
    char *text = config_text(&model);
    support_write(path, "config.json", text);
    support_write(path, "tokenizer.json", "{\"tokens\":[]}\n");
    free(text);
    rc |= config_load(&config, path, NULL);
    for (size_t i = 0; i < tensors_count(&config); i++) {
        tensors_at(&config, i, &places[n]);
        n += model.without == NULL || strcmp(model.without, places[n].name) != 0;
    }
    qsort(places, n, sizeof(places[0]), by_name);
    for (size_t i = 0; i < n; i++) {
        size_t elements = places[i].dims[0] * (places[i].n_dims > 1 ? places[i].dims[1] : 1);

        outputs[i] = (struct safetensors_output){.name = places[i].name,
                                                 .dtype = model.dtype,
                                                 .n_dims = places[i].n_dims,
                                                 .n_bytes = elements * dtype_size(model.dtype)};
        memcpy(outputs[i].dims, places[i].dims, sizeof(outputs[i].dims));
    }
    rc |= safetensors_write_begin(&writer, path, outputs, n,
                                  model.shard_bytes > 0 ? model.shard_bytes : 1000000000, NULL);
    for (size_t i = 0; i < n; i++) {
        void *bytes = make_tensor(&model, &places[i], outputs[i].n_bytes / dtype_size(model.dtype));

        rc |= safetensors_write_bytes(writer, bytes, outputs[i].n_bytes, NULL);
        free(bytes);
    }
    rc |= safetensors_write_end(writer, NULL);
    assert(rc == 0);
    return path;
}
