#include "search/space.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the headers it needs */
#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"

#define LAYERS 6

static const char *const digests[3] = {
    "1111111111111111111111111111111111111111111111111111111111111111",
    "2222222222222222222222222222222222222222222222222222222222222222",
    "3333333333333333333333333333333333333333333333333333333333333333"};

static char base[] = "base", adder[] = "adder", lister[] = "lister";
static struct study_model models[3] = {{base, base}, {adder, adder}, {lister, lister}};
static char attention[] = "attention", filter[] = "filter:down_proj", embeddings[] = "embeddings";
static char head[] = "head", mlp[] = "mlp", rest[] = "rest", all[] = "all";
static size_t sources[2] = {1, 2};

/* ties over a base and two sources, weight and density searched, normalize held at 0; layers and
 * components to be set. */
static struct study ties_study(void)
{
    struct study study = {.seed = 7, .n_models = 3, .models = models};
    const struct method *method = NULL;

    assert_int_equal(method_find(&method, "ties", NULL), 0);
    study.evaluator.dtype = RECIPE_BFLOAT16;
    study.merge = (struct study_merge){.method = method,
                                       .base = 0,
                                       .n_sources = 2,
                                       .sources = sources,
                                       .layers = STUDY_LAYERS_GROUPS,
                                       .n_layer_groups = 1,
                                       .n_search = 2,
                                       .n_fixed = 1};
    study.merge.search[0] =
        (struct study_range){method_parameter_find(method, "weight"), 0.0, 1.5, 1.0};
    study.merge.search[1] =
        (struct study_range){method_parameter_find(method, "density"), 0.1, 0.9, 0.5};
    study.merge.fixed[0] = (struct study_fixed){method_parameter_find(method, "normalize"), 0.0};
    return study;
}

static struct space *lay_out(const struct study *study)
{
    struct space *made = NULL;
    struct err err = {0};

