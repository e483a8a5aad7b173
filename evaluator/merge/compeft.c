/*
 * compeft.c - ternary task vectors as merge inputs: compeft, compeft_ties.
 *
 *   t_i = alpha_i * std(d_i) * sign(d_i)   where |d_i| is among the density * n largest, else 0
 *   r   = base + lambda * sum_i w_i t_i    plain, or of those i that agree with the elected sign
 *
 * ComPEFT: Yadav et al. 2023 (arXiv:2311.13171), Algorithm 1, a tensor at a time: of each change
 * its sign is left, and one size for all. The deviation is that of the whole task vector.
 */
#include <math.h>
#include <string.h>

#include "evaluator/merge/deviation.h"
#include "evaluator/merge/family.h"

struct ternary {
    float size[METHOD_SOURCES_MAX]; /* of every change that is left */
    float base[TRIM_BLOCK], zeros[TRIM_BLOCK], merged[TRIM_BLOCK];
    unsigned char keep[TRIM_BLOCK / 8];
};

static int set_largest(struct mix *mix, size_t s, struct err *err)
{
    const struct plan_tensor *tensor = mix->tensor;
    const struct trim_delta delta = plan_delta(tensor, s);
    double density = mix_source_value(mix, s, "density", 1.0);
    size_t keep = trim_count(tensor->n, density);

    if (tensor->n > UINT32_MAX) {
        return err_set(err, ERR_LIMIT, "%s: %zu elements are too many to trim", tensor->name,
                       tensor->n);
    }
    if (keep == 0 && mix->plan->rules.strict) {
        return err_set(err, ERR_NUMERIC, "%s: density %g keeps no element of %zu", tensor->name,
                       density, tensor->n);
    }
    keep = keep == 0 ? 1 : keep;
    if (keep < tensor->n) {
        prune_range(&mix->prune[s], mix_counts(mix->memory, tensor->index, s), &delta, keep, 0);
    }
    return 0;
}

static int prepare(struct mix *mix, struct err *err)
{
    struct ternary *ternary = mix_state(mix, sizeof *ternary);
    int rc = mix_set_weights(mix, err);

    for (size_t s = 0; rc == 0 && s < mix->block.k && mix->tensor->n > 0; s++) {
        rc = set_largest(mix, s, err);
        ternary->size[s] = (float)(mix_source_value(mix, s, "alpha", 1.0) * deviation_of(mix, s));
    }
    if (rc == 0) {
        deviation_match(mix);
    }
    return rc;
}

/* Elements [at, at + n) of a source's ternary vector into its buffer. */
static void make_ternary(struct mix *mix, size_t s, size_t at, size_t n)
{
    const struct trim_delta delta = plan_delta(mix->tensor, s);
    struct ternary *ternary = mix->state;
    float *t = mix->floats[s];

    prune_read(&mix->prune[s], &delta, at, n, ternary->keep);
    trim_read(&delta, at, n, t);
    for (size_t i = 0; i < n; i++) {
        bool stays = (ternary->keep[i / 8] >> i % 8 & 1) != 0 && t[i] != 0.0F;

        t[i] = stays ? copysignf(ternary->size[s], t[i]) : 0.0F;
    }
}

/* The vectors are mixed by the kernels as if the base were zero, and the base is added. A NaN
 * does not pass as a sign: it comes back with its base, or is the base's own. */
static uint32_t mix_ternary(struct mix *mix, bool elects)
{
    struct ternary *ternary = mix->state;
    uint32_t bad = 0;

    for (size_t from = 0; from < mix->block.n; from += TRIM_BLOCK) {
        size_t n = mix->block.n - from < TRIM_BLOCK ? mix->block.n - from : TRIM_BLOCK;
        struct blend_block block = mix->block;

        block.n = n;
        block.out = ternary->merged;
        block.base = ternary->zeros;
        block.stream = false;
        for (size_t s = 0; s < block.k; s++) {
            make_ternary(mix, s, mix->at + from, n);
            block.x[s] = mix->floats[s];
        }
        bad |= elects ? mix->kernels->elect_f32(&block) : mix->kernels->sum_f32(&block);
        mix_read(mix, MIX_BASE, mix->at + from, n, ternary->base);
        for (size_t i = 0; i < n; i++) {
            ternary->merged[i] += ternary->base[i];
        }
        bad |= mix_put(mix, from, n, ternary->merged);
    }
    return bad;
}

static uint32_t sum_next(struct mix *mix)
{
    return mix_ternary(mix, false);
}

static uint32_t elect_next(struct mix *mix)
{
    return mix_ternary(mix, true);
}

static const struct family families[] = {
    {"compeft", prepare, sum_next},
    {"compeft_ties", prepare, elect_next},
};

const struct family *compeft_family(const char *method)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strcmp(families[i].method, method) == 0) {
            return &families[i];
        }
    }
    return NULL;
}
