/*
 * The arithmetics against each other on example models, with the matrix units' work done in plain
 * C.
 */
#include "evaluator/model/numeric.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/gemm.h"

#define SEQUENCES ((size_t)6)
#define TOKENS ((size_t)24)

static const char *const folders[] = {TESTS_DIR "/../study/examples/models/adder",
                                      TESTS_DIR "/golden/zoo/random-qwen2"};

#define FOLDERS (sizeof(folders) / sizeof(folders[0]))

struct opened {
    struct checkpoint *checkpoint;
    struct weights *weights[NUMERIC_N]; /* in each arithmetic that is available */
    struct weights *brains;             /* in f32, held as bfloat16 */
    const struct config *config;
};

static struct opened open_model(const char *folder)
{
    struct opened opened = {0};
    struct err err = {0};
    int rc = checkpoint_open(&opened.checkpoint, folder, &err);

    if (rc == 0) {
        opened.config = checkpoint_config(opened.checkpoint);
    }
    for (int i = 0; i < NUMERIC_N && rc == 0; i++) {
        if (numeric_available((enum numeric)i)) {
            rc = weights_new_on(&opened.weights[i], opened.config,
                                (struct gemm_kind){(enum numeric)i, false}, &err);
        }
        if (rc == 0 && opened.weights[i] != NULL) {
            rc = weights_load(opened.weights[i], opened.checkpoint, &err);
        }
    }
    if (rc == 0) {
        rc = weights_new_on(&opened.brains, opened.config, (struct gemm_kind){NUMERIC_F32, true},
                            &err);
    }
    if (rc == 0) {
        rc = weights_load(opened.brains, opened.checkpoint, &err);
    }
    if (rc != 0) {
        fail_msg("%s: %s", folder, err.text);
    }
    return opened;
}

static void close_model(struct opened *opened)
{
    for (int i = 0; i < NUMERIC_N; i++) {
        weights_free(opened->weights[i]);
    }
    weights_free(opened->brains);
    checkpoint_close(opened->checkpoint);
}

/* Random sequences, of which all or one; every token but the first is scored. */
static struct trie *sequences(const struct config *config, size_t first, size_t n)
{
    struct trie *trie = trie_new();
    uint32_t tokens[TOKENS];
    struct rng32 rng;

    for (size_t s = first; s < first + n; s++) {
        rng32_seed(&rng, s, 2);
        for (size_t i = 0; i < TOKENS; i++) {
            tokens[i] = i < 8 ? (uint32_t)i : rng32_below(&rng, config->vocab);
        }
        assert_int_equal(trie_add(trie, tokens, TOKENS, 1, true, NULL), 0);
    }
    assert_int_equal(trie_finish(trie, NULL), 0);
    return trie;
}

/* positions_max as in forward_new. */
static void score(const struct opened *opened, enum numeric numeric, size_t positions_max,
                  const struct trie *trie, struct forward_result *results)
{
    struct forward *forward = NULL;
    struct err err = {0};
    int rc = forward_new_on(&forward, opened->config, numeric, positions_max, &err);

    if (rc == 0) {
        rc = forward_score(forward, opened->weights[numeric], trie, results, &err);
    }
    if (rc != 0) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(forward_path(forward), gemm_path(numeric));
    forward_free(forward);
}

static void weights_held_as_bfloat16_score_the_same_in_f32(void **state)
{
    (void)state;
    for (size_t f = 0; f < FOLDERS; f++) {
        struct opened opened = open_model(folders[f]);
        struct trie *trie = sequences(opened.config, 0, SEQUENCES);
        struct forward_result want[SEQUENCES], got[SEQUENCES];
        struct weights *floats = opened.weights[NUMERIC_F32];

        score(&opened, NUMERIC_F32, 0, trie, want);
        opened.weights[NUMERIC_F32] = opened.brains;
        score(&opened, NUMERIC_F32, 0, trie, got);
        opened.weights[NUMERIC_F32] = floats;
        for (size_t s = 0; s < SEQUENCES; s++) {
            assert_memory_equal(&got[s].loglikelihood, &want[s].loglikelihood, sizeof(double));
            assert_int_equal(got[s].next, want[s].next);
        }
        trie_free(trie);
        close_model(&opened);
    }
}

