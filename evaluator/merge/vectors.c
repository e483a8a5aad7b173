/*
 * vectors.c - task vectors pruned and put together: task_arithmetic, ties, dare, breadcrumbs,
 * della.
 *
 *   d_i = prune(x_i - base)                 the largest, some at random, all but both ends, ...
 *   d_i = d_i * |d_i before| / |d_i|        where rescaled: the L1 norm is what it was
 *   r   = base + lambda * sum_i w_i d_i     plain, or of those i that agree with the elected sign
 *
 *                 what stays                               put together
 *   ties          the largest, of each tensor              by election
 *   ties_global   the largest, of all tensors together     by election
 *   dare_*        each with one probability                summed (linear), by election (ties)
 *   breadcrumbs   the largest but for the very largest     summed, by election (_ties)
 *   della         the larger, the likelier                 by election, summed (_linear)
 *
 * Ilharco et al. 2023 (arXiv:2212.04089), Yadav et al. 2023 (arXiv:2306.01708), Yu et al. 2023
 * (arXiv:2311.03099), Davari and Belilovsky 2023 (arXiv:2312.06795), Deep et al. 2024
 * (arXiv:2406.11617).
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/census.h"
#include "evaluator/merge/della.h"
#include "evaluator/merge/deviation.h"
#include "evaluator/merge/family.h"

#define MAGNITUDES_MIN 1e-7 /* below it a pruned vector is not scaled back */

/* ---- what stays of one source ---- */

/* Each sets mix->prune[s], which is all zero: everything stays. */
typedef int set_prune(struct mix *mix, size_t s, double density, struct err *err);

static int set_range(struct mix *mix, size_t s, size_t keep, size_t top, struct err *err)
{
    const struct trim_delta delta = plan_delta(mix->tensor, s);

    if (delta.n > UINT32_MAX) {
        return err_set(err, ERR_LIMIT, "%s: %zu elements are too many to trim", mix->tensor->name,
                       delta.n);
    }
    prune_range(&mix->prune[s], mix_counts(mix->memory, mix->tensor->index, s), &delta, keep, top);
    return 0;
}

static int set_largest(struct mix *mix, size_t s, double density, struct err *err)
{
    size_t n = mix->tensor->n;
    size_t keep = trim_count(n, density);

    if (keep == 0 && n > 0 && mix->plan->rules.strict) {
        return err_set(err, ERR_NUMERIC, "%s: density %g keeps no element of %zu",
                       mix->tensor->name, density, n);
    }
    keep = keep == 0 ? 1 : keep;
    return keep < n ? set_range(mix, s, keep, 0, err) : 0;
}

/* All that equal the threshold stay. A tensor that not all sources have is trimmed by itself. */
static int set_largest_of_all(struct mix *mix, size_t s, double density, struct err *err)
{
    const struct plan *plan = mix->plan;

    if (plan->n_tensors == 0 || !census_has(plan, mix->tensor)) {
        return set_largest(mix, s, density, err);
    }
    struct census *census = mix_census(mix);
    size_t n = census_size(census, plan, s);
    size_t keep = trim_count(n, density);

    if (keep == 0 && n > 0 && plan->rules.strict) {
        return err_set(err, ERR_NUMERIC, "%s: density %g keeps no element of %zu in all tensors",
                       mix->tensor->name, density, n);
    }
    keep = keep == 0 ? 1 : keep;
    if (keep < n) {
        mix->prune[s] =
            (struct prune){.kind = PRUNE_RANGE,
                           .low = {.bits = census_find(census, plan, s, keep), .cut = SIZE_MAX},
                           .high = {.bits = PRUNE_NO_LIMIT}};
    }
    return 0;
}

/* mergekit 0.1.4 drops everything when nothing is to be cut at the top. */
static int set_middle(struct mix *mix, size_t s, double density, struct err *err)
{
    size_t n = mix->tensor->n;
    size_t keep = trim_count(n, density);
    size_t top = trim_count(n, mix_source_value(mix, s, "gamma", 0.0));

    if (density >= 1.0) {
        return 0;
    }
    top = top < n - keep ? top : n - keep;
    if (keep == 0 || (top == 0 && mix->plan->rules.exact_mergekit)) {
        mix->prune[s].kind = PRUNE_ALL;
        return 0;
    }
    return set_range(mix, s, keep, top, err);
}

static int set_random(struct mix *mix, size_t s, double density, struct err *err)
{
    struct prune *prune = &mix->prune[s];

    (void)err;
    if (density < 1.0) {
        prune->kind = density > 0.0 ? PRUNE_RANDOM : PRUNE_ALL;
    }
    prune->share = random_share(fmin(fmax(density, 0.0), 1.0));
    random_open(&prune->stream, mix->plan->seed, s, mix->tensor->name);
    return 0;
}

