/*
 * mergekit.h - a recipe as a mergekit YAML file, for people and tools that know that format.
 *
 * mergekit picks a parameter by substrings of tensor names, tried in order, where a recipe has
 * groups of layers and components. What is written selects the same value for every tensor of the
 * families in tensors.h; numbers are the shortest that read back.
 */
#ifndef MERGE_MERGEKIT_H
#define MERGE_MERGEKIT_H

#include <stdbool.h>

#include "base/text.h"
#include "study/recipe.h"

/* names [recipe's sources] and base_name (NULL when the recipe has no base) stand for the models:
 * paths, or names on a hub. */
void mergekit_print(struct text *out, const struct recipe *recipe, const char *base_name,
                    const char *const *names);

/* True for parameters of ours in methods of mergekit's, which ignores them: at their defaults they
 * change nothing. */
bool mergekit_ignores(const struct method *method, const struct method_parameter *parameter);

#endif
