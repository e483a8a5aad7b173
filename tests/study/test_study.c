#include "study/study.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/study/cases.h"
#include "tests/support/support.h"

/* The good study of the cases with a patch, read; the caller releases it. */
static struct study patched(const char *patch)
{
    json_t *doc = cases_good("studies.txt");
    struct study study = {0};
    struct err err = {0};

    cases_patch_yaml(doc, patch);
    if (study_parse(&study, doc, "/studies", &err) != 0) {
        fail_msg("%s: %s", patch, err.text);
    }
    json_decref(doc);
    return study;
}

static char *printed(const struct study *study)
{
    json_t *doc = study_print(study);
    struct text text = {0};

    doc_print(&text, doc);
    json_decref(doc);
    return text_take(&text);
}

static void expect_same(const char *patch, const char *expected_patch)
{
    struct study study = patched(patch);
    struct study expected = patched(expected_patch);
    char *said = printed(&study);
    char *told = printed(&expected);

    assert_string_equal(said, told);
    free(said);
    free(told);
    study_release(&study);
    study_release(&expected);
}

static int read_doc(const json_t *doc, struct err *err)
{
    struct study study = {0};
    int rc = study_parse(&study, doc, ".", err);

    study_release(&study);
    return rc;
}

static void bad_studies_are_told_what_is_wrong_and_where(void **state)
{
    (void)state;
    assert_in_range(cases_walk("studies.txt", read_doc), 100, 1000);
}

static void everything_in_the_file_is_kept(void **state)
{
    struct study study = patched("{}");
    const struct study_merge *merge = &study.merge;

    (void)state;
    assert_string_equal(study.name, "two-trades");
    assert_int_equal(study.seed, 7);
    assert_int_equal(study.n_models, 3);
    assert_string_equal(merge->method->name, "ties");
    assert_string_equal(study.models[merge->base].name, "base");
    assert_int_equal(merge->n_sources, 2);
    assert_string_equal(study.models[merge->sources[0]].name, "adder");
    assert_string_equal(study.models[merge->sources[1]].path, "models/reverser");
    assert_int_equal(merge->layers, STUDY_LAYERS_GROUPS);
    assert_int_equal(merge->n_layer_groups, 2);
    assert_int_equal(merge->n_components, 3);
    assert_string_equal(merge->components[2], "rest");
    assert_int_equal(study.n_tasks, 2);
    assert_string_equal(study.tasks[0].metric, "exact_match");
    assert_true(study.tasks[0].weight == 1 && study.tasks[0].limit == 0);
    assert_string_equal(study.tasks[1].path, "tasks/reversal.yaml");
    assert_null(study.tasks[1].metric);
    assert_true(study.tasks[1].weight == 2 && study.tasks[1].limit == 400);
    assert_int_equal(study.objective, STUDY_WEIGHTED_MEAN);
    assert_int_equal(study.finalists, 4);
    study_release(&study);
}

static void budgets_and_limits_are_in_plain_units(void **state)
{
    struct study study = patched("{}");

    (void)state;
    assert_int_equal(study.budget.evaluations, 300);
    assert_int_equal(study.budget.wall_ms, 8 * 3600 * 1000);
    assert_int_equal(study.budget.until_minute, 7 * 60);
    assert_int_equal(study.budget.stagnation, 30);
    assert_int_equal(study.evaluator.dtype, RECIPE_BFLOAT16);
    assert_int_equal(study.evaluator.memory, UINT64_C(8) << 30);
    assert_int_equal(study.evaluator.timeout_ms, 600000);
    study_release(&study);
}

static void activations_are_shared_unless_it_says_no(void **state)
{
    struct study on = patched("evaluator: {prefix_cache: true}");
    struct study off = patched("evaluator: {prefix_cache: false}");

    (void)state;
    assert_false(on.evaluator.prefix_cache_off);
    assert_true(off.evaluator.prefix_cache_off);
    study_release(&on);
    study_release(&off);
}

