/* mergekit recipes against opened models: what is planned, warned of and refused. The golden models
 * are the models; values of parameters are compared in golden/models. */
#include "evaluator/merge/mergekit_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/blend.h"
#include "evaluator/merge/mergekit.h"
#include "evaluator/model/safetensors_write.h"
#include "study/yaml.h"
#include "tests/evaluator/kitchen.h"
#include "tests/support/support.h"

#define MODELS TESTS_DIR "/golden/models/inputs"

struct kit {
    struct mergekit_recipe recipe;
    struct mergekit_models models;
    struct plan plan;
    struct text warnings;
};

static const struct plan_rules strict = {.strict = true};

static int make(struct kit *kit, const char *folder, const char *yaml,
                const struct plan_rules *rules, struct err *err)
{
    json_t *doc = NULL;

    *kit = (struct kit){0};
    assert_int_equal(yaml_parse(&doc, yaml, strlen(yaml), err), 0);
    int rc = mergekit_recipe_parse(&kit->recipe, doc, err);
    json_decref(doc);
    if (rc == 0) {
        rc = mergekit_models_open(&kit->models, &kit->recipe, folder, &kit->warnings, err);
    }
    if (rc == 0) {
        rc = mergekit_plan_make(&kit->plan, &kit->recipe, &kit->models, rules, 0, &kit->warnings,
                                err);
    }
    return rc;
}

static void release(struct kit *kit)
{
    plan_release(&kit->plan);
    mergekit_models_close(&kit->models);
    mergekit_recipe_release(&kit->recipe);
    text_release(&kit->warnings);
}

static struct kit good(const char *yaml)
{
    struct kit kit;
    struct err err = {0};

