/*
 * mergekit_recipe.h - a recipe in mergekit's YAML, read and checked, before any model is opened.
 *
 *   merge_method: ties                     merge_method: passthrough
 *   base_model: org/base                   slices:
 *   models:                                  - sources: [{model: a, layer_range: [0, 24]}]
 *     - model: org/a                         - sources: [{model: b, layer_range: [16, 32]}]
 *       parameters: {weight: 0.6}          dtype: bfloat16
 *   parameters: {density: 0.5}
 *
 * models, slices and modules (one, called default) all become slices of sources. Keys nobody knows
 * and parameters that no level reads are warnings, since the tool that most recipes were written
 * for ignores them; everything else that cannot be meant is refused with its place in the file.
 */
#ifndef MERGE_MERGEKIT_RECIPE_H
#define MERGE_MERGEKIT_RECIPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "evaluator/merge/mergekit_model.h"
#include "evaluator/merge/vocabulary.h"
#include "evaluator/model/dtype.h"
#include "study/method.h"

#define MERGEKIT_SLICES_MAX 4096
#define MERGEKIT_NONE SIZE_MAX /* no model */

struct mergekit_source {
    size_t model;             /* among the recipe's */
    uint32_t first, end;      /* layers [first, end); unless the recipe is of whole models */
    const json_t *parameters; /* NULL when there are none */
};

struct mergekit_slice {
    size_t n_sources;
    struct mergekit_source *sources;
    size_t base; /* among the recipe's models: its own, or the recipe's; else MERGEKIT_NONE */
    const json_t *parameters;
};

struct mergekit_recipe {
    json_t *doc; /* what settings and texts point into */
    const struct method *method;
    size_t n_models;
    struct mergekit_model *models; /* the base first, then in the order of their first mention */
    size_t n_inputs;               /* those before it are merged, others only lend tokens */
    size_t base;                   /* MERGEKIT_NONE: none named */
    bool whole;                    /* of models: one slice, each source with all of its layers */
    size_t n_slices;
    struct mergekit_slice *slices;
    const json_t *module_parameters, *parameters;
    bool has_dtype, has_out_dtype;
    enum dtype dtype, out_dtype; /* of the arithmetic; of what is stored */
    json_t *tokenizer;           /* the mapping, tokenizer_source included; NULL: none */
    bool has_vocabulary;         /* it has a tokenizer section, which means: */
    struct vocabulary_rules vocabulary;
    const char *chat_template; /* NULL: none */
    struct text warnings;      /* one a line */
};

/* ERR_FORMAT, ERR_LIMIT; ERR_MISSING: a method nobody knows. doc is kept by reference. */
int mergekit_recipe_parse(struct mergekit_recipe *out, json_t *doc, struct err *err);

/* The same from a file; errors begin with its path. */
int mergekit_recipe_load(struct mergekit_recipe *out, const char *path, struct err *err);
void mergekit_recipe_release(struct mergekit_recipe *recipe);

/* Set out_dtype, whatever the recipe says. ERR_FORMAT: no type that can be stored. */
int mergekit_recipe_store_as(struct mergekit_recipe *recipe, const char *type, struct err *err);

/* The value of a parameter for one input (source below n_sources) or, with source MERGEKIT_NONE,
 * for the whole tensor: the first of source, slice, module and recipe that gives one. False when
 * none does. tensor and position as in mergekit_setting_resolve. */
bool mergekit_recipe_value(const struct mergekit_recipe *recipe, const struct mergekit_slice *slice,
                           size_t source, const char *parameter, const char *tensor,
                           double position, double *out);

/* The number of the model that a reference names; it joins the recipe's models if it is new.
 * ERR_FORMAT begins with where. */
int mergekit_recipe_model(struct mergekit_recipe *recipe, const json_t *reference,
                          const char *where, size_t *out, struct err *err);

/* Append the recipe as YAML, every model by the name given for it [n_models] instead of its path:
 * no path of this machine leaves it. */
void mergekit_recipe_print(struct text *out, const struct mergekit_recipe *recipe,
                           const char *const *names);

#endif
