/*
 * Routes in every family: the flat form that runs and is exported computes what the route says,
 * h = block(w h), hop by hop.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/engine.h"
#include "evaluator/merge/export.h"
#include "evaluator/model/forward.h"
#include "study/recipe.h"
#include "tests/evaluator/logits.h"
#include "tests/support/families.h"
#include "tests/support/support.h"
#include "tests/support/twin.h"

#define TOKENS ((size_t)24)

/* Repeats, changes of model at a seam, and scales that are never undone. */
static const struct twin_hop hops[] = {{0, 0, 1.0}, {1, 1, 1.5}, {0, 1, 0.6},
                                       {0, 1, 1.0}, {1, 0, 2.0}, {0, 1, 0.5}};
#define HOPS (sizeof(hops) / sizeof(hops[0]))

/* Two models of one family, a the host. */
struct pair {
    char *paths[2];
    struct checkpoint *models[2];
    char digests[2][DIGEST_HEX];
    struct plan_model named[2];
};

static void open_pair(struct pair *pair, const char *folder, const struct family_model *model)
{
    struct err err = {0};

    for (unsigned i = 0; i < 2; i++) {
        struct family_model one = *model;

        one.name = i == 0 ? "a" : "b";
        one.seed = i;
        one.L += strstr(one.config, "layer_types") == NULL ? i : 0;
        pair->paths[i] = family_model_write(folder, &one);
        if (checkpoint_open(&pair->models[i], pair->paths[i], &err) != 0) {
            fail_msg("%s: %s", model->name, err.text);
        }
        assert_int_equal(checkpoint_digest(pair->models[i], pair->digests[i], &err), 0);
        pair->named[i] = (struct plan_model){pair->digests[i], pair->models[i]};
    }
}

static void close_pair(struct pair *pair)
{
    for (size_t i = 0; i < 2; i++) {
        checkpoint_close(pair->models[i]);
        free(pair->paths[i]);
    }
}

/* The host as it is, in this type. */
static struct recipe host_recipe(const struct pair *pair, enum recipe_dtype dtype)
{
    const char *sources[] = {pair->digests[0]};
    const struct method *method = NULL;
    struct recipe recipe;

    assert_int_equal(method_find(&method, "passthrough", NULL), 0);
    recipe_init(&recipe, method, dtype, 1, checkpoint_config(pair->models[0])->n_layers, sources, 1,
                NULL);
    return recipe;
}

static void add_hops(struct recipe *recipe, const struct pair *pair)
{
    for (size_t k = 0; k < HOPS; k++) {
        recipe_add_hop(recipe, hops[k].model > 0 ? pair->digests[1] : NULL, (uint32_t)hops[k].layer,
                       hops[k].scale);
    }
}

static struct plan plan_of(const struct pair *pair, const struct recipe *recipe)
{
    struct plan plan;
    struct err err = {0};

