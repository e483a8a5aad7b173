/*
 * recipe_sections.h - the parts of a recipe that have a file of their own. Private to the room.
 */
#ifndef STUDY_RECIPE_SECTIONS_H
#define STUDY_RECIPE_SECTIONS_H

#include <jansson.h>

#include "base/err.h"
#include "study/recipe.h"

/* The key "route" of a recipe's document, where it has one: into recipe, whose n_layers are known.
 * Errors begin with the key at fault. */
int recipe_route_parse(struct recipe *recipe, const json_t *doc, struct err *err);

/* A new reference to what stands at that key. The recipe has a route. */
json_t *recipe_route_print(const struct recipe *recipe);

#endif
