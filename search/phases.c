/*
 * phases.c - a study's phases: those of the first kind, then those of the second, and so on.
 */
#include "search/phases.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/phase_kinds.h"

#define SIGMA_AUTO 0.25 /* of the box: the optimum lies within two of these of most starts */
/* Between the sampling streams of two phases: above those of restarts (restarts.c). */
#define STREAM_STEP (UINT64_C(1) << 24)

/* ---- the table ---- */

static const struct phase_kind *const kinds[] = {&phase_weights, &phase_sensitivity, &phase_freed,
                                                 &phase_map,     &phase_compose,     &phase_gains,
                                                 &phase_route};

#define KINDS (sizeof kinds / sizeof *kinds)

size_t phases_n(const struct study *study)
{
    size_t n = 0;

    for (size_t k = 0; k < KINDS; k++) {
        n += kinds[k]->n(study);
    }
    return n;
}

/* The kind of phase `index`, and which of that kind it is. */
static const struct phase_kind *kind_of(const struct study *study, size_t index, size_t *within)
{
    size_t k = 0;

    while (index >= kinds[k]->n(study)) {
        index -= kinds[k++]->n(study);
        assert(k < KINDS);
    }
    *within = index;
    return kinds[k];
}

int phase_new(struct phase **out, const struct phase_setting *setting, size_t index,
              const struct phase_past *past, struct err *err)
{
    struct phase *phase = mem_array(1, sizeof *phase);

    phase->index = index;
    phase->seen = *setting->study;
    phase->earlier = index == 0 ? setting->earlier : NULL;
    phase->kind = kind_of(setting->study, index, &phase->within);
    int rc = phase->kind->lay_out(phase, setting, past, err);

    if (rc != 0) {
        phase_free(phase);
        return rc;
    }
    *out = phase;
    return 0;
}

void phase_free(struct phase *phase)
{
    if (phase != NULL) {
        space_free(phase->space);
        free(phase->name);
        free(phase->effects);
        free(phase);
    }
}

char *phase_label(const struct phase *phase, const double *point)
{
    return phase->kind->label != NULL ? phase->kind->label(phase, point) : mem_text("");
}

bool phase_is_list(const struct phase *phase)
{
    return phase->kind->cost != NULL;
}

uint64_t phase_evaluations(const struct phase_setting *setting, size_t index, uint64_t left)
{
    const size_t n = phases_n(setting->study);
    double mine = 0.0, all = 0.0;

    for (size_t i = index; i < n; i++) {
        size_t within;
        const struct phase_kind *kind = kind_of(setting->study, i, &within);
        uint64_t cost = kind->cost != NULL ? kind->cost(setting, within) : 0;

        if (kind->cost != NULL && i == index) {
            return cost < left ? cost : left;
        }
        left -= cost < left ? cost : left;
        all += kind->cost == NULL ? kind->weight(setting, within) : 0.0;
        mine = i == index ? all : mine;
    }
    return index + 1 == n ? left : (uint64_t)((double)left * mine / all);
}

/* ---- the optimiser ---- */

/* The unit box [3, n]: lower, upper, steps. A whole number of K values stands on a grid of K
 * points, each in the middle of its share. */
static double *box_of(const struct space *space)
{
    const size_t n = space_n(space);
    double *box = mem_array(3 * n, sizeof(*box));

    for (size_t i = 0; i < n; i++) {
        const struct space_coordinate *c = &space_coordinates(space)[i];
        double share = c->whole ? 1.0 / (c->upper - c->lower + 1.0) : 0.0;

        box[i] = space_lower(space)[i] + 0.5 * share;
        box[n + i] = space_upper(space)[i] - 0.5 * share;
        box[2 * n + i] = share;
    }
    return box;
}

/* What a search that knows nothing begins with. */
static struct phase_beginning fresh(const struct phase *phase)
{
    const struct study_optimizer *optimizer = &phase->seen.optimizer;
    const size_t n = space_n(phase->space);
    struct phase_beginning begins = {
        .algorithm = optimizer->algorithm,
        .sigma = optimizer->sigma > 0.0 ? optimizer->sigma : SIGMA_AUTO,
        .start = mem_array(n, sizeof(double)),
        .deviations = mem_array(n, sizeof(double)),
    };

    memcpy(begins.start, space_start(phase->space), n * sizeof(double));
    for (size_t i = 0; i < n; i++) {
        double deviation = space_coordinates(phase->space)[i].deviation;

        begins.deviations[i] = deviation > 0.0 ? deviation : 1.0;
    }
    if (phase->earlier != NULL) {
        warm_start(phase->space, phase->earlier, begins.start, begins.deviations, &begins.sigma,
                   begins.note);
    }
    return begins;
}

