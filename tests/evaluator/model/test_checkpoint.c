#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "evaluator/model/checkpoint.h"
#include "tests/evaluator/tiny_model.h"
#include "tests/support/support.h"

#define EXAMPLES TESTS_DIR "/../study/examples/models/"

static struct checkpoint *must_open(const char *folder)
{
    struct checkpoint *checkpoint = NULL;
    struct err err = {0};

    if (checkpoint_open(&checkpoint, folder, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return checkpoint;
}

static void assert_refused(const char *folder, enum err_code code, const char *why)
{
    struct checkpoint *checkpoint = NULL;
    struct err err = {0};

    int rc = checkpoint_open(&checkpoint, folder, &err);
    if (rc != (int)code || strstr(err.text, why) == NULL) {
        fail_msg("%d '%s' is not %d '%s'", rc, err.text, (int)code, why);
    }
    assert_null(checkpoint);
}

static void edit(const char *folder, const char *name, const char *from, const char *to)
{
    char *path = file_join(folder, name);
    struct file_bytes bytes = {0};

    assert_int_equal(strlen(from), strlen(to));
    assert_int_equal(file_read(&bytes, path, 1 << 20, NULL), 0);
    for (size_t i = 0; i + strlen(from) <= bytes.size; i++) {
        if (memcmp(bytes.data + i, from, strlen(from)) == 0) {
            memcpy(bytes.data + i, to, strlen(to));
            break;
        }
    }
    assert_int_equal(file_write(path, bytes.data, bytes.size, 0644, NULL), 0);
    file_release(&bytes);
    free(path);
}

static void opens_a_llama(void **state)
{
    struct checkpoint *base = must_open(EXAMPLES "base");

    (void)state;
    assert_int_equal(checkpoint_count(base), tensors_count(checkpoint_config(base)));
    const struct checkpoint_tensor *q = checkpoint_role(base, TENSOR_Q, 3);
    assert_string_equal(q->name, "model.layers.3.self_attn.q_proj.weight");
    assert_int_equal(q->dtype, DTYPE_BF16);
    assert_int_equal(q->part, TENSOR_PART_ATTENTION);
    assert_int_equal(q->depth, 3);
    assert_int_equal(q->dims[0], 64);
    assert_string_equal(q->file, "model.safetensors");
    assert_ptr_equal(q, checkpoint_find(base, q->name));
    const struct checkpoint_tensor *head = checkpoint_role(base, TENSOR_HEAD, 0);
    assert_int_equal(head->depth, 5);
    assert_null(checkpoint_role(base, TENSOR_Q_BIAS, 3));
    assert_null(checkpoint_find(base, "nothing"));
    checkpoint_close(base);
}

static void opens_a_tied_qwen2_with_biases(void **state)
{
    struct checkpoint *qwen = must_open(TESTS_DIR "/golden/zoo/random-qwen2");

    (void)state;
    assert_null(checkpoint_role(qwen, TENSOR_HEAD, 0));
    assert_int_equal(checkpoint_role(qwen, TENSOR_K_BIAS, 2)->n_dims, 1);
    assert_int_equal(checkpoint_role(qwen, TENSOR_K_BIAS, 2)->dims[0], 16);
    checkpoint_close(qwen);
}

static void names_what_is_missing_or_misshapen(void **state)
{
    char *folder = support_temp_dir();
    char *gap = tiny_model_write(
        folder, "gap",
        &(struct tiny_model){.seed = 1, .without = "model.layers.1.mlp.up_proj.weight"});
    char *wide = tiny_model_write(folder, "wide", &(struct tiny_model){.seed = 1});

    (void)state;
    assert_refused(gap, ERR_MISSING, "model.layers.1.mlp.up_proj.weight: the tensor is missing");
    edit(wide, "config.json", "\"intermediate_size\":48", "\"intermediate_size\":56");
    assert_refused(wide, ERR_FORMAT,
                   "model.safetensors: model.layers.0.mlp.down_proj.weight: its shape is [32, 48], "
                   "config.json says [32, 56]");
    edit(wide, "config.json", "\"intermediate_size\":56", "\"intermediate_size\":48");
    edit(wide, "model.safetensors", "0.mlp.up_proj", "0.mlp.xx_proj");
    assert_refused(wide, ERR_FORMAT,
                   "model.layers.0.mlp.xx_proj.weight: a llama model has no such tensor");
    free(gap);
    free(wide);
    support_remove_dir(folder);
}

static void says_which_file_is_needed(void **state)
{
    char *folder = support_temp_dir();
    char *model = tiny_model_write(folder, "m", &(struct tiny_model){.seed = 1});
    char *weights = file_join(model, "model.safetensors");

    (void)state;
    assert_refused("/no/such/folder", ERR_MISSING, "/no/such/folder");
    assert_int_equal(unlink(weights), 0);
    assert_refused(model, ERR_MISSING, "no model.safetensors");
    support_write(model, "pytorch_model.bin", "x");
    assert_refused(model, ERR_MISSING, "pickles (pytorch_model.bin) are never opened");
    support_write(model, "model.safetensors", "xyz");
    assert_refused(model, ERR_FORMAT, "model.safetensors: 3 bytes");
    free(weights);
    free(model);
    support_remove_dir(folder);
}

static void reads_shards_by_their_index(void **state)
{
    char *folder = support_temp_dir();
    char *whole = tiny_model_write(folder, "whole", &(struct tiny_model){.seed = 3});
    char *shards =
        tiny_model_write(folder, "shards", &(struct tiny_model){.seed = 3, .shard_bytes = 9000});
    struct checkpoint *a = must_open(whole);
    struct checkpoint *b = must_open(shards);
    char digest_a[DIGEST_HEX];
    char digest_b[DIGEST_HEX];

    (void)state;
    assert_int_equal(checkpoint_count(a), checkpoint_count(b));
    assert_string_not_equal(checkpoint_at(b, 0)->file, checkpoint_at(b, 10)->file);
    assert_int_equal(checkpoint_digest(a, digest_a, NULL), 0);
    assert_int_equal(checkpoint_digest(b, digest_b, NULL), 0);
    assert_string_equal(digest_a, digest_b);
    checkpoint_close(a);
    checkpoint_close(b);
    edit(shards, "model.safetensors.index.json", "\"model-00002", "\"../el-00002");
    assert_refused(shards, ERR_FORMAT, "no bare file name");
    edit(shards, "model.safetensors.index.json", "\"../el-00002", "\"model-00009");
    assert_refused(shards, ERR_MISSING, "model-00009");
    edit(shards, "model.safetensors.index.json", "\"model-00009", "\"model-00001");
    assert_refused(shards, ERR_MISSING, "the index promises it here");
    free(whole);
    free(shards);
    support_remove_dir(folder);
}

static void has_a_digest_of_everything_that_matters(void **state)
{
    char *folder = support_temp_dir();
    char *path = tiny_model_write(folder, "m", &(struct tiny_model){.seed = 3});
    const char *const changes[][3] = {
        {"config.json", "\"unknown\":[1", "\"unknown\":[2"},
        {"tokenizer.json", "tokens", "tokenz"},
        {"model.safetensors", "\"F32\"", "\"I32\""},
    };
    char digests[4][DIGEST_HEX];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct checkpoint *checkpoint = must_open(path);

        assert_int_equal(checkpoint_digest(checkpoint, digests[i], NULL), 0);
        checkpoint_close(checkpoint);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(digests[i], digests[j]);
        }
        if (i < 3) {
            edit(path, changes[i][0], changes[i][1], changes[i][2]);
        }
    }
    free(path);
    support_remove_dir(folder);
}

