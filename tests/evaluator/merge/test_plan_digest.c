#include "evaluator/merge/plan_digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/evaluator/kitchen.h"

/* The digests of a plan. */
struct digests {
    unsigned char (*tensors)[DIGEST_SIZE];
    unsigned char (*prefixes)[DIGEST_SIZE];
};

static struct digests digests_of(const struct plan *plan)
{
    struct digests out = {mem_array(plan->n_tensors, DIGEST_SIZE),
                          mem_array((size_t)plan->config.n_layers + 1, DIGEST_SIZE)};

    plan_digest_tensors(plan, out.tensors);
    plan_digest_prefixes(plan, out.tensors, out.prefixes);
    return out;
}

static void digests_release(struct digests *digests)
{
    free(digests->tensors);
    free(digests->prefixes);
}

/* The deepest layer up to which two plans are the same; -1: not even before the first. */
static int agreement(const struct plan *a, const struct plan *b)
{
    struct digests x = digests_of(a);
    struct digests y = digests_of(b);
    int n =
        (int)(a->config.n_layers < b->config.n_layers ? a->config.n_layers : b->config.n_layers);
    int deepest = -1;

    for (int k = 0; k <= n; k++) {
        bool same = memcmp(x.prefixes[k], y.prefixes[k], DIGEST_SIZE) == 0;

        assert_true(!same || deepest == k - 1); /* never again after a difference */
        deepest = same ? k : deepest;
    }
    digests_release(&x);
    digests_release(&y);
    return deepest;
}

static const struct plan_tensor *tensor_of(const struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->n_tensors; i++) {
        if (strcmp(plan->tensors[i].name, name) == 0) {
            return &plan->tensors[i];
        }
    }
    fail_msg("no tensor %s", name);
    return NULL;
}

static bool same_tensors(const struct plan *plan, const char *a, const char *b)
{
    struct digests digests = digests_of(plan);
    bool same = memcmp(digests.tensors[tensor_of(plan, a) - plan->tensors],
                       digests.tensors[tensor_of(plan, b) - plan->tensors], DIGEST_SIZE) == 0;

    digests_release(&digests);
    return same;
}

/* A plan whose last layer, of two, has its own parameters; some differ as asked. */
static int agreement_with(const char *method, uint32_t layer, const char *component, double value)
{
    struct kitchen one;
    struct plan two = {0};

    kitchen_open(&one, kitchen_brains);
    kitchen_recipe(&one, method, RECIPE_BFLOAT16);
    recipe_clear_groups(&one.recipe);
    recipe_add_group(&one.recipe, component, layer, layer + 1);
    recipe_add_group(&one.recipe, "all", 0, TINY_LAYERS);
    assert_int_equal(plan_make(&one.plan, &one.recipe, one.named, KITCHEN_MODELS, NULL), 0);
    struct recipe other = {0};
    assert_int_equal(recipe_copy(&other, &one.recipe, NULL), 0);
    other.groups[0].source_values[0] = value;
    assert_int_equal(plan_make(&two, &other, one.named, KITCHEN_MODELS, NULL), 0);
    int deepest = agreement(&one.plan, &two);
    plan_release(&two);
    recipe_release(&other);
    kitchen_close(&one);
    return deepest;
}

static void plans_agree_up_to_the_first_layer_that_differs(void **state)
{
    (void)state;
    assert_int_equal(agreement_with("linear", 1, "mlp", 0.3), 1);
    assert_int_equal(agreement_with("linear", 0, "attention", 0.3), 0);
    assert_int_equal(agreement_with("linear", 0, "embeddings", 0.3), -1);
    assert_int_equal(agreement_with("linear", 1, "head", 0.3), TINY_LAYERS);
    assert_int_equal(agreement_with("ties", 1, "norms", 0.3), 1);
}

static void the_same_recipe_agrees_in_everything(void **state)
{
    struct kitchen kitchen;
    struct plan again = {0};

    (void)state;
    kitchen_open(&kitchen, kitchen_brains);
    kitchen_plan(&kitchen, "dare_ties", RECIPE_BFLOAT16);
    assert_int_equal(plan_make(&again, &kitchen.recipe, kitchen.named, KITCHEN_MODELS, NULL), 0);
    assert_int_equal(agreement(&kitchen.plan, &again), TINY_LAYERS);
    again.seed++;
    assert_int_equal(agreement(&kitchen.plan, &again), -1);
    again.seed--;
    again.tensors[0].dtype = DTYPE_F16; /* the head */
    assert_int_equal(agreement(&kitchen.plan, &again), TINY_LAYERS);
    plan_release(&again);
    kitchen_close(&kitchen);
}

static void a_layer_that_sees_less_is_another(void **state)
{
    struct kitchen kitchen;
    struct plan sliding;

    (void)state;
    kitchen_open(&kitchen, kitchen_brains);
    kitchen_plan(&kitchen, "linear", RECIPE_BFLOAT16);
    sliding = kitchen.plan;
    sliding.config.sliding[0] = 2;                                     /* the second */
    assert_int_equal(agreement(&kitchen.plan, &sliding), TINY_LAYERS); /* in a window of all */
    sliding.config.window = 8;
    assert_int_equal(agreement(&kitchen.plan, &sliding), -1);
    kitchen.plan.config.window = 8;
    assert_int_equal(agreement(&kitchen.plan, &sliding), 1);
    kitchen.plan.config.norm_eps *= 2.0;
    assert_int_equal(agreement(&kitchen.plan, &sliding), -1);
    kitchen_close(&kitchen);
}

static void how_many_layers_follow_does_not_matter(void **state)
{
    struct kitchen kitchen;
    struct plan shorter;

    (void)state;
    kitchen_open(&kitchen, kitchen_brains);
    kitchen_plan(&kitchen, "passthrough", RECIPE_BFLOAT16);
    shorter = kitchen.plan;
    shorter.config.n_layers = 1;
    assert_int_equal(agreement(&kitchen.plan, &shorter), 1);
    kitchen_close(&kitchen);
}

static void a_copy_is_the_same_wherever_it_goes_and_a_random_mask_is_not(void **state)
{
    const char *const first = "model.layers.0.mlp.up_proj.weight";
    const char *const second = "model.layers.1.mlp.up_proj.weight";
    const char *const methods[] = {"passthrough", "dare_linear"};

    (void)state;
    for (size_t m = 0; m < 2; m++) {
        struct kitchen kitchen;

        kitchen_open(&kitchen, kitchen_brains);
        kitchen_plan(&kitchen, methods[m], RECIPE_BFLOAT16);
        assert_false(same_tensors(&kitchen.plan, first, second));
        struct plan_tensor *copy =
            &kitchen.plan.tensors[tensor_of(&kitchen.plan, second) - kitchen.plan.tensors];
        const struct plan_tensor *from = tensor_of(&kitchen.plan, first);
        copy->base = from->base;
        memcpy(copy->sources, from->sources, from->n_sources * sizeof(from->sources[0]));
        assert_true(same_tensors(&kitchen.plan, first, second) == (m == 0));
        kitchen_close(&kitchen);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_agree_up_to_the_first_layer_that_differs),
        cmocka_unit_test(the_same_recipe_agrees_in_everything),
        cmocka_unit_test(a_layer_that_sees_less_is_another),
        cmocka_unit_test(how_many_layers_follow_does_not_matter),
        cmocka_unit_test(a_copy_is_the_same_wherever_it_goes_and_a_random_mask_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
