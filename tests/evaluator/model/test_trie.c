#include "evaluator/model/trie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"

enum { Q = 10, A, B, C, D, E };

static void add(struct trie *trie, const uint32_t *tokens, size_t n, size_t score_from,
                bool want_next)
{
    struct err err;

    assert_int_equal(trie_add(trie, tokens, n, score_from, want_next, &err), 0);
}

static const struct trie_nodes *finish(struct trie *trie)
{
    struct err err;

    assert_int_equal(trie_finish(trie, &err), 0);
    return trie_nodes(trie);
}

static void assert_tokens(const struct trie_nodes *nodes, const uint32_t *tokens,
                          const uint32_t *depths, size_t n)
{
    assert_int_equal(nodes->n, n);
    assert_memory_equal(nodes->tokens, tokens, n * sizeof(uint32_t));
    assert_memory_equal(nodes->depths, depths, n * sizeof(uint32_t));
}

static void a_shared_prefix_is_one_path(void **state)
{
    (void)state;
    const uint32_t first[] = {Q, A, B, C};
    const uint32_t second[] = {Q, A, D};
    const uint32_t third[] = {Q, E, D};
    const uint32_t tokens[] = {Q, A, B, E};
    const uint32_t depths[] = {0, 1, 2, 1};
    struct trie *trie = trie_new();

    add(trie, third, 3, 2, false);
    add(trie, first, 4, 3, false);
    add(trie, second, 3, 2, false);
    assert_tokens(finish(trie), tokens, depths, 4);
    assert_int_equal(trie_positions(trie), 4);
    assert_int_equal(trie_sequences(trie), 3);
    assert_int_equal(trie_nodes(trie)->depth_max, 3);
    trie_free(trie);
}

static void the_last_token_is_a_node_only_when_the_next_is_asked_for(void **state)
{
    (void)state;
    const uint32_t tokens[] = {Q, A};
    const uint32_t depths[] = {0, 1};
    struct trie *trie = trie_new();

    add(trie, tokens, 2, 1, false);
    add(trie, tokens, 2, 1, true);
    const struct trie_nodes *nodes = finish(trie);
    assert_tokens(nodes, tokens, depths, 2);
    assert_int_equal(nodes->next[0], TRIE_NONE);
    assert_int_equal(nodes->scored[nodes->next[1]], 1);
    trie_free(trie);
}

static void one_token_alone_asks_for_nothing(void **state)
{
    (void)state;
    const uint32_t token = A;
    struct trie *trie = trie_new();

    add(trie, &token, 1, 1, false);
    assert_int_equal(finish(trie)->n, 0);
    assert_int_equal(trie_nodes(trie)->n_scored, 0);
    trie_free(trie);
}

static void a_trie_may_be_empty(void **state)
{
    (void)state;
    struct trie *trie = trie_new();

    assert_int_equal(finish(trie)->n, 0);
    assert_int_equal(trie_sequences(trie), 0);
    trie_free(trie);
    trie_free(NULL);
}

static void the_same_question_is_one_target(void **state)
{
    (void)state;
    const uint32_t first[] = {Q, A, B};
    const uint32_t second[] = {Q, A, C};
    struct trie *trie = trie_new();

    add(trie, first, 3, 1, false);
    add(trie, second, 3, 1, false);
    add(trie, first, 3, 1, false);
    const struct trie_nodes *nodes = finish(trie);
    assert_int_equal(nodes->n_scored, 2); /* after Q; after Q A */
    assert_int_equal(nodes->n_targets, 3);
    assert_int_equal(nodes->asked[0], nodes->asked[2]); /* A after Q */
    assert_int_equal(nodes->asked[1], nodes->asked[5]); /* B after Q A, twice */
    assert_int_not_equal(nodes->asked[1], nodes->asked[3]);
    trie_free(trie);
}

static void the_largest_token_is_known_even_when_only_predicted(void **state)
{
    (void)state;
    const uint32_t tokens[] = {A, 70000};
    struct trie *trie = trie_new();

    add(trie, tokens, 2, 1, false);
    assert_int_equal(finish(trie)->token_max, 70000);
    trie_free(trie);
}

/* Random sequences over three tokens, so that most share something. */
struct sample {
    uint32_t tokens[12];
    size_t n, score_from;
    bool want_next;
};

static void draw(struct sample *samples, size_t n, uint64_t seed)
{
    struct rng32 rng;

    rng32_seed(&rng, seed, 1);
    for (size_t s = 0; s < n; s++) {
        samples[s].n = 1 + rng32_below(&rng, 12);
        samples[s].score_from = 1 + rng32_below(&rng, (uint32_t)samples[s].n);
        samples[s].want_next = rng32_below(&rng, 2) == 1;
        for (size_t i = 0; i < 12; i++) {
            samples[s].tokens[i] = rng32_below(&rng, 3);
        }
    }
}

