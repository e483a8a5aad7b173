#include <math.h>
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
#include "evaluator/merge/export.h"
#include "evaluator/model/checkpoint.h"
#include "tests/evaluator/kitchen.h"
#include "tests/evaluator/lora.h"
#include "tests/support/support.h"

#define UP "model.layers.1.mlp.up_proj"     /* [48, 32] */
#define Q "model.layers.0.self_attn.q_proj" /* [32, 32] */
#define EMBEDDING "model.embed_tokens"      /* [50, 32] */
#define CONFIG "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":6"

/* A base of one type, an adapter, and their sum opened. */
struct fixture {
    char *folder, *base_path, *name;
    struct checkpoint *base, *sum;
};

static int open_sum(struct fixture *out, enum dtype dtype, const char *config,
                    const struct lora_tensor *tensors, size_t n, struct err *err)
{
    *out = (struct fixture){.folder = support_temp_dir()};
    out->base_path =
        tiny_model_write(out->folder, "base", &(struct tiny_model){.dtype = dtype, .seed = 5});
    char *adapter = lora_write(out->folder, "lora", config, tensors, n);

    out->name = mem_printf("%s+%s", out->base_path, adapter);
    free(adapter);
    assert_int_equal(checkpoint_open(&out->base, out->base_path, NULL), 0);
    return checkpoint_open(&out->sum, out->name, err);
}

static void close_sum(struct fixture *fixture)
{
    checkpoint_close(fixture->base);
    checkpoint_close(fixture->sum);
    support_remove_dir(fixture->folder);
    free(fixture->base_path);
    free(fixture->name);
}

static double number(const struct checkpoint *model, const char *name, size_t i)
{
    const struct checkpoint_tensor *tensor = checkpoint_find(model, name);
    float value;

    assert_non_null(tensor);
    dtype_to_f32(&value, tensor->data + i * dtype_size(tensor->dtype), tensor->dtype, 1);
    return (double)value;
}

/* The sum in double: base + scale * left right, left [R, K] and right [K, C] read through strides
 * so that both matrices may lie on their sides. */
static void assert_sum(const struct fixture *fixture, const char *name, const float *b,
                       const float *a, size_t K, size_t R, size_t C, bool sideways, double scale,
                       double tolerance)
{
    for (size_t r = 0; r < R; r++) {
        for (size_t c = 0; c < C; c++) {
            double want = 0;

            for (size_t k = 0; k < K; k++) {
                want += sideways ? (double)b[c * K + k] * (double)a[k * R + r]
                                 : (double)b[r * K + k] * (double)a[k * C + c];
            }
            want = number(fixture->base, name, r * C + c) + scale * want;
            const double got = number(fixture->sum, name, r * C + c);
            if (fabs(got - want) > tolerance * (fabs(want) + 0.05)) {
                fail_msg("%s [%zu, %zu]: %.9g is not %.9g", name, r, c, got, want);
            }
        }
    }
}

static void adds_the_product_as_a_double_twin_does(void **state)
{
    static const struct {
        enum dtype dtype;
        double tolerance; /* half a step of the type */
    } types[] = {{DTYPE_F32, 3e-7}, {DTYPE_F16, 0.00049}, {DTYPE_BF16, 0.00391}};
    float *a = lora_numbers(4 * 32, 1);
    float *b = lora_numbers(48 * 4, 2);
    const struct lora_tensor tensors[] = {{UP ".lora_A.weight", 4, 32, a},
                                          {UP ".lora_B.weight", 48, 4, b}};

    (void)state;
    for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
        struct fixture fixture;

        assert_int_equal(open_sum(&fixture, types[t].dtype, CONFIG "}", tensors, 2, NULL), 0);
        assert_sum(&fixture, UP ".weight", b, a, 4, 48, 32, false, 1.5, types[t].tolerance);
        assert_int_equal(checkpoint_find(fixture.sum, UP ".weight")->dtype, types[t].dtype);
        close_sum(&fixture);
    }
    free(a);
    free(b);
}