/* Restarts and care for noise are the study's wish for its own algorithm: a list has neither, nor
 * has a search that its kind of phase chose for being discrete. */
static bool is_plain(const char *chosen, const struct study_optimizer *optimizer)
{
    return strcmp(chosen, optimizer->algorithm) != 0 &&
           (strcmp(chosen, "listed") == 0 || strcmp(chosen, "discrete") == 0);
}

/* box [3, n]. why [PHASE_WHY_MAX]: what auto chose. */
static struct optimiser_options options_of(const struct phase *phase,
                                           const struct phase_beginning *begins, const double *box,
                                           uint64_t evaluations, char *why)
{
    const struct study_optimizer *optimizer = &phase->seen.optimizer;
    const bool plain = is_plain(begins->algorithm, optimizer);
    const size_t n = space_n(phase->space);
    /* A kind that brings an algorithm of one objective has the mean of all tasks for it. */
    const bool several = optimiser_takes_several(begins->algorithm);
    struct optimiser_options options = {
        .algorithm = begins->algorithm,
        .restarts = plain ? "none" : optimizer->restarts,
        .noise = plain ? "none" : optimizer->noise,
        .n = n,
        .start = begins->start,
        .deviations = begins->deviations,
        .sigma = begins->sigma,
        .lambda = optimizer->population,
        .objectives = several ? phase->seen.n_objectives : 1,
        .seed = phase->seen.seed,
        .stream = phase->index > 0 ? RNG_SAMPLING + STREAM_STEP * phase->index : 0,
        .evaluations = evaluations,
        .lower = box,
        .upper = box + n,
        .steps = box + 2 * n,
        .points = begins->points,
        .n_points = begins->count,
    };

    why[0] = '\0';
    if (strcmp(options.algorithm, "auto") == 0) {
        options.algorithm = optimiser_choose(&options, why, PHASE_WHY_MAX);
    }
    return options;
}

/* What of the optimiser is wanted: all of it, or its name; the other one is NULL. */
static int make(struct optimiser **out, const char **name, const struct phase *phase,
                const struct phase_past *past, const struct phase_ended *before,
                uint64_t evaluations, char *why, struct err *err)
{
    struct phase_beginning begins = fresh(phase);
    double *box = box_of(phase->space);

    if (phase->kind->begin != NULL) {
        phase->kind->begin(phase, past, before, &begins);
    }
    const struct optimiser_options options = options_of(phase, &begins, box, evaluations, why);
    int rc = out != NULL ? optimiser_new(out, &options, err) : optimiser_check(&options, err);

    if (begins.note[0] != '\0') {
        size_t n = strlen(why);

        snprintf(why + n, PHASE_WHY_MAX - n, "%s%s", n > 0 ? "; " : "", begins.note);
    }
    if (rc == 0 && name != NULL) {
        *name = options.algorithm;
    }
    free(box);
    free(begins.start);
    free(begins.deviations);
    free(begins.points);
    return rc != 0 ? err_wrap(err, "optimizer") : 0;
}

int phase_optimiser(struct optimiser **out, const struct phase *phase,
                    const struct phase_past *past, const struct phase_ended *before,
                    uint64_t evaluations, char *why, struct err *err)
{
    return make(out, NULL, phase, past, before, evaluations, why, err);
}

int phases_plan(const struct phase_setting *setting,
                void (*visit)(void *context, const struct phase_plan *plan), void *context,
                struct err *err)
{
    const struct phase_past nothing = {0};
    const char *warm = setting->study->optimizer.warm_start;
    uint64_t left = setting->study->budget.evaluations;
    int rc = warm == NULL || setting->earlier != NULL
                 ? 0
                 : err_set(err, ERR_MISSING, "optimizer.warm_start: %s was not read", warm);

    for (size_t i = 0; i < phases_n(setting->study) && rc == 0; i++) {
        struct phase_plan plan = {.evaluations = phase_evaluations(setting, i, left)};
        struct phase *phase = NULL;

        rc = phase_new(&phase, setting, i, &nothing, err);
        if (rc == 0) {
            rc =
                make(NULL, &plan.algorithm, phase, &nothing, NULL, plan.evaluations, plan.why, err);
        }
        if (rc == 0 && visit != NULL) {
            plan.phase = phase;
            visit(context, &plan);
        }
        left -= plan.evaluations;
        phase_free(phase);
    }
    return rc;
}
