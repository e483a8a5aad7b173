/*
 * route_space.h - coordinates of routes through the blocks of several models.
 *
 *     map          op, start, length, source        one edit; a list of points, every edit once
 *     compose      one number an edit               which of the map's best edits, 0: none
 *     gains        a log scale a seam               of one route
 *     edits        op, start, length, source, ...   several edits at once, a log scale a pair of
 * models indicators   a bit a slot, and scales         route_indicators.h swap         bottom, top,
 * mixed               route_swap.h
 *
 * Values are in the coordinates' own units; search/space.h brings them from the unit box and makes
 * the rest of the recipe. A host with fewer than three blocks has no room for any of this.
 */
#ifndef SEARCH_ROUTE_SPACE_H
#define SEARCH_ROUTE_SPACE_H

#include "search/route_edits.h"
#include "search/route_indicators.h"
#include "search/space.h"
#include "study/recipe.h"
#include "study/study.h"

#define ROUTE_HOST_LEAST 3 /* blocks */

/* The models of a search over routes. */
struct route_models {
    struct route_frame frame;
    const char *names[ROUTE_MODELS_MAX];        /* [frame.n_models]; the host's first */
    char digests[ROUTE_MODELS_MAX][DIGEST_HEX]; /* [frame.n_models]; the host's "" for a merge */
};

/*
 * Those of a study's route section.
 *
 *   layers   [study->n_models] blocks of each model
 *   digests  [study->n_models]; copied
 *
 * ERR_LIMIT when the host has too few blocks, more are pinned than a third, or routes may be
 * shorter than the host.
 */
int route_models_init(struct route_models *out, const struct study *study, const uint32_t *layers,
                      const char *const *digests, struct err *err);

struct route_space;

/* One edit of spans of at most length_max. */
struct route_space *route_space_new_map(const struct route_models *models, uint32_t length_max);
/* The edits that a map's points stand for; the caller frees *out. */
size_t route_space_list(const struct route_space *map, struct edit **out);
struct edit route_space_edit(const struct route_space *map, const double *values);
void route_space_values(const struct route_space *map, const struct edit *edit, double *values);

/* At most n_edits of edits [n], best first; copied. */
struct route_space *route_space_new_compose(const struct route_models *models,
                                            const struct edit *edits, size_t n, uint32_t n_edits);
/* The scales at the seams of a route, copied; it has at least one. */
struct route_space *route_space_new_gains(const struct route_models *models,
                                          const struct route *route);
/* n_edits edits at once; with_gains: and the seams' scales. */
struct route_space *route_space_new_edits(const struct route_models *models, uint32_t n_edits,
                                          uint32_t length_max, bool with_gains);
struct route_space *route_space_new_indicators(const struct route_models *models, uint32_t repeats,
                                               enum study_route_scales scales);
/* All models are as deep as the host. */
struct route_space *route_space_new_swap(const struct route_models *models);
void route_space_free(struct route_space *space);

size_t route_space_n(const struct route_space *space);
/* Fill out [route_space_n]. The names are the caller's to free. */
void route_space_lay_out(const struct route_space *space, struct space_coordinate *out);

/* Give a recipe without a route the one of values [route_space_n]; none when it is the host's own.
 * A swap makes another recipe of it. */
void route_space_decode(const struct route_space *space, const double *values,
                        struct recipe *recipe);
/* The values whose route is nearest to a recipe's, in hops; scales as near as they come.
 * ERR_CONFLICT when it goes through a model that is none of these, or has other hops than the one
 * whose gains are searched. */
int route_space_encode(const struct route_space *space, const struct recipe *recipe, double *values,
                       struct err *err);

/* "splice 2-3 lang", "splice 2-3 lang, skip 5", "" for the host and for kinds without edits. */
void route_space_words(const struct route_space *space, const double *values, struct text *out);

/* The route of a recipe in the models' numbers; false when it goes through another model. The
 * caller releases it. */
bool route_models_route(const struct route_models *models, const struct recipe *recipe,
                        struct route *out);

#endif