    if (make(&kit, MODELS, yaml, &strict, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return kit;
}

static void expect_refused(const char *yaml, enum err_code code, const char *text)
{
    struct kit kit;
    struct err err = {0};

    assert_int_equal(make(&kit, MODELS, yaml, &strict, &err), code);
    if (strstr(err.text, text) == NULL) {
        fail_msg("said '%s', not '%s'", err.text, text);
    }
    assert_int_equal(kit.plan.n_tensors, 0);
    release(&kit);
}

static const struct plan_tensor *find(const struct kit *kit, const char *name)
{
    for (size_t i = 0; i < kit->plan.n_tensors; i++) {
        if (strcmp(kit->plan.tensors[i].name, name) == 0) {
            return &kit->plan.tensors[i];
        }
    }
    return NULL;
}

/* ---- shapes and types ---- */

static void without_a_type_the_widest_input_decides(void **state)
{
    struct kit kit = good("merge_method: linear\nmodels:\n"
                          "  - {model: ft_bf16, parameters: {weight: 1}}\n"
                          "  - {model: ft_a, parameters: {weight: 1}}\n");
    const struct plan_tensor *norm = find(&kit, "model.norm.weight");

    (void)state;
    assert_int_equal(norm->dtype, DTYPE_F32);
    assert_int_equal(norm->work, DTYPE_F32);
    assert_null(kit.plan.edit.dtype); /* config.json keeps what it says */
    release(&kit);
    kit = good("merge_method: passthrough\nmodels: [{model: ft_bf16}]\n");
    assert_int_equal(find(&kit, "model.norm.weight")->dtype, DTYPE_BF16);
    release(&kit);
}

static void without_a_type_task_vectors_take_the_bases(void **state)
{
    struct kit kit = good("merge_method: ties\nbase_model: ft_bf16\nmodels:\n"
                          "  - {model: ft_a, parameters: {weight: 1}}\n");
    const struct plan_tensor *norm = find(&kit, "model.norm.weight");

    (void)state;
    assert_int_equal(norm->dtype, DTYPE_BF16);
    assert_int_equal(norm->work, DTYPE_BF16);
    release(&kit);
}

static void arithmetic_and_storage_have_types_of_their_own(void **state)
{
    struct kit kit = good("merge_method: linear\nmodels: [{model: ft_a, parameters: {weight: 1}}]\n"
                          "dtype: float16\nout_dtype: bfloat16\n");
    const struct plan_tensor *norm = find(&kit, "model.norm.weight");

    (void)state;
    assert_int_equal(norm->work, DTYPE_F16);
    assert_int_equal(norm->dtype, DTYPE_BF16);
    assert_string_equal(kit.plan.edit.dtype, "bfloat16");
    assert_int_equal(plan_bytes(&kit.plan), kit.plan.n_elements * 2);
    release(&kit);
}

static void vocabularies_are_cut_to_what_all_have(void **state)
{
    struct kit kit = good("merge_method: linear\nbase_model: wide\nmodels:\n"
                          "  - {model: wide, parameters: {weight: 1}}\n"
                          "  - {model: ft_b, parameters: {weight: 1}}\n");
    const struct plan_tensor *head = find(&kit, "lm_head.weight");

    (void)state;
    assert_int_equal(head->dims[0], 32);
    assert_int_equal(head->sources[0]->n_elements, head->n);
    assert_int_equal(kit.plan.edit.vocab, 32);
    assert_non_null(strstr(text_get(&kit.warnings),
                           "lm_head.weight: matrices of different shapes, cut to [32, 16]\n"));
    release(&kit);
}

static void a_vocabulary_below_the_bases_is_no_task_vector(void **state)
{
    (void)state;
    expect_refused("merge_method: task_arithmetic\nbase_model: wide\n"
                   "models: [{model: ft_b, parameters: {weight: 1}}]\n",
                   ERR_CONFLICT, "/ft_b/model.safetensors: ");
}

/* Two models that differ in their MLP, which no method can hide but the task vectors. */
static void what_differs_in_shape_is_refused_or_left_out(void **state)
{
    char *folder = support_temp_dir();
    struct kit kit;
    struct err err = {0};

    (void)state;
    free(tiny_model_write(folder, "a", &(struct tiny_model){.seed = 1}));
    free(tiny_model_write(folder, "b", &(struct tiny_model){.seed = 2, .mlp_width = 64}));
    assert_int_equal(make(&kit, folder,
                          "merge_method: linear\nmodels: [{model: a}, {model: b}]\n"
                          "parameters: {weight: 1}\n",
                          &strict, &err),
                     ERR_CONFLICT);
    assert_non_null(strstr(err.text, "/b/model.safetensors: model.layers.0.mlp.down_proj.weight: "
                                     "its shape is [32, 64], in "));
    release(&kit);
    assert_int_equal(make(&kit, folder,
                          "merge_method: task_arithmetic\nbase_model: a\nmodels: [{model: b}]\n"
                          "parameters: {weight: 1}\n",
                          &strict, &err),
                     0);
    const struct plan_tensor *down = find(&kit, "model.layers.0.mlp.down_proj.weight");
    assert_true(down->copies && down->n_sources == 1 && down->base == NULL);
    assert_non_null(strstr(text_get(&kit.warnings), "b has another shape than the base, left out"));
    release(&kit);
    support_remove_dir(folder);
}

/* ---- slices ---- */

static void a_stack_has_layers_of_its_sources_under_new_numbers(void **state)
{
    struct kit kit = good("merge_method: passthrough\nslices:\n"
                          "  - sources: [{model: ft_a, layer_range: [3, 4]}]\n"
                          "  - sources: [{model: deep, layer_range: [4, 6]}]\n"
                          "  - sources: [{model: ft_a, layer_range: [0, 2]}]\n");
    const struct plan_tensor *up = find(&kit, "model.layers.2.mlp.up_proj.weight");

    (void)state;
    assert_int_equal(kit.plan.edit.n_layers, 5);
    assert_string_equal(up->sources[0]->name, "model.layers.5.mlp.up_proj.weight");
    assert_string_equal(up->sources[0]->folder, MODELS "/deep");
    assert_int_equal(up->layer, 2);
    assert_null(find(&kit, "model.layers.5.mlp.up_proj.weight"));
    release(&kit);
}

static void norm_and_head_come_from_all_of_the_last_slice_unless_asked_exactly(void **state)
{
    const char *yaml = "merge_method: linear\nparameters: {weight: 1}\nslices:\n"
                       "  - sources: [{model: ft_a, layer_range: [0, 2]}]\n"
                       "  - sources: [{model: ft_a, layer_range: [2, 4]}, "
                       "{model: ft_b, layer_range: [2, 4]}]\n";
    const struct plan_rules exact = {.strict = true, .exact_mergekit = true};
    struct kit kit = good(yaml);

    (void)state;
    assert_int_equal(find(&kit, "lm_head.weight")->n_sources, 2);
    assert_non_null(strstr(text_get(&kit.warnings), "--exact-mergekit"));
    release(&kit);
    assert_int_equal(make(&kit, MODELS, yaml, &exact, NULL), 0);
    assert_int_equal(find(&kit, "lm_head.weight")->n_sources, 1);
    release(&kit);
}

static void slices_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    expect_refused("merge_method: passthrough\n"
                   "slices: [{sources: [{model: ft_a, layer_range: [2, 7]}]}]\n",
                   ERR_FORMAT, "slices[0]: ft_a: layer_range [2, 7], but the model has 4 layers");
    expect_refused("merge_method: ties\nbase_model: base\n"
                   "slices: [{sources: [{model: ft_a, layer_range: [0, 4]}]}]\n",
                   ERR_FORMAT, "slices[0]: base, the base, is not among the sources");
    expect_refused("merge_method: linear\nparameters: {weight: 1}\n"
                   "models: [{model: ft_a}, {model: deep}]\n",
                   ERR_FORMAT, "ft_a has 4 layers, deep has 6: models of different depth");
}

/* ---- architectures nobody has a table of ---- */

/* A folder of one-number tensors, sorted by name. */
static void write_strange(const char *folder, const char *name, const char *const *tensors,
                          size_t n, uint32_t n_layers)
{
    struct safetensors_output outputs[16] = {0};
    struct safetensors_writer *writer = NULL;
    char *path = file_join(folder, name);
    char *config = mem_printf("{\"architectures\":[\"Strange\"],\"model_type\":\"strange\","
                              "\"num_hidden_layers\":%u}",
                              n_layers);

    assert_int_equal(file_make_dirs(path, NULL), 0);
    support_write(path, "config.json", config);
    for (size_t i = 0; i < n; i++) {
        outputs[i] = (struct safetensors_output){
            .name = tensors[i], .dtype = DTYPE_F32, .n_dims = 1, .dims = {1}, .n_bytes = 4};
    }
    assert_int_equal(safetensors_write_begin(&writer, path, outputs, n, 1 << 20, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        const float number = (float)i;

        assert_int_equal(safetensors_write_bytes(writer, &number, 4, NULL), 0);
    }
    assert_int_equal(safetensors_write_end(writer, NULL), 0);
    free(config);
    free(path);
}

static void an_unknown_architecture_is_stacked_by_its_names(void **state)
{
    static const char *const names[] = {"h.0.attn.weight", "h.0.mlp.weight", "h.1.attn.weight",
                                        "h.1.mlp.weight",  "ln_f.weight",    "wte.weight"};
    char *folder = support_temp_dir();
    struct kit kit;
    struct err err = {0};

    (void)state;
    write_strange(folder, "a", names, 6, 2);
    int rc = make(&kit, folder,
                  "merge_method: passthrough\nslices:\n"
                  "  - sources: [{model: a, layer_range: [1, 2]}]\n"
                  "  - sources: [{model: a, layer_range: [0, 2]}]\n",
                  &strict, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
    assert_int_equal(kit.plan.n_tensors, 8);
    assert_string_equal(find(&kit, "h.0.mlp.weight")->sources[0]->name, "h.1.mlp.weight");
    assert_string_equal(find(&kit, "h.2.attn.weight")->sources[0]->name, "h.1.attn.weight");
    assert_non_null(find(&kit, "ln_f.weight"));
    assert_non_null(find(&kit, "wte.weight"));
    release(&kit);
    support_remove_dir(folder);
}

static void stacks_of_a_larger_model_have_schedules_of_their_own(void **state)
{
    static const char *const names[] = {"text.layers.0.w", "text.layers.1.w", "text.layers.2.w",
                                        "vision.layers.0.w", "vision.layers.1.w"};
    char *folder = support_temp_dir();
    struct kit kit;
    struct err err = {0};

    (void)state;
    write_strange(folder, "a", names, 5, 3);
    assert_int_equal(make(&kit, folder,
                          "merge_method: passthrough\n"
                          "models: [{model: a, parameters: {scale: [0, 1]}}]\n",
                          &strict, &err),
                     0);
    assert_float_equal(find(&kit, "text.layers.1.w")->source_values[0], 0.5, 0);
    assert_float_equal(find(&kit, "vision.layers.1.w")->source_values[0], 1, 0);
    release(&kit);
    assert_int_equal(make(&kit, folder,
                          "merge_method: passthrough\n"
                          "slices: [{sources: [{model: a, layer_range: [0, 1]}]}]\n",
                          &strict, &err),
                     ERR_FORMAT);
    assert_non_null(strstr(err.text, "more than one stack of layers"));
    release(&kit);
    support_remove_dir(folder);
}

static void a_tensor_that_one_model_lacks_is_named_with_its_folder(void **state)
{
    static const char *const names[] = {"h.0.attn.weight", "h.0.mlp.weight"};
    char *folder = support_temp_dir();
    struct kit kit;
    struct err err = {0};

    (void)state;
    write_strange(folder, "a", names, 2, 1);
    write_strange(folder, "b", names, 1, 1);
    assert_int_equal(make(&kit, folder,
                          "merge_method: linear\nparameters: {weight: 1}\n"
                          "models: [{model: b}, {model: a}]\n",
                          &strict, &err),
                     ERR_MISSING);
    assert_non_null(strstr(err.text, "/b: h.0.mlp.weight: the tensor is missing"));
    release(&kit);
    support_remove_dir(folder);
}

/* ---- models and parameters ---- */

static void the_number_of_models_is_the_methods(void **state)
{
    (void)state;
    expect_refused("merge_method: slerp\nbase_model: base\nparameters: {t: 0.5}\n"
                   "models: [{model: ft_a}, {model: ft_b}]\n",
                   ERR_FORMAT, "slerp takes 1 model beside the base, the recipe has 2");
    expect_refused("merge_method: slerp\nparameters: {t: 0.5}\n"
                   "models: [{model: ft_a}, {model: ft_b}]\n",
                   ERR_FORMAT, "base_model: missing; slerp needs one");
    expect_refused("merge_method: passthrough\nmodels: [{model: ft_a}, {model: ft_b}]\n",
                   ERR_FORMAT, "passthrough takes 1 model, the recipe has 2");
    expect_refused("merge_method: passthrough\nbase_model: base\nmodels: [{model: ft_a}]\n",
                   ERR_FORMAT, "passthrough takes 1 model, the recipe has 2");
}

static void a_weight_that_no_level_gives_is_named_with_model_and_tensor(void **state)
{
    (void)state;
    expect_refused("merge_method: linear\nmodels:\n"
                   "  - {model: ft_a, parameters: {weight: 1}}\n"
                   "  - {model: ft_b, parameters: {weight: [{filter: mlp, value: 1}]}}\n",
                   ERR_MISSING,
                   "ft_b: model.embed_tokens.weight: the recipe gives no weight, which linear "
                   "needs");
    /* Not listed, it takes part all the same. */
    expect_refused("merge_method: linear\nbase_model: base\n"
                   "models: [{model: ft_a, parameters: {weight: 1}}]\n",
                   ERR_MISSING, "base: model.embed_tokens.weight: the recipe gives no weight");
    expect_refused("merge_method: slerp\nbase_model: base\nmodels: [{model: ft_a}]\n", ERR_MISSING,
                   "model.embed_tokens.weight: the recipe gives no t, which slerp needs");
}

/* The defaults of mergekit 0.1.4, for every method it has. */
static void what_the_recipe_does_not_say_is_mergekits_default(void **state)
{
    static const struct {
        const char *method, *parameter;
        double value;
    } defaults[] = {
        {"linear", "normalize", 1},
        {"nuslerp", "nuslerp_flatten", 1},
        {"nuslerp", "nuslerp_row_wise", 0},
        {"multislerp", "normalize_weights", 1},
        {"multislerp", "eps", 1e-8},
        {"karcher", "max_iter", 10},
        {"karcher", "tol", 1e-5},
        {"task_arithmetic", "normalize", 0},
        {"task_arithmetic", "lambda", 1},
        {"ties", "density", 1},
        {"ties", "normalize", 1},
        {"ties", "rescale", 0},
        {"ties", "lambda", 1},
        {"dare_linear", "density", 1},
        {"dare_linear", "normalize", 0},
        {"dare_linear", "rescale", 1},
        {"dare_ties", "normalize", 0},
        {"dare_ties", "rescale", 1},
        {"breadcrumbs", "density", 1},
        {"breadcrumbs", "gamma", 0.01},
        {"breadcrumbs", "normalize", 0},
        {"breadcrumbs", "rescale", 0},
        {"breadcrumbs_ties", "normalize", 0},
        {"breadcrumbs_ties", "rescale", 0},
        {"della", "density", 1},
        {"della", "epsilon", 0.15},
        {"della", "normalize", 1},
        {"della", "rescale", 1},
        {"della_linear", "normalize", 0},
        {"della_linear", "rescale", 1},
        {"model_stock", "filter_wise", 0},
        {"sce", "select_topk", 1},
        {"ram", "epsilon", 1e-5},
        {"ramplus_tl", "epsilon", 1e-5},
        {"ramplus_tl", "r", 0.1},
        {"ramplus_tl", "alpha", 0.2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
        const struct method *method = NULL;

        assert_int_equal(method_find(&method, defaults[i].method, NULL), 0);
        bool base = method->needs_base;
        char yaml[256];

        snprintf(yaml, sizeof(yaml),
                 "merge_method: %s\n%smodels: [{model: ft_a}, {model: ft_b}]\n"
                 "parameters: {weight: 1}\n",
                 method->name, base ? "base_model: base\n" : "");
        struct kit kit = good(yaml);
        const struct method_parameter *parameter =
            method_parameter_find(method, defaults[i].parameter);
        assert_non_null(parameter);
        size_t k = method_index(method, parameter->scope, parameter->name);
        const double *values = parameter->scope == METHOD_WHOLE ? kit.plan.tensors[0].whole_values
                                                                : kit.plan.tensors[0].source_values;
        if (values[k] != defaults[i].value) {
            fail_msg("%s: %s is %g", method->name, parameter->name, values[k]);
        }
        release(&kit);
    }
}

static void what_mergekit_ignores_is_said_and_ignored_when_asked(void **state)
{
    const char *yaml = "merge_method: karcher\nmodels:\n"
                       "  - {model: ft_a, parameters: {weight: 3}}\n  - {model: ft_b}\n";
    const struct plan_rules exact = {.strict = true, .exact_mergekit = true};
    struct kit kit = good(yaml);

    (void)state;
    assert_string_equal(text_get(&kit.recipe.warnings),
                        "models[0].parameters.weight: weight of karcher is braid's own; mergekit "
                        "0.1.4 and --exact-mergekit ignore it\n");
    assert_float_equal(kit.plan.tensors[0].source_values[0], 3, 0);
    release(&kit);
    assert_int_equal(make(&kit, MODELS, yaml, &exact, NULL), 0);
    assert_float_equal(kit.plan.tensors[0].source_values[0], 1, 0);
    release(&kit);
}

static void a_model_that_is_no_folder_is_refused_in_one_sentence(void **state)
{
    (void)state;
    expect_refused("merge_method: passthrough\nmodels: [{model: org/name}]\n", ERR_MISSING,
                   "org/name: no such folder, neither beside the recipe nor here; braid downloads "
                   "nothing");
    expect_refused("merge_method: passthrough\nmodels: [{model: base/config.json}]\n", ERR_MISSING,
                   "base/config.json: a model is a folder, this is none");
}

static void a_revision_of_a_folder_is_a_warning(void **state)
{
    struct kit kit = good("merge_method: passthrough\nmodels: [{model: ft_a@main}]\n");

    (void)state;
    assert_string_equal(text_get(&kit.warnings),
                        "ft_a@main: a folder has no revisions; what lies there is taken\n");
    release(&kit);
}

/* ---- carrying out ---- */

static void inputs_are_rounded_to_the_type_of_the_arithmetic(void **state)
{
    struct kit kit = good("merge_method: passthrough\nmodels: [{model: ft_a}]\n"
                          "dtype: bfloat16\nout_dtype: float32\n");
    const struct plan_tensor *norm = find(&kit, "model.norm.weight");
    struct blend *blend = blend_new();
    float *out = calloc(norm->n, sizeof(float));

    (void)state;
    assert_int_equal(blend_tensor(blend, &kit.plan, norm, out, NULL), 0);
    for (size_t i = 0; i < norm->n; i++) {
        float stored = ((const float *)(const void *)norm->sources[0]->data)[i];

        assert_true(out[i] == dtype_f32_of_bf16(dtype_bf16_of_f32(stored)));
    }
    free(out);
    blend_free(blend);
    release(&kit);
}

static void a_source_that_is_not_finite_is_refused_unless_allowed(void **state)
{
    const struct blend_sink nowhere = {0};
    const struct tiny_model model = {.seed = 1, .with_nan = "model.norm.weight"};
    const char *yaml = "merge_method: passthrough\nmodels: [{model: a}]\n";
    char *folder = support_temp_dir();
    struct blend *blend = blend_new();
    struct err err = {0};
    struct kit kit;

    (void)state;
    free(tiny_model_write(folder, "a", &model));
    assert_int_equal(make(&kit, folder, yaml, &strict, &err), 0);
    assert_int_equal(blend_run(blend, &kit.plan, &nowhere, NULL, &err), ERR_NUMERIC);
    assert_non_null(strstr(err.text, "/a/model.safetensors: model.norm.weight: element 5 is not "
                                     "finite (1 of 32)"));
    kit.plan.rules.allow_nonfinite = true;
    assert_int_equal(blend_run(blend, &kit.plan, &nowhere, NULL, &err), 0);
    release(&kit);
    blend_free(blend);
    support_remove_dir(folder);
}

/* What an export writes down as its recipe gives the very weights that were measured. */
static void a_printed_search_recipe_gives_the_same_weights(void **state)
{
    static const char *const methods[] = {"linear", "task_arithmetic", "ties", "slerp"};
    const struct blend_sink nowhere = {0};
    struct blend *blend = blend_new();
    struct kitchen kitchen;

    (void)state;
    kitchen_open(&kitchen, kitchen_brains);
    for (size_t m = 0; m < sizeof(methods) / sizeof(methods[0]); m++) {
        const char *const names[] = {"a", "b"};
        char measured[DIGEST_HEX];
        char merged[DIGEST_HEX];
        struct text yaml = {0};
        struct kit kit;
        struct err err = {0};

        kitchen_recipe(&kitchen, methods[m], RECIPE_BFLOAT16);
        struct recipe_group *mlp = recipe_add_group(&kitchen.recipe, "mlp", 0, 1);
        *(method_count(kitchen.recipe.method, METHOD_SOURCE) > 0 ? mlp->source_values
                                                                 : mlp->whole_values) = 0.25;
        struct recipe_group swap = kitchen.recipe.groups[0];
        kitchen.recipe.groups[0] = kitchen.recipe.groups[1];
        kitchen.recipe.groups[1] = swap;
        assert_int_equal(
            plan_make(&kitchen.plan, &kitchen.recipe, kitchen.named, KITCHEN_MODELS, NULL), 0);
        assert_int_equal(blend_run(blend, &kitchen.plan, &nowhere, measured, NULL), 0);
        mergekit_print(&yaml, &kitchen.recipe, kitchen.recipe.base[0] != '\0' ? "base" : NULL,
                       names);
        assert_int_equal(make(&kit, kitchen.folder, text_get(&yaml), &strict, &err), 0);
        assert_int_equal(blend_run(blend, &kit.plan, &nowhere, merged, &err), 0);
        assert_string_equal(merged, measured);
        assert_string_equal(text_get(&kit.recipe.warnings), "");
        release(&kit);
        text_release(&yaml);
    }
    blend_free(blend);
    kitchen_close(&kitchen);
}

/* a to b and back, with scales that are left over. */
static void add_route(struct kitchen *kitchen)
{
    recipe_add_hop(&kitchen->recipe, NULL, 0, 1);
    recipe_add_hop(&kitchen->recipe, kitchen->digests[2], 0, 3);
    recipe_add_hop(&kitchen->recipe, kitchen->digests[2], 1, 1);
    recipe_add_hop(&kitchen->recipe, NULL, 1, 0.71);
    recipe_add_hop(&kitchen->recipe, NULL, 0, 1);
    recipe_add_hop(&kitchen->recipe, NULL, 1, 1);
}

static void a_printed_route_gives_the_same_weights(void **state)
{
    static const char *const names[] = {"a", "b"};
    const struct blend_sink nowhere = {0};
    struct blend *blend = blend_new();
    struct kitchen kitchen;
    char measured[DIGEST_HEX];
    char merged[DIGEST_HEX];
    struct text yaml = {0};
    struct kit kit;
    struct err err = {0};

    (void)state;
    kitchen_open(&kitchen, kitchen_brains);
    kitchen_recipe(&kitchen, "passthrough", RECIPE_BFLOAT16);
    add_route(&kitchen);
    assert_int_equal(plan_make(&kitchen.plan, &kitchen.recipe, kitchen.named, KITCHEN_MODELS, NULL),
                     0);
    assert_int_equal(blend_run(blend, &kitchen.plan, &nowhere, measured, NULL), 0);
    assert_int_equal(
        mergekit_print_route(&yaml, &kitchen.recipe, &kitchen.plan.config, names, &err), 0);
    assert_int_equal(make(&kit, kitchen.folder, text_get(&yaml), &strict, &err), 0);
    assert_int_equal(blend_run(blend, &kit.plan, &nowhere, merged, &err), 0);
    assert_string_equal(merged, measured);
    assert_string_equal(text_get(&kit.recipe.warnings), "");
    release(&kit);
    text_release(&yaml);
    blend_free(blend);
    kitchen_close(&kitchen);
}

static void assert_unsayable(const struct kitchen *kitchen, const struct config *host,
                             const char *said)
{
    static const char *const names[] = {"a", "b"};
    struct text yaml = {0};
    struct err err = {0};

    assert_int_equal(mergekit_print_route(&yaml, &kitchen->recipe, host, names, &err), ERR_FORMAT);
    assert_int_equal(yaml.size, 0);
    if (strstr(err.text, said) == NULL) {
        fail_msg("%s", err.text);
    }
}

static void a_route_that_mergekit_cannot_say_is_refused_with_the_reason(void **state)
{
    const struct config gemma2 = {.sandwich = true, .norm_offset = 1.0F};
    struct kitchen kitchen;

    (void)state;
    kitchen_open(&kitchen, kitchen_brains);
    kitchen_recipe(&kitchen, "passthrough", RECIPE_BFLOAT16);
    add_route(&kitchen);
    assert_unsayable(&kitchen, &gemma2, "folded into norms of 1 + weight");
    recipe_add_hop(&kitchen.recipe, kitchen.digests[2], 0, 1);
    assert_unsayable(&kitchen, NULL, "final norm and head are a's");
    kitchen_recipe(&kitchen, "passthrough", RECIPE_BFLOAT16);
    recipe_add_hop(&kitchen.recipe, kitchen.digests[2], 0, 1);
    assert_unsayable(&kitchen, NULL, "embeddings are a's");
    kitchen_recipe(&kitchen, "linear", RECIPE_BFLOAT16);
    add_route(&kitchen);
    assert_unsayable(&kitchen, NULL, "it merges first");
    kitchen_close(&kitchen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_type_the_widest_input_decides),
        cmocka_unit_test(without_a_type_task_vectors_take_the_bases),
        cmocka_unit_test(arithmetic_and_storage_have_types_of_their_own),
        cmocka_unit_test(vocabularies_are_cut_to_what_all_have),
        cmocka_unit_test(a_vocabulary_below_the_bases_is_no_task_vector),
        cmocka_unit_test(what_differs_in_shape_is_refused_or_left_out),
        cmocka_unit_test(a_stack_has_layers_of_its_sources_under_new_numbers),
        cmocka_unit_test(norm_and_head_come_from_all_of_the_last_slice_unless_asked_exactly),
        cmocka_unit_test(slices_that_do_not_fit_are_refused),
        cmocka_unit_test(an_unknown_architecture_is_stacked_by_its_names),
        cmocka_unit_test(stacks_of_a_larger_model_have_schedules_of_their_own),
        cmocka_unit_test(a_tensor_that_one_model_lacks_is_named_with_its_folder),
        cmocka_unit_test(the_number_of_models_is_the_methods),
        cmocka_unit_test(a_weight_that_no_level_gives_is_named_with_model_and_tensor),
        cmocka_unit_test(what_the_recipe_does_not_say_is_mergekits_default),
        cmocka_unit_test(what_mergekit_ignores_is_said_and_ignored_when_asked),
        cmocka_unit_test(a_model_that_is_no_folder_is_refused_in_one_sentence),
        cmocka_unit_test(a_revision_of_a_folder_is_a_warning),
        cmocka_unit_test(inputs_are_rounded_to_the_type_of_the_arithmetic),
        cmocka_unit_test(a_source_that_is_not_finite_is_refused_unless_allowed),
        cmocka_unit_test(a_printed_search_recipe_gives_the_same_weights),
        cmocka_unit_test(a_printed_route_gives_the_same_weights),
        cmocka_unit_test(a_route_that_mergekit_cannot_say_is_refused_with_the_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
