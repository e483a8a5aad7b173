/*
 * mergekit_plan.h - a mergekit recipe and its opened models, made into a plan.
 *
 * Slices are stacked, every tensor gets its inputs (an embedding in place of a tied head, matrices
 * of different vocabularies cut to what they share), its types, and its parameters with all
 * schedules, filters and levels resolved. What carries the plan out knows none of this.
 */
#ifndef MERGE_MERGEKIT_PLAN_H
#define MERGE_MERGEKIT_PLAN_H

#include "base/err.h"
#include "base/text.h"
#include "evaluator/merge/mergekit_models.h"
#include "evaluator/merge/mergekit_recipe.h"
#include "evaluator/merge/plan.h"

/*
 * models are the recipe's and outlive the plan, the recipe need not.
 * warnings receives a line for each thing that a person should know and that stops nothing.
 *
 * ERR_FORMAT: too few or many models for the method, layers that do not fit, a parameter that no
 * level gives. ERR_MISSING: a tensor a model does not have, named with its folder. ERR_CONFLICT:
 * shapes that do not go together; a file that changed on disk.
 */
int mergekit_plan_make(struct plan *out, const struct mergekit_recipe *recipe,
                       const struct mergekit_models *models, const struct plan_rules *rules,
                       uint64_t seed, struct text *warnings, struct err *err);

#endif