static void what_is_left_out_has_its_default(void **state)
{
    struct study study = patched("seed: ~\nsplits: ~\nobjective: ~\noptimizer: ~\nbudget: ~\n"
                                 "evaluator: ~\nfinalists: ~\n"
                                 "merge: {layers: ~, components: ~, fixed: ~}\n");

    (void)state;
    assert_int_equal(study.seed, 1);
    assert_true(study.splits[0] == 0.5 && study.splits[1] == 0.25 && study.splits[2] == 0.25);
    assert_string_equal(study.optimizer.algorithm, "cma-es");
    assert_int_equal(study.optimizer.population, 0);
    assert_true(study.optimizer.sigma == 0);
    assert_int_equal(study.budget.evaluations, 1000);
    assert_int_equal(study.budget.wall_ms, 0);
    assert_int_equal(study.budget.until_minute, -1);
    assert_int_equal(study.budget.stagnation, 0);
    assert_int_equal(study.evaluator.dtype, RECIPE_BFLOAT16);
    assert_string_equal(study.evaluator.numeric, "auto");
    assert_int_equal(study.evaluator.memory, 0);
    assert_int_equal(study.finalists, 8);
    assert_int_equal(study.merge.layers, STUDY_LAYERS_GROUPS);
    assert_int_equal(study.merge.n_layer_groups, 1);
    assert_int_equal(study.merge.n_components, 0);
    study_release(&study);
}

static void optional_sections_may_be_empty(void **state)
{
    (void)state;
    expect_same("optimizer: ~", "optimizer: {algorithm: cma-es, population: auto}");
    expect_same("evaluator: {kind: ~, memory: ~, timeout: ~, dtype: ~}", "evaluator: ~");
    expect_same("{splits: ~}", "{}");
}

static void every_parameter_is_searched_or_fixed_in_the_tables_order(void **state)
{
    struct study study = patched("merge: {search: {weight: ~}, fixed: {lambda: 0.75}}");
    const struct study_merge *merge = &study.merge;

    (void)state;
    assert_int_equal(merge->n_search, 1);
    assert_string_equal(merge->search[0].parameter->name, "density");
    assert_int_equal(merge->n_fixed, 3);
    assert_string_equal(merge->fixed[0].parameter->name, "weight");
    assert_true(merge->fixed[0].value == 1); /* the method's default */
    assert_string_equal(merge->fixed[1].parameter->name, "normalize");
    assert_true(merge->fixed[1].value == 0);
    assert_string_equal(merge->fixed[2].parameter->name, "lambda");
    assert_true(merge->fixed[2].value == 0.75);
    study_release(&study);
}

static void a_search_starts_at_the_default_or_in_the_middle(void **state)
{
    struct study study =
        patched("merge: {search: {weight: [0, 1.5], density: [0.6, 1]}, fixed: ~}");

    (void)state;
    assert_true(study.merge.search[0].start == 1);   /* the default lies inside */
    assert_true(study.merge.search[1].start == 0.8); /* 0.5 does not */
    study_release(&study);
}

static void a_default_at_the_edge_is_no_start(void **state)
{
    struct study study = patched("merge: {search: {weight: [0, 1], density: [0, 0.51]}}");

    (void)state;
    assert_true(study.merge.search[0].start == 0.5);
    assert_true(study.merge.search[1].start == 0.255);
    study_release(&study);
}

static void a_start_of_ones_own_is_kept(void **state)
{
    struct study study = patched("merge: {start: {weight: 0.6}}");

    (void)state;
    assert_true(study.merge.search[0].start == 0.6);
    study_release(&study);
}

static void layers_are_groups_or_each_or_smooth(void **state)
{
    struct study each = patched("merge: {layers: each}");
    struct study smooth = patched("merge: {layers: smooth 5}");

    (void)state;
    assert_int_equal(each.merge.layers, STUDY_LAYERS_EACH);
    assert_int_equal(smooth.merge.layers, STUDY_LAYERS_SMOOTH);
    assert_int_equal(smooth.merge.n_layer_groups, 5);
    study_release(&each);
    study_release(&smooth);
}

static void a_text_that_is_no_component_is_a_filter(void **state)
{
    struct study study = patched("merge: {components: [k_proj, 'filter:mlp', rest]}");

    (void)state;
    assert_string_equal(study.merge.components[0], "filter:k_proj");
    assert_string_equal(study.merge.components[1], "filter:mlp");
    study_release(&study);
}

