/*
 * mergekit_plan.c - slices to tensors, settings to numbers.
 *
 *   slice 0   before the layers    embedding         position 0 of schedules
 *             layers 0..n-1                          k / (n - 1); 1 in a slice of one layer
 *   slice 1   layers n..
 *   ...
 *   the last  after the layers     final norm, head  position 0
 */
#include "evaluator/merge/mergekit_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/chat_template.h"
#include "evaluator/merge/mergekit_internal.h"
#include "evaluator/model/config_differ.h"

/* ---- slices against models ---- */

static int check_count(const struct maker *maker, const struct mergekit_slice *slice, size_t index)
{
    const struct method *method = maker->plan->method;
    bool apart = false;
    size_t n = slice->n_sources;

    for (size_t s = 0; s < slice->n_sources; s++) {
        apart = apart || (mergekit_takes_base(method) && slice->sources[s].model == slice->base);
    }
    if (mergekit_takes_base(method) && slice->base != MERGEKIT_NONE && !apart) {
        return err_set(maker->err, ERR_FORMAT,
                       "slices[%zu]: %s, the base, is not among the sources", index,
                       maker->recipe->models[slice->base].name);
    }
    if (method->needs_base && slice->base == MERGEKIT_NONE) {
        return err_set(maker->err, ERR_FORMAT, "base_model: missing; %s needs one", method->name);
    }
    n -= apart;
    if (n >= method->sources_min && n <= method->sources_max) {
        return 0;
    }
    const char *beside = apart ? " beside the base" : "";
    if (method->sources_min == method->sources_max) {
        return err_set(maker->err, ERR_FORMAT, "%s takes %zu model%s%s, the recipe has %zu",
                       method->name, method->sources_min, method->sources_min == 1 ? "" : "s",
                       beside, n);
    }
    return err_set(maker->err, ERR_FORMAT, "%s takes %zu to %zu models%s, the recipe has %zu",
                   method->name, method->sources_min, method->sources_max, beside, n);
}

static int check_ranges(const struct maker *maker, const struct mergekit_slice *slice, size_t index)
{
    for (size_t s = 0; s < slice->n_sources; s++) {
        const struct mergekit_source *source = &slice->sources[s];
        const struct layers *model = &maker->models[source->model];

        if (source->end > model->n_layers) {
            return err_set(maker->err, ERR_FORMAT,
                           "slices[%zu]: %s: layer_range [%u, %u], but the model has %u layers",
                           index, mergekit_source_name(maker, slice, s), source->first, source->end,
                           model->n_layers);
        }
        if (model->n_stacks > 1) {
            return err_set(maker->err, ERR_FORMAT,
                           "slices[%zu]: %s: the model has more than one stack of layers; only "
                           "models: can merge it",
                           index, mergekit_source_name(maker, slice, s));
        }
    }
    return 0;
}

static int check_depths(const struct maker *maker, const struct mergekit_slice *slice)
{
    const struct layers *first = &maker->models[slice->sources[0].model];

    for (size_t s = 1; s < slice->n_sources; s++) {
        const struct layers *model = &maker->models[slice->sources[s].model];

        if (model->n_layers != first->n_layers || model->n_stacked != first->n_stacked) {
            return err_set(maker->err, ERR_FORMAT,
                           "%s has %u layers, %s has %u: models of different depth go together "
                           "in slices only",
                           mergekit_source_name(maker, slice, 0), first->n_stacked,
                           mergekit_source_name(maker, slice, s), model->n_stacked);
        }
    }
    return 0;
}

static int check_slices(const struct maker *maker)
{
    const struct mergekit_recipe *recipe = maker->recipe;
    int rc = 0;

    for (size_t i = 0; i < recipe->n_slices && rc == 0; i++) {
        rc = check_count(maker, &recipe->slices[i], i);
        if (rc == 0) {
            rc = recipe->whole ? check_depths(maker, &recipe->slices[i])
                               : check_ranges(maker, &recipe->slices[i], i);
        }
    }
    return rc;
}

