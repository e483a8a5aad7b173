/*
 * Every family of architecture.h, from a folder to logits, against a twin that reads the folder and
 * computes with code of its own.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/model/forward.h"
#include "tests/support/families.h"
#include "tests/support/opened.h"
#include "tests/support/support.h"
#include "tests/support/twin.h"

#define TOKENS ((size_t)40)
#define SEQUENCES ((size_t)40)

static void draw_tokens(uint32_t *tokens, size_t n, uint32_t vocab, uint64_t seed)
{
    struct rng32 rng;

    rng32_seed(&rng, seed, 2);
    for (size_t i = 0; i < n; i++) {
        tokens[i] = rng32_below(&rng, vocab);
    }
}

/* Logits [TOKENS, V] of one sequence; the caller frees. */
static float *logits_of(const struct opened *opened, size_t vocab)
{
    uint32_t tokens[TOKENS];

    draw_tokens(tokens, TOKENS, (uint32_t)vocab, 5);
    return opened_logits(opened->forward, opened->weights, tokens, TOKENS);
}

static double error_of(const char *folder, const struct family_model *model)
{
    struct opened opened = opened_family(folder, model, 0);
    struct twin *twin = twin_of_folder(opened.path);
    float *got = logits_of(&opened, model->V);
    double *want = mem_array(TOKENS * model->V, sizeof(double));
    uint32_t tokens[TOKENS];
    double largest = 0.0;

    draw_tokens(tokens, TOKENS, (uint32_t)model->V, 5);
    twin_logits(twin, tokens, TOKENS, want);
    for (size_t i = 0; i < TOKENS * model->V; i++) {
        double error = fabs((double)got[i] - want[i]);

        largest = error <= largest ? largest : error; /* a NaN stays */
    }
    free(got);
    free(want);
    twin_free(twin);
    opened_close(&opened);
    return largest;
}

static void every_family_equals_its_twin(void **state)
{
    (void)state;
    char *folder = support_temp_dir();

    for (size_t m = 0; m < n_family_models; m++) {
        double error = error_of(folder, &family_models[m]);

        print_message("  %-24s largest error of a logit %.1e\n", family_models[m].name, error);
        if (!(error <= 1e-4)) {
            fail_msg("%s: a logit is %g off", family_models[m].name, error);
        }
    }
    support_remove_dir(folder);
}

/* ---- what config.json says matters ---- */

/* The largest difference of a logit between two models of the same weights. */
static double difference(const char *folder, const struct family_model *a,
                         const struct family_model *b)
{
    struct opened first = opened_family(folder, a, 0);
    struct opened second = opened_family(folder, b, 0);
    float *x = logits_of(&first, a->V);
    float *y = logits_of(&second, b->V);
    double largest = 0.0;

    for (size_t i = 0; i < TOKENS * a->V; i++) {
        largest = fmax(largest, fabs((double)x[i] - (double)y[i]));
    }
    free(x);
    free(y);
    opened_close(&first);
    opened_close(&second);
    return largest;
}

static void both_spellings_of_a_config_give_the_same_bits(void **state)
{
    (void)state;
    char *folder = support_temp_dir();

    assert_true(difference(folder, family_model("llama-3.1"), family_model("llama-3.1-new-keys")) ==
                0.0);
    assert_true(difference(folder, family_model("gemma3"), family_model("gemma3-new-keys")) == 0.0);
    support_remove_dir(folder);
}

/* A family's model with a member of its config replaced: the logits must move. */
static void assert_matters(const char *folder, const char *name, const char *old, const char *new)
{
    const struct family_model *model = family_model(name);
    struct family_model changed = *model;
    const char *at = strstr(model->config, old);

    assert_non_null(at);
    char *config =
        mem_printf("%.*s%s%s", (int)(at - model->config), model->config, new, at + strlen(old));
    changed.config = config;
    changed.name = "changed";
    if (!(difference(folder, model, &changed) > 1e-3)) {
        fail_msg("%s: %s instead of %s changes nothing", name, new, old);
    }
    free(config);
}