static void a_route_alone_has_its_defaults(void **state)
{
    struct study study = patched("merge: ~\nroute: {host: base}\noptimizer: ~\n");
    char *text = printed(&study);

    (void)state;
    assert_null(study.merge.method);
    assert_int_equal(study.route.mode, STUDY_ROUTE_EDITS);
    assert_int_equal(study.route.n_sources, 2);
    assert_string_equal(study.models[study.route.sources[0]].name, "adder");
    assert_non_null(strstr(text, "\"route\":{\"edits\":2,\"gains\":true,\"host\":\"base\","
                                 "\"length\":8,\"max_hops\":\"auto\",\"mode\":\"edits\","
                                 "\"pinned\":\"auto\",\"sources\":[\"adder\",\"reverser\"]}"));
    assert_non_null(strstr(text, "\"algorithm\":\"auto\""));
    assert_null(strstr(text, "\"merge\""));
    free(text);
    study_release(&study);
}

static void what_a_route_says_is_kept_whatever_its_mode(void **state)
{
    (void)state;
    expect_same("merge: ~\nroute: {host: base, mode: indicators}",
                "merge: ~\nroute: {host: base, mode: indicators, repeats: 3, scales: seams, "
                "pinned: auto, max_hops: auto, sources: [adder, reverser]}");
    expect_same("route: {mode: edits}", "route: {order: merge-then-route, edits: 2, gains: true, "
                                        "sources: [adder, reverser]}");
    expect_same("merge: ~\nroute: {mode: swap, host: adder}",
                "merge: ~\nroute: {mode: swap, host: adder, sources: [base, reverser]}");
}

static void a_printed_route_reads_back(void **state)
{
    static const char *const patches[] = {
        "merge: ~\nroute: {host: base, mode: indicators, scales: network, repeats: 2}",
        "merge: ~\nroute: {host: base, sources: [], edits: 4, pinned: 1, max_hops: 40}",
        "merge: ~\nroute: {host: base, mode: swap, sources: [adder]}",
        "route: {order: together, gains: false, length: 3}"};

    (void)state;
    for (size_t i = 0; i < sizeof(patches) / sizeof(*patches); i++) {
        struct study study = patched(patches[i]), again = {0};
        json_t *doc = study_print(&study);
        char *text = printed(&study);

        assert_int_equal(study_parse(&again, doc, "/studies", NULL), 0);
        char *same = printed(&again);
        assert_string_equal(text, same);
        free(text);
        free(same);
        json_decref(doc);
        study_release(&study);
        study_release(&again);
    }
}

static void a_task_may_stand_in_the_study_itself(void **state)
{
    struct study study = patched("tasks: [{task: sums, output_type: generate_until, data: s.jsonl, "
                                 "gold: answer, metric: exact_match, weight: 3, limit: 9}]");
    const struct study_task *task = &study.tasks[0];
    struct text text = {0};

    (void)state;
    doc_print(&text, task->inline_task);
    assert_string_equal(text_get(&text), "{\"data\":\"s.jsonl\",\"gold\":\"answer\",\"output_type\""
                                         ":\"generate_until\",\"task\":\"sums\"}");
    assert_null(task->path);
    assert_string_equal(task->metric, "exact_match");
    assert_true(task->weight == 3 && task->limit == 9);
    text_release(&text);
    study_release(&study);
}

static void splits_may_miss_one_by_a_rounding_error(void **state)
{
    struct study study = patched("splits: {search: 0.3333333333, select: 0.3333333333, "
                                 "report: 0.3333333333}");

    (void)state;
    study_release(&study);
}

static void the_canonical_form_spells_out_every_default(void **state)
{
    struct study study = patched("seed: ~\nsplits: ~\noptimizer: ~\nbudget: ~\nevaluator: ~\n"
                                 "finalists: ~\nmerge: {layers: ~, components: ~, fixed: ~}\n"
                                 "tasks: [{task: a.yaml}]\n");
    char *text = printed(&study);

    (void)state;
    assert_string_equal(
        text,
        "{\"budget\":{\"evaluations\":1000},\"evaluator\":{\"dtype\":\"bfloat16\","
        "\"kind\":\"native\"},\"finalists\":8,\"merge\":{\"base\":\"base\",\"fixed\":{\"lambda\":"
        "1.0,\"normalize\":1.0},\"layers\":1,\"method\":\"ties\",\"search\":{\"density\":[0.1,1.0],"
        "\"weight\":[0.0,1.5]},\"sources\":[\"adder\",\"reverser\"],\"start\":{\"density\":0.5,"
        "\"weight\":1.0}},\"models\":{\"adder\":\"models/adder\",\"base\":\"models/base\","
        "\"reverser\":\"models/reverser\"},\"objective\":\"weighted_mean\",\"optimizer\":{"
        "\"algorithm\":\"cma-es\",\"population\":\"auto\",\"restarts\":\"none\",\"sigma\":\"auto\"}"
        ",\"seed\":1,\"splits\":{\"report\":0.25,\"search\":0.5,\"select\":0.25},\"study\":"
        "\"two-trades\",\"tasks\":[{\"task\":\"a.yaml\",\"weight\":1.0}]}");
    free(text);
    study_release(&study);
}

