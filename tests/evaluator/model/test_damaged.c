/*
 * Folders that are damaged or mean harm, each refused with its file and tensor, on the way that
 * every command takes: opened, hashed, compared with its base, planned, blended.
 *
 * A case is one change to a good folder; most are another text in the header of its weights.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "evaluator/merge/blend.h"
#include "evaluator/model/checkpoint.h"
#include "study/method.h"
#include "tests/evaluator/lora.h"
#include "tests/evaluator/tiny_model.h"
#include "tests/support/support.h"

#define WEIGHTS "model.safetensors"
#define INDEX "model.safetensors.index.json"
#define SHARD "model-00002-of-00004.safetensors"
#define HEAD "\"lm_head.weight\":{\"data_offsets\":[0,6400],\"dtype\":\"F32\",\"shape\":[50,32]}"
#define UP "model.layers.0.mlp.up_proj.weight"

enum harm {
    HEADER,  /* `from` in the header of the file becomes `to`, its length told anew */
    TEXT,    /* `from` in the file becomes `to` */
    FILE_IS, /* the file holds `to` */
    CUT,     /* the file ends `n` bytes early, or late with zeros */
    LENGTH,  /* the file says its header has `n` bytes */
    BYTES,   /* 4 bytes of the file, `n` before its end, become those of `to` */
    GONE,    /* no such file */
    FOLDER,  /* a folder in its place */
    LINK,    /* a link to `to` in its place */
    PIPE     /* a pipe in its place */
};

struct damage {
    enum harm harm;
    const char *file, *from, *to;
    int64_t n;
    const char *says, *also; /* both in the line; also: NULL for none */
};

/* ---- harm ---- */

static void replace(struct text *out, const char *bytes, size_t n, const char *from, const char *to)
{
    const size_t size = strlen(from);
    size_t at = 0;

    while (at + size <= n && memcmp(bytes + at, from, size) != 0) {
        at++;
    }
    if (at + size > n) {
        fail_msg("nowhere: %s", from);
    }
    text_add_n(out, bytes, at);
    text_add(out, to);
    text_add_n(out, bytes + at + size, n - at - size);
}

/* The file with another header around the same data. */
static void change_header(struct text *out, const struct file_bytes *file, const char *from,
                          const char *to)
{
    struct text header = {0};
    uint64_t n;

    memcpy(&n, file->data, sizeof(n));
    replace(&header, file->data + 8, (size_t)n, from, to);
    const uint64_t size = header.size;
    text_add_n(out, (const char *)&size, sizeof(size));
    text_add_n(out, header.data, header.size);
    text_add_n(out, file->data + 8 + n, file->size - 8 - (size_t)n);
    text_release(&header);
}

/* Another kind of thing in the file's place. */
static void displace(const char *path, const struct damage *damage)
{
    unlink(path);
    if (damage->harm == FOLDER) {
        assert_int_equal(mkdir(path, 0777), 0);
    } else if (damage->harm == LINK) {
        assert_int_equal(symlink(damage->to, path), 0);
    } else if (damage->harm == PIPE) {
        assert_int_equal(mkfifo(path, 0666), 0);
    }
}

static void do_harm(const char *folder, const struct damage *damage)
{
    char *path = file_join(folder, damage->file);
    struct file_bytes file = {0};
    struct text made = {0};

    if (damage->harm >= GONE) {
        displace(path, damage);
        free(path);
        return;
    }
    if (damage->harm != FILE_IS) {
        assert_int_equal(file_read(&file, path, 1 << 20, NULL), 0);
    }
    switch (damage->harm) {
    case HEADER:
        change_header(&made, &file, damage->from, damage->to);
        break;
    case TEXT:
        replace(&made, file.data, file.size, damage->from, damage->to);
        break;
    case FILE_IS:
        text_add(&made, damage->to);
        break;
    default:
        text_add_n(&made, file.data,
                   file.size - (size_t)(damage->harm == CUT && damage->n > 0 ? damage->n : 0));
        for (int64_t i = damage->n; damage->harm == CUT && i < 0; i++) {
            text_add_char(&made, '\0');
        }
    }
    if (damage->harm == LENGTH) {
        memcpy(made.data, &damage->n, sizeof(damage->n));
    } else if (damage->harm == BYTES) {
        memcpy(made.data + made.size - damage->n, damage->to, 4);
    }
    support_write_bytes(folder, damage->file, text_get(&made), made.size);
    text_release(&made);
    file_release(&file);
    free(path);
}