static void what_a_config_says_changes_the_logits(void **state)
{
    (void)state;
    char *folder = support_temp_dir();

    assert_matters(folder, "llama-3.1", "\"llama3\"", "\"default\"");
    assert_matters(folder, "llama-linear", "\"linear\"", "\"default\"");
    assert_matters(folder, "llama-yarn", "\"yarn\"", "\"default\"");
    assert_matters(folder, "mistral", "\"sliding_window\":7", "\"sliding_window\":8");
    assert_matters(folder, "qwen2-sliding", "\"max_window_layers\":1", "\"max_window_layers\":2");
    assert_matters(folder, "gemma2", "softcapping\":2.0", "softcapping\":2.5");
    assert_matters(folder, "gemma2", "softcapping\":3.0", "softcapping\":null");
    assert_matters(folder, "gemma2", "scalar\":24", "scalar\":16");
    assert_matters(folder, "gemma2", "\"sliding_window\":7", "\"sliding_window\":20");
    assert_matters(folder, "gemma3", "pattern\":3", "pattern\":2");
    assert_matters(folder, "gemma3", "base_freq\":100.0", "base_freq\":50.0");
    assert_matters(folder, "phi3-longrope", "[1.0,1.25", "[1.5,1.25");
    support_remove_dir(folder);
}

/* ---- a tree scores what its sequences score alone ---- */

struct sequences {
    uint32_t tokens[SEQUENCES][TOKENS];
    size_t n[SEQUENCES];
};

static void add_sequence(struct trie *trie, const struct sequences *all, size_t s)
{
    assert_int_equal(trie_add(trie, all->tokens[s], all->n[s], 1, s % 3 == 0, NULL), 0);
}

static void score(const struct opened *opened, struct trie *trie, struct forward_result *results)
{
    struct err err = {0};

    assert_int_equal(trie_finish(trie, &err), 0);
    if (forward_score(opened->forward, opened->weights, trie, results, &err) != 0) {
        fail_msg("%s: %s", opened->path, err.text);
    }
    trie_free(trie);
}

/* Sequences of few tokens share and part in many places. */
static void draw_sequences(struct sequences *all)
{
    for (size_t s = 0; s < SEQUENCES; s++) {
        draw_tokens(all->tokens[s], TOKENS, 2, 100 + s % 17);
        all->n[s] = 2 + s * 7 % (TOKENS - 1);
        all->tokens[s][all->n[s] - 1] = (uint32_t)s % 5;
    }
}

static void assert_same(const struct family_model *model, const struct forward_result *a,
                        const struct forward_result *b)
{
    if (memcmp(&a->loglikelihood, &b->loglikelihood, sizeof(double)) != 0 ||
        a->greedy != b->greedy || a->next != b->next) {
        fail_msg("%s: %.17g is not %.17g", model->name, a->loglikelihood, b->loglikelihood);
    }
}

static void a_tree_gives_each_sequence_the_bits_it_has_alone(void **state)
{
    (void)state;
    const size_t batches[] = {0, 1, 7};
    char *folder = support_temp_dir();
    struct sequences all;

    draw_sequences(&all);
    for (size_t m = 0; m < n_family_models; m++) {
        struct forward_result alone[SEQUENCES], together[SEQUENCES];

        for (size_t b = 0; b < 3; b++) {
            struct opened opened = opened_family(folder, &family_models[m], batches[b]);
            struct trie *tree = trie_new();

            for (size_t s = 0; s < SEQUENCES; s++) {
                struct trie *one = trie_new();

                add_sequence(tree, &all, s);
                add_sequence(one, &all, s);
                score(&opened, one, &alone[s]);
            }
            score(&opened, tree, together);
            for (size_t s = 0; s < SEQUENCES; s++) {
                assert_same(&family_models[m], &together[s], &alone[s]);
            }
            opened_close(&opened);
        }
    }
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_equals_its_twin),
        cmocka_unit_test(both_spellings_of_a_config_give_the_same_bits),
        cmocka_unit_test(what_a_config_says_changes_the_logits),
        cmocka_unit_test(a_tree_gives_each_sequence_the_bits_it_has_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
