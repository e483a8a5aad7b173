/*
 * mergekit_setting.h - a parameter of a mergekit recipe: one value for each tensor and depth.
 *
 *   0.5                                   a scalar; booleans are 0 and 1, quoted numbers count
 *   [0, 0.4, 1]                           a schedule: a piecewise-linear curve over the layers
 *   - {filter: mlp, value: [1, 0.2]}      conditions, tried in order; the first whose filter
 *   - {value: 0.5}                        occurs in the tensor's name gives the value
 *
 * A setting stays the document it was read as: checked once, then asked for as many tensors as
 * there are.
 */
#ifndef MERGE_MERGEKIT_SETTING_H
#define MERGE_MERGEKIT_SETTING_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

#define MERGEKIT_WHERE_MAX 256 /* bytes of a place in a recipe; longer ones are cut */

/* Write a place, for messages. */
void mergekit_where(char out[MERGEKIT_WHERE_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ERR_FORMAT unless setting is one of the three forms above, with finite numbers. A condition
 * without its list is a list of one. where is the setting's place in the recipe,
 * "models[0].parameters.weight"; messages begin with it. Unknown keys of a condition are let be. */
int mergekit_setting_check(const json_t *setting, const char *where, struct err *err);

/*
 * The value of a checked setting.
 *
 *   tensor      name that filters look into
 *   position    of the layer in its slice, in [0, 1]: 0 is the start of a schedule
 *
 * False, *out untouched, when no condition takes the tensor or setting is NULL: the next level of
 * parameters is asked.
 */
bool mergekit_setting_resolve(const json_t *setting, const char *tensor, double position,
                              double *out);

#endif