/* ---- tensors ---- */

/*
 * Fewer inputs than the method takes, since an optional tensor is missing somewhere or shapes
 * differ: what is left is copied. model_stock, which has no answer for one model and the base,
 * drops the tensor.
 */
static bool is_copy(const struct plan *plan, const struct work *work)
{
    size_t n = work->n_inputs - (work->base != SIZE_MAX);

    return work->n_inputs == 1 && (n < plan->method->sources_min || plan->method->needs_base);
}

static int check_left(const struct maker *maker, const struct work *work)
{
    const struct method *method = maker->plan->method;
    size_t n = work->n_inputs - (work->base != SIZE_MAX);

    if (method->needs_base && work->base == SIZE_MAX) {
        return err_set(maker->err, ERR_MISSING, "%s: %s: the base does not have this tensor",
                       maker->recipe->models[work->slice->base].name, work->name);
    }
    if (n < method->sources_min) {
        return err_set(maker->err, ERR_MISSING, "%s: %zu of its inputs are there, %s takes %zu",
                       work->name, n, method->name, method->sources_min);
    }
    return 0;
}

/* The inputs in the plan's terms: the base apart, sources in order. */
static void set_inputs(const struct work *work, bool copies, struct plan_tensor *out)
{
    out->sources = mem_array(work->n_inputs, sizeof(const struct checkpoint_tensor *));
    for (size_t i = 0; i < work->n_inputs; i++) {
        if (i == work->base && !copies) {
            out->base = work->inputs[i].tensor;
        } else {
            out->sources[out->n_sources++] = work->inputs[i].tensor;
        }
    }
}

static struct plan_tensor *append(struct maker *maker)
{
    struct plan *plan = maker->plan;

    if (plan->n_tensors == maker->capacity) {
        maker->capacity = maker->capacity == 0 ? 256 : 2 * maker->capacity;
        plan->tensors = mem_resize(plan->tensors, maker->capacity, sizeof(struct plan_tensor));
    }
    plan->tensors[plan->n_tensors] = (struct plan_tensor){0};
    return &plan->tensors[plan->n_tensors++];
}

/* A tensor whose inputs are gathered and fit. */
static int emit(struct maker *maker, struct work *work)
{
    const struct checkpoint_tensor *like = work->inputs[0].tensor;
    bool copies = is_copy(maker->plan, work);
    int rc = copies ? 0 : check_left(maker, work);

    if (rc != 0) {
        return rc;
    }
    if (work->base != SIZE_MAX) {
        like = work->inputs[work->base].tensor;
    }
    struct plan_tensor *out = append(maker);

    out->name = plan_own(maker->plan, mem_text(work->name));
    out->role = work->like->tensor->role;
    out->layer = work->layer;
    out->n_dims = like->n_dims;
    memcpy(out->dims, like->dims, sizeof(out->dims));
    out->n = like->n_elements;
    out->copies = copies;
    set_inputs(work, copies, out);
    mergekit_set_types(maker, work, out);
    maker->plan->n_elements += out->n;
    if (out->n_sources > maker->plan->n_sources) {
        maker->plan->n_sources = out->n_sources;
    }
    if (work->like->tensor->part == TENSOR_PART_HEAD) {
        maker->has_head = true;
    } else if (mergekit_is_embedding(work->like)) {
        maker->vocab = out->dims[0];
    }
    return copies ? 0 : mergekit_set_parameters(maker, work, out);
}

/* model_stock with the base and one model: neither has an answer. */
static bool is_dropped(const struct maker *maker, const struct work *work)
{
    return mergekit_is_optional(work->like) &&
           strcmp(maker->plan->method->name, "model_stock") == 0 && work->n_inputs == 2;
}

