#include "evaluator/merge/plan_route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "evaluator/merge/blend.h"
#include "evaluator/merge/plan_digest.h"
#include "tests/evaluator/kitchen.h"
#include "tests/support/support.h"

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

static int give_slot(void *context, const struct plan_tensor *tensor, float **out, struct err *err)
{
    (void)tensor;
    (void)err;
    *out = *(float **)context;
    return 0;
}

/* The values of a tensor by name; the caller frees. */
static float *values_of(const struct plan *plan, struct blend *blend, const char *name)
{
    const struct plan_tensor *tensor = tensor_of(plan, name);
    float *values = mem_array(tensor->n, sizeof(float));
    const struct blend_sink sink = {.place = give_slot, .context = &values};
    struct err err = {0};

    if (blend_one(blend, plan, tensor->index, &sink, NULL, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return values;
}

static void assert_same_values(const struct plan *plain, const struct plan *routed,
                               const char *name, const char *of_hop)
{
    struct blend *blend = blend_new(); /* one for both: what it knows of sources serves both */
    size_t bytes = tensor_of(plain, name)->n * sizeof(float);
    float *before = values_of(plain, blend, name);
    float *hop = values_of(routed, blend, of_hop);
    float *after = values_of(plain, blend, name);

    assert_memory_equal(hop, before, bytes);
    assert_memory_equal(after, before, bytes);
    free(before);
    free(hop);
    free(after);
    blend_free(blend);
}

/* Also of methods that draw by name, count over all tensors, or look where in the model they are.
 */
static void a_hop_through_the_merge_is_the_merges_own_layer(void **state)
{
    static const char *const methods[] = {"linear",  "ties",       "dare_linear", "ties_global",
                                          "della",   "layer_swap", "model_stock", "breadcrumbs",
                                          "nuslerp", "sce"};
    struct kitchen kitchen;

    (void)state;
    kitchen_open(&kitchen, kitchen_brains);
    for (size_t m = 0; m < sizeof(methods) / sizeof(methods[0]); m++) {
        struct plan routed;

        kitchen_plan(&kitchen, methods[m], RECIPE_BFLOAT16);
        recipe_add_hop(&kitchen.recipe, NULL, 1, 1);
        recipe_add_hop(&kitchen.recipe, kitchen.digests[0], 0, 1);
        recipe_add_hop(&kitchen.recipe, NULL, 1, 1);
        recipe_add_hop(&kitchen.recipe, NULL, 0, 1);
        assert_int_equal(plan_make(&routed, &kitchen.recipe, kitchen.named, KITCHEN_MODELS, NULL),
                         0);
        assert_same_values(&kitchen.plan, &routed, "model.layers.1.mlp.up_proj.weight",
                           "model.layers.0.mlp.up_proj.weight");
        assert_same_values(&kitchen.plan, &routed, "model.layers.1.mlp.up_proj.weight",
                           "model.layers.2.mlp.up_proj.weight");
        assert_same_values(&kitchen.plan, &routed, "model.layers.0.self_attn.o_proj.weight",
                           "model.layers.3.self_attn.o_proj.weight");
        assert_same_values(&kitchen.plan, &routed, "model.norm.weight", "model.norm.weight");
        assert_int_equal(plan_memory(&routed), plan_memory(&kitchen.plan));
        plan_release(&routed);
    }
    kitchen_close(&kitchen);
}

/* Layer 1 of 3 hops, in the plan of a route of these scales. */
static struct plan scaled(struct kitchen *kitchen, double second, double third)
{
    struct plan plan;

    kitchen_recipe(kitchen, "passthrough", RECIPE_FLOAT32);
    recipe_add_hop(&kitchen->recipe, NULL, 0, 1);
    recipe_add_hop(&kitchen->recipe, kitchen->digests[2], 1, second);
    recipe_add_hop(&kitchen->recipe, NULL, 1, third);
    assert_int_equal(plan_make(&plan, &kitchen->recipe, kitchen->named, KITCHEN_MODELS, NULL), 0);
    return plan;
}

static void scales_fold_into_the_output_projections_of_their_hop_and_later_ones(void **state)
{
    static const char *const stems[] = {"self_attn.o_proj", "mlp.down_proj", "self_attn.q_proj",
                                        "mlp.up_proj"};
    static const double want[3][2] = {{0, 0}, {1.0 / 3.0, 0}, {1.0 / 1.5, 0}};
    struct kitchen kitchen;
    char name[64];

    (void)state;
    kitchen_open(&kitchen, kitchen_floats);
    struct plan plan = scaled(&kitchen, 3.0, 0.5);
    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < 4; i++) {
            snprintf(name, sizeof(name), "model.layers.%zu.%s.weight", k, stems[i]);
            assert_true(tensor_of(&plan, name)->scale == (i < 2 ? want[k][0] : 0.0));
            assert_true(tensor_of(&plan, name)->scale_offset == 0.0);
        }
    }
    struct blend *blend = blend_new();
    float *values = values_of(&plan, blend, "model.layers.1.mlp.down_proj.weight");
    const struct checkpoint_tensor *from = checkpoint_role(kitchen.models[2], TENSOR_DOWN, 1);
    for (size_t i = 0; i < from->n_elements; i++) {
        float stored;

        memcpy(&stored, from->data + i * sizeof(float), sizeof(float));
        assert_true(values[i] == stored * (float)(1.0 / 3.0));
    }
    free(values);
    blend_free(blend);
    plan_release(&plan);
    kitchen_close(&kitchen);
}