/* ---- the way of every command ---- */

static int plan_and_blend(const struct plan_model models[2], struct err *err)
{
    const struct method *method;
    struct recipe recipe = {0};
    struct plan plan = {0};
    struct blend *blend = blend_new();

    assert_int_equal(method_find(&method, "task_arithmetic", NULL), 0);
    recipe_init(&recipe, method, RECIPE_FLOAT32, 0, TINY_LAYERS, &models[1].digest, 1,
                models[0].digest);
    int rc = plan_make(&plan, &recipe, models, 2, err);
    if (rc == 0) {
        const struct blend_sink nowhere = {0};
        char weights[DIGEST_HEX];

        rc = blend_run(blend, &plan, &nowhere, weights, err);
    }
    blend_free(blend);
    plan_release(&plan);
    recipe_release(&recipe);
    return rc;
}

/* Merge the model with its base. */
static int merge(const char *base, const char *folder, struct err *err)
{
    struct checkpoint *opened[2] = {0};
    char digests[2][DIGEST_HEX];
    int rc = checkpoint_open(&opened[0], base, NULL);

    assert_int_equal(rc, 0);
    assert_int_equal(checkpoint_digest(opened[0], digests[0], NULL), 0);
    if ((rc = checkpoint_open(&opened[1], folder, err)) == 0 &&
        (rc = checkpoint_digest(opened[1], digests[1], err)) == 0 &&
        (rc = checkpoint_compare(opened[0], opened[1], err)) == 0) {
        const struct plan_model models[] = {{digests[0], opened[0]}, {digests[1], opened[1]}};

        rc = plan_and_blend(models, err);
    }
    checkpoint_close(opened[0]);
    checkpoint_close(opened[1]);
    return rc;
}

static void assert_says(const struct damage *damage, int rc, const struct err *err)
{
    if (rc == 0) {
        fail_msg("%s: %s -> %s: not refused", damage->file, damage->from, damage->to);
    }
    if (strstr(err->text, damage->file) == NULL || strstr(err->text, damage->says) == NULL ||
        (damage->also != NULL && strstr(err->text, damage->also) == NULL)) {
        fail_msg("'%s' does not say '%s', '%s', '%s'", err->text, damage->file, damage->says,
                 damage->also != NULL ? damage->also : "");
    }
    assert_null(strchr(err->text, '\n'));
    assert_true(strlen(err->text) + 1 < ERR_TEXT_MAX);
}

/* Each on a fresh copy of the model. */
static void assert_all_refused(const struct damage *damages, size_t n, uint64_t shard_bytes)
{
    char *folder = support_temp_dir();
    char *base = tiny_model_write(folder, "base", &(struct tiny_model){.seed = 1});
    struct err good = {0};

    for (size_t i = 0; i < n; i++) {
        char *model = tiny_model_write(folder, "model",
                                       &(struct tiny_model){.seed = 2, .shard_bytes = shard_bytes});
        struct err err = {0};

        assert_int_equal(merge(base, model, &good), 0);
        do_harm(model, &damages[i]);
        assert_says(&damages[i], merge(base, model, &err), &err);
        assert_int_equal(file_remove_tree(model, NULL), 0);
        free(model);
    }
    free(base);
    support_remove_dir(folder);
}

/* ---- cases ---- */

static void refuses_weights_that_are_cut_or_longer_than_they_say(void **state)
{
    static const struct damage damages[] = {
        {CUT, WEIGHTS, .n = 100, .says = "cut short", .also = "model.norm.weight: "},
        {CUT, WEIGHTS, .n = 70000, .says = "cut short", .also = "lm_head.weight: "},
        {CUT, WEIGHTS, .n = -4, .says = "4 bytes"},
        {FILE_IS, WEIGHTS, .to = "", .says = "0 bytes are too few"},
        {FILE_IS, WEIGHTS, .to = "1234567", .says = "7 bytes are too few"},
        {LENGTH, WEIGHTS, .n = INT64_MAX, .says = "a header of 9223372036854775807 bytes"},
        {LENGTH, WEIGHTS, .n = 90000000, .says = "the header needs 90000000 bytes"},
        {LENGTH, WEIGHTS, .n = 64, .says = "header: "},
        {LENGTH, WEIGHTS, .n = 0, .says = "header: "},
    };

    (void)state;
    assert_all_refused(damages, sizeof(damages) / sizeof(damages[0]), 0);
}

