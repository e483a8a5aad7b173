/*
 * warm_start.h - a search that begins where an earlier one, of the same ingredients, did well.
 */
#ifndef SEARCH_WARM_START_H
#define SEARCH_WARM_START_H

#include <stdbool.h>

#include "search/phases.h"

#define WARM_START_NOTE_MAX 120

/*
 * From candidates of another study, the mean and the spread of their best tenth.
 *
 *   earlier     recipes and values; those without a value, or without a place in space, count for
 *               nothing
 *   start       [n] in the unit box, n = space_n
 *   deviations  [n] over sigma
 *   note        what was found, or why the search begins cold
 *
 * False, and nothing but the note is changed, when fewer than ten candidates count or their best
 * tenth is one point. Diagonal form of WS-CMA-ES: Nomura et al. 2021 (arXiv:2012.06932), alpha 0.1,
 * gamma 0.1.
 */
bool warm_start(const struct space *space, const struct phase_past *earlier, double *start,
                double *deviations, double *sigma, char note[WARM_START_NOTE_MAX]);

#endif
