/*
 * kitchen.h - three small models, base, a and b, opened and ready for a recipe.
 */
#ifndef TESTS_KITCHEN_H
#define TESTS_KITCHEN_H

#include "evaluator/merge/plan.h"
#include "tests/evaluator/tiny_model.h"

#define KITCHEN_MODELS 3

struct kitchen {
    char *folder; /* holds base/, a/ and b/ */
    struct checkpoint *models[KITCHEN_MODELS];
    char digests[KITCHEN_MODELS][DIGEST_HEX];
    struct plan_model named[KITCHEN_MODELS];
    struct recipe recipe;
    struct plan plan;
};

/* Three models that differ in their weights alone, floats and bfloat16. */
extern const struct tiny_model kitchen_floats[KITCHEN_MODELS];
extern const struct tiny_model kitchen_brains[KITCHEN_MODELS];

/* Write and open the models. */
void kitchen_open(struct kitchen *out, const struct tiny_model models[KITCHEN_MODELS]);
void kitchen_close(struct kitchen *kitchen);

/* A recipe of a and b (a alone where one source is all a method takes) on the base, at the method's
 * defaults; replaces the one before. */
void kitchen_recipe(struct kitchen *kitchen, const char *method, enum recipe_dtype dtype);

/* The same, and its plan. */
void kitchen_plan(struct kitchen *kitchen, const char *method, enum recipe_dtype dtype);

#endif
