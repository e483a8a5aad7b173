#include "search/route_swap.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

uint32_t swap_end_max(uint32_t n_layers)
{
    return (n_layers - 1) / 2;
}

uint32_t swap_mixed_max(uint32_t n_layers)
{
    return n_layers / 4;
}

struct swap swap_fitted(const struct swap *swap, uint32_t n_layers)
{
    struct swap cut = *swap;

    assert(n_layers >= 3 && swap->bottom >= 1 && swap->top >= 1);
    cut.bottom = cut.bottom < n_layers - 2 ? cut.bottom : n_layers - 2;
    cut.top = cut.top < n_layers - cut.bottom - 1 ? cut.top : n_layers - cut.bottom - 1;
    uint32_t room = (n_layers - cut.bottom - cut.top - 1) / 2;

    cut.mixed = cut.mixed < room ? cut.mixed : room;
    return cut;
}

/* The host's share of a layer. */
static double host_share(const struct swap *swap, uint32_t n_layers, uint32_t layer)
{
    uint32_t edge = n_layers - swap->top;

    if (layer < swap->bottom || layer >= edge) {
        return 1.0;
    }
    return layer < swap->bottom + swap->mixed || layer >= edge - swap->mixed ? 0.5 : 0.0;
}

void swap_recipe(struct recipe *out, const struct swap *swap, enum recipe_dtype dtype,
                 uint64_t seed, uint32_t n_layers, const char *host, const char *other)
{
    const char *const sources[] = {host, other};
    const struct method *linear = NULL;
    const struct swap cut = swap_fitted(swap, n_layers);

    if (method_find(&linear, "linear", NULL) != 0) {
        assert(!"linear is a method");
    }
    recipe_init(out, linear, dtype, seed, n_layers, sources, 2, NULL);
    recipe_clear_groups(out);
    const size_t weight = method_index(linear, METHOD_SOURCE, "weight");
    const size_t width = method_count(linear, METHOD_SOURCE);

    for (uint32_t first = 0, end; first < n_layers; first = end) {
        double share = host_share(&cut, n_layers, first);

        end = first + 1;
        while (end < n_layers && host_share(&cut, n_layers, end) == share) {
            end++;
        }
        struct recipe_group *group = recipe_add_group(out, "all", first, end);

        group->source_values[weight] = share;
        group->source_values[width + weight] = 1.0 - share;
    }
}

/* ---- the other way ---- */

/* The host's share of every layer in a recipe; free() it. */
static double *shares_of(const struct recipe *recipe)
{
    const size_t weight = method_index(recipe->method, METHOD_SOURCE, "weight");
    const size_t width = method_count(recipe->method, METHOD_SOURCE);
    double *shares = mem_array(recipe->n_layers, sizeof *shares);

    for (uint32_t layer = 0; layer < recipe->n_layers; layer++) {
        const struct recipe_group *group = recipe_group_of(recipe, "", RECIPE_ATTENTION, layer);
        double host = group->source_values[weight], other = group->source_values[width + weight];

        shares[layer] = host + other != 0.0 ? host / (host + other) : 0.5;
    }
    return shares;
}

static size_t differing(const struct swap *swap, const double *shares, uint32_t n_layers)
{
    size_t n = 0;

    for (uint32_t layer = 0; layer < n_layers; layer++) {
        n += host_share(swap, n_layers, layer) != shares[layer];
    }
    return n;
}

struct swap swap_match(const struct recipe *recipe, size_t *layers)
{
    const uint32_t n = recipe->n_layers;
    double *shares = shares_of(recipe);
    struct swap best = {1, 1, 0};

    *layers = SIZE_MAX;
    for (uint32_t bottom = 1; bottom <= swap_end_max(n); bottom++) {
        for (uint32_t top = 1; top <= swap_end_max(n); top++) {
            for (uint32_t mixed = 0; mixed <= swap_mixed_max(n); mixed++) {
                struct swap swap = swap_fitted(&(struct swap){bottom, top, mixed}, n);
                size_t found = differing(&swap, shares, n);

                if (found < *layers) {
                    *layers = found;
                    best = swap;
                }
            }
        }
    }
    free(shares);
    return best;
}