/* The path of a node: the nearest node one level up, and so on. */
static void assert_path(const struct trie_nodes *nodes, uint32_t node, const uint32_t *tokens,
                        size_t n)
{
    assert_int_equal(nodes->depths[node] + 1, n);
    for (size_t depth = n; depth-- > 0;) {
        while (nodes->depths[node] != depth) {
            assert_true(nodes->depths[node] > depth && node > 0);
            node--;
        }
        assert_int_equal(nodes->tokens[node], tokens[depth]);
    }
}

static void every_question_stands_at_the_path_of_its_sequence(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sample samples[40];
        struct trie *trie = trie_new();

        draw(samples, 40, seed);
        for (size_t s = 0; s < 40; s++) {
            add(trie, samples[s].tokens, samples[s].n, samples[s].score_from, samples[s].want_next);
        }
        const struct trie_nodes *nodes = finish(trie);
        for (size_t s = 0; s < 40; s++) {
            const struct sample *sample = &samples[s];

            assert_int_equal(nodes->asked_from[s + 1] - nodes->asked_from[s],
                             sample->n - sample->score_from);
            for (size_t t = sample->score_from; t < sample->n; t++) {
                size_t at = nodes->asked_from[s] + t - sample->score_from;
                const struct trie_target *target = &nodes->targets[nodes->asked[at]];

                assert_int_equal(target->token, sample->tokens[t]);
                assert_path(nodes, nodes->scored[target->scored], sample->tokens, t);
            }
            if (sample->want_next) {
                assert_path(nodes, nodes->scored[nodes->next[s]], sample->tokens, sample->n);
            }
        }
        trie_free(trie);
    }
}

static void counts_distinct_prefixes(void **state)
{
    (void)state;
    struct sample samples[60];
    struct trie *trie = trie_new();
    size_t distinct = 0;

    draw(samples, 60, 99);
    for (size_t s = 0; s < 60; s++) {
        add(trie, samples[s].tokens, samples[s].n, samples[s].score_from, samples[s].want_next);
        for (size_t n = 1; n <= samples[s].n - !samples[s].want_next; n++) {
            bool seen = false;

            for (size_t other = 0; other < s && !seen; other++) {
                seen = n <= samples[other].n - !samples[other].want_next &&
                       memcmp(samples[other].tokens, samples[s].tokens, n * sizeof(uint32_t)) == 0;
            }
            distinct += !seen;
        }
    }
    assert_int_equal(finish(trie)->n, distinct);
    trie_free(trie);
}

static void scored_nodes_and_targets_ascend(void **state)
{
    (void)state;
    struct sample samples[60];
    struct trie *trie = trie_new();

    draw(samples, 60, 7);
    for (size_t s = 0; s < 60; s++) {
        add(trie, samples[s].tokens, samples[s].n, samples[s].score_from, samples[s].want_next);
    }
    const struct trie_nodes *nodes = finish(trie);
    for (size_t i = 1; i < nodes->n_scored; i++) {
        assert_true(nodes->scored[i - 1] < nodes->scored[i]);
    }
    for (size_t i = 1; i < nodes->n_targets; i++) {
        assert_true(nodes->targets[i - 1].scored <= nodes->targets[i].scored);
    }
    trie_free(trie);
}

static void more_tokens_than_the_limit_are_refused(void **state)
{
    (void)state;
    const uint32_t token = A;
    struct trie *trie = trie_new();
    struct err err;

    assert_int_equal(trie_add(trie, &token, TRIE_TOKENS_MAX + 1, 1, false, &err), ERR_LIMIT);
    add(trie, &token, 1, 1, true);
    assert_int_equal(finish(trie)->n, 1);
    trie_free(trie);
}

/* Build a trie with the k-th allocation failing; true when none failed. */
static bool builds_after(long k)
{
    const uint32_t tokens[] = {Q, A, B};
    struct trie *trie = trie_new();
    struct err err = {0};

    mem_fail_after(k);
    int rc = trie_add(trie, tokens, 3, 1, false, &err);
    if (rc == 0) {
        rc = trie_add(trie, tokens, 2, 1, true, &err);
    }
    if (rc == 0) {
        rc = trie_finish(trie, &err);
    }
    mem_fail_after(-1);
    assert_true(rc == 0 || rc == ERR_MEMORY);
    trie_free(trie);
    return rc == 0;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    long k = 0;

    while (!builds_after(k)) {
        k++;
        assert_true(k < 100);
    }
    assert_true(k > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shared_prefix_is_one_path),
        cmocka_unit_test(the_last_token_is_a_node_only_when_the_next_is_asked_for),
        cmocka_unit_test(one_token_alone_asks_for_nothing),
        cmocka_unit_test(a_trie_may_be_empty),
        cmocka_unit_test(the_same_question_is_one_target),
        cmocka_unit_test(the_largest_token_is_known_even_when_only_predicted),
        cmocka_unit_test(every_question_stands_at_the_path_of_its_sequence),
        cmocka_unit_test(counts_distinct_prefixes),
        cmocka_unit_test(scored_nodes_and_targets_ascend),
        cmocka_unit_test(more_tokens_than_the_limit_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
