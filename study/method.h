/*
 * method.h - the merge methods: names, parameters, bounds, the paper of each.
 *
 * One table. From it come `braid methods`, the checks of a study and of a recipe, the search's
 * coordinates and README's list. The arithmetic is in evaluator/merge; formulas in the papers
 * named.
 */
#ifndef STUDY_METHOD_H
#define STUDY_METHOD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define METHOD_PARAMETERS_MAX 8
#define METHOD_SOURCES_MAX 64

enum method_scope {
    METHOD_SOURCE, /* one value a source (weight, density) */
    METHOD_WHOLE   /* one value a tensor group (normalize, lambda) */
};

enum method_kind { METHOD_REAL, METHOD_BOOL, METHOD_INTEGER };

struct method_parameter {
    const char *name;
    enum method_scope scope;
    enum method_kind kind;
    double fallback; /* the default: a study's start, and what a recipe gets when it is silent */
    double lower, upper; /* what a recipe may say, inclusive; +-INFINITY: no limit */
    const char *about;   /* one line */
    /* Studies and recipes say it only where it is not the default: so those from before there was
     * such a parameter stay as they are. */
    bool silent;
};

struct method {
    const char *name;
    const char *about; /* one line, for `braid methods` */
    const char *paper;
    bool ours;                       /* mergekit 0.1.4 does not have it */
    bool needs_base;                 /* sources are fine-tunes of one base */
    bool takes_base;                 /* a base may be given: task vectors are mixed then */
    size_t sources_min, sources_max; /* not counting the base */
    size_t n_parameters;
    struct method_parameter parameters[METHOD_PARAMETERS_MAX];
};

/* All methods, in the order people should see them. */
const struct method *method_list(size_t *n);

/* ERR_MISSING names the nearest known method. */
int method_find(const struct method **out, const char *name, struct err *err);

/* The parameter called name, or NULL. */
const struct method_parameter *method_parameter_find(const struct method *method, const char *name);

/* How many parameters of a scope; the k-th of them in table order (k below that count). */
size_t method_count(const struct method *method, enum method_scope scope);
const struct method_parameter *method_at(const struct method *method, enum method_scope scope,
                                         size_t k);

/* Index among the parameters of its scope, or SIZE_MAX. */
size_t method_index(const struct method *method, enum method_scope scope, const char *name);

#endif