/* Of every hop: the folded block, times what its scales leave of it. */
static void assert_unfolds(const struct plan *flat, const struct plan *folded, size_t k,
                           size_t place, double product)
{
    static const char *const stems[] = {"self_attn.o_proj", "mlp.down_proj", "self_attn.q_proj",
                                        "mlp.up_proj"};
    struct blend *blend = blend_new();

    for (size_t i = 0; i < 4; i++) {
        char names[2][64];
        float factor = i < 2 ? (float)(1.0 / product) : 1.0F;

        snprintf(names[0], sizeof(names[0]), "model.layers.%zu.%s.weight", k, stems[i]);
        snprintf(names[1], sizeof(names[1]), "model.layers.%zu.%s.weight", place, stems[i]);
        float *values = values_of(flat, blend, names[0]);
        float *block = values_of(folded, blend, names[1]);
        for (size_t j = 0; j < tensor_of(flat, names[0])->n; j++) {
            assert_true(values[j] == block[j] * factor);
        }
        free(values);
        free(block);
    }
    blend_free(blend);
}

static void a_folded_route_unfolds_to_the_flat_ones_tensors(void **state)
{
    const double scales[] = {1.0, 3.0, 0.5, 1.0, 1.25};
    double product = 1.0;
    size_t places[5];
    struct kitchen kitchen;
    struct plan folded;
    struct route route;

    (void)state;
    kitchen_open(&kitchen, kitchen_floats);
    kitchen_recipe(&kitchen, "linear", RECIPE_FLOAT32);
    for (size_t k = 0; k < 5; k++) {
        recipe_add_hop(&kitchen.recipe, k % 2 == 1 ? kitchen.digests[0] : NULL, k < 3, scales[k]);
    }
    assert_int_equal(plan_make(&kitchen.plan, &kitchen.recipe, kitchen.named, KITCHEN_MODELS, NULL),
                     0);
    route_fold(&route, places, &kitchen.recipe.route);
    route_release(&kitchen.recipe.route);
    kitchen.recipe.route = route;
    assert_int_equal(plan_make(&folded, &kitchen.recipe, kitchen.named, KITCHEN_MODELS, NULL), 0);
    assert_int_equal(folded.config.n_layers, 4);
    for (size_t k = 0; k < 5; k++) {
        product *= scales[k];
        assert_unfolds(&kitchen.plan, &folded, k, places[k], product);
    }
    plan_release(&folded);
    kitchen_close(&kitchen);
}