static void refuses_headers_that_lie(void **state)
{
    static const struct damage damages[] = {
        {HEADER, WEIGHTS, HEAD, "\"lm_head.weight\":[]", .says = "lm_head.weight: no dtype"},
        {HEADER, WEIGHTS, HEAD, HEAD "," HEAD, .says = "'lm_head.weight' appears twice"},
        {HEADER, WEIGHTS, "[6400,12800]", "[3200,9600]",
         .says = "model.embed_tokens.weight: its data begin at 3200, those before end at 6400"},
        {HEADER, WEIGHTS, "[6400,12800]", "[0,6400]", .says = "its data begin at 0"},
        {HEADER, WEIGHTS, "[6400,12800]", "[6404,12804]",
         .says = "model.embed_tokens.weight: its data begin at 6404, those before end at 6400"},
        {HEADER, WEIGHTS, "[6400,12800]", "[12800,6400]", .says = "model."},
        {HEADER, WEIGHTS, "[6400,12800]", "[-1,12800]",
         .says = "model.embed_tokens.weight: data_offsets are not two unsigned integers"},
        {HEADER, WEIGHTS, "[6400,12800]", "[6400.0,12800]", .says = "data_offsets are not two"},
        {HEADER, WEIGHTS, "[6400,12800]", "[6400]", .says = "data_offsets are not two"},
        {HEADER, WEIGHTS, "[6400,12800]", "[6400,99999999999999999999]",
         .says = "data_offsets are not two unsigned integers"},
        {HEADER, WEIGHTS, "[6400,12800],\"dtype\":\"F32\"", "[6400,12800],\"dtype\":\"F33\"",
         .says = "model.embed_tokens.weight: unknown dtype 'F33'"},
        {HEADER, WEIGHTS, "[6400,12800],\"dtype\":\"F32\"", "[6400,12800],\"dtype\":\"F16\"",
         .says = "model.embed_tokens.weight: data_offsets span 6400 bytes, its shape needs 3200"},
        {HEADER, WEIGHTS, "[6400,12800],\"dtype\":\"F32\"", "[6400,12800],\"dtype\":\"I32\"",
         .says = "model.embed_tokens.weight: I32 numbers cannot be merged"},
        {HEADER, WEIGHTS, "\"F32\",\"shape\":[50,32]", "\"F32\",\"shape\":[4294967296,4294967296]",
         .says = "lm_head.weight: shape is too large"},
        {HEADER, WEIGHTS, "\"F32\",\"shape\":[50,32]", "\"F32\",\"shape\":[50,-32]",
         .says = "lm_head.weight: a size in shape is not an unsigned integer"},
        {HEADER, WEIGHTS, "\"F32\",\"shape\":[50,32]", "\"F32\",\"shape\":[1,1,1,1,1,1,1,50,32]",
         .says = "lm_head.weight: shape is not a list of at most 8 sizes"},
        {HEADER, WEIGHTS, "\"F32\",\"shape\":[50,32]", "\"F32\",\"shape\":[50,33]",
         .says = "lm_head.weight: data_offsets span 6400 bytes, its shape needs 6600"},
        {HEADER, WEIGHTS, "\"pt\"", "7", .says = "__metadata__.format is not a text"},
        {HEADER, WEIGHTS, "\"lm_head", "\"\xff", .says = "not UTF-8"},
    };

    (void)state;
    assert_all_refused(damages, sizeof(damages) / sizeof(damages[0]), 0);
}

static void refuses_tensors_that_are_not_the_models(void **state)
{
    static const struct damage damages[] = {
        {HEADER, WEIGHTS, "0.mlp.up_proj", "0.mlp.up_proi",
         .says = "model.layers.0.mlp.up_proi.weight: a llama model has no such tensor"},
        {HEADER, WEIGHTS, "layers.1.mlp.up_proj", "layers.7.mlp.up_proj",
         .says = "model.layers.7.mlp.up_proj.weight: a llama model has no such tensor"},
        {HEADER, WEIGHTS, "\"F32\",\"shape\":[32,48]", "\"F32\",\"shape\":[48,32]",
         .says = "model.layers.0.mlp.down_proj.weight: its shape is [48, 32], config.json says "
                 "[32, 48]"},
        {BYTES, WEIGHTS, .to = "\0\0\300\177", .n = 4, .says = "model.norm.weight"},
        {BYTES, WEIGHTS, .to = "\0\0\200\377", .n = 64, .says = "model.norm.weight"},
    };

    (void)state;
    assert_all_refused(damages, sizeof(damages) / sizeof(damages[0]), 0);
}

