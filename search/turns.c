/*
 * turns.c - a search turns from one phase to the next.
 *
 *     generation of phase 0 told --> over: its share is used, its optimiser stops, nothing improves
 *                                --> phase 1 laid out from the study and what phase 0 was told
 *                                --> its optimiser, from where phase 0 ended
 *
 * all in the transaction that tells the last generation of the old phase and asks the first of the
 * new one. What the new one is follows from the store, so a restart lays out the same; its
 * optimiser is in the bytes of its first generation.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/coordinator_internal.h"

static struct phase_setting setting_of(const struct coordinator *coordinator)
{
    return (struct phase_setting){.study = coordinator->options.study,
                                  .n_layers = coordinator->options.n_layers,
                                  .model_layers = coordinator->options.model_layers,
                                  .digests = coordinator->options.model_digests,
                                  .earlier = coordinator->options.earlier};
}

int turn_check(const struct coordinator *coordinator, struct err *err)
{
    const struct phase_setting setting = setting_of(coordinator);

    return phases_plan(&setting, NULL, NULL, err);
}

static uint64_t budget_left(const struct coordinator *coordinator)
{
    uint64_t budget = coordinator->options.study->budget.evaluations;

    return coordinator->tally.searched < budget ? budget - coordinator->tally.searched : 0;
}

/* ---- what earlier phases were told ---- */

struct past {
    size_t n;
    struct store_candidate *rows;
    struct phase_told *told; /* points into rows */
};

static void past_release(struct past *past)
{
    store_candidates_free(past->rows, past->n);
    free(past->told);
}

static int past_load(struct past *past, struct coordinator *coordinator, size_t phase,
                     struct err *err)
{
    int rc = phase == 0
                 ? 0
                 : store_candidates_before(coordinator->store, phase, &past->rows, &past->n, err);

    past->told = mem_array(past->n, sizeof(*past->told));
    for (size_t i = 0; i < past->n && rc == 0; i++) {
        const struct store_candidate *row = &past->rows[i];

        past->told[i] = (struct phase_told){.phase = (size_t)row->phase,
                                            .recipe = row->recipe,
                                            .point = row->point,
                                            .n_point = row->n_point,
                                            .value = row->value};
    }
    return rc;
}

/* ---- the next phase ---- */

static struct store_phase row_of(const struct sequel *sequel, uint64_t generation, uint64_t before,
                                 uint64_t evaluations, const char *why)
{
    uint64_t least = optimiser_asks(sequel->optimiser); /* a phase has a generation at least */

    return (struct store_phase){.phase = sequel->phase->index,
                                .name = mem_text(sequel->phase->name),
                                .optimiser = mem_text(optimiser_name(sequel->optimiser)),
                                .why = mem_text(why),
                                .generation = generation,
                                .before = before,
                                .evaluations = evaluations > least ? evaluations : least,
                                .ending = mem_text("")};
}

int turn_to(struct coordinator *coordinator, struct sequel *sequel, size_t index,
            const struct optimiser *ended, uint64_t generation, struct err *err)
{
    const struct phase_setting setting = setting_of(coordinator);
    const struct phase_ended before = {coordinator->phase, ended};
    const uint64_t evaluations = phase_evaluations(&setting, index, budget_left(coordinator));
    struct past past = {0};
    char why[PHASE_WHY_MAX];

    int rc = past_load(&past, coordinator, index, err);
    const struct phase_past told = {past.n, past.told};
    if (rc == 0) {
        rc = phase_new(&sequel->phase, &setting, index, &told, err);
    }
    if (rc == 0) {
        rc = phase_optimiser(&sequel->optimiser, sequel->phase, &told,
                             ended != NULL ? &before : NULL, evaluations, why, err);
    }
    if (rc == 0) {
        sequel->part = row_of(sequel, generation, coordinator->tally.searched, evaluations, why);
    }
    past_release(&past);
    return rc;
}

/* ---- is the phase, is the search over? ---- */

static bool is_last(const struct coordinator *coordinator)
{
    return coordinator->phase->index + 1 == phases_n(coordinator->options.study);
}

/* Why the search asks no further generation of this size, whatever its phase; "" when it does. */
static void why_search_over(char out[REASON_MAX], const struct coordinator *coordinator,
                            const struct sequel *sequel)
{
    if (sequel->study.ending[0] != '\0') {
        snprintf(out, REASON_MAX, "%s", sequel->study.ending);
    } else if (optimiser_asks(sequel->optimiser) > budget_left(coordinator)) {
        snprintf(out, REASON_MAX, "the budget of %llu evaluations is used",
                 (unsigned long long)coordinator->options.study->budget.evaluations);
    }
}

/* Nothing better for so many generations, counted from the best so far or from the beginning of
 * the phase. What an optimiser asks in portions counts when a whole population is told. */
static int look_for_stagnation(const struct coordinator *coordinator, const struct sequel *sequel,
                               bool *stagnant, struct err *err)
{
    const uint64_t most = coordinator->options.study->budget.stagnation;
    uint64_t since = coordinator->part.generation, evaluations = 0;

    *stagnant = false;
    if (most == 0 || phase_is_list(coordinator->phase) || isnan(coordinator->tally.best)) {
        return 0;
    }
    since = sequel->improved > since ? sequel->improved : since;
    if (coordinator->open.row.generation - since < most) {
        return 0;
    }
    int rc = store_count_after(coordinator->store, since, &evaluations, err);

    *stagnant = rc == 0 && evaluations >= most * optimiser_population(sequel->optimiser);
    return rc;
}