static void leaves_all_other_tensors_alone(void **state)
{
    float *a = lora_numbers(4 * 32, 1);
    float *b = lora_numbers(48 * 4, 2);
    const struct lora_tensor tensors[] = {{UP ".lora_A.weight", 4, 32, a},
                                          {UP ".lora_B.weight", 48, 4, b}};
    struct fixture fixture;

    (void)state;
    assert_int_equal(open_sum(&fixture, DTYPE_BF16, CONFIG "}", tensors, 2, NULL), 0);
    assert_int_equal(checkpoint_count(fixture.sum), checkpoint_count(fixture.base));
    for (size_t i = 0; i < checkpoint_count(fixture.sum); i++) {
        const struct checkpoint_tensor *ours = checkpoint_at(fixture.sum, i);
        const struct checkpoint_tensor *theirs = checkpoint_at(fixture.base, i);

        assert_int_equal(ours->n_bytes, theirs->n_bytes);
        assert_int_equal(memcmp(ours->data, theirs->data, ours->n_bytes) != 0,
                         strcmp(ours->name, UP ".weight") == 0);
    }
    assert_string_equal(checkpoint_name(fixture.sum), fixture.name);
    assert_string_equal(checkpoint_folder(fixture.sum), fixture.base_path);
    assert_string_equal(checkpoint_find(fixture.sum, UP ".weight")->file, "model.safetensors+lora");
    close_sum(&fixture);
    free(a);
    free(b);
}

static void scales_by_rank_root_and_patterns(void **state)
{
    static const struct {
        const char *config;
        double scale; /* of rank 4 */
    } cases[] = {
        {CONFIG ",\"use_rslora\":true}", 3.0},
        {CONFIG ",\"alpha_pattern\":{\"up_proj\":20}}", 5.0},
        {CONFIG ",\"alpha_pattern\":{\"down_proj\":20,\"layers.[01].mlp.up_.*\":2,\"up_proj\":9}}",
         0.5},
        {CONFIG ",\"alpha_pattern\":{\"p_proj\":20}}", 1.5}, /* not at a dot */
        {CONFIG ",\"alpha_pattern\":{\"^model.layers.1.mlp.up_proj$\":8}}", 2.0},
        {"{\"peft_type\":\"LORA\",\"r\":16,\"lora_alpha\":6,\"rank_pattern\":{\"up_proj\":4}}",
         1.5},
        {CONFIG ",\"target_modules\":[\"down_proj\",\"up_proj\"],\"bias\":\"none\"}", 1.5},
        {CONFIG ",\"target_modules\":\".*\\\\.(gate|up)_proj\",\"init_lora_weights\":true}", 1.5},
        {CONFIG ",\"target_modules\":\"all-linear\",\"use_dora\":false}", 1.5},
    };
    float *a = lora_numbers(4 * 32, 3);
    float *b = lora_numbers(48 * 4, 4);
    const struct lora_tensor tensors[] = {{UP ".lora_A.weight", 4, 32, a},
                                          {UP ".lora_B.weight", 48, 4, b}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture fixture;
        struct err err = {0};

        if (open_sum(&fixture, DTYPE_F32, cases[i].config, tensors, 2, &err) != 0) {
            fail_msg("%s: %s", cases[i].config, err.text);
        }
        assert_sum(&fixture, UP ".weight", b, a, 4, 48, 32, false, cases[i].scale, 3e-7);
        close_sum(&fixture);
    }
    free(a);
    free(b);
}

static void transposes_embeddings_and_fan_in_fan_out(void **state)
{
    float *a = lora_numbers(4 * 50, 5);
    float *b = lora_numbers(32 * 4, 6);
    const struct lora_tensor embedding[] = {{EMBEDDING ".lora_embedding_A", 4, 50, a},
                                            {EMBEDDING ".lora_embedding_B", 32, 4, b}};
    const struct lora_tensor fan_in[] = {{UP ".lora_A.weight", 4, 48, a},
                                         {UP ".lora_B.weight", 32, 4, b}};
    struct fixture fixture;

    (void)state;
    assert_int_equal(open_sum(&fixture, DTYPE_F32, CONFIG "}", embedding, 2, NULL), 0);
    assert_sum(&fixture, EMBEDDING ".weight", b, a, 4, 50, 32, true, 1.5, 3e-7);
    close_sum(&fixture);
    assert_int_equal(
        open_sum(&fixture, DTYPE_F32, CONFIG ",\"fan_in_fan_out\":true}", fan_in, 2, NULL), 0);
    assert_sum(&fixture, UP ".weight", b, a, 4, 48, 32, true, 1.5, 3e-7);
    close_sum(&fixture);
    free(a);
    free(b);
}

