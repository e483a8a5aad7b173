/*
 * vocabulary_align.c - embedding matrices with one row a token of the merged vocabulary.
 *
 * Rows are gathered in the order of the new ids and written in blocks to a temporary file, so that
 * memory is a block and a few rows, whatever the vocabulary. A matrix whose rows stand where they
 * should is not copied.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/scratch.h"
#include "evaluator/merge/vocabulary_internal.h"

#define BLOCK_BYTES ((size_t)1 << 20)

/* One matrix being made. */
struct gather {
    const struct vocabulary *vocabulary;
    size_t m;
    const struct checkpoint_tensor *const *matrices;
    enum dtype dtype;
    size_t n_columns;
    float *row;      /* [n_columns] */
    float *another;  /* [n_columns] */
    double *sum;     /* [n_columns] */
    float *mean_row; /* [n_columns] of the matrix's rows; for padding */
};

static int check_matrix(const struct vocabulary *vocabulary, size_t m, size_t n_columns,
                        const struct checkpoint_tensor *matrix, struct err *err)
{
    const char *folder = checkpoint_folder(vocabulary->models[m].checkpoint);

    if (matrix->n_dims != 2 || matrix->dims[1] != n_columns) {
        char has[128];

        checkpoint_shape_words(has, sizeof(has), matrix->dims, matrix->n_dims);
        return err_set(err, ERR_CONFLICT,
                       "%s/%s: %s: its shape is %s, other models have rows of %zu", folder,
                       matrix->file, matrix->name, has, n_columns);
    }
    if (!dtype_is_number(matrix->dtype)) {
        return err_set(err, ERR_FORMAT, "%s/%s: %s: %s numbers cannot be merged", folder,
                       matrix->file, matrix->name, dtype_name(matrix->dtype));
    }
    return 0;
}

/* A row of a model as floats. */
static int load_row(const struct gather *gather, size_t model, uint32_t id, float *out,
                    struct err *err)
{
    const struct checkpoint_tensor *matrix = gather->matrices[model];
    const struct vocabulary_model *owner = &gather->vocabulary->models[model];

    if (matrix == NULL) {
        return err_set(err, ERR_CONFLICT, "%s: %s: the tensor is missing, its row %u is wanted",
                       owner->name, gather->matrices[gather->m]->name, id);
    }
    if (id >= matrix->dims[0]) {
        return err_set(err, ERR_CONFLICT, "%s/%s: %s: it has %zu rows, its tokenizer wants row %u",
                       checkpoint_folder(owner->checkpoint), matrix->file, matrix->name,
                       matrix->dims[0], id);
    }
    const size_t size = dtype_size(matrix->dtype);
    dtype_to_f32(out, matrix->data + (size_t)id * gather->n_columns * size, matrix->dtype,
                 gather->n_columns);
    return 0;
}

/* The mean of the row in all inputs that have the token. */
static int load_mean(const struct gather *gather, uint32_t id, struct err *err)
{
    const struct vocabulary *vocabulary = gather->vocabulary;
    const size_t C = gather->n_columns;
    size_t n_have = 0;
    int rc = 0;

    memset(gather->sum, 0, C * sizeof(double));
    for (size_t m = 0; m < vocabulary->n_models && rc == 0; m++) {
        const uint32_t own = vocabulary->ids[m * vocabulary->out.n + id];

        if (!vocabulary->models[m].input || own == VOCABULARY_NO_ROW) {
            continue;
        }
        rc = load_row(gather, m, own, gather->another, err);
        for (size_t c = 0; c < C && rc == 0; c++) {
            gather->sum[c] += (double)gather->another[c];
        }
        n_have++;
    }
    for (size_t c = 0; c < C; c++) {
        gather->row[c] = (float)(gather->sum[c] / (double)n_have);
    }
    return rc;
}

/* gather->row of token id, which is there. */
static int make_row(const struct gather *gather, uint32_t id, struct err *err)
{
    size_t model;
    uint32_t row;

    if (vocabulary_row_of(gather->vocabulary, gather->m, id, &model, &row)) {
        return load_row(gather, model, row, gather->row, err);
    }
    if (gather->vocabulary->defaults[id].kind == VOCABULARY_MEAN) {
        return load_mean(gather, id, err);
    }
    memset(gather->row, 0, gather->n_columns * sizeof(float));
    return 0;
}

static bool is_token(const struct vocabulary *vocabulary, size_t id)
{
    size_t n;

    return id < vocabulary->out.n && vocab_text(&vocabulary->out, (uint32_t)id, &n) != NULL;
}

/* What rows without a token hold: the mean of the others, as they will be stored. */
static int make_mean_row(const struct gather *gather, struct err *err)
{
    const struct vocabulary *vocabulary = gather->vocabulary;
    const size_t C = gather->n_columns;
    double *total = mem_try(C, sizeof(double), "a row", err);
    size_t n_real = 0;
    int rc = total != NULL ? 0 : ERR_MEMORY;

    for (uint32_t id = 0; id < vocabulary->out.n && rc == 0; id++) {
        if (!is_token(vocabulary, id)) {
            continue;
        }
        rc = make_row(gather, id, err);
        if (rc == 0) {
            dtype_round(gather->row, gather->dtype, C);
        }
        for (size_t c = 0; c < C && rc == 0; c++) {
            total[c] += (double)gather->row[c];
        }
        n_real++;
    }
    for (size_t c = 0; c < C && rc == 0 && n_real > 0; c++) {
        gather->mean_row[c] = (float)(total[c] / (double)n_real);
    }
    free(total);
    return rc;
}

