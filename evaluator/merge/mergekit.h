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

#include "base/err.h"
#include "base/text.h"
#include "evaluator/model/config.h"
#include "study/recipe.h"

/* Of a recipe without a route. names [recipe's sources] and base_name (NULL when the recipe has no
 * base) stand for the models: paths, or names on a hub. */
void mergekit_print(struct text *out, const struct recipe *recipe, const char *base_name,
                    const char *const *names);

/*
 * A recipe that is a route alone, its host one source as it is (mergekit_route.c). names: the
 * host's, then those of the route's models. host: the config it runs with, NULL when it is not
 * known. ERR_FORMAT: a route that mergekit cannot say, and why.
 */
int mergekit_print_route(struct text *out, const struct recipe *recipe, const struct config *host,
                         const char *const *names, struct err *err);

/* True for parameters of ours in methods of mergekit's, which ignores them: at their defaults they
 * change nothing. */
bool mergekit_ignores(const struct method *method, const struct method_parameter *parameter);

#endif