static void ignores_what_nobody_reads(void **state)
{
    struct config config = {.family = CONFIG_LLAMA, .n_layers = 2};

    (void)state;
    assert_true(tensors_ignored(&config, "model.layers.0.self_attn.rotary_emb.inv_freq"));
    assert_false(tensors_ignored(&config, "lm_head.weight"));
    config.tied = true;
    assert_true(tensors_ignored(&config, "lm_head.weight"));
}

static void notices_a_file_that_changed(void **state)
{
    char *folder = support_temp_dir();
    char *path = tiny_model_write(folder, "m", &(struct tiny_model){.seed = 3});
    char *weights = file_join(path, "model.safetensors");
    struct checkpoint *checkpoint = must_open(path);
    char digest[DIGEST_HEX];
    struct err err = {0};

    (void)state;
    assert_int_equal(checkpoint_unchanged(checkpoint, &err), 0);
    edit(path, "model.safetensors", "\"F32\"", "\"F32\""); /* a new inode under the name */
    assert_int_equal(checkpoint_unchanged(checkpoint, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "model.safetensors: changed"));
    assert_int_equal(checkpoint_digest(checkpoint, digest, &err), ERR_CONFLICT);
    assert_int_equal(unlink(weights), 0);
    assert_int_equal(checkpoint_unchanged(checkpoint, &err), ERR_CONFLICT);
    checkpoint_close(checkpoint);
    free(weights);
    free(path);
    support_remove_dir(folder);
}

