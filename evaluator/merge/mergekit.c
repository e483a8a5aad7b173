/*
 * mergekit.c - groups of a recipe written as filters on tensor names.
 *
 *   weight: 0.5                          one value for all tensors
 *
 *   weight:                              else, filters; the first that occurs in the name wins
 *     - filter: "layers.0."              a layer whose tensors agree
 *       value: 0.5
 *     - filter: "layers.1.mlp.up_proj"   a matrix and its bias that agree
 *       value: 0.25
 *     - value: 1.0                       whatever is left
 *
 * All tensors that a family may have are listed in order of depth, a layer's next to each other;
 * a run of them with one value becomes one filter where a name has such a prefix.
 */
#include "evaluator/merge/mergekit.h"

#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "evaluator/model/tensors.h"

/* Every tensor that the known families may have, and the group it is in. */
struct listed {
    struct tensor_place place;
    const struct recipe_group *group;
};

struct listing {
    size_t n;
    struct listed *tensors;
};

static struct listing list_tensors(const struct recipe *recipe)
{
    const struct config everything = {.family = CONFIG_EVERY, .n_layers = recipe->n_layers};
    struct listing listing = {.n = tensors_count(&everything)};

    listing.tensors = mem_array(listing.n, sizeof(struct listed));
    for (size_t i = 0; i < listing.n; i++) {
        struct tensor_place *place = &listing.tensors[i].place;

        tensors_at(&everything, i, place);
        listing.tensors[i].group =
            recipe_group_of(recipe, place->name, (enum recipe_component)place->part, place->depth);
    }
    return listing;
}

/* One parameter: where its value stands in a group. */
struct parameter {
    const struct method_parameter *declared;
    enum method_scope scope;
    size_t at;
};

static double value_in(const struct parameter *parameter, const struct recipe_group *group)
{
    return parameter->scope == METHOD_SOURCE ? group->source_values[parameter->at]
                                             : group->whole_values[parameter->at];
}

static void add_value(struct text *out, const struct parameter *parameter, double value)
{
    if (parameter->declared->kind == METHOD_BOOL) {
        text_add(out, value != 0.0 ? "true" : "false");
    } else {
        text_add_double(out, value, true);
    }
    text_add_char(out, '\n');
}

static void add_quoted(struct text *out, const char *name)
{
    json_t *string = json_string(name);

    doc_print(out, string);
    json_decref(string);
}

/* How many tensors from i on share the first n bytes of its name. */
static size_t run_length(const struct listing *listing, size_t i, size_t n)
{
    size_t end = i;

    while (end < listing->n &&
           strncmp(listing->tensors[end].place.name, listing->tensors[i].place.name, n) == 0) {
        end++;
    }
    return end - i;
}

static bool all_equal(const struct listing *listing, size_t i, size_t n,
                      const struct parameter *parameter)
{
    double value = value_in(parameter, listing->tensors[i].group);

    for (size_t j = i + 1; j < i + n; j++) {
        if (value_in(parameter, listing->tensors[j].group) != value) {
            return false;
        }
    }
    return true;
}

/* The shortest prefix of a name whose tensors agree: its layer, its matrix and bias, itself. */
static size_t filter_size(const struct listing *listing, size_t i,
                          const struct parameter *parameter)
{
    const char *name = listing->tensors[i].place.name;
    size_t ends[3] = {0, (size_t)(strrchr(name, '.') - name), strlen(name)};

    if (listing->tensors[i].place.in_layer) {
        size_t digits = strlen("model.layers.");

        ends[0] = digits + strcspn(name + digits, ".") + 1;
    }
    for (size_t e = 0; e < 3; e++) {
        if (ends[e] > 0 && all_equal(listing, i, run_length(listing, i, ends[e]), parameter)) {
            return ends[e];
        }
    }
    return ends[2];
}

static void add_parameter(struct text *out, const struct listing *listing,
                          const struct parameter *parameter, const char *indent)
{
    double last = value_in(parameter, listing->tensors[listing->n - 1].group);

    text_printf(out, "%s%s:", indent, parameter->declared->name);
    if (all_equal(listing, 0, listing->n, parameter)) {
        text_add_char(out, ' ');
        add_value(out, parameter, last);
        return;
    }
    text_add_char(out, '\n');
    for (size_t i = 0; i < listing->n;) {
        size_t n = filter_size(listing, i, parameter);

        text_printf(out, "%s  - filter: \"%.*s\"\n%s    value: ", indent, (int)n,
                    listing->tensors[i].place.name, indent);
        add_value(out, parameter, value_in(parameter, listing->tensors[i].group));
        i += run_length(listing, i, n);
    }
    text_printf(out, "%s  - value: ", indent);
    add_value(out, parameter, last);
}

static bool is_silent(const struct listing *listing, const struct parameter *parameter)
{
    return parameter->declared->silent && all_equal(listing, 0, listing->n, parameter) &&
           value_in(parameter, listing->tensors[0].group) == parameter->declared->fallback;
}

void mergekit_print(struct text *out, const struct recipe *recipe, const char *base_name,
                    const char *const *names)
{
    const struct method *method = recipe->method;
    struct listing listing = list_tensors(recipe);
    size_t n_source = method_count(method, METHOD_SOURCE);
    size_t n_whole = method_count(method, METHOD_WHOLE);

    if (method->ours) {
        text_printf(out, "# mergekit does not have %s; braid merge carries this file out.\n",
                    method->name);
    }
    text_printf(out, "merge_method: %s\n", method->name);
    if (base_name != NULL) {
        text_add(out, "base_model: ");
        add_quoted(out, base_name);
        text_add_char(out, '\n');
    }
    text_add(out, "models:\n");
    for (size_t s = 0; s < recipe->n_sources; s++) {
        text_add(out, "  - model: ");
        add_quoted(out, names[s]);
        text_add(out, "\n    parameters:\n");
        for (size_t k = 0; k < n_source; k++) {
            const struct parameter parameter = {method_at(method, METHOD_SOURCE, k), METHOD_SOURCE,
                                                s * n_source + k};

            add_parameter(out, &listing, &parameter, "      ");
        }
    }
    if (n_whole > 0) {
        text_add(out, "parameters:\n");
    }
    for (size_t k = 0; k < n_whole; k++) {
        const struct parameter parameter = {method_at(method, METHOD_WHOLE, k), METHOD_WHOLE, k};

        if (!is_silent(&listing, &parameter)) {
            add_parameter(out, &listing, &parameter, "  ");
        }
    }
    text_printf(out, "dtype: float32\nout_dtype: %s\n", recipe_dtype_name(recipe->dtype));
    free(listing.tensors);
}
