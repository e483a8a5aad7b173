/* mergekit recipes: what is accepted has finite values everywhere, and prints as a recipe of the
 * same slices. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/mergekit_recipe.h"
#include "study/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_value(const struct mergekit_recipe *recipe, const struct mergekit_slice *slice,
                        size_t source, const char *parameter)
{
    static const double positions[] = {0, 1.0 / 3, 1};

    for (size_t i = 0; i < 3; i++) {
        double value = 0;

        mergekit_recipe_value(recipe, slice, source, parameter,
                              "model.layers.1.self_attn.q_proj.weight", positions[i], &value);
        must(isfinite(value));
    }
}

/* What a plan relies on. */
static void check_slices(const struct mergekit_recipe *recipe)
{
    must(recipe->n_slices >= 1 && recipe->method != NULL);
    must(recipe->base == MERGEKIT_NONE || recipe->base < recipe->n_models);
    for (size_t i = 0; i < recipe->n_slices; i++) {
        const struct mergekit_slice *slice = &recipe->slices[i];

        must(slice->n_sources >= 1 && slice->n_sources <= METHOD_SOURCES_MAX + 1);
        for (size_t s = 0; s < slice->n_sources; s++) {
            const struct mergekit_source *source = &slice->sources[s];

            must(source->model < recipe->n_models && source->first <= source->end);
            must(source->end - source->first == slice->sources[0].end - slice->sources[0].first);
            check_value(recipe, slice, s, "weight");
        }
        check_value(recipe, slice, MERGEKIT_NONE, "normalize");
    }
}

static void check_print(const struct mergekit_recipe *recipe)
{
    const char **names = mem_array(recipe->n_models, sizeof(char *));
    struct mergekit_recipe again = {0};
    struct text text = {0};
    json_t *doc = NULL;

    for (size_t m = 0; m < recipe->n_models; m++) {
        names[m] = mem_printf("m%zu", m);
    }
    mergekit_recipe_print(&text, recipe, names);
    must(yaml_parse(&doc, text_get(&text), text.size, NULL) == 0);
    must(mergekit_recipe_parse(&again, doc, NULL) == 0);
    must(again.n_slices == recipe->n_slices && again.n_models == recipe->n_models);
    mergekit_recipe_release(&again);
    json_decref(doc);
    text_release(&text);
    for (size_t m = 0; m < recipe->n_models; m++) {
        free((char *)(uintptr_t)names[m]);
    }
    free(names);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct mergekit_recipe recipe = {0};
    struct err err = {0};
    json_t *doc = NULL;

    if (yaml_parse(&doc, (const char *)bytes, n, NULL) != 0) {
        return 0;
    }
    int rc = mergekit_recipe_parse(&recipe, doc, &err);

    if (rc == 0) {
        check_slices(&recipe);
        check_print(&recipe);
    } else {
        must(recipe.doc == NULL && err.code == (enum err_code)rc && err.text[0] != '\0');
    }
    mergekit_recipe_release(&recipe);
    json_decref(doc);
    return 0;
}
