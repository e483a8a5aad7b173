/*
 * offsets.h - methods that weigh offsets from a base by what they have in common: model_stock, sce,
 * ram.
 *
 * Plain arrays: a base and K others of n floats; offset i is others[i] - base, taken in float.
 * Reductions are double. `out` is never one of the inputs.
 */
#ifndef MERGE_OFFSETS_H
#define MERGE_OFFSETS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define OFFSETS_INPUTS_MAX 64

/*
 * model_stock: from the mean of K >= 2 others back towards the base, as far as the angle between
 * offsets says. Vectors are the whole tensor (vector = n) or its rows (vector = columns).
 * ERR_NUMERIC when the mean cosine is -1 / (K - 1), where there is no finite answer. Model Stock:
 * Jang et al. 2024 (arXiv:2403.19522), section 4.
 */
int offsets_stock(float *out, const float *base, const float *const *others, size_t n,
                  size_t n_others, size_t vector, struct err *err);

/*
 * sce: keep the top_share of elements where offsets vary most between models, weigh models by their
 * mean square there, elect a sign an element and average those that agree. scratch [n] is unused
 * when top_share >= 1. Wan et al. 2024 (arXiv:2408.07990), section 3.3. Ties go to the lower index.
 */
void offsets_sce(float *out, const float *base, const float *const *others, size_t n,
                 size_t n_others, double top_share, float *scratch);

/*
 * ram: an element that one model alone changed (by more than epsilon) is taken from it, one that
 * several changed is averaged over them. With alpha >= 0 (ramplus_tl) what is unique is amplified
 * by 1 + r * min(shared / unique, alpha). alpha < 0: plain ram. arXiv:2601.13572.
 */
void offsets_ram(float *out, const float *base, const float *const *others, size_t n,
                 size_t n_others, double epsilon, double r, double alpha);

#endif
