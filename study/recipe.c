/*
 * recipe.c - one candidate as canonical JSON and back.
 *
 * All values are written as reals ("0.0", never "0"), so that the bytes, and with them the
 * identity, do not depend on who wrote the recipe.
 */
#include "study/recipe.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "study/place.h"
#include "study/recipe_sections.h"

#define RECIPE_VERSION 1
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- components ---- */

/* Which kinds of tensor each component takes in, a bit a kind. */
#define BIT(kind) (1U << (kind))
static const struct component {
    const char *name;
    unsigned kinds;
} components[] = {
    {"all", ~0U},
    {"attention", BIT(RECIPE_ATTENTION)},
    {"mlp", BIT(RECIPE_MLP)},
    {"norms", BIT(RECIPE_NORM) | BIT(RECIPE_FINAL_NORM)},
    {"embeddings", BIT(RECIPE_EMBEDDINGS)},
    {"head", BIT(RECIPE_HEAD) | BIT(RECIPE_FINAL_NORM)},
    {"rest", ~0U},
};

static const struct component *component_find(const char *name)
{
    for (size_t i = 0; i < COUNT(components); i++) {
        if (strcmp(components[i].name, name) == 0) {
            return &components[i];
        }
    }
    return NULL;
}

/* The TEXT of "filter:TEXT", or NULL. */
static const char *filter_of(const char *component)
{
    size_t n = strlen(RECIPE_FILTER);

    return strncmp(component, RECIPE_FILTER, n) == 0 && component[n] != '\0' ? component + n : NULL;
}

int recipe_component_matches(const char *component, const char *tensor, enum recipe_component kind)
{
    const char *filter = filter_of(component);

    if (filter != NULL) {
        return strstr(tensor, filter) != NULL;
    }
    const struct component *known = component_find(component);

    return known != NULL && (known->kinds & BIT(kind)) != 0;
}

bool recipe_component_known(const char *component)
{
    return filter_of(component) != NULL || component_find(component) != NULL;
}

const char *recipe_component_nearest(const char *word)
{
    const char *names[COUNT(components)];

    for (size_t i = 0; i < COUNT(components); i++) {
        names[i] = components[i].name;
    }
    return text_nearest(word, names, COUNT(components));
}

bool recipe_component_whole(const char *component)
{
    const struct component *known = component_find(component);

    return known != NULL && known->kinds == ~0U;
}

const struct recipe_group *recipe_group_of(const struct recipe *recipe, const char *tensor,
                                           enum recipe_component component, uint32_t depth)
{
    for (size_t g = 0; g < recipe->n_groups; g++) {
        const struct recipe_group *group = &recipe->groups[g];

        if (depth >= group->first && depth < group->end &&
            recipe_component_matches(group->component, tensor, component)) {
            return group;
        }
    }
    return NULL;
}

/* ---- making and releasing ---- */

static void group_release(struct recipe_group *group)
{
    free(group->component);
    free(group->source_values);
    free(group->whole_values);
}

void recipe_clear_groups(struct recipe *recipe)
{
    for (size_t g = 0; g < recipe->n_groups; g++) {
        group_release(&recipe->groups[g]);
    }
    free(recipe->groups);
    recipe->groups = NULL;
    recipe->n_groups = 0;
}

void recipe_release(struct recipe *recipe)
{
    recipe_clear_groups(recipe);
    free(recipe->sources);
    free(recipe->route_models);
    route_release(&recipe->route);
    *recipe = (struct recipe){0};
}

/* The method's defaults of one scope. */
static void values_default(const struct method *method, enum method_scope scope, double *values)
{
    for (size_t k = 0; k < method_count(method, scope); k++) {
        values[k] = method_at(method, scope, k)->fallback;
    }
}

