/*
 * plan.c - a recipe made into an ordered list of tensor operations.
 */
#include "evaluator/merge/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/census.h"
#include "evaluator/merge/della.h"
#include "evaluator/merge/plan_route.h"

int plan_find_model(const struct plan_model *models, size_t n, const char *digest,
                    const struct checkpoint **out, struct err *err)
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

/* The recipe's base, if any, and its sources. */
static int find_models(struct plan *plan, const struct recipe *recipe,
                       const struct plan_model *models, size_t n, struct err *err)
{
    int rc = 0;

    plan->sources = mem_array(recipe->n_sources, sizeof(const struct checkpoint *));
    if (recipe->base[0] != '\0') {
        rc = plan_find_model(models, n, recipe->base, &plan->base, err);
    }
    for (size_t s = 0; s < recipe->n_sources && rc == 0; s++) {
        rc = plan_find_model(models, n, recipe->sources[s], &plan->sources[s], err);
    }
    plan->donor = plan->base != NULL ? plan->base : plan->sources[0];
    return rc;
}

static int check_models(const struct plan *plan, struct err *err)
{
    uint32_t n_layers = checkpoint_config(plan->donor)->n_layers;

    if (n_layers != plan->edit.n_layers) {
        return err_set(err, ERR_CONFLICT, "%s: it has %u layers, the recipe is for %u",
                       checkpoint_folder(plan->donor), n_layers, plan->edit.n_layers);
    }
    int rc = plan->base != NULL ? checkpoint_unchanged(plan->base, err) : 0;
    for (size_t s = 0; s < plan->n_sources && rc == 0; s++) {
        rc = checkpoint_unchanged(plan->sources[s], err);
        if (rc == 0) {
            rc = checkpoint_compare(plan->donor, plan->sources[s], err);
        }
    }
    return rc;
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

static const enum dtype dtypes[] = {
    [RECIPE_FLOAT32] = DTYPE_F32, [RECIPE_FLOAT16] = DTYPE_F16, [RECIPE_BFLOAT16] = DTYPE_BF16};

static int plan_tensor(struct plan *plan, const struct recipe *recipe,
                       const struct checkpoint_tensor *like, struct err *err)
{
    struct plan_tensor *tensor = &plan->tensors[plan->n_tensors];
    int rc = 0;

    *tensor = (struct plan_tensor){.name = like->name,
                                   .role = like->role,
                                   .layer = like->depth,
                                   .n_dims = like->n_dims,
                                   .n = like->n_elements,
                                   .dtype = dtypes[recipe->dtype],
                                   .n_sources = plan->n_sources,
                                   .index = plan->n_tensors};
    memcpy(tensor->dims, like->dims, sizeof(tensor->dims));
    tensor->sources = mem_array(plan->n_sources, sizeof(const struct checkpoint_tensor *));
    plan->n_tensors++;
    plan->n_elements += like->n_elements;
    if (plan->base != NULL) {
        rc = input_of(plan->base, like->name, like->role, &tensor->base, err);
    }
    for (size_t s = 0; s < plan->n_sources && rc == 0; s++) {
        rc = input_of(plan->sources[s], like->name, like->role, &tensor->sources[s], err);
    }
    const struct recipe_group *group =
        recipe_group_of(recipe, like->name, (enum recipe_component)like->part, like->depth);
    if (group != NULL) {
        tensor->source_values = group->source_values;
        tensor->whole_values = group->whole_values;
    } else if (rc == 0) {
        rc = err_set(err, ERR_FORMAT, "%s: no group of the recipe takes this tensor", like->name);
    }
    return rc;
}

/* The input with the most tensors decides: a head that one model has of its own is written for all.
 */
static const struct checkpoint *widest(const struct plan *plan)
{
    const struct checkpoint *best = plan->donor;

    for (size_t s = 0; s < plan->n_sources; s++) {
        if (checkpoint_count(plan->sources[s]) > checkpoint_count(best)) {
            best = plan->sources[s];
        }
    }
    return best;
}

static int plan_tensors(struct plan *plan, const struct recipe *recipe, struct err *err)
{
    const struct checkpoint *like = widest(plan);
    int rc = 0;

    plan->tensors = mem_array(checkpoint_count(like), sizeof(struct plan_tensor));
    for (size_t i = 0; i < checkpoint_count(like) && rc == 0; i++) {
        rc = plan_tensor(plan, recipe, checkpoint_at(like, i), err);
    }
    plan->config = *checkpoint_config(plan->donor);
    plan->config.tied = plan->config.tied && checkpoint_config(like)->tied;
    plan->edit.untie = checkpoint_config(plan->donor)->tied && !plan->config.tied;
    return rc;
}

static void identify_sources(const struct recipe *recipe, char out[DIGEST_HEX])
{
    struct digest *digest = digest_new();

    digest_add_text(digest, recipe->base);
    for (size_t s = 0; s < recipe->n_sources; s++) {
        digest_add_text(digest, recipe->sources[s]);
    }
    digest_end_hex(digest, out);
}

/* The recipe's merge, whatever route leads through it. */
static int make_merge(struct plan *out, const struct recipe *recipe,
                      const struct plan_model *models, size_t n_models, struct err *err)
{
    struct plan made = {
        .method = recipe->method,
        .seed = recipe->seed,
        .n_sources = recipe->n_sources,
        .edit = {.n_layers = recipe->n_layers, .dtype = dtype_config_name(dtypes[recipe->dtype])}};

    int rc = find_models(&made, recipe, models, n_models, err);
    if (rc == 0) {
        rc = check_models(&made, err);
    }
    if (rc == 0) {
        rc = plan_tensors(&made, recipe, err);
    }
    if (rc != 0) {
        plan_release(&made);
        return rc;
    }
    identify_sources(recipe, made.sources_digest);
    *out = made;
    return 0;
}

int plan_make(struct plan *out, const struct recipe *recipe, const struct plan_model *models,
              size_t n_models, struct err *err)
{
    struct plan merge = {0};
    int rc = make_merge(&merge, recipe, models, n_models, err);

    if (rc != 0 || recipe->route.n_hops == 0) {
        *out = merge;
        return rc;
    }
    return plan_route(out, &merge, recipe, models, n_models, err);
}

void plan_release(struct plan *plan)
{
    if (plan->merge != NULL) {
        plan_release(plan->merge);
        free(plan->merge);
    }
    for (size_t i = 0; i < plan->n_tensors; i++) {
        free(plan->tensors[i].sources);
    }
    free(plan->tensors);
    for (size_t i = 0; i < plan->n_matrices; i++) {
        vocabulary_matrix_release(plan->matrices[i]);
        free(plan->matrices[i]);
    }
    free(plan->matrices);
    vocabulary_free(plan->vocabulary);
    free(plan->chat_template);
    for (size_t i = 0; i < plan->n_owned; i++) {
        free(plan->owned[i]);
    }
    free(plan->owned);
    free(plan->sources);
    *plan = (struct plan){0};
}

struct vocabulary_matrix *plan_own_matrix(struct plan *plan, const struct vocabulary_matrix *matrix)
{
    struct vocabulary_matrix *made = mem_array(1, sizeof(*made));

    *made = *matrix;
    plan->matrices =
        mem_resize(plan->matrices, plan->n_matrices + 1, sizeof(struct vocabulary_matrix *));
    plan->matrices[plan->n_matrices++] = made;
    return made;
}

void *plan_own(struct plan *plan, void *block)
{
    plan->owned = mem_resize(plan->owned, plan->n_owned + 1, sizeof(void *));
    plan->owned[plan->n_owned++] = block;
    return block;
}

const struct plan *plan_mixing(const struct plan *plan)
{
    return plan->merge != NULL ? plan->merge : plan;
}

const struct plan_tensor *plan_mixed(const struct plan_tensor *tensor)
{
    return tensor->of_merge != NULL ? tensor->of_merge : tensor;
}

void plan_write_sliding(struct plan *plan)
{
    uint64_t *sliding = plan_own(plan, mem_alloc(sizeof(plan->config.sliding)));

    memcpy(sliding, plan->config.sliding, sizeof(plan->config.sliding));
    plan->edit.sliding = sliding;
}

struct trim_delta plan_delta(const struct plan_tensor *tensor, size_t source)
{
    return (struct trim_delta){.source = tensor->sources[source]->data,
                               .base = tensor->base->data,
                               .source_dtype = tensor->sources[source]->dtype,
                               .base_dtype = tensor->base->dtype,
                               .work = tensor->work,
                               .n = tensor->n};
}

uint64_t plan_bytes(const struct plan *plan)
{
    uint64_t total = 0;

    for (size_t i = 0; i < plan->n_tensors; i++) {
        total += plan->tensors[i].n * dtype_size(plan->tensors[i].dtype);
    }
    return total;
}

/* See blend.c and mix.h: a buffer a source, and bits, and three more; smaller ones of a family
 * (mix_state); see census.h, for the method that counts whole models. */
static size_t buffer_bytes(const struct plan *plan)
{
    bool is_global = strcmp(plan->method->name, "ties_global") == 0;

    return (plan->n_sources + 3) * (65536 + 2048) + (plan->n_sources + 5) * 16384 +
           (is_global ? plan->n_sources * CENSUS_SOURCE_BYTES : 0);
}

/* What methods on whole tensors find out about one: some numbers a column, or one a row. */
static size_t found_bytes(const struct plan *plan, const struct plan_tensor *tensor)
{
    size_t first = tensor->n_dims > 1 && tensor->n > 0 ? tensor->dims[0] : 1;
    size_t last = tensor->n_dims > 1 && tensor->n > 0 ? tensor->dims[tensor->n_dims - 1] : 1;

    if (strcmp(plan->method->name, "nuslerp") == 0) {
        return tensor->n / first * (3 * sizeof(double) + 2 * sizeof(float));
    }
    if (strcmp(plan->method->name, "arcee_fusion") == 0) {
        return (tensor->n / last + 3) * sizeof(double);
    }
    return (plan->n_sources + 1) * (plan->n_sources + 2) / 2 * sizeof(double);
}

/* See trim.h: a step a magnitude, for methods that trim. */
static size_t count_bytes(const struct plan *plan, const struct plan_tensor *tensor)
{
    size_t n_steps = tensor->n < TRIM_STEPS_MAX ? tensor->n : TRIM_STEPS_MAX;
    bool trims = method_index(plan->method, METHOD_SOURCE, "density") != SIZE_MAX;

    return trims ? plan->n_sources * n_steps * sizeof(struct trim_step) : 0;
}

/* Ranks of one tensor that are kept, for methods that rank (della.h). */
static size_t ranks_bytes(const struct plan *plan, const struct plan_tensor *tensor)
{
    bool ranks = method_index(plan->method, METHOD_SOURCE, "epsilon") != SIZE_MAX;

    return ranks ? METHOD_SOURCES_MAX + tensor->n_sources * (tensor->n + 64) * sizeof(uint16_t) : 0;
}

static size_t all_ranks_bytes(const struct plan *plan)
{
    size_t total = 0;

    for (size_t i = 0; i < plan->n_tensors; i++) {
        total += ranks_bytes(plan, &plan->tensors[i]);
    }
    return total;
}

bool plan_keeps_ranks(const struct plan *plan)
{
    return all_ranks_bytes(plan) <= PLAN_RANKS_MAX;
}

/* Of one tensor at a time, and what finding them takes: the most of any tensor. */
static size_t ranking_bytes(const struct plan *plan)
{
    size_t most = 0;

    for (size_t i = 0; i < plan->n_tensors; i++) {
        const struct plan_tensor *tensor = &plan->tensors[i];
        const struct della_shape shape = della_shape_of(tensor->dims, tensor->n_dims, tensor->n);
        size_t ranks = ranks_bytes(plan, tensor);
        size_t each = ranks > 0 ? ranks + della_memory(&shape) : 0;

        most = each > most ? each : most;
    }
    return most;
}

size_t plan_memory(const struct plan *plan)
{
    plan = plan_mixing(plan);
    size_t total = buffer_bytes(plan) + TRIM_SCRATCH_BYTES;

    for (size_t i = 0; i < plan->n_tensors; i++) {
        total += count_bytes(plan, &plan->tensors[i]) + found_bytes(plan, &plan->tensors[i]);
    }
    return total + ranking_bytes(plan) + (plan_keeps_ranks(plan) ? all_ranks_bytes(plan) : 0);
}

size_t plan_memory_tensor(const struct plan *plan)
{
    size_t most = 0;

    plan = plan_mixing(plan);
    for (size_t i = 0; i < plan->n_tensors; i++) {
        size_t n = count_bytes(plan, &plan->tensors[i]) + found_bytes(plan, &plan->tensors[i]);

        most = n > most ? n : most;
    }
    return buffer_bytes(plan) + TRIM_SCRATCH_BYTES + most + ranking_bytes(plan);
}
