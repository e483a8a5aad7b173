/*
 * sequel.c - what comes after a generation.
 *
 *     baseline --> search 0 --> search 1 --> ... --> select --> report --> finished
 *                     |            |
 *                     +------------+--- until the last phase is over (turns.c), the budget is
 *                                       used, or someone says so
 *
 * A sequel is made from the store, the open generation and the optimiser as it will be; it decides
 * nothing by time or order of arrival, so a restart makes the same one.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "search/coordinator_internal.h"

/* ---- making one ---- */

void sequel_release(struct sequel *sequel)
{
    optimiser_free(sequel->optimiser);
    generation_release(&sequel->next);
    store_study_release(&sequel->study);
    store_phase_release(&sequel->part);
    phase_free(sequel->phase);
}

/* A candidate, its recipe's text handed over. */
static struct store_candidate *sequel_add(struct sequel *sequel, char *recipe, enum split split,
                                          const char *label)
{
    struct generation *next = &sequel->next;

    if (next->n == sequel->room) {
        sequel->room = sequel->room == 0 ? 16 : 2 * sequel->room;
        next->places = mem_resize(next->places, sequel->room, sizeof(*next->places));
    }
    struct place *place = &next->places[next->n];
    *place = (struct place){.row = {.generation = next->row.number,
                                    .number = next->n,
                                    .recipe = recipe,
                                    .split = split,
                                    .label = mem_text(label),
                                    .value = (double)NAN}};
    digest_hex_of(recipe, strlen(recipe), place->row.recipe_digest);
    next->n++;
    return &place->row;
}

/* The phase that what comes next belongs to. */
static const struct phase *phase_of(const struct coordinator *coordinator,
                                    const struct sequel *sequel)
{
    return sequel->phase != NULL ? sequel->phase : coordinator->phase;
}

static void sequel_stage(const struct coordinator *coordinator, struct sequel *sequel,
                         enum stage stage, uint64_t number, uint64_t generation)
{
    sequel->next.stage = stage;
    sequel->next.row.number = number;
    sequel->next.row.stage = mem_text(stage_name(stage));
    sequel->next.row.generation = generation;
    sequel->next.row.phase = phase_of(coordinator, sequel)->index;
    sequel->next.row.sigma = (double)NAN;
    study_put(&sequel->study.stage, stage_name(stage));
}

static void sequel_end(struct sequel *sequel, const char *state, const char *reason)
{
    study_put(&sequel->study.stage, stage_name(STAGE_FINISHED));
    study_put(&sequel->study.state, state);
    study_put(&sequel->study.reason, reason);
}

static double *copy_point(const double *point, size_t n)
{
    double *copy = mem_array(n, sizeof(*copy));

    memcpy(copy, point, n * sizeof(*copy));
    return copy;
}

char *sequel_recipe(const struct space *space, const double *point)
{
    struct recipe recipe = {0};
    struct text text = {0};

    space_decode(space, point, &recipe);
    recipe_print(&text, &recipe);
    recipe_release(&recipe);
    return text_take(&text);
}

/* ---- planning each stage ---- */

int sequel_baseline(struct coordinator *coordinator, struct sequel *sequel, struct err *err)
{
    sequel_stage(coordinator, sequel, STAGE_BASELINE, 0, 0);
    for (size_t i = 0; i < coordinator->options.n_baselines; i++) {
        const struct coordinator_baseline *baseline = &coordinator->options.baselines[i];
        struct recipe recipe = {0};
        struct text text = {0};

        int rc = recipe_parse(&recipe, baseline->recipe, strlen(baseline->recipe), err);
        if (rc != 0) {
            return err_wrap(err, "baseline %s", baseline->label);
        }
        recipe_print(&text, &recipe);
        recipe_release(&recipe);
        sequel_add(sequel, text_take(&text), SPLIT_SEARCH, baseline->label)->parent =
            baseline->parent;
    }
    return 0;
}

void sequel_search(struct coordinator *coordinator, struct sequel *sequel, uint64_t number,
                   uint64_t generation)
{
    size_t n = optimiser_n(sequel->optimiser), lambda = optimiser_asks(sequel->optimiser);
    double *points = mem_array(n * lambda, sizeof(*points));
    const struct space *space = phase_of(coordinator, sequel)->space;
    struct store_generation *row = &sequel->next.row;

    sequel_stage(coordinator, sequel, STAGE_SEARCH, number, generation);
    sequel->study.generation = generation;
    row->sigma = optimiser_sigma(sequel->optimiser);
    row->n_mean = n;
    row->mean = mem_array(n, sizeof(*row->mean));
    optimiser_mean(sequel->optimiser, row->mean);
    optimiser_ask(sequel->optimiser, points);
    for (size_t k = 0; k < lambda; k++) {
        const double *point = points + k * n;
        char *label = phase_label(phase_of(coordinator, sequel), point);
        struct store_candidate *candidate =
            sequel_add(sequel, sequel_recipe(space, point), SPLIT_SEARCH, label);

        free(label);
        candidate->point = copy_point(point, n);
        candidate->n_point = n;
    }
    free(points);
}

static bool has_recipe(const struct generation *generation, const char *digest)
{
    for (size_t i = 0; i < generation->n; i++) {
        if (strcmp(generation->places[i].row.recipe_digest, digest) == 0) {
            return true;
        }
    }
    return false;
}

