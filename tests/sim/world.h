/*
 * world.h - a small study to search without a model: two sources, two coordinates, two tasks of
 * eight documents a split. What a recipe is worth is a function of its digest and weights, so every
 * worker finds the same, and some recipes fail wherever they are tried.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "search/coordinator.h"

#define WORLD_TASKS 2
#define WORLD_MODELS 3
#define WORLD_BASELINES 4
#define WORLD_DOCUMENTS 8

struct world {
    struct study study;
    char digests[WORLD_MODELS][DIGEST_HEX];
    const char *digest_texts[WORLD_MODELS];
    struct coordinator_task tasks[WORLD_TASKS];
    char task_digests[WORLD_TASKS][DIGEST_HEX];
    struct coordinator_baseline baselines[WORLD_BASELINES];
    char *recipes[WORLD_BASELINES];
    struct coordinator_options options; /* points into the above */
    double apart;                       /* how far the second task's optimum is from the first's */
    unsigned failing;                   /* recipes of 256 that fail wherever they are tried; 12 */
};

/* population candidates a generation, at most evaluations of the search. */
void world_init(struct world *world, uint64_t seed, size_t population, uint64_t evaluations);
/* Its tasks become objectives for themselves, with optima apart, for an optimiser of several. */
void world_objectives(struct world *world);
void world_release(struct world *world);
/* The search goes from the whole model to each layer: two phases. Before it is begun. */
void world_refine(struct world *world);

/* A search of routes in place of the merge: through the six blocks of the second model and of the
 * third, best where blocks 2 and 3 are the third's, with twice the gain into them and half of it
 * back. Of at most so many evaluations. */
void world_route(struct world *world, uint64_t evaluations);

/* How a recipe fails on every worker; SCORE_OK: it does not. */
enum score_failure world_failure(const struct world *world, const char *recipe);
/* What a recipe that does not fail gets. The caller releases it. */
void world_score(const struct world *world, const char *recipe, enum split split,
                 struct score *out);

/* Search to the end with one worker that never fails us; the trajectory, and state and reason at
 * the end. */
struct world_end {
    char trajectory[DIGEST_HEX];
    char state[16], reason[300];
    uint64_t evaluations;
};
void world_undisturbed(const struct world *world, struct store *store, struct world_end *out);

#endif