static int plan_one(struct maker *maker, const struct mergekit_slice *slice, size_t n_sources,
                    const struct layers_entry *like, uint32_t k, uint32_t layer, double position)
{
    struct work work = {
        .slice = slice, .like = like, .layer = layer, .position = position, .base = SIZE_MAX};
    int rc = 0;

    work.name = layers_name(like, layer);
    for (size_t s = 0; s < n_sources && rc == 0; s++) {
        rc = mergekit_add_input(maker, &work, s, slice->sources[s].first + k);
    }
    if (rc == 0 && is_dropped(maker, &work)) {
        text_printf(maker->warnings, "%s: one model beside the base has it, dropped\n", work.name);
    } else if (rc == 0) {
        rc = mergekit_fit_shapes(maker, &work);
        if (rc == 0) {
            rc = emit(maker, &work);
        }
    }
    for (size_t i = 0; i < work.n_inputs; i++) {
        free(work.inputs[i].name);
    }
    free(work.name);
    return rc;
}

/* True when a source before this one has the tensor too, and brought it up already. */
static bool seen_before(const struct maker *maker, const struct mergekit_slice *slice,
                        size_t source, const struct layers_entry *like, uint32_t k)
{
    for (size_t s = 0; s < source; s++) {
        const struct mergekit_source *before = &slice->sources[s];

        if (layers_like(&maker->models[before->model], like, before->first + k) != NULL) {
            return true;
        }
    }
    return false;
}

static double position_of(const struct maker *maker, const struct mergekit_slice *slice,
                          const struct layers_entry *like, uint32_t k)
{
    const struct mergekit_source *first = &slice->sources[0];
    uint32_t n = first->end - first->first;

    if (like->place != LAYERS_IN) {
        return 0.0;
    }
    if (maker->recipe->whole) {
        n = layers_in_stack(&maker->models[first->model], like);
    }
    return n > 1 ? (double)k / (double)(n - 1) : 1.0;
}

/* Every tensor that one of the first n_sources sources has at this place. */
static int plan_place(struct maker *maker, const struct mergekit_slice *slice, size_t n_sources,
                      enum layers_place place, uint32_t k, uint32_t layer)
{
    size_t before = maker->plan->n_tensors;
    int rc = 0;

    for (size_t s = 0; s < n_sources; s++) {
        const struct mergekit_source *source = &slice->sources[s];
        size_t n;
        const struct layers_entry *entries =
            layers_at(&maker->models[source->model], place, source->first + k, &n);

        for (size_t i = 0; i < n && rc == 0; i++) {
            if (!seen_before(maker, slice, s, &entries[i], k)) {
                rc = plan_one(maker, slice, n_sources, &entries[i], k, layer,
                              position_of(maker, slice, &entries[i], k));
            }
        }
    }
    if (rc == 0 && place == LAYERS_IN && maker->plan->n_tensors == before) {
        rc = err_set(maker->err, ERR_MISSING, "%s: layer %u has no tensors",
                     mergekit_source_name(maker, slice, 0), slice->sources[0].first + k);
    }
    return rc;
}

/* Which layer of the donor each of these is, for what its config says layer by layer. */
static void note_layers(struct maker *maker, const struct mergekit_slice *slice, uint32_t n)
{
    const struct mergekit_source *source = &slice->sources[0];

    for (size_t s = 0; s < slice->n_sources; s++) {
        if (maker->models[slice->sources[s].model].checkpoint == maker->plan->donor) {
            source = &slice->sources[s];
        }
    }
    const struct config *config = checkpoint_config(maker->models[source->model].checkpoint);
    maker->layers = mem_resize(maker->layers, maker->n_layers + n, sizeof(uint32_t));
    for (uint32_t k = 0; k < n; k++) {
        uint32_t layer = source->first + k;
        uint32_t to = maker->n_layers++;

        maker->layers[to] = layer;
        if (to < CONFIG_LAYERS_MAX && config_slides(config, layer)) {
            maker->sliding[to / 64] |= (uint64_t)1 << to % 64;
        }
    }
}

