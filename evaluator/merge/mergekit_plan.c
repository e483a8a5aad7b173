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

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/chat_template.h"
#include "evaluator/merge/layers.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- models ---- */

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

/* ---- what differs between methods ---- */

/* Inputs of different shapes: refused; embeddings cut to what all have; cut to the base's shape,
 * and inputs whose other tensors differ left out. */
enum sizes { SIZES_EQUAL, SIZES_COMMON, SIZES_BASE };

static const struct manner {
    const char *method;
    enum sizes sizes;
    const char *required; /* the parameter without a default, or NULL */
} manners[] = {
    {"linear", SIZES_COMMON, "weight"},
    {"slerp", SIZES_COMMON, "t"},
    {"nuslerp", SIZES_COMMON, "weight"},
    {"multislerp", SIZES_EQUAL, "weight"},
    {"karcher", SIZES_COMMON, NULL},
    {"task_arithmetic", SIZES_BASE, "weight"},
    {"ties", SIZES_BASE, "weight"},
    {"dare_linear", SIZES_BASE, "weight"},
    {"dare_ties", SIZES_BASE, "weight"},
    {"breadcrumbs", SIZES_BASE, "weight"},
    {"breadcrumbs_ties", SIZES_BASE, "weight"},
    {"della", SIZES_BASE, "weight"},
    {"della_linear", SIZES_BASE, "weight"},
    {"model_stock", SIZES_COMMON, NULL},
    {"nearswap", SIZES_EQUAL, "t"},
    {"arcee_fusion", SIZES_COMMON, NULL},
};

/* Methods that mergekit does not have: nothing is cut, every parameter has our default. */
static const struct manner *manner_of(const struct method *method)
{
    static const struct manner plain = {NULL, SIZES_EQUAL, NULL};

    for (size_t i = 0; i < COUNT(manners); i++) {
        if (strcmp(manners[i].method, method->name) == 0) {
            return &manners[i];
        }
    }
    return &plain;
}

/* What a recipe that is silent means: mergekit's default, which for a density is to keep all. */
static double default_of(const struct method_parameter *parameter)
{
    return strcmp(parameter->name, "density") == 0 ? 1.0 : parameter->fallback;
}

/* True when the base is not one of the sources but stands beside them. */
static bool takes_base(const struct method *method)
{
    return method->needs_base || method->takes_base;
}

/* ---- the work ---- */

struct maker {
    const struct mergekit_recipe *recipe;
    const struct manner *manner;
    struct layers *models; /* [recipe's models] */
    struct plan *plan;
    size_t capacity; /* of the plan's tensors */
    uint32_t n_layers;
    uint32_t *layers; /* [n_layers], the number each has in the donor, or in its slice's first */
    bool has_head;
    size_t vocab; /* rows of the embedding; 0: not known */
    struct text *warnings;
    struct err *err;
};

/* One input of the tensor at work. */
struct input {
    size_t source; /* in the slice */
    char *name;    /* what filters look into: the tensor's own name in that model */
    const struct checkpoint_tensor *tensor;
};

/* The tensor at work. */
struct work {
    const struct mergekit_slice *slice;
    const struct layers_entry *like;
    uint32_t layer;  /* of the output */
    double position; /* on schedules */
    char *name;      /* of the output */
    size_t n_inputs;
    struct input inputs[METHOD_SOURCES_MAX + 1];
    size_t base; /* among inputs, or SIZE_MAX */
};

static const char *model_name(const struct maker *maker, const struct mergekit_slice *slice,
                              size_t source)
{
    return maker->recipe->models[slice->sources[source].model].name;
}

/* ---- slices against models ---- */

