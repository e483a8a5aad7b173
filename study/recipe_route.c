/*
 * recipe_route.c - the route of a recipe: its models, and its hops as canonical JSON.
 *
 * One route has one spelling: a model is named once, models stand in the order of their first hop,
 * and none is named that no hop goes through.
 */
#include <assert.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "study/place.h"
#include "study/recipe_sections.h"

_Static_assert(ROUTE_LAYERS_MAX == RECIPE_LAYERS_MAX, "a hop can name any layer of the host");

/* Its place plus one, or 0. */
static uint32_t model_find(const struct recipe *recipe, const char *digest)
{
    for (size_t m = 0; m < recipe->n_route_models; m++) {
        if (strcmp(recipe->route_models[m], digest) == 0) {
            return (uint32_t)m + 1;
        }
    }
    return 0;
}

uint32_t recipe_route_model(struct recipe *recipe, const char *digest)
{
    uint32_t model = model_find(recipe, digest);

    assert(digest_is_hex(digest));
    if (model == 0) {
        recipe->route_models =
            mem_resize(recipe->route_models, recipe->n_route_models + 1, DIGEST_HEX);
        memcpy(recipe->route_models[recipe->n_route_models++], digest, DIGEST_HEX);
        model = (uint32_t)recipe->n_route_models;
    }
    return model;
}

void recipe_add_hop(struct recipe *recipe, const char *model, uint32_t layer, double scale)
{
    route_add(&recipe->route, model == NULL ? 0 : recipe_route_model(recipe, model), layer, scale);
}

json_t *recipe_route_print(const struct recipe *recipe)
{
    json_t *hops = json_array();
    json_t *models = json_array();

    for (size_t k = 0; k < recipe->route.n_hops; k++) {
        const struct route_hop *hop = &recipe->route.hops[k];

        json_array_append_new(hops, json_pack("[I, I, f]", (json_int_t)hop->model,
                                              (json_int_t)hop->layer, hop->scale));
    }
    for (size_t m = 0; m < recipe->n_route_models; m++) {
        json_array_append_new(models, json_string(recipe->route_models[m]));
    }
    return json_pack("{s:o, s:o}", "hops", hops, "models", models);
}

static int models_parse(struct recipe *recipe, const json_t *doc, struct err *err)
{
    json_t *models;
    int rc = doc_array(doc, "models", &models, err);

    if (rc != 0) {
        return rc;
    }
    size_t n = json_array_size(models);

    if (n >= ROUTE_MODELS_MAX) {
        return err_set(err, ERR_LIMIT, "models: %zu, at most %d", n, ROUTE_MODELS_MAX - 1);
    }
    for (size_t m = 0; m < n; m++) {
        const char *digest = json_string_value(json_array_get(models, m));

        if (digest == NULL || !digest_is_hex(digest)) {
            return err_set(err, ERR_FORMAT, "models[%zu]: expected 64 hex digits", m);
        }
        if (recipe_route_model(recipe, digest) != m + 1) {
            return err_set(err, ERR_FORMAT, "models[%zu]: named before", m);
        }
    }
    return 0;
}

/* [model, layer, scale]; what the numbers are is for route_check, but that they are whole. */
static int hop_parse(struct recipe *recipe, const json_t *hop, size_t k, struct err *err)
{
    const json_t *model = json_array_get(hop, 0);
    const json_t *layer = json_array_get(hop, 1);
    const json_t *scale = json_array_get(hop, 2);

    if (json_array_size(hop) != 3 || !json_is_integer(model) || !json_is_integer(layer) ||
        !json_is_number(scale)) {
        return err_set(err, ERR_FORMAT, "hops[%zu]: expected [model, layer, scale]", k);
    }
    json_int_t m = json_integer_value(model);
    json_int_t l = json_integer_value(layer);

    if (m < 0 || m > ROUTE_MODELS_MAX || l < 0 || l >= ROUTE_LAYERS_MAX ||
        (m == 0 && l >= (json_int_t)recipe->n_layers)) {
        return err_set(
            err, ERR_LIMIT,
            "hops[%zu]: no layer %" JSON_INTEGER_FORMAT " of model %" JSON_INTEGER_FORMAT, k, l, m);
    }
    route_add(&recipe->route, (uint32_t)m, (uint32_t)l, json_number_value(scale));
    return 0;
}

static int hops_parse(struct recipe *recipe, const json_t *doc, struct err *err)
{
    json_t *hops;
    int rc = doc_array(doc, "hops", &hops, err);

    if (rc != 0) {
        return rc;
    }
    size_t n = json_array_size(hops);

    if (n == 0 || n > ROUTE_HOPS_MAX) {
        return err_set(err, ERR_LIMIT, "hops: %zu, expected 1 to %d", n, ROUTE_HOPS_MAX);
    }
    for (size_t k = 0; k < n && rc == 0; k++) {
        rc = hop_parse(recipe, json_array_get(hops, k), k, err);
    }
    return rc != 0 ? rc : route_check(&recipe->route, recipe->n_route_models + 1, err);
}

/* The models' first hops are in the order of the models, and each has one. */
static int order_check(const struct recipe *recipe, struct err *err)
{
    size_t met = 0;

    for (size_t k = 0; k < recipe->route.n_hops; k++) {
        size_t model = recipe->route.hops[k].model;

        if (model > met + 1) {
            return err_set(err, ERR_FORMAT,
                           "hop %zu: model %zu before model %zu; they are numbered by first use", k,
                           model, met + 1);
        }
        met = model > met ? model : met;
    }
    return met == recipe->n_route_models
               ? 0
               : err_set(err, ERR_FORMAT, "models[%zu]: no hop goes through it", met);
}

int recipe_route_parse(struct recipe *recipe, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"hops", "models"};
    json_t *route = NULL;

    if (json_object_get(doc, "route") == NULL) {
        return 0;
    }
    int rc = doc_object(doc, "route", &route, err);

    if (rc != 0) {
        return rc;
    }
    if (doc_only(route, known, 2, err) != 0 || models_parse(recipe, route, err) != 0 ||
        hops_parse(recipe, route, err) != 0 || order_check(recipe, err) != 0) {
        return place_within(err, route, "route");
    }
    return 0;
}
