/*
 * weight_space.h - coordinates of merge coefficients by component, layer group, parameter and
 * source.
 *
 * The layer axis of a component is a set of positions, each with one value a parameter:
 *
 *      2 groups of 6 layers     each             smooth, 3 knots
 *      0 0 0 1 1 1              0 1 2 3 4 5      0 . . 1 . . 2
 *
 * Knots lie evenly from the first layer to the last; values between them follow straight lines.
 *
 * Embeddings and head have no layer axis: one position. Without those components the embeddings
 * follow the first layer and the final norm and output matrix the last, as recipes have it
 * (study/recipe.h).
 */
#ifndef SEARCH_WEIGHT_SPACE_H
#define SEARCH_WEIGHT_SPACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "search/space.h"
#include "study/recipe.h"
#include "study/study.h"

/* How many coordinates a merge has over n_layers; ERR_LIMIT as in space_new. */
int weight_space_count(size_t *out, const struct study_merge *merge, uint32_t n_layers,
                       struct err *err);

/* Fill out [weight_space_count]; models name the sources. The names are the caller's to free. */
void weight_space_lay_out(struct space_coordinate *out, const struct study_merge *merge,
                          const struct study_model *models, uint32_t n_layers);

/* Lay out the recipe's groups anew from values [weight_space_count], in the coordinates' own units.
 */
void weight_space_decode(const struct study_merge *merge, const double *values,
                         struct recipe *recipe);

/* The values nearest to a recipe of the same method, sources and layers; not yet within bounds. */
void weight_space_encode(const struct study_merge *merge, const struct recipe *recipe,
                         double *values);

#endif
