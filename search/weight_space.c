/*
 * weight_space.c - merge coefficients as coordinates.
 *
 * Values of a component are a table, one row a position on its layer axis, one column a searched
 * parameter and source:
 *
 *                      weight a  weight b  density a  density b  lambda
 *      layers 0-2          0         1          2          3        4
 *      layers 3-5          5         6          7          8        9
 *
 * and the tables of the components follow each other. Decoding spreads rows over layers, encoding
 * is its least squares inverse.
 */
#include "search/weight_space.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

/* ---- the table of one component ---- */

static size_t n_components(const struct study_merge *merge)
{
    return merge->n_components > 0 ? merge->n_components : 1;
}

static const char *component_at(const struct study_merge *merge, size_t c)
{
    return merge->n_components > 0 ? merge->components[c] : "all";
}

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* The embeddings and the output matrix exist once. */
static bool has_layers(const char *component)
{
    return !is(component, "embeddings") && !is(component, "head");
}

/* Rows of a component's table. */
static uint32_t n_positions(const struct study_merge *merge, const char *component,
                            uint32_t n_layers)
{
    if (!has_layers(component)) {
        return 1;
    }
    return merge->layers == STUDY_LAYERS_EACH ? n_layers : merge->n_layer_groups;
}

static bool is_per_source(const struct study_range *range)
{
    return range->parameter->scope == METHOD_SOURCE;
}

/* Columns of every table. */
static size_t n_columns(const struct study_merge *merge)
{
    size_t n = 0;

    for (size_t k = 0; k < merge->n_search; k++) {
        n += is_per_source(&merge->search[k]) ? merge->n_sources : 1;
    }
    return n;
}

/* Layers [first, end) of group p of n: as even as they come. */
static uint32_t group_first(uint32_t p, uint32_t n, uint32_t n_layers)
{
    assert(n > 0);
    return (uint32_t)((uint64_t)p * n_layers / n);
}

/* Where a layer lies between the knots: *below and the share of the knot after it. */
static double between_knots(uint32_t layer, uint32_t n_layers, uint32_t n_knots, uint32_t *below)
{
    if (n_knots == 1 || n_layers == 1) {
        *below = 0;
        return 0.0;
    }
    uint64_t steps = (uint64_t)layer * (n_knots - 1);

    *below = (uint32_t)(steps / (n_layers - 1));
    if (*below == n_knots - 1) { /* the last layer is the last knot */
        *below = n_knots - 2;
        return 1.0;
    }
    return (double)(steps % (n_layers - 1)) / (double)(n_layers - 1);
}

/* ---- laying out ---- */

int weight_space_count(size_t *out, const struct study_merge *merge, uint32_t n_layers,
                       struct err *err)
{
    size_t rows = 0, groups = 0;

    assert(n_layers > 0 && (merge->layers == STUDY_LAYERS_EACH || merge->n_layer_groups > 0));
    if (merge->layers != STUDY_LAYERS_EACH && merge->n_layer_groups > n_layers) {
        return err_set(err, ERR_LIMIT, "merge.layers: %u groups, but the models have %u layers",
                       merge->n_layer_groups, n_layers);
    }
    for (size_t c = 0; c < n_components(merge); c++) {
        const char *component = component_at(merge, c);
        bool smooth = merge->layers == STUDY_LAYERS_SMOOTH && has_layers(component);

        rows += n_positions(merge, component, n_layers);
        groups += smooth ? n_layers : n_positions(merge, component, n_layers);
    }
    if (groups > RECIPE_GROUPS_MAX) {
        return err_set(err, ERR_LIMIT, "merge: %zu tensor groups a recipe, at most %d", groups,
                       RECIPE_GROUPS_MAX);
    }
    *out = rows * n_columns(merge); /* at most 4096 times 6 * 64 */
    return 0;
}

/* " layers 0-2", " layer 3", " at layer 2.5", or nothing when there is but one position. */
static void add_position(struct text *name, const struct study_merge *merge, uint32_t p, uint32_t n,
                         uint32_t n_layers)
{
    if (n == 1) {
        return;
    }
    if (merge->layers == STUDY_LAYERS_SMOOTH) {
        text_printf(name, " at layer %.3g", (double)p * (double)(n_layers - 1) / (double)(n - 1));
        return;
    }
    uint32_t first = group_first(p, n, n_layers), last = group_first(p + 1, n, n_layers) - 1;

    if (first == last) {
        text_printf(name, " layer %u", first);
    } else {
        text_printf(name, " layers %u-%u", first, last);
    }
}

static char *name_of(const struct study_merge *merge, const struct study_range *range,
                     const char *source, const char *component, uint32_t p, uint32_t n_layers)
{
    struct text name = {0};

    text_add(&name, range->parameter->name);
    if (source != NULL) {
        text_printf(&name, " %s", source);
    }
    add_position(&name, merge, p, n_positions(merge, component, n_layers), n_layers);
    if (!is(component, "all")) {
        text_printf(&name, " %s", component);
    }
    return text_take(&name);
}

