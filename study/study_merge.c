/*
 * study_merge.c - which models are merged how, and what of it is searched.
 *
 * Parameters are kept in the order of the method's table, whatever the order in the file, and each
 * is either searched or fixed: what the file does not name is fixed at the method's default.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "study/place.h"
#include "study/study_sections.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A start this share of the width away from both bounds has room on either side. Ours. */
#define START_MARGIN 0.05

/* ---- base and sources ---- */

static int parse_base(struct study *study, const json_t *doc, struct err *err)
{
    const struct method *method = study->merge.method;
    const char *base;
    int rc = doc_text_or(doc, "base", NULL, &base, err);

    study->merge.base = SIZE_MAX;
    if (rc != 0) {
        return rc;
    }
    if (base == NULL) {
        return method->needs_base
                   ? err_set(err, ERR_MISSING, "base: missing; %s needs one", method->name)
                   : 0;
    }
    if (!method->needs_base && !method->takes_base) {
        return err_set(err, ERR_FORMAT,
                       "base: %s has none; a model that takes part goes under sources",
                       method->name);
    }
    return study_model_find(&study->merge.base, study, base, err) != 0 ? err_wrap(err, "base") : 0;
}

/* One entry of sources, which has none of the entries before it. */
static int parse_source(struct study *study, const json_t *entry, struct err *err)
{
    struct study_merge *merge = &study->merge;
    const char *name = json_string_value(entry);
    size_t model = SIZE_MAX;

    if (name == NULL) {
        return err_set(err, ERR_FORMAT, "expected the name of a model, got %s", doc_kind(entry));
    }
    int rc = study_model_find(&model, study, name, err);

    if (rc != 0) {
        return rc;
    }
    if (model == merge->base) {
        return err_set(err, ERR_CONFLICT, "'%s' is the base already", name);
    }
    for (size_t s = 0; s < merge->n_sources; s++) {
        if (merge->sources[s] == model) {
            return err_set(err, ERR_CONFLICT, "'%s' appears twice", name);
        }
    }
    merge->sources[merge->n_sources++] = model;
    return 0;
}

/* Say how many a method takes, and that its base is not one of them. */
static int refuse_count(const struct method *method, size_t n, struct err *err)
{
    const char *beside = method->needs_base ? " beside the base" : "";

    return method->sources_min == method->sources_max
               ? err_set(err, ERR_LIMIT, "sources: %s takes exactly %zu%s, got %zu", method->name,
                         method->sources_min, beside, n)
               : err_set(err, ERR_LIMIT, "sources: %s takes %zu to %zu%s, got %zu", method->name,
                         method->sources_min, method->sources_max, beside, n);
}

static int parse_sources(struct study *study, const json_t *doc, struct err *err)
{
    const struct method *method = study->merge.method;
    json_t *sources;
    int rc = doc_array(doc, "sources", &sources, err);

    if (rc != 0) {
        return rc;
    }
    size_t n = json_array_size(sources);

    if (n < method->sources_min || n > method->sources_max) {
        return refuse_count(method, n, err);
    }
    study->merge.sources = mem_array(n, sizeof(*study->merge.sources));
    for (size_t s = 0; s < n; s++) {
        if (parse_source(study, json_array_get(sources, s), err) != 0) {
            return err_wrap(err, "sources[%zu]", s);
        }
    }
    return 0;
}

/* ---- layers and components: how many coefficients ---- */

static int parse_layer_count(struct study_finer *out, json_int_t n, json_int_t least,
                             struct err *err)
{
    if (n < least || n > RECIPE_LAYERS_MAX) {
        return err_set(err, ERR_LIMIT,
                       "layers: %" JSON_INTEGER_FORMAT " is outside %" JSON_INTEGER_FORMAT " to %d",
                       n, least, RECIPE_LAYERS_MAX);
    }
    out->n_layer_groups = (uint32_t)n;
    return 0;
}

/* N | each | smooth N, as a word of n bytes. */
static int parse_layer_word(struct study_finer *out, const char *word, size_t n, struct err *err)
{
    char step[24] = "";
    int count = 0;
    int used = 0;

    if (n < sizeof(step)) {
        memcpy(step, word, n);
    }
    if (strcmp(step, "each") == 0) {
        *out = (struct study_finer){.layers = STUDY_LAYERS_EACH};
        return 0;
    }
    if (sscanf(step, "smooth %9d%n", &count, &used) == 1 && step[used] == '\0') {
        *out = (struct study_finer){.layers = STUDY_LAYERS_SMOOTH};
        return parse_layer_count(out, count, 2, err);
    }
    if (sscanf(step, "%9d%n", &count, &used) == 1 && step[used] == '\0') {
        *out = (struct study_finer){.layers = STUDY_LAYERS_GROUPS};
        return parse_layer_count(out, count, 1, err);
    }
    return err_set(err, ERR_FORMAT,
                   "layers: expected a number of groups, each, smooth N, or a list from coarse to "
                   "fine, as [1, 4, each]");
}