/* 3 in, 1/3 back. */
static void a_scale_that_is_undone_leaves_later_hops_as_they_are(void **state)
{
    struct kitchen kitchen;

    (void)state;
    kitchen_open(&kitchen, kitchen_floats);
    struct plan plan = scaled(&kitchen, 3.0, 1.0 / 3.0);

    assert_true(tensor_of(&plan, "model.layers.2.mlp.down_proj.weight")->scale == 0.0);
    plan_release(&plan);
    kitchen_close(&kitchen);
}

/* Digest after every hop, of routes that agree for two of three. */
static void routes_share_the_digests_of_the_hops_they_share(void **state)
{
    unsigned char tensors[2][64][DIGEST_SIZE];
    unsigned char prefixes[2][4][DIGEST_SIZE];
    struct kitchen kitchen;

    (void)state;
    kitchen_open(&kitchen, kitchen_floats);
    for (int i = 0; i < 2; i++) {
        struct plan plan = scaled(&kitchen, 2.0, i == 0 ? 1.0 : 0.5);

        assert_true(plan.n_tensors <= 64);
        plan_digest_tensors(&plan, tensors[i]);
        plan_digest_prefixes(&plan, tensors[i], prefixes[i]);
        plan_release(&plan);
    }
    assert_memory_equal(prefixes[0][2], prefixes[1][2], DIGEST_SIZE);
    assert_memory_not_equal(prefixes[0][3], prefixes[1][3], DIGEST_SIZE);
    kitchen_close(&kitchen);
}

static void refused(struct kitchen *kitchen, const char *said)
{
    struct plan plan;
    struct err err = {0};

    assert_true(plan_make(&plan, &kitchen->recipe, kitchen->named, KITCHEN_MODELS, &err) < 0);
    if (strstr(err.text, said) == NULL) {
        fail_msg("%s", err.text);
    }
}

static void what_cannot_be_a_route_is_refused_by_name(void **state)
{
    static const char stranger[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const struct tiny_model models[KITCHEN_MODELS] = {
        {.seed = 1, .vocab = 51}, {.seed = 2}, {.seed = 3, .mlp_width = 64}};
    struct kitchen kitchen;

    (void)state;
    kitchen_open(&kitchen, models);
    kitchen_recipe(&kitchen, "passthrough", RECIPE_FLOAT32);
    recipe_add_hop(&kitchen.recipe, kitchen.digests[2], 0, 1);
    refused(&kitchen, "/b: its intermediate_size is 64, in ");
    kitchen_recipe(&kitchen, "passthrough", RECIPE_FLOAT32);
    recipe_add_hop(&kitchen.recipe, kitchen.digests[0], 0, 1);
    refused(&kitchen, "/base: its vocab_size is 51, in ");
    kitchen_recipe(&kitchen, "passthrough", RECIPE_FLOAT32);
    recipe_add_hop(&kitchen.recipe, stranger, 0, 1);
    refused(&kitchen, "aaaaaaaaaaaaaaaa... is not among the models");
    kitchen_recipe(&kitchen, "passthrough", RECIPE_FLOAT32);
    recipe_add_hop(&kitchen.recipe, kitchen.digests[1], TINY_LAYERS, 1);
    refused(&kitchen, "route: hop 0: layer 2 of ");
    kitchen_recipe(&kitchen, "passthrough", RECIPE_FLOAT32);
    for (size_t k = 0; k < 100; k++) {
        recipe_add_hop(&kitchen.recipe, NULL, 0, k == 0 ? 1 : 4);
    }
    refused(&kitchen, "route: hop 64: scales so far multiply to ");
    kitchen_close(&kitchen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hop_through_the_merge_is_the_merges_own_layer),
        cmocka_unit_test(scales_fold_into_the_output_projections_of_their_hop_and_later_ones),
        cmocka_unit_test(a_scale_that_is_undone_leaves_later_hops_as_they_are),
        cmocka_unit_test(a_folded_route_unfolds_to_the_flat_ones_tensors),
        cmocka_unit_test(routes_share_the_digests_of_the_hops_they_share),
        cmocka_unit_test(what_cannot_be_a_route_is_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
