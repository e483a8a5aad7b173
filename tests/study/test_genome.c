#include "study/genome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "study/study.h"
#include "study/yaml.h"
#include "tests/study/cases.h"

#define LAYERS 8

static int read_genome(const json_t *doc, struct err *err)
{
    struct text notes = {0};
    json_t *study = NULL;
    int rc = genome_study(&study, doc, "night", LAYERS, &notes, err);

    text_release(&notes);
    json_decref(study);
    return rc;
}

static void refuses_what_is_no_genome_in_plain_words(void **state)
{
    (void)state;
    assert_true(cases_walk("genomes.txt", read_genome) >= 12);
}

/* The good genome, patched, as a study that was printed and read again. */
static void import(struct study *out, struct text *notes, const char *patch)
{
    json_t *doc = cases_good("genomes.txt");
    json_t *made = NULL;
    json_t *read = NULL;
    struct text text = {0};
    struct err err = {0};

    cases_patch_yaml(doc, patch);
    if (genome_study(&made, doc, "night", LAYERS, notes, &err) != 0) {
        fail_msg("%s", err.text);
    }
    yaml_print(&text, made);
    assert_int_equal(yaml_parse(&read, text_get(&text), text.size, NULL), 0);
    if (study_parse(out, read, ".", &err) != 0) {
        fail_msg("%s", err.text);
    }
    text_release(&text);
    json_decref(doc);
    json_decref(made);
    json_decref(read);
}

static void a_genome_has_the_same_coordinates_as_a_study(void **state)
{
    struct study study = {0};
    struct text notes = {0};

    (void)state;
    import(&study, &notes, "{}");
    const struct study_merge *merge = &study.merge;
    assert_string_equal(merge->method->name, "ties");
    assert_string_equal(study.models[merge->base].name, "base");
    assert_int_equal(merge->n_sources, 2);
    assert_int_equal(merge->layers, STUDY_LAYERS_GROUPS);
    assert_int_equal(merge->n_layer_groups, 2);
    assert_int_equal(merge->n_components, 3);
    assert_string_equal(merge->components[0], "filter:self_attn");
    assert_string_equal(merge->components[2], "rest");
    assert_int_equal(merge->n_search, 2);
    assert_string_equal(merge->search[0].parameter->name, "weight");
    assert_true(merge->search[0].lower == 0.0 && merge->search[0].start == 0.5);
    assert_true(merge->search[1].start == 1.0);
    assert_int_equal(study.n_tasks, 2);
    assert_string_equal(study.tasks[0].metric, "exact_match");
    assert_true(study.tasks[0].weight == 2.0 && study.tasks[1].weight == 1.0);
    assert_string_equal(study.tasks[1].path, "tasks/wikitext.yaml");
    assert_non_null(strstr(text_get(&notes), "less is better"));
    study_release(&study);
    text_release(&notes);
}

static void shapes_of_genomes_become_shapes_of_studies(void **state)
{
    struct study study = {0};
    struct text notes = {0};

    (void)state;
    import(&study, &notes, "genome: {smooth: true, allow_negative_weights: true}");
    assert_int_equal(study.merge.layers, STUDY_LAYERS_SMOOTH);
    assert_int_equal(study.merge.n_layer_groups, 2);
    assert_true(study.merge.search[0].lower == -1.5);
    study_release(&study);

    import(&study, &notes, "genome: {layer_granularity: ~, filters: ~, merge_method: linear}");
    assert_int_equal(study.merge.n_layer_groups, 1);
    assert_int_equal(study.merge.n_components, 0);
    assert_true(study.merge.base == SIZE_MAX);
    assert_non_null(strstr(text_get(&notes), "base_model: linear has none"));
    study_release(&study);
    text_release(&notes);
}

static void models_of_one_name_get_names_of_their_own(void **state)
{
    struct study study = {0};
    struct text notes = {0};

    (void)state;
    import(&study, &notes, "genome: {models: [a/model, b/model/, models/base, 'c/of all']}");
    assert_int_equal(study.n_models, 4);
    assert_int_equal(study.merge.n_sources, 3);
    assert_string_equal(study.models[1].name, "model");
    assert_string_equal(study.models[2].name, "model-2");
    assert_string_equal(study.models[3].name, "of-all");
    assert_string_equal(study.models[2].path, "b/model/");
    assert_non_null(strstr(text_get(&notes), "base is the base, and so no source"));
    study_release(&study);
    text_release(&notes);
}

static void lends_the_first_model(void **state)
{
    json_t *doc = cases_good("genomes.txt");
    const char *model = NULL;

    (void)state;
    assert_int_equal(genome_model(doc, &model, NULL), 0);
    assert_string_equal(model, "models/adder");
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_no_genome_in_plain_words),
        cmocka_unit_test(a_genome_has_the_same_coordinates_as_a_study),
        cmocka_unit_test(shapes_of_genomes_become_shapes_of_studies),
        cmocka_unit_test(models_of_one_name_get_names_of_their_own),
        cmocka_unit_test(lends_the_first_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