struct recipe_group *recipe_add_group(struct recipe *recipe, const char *component, uint32_t first,
                                      uint32_t end)
{
    const struct method *method = recipe->method;
    size_t n_source = method_count(method, METHOD_SOURCE);
    size_t n_whole = method_count(method, METHOD_WHOLE);

    assert(recipe_component_known(component) && first < end && end <= recipe->n_layers);
    recipe->groups = mem_resize(recipe->groups, recipe->n_groups + 1, sizeof(*recipe->groups));
    struct recipe_group *group = &recipe->groups[recipe->n_groups++];

    *group = (struct recipe_group){.component = mem_text(component), .first = first, .end = end};
    group->source_values = mem_array(recipe->n_sources * n_source, sizeof(double));
    group->whole_values = mem_array(n_whole, sizeof(double));
    for (size_t s = 0; s < recipe->n_sources; s++) {
        values_default(method, METHOD_SOURCE, group->source_values + s * n_source);
    }
    values_default(method, METHOD_WHOLE, group->whole_values);
    return group;
}

void recipe_init(struct recipe *out, const struct method *method, enum recipe_dtype dtype,
                 uint64_t seed, uint32_t n_layers, const char *const *sources, size_t n_sources,
                 const char *base)
{
    assert(seed <= RECIPE_SEED_MAX && n_layers >= 1 && n_layers <= RECIPE_LAYERS_MAX);
    *out = (struct recipe){.method = method,
                           .dtype = dtype,
                           .seed = seed,
                           .n_layers = n_layers,
                           .n_sources = n_sources};
    out->sources = mem_array(n_sources, DIGEST_HEX);
    for (size_t s = 0; s < n_sources; s++) {
        assert(digest_is_hex(sources[s]));
        memcpy(out->sources[s], sources[s], DIGEST_HEX);
    }
    if (base != NULL && (method->needs_base || method->takes_base)) {
        assert(digest_is_hex(base));
        memcpy(out->base, base, DIGEST_HEX);
    }
    recipe_add_group(out, "all", 0, n_layers);
}

/* ---- printing ---- */

static json_t *values_print(const struct method *method, enum method_scope scope,
                            const double *values)
{
    json_t *doc = json_object();

    for (size_t k = 0; k < method_count(method, scope); k++) {
        const struct method_parameter *parameter = method_at(method, scope, k);

        if (!parameter->silent || values[k] != parameter->fallback) {
            json_object_set_new(doc, parameter->name, json_real(values[k]));
        }
    }
    return doc;
}

static json_t *group_print(const struct recipe *recipe, const struct recipe_group *group)
{
    size_t n_source = method_count(recipe->method, METHOD_SOURCE);
    json_t *sources = json_array();

    for (size_t s = 0; s < recipe->n_sources; s++) {
        json_array_append_new(sources, values_print(recipe->method, METHOD_SOURCE,
                                                    group->source_values + s * n_source));
    }
    return json_pack("{s:s, s:[I, I], s:o, s:o}", "component", group->component, "layers",
                     (json_int_t)group->first, (json_int_t)group->end, "parameters",
                     values_print(recipe->method, METHOD_WHOLE, group->whole_values), "sources",
                     sources);
}

void recipe_print(struct text *out, const struct recipe *recipe)
{
    json_t *groups = json_array();
    json_t *sources = json_array();

    for (size_t g = 0; g < recipe->n_groups; g++) {
        json_array_append_new(groups, group_print(recipe, &recipe->groups[g]));
    }
    for (size_t s = 0; s < recipe->n_sources; s++) {
        json_array_append_new(sources, json_string(recipe->sources[s]));
    }
    json_t *doc = json_pack("{s:I, s:s, s:s, s:I, s:I, s:o, s:o, s:o}", "recipe",
                            (json_int_t)RECIPE_VERSION, "method", recipe->method->name, "dtype",
                            recipe_dtype_name(recipe->dtype), "seed", (json_int_t)recipe->seed,
                            "layers", (json_int_t)recipe->n_layers, "sources", sources, "base",
                            recipe->base[0] != '\0' ? json_string(recipe->base) : json_null(),
                            "groups", groups);

    if (recipe->route.n_hops > 0) {
        json_object_set_new(doc, "route", recipe_route_print(recipe));
    }
    doc_print(out, doc);
    json_decref(doc);
}