static int plan_layers(struct maker *maker, const struct mergekit_slice *slice)
{
    const struct mergekit_source *first = &slice->sources[0];
    uint32_t n = first->end - first->first;
    int rc = 0;

    if (maker->recipe->whole) {
        n = maker->models[first->model].n_stacked;
    }
    for (uint32_t k = 0; k < n && rc == 0; k++) {
        rc = plan_place(maker, slice, slice->n_sources, LAYERS_IN, k, maker->n_layers + k);
    }
    note_layers(maker, slice, n);
    return rc;
}

static int plan_all(struct maker *maker)
{
    const struct mergekit_recipe *recipe = maker->recipe;
    const struct mergekit_slice *first = &recipe->slices[0];
    const struct mergekit_slice *last = &recipe->slices[recipe->n_slices - 1];
    size_t n_last = last->n_sources;
    int rc = plan_place(maker, first, first->n_sources, LAYERS_BEFORE, 0, 0);

    for (size_t i = 0; i < recipe->n_slices && rc == 0; i++) {
        rc = plan_layers(maker, &recipe->slices[i]);
    }
    /* mergekit 0.1.4 takes as many sources for norm and head as the first slice has. */
    if (first->n_sources < n_last) {
        if (maker->plan->rules.exact_mergekit) {
            n_last = first->n_sources;
        } else {
            text_printf(maker->warnings,
                        "final norm and head come from all %zu sources of the last slice; mergekit "
                        "0.1.4 takes %zu (--exact-mergekit)\n",
                        n_last, first->n_sources);
        }
    }
    return rc != 0 ? rc
                   : plan_place(maker, last, n_last, LAYERS_AFTER, 0,
                                maker->n_layers > 0 ? maker->n_layers - 1 : 0);
}

/* ---- the whole ---- */

static int make_vocabulary(struct maker *maker, const struct mergekit_models *models)
{
    const struct mergekit_recipe *recipe = maker->recipe;
    struct vocabulary_model *named =
        plan_own(maker->plan, mem_array(recipe->n_models, sizeof(*named)));

    for (size_t m = 0; m < recipe->n_models; m++) {
        named[m] = (struct vocabulary_model){
            .name = plan_own(maker->plan, mem_text(recipe->models[m].name)),
            .checkpoint = models->checkpoints[m],
            .input = m < recipe->n_inputs};
    }
    int rc = vocabulary_make(&maker->plan->vocabulary, &recipe->vocabulary, named, recipe->n_models,
                             maker->err);
    if (rc == 0) {
        text_add(maker->warnings, vocabulary_warnings(maker->plan->vocabulary));
    }
    return rc;
}

static int choose_template(struct maker *maker, const struct mergekit_models *models)
{
    struct text chosen = {0};
    int rc = chat_template_choose(&chosen, maker->recipe->chat_template,
                                  (const struct checkpoint *const *)models->checkpoints,
                                  maker->recipe->n_inputs, maker->warnings, maker->err);

    if (rc == 0 && chosen.size > 0) {
        maker->plan->chat_template = text_take(&chosen);
    }
    text_release(&chosen);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct plan_tensor *)a)->name, ((const struct plan_tensor *)b)->name);
}

static void set_config(struct maker *maker)
{
    const struct mergekit_recipe *recipe = maker->recipe;
    struct plan *plan = maker->plan;
    bool exact = plan->rules.exact_mergekit;

    plan->config = *checkpoint_config(plan->donor);
    plan->edit.n_layers = recipe->whole ? plan->config.n_layers : maker->n_layers;
    plan->edit.layers = recipe->whole ? NULL : plan_own(plan, maker->layers);
    maker->layers = recipe->whole ? maker->layers : NULL; /* handed over */
    if (recipe->has_dtype || recipe->has_out_dtype) {
        plan->edit.dtype =
            dtype_config_name(recipe->has_out_dtype ? recipe->out_dtype : recipe->dtype);
    }
    if (maker->vocab > 0 && maker->vocab != plan->config.vocab && plan->config.vocab > 0 &&
        maker->vocab <= UINT32_MAX && (!exact || plan->vocabulary != NULL)) {
        plan->edit.vocab = (uint32_t)maker->vocab;
        plan->config.vocab = (uint32_t)maker->vocab;
    }
    plan->edit.untie = plan->config.tied && maker->has_head && !exact;
    plan->config.tied = plan->config.tied && !maker->has_head;
    plan->config.n_layers = plan->edit.n_layers;
    if (!recipe->whole && !exact && plan->config.family != CONFIG_OTHER &&
        plan->config.n_layers <= CONFIG_LAYERS_MAX) {
        memcpy(plan->config.sliding, maker->sliding, sizeof(maker->sliding));
        plan_write_sliding(plan);
    }
}

