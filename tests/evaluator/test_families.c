/*
 * Every family merged: what runs, resident or streamed, is what its export holds, and the export is
 * a folder that a reader of its own understands.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/engine.h"
#include "evaluator/merge/export.h"
#include "evaluator/model/forward.h"
#include "study/recipe.h"
#include "tests/evaluator/logits.h"
#include "tests/support/families.h"
#include "tests/support/support.h"
#include "tests/support/twin.h"

#define TOKENS ((size_t)24)

/* Two models of one family and the plan of their average. */
struct pair {
    struct checkpoint *models[2];
    char digests[2][DIGEST_HEX];
    struct recipe recipe;
    struct plan plan;
};

static void open_pair(struct pair *pair, const char *folder, const struct family_model *model)
{
    const char *digests[2] = {pair->digests[0], pair->digests[1]};
    const struct method *method = NULL;
    struct plan_model named[2];
    struct err err = {0};

    for (unsigned i = 0; i < 2; i++) {
        struct family_model one = *model;

        one.name = i == 0 ? "a" : "b";
        one.seed = i;
        char *path = family_model_write(folder, &one);
        if (checkpoint_open(&pair->models[i], path, &err) != 0) {
            fail_msg("%s: %s", model->name, err.text);
        }
        assert_int_equal(checkpoint_digest(pair->models[i], pair->digests[i], &err), 0);
        named[i] = (struct plan_model){pair->digests[i], pair->models[i]};
        free(path);
    }
    assert_int_equal(method_find(&method, "linear", &err), 0);
    recipe_init(&pair->recipe, method, RECIPE_BFLOAT16, 1, (uint32_t)model->L, digests, 2, NULL);
    if (plan_make(&pair->plan, &pair->recipe, named, 2, &err) != 0) {
        fail_msg("%s: %s", model->name, err.text);
    }
}

static void close_pair(struct pair *pair)
{
    plan_release(&pair->plan);
    recipe_release(&pair->recipe);
    checkpoint_close(pair->models[0]);
    checkpoint_close(pair->models[1]);
}

static void assert_equals_twin(const char *folder, const float *logits, const uint32_t *tokens,
                               size_t vocab)
{
    struct twin *twin = twin_of_folder(folder);
    double *want = mem_array(TOKENS * vocab, sizeof(double));

    twin_logits(twin, tokens, TOKENS, want);
    for (size_t i = 0; i < TOKENS * vocab; i++) {
        assert_true(fabs((double)logits[i] - want[i]) <= 1e-4);
    }
    free(want);
    twin_free(twin);
}

static void assert_merges(const char *folder, const struct family_model *model)
{
    const size_t bytes = TOKENS * model->V * sizeof(float);
    uint32_t tokens[TOKENS];
    struct pair pair = {0};
    char measured[DIGEST_HEX];
    char streamed[DIGEST_HEX];
    char written[DIGEST_HEX];
    char reopened[DIGEST_HEX];
    struct err err = {0};

    for (uint32_t t = 0; t < TOKENS; t++) {
        tokens[t] = t * 7 % (uint32_t)model->V;
    }
    open_pair(&pair, folder, model);
    float *resident = logits_of_plan(&pair.plan, false, tokens, TOKENS, measured);
    float *by_layer = logits_of_plan(&pair.plan, true, tokens, TOKENS, streamed);
    char *out = mem_printf("%s/%s-merged", folder, model->name);
    if (export_write(&pair.plan, out, NULL, 0, 0, measured, written, &err) != 0) {
        fail_msg("%s: %s", model->name, err.text);
    }
    float *exported = logits_of_folder(out, tokens, TOKENS, reopened);
    assert_memory_equal(by_layer, resident, bytes);
    assert_memory_equal(exported, resident, bytes);
    assert_string_equal(streamed, measured);
    assert_string_equal(reopened, measured);
    assert_equals_twin(out, resident, tokens, model->V);
    free(resident);
    free(by_layer);
    free(exported);
    free(out);
    close_pair(&pair);
}

static void a_merge_of_any_family_runs_as_its_export(void **state)
{
    (void)state;
    char *folder = support_temp_dir();

    for (size_t m = 0; m < n_family_models; m++) {
        assert_merges(folder, &family_models[m]);
    }
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_merge_of_any_family_runs_as_its_export),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
