#include "search/route_swap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the headers it needs */
#include <cmocka.h>

#include "base/text.h"

#define HOST "1111111111111111111111111111111111111111111111111111111111111111"
#define OTHER "2222222222222222222222222222222222222222222222222222222222222222"

/* "HHxOOxH": the host's layers, the average's and the other's. */
static void assert_layers(struct swap swap, uint32_t n_layers, const char *expected)
{
    struct recipe recipe = {0};
    char found[65] = "";
    size_t differing = SIZE_MAX;

    swap_recipe(&recipe, &swap, RECIPE_BFLOAT16, 7, n_layers, HOST, OTHER);
    for (uint32_t l = 0; l < n_layers; l++) {
        const struct recipe_group *group = recipe_group_of(&recipe, "", RECIPE_MLP, l);
        double host = group->source_values[0];

        assert_true(host + group->source_values[1] == 1.0);
        found[l] = host == 1.0 ? 'H' : host == 0.0 ? 'O' : 'x';
    }
    assert_string_equal(found, expected);
    swap_match(&recipe, &differing);
    assert_true(differing == 0 || swap.bottom > swap_end_max(n_layers));
    recipe_release(&recipe);
}

static void ends_are_the_hosts_and_the_middle_the_others(void **state)
{
    (void)state;
    assert_layers((struct swap){2, 1, 0}, 8, "HHOOOOOH");
    assert_layers((struct swap){2, 1, 1}, 8, "HHxOOOxH");
    assert_layers((struct swap){1, 3, 2}, 9, "HxxOxxHHH");
}

static void something_of_the_other_is_always_left(void **state)
{
    (void)state;
    assert_layers((struct swap){3, 3, 2}, 8, "HHHOOHHH");
    assert_layers((struct swap){9, 9, 9}, 6, "HHHHOH");
    assert_layers((struct swap){1, 1, 0}, 3, "HOH");
}

static void a_swap_is_a_recipe_like_any_other(void **state)
{
    const struct swap swap = {1, 1, 1};
    struct recipe recipe = {0}, parsed = {0};
    struct text text = {0};
    struct err err = {0};

    (void)state;
    swap_recipe(&recipe, &swap, RECIPE_FLOAT32, 1, 6, HOST, OTHER);
    assert_string_equal(recipe.method->name, "linear");
    assert_int_equal(recipe.n_groups, 5);
    recipe_print(&text, &recipe);
    if (recipe_parse(&parsed, text_get(&text), text.size, &err) != 0) {
        fail_msg("%s", err.text);
    }
    recipe_release(&recipe);
    recipe_release(&parsed);
    text_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_are_the_hosts_and_the_middle_the_others),
        cmocka_unit_test(something_of_the_other_is_always_left),
        cmocka_unit_test(a_swap_is_a_recipe_like_any_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
