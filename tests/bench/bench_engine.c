/*
 * bench_engine.c - a merge scored a layer at a time against the same merge scored whole.
 *
 * Lines of name,value,unit,ratio,reference; CPU time of this thread, median of five, the two ways
 * in turn. Three sources of 60 million parameters, a llama of width 768; weights are arbitrary.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/engine.h"
#include "study/recipe.h"
#include "tests/bench/measure.h"
#include "tests/support/families.h"
#include "tests/support/support.h"

#define ROUNDS 5
#define SOURCES 3
#define SEQUENCES 20
#define TOKENS 100

static struct trie *random_trie(uint32_t vocab)
{
    struct trie *trie = trie_new();
    struct rng32 rng;
    struct err err;

    rng32_seed(&rng, 7, 7);
    for (size_t s = 0; s < SEQUENCES; s++) {
        uint32_t tokens[TOKENS];

        for (size_t i = 0; i < TOKENS; i++) {
            tokens[i] = rng32_below(&rng, vocab);
        }
        measure_must(trie_add(trie, tokens, TOKENS, TOKENS - 5, false, &err), &err);
    }
    measure_must(trie_finish(trie, &err), &err);
    return trie;
}

/* Blend and score one candidate. */
static double candidate_seconds(struct engine *engine, const struct plan *plan,
                                const struct trie *trie)
{
    struct forward_result results[SEQUENCES];
    char digest[DIGEST_HEX];
    struct err err;
    double start = measure_cpu();

    measure_must(engine_load(engine, plan, trie_nodes(trie), &err), &err);
    measure_must(forward_score(engine_forward(engine), engine_weights(engine), trie, results, &err),
                 &err);
    measure_must(engine_digest(engine, digest, &err), &err);
    return measure_cpu() - start;
}

/* Every round has a weight of its own, so that nothing of a candidate stands there already. */
static void compare(const struct plan *plan, double *weight, const struct trie *trie)
{
    const uint64_t bytes = engine_bytes(plan, NUMERIC_F32, trie_nodes(trie), true);
    struct engine *whole = engine_new(0, NUMERIC_F32);
    struct engine *streamed = engine_new(bytes, NUMERIC_F32);
    double seconds[ROUNDS];
    double ratios[ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++) {
        *weight += 0.125;
        seconds[i] = candidate_seconds(streamed, plan, trie);
        ratios[i] = candidate_seconds(whole, plan, trie) / seconds[i];
    }
    printf("engine_streamed,%.2f,s/candidate,%.3f,resident; 2000 positions\n",
           measure_median(seconds, ROUNDS), measure_median(ratios, ROUNDS));
    printf("engine_streamed_bytes,%.1f,MiB,%.3f,resident\n", (double)bytes / 1048576.0,
           (double)bytes / (double)engine_bytes(plan, NUMERIC_F32, trie_nodes(trie), false));
    engine_free(whole);
    engine_free(streamed);
}

int main(void)
{
    struct family_model model = *family_model("llama-3.1");
    char *folder = support_temp_dir();
    struct checkpoint *sources[SOURCES] = {0};
    char digests[SOURCES][DIGEST_HEX];
    const char *names[SOURCES];
    struct plan_model named[SOURCES];
    const struct method *method = NULL;
    struct recipe recipe = {0};
    struct plan plan = {0};
    struct err err = {0};

    model.L = 4;
    model.D = 768;
    model.F = 2048;
    model.H = model.G = 12;
    model.V = 20000;
    for (unsigned i = 0; i < SOURCES; i++) {
        char *name = mem_printf("%u", i);

        model.name = name;
        model.seed = i;
        char *path = family_model_write(folder, &model);
        measure_must(checkpoint_open(&sources[i], path, &err), &err);
        measure_must(checkpoint_digest(sources[i], digests[i], &err), &err);
        named[i] = (struct plan_model){digests[i], sources[i]};
        names[i] = digests[i];
        free(path);
        free(name);
    }
    measure_must(method_find(&method, "linear", &err), &err);
    recipe_init(&recipe, method, RECIPE_BFLOAT16, 1, 4, names, SOURCES, NULL);
    measure_must(plan_make(&plan, &recipe, named, SOURCES, &err), &err);
    struct trie *trie = random_trie(20000);
    compare(&plan, &recipe.groups[0].source_values[0], trie);
    trie_free(trie);
    plan_release(&plan);
    recipe_release(&recipe);
    for (unsigned i = 0; i < SOURCES; i++) {
        checkpoint_close(sources[i]);
    }
    support_remove_dir(folder);
    return 0;
}
