/*
 * space.h - all coordinates of a study together: names, bounds, point to recipe and back.
 *
 * A point [n] lies in the unit box: coordinate i of value v stands at (v - lower) / (upper -
 * lower), a whole number in the middle of its share. An optimiser works there, with one step size
 * for all coordinates; only this file knows their real sizes.
 *
 *     space_new(&space, &study, 6, digests, err);
 *     struct cmaes_options options = {.n = space_n(space), .start = space_start(space),
 *                                     .lower = space_lower(space), .upper = space_upper(space),
 * ..}; space_decode(space, point, &recipe);
 */
#ifndef SEARCH_SPACE_H
#define SEARCH_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "study/recipe.h"
#include "study/study.h"

#define SPACE_COORDINATES_MAX 4096

struct space_coordinate {
    char *name;          /* "weight adder layers 0-1 attention" */
    double lower, upper; /* of the value */
    double start;        /* the study's, within the bounds */
    bool whole;          /* a whole number or a switch: its values share the box equally */
    double deviation;    /* at the start, over the search's sigma; 0: 1 */
};

struct space;
struct route_space;

/*
 * Lay out the coordinates of a study's merge.
 *
 *   n_layers  of every source
 *   digests   [study->n_models] of the models' contents; copied
 *
 * ERR_LIMIT when the study asks for more layer groups than there are layers, or for more than
 * SPACE_COORDINATES_MAX coordinates. The study is kept until space_free.
 */
int space_new(struct space **out, const struct study *study, uint32_t n_layers,
              const char *const *digests, struct err *err);

/*
 * Coordinates of a route, after those of the study's merge, or, where `host` says what the route's
 * host is, alone.
 *
 *   route    taken over, also on failure
 *   host     a recipe without a route, copied; NULL: the study's merge, searched with the route
 *
 * Errors as space_new's.
 */
int space_new_route(struct space **out, const struct study *study, uint32_t n_layers,
                    const char *const *digests, struct route_space *route,
                    const struct recipe *host, struct err *err);
void space_free(struct space *space);

/*
 * Join coordinates: those with one group [n] become one that moves them all, named after the
 * group's coordinate in names; SIZE_MAX: it stays on its own. Those come first, in their order, the
 * groups behind. Members of a group have the same bounds. A space is joined once.
 */
void space_join(struct space *space, const size_t *group, const struct space_coordinate *names);

size_t space_n(const struct space *space);
/* All of them, [space_n]; valid until space_free. */
const struct space_coordinate *space_coordinates(const struct space *space);
/* The study's start in the unit box, [space_n]; and the box, zeros and ones, for an optimiser.
 * Valid until space_free. */
const double *space_start(const struct space *space);
const double *space_lower(const struct space *space);
const double *space_upper(const struct space *space);

/* The value of coordinate i at point[i], within its bounds whatever rounding does. */
double space_value(const struct space *space, size_t i, double at);

/* The other way: where a value of coordinate i stands. */
double space_place(const struct space *space, size_t i, double value);
/* Its coordinates of a route; NULL: it has none. */
const struct route_space *space_route(const struct space *space);

/* The recipe of a point [n] in the unit box. The caller releases it. */
void space_decode(const struct space *space, const double *point, struct recipe *out);

/*
 * The point nearest to a recipe: exact for recipes that space_decode made (up to rounding), else
 * the mean over each layer group, the least squares fit over knots; values outside the box move to
 * its wall; the nearest route in hops. ERR_CONFLICT when method, sources, base or layers are not
 * the study's.
 */
int space_encode(const struct space *space, const struct recipe *recipe, double *point,
                 struct err *err);

#endif