static void replaces_whole_modules_before_their_updates(void **state)
{
    float *head = lora_numbers(50 * 32, 7);
    float *norm = lora_numbers(32, 8);
    float *a = lora_numbers(4 * 32, 9);
    float *b = lora_numbers(50 * 4, 10);
    const struct lora_tensor tensors[] = {{"lm_head.base_layer.weight", 50, 32, head},
                                          {"lm_head.lora_A.weight", 4, 32, a},
                                          {"lm_head.lora_B.weight", 50, 4, b},
                                          {"model.norm.modules_to_save.weight", 32, 0, norm}};
    struct fixture fixture;

    (void)state;
    assert_int_equal(open_sum(&fixture, DTYPE_F32, CONFIG "}", tensors, 4, NULL), 0);
    for (size_t i = 0; i < 32; i++) {
        assert_true(number(fixture.sum, "model.norm.weight", i) == (double)norm[i]);
    }
    for (size_t i = 0; i < (size_t)50 * 32; i++) {
        double want = 0;

        for (size_t k = 0; k < 4; k++) {
            want += (double)b[i / 32 * 4 + k] * (double)a[k * 32 + i % 32];
        }
        want = (double)head[i] + 1.5 * want;
        assert_true(fabs(number(fixture.sum, "lm_head.weight", i) - want) < 1e-6);
    }
    close_sum(&fixture);
    free(head);
    free(norm);
    free(a);
    free(b);
}

/* What it is taken for is what it would be, had it been saved. */
static void has_the_digest_of_the_same_model_saved(void **state)
{
    float *a = lora_numbers(4 * 32, 11);
    float *b = lora_numbers(32 * 4, 12);
    const struct lora_tensor tensors[] = {{Q ".lora_A.weight", 4, 32, a},
                                          {Q ".lora_B.weight", 32, 4, b}};
    const struct method *method;
    struct fixture fixture;
    struct recipe recipe = {0};
    struct plan plan = {0};
    char digest[DIGEST_HEX];
    char weights[DIGEST_HEX];
    char written[DIGEST_HEX];
    const char *source = digest;

    (void)state;
    assert_int_equal(open_sum(&fixture, DTYPE_BF16, CONFIG "}", tensors, 2, NULL), 0);
    assert_int_equal(checkpoint_digest(fixture.sum, digest, NULL), 0);
    assert_int_equal(checkpoint_weights_digest(fixture.sum, weights, NULL), 0);
    assert_int_equal(checkpoint_weights_digest(fixture.base, written, NULL), 0);
    assert_string_not_equal(weights, written);

    assert_int_equal(method_find(&method, "passthrough", NULL), 0);
    recipe_init(&recipe, method, RECIPE_BFLOAT16, 0, TINY_LAYERS, &source, 1, NULL);
    assert_int_equal(plan_make(&plan, &recipe,
                               &(struct plan_model){.digest = digest, .checkpoint = fixture.sum}, 1,
                               NULL),
                     0);
    char *folder = file_join(fixture.folder, "saved");
    assert_int_equal(export_write(&plan, folder, NULL, 0, 0, weights, written, NULL), 0);
    assert_string_equal(weights, written);
    free(folder);
    plan_release(&plan);
    recipe_release(&recipe);
    close_sum(&fixture);
    free(a);
    free(b);
}

