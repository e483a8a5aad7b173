#include "study/recipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/study/cases.h"

static const char a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
static const char c[] = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";
static const char *const two[] = {a, c};

static const struct method *method(const char *name)
{
    const struct method *found = NULL;

    assert_int_equal(method_find(&found, name, NULL), 0);
    return found;
}

/* TIES of two sources over six layers, at its defaults. */
static struct recipe plain(void)
{
    struct recipe recipe;

    recipe_init(&recipe, method("ties"), RECIPE_BFLOAT16, 7, 6, two, 2, b);
    return recipe;
}

static char *printed(const struct recipe *recipe)
{
    struct text text = {0};

    recipe_print(&text, recipe);
    return text_take(&text);
}

static int parse(struct recipe *out, const char *bytes, struct err *err)
{
    return recipe_parse(out, bytes, strlen(bytes), err);
}

static void a_new_recipe_is_the_method_at_its_defaults(void **state)
{
    struct recipe recipe = plain();
    const struct recipe_group *group = recipe.groups;

    (void)state;
    assert_int_equal(recipe.n_groups, 1);
    assert_string_equal(group->component, "all");
    assert_int_equal(group->first, 0);
    assert_int_equal(group->end, 6);
    assert_true(group->source_values[2] == 1 && group->source_values[3] == 0.5);
    assert_true(group->whole_values[0] == 1 && group->whole_values[1] == 1);
    recipe_release(&recipe);
}

static void the_canonical_form_is_sorted_and_spells_everything_out(void **state)
{
    struct recipe recipe;

    (void)state;
    recipe_init(&recipe, method("task_arithmetic"), RECIPE_FLOAT16, 9, 2, two, 1, b);
    char *text = printed(&recipe);

    assert_string_equal(
        text, "{\"base\":\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\","
              "\"dtype\":\"float16\",\"groups\":[{\"component\":\"all\",\"layers\":[0,2],"
              "\"parameters\":{\"lambda\":1.0,\"normalize\":0.0},\"sources\":[{\"weight\":0.5}]}],"
              "\"layers\":2,\"method\":\"task_arithmetic\",\"recipe\":1,\"seed\":9,\"sources\":["
              "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]}");
    free(text);
    recipe_release(&recipe);
}

/* Values that need all their digits, a filter with quotes, and groups that overlap. */
static void what_is_printed_reads_back_to_the_same_bytes(void **state)
{
    struct recipe recipe = plain();
    struct recipe read = {0};

    (void)state;
    recipe_clear_groups(&recipe);
    struct recipe_group *group = recipe_add_group(&recipe, "filter:\"k\\proj\"", 1, 4);
    group->source_values[0] = 0.1 + 0.2;
    group->source_values[2] = -5e-324;
    group->whole_values[1] = 1.7976931348623157e308;
    recipe_add_group(&recipe, "all", 0, 6);
    char *text = printed(&recipe);

    assert_int_equal(parse(&read, text, NULL), 0);
    char *again = printed(&read);

    assert_string_equal(again, text);
    assert_true(read.groups[0].source_values[0] == 0.1 + 0.2);
    free(text);
    free(again);
    recipe_release(&read);
    recipe_release(&recipe);
}

static void a_route_names_its_models_once_in_the_order_of_their_first_hop(void **state)
{
    struct recipe recipe = plain();
    struct recipe read = {0};

    (void)state;
    recipe_add_hop(&recipe, NULL, 0, 1);
    recipe_add_hop(&recipe, c, 11, 1.4);
    recipe_add_hop(&recipe, a, 1, 1);
    recipe_add_hop(&recipe, c, 11, 0.1 + 0.2);
    char *text = printed(&recipe);

    assert_non_null(strstr(text, "\"recipe\":1,\"route\":{\"hops\":[[0,0,1.0],[1,11,1.4],[2,1,1.0],"
                                 "[1,11,0.30000000000000004]],\"models\":[\"cccc"));
    assert_int_equal(parse(&read, text, NULL), 0);
    assert_true(route_equal(&read.route, &recipe.route));
    assert_int_equal(read.n_route_models, 2);
    assert_string_equal(read.route_models[1], a);
    char *again = printed(&read);

    assert_string_equal(again, text);
    free(text);
    free(again);
    recipe_release(&read);
    recipe_release(&recipe);
}

