/*
 * mergekit_route.c - a route as slices.
 *
 *   A0-1 B2-3*3 A4-5*0.5        slices:
 *                                 - sources: [{model: A, layer_range: [0, 2]}]
 *                                 - sources:
 *                                     - model: B
 *                                       layer_range: [2, 4]
 *                                       parameters: {scale: 1/3 of o_proj and down_proj}
 *                                 - sources: [...]                       1/1.5
 *
 * The factors are those that a plan folds in (plan_route.h), so mergekit's arithmetic gives the
 * same tensors.
 */
#include "evaluator/merge/mergekit.h"

#include <string.h>

#include "base/doc.h"

/* One source, and every weight of it as it is. */
static bool is_one_model(const struct recipe *recipe)
{
    bool one = strcmp(recipe->method->name, "passthrough") == 0;

    for (size_t g = 0; g < recipe->n_groups && one; g++) {
        one = recipe->groups[g].source_values[0] == 1.0;
    }
    return one;
}

static bool has_scales(const struct route *route)
{
    for (size_t k = 0; k < route->n_hops; k++) {
        if (route->hops[k].scale != 1.0) {
            return true;
        }
    }
    return false;
}

static int check_sayable(const struct recipe *recipe, const struct config *host,
                         const char *const *names, struct err *err)
{
    const struct route *route = &recipe->route;
    const char *why = "mergekit cannot say this recipe";
    uint32_t first = route->hops[0].model;
    uint32_t last = route->hops[route->n_hops - 1].model;

    if (!is_one_model(recipe)) {
        return err_set(err, ERR_FORMAT, "%s: it merges first and then stacks layers of the merge",
                       why);
    }
    if (first != 0) {
        return err_set(err, ERR_FORMAT,
                       "%s: embeddings are %s's, mergekit takes those of the first layer's model, "
                       "%s",
                       why, names[0], names[first]);
    }
    if (last != 0) {
        return err_set(err, ERR_FORMAT,
                       "%s: final norm and head are %s's, mergekit takes those of the last layer's "
                       "model, %s",
                       why, names[0], names[last]);
    }
    if (host != NULL && host->sandwich && has_scales(route)) {
        return err_set(err, ERR_FORMAT,
                       "%s: its scales are folded into norms of %g + weight, which no factor of a "
                       "tensor does",
                       why, (double)host->norm_offset);
    }
    return 0;
}

static void add_slice(struct text *out, const char *name, uint32_t first, size_t n, double scale)
{
    json_t *quoted = json_string(name);

    text_add(out, "  - sources:\n      - model: ");
    doc_print(out, quoted);
    json_decref(quoted);
    text_printf(out, "\n        layer_range: [%u, %zu]\n", first, first + n);
    if ((float)scale != 1.0F) {
        text_add(out, "        parameters:\n          scale:\n"
                      "            - filter: o_proj\n              value: ");
        text_add_double(out, scale, true);
        text_add(out, "\n            - filter: down_proj\n              value: ");
        text_add_double(out, scale, true);
        text_add(out, "\n            - value: 1.0\n");
    }
}

int mergekit_print_route(struct text *out, const struct recipe *recipe, const struct config *host,
                         const char *const *names, struct err *err)
{
    const struct route *route = &recipe->route;
    double product = 1.0;
    int rc = check_sayable(recipe, host, names, err);

    if (rc != 0) {
        return rc;
    }
    if (host == NULL && has_scales(route)) {
        text_add(out, "# Not for families that norm what a block adds, as Gemma 2 and 3.\n");
    }
    text_add(out, "merge_method: passthrough\nslices:\n");
    for (size_t k = 0; k < route->n_hops;) {
        const struct route_hop *hop = &route->hops[k];
        size_t n = route_span(route, k);

        product *= hop->scale;
        add_slice(out, names[hop->model], hop->layer, n, 1.0 / product);
        k += n;
    }
    text_printf(out, "dtype: float32\nout_dtype: %s\n", recipe_dtype_name(recipe->dtype));
    return 0;
}