static void compares_two_sources(void **state)
{
    char *folder = support_temp_dir();
    char *a_path = tiny_model_write(folder, "a", &(struct tiny_model){.seed = 1});
    char *b_path =
        tiny_model_write(folder, "b", &(struct tiny_model){.seed = 2, .dtype = DTYPE_BF16});
    char *tied_path = tiny_model_write(folder, "tied", &(struct tiny_model){.seed = 2, .tied = 1});
    char *wide_path = tiny_model_write(folder, "wide", &(struct tiny_model){.mlp_width = 64});
    struct checkpoint *a = must_open(a_path);
    struct checkpoint *b = must_open(b_path);
    struct checkpoint *tied = must_open(tied_path);
    struct checkpoint *wide = must_open(wide_path);
    struct err err = {0};

    (void)state;
    assert_int_equal(checkpoint_compare(a, b, &err), 0);
    assert_int_equal(checkpoint_compare(a, tied, &err), 0);
    assert_int_equal(checkpoint_compare(tied, a, &err), 0);
    assert_int_equal(checkpoint_compare(a, wide, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "model.layers.0.mlp.down_proj.weight: its shape is [32, 48]"));
    assert_non_null(strstr(err.text, a_path));
    assert_non_null(strstr(err.text, wide_path));
    checkpoint_close(a);
    checkpoint_close(b);
    checkpoint_close(tied);
    checkpoint_close(wide);
    free(a_path);
    free(b_path);
    free(tied_path);
    free(wide_path);
    support_remove_dir(folder);
}

static void lists_tensors_in_forward_order(void **state)
{
    struct config config = {.family = CONFIG_QWEN2,
                            .n_layers = 2,
                            .width = 8,
                            .mlp_width = 12,
                            .n_heads = 4,
                            .n_kv_heads = 2,
                            .head_width = 4,
                            .vocab = 20,
                            .qkv_bias = true};
    struct tensor_place place;
    struct tensor_place found;

    (void)state;
    assert_int_equal(tensors_count(&config), 1 + 2 * 12 + 2);
    for (size_t i = 0; i < tensors_count(&config); i++) {
        tensors_at(&config, i, &place);
        assert_true(tensors_find(&config, place.name, &found));
        assert_memory_equal(&found, &place, sizeof place);
    }
    assert_string_equal(place.name, "lm_head.weight");
    tensors_at(&config, 4, &place);
    assert_string_equal(place.name, "model.layers.0.self_attn.k_proj.weight");
    assert_int_equal(place.dims[0], 8);
    assert_int_equal(place.dims[1], 8);
    assert_false(tensors_find(&config, "model.layers.2.input_layernorm.weight", &found));
    assert_false(tensors_find(&config, "model.layers.01.input_layernorm.weight", &found));
    assert_false(tensors_find(&config, "model.layers.+1.input_layernorm.weight", &found));
    assert_false(tensors_find(&config, "model.layers.0.self_attn.o_proj.bias", &found));
}

