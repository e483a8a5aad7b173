/*
 * mergekit_models.c - the models of a recipe, opened.
 */
#include "evaluator/merge/mergekit_models.h"

#include <stdlib.h>

#include "base/mem.h"

static int open_model(struct checkpoint **out, const struct mergekit_model *model,
                      const char *recipe_folder, struct text *warnings, struct err *err)
{
    char *folder = NULL;
    char *adapter = NULL;
    int rc = mergekit_model_find(&folder, model->path, recipe_folder, err);

    if (rc == 0 && model->adapter != NULL) {
        rc = mergekit_model_find(&adapter, model->adapter, recipe_folder, err);
    }
    if (rc == 0 && (model->revision != NULL || model->adapter_revision != NULL)) {
        text_printf(warnings, "%s: a folder has no revisions; what lies there is taken\n",
                    model->name);
    }
    if (rc == 0) {
        char *name = mem_printf("%s%s%s", folder, adapter != NULL ? "+" : "",
                                adapter != NULL ? adapter : "");

        rc = checkpoint_open(out, name, err);
        free(name);
    }
    free(folder);
    free(adapter);
    return rc;
}

int mergekit_models_open(struct mergekit_models *out, const struct mergekit_recipe *recipe,
                         const char *recipe_folder, struct text *warnings, struct err *err)
{
    struct mergekit_models made = {.checkpoints =
                                       mem_array(recipe->n_models, sizeof(struct checkpoint *))};
    int rc = 0;

    while (made.n < recipe->n_models && rc == 0) {
        rc = open_model(&made.checkpoints[made.n], &recipe->models[made.n], recipe_folder, warnings,
                        err);
        made.n += rc == 0;
    }
    if (rc != 0) {
        mergekit_models_close(&made);
        return rc;
    }
    *out = made;
    return 0;
}

void mergekit_models_close(struct mergekit_models *models)
{
    for (size_t m = 0; m < models->n; m++) {
        checkpoint_close(models->checkpoints[m]);
    }
    free(models->checkpoints);
    *models = (struct mergekit_models){0};
}
