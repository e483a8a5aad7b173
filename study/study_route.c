/*
 * study_route.c - which layers of which models in which order: how routes are searched.
 *
 * A key that means nothing in the study's mode is refused rather than ignored. What depends on how
 * many layers the models have is checked when the space is laid out.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "study/place.h"
#include "study/study_sections.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define EDITS_DEFAULT 2
#define PINNED_MAX 1000
#define REPEATS_DEFAULT 3
#define REPEATS_MAX 8

static const char *const modes[] = {"edits", "indicators", "swap"};
static const char *const scales[] = {"seams", "none", "dense", "network"};
static const char *const orders[] = {"merge-then-route", "together"};

/* ---- host and sources ---- */

static int parse_host(struct study *study, const json_t *doc, struct err *err)
{
    const char *host;
    int rc = doc_text_or(doc, "host", NULL, &host, err);

    study->route.host = SIZE_MAX;
    if (rc != 0) {
        return rc;
    }
    if (study->merge.method != NULL) {
        return host == NULL ? 0
                            : err_set(err, ERR_CONFLICT,
                                      "host: the merge is the host of a study that has one");
    }
    if (host == NULL) {
        return err_set(err, ERR_MISSING,
                       "host: missing; name the model whose embeddings, head and ends stay");
    }
    return study_model_find(&study->route.host, study, host, err) != 0 ? err_wrap(err, "host") : 0;
}

static int add_source(struct study *study, size_t model, struct err *err)
{
    struct study_route *route = &study->route;

    if (model == route->host) {
        return err_set(err, ERR_CONFLICT, "'%s' is the host already", study->models[model].name);
    }
    for (size_t s = 0; s < route->n_sources; s++) {
        if (route->sources[s] == model) {
            return err_set(err, ERR_CONFLICT, "'%s' appears twice", study->models[model].name);
        }
    }
    if (route->n_sources + 1 == ROUTE_MODELS_MAX) {
        return err_set(err, ERR_LIMIT, "a route goes through at most %d models", ROUTE_MODELS_MAX);
    }
    route->sources[route->n_sources++] = model;
    return 0;
}

/* Without a list: what is merged, or every model but the host. */
static int usual_sources(struct study *study, struct err *err)
{
    const struct study_merge *merge = &study->merge;
    size_t n = merge->method != NULL ? merge->n_sources : study->n_models;
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        size_t model = merge->method != NULL ? merge->sources[i] : i;

        rc = model == study->route.host ? 0 : add_source(study, model, err);
    }
    return rc != 0 ? err_wrap(err, "sources") : 0;
}

static int parse_sources(struct study *study, const json_t *doc, struct err *err)
{
    const json_t *list = json_object_get(doc, "sources");

    study->route.sources = mem_array(study->n_models, sizeof(*study->route.sources));
    if (list == NULL) {
        return usual_sources(study, err);
    }
    if (!json_is_array(list)) {
        return err_set(err, ERR_FORMAT, "sources: expected a list of models, got %s",
                       doc_kind(list));
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        size_t model = SIZE_MAX;
        int rc = name == NULL ? err_set(err, ERR_FORMAT, "expected the name of a model, got %s",
                                        doc_kind(json_array_get(list, i)))
                              : study_model_find(&model, study, name, err);

        rc = rc != 0 ? rc : add_source(study, model, err);
        if (rc != 0) {
            return err_wrap(err, "sources[%zu]", i);
        }
    }
    return 0;
}

/* ---- the modes ---- */

/* One of n words, the first when the key is absent; *out is its place. */
static int parse_word(const json_t *doc, const char *key, const char *const *words, size_t n,
                      int *out, struct err *err)
{
    const char *word;
    int rc = doc_text_or(doc, key, words[0], &word, err);

    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(word, words[i]) == 0) {
            *out = (int)i;
            return 0;
        }
    }
    const char *near = text_nearest(word, words, n);
    struct text all = {0};

    for (size_t i = 0; i < n; i++) {
        text_printf(&all, "%s%s", i == 0 ? "" : i + 1 == n ? " and " : ", ", words[i]);
    }
    rc = near != NULL
             ? err_set(err, ERR_FORMAT, "%s: no '%s'; did you mean %s?", key, word, near)
             : err_set(err, ERR_FORMAT, "%s: no '%s'; there are %s", key, word, text_get(&all));
    text_release(&all);
    return rc;
}

/* Keys with a meaning in some modes only. */
static int check_keys(const struct study *study, const json_t *doc, struct err *err)
{
    static const struct {
        const char *key;
        unsigned modes;
    } meant[] = {{"edits", 1U << STUDY_ROUTE_EDITS},
                 {"length", 1U << STUDY_ROUTE_EDITS},
                 {"gains", 1U << STUDY_ROUTE_EDITS},
                 {"repeats", 1U << STUDY_ROUTE_INDICATORS},
                 {"scales", 1U << STUDY_ROUTE_INDICATORS},
                 {"pinned", 1U << STUDY_ROUTE_EDITS | 1U << STUDY_ROUTE_INDICATORS},
                 {"max_hops", 1U << STUDY_ROUTE_EDITS | 1U << STUDY_ROUTE_INDICATORS}};

    for (size_t i = 0; i < COUNT(meant); i++) {
        if (json_object_get(doc, meant[i].key) != NULL &&
            (meant[i].modes & 1U << study->route.mode) == 0) {
            return err_set(err, ERR_CONFLICT, "%s: means nothing in mode %s", meant[i].key,
                           modes[study->route.mode - STUDY_ROUTE_EDITS]);
        }
    }
    if (json_object_get(doc, "order") != NULL && study->merge.method == NULL) {
        return err_set(err, ERR_CONFLICT, "order: there is no merge to come before the route");
    }
    if (study->route.order == STUDY_TOGETHER &&
        (study->merge.n_finer > 0 || study->merge.n_free > 0)) {
        return err_set(err, ERR_CONFLICT, "order: together is one search; merge.%s has several",
                       study->merge.n_finer > 0 ? "layers" : "free");
    }
    if (study->route.mode == STUDY_ROUTE_SWAP && study->merge.method != NULL) {
        return err_set(err, ERR_CONFLICT,
                       "mode: swap takes layers of two models, so there can be no merge");
    }
    return 0;
}

