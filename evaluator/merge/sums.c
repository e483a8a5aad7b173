/*
 * sums.c - weighted sums: linear, passthrough, layer_swap.
 *
 * Wortsman et al. 2022 (arXiv:2203.05482).
 *
 * layer_swap puts bottom and top layers of one model around the middle ones of another: Bandarkar
 * et al. 2024 (arXiv:2410.01335). Where a boundary falls within a layer, that layer is a
 * transition, mixed by how much of it lies on either side; so results change smoothly with the
 * boundaries, and a search can move them.
 *
 *     layer     0     1     2     3     4     5        bottom 0.25, top 0.5 of 6 layers
 *            |-----|--.--|-----|-----|-----|-----|
 *     middle    0    0.5    1     0     0     0        the second source's share
 *
 * What lies outside the layers goes with the first (embeddings) or the last (final norm, head).
 */
#include <math.h>
#include <string.h>

#include "evaluator/merge/family.h"

static uint32_t sum_next(struct mix *mix)
{
    return (mix->brain ? mix->kernels->sum_bf16 : mix->kernels->sum_f32)(&mix->block);
}

/* linear and passthrough may be given a base as one more model; it is not subtracted. */
static uint32_t plain_next(struct mix *mix)
{
    mix->block.base = NULL;
    return sum_next(mix);
}

double sums_swap_share(uint32_t layer, uint32_t n_layers, double bottom, double top)
{
    double first = bottom * (double)n_layers;
    double end = (1.0 - top) * (double)n_layers;

    return fmax(0.0, fmin((double)layer + 1.0, end) - fmax((double)layer, first));
}

static int prepare_swap(struct mix *mix, struct err *err)
{
    struct blend_block *block = &mix->block;
    double share =
        sums_swap_share(mix->tensor->layer, mix->plan->config.n_layers,
                        mix_whole_value(mix, "bottom", 0.0), mix_whole_value(mix, "top", 0.0));

    if (mix->tensor->n_sources != 2) {
        return err_set(err, ERR_NUMERIC, "%s: layer_swap needs two sources", mix->tensor->name);
    }
    block->factors[1] = (float)share;
    block->factors[0] = 1.0F - block->factors[1];
    block->divisor = 1.0F;
    block->lambda = 1.0F;
    return 0;
}

static const struct family families[] = {
    {"linear", mix_set_weights, plain_next},
    {"passthrough", mix_set_weights, plain_next},
    {"layer_swap", prepare_swap, plain_next},
};

const struct family *sums_family(const char *method)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strcmp(families[i].method, method) == 0) {
            return &families[i];
        }
    }
    return NULL;
}