static int parse_layer_step(struct study_finer *out, const json_t *step, struct err *err)
{
    if (json_is_integer(step)) {
        *out = (struct study_finer){.layers = STUDY_LAYERS_GROUPS};
        return parse_layer_count(out, json_integer_value(step), 1, err);
    }
    const char *word = json_is_string(step) ? json_string_value(step) : "";

    return parse_layer_word(out, word, strlen(word), err);
}

/* The same as a list: "1 -> 4 -> each" is [1, 4, each]. A new reference. */
static json_t *split_layers(const char *word)
{
    json_t *steps = json_array();

    for (const char *end = word; end != NULL;) {
        end = strstr(word, "->");
        size_t n = end != NULL ? (size_t)(end - word) : strlen(word);
        size_t blank = strspn(word, " ");

        blank = blank < n ? blank : n;
        word += blank;
        n -= blank;
        while (n > 0 && word[n - 1] == ' ') {
            n--;
        }
        json_array_append_new(steps, json_stringn(word, n));
        word = end != NULL ? end + 2 : word;
    }
    return steps;
}

/* Coefficients on the layer axis, for comparison: nothing has more than each. */
static uint32_t grain(const struct study_finer *step)
{
    return step->layers == STUDY_LAYERS_EACH ? UINT32_MAX : step->n_layer_groups;
}

