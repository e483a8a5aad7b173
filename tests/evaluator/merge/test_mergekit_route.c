/* A route as braid recipe prints it, carried out as braid merge does: the folder is that of the
 * flat export, weights and config. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "evaluator/merge/export.h"
#include "evaluator/merge/mergekit.h"
#include "evaluator/merge/mergekit_plan.h"
#include "study/yaml.h"
#include "tests/support/families.h"
#include "tests/support/support.h"

static const char *const names[] = {"a", "b"};

struct pair {
    struct checkpoint *models[2];
    char digests[2][DIGEST_HEX];
    struct plan_model named[2];
};

static void open_pair(struct pair *pair, const char *folder, const struct family_model *model)
{
    for (unsigned i = 0; i < 2; i++) {
        struct family_model one = *model;

        one.name = names[i];
        one.seed = i;
        char *path = family_model_write(folder, &one);
        assert_int_equal(checkpoint_open(&pair->models[i], path, NULL), 0);
        assert_int_equal(checkpoint_digest(pair->models[i], pair->digests[i], NULL), 0);
        pair->named[i] = (struct plan_model){pair->digests[i], pair->models[i]};
        free(path);
    }
}

/* A0 B1 A1-, where the family allows it with scales. */
static struct recipe route_of(const struct pair *pair)
{
    const char *sources[] = {pair->digests[0]};
    const struct config *config = checkpoint_config(pair->models[0]);
    double scale = config->sandwich ? 1.0 : 1.4;
    const struct method *method = NULL;
    struct recipe recipe;

    assert_int_equal(method_find(&method, "passthrough", NULL), 0);
    recipe_init(&recipe, method, RECIPE_BFLOAT16, 1, config->n_layers, sources, 1, NULL);
    recipe_add_hop(&recipe, NULL, 0, 1.0);
    recipe_add_hop(&recipe, pair->digests[1], 1, scale);
    for (uint32_t layer = 1; layer < config->n_layers; layer++) {
        recipe_add_hop(&recipe, NULL, layer, 1.0);
    }
    return recipe;
}

static void merge(const char *folder, const char *yaml, const char *out)
{
    static const struct plan_rules rules = {.strict = true};
    struct mergekit_recipe recipe = {0};
    struct mergekit_models models = {0};
    struct text warnings = {0};
    json_t *doc = NULL;
    struct plan plan;
    struct err err = {0};

    assert_int_equal(yaml_parse(&doc, yaml, strlen(yaml), &err), 0);
    if (mergekit_recipe_parse(&recipe, doc, &err) != 0 ||
        mergekit_models_open(&models, &recipe, folder, &warnings, &err) != 0 ||
        mergekit_plan_make(&plan, &recipe, &models, &rules, 0, &warnings, &err) != 0 ||
        export_write(&plan, out, NULL, 0, 0, NULL, NULL, &err) != 0) {
        fail_msg("%s", err.text);
    }
    json_decref(doc);
    plan_release(&plan);
    mergekit_models_close(&models);
    mergekit_recipe_release(&recipe);
    text_release(&warnings);
}

static void assert_same_file(const char *a, const char *b, const char *name)
{
    char *paths[] = {file_join(a, name), file_join(b, name)};
    struct file_bytes bytes[2] = {0};

    for (int i = 0; i < 2; i++) {
        assert_int_equal(file_read(&bytes[i], paths[i], 1 << 24, NULL), 0);
        free(paths[i]);
    }
    assert_int_equal(bytes[0].size, bytes[1].size);
    assert_memory_equal(bytes[0].data, bytes[1].data, bytes[0].size);
    file_release(&bytes[0]);
    file_release(&bytes[1]);
}

static void assert_merges_as_exported(const struct family_model *model)
{
    char *folder = support_temp_dir();
    char *flat = file_join(folder, "flat");
    char *merged = file_join(folder, "merged");
    struct text yaml = {0};
    struct pair pair;
    struct plan plan;
    struct err err = {0};

    open_pair(&pair, folder, model);
    struct recipe recipe = route_of(&pair);
    if (plan_make(&plan, &recipe, pair.named, 2, &err) != 0 ||
        export_write(&plan, flat, NULL, 0, 0, NULL, NULL, &err) != 0 ||
        mergekit_print_route(&yaml, &recipe, &plan.config, names, &err) != 0) {
        fail_msg("%s: %s", model->name, err.text);
    }
    merge(folder, text_get(&yaml), merged);
    assert_same_file(flat, merged, "config.json");
    assert_same_file(flat, merged, "model.safetensors");
    plan_release(&plan);
    text_release(&yaml);
    recipe_release(&recipe);
    checkpoint_close(pair.models[0]);
    checkpoint_close(pair.models[1]);
    free(flat);
    free(merged);
    support_remove_dir(folder);
}

/* Windows nowhere, everywhere, by a rule that the route breaks, and by a list. */
static void a_printed_route_merges_to_its_flat_export(void **state)
{
    static const char *const models[] = {"llama-biases",       "mistral", "gemma", "gemma2",
                                         "gemma2-layer-types", "gemma3",  "phi3"};

    (void)state;
    for (size_t m = 0; m < sizeof(models) / sizeof(models[0]); m++) {
        assert_merges_as_exported(family_model(models[m]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_printed_route_merges_to_its_flat_export),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
