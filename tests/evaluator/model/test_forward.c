#include "evaluator/model/forward.h"

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
#include "tests/support/twin.h"

static void draw_tokens(uint32_t *tokens, size_t n, uint32_t vocab, uint64_t seed)
{
    struct rng32 rng;

    rng32_seed(&rng, seed, 2);
    for (size_t i = 0; i < n; i++) {
        tokens[i] = rng32_below(&rng, vocab);
    }
}

static struct forward *forward_for(const struct config *config, size_t positions_max)
{
    struct forward *forward = NULL;
    struct err err;

    assert_int_equal(forward_new(&forward, config, positions_max, &err), 0);
    return forward;
}

static void finish(struct trie *trie)
{
    struct err err;

    assert_int_equal(trie_finish(trie, &err), 0);
}

static void score(struct forward *forward, const struct weights *weights, const struct trie *trie,
                  struct forward_result *results)
{
    struct err err;

    if (forward_score(forward, weights, trie, results, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static void assert_same_results(const struct forward_result *a, const struct forward_result *b,
                                size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_memory_equal(&a[i].loglikelihood, &b[i].loglikelihood, sizeof(double));
        assert_int_equal(a[i].greedy, b[i].greedy);
        assert_int_equal(a[i].next, b[i].next);
    }
}

/* ---- against the slow twin ---- */

/* Every logit of one random sequence. */
static void assert_equals_twin(const struct config *config, size_t n)
{
    struct twin *twin = twin_new(config, n);
    struct weights *weights = twin_weights(twin);
    struct forward *forward = forward_for(config, 0);
    uint32_t *tokens = mem_array(n, sizeof(uint32_t));
    double *want = mem_array(n * config->vocab, sizeof(double));
    float *got = mem_array(n * config->vocab, sizeof(float));
    struct err err;

    draw_tokens(tokens, n, config->vocab, n);
    twin_logits(twin, tokens, n, want);
    assert_int_equal(forward_logits(forward, weights, tokens, n, got, &err), 0);
    for (size_t i = 0; i < n * config->vocab; i++) {
        if (!(fabs((double)got[i] - want[i]) <= 2e-5)) {
            fail_msg("logit %zu: %.9g is not %.9g", i, (double)got[i], want[i]);
        }
    }
    free(tokens);
    free(want);
    free(got);
    forward_free(forward);
    weights_free(weights);
    twin_free(twin);
}

static void llama_equals_its_twin(void **state)
{
    (void)state;
    const struct config config = twin_config();

    assert_equals_twin(&config, 1);
    assert_equals_twin(&config, 37);
}

static void grouped_queries_equal_their_twin(void **state)
{
    (void)state;
    struct config config = twin_config();

    config.n_kv_heads = 2;
    assert_equals_twin(&config, 30);
}

static void biases_everywhere_equal_their_twin(void **state)
{
    (void)state;
    struct config config = twin_config();

    config.qkv_bias = config.out_bias = config.mlp_bias = true;
    assert_equals_twin(&config, 30);
}

static void qwen2_equals_its_twin(void **state)
{
    (void)state;
    struct config config = twin_config();

    config.family = CONFIG_QWEN2;
    config.n_kv_heads = 3;
    config.qkv_bias = true;
    config.tied = true;
    config.norm_eps = 1e-6;
    config.rope.theta = 1e6;
    assert_equals_twin(&config, 30);
}

static void heads_need_not_add_up_to_the_width(void **state)
{
    (void)state;
    struct config config = twin_config();

    config.n_heads = 4;
    config.n_kv_heads = 2;
    config.head_width = 20;
    assert_equals_twin(&config, 30);
}

static void scaled_rotary_angles_equal_their_twin(void **state)
{
    (void)state;
    struct config config = twin_config();

    config.rope.kind = CONFIG_ROPE_LINEAR;
    config.rope.factor = 4.0;
    assert_equals_twin(&config, 30);
    config.rope.kind = CONFIG_ROPE_LLAMA3;
    config.rope.factor = 8.0;
    config.rope.low_freq_factor = 1.0;
    config.rope.high_freq_factor = 4.0;
    config.rope.original_positions = 64.0;
    assert_equals_twin(&config, 30);
}

static void a_vocabulary_of_several_panels_equals_its_twin(void **state)
{
    (void)state;
    struct config config = twin_config();

    config.n_layers = 1;
    config.vocab = 2500;
    assert_equals_twin(&config, 9);
}

static void sequences_longer_than_a_chunk_equal_their_twin(void **state)
{
    (void)state;
    struct config config = twin_config();

    config.n_layers = 1;
    config.n_heads = config.n_kv_heads = 2;
    assert_equals_twin(&config, 600);
}

static void scores_equal_the_twins(void **state)
{
    (void)state;
    struct config config = twin_config();

    config.vocab = 1500; /* two panels */
    struct twin *twin = twin_new(&config, 8);
    struct weights *weights = twin_weights(twin);
    struct forward *forward = forward_for(&config, 0);
    struct trie *trie = trie_new();
    struct forward_result results[6];
    uint32_t tokens[6][20];

    for (size_t s = 0; s < 6; s++) {
        draw_tokens(tokens[s], 20, config.vocab, s);
        memcpy(tokens[s], tokens[0], s * sizeof(uint32_t)); /* shares s tokens with the first */
        assert_int_equal(trie_add(trie, tokens[s], 20 - s, 1 + s, false, NULL), 0);
    }
    finish(trie);
    score(forward, weights, trie, results);
    for (size_t s = 0; s < 6; s++) {
        double want = twin_loglikelihood(twin, tokens[s], 20 - s, 1 + s);

        assert_true(fabs(results[s].loglikelihood - want) <= 1e-5 * fabs(want));
        assert_int_equal(results[s].next, TRIE_NONE);
    }
    trie_free(trie);
    forward_free(forward);
    weights_free(weights);
    twin_free(twin);
}

/* ---- what a score does not depend on ---- */

struct bench {
    struct config config;
    struct twin *twin;
    struct weights *weights;
    struct trie *trie;
    uint32_t tokens[60][24];
    size_t n[60];
};

/* Sixty sequences over few tokens, so that they share and part in many places. */
static void setup(struct bench *bench)
{
    *bench = (struct bench){.config = twin_config(), .trie = trie_new()};
    bench->config.n_kv_heads = 2;
    bench->twin = twin_new(&bench->config, 3);
    bench->weights = twin_weights(bench->twin);
    for (size_t s = 0; s < 60; s++) {
        draw_tokens(bench->tokens[s], 24, 3, 1000 + s % 37);
        bench->n[s] = 2 + s * 7 % 22;
        assert_int_equal(
            trie_add(bench->trie, bench->tokens[s], bench->n[s], 1 + s % 2, s % 3 == 0, NULL), 0);
    }
    finish(bench->trie);
}

static void teardown(struct bench *bench)
{
    trie_free(bench->trie);
    weights_free(bench->weights);
    twin_free(bench->twin);
}

static void a_score_does_not_depend_on_the_other_sequences(void **state)
{
    (void)state;
    struct bench bench;
    struct forward_result together[60], alone;

    setup(&bench);
    struct forward *forward = forward_for(&bench.config, 0);
    score(forward, bench.weights, bench.trie, together);
    for (size_t s = 0; s < 60; s++) {
        struct trie *trie = trie_new();

        trie_add(trie, bench.tokens[s], bench.n[s], 1 + s % 2, s % 3 == 0, NULL);
        finish(trie);
        score(forward, bench.weights, trie, &alone);
        assert_same_results(&alone, &together[s], 1);
        trie_free(trie);
    }
    forward_free(forward);
    teardown(&bench);
}

static void a_score_does_not_depend_on_the_size_of_batches(void **state)
{
    (void)state;
    const size_t sizes[] = {1, 2, 7, 50, 100000};
    struct bench bench;
    struct forward_result want[60], got[60];

    setup(&bench);
    struct forward *whole = forward_for(&bench.config, 0);
    score(whole, bench.weights, bench.trie, want);
    for (size_t i = 0; i < 5; i++) {
        struct forward *forward = forward_for(&bench.config, sizes[i]);

        score(forward, bench.weights, bench.trie, got);
        assert_same_results(got, want, 60);
        assert_int_equal(forward_positions(forward), trie_positions(bench.trie));
        forward_free(forward);
    }
    forward_free(whole);
    teardown(&bench);
}

static void scoring_again_gives_the_same_bits(void **state)
{
    (void)state;
    struct bench bench;
    struct forward_result first[60], second[60];

    setup(&bench);
    struct forward *forward = forward_for(&bench.config, 0);
    score(forward, bench.weights, bench.trie, first);
    score(forward, bench.weights, bench.trie, second);
    assert_same_results(first, second, 60);
    assert_int_equal(forward_positions(forward), 2 * trie_positions(bench.trie));
    forward_free(forward);
    teardown(&bench);
}

static void nothing_is_allocated_after_the_first_candidate(void **state)
{
    (void)state;
    struct bench bench;
    struct forward_result results[60];

    setup(&bench);
    struct forward *forward = forward_for(&bench.config, 0);
    score(forward, bench.weights, bench.trie, results);
    mem_fail_after(0);
    score(forward, bench.weights, bench.trie, results);
    mem_fail_after(-1);
    forward_free(forward);
    teardown(&bench);
}

/* ---- greedy and next ---- */

static void the_most_likely_continuation_is_greedy(void **state)
{
    (void)state;
    const struct config config = twin_config();
    struct twin *twin = twin_new(&config, 4);
    struct weights *weights = twin_weights(twin);
    struct forward *forward = forward_for(&config, 0);
    uint32_t tokens[8] = {1, 2, 3};
    struct forward_result result;

    /* Grow the sequence by its own most likely tokens, then ask whether they are. */
    for (size_t n = 3; n < 8; n++) {
        struct trie *trie = trie_new();

        trie_add(trie, tokens, n, n, true, NULL);
        finish(trie);
        score(forward, weights, trie, &result);
        assert_true(result.greedy && result.loglikelihood == 0.0);
        tokens[n] = result.next;
        trie_free(trie);
    }
    struct trie *trie = trie_new();
    struct forward_result both[2];
    trie_add(trie, tokens, 8, 3, false, NULL);
    tokens[5] = (tokens[5] + 1) % config.vocab;
    trie_add(trie, tokens, 8, 3, false, NULL);
    finish(trie);
    score(forward, weights, trie, both);
    assert_true(both[0].greedy);
    assert_false(both[1].greedy);
    trie_free(trie);
    forward_free(forward);
    weights_free(weights);
    twin_free(twin);
}

static void of_equal_logits_the_lowest_token_is_the_most_likely(void **state)
{
    (void)state;
    struct config config = twin_config();

    config.vocab = 1100;
    struct twin *twin = twin_new(&config, 4);
    struct weights *weights = twin_weights(twin);
    struct forward *forward = forward_for(&config, 0);
    struct trie *trie = trie_new();
    const uint32_t tokens[] = {1, 0};
    struct forward_result result;

    float *zeros = mem_array(1100 * 48, sizeof(float));

    assert_true(weights_fill(weights, TENSOR_HEAD, 0, zeros, DTYPE_F32));
    free(zeros);
    trie_add(trie, tokens, 2, 1, true, NULL);
    finish(trie);
    score(forward, weights, trie, &result);
    assert_int_equal(result.next, 0);
    assert_true(result.greedy);
    assert_true(fabs(result.loglikelihood + log(1100.0)) < 1e-6);
    trie_free(trie);
    forward_free(forward);
    weights_free(weights);
    twin_free(twin);
}

static void an_empty_trie_has_no_results(void **state)
{
    (void)state;
    struct bench bench;
    struct trie *trie = trie_new();

    setup(&bench);
    struct forward *forward = forward_for(&bench.config, 0);
    finish(trie);
    score(forward, bench.weights, trie, NULL);
    assert_int_equal(forward_positions(forward), 0);
    trie_free(trie);
    forward_free(forward);
    teardown(&bench);
}

/* ---- failing ---- */

/* Score with one weight spoilt; the error's text must begin so, and results stay. */
static void assert_spoilt(enum tensor_role role, uint32_t layer, float value, const char *text)
{
    struct bench bench;
    struct forward_result results[60] = {{.loglikelihood = 42.0}};
    struct err err;

    setup(&bench);
    struct forward *forward = forward_for(&bench.config, 0);
    twin_spoil(bench.twin, bench.weights, role, layer, value);
    assert_int_equal(forward_score(forward, bench.weights, bench.trie, results, &err), ERR_NUMERIC);
    assert_string_equal(err.text, text);
    assert_true(results[0].loglikelihood == 42.0);
    forward_free(forward);
    teardown(&bench);
}

static void numbers_that_are_not_finite_name_their_place(void **state)
{
    (void)state;
    assert_spoilt(TENSOR_EMBEDDING, 0, NAN, "embeddings are not finite");
    assert_spoilt(TENSOR_V, 1, NAN, "layer 1: attention gave numbers that are not finite");
    assert_spoilt(TENSOR_O, 2, INFINITY, "layer 2: attention gave numbers that are not finite");
    assert_spoilt(TENSOR_DOWN, 0, INFINITY, "layer 0: MLP gave numbers that are not finite");
    assert_spoilt(TENSOR_UP, 2, NAN, "layer 2: MLP gave numbers that are not finite");
    assert_spoilt(TENSOR_HEAD, 0, NAN, "logits are not finite");
    assert_spoilt(TENSOR_FINAL_NORM, 0, INFINITY, "logits are not finite");
}

static void the_next_candidate_does_not_inherit_the_damage(void **state)
{
    (void)state;
    struct bench bench;
    struct forward_result want[60], got[60];

    setup(&bench);
    struct forward *forward = forward_for(&bench.config, 7);
    score(forward, bench.weights, bench.trie, want);
    twin_spoil(bench.twin, bench.weights, TENSOR_V, 1, NAN);
    assert_int_equal(forward_score(forward, bench.weights, bench.trie, got, NULL), ERR_NUMERIC);
    weights_free(bench.weights);
    bench.weights = twin_weights(bench.twin);
    score(forward, bench.weights, bench.trie, got);
    assert_same_results(got, want, 60);
    forward_free(forward);
    teardown(&bench);
}

static void a_token_outside_the_vocabulary_is_refused(void **state)
{
    (void)state;
    struct bench bench;
    struct trie *trie = trie_new();
    const uint32_t tokens[] = {1, 50};
    struct forward_result result;
    struct err err;

    setup(&bench);
    struct forward *forward = forward_for(&bench.config, 0);
    trie_add(trie, tokens, 2, 1, false, NULL);
    finish(trie);
    assert_int_equal(forward_score(forward, bench.weights, trie, &result, &err), ERR_LIMIT);
    assert_string_equal(err.text, "token 50 is outside the vocabulary of 50");
    trie_free(trie);
    forward_free(forward);
    teardown(&bench);
}

static void sequences_beyond_what_the_model_can_place_are_refused(void **state)
{
    (void)state;
    struct config config = twin_config();
    struct twin *twin = twin_new(&config, 1);
    struct weights *weights = twin_weights(twin);
    struct trie *trie = trie_new();
    uint32_t tokens[12] = {0};
    struct forward_result result;

    trie_add(trie, tokens, 12, 1, false, NULL);
    finish(trie);
    config.rope.kind = CONFIG_ROPE_DYNAMIC;
    config.positions = 10;
    struct forward *dynamic = forward_for(&config, 0);
    assert_int_equal(forward_score(dynamic, weights, trie, &result, NULL), ERR_LIMIT);
    config.rope.kind = CONFIG_ROPE_LONGROPE;
    config.rope.original_positions = 10;
    struct forward *longrope = forward_for(&config, 0);
    assert_int_equal(forward_score(longrope, weights, trie, &result, NULL), ERR_LIMIT);
    forward_free(dynamic);
    forward_free(longrope);
    trie_free(trie);
    weights_free(weights);
    twin_free(twin);
}

static void models_that_cannot_run_are_refused(void **state)
{
    (void)state;
    struct config config = twin_config();
    struct forward *forward = NULL;
    struct err err;

    config.head_width = 7;
    assert_int_equal(forward_new(&forward, &config, 0, &err), ERR_FORMAT);
    config = twin_config();
    config.activation = CONFIG_ACTIVATION_OTHER;
    assert_int_equal(forward_new(&forward, &config, 0, &err), ERR_FORMAT);
    assert_null(forward);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct bench bench;
    struct forward_result results[60];
    int rc = ERR_MEMORY;
    long k = 0;

    setup(&bench);
    for (; rc != 0; k++) {
        struct forward *forward = NULL;

        mem_fail_after(k);
        rc = forward_new(&forward, &bench.config, 0, NULL);
        if (rc == 0) {
            rc = forward_score(forward, bench.weights, bench.trie, results, NULL);
        }
        mem_fail_after(-1);
        assert_true(rc == 0 || rc == ERR_MEMORY);
        if (forward != NULL && rc != 0) { /* once there is memory again, it works */
            score(forward, bench.weights, bench.trie, results);
        }
        forward_free(forward);
    }
    assert_true(k > 5);
    teardown(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama_equals_its_twin),
        cmocka_unit_test(grouped_queries_equal_their_twin),
        cmocka_unit_test(biases_everywhere_equal_their_twin),
        cmocka_unit_test(qwen2_equals_its_twin),
        cmocka_unit_test(heads_need_not_add_up_to_the_width),
        cmocka_unit_test(scaled_rotary_angles_equal_their_twin),
        cmocka_unit_test(a_vocabulary_of_several_panels_equals_its_twin),
        cmocka_unit_test(sequences_longer_than_a_chunk_equal_their_twin),
        cmocka_unit_test(scores_equal_the_twins),
        cmocka_unit_test(a_score_does_not_depend_on_the_other_sequences),
        cmocka_unit_test(a_score_does_not_depend_on_the_size_of_batches),
        cmocka_unit_test(scoring_again_gives_the_same_bits),
        cmocka_unit_test(nothing_is_allocated_after_the_first_candidate),
        cmocka_unit_test(the_most_likely_continuation_is_greedy),
        cmocka_unit_test(of_equal_logits_the_lowest_token_is_the_most_likely),
        cmocka_unit_test(an_empty_trie_has_no_results),
        cmocka_unit_test(numbers_that_are_not_finite_name_their_place),
        cmocka_unit_test(the_next_candidate_does_not_inherit_the_damage),
        cmocka_unit_test(a_token_outside_the_vocabulary_is_refused),
        cmocka_unit_test(sequences_beyond_what_the_model_can_place_are_refused),
        cmocka_unit_test(models_that_cannot_run_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
