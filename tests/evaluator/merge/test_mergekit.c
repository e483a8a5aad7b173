/* What is written, read the way mergekit reads it, gives every tensor the recipe's value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "evaluator/merge/mergekit.h"
#include "evaluator/model/tensors.h"
#include "study/yaml.h"

#define LAYERS 12
#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"

static const char *const names[] = {"org/a", "C:\\models \"b\""};

static void start(struct recipe *recipe, const char *method_name)
{
    static const char *const sources[] = {HEX "1", HEX "2"};
    const struct method *method;

    assert_int_equal(method_find(&method, method_name, NULL), 0);
    recipe_init(recipe, method, RECIPE_BFLOAT16, 7, LAYERS, sources, 2,
                method->needs_base ? HEX "0" : NULL);
}

/* Values that tell groups, sources and parameters apart. */
static void fill(struct recipe *recipe)
{
    size_t n_source = method_count(recipe->method, METHOD_SOURCE);

    for (size_t g = 0; g < recipe->n_groups; g++) {
        for (size_t v = 0; v < recipe->n_sources * n_source; v++) {
            recipe->groups[g].source_values[v] = 1.0 / (double)(g + 2 * v + 3);
        }
        for (size_t v = 0; v < method_count(recipe->method, METHOD_WHOLE); v++) {
            recipe->groups[g].whole_values[v] = (double)((g + v) % 2);
        }
    }
}

/* A setting for a tensor: a scalar, or the first condition whose filter occurs in the name. */
static double resolve(const json_t *setting, const char *tensor)
{
    size_t i;
    json_t *condition;

    json_array_foreach((json_t *)setting, i, condition)
    {
        const char *filter = json_string_value(json_object_get(condition, "filter"));

        if (filter == NULL || strstr(tensor, filter) != NULL) {
            setting = json_object_get(condition, "value");
            break;
        }
    }
    return json_is_boolean(setting) ? (double)json_is_true(setting) : json_number_value(setting);
}

static json_t *parse(const struct recipe *recipe)
{
    struct text text = {0};
    struct err err = {0};
    json_t *doc = NULL;

    mergekit_print(&text, recipe, recipe->base[0] != '\0' ? "org/base" : NULL, names);
    if (yaml_parse(&doc, text_get(&text), text.size, &err) != 0) {
        fail_msg("%s in %s", err.text, text_get(&text));
    }
    text_release(&text);
    return doc;
}

/* For the tensors of one family. */
static void assert_same_values_in(const struct recipe *recipe, struct config config)
{
    const struct method *method = recipe->method;
    size_t n_source = method_count(method, METHOD_SOURCE);
    json_t *doc = parse(recipe);

    for (size_t i = 0; i < tensors_count(&config); i++) {
        struct tensor_place place;

        tensors_at(&config, i, &place);
        const struct recipe_group *group =
            recipe_group_of(recipe, place.name, (enum recipe_component)place.part, place.depth);
        for (size_t k = 0; k < recipe->n_sources * n_source; k++) {
            const json_t *model = json_array_get(json_object_get(doc, "models"), k / n_source);
            const json_t *parameters = json_object_get(model, "parameters");
            const char *name = method_at(method, METHOD_SOURCE, k % n_source)->name;

            assert_true(resolve(json_object_get(parameters, name), place.name) ==
                        group->source_values[k]);
        }
        for (size_t k = 0; k < method_count(method, METHOD_WHOLE); k++) {
            const json_t *parameters = json_object_get(doc, "parameters");
            const char *name = method_at(method, METHOD_WHOLE, k)->name;

            assert_true(resolve(json_object_get(parameters, name), place.name) ==
                        group->whole_values[k]);
        }
    }
    json_decref(doc);
}

static void assert_same_values(const struct recipe *recipe)
{
    assert_same_values_in(recipe, (struct config){.family = CONFIG_QWEN2,
                                                  .n_layers = LAYERS,
                                                  .qkv_bias = true,
                                                  .mlp_bias = true});
    assert_same_values_in(recipe, (struct config){.family = CONFIG_GEMMA3,
                                                  .n_layers = LAYERS,
                                                  .qk_norm = true,
                                                  .sandwich = true,
                                                  .tied = true});
    assert_same_values_in(
        recipe, (struct config){.family = CONFIG_PHI3, .n_layers = LAYERS, .fused = true});
}