/* Why the phase asks no further generation. */
static void why_phase_over(char out[REASON_MAX], const struct coordinator *coordinator,
                           const struct sequel *sequel, bool stagnant)
{
    const struct store_phase *part = &coordinator->part;
    uint64_t spent = coordinator->tally.searched - part->before;

    if (optimiser_stop(sequel->optimiser) != NULL) {
        snprintf(out, REASON_MAX, "%s", optimiser_stop_words(sequel->optimiser));
    } else if (!is_last(coordinator) &&
               spent + optimiser_asks(sequel->optimiser) > part->evaluations) {
        snprintf(out, REASON_MAX, "its share of %llu evaluations is used",
                 (unsigned long long)part->evaluations);
    } else if (stagnant) {
        snprintf(out, REASON_MAX, "no better candidate for %u generations",
                 coordinator->options.study->budget.stagnation);
    }
}

/* The next phase, unless what is left of the budget does not hold a generation of it. */
static int try_next(struct coordinator *coordinator, struct sequel *sequel, struct err *err)
{
    struct optimiser *ended = sequel->optimiser;

    sequel->optimiser = NULL;
    int rc = turn_to(coordinator, sequel, coordinator->phase->index + 1, ended,
                     coordinator->open.row.generation + 1, err);
    if (rc == 0 && optimiser_asks(sequel->optimiser) > budget_left(coordinator)) {
        snprintf(sequel->over, REASON_MAX, "the budget of %llu evaluations is used",
                 (unsigned long long)coordinator->options.study->budget.evaluations);
        phase_free(sequel->phase);
        sequel->phase = NULL;
        store_phase_release(&sequel->part);
        optimiser_free(sequel->optimiser);
        sequel->optimiser = ended;
        return 0;
    }
    optimiser_free(ended);
    return rc;
}

int turn_decide(struct coordinator *coordinator, struct sequel *sequel, struct err *err)
{
    why_search_over(sequel->over, coordinator, sequel);
    if (sequel->over[0] != '\0') {
        return 0;
    }
    bool stagnant;
    int rc = look_for_stagnation(coordinator, sequel, &stagnant, err);

    if (rc != 0) {
        return rc;
    }
    why_phase_over(sequel->over, coordinator, sequel, stagnant);
    return sequel->over[0] == '\0' || is_last(coordinator) ? 0 : try_next(coordinator, sequel, err);
}

/* ---- storing and going on ---- */

static int add_coordinates(struct coordinator *coordinator, const struct phase *phase,
                           struct err *err)
{
    const struct space_coordinate *coordinates = space_coordinates(phase->space);
    int rc = 0;

    for (size_t i = 0; i < space_n(phase->space) && rc == 0; i++) {
        rc = store_add_coordinate(coordinator->store, phase->index, i, coordinates[i].name,
                                  coordinates[i].lower, coordinates[i].upper, err);
    }
    return rc;
}

static int add_phase(struct coordinator *coordinator, const struct sequel *sequel, struct err *err)
{
    const struct store_event event = {.kind = "phase"};
    const struct store_phase *part = &sequel->part;

    int rc = store_add_phase(coordinator->store, part, err);
    if (rc == 0) {
        rc = add_coordinates(coordinator, sequel->phase, err);
    }
    for (size_t i = 0; i < sequel->phase->n_effects && rc == 0; i++) {
        rc = store_set_effect(coordinator->store, part->phase - 1, i, sequel->phase->effects[i],
                              err);
    }
    if (rc == 0) {
        rc = store_add_event(
            coordinator->store, &event, err, "phase %llu, %s: %zu coordinates by %s%s%s",
            (unsigned long long)part->phase, part->name, space_n(sequel->phase->space),
            part->optimiser, part->why[0] != '\0' ? "; " : "", part->why);
    }
    return rc;
}

int turn_store(struct coordinator *coordinator, const struct sequel *sequel, struct err *err)
{
    const struct store_event event = {.kind = "phase"};
    int rc = 0;

    if (sequel->over[0] != '\0') {
        const struct store_phase *part = &coordinator->part;

        rc = store_end_phase(coordinator->store, part->phase, sequel->over, err);
        if (rc == 0) {
            rc = store_add_event(coordinator->store, &event, err, "phase %llu, %s, ends: %s",
                                 (unsigned long long)part->phase, part->name, sequel->over);
        }
    }
    return rc == 0 && sequel->phase != NULL ? add_phase(coordinator, sequel, err) : rc;
}

void turn_adopt(struct coordinator *coordinator, struct sequel *sequel)
{
    if (sequel->phase != NULL) {
        struct phase *old = coordinator->phase;
        struct store_phase old_part = coordinator->part;

        coordinator->phase = sequel->phase;
        coordinator->part = sequel->part;
        sequel->phase = old;
        sequel->part = old_part;
    }
}

int turn_resume(struct coordinator *coordinator, uint64_t phase, struct err *err)
{
    const struct phase_setting setting = setting_of(coordinator);
    struct past past = {0};

    if (phase >= phases_n(setting.study)) {
        return err_set(err, ERR_CONFLICT, "database: damaged: the search has no phase %llu",
                       (unsigned long long)phase);
    }
    int rc = store_phase(coordinator->store, phase, &coordinator->part, err);
    if (rc == 0) {
        rc = past_load(&past, coordinator, (size_t)phase, err);
    }
    const struct phase_past told = {past.n, past.told};
    if (rc == 0) {
        rc = phase_new(&coordinator->phase, &setting, (size_t)phase, &told, err);
    }
    past_release(&past);
    return rc;
}
