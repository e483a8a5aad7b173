/*
 * phase_sensitivity.c - which coordinates matter, and a search that frees only those.
 *
 *     sensitivity   the start, then every coordinate a step up and a step down:  1 + 2 n candidates
 *     freed         the K with the largest effects have coordinates of their own; the others move
 *                   together as in the step before the finest, else as in the whole model
 *
 * The effect of a coordinate is how far apart its three scores lie: the start's, up and down.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/phase_kinds.h"
#include "search/weight_space.h"

static size_t how_many(const struct study *study)
{
    return study->merge.n_free > 0 ? 1 : 0;
}

/* Coordinates of the finest step. */
static size_t n_finest(const struct phase_setting *setting)
{
    const struct study_merge *merge = &setting->study->merge;
    const struct study_merge finest = phase_merge_at(merge, merge->n_finer);
    size_t n = 0;

    return weight_space_count(&n, &finest, setting->n_layers, NULL) == 0 ? n : 0;
}

static int lay_out_finest(struct phase *phase, const struct phase_setting *setting, struct err *err)
{
    phase->seen.merge = phase_merge_at(&setting->study->merge, setting->study->merge.n_finer);
    int rc = space_new(&phase->space, &phase->seen, setting->n_layers, setting->digests, err);

    if (rc == 0 && phase->seen.merge.n_free >= space_n(phase->space)) {
        rc = err_set(err, ERR_LIMIT,
                     "merge.free: %zu of %zu coordinates are all of them; leave it out",
                     phase->seen.merge.n_free, space_n(phase->space));
    }
    return rc;
}

/* ---- the pass ---- */

static uint64_t cost(const struct phase_setting *setting, size_t within)
{
    (void)within;
    return 1 + 2 * n_finest(setting);
}

static int lay_out(struct phase *phase, const struct phase_setting *setting,
                   const struct phase_past *past, struct err *err)
{
    (void)past;
    phase->name = mem_text("sensitivity");
    return lay_out_finest(phase, setting, err);
}

/* A step is a sigma, and at least one of a whole number's. */
static double step_of(const struct phase *phase, size_t i, double sigma)
{
    const struct space_coordinate *c = &space_coordinates(phase->space)[i];

    return c->whole ? fmax(sigma, 1.0 / (c->upper - c->lower + 1.0)) : sigma;
}

/* Row 0 is the start, rows 1 + 2 i and 2 + 2 i have coordinate i up and down. */
static void begin(const struct phase *phase, const struct phase_past *past,
                  const struct phase_ended *before, struct phase_beginning *out)
{
    const size_t n = space_n(phase->space);

    (void)past;
    if (before != NULL) {
        phase_carry_mean(before, phase->space, out->start);
    }
    out->algorithm = "listed";
    out->count = 1 + 2 * n;
    out->points = mem_array(out->count * n, sizeof *out->points);
    for (size_t k = 0; k < out->count; k++) {
        memcpy(out->points + k * n, out->start, n * sizeof *out->points);
    }
    for (size_t i = 0; i < n; i++) {
        double step = step_of(phase, i, out->sigma);

        out->points[(1 + 2 * i) * n + i] = fmin(out->start[i] + step, space_upper(phase->space)[i]);
        out->points[(2 + 2 * i) * n + i] = fmax(out->start[i] - step, space_lower(phase->space)[i]);
    }
}

const struct phase_kind phase_sensitivity = {
    .n = how_many,
    .cost = cost,
    .lay_out = lay_out,
    .begin = begin,
};

/* ---- the search of those that matter ---- */

/* Effects [n] from what the phase before was told; 0 where nothing is known. */
static double *effects_of(const struct phase_past *past, size_t phase, size_t n)
{
    double *effects = mem_array(n, sizeof *effects);
    double *values = mem_array(1 + 2 * n, sizeof *values);
    size_t told = 0;

    for (size_t k = 0; k < past->n && told < 1 + 2 * n; k++) {
        if (past->told[k].phase == phase) {
            values[told++] = past->told[k].value;
        }
    }
    for (size_t i = 0; 2 + 2 * i < told; i++) { /* fmin and fmax pass over what failed */
        double up = values[1 + 2 * i], down = values[2 + 2 * i];
        double range = fmax(fmax(up, down), values[0]) - fmin(fmin(up, down), values[0]);

        effects[i] = isfinite(range) ? range : 0.0;
    }
    free(values);
    return effects;
}

