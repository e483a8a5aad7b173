/*
 * mergekit_model.h - how a mergekit recipe names a model.
 *
 *   path                            a folder, or a name on a hub
 *   path@revision+adapter@revision  the short form; everything after path may be absent
 *   {model: ..., lora: ..., override_architecture: ...}    the long form; model and lora are short
 *                                   texts or {path: ..., revision: ...}
 */
#ifndef MERGE_MERGEKIT_MODEL_H
#define MERGE_MERGEKIT_MODEL_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct mergekit_model {
    char *name;            /* the short form, which is its identity */
    char *path, *revision; /* absent parts are NULL */
    char *adapter, *adapter_revision;
    bool overrides_architecture;
};

/* ERR_FORMAT; messages begin with where, the reference's place in the recipe. */
int mergekit_model_parse(struct mergekit_model *out, const json_t *reference, const char *where,
                         struct err *err);
void mergekit_model_release(struct mergekit_model *model);

/* How messages and cards call it: the last part of its path, and of its adapter's. free() it. */
char *mergekit_model_label(const struct mergekit_model *model);

/*
 * The folder a path names: from the recipe's folder, else from the working directory; free() it.
 * ERR_MISSING for what is on neither, a name on a hub included: nothing is downloaded.
 */
int mergekit_model_find(char **out, const char *path, const char *recipe_folder, struct err *err);

#endif