static void says_which_tensor_is_missing(void **state)
{
    char *folder = support_temp_dir();
    char *base = tiny_model_write(folder, "base", &(struct tiny_model){.seed = 1});
    char *gap = tiny_model_write(folder, "gap", &(struct tiny_model){.seed = 1, .without = UP});
    struct err err = {0};

    (void)state;
    assert_int_equal(merge(base, gap, &err), ERR_MISSING);
    assert_non_null(strstr(err.text, "/gap/" WEIGHTS ": " UP ": the tensor is missing"));
    free(base);
    free(gap);
    support_remove_dir(folder);
}

static void refuses_what_is_no_file(void **state)
{
    static const struct damage damages[] = {
        {GONE, WEIGHTS, .says = "no model.safetensors"},
        {FOLDER, WEIGHTS, .says = WEIGHTS},
        {PIPE, WEIGHTS, .says = WEIGHTS},
        {LINK, WEIGHTS, .to = WEIGHTS, .says = WEIGHTS}, /* to itself */
        {LINK, WEIGHTS, .to = "nowhere", .says = WEIGHTS},
        {LINK, WEIGHTS, .to = "/dev/zero", .says = WEIGHTS},
        {GONE, "config.json", .says = "config.json"},
        {FOLDER, "config.json", .says = "config.json"},
        {PIPE, "config.json", .says = "config.json"},
        {LINK, "config.json", .to = "config.json", .says = "config.json"},
        {FILE_IS, "config.json", .to = "", .says = "config.json"},
        {FILE_IS, "config.json", .to = "{", .says = "config.json"},
        {FILE_IS, "config.json", .to = "[]", .says = "config.json"},
        {TEXT, "config.json", "\"hidden_size\":32", "\"hidden_size\":0",
         .says = "config.json: hidden_size"},
        {TEXT, "config.json", "\"hidden_size\":32", "\"hidden_size\":-32",
         .says = "config.json: hidden_size"},
        {TEXT, "config.json", "\"num_hidden_layers\":2", "\"num_hidden_layers\":1000000000",
         .says = "config.json: num_hidden_layers"},
        {TEXT, "config.json", "\"vocab_size\":50", "\"vocab_size\":60",
         .says = "lm_head.weight: its shape is [50, 32], config.json says [60, 32]"},
    };

    (void)state;
    assert_all_refused(damages, sizeof(damages) / sizeof(damages[0]), 0);
}

static void refuses_indexes_that_lead_astray(void **state)
{
    static const struct damage damages[] = {
        {FILE_IS, INDEX, .to = "", .says = INDEX},
        {FILE_IS, INDEX, .to = "{\"weight_map\":", .says = INDEX},
        {FILE_IS, INDEX, .to = "{}", .says = "weight_map"},
        {FILE_IS, INDEX, .to = "[]", .says = INDEX},
        {FILE_IS, INDEX, .to = "{\"weight_map\":[]}", .says = "weight_map"},
        {FOLDER, INDEX, .says = INDEX},
        {TEXT, INDEX, "\"" SHARD "\"", "\"../base/model.safetensors\"",
         .says = "'../base/model.safetensors' is no bare file name", .also = "mlp.gate_proj"},
        {TEXT, INDEX, "\"" SHARD "\"", "\"/etc/passwd\"", .says = "is no bare file name"},
        {TEXT, INDEX, "\"" SHARD "\"", "\"..\"", .says = "'..' is no bare file name"},
        {TEXT, INDEX, "\"" SHARD "\"", "\"\"", .says = "'' is no bare file name"},
        {TEXT, INDEX, "\"" SHARD "\"", "null", .says = "is no bare file name"},
        {TEXT, INDEX, "\"" SHARD "\"", "[\"" SHARD "\"]", .says = "is no bare file name"},
        {TEXT, INDEX, "\"" SHARD "\"", "\"" INDEX "\"", .says = "header"}, /* itself */
        {TEXT, INDEX, "\"lm_head.weight\": \"", "\"" UP "\": \"" SHARD "\", \"lm_head.weight\": \"",
         .says = "duplicate"},
    };
    static const struct damage shards[] = {
        {GONE, SHARD, .says = "model.layers.0.mlp.gate_proj.weight"},
        {FOLDER, SHARD, .says = SHARD},
        {LINK, SHARD, .to = SHARD, .says = SHARD},
        {LINK, SHARD, .to = "model-00001-of-00004.safetensors",
         .says = "the index promises it here"},
        {CUT, SHARD, .n = 8, .says = "cut short",
         .also = "model.layers.0.self_attn.o_proj.weight: "},
        {HEADER, SHARD, "0.mlp.gate_proj", "0.mlp.xate_proj",
         .says = "model.layers.0.mlp.gate_proj.weight: the index promises it here"},
        {BYTES, SHARD, .to = "\0\0\300\177", .n = 8,
         .says = "model.layers.0.self_attn.o_proj.weight"},
    };
    static const struct damage unlisted = {TEXT, INDEX, "\"" UP "\": \"" SHARD "\",", "",
                                           .says = UP ": the tensor is missing"};

    (void)state;
    assert_all_refused(damages, sizeof(damages) / sizeof(damages[0]), 20000);
    assert_all_refused(shards, sizeof(shards) / sizeof(shards[0]), 20000);
    assert_all_refused(&unlisted, 1, 20000);
}