/* Recipes from before a parameter was there are read, and keep their bytes. */
static void what_came_later_is_said_only_where_it_is_not_the_default(void **state)
{
    struct recipe recipe = plain();
    struct recipe again = {0};
    size_t rescale = method_index(recipe.method, METHOD_WHOLE, "rescale");
    char *silent = printed(&recipe);

    (void)state;
    assert_null(strstr(silent, "rescale"));
    assert_int_equal(parse(&again, silent, NULL), 0);
    assert_true(again.groups->whole_values[rescale] == 0);
    recipe_release(&again);
    recipe.groups->whole_values[rescale] = 1;
    char *spoken = printed(&recipe);
    assert_non_null(strstr(spoken, "\"rescale\":1.0"));
    assert_int_equal(parse(&again, spoken, NULL), 0);
    assert_true(again.groups->whole_values[rescale] == 1);
    recipe_release(&again);
    recipe_release(&recipe);
    free(silent);
    free(spoken);
}

static void the_identity_is_the_digest_of_the_bytes(void **state)
{
    struct recipe recipe = plain();
    char *text = printed(&recipe);
    char expected[DIGEST_HEX];
    char identity[DIGEST_HEX];

    (void)state;
    digest_hex_of(text, strlen(text), expected);
    recipe_identity(&recipe, identity);
    assert_string_equal(identity, expected);
    recipe.groups[0].source_values[0] = 1.0000000000000002;
    recipe_identity(&recipe, identity);
    assert_string_not_equal(identity, expected);
    free(text);
    recipe_release(&recipe);
}

static void the_identity_does_not_depend_on_spelling(void **state)
{
    struct recipe recipe = plain();
    struct recipe read = {0};
    struct text spelled = {0};
    char expected[DIGEST_HEX];
    char identity[DIGEST_HEX];

    (void)state;
    text_printf(&spelled,
                "{ \"recipe\": 1, \"seed\": 7, \"layers\": 6, \"method\": \"ties\",\n"
                "  \"dtype\": \"bfloat16\", \"sources\": [\"%s\", \"%s\"], \"base\": \"%s\",\n"
                "  \"groups\": [{\"sources\": [{\"weight\": 1, \"density\": 5e-1},\n"
                "  {\"density\": 0.50, \"weight\": 1e0}], \"layers\": [0, 6],\n"
                "  \"parameters\": {\"normalize\": 1, \"lambda\": 1}, \"component\": \"all\"}]}",
                a, c, b);
    assert_int_equal(parse(&read, text_get(&spelled), NULL), 0);
    recipe_identity(&recipe, expected);
    recipe_identity(&read, identity);
    assert_string_equal(identity, expected);
    text_release(&spelled);
    recipe_release(&read);
    recipe_release(&recipe);
}

static void a_copy_is_equal_and_its_own(void **state)
{
    struct recipe recipe = plain();
    struct recipe copy = {0};

    (void)state;
    char *before = printed(&recipe);
    assert_int_equal(recipe_copy(&copy, &recipe, NULL), 0);
    recipe.groups[0].source_values[0] = 0.25;
    char *after = printed(&copy);

    assert_string_equal(after, before);
    free(before);
    free(after);
    recipe_release(&copy);
    recipe_release(&recipe);
}

static void a_method_without_a_base_has_none_in_its_recipe(void **state)
{
    struct recipe recipe;
    struct recipe read = {0};

    (void)state;
    recipe_init(&recipe, method("linear"), RECIPE_FLOAT32, 1, 1, two, 2, b);
    char *text = printed(&recipe);

    assert_string_equal(recipe.base, "");
    assert_non_null(strstr(text, "\"base\":null"));
    assert_int_equal(parse(&read, text, NULL), 0);
    free(text);
    recipe_release(&read);
    recipe_release(&recipe);
}

static void a_tensor_takes_the_first_group_that_matches(void **state)
{
    struct recipe recipe = plain();
    const char *k_proj = "model.layers.1.self_attn.k_proj.weight";

    (void)state;
    recipe_clear_groups(&recipe);
    recipe_add_group(&recipe, "filter:k_proj", 1, 2);
    recipe_add_group(&recipe, "attention", 0, 6);
    recipe_add_group(&recipe, "rest", 0, 6);
    const struct recipe_group *groups = recipe.groups;

    assert_ptr_equal(recipe_group_of(&recipe, k_proj, RECIPE_ATTENTION, 1), &groups[0]);
    assert_ptr_equal(recipe_group_of(&recipe, k_proj, RECIPE_ATTENTION, 2), &groups[1]);
    assert_ptr_equal(recipe_group_of(&recipe, "lm_head.weight", RECIPE_HEAD, 5), &groups[2]);
    assert_null(recipe_group_of(&recipe, k_proj, RECIPE_ATTENTION, 6));
    recipe_release(&recipe);
}

