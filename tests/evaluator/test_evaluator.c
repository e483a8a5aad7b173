#include "evaluator/evaluator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/export.h"
#include "evaluator/merge/plan.h"
#include "study/recipe.h"
#include "tests/support/support.h"

#define EXAMPLES TESTS_DIR "/../study/examples/"

/* A copy of an example model's folder with one piece of its config.json replaced. */
static char *copy_model(const char *folder, const char *name, const char *old, const char *new)
{
    static const char *const files[] = {"config.json", "model.safetensors", "tokenizer.json",
                                        "tokenizer_config.json"};
    char *to = file_join(folder, name);

    assert_int_equal(file_make_dirs(to, NULL), 0);
    for (size_t i = 0; i < 4; i++) {
        char *from = mem_printf(EXAMPLES "models/%s/%s", name, files[i]);
        struct file_bytes bytes = {0};

        assert_int_equal(file_read(&bytes, from, 1 << 24, NULL), 0);
        char *at = i == 0 ? strstr(bytes.data, old) : NULL;
        if (i == 0) {
            assert_non_null(at);
            char *changed =
                mem_printf("%.*s%s%s", (int)(at - bytes.data), bytes.data, new, at + strlen(old));
            support_write(to, files[i], changed);
            free(changed);
        } else {
            support_write_bytes(to, files[i], bytes.data, bytes.size);
        }
        file_release(&bytes);
        free(from);
    }
    return to;
}

static void add_model(struct bundle *bundle, const char *name, const char *path)
{
    struct bundle_model *model = &bundle->models[bundle->n_models++];
    struct checkpoint *checkpoint = NULL;

    assert_int_equal(checkpoint_open(&checkpoint, path, NULL), 0);
    *model = (struct bundle_model){.name = mem_text(name), .path = mem_text(path)};
    assert_int_equal(checkpoint_digest(checkpoint, model->digest, NULL), 0);
    checkpoint_close(checkpoint);
}

/* Up to two models and a short task. */
static struct bundle new_bundle(void)
{
    struct bundle bundle = {.study = mem_text("t"),
                            .shares = {1.0, 0.0, 0.0},
                            .models = mem_array(2, sizeof(struct bundle_model)),
                            .n_tasks = 1,
                            .tasks = mem_array(1, sizeof(struct bundle_task))};

    bundle.tasks[0].limit = 30;
    assert_int_equal(task_load(&bundle.tasks[0].task, EXAMPLES "tasks/addition_choice.yaml", NULL),
                     0);
    return bundle;
}

/* The uniform average of a bundle's models, or its only model as it is. */
static struct recipe recipe_of(const struct bundle *bundle)
{
    const char *digests[2] = {bundle->models[0].digest, bundle->models[1].digest};
    const struct method *method = NULL;
    struct recipe recipe = {0};

    assert_int_equal(method_find(&method, bundle->n_models == 1 ? "passthrough" : "linear", NULL),
                     0);
    recipe_init(&recipe, method, RECIPE_FLOAT32, 1, 6, digests, bundle->n_models, NULL);
    return recipe;
}

static struct score must_score(struct evaluator *evaluator, const struct recipe *recipe)
{
    struct text text = {0};
    struct score score = {0};
    struct err err = {0};

    recipe_print(&text, recipe);
    if (evaluator_run(evaluator, text_get(&text), text.size, SPLIT_ALL, &score, &err) != 0 ||
        score.failure != SCORE_OK) {
        fail_msg("%s%s", err.text, score.detail != NULL ? score.detail : "");
    }
    text_release(&text);
    return score;
}

static struct evaluator *open_evaluator(const struct bundle *bundle)
{
    struct evaluator *evaluator = NULL;
    struct err err = {0};

