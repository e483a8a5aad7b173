/*
 * sums.c - weighted sums: linear, passthrough, task_arithmetic.
 *
 * Wortsman et al. 2022 (arXiv:2203.05482); Ilharco et al. 2023 (arXiv:2212.04089).
 */
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

static const struct family families[] = {
    {"linear", mix_set_weights, plain_next},
    {"passthrough", mix_set_weights, plain_next},
    {"task_arithmetic", mix_set_weights, sum_next},
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
