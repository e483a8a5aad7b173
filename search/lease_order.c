/*
 * lease_order.c - the order in which a generation's candidates are handed out.
 */
#include "search/lease_order.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "study/recipe.h"

/* A candidate to be sorted. */
struct routed {
    struct recipe recipe;
    char host[DIGEST_HEX]; /* identity of the recipe without its route */
    size_t place;
};

/* What a hop leads through: the host, or a model. */
static const char *model_of(const struct routed *routed, const struct route_hop *hop)
{
    return hop->model == 0 ? "" : routed->recipe.route_models[hop->model - 1];
}

static int compare_hops(const struct routed *a, const struct routed *b, size_t k)
{
    const struct route_hop *x = &a->recipe.route.hops[k];
    const struct route_hop *y = &b->recipe.route.hops[k];
    int order = strcmp(model_of(a, x), model_of(b, y));

    if (order == 0) {
        order = (x->layer > y->layer) - (x->layer < y->layer);
    }
    return order != 0 ? order : (x->scale > y->scale) - (x->scale < y->scale);
}

static int by_hops(const void *left, const void *right)
{
    const struct routed *a = left;
    const struct routed *b = right;
    size_t n_a = a->recipe.route.n_hops;
    size_t n_b = b->recipe.route.n_hops;
    int order = strcmp(a->host, b->host);

    for (size_t k = 0; order == 0 && k < n_a && k < n_b; k++) {
        order = compare_hops(a, b, k);
    }
    if (order == 0) {
        order = (n_a > n_b) - (n_a < n_b);
    }
    return order != 0 ? order : (a->place > b->place) - (a->place < b->place);
}

/* What is no recipe has no route, and a host of no name. */
static void read_routed(struct routed *out, const char *text, size_t place)
{
    out->place = place;
    if (recipe_parse(&out->recipe, text, strlen(text), NULL) != 0) {
        return;
    }
    const struct route route = out->recipe.route;
    const size_t n_models = out->recipe.n_route_models;

    out->recipe.route = (struct route){0};
    out->recipe.n_route_models = 0;
    recipe_identity(&out->recipe, out->host);
    out->recipe.route = route;
    out->recipe.n_route_models = n_models;
}

/* Without reading them: recipes of most searches have none. */
static bool may_have_routes(const char *const *recipes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strstr(recipes[i], "\"route\"") != NULL) {
            return true;
        }
    }
    return false;
}

size_t *lease_order(const char *const *recipes, size_t n)
{
    if (!may_have_routes(recipes, n)) {
        return NULL;
    }
    struct routed *all = mem_array(n, sizeof *all);
    size_t *order = mem_array(n, sizeof *order);

    for (size_t i = 0; i < n; i++) {
        read_routed(&all[i], recipes[i], i);
    }
    qsort(all, n, sizeof *all, by_hops);
    for (size_t i = 0; i < n; i++) {
        order[i] = all[i].place;
        recipe_release(&all[i].recipe);
    }
    free(all);
    return order;
}

size_t lease_order_start(const bool *is_free, const bool *is_active, size_t n, size_t last)
{
    size_t first = 0;
    size_t longest = 0;

    if (last != SIZE_MAX && last + 1 < n && is_free[last + 1]) {
        return last + 1;
    }
    for (size_t at = 0, end; at < n; at = end + 1) {
        for (end = at; end < n && is_free[end]; end++) {
        }
        if (end - at > longest) {
            first = at;
            longest = end - at;
        }
    }
    if (longest == 0) {
        return SIZE_MAX;
    }
    return first > 0 && is_active[first - 1] ? first + longest / 2 : first;
}
