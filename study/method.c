/*
 * method.c - the table of merge methods.
 *
 * Defaults are those of mergekit 0.1.4 unless a comment says otherwise. Where it has none (a
 * weight) ours is a choice: a search starts there, and "the method at its defaults" is a baseline.
 * Since a recipe spells out every value, a changed default changes no recipe that exists.
 */
#include "study/method.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"

#define NO_LIMIT ((double)INFINITY)

/* A parameter's fields in order: name, scope, kind, default, lower, upper, about. */
static const struct method methods[] = {
    {
        .name = "linear",
        .about = "weighted mean of the sources",
        .paper = "Wortsman et al. 2022 (arXiv:2203.05482)",
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 2,
        .parameters =
            {
                {"weight", METHOD_SOURCE, METHOD_REAL, 1, -NO_LIMIT, NO_LIMIT,
                 "share of the source"},
                {"normalize", METHOD_WHOLE, METHOD_BOOL, 1, 0, 1,
                 "divide by the sum of the weights"},
            },
    },
    {
        .name = "task_arithmetic",
        .about = "the base plus a weighted sum of task vectors (source minus base)",
        .paper = "Ilharco et al. 2023 (arXiv:2212.04089)",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 3,
        .parameters =
            {
                /* Half of each task vector: with two sources that is their uniform average. */
                {"weight", METHOD_SOURCE, METHOD_REAL, 0.5, -NO_LIMIT, NO_LIMIT,
                 "how much of the source's task vector is added"},
                {"normalize", METHOD_WHOLE, METHOD_BOOL, 0, 0, 1,
                 "divide by the sum of the weights"},
                {"lambda", METHOD_WHOLE, METHOD_REAL, 1, -NO_LIMIT, NO_LIMIT,
                 "factor of the merged task vector"},
            },
    },
    {
        .name = "ties",
        .about = "trim task vectors to their largest entries, elect a sign, average what agrees",
        .paper = "Yadav et al. 2023 (arXiv:2306.01708)",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 4,
        .parameters =
            {
                {"weight", METHOD_SOURCE, METHOD_REAL, 1, -NO_LIMIT, NO_LIMIT,
                 "say of the source in the election and its share of the average"},
                /* mergekit keeps everything (1.0), which leaves nothing of the trim; the paper's
                   own figures keep 0.2. A search starts between the two. */
                {"density", METHOD_SOURCE, METHOD_REAL, 0.5, 0, 1,
                 "share of the task vector's entries that survives the trim"},
                {"normalize", METHOD_WHOLE, METHOD_BOOL, 1, 0, 1,
                 "divide by the weights of those that agree"},
                {"lambda", METHOD_WHOLE, METHOD_REAL, 1, -NO_LIMIT, NO_LIMIT,
                 "factor of the merged task vector"},
            },
    },
    {
        .name = "passthrough",
        .about = "one source as it is, or scaled",
        .paper = "no paper: a copy",
        .sources_min = 1,
        .sources_max = 1,
        .n_parameters = 1,
        .parameters =
            {
                {"scale", METHOD_SOURCE, METHOD_REAL, 1, -NO_LIMIT, NO_LIMIT,
                 "factor of every weight"},
            },
    },
};

#define N_METHODS (sizeof(methods) / sizeof(methods[0]))

const struct method *method_list(size_t *n)
{
    *n = N_METHODS;
    return methods;
}

int method_find(const struct method **out, const char *name, struct err *err)
{
    const char *names[N_METHODS];

    for (size_t i = 0; i < N_METHODS; i++) {
        if (strcmp(methods[i].name, name) == 0) {
            *out = &methods[i];
            return 0;
        }
        names[i] = methods[i].name;
    }
    const char *near = text_nearest(name, names, N_METHODS);

    if (near != NULL) {
        return err_set(err, ERR_MISSING, "no merge method '%s'; did you mean %s?", name, near);
    }
    return err_set(err, ERR_MISSING, "no merge method '%s'; braid methods lists them", name);
}

const struct method_parameter *method_parameter_find(const struct method *method, const char *name)
{
    for (size_t i = 0; i < method->n_parameters; i++) {
        if (strcmp(method->parameters[i].name, name) == 0) {
            return &method->parameters[i];
        }
    }
    return NULL;
}

size_t method_count(const struct method *method, enum method_scope scope)
{
    size_t n = 0;

    for (size_t i = 0; i < method->n_parameters; i++) {
        n += method->parameters[i].scope == scope;
    }
    return n;
}

const struct method_parameter *method_at(const struct method *method, enum method_scope scope,
                                         size_t k)
{
    size_t i = 0;

    assert(k < method_count(method, scope));
    while (method->parameters[i].scope != scope || k-- > 0) {
        i++;
    }
    return &method->parameters[i];
}

size_t method_index(const struct method *method, enum method_scope scope, const char *name)
{
    size_t n = method_count(method, scope);

    for (size_t k = 0; k < n; k++) {
        if (strcmp(method_at(method, scope, k)->name, name) == 0) {
            return k;
        }
    }
    return SIZE_MAX;
}
