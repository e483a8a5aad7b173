#include "search/route_space.h"

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

#define HOST "1111111111111111111111111111111111111111111111111111111111111111"
#define MATH "2222222222222222222222222222222222222222222222222222222222222222"
#define LANG "3333333333333333333333333333333333333333333333333333333333333333"

static const struct route_models three = {
    .frame = {.n_models = 3, .layers = {6, 6, 5}, .pinned = 1, .hops_max = 9},
    .names = {"base", "math", "lang"},
    .digests = {HOST, MATH, LANG}};

/* No merge: its space is what a study of routes alone has. */
static const struct study bare = {.seed = 7, .merge.base = SIZE_MAX};

static struct space *over_host(struct route_space *route)
{
    const struct method *passthrough = NULL;
    const char *const sources[] = {HOST};
    struct recipe host = {0};
    struct space *space = NULL;
    struct err err = {0};

    assert_int_equal(method_find(&passthrough, "passthrough", NULL), 0);
    recipe_init(&host, passthrough, RECIPE_BFLOAT16, 7, 6, sources, 1, NULL);
    if (space_new_route(&space, &bare, 6, NULL, route, &host, &err) != 0) {
        fail_msg("%s", err.text);
    }
    recipe_release(&host);
    return space;
}

static void assert_prints(const struct recipe *recipe, const char *expected)
{
    struct text text = {0};

    route_print(&text, &recipe->route);
    assert_string_equal(text_get(&text), expected);
    text_release(&text);
}

/* Recipes of random points are whole, and the point nearest to one makes it again. */
static void assert_comes_back(const struct space *space, int times)
{
    const size_t n = space_n(space);
    double *point = mem_array(2 * n, sizeof *point), *again = point + n;
    struct rng64 rng;

    rng64_seed(&rng, 3, 1);
    for (int i = 0; i < times; i++) {
        struct recipe recipe = {0}, parsed = {0}, same = {0};
        struct text text = {0}, other = {0};
        struct err err = {0};

        for (size_t j = 0; j < n; j++) {
            point[j] = rng64_uniform(&rng);
        }
        space_decode(space, point, &recipe);
        recipe_print(&text, &recipe);
        if (recipe_parse(&parsed, text_get(&text), text.size, &err) != 0 ||
            space_encode(space, &parsed, again, &err) != 0) {
            fail_msg("%s", err.text);
        }
        space_decode(space, again, &same);
        route_print(&text, &recipe.route);
        route_print(&other, &same.route);
        assert_int_equal(recipe.route.n_hops, same.route.n_hops);
        for (size_t k = 0; k < recipe.route.n_hops; k++) {
            const struct route_hop *a = &recipe.route.hops[k], *b = &same.route.hops[k];

            assert_true(a->model == b->model && a->layer == b->layer);
            assert_true(fabs(a->scale - b->scale) < 1e-9);
        }
        text_release(&text);
        text_release(&other);
        recipe_release(&recipe);
        recipe_release(&parsed);
        recipe_release(&same);
    }
    free(point);
}

static void every_point_of_a_map_is_an_edit_and_back(void **state)
{
    struct route_space *map = route_space_new_map(&three, 3);
    struct edit *edits = NULL;
    size_t n = route_space_list(map, &edits);
    struct space *space = over_host(map);

    (void)state;
    assert_true(n > 30);
    assert_int_equal(space_n(space), 4);
    for (size_t i = 0; i < n; i++) {
        double values[4];

        route_space_values(space_route(space), &edits[i], values);
        for (size_t j = 0; j < 4; j++) {
            values[j] = space_value(space, j, space_place(space, j, values[j]));
        }
        struct edit same = route_space_edit(space_route(space), values);
        assert_true(same.op == edits[i].op && same.start == edits[i].start &&
                    same.length == edits[i].length && same.source == edits[i].source);
    }
    free(edits);
    assert_comes_back(space, 200);
    space_free(space);
}

static void composed_edits_are_named_by_their_place(void **state)
{
    const struct edit edits[] = {
        {EDIT_SPLICE, 2, 2, 1}, {EDIT_SKIP, 4, 1, 0}, {EDIT_REPEAT, 1, 1, 0}};
    struct space *space = over_host(route_space_new_compose(&three, edits, 3, 2));
    const double point[] = {space_place(space, 0, 1.0), space_place(space, 1, 2.0)};
    const double nothing[] = {space_place(space, 0, 0.0), space_place(space, 1, 0.0)};
    struct recipe recipe = {0};

    (void)state;
    space_decode(space, point, &recipe);
    assert_prints(&recipe, "A0-1 B2-3 A5");
    assert_string_equal(recipe.route_models[0], MATH);
    recipe_release(&recipe);
    space_decode(space, nothing, &recipe);
    assert_int_equal(recipe.route.n_hops, 0);
    recipe_release(&recipe);
    space_decode(space, space_start(space), &recipe);
    assert_prints(&recipe, "A0-1 B2-3 A4-5");
    recipe_release(&recipe);
    assert_comes_back(space, 50);
    space_free(space);
}

static void gains_stand_at_the_seams_of_their_route(void **state)
{
    struct route route = {0};
    struct recipe recipe = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(route_parse(&route, "A0-1 B2-3 A4-5", &err), 0);
    struct space *space = over_host(route_space_new_gains(&three, &route));
    const double point[] = {space_place(space, 0, log(3.0)), space_place(space, 1, -log(4.0))};

    assert_int_equal(space_n(space), 2);
    assert_string_equal(space_coordinates(space)[0].name, "log gain before math 2, hop 2");
    space_decode(space, point, &recipe);
    assert_true(fabs(recipe.route.hops[2].scale - 3.0) < 1e-9);
    assert_true(fabs(recipe.route.hops[4].scale - 0.25) < 1e-9);
    assert_true(recipe.route.hops[3].scale == 1.0);
    assert_comes_back(space, 50);
    recipe.route.hops[3].layer = 4;
    double other[2];
    assert_int_equal(space_encode(space, &recipe, other, &err), ERR_CONFLICT);
    recipe_release(&recipe);
    route_release(&route);
    space_free(space);
}