static int parse_layer_steps(struct study_merge *merge, const json_t *steps, struct err *err)
{
    size_t n = json_array_size(steps);
    struct study_finer before = {0};

    if (n < 1 || n > 1 + STUDY_FINER_MAX) {
        return err_set(err, ERR_LIMIT,
                       "layers: %zu steps from coarse to fine, 1 to %d are possible", n,
                       1 + STUDY_FINER_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        struct study_finer step;
        int rc = parse_layer_step(&step, json_array_get(steps, i), err);

        if (rc != 0) {
            return rc;
        }
        if (i > 0 && grain(&step) <= grain(&before)) {
            return err_set(
                err, ERR_FORMAT,
                "layers: step %zu is not finer than the one before; a schedule goes from "
                "coarse to fine, as [1, 4, each]",
                i + 1);
        }
        if (i == 0) {
            merge->layers = step.layers;
            merge->n_layer_groups = step.n_layer_groups;
        } else {
            merge->finer[merge->n_finer++] = step;
        }
        before = step;
    }
    return 0;
}

/* N | each | smooth N | a list of them | the same with arrows; 1 when the key is absent. */
static int parse_layers(struct study_merge *merge, const json_t *doc, struct err *err)
{
    json_t *layers = json_object_get(doc, "layers");
    const char *word = json_string_value(layers);
    json_t *steps;

    if (layers == NULL) {
        steps = json_pack("[i]", 1);
    } else if (json_is_array(layers)) {
        steps = json_incref(layers);
    } else if (word != NULL && strstr(word, "->") != NULL) {
        steps = split_layers(word);
    } else {
        steps = json_pack("[O]", layers);
    }
    int rc = parse_layer_steps(merge, steps, err);

    json_decref(steps);
    return rc;
}

/* The component as recipes write it: a known name, or "filter:TEXT". A word that is nearly a name
 * is taken for a slip. */
static int parse_component(char **out, const json_t *entry, struct err *err)
{
    const char *word = json_string_value(entry);

    if (word == NULL || *word == '\0' || strcmp(word, RECIPE_FILTER) == 0) {
        return err_set(err, ERR_FORMAT, "expected the name of a component, got %s",
                       word != NULL ? "an empty text" : doc_kind(entry));
    }
    bool is_known = recipe_component_known(word);

    if (strlen(word) + (is_known ? 0 : strlen(RECIPE_FILTER)) > RECIPE_COMPONENT_MAX) {
        return err_set(err, ERR_LIMIT, "longer than %d bytes", RECIPE_COMPONENT_MAX);
    }
    if (is_known) {
        *out = mem_text(word);
        return 0;
    }
    const char *near = recipe_component_nearest(word);

    if (near != NULL) {
        return err_set(err, ERR_FORMAT,
                       "no component '%s'; did you mean %s? (for tensors with '%s' in their name "
                       "write " RECIPE_FILTER "%s)",
                       word, near, word, word);
    }
    *out = mem_printf(RECIPE_FILTER "%s", word);
    return 0;
}

/* Tensors go to the first component that takes them: none may be hidden, none left over. */
static int check_components(const struct study_merge *merge, struct err *err)
{
    for (size_t i = 0; i < merge->n_components; i++) {
        const char *component = merge->components[i];
        bool last = i + 1 == merge->n_components;

        for (size_t before = 0; before < i; before++) {
            if (strcmp(merge->components[before], component) == 0) {
                return err_set(err, ERR_CONFLICT, "components: '%s' appears twice", component);
            }
        }
        if (last && !recipe_component_whole(component)) {
            return err_set(err, ERR_FORMAT,
                           "components: the last must be rest, for all other tensors");
        }
        if (!last && recipe_component_whole(component)) {
            return err_set(err, ERR_FORMAT, "components: '%s' takes every tensor, so it comes last",
                           component);
        }
    }
    return 0;
}

static int parse_components(struct study_merge *merge, const json_t *doc, struct err *err)
{
    const json_t *components = json_object_get(doc, "components");
    size_t n = json_array_size(components);

    if (components == NULL) {
        return 0;
    }
    if (n == 0 || n > STUDY_COMPONENTS_MAX) {
        return err_set(err, ERR_FORMAT, "components: expected a list of 1 to %d",
                       STUDY_COMPONENTS_MAX);
    }
    merge->components = mem_array(n, sizeof(*merge->components));
    for (size_t i = 0; i < n; i++) {
        if (parse_component(&merge->components[i], json_array_get(components, i), err) != 0) {
            return err_wrap(err, "components[%zu]", i);
        }
        merge->n_components = i + 1;
    }
    return check_components(merge, err);
}

/* How many coordinates a sensitivity pass frees. */
static int parse_free(struct study_merge *merge, const json_t *doc, struct err *err)
{
    int64_t n = 0;
    int rc = json_object_get(doc, "free") == NULL
                 ? 0
                 : doc_integer(doc, "free", 1, STUDY_FREE_MAX, &n, err);

    merge->n_free = (size_t)n;
    return rc;
}

/* ---- parameters ---- */

/* The mapping under key, or NULL when absent; its keys are parameters of the method. */
static int parameter_mapping(const json_t **out, const struct method *method, const json_t *doc,
                             const char *key, struct err *err)
{
    const json_t *mapping = json_object_get(doc, key);
    const char *names[METHOD_PARAMETERS_MAX];

    if (mapping == NULL) {
        *out = NULL;
        return 0;
    }
    if (!json_is_object(mapping)) {
        return err_set(err, ERR_FORMAT, "%s: expected a mapping, got %s", key, doc_kind(mapping));
    }
    for (size_t i = 0; i < method->n_parameters; i++) {
        names[i] = method->parameters[i].name;
    }
    if (doc_only(mapping, names, method->n_parameters, err) != 0) {
        return place_within(err, mapping, "%s", key);
    }
    *out = mapping;
    return 0;
}

static int check_limits(const struct method_parameter *parameter, double value, struct err *err)
{
    if (value < parameter->lower || value > parameter->upper) {
        return err_set(err, ERR_LIMIT, "%s: %g is outside [%g, %g]", parameter->name, value,
                       parameter->lower, parameter->upper);
    }
    return 0;
}

/* The method's default where it has room on either side, else the middle. */
static double default_start(const struct method_parameter *parameter, double lower, double upper)
{
    double margin = START_MARGIN * (upper - lower);
    double middle = lower + (upper - lower) / 2;

    if (parameter->kind !=
        METHOD_REAL) { /* each value has a share of the box, the outer ones too */
        margin = 0;
        middle = floor(middle);
    }
    bool inside = parameter->fallback >= lower + margin && parameter->fallback <= upper - margin;

    return inside ? parameter->fallback : middle;
}

/* A number, or true and false for a switch. */
static bool parse_bound(double *out, const struct method_parameter *parameter, const json_t *value)
{
    bool is_word = parameter->kind == METHOD_BOOL && json_is_boolean(value);

    *out = is_word ? json_is_true(value) : json_number_value(value);
    return is_word || json_is_number(value);
}

static int parse_range(struct study_range *out, const struct method_parameter *parameter,
                       const json_t *bounds, struct err *err)
{
    const char *name = parameter->name;
    double lower;
    double upper;

    if (json_array_size(bounds) != 2 ||
        !parse_bound(&lower, parameter, json_array_get(bounds, 0)) ||
        !parse_bound(&upper, parameter, json_array_get(bounds, 1))) {
        return err_set(err, ERR_FORMAT, "%s: expected bounds, [%s]", name,
                       parameter->kind == METHOD_BOOL ? "false, true" : "lower, upper");
    }
    if (parameter->kind != METHOD_REAL && (lower != floor(lower) || upper != floor(upper))) {
        return err_set(err, ERR_FORMAT, "%s: expected whole numbers as bounds", name);
    }
    if (lower >= upper) {
        return err_set(err, ERR_FORMAT, "%s: the lower bound %g is not below the upper %g", name,
                       lower, upper);
    }
    if (check_limits(parameter, lower, err) != 0 || check_limits(parameter, upper, err) != 0) {
        return ERR_LIMIT;
    }
    if (!isfinite(upper - lower)) {
        return err_set(err, ERR_LIMIT, "%s: the bounds are too far apart", name);
    }
    *out = (struct study_range){parameter, lower, upper, default_start(parameter, lower, upper)};
    return 0;
}

static int parse_search(struct study_merge *merge, const json_t *doc, struct err *err)
{
    const struct method *method = merge->method;
    const json_t *search = NULL;
    int rc = parameter_mapping(&search, method, doc, "search", err);

    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < method->n_parameters; i++) {
        const json_t *bounds = json_object_get(search, method->parameters[i].name);

        if (bounds == NULL) {
            continue;
        }
        if (parse_range(&merge->search[merge->n_search], &method->parameters[i], bounds, err) !=
            0) {
            return place_within(err, search, "search");
        }
        merge->n_search++;
    }
    return merge->n_search > 0
               ? 0
               : err_set(err, ERR_MISSING,
                         "search: name a parameter and its bounds, as in {%s: [0, 1.5]}",
                         method->parameters[0].name);
}