/* Printed, parsed as text, read and printed: the same bytes. */
static void the_canonical_form_reads_back_to_the_same_study(void **state)
{
    const char *const patches[] = {
        "{}",
        "merge: {layers: each, components: [k_proj, rest]}",
        "merge: {layers: smooth 3, start: {weight: 0.3}, fixed: {lambda: -2.5}}",
        "objective: minimum\nbudget: {wall: 1500ms, until: ~, stagnation: ~}",
        "objective: pareto\noptimizer: {algorithm: ~}",
        "optimizer: {population: 24, sigma: 0.1}\nevaluator: {memory: 1001B, dtype: float32}",
        "evaluator: {numeric: amx1}",
        "tasks: [{task: sums, output_type: generate_until, data: s.jsonl, gold: a}]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
        struct study study = patched(patches[i]);
        struct study read = {0};
        struct err err = {0};
        json_t *doc = NULL;
        char *text = printed(&study);

        assert_int_equal(doc_parse(&doc, text, strlen(text), NULL), 0);
        if (study_parse(&read, doc, "/studies", &err) != 0) {
            fail_msg("%s", err.text);
        }
        char *again = printed(&read);

        assert_string_equal(again, text);
        assert_int_equal(read.merge.sources[1], study.merge.sources[1]);
        free(text);
        free(again);
        json_decref(doc);
        study_release(&study);
        study_release(&read);
    }
}

static void objectives_are_tasks_by_their_own_or_their_files_name(void **state)
{
    struct study all = patched("objective: pareto\noptimizer: {algorithm: ~}");
    struct study listed = patched("objective: {pareto: [reversal, tasks/addition.yaml]}\n"
                                  "optimizer: {algorithm: nsga-ii}");

    (void)state;
    assert_int_equal(all.objective, STUDY_PARETO);
    assert_string_equal(all.optimizer.algorithm, "auto");
    assert_int_equal(listed.n_objectives, 2);
    assert_int_equal(listed.objectives[0], 0);
    assert_int_equal(listed.objectives[1], 1);
    char *form = printed(&listed);

    assert_non_null(strstr(
        form, "\"objective\":{\"pareto\":[\"tasks/addition.yaml\",\"tasks/reversal.yaml\"]}"));
    free(form);
    study_release(&all);
    study_release(&listed);
}

static void the_order_of_keys_in_the_file_is_of_no_consequence(void **state)
{
    struct study plain = patched("{}");
    struct study study = {0};
    json_t *doc = cases_good("studies.txt");

    (void)state;
    /* Taken out and put back, a key comes last. */
    cases_patch_yaml(doc, "models: {adder: ~}\nmerge: {search: {weight: ~}}");
    cases_patch_yaml(doc, "models: {adder: models/adder}\nmerge: {search: {weight: [0, 1.5]}}");
    assert_int_equal(study_parse(&study, doc, "/studies", NULL), 0);
    assert_int_equal(study.merge.sources[0], plain.merge.sources[0]);
    assert_string_equal(study.models[0].name, "adder");
    assert_string_equal(study.merge.search[0].parameter->name, "weight");
    json_decref(doc);
    study_release(&study);
    study_release(&plain);
}

static void identity_of(const char *patch, char out[DIGEST_HEX])
{
    struct study study = patched(patch);

    study_identity(&study, out);
    study_release(&study);
}

static void a_longer_budget_is_the_same_study(void **state)
{
    char one[DIGEST_HEX];
    char other[DIGEST_HEX];

    (void)state;
    identity_of("{}", one);
    identity_of("budget: {evaluations: 600, wall: ~}", other);
    assert_string_equal(one, other);
}