static void guesses_the_place_of_unknown_tensors(void **state)
{
    struct config config = {.n_layers = 12};
    struct tensor_place place;

    (void)state;
    tensors_guess(&config, "transformer.h.11.attn.c_attn.weight", &place);
    assert_true(place.in_layer);
    assert_int_equal(place.depth, 11);
    assert_int_equal(place.part, TENSOR_PART_ATTENTION);
    tensors_guess(&config, "transformer.ln_f.weight", &place);
    assert_int_equal(place.part, TENSOR_PART_FINAL_NORM);
    assert_int_equal(place.depth, 11);
    tensors_guess(&config, "transformer.wte.weight", &place);
    assert_int_equal(place.part, TENSOR_PART_EMBEDDINGS);
    assert_int_equal(place.depth, 0);
}

/* A model of two numbers, one bfloat16, one float32, with more members of its config.json. */
static enum dtype dtype_of_two(const char *members, bool *mixed)
{
    static const char header[] = "{\"a\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]},"
                                 "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}";
    const uint64_t n = sizeof header - 1;
    char *folder = support_temp_dir();
    char *path = file_join(folder, "model.safetensors");
    struct checkpoint *model = NULL;
    struct text bytes = {0};

    text_add_n(&bytes, (const char *)&n, sizeof n);
    text_add_n(&bytes, header, (size_t)n);
    text_add_n(&bytes, "\0\0\0\0\0\0", 6);
    assert_int_equal(file_write(path, bytes.data, bytes.size, 0644, NULL), 0);
    char *config = mem_printf("{\"architectures\":[\"Other\"]%s}", members);
    support_write(folder, "config.json", config);
    assert_int_equal(checkpoint_open(&model, folder, NULL), 0);
    const enum dtype dtype = checkpoint_dtype(model, mixed);

    checkpoint_close(model);
    free(config);
    text_release(&bytes);
    free(path);
    support_remove_dir(folder);
    return dtype;
}

static void of_several_types_it_has_the_one_its_config_names(void **state)
{
    char *folder = support_temp_dir();
    char *path = tiny_model_write(folder, "m", &(struct tiny_model){.dtype = DTYPE_F16, .seed = 3});
    struct checkpoint *model = NULL;
    bool mixed = true;

    (void)state;
    assert_int_equal(checkpoint_open(&model, path, NULL), 0);
    assert_int_equal(checkpoint_dtype(model, &mixed), DTYPE_F16);
    assert_false(mixed);
    assert_int_equal(dtype_of_two(",\"torch_dtype\":\"bfloat16\"", &mixed), DTYPE_BF16);
    assert_true(mixed);
    assert_int_equal(dtype_of_two("", &mixed), DTYPE_F32);
    assert_true(mixed);
    checkpoint_close(model);
    free(path);
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_several_types_it_has_the_one_its_config_names),
        cmocka_unit_test(opens_a_llama),
        cmocka_unit_test(opens_a_tied_qwen2_with_biases),
        cmocka_unit_test(names_what_is_missing_or_misshapen),
        cmocka_unit_test(says_which_file_is_needed),
        cmocka_unit_test(reads_shards_by_their_index),
        cmocka_unit_test(has_a_digest_of_everything_that_matters),
        cmocka_unit_test(ignores_what_nobody_reads),
        cmocka_unit_test(notices_a_file_that_changed),
        cmocka_unit_test(compares_two_sources),
        cmocka_unit_test(lists_tensors_in_forward_order),
        cmocka_unit_test(guesses_the_place_of_unknown_tensors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