static struct study_range *range_find(struct study_merge *merge,
                                      const struct method_parameter *parameter)
{
    for (size_t i = 0; i < merge->n_search; i++) {
        if (merge->search[i].parameter == parameter) {
            return &merge->search[i];
        }
    }
    return NULL;
}

static int parse_start_value(struct study_merge *merge, const char *name, const json_t *value,
                             struct err *err)
{
    struct study_range *range = range_find(merge, method_parameter_find(merge->method, name));

    if (range == NULL) {
        return err_set(err, ERR_CONFLICT, "%s: is not searched", name);
    }
    if (!json_is_number(value)) {
        return err_set(err, ERR_FORMAT, "%s: expected a number, got %s", name, doc_kind(value));
    }
    double start = json_number_value(value);

    if (range->parameter->kind != METHOD_REAL && start != floor(start)) {
        return err_set(err, ERR_FORMAT, "%s: expected a whole number, got %g", name, start);
    }
    if (start < range->lower || start > range->upper) {
        return err_set(err, ERR_LIMIT, "%s: %g is outside its bounds [%g, %g]", name, start,
                       range->lower, range->upper);
    }
    range->start = start;
    return 0;
}

static int parse_start(struct study_merge *merge, const json_t *doc, struct err *err)
{
    const json_t *start = NULL;
    int rc = parameter_mapping(&start, merge->method, doc, "start", err);

    for (size_t i = 0; i < merge->method->n_parameters && rc == 0; i++) {
        const char *name = merge->method->parameters[i].name;
        const json_t *value = json_object_get(start, name);

        if (value != NULL && parse_start_value(merge, name, value, err) != 0) {
            rc = place_within(err, start, "start");
        }
    }
    return rc;
}

/* A number, or true and false for a switch. */
static int parse_fixed_value(double *out, const struct method_parameter *parameter,
                             const json_t *value, struct err *err)
{
    const char *name = parameter->name;
    bool is_switch = parameter->kind == METHOD_BOOL;
    double number = json_is_boolean(value) ? json_is_true(value) : json_number_value(value);

    if (is_switch ? !json_is_boolean(value) && !json_is_number(value) : !json_is_number(value)) {
        return err_set(err, ERR_FORMAT, "%s: expected %s, got %s", name,
                       is_switch ? "true or false" : "a number", doc_kind(value));
    }
    if (parameter->kind != METHOD_REAL && number != floor(number)) {
        return err_set(err, ERR_FORMAT, "%s: expected %s, got %g", name,
                       is_switch ? "true or false" : "a whole number", number);
    }
    int rc = check_limits(parameter, number, err);

    if (rc == 0) {
        *out = number;
    }
    return rc;
}

