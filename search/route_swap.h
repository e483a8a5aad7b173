/*
 * route_swap.h - layer swapping (Bandarkar et al. 2024, arXiv:2410.01335): bottom and top from the
 * host, the middle from another model, a few layers between them averaged.
 *
 *      8 layers, bottom 2, top 1, mixed 1      H H x O O O x H
 *
 * It needs no hops: a linear merge with a weight of 1, of a half or of 0 a layer is the same
 * weights, so it is written as one, for models of equal depth.
 */
#ifndef SEARCH_ROUTE_SWAP_H
#define SEARCH_ROUTE_SWAP_H

#include "study/recipe.h"

struct swap {
    uint32_t bottom, top; /* layers of the host at either end, at least 1 */
    uint32_t mixed;       /* layers of the average between, on both sides */
};

/* The largest bottom, top and mixed that are worth a coordinate. */
uint32_t swap_end_max(uint32_t n_layers);
uint32_t swap_mixed_max(uint32_t n_layers);

/* Cut so that at least one layer of the other model is left: mixed first, then top. */
struct swap swap_fitted(const struct swap *swap, uint32_t n_layers);

/* Host and other are digests; n_layers >= 3. The caller releases *out. */
void swap_recipe(struct recipe *out, const struct swap *swap, enum recipe_dtype dtype,
                 uint64_t seed, uint32_t n_layers, const char *host, const char *other);

/* The swap that differs in the fewest layers from a linear recipe of two sources; layers is how
 * many. */
struct swap swap_match(const struct recipe *recipe, size_t *layers);

#endif