static void refuses_damaged_adapters_the_same_way(void **state)
{
    static const struct damage damages[] = {
        {GONE, "adapter_model.safetensors", .says = "adapter_model.safetensors"},
        {GONE, "adapter_config.json", .says = "adapter_config.json"},
        {FOLDER, "adapter_model.safetensors", .says = "adapter_model.safetensors"},
        {CUT, "adapter_model.safetensors", .n = 8, .says = "cut short",
         .also = "mlp.up_proj.lora_B.weight: "},
        {HEADER, "adapter_model.safetensors", "lora_B", "lora_A",
         .says = "mlp.up_proj.lora_A.weight' appears twice"},
        {HEADER, "adapter_model.safetensors", "layers.0.mlp.up_proj.lora_A",
         "layers.9.mlp.up_proj.lora_A", .says = "lora_B.weight: its lora_A is missing"},
        {HEADER, "adapter_model.safetensors", "[4,32]", "[4,2,16]",
         .says = "lora_A.weight: its shape is [4, 2, 16]",
         .also = "is it an adapter of another base?"},
        {HEADER, "adapter_model.safetensors", "[48,4]", "[4,48]",
         .says = "mlp.up_proj.lora_B.weight: its shape is [4, 48]"},
        {BYTES, "adapter_model.safetensors", .to = "\0\0\300\177", .n = 8,
         .says = "mlp.up_proj.lora_B.weight: a number in it is not finite"},
        {TEXT, "adapter_config.json", "\"r\":4", "\"r\":8", .says = "lora_A.weight: its rank is 4"},
        {TEXT, "adapter_config.json", "LORA", "IA3", .says = "peft_type: 'IA3' is not folded"},
        {FILE_IS, "adapter_config.json", .to = "{\"r\":", .says = "adapter_config.json"},
    };
    char *folder = support_temp_dir();
    char *base = tiny_model_write(folder, "base", &(struct tiny_model){.seed = 1});
    float *numbers = lora_numbers(48 * 32, 3);
    const struct lora_tensor tensors[] = {
        {"model.layers.0.mlp.up_proj.lora_A.weight", 4, 32, numbers},
        {"model.layers.0.mlp.up_proj.lora_B.weight", 48, 4, numbers}};

    (void)state;
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        char *adapter = lora_write(folder, "lora", "{\"peft_type\":\"LORA\",\"r\":4}", tensors, 2);
        char *sum = mem_printf("%s+%s", base, adapter);
        struct err err = {0};

        assert_int_equal(merge(base, sum, NULL), 0);
        do_harm(adapter, &damages[i]);
        assert_says(&damages[i], merge(base, sum, &err), &err);
        assert_int_equal(file_remove_tree(adapter, NULL), 0);
        free(adapter);
        free(sum);
    }
    free(numbers);
    free(base);
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_weights_that_are_cut_or_longer_than_they_say),
        cmocka_unit_test(refuses_headers_that_lie),
        cmocka_unit_test(refuses_tensors_that_are_not_the_models),
        cmocka_unit_test(says_which_tensor_is_missing),
        cmocka_unit_test(refuses_what_is_no_file),
        cmocka_unit_test(refuses_indexes_that_lead_astray),
        cmocka_unit_test(refuses_damaged_adapters_the_same_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
