/*
 * census.h - the largest magnitudes of a source's task vector over the whole model.
 *
 * TIES as published trims a model's task vector as one (Yadav et al. 2023, arXiv:2306.01708,
 * Algorithm 1), so that a tensor that changed little keeps little. For that the magnitudes of all
 * tensors are counted together: upper bits once a source, lower bits of one bin when another
 * threshold is asked for. Counts depend on no order of tensors.
 */
#ifndef MERGE_CENSUS_H
#define MERGE_CENSUS_H

#include <stddef.h>
#include <stdint.h>

#include "evaluator/merge/plan.h"

struct census;

#define CENSUS_SOURCE_BYTES ((size_t)1 << 20) /* at most, a source */

struct census *census_new(size_t n_sources);
void census_free(struct census *census); /* NULL is fine */

/* True for a tensor that is counted: one that has all of the plan's sources and is no copy. */
bool census_has(const struct plan *plan, const struct plan_tensor *tensor);

/* Elements of all those tensors. The first call for a source reads it whole. */
uint64_t census_size(struct census *census, const struct plan *plan, size_t source);

/* Bits of the keep-th largest magnitude, 1 <= keep <= census_size. */
uint32_t census_find(struct census *census, const struct plan *plan, size_t source, uint64_t keep);

#endif