/* group [n]: SIZE_MAX for the K largest effects, of equal ones the first. */
static void free_largest(size_t *group, const double *effects, size_t n, size_t k)
{
    for (; k > 0; k--) {
        size_t best = n;

        for (size_t i = 0; i < n; i++) {
            if (group[i] != SIZE_MAX && (best == n || effects[i] > effects[best])) {
                best = i;
            }
        }
        group[best] = SIZE_MAX;
    }
}

/* group [n]: the coordinate of the coarser space that moves each of the finer one's most. */
static void group_by(const struct space *coarse, const struct space *fine, size_t *group)
{
    const size_t n = space_n(fine), n_coarse = space_n(coarse);
    double *point = mem_array(n_coarse, sizeof *point);
    double *low = mem_array(3 * n, sizeof *low), *high = low + n, *most = low + 2 * n;

    phase_carry(coarse, point, fine, low);
    for (size_t c = 0; c < n_coarse; c++) {
        point[c] = 1.0;
        phase_carry(coarse, point, fine, high);
        point[c] = 0.0;
        for (size_t i = 0; i < n; i++) {
            if (fabs(high[i] - low[i]) > most[i]) {
                most[i] = fabs(high[i] - low[i]);
                group[i] = c;
            }
        }
    }
    free(point);
    free(low);
}

/* The step before the finest; the whole model where there is none. */
static int lay_out_coarser(struct space **out, struct study *seen,
                           const struct phase_setting *setting, struct err *err)
{
    const struct study_merge *merge = &setting->study->merge;

    *seen = *setting->study;
    seen->merge = phase_merge_at(merge, merge->n_finer > 0 ? merge->n_finer - 1 : 0);
    if (merge->n_finer == 0) {
        seen->merge.layers = STUDY_LAYERS_GROUPS;
        seen->merge.n_layer_groups = 1;
    }
    return space_new(out, seen, setting->n_layers, setting->digests, err);
}

static int freed_lay_out(struct phase *phase, const struct phase_setting *setting,
                         const struct phase_past *past, struct err *err)
{
    struct space *coarse = NULL;
    struct study seen;
    int rc = lay_out_finest(phase, setting, err);

    if (rc == 0) {
        rc = lay_out_coarser(&coarse, &seen, setting, err);
    }
    if (rc != 0) {
        return rc;
    }
    const size_t n = space_n(phase->space), k = phase->seen.merge.n_free;
    size_t *group = mem_array(n, sizeof *group);

    phase->name = mem_printf("weights, %zu of %zu free", k, n);
    phase->effects = effects_of(past, phase->index - 1, n);
    phase->n_effects = n;
    group_by(coarse, phase->space, group);
    free_largest(group, phase->effects, n, k);
    space_join(phase->space, group, space_coordinates(coarse));
    free(group);
    space_free(coarse);
    return 0;
}

/* As any finer step: from where the one before ended, which is the best of the pass. */
static void freed_begin(const struct phase *phase, const struct phase_past *past,
                        const struct phase_ended *before, struct phase_beginning *out)
{
    (void)past;
    if (before != NULL) {
        phase_carry_mean(before, phase->space, out->start);
    }
    for (size_t i = 0; i < space_n(phase->space) && phase->index > 1; i++) {
        out->deviations[i] = PHASE_DEVIATION_LEAST; /* behind a coarser step, not only the pass */
    }
}

static double freed_weight(const struct phase_setting *setting, size_t within)
{
    return phase_weights.weight(setting, within + setting->study->merge.n_finer);
}

const struct phase_kind phase_freed = {
    .n = how_many,
    .weight = freed_weight,
    .lay_out = freed_lay_out,
    .begin = freed_begin,
};
