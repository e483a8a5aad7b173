/*
 * plan_route.h - a merge's plan made into that of a route through it and other models.
 *
 *   h = block[hop_k](w_k * h)      is      z = z + block[hop_k](P_k z) / P_k,     P_k = w_0 .. w_k
 *
 * and a block reads its input through a norm, which cancels P_k; so does the final norm. What is
 * left is a factor 1 / P_k on what the block adds, and that folds into its two output projections,
 * weights and biases, or, in families that norm what a block adds, into the gains of those norms.
 * So a route is an ordinary model, a layer a hop, and its plan an ordinary plan: what is measured
 * is what is exported, flat.
 */
#ifndef MERGE_PLAN_ROUTE_H
#define MERGE_PLAN_ROUTE_H

#include "base/err.h"
#include "evaluator/merge/plan.h"

/*
 * merge: the plan of the recipe without its route; taken over, on failure too. Tensors that are in
 * no layer stay as they are there.
 *
 * ERR_CONFLICT: a model of the route that differs from the host in architecture, a size or a
 * window; a hop to a layer that its model has not. ERR_FORMAT: a family whose blocks are not known.
 * ERR_LIMIT: scales whose product no float holds.
 */
int plan_route(struct plan *out, struct plan *merge, const struct recipe *recipe,
               const struct plan_model *models, size_t n_models, struct err *err);

#endif