static int check_ranked(const struct mix *mix, const struct della_shape *shape, double density,
                        double epsilon, struct err *err)
{
    if (density + epsilon >= 1.0 || density - epsilon <= 0.0) {
        return err_set(err, ERR_NUMERIC,
                       "%s: density %g with epsilon %g: this epsilon allows densities strictly "
                       "between %g and %g (or exactly 1, or 0 and below)",
                       mix->tensor->name, density, epsilon, epsilon, 1.0 - epsilon);
    }
    if (shape->row == 1 && mix->plan->rules.exact_mergekit) {
        return err_set(err, ERR_NUMERIC, "%s: rows of one element have no ranks",
                       mix->tensor->name);
    }
    return 0;
}

/* What is kept of the ranks within a tensor: which sources have theirs, then the ranks, each
 * source's at a multiple of 64. */
struct ranking {
    bool ranked[METHOD_SOURCES_MAX];
    uint16_t ranks[];
};

static const uint16_t *find_ranks(struct mix *mix, size_t s, const struct della_shape *shape,
                                  struct err *err)
{
    const struct trim_delta delta = plan_delta(mix->tensor, s);
    size_t each = (delta.n + 63) / 64 * 64;
    void **found = mix_found(mix);

    if (*found == NULL) {
        *found = mem_try(sizeof(struct ranking) + mix->block.k * each * sizeof(uint16_t), 1,
                         mix->tensor->name, err);
    }
    struct ranking *ranking = *found;
    if (ranking == NULL) {
        return NULL;
    }
    if (!ranking->ranked[s]) {
        della_rank(ranking->ranks + s * each, &delta, shape);
        ranking->ranked[s] = true;
    }
    return ranking->ranks + s * each;
}

static int set_ranked(struct mix *mix, size_t s, double density, struct err *err)
{
    const struct plan_tensor *tensor = mix->tensor;
    const struct della_shape shape = della_shape_of(tensor->dims, tensor->n_dims, tensor->n);
    double epsilon = mix_source_value(mix, s, "epsilon", 0.0);
    struct prune *prune = &mix->prune[s];

    if (density >= 1.0) {
        return 0;
    }
    if (density <= 0.0) {
        prune->kind = PRUNE_ALL;
        return 0;
    }
    int rc = check_ranked(mix, &shape, density, epsilon, err);
    if (rc != 0) {
        return rc;
    }
    const uint16_t *ranks = find_ranks(mix, s, &shape, err);
    if (ranks == NULL) {
        return ERR_MEMORY;
    }
    prune->kind = PRUNE_RANKED;
    prune->della =
        (struct della){.shape = shape, .density = density, .epsilon = epsilon, .ranks = ranks};
    random_open(&prune->della.stream, mix->plan->seed, s, tensor->name);
    return 0;
}

/* ---- making ready ---- */

/* The factor that gives a pruned task vector its old L1 norm. */
static double rescaling(struct mix *mix, size_t s)
{
    const struct trim_delta delta = plan_delta(mix->tensor, s);
    struct trim_counts *counts = mix_counts(mix->memory, mix->tensor->index, s);
    double before = trim_magnitudes(counts, &delta);
    double after = prune_magnitudes(&mix->prune[s], counts, &delta);

    return before >= MAGNITUDES_MIN && after >= MAGNITUDES_MIN ? before / after : 1.0;
}

/* What is pruned is not seen by the mix. A source is refused for what it holds, not for what its
 * luck leaves of it. */
static int check_finite(struct mix *mix, size_t s, struct err *err)
{
    const struct trim_delta delta = plan_delta(mix->tensor, s);
    const struct prune *prune = &mix->prune[s];
    bool is_seen =
        prune->kind == PRUNE_NOTHING ||
        (prune->kind == PRUNE_RANGE && prune->high.bits == PRUNE_NO_LIMIT); /* NaN is above all */

    if (is_seen || mix->plan->rules.allow_nonfinite ||
        trim_is_finite(mix_counts(mix->memory, mix->tensor->index, s), &delta)) {
        return 0;
    }
    return mix_check_inputs(mix->tensor, err);
}

