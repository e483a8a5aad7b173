#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "evaluator/merge/plan.h"
#include "tests/evaluator/kitchen.h"

static void assert_refused(const struct kitchen *kitchen, size_t n_models, enum err_code code,
                           const char *why)
{
    struct plan plan = {0};
    struct err err = {0};

    assert_int_equal(plan_make(&plan, &kitchen->recipe, kitchen->named, n_models, &err), code);
    if (strstr(err.text, why) == NULL) {
        fail_msg("'%s' does not say '%s'", err.text, why);
    }
    assert_null(plan.tensors);
}

static void lists_every_tensor_by_name_with_its_inputs(void **state)
{
    struct kitchen kitchen;
    struct plan plan = {0};

    (void)state;
    kitchen_open(&kitchen, kitchen_floats);
    kitchen_recipe(&kitchen, "ties", RECIPE_BFLOAT16);
    assert_int_equal(plan_make(&plan, &kitchen.recipe, kitchen.named, KITCHEN_MODELS, NULL), 0);
    assert_int_equal(plan.n_tensors, checkpoint_count(kitchen.models[0]));
    assert_ptr_equal(plan.donor, kitchen.models[0]);
    assert_int_equal(plan.tensors[0].dtype, DTYPE_BF16);
    size_t n_elements = 0;
    for (size_t i = 0; i < plan.n_tensors; i++) {
        const struct plan_tensor *tensor = &plan.tensors[i];

        assert_true(i == 0 || strcmp(plan.tensors[i - 1].name, tensor->name) < 0);
        assert_ptr_equal(tensor->base, checkpoint_find(kitchen.models[0], tensor->name));
        assert_ptr_equal(tensor->sources[1], checkpoint_find(kitchen.models[2], tensor->name));
        assert_ptr_equal(tensor->source_values, kitchen.recipe.groups[0].source_values);
        n_elements += tensor->n;
    }
    assert_int_equal(plan.n_elements, n_elements);
    assert_true(plan_memory(&plan) > 5 * 65536);
    plan_release(&plan);
    kitchen_close(&kitchen);
}

static void gives_each_tensor_the_group_of_its_layer_and_component(void **state)
{
    struct kitchen kitchen;
    struct plan plan = {0};

    (void)state;
    kitchen_open(&kitchen, kitchen_floats);
    kitchen_recipe(&kitchen, "ties", RECIPE_BFLOAT16);
    recipe_clear_groups(&kitchen.recipe);
    recipe_add_group(&kitchen.recipe, "attention", 0, 1);
    recipe_add_group(&kitchen.recipe, "all", 0, 1);
    recipe_add_group(&kitchen.recipe, "all", 1, 2);
    assert_int_equal(plan_make(&plan, &kitchen.recipe, kitchen.named, KITCHEN_MODELS, NULL), 0);
    for (size_t i = 0; i < plan.n_tensors; i++) {
        const struct plan_tensor *tensor = &plan.tensors[i];
        bool is_late = strstr(tensor->name, "layers.1.") != NULL || tensor->role == TENSOR_HEAD ||
                       tensor->role == TENSOR_FINAL_NORM;
        size_t want = is_late ? 2 : strstr(tensor->name, "self_attn") != NULL ? 0 : 1;

        assert_ptr_equal(tensor->source_values, kitchen.recipe.groups[want].source_values);
    }
    plan_release(&plan);
    kitchen_close(&kitchen);
}

static void lets_the_embedding_stand_in_for_a_tied_head(void **state)
{
    const struct tiny_model models[KITCHEN_MODELS] = {
        {.seed = 1, .tied = 1}, {.seed = 2}, {.seed = 3}};
    struct kitchen kitchen;
    struct plan plan = {0};

    (void)state;
    kitchen_open(&kitchen, models);
    kitchen_recipe(&kitchen, "ties", RECIPE_BFLOAT16);
    assert_int_equal(plan_make(&plan, &kitchen.recipe, kitchen.named, KITCHEN_MODELS, NULL), 0);
    assert_string_equal(plan.tensors[0].name, "lm_head.weight");
    assert_string_equal(plan.tensors[0].base->name, "model.embed_tokens.weight");
    assert_string_equal(plan.tensors[0].sources[0]->name, "lm_head.weight");
    assert_false(plan.config.tied);
    plan_release(&plan);
    kitchen_close(&kitchen);
}

static void writes_no_head_when_all_are_tied(void **state)
{
    const struct tiny_model models[KITCHEN_MODELS] = {
        {.seed = 1, .tied = 1}, {.seed = 2, .tied = 1}, {.seed = 3, .tied = 1}};
    struct kitchen kitchen;
    struct plan plan = {0};

    (void)state;
    kitchen_open(&kitchen, models);
    kitchen_recipe(&kitchen, "ties", RECIPE_BFLOAT16);
    assert_int_equal(plan_make(&plan, &kitchen.recipe, kitchen.named, KITCHEN_MODELS, NULL), 0);
    assert_string_equal(plan.tensors[0].name, "model.embed_tokens.weight");
    assert_true(plan.config.tied);
    plan_release(&plan);
    kitchen_close(&kitchen);
}

static void refuses_what_it_cannot_merge(void **state)
{
    const struct tiny_model wide[KITCHEN_MODELS] = {
        {.seed = 1}, {.seed = 2}, {.seed = 3, .mlp_width = 64}};
    struct kitchen kitchen;

    (void)state;
    kitchen_open(&kitchen, kitchen_floats);
    kitchen_recipe(&kitchen, "ties", RECIPE_BFLOAT16);
    assert_refused(&kitchen, 2, ERR_MISSING, "is not among the models");
    kitchen_close(&kitchen);
    kitchen_open(&kitchen, kitchen_floats);
    kitchen_recipe(&kitchen, "ties", RECIPE_BFLOAT16);
    kitchen.recipe.n_layers++;
    assert_refused(&kitchen, KITCHEN_MODELS, ERR_CONFLICT, "it has 2 layers, the recipe is for 3");
    kitchen_close(&kitchen);
    kitchen_open(&kitchen, wide);
    kitchen_recipe(&kitchen, "ties", RECIPE_BFLOAT16);
    assert_refused(&kitchen, KITCHEN_MODELS, ERR_CONFLICT,
                   "model.layers.0.mlp.down_proj.weight: its shape");
    kitchen_close(&kitchen);
}

static void refuses_a_source_that_changed_on_disk(void **state)
{
    struct kitchen kitchen;

    (void)state;
    kitchen_open(&kitchen, kitchen_floats);
    kitchen_recipe(&kitchen, "ties", RECIPE_BFLOAT16);
    free(tiny_model_write(kitchen.folder, "c", &kitchen_floats[1]));
    char *from = mem_printf("%s/c/model.safetensors", kitchen.folder);
    char *to = mem_printf("%s/b/model.safetensors", kitchen.folder);
    assert_int_equal(rename(from, to), 0);
    assert_refused(&kitchen, KITCHEN_MODELS, ERR_CONFLICT, "b/model.safetensors: changed since");
    free(from);
    free(to);
    kitchen_close(&kitchen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_every_tensor_by_name_with_its_inputs),
        cmocka_unit_test(gives_each_tensor_the_group_of_its_layer_and_component),
        cmocka_unit_test(lets_the_embedding_stand_in_for_a_tied_head),
        cmocka_unit_test(writes_no_head_when_all_are_tied),
        cmocka_unit_test(refuses_what_it_cannot_merge),
        cmocka_unit_test(refuses_a_source_that_changed_on_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
