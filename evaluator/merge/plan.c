/*
 * plan.c - a recipe made into an ordered list of tensor operations.
 */
#include "evaluator/merge/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int find_model(const struct plan_model *models, size_t n, const char *digest,
                      struct checkpoint **out, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(models[i].digest, digest) == 0) {
            *out = models[i].checkpoint;
            return 0;
        }
    }
    return err_set(err, ERR_MISSING, "the recipe's source %.16s... is not among the models",
                   digest);
}

/* Everything the recipe names: the base, if any, and its sources. */
struct inputs {
    struct checkpoint *base;
    struct checkpoint *sources[METHOD_SOURCES_MAX];
};

static int find_inputs(struct inputs *out, const struct recipe *recipe,
                       const struct plan_model *models, size_t n, struct err *err)
{
    int rc = 0;

    if (recipe->base[0] != '\0') {
        rc = find_model(models, n, recipe->base, &out->base, err);
    }
    for (size_t s = 0; s < recipe->n_sources && rc == 0; s++) {
        rc = find_model(models, n, recipe->sources[s], &out->sources[s], err);
    }
    return rc;
}

static int check_inputs(const struct inputs *inputs, const struct recipe *recipe,
                        const struct checkpoint *donor, struct err *err)
{
    uint32_t n_layers = checkpoint_config(donor)->n_layers;

    if (n_layers != recipe->n_layers) {
        return err_set(err, ERR_CONFLICT, "%s: it has %u layers, the recipe is for %u",
                       checkpoint_folder(donor), n_layers, recipe->n_layers);
    }
    for (size_t s = 0; s < recipe->n_sources; s++) {
        int rc = checkpoint_compare(donor, inputs->sources[s], err);

        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* The tensor in this model, or the embedding in place of a tied head. */
static int input_of(const struct checkpoint *model, const char *name, enum tensor_role role,
                    const struct checkpoint_tensor **out, struct err *err)
{
    const struct checkpoint_tensor *tensor = checkpoint_find(model, name);

    if (tensor == NULL && role == TENSOR_HEAD) {
        tensor = checkpoint_role(model, TENSOR_EMBEDDING, 0);
    }
    if (tensor == NULL) {
        return err_set(err, ERR_MISSING, "%s: %s: the tensor is missing", checkpoint_folder(model),
                       name);
    }
    if (!dtype_is_number(tensor->dtype)) {
        return err_set(err, ERR_FORMAT, "%s/%s: %s: %s numbers cannot be merged",
                       checkpoint_folder(model), tensor->file, name, dtype_name(tensor->dtype));
    }
    *out = tensor;
    return 0;
}

static int plan_tensor(struct plan *plan, const struct inputs *inputs,
                       const struct checkpoint_tensor *like, struct err *err)
{
    const struct recipe *recipe = plan->recipe;
    struct plan_tensor *tensor = &plan->tensors[plan->n_tensors];
    int rc = 0;

    *tensor = (struct plan_tensor){.name = like->name,
                                   .role = like->role,
                                   .layer = like->depth,
                                   .n_dims = like->n_dims,
                                   .n = like->n_elements,
                                   .index = plan->n_tensors};
    memcpy(tensor->dims, like->dims, sizeof(tensor->dims));
    tensor->sources = mem_array(recipe->n_sources, sizeof(*tensor->sources));
    plan->n_tensors++;
    plan->n_elements += like->n_elements;
    if (inputs->base != NULL) {
        rc = input_of(inputs->base, like->name, like->role, &tensor->base, err);
    }
    for (size_t s = 0; s < recipe->n_sources && rc == 0; s++) {
        rc = input_of(inputs->sources[s], like->name, like->role, &tensor->sources[s], err);
    }
    tensor->group =
        recipe_group_of(recipe, like->name, (enum recipe_component)like->part, like->depth);
    if (rc == 0 && tensor->group == NULL) {
        rc = err_set(err, ERR_FORMAT, "%s: no group of the recipe takes this tensor", like->name);
    }
    return rc;
}

/* The input with the most tensors decides: a head that one model has of its own is written for all.
 */
static const struct checkpoint *widest(const struct inputs *inputs, size_t n_sources)
{
    const struct checkpoint *best = inputs->base != NULL ? inputs->base : inputs->sources[0];

    for (size_t s = 0; s < n_sources; s++) {
        if (checkpoint_count(inputs->sources[s]) > checkpoint_count(best)) {
            best = inputs->sources[s];
        }
    }
    return best;
}

int plan_make(struct plan *out, const struct recipe *recipe, const struct plan_model *models,
              size_t n_models, struct err *err)
{
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    struct plan made = {.recipe = recipe, .dtype = dtypes[recipe->dtype]};
    struct inputs inputs = {0};

    int rc = find_inputs(&inputs, recipe, models, n_models, err);
    if (rc != 0) {
        return rc;
    }
    made.donor = inputs.base != NULL ? inputs.base : inputs.sources[0];
    rc = check_inputs(&inputs, recipe, made.donor, err);
    if (rc != 0) {
        return rc;
    }
    const struct checkpoint *like = widest(&inputs, recipe->n_sources);
    made.tensors = mem_array(checkpoint_count(like), sizeof(struct plan_tensor));
    for (size_t i = 0; i < checkpoint_count(like) && rc == 0; i++) {
        rc = plan_tensor(&made, &inputs, checkpoint_at(like, i), err);
    }
    if (rc != 0) {
        plan_release(&made);
        return rc;
    }
    *out = made;
    return 0;
}

void plan_release(struct plan *plan)
{
    for (size_t i = 0; i < plan->n_tensors; i++) {
        free(plan->tensors[i].sources);
    }
    free(plan->tensors);
    *plan = (struct plan){0};
}