/* The largest difference of a log-likelihood from f32's, relative to it. */
static double largest_difference(const char *folder, enum numeric numeric, bool same_choices)
{
    struct opened opened = open_model(folder);
    struct trie *trie = sequences(opened.config, 0, SEQUENCES);
    struct forward_result f32[SEQUENCES], got[SEQUENCES];
    double largest = 0.0;

    score(&opened, NUMERIC_F32, 0, trie, f32);
    score(&opened, numeric, 0, trie, got);
    for (size_t s = 0; s < SEQUENCES; s++) {
        double off = fabs(got[s].loglikelihood / f32[s].loglikelihood - 1.0);

        largest = off <= largest ? largest : off; /* a NaN stays */
        if (same_choices) {
            assert_int_equal(got[s].greedy, f32[s].greedy);
            assert_int_equal(got[s].next, f32[s].next);
        }
    }
    trie_free(trie);
    close_model(&opened);
    return largest;
}

static void amx2_gives_the_log_likelihoods_of_f32(void **state)
{
    (void)state;
    for (size_t f = 0; f < FOLDERS; f++) {
        double largest = largest_difference(folders[f], NUMERIC_AMX2, true);

        assert_true(largest > 0.0 && largest < 1e-5);
    }
}

/* Activations keep 8 of 24 bits. */
static void amx1_gives_them_roughly(void **state)
{
    (void)state;
    for (size_t f = 0; f < FOLDERS; f++) {
        double largest = largest_difference(folders[f], NUMERIC_AMX1, false);

        assert_true(largest > 1e-5 && largest < 5e-3);
    }
}

static void a_sequence_scores_the_same_in_any_company(void **state)
{
    (void)state;
    struct opened opened = open_model(folders[0]);
    struct trie *trie = sequences(opened.config, 0, SEQUENCES);
    struct forward_result all[SEQUENCES], batched[SEQUENCES], alone;

    score(&opened, NUMERIC_AMX2, 0, trie, all);
    score(&opened, NUMERIC_AMX2, 13, trie, batched);
    for (size_t s = 0; s < SEQUENCES; s++) {
        struct trie *one = sequences(opened.config, s, 1);

        score(&opened, NUMERIC_AMX2, 0, one, &alone);
        assert_memory_equal(&alone.loglikelihood, &all[s].loglikelihood, sizeof(double));
        assert_memory_equal(&batched[s].loglikelihood, &all[s].loglikelihood, sizeof(double));
        trie_free(one);
    }
    trie_free(trie);
    close_model(&opened);
}

static void packed_weights_take_half_the_memory(void **state)
{
    (void)state;
    const struct gemm_kind kinds[] = {{NUMERIC_AMX2, true}, {NUMERIC_F32, true}};
    const struct gemm_kind f32 = {NUMERIC_F32, false};
    struct opened opened = open_model(folders[0]);

    for (size_t i = 0; i < 2; i++) {
        const struct weights_form form = {kinds[i], DTYPE_BF16};
        const struct weights_form whole = {f32, DTYPE_BF16};

        assert_int_equal(gemm_packed_floats(kinds[i], 4096, 2048),
                         gemm_packed_floats(f32, 4096, 2048) / 2);
        assert_true((double)weights_bytes(opened.config, form) <
                    0.6 * (double)weights_bytes(opened.config, whole));
    }
    close_model(&opened);
}

static void names_go_both_ways(void **state)
{
    (void)state;
    enum numeric numeric = NUMERIC_F32;

    for (int i = 0; i < NUMERIC_N; i++) {
        assert_true(numeric_parse(numeric_name((enum numeric)i), &numeric));
        assert_int_equal(numeric, i);
    }
    assert_false(numeric_parse("amx3", &numeric));
    assert_false(numeric_parse("auto", &numeric));
}

static void amx2_is_the_default_where_there_are_matrix_units(void **state)
{
    (void)state;
    assert_true(numeric_available(NUMERIC_AMX1));
    assert_int_equal(numeric_best(), NUMERIC_AMX2);
    assert_memory_equal(gemm_path(NUMERIC_AMX2), "amx2-emulated/", 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_held_as_bfloat16_score_the_same_in_f32),
        cmocka_unit_test(amx2_gives_the_log_likelihoods_of_f32),
        cmocka_unit_test(amx1_gives_them_roughly),
        cmocka_unit_test(a_sequence_scores_the_same_in_any_company),
        cmocka_unit_test(packed_weights_take_half_the_memory),
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(amx2_is_the_default_where_there_are_matrix_units),
    };

    setenv("BRAID_TILES", "emulated", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