/* One row of a table. */
static struct space_coordinate *lay_out_row(struct space_coordinate *out,
                                            const struct study_merge *merge,
                                            const struct study_model *models, const char *component,
                                            uint32_t p, uint32_t n_layers)
{
    for (size_t k = 0; k < merge->n_search; k++) {
        const struct study_range *range = &merge->search[k];
        size_t n = is_per_source(range) ? merge->n_sources : 1;

        for (size_t s = 0; s < n; s++) {
            const char *source = is_per_source(range) ? models[merge->sources[s]].name : NULL;

            *out++ = (struct space_coordinate){
                .name = name_of(merge, range, source, component, p, n_layers),
                .lower = range->lower,
                .upper = range->upper,
                .start = range->start,
                .whole = range->parameter->kind != METHOD_REAL};
        }
    }
    return out;
}

void weight_space_lay_out(struct space_coordinate *out, const struct study_merge *merge,
                          const struct study_model *models, uint32_t n_layers)
{
    for (size_t c = 0; c < n_components(merge); c++) {
        const char *component = component_at(merge, c);

        for (uint32_t p = 0; p < n_positions(merge, component, n_layers); p++) {
            out = lay_out_row(out, merge, models, component, p, n_layers);
        }
    }
}

/* ---- a row of values and the group it describes ---- */

/* Where a recipe group keeps a parameter of source s (0 for one of the whole group). */
static double *value_in(const struct recipe *recipe, const struct recipe_group *group,
                        const struct method_parameter *parameter, size_t s)
{
    size_t k = method_index(recipe->method, parameter->scope, parameter->name);

    assert(k != SIZE_MAX);
    return parameter->scope == METHOD_WHOLE
               ? &group->whole_values[k]
               : &group->source_values[s * method_count(recipe->method, METHOD_SOURCE) + k];
}

static void write_row(const struct study_merge *merge, const struct recipe *recipe,
                      struct recipe_group *group, const double *row)
{
    for (size_t k = 0; k < merge->n_fixed; k++) {
        const struct method_parameter *parameter = merge->fixed[k].parameter;
        size_t n = parameter->scope == METHOD_SOURCE ? recipe->n_sources : 1;

        for (size_t s = 0; s < n; s++) {
            *value_in(recipe, group, parameter, s) = merge->fixed[k].value;
        }
    }
    for (size_t k = 0; k < merge->n_search; k++) {
        const struct method_parameter *parameter = merge->search[k].parameter;
        size_t n = is_per_source(&merge->search[k]) ? recipe->n_sources : 1;

        for (size_t s = 0; s < n; s++) {
            double value = *row++; /* between knots a whole number need not be one */

            *value_in(recipe, group, parameter, s) =
                parameter->kind == METHOD_REAL ? value : floor(value + 0.5);
        }
    }
}

/* row += factor times the group's values. */
static void add_row(const struct study_merge *merge, const struct recipe *recipe,
                    const struct recipe_group *group, double factor, double *row)
{
    for (size_t k = 0; k < merge->n_search; k++) {
        size_t n = is_per_source(&merge->search[k]) ? recipe->n_sources : 1;

        for (size_t s = 0; s < n; s++) {
            *row++ += factor * *value_in(recipe, group, merge->search[k].parameter, s);
        }
    }
}

/* ---- decoding ---- */

static void decode_groups(const struct study_merge *merge, const char *component,
                          const double *table, struct recipe *recipe)
{
    uint32_t n = n_positions(merge, component, recipe->n_layers);

    for (uint32_t p = 0; p < n; p++) {
        struct recipe_group *group =
            recipe_add_group(recipe, component, group_first(p, n, recipe->n_layers),
                             group_first(p + 1, n, recipe->n_layers));

        write_row(merge, recipe, group, table + p * n_columns(merge));
    }
}

static void decode_knots(const struct study_merge *merge, const char *component,
                         const double *table, struct recipe *recipe)
{
    const size_t columns = n_columns(merge);
    const uint32_t n = merge->n_layer_groups;
    double *row = mem_array(columns, sizeof *row);

    for (uint32_t layer = 0; layer < recipe->n_layers; layer++) {
        uint32_t below;
        double share = between_knots(layer, recipe->n_layers, n, &below);
        const double *low = table + below * columns;
        const double *high = share > 0.0 ? low + columns : low;

        for (size_t i = 0; i < columns; i++) { /* this form gives low at 0 and high at 1 exactly */
            row[i] = (1.0 - share) * low[i] + share * high[i];
        }
        write_row(merge, recipe, recipe_add_group(recipe, component, layer, layer + 1), row);
    }
    free(row);
}