static void the_same_study_in_another_folder_is_the_same(void **state)
{
    char one[DIGEST_HEX];
    char other[DIGEST_HEX];

    (void)state;
    identity_of("{}", one);
    identity_of("models: {base: /m/b, adder: /m/a, reverser: /m/r}\ntasks: [{task: "
                "/t/addition.yaml, metric: exact_match}, {task: ../reversal.yaml, weight: 2, "
                "limit: 400}]",
                other);
    assert_string_equal(one, other);
}

static void another_question_is_another_study(void **state)
{
    const char *const patches[] = {"seed: 8",
                                   "merge: {sources: [reverser, adder]}",
                                   "merge: {start: {weight: 0.9}}",
                                   "evaluator: {dtype: float32}",
                                   "evaluator: {numeric: amx1}",
                                   "tasks: [{task: tasks/addition.yaml}]"};
    char one[DIGEST_HEX];

    (void)state;
    identity_of("{}", one);
    for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
        char other[DIGEST_HEX];

        identity_of(patches[i], other);
        assert_string_not_equal(one, other);
    }
}

/* A task of a program may take longer, and who may search on a benchmark is no part of it. */
static void limits_and_leave_are_no_part_of_a_study(void **state)
{
    static const char task[] = "tasks: [{task: t, output_type: command, command: [run, a%s]%s}]%s";
    char patch[256], one[DIGEST_HEX], other[DIGEST_HEX];

    (void)state;
    snprintf(patch, sizeof(patch), task, "", "", "");
    identity_of(patch, one);
    snprintf(patch, sizeof(patch), task, "", ", timeout: 5m", "\nbenchmarks: allow");
    identity_of(patch, other);
    assert_string_equal(one, other);
    snprintf(patch, sizeof(patch), task, "b", "", "");
    identity_of(patch, other);
    assert_string_not_equal(one, other);
}

/* ---- files ---- */

static int load(const char *yaml, struct study *out, char **path, struct err *err)
{
    char *folder = support_temp_dir();

    support_write(folder, "s.yaml", yaml);
    *path = file_join(folder, "s.yaml");
    int rc = study_load(out, *path, err);

    support_remove_dir(folder);
    return rc;
}

static void a_file_is_named_in_front_of_the_key(void **state)
{
    struct study study = {0};
    struct err err = {0};
    char *path;

    (void)state;
    assert_int_equal(load("study: a\nmodels: {b: c}\nmerge: {metod: ties}\n", &study, &path, &err),
                     ERR_FORMAT);
    char *expected = mem_printf("%s: merge.metod: unknown key, did you mean method?", path);

    assert_string_equal(err.text, expected);
    free(expected);
    free(path);
}

static void a_file_that_is_no_mapping_is_refused(void **state)
{
    struct study study = {0};
    struct err err = {0};
    char *path;

    (void)state;
    assert_int_equal(load("- a\n- b\n", &study, &path, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "s.yaml: expected a mapping, got a list"));
    free(path);
    assert_int_equal(load("", &study, &path, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "s.yaml: expected a mapping, got null"));
    free(path);
}

static void a_file_that_is_no_yaml_or_not_there_is_refused(void **state)
{
    struct study study = {0};
    struct err err = {0};
    char *path;

    (void)state;
    assert_int_equal(load("study: [a\n", &study, &path, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "s.yaml: line "));
    assert_int_equal(study_load(&study, path, &err), ERR_MISSING);
    assert_non_null(strstr(err.text, "s.yaml"));
    assert_null(study.name);
    free(path);
}

static void paths_of_models_start_at_the_file(void **state)
{
    struct study study = patched("models: {adder: /models/adder}");
    char *base = study_model_path(&study, study.merge.base);
    char *adder = study_model_path(&study, study.merge.sources[0]);

    (void)state;
    assert_string_equal(base, "/studies/models/base");
    assert_string_equal(adder, "/models/adder");
    free(base);
    free(adder);
    study_release(&study);
}

static void the_examples_are_good_studies(void **state)
{
    const char *const names[] = {"demo", "ties", "hard"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *path = mem_printf("%s/../study/examples/%s.yaml", TESTS_DIR, names[i]);
        struct study study = {0};
        struct err err = {0};

        if (study_load(&study, path, &err) != 0) {
            fail_msg("%s", err.text);
        }
        for (size_t m = 0; m < study.n_models; m++) {
            char *folder = study_model_path(&study, m);

            assert_true(file_is_dir(folder));
            free(folder);
        }
        for (size_t t = 0; t < study.n_tasks; t++) {
            char *file = file_resolve(study.folder, study.tasks[t].path);

            assert_true(file_exists(file));
            free(file);
        }
        study_release(&study);
        free(path);
    }
}