static int check_count(const struct maker *maker, const struct mergekit_slice *slice, size_t index)
{
    const struct method *method = maker->plan->method;
    bool apart = false;
    size_t n = slice->n_sources;

    for (size_t s = 0; s < slice->n_sources; s++) {
        apart = apart || (takes_base(method) && slice->sources[s].model == slice->base);
    }
    if (takes_base(method) && slice->base != MERGEKIT_NONE && !apart) {
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
                           index, model_name(maker, slice, s), source->first, source->end,
                           model->n_layers);
        }
        if (model->n_stacks > 1) {
            return err_set(maker->err, ERR_FORMAT,
                           "slices[%zu]: %s: the model has more than one stack of layers; only "
                           "models: can merge it",
                           index, model_name(maker, slice, s));
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
                           model_name(maker, slice, 0), first->n_stacked,
                           model_name(maker, slice, s), model->n_stacked);
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

/* ---- inputs ---- */

/* A tensor that a model may lack: the head, which a tied model has in its embedding. */
static bool is_optional(const struct layers_entry *like)
{
    return like->tensor->part == TENSOR_PART_HEAD;
}

static bool is_embedding(const struct layers_entry *like)
{
    return like->tensor->n_dims == 2 &&
           (like->tensor->part == TENSOR_PART_HEAD || like->tensor->part == TENSOR_PART_EMBEDDINGS);
}

/* The input that one source gives, if it gives one. */
static int add_input(const struct maker *maker, struct work *work, size_t source, uint32_t layer)
{
    const struct layers *model = &maker->models[work->slice->sources[source].model];
    const struct layers_entry *entry = layers_like(model, work->like, layer);
    const struct checkpoint_tensor *tensor = entry != NULL ? entry->tensor : NULL;
    char *name = layers_name(work->like, layer);

    if (tensor == NULL && is_optional(work->like)) {
        tensor = layers_embedding(model);
        if (tensor == NULL) {
            free(name);
            return 0;
        }
    }
    if (tensor == NULL) {
        int rc = err_set(maker->err, ERR_MISSING, "%s: %s: the tensor is missing",
                         checkpoint_name(model->checkpoint), name);
        free(name);
        return rc;
    }
    if (!dtype_is_number(tensor->dtype)) {
        free(name);
        return err_set(maker->err, ERR_FORMAT, "%s/%s: %s: %s numbers cannot be merged",
                       tensor->folder, tensor->file, tensor->name, dtype_name(tensor->dtype));
    }
    if (takes_base(maker->plan->method) &&
        work->slice->sources[source].model == work->slice->base) {
        work->base = work->n_inputs;
    }
    work->inputs[work->n_inputs++] =
        (struct input){.source = source, .name = name, .tensor = tensor};
    return 0;
}

static void remove_input(struct work *work, size_t i)
{
    free(work->inputs[i].name);
    work->n_inputs--;
    memmove(&work->inputs[i], &work->inputs[i + 1], (work->n_inputs - i) * sizeof(struct input));
    if (work->base != SIZE_MAX && work->base > i) {
        work->base--;
    }
}

/* ---- shapes ---- */

static bool same_shape(const struct checkpoint_tensor *a, const struct checkpoint_tensor *b)
{
    return a->n_dims == b->n_dims && memcmp(a->dims, b->dims, a->n_dims * sizeof(size_t)) == 0;
}

/* The upper left block of a matrix, as a tensor of its own: the same bytes when whole rows are cut,
 * else gathered. */
static const struct checkpoint_tensor *cut(struct plan *plan, const struct checkpoint_tensor *from,
                                           size_t rows, size_t columns)
{
    if (from->dims[0] == rows && from->dims[1] == columns) {
        return from;
    }
    struct checkpoint_tensor *view = plan_own(plan, mem_array(1, sizeof(*view)));
    size_t width = dtype_size(from->dtype);

    *view = *from;
    view->dims[0] = rows;
    view->dims[1] = columns;
    view->n_elements = rows * columns;
    view->n_bytes = view->n_elements * width;
    if (columns != from->dims[1]) {
        unsigned char *gathered = plan_own(plan, mem_alloc(view->n_bytes));

        for (size_t r = 0; r < rows; r++) {
            memcpy(gathered + r * columns * width, from->data + r * from->dims[1] * width,
                   columns * width);
        }
        view->data = gathered;
    }
    return view;
}