static void refuses_what_does_not_fit_with_file_and_tensor(void **state)
{
    static float numbers[64 * 64];
    static float wrong[] = {0, 0, NAN, 0};
    static const struct lora_tensor good[] = {{UP ".lora_A.weight", 4, 32, numbers},
                                              {UP ".lora_B.weight", 48, 4, numbers}};
    static const struct lora_tensor wide[] = {{UP ".lora_A.weight", 4, 40, numbers},
                                              {UP ".lora_B.weight", 48, 4, numbers}};
    static const struct lora_tensor tall[] = {{UP ".lora_A.weight", 4, 32, numbers},
                                              {UP ".lora_B.weight", 56, 4, numbers}};
    static const struct lora_tensor deep[] = {
        {"model.layers.7.mlp.up_proj.lora_A.weight", 4, 32, numbers},
        {"model.layers.7.mlp.up_proj.lora_B.weight", 48, 4, numbers}};
    static const struct lora_tensor infinite[] = {{UP ".lora_A.weight", 4, 32, numbers},
                                                  {UP ".lora_B.weight", 1, 4, wrong}};
    static const struct lora_tensor dora[] = {{UP ".lora_magnitude_vector", 48, 0, numbers}};
    static const struct lora_tensor bias[] = {{UP ".bias", 48, 0, numbers}};
    static const struct lora_tensor mixed[] = {{EMBEDDING ".lora_A.weight", 4, 32, numbers},
                                               {EMBEDDING ".lora_embedding_B", 50, 4, numbers}};
    static const struct lora_tensor twice[] = {{"lm_head.weight", 50, 32, numbers},
                                               {"lm_head.base_layer.weight", 50, 32, numbers}};
    static const struct lora_tensor vectors[] = {{"model.norm.lora_A.weight", 4, 32, numbers},
                                                 {"model.norm.lora_B.weight", 32, 4, numbers}};
    static const struct {
        const char *config;
        const struct lora_tensor *tensors;
        size_t n;
        enum err_code code;
        const char *why;
    } cases[] = {
        {CONFIG "}", good, 1, ERR_MISSING,
         "lora/adapter_model.safetensors: base_model.model." UP
         ".lora_A.weight: its lora_B is missing"},
        {CONFIG "}", good + 1, 1, ERR_MISSING, UP ".lora_B.weight: its lora_A is missing"},
        {CONFIG "}", wide, 2, ERR_CONFLICT,
         UP ".lora_A.weight: its shape is [4, 40], the base's " UP
            ".weight of [48, 32] needs [4, 32]; is it an adapter of another base?"},
        {CONFIG "}", tall, 2, ERR_CONFLICT, UP ".lora_B.weight: its shape is [56, 4]"},
        {CONFIG "}", deep, 2, ERR_CONFLICT,
         "the base has no tensor model.layers.7.mlp.up_proj.weight"},
        {CONFIG "}", infinite, 2, ERR_NUMERIC, UP ".lora_B.weight: a number in it is not finite"},
        {CONFIG "}", dora, 1, ERR_FORMAT, UP ".lora_magnitude_vector: DoRA is not folded"},
        {CONFIG "}", bias, 1, ERR_CONFLICT, "the base has no tensor " UP ".bias"},
        {CONFIG "}", mixed, 2, ERR_FORMAT, "its partner is not"},
        {CONFIG "}", twice, 2, ERR_FORMAT, ": it is there twice"},
        {CONFIG "}", vectors, 2, ERR_CONFLICT, "the base's tensor is no matrix"},
        {CONFIG "}", good, 0, ERR_FORMAT, "adapter_model.safetensors: no tensor in it"},
        {"{\"peft_type\":\"LORA\",\"r\":8}", good, 2, ERR_CONFLICT,
         UP ".lora_A.weight: its rank is 4, adapter_config.json says 8"},
        {CONFIG ",\"target_modules\":[\"q_proj\"]}", good, 2, ERR_CONFLICT,
         UP ".lora_A.weight: target_modules of adapter_config.json does not name its module"},
        {CONFIG ",\"use_dora\":true}", good, 2, ERR_FORMAT,
         "lora/adapter_config.json: use_dora: DoRA is not folded"},
        {"[]", good, 2, ERR_FORMAT, "lora/adapter_config.json: "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture fixture;
        struct err err = {0};
        const int rc =
            open_sum(&fixture, DTYPE_F32, cases[i].config, cases[i].tensors, cases[i].n, &err);

        if (rc != (int)cases[i].code || strstr(err.text, cases[i].why) == NULL) {
            fail_msg("%zu: %d '%s' is not %d '%s'", i, rc, err.text, (int)cases[i].code,
                     cases[i].why);
        }
        assert_null(fixture.sum);
        close_sum(&fixture);
    }
}

static void says_which_folder_or_file_is_needed(void **state)
{
    char *folder = support_temp_dir();
    char *base = tiny_model_write(folder, "base", &(struct tiny_model){.seed = 5});
    char *adapter = file_join(folder, "lora");
    char *name = mem_printf("%s+%s", base, adapter);
    struct checkpoint *sum = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(checkpoint_open(&sum, name, &err), ERR_MISSING);
    assert_non_null(strstr(err.text, "/lora: no such adapter folder"));
    assert_int_equal(file_make_dirs(adapter, NULL), 0);
    assert_int_equal(checkpoint_open(&sum, name, &err), ERR_MISSING);
    assert_non_null(strstr(err.text, "/lora/adapter_config.json"));
    support_write(adapter, "adapter_model.bin", "x");
    assert_int_equal(checkpoint_open(&sum, name, &err), ERR_MISSING);
    assert_non_null(strstr(err.text, "pickles (adapter_model.bin) are never opened"));
    assert_null(sum);
    free(name);
    free(adapter);
    free(base);
    support_remove_dir(folder);
}

static void notices_an_adapter_that_changed(void **state)
{
    float *a = lora_numbers(4 * 32, 1);
    float *b = lora_numbers(48 * 4, 2);
    const struct lora_tensor tensors[] = {{UP ".lora_A.weight", 4, 32, a},
                                          {UP ".lora_B.weight", 48, 4, b}};
    struct fixture fixture;
    struct err err = {0};

    (void)state;
    assert_int_equal(open_sum(&fixture, DTYPE_F32, CONFIG "}", tensors, 2, NULL), 0);
    assert_int_equal(checkpoint_unchanged(fixture.sum, NULL), 0);
    free(lora_write(fixture.folder, "lora", CONFIG "}", tensors, 2));
    assert_int_equal(checkpoint_unchanged(fixture.sum, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "lora/adapter_model.safetensors: changed"));
    close_sum(&fixture);
    free(a);
    free(b);
}

static void needs_a_folder_for_what_it_makes(void **state)
{
    float *a = lora_numbers(4 * 32, 1);
    float *b = lora_numbers(48 * 4, 2);
    const struct lora_tensor tensors[] = {{UP ".lora_A.weight", 4, 32, a},
                                          {UP ".lora_B.weight", 48, 4, b}};
    const char *before = getenv("TMPDIR");
    char *kept = before != NULL ? mem_text(before) : NULL;
    struct fixture fixture;
    struct checkpoint *again = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(open_sum(&fixture, DTYPE_F32, CONFIG "}", tensors, 2, NULL), 0);
    setenv("TMPDIR", "/no/such/folder", 1);
    assert_int_equal(checkpoint_open(&again, fixture.name, &err), ERR_IO);
    assert_non_null(strstr(err.text, "/no/such/folder: no temporary file"));
    if (kept != NULL) {
        setenv("TMPDIR", kept, 1);
    } else {
        unsetenv("TMPDIR");
    }
    free(kept);
    close_sum(&fixture);
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_the_product_as_a_double_twin_does),
        cmocka_unit_test(leaves_all_other_tensors_alone),
        cmocka_unit_test(scales_by_rank_root_and_patterns),
        cmocka_unit_test(transposes_embeddings_and_fan_in_fan_out),
        cmocka_unit_test(replaces_whole_modules_before_their_updates),
        cmocka_unit_test(has_the_digest_of_the_same_model_saved),
        cmocka_unit_test(refuses_what_does_not_fit_with_file_and_tensor),
        cmocka_unit_test(says_which_folder_or_file_is_needed),
        cmocka_unit_test(notices_an_adapter_that_changed),
        cmocka_unit_test(needs_a_folder_for_what_it_makes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
