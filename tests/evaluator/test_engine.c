/*
 * Candidates that agree up to a layer: what is shared between them changes how much is computed,
 * and nothing else.
 *
 * Plans are averages of two models whose weight in each of four layers is one of two, so a plan is
 * a string of bits, and a set of plans is a trie of them.
 */
#include "evaluator/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "evaluator/merge/export.h"
#include "evaluator/prefix.h"
#include "study/recipe.h"
#include "tests/support/families.h"
#include "tests/support/support.h"

#define LAYERS 4U
#define VOCAB 60U
#define SEQUENCES 6
#define TRIES 2

struct bench {
    char *folder;
    struct checkpoint *models[2];
    char digests[2][DIGEST_HEX];
    struct plan_model named[2];
    struct trie *tries[TRIES];
    size_t positions; /* of both tries */
    struct trie_nodes largest;
};

static struct trie *new_trie(size_t length)
{
    struct trie *trie = trie_new();

    for (uint32_t s = 0; s < SEQUENCES; s++) {
        uint32_t tokens[32];

        for (uint32_t i = 0; i < length; i++) {
            tokens[i] = (i < length / 2 ? i * 7 : i * 11 + s * 5) % VOCAB;
        }
        assert_int_equal(trie_add(trie, tokens, length, length / 2, s % 2 == 0, NULL), 0);
    }
    assert_int_equal(trie_finish(trie, NULL), 0);
    return trie;
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void bench_open(struct bench *bench)
{
    *bench = (struct bench){.folder = support_temp_dir()};
    for (unsigned i = 0; i < 2; i++) {
        struct family_model model = *family_model("llama-3.1");
        struct err err = {0};

        model.L = LAYERS;
        model.F = 4 * model.F; /* layers outweigh activations */
        model.V = VOCAB;
        model.name = i == 0 ? "a" : "b";
        model.seed = i;
        char *path = family_model_write(bench->folder, &model);
        if (checkpoint_open(&bench->models[i], path, &err) != 0) {
            fail_msg("%s", err.text);
        }
        assert_int_equal(checkpoint_digest(bench->models[i], bench->digests[i], NULL), 0);
        bench->named[i] = (struct plan_model){bench->digests[i], bench->models[i]};
        free(path);
    }
    for (size_t t = 0; t < TRIES; t++) {
        bench->tries[t] = new_trie(20 + 8 * t);
        const struct trie_nodes *nodes = trie_nodes(bench->tries[t]);

        bench->positions += nodes->n;
        bench->largest.n = most(bench->largest.n, nodes->n);
        bench->largest.depth_max = most(bench->largest.depth_max, nodes->depth_max);
        bench->largest.n_scored = most(bench->largest.n_scored, nodes->n_scored);
        bench->largest.n_targets = most(bench->largest.n_targets, nodes->n_targets);
    }
}

static void bench_close(struct bench *bench)
{
    for (size_t t = 0; t < TRIES; t++) {
        trie_free(bench->tries[t]);
    }
    checkpoint_close(bench->models[0]);
    checkpoint_close(bench->models[1]);
    support_remove_dir(bench->folder);
}

/* A candidate: its plan, and the recipe that the plan points into. */
struct candidate {
    struct recipe recipe;
    struct plan plan;
};

/* Layer k has the second model's weight high where bit LAYERS - 1 - k is set, so that numbers in
 * order walk the trie depth first. `first` is of layer 0 alone. */
static void candidate_open(struct candidate *out, const struct bench *bench, unsigned bits,
                           double first)
{
    const char *digests[2] = {bench->digests[0], bench->digests[1]};
    const struct method *method = NULL;
    struct err err = {0};

    *out = (struct candidate){0};
    assert_int_equal(method_find(&method, "linear", NULL), 0);
    recipe_init(&out->recipe, method, RECIPE_BFLOAT16, 1, LAYERS, digests, 2, NULL);
    recipe_clear_groups(&out->recipe);
    for (uint32_t k = 0; k < LAYERS; k++) {
        struct recipe_group *group = recipe_add_group(&out->recipe, "all", k, k + 1);
        double weight = bits >> (LAYERS - 1 - k) & 1 ? 0.75 : 0.25;

        group->whole_values[method_index(method, METHOD_WHOLE, "normalize")] = 0.0;
        group->source_values[0] = k == 0 ? first : 0.5;
        group->source_values[method_count(method, METHOD_SOURCE)] = weight;
    }
    if (plan_make(&out->plan, &out->recipe, bench->named, 2, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

/* A route through the first model, and the second where a hop is LAYERS or more. */
static void route_open(struct candidate *out, const struct bench *bench, const uint32_t *hops,
                       size_t n)
{
    const char *digests[1] = {bench->digests[0]};
    const struct method *method = NULL;
    struct err err = {0};

    *out = (struct candidate){0};
    assert_int_equal(method_find(&method, "passthrough", NULL), 0);
    recipe_init(&out->recipe, method, RECIPE_BFLOAT16, 1, LAYERS, digests, 1, NULL);
    for (size_t k = 0; k < n; k++) {
        recipe_add_hop(&out->recipe, hops[k] >= LAYERS ? bench->digests[1] : NULL, hops[k] % LAYERS,
                       1.0);
    }
    if (plan_make(&out->plan, &out->recipe, bench->named, 2, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static void candidate_close(struct candidate *candidate)
{
    plan_release(&candidate->plan);
    recipe_release(&candidate->recipe);
}

struct outcome {
    struct forward_result results[TRIES][SEQUENCES];
    char digest[DIGEST_HEX];
    int rc;
};

static struct outcome run(struct engine *engine, const struct bench *bench,
                          const struct candidate *candidate)
{
    struct outcome out = {0};
    struct err err = {0};

    if (engine_load(engine, &candidate->plan, &bench->largest, &err) != 0) {
        fail_msg("%s", err.text);
    }
    for (size_t t = 0, end = 0; t < TRIES && out.rc == 0; t++) {
        if (t == end) {
            out.rc = engine_sweep(engine, t, NULL, &end, &err);
        }
        if (out.rc != 0) {
            break;
        }
        out.rc = forward_score(engine_forward(engine), engine_weights(engine), bench->tries[t],
                               out.results[t], &err);
    }
    if (out.rc == 0 && engine_digest(engine, out.digest, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return out;
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->rc, b->rc);
    assert_string_equal(a->digest, b->digest);
    for (size_t t = 0; t < TRIES; t++) {
        for (size_t s = 0; s < SEQUENCES; s++) {
            const struct forward_result *x = &a->results[t][s];
            const struct forward_result *y = &b->results[t][s];

            assert_memory_equal(&x->loglikelihood, &y->loglikelihood, sizeof(double));
            assert_int_equal(x->greedy, y->greedy);
            assert_int_equal(x->next, y->next);
        }
    }
}

static struct engine *sharing_engine(const struct bench *bench, uint64_t memory)
{
    struct engine *engine = engine_new(memory, NUMERIC_F32);

    engine_expect(engine, &(struct engine_work){.tries = (const struct trie *const *)bench->tries,
                                                .n_tries = TRIES,
                                                .keeps = true});
    return engine;
}

/* What a candidate takes, streamed with all its activations in one sweep, and of kept ones so many
 * layers. */
static uint64_t memory_of(const struct bench *bench, bool streamed, size_t layers)
{
    struct candidate candidate;
    size_t width = family_model("llama-3.1")->D;

    candidate_open(&candidate, bench, 0, 0.5);
    uint64_t bytes = engine_bytes(&candidate.plan, NUMERIC_F32, &bench->largest, streamed);
    candidate_close(&candidate);
    bytes += streamed ? (bench->positions - bench->largest.n) * width * sizeof(float) : 0;
    return bytes + layers * bench->positions * width * sizeof(float);
}

/* All sixteen plans in order, each as without sharing; returns the layers run on all positions. */
static double run_all(const struct bench *bench, uint64_t memory, bool streamed)
{
    struct engine *engine = sharing_engine(bench, memory);
    struct engine *alone = engine_new(0, NUMERIC_F32);

    for (unsigned bits = 0; bits < 1U << LAYERS; bits++) {
        struct candidate candidate;

        candidate_open(&candidate, bench, bits, 0.5);
        struct outcome shared = run(engine, bench, &candidate);
        struct outcome wanted = run(alone, bench, &candidate);
        assert_int_equal(wanted.rc, 0);
        assert_same(&shared, &wanted);
        assert_true(engine_streams(engine) == streamed);
        assert_true(memory == 0 || engine_kept(engine) + engine_bytes(&candidate.plan, NUMERIC_F32,
                                                                      &bench->largest, streamed) <=
                                       memory);
        candidate_close(&candidate);
    }
    double layers = (double)forward_blocks(engine_forward(engine)) / (double)bench->positions;

    assert_int_equal(forward_positions(engine_forward(engine)), 16 * bench->positions);
    assert_int_equal(forward_blocks(engine_forward(alone)), 16 * LAYERS * bench->positions);
    engine_free(engine);
    engine_free(alone);
    return layers;
}

#define EDGES 30.0 /* of the trie of all strings of four bits: 2 + 4 + 8 + 16 */

static void runs_each_edge_of_the_trie_of_layers_once(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    assert_true(run_all(&bench, 0, false) == EDGES);
    assert_true(run_all(&bench, memory_of(&bench, false, LAYERS), false) == EDGES);
    assert_true(run_all(&bench, memory_of(&bench, true, LAYERS), true) == EDGES);
    bench_close(&bench);
}

static void less_room_costs_time_and_changes_no_bit(void **state)
{
    struct bench bench;
    double before = 16 * LAYERS;

    (void)state;
    bench_open(&bench);
    assert_true(run_all(&bench, memory_of(&bench, true, 0), true) == before);
    for (size_t layers = 1; layers < LAYERS; layers++) {
        double streamed = run_all(&bench, memory_of(&bench, true, layers), true);
        double resident = run_all(&bench, memory_of(&bench, false, layers), false);

        assert_true(streamed == resident && streamed >= EDGES && streamed < 16 * LAYERS);
        assert_true(streamed <= before);
        before = streamed;
    }
    bench_close(&bench);
}

/* Embedding, final norm and head, and nine tensors of each layer. */
static void a_candidate_is_blended_once_for_all_tries_where_memory_allows(void **state)
{
    struct bench bench;
    struct candidate candidate;
    const uint64_t n_tensors = 3 + 9 * LAYERS;

    (void)state;
    bench_open(&bench);
    for (size_t room = 0; room < 2; room++) {
        const uint64_t memory = memory_of(&bench, true, 0) - (room == 0);
        struct engine *engine = sharing_engine(&bench, memory);

        for (unsigned i = 1; i <= 2; i++) {
            candidate_open(&candidate, &bench, i, 0.5);
            assert_int_equal(run(engine, &bench, &candidate).rc, 0);
            assert_true(engine_streams(engine));
            assert_int_equal(engine_blended(engine), i * n_tensors * (room == 0 ? TRIES : 1));
            candidate_close(&candidate);
        }
        engine_free(engine);
    }
    bench_close(&bench);
}

static void what_stands_in_its_place_is_not_blended_again(void **state)
{
    struct bench bench;
    const unsigned bits[] = {0, 0, 1, 0};
    const uint64_t blended[] = {3 + 9 * LAYERS, 0, 2 + 9,
                                2 + 9}; /* norm and head go with the last */

    (void)state;
    bench_open(&bench);
    struct engine *engine = engine_new(0, NUMERIC_F32);
    for (size_t i = 0; i < 4; i++) {
        struct candidate candidate;
        uint64_t before = engine_blended(engine);

        candidate_open(&candidate, &bench, bits[i], 0.5);
        run(engine, &bench, &candidate);
        assert_int_equal(engine_blended(engine) - before, blended[i]);
        candidate_close(&candidate);
    }
    engine_free(engine);
    bench_close(&bench);
}

static void routes_of_any_length_run_in_the_memory_of_the_longest(void **state)
{
    const uint32_t routes[][6] = {{0, 1, 1, 2, 2, 3}, {0, 1, 1, 3}, {0, 5, 6, 3}, {0, 1, 1, 2, 3}};
    const size_t lengths[] = {6, 4, 4, 5};
    struct bench bench;

    (void)state;
    bench_open(&bench);
    for (size_t streamed = 0; streamed < 2; streamed++) {
        struct engine *engine =
            sharing_engine(&bench, streamed != 0 ? memory_of(&bench, true, 0) : 0);
        const struct weights *first = NULL;

        for (size_t i = 0; i < 4; i++) {
            struct engine *alone = engine_new(0, NUMERIC_F32);
            struct candidate candidate;

            route_open(&candidate, &bench, routes[i], lengths[i]);
            struct outcome shared = run(engine, &bench, &candidate);
            struct outcome wanted = run(alone, &bench, &candidate);
            assert_int_equal(wanted.rc, 0);
            assert_same(&shared, &wanted);
            first = i == 0 ? engine_weights(engine) : first;
            assert_ptr_equal(engine_weights(engine), first);
            assert_true(engine_streams(engine) == (streamed != 0));
            candidate_close(&candidate);
            engine_free(alone);
        }
        uint64_t blocks = forward_blocks(engine_forward(engine)) / bench.positions;
        assert_true(streamed != 0 ? blocks < 6 + 4 + 4 + 5 : blocks == 6 + 1 + 3 + 1);
        engine_free(engine);
    }
    bench_close(&bench);
}

static void a_shared_candidate_is_its_export(void **state)
{
    struct bench bench;
    struct candidate candidate;
    char written[DIGEST_HEX];
    struct err err = {0};

    (void)state;
    bench_open(&bench);
    for (size_t streamed = 0; streamed < 2; streamed++) {
        struct engine *engine = sharing_engine(&bench, memory_of(&bench, streamed != 0, LAYERS));

        candidate_open(&candidate, &bench, 4, 0.5);
        run(engine, &bench, &candidate);
        candidate_close(&candidate);
        candidate_open(&candidate, &bench, 5, 0.5);
        struct outcome outcome = run(engine, &bench, &candidate);
        assert_int_equal(forward_blocks(engine_forward(engine)), (LAYERS + 1) * bench.positions);
        char *out = mem_printf("%s/out%zu", bench.folder, streamed);
        if (export_write(&candidate.plan, out, NULL, 0, 0, outcome.digest, written, &err) != 0) {
            fail_msg("%s", err.text);
        }
        candidate_close(&candidate);
        free(out);
        engine_free(engine);
    }
    bench_close(&bench);
}

static void keeps_nothing_while_candidates_begin_alike_with_none(void **state)
{
    struct bench bench;
    struct candidate candidate;

    (void)state;
    bench_open(&bench);
    struct engine *engine = sharing_engine(&bench, 0);
    for (unsigned i = 0; i < PREFIX_ALONE_MAX; i++) {
        candidate_open(&candidate, &bench, 0, 0.5 + i / 100.0);
        run(engine, &bench, &candidate);
        assert_true((engine_kept(engine) > 0) == (i + 1 < PREFIX_ALONE_MAX));
        candidate_close(&candidate);
    }
    candidate_open(&candidate, &bench, 1, 0.5); /* as one did */
    run(engine, &bench, &candidate);
    assert_true(engine_kept(engine) > 0);
    candidate_close(&candidate);
    engine_free(engine);
    bench_close(&bench);
}

/* Layer 0 overflows where it runs, or already where it is blended. */
static void a_candidate_that_fails_leaves_nothing_wrong_behind(void **state)
{
    struct bench bench;
    const double firsts[] = {0.5, 1e38, 0.5, 3e38, 0.7};

    (void)state;
    bench_open(&bench);
    for (size_t streamed = 0; streamed < 2; streamed++) {
        struct engine *engine = sharing_engine(&bench, memory_of(&bench, streamed != 0, LAYERS));
        struct engine *alone = engine_new(0, NUMERIC_F32);

        for (unsigned i = 0; i < 5; i++) {
            struct candidate candidate;

            candidate_open(&candidate, &bench, i, firsts[i]);
            struct outcome shared = run(engine, &bench, &candidate);
            struct outcome wanted = run(alone, &bench, &candidate);
            assert_int_equal(wanted.rc, firsts[i] > 1.0 ? ERR_NUMERIC : 0);
            assert_same(&shared, &wanted);
            candidate_close(&candidate);
        }
        engine_free(engine);
        engine_free(alone);
    }
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_each_edge_of_the_trie_of_layers_once),
        cmocka_unit_test(less_room_costs_time_and_changes_no_bit),
        cmocka_unit_test(a_candidate_is_blended_once_for_all_tries_where_memory_allows),
        cmocka_unit_test(what_stands_in_its_place_is_not_blended_again),
        cmocka_unit_test(routes_of_any_length_run_in_the_memory_of_the_longest),
        cmocka_unit_test(a_shared_candidate_is_its_export),
        cmocka_unit_test(keeps_nothing_while_candidates_begin_alike_with_none),
        cmocka_unit_test(a_candidate_that_fails_leaves_nothing_wrong_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
