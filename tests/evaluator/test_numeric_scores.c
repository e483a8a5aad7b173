/*
 * Which arithmetic a candidate is scored in, with the matrix units' work done in plain C.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "evaluator/evaluator.h"
#include "evaluator/model/checkpoint.h"
#include "study/recipe.h"

#define EXAMPLES TESTS_DIR "/../study/examples/"

/* One model, thirty documents. */
static struct bundle bundle_in(enum numeric numeric)
{
    struct bundle bundle = {.study = mem_text("t"),
                            .shares = {1.0, 0.0, 0.0},
                            .numeric = numeric,
                            .n_models = 1,
                            .models = mem_array(1, sizeof(struct bundle_model)),
                            .n_tasks = 1,
                            .tasks = mem_array(1, sizeof(struct bundle_task))};
    struct bundle_model *model = &bundle.models[0];
    struct checkpoint *checkpoint = NULL;

    assert_int_equal(checkpoint_open(&checkpoint, EXAMPLES "models/adder", NULL), 0);
    *model =
        (struct bundle_model){.name = mem_text("m"), .path = mem_text(EXAMPLES "models/adder")};
    assert_int_equal(checkpoint_digest(checkpoint, model->digest, NULL), 0);
    checkpoint_close(checkpoint);
    bundle.tasks[0].limit = 30;
    assert_int_equal(task_load(&bundle.tasks[0].task, EXAMPLES "tasks/addition_choice.yaml", NULL),
                     0);
    return bundle;
}

/* The model as it is, rounded to dtype. */
static struct score score_of(enum numeric numeric, enum recipe_dtype dtype)
{
    struct bundle bundle = bundle_in(numeric);
    const char *digest = bundle.models[0].digest;
    const struct method *method = NULL;
    struct evaluator *evaluator = NULL;
    struct recipe recipe = {0};
    struct text text = {0};
    struct score score = {0};
    struct err err = {0};

    assert_int_equal(method_find(&method, "passthrough", NULL), 0);
    recipe_init(&recipe, method, dtype, 1, 6, &digest, 1, NULL);
    recipe_print(&text, &recipe);
    if (evaluator_open(&evaluator, &bundle, NULL, 0, &err) != 0 ||
        evaluator_run(evaluator, text_get(&text), text.size, SPLIT_ALL, &score, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(score.failure, SCORE_OK);
    evaluator_close(evaluator);
    recipe_release(&recipe);
    text_release(&text);
    bundle_release(&bundle);
    return score;
}

static void a_score_says_its_arithmetic(void **state)
{
    (void)state;
    struct score f32 = score_of(NUMERIC_F32, RECIPE_BFLOAT16);
    struct score amx2 = score_of(NUMERIC_AMX2, RECIPE_BFLOAT16);
    const struct score_task *task = &f32.tasks[0];

    assert_memory_equal(f32.path, "f32/", 4);
    assert_memory_equal(amx2.path, "amx2-emulated/", 14);
    assert_string_equal(f32.weights, amx2.weights);
    for (size_t i = 0; i < task->first[task->n]; i++) {
        double want = task->loglikelihoods[i];

        assert_true(fabs(amx2.tasks[0].loglikelihoods[i] - want) < 1e-5 * (1.0 + fabs(want)));
    }
    assert_memory_equal(task->values, amx2.tasks[0].values, sizeof(double)); /* accuracy */
    score_release(&f32);
    score_release(&amx2);
}

static void weights_that_are_no_bfloat16_are_scored_in_f32(void **state)
{
    (void)state;
    struct score f32 = score_of(NUMERIC_F32, RECIPE_FLOAT32);
    struct score amx2 = score_of(NUMERIC_AMX2, RECIPE_FLOAT32);
    const struct score_task *task = &f32.tasks[0];

    assert_string_equal(f32.path, amx2.path);
    assert_memory_equal(task->loglikelihoods, amx2.tasks[0].loglikelihoods,
                        task->first[task->n] * sizeof(double));
    score_release(&f32);
    score_release(&amx2);
}

static void a_bundle_carries_the_arithmetic(void **state)
{
    (void)state;
    const enum numeric all[] = {NUMERIC_F32, NUMERIC_AMX2, NUMERIC_AMX1};

    for (size_t i = 0; i < 3; i++) {
        struct bundle bundle = bundle_in(all[i]);
        struct bundle read = {0};
        json_t *doc = NULL;

        assert_int_equal(bundle_print(&bundle, &doc, NULL), 0);
        assert_int_equal(bundle_parse(&read, doc, NULL), 0);
        assert_int_equal(read.numeric, all[i]);
        json_decref(doc);
        bundle_release(&bundle);
        bundle_release(&read);
    }
}

static void an_arithmetic_from_elsewhere_is_refused_by_name(void **state)
{
    (void)state;
    struct bundle bundle = bundle_in(NUMERIC_F32);
    struct bundle read = {0};
    struct err err = {0};
    json_t *doc = NULL;

    assert_int_equal(bundle_print(&bundle, &doc, NULL), 0);
    json_object_set_new(doc, "numeric", json_string("sme2"));
    assert_int_equal(bundle_parse(&read, doc, &err), ERR_FORMAT);
    assert_string_equal(err.text, "bundle: numeric: 'sme2' is not known here");
    json_decref(doc);
    bundle_release(&bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_score_says_its_arithmetic),
        cmocka_unit_test(weights_that_are_no_bfloat16_are_scored_in_f32),
        cmocka_unit_test(a_bundle_carries_the_arithmetic),
        cmocka_unit_test(an_arithmetic_from_elsewhere_is_refused_by_name),
    };

    setenv("BRAID_TILES", "emulated", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
