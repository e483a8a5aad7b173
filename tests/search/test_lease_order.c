#include "search/lease_order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "study/recipe.h"

#define A "1111111111111111111111111111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222222222222222222222222222"

/* A recipe whose route has a hop a letter: layer numbers of the host, or letters of the other model
 * ('a' is its layer 0); none for "". */
static char *recipe_of(const char *host, const char *hops)
{
    const char *const sources[1] = {host};
    const struct method *method = NULL;
    struct recipe recipe = {0};
    struct text text = {0};

    assert_int_equal(method_find(&method, "passthrough", NULL), 0);
    recipe_init(&recipe, method, RECIPE_BFLOAT16, 1, 6, sources, 1, NULL);
    for (; *hops != '\0'; hops++) {
        bool is_other = *hops >= 'a';

        recipe_add_hop(&recipe, is_other ? B : NULL, (uint32_t)(*hops - (is_other ? 'a' : '0')),
                       1.0);
    }
    recipe_print(&text, &recipe);
    char *copy = mem_text(text_get(&text));
    text_release(&text);
    recipe_release(&recipe);
    return copy;
}

static void assert_order(const char *const *hops, size_t n, const size_t *wanted)
{
    char **recipes = mem_array(n, sizeof *recipes);

    for (size_t i = 0; i < n; i++) {
        recipes[i] = recipe_of(A, hops[i]);
    }
    size_t *order = lease_order((const char *const *)recipes, n);
    if (wanted == NULL) {
        assert_null(order);
    } else {
        assert_non_null(order);
        assert_memory_equal(order, wanted, n * sizeof *order);
    }
    for (size_t i = 0; i < n; i++) {
        free(recipes[i]);
    }
    free(recipes);
    free(order);
}

static void recipes_without_routes_keep_their_order(void **state)
{
    const char *const hops[] = {"", "", ""};

    (void)state;
    assert_order(hops, 3, NULL);
}

static void routes_are_walked_depth_first(void **state)
{
    const char *const hops[] = {"01245", "0123345", "01c345", "012345", "", "0112345", "01235"};
    const size_t wanted[] = {4, 5, 1, 3, 6, 0, 2};

    (void)state;
    assert_order(hops, 7, wanted);
}

static void routes_of_one_host_stay_together(void **state)
{
    char *recipes[] = {recipe_of(A, "01"), recipe_of(B, "00"), recipe_of(A, "00"),
                       recipe_of(B, "01")};

    (void)state;
    size_t *order = lease_order((const char *const *)recipes, 4);
    size_t of_a = order[0] == 2 ? 0 : 2; /* hosts are by their identity */
    assert_int_equal(order[of_a], 2);
    assert_int_equal(order[of_a + 1], 0);
    assert_int_equal(order[2 - of_a], 1);
    assert_int_equal(order[3 - of_a], 3);
    free(order);
    for (size_t i = 0; i < 4; i++) {
        free(recipes[i]);
    }
}

/* Who is where: '.' free, digits active with that worker, '-' done. */
static size_t start_at(const char *places, size_t last)
{
    bool is_free[16];
    bool is_active[16];
    size_t n = strlen(places);

    for (size_t i = 0; i < n; i++) {
        is_free[i] = places[i] == '.';
        is_active[i] = places[i] >= '0' && places[i] <= '9';
    }
    return lease_order_start(is_free, is_active, n, last);
}

static void a_worker_goes_on_where_it_was(void **state)
{
    (void)state;
    assert_int_equal(start_at("-......", 0), 1);
    assert_int_equal(start_at("-...2..", 0), 1);
    assert_int_equal(start_at("...-...", 3), 4);
}

static void others_begin_in_the_longest_stretch_that_is_free(void **state)
{
    (void)state;
    assert_int_equal(start_at("........", SIZE_MAX), 0);
    assert_int_equal(start_at("1.......", SIZE_MAX), 4);
    assert_int_equal(start_at("-1..2...", SIZE_MAX), 6);
    assert_int_equal(start_at("--..1.", 1), 2);
    assert_int_equal(start_at("-2....1-..", 7), 8);
    assert_int_equal(start_at("-2....-1", 6), 4);        /* its next is taken */
    assert_int_equal(start_at("-2-....-", SIZE_MAX), 3); /* nobody is in front */
    assert_int_equal(start_at("12-3", SIZE_MAX), SIZE_MAX);
    assert_int_equal(start_at("...-", 3), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipes_without_routes_keep_their_order),
        cmocka_unit_test(routes_are_walked_depth_first),
        cmocka_unit_test(routes_of_one_host_stay_together),
        cmocka_unit_test(a_worker_goes_on_where_it_was),
        cmocka_unit_test(others_begin_in_the_longest_stretch_that_is_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
