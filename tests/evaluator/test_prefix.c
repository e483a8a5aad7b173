#include "evaluator/prefix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LAYERS 6U
#define WIDTH ((size_t)4)
#define NODES ((size_t)5)
#define STREAM (NODES * WIDTH * sizeof(float)) /* bytes */

/* A route's text, a letter a layer, and room for so many streams. */
static void begin(struct prefix *prefix, unsigned char digests[LAYERS + 1][DIGEST_SIZE],
                  const char *route, const struct trie *const *trie, size_t streams)
{
    for (size_t k = 0; k <= LAYERS; k++) {
        digest_of(route, k, digests[k]);
    }
    prefix_begin(prefix, &(struct prefix_run){.digests = digests,
                                              .n_layers = LAYERS,
                                              .width = WIDTH,
                                              .tries = trie,
                                              .n_tries = 1,
                                              .bytes = streams * STREAM});
}

/* What a layer leaves for a node: the layers so far. */
static void stream_of(const char *route, uint32_t n_layers, float x[NODES * WIDTH])
{
    for (size_t i = 0; i < NODES * WIDTH; i++) {
        x[i] = (float)i;
        for (uint32_t k = 0; k < n_layers; k++) {
            x[i] = 3.0F * x[i] + (float)route[k];
        }
    }
}

/* A pass as forward_score makes it, in two batches; returns the layers that it ran. */
static uint32_t pass(struct prefix *prefix, const char *route, const struct trie *trie)
{
    const struct forward_keeper keeper = prefix_keeper(prefix);
    const float *found = NULL;
    float x[NODES * WIDTH];
    uint32_t from = keeper.find(keeper.context, trie, &found);

    if (from > 0) {
        stream_of(route, from, x);
        assert_memory_equal(found, x, sizeof x);
    }
    for (uint32_t k = from; k < LAYERS; k++) {
        stream_of(route, k + 1, x);
        keeper.keep(keeper.context, trie, k + 1, 0, 3, x);
    }
    for (uint32_t k = from; k < LAYERS; k++) {
        stream_of(route, k + 1, x);
        keeper.keep(keeper.context, trie, k + 1, 3, 2, x + 3 * WIDTH);
    }
    return LAYERS - from;
}

static struct trie *new_trie(void)
{
    const uint32_t tokens[NODES + 1] = {1, 2, 3, 4, 5, 6};
    struct trie *trie = trie_new();

    assert_int_equal(trie_add(trie, tokens, NODES + 1, 1, false, NULL), 0);
    assert_int_equal(trie_finish(trie, NULL), 0);
    assert_int_equal(trie_positions(trie), NODES);
    return trie;
}

/* Layers run for routes [n], one after the other. */
static uint32_t walk(const char *const *routes, size_t n, size_t streams)
{
    unsigned char digests[LAYERS + 1][DIGEST_SIZE];
    struct prefix *prefix = prefix_new();
    struct trie *trie = new_trie();
    const struct trie *tries[1] = {trie};
    uint32_t layers = 0;

    for (size_t i = 0; i < n; i++) {
        begin(prefix, digests, routes[i], tries, streams);
        layers += pass(prefix, routes[i], trie);
        assert_true(prefix_bytes(prefix) <= streams * STREAM);
    }
    prefix_free(prefix);
    trie_free(trie);
    return layers;
}

static void a_walk_depth_first_needs_room_for_one_path_only(void **state)
{
    const char *const routes[] = {"aaaaaa", "aaaaab", "aaabaa", "aaabbb", "abaaaa", "abaaab"};

    (void)state;
    assert_int_equal(walk(routes, 6, LAYERS), 6 + 1 + 3 + 2 + 5 + 1);
    assert_int_equal(walk(routes, 6, 100), 6 + 1 + 3 + 2 + 5 + 1);
}

static void layers_at_even_distances_are_kept_where_there_is_little_room(void **state)
{
    const char *const routes[] = {"aaaaaa", "aaaaab", "aaaabb", "aaabbb"};

    (void)state;
    assert_int_equal(walk(routes, 4, 0), 4 * 6);
    assert_int_equal(walk(routes, 4, 1), 6 + 2 + 2 + 6); /* behind the fourth */
    assert_int_equal(walk(routes, 4, 2), 6 + 1 + 3 + 3); /* third and fifth */
    assert_int_equal(walk(routes, 4, 3), 6 + 2 + 2 + 4); /* second, fourth, sixth */
}

static void a_beginning_that_comes_back_is_kept_longer_than_an_end_that_does_not(void **state)
{
    const char *const routes[] = {"aaaaaa", "aabbbb", "aacccc", "aadddd", "aaeeee"};

    (void)state;
    assert_int_equal(walk(routes, 5, LAYERS), 6 + 4 * 4);
}

static void streams_of_a_pass_that_failed_are_not_used(void **state)
{
    unsigned char digests[LAYERS + 1][DIGEST_SIZE];
    struct prefix *prefix = prefix_new();
    struct trie *trie = new_trie();
    const struct trie *tries[1] = {trie};
    const struct forward_keeper keeper = prefix_keeper(prefix);
    const float *found = NULL;
    float x[NODES * WIDTH];

    (void)state;
    begin(prefix, digests, "aaaaaa", tries, 100);
    stream_of("aaaaaa", 1, x);
    keeper.keep(keeper.context, trie, 1, 0, NODES, x);
    stream_of("aaaaaa", 2, x);
    keeper.keep(keeper.context, trie, 2, 0, 3, x); /* and no more */
    begin(prefix, digests, "aaaaab", tries, 100);
    assert_int_equal(keeper.find(keeper.context, trie, &found), 1);
    assert_int_equal(pass(prefix, "aaaaab", trie), 5);
    begin(prefix, digests, "aaaabb", tries, 100);
    assert_int_equal(pass(prefix, "aaaabb", trie), 2);
    prefix_free(prefix);
    trie_free(trie);
}

static void documents_do_not_share_with_others(void **state)
{
    unsigned char digests[LAYERS + 1][DIGEST_SIZE];
    struct prefix *prefix = prefix_new();
    struct trie *trie = new_trie();
    struct trie *other = new_trie();
    const struct trie *tries[1] = {trie};

    (void)state;
    begin(prefix, digests, "aaaaaa", tries, 100);
    assert_int_equal(pass(prefix, "aaaaaa", trie), 6);
    assert_int_equal(pass(prefix, "aaaaaa", other), 6); /* answers that are written, for one */
    assert_int_equal(prefix_bytes(prefix), 6 * STREAM);
    tries[0] = other;
    begin(prefix, digests, "aaaaaa", tries, 100);
    assert_int_equal(pass(prefix, "aaaaaa", other), 6);
    assert_int_equal(pass(prefix, "aaaaaa", other), 0);
    assert_int_equal(prefix_bytes(prefix), 12 * STREAM);
    prefix_free(prefix);
    trie_free(trie);
    trie_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_walk_depth_first_needs_room_for_one_path_only),
        cmocka_unit_test(layers_at_even_distances_are_kept_where_there_is_little_room),
        cmocka_unit_test(a_beginning_that_comes_back_is_kept_longer_than_an_end_that_does_not),
        cmocka_unit_test(streams_of_a_pass_that_failed_are_not_used),
        cmocka_unit_test(documents_do_not_share_with_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