void weight_space_decode(const struct study_merge *merge, const double *values,
                         struct recipe *recipe)
{
    recipe_clear_groups(recipe);
    for (size_t c = 0; c < n_components(merge); c++) {
        const char *component = component_at(merge, c);

        if (merge->layers == STUDY_LAYERS_SMOOTH && has_layers(component)) {
            decode_knots(merge, component, values, recipe);
        } else {
            decode_groups(merge, component, values, recipe);
        }
        values += n_positions(merge, component, recipe->n_layers) * n_columns(merge);
    }
}

/* ---- encoding ---- */

/* The group that speaks for a component at a layer: its own, or one that takes anything. */
static const struct recipe_group *group_for(const struct recipe *recipe, const char *component,
                                            uint32_t layer)
{
    for (size_t g = 0; g < recipe->n_groups; g++) {
        const struct recipe_group *group = &recipe->groups[g];
        bool speaks = is(group->component, component) || is(group->component, "all") ||
                      is(group->component, "rest");

        if (speaks && layer >= group->first && layer < group->end) {
            return group;
        }
    }
    return NULL; /* recipe_parse refuses recipes that leave a layer uncovered */
}

static void encode_groups(const struct study_merge *merge, const char *component,
                          const struct recipe *recipe, double *table)
{
    uint32_t n = n_positions(merge, component, recipe->n_layers);

    for (uint32_t p = 0; p < n; p++) {
        uint32_t first = group_first(p, n, recipe->n_layers);
        uint32_t end = group_first(p + 1, n, recipe->n_layers);

        if (!has_layers(component)) { /* where recipes place what lies outside the layers */
            first = is(component, "head") ? recipe->n_layers - 1 : 0;
            end = first + 1;
        }
        for (uint32_t layer = first; layer < end; layer++) {
            const struct recipe_group *group = group_for(recipe, component, layer);

            assert(group != NULL);
            add_row(merge, recipe, group, 1.0 / (double)(end - first),
                    table + p * n_columns(merge));
        }
    }
}

/* Solve a symmetric tridiagonal system in place, for all columns of table [n, columns] at once;
 * coupling[i] joins i and i + 1. */
static void solve_tridiagonal(double *diagonal, const double *coupling, double *table, uint32_t n,
                              size_t columns)
{
    for (uint32_t i = 1; i < n; i++) {
        double factor = coupling[i - 1] / diagonal[i - 1];

        diagonal[i] -= factor * coupling[i - 1];
        for (size_t j = 0; j < columns; j++) {
            table[i * columns + j] -= factor * table[(i - 1) * columns + j];
        }
    }
    for (uint32_t i = n; i-- > 0;) {
        for (size_t j = 0; j < columns; j++) {
            double above = i + 1 < n ? coupling[i] * table[(i + 1) * columns + j] : 0.0;

            table[i * columns + j] = (table[i * columns + j] - above) / diagonal[i];
        }
    }
}

/*
 * Least squares over the knots' hat functions: the normal equations are tridiagonal, since a layer
 * lies between two knots only, and regular, since there are no more knots than layers: each has a
 * layer within half a step.
 */
static void encode_knots(const struct study_merge *merge, const char *component,
                         const struct recipe *recipe, double *table)
{
    const size_t columns = n_columns(merge);
    const uint32_t n = merge->n_layer_groups;
    double *diagonal = mem_array(n, sizeof *diagonal);
    double *coupling = mem_array(n, sizeof *coupling);

    for (uint32_t layer = 0; layer < recipe->n_layers; layer++) {
        const struct recipe_group *group = group_for(recipe, component, layer);
        uint32_t below;
        double share = between_knots(layer, recipe->n_layers, n, &below);

        assert(group != NULL);
        diagonal[below] += (1.0 - share) * (1.0 - share);
        add_row(merge, recipe, group, 1.0 - share, table + below * columns);
        if (share > 0.0) {
            diagonal[below + 1] += share * share;
            coupling[below] += share * (1.0 - share);
            add_row(merge, recipe, group, share, table + (below + 1) * columns);
        }
    }
    solve_tridiagonal(diagonal, coupling, table, n, columns);
    free(diagonal);
    free(coupling);
}

void weight_space_encode(const struct study_merge *merge, const struct recipe *recipe,
                         double *values)
{
    for (size_t c = 0; c < n_components(merge); c++) {
        const char *component = component_at(merge, c);
        size_t size = n_positions(merge, component, recipe->n_layers) * n_columns(merge);

        memset(values, 0, size * sizeof *values);
        if (merge->layers == STUDY_LAYERS_SMOOTH && has_layers(component)) {
            encode_knots(merge, component, recipe, values);
        } else {
            encode_groups(merge, component, recipe, values);
        }
        values += size;
    }
}
