#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "evaluator/merge/plan.h"
#include "tests/evaluator/tiny_model.h"
#include "tests/support/support.h"

#define MODELS 3

struct kitchen {
    char *folder;
    struct checkpoint *models[MODELS]; /* base, a, b */
    char digests[MODELS][DIGEST_HEX];
    struct plan_model named[MODELS];
    struct recipe recipe;
};

static void open_kitchen(struct kitchen *kitchen, const struct tiny_model models[MODELS],
                         uint32_t n_layers)
{
    static const char *const names[] = {"base", "a", "b"};
    const struct method *method;

    *kitchen = (struct kitchen){.folder = support_temp_dir()};
    for (size_t i = 0; i < MODELS; i++) {
        char *path = tiny_model_write(kitchen->folder, names[i], &models[i]);

        assert_int_equal(checkpoint_open(&kitchen->models[i], path, NULL), 0);
        assert_int_equal(checkpoint_digest(kitchen->models[i], kitchen->digests[i], NULL), 0);
        kitchen->named[i] = (struct plan_model){kitchen->digests[i], kitchen->models[i]};
        free(path);
    }
    const char *const sources[] = {kitchen->digests[1], kitchen->digests[2]};
    assert_int_equal(method_find(&method, "ties", NULL), 0);
    recipe_init(&kitchen->recipe, method, RECIPE_BFLOAT16, 7, n_layers, sources, 2,
                kitchen->digests[0]);
}

static void close_kitchen(struct kitchen *kitchen)
{
    recipe_release(&kitchen->recipe);
    for (size_t i = 0; i < MODELS; i++) {
        checkpoint_close(kitchen->models[i]);
    }
    support_remove_dir(kitchen->folder);
}

static const struct tiny_model three[MODELS] = {{.seed = 1}, {.seed = 2}, {.seed = 3}};

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
    open_kitchen(&kitchen, three, TINY_LAYERS);
    assert_int_equal(plan_make(&plan, &kitchen.recipe, kitchen.named, MODELS, NULL), 0);
    assert_int_equal(plan.n_tensors, checkpoint_count(kitchen.models[0]));
    assert_ptr_equal(plan.donor, kitchen.models[0]);
    assert_int_equal(plan.dtype, DTYPE_BF16);
    size_t n_elements = 0;
    for (size_t i = 0; i < plan.n_tensors; i++) {
        const struct plan_tensor *tensor = &plan.tensors[i];

        assert_true(i == 0 || strcmp(plan.tensors[i - 1].name, tensor->name) < 0);
        assert_ptr_equal(tensor->base, checkpoint_find(kitchen.models[0], tensor->name));
        assert_ptr_equal(tensor->sources[1], checkpoint_find(kitchen.models[2], tensor->name));
        assert_ptr_equal(tensor->group, &kitchen.recipe.groups[0]);
        n_elements += tensor->n;
    }
    assert_int_equal(plan.n_elements, n_elements);
    assert_true(plan_memory(&plan) > 5 * 65536);
    plan_release(&plan);
    close_kitchen(&kitchen);
}

static void gives_each_tensor_the_group_of_its_layer_and_component(void **state)
{
    struct kitchen kitchen;
    struct plan plan = {0};

    (void)state;
    open_kitchen(&kitchen, three, TINY_LAYERS);
    recipe_clear_groups(&kitchen.recipe);
    recipe_add_group(&kitchen.recipe, "attention", 0, 1);
    recipe_add_group(&kitchen.recipe, "all", 0, 1);
    recipe_add_group(&kitchen.recipe, "all", 1, 2);
    assert_int_equal(plan_make(&plan, &kitchen.recipe, kitchen.named, MODELS, NULL), 0);
    for (size_t i = 0; i < plan.n_tensors; i++) {
        const struct plan_tensor *tensor = &plan.tensors[i];
        bool is_late = strstr(tensor->name, "layers.1.") != NULL || tensor->role == TENSOR_HEAD ||
                       tensor->role == TENSOR_FINAL_NORM;
        size_t want = is_late ? 2 : strstr(tensor->name, "self_attn") != NULL ? 0 : 1;

        assert_ptr_equal(tensor->group, &kitchen.recipe.groups[want]);
    }
    plan_release(&plan);
    close_kitchen(&kitchen);
}

static void lets_the_embedding_stand_in_for_a_tied_head(void **state)
{
    const struct tiny_model models[MODELS] = {{.seed = 1, .tied = 1}, {.seed = 2}, {.seed = 3}};
    struct kitchen kitchen;
    struct plan plan = {0};

    (void)state;
    open_kitchen(&kitchen, models, TINY_LAYERS);
    assert_int_equal(plan_make(&plan, &kitchen.recipe, kitchen.named, MODELS, NULL), 0);
    assert_string_equal(plan.tensors[0].name, "lm_head.weight");
    assert_string_equal(plan.tensors[0].base->name, "model.embed_tokens.weight");
    assert_string_equal(plan.tensors[0].sources[0]->name, "lm_head.weight");
    assert_false(plan.config.tied);
    plan_release(&plan);
    close_kitchen(&kitchen);
}

static void writes_no_head_when_all_are_tied(void **state)
{
    const struct tiny_model models[MODELS] = {
        {.seed = 1, .tied = 1}, {.seed = 2, .tied = 1}, {.seed = 3, .tied = 1}};
    struct kitchen kitchen;
    struct plan plan = {0};

    (void)state;
    open_kitchen(&kitchen, models, TINY_LAYERS);
    assert_int_equal(plan_make(&plan, &kitchen.recipe, kitchen.named, MODELS, NULL), 0);
    assert_string_equal(plan.tensors[0].name, "model.embed_tokens.weight");
    assert_true(plan.config.tied);
    plan_release(&plan);
    close_kitchen(&kitchen);
}

static void refuses_what_it_cannot_merge(void **state)
{
    const struct tiny_model wide[MODELS] = {{.seed = 1}, {.seed = 2}, {.seed = 3, .mlp_width = 64}};
    struct kitchen kitchen;

    (void)state;
    open_kitchen(&kitchen, three, TINY_LAYERS);
    assert_refused(&kitchen, 2, ERR_MISSING, "is not among the models");
    close_kitchen(&kitchen);
    open_kitchen(&kitchen, three, TINY_LAYERS + 1);
    assert_refused(&kitchen, MODELS, ERR_CONFLICT, "it has 2 layers, the recipe is for 3");
    close_kitchen(&kitchen);
    open_kitchen(&kitchen, wide, TINY_LAYERS);
    assert_refused(&kitchen, MODELS, ERR_CONFLICT,
                   "model.layers.0.mlp.down_proj.weight: its shape");
    close_kitchen(&kitchen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_every_tensor_by_name_with_its_inputs),
        cmocka_unit_test(gives_each_tensor_the_group_of_its_layer_and_component),
        cmocka_unit_test(lets_the_embedding_stand_in_for_a_tied_head),
        cmocka_unit_test(writes_no_head_when_all_are_tied),
        cmocka_unit_test(refuses_what_it_cannot_merge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