static int prepare(struct mix *mix, set_prune *set, struct err *err)
{
    const unsigned char *const *keeps = mix->tensor->keeps;
    struct blend_block *block = &mix->block;
    int rc = mix_set_weights(mix, err);

    for (size_t s = 0; rc == 0 && s < block->k; s++) {
        struct prune *prune = &mix->prune[s];

        if (keeps == NULL) {
            rc = set(mix, s, mix_source_value(mix, s, "density", 1.0), err);
        } else if (keeps[s] != NULL) {
            *prune = (struct prune){.kind = PRUNE_BITS, .bits = keeps[s]};
        }
        if (rc == 0) {
            rc = check_finite(mix, s, err);
        }
        if (rc == 0 && prune->kind != PRUNE_NOTHING &&
            mix_whole_value(mix, "rescale", 0.0) != 0.0) {
            block->factors[s] = (float)((double)block->weights[s] * rescaling(mix, s));
        }
        block->stays = prune->kind != PRUNE_NOTHING ? BLEND_MARKED : block->stays;
        block->keep[s] = mix->keep[s];
    }
    if (rc == 0) {
        deviation_match(mix);
    }
    return rc;
}

static int keep_all(struct mix *mix, size_t s, double density, struct err *err)
{
    (void)mix;
    (void)s;
    (void)density;
    (void)err;
    return 0;
}

static int plain_prepare(struct mix *mix, struct err *err)
{
    return prepare(mix, keep_all, err);
}

static int largest_prepare(struct mix *mix, struct err *err)
{
    return prepare(mix, set_largest, err);
}

static int global_prepare(struct mix *mix, struct err *err)
{
    return prepare(mix, set_largest_of_all, err);
}

static int middle_prepare(struct mix *mix, struct err *err)
{
    return prepare(mix, set_middle, err);
}

/* Kernels draw for themselves where they can. */
static int random_prepare(struct mix *mix, struct err *err)
{
    int rc = prepare(mix, set_random, err);

    if (mix->block.stays == BLEND_MARKED && mix->brain && mix->tensor->keeps == NULL) {
        mix->block.stays = BLEND_DRAWN;
    }
    return rc;
}

static int ranked_prepare(struct mix *mix, struct err *err)
{
    return prepare(mix, set_ranked, err);
}

/* ---- blocks ---- */

static uint32_t elect(const struct mix *mix)
{
    return mix->brain ? mix->kernels->elect_bf16(&mix->block)
                      : mix->kernels->elect_f32(&mix->block);
}

static uint32_t sum(const struct mix *mix)
{
    return mix->brain ? mix->kernels->sum_bf16(&mix->block) : mix->kernels->sum_f32(&mix->block);
}

/* Says of the next block which elements stay. */
static void mark_block(struct mix *mix)
{
    struct blend_block *block = &mix->block;

    for (size_t s = 0; s < block->k; s++) {
        const struct trim_delta delta = plan_delta(mix->tensor, s);
        const struct prune *prune = &mix->prune[s];

        if (block->stays == BLEND_DRAWN) {
            random_draws_from(&block->draws[s], &prune->stream, prune->share, mix->at);
        } else if (block->stays == BLEND_MARKED) {
            prune_read(prune, &delta, mix->at, block->n, mix->keep[s]);
        }
    }
}

static uint32_t marked_sum_next(struct mix *mix)
{
    mark_block(mix);
    return sum(mix);
}

static uint32_t marked_elect_next(struct mix *mix)
{
    mark_block(mix);
    return elect(mix);
}

/* ---- blocks that go by limits of magnitudes: one pass, without bits ---- */

/* A block ends at the next cut (trim.h) of any source, so that one range holds for all of it. */
static void limit_block(struct mix *mix)
{
    struct blend_block *block = &mix->block;
    size_t end = mix->at + block->n;

    block->stays = BLEND_ALL;
    for (size_t s = 0; s < block->k; s++) {
        end = prune_limits(&mix->prune[s], mix->at, end, &block->limits[s], &block->lasts[s]);
        if (block->lasts[s] < PRUNE_NO_LIMIT) {
            block->stays = BLEND_BETWEEN;
        } else if (mix->prune[s].kind != PRUNE_NOTHING && block->stays == BLEND_ALL) {
            block->stays = BLEND_ABOVE;
        }
    }
    block->n = end - mix->at;
}

static uint32_t limited_sum_next(struct mix *mix)
{
    limit_block(mix);
    return sum(mix);
}

static uint32_t limited_elect_next(struct mix *mix)
{
    limit_block(mix);
    return elect(mix);
}

static const struct family families[] = {
    {"task_arithmetic", plain_prepare, marked_sum_next},
    {"ties", largest_prepare, limited_elect_next},
    {"ties_global", global_prepare, limited_elect_next},
    {"dare_linear", random_prepare, marked_sum_next},
    {"dare_ties", random_prepare, marked_elect_next},
    {"breadcrumbs", middle_prepare, limited_sum_next},
    {"breadcrumbs_ties", middle_prepare, limited_elect_next},
    {"della", ranked_prepare, marked_elect_next},
    {"della_linear", ranked_prepare, marked_sum_next},
};

const struct family *vectors_family(const char *method)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strcmp(families[i].method, method) == 0) {
            return &families[i];
        }
    }
    return NULL;
}
