/*
 * phase_weights.c - the coefficients of a merge, from coarse to fine.
 *
 * A finer step starts where the coarser one ended:
 *
 *     coarse        .3              its mean, and a deviation away from it
 *     recipe        .3 .3 .3 .3     the same merge, layer by layer
 *     fine          .3 .3 .3 .3     in the new coordinates
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "search/phase_kinds.h"
#include "search/weight_space.h"

size_t phase_merge_n(const struct study *study)
{
    return phase_weights.n(study) + phase_sensitivity.n(study) + phase_freed.n(study);
}

/* A merge that is searched together with routes has no phase of its own; the last step is another
 * kind's where only some of its coordinates are freed. */
static size_t how_many(const struct study *study)
{
    bool together = study->route.mode != STUDY_ROUTE_NONE && study->route.order == STUDY_TOGETHER;
    size_t freed = study->merge.n_free > 0 ? 1 : 0;

    return study->merge.method == NULL || together ? 0 : 1 + study->merge.n_finer - freed;
}

struct study_merge phase_merge_at(const struct study_merge *merge, size_t within)
{
    struct study_merge at = *merge;

    if (within > 0) {
        at.layers = merge->finer[within - 1].layers;
        at.n_layer_groups = merge->finer[within - 1].n_layer_groups;
    }
    at.n_finer = 0;
    return at;
}

/* By the square root of the coordinates: finer steps need more, but start closer. */
static double weight_of(const struct phase_setting *setting, size_t within)
{
    const struct study_budget *budget = &setting->study->budget;
    const struct study_merge merge = phase_merge_at(&setting->study->merge, within);
    size_t n = 1;

    if (budget->n_shares > 0) {
        return budget->shares[within];
    }
    return weight_space_count(&n, &merge, setting->n_layers, NULL) == 0 ? sqrt((double)n) : 1.0;
}

static char *name_of(const struct study_merge *merge)
{
    switch (merge->layers) {
    case STUDY_LAYERS_EACH:
        return mem_text("weights, each layer");
    case STUDY_LAYERS_SMOOTH:
        return mem_printf("weights, %u knots", merge->n_layer_groups);
    case STUDY_LAYERS_GROUPS:
        break;
    }
    return merge->n_layer_groups == 1 ? mem_text("weights, whole model")
                                      : mem_printf("weights, %u groups", merge->n_layer_groups);
}

static int lay_out(struct phase *phase, const struct phase_setting *setting,
                   const struct phase_past *past, struct err *err)
{
    (void)past;
    phase->seen.merge = phase_merge_at(&setting->study->merge, phase->within);
    phase->name = name_of(&phase->seen.merge);
    return space_new(&phase->space, &phase->seen, setting->n_layers, setting->digests, err);
}

void phase_carry(const struct space *from, const double *point, const struct space *to, double *out)
{
    struct recipe recipe = {0};

    space_decode(from, point, &recipe);
    int rc = space_encode(to, &recipe, out, NULL);

    assert(rc == 0);
    (void)rc;
    recipe_release(&recipe);
}

void phase_carry_mean(const struct phase_ended *from, const struct space *to, double *out)
{
    double *mean = mem_array(space_n(from->phase->space), sizeof *mean);

    optimiser_mean(from->optimiser, mean);
    phase_carry(from->phase->space, mean, to, out);
    free(mean);
}

/* From where the coarser search ended; its deviations are carried as the distance of two points. */
static void begin(const struct phase *phase, const struct phase_past *past,
                  const struct phase_ended *before, struct phase_beginning *out)
{
    (void)past;
    if (before == NULL) {
        return;
    }
    const struct space *coarse = before->phase->space, *fine = phase->space;
    const size_t n = space_n(coarse), n_fine = space_n(fine);
    double *mean = mem_array(3 * n, sizeof *mean), *spread = mean + n, *moved = mean + 2 * n;
    double *end = mem_array(n_fine, sizeof *end);

    optimiser_mean(before->optimiser, mean);
    optimiser_deviations(before->optimiser, spread);
    for (size_t i = 0; i < n; i++) { /* towards the middle: there is room */
        moved[i] = mean[i] < 0.5 ? fmin(mean[i] + spread[i], 1.0) : fmax(mean[i] - spread[i], 0.0);
    }
    phase_carry(coarse, mean, fine, out->start);
    phase_carry(coarse, moved, fine, end);
    for (size_t i = 0; i < n_fine; i++) {
        double share = fabs(end[i] - out->start[i]) / out->sigma;

        out->deviations[i] = fmin(fmax(share, PHASE_DEVIATION_LEAST), 1.0);
    }
    free(mean);
    free(end);
}

const struct phase_kind phase_weights = {
    .n = how_many,
    .weight = weight_of,
    .lay_out = lay_out,
    .begin = begin,
};