void recipe_identity(const struct recipe *recipe, char out[DIGEST_HEX])
{
    struct text text = {0};

    recipe_print(&text, recipe);
    digest_hex_of(text_get(&text), text.size, out);
    text_release(&text);
}

/* ---- parsing ---- */

static int value_check(const struct method_parameter *parameter, double value, struct err *err)
{
    if (value < parameter->lower || value > parameter->upper) {
        return err_set(err, ERR_LIMIT, "%s: %g is outside [%g, %g]", parameter->name, value,
                       parameter->lower, parameter->upper);
    }
    if (parameter->kind != METHOD_REAL && value != floor(value)) {
        return err_set(err, ERR_FORMAT, "%s: %g is not a whole number", parameter->name, value);
    }
    return 0;
}

/* Every parameter of the scope, and no other key. values [method_count(method, scope)]. */
static int values_parse(const struct method *method, enum method_scope scope, const json_t *doc,
                        double *values, struct err *err)
{
    const char *names[METHOD_PARAMETERS_MAX];
    size_t n = method_count(method, scope);

    for (size_t k = 0; k < n; k++) {
        names[k] = method_at(method, scope, k)->name;
    }
    int rc = doc_only(doc, names, n, err);

    for (size_t k = 0; k < n && rc == 0; k++) {
        const struct method_parameter *parameter = method_at(method, scope, k);

        if (parameter->silent && json_object_get(doc, names[k]) == NULL) {
            values[k] = parameter->fallback;
            continue;
        }
        rc = doc_number(doc, names[k], &values[k], err);
        if (rc == 0) {
            rc = value_check(parameter, values[k], err);
        }
    }
    return rc;
}

static int component_parse(const json_t *group, const char **out, struct err *err)
{
    const char *component;
    int rc = doc_text(group, "component", &component, err);

    if (rc != 0) {
        return rc;
    }
    if (strlen(component) > RECIPE_COMPONENT_MAX) {
        return err_set(err, ERR_LIMIT, "component: longer than %d bytes", RECIPE_COMPONENT_MAX);
    }
    if (!recipe_component_known(component)) {
        const char *near = recipe_component_nearest(component);

        return err_set(err, ERR_FORMAT, "component: no component '%s'%s%s%s", component,
                       near != NULL ? "; did you mean " : "", near != NULL ? near : "",
                       near != NULL ? "?" : "");
    }
    *out = component;
    return 0;
}

static int layers_parse(const json_t *group, uint32_t n_layers, uint32_t *first, uint32_t *end,
                        struct err *err)
{
    json_t *layers;
    int rc = doc_array(group, "layers", &layers, err);

    if (rc != 0) {
        return rc;
    }
    const json_t *a = json_array_get(layers, 0);
    const json_t *b = json_array_get(layers, 1);

    if (json_array_size(layers) != 2 || !json_is_integer(a) || !json_is_integer(b)) {
        return err_set(err, ERR_FORMAT, "layers: expected [first, end]");
    }
    json_int_t from = json_integer_value(a);
    json_int_t to = json_integer_value(b);

    if (from < 0 || from >= to || to > (json_int_t)n_layers) {
        return err_set(err, ERR_LIMIT,
                       "layers: [%" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
                       "] is no range within %u layers",
                       from, to, n_layers);
    }
    *first = (uint32_t)from;
    *end = (uint32_t)to;
    return 0;
}

static int source_values_parse(const struct recipe *recipe, const json_t *sources,
                               struct recipe_group *group, struct err *err)
{
    size_t n_source = method_count(recipe->method, METHOD_SOURCE);

