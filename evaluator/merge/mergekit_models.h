/*
 * mergekit_models.h - the models that a mergekit recipe names, opened.
 */
#ifndef MERGE_MERGEKIT_MODELS_H
#define MERGE_MERGEKIT_MODELS_H

#include <stddef.h>

#include "base/err.h"
#include "base/text.h"
#include "evaluator/merge/mergekit_recipe.h"
#include "evaluator/model/checkpoint.h"

/* The recipe's models, opened. All zero: none. */
struct mergekit_models {
    size_t n;
    struct checkpoint **checkpoints; /* [n], in the recipe's order */
};

/*
 * Open every model the recipe names, adapters folded in. Paths lead from recipe_folder, else from
 * the working directory (mergekit_model_find). Errors are those of checkpoint_open.
 */
int mergekit_models_open(struct mergekit_models *out, const struct mergekit_recipe *recipe,
                         const char *recipe_folder, struct text *warnings, struct err *err);
void mergekit_models_close(struct mergekit_models *models);

#endif
