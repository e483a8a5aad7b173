/* Recipes: what is accepted prints canonically, and that parses and prints to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "study/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* Every tensor of every layer finds a group. */
static void check_cover(const struct recipe *recipe)
{
    for (uint32_t layer = 0; layer < recipe->n_layers; layer++) {
        for (int kind = RECIPE_EMBEDDINGS; kind <= RECIPE_HEAD; kind++) {
            must(recipe_group_of(recipe, "a.b", (enum recipe_component)kind, layer) != NULL);
        }
    }
}

static void check_round_trip(const struct recipe *recipe)
{
    struct recipe again = {0};
    struct text first = {0};
    struct text second = {0};

    recipe_print(&first, recipe);
    if (first.size <= RECIPE_SIZE_MAX) { /* a canonical number may be longer than its spelling */
        must(recipe_parse(&again, text_get(&first), first.size, NULL) == 0);
        recipe_print(&second, &again);
        must(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    }
    recipe_release(&again);
    text_release(&first);
    text_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct recipe recipe = {0};
    struct err err = {0};
    int rc = recipe_parse(&recipe, (const char *)bytes, n, &err);

    if (rc == 0) {
        check_cover(&recipe);
        check_round_trip(&recipe);
        recipe_release(&recipe);
    } else {
        must(recipe.groups == NULL && err.code == (enum err_code)rc && err.text[0] != '\0');
    }
    return 0;
}