/* The distribution's mean: on noisy objectives often better than the best sample. */
static void sequel_mean(struct coordinator *coordinator, struct sequel *sequel)
{
    size_t n = optimiser_n(sequel->optimiser);
    double *mean = mem_array(n, sizeof(*mean));
    char digest[DIGEST_HEX];

    optimiser_mean(sequel->optimiser, mean);
    char *recipe = sequel_recipe(coordinator->phase->space, mean);
    digest_hex_of(recipe, strlen(recipe), digest);
    if (has_recipe(&sequel->next, digest)) {
        free(recipe);
        free(mean);
        return;
    }
    struct store_candidate *candidate =
        sequel_add(sequel, recipe, SPLIT_SELECT, "mean of the search");
    candidate->point = mean;
    candidate->n_point = n;
}

/* Its point in the coordinates of the last phase; none when its recipe has no place there. */
static void set_point(const struct phase *phase, struct store_candidate *candidate,
                      const struct store_candidate *from)
{
    const size_t n = space_n(phase->space);
    struct recipe recipe = {0};

    if (from->phase == phase->index) {
        candidate->point = copy_point(from->point, from->n_point);
        candidate->n_point = from->n_point;
        return;
    }
    double *point = mem_array(n, sizeof(*point));
    bool has_place = recipe_parse(&recipe, from->recipe, strlen(from->recipe), NULL) == 0 &&
                     space_encode(phase->space, &recipe, point, NULL) == 0;

    recipe_release(&recipe);
    candidate->point = has_place ? point : NULL;
    candidate->n_point = has_place ? n : 0;
    if (!has_place) {
        free(point);
    }
}

static int sequel_select(struct coordinator *coordinator, struct sequel *sequel, uint64_t number,
                         struct err *err)
{
    struct store_candidate *best = NULL;
    size_t n = 0;
    int rc = has_front(coordinator)
                 ? front_finalists(coordinator, &best, &n, err)
                 : store_best_candidates(coordinator->store, coordinator->options.study->finalists,
                                         &best, &n, err);

    if (rc != 0) {
        return rc;
    }
    if (n == 0) {
        sequel_end(sequel, "failed",
                   "every candidate of the search failed: there is nothing to choose from");
        return 0;
    }
    sequel_stage(coordinator, sequel, STAGE_SELECT, number, 0);
    for (size_t i = 0; i < n; i++) {
        char label[64];

        snprintf(label, sizeof(label), "finalist %zu, candidate %llu", i + 1,
                 (unsigned long long)best[i].candidate);
        struct store_candidate *candidate =
            sequel_add(sequel, mem_text(best[i].recipe), SPLIT_SELECT, label);
        set_point(coordinator->phase, candidate, &best[i]);
    }
    if (!has_front(coordinator)) {
        sequel_mean(coordinator, sequel);
    }
    store_candidates_free(best, n);
    return 0;
}

static int sequel_report(struct coordinator *coordinator, struct sequel *sequel, uint64_t number,
                         struct err *err)
{
    struct store_candidate *baselines = NULL;
    size_t winner = SIZE_MAX, n = 0;

    int rc = verdict_choose(coordinator, &winner, err);
    if (rc != 0) {
        return rc;
    }
    if (winner == SIZE_MAX) {
        sequel_end(sequel, "failed", "every finalist failed on the select documents");
        return 0;
    }
    const struct store_candidate *row = &coordinator->open.places[winner].row;
    sequel->study.winner = row->candidate;
    sequel_stage(coordinator, sequel, STAGE_REPORT, number, 0);
    sequel_add(sequel, mem_text(row->recipe), SPLIT_REPORT, "winner");
    for (size_t i = 0; i < coordinator->open.n && has_front(coordinator); i++) {
        const struct store_candidate *other = &coordinator->open.places[i].row;

        if (i != winner && other->status == STORE_DONE) {
            sequel_add(sequel, mem_text(other->recipe), SPLIT_REPORT, other->label);
        }
    }
    if (coordinator->options.n_baselines > 0) {
        rc = store_candidates(coordinator->store, 0, &baselines, &n, err);
    }
    for (size_t i = 0; i < n && rc == 0; i++) {
        sequel_add(sequel, mem_text(baselines[i].recipe), SPLIT_REPORT, baselines[i].label)
            ->parent = baselines[i].parent;
    }
    store_candidates_free(baselines, n);
    return rc;
}

/* ---- the choice ---- */

int sequel_next(struct coordinator *coordinator, struct sequel *sequel, struct err *err)
{
    uint64_t number = coordinator->open.row.number + 1;
    char *sentences = NULL;

    switch (coordinator->open.stage) {
    case STAGE_BASELINE:
        sequel_search(coordinator, sequel, number, 0);
        return 0;
    case STAGE_SEARCH:
        if (sequel->over[0] == '\0' || sequel->phase != NULL) {
            sequel_search(coordinator, sequel, number, coordinator->open.row.generation + 1);
            return 0;
        }
        study_put(&sequel->study.ending, sequel->over);
        return sequel_select(coordinator, sequel, number, err);
    case STAGE_SELECT:
        return sequel_report(coordinator, sequel, number, err);
    default: {
        int rc = verdict_store(coordinator, &sentences, err);
        if (rc == 0) {
            study_put(&sequel->study.verdict, sentences);
            sequel_end(sequel, "finished", sequel->study.ending);
        }
        free(sentences);
        return rc;
    }
    }
}