static void indicators_start_at_the_hosts_own_route(void **state)
{
    struct space *space = over_host(route_space_new_indicators(&three, 2, STUDY_SCALES_SEAMS));
    const struct space_coordinate *first = space_coordinates(space), *others = first + 4;
    struct recipe recipe = {0};

    (void)state;
    assert_int_equal(space_n(space), 2 * 17 - 2 + 27);
    assert_string_equal(first->name, "base 1, repeat 1");
    assert_string_equal(others->name, "math 0, repeat 1");
    assert_true(first->start == 1.0 && first->deviation == 0.5);
    assert_true(fabs(others->start - 0.5) < 1e-5 && others->deviation == 1.0);
    assert_true(space_start(space)[0] == 0.75 && fabs(space_start(space)[4] - 0.5) < 1e-5);
    space_decode(space, space_start(space), &recipe);
    assert_int_equal(recipe.route.n_hops, 0);
    recipe_release(&recipe);
    space_free(space);
    space = over_host(route_space_new_indicators(&three, 1, STUDY_SCALES_NONE));
    assert_comes_back(space, 100);
    space_free(space);
}

static void a_swap_is_a_linear_merge_by_layers(void **state)
{
    struct route_models equal = three;

    (void)state;
    equal.frame.layers[2] = 6;
    struct space *space = over_host(route_space_new_swap(&equal));
    const double point[] = {space_place(space, 0, 2.0), space_place(space, 1, 1.0),
                            space_place(space, 2, 0.0), space_place(space, 3, 2.0)};
    struct recipe recipe = {0};
    double again[4];

    space_decode(space, point, &recipe);
    assert_string_equal(recipe.method->name, "linear");
    assert_string_equal(recipe.sources[1], LANG);
    assert_int_equal(recipe.n_groups, 3);
    assert_int_equal(recipe.groups[0].end, 2);
    assert_int_equal(space_encode(space, &recipe, again, NULL), 0);
    assert_memory_equal(point, again, sizeof point);
    recipe_release(&recipe);
    space_free(space);
}

static void edits_at_once_have_scales_a_pair_of_models(void **state)
{
    struct space *space = over_host(route_space_new_edits(&three, 2, 3, true));
    struct recipe recipe = {0};

    (void)state;
    assert_int_equal(space_n(space), 2 * 4 + 27);
    assert_string_equal(space_coordinates(space)[0].name, "edit 1 op");
    assert_string_equal(space_coordinates(space)[8].name, "log gain base to base, first third");
    space_decode(space, space_start(space), &recipe);
    assert_int_equal(recipe.route.n_hops, 0);
    recipe_release(&recipe);
    space_free(space);
}

static void models_are_checked_against_the_study(void **state)
{
    static char a[] = "a", b[] = "b";
    struct study_model models[] = {{a, a}, {b, b}};
    size_t sources[] = {1};
    struct study study = {.n_models = 2, .models = models, .merge.base = SIZE_MAX};
    const char *const digests[] = {HOST, MATH};
    struct route_models made;
    struct err err = {0};

    (void)state;
    study.route =
        (struct study_route){.mode = STUDY_ROUTE_EDITS, .n_sources = 1, .sources = sources};
    const uint32_t deep[] = {12, 9}, shallow[] = {2, 9}, five[] = {5, 5};

    assert_int_equal(route_models_init(&made, &study, deep, digests, &err), 0);
    assert_int_equal(made.frame.pinned, 2);
    assert_int_equal(made.frame.hops_max, 18);
    assert_int_equal(route_models_init(&made, &study, five, digests, &err), 0);
    assert_int_equal(made.frame.pinned, 1);
    assert_int_equal(route_models_init(&made, &study, shallow, digests, &err), ERR_LIMIT);
    assert_string_equal(err.text, "route.host: a has 2 layers; at least 3 are needed");
    study.route.pinned = 5;
    assert_int_equal(route_models_init(&made, &study, deep, digests, &err), ERR_LIMIT);
    assert_string_equal(err.text, "route.pinned: 5 of 12 blocks at either end, at most a third");
    study.route.pinned = 0;
    study.route.max_hops = 11;
    assert_int_equal(route_models_init(&made, &study, deep, digests, &err), ERR_LIMIT);
    assert_string_equal(err.text, "route.max_hops: 11 are fewer than the host's 12 blocks");
    study.route.mode = STUDY_ROUTE_SWAP;
    study.route.max_hops = 0;
    assert_int_equal(route_models_init(&made, &study, deep, digests, &err), ERR_LIMIT);
    assert_string_equal(err.text, "route.sources: b has 9 layers, not 12; swap needs as many");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_point_of_a_map_is_an_edit_and_back),
        cmocka_unit_test(composed_edits_are_named_by_their_place),
        cmocka_unit_test(gains_stand_at_the_seams_of_their_route),
        cmocka_unit_test(indicators_start_at_the_hosts_own_route),
        cmocka_unit_test(a_swap_is_a_linear_merge_by_layers),
        cmocka_unit_test(edits_at_once_have_scales_a_pair_of_models),
        cmocka_unit_test(models_are_checked_against_the_study),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