static int refuse_shapes(const struct maker *maker, const struct checkpoint_tensor *a,
                         const struct checkpoint_tensor *b)
{
    char a_words[128];
    char b_words[128];

    checkpoint_shape_words(a_words, sizeof(a_words), a->dims, a->n_dims);
    checkpoint_shape_words(b_words, sizeof(b_words), b->dims, b->n_dims);
    return err_set(maker->err, ERR_CONFLICT, "%s/%s: %s: its shape is %s, in %s it is %s",
                   b->folder, b->file, b->name, b_words, a->folder, a_words);
}

static void warn_cut(const struct maker *maker, const struct work *work, size_t rows,
                     size_t columns)
{
    text_printf(maker->warnings, "%s: matrices of different shapes, cut to [%zu, %zu]\n",
                work->name, rows, columns);
}

/* Cut all to the rows and columns they share. */
static void cut_to_common(const struct maker *maker, struct work *work)
{
    size_t rows = SIZE_MAX;
    size_t columns = SIZE_MAX;

    for (size_t i = 0; i < work->n_inputs; i++) {
        const size_t *dims = work->inputs[i].tensor->dims;

        rows = dims[0] < rows ? dims[0] : rows;
        columns = dims[1] < columns ? dims[1] : columns;
    }
    for (size_t i = 0; i < work->n_inputs; i++) {
        work->inputs[i].tensor = cut(maker->plan, work->inputs[i].tensor, rows, columns);
    }
    warn_cut(maker, work, rows, columns);
}

/* Cut the others to the base's shape. */
static int cut_to_base(const struct maker *maker, struct work *work)
{
    const struct checkpoint_tensor *base = work->inputs[work->base].tensor;

    for (size_t i = 0; i < work->n_inputs; i++) {
        struct input *input = &work->inputs[i];

        if (input->tensor->dims[0] < base->dims[0] || input->tensor->dims[1] < base->dims[1]) {
            return refuse_shapes(maker, base, input->tensor);
        }
        input->tensor = cut(maker->plan, input->tensor, base->dims[0], base->dims[1]);
    }
    warn_cut(maker, work, base->dims[0], base->dims[1]);
    return 0;
}

/* Leave out the inputs whose shape is not the base's. */
static void leave_out(const struct maker *maker, struct work *work)
{
    for (size_t i = work->n_inputs; i-- > 0;) {
        if (!same_shape(work->inputs[i].tensor, work->inputs[work->base].tensor)) {
            text_printf(maker->warnings, "%s: %s has another shape than the base, left out\n",
                        work->name, model_name(maker, work->slice, work->inputs[i].source));
            remove_input(work, i);
        }
    }
}

/* ---- vocabularies ---- */

/* A model's matrix in the place of the tensor at work, or NULL. */
static const struct checkpoint_tensor *matrix_of(const struct maker *maker, const struct work *work,
                                                 size_t model)
{
    const struct layers *layers = &maker->models[model];
    const struct layers_entry *entry = layers_like(layers, work->like, 0);

    if (entry != NULL) {
        return entry->tensor;
    }
    return is_optional(work->like) ? layers_embedding(layers) : NULL;
}

/* Every input's matrix with the rows of the plan's vocabulary. */
static int align_inputs(const struct maker *maker, struct work *work)
{
    const struct mergekit_recipe *recipe = maker->recipe;
    const struct checkpoint_tensor **matrices =
        mem_array(recipe->n_models, sizeof(const struct checkpoint_tensor *));
    int rc = 0;

    for (size_t m = 0; m < recipe->n_models; m++) {
        matrices[m] = matrix_of(maker, work, m);
    }
    for (size_t i = 0; i < work->n_inputs && rc == 0; i++) {
        struct input *input = &work->inputs[i];
        struct vocabulary_matrix made = {0};
        enum dtype dtype = recipe->has_dtype ? recipe->dtype : input->tensor->dtype;

        dtype = dtype == DTYPE_F64 ? DTYPE_F32 : dtype;
        rc = vocabulary_align(&made, maker->plan->vocabulary,
                              work->slice->sources[input->source].model, matrices, dtype,
                              maker->err);
        if (rc == 0) {
            input->tensor = &plan_own_matrix(maker->plan, &made)->tensor;
        }
    }
    free(matrices);
    return rc;
}

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