/* A row a component: which of embeddings, attention, mlp, norm, final norm, head it takes. */
static void components_take_in_their_kinds_of_tensor(void **state)
{
    static const struct {
        const char *component;
        int takes[6];
    } rows[] = {
        {"all", {1, 1, 1, 1, 1, 1}},         {"rest", {1, 1, 1, 1, 1, 1}},
        {"embeddings", {1, 0, 0, 0, 0, 0}},  {"attention", {0, 1, 0, 0, 0, 0}},
        {"mlp", {0, 0, 1, 0, 0, 0}},         {"norms", {0, 0, 0, 1, 1, 0}},
        {"head", {0, 0, 0, 0, 1, 1}},        {"filter:up_proj", {1, 1, 1, 1, 1, 1}},
        {"filter:down", {0, 0, 0, 0, 0, 0}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int kind = RECIPE_EMBEDDINGS; kind <= RECIPE_HEAD; kind++) {
            assert_int_equal(recipe_component_matches(rows[i].component,
                                                      "model.layers.0.mlp.up_proj.weight",
                                                      (enum recipe_component)kind),
                             rows[i].takes[kind]);
        }
        assert_true(recipe_component_known(rows[i].component));
    }
    assert_false(recipe_component_known("filter:"));
    assert_false(recipe_component_known("k_proj"));
    assert_false(recipe_component_whole("filter:x"));
}

static void types_have_names(void **state)
{
    (void)state;
    for (int i = RECIPE_FLOAT32; i <= RECIPE_BFLOAT16; i++) {
        enum recipe_dtype dtype = RECIPE_FLOAT32;

        assert_int_equal(recipe_dtype_parse(&dtype, recipe_dtype_name((enum recipe_dtype)i), NULL),
                         0);
        assert_int_equal(dtype, i);
    }
}

static int read_doc(const json_t *doc, struct err *err)
{
    struct recipe recipe = {0};
    struct text text = {0};

    doc_print(&text, doc);
    int rc = recipe_parse(&recipe, text_get(&text), text.size, err);

    text_release(&text);
    recipe_release(&recipe);
    return rc;
}

static void bad_recipes_are_told_what_is_wrong_and_where(void **state)
{
    (void)state;
    assert_in_range(cases_walk("recipes.txt", read_doc), 40, 1000);
}

static void what_is_no_document_is_refused(void **state)
{
    struct recipe recipe = {0};
    struct err err = {0};
    char *large = mem_alloc(RECIPE_SIZE_MAX + 1);

    (void)state;
    assert_int_equal(parse(&recipe, "", &err), ERR_FORMAT);
    assert_int_equal(parse(&recipe, "[]", &err), ERR_FORMAT);
    assert_int_equal(parse(&recipe, "{\"recipe\":1,\"recipe\":1}", &err), ERR_FORMAT);
    memset(large, ' ', RECIPE_SIZE_MAX + 1);
    assert_int_equal(recipe_parse(&recipe, large, RECIPE_SIZE_MAX + 1, &err), ERR_LIMIT);
    assert_null(recipe.groups);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_recipe_is_the_method_at_its_defaults),
        cmocka_unit_test(the_canonical_form_is_sorted_and_spells_everything_out),
        cmocka_unit_test(what_is_printed_reads_back_to_the_same_bytes),
        cmocka_unit_test(a_route_names_its_models_once_in_the_order_of_their_first_hop),
        cmocka_unit_test(what_came_later_is_said_only_where_it_is_not_the_default),
        cmocka_unit_test(the_identity_is_the_digest_of_the_bytes),
        cmocka_unit_test(the_identity_does_not_depend_on_spelling),
        cmocka_unit_test(a_copy_is_equal_and_its_own),
        cmocka_unit_test(a_method_without_a_base_has_none_in_its_recipe),
        cmocka_unit_test(a_tensor_takes_the_first_group_that_matches),
        cmocka_unit_test(components_take_in_their_kinds_of_tensor),
        cmocka_unit_test(types_have_names),
        cmocka_unit_test(bad_recipes_are_told_what_is_wrong_and_where),
        cmocka_unit_test(what_is_no_document_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
