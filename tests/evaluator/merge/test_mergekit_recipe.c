/* mergekit's YAML: what it becomes, what is warned of, what is refused. */
#include "evaluator/merge/mergekit_recipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "study/yaml.h"
#include "tests/study/cases.h"

static int parse(struct mergekit_recipe *out, const char *yaml, struct err *err)
{
    json_t *doc = NULL;

    assert_int_equal(yaml_parse(&doc, yaml, strlen(yaml), err), 0);
    int rc = mergekit_recipe_parse(out, doc, err);
    json_decref(doc);
    return rc;
}

static struct mergekit_recipe good(const char *yaml)
{
    struct mergekit_recipe recipe = {0};
    struct err err = {0};

    if (parse(&recipe, yaml, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return recipe;
}

static void whole_models_are_one_slice_with_the_base_behind_them(void **state)
{
    struct mergekit_recipe recipe = good("merge_method: ties\nbase_model: base\n"
                                         "models: [{model: a}, {model: b@main+x@v2}]\n"
                                         "dtype: torch.float16\n");
    const struct mergekit_slice *slice = recipe.slices;

    (void)state;
    assert_true(recipe.whole);
    assert_int_equal(recipe.n_slices, 1);
    assert_int_equal(slice->n_sources, 3);
    assert_string_equal(recipe.models[slice->sources[2].model].name, "base");
    assert_int_equal(slice->base, recipe.base);
    const struct mergekit_model *b = &recipe.models[slice->sources[1].model];
    assert_string_equal(b->path, "b");
    assert_string_equal(b->revision, "main");
    assert_string_equal(b->adapter, "x");
    assert_string_equal(b->adapter_revision, "v2");
    assert_true(recipe.has_dtype && recipe.dtype == DTYPE_F16 && !recipe.has_out_dtype);
    assert_string_equal(text_get(&recipe.warnings), "");
    mergekit_recipe_release(&recipe);
}

static void a_listed_base_is_not_added_again(void **state)
{
    struct mergekit_recipe recipe =
        good("merge_method: linear\nbase_model: {model: {path: a, revision: null}}\n"
             "models: [{model: a}, {model: b}]\n");

    (void)state;
    assert_int_equal(recipe.slices->n_sources, 2);
    assert_int_equal(recipe.n_models, 2);
    mergekit_recipe_release(&recipe);
}

static void a_slice_may_have_a_base_of_its_own(void **state)
{
    struct mergekit_recipe recipe =
        good("merge_method: ties\nbase_model: a\nslices:\n"
             "  - sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [1, 3]}]\n"
             "  - sources: [{model: a, layer_range: [2, 2]}, {model: b, layer_range: [0, 0]}]\n"
             "    base_model: b\n");

    (void)state;
    assert_false(recipe.whole);
    assert_int_equal(recipe.slices[0].base, recipe.base);
    assert_string_equal(recipe.models[recipe.slices[1].base].name, "b");
    assert_int_equal(recipe.slices[0].sources[1].first, 1);
    assert_int_equal(recipe.slices[0].sources[1].end, 3);
    mergekit_recipe_release(&recipe);
}

static void a_source_is_heard_before_slice_module_and_recipe(void **state)
{
    struct mergekit_recipe recipe =
        good("merge_method: ties\nbase_model: a\nmodules:\n  default:\n    slices:\n"
             "      - sources:\n"
             "          - {model: a, layer_range: [0, 2]}\n"
             "          - {model: b, layer_range: [0, 2], parameters: {weight: "
             "[{filter: mlp, value: 1}]}}\n"
             "        parameters: {weight: [{filter: attn, value: 2}]}\n"
             "    parameters: {weight: [{filter: norm, value: 3}]}\n"
             "parameters: {weight: 4}\n");
    const char *const tensors[] = {"mlp", "attn", "norm", "head"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        double value = 0;

        assert_true(
            mergekit_recipe_value(&recipe, recipe.slices, 1, "weight", tensors[i], 0, &value));
        assert_true(value == (double)(i + 1));
    }
    double value = 0;
    assert_true(
        mergekit_recipe_value(&recipe, recipe.slices, MERGEKIT_NONE, "weight", "mlp", 0, &value));
    assert_true(value == 4); /* a parameter of the whole is not asked of a source */
    assert_false(mergekit_recipe_value(&recipe, recipe.slices, 1, "density", "mlp", 0, &value));
    mergekit_recipe_release(&recipe);
}

static void warns_of_what_nothing_reads(void **state)
{
    struct mergekit_recipe recipe =
        good("merge_method: ties\nbase_model: a\nmodles: 3\n"
             "models:\n"
             "  - model: b\n    parameter: {}\n"
             "    parameters: {wieght: 1, normalize: true, density: [{fliter: x, value: 1}]}\n"
             "parameters: {int8_mask: true, temperature: 3}\n");

    (void)state;
    assert_string_equal(
        text_get(&recipe.warnings),
        "modles: unknown key, ignored; did you mean modules?\n"
        "models[0].parameter: unknown key, ignored; did you mean parameters?\n"
        "models[0].parameters.wieght: ties has no such parameter, ignored; did you mean weight?\n"
        "models[0].parameters.normalize: normalize is one value for all models; inside a model's "
        "block nothing reads it\n"
        "models[0].parameters.density[0].fliter: unknown key, ignored; did you mean filter?\n"
        "parameters.temperature: ties has no such parameter, ignored\n");
    mergekit_recipe_release(&recipe);
}

static void prints_itself_without_paths(void **state)
{
    struct mergekit_recipe recipe =
        good("merge_method: ties\nbase_model: /home/me/base\n"
             "models: [{model: /home/me/a+/tmp/x, parameters: {weight: 1}}]\n"
             "tokenizer: {source: /home/me/base, tokens: {t: {source: {kind: model_token, "
             "model: /home/me/base, token: u}}}}\n");
    const char *const names[] = {"base", "a+x"};
    struct text text = {0};

    (void)state;
    mergekit_recipe_print(&text, &recipe, names);
    assert_null(strstr(text_get(&text), "/home"));
    assert_null(strstr(text_get(&text), "/tmp"));
    struct mergekit_recipe again = good(text_get(&text));
    assert_string_equal(again.models[again.base].name, "base");
    assert_string_equal(again.models[again.slices->sources[0].model].adapter, "x");
    mergekit_recipe_release(&again);
    mergekit_recipe_release(&recipe);
    text_release(&text);
}

static void names_its_file_when_refused(void **state)
{
    struct mergekit_recipe recipe = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(mergekit_recipe_load(&recipe,
                                          TESTS_DIR "/golden/models/cases/e01-models-and-slices/"
                                                    "config.yaml",
                                          &err),
                     ERR_FORMAT);
    assert_non_null(strstr(err.text, "config.yaml: models and slices are two forms"));
    assert_int_equal(mergekit_recipe_load(&recipe, "no/such.yaml", &err), ERR_MISSING);
}

static int read_doc(const json_t *doc, struct err *err)
{
    struct mergekit_recipe recipe = {0};
    int rc = mergekit_recipe_parse(&recipe, (json_t *)(uintptr_t)doc, err);

    mergekit_recipe_release(&recipe);
    return rc;
}

static void bad_recipes_are_told_what_is_wrong_and_where(void **state)
{
    (void)state;
    assert_in_range(cases_walk("mergekit.txt", read_doc), 30, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_models_are_one_slice_with_the_base_behind_them),
        cmocka_unit_test(a_listed_base_is_not_added_again),
        cmocka_unit_test(a_slice_may_have_a_base_of_its_own),
        cmocka_unit_test(a_source_is_heard_before_slice_module_and_recipe),
        cmocka_unit_test(warns_of_what_nothing_reads),
        cmocka_unit_test(prints_itself_without_paths),
        cmocka_unit_test(names_its_file_when_refused),
        cmocka_unit_test(bad_recipes_are_told_what_is_wrong_and_where),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
