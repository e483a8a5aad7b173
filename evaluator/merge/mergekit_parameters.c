/*
 * mergekit_parameters.c - what a recipe says, and what its silence means, as numbers.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/mergekit.h"
#include "evaluator/merge/mergekit_internal.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct manner manners[] = {
    {"linear", SIZES_COMMON, "weight"},
    {"slerp", SIZES_COMMON, "t"},
    {"nuslerp", SIZES_COMMON, "weight"},
    {"multislerp", SIZES_EQUAL, "weight"},
    {"karcher", SIZES_COMMON, NULL},
    {"task_arithmetic", SIZES_BASE, "weight"},
    {"ties", SIZES_BASE, "weight"},
    {"dare_linear", SIZES_BASE, "weight"},
    {"dare_ties", SIZES_BASE, "weight"},
    {"breadcrumbs", SIZES_BASE, "weight"},
    {"breadcrumbs_ties", SIZES_BASE, "weight"},
    {"della", SIZES_BASE, "weight"},
    {"della_linear", SIZES_BASE, "weight"},
    {"ties_global", SIZES_BASE, NULL},
    {"compeft", SIZES_BASE, NULL},
    {"pcb", SIZES_BASE, NULL},
    {"model_stock", SIZES_COMMON, NULL},
    {"nearswap", SIZES_EQUAL, "t"},
    {"arcee_fusion", SIZES_COMMON, NULL},
};

const struct manner *mergekit_manner_of(const struct method *method)
{
    static const struct manner plain = {NULL, SIZES_EQUAL, NULL};

    for (size_t i = 0; i < COUNT(manners); i++) {
        if (strcmp(manners[i].method, method->name) == 0) {
            return &manners[i];
        }
    }
    return &plain;
}

/* What a recipe that is silent means: mergekit's default, which for a density is to keep all. */
static double default_of(const struct method *method, const struct method_parameter *parameter)
{
    return !method->ours && strcmp(parameter->name, "density") == 0 ? 1.0 : parameter->fallback;
}

bool mergekit_takes_base(const struct method *method)
{
    return method->needs_base || method->takes_base;
}

const char *mergekit_source_name(const struct maker *maker, const struct mergekit_slice *slice,
                                 size_t source)
{
    return maker->recipe->models[slice->sources[source].model].name;
}

static double tidy(const struct method_parameter *parameter, double value)
{
    if (parameter->kind == METHOD_BOOL) {
        return value != 0.0;
    }
    if (parameter->kind == METHOD_INTEGER) {
        value = trunc(value);
        return value < parameter->lower   ? parameter->lower
               : value > parameter->upper ? parameter->upper
                                          : value;
    }
    if (strcmp(parameter->name, "density") == 0) {
        return value < 0.0 ? 0.0 : value > 1.0 ? 1.0 : value; /* beyond these nothing changes */
    }
    return value;
}

/* source MERGEKIT_NONE: a parameter of the whole tensor. tensor is the name that filters see. */
static int resolve(const struct maker *maker, const struct work *work, size_t source,
                   const struct method_parameter *parameter, const char *tensor, double *out)
{
    const char *required = maker->manner->required;
    double value = default_of(maker->plan->method, parameter);

    if (maker->plan->rules.exact_mergekit && !maker->plan->method->ours &&
        mergekit_ignores(maker->plan->method, parameter)) {
        *out = value;
        return 0;
    }
    bool found = mergekit_recipe_value(maker->recipe, work->slice, source, parameter->name, tensor,
                                       work->position, &value);
    if (!found && required != NULL && strcmp(parameter->name, required) == 0) {
        return err_set(maker->err, ERR_MISSING, "%s%s%s: the recipe gives no %s, which %s needs",
                       source != MERGEKIT_NONE ? mergekit_source_name(maker, work->slice, source)
                                               : "",
                       source != MERGEKIT_NONE ? ": " : "", tensor, parameter->name,
                       maker->plan->method->name);
    }
    *out = tidy(parameter, value);
    return 0;
}

int mergekit_set_parameters(const struct maker *maker, const struct work *work,
                            struct plan_tensor *out)
{
    const struct method *method = maker->plan->method;
    size_t n_source = method_count(method, METHOD_SOURCE);
    size_t n_whole = method_count(method, METHOD_WHOLE);
    double *sources =
        plan_own(maker->plan, mem_array(work->n_inputs * n_source + n_whole, sizeof(double)));
    double *whole = sources + work->n_inputs * n_source;
    size_t s = 0;
    int rc = 0;

    for (size_t i = 0; i < work->n_inputs; i++) {
        if (i == work->base) {
            continue;
        }
        for (size_t k = 0; k < n_source && rc == 0; k++) {
            rc = resolve(maker, work, work->inputs[i].source, method_at(method, METHOD_SOURCE, k),
                         work->inputs[i].name, &sources[s * n_source + k]);
        }
        s++;
    }
    for (size_t k = 0; k < n_whole && rc == 0; k++) {
        rc = resolve(maker, work, MERGEKIT_NONE, method_at(method, METHOD_WHOLE, k), work->name,
                     &whole[k]);
    }
    out->source_values = sources;
    out->whole_values = whole;
    return rc;
}
