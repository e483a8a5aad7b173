/*
 * mergekit_inputs.c - the inputs of one tensor: found, made to fit each other, their types.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/mergekit_internal.h"

/* ---- inputs ---- */

bool mergekit_is_optional(const struct layers_entry *like)
{
    return like->tensor->part == TENSOR_PART_HEAD;
}

bool mergekit_is_embedding(const struct layers_entry *like)
{
    return like->tensor->n_dims == 2 &&
           (like->tensor->part == TENSOR_PART_HEAD || like->tensor->part == TENSOR_PART_EMBEDDINGS);
}

/* The input that one source gives, if it gives one. */
int mergekit_add_input(const struct maker *maker, struct work *work, size_t source, uint32_t layer)
{
    const struct layers *model = &maker->models[work->slice->sources[source].model];
    const struct layers_entry *entry = layers_like(model, work->like, layer);
    const struct checkpoint_tensor *tensor = entry != NULL ? entry->tensor : NULL;
    char *name = layers_name(work->like, layer);

    if (tensor == NULL && mergekit_is_optional(work->like)) {
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
    if (mergekit_takes_base(maker->plan->method) &&
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
                        work->name,
                        mergekit_source_name(maker, work->slice, work->inputs[i].source));
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
    return mergekit_is_optional(work->like) ? layers_embedding(layers) : NULL;
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

int mergekit_fit_shapes(const struct maker *maker, struct work *work)
{
    if (maker->plan->vocabulary != NULL && mergekit_is_embedding(work->like)) {
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
    bool matrices = mergekit_is_embedding(work->like);
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

void mergekit_set_types(const struct maker *maker, const struct work *work, struct plan_tensor *out)
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