    if (plan_make(&plan, recipe, pair->named, 2, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return plan;
}

static void assert_close(const char *name, const float *logits, const struct twin *twin,
                         const uint32_t *tokens, size_t vocab)
{
    double *want = mem_array(TOKENS * vocab, sizeof(double));

    twin_logits(twin, tokens, TOKENS, want);
    for (size_t i = 0; i < TOKENS * vocab; i++) {
        if (!(fabs((double)logits[i] - want[i]) <= 1e-4 * fmax(1.0, fabs(want[i])))) {
            fail_msg("%s: logit %zu is %.9g, not %.9g", name, i, (double)logits[i], want[i]);
        }
    }
    free(want);
}

/* What the route says, by twins of the two models that share nothing with the engine. */
static void assert_follows_route(const struct pair *pair, const char *name, const float *logits,
                                 const uint32_t *tokens, size_t vocab)
{
    struct twin *twins[2] = {twin_of_folder(pair->paths[0]), twin_of_folder(pair->paths[1])};
    struct twin *routed = twin_routed((const struct twin *const *)twins, hops, HOPS);

    assert_close(name, logits, routed, tokens, vocab);
    twin_free(routed);
    twin_free(twins[0]);
    twin_free(twins[1]);
}

/* What was exported, by a twin that reads it on its own. */
static void assert_reads_as_such(const char *folder, const char *name, const float *logits,
                                 const uint32_t *tokens, size_t vocab)
{
    struct twin *twin = twin_of_folder(folder);

    assert_close(name, logits, twin, tokens, vocab);
    twin_free(twin);
}

static void set_tokens(uint32_t tokens[TOKENS], size_t vocab)
{
    for (uint32_t t = 0; t < TOKENS; t++) {
        tokens[t] = t * 7 % (uint32_t)vocab;
    }
}

static void assert_routes(const char *folder, const struct family_model *model)
{
    const size_t bytes = TOKENS * model->V * sizeof(float);
    char digests[3][DIGEST_HEX];
    uint32_t tokens[TOKENS];
    struct pair pair;
    struct err err = {0};

    set_tokens(tokens, model->V);
    open_pair(&pair, folder, model);
    struct recipe recipe = host_recipe(&pair, RECIPE_FLOAT32);
    for (size_t k = 0; k < HOPS; k++) {
        recipe_add_hop(&recipe, hops[k].model > 0 ? pair.digests[1] : NULL, (uint32_t)hops[k].layer,
                       hops[k].scale);
    }
    struct plan plan = plan_of(&pair, &recipe);
    float *resident = logits_of_plan(&plan, false, tokens, TOKENS, digests[0]);
    float *streamed = logits_of_plan(&plan, true, tokens, TOKENS, digests[1]);
    char *out = mem_printf("%s/%s-routed", folder, model->name);
    if (export_write(&plan, out, NULL, 0, 0, digests[0], NULL, &err) != 0) {
        fail_msg("%s: %s", model->name, err.text);
    }
    float *exported = logits_of_folder(out, tokens, TOKENS, digests[2]);

    assert_follows_route(&pair, model->name, resident, tokens, model->V);
    assert_memory_equal(streamed, resident, bytes);
    assert_memory_equal(exported, resident, bytes);
    assert_string_equal(digests[1], digests[0]);
    assert_string_equal(digests[2], digests[0]);
    assert_reads_as_such(out, model->name, resident, tokens, model->V);
    free(resident);
    free(streamed);
    free(exported);
    free(out);
    plan_release(&plan);
    recipe_release(&recipe);
    close_pair(&pair);
}

static void a_route_through_any_family_runs_as_it_says_and_as_its_export(void **state)
{
    char *folder = support_temp_dir();

    (void)state;
    for (size_t m = 0; m < n_family_models; m++) {
        assert_routes(folder, &family_models[m]);
    }
    support_remove_dir(folder);
}

/* The folder of a plan of this recipe. */
static char *exported(const struct pair *pair, const struct recipe *recipe, const char *folder,
                      const char *name)
{
    struct plan plan = plan_of(pair, recipe);
    char *out = file_join(folder, name);
    struct err err = {0};

    if (export_write(&plan, out, NULL, 0, 0, NULL, NULL, &err) != 0) {
        fail_msg("%s: %s", name, err.text);
    }
    plan_release(&plan);
    return out;
}

static void a_family_whose_blocks_are_not_known_is_refused(void **state)
{
    char *folder = support_temp_dir();
    struct family_model unknown = *family_model("llama");
    struct pair pair;
    struct plan plan;
    struct err err = {0};

    (void)state;
    unknown.architecture = "OtherForCausalLM";
    open_pair(&pair, folder, &unknown);
    struct recipe recipe = host_recipe(&pair, RECIPE_FLOAT32);
    recipe_add_hop(&recipe, NULL, 0, 1.0);
    assert_int_equal(plan_make(&plan, &recipe, pair.named, 2, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "what a block of a OtherForCausalLM adds is not known"));
    recipe_release(&recipe);
    close_pair(&pair);
    support_remove_dir(folder);
}

/* Blocks once and unscaled, gone through as places and scales say: what the flat form computes. */
static void assert_folds(const char *folder, const struct family_model *model)
{
    struct twin_hop walk[HOPS];
    size_t places[HOPS];
    uint32_t tokens[TOKENS];
    char digest[DIGEST_HEX];
    struct pair pair;

    set_tokens(tokens, model->V);
    open_pair(&pair, folder, model);
    struct recipe recipe = host_recipe(&pair, RECIPE_FLOAT32);
    add_hops(&recipe, &pair);
    char *flat = exported(&pair, &recipe, folder, "flat");
    struct route route = recipe.route;
    route_fold(&recipe.route, places, &route);
    assert_int_equal(recipe.route.n_hops, 4);
    char *folded = exported(&pair, &recipe, folder, "folded");
    for (size_t k = 0; k < HOPS; k++) {
        walk[k] = (struct twin_hop){0, places[k], hops[k].scale};
    }
    struct twin *blocks = twin_of_folder(folded);
    struct twin *unfolded = twin_routed((const struct twin *const *)&blocks, walk, HOPS);
    float *logits = logits_of_folder(flat, tokens, TOKENS, digest);
    assert_close(model->name, logits, unfolded, tokens, model->V);
    free(logits);
    twin_free(unfolded);
    twin_free(blocks);
    free(flat);
    free(folded);
    route_release(&route);
    recipe_release(&recipe);
    close_pair(&pair);
}

static void a_folded_route_computes_what_the_flat_one_does(void **state)
{
    static const char *const names[] = {"llama-3.1", "llama-biases", "gemma2", "gemma3", "phi3"};

    (void)state;
    for (size_t m = 0; m < sizeof(names) / sizeof(names[0]); m++) {
        char *folder = support_temp_dir();

        assert_folds(folder, family_model(names[m]));
        support_remove_dir(folder);
    }
}

/* ---- a planted route ---- */

#define ADDER TESTS_DIR "/../study/examples/models/adder"

/* The floats of one tensor in a whole safetensors file, as its header says. */
static float *tensor_in(const struct file_bytes *file, const char *name, size_t *n)
{
    uint64_t header_size;

    memcpy(&header_size, file->data, sizeof(header_size));
    json_t *header = json_loadb((const char *)file->data + 8, header_size, 0, NULL);
    const json_t *offsets = json_object_get(json_object_get(header, name), "data_offsets");
    size_t from = (size_t)json_integer_value(json_array_get(offsets, 0));
    size_t to = (size_t)json_integer_value(json_array_get(offsets, 1));

    assert_true(to > from);
    json_decref(header);
    *n = (to - from) / sizeof(float);
    return (float *)(void *)(file->data + 8 + header_size + from);
}

static void spoil_layer(const struct file_bytes *file, uint32_t layer, struct rng64 *rng)
{
    const struct config llama = {.family = CONFIG_LLAMA, .n_layers = 6, .tied = true};

    for (enum tensor_role role = TENSOR_INPUT_NORM; role <= TENSOR_MLP_OUT_NORM; role++) {
        char name[TENSORS_NAME_MAX];
        size_t n;

        if (tensors_name(&llama, role, layer, name)) {
            float *values = tensor_in(file, name, &n);
            double *noise = mem_array(n + 1, sizeof(double));

            rng64_normals(rng, noise, n);
            for (size_t i = 0; i < n; i++) {
                values[i] = (float)(noise[i] * 0.1);
            }
            free(noise);
        }
    }
}

static void amplify_layer(const struct file_bytes *file, uint32_t layer, float factor)
{
    static const char *const stems[] = {"self_attn.o_proj", "mlp.down_proj"};

    for (size_t s = 0; s < 2; s++) {
        char name[TENSORS_NAME_MAX];
        size_t n;

        snprintf(name, sizeof(name), "model.layers.%u.%s.weight", layer, stems[s]);
        float *values = tensor_in(file, name, &n);
        for (size_t i = 0; i < n; i++) {
            values[i] *= factor;
        }
    }
}

/* Both folders are copies of the adder. In a, layers 2 and 3 are noise; in b all others are, and
 * those two add three times what they did. */
static void plant(const char *a, const char *b)
{
    const char *folders[] = {a, b};
    struct rng64 rng;

    rng64_seed(&rng, 5, 1);
    for (size_t i = 0; i < 2; i++) {
        char *path = file_join(folders[i], "model.safetensors");
        struct file_bytes file = {0};

        assert_int_equal(file_read(&file, path, 1 << 24, NULL), 0);
        for (uint32_t layer = 0; layer < 6; layer++) {
            if ((layer == 2 || layer == 3) == (i == 0)) {
                spoil_layer(&file, layer, &rng);
            } else if (i == 1) {
                amplify_layer(&file, layer, 3.0F);
            }
        }
        assert_int_equal(file_write(path, file.data, file.size, 0666, NULL), 0);
        file_release(&file);
        free(path);
    }
}

/* The greatest difference from the wanted logits, relative to the greatest of these. */
static double distance(const float *logits, const float *wanted, size_t n)
{
    double most = 0.0;
    double size = 0.0;

    for (size_t i = 0; i < n; i++) {
        const double apart = fabs((double)logits[i] - (double)wanted[i]);
        const double here = fabs((double)wanted[i]);

        assert_true(isfinite(apart));
        most = apart > most ? apart : most;
        size = here > size ? here : size;
    }
    return most / size;
}

static void open_planted(struct pair *pair, const char *folder)
{
    struct pair original = {0};

    assert_int_equal(checkpoint_open(&original.models[0], ADDER, NULL), 0);
    assert_int_equal(checkpoint_digest(original.models[0], original.digests[0], NULL), 0);
    original.named[0] = (struct plan_model){original.digests[0], original.models[0]};
    struct recipe recipe = host_recipe(&original, RECIPE_FLOAT32);
    for (size_t i = 0; i < 2; i++) {
        pair->paths[i] = exported(&original, &recipe, folder, i == 0 ? "a" : "b");
    }
    recipe_release(&recipe);
    checkpoint_close(original.models[0]);
    plant(pair->paths[0], pair->paths[1]);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(checkpoint_open(&pair->models[i], pair->paths[i], NULL), 0);
        assert_int_equal(checkpoint_digest(pair->models[i], pair->digests[i], NULL), 0);
        pair->named[i] = (struct plan_model){pair->digests[i], pair->models[i]};
    }
}

/* A0-1 B2-3 A4-5 with a scale into b and its inverse back, written and read again. */
static float *run_splice(const struct pair *pair, double scale, const char *folder,
                         const char *name, const uint32_t *tokens)
{
    struct recipe recipe = host_recipe(pair, RECIPE_FLOAT32);
    char digest[DIGEST_HEX];

    for (uint32_t layer = 0; layer < 6; layer++) {
        bool spliced = layer == 2 || layer == 3;

        recipe_add_hop(&recipe, spliced ? pair->digests[1] : NULL, layer,
                       layer == 2   ? scale
                       : layer == 4 ? 1.0 / scale
                                    : 1.0);
    }
    char *out = exported(pair, &recipe, folder, name);
    float *logits = logits_of_folder(out, tokens, TOKENS, digest);

    free(out);
    recipe_release(&recipe);
    return logits;
}

static void the_flat_export_of_a_planted_splice_is_the_original_model(void **state)
{
    char *folder = support_temp_dir();
    struct pair pair = {0};
    uint32_t tokens[TOKENS];
    char digest[DIGEST_HEX];

    (void)state;
    open_planted(&pair, folder);
    size_t n = TOKENS * checkpoint_config(pair.models[0])->vocab;
    set_tokens(tokens, checkpoint_config(pair.models[0])->vocab);
    float *wanted = logits_of_folder(ADDER, tokens, TOKENS, digest);
    float *spoiled = logits_of_folder(pair.paths[0], tokens, TOKENS, digest);
    float *plain = run_splice(&pair, 1.0, folder, "plain", tokens);
    float *scaled = run_splice(&pair, 3.0, folder, "scaled", tokens);

    assert_true(distance(scaled, wanted, n) <= 1e-4);
    assert_true(distance(plain, wanted, n) > 0.05);
    assert_true(distance(spoiled, wanted, n) > 0.2);
    free(wanted);
    free(spoiled);
    free(plain);
    free(scaled);
    close_pair(&pair);
    support_remove_dir(folder);
}

/* ---- the identity ---- */

static char *config_of(const char *folder)
{
    char *path = file_join(folder, "config.json");
    struct file_bytes bytes = {0};

    assert_int_equal(file_read(&bytes, path, 1 << 20, NULL), 0);
    char *text = mem_text_n((const char *)bytes.data, bytes.size);
    file_release(&bytes);
    free(path);
    return text;
}

static void assert_identity(const char *folder, const struct family_model *model)
{
    const size_t bytes = TOKENS * model->V * sizeof(float);
    char digests[2][DIGEST_HEX];
    float *logits[2];
    char *configs[2];
    uint32_t tokens[TOKENS];
    struct pair pair;

    set_tokens(tokens, model->V);
    open_pair(&pair, folder, model);
    struct recipe recipe = host_recipe(&pair, RECIPE_BFLOAT16);
    for (int i = 0; i < 2; i++) {
        struct plan plan = plan_of(&pair, &recipe);
        char *out = mem_printf("%s/%s-%d", folder, model->name, i);

        logits[i] = logits_of_plan(&plan, false, tokens, TOKENS, digests[i]);
        assert_int_equal(export_write(&plan, out, NULL, 0, 0, digests[i], NULL, NULL), 0);
        configs[i] = config_of(out);
        plan_release(&plan);
        free(out);
        for (uint32_t layer = 0; layer < recipe.n_layers; layer++) {
            recipe_add_hop(&recipe, NULL, layer, 1.0);
        }
    }
    assert_memory_equal(logits[0], logits[1], bytes);
    assert_string_equal(digests[0], digests[1]);
    assert_string_equal(configs[0], configs[1]);
    for (int i = 0; i < 2; i++) {
        free(logits[i]);
        free(configs[i]);
    }
    recipe_release(&recipe);
    close_pair(&pair);
}

static void the_identity_route_is_the_plain_model_bit_for_bit(void **state)
{
    static const char *const names[] = {"llama-biases",       "mistral", "qwen2-sliding", "gemma",
                                        "gemma2-layer-types", "gemma3",  "phi3"};
    char *folder = support_temp_dir();

    (void)state;
    for (size_t m = 0; m < sizeof(names) / sizeof(names[0]); m++) {
        assert_identity(folder, family_model(names[m]));
    }
    support_remove_dir(folder);
}

/* Gemma 2 with a window of 9 places, into one with 7. */
static void a_layer_that_slides_over_another_window_is_refused(void **state)
{
    char *folder = support_temp_dir();
    struct family_model wide = *family_model("gemma2");
    struct pair pair = {.paths = {family_model_write(folder, &wide)}};
    struct plan plan;
    struct err err = {0};

    (void)state;
    wide.name = "wide";
    wide.config = ",\"sliding_window\":9";
    pair.paths[1] = family_model_write(folder, &wide);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(checkpoint_open(&pair.models[i], pair.paths[i], &err), 0);
        assert_int_equal(checkpoint_digest(pair.models[i], pair.digests[i], &err), 0);
        pair.named[i] = (struct plan_model){pair.digests[i], pair.models[i]};
    }
    struct recipe recipe = host_recipe(&pair, RECIPE_FLOAT32);
    recipe_add_hop(&recipe, pair.digests[1], 1, 1.0); /* does not slide */
    recipe_add_hop(&recipe, pair.digests[1], 2, 1.0);
    assert_int_equal(plan_make(&plan, &recipe, pair.named, 2, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "route: hop 1: layer 2 of "));
    assert_non_null(strstr(err.text, "slides over 9 places; windows of "));
    recipe_release(&recipe);
    close_pair(&pair);
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_route_through_any_family_runs_as_it_says_and_as_its_export),
        cmocka_unit_test(a_layer_that_slides_over_another_window_is_refused),
        cmocka_unit_test(a_family_whose_blocks_are_not_known_is_refused),
        cmocka_unit_test(a_folded_route_computes_what_the_flat_one_does),
        cmocka_unit_test(the_flat_export_of_a_planted_splice_is_the_original_model),
        cmocka_unit_test(the_identity_route_is_the_plain_model_bit_for_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