    if (json_array_size(sources) != recipe->n_sources) {
        return err_set(err, ERR_FORMAT, "sources: %zu entries for %zu sources",
                       json_array_size(sources), recipe->n_sources);
    }
    for (size_t s = 0; s < recipe->n_sources; s++) {
        const json_t *values = json_array_get(sources, s);

        if (values_parse(recipe->method, METHOD_SOURCE, values, group->source_values + s * n_source,
                         err) != 0) {
            return place_within(err, values, "sources[%zu]", s);
        }
    }
    return 0;
}

static int group_parse(struct recipe *recipe, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"component", "layers", "parameters", "sources"};
    const char *component = NULL;
    uint32_t first = 0;
    uint32_t end = 0;
    json_t *parameters;
    json_t *sources;
    int rc;

    if ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
        (rc = component_parse(doc, &component, err)) != 0 ||
        (rc = layers_parse(doc, recipe->n_layers, &first, &end, err)) != 0 ||
        (rc = doc_object(doc, "parameters", &parameters, err)) != 0 ||
        (rc = doc_array(doc, "sources", &sources, err)) != 0) {
        return rc;
    }
    struct recipe_group *group = recipe_add_group(recipe, component, first, end);

    if (values_parse(recipe->method, METHOD_WHOLE, parameters, group->whole_values, err) != 0) {
        return place_within(err, parameters, "parameters");
    }
    return source_values_parse(recipe, sources, group, err);
}

/* Each layer needs a group that takes any tensor: which tensors there are is not known here. */
static int check_cover(const struct recipe *recipe, struct err *err)
{
    bool covered[RECIPE_LAYERS_MAX] = {false};

    for (size_t g = 0; g < recipe->n_groups; g++) {
        const struct recipe_group *group = &recipe->groups[g];

        if (recipe_component_whole(group->component)) {
            memset(covered + group->first, true, group->end - group->first);
        }
    }
    const bool *gap = memchr(covered, false, recipe->n_layers);

    return gap == NULL ? 0
                       : err_set(err, ERR_FORMAT, "groups: none takes every tensor of layer %td",
                                 gap - covered);
}

static int groups_parse(struct recipe *recipe, const json_t *doc, struct err *err)
{
    json_t *groups;
    int rc = doc_array(doc, "groups", &groups, err);

    if (rc != 0) {
        return rc;
    }
    size_t n = json_array_size(groups);

    if (n == 0 || n > RECIPE_GROUPS_MAX) {
        return err_set(err, ERR_LIMIT, "groups: %zu, expected 1 to %d", n, RECIPE_GROUPS_MAX);
    }
    for (size_t g = 0; g < n; g++) {
        const json_t *group = json_array_get(groups, g);

        if (group_parse(recipe, group, err) != 0) {
            return place_within(err, group, "groups[%zu]", g);
        }
    }
    return check_cover(recipe, err);
}

static int sources_parse(struct recipe *recipe, const json_t *doc, struct err *err)
{
    const struct method *method = recipe->method;
    json_t *sources;
    int rc = doc_array(doc, "sources", &sources, err);

    if (rc != 0) {
        return rc;
    }
    size_t n = json_array_size(sources);

    if (n < method->sources_min || n > method->sources_max) {
        return err_set(err, ERR_LIMIT, "sources: %s takes %zu to %zu, got %zu", method->name,
                       method->sources_min, method->sources_max, n);
    }
    recipe->sources = mem_array(n, DIGEST_HEX);
    recipe->n_sources = n;
    for (size_t s = 0; s < n; s++) {
        const char *digest = json_string_value(json_array_get(sources, s));

        if (digest == NULL || !digest_is_hex(digest)) {
            return err_set(err, ERR_FORMAT, "sources[%zu]: expected 64 hex digits", s);
        }
        memcpy(recipe->sources[s], digest, DIGEST_HEX);
    }
    return 0;
}

