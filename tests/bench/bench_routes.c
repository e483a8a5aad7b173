/*
 * bench_routes.c - many routes through two models, with the layers that they share run once.
 *
 * Lines of name,value,unit,ratio,reference. 128 different routes as a search by edits asks for
 * them: one or two of repeat, skip, splice and insert, of one to four layers, the first and last
 * two layers of the host left alone, at most half as many hops again as it has layers. Two llamas
 * of 12 layers, width 256, of arbitrary weights; handed out in the order that workers get.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/engine.h"
#include "search/lease_order.h"
#include "study/recipe.h"
#include "tests/bench/measure.h"
#include "tests/support/families.h"
#include "tests/support/support.h"

#define ROUTES 128
#define LAYERS 12U
#define PINNED 2U
#define LENGTH_MAX 4U
#define HOPS_MAX 18U
#define VOCAB 2000U
#define SEQUENCES 8
#define TOKENS 64

/* ---- routes ---- */

/* Hops as one number each: the layer, and LAYERS more when it is the other model's. */
struct hops {
    size_t n;
    uint32_t all[2 * HOPS_MAX];
};

/* Put `length` hops from `first` on in place of `gone` ones at `at`. */
static void put(struct hops *hops, size_t at, size_t gone, uint32_t first, size_t length)
{
    memmove(hops->all + at + length, hops->all + at + gone,
            (hops->n - at - gone) * sizeof(hops->all[0]));
    for (size_t i = 0; i < length; i++) {
        hops->all[at + i] = first + (uint32_t)i;
    }
    hops->n += length - gone;
}

static void edit(struct hops *hops, struct rng32 *rng)
{
    uint32_t length = 1 + rng32_below(rng, LENGTH_MAX);
    uint32_t start = PINNED + rng32_below(rng, LAYERS - 2 * PINNED - length + 1);
    size_t at = 0;

    while (at < hops->n && hops->all[at] != start) {
        at++;
    }
    if (at + length > hops->n - PINNED) { /* an edit before this one took it away */
        return;
    }
    switch (rng32_below(rng, 4)) {
    case 0: /* repeat */
        put(hops, at + length, 0, start, length);
        break;
    case 1: /* skip */
        put(hops, at, length, 0, 0);
        break;
    case 2: /* splice */
        put(hops, at, length, LAYERS + start, length);
        break;
    default: /* insert */
        put(hops, at, 0, LAYERS + start, length);
    }
}

static struct hops draw_route(struct rng32 *rng)
{
    struct hops hops;

    do {
        hops = (struct hops){.n = 0};
        put(&hops, 0, 0, 0, LAYERS);
        for (uint32_t left = 1 + rng32_below(rng, 2); left > 0; left--) {
            edit(&hops, rng);
        }
    } while (hops.n > HOPS_MAX);
    return hops;
}

static bool equal(const struct hops *a, const struct hops *b)
{
    return a->n == b->n && memcmp(a->all, b->all, a->n * sizeof(a->all[0])) == 0;
}

/* Different ones. */
static void draw_routes(struct hops routes[ROUTES])
{
    struct rng32 rng;
    size_t n = 0;

    rng32_seed(&rng, 11, 5);
    while (n < ROUTES) {
        bool is_new = true;

        routes[n] = draw_route(&rng);
        for (size_t i = 0; i < n; i++) {
            is_new = is_new && !equal(&routes[i], &routes[n]);
        }
        n += is_new;
    }
}

/* ---- their plans ---- */

struct models {
    struct checkpoint *all[2];
    char digests[2][DIGEST_HEX];
    struct plan_model named[2];
};

static void open_models(struct models *out, const char *folder)
{
    struct err err = {0};

    for (unsigned i = 0; i < 2; i++) {
        struct family_model model = *family_model("llama-3.1");

        model.name = i == 0 ? "a" : "b";
        model.seed = i;
        model.L = LAYERS;
        model.D = 256;
        model.F = 704;
        model.H = model.G = 4;
        model.V = VOCAB;
        char *path = family_model_write(folder, &model);
        measure_must(checkpoint_open(&out->all[i], path, &err), &err);
        measure_must(checkpoint_digest(out->all[i], out->digests[i], &err), &err);
        out->named[i] = (struct plan_model){out->digests[i], out->all[i]};
        free(path);
    }
}

static struct recipe recipe_of(const struct models *models, const struct hops *hops)
{
    const char *const sources[1] = {models->digests[0]};
    const struct method *method = NULL;
    struct recipe recipe;
    struct err err = {0};

    measure_must(method_find(&method, "passthrough", &err), &err);
    recipe_init(&recipe, method, RECIPE_BFLOAT16, 1, LAYERS, sources, 1, NULL);
    for (size_t k = 0; k < hops->n; k++) {
        bool is_other = hops->all[k] >= LAYERS;

        recipe_add_hop(&recipe, is_other ? models->digests[1] : NULL, hops->all[k] % LAYERS, 1.0);
    }
    return recipe;
}

/* Where they are in the order that workers get them. */
static size_t *order_of(const struct recipe recipes[ROUTES])
{
    const char *texts[ROUTES];

    for (size_t i = 0; i < ROUTES; i++) {
        struct text text = {0};

        recipe_print(&text, &recipes[i]);
        texts[i] = mem_text(text_get(&text));
        text_release(&text);
    }
    size_t *order = lease_order(texts, ROUTES);
    for (size_t i = 0; i < ROUTES; i++) {
        free((char *)(uintptr_t)texts[i]);
    }
    return order;
}