static int make(struct maker *maker)
{
    const struct mergekit_recipe *recipe = maker->recipe;
    struct plan *plan = maker->plan;
    int rc = 0;

    for (size_t m = 0; m < recipe->n_models && rc == 0; m++) {
        rc = checkpoint_unchanged(maker->models[m].checkpoint, maker->err);
    }
    if (rc != 0 || (rc = check_slices(maker)) != 0 || (rc = plan_all(maker)) != 0) {
        return rc;
    }
    qsort(plan->tensors, plan->n_tensors, sizeof(struct plan_tensor), by_name);
    for (size_t i = 0; i < plan->n_tensors; i++) {
        plan->tensors[i].index = i;
    }
    set_config(maker);
    return 0;
}

/* The merge runs as its donor does, whatever the others were trained with. */
static void warn_of_configs(struct maker *maker, const struct mergekit_models *models)
{
    const struct checkpoint *donor = maker->plan->donor;

    for (size_t m = 0; m < maker->recipe->n_inputs; m++) {
        const struct checkpoint *model = models->checkpoints[m];
        struct text differences = {0};

        if (model != donor && config_differences(checkpoint_config(model), checkpoint_config(donor),
                                                 &differences) > 0) {
            text_printf(maker->warnings,
                        "%s is unlike the model whose config the merge takes: %s\n",
                        maker->recipe->models[m].name, text_get(&differences));
        }
        text_release(&differences);
    }
}

int mergekit_plan_make(struct plan *out, const struct mergekit_recipe *recipe,
                       const struct mergekit_models *models, const struct plan_rules *rules,
                       uint64_t seed, struct text *warnings, struct err *err)
{
    struct plan plan = {.method = recipe->method, .rules = *rules, .seed = seed};
    struct maker maker = {.recipe = recipe,
                          .manner = mergekit_manner_of(recipe->method),
                          .models = mem_array(recipe->n_models, sizeof(struct layers)),
                          .plan = &plan,
                          .warnings = warnings,
                          .err = err};
    size_t donor =
        recipe->base != MERGEKIT_NONE ? recipe->base : recipe->slices[0].sources[0].model;

    for (size_t m = 0; m < recipe->n_models; m++) {
        layers_init(&maker.models[m], models->checkpoints[m]);
    }
    plan.donor = models->checkpoints[donor];
    if (mergekit_takes_base(plan.method) && recipe->base != MERGEKIT_NONE) {
        plan.base = models->checkpoints[recipe->base];
    }
    strcpy(plan.sources_digest, "mergekit"); /* one plan a process: counts are its own */
    int rc = recipe->has_vocabulary ? make_vocabulary(&maker, models) : 0;
    if (rc == 0 && recipe->chat_template != NULL) {
        rc = choose_template(&maker, models);
    }
    if (rc == 0) {
        rc = make(&maker);
    }
    if (rc == 0) {
        warn_of_configs(&maker, models);
    }
    for (size_t m = 0; m < recipe->n_models; m++) {
        layers_release(&maker.models[m]);
    }
    free(maker.models);
    free(maker.layers);
    if (rc != 0) {
        plan_release(&plan);
        return rc;
    }
    *out = plan;
    return 0;
}