/* A digest when the method has a base, else null; either where the method leaves the choice. */
static int base_parse(struct recipe *recipe, const json_t *doc, struct err *err)
{
    const struct method *method = recipe->method;
    const json_t *base = json_object_get(doc, "base");
    const char *digest = json_string_value(base);

    if (base == NULL) {
        return err_set(err, ERR_MISSING, "base: missing");
    }
    if (json_is_null(base) && !method->needs_base) {
        return 0;
    }
    if (!method->needs_base && !method->takes_base) {
        return err_set(err, ERR_FORMAT, "base: %s has none", method->name);
    }
    if (digest == NULL || !digest_is_hex(digest)) {
        return err_set(err, ERR_FORMAT, "base: %s %s one, as 64 hex digits", method->name,
                       method->needs_base ? "needs" : "takes");
    }
    memcpy(recipe->base, digest, DIGEST_HEX);
    return 0;
}

static int head_parse(struct recipe *recipe, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"recipe",  "method", "dtype",  "seed", "layers",
                                        "sources", "base",   "groups", "route"};
    const char *method;
    const char *dtype;
    int64_t version;
    int64_t seed;
    int64_t layers;
    int rc;

    if ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
        (rc = doc_integer(doc, "recipe", RECIPE_VERSION, RECIPE_VERSION, &version, err)) != 0 ||
        (rc = doc_integer(doc, "seed", 0, RECIPE_SEED_MAX, &seed, err)) != 0 ||
        (rc = doc_integer(doc, "layers", 1, RECIPE_LAYERS_MAX, &layers, err)) != 0 ||
        (rc = doc_text(doc, "method", &method, err)) != 0 ||
        (rc = doc_text(doc, "dtype", &dtype, err)) != 0) {
        return rc;
    }
    if (method_find(&recipe->method, method, err) != 0) {
        return err_wrap(err, "method");
    }
    if (recipe_dtype_parse(&recipe->dtype, dtype, err) != 0) {
        return err_wrap(err, "dtype");
    }
    recipe->seed = (uint64_t)seed;
    recipe->n_layers = (uint32_t)layers;
    return 0;
}

int recipe_parse(struct recipe *out, const char *bytes, size_t size, struct err *err)
{
    struct recipe made = {0};
    json_t *doc = NULL;
    int rc;

    if (size > RECIPE_SIZE_MAX) {
        return err_set(err, ERR_LIMIT, "recipe: %zu bytes are more than %zu", size,
                       RECIPE_SIZE_MAX);
    }
    if ((rc = doc_parse(&doc, bytes, size, err)) != 0 || (rc = head_parse(&made, doc, err)) != 0 ||
        (rc = sources_parse(&made, doc, err)) != 0 || (rc = base_parse(&made, doc, err)) != 0 ||
        (rc = groups_parse(&made, doc, err)) != 0 ||
        (rc = recipe_route_parse(&made, doc, err)) != 0) {
        goto out;
    }
    *out = made;
    made = (struct recipe){0}; /* handed over */

out:
    recipe_release(&made);
    json_decref(doc);
    return rc;
}

int recipe_copy(struct recipe *out, const struct recipe *recipe, struct err *err)
{
    struct text text = {0};

    recipe_print(&text, recipe);
    int rc = recipe_parse(out, text_get(&text), text.size, err);

    text_release(&text);
    return rc;
}

/* ---- types ---- */

static const char *const dtype_names[] = {"float32", "float16", "bfloat16"};

const char *recipe_dtype_name(enum recipe_dtype dtype)
{
    assert(dtype < COUNT(dtype_names));
    return dtype_names[dtype];
}

int recipe_dtype_parse(enum recipe_dtype *out, const char *name, struct err *err)
{
    for (size_t i = 0; i < COUNT(dtype_names); i++) {
        if (strcmp(dtype_names[i], name) == 0) {
            *out = (enum recipe_dtype)i;
            return 0;
        }
    }
    return err_set(err, ERR_FORMAT, "no type '%s'; float32, float16 or bfloat16", name);
}