/* The good study with this method, all its parameters searched, on a base or not. */
static json_t *study_of_method(const struct method *method, bool on_base)
{
    json_t *doc = cases_good("studies.txt");
    json_t *merge = json_object_get(doc, "merge");
    json_t *search = json_object();

    for (size_t p = 0; p < method->n_parameters; p++) {
        const struct method_parameter *parameter = &method->parameters[p];
        bool is_switch = parameter->kind == METHOD_BOOL;
        double lower = fmax(parameter->lower, 0.0);
        double upper = fmin(parameter->upper, lower + 1.0);

        json_object_set_new(search, parameter->name,
                            is_switch ? json_pack("[b, b]", 0, 1)
                                      : json_pack("[f, f]", lower, upper));
    }
    json_object_set_new(merge, "method", json_string(method->name));
    json_object_set_new(merge, "sources",
                        method->sources_max > 1 ? json_pack("[s, s]", "adder", "reverser")
                                                : json_pack("[s]", "adder"));
    json_object_set_new(merge, "search", search);
    json_object_del(merge, "fixed");
    if (!on_base) {
        json_object_del(merge, "base");
    }
    return doc;
}

static void any_method_may_be_studied_with_all_its_parameters(void **state)
{
    size_t n;
    const struct method *methods = method_list(&n);

    (void)state;
    for (size_t m = 0; m < n; m++) {
        for (int on_base = 0; on_base < 2; on_base++) {
            bool needs = methods[m].needs_base;
            bool may = on_base ? needs || methods[m].takes_base : !needs;
            json_t *doc = study_of_method(&methods[m], on_base);
            struct study study = {0};
            struct err err = {0};
            int rc = study_parse(&study, doc, "/studies", &err);

            if ((rc == 0) != may) {
                fail_msg("%s: %s", methods[m].name, rc != 0 ? err.text : "accepted");
            }
            assert_int_equal(study.merge.n_search, may ? methods[m].n_parameters : 0);
            study_release(&study);
            json_decref(doc);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_studies_are_told_what_is_wrong_and_where),
        cmocka_unit_test(any_method_may_be_studied_with_all_its_parameters),
        cmocka_unit_test(everything_in_the_file_is_kept),
        cmocka_unit_test(budgets_and_limits_are_in_plain_units),
        cmocka_unit_test(activations_are_shared_unless_it_says_no),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(optional_sections_may_be_empty),
        cmocka_unit_test(every_parameter_is_searched_or_fixed_in_the_tables_order),
        cmocka_unit_test(a_search_starts_at_the_default_or_in_the_middle),
        cmocka_unit_test(a_default_at_the_edge_is_no_start),
        cmocka_unit_test(a_start_of_ones_own_is_kept),
        cmocka_unit_test(layers_are_groups_or_each_or_smooth),
        cmocka_unit_test(a_text_that_is_no_component_is_a_filter),
        cmocka_unit_test(a_route_alone_has_its_defaults),
        cmocka_unit_test(what_a_route_says_is_kept_whatever_its_mode),
        cmocka_unit_test(a_printed_route_reads_back),
        cmocka_unit_test(a_task_may_stand_in_the_study_itself),
        cmocka_unit_test(splits_may_miss_one_by_a_rounding_error),
        cmocka_unit_test(the_canonical_form_spells_out_every_default),
        cmocka_unit_test(the_canonical_form_reads_back_to_the_same_study),
        cmocka_unit_test(objectives_are_tasks_by_their_own_or_their_files_name),
        cmocka_unit_test(the_order_of_keys_in_the_file_is_of_no_consequence),
        cmocka_unit_test(a_longer_budget_is_the_same_study),
        cmocka_unit_test(the_same_study_in_another_folder_is_the_same),
        cmocka_unit_test(another_question_is_another_study),
        cmocka_unit_test(limits_and_leave_are_no_part_of_a_study),
        cmocka_unit_test(a_file_is_named_in_front_of_the_key),
        cmocka_unit_test(a_file_that_is_no_mapping_is_refused),
        cmocka_unit_test(a_file_that_is_no_yaml_or_not_there_is_refused),
        cmocka_unit_test(paths_of_models_start_at_the_file),
        cmocka_unit_test(the_examples_are_good_studies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