static int fit_shapes(const struct maker *maker, struct work *work)
{
    if (maker->plan->vocabulary != NULL && is_embedding(work->like)) {
        return align_inputs(maker, work);
    }
    size_t with = work->base != SIZE_MAX ? work->base : 0;
    const struct checkpoint_tensor *first = work->inputs[with].tensor;
    const struct checkpoint_tensor *other = NULL;

    for (size_t i = 0; i < work->n_inputs; i++) {
        if (!same_shape(work->inputs[i].tensor, first)) {
            other = work->inputs[i].tensor;
        }
    }
    if (other == NULL) {
        return 0;
    }
    bool matrices = is_embedding(work->like);
    for (size_t i = 0; i < work->n_inputs; i++) {
        matrices = matrices && work->inputs[i].tensor->n_dims == 2;
    }
    if (maker->manner->sizes == SIZES_COMMON && matrices) {
        cut_to_common(maker, work);
        return 0;
    }
    if (maker->manner->sizes == SIZES_BASE && work->base != SIZE_MAX) {
        if (matrices) {
            return cut_to_base(maker, work);
        }
        leave_out(maker, work);
        return 0;
    }
    return refuse_shapes(maker, first, other);
}

/* ---- types ---- */

/* The type that holds the numbers of both. */
static enum dtype wider(enum dtype a, enum dtype b)
{
    return a == b ? a : DTYPE_F32;
}

static void set_types(const struct maker *maker, const struct work *work, struct plan_tensor *out)
{
    const struct mergekit_recipe *recipe = maker->recipe;
    enum dtype work_type = work->inputs[0].tensor->dtype;

    for (size_t i = 1; i < work->n_inputs; i++) {
        work_type = wider(work_type, work->inputs[i].tensor->dtype);
    }
    if (maker->manner->sizes == SIZES_BASE && work->base != SIZE_MAX) {
        work_type = work->inputs[work->base].tensor->dtype; /* the task-vector family's rule */
    }
    if (recipe->has_dtype) {
        work_type = recipe->dtype;
    }
    out->work = work_type == DTYPE_F64 ? DTYPE_F32 : work_type;
    out->dtype = recipe->has_out_dtype ? recipe->out_dtype : out->work;
}

/* ---- parameters ---- */

static double tidy(const struct method_parameter *parameter, double value)
{
    if (parameter->kind == METHOD_BOOL) {
        return value != 0.0;
    }
    if (parameter->kind == METHOD_INTEGER) {
        value = trunc(value);
        return value < parameter->lower   ? parameter->lower
               : value > parameter->upper ? parameter->upper
                                          : value;
    }
    if (strcmp(parameter->name, "density") == 0) {
        return value < 0.0 ? 0.0 : value > 1.0 ? 1.0 : value; /* beyond these nothing changes */
    }
    return value;
}

/* source MERGEKIT_NONE: a parameter of the whole tensor. tensor is the name that filters see. */
static int resolve(const struct maker *maker, const struct work *work, size_t source,
                   const struct method_parameter *parameter, const char *tensor, double *out)
{
    const char *required = maker->manner->required;
    double value = default_of(parameter);

    bool found = mergekit_recipe_value(maker->recipe, work->slice, source, parameter->name, tensor,
                                       work->position, &value);
    if (!found && required != NULL && strcmp(parameter->name, required) == 0) {
        return err_set(maker->err, ERR_MISSING, "%s%s%s: the recipe gives no %s, which %s needs",
                       source != MERGEKIT_NONE ? model_name(maker, work->slice, source) : "",
                       source != MERGEKIT_NONE ? ": " : "", tensor, parameter->name,
                       maker->plan->method->name);
    }
    *out = tidy(parameter, value);
    return 0;
}