static bool has_gaps(const struct vocabulary *vocabulary)
{
    return vocabulary->rows > vocabulary->out.n_used;
}

/* True when the first rows of the matrix are the aligned matrix. */
static bool stands_as_it_is(const struct vocabulary *vocabulary, size_t m,
                            const struct checkpoint_tensor *matrix)
{
    size_t model;
    uint32_t row;

    if (has_gaps(vocabulary) || matrix->dims[0] < vocabulary->rows) {
        return false;
    }
    for (uint32_t id = 0; id < vocabulary->out.n; id++) {
        if (!vocabulary_row_of(vocabulary, m, id, &model, &row) || model != m || row != id) {
            return false;
        }
    }
    return true;
}

static int write_rows(const struct gather *gather, struct scratch *scratch, struct err *err)
{
    const size_t row_bytes = gather->n_columns * dtype_size(gather->dtype);
    const size_t n_block = row_bytes > 0 && row_bytes < BLOCK_BYTES ? BLOCK_BYTES / row_bytes : 1;
    unsigned char *block = mem_try_block(n_block, row_bytes, "rows", err);
    const size_t rows = gather->vocabulary->rows;
    size_t in_block = 0;
    int rc = block != NULL ? 0 : ERR_MEMORY;

    for (size_t id = 0; id < rows && rc == 0; id++) {
        const float *row = gather->mean_row;

        if (is_token(gather->vocabulary, id)) {
            rc = make_row(gather, (uint32_t)id, err);
            row = gather->row;
        }
        dtype_from_f32(block + in_block * row_bytes, row, gather->dtype, gather->n_columns);
        in_block++;
        if (rc == 0 && (in_block == n_block || id + 1 == rows)) {
            rc = scratch_add(scratch, block, in_block * row_bytes, err);
            in_block = 0;
        }
    }
    free(block);
    return rc;
}

/* The whole matrix into a map. */
static int make_matrix(struct gather *gather, struct file_map *out, struct err *err)
{
    struct scratch scratch = {0};
    const size_t C = gather->n_columns;
    int rc;

    gather->row = mem_try(C, sizeof(float), "a row", err);
    gather->another = mem_try(C, sizeof(float), "a row", err);
    gather->mean_row = mem_try(C, sizeof(float), "a row", err);
    gather->sum = mem_try(C, sizeof(double), "a row", err);
    if (gather->row == NULL || gather->another == NULL || gather->mean_row == NULL ||
        gather->sum == NULL) {
        rc = ERR_MEMORY;
        goto out;
    }
    if ((has_gaps(gather->vocabulary) && (rc = make_mean_row(gather, err)) != 0) ||
        (rc = scratch_open(&scratch, err)) != 0 || (rc = write_rows(gather, &scratch, err)) != 0) {
        goto out;
    }
    rc = scratch_map(&scratch, out, err);

out:
    scratch_close(&scratch);
    free(gather->row);
    free(gather->another);
    free(gather->mean_row);
    free(gather->sum);
    return rc;
}

int vocabulary_align(struct vocabulary_matrix *out, const struct vocabulary *vocabulary, size_t m,
                     const struct checkpoint_tensor *const *matrices, enum dtype dtype,
                     struct err *err)
{
    const struct checkpoint_tensor *own = matrices[m];
    struct vocabulary_matrix made = {.tensor = *own};
    struct gather gather = {.vocabulary = vocabulary, .m = m, .matrices = matrices, .dtype = dtype};
    int rc = 0;

    gather.n_columns = own->n_dims == 2 ? own->dims[1] : 0;
    for (size_t i = 0; i < vocabulary->n_models && rc == 0; i++) {
        rc = matrices[i] != NULL ? check_matrix(vocabulary, i, gather.n_columns, matrices[i], err)
                                 : 0;
    }
    if (rc != 0) {
        return rc;
    }
    made.tensor.dims[0] = vocabulary->rows;
    made.tensor.n_elements = vocabulary->rows * gather.n_columns;
    if (stands_as_it_is(vocabulary, m, own)) {
        made.tensor.n_bytes = made.tensor.n_elements * dtype_size(own->dtype);
    } else {
        rc = make_matrix(&gather, &made.map, err);
        made.tensor.dtype = dtype;
        made.tensor.n_bytes = made.map.size;
        made.tensor.data = made.map.data;
    }
    if (rc == 0) {
        *out = made;
    }
    return rc;
}

void vocabulary_matrix_release(struct vocabulary_matrix *matrix)
{
    file_unmap(&matrix->map);
    *matrix = (struct vocabulary_matrix){0};
}