static int parse_fixed(struct study_merge *merge, const json_t *doc, struct err *err)
{
    const struct method *method = merge->method;
    const json_t *fixed = NULL;
    int rc = parameter_mapping(&fixed, method, doc, "fixed", err);

    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < method->n_parameters; i++) {
        const struct method_parameter *parameter = &method->parameters[i];
        const json_t *given = json_object_get(fixed, parameter->name);
        bool is_searched = range_find(merge, parameter) != NULL;
        double value = parameter->fallback;

        if (given != NULL && is_searched) {
            return err_set(err, ERR_CONFLICT, "fixed.%s: is searched already", parameter->name);
        }
        if (given != NULL && parse_fixed_value(&value, parameter, given, err) != 0) {
            return place_within(err, fixed, "fixed");
        }
        bool is_silent = parameter->silent && value == parameter->fallback;

        if (!is_searched && !is_silent) {
            merge->fixed[merge->n_fixed++] = (struct study_fixed){parameter, value};
        }
    }
    return 0;
}

/* ---- the section ---- */

static int parse_method(struct study_merge *merge, const json_t *doc, struct err *err)
{
    const char *name;
    int rc = doc_text(doc, "method", &name, err);

    if (rc != 0) {
        return rc;
    }
    return method_find(&merge->method, name, err) != 0 ? err_wrap(err, "method") : 0;
}

int study_merge_parse(struct study *study, json_t *doc, struct err *err)
{
    static const char *const known[] = {"method", "base",  "sources", "layers", "components",
                                        "search", "start", "fixed",   "free"};
    struct study_merge *merge = &study->merge;
    int rc;

    if ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
        (rc = parse_method(merge, doc, err)) != 0 || (rc = parse_base(study, doc, err)) != 0 ||
        (rc = parse_sources(study, doc, err)) != 0 || (rc = parse_layers(merge, doc, err)) != 0 ||
        (rc = parse_components(merge, doc, err)) != 0 || (rc = parse_free(merge, doc, err)) != 0 ||
        (rc = parse_search(merge, doc, err)) != 0 || (rc = parse_start(merge, doc, err)) != 0) {
        return rc;
    }
    return parse_fixed(merge, doc, err);
}

void study_merge_release(struct study_merge *merge)
{
    for (size_t c = 0; c < merge->n_components; c++) {
        free(merge->components[c]);
    }
    free(merge->components);
    free(merge->sources);
}

static json_t *print_layer_step(enum study_layers layers, uint32_t n)
{
    switch (layers) {
    case STUDY_LAYERS_EACH:
        return json_string("each");
    case STUDY_LAYERS_SMOOTH:
        return json_sprintf("smooth %u", n);
    case STUDY_LAYERS_GROUPS:
        break;
    }
    return json_integer(n);
}

static json_t *print_layers(const struct study_merge *merge)
{
    json_t *first = print_layer_step(merge->layers, merge->n_layer_groups);

    if (merge->n_finer == 0) {
        return first;
    }
    json_t *steps = json_pack("[o]", first);

    for (size_t i = 0; i < merge->n_finer; i++) {
        json_array_append_new(
            steps, print_layer_step(merge->finer[i].layers, merge->finer[i].n_layer_groups));
    }
    return steps;
}

json_t *study_merge_print(const struct study *study)
{
    const struct study_merge *merge = &study->merge;
    json_t *sources = json_array();
    json_t *search = json_object();
    json_t *start = json_object();
    json_t *fixed = json_object();

    for (size_t s = 0; s < merge->n_sources; s++) {
        json_array_append_new(sources, json_string(study->models[merge->sources[s]].name));
    }
    for (size_t i = 0; i < merge->n_search; i++) {
        const struct study_range *range = &merge->search[i];
        const char *name = range->parameter->name;

        json_object_set_new(search, name, json_pack("[f, f]", range->lower, range->upper));
        json_object_set_new(start, name, json_real(range->start));
    }
    for (size_t i = 0; i < merge->n_fixed; i++) {
        const struct study_fixed *held = &merge->fixed[i];

        json_object_set_new(fixed, held->parameter->name, json_real(held->value));
    }
    json_t *doc = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "method", merge->method->name,
                            "sources", sources, "layers", print_layers(merge), "search", search,
                            "start", start, "fixed", fixed);

    if (merge->base != SIZE_MAX) {
        json_object_set_new(doc, "base", json_string(study->models[merge->base].name));
    }
    if (merge->n_free > 0) {
        json_object_set_new(doc, "free", json_integer((json_int_t)merge->n_free));
    }
    if (merge->n_components > 0) {
        json_t *components = json_array();

        for (size_t c = 0; c < merge->n_components; c++) {
            json_array_append_new(components, json_string(merge->components[c]));
        }
        json_object_set_new(doc, "components", components);
    }
    return doc;
}