/* Of the trie of routes: what a route does not share with the one before it, depth first. */
static size_t count_edges(const struct hops routes[ROUTES], const size_t order[ROUTES])
{
    size_t edges = 0;

    for (size_t i = 0; i < ROUTES; i++) {
        const struct hops *route = &routes[order[i]];
        size_t shared = 0;

        while (i > 0 && shared < route->n && shared < routes[order[i - 1]].n &&
               route->all[shared] == routes[order[i - 1]].all[shared]) {
            shared++;
        }
        edges += route->n - shared;
    }
    return edges;
}

/* ---- running them ---- */

static struct trie *new_trie(void)
{
    struct trie *trie = trie_new();
    struct rng32 rng;
    struct err err = {0};

    rng32_seed(&rng, 7, 7);
    for (size_t s = 0; s < SEQUENCES; s++) {
        uint32_t tokens[TOKENS];

        for (size_t i = 0; i < TOKENS; i++) {
            tokens[i] = rng32_below(&rng, VOCAB);
        }
        measure_must(trie_add(trie, tokens, TOKENS, TOKENS - 4, false, &err), &err);
    }
    measure_must(trie_finish(trie, &err), &err);
    return trie;
}

struct outcome {
    struct forward_result results[ROUTES][SEQUENCES];
    char digests[ROUTES][DIGEST_HEX];
    double layers, seconds;
};

static void run_all(struct outcome *out, const struct models *models,
                    const struct recipe recipes[ROUTES], const size_t order[ROUTES],
                    const struct trie *trie, bool shares)
{
    struct engine *engine = engine_new(0, NUMERIC_F32);
    struct plan plans[2] = {{0}, {0}}; /* the engine reads one until it loads the next */
    struct err err = {0};
    uint64_t blocks = 0;

    if (shares) {
        engine_expect(engine, &(struct engine_work){.tries = &trie, .n_tries = 1, .keeps = true});
    }
    out->seconds = measure_cpu();
    for (size_t i = 0; i < ROUTES; i++) {
        struct plan *plan = &plans[i % 2];

        plan_release(plan);
        measure_must(plan_make(plan, &recipes[order[i]], models->named, 2, &err), &err);
        measure_must(engine_load(engine, plan, trie_nodes(trie), &err), &err);
        struct forward *forward = engine_forward(engine);
        uint64_t before = forward_blocks(forward);

        measure_must(
            forward_score(forward, engine_weights(engine), trie, out->results[order[i]], &err),
            &err);
        measure_must(engine_digest(engine, out->digests[order[i]], &err), &err);
        blocks += forward_blocks(forward) - before;
    }
    out->seconds = measure_cpu() - out->seconds;
    out->layers = (double)blocks / (double)trie_positions(trie);
    engine_free(engine);
    plan_release(&plans[0]);
    plan_release(&plans[1]);
}

static bool same_scores(const struct outcome *a, const struct outcome *b)
{
    for (size_t i = 0; i < ROUTES; i++) {
        for (size_t s = 0; s < SEQUENCES; s++) {
            if (memcmp(&a->results[i][s].loglikelihood, &b->results[i][s].loglikelihood,
                       sizeof(double)) != 0) {
                return false;
            }
        }
    }
    return memcmp(a->digests, b->digests, sizeof a->digests) == 0;
}

static void compare(const struct models *models)
{
    struct hops *routes = mem_array(ROUTES, sizeof *routes);
    struct recipe *recipes = mem_array(ROUTES, sizeof *recipes);
    struct outcome *shared = mem_array(1, sizeof *shared);
    struct outcome *alone = mem_array(1, sizeof *alone);
    struct trie *trie = new_trie();

    draw_routes(routes);
    for (size_t i = 0; i < ROUTES; i++) {
        recipes[i] = recipe_of(models, &routes[i]);
    }
    size_t *order = order_of(recipes);
    size_t edges = count_edges(routes, order);

    run_all(alone, models, recipes, order, trie, false);
    run_all(shared, models, recipes, order, trie, true);
    printf("routes_blocks,%.0f,layers,%.3f,edges of the trie of 128 routes\n", shared->layers,
           shared->layers / (double)edges);
    printf("routes_blocks_saved,%.0f,layers,%.3f,with shared layers run once\n", alone->layers,
           alone->layers / shared->layers);
    printf("routes_seconds,%.3f,s/route,%.3f,every layer run; %zu positions\n",
           shared->seconds / ROUTES, alone->seconds / shared->seconds, trie_positions(trie));
    printf("routes_same_scores,%d,bool,1,every layer run; weights' digests too\n",
           same_scores(shared, alone));
    for (size_t i = 0; i < ROUTES; i++) {
        recipe_release(&recipes[i]);
    }
    trie_free(trie);
    free(order);
    free(recipes);
    free(routes);
    free(shared);
    free(alone);
}

int main(void)
{
    char *folder = support_temp_dir();
    struct models models;

    open_models(&models, folder);
    compare(&models);
    checkpoint_close(models.all[0]);
    checkpoint_close(models.all[1]);
    support_remove_dir(folder);
    return 0;
}