/* Absent, or so called: it depends on the models. */
static bool is_auto(const json_t *doc, const char *key)
{
    const json_t *value = json_object_get(doc, key);

    return value == NULL ||
           (json_is_string(value) && strcmp(json_string_value(value), "auto") == 0);
}

static int parse_numbers(struct study_route *route, const json_t *doc, struct err *err)
{
    int64_t edits, length, repeats, pinned = 0, max_hops = 0;
    int rc;

    if ((rc = doc_integer_or(doc, "edits", 1, STUDY_EDITS_MAX, EDITS_DEFAULT, &edits, err)) != 0 ||
        (rc = doc_integer_or(doc, "length", 1, STUDY_EDIT_LENGTH_MAX, STUDY_EDIT_LENGTH_MAX,
                             &length, err)) != 0 ||
        (!is_auto(doc, "pinned") &&
         (rc = doc_integer(doc, "pinned", 1, PINNED_MAX, &pinned, err)) != 0) ||
        (rc = doc_integer_or(doc, "repeats", 1, REPEATS_MAX, REPEATS_DEFAULT, &repeats, err)) !=
            0 ||
        (!is_auto(doc, "max_hops") &&
         (rc = doc_integer(doc, "max_hops", 3, ROUTE_HOPS_MAX, &max_hops, err)) != 0)) {
        return rc;
    }
    route->edits = (uint32_t)edits;
    route->length = (uint32_t)length;
    route->pinned = (uint32_t)pinned;
    route->repeats = (uint32_t)repeats;
    route->max_hops = (uint32_t)max_hops;
    return 0;
}

/* ---- the section ---- */

int study_route_parse(struct study *study, json_t *doc, struct err *err)
{
    static const char *const known[] = {"mode",   "host",   "sources",  "edits",
                                        "length", "pinned", "max_hops", "repeats",
                                        "scales", "gains",  "order"};
    struct study_route *route = &study->route;
    int mode, scale, order, rc;

    if ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
        (rc = parse_word(doc, "mode", modes, COUNT(modes), &mode, err)) != 0 ||
        (rc = parse_word(doc, "scales", scales, COUNT(scales), &scale, err)) != 0 ||
        (rc = parse_word(doc, "order", orders, COUNT(orders), &order, err)) != 0 ||
        (rc = doc_bool_or(doc, "gains", true, &route->gains, err)) != 0 ||
        (rc = parse_numbers(route, doc, err)) != 0) {
        return rc;
    }
    route->mode = STUDY_ROUTE_EDITS + (enum study_route_mode)mode;
    route->scales = (enum study_route_scales)scale;
    route->order = (enum study_route_order)order;
    if ((rc = check_keys(study, doc, err)) != 0 || (rc = parse_host(study, doc, err)) != 0 ||
        (rc = parse_sources(study, doc, err)) != 0) {
        return rc;
    }
    if (route->mode == STUDY_ROUTE_SWAP && route->n_sources == 0) {
        return err_set(err, ERR_MISSING, "sources: swap takes another model beside the host");
    }
    return 0;
}

void study_route_release(struct study_route *route)
{
    free(route->sources);
}

static void print_mode(json_t *doc, const struct study_route *route)
{
    if (route->mode == STUDY_ROUTE_SWAP) {
        return;
    }
    json_object_set_new(doc, "pinned",
                        route->pinned > 0 ? json_integer(route->pinned) : json_string("auto"));
    json_object_set_new(doc, "max_hops",
                        route->max_hops > 0 ? json_integer(route->max_hops) : json_string("auto"));
    if (route->mode == STUDY_ROUTE_INDICATORS) {
        json_object_set_new(doc, "repeats", json_integer(route->repeats));
        json_object_set_new(doc, "scales", json_string(scales[route->scales]));
        return;
    }
    json_object_set_new(doc, "edits", json_integer(route->edits));
    json_object_set_new(doc, "length", json_integer(route->length));
    json_object_set_new(doc, "gains", json_boolean(route->gains));
}

json_t *study_route_print(const struct study *study)
{
    const struct study_route *route = &study->route;
    json_t *sources = json_array();

    for (size_t s = 0; s < route->n_sources; s++) {
        json_array_append_new(sources, json_string(study->models[route->sources[s]].name));
    }
    json_t *doc =
        json_pack("{s:s, s:o}", "mode", modes[route->mode - STUDY_ROUTE_EDITS], "sources", sources);

    if (route->host != SIZE_MAX) {
        json_object_set_new(doc, "host", json_string(study->models[route->host].name));
    } else {
        json_object_set_new(doc, "order", json_string(orders[route->order]));
    }
    print_mode(doc, route);
    return doc;
}