    if (evaluator_open(&evaluator, bundle, NULL, 0, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return evaluator;
}

/* Write the recipe's merge as a folder. */
static void export(const struct bundle *bundle, const struct recipe *recipe, const char *out)
{
    struct checkpoint *models[2] = {0};
    struct plan_model named[2];
    struct plan plan = {0};
    char weights[DIGEST_HEX];
    struct err err = {0};

    for (size_t i = 0; i < bundle->n_models; i++) {
        assert_int_equal(checkpoint_open(&models[i], bundle->models[i].path, &err), 0);
        named[i] = (struct plan_model){bundle->models[i].digest, models[i]};
    }
    if (plan_make(&plan, recipe, named, bundle->n_models, &err) != 0 ||
        export_write(&plan, out, NULL, 0, 0, NULL, weights, &err) != 0) {
        fail_msg("%s", err.text);
    }
    plan_release(&plan);
    checkpoint_close(models[0]);
    checkpoint_close(models[1]);
}

/* Takes the recipe over. */
static void assert_scores_as_its_export(const char *folder, struct bundle *bundle,
                                        struct recipe recipe)
{
    struct evaluator *evaluator = open_evaluator(bundle);
    struct score merged = must_score(evaluator, &recipe);
    struct score again = must_score(evaluator, &recipe);
    struct bundle alone = new_bundle();
    char *out = file_join(folder, "out");

    export(bundle, &recipe, out);
    add_model(&alone, "out", out);
    struct recipe itself = recipe_of(&alone);
    struct evaluator *other = open_evaluator(&alone);
    struct score exported = must_score(other, &itself);
    assert_true(merged.positions > 0 && merged.positions == exported.positions);
    assert_string_equal(merged.weights, exported.weights);
    assert_memory_equal(merged.tasks[0].document_values, exported.tasks[0].document_values,
                        merged.tasks[0].n * merged.tasks[0].n_metrics * sizeof(double));
    assert_memory_equal(merged.tasks[0].document_values, again.tasks[0].document_values,
                        merged.tasks[0].n * merged.tasks[0].n_metrics * sizeof(double));
    score_release(&merged);
    score_release(&again);
    score_release(&exported);
    evaluator_close(evaluator);
    evaluator_close(other);
    recipe_release(&recipe);
    recipe_release(&itself);
    bundle_release(&alone);
    free(out);
}

static void a_tied_model_and_one_with_a_head_score_as_their_export(void **state)
{
    (void)state;
    char *folder = support_temp_dir();
    char *tied = copy_model(folder, "base", "\"tie_word_embeddings\": false",
                            "\"tie_word_embeddings\": true");
    struct bundle bundle = new_bundle();

    add_model(&bundle, "tied", tied);
    add_model(&bundle, "adder", EXAMPLES "models/adder");
    assert_scores_as_its_export(folder, &bundle, recipe_of(&bundle));
    bundle_release(&bundle);
    free(tied);
    support_remove_dir(folder);
}

/* Through a merge and one of its sources, with a repeat and scales, a layer a hop. */
static void a_route_scores_as_its_export(void **state)
{
    (void)state;
    char *folder = support_temp_dir();
    struct bundle bundle = new_bundle();

    add_model(&bundle, "base", EXAMPLES "models/base");
    add_model(&bundle, "adder", EXAMPLES "models/adder");
    struct recipe recipe = recipe_of(&bundle);
    recipe_add_hop(&recipe, NULL, 0, 1.0);
    recipe_add_hop(&recipe, NULL, 1, 1.0);
    recipe_add_hop(&recipe, bundle.models[1].digest, 2, 1.5);
    recipe_add_hop(&recipe, NULL, 3, 0.8);
    recipe_add_hop(&recipe, NULL, 3, 1.0);
    recipe_add_hop(&recipe, NULL, 5, 1.0);
    assert_scores_as_its_export(folder, &bundle, recipe);
    bundle_release(&bundle);
    support_remove_dir(folder);
}

/* The first source gives the merged model its config, and is not the first model here. */
static void a_merge_runs_by_the_config_that_it_is_exported_with(void **state)
{
    (void)state;
    char *folder = support_temp_dir();
    char *slow = copy_model(folder, "base", "\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": 0.1");
    struct bundle bundle = new_bundle();

    add_model(&bundle, "adder", EXAMPLES "models/adder");
    add_model(&bundle, "slow", slow);
    struct bundle_model first = bundle.models[0];
    struct recipe recipe;
    struct evaluator *evaluator = open_evaluator(&bundle);

    bundle.n_models = 1;
    recipe = recipe_of(&bundle);
    struct score fast = must_score(evaluator, &recipe);
    recipe_release(&recipe);
    memcpy(bundle.models[0].digest, bundle.models[1].digest, DIGEST_HEX);
    recipe = recipe_of(&bundle);
    bundle.models[0] = first;
    bundle.n_models = 2;
    struct score other = must_score(evaluator, &recipe);
    recipe_release(&recipe);
    assert_true(memcmp(fast.tasks[0].values, other.tasks[0].values, sizeof(double)) != 0);
    struct bundle alone = new_bundle();
    add_model(&alone, "slow", slow);
    recipe = recipe_of(&alone);
    struct evaluator *itself = open_evaluator(&alone);
    struct score wanted = must_score(itself, &recipe);
    assert_memory_equal(other.tasks[0].document_values, wanted.tasks[0].document_values,
                        wanted.tasks[0].n * wanted.tasks[0].n_metrics * sizeof(double));
    score_release(&fast);
    score_release(&other);
    score_release(&wanted);
    recipe_release(&recipe);
    evaluator_close(evaluator);
    evaluator_close(itself);
    bundle_release(&bundle);
    bundle_release(&alone);
    free(slow);
    support_remove_dir(folder);
}

static void assert_same_scores(const struct score *a, const struct score *b)
{
    assert_int_equal(a->failure, SCORE_OK);
    assert_string_equal(a->weights, b->weights);
    assert_string_equal(a->path, b->path);
    assert_int_equal(a->positions, b->positions);
    assert_int_equal(a->n_tasks, b->n_tasks);
    for (size_t t = 0; t < a->n_tasks; t++) {
        size_t n = a->tasks[t].n * a->tasks[t].n_metrics;

        assert_memory_equal(a->tasks[t].document_values, b->tasks[t].document_values,
                            n * sizeof(double));
        assert_memory_equal(a->tasks[t].loglikelihoods, b->tasks[t].loglikelihoods,
                            a->tasks[t].first[a->tasks[t].n] * sizeof(double));
    }
}

/* All layers of the host, in order. */
static void the_identity_route_scores_as_the_plain_merge(void **state)
{
    (void)state;
    struct bundle bundle = new_bundle();

    add_model(&bundle, "base", EXAMPLES "models/base");
    add_model(&bundle, "adder", EXAMPLES "models/adder");
    struct recipe recipe = recipe_of(&bundle);
    struct evaluator *evaluator = open_evaluator(&bundle);
    struct evaluator *other = open_evaluator(&bundle);
    struct score plain = must_score(evaluator, &recipe);

    for (uint32_t layer = 0; layer < recipe.n_layers; layer++) {
        recipe_add_hop(&recipe, NULL, layer, 1.0);
    }
    struct score routed = must_score(other, &recipe);
    assert_same_scores(&routed, &plain);
    score_release(&plain);
    score_release(&routed);
    recipe_release(&recipe);
    evaluator_close(evaluator);
    evaluator_close(other);
    bundle_release(&bundle);
}

/* Two models, two tasks, so much memory. */
static struct bundle bundle_within(uint64_t memory)
{
    struct bundle bundle = new_bundle();

    bundle.tasks = mem_resize(bundle.tasks, 2, sizeof(struct bundle_task));
    bundle.tasks[1] = (struct bundle_task){.limit = 20};
    bundle.n_tasks = 2;
    assert_int_equal(task_load(&bundle.tasks[1].task, EXAMPLES "tasks/reversal.yaml", NULL), 0);
    add_model(&bundle, "adder", EXAMPLES "models/adder");
    add_model(&bundle, "reverser", EXAMPLES "models/reverser");
    bundle.memory = memory;
    return bundle;
}

static void a_score_does_not_depend_on_the_memory_it_gets(void **state)
{
    (void)state;
    const uint64_t memories[] = {0, 4 << 20, 5 << 20, 6 << 20, 1 << 30};
    struct score wanted = {0};
    size_t streamed = 0;

    for (size_t i = 0; i < 5; i++) {
        struct bundle bundle = bundle_within(memories[i]);
        struct recipe recipe = recipe_of(&bundle);
        struct evaluator *evaluator = open_evaluator(&bundle);
        struct text text = {0};
        struct score score = {0};
        struct err err = {0};

        recipe_print(&text, &recipe);
        for (size_t again = 0; again < 2; again++) {
            assert_int_equal(
                evaluator_run(evaluator, text_get(&text), text.size, SPLIT_ALL, &score, &err), 0);
            if (i == 0 && again == 0) {
                wanted = score;
                continue;
            }
            if (score.failure == SCORE_OOM) {
                assert_non_null(strstr(score.detail, "evaluator.memory"));
            } else {
                assert_same_scores(&score, &wanted);
                streamed += memories[i] > 0 && memories[i] < 1 << 30;
            }
            score_release(&score);
        }
        text_release(&text);
        recipe_release(&recipe);
        evaluator_close(evaluator);
        bundle_release(&bundle);
    }
    assert_true(streamed > 0);
    score_release(&wanted);
}

/* The uniform average but for its last layer, as two candidates. */
static void scores_are_the_same_whether_candidates_share_or_not(void **state)
{
    struct bundle bundles[2] = {bundle_within(0), bundle_within(0)};
    struct evaluator *evaluators[2];
    struct recipe recipe = recipe_of(&bundles[0]);
    struct score scores[2] = {0};

    (void)state;
    recipe_clear_groups(&recipe);
    recipe_add_group(&recipe, "all", 0, 5);
    recipe_add_group(&recipe, "all", 5, 6);
    bundles[1].prefix_cache_off = true;
    for (size_t e = 0; e < 2; e++) {
        evaluators[e] = open_evaluator(&bundles[e]);
    }
    for (size_t i = 0; i < 2; i++) {
        recipe.groups[1].source_values[0] = 1.0 + (double)i;
        for (size_t e = 0; e < 2; e++) {
            scores[e] = must_score(evaluators[e], &recipe);
        }
        assert_same_scores(&scores[0], &scores[1]);
        score_release(&scores[0]);
        score_release(&scores[1]);
    }
    assert_int_equal(evaluator_blocks(evaluators[0]) * 12, evaluator_blocks(evaluators[1]) * 7);
    for (size_t e = 0; e < 2; e++) {
        evaluator_close(evaluators[e]);
        bundle_release(&bundles[e]);
    }
    recipe_release(&recipe);
}

static void says_what_a_candidate_takes_before_it_runs(void **state)
{
    const uint64_t memories[] = {0, 6 << 20, 1000};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct bundle bundle = bundle_within(memories[i]);
        struct recipe recipe = recipe_of(&bundle);
        struct evaluator *evaluator = open_evaluator(&bundle);
        struct evaluator_needs needs = {0}, longer = {0};
        struct text text = {0};
        struct err err = {0};
        uint64_t positions = 0;

        recipe_print(&text, &recipe);
        int rc = evaluator_needs(evaluator, text_get(&text), text.size, SPLIT_ALL, 0, &needs, &err);
        assert_int_equal(rc, i == 2 ? ERR_MEMORY : 0);
        if (i < 2) {
            struct score score = must_score(evaluator, &recipe);

            assert_true(needs.streams == (i == 1));
            assert_true(i == 0 || needs.bytes + needs.kept <= memories[i]);
            assert_int_equal(score.positions, needs.positions);
            assert_int_equal(evaluator_try(evaluator, text_get(&text), text.size, SPLIT_ALL, 3,
                                           &positions, &err),
                             0);
            assert_true(positions > 0 && positions < needs.positions);
            assert_int_equal(
                evaluator_needs(evaluator, text_get(&text), text.size, SPLIT_ALL, 7, &longer, &err),
                0);
            assert_true(i == 1 || longer.bytes > needs.bytes); /* one layer more */
            score_release(&score);
        }
        text_release(&text);
        recipe_release(&recipe);
        evaluator_close(evaluator);
        bundle_release(&bundle);
    }
}

static void memory_that_holds_no_layer_is_named(void **state)
{
    (void)state;
    struct bundle bundle = bundle_within(1000);
    struct recipe recipe = recipe_of(&bundle);
    struct evaluator *evaluator = open_evaluator(&bundle);
    struct text text = {0};
    struct score score = {0};
    struct err err = {0};

    recipe_print(&text, &recipe);
    assert_int_equal(evaluator_run(evaluator, text_get(&text), text.size, SPLIT_ALL, &score, &err),
                     0);
    assert_int_equal(score.failure, SCORE_OOM);
    assert_non_null(strstr(score.detail, "more than the 0.0 MiB allowed"));
    score_release(&score);
    text_release(&text);
    recipe_release(&recipe);
    evaluator_close(evaluator);
    bundle_release(&bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tied_model_and_one_with_a_head_score_as_their_export),
        cmocka_unit_test(a_route_scores_as_its_export),
        cmocka_unit_test(the_identity_route_scores_as_the_plain_merge),
        cmocka_unit_test(a_merge_runs_by_the_config_that_it_is_exported_with),
        cmocka_unit_test(a_score_does_not_depend_on_the_memory_it_gets),
        cmocka_unit_test(scores_are_the_same_whether_candidates_share_or_not),
        cmocka_unit_test(says_what_a_candidate_takes_before_it_runs),
        cmocka_unit_test(memory_that_holds_no_layer_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