static int set_parameters(const struct maker *maker, const struct work *work,
                          struct plan_tensor *out)
{
    const struct method *method = maker->plan->method;
    size_t n_source = method_count(method, METHOD_SOURCE);
    size_t n_whole = method_count(method, METHOD_WHOLE);
    double *sources =
        plan_own(maker->plan, mem_array(work->n_inputs * n_source + n_whole, sizeof(double)));
    double *whole = sources + work->n_inputs * n_source;
    size_t s = 0;
    int rc = 0;

    for (size_t i = 0; i < work->n_inputs; i++) {
        if (i == work->base) {
            continue;
        }
        for (size_t k = 0; k < n_source && rc == 0; k++) {
            rc = resolve(maker, work, work->inputs[i].source, method_at(method, METHOD_SOURCE, k),
                         work->inputs[i].name, &sources[s * n_source + k]);
        }
        s++;
    }
    for (size_t k = 0; k < n_whole && rc == 0; k++) {
        rc = resolve(maker, work, MERGEKIT_NONE, method_at(method, METHOD_WHOLE, k), work->name,
                     &whole[k]);
    }
    out->source_values = sources;
    out->whole_values = whole;
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
    set_types(maker, work, out);
    maker->plan->n_elements += out->n;
    if (out->n_sources > maker->plan->n_sources) {
        maker->plan->n_sources = out->n_sources;
    }
    if (work->like->tensor->part == TENSOR_PART_HEAD) {
        maker->has_head = true;
    } else if (is_embedding(work->like)) {
        maker->vocab = out->dims[0];
    }
    return copies ? 0 : set_parameters(maker, work, out);
}

/* model_stock with the base and one model: neither has an answer. */
static bool is_dropped(const struct maker *maker, const struct work *work)
{
    return is_optional(work->like) && strcmp(maker->plan->method->name, "model_stock") == 0 &&
           work->n_inputs == 2;
}

static int plan_one(struct maker *maker, const struct mergekit_slice *slice, size_t n_sources,
                    const struct layers_entry *like, uint32_t k, uint32_t layer, double position)
{
    struct work work = {
        .slice = slice, .like = like, .layer = layer, .position = position, .base = SIZE_MAX};
    int rc = 0;

    work.name = layers_name(like, layer);
    for (size_t s = 0; s < n_sources && rc == 0; s++) {
        rc = add_input(maker, &work, s, slice->sources[s].first + k);
    }
    if (rc == 0 && is_dropped(maker, &work)) {
        text_printf(maker->warnings, "%s: one model beside the base has it, dropped\n", work.name);
    } else if (rc == 0) {
        rc = fit_shapes(maker, &work);
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
                     model_name(maker, slice, 0), slice->sources[0].first + k);
    }
    return rc;
}

/* Which layer of the donor each of these is, for what its config says layer by layer. */
static void note_layers(struct maker *maker, const struct mergekit_slice *slice, uint32_t n)
{
    uint32_t first = slice->sources[0].first;

    for (size_t s = 0; s < slice->n_sources; s++) {
        if (maker->models[slice->sources[s].model].checkpoint == maker->plan->donor) {
            first = slice->sources[s].first;
        }
    }
    maker->layers = mem_resize(maker->layers, maker->n_layers + n, sizeof(uint32_t));
    for (uint32_t k = 0; k < n; k++) {
        maker->layers[maker->n_layers++] = first + k;
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

int mergekit_plan_make(struct plan *out, const struct mergekit_recipe *recipe,
                       const struct mergekit_models *models, const struct plan_rules *rules,
                       uint64_t seed, struct text *warnings, struct err *err)
{
    struct plan plan = {.method = recipe->method, .rules = *rules, .seed = seed};
    struct maker maker = {.recipe = recipe,
                          .manner = manner_of(recipe->method),
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
    if (takes_base(plan.method) && recipe->base != MERGEKIT_NONE) {
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