static void writes_one_value_when_there_is_one(void **state)
{
    struct recipe recipe = {0};
    struct text text = {0};

    (void)state;
    start(&recipe, "task_arithmetic");
    mergekit_print(&text, &recipe, "org/base", names);
    assert_string_equal(text_get(&text), "merge_method: task_arithmetic\n"
                                         "base_model: \"org/base\"\n"
                                         "models:\n"
                                         "  - model: \"org/a\"\n"
                                         "    parameters:\n"
                                         "      weight: 0.5\n"
                                         "  - model: \"C:\\\\models \\\"b\\\"\"\n"
                                         "    parameters:\n"
                                         "      weight: 0.5\n"
                                         "parameters:\n"
                                         "  normalize: false\n"
                                         "  lambda: 1.0\n"
                                         "dtype: float32\n"
                                         "out_dtype: bfloat16\n");
    text_release(&text);
    recipe_release(&recipe);
}

static void selects_by_layer(void **state)
{
    struct recipe recipe = {0};

    (void)state;
    start(&recipe, "ties");
    recipe_clear_groups(&recipe);
    recipe_add_group(&recipe, "all", 0, 1);
    recipe_add_group(&recipe, "all", 1, 10);
    recipe_add_group(&recipe, "all", 10, LAYERS);
    fill(&recipe);
    assert_same_values(&recipe);
    recipe_release(&recipe);
}

static void selects_by_component_and_filter(void **state)
{
    static const char *const components[] = {"filter:k_proj.bias", "norms", "attention", "head",
                                             "embeddings",         "mlp"};
    struct recipe recipe = {0};

    (void)state;
    start(&recipe, "ties");
    recipe_clear_groups(&recipe);
    for (size_t i = 0; i < 6; i++) {
        recipe_add_group(&recipe, components[i], 0, LAYERS);
    }
    recipe_add_group(&recipe, "rest", 0, LAYERS);
    fill(&recipe);
    assert_same_values(&recipe);
    recipe_release(&recipe);
}

static void selects_by_both(void **state)
{
    struct recipe recipe = {0};

    (void)state;
    start(&recipe, "linear");
    recipe_clear_groups(&recipe);
    recipe_add_group(&recipe, "norms", 0, 4);
    recipe_add_group(&recipe, "all", 0, 4);
    recipe_add_group(&recipe, "mlp", 4, LAYERS);
    recipe_add_group(&recipe, "rest", 4, LAYERS);
    fill(&recipe);
    assert_same_values(&recipe);
    recipe_release(&recipe);
}

static char *printed(const struct recipe *recipe)
{
    struct text text = {0};

    mergekit_print(&text, recipe, recipe->base[0] != '\0' ? "org/base" : NULL, names);
    return text_take(&text);
}

static void swapped_layers_are_weights_by_layer(void **state)
{
    struct recipe recipe = {0};

    (void)state;
    start(&recipe, "layer_swap");
    recipe.groups[0].whole_values[0] = 2.5 / LAYERS;
    recipe.groups[0].whole_values[1] = 4.0 / LAYERS;
    json_t *doc = parse(&recipe);
    const json_t *second = json_array_get(json_object_get(doc, "models"), 1);
    const json_t *weight = json_object_get(json_object_get(second, "parameters"), "weight");

    assert_string_equal(json_string_value(json_object_get(doc, "merge_method")), "linear");
    assert_true(resolve(weight, "model.embed_tokens.weight") == 0.0);
    assert_true(resolve(weight, "model.layers.1.mlp.up_proj.weight") == 0.0);
    assert_true(resolve(weight, "model.layers.2.mlp.up_proj.weight") == 0.5);
    assert_true(resolve(weight, "model.layers.7.mlp.up_proj.weight") == 1.0);
    assert_true(resolve(weight, "model.layers.8.mlp.up_proj.weight") == 0.0);
    assert_true(resolve(weight, "lm_head.weight") == 0.0);
    json_decref(doc);
    recipe_release(&recipe);
}

static void parameters_of_ours_are_written_where_they_matter(void **state)
{
    struct recipe recipe = {0};

    (void)state;
    start(&recipe, "karcher");
    char *text = printed(&recipe);
    assert_null(strstr(text, "weight"));
    assert_non_null(strstr(text, "  max_iter: 10\n")); /* not 10.0 */
    free(text);
    recipe.groups[0].source_values[0] = 0.5;
    text = printed(&recipe);
    assert_non_null(strstr(text,
                           "      # not in mergekit 0.1.4, which ignores it and gives another "
                           "model:\n      weight: 0.5\n"));
    free(text);
    recipe_release(&recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_one_value_when_there_is_one),
        cmocka_unit_test(selects_by_layer),
        cmocka_unit_test(selects_by_component_and_filter),
        cmocka_unit_test(selects_by_both),
        cmocka_unit_test(swapped_layers_are_weights_by_layer),
        cmocka_unit_test(parameters_of_ours_are_written_where_they_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
