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

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "evaluator/merge/family.h"
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
    } else { /* a count with a point is none to mergekit */
        text_add_double(out, value, parameter->declared->kind == METHOD_REAL);
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

/* ---- what mergekit does not have ---- */

/* Parameters of ours in methods of mergekit's, which ignores them: at their defaults they change
 * nothing. */
static const struct {
    const char *method, *parameter;
} ours[] = {{"karcher", "weight"}, {"arcee_fusion", "spread"}};

bool mergekit_ignores(const struct method *method, const struct method_parameter *parameter)
{
    if (method->ours || parameter->silent) {
        return parameter->silent;
    }
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (strcmp(ours[i].method, method->name) == 0 &&
            strcmp(ours[i].parameter, parameter->name) == 0) {
            return true;
        }
    }
    return false;
}

/* A parameter as mergekit takes it, and nothing or a warning where it would not. */
static void add_known(struct text *out, const struct recipe *recipe, const struct listing *listing,
                      const struct parameter *parameter, const char *indent)
{
    bool is_default =
        all_equal(listing, 0, listing->n, parameter) &&
        value_in(parameter, listing->tensors[0].group) == parameter->declared->fallback;

    if (mergekit_ignores(recipe->method, parameter->declared)) {
        if (is_default) {
            return;
        }
        text_printf(out, "%s# not in mergekit 0.1.4, which ignores it and gives another model:\n",
                    indent);
    }
    add_parameter(out, listing, parameter, indent);
}

/* All parameters of a scope, of source s where they are a source's. */
static void add_parameters(struct text *out, const struct recipe *recipe,
                           const struct listing *listing, enum method_scope scope, size_t s)
{
    const char *indent = scope == METHOD_SOURCE ? "    " : "";
    const char *deeper = scope == METHOD_SOURCE ? "      " : "  ";
    size_t n = method_count(recipe->method, scope);
    struct text values = {0};

    for (size_t k = 0; k < n; k++) {
        const struct parameter parameter = {method_at(recipe->method, scope, k), scope,
                                            scope == METHOD_SOURCE ? s * n + k : k};

        add_known(&values, recipe, listing, &parameter, deeper);
    }
    if (values.size > 0) {
        text_printf(out, "%sparameters:\n", indent);
        text_add(out, text_get(&values));
    }
    text_release(&values);
}

/* layer_swap as mergekit can say it: linear, with weights by layer. */
static void as_linear(struct recipe *out, const struct recipe *recipe)
{
    const char *const sources[] = {recipe->sources[0], recipe->sources[1]};
    const size_t bottom = method_index(recipe->method, METHOD_WHOLE, "bottom");
    const size_t top = method_index(recipe->method, METHOD_WHOLE, "top");
    const struct method *linear = NULL;
    int rc = method_find(&linear, "linear", NULL);

    assert(rc == 0 && method_count(linear, METHOD_SOURCE) == 1 && recipe->n_sources == 2);
    recipe_init(out, linear, recipe->dtype, recipe->seed, recipe->n_layers, sources, 2, NULL);
    recipe_clear_groups(out);
    for (size_t g = 0; g < recipe->n_groups; g++) {
        const struct recipe_group *group = &recipe->groups[g];

        for (uint32_t layer = group->first; layer < group->end; layer++) {
            struct recipe_group *made = recipe_add_group(out, group->component, layer, layer + 1);
            double share = sums_swap_share(layer, recipe->n_layers, group->whole_values[bottom],
                                           group->whole_values[top]);

            made->source_values[0] = 1.0 - share;
            made->source_values[1] = share;
        }
    }
}

void mergekit_print(struct text *out, const struct recipe *recipe, const char *base_name,
                    const char *const *names)
{
    const struct method *method = recipe->method;

    if (strcmp(method->name, "layer_swap") == 0) {
        struct recipe linear = {0};

        as_linear(&linear, recipe);
        mergekit_print(out, &linear, base_name, names);
        recipe_release(&linear);
        return;
    }
    struct listing listing = list_tensors(recipe);

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
        text_add_char(out, '\n');
        add_parameters(out, recipe, &listing, METHOD_SOURCE, s);
    }
    add_parameters(out, recipe, &listing, METHOD_WHOLE, 0);
    text_printf(out, "dtype: float32\nout_dtype: %s\n", recipe_dtype_name(recipe->dtype));
    free(listing.tensors);
}