    if (space_new(&made, study, LAYERS, digests, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return made;
}

static const char *name_at(const struct space *space, size_t i)
{
    return space_coordinates(space)[i].name;
}

static double source_value(const struct recipe *recipe, size_t group, size_t source,
                           const char *name)
{
    size_t n = method_count(recipe->method, METHOD_SOURCE);

    return recipe->groups[group]
        .source_values[source * n + method_index(recipe->method, METHOD_SOURCE, name)];
}

static double whole_value(const struct recipe *recipe, size_t group, const char *name)
{
    return recipe->groups[group].whole_values[method_index(recipe->method, METHOD_WHOLE, name)];
}

/* What decode made is a recipe that prints, parses, and encodes back to its point. */
static void assert_comes_back(const struct space *space, uint64_t seed)
{
    const size_t n = space_n(space);
    double *point = mem_array(n, sizeof *point), *again = mem_array(n, sizeof *again);
    struct recipe recipe = {0}, parsed = {0};
    struct text printed = {0};
    struct err err = {0};
    struct rng64 rng;

    rng64_seed(&rng, seed, 1);
    for (size_t i = 0; i < n; i++) {
        double draw = rng64_uniform(&rng);

        point[i] = draw < 0.1 ? 0.0 : draw > 0.9 ? 1.0 : draw;
    }
    space_decode(space, point, &recipe);
    recipe_print(&printed, &recipe);
    if (recipe_parse(&parsed, text_get(&printed), printed.size, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(space_encode(space, &parsed, again, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        assert_true(fabs(again[i] - point[i]) < 1e-12);
    }
    recipe_release(&recipe);
    recipe_release(&parsed);
    text_release(&printed);
    free(point);
    free(again);
}

static void one_group_has_a_coordinate_a_parameter_and_source(void **state)
{
    (void)state;
    struct study study = ties_study();
    struct space *space = lay_out(&study);

    assert_int_equal(space_n(space), 4);
    assert_string_equal(name_at(space, 0), "weight adder");
    assert_string_equal(name_at(space, 1), "weight lister");
    assert_string_equal(name_at(space, 2), "density adder");
    assert_string_equal(name_at(space, 3), "density lister");
    assert_true(fabs(space_start(space)[0] - 1.0 / 1.5) < 1e-15);
    assert_true(fabs(space_start(space)[2] - 0.5) < 1e-15);
    assert_true(space_lower(space)[3] == 0.0 && space_upper(space)[3] == 1.0);
    space_free(space);
}

static void the_start_decodes_to_the_studys_defaults(void **state)
{
    (void)state;
    struct study study = ties_study();
    struct space *space = lay_out(&study);
    struct recipe recipe = {0};

    space_decode(space, space_start(space), &recipe);
    assert_int_equal(recipe.n_groups, 1);
    assert_string_equal(recipe.groups[0].component, "all");
    assert_int_equal(recipe.groups[0].first, 0);
    assert_int_equal(recipe.groups[0].end, LAYERS);
    assert_int_equal(recipe.dtype, RECIPE_BFLOAT16);
    assert_int_equal(recipe.seed, 7);
    assert_string_equal(recipe.base, digests[0]);
    assert_string_equal(recipe.sources[1], digests[2]);
    assert_true(fabs(source_value(&recipe, 0, 1, "weight") - 1.0) < 1e-15);
    assert_true(fabs(source_value(&recipe, 0, 0, "density") - 0.5) < 1e-15);
    assert_true(whole_value(&recipe, 0, "normalize") == 0.0); /* held */
    assert_true(whole_value(&recipe, 0, "lambda") == 1.0);    /* the method's own default */
    recipe_release(&recipe);
    space_free(space);
}

static void walls_decode_to_the_bounds_exactly(void **state)
{
    (void)state;
    struct study study = ties_study();
    struct space *space = lay_out(&study);
    const double low[4] = {0, 0, 0, 0}, high[4] = {1, 1, 1, 1};
    struct recipe recipe = {0};

    space_decode(space, low, &recipe);
    assert_true(source_value(&recipe, 0, 0, "weight") == 0.0);
    assert_true(source_value(&recipe, 0, 0, "density") == 0.1);
    recipe_release(&recipe);
    space_decode(space, high, &recipe);
    assert_true(source_value(&recipe, 0, 0, "weight") == 1.5);
    assert_true(source_value(&recipe, 0, 0, "density") == 0.9);
    recipe_release(&recipe);
    space_free(space);
}

static void layer_groups_and_components_multiply(void **state)
{
    (void)state;
    char *components[] = {attention, filter, embeddings, head, rest};
    struct study study = ties_study();
    struct recipe recipe = {0};

    study.merge.n_layer_groups = 4;
    study.merge.n_components = 5;
    study.merge.components = components;
    struct space *space = lay_out(&study);
    double point[56];

    assert_int_equal(space_n(space), (4 + 4 + 1 + 1 + 4) * 4);
    assert_string_equal(name_at(space, 0), "weight adder layer 0 attention");
    assert_string_equal(name_at(space, 4), "weight adder layers 1-2 attention");
    assert_string_equal(name_at(space, 16 + 15), "density lister layers 4-5 filter:down_proj");
    assert_string_equal(name_at(space, 32), "weight adder embeddings");
    assert_string_equal(name_at(space, 39), "density lister head");
    for (size_t i = 0; i < 56; i++) {
        point[i] = (double)i / 56.0;
    }
    space_decode(space, point, &recipe);
    assert_int_equal(recipe.n_groups, 14);

    /* A tensor takes the first group that holds it. */
    const struct recipe_group *group =
        recipe_group_of(&recipe, "model.layers.2.mlp.down_proj.weight", RECIPE_MLP, 2);

    assert_string_equal(group->component, "filter:down_proj");
    assert_int_equal(group->first, 1);
    assert_int_equal(group->end, 3);
    assert_true(fabs(group->source_values[0] - 1.5 * 20.0 / 56.0) < 1e-15);
    group = recipe_group_of(&recipe, "lm_head.weight", RECIPE_HEAD, LAYERS - 1);
    assert_string_equal(group->component, "head");
    group = recipe_group_of(&recipe, "model.layers.5.input_layernorm.weight", RECIPE_NORM, 5);
    assert_string_equal(group->component, "rest");
    assert_int_equal(group->first, 4);
    recipe_release(&recipe);
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_comes_back(space, seed);
    }
    space_free(space);
}

static void each_layer_can_stand_alone(void **state)
{
    (void)state;
    struct study study = ties_study();

    study.merge.layers = STUDY_LAYERS_EACH;
    struct space *space = lay_out(&study);

    assert_int_equal(space_n(space), 24);
    assert_string_equal(name_at(space, 23), "density lister layer 5");
    assert_comes_back(space, 1);
    space_free(space);
}

static void knots_are_joined_by_straight_lines(void **state)
{
    (void)state;
    struct study study = ties_study();
    struct recipe recipe = {0};

    study.merge.layers = STUDY_LAYERS_SMOOTH;
    study.merge.n_layer_groups = 3;
    study.merge.n_search = 1;
    struct space *space = lay_out(&study);
    const double point[6] = {0.0, 1.0, 1.0,
                             1.0, 0.4, 1.0}; /* adder 0, 1.5, 0.6; lister 1.5 throughout */
    const double expected[LAYERS] = {0.0, 0.6, 1.2, 1.32, 0.96, 0.6};

    assert_int_equal(space_n(space), 6);
    assert_string_equal(name_at(space, 2), "weight adder at layer 2.5");
    space_decode(space, point, &recipe);
    assert_int_equal(recipe.n_groups, LAYERS);
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        assert_int_equal(recipe.groups[layer].first, layer);
        assert_int_equal(recipe.groups[layer].end, layer + 1);
        assert_true(fabs(source_value(&recipe, layer, 0, "weight") - expected[layer]) < 1e-14);
        assert_true(fabs(source_value(&recipe, layer, 1, "weight") - 1.5) < 1e-15);
    }
    recipe_release(&recipe);
    space_free(space);
}

static void knots_come_back_for_every_number_of_them(void **state)
{
    (void)state;
    struct study study = ties_study();
    char *components[] = {embeddings, mlp, all};

    study.merge.layers = STUDY_LAYERS_SMOOTH;
    study.merge.n_components = 3;
    study.merge.components = components;
    for (uint32_t knots = 1; knots <= LAYERS; knots++) {
        study.merge.n_layer_groups = knots;
        struct space *space = lay_out(&study);

        assert_int_equal(space_n(space), (1 + 2 * knots) * 4);
        assert_comes_back(space, knots);
        space_free(space);
    }
}

static void parameters_of_the_whole_group_are_coordinates_too(void **state)
{
    (void)state;
    struct study study = ties_study();
    struct recipe recipe = {0};

    study.merge.search[study.merge.n_search++] =
        (struct study_range){method_parameter_find(study.merge.method, "lambda"), 0.5, 2.0, 1.0};
    study.merge.n_layer_groups = 2;
    struct space *space = lay_out(&study);

    assert_int_equal(space_n(space), 10);
    assert_string_equal(name_at(space, 4), "lambda layers 0-2");
    assert_string_equal(name_at(space, 9), "lambda layers 3-5");
    space_decode(space, space_start(space), &recipe);
    assert_true(fabs(whole_value(&recipe, 1, "lambda") - 1.0) < 1e-15);
    recipe_release(&recipe);
    assert_comes_back(space, 3);
    space_free(space);
}

static void a_coarse_recipe_has_a_place_in_a_finer_space(void **state)
{
    (void)state;
    struct study coarse_study = ties_study(), fine_study = ties_study();

    fine_study.merge.layers = STUDY_LAYERS_EACH;
    struct space *coarse = lay_out(&coarse_study), *fine = lay_out(&fine_study);
    const double point[4] = {0.2, 0.4, 0.6, 0.8};
    double spread[24], gathered[4];
    struct recipe recipe = {0};

    space_decode(coarse, point, &recipe);
    assert_int_equal(space_encode(fine, &recipe, spread, NULL), 0);
    recipe_release(&recipe);
    for (size_t i = 0; i < 24; i++) {
        assert_true(fabs(spread[i] - point[i % 4]) < 1e-15);
    }
    spread[0] = 0.8; /* one layer of six moves by 0.6: the mean by 0.1 */
    space_decode(fine, spread, &recipe);
    assert_int_equal(space_encode(coarse, &recipe, gathered, NULL), 0);
    assert_true(fabs(gathered[0] - 0.3) < 1e-15);
    recipe_release(&recipe);
    space_free(coarse);
    space_free(fine);
}

static void joined_coordinates_move_together(void **state)
{
    (void)state;
    struct study study = ties_study(), whole_study = ties_study();

    study.merge.layers = STUDY_LAYERS_EACH;
    struct space *space = lay_out(&study), *whole = lay_out(&whole_study);
    size_t group[24];
    double point[6], back[6];
    struct recipe recipe = {0};

    for (size_t i = 0; i < 24; i++) { /* of each column; two of the fourth layer stay alone */
        group[i] = i == 12 || i == 15 ? SIZE_MAX : i % 4;
    }
    space_join(space, group, space_coordinates(whole));
    assert_int_equal(space_n(space), 6);
    assert_string_equal(name_at(space, 0), "weight adder layer 3");
    assert_string_equal(name_at(space, 1), "density lister layer 3");
    assert_string_equal(name_at(space, 2), "weight adder, others");
    assert_string_equal(name_at(space, 5), "density lister, others");
    for (size_t i = 0; i < 6; i++) {
        point[i] = 0.1 + 0.1 * (double)i;
    }
    space_decode(space, point, &recipe);
    assert_true(fabs(recipe.groups[3].source_values[0] - 1.5 * 0.1) < 1e-15);
    assert_true(fabs(recipe.groups[0].source_values[0] - 1.5 * 0.3) < 1e-15);
    assert_true(recipe.groups[5].source_values[0] == recipe.groups[0].source_values[0]);
    assert_int_equal(space_encode(space, &recipe, back, NULL), 0);
    for (size_t i = 0; i < 6; i++) {
        assert_true(fabs(back[i] - point[i]) < 1e-12);
    }
    recipe_release(&recipe);
    space_free(space);
    space_free(whole);
}

static void values_outside_the_box_move_to_its_wall(void **state)
{
    (void)state;
    struct study study = ties_study();
    struct space *space = lay_out(&study);
    struct recipe recipe = {0};
    double point[4];

    recipe_init(&recipe, study.merge.method, RECIPE_BFLOAT16, 7, LAYERS, digests + 1, 2,
                digests[0]);
    recipe.groups[0].source_values[0] = -3.0;
    assert_int_equal(space_encode(space, &recipe, point, NULL), 0);
    assert_true(point[0] == 0.0);
    recipe_release(&recipe);
    space_free(space);
}

static void recipes_of_other_ingredients_are_refused(void **state)
{
    (void)state;
    struct study study = ties_study();
    struct space *space = lay_out(&study);
    const struct method *linear = NULL;
    struct recipe recipe = {0};
    double point[4];

    assert_int_equal(method_find(&linear, "linear", NULL), 0);
    recipe_init(&recipe, linear, RECIPE_BFLOAT16, 7, LAYERS, digests + 1, 2, NULL);
    assert_int_equal(space_encode(space, &recipe, point, NULL), ERR_CONFLICT);
    recipe_release(&recipe);
    recipe_init(&recipe, study.merge.method, RECIPE_BFLOAT16, 7, LAYERS, digests, 2, digests[0]);
    assert_int_equal(space_encode(space, &recipe, point, NULL), ERR_CONFLICT);
    recipe_release(&recipe);
    recipe_init(&recipe, study.merge.method, RECIPE_BFLOAT16, 7, LAYERS + 1, digests + 1, 2,
                digests[0]);
    assert_int_equal(space_encode(space, &recipe, point, NULL), ERR_CONFLICT);
    recipe_release(&recipe);
    space_free(space);
}

static void more_groups_than_layers_are_refused(void **state)
{
    (void)state;
    struct study study = ties_study();
    struct space *space = NULL;
    struct err err = {0};

    study.merge.n_layer_groups = 7;
    assert_int_equal(space_new(&space, &study, LAYERS, digests, &err), ERR_LIMIT);
    assert_string_equal(err.text, "merge.layers: 7 groups, but the models have 6 layers");
    assert_null(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_group_has_a_coordinate_a_parameter_and_source),
        cmocka_unit_test(the_start_decodes_to_the_studys_defaults),
        cmocka_unit_test(walls_decode_to_the_bounds_exactly),
        cmocka_unit_test(layer_groups_and_components_multiply),
        cmocka_unit_test(each_layer_can_stand_alone),
        cmocka_unit_test(knots_are_joined_by_straight_lines),
        cmocka_unit_test(knots_come_back_for_every_number_of_them),
        cmocka_unit_test(parameters_of_the_whole_group_are_coordinates_too),
        cmocka_unit_test(a_coarse_recipe_has_a_place_in_a_finer_space),
        cmocka_unit_test(joined_coordinates_move_together),
        cmocka_unit_test(values_outside_the_box_move_to_its_wall),
        cmocka_unit_test(recipes_of_other_ingredients_are_refused),
        cmocka_unit_test(more_groups_than_layers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
