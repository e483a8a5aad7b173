/*
 * adapter.c - LoRA matrices, paired, checked against the base and folded into it.
 *
 * Both forms of the update are one product, made row by row of the stored tensor W [rows, columns]:
 *
 *                  left [rows, r]    right [r, columns]
 *   B A            B                 A
 *   (B A)^T        A transposed      B transposed
 *
 * Sums run over r in order, for every column alike, whatever the processor: workers on different
 * machines get the same bytes, and so the same digest.
 */
#include "evaluator/model/adapter.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/scratch.h"
#include "evaluator/model/adapter_config.h"
#include "evaluator/model/safetensors.h"

#define CONFIG_NAME "adapter_config.json"
#define WEIGHTS_NAME "adapter_model.safetensors"
#define PREFIX "base_model.model."
#define BLOCK_BYTES ((size_t)1 << 20) /* of folded rows, written at once */
#define ALIGNMENT 64

/* What a tensor of the adapter's file is to the tensor of the base that it changes. */
enum part_kind { PART_WHOLE, PART_A, PART_B };

struct part {
    const struct safetensors_tensor *tensor;
    enum part_kind kind;
    bool embedding;
    char *target; /* the base's tensor */
};

/* One tensor of the base that changes. */
struct change {
    struct checkpoint_tensor *base;
    const struct part *whole; /* replaces it first, or NULL */
    const struct part *a, *b; /* both or neither */
    double scale;
    bool transposed;
    enum dtype dtype; /* of the result */
    size_t at;        /* of its bytes in the scratch file */
};

struct adapter {
    char *path; /* of the weights, for messages */
    struct adapter_config config;
    struct safetensors file;
    size_t n_parts;
    struct part *parts; /* by target */
    size_t n_changes;
    struct change *changes;
    char **files; /* [n_changes] names of the files changed tensors are in */
    struct scratch scratch;
    struct file_map map; /* of all that changed */
};

static int refuse(const struct adapter *adapter, const struct part *part, enum err_code code,
                  const char *what, struct err *err)
{
    return err_set(err, code, "%s: %s: %s", adapter->path, part->tensor->name, what);
}

/* ---- names ---- */

/* name without its first `cut`, which lies between dots; NULL when it is not in there. */
static char *without(const char *name, const char *cut)
{
    const char *at = strstr(name, cut);

    return at == NULL ? NULL : mem_printf("%.*s%s", (int)(at - name), name, at + strlen(cut) - 1);
}

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name);
    const size_t m = strlen(end);

    return m <= n && strcmp(name + n - m, end) == 0;
}

/* A whole tensor; files name the wrapper it was trained in or leave it out. */
static char *whole_target(const char *name)
{
    char *target = without(name, ".modules_to_save.");

    if (target == NULL) {
        target = without(name, ".base_layer.");
    }
    return target != NULL ? target : mem_text(name);
}

static int read_name(const struct adapter *adapter, struct part *part, struct err *err)
{
    static const struct {
        const char *end;
        enum part_kind kind;
        bool embedding;
    } matrices[] = {{".lora_A.weight", PART_A, false},
                    {".lora_B.weight", PART_B, false},
                    {".lora_embedding_A", PART_A, true},
                    {".lora_embedding_B", PART_B, true}};
    const char *name = part->tensor->name;

    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0) {
        return refuse(adapter, part, ERR_FORMAT, "its name does not begin with " PREFIX, err);
    }
    name += strlen(PREFIX);
    for (size_t i = 0; i < sizeof(matrices) / sizeof(matrices[0]); i++) {
        if (ends_with(name, matrices[i].end)) {
            const size_t n = strlen(name) - strlen(matrices[i].end);

            part->kind = matrices[i].kind;
            part->embedding = matrices[i].embedding;
            part->target = mem_printf("%.*s.weight", (int)n, name);
            return 0;
        }
    }
    if (strstr(name, "lora_magnitude") != NULL) {
        return refuse(adapter, part, ERR_FORMAT,
                      "DoRA is not folded; merge the adapter into its base first", err);
    }
    if (strstr(name, ".lora_") != NULL) {
        return refuse(adapter, part, ERR_FORMAT, "no such matrix of a LoRA adapter is known", err);
    }
    part->kind = PART_WHOLE;
    part->target = whole_target(name);
    return 0;
}

static int by_target(const void *a, const void *b)
{
    const struct part *x = a;
    const struct part *y = b;
    const int order = strcmp(x->target, y->target);

    return order != 0 ? order : (int)x->kind - (int)y->kind;
}

static int read_parts(struct adapter *adapter, struct err *err)
{
    adapter->parts = mem_array(adapter->file.n_tensors, sizeof(struct part));
    for (size_t i = 0; i < adapter->file.n_tensors; i++) {
        struct part *part = &adapter->parts[adapter->n_parts++];
        const struct safetensors_tensor *tensor = &adapter->file.tensors[i];

        part->tensor = tensor;
        int rc = read_name(adapter, part, err);
        if (rc != 0) {
            return rc;
        }
        if (!dtype_is_number(tensor->dtype)) {
            return refuse(adapter, part, ERR_FORMAT, "its type is no number to compute with", err);
        }
        if (dtype_find_nonfinite(tensor->data, tensor->dtype, tensor->n_elements) <
            tensor->n_elements) {
            return refuse(adapter, part, ERR_NUMERIC, "a number in it is not finite", err);
        }
    }
    if (adapter->n_parts == 0) {
        return err_set(err, ERR_FORMAT, "%s: no tensor in it", adapter->path);
    }
    qsort(adapter->parts, adapter->n_parts, sizeof(struct part), by_target);
    return 0;
}

/* ---- pairs, against the base ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct checkpoint_tensor *)a)->name,
                  ((const struct checkpoint_tensor *)b)->name);
}

static int check_shape(const struct adapter *adapter, const struct part *part, const size_t *want,
                       size_t n_want, const struct checkpoint_tensor *base, struct err *err)
{
    const struct safetensors_tensor *tensor = part->tensor;
    char has[128];
    char needs[128];
    char around[128];

    if (tensor->n_dims == n_want && memcmp(tensor->dims, want, n_want * sizeof(size_t)) == 0) {
        return 0;
    }
    checkpoint_shape_words(has, sizeof(has), tensor->dims, tensor->n_dims);
    checkpoint_shape_words(needs, sizeof(needs), want, n_want);
    checkpoint_shape_words(around, sizeof(around), base->dims, base->n_dims);
    return err_set(err, ERR_CONFLICT,
                   "%s: %s: its shape is %s, the base's %s of %s needs %s; is it an adapter of "
                   "another base?",
                   adapter->path, tensor->name, has, base->name, around, needs);
}

static int check_pair(const struct adapter *adapter, struct change *change, struct err *err)
{
    const struct part *a = change->a;
    const struct part *b = change->b;
    const struct checkpoint_tensor *base = change->base;
    char module[TENSORS_NAME_MAX];

    if (a == NULL || b == NULL) {
        return refuse(adapter, a != NULL ? a : b, ERR_MISSING,
                      a != NULL ? "its lora_B is missing" : "its lora_A is missing", err);
    }
    if (a->embedding != b->embedding) {
        return refuse(adapter, a, ERR_FORMAT, "it is of an embedding, its partner is not", err);
    }
    if (base->n_dims != 2) {
        return refuse(adapter, a, ERR_CONFLICT, "the base's tensor is no matrix", err);
    }
    change->transposed = a->embedding || adapter->config.fan_in_fan_out;
    const size_t rank = a->tensor->n_dims > 0 ? a->tensor->dims[0] : 0;
    const size_t want_a[] = {rank, base->dims[!change->transposed]};
    const size_t want_b[] = {base->dims[change->transposed], rank};
    int rc = check_shape(adapter, a, want_a, 2, base, err);

    if (rc == 0) {
        rc = check_shape(adapter, b, want_b, 2, base, err);
    }
    if (rc != 0) {
        return rc;
    }
    memcpy(module, base->name, strlen(base->name) + 1);
    module[strlen(module) - strlen(".weight")] = '\0';
    if (!adapter_config_targets(&adapter->config, module)) {
        return refuse(adapter, a, ERR_CONFLICT,
                      "target_modules of " CONFIG_NAME " does not name its module", err);
    }
    rc = adapter_config_scale(&adapter->config, module, rank, &change->scale, err);
    return rc == 0 ? 0 : err_wrap(err, "%s: %s", adapter->path, a->tensor->name);
}

/* The parts [first, end) have one target. */
static int make_change(struct adapter *adapter, size_t first, size_t end,
                       struct checkpoint_tensor *tensors, size_t n, struct err *err)
{
    struct change *change = &adapter->changes[adapter->n_changes];
    const struct part *part = &adapter->parts[first];
    struct checkpoint_tensor key = {.name = part->target};

    change->base = bsearch(&key, tensors, n, sizeof(key), by_name);
    if (change->base == NULL) {
        return err_set(err, ERR_CONFLICT,
                       "%s: %s: the base has no tensor %s; is it an adapter of another base?",
                       adapter->path, part->tensor->name, part->target);
    }
    if (!dtype_is_number(change->base->dtype)) {
        return refuse(adapter, part, ERR_FORMAT, "the type of the base's tensor is no number", err);
    }
    change->dtype = change->base->dtype == DTYPE_F64 ? DTYPE_F32 : change->base->dtype;
    for (size_t i = first; i < end; i++) {
        const struct part **place = adapter->parts[i].kind == PART_WHOLE ? &change->whole
                                    : adapter->parts[i].kind == PART_A   ? &change->a
                                                                         : &change->b;
        if (*place != NULL) {
            return refuse(adapter, &adapter->parts[i], ERR_FORMAT, "it is there twice", err);
        }
        *place = &adapter->parts[i];
    }
    adapter->n_changes++;
    int rc = 0;
    if (change->whole != NULL) {
        rc = check_shape(adapter, change->whole, change->base->dims, change->base->n_dims,
                         change->base, err);
    }
    if (rc == 0 && (change->a != NULL || change->b != NULL)) {
        rc = check_pair(adapter, change, err);
    }
    return rc;
}

static int make_changes(struct adapter *adapter, struct checkpoint_tensor *tensors, size_t n,
                        struct err *err)
{
    adapter->changes = mem_array(adapter->n_parts, sizeof(struct change));
    for (size_t first = 0, end; first < adapter->n_parts; first = end) {
        end = first + 1;
        while (end < adapter->n_parts &&
               strcmp(adapter->parts[first].target, adapter->parts[end].target) == 0) {
            end++;
        }
        int rc = make_change(adapter, first, end, tensors, n, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- arithmetic ---- */

/* A stored matrix as floats; flipped: with its rows and columns exchanged. */
static float *load_matrix(const struct safetensors_tensor *tensor, bool flipped, struct err *err)
{
    const size_t R = tensor->dims[0];
    const size_t C = tensor->dims[1];
    float *made = mem_try_block(tensor->n_elements, sizeof(float), tensor->name, err);
    float *plain =
        flipped ? mem_try_block(tensor->n_elements, sizeof(float), tensor->name, err) : made;

    if (made == NULL || plain == NULL) {
        free(made);
        free(flipped ? plain : NULL);
        return NULL;
    }
    dtype_to_f32(plain, tensor->data, tensor->dtype, tensor->n_elements);
    if (flipped) {
        for (size_t r = 0; r < R; r++) {
            for (size_t c = 0; c < C; c++) {
                made[c * R + r] = plain[r * C + c];
            }
        }
        free(plain);
    }
    return made;
}

/*
 * row [C] += scale * left [K] right [K, C]; sum [C] is scratch. The product is summed before it is
 * added, so that small updates do not lose their digits to large weights term by term.
 */
static void add_product(float *row, float *sum, const float *left, const float *right, size_t K,
                        size_t C, float scale)
{
    memset(sum, 0, C * sizeof(float));
    for (size_t k = 0; k < K; k++) {
        const float *terms = right + k * C;
        const float factor = left[k];

        for (size_t c = 0; c < C; c++) {
            sum[c] += factor * terms[c];
        }
    }
    for (size_t c = 0; c < C; c++) {
        row[c] += scale * sum[c];
    }
}

/* What one module needs while it is folded. */
struct bench {
    const unsigned char *from; /* W before the update */
    enum dtype from_dtype;
    float *left, *right; /* NULL: no update, the whole tensor is new */
    size_t rank;
    float *row, *sum;
    unsigned char *block;
};

static void fold_row(const struct change *change, const struct bench *bench, size_t r, size_t C,
                     unsigned char *out)
{
    const size_t size = dtype_bits(bench->from_dtype) / 8;

    dtype_to_f32(bench->row, bench->from + r * C * size, bench->from_dtype, C);
    if (bench->left != NULL) {
        add_product(bench->row, bench->sum, bench->left + r * bench->rank, bench->right,
                    bench->rank, C, (float)change->scale);
    }
    dtype_from_f32(out, bench->row, change->dtype, C);
}

static int fold_rows(struct adapter *adapter, const struct change *change,
                     const struct bench *bench, size_t R, size_t C, size_t rows_a_block,
                     struct err *err)
{
    const size_t row_bytes = C * dtype_size(change->dtype);
    int rc = 0;

    for (size_t r = 0; r < R && rc == 0;) {
        size_t n = 0;

        for (; n < rows_a_block && r < R; n++, r++) {
            fold_row(change, bench, r, C, bench->block + n * row_bytes);
        }
        rc = scratch_add(&adapter->scratch, bench->block, n * row_bytes, err);
    }
    return rc;
}

static int fold_change(struct adapter *adapter, struct change *change, struct err *err)
{
    const struct checkpoint_tensor *base = change->base;
    const struct safetensors_tensor *whole = change->whole != NULL ? change->whole->tensor : NULL;
    const size_t C = base->n_dims > 0 ? base->dims[base->n_dims - 1] : 1;
    const size_t R = C > 0 ? base->n_elements / C : 0;
    const size_t row_bytes = C * dtype_size(change->dtype);
    const size_t rows = row_bytes > 0 && row_bytes < BLOCK_BYTES ? BLOCK_BYTES / row_bytes : 1;
    struct bench bench = {.from = whole != NULL ? whole->data : base->data,
                          .from_dtype = whole != NULL ? whole->dtype : base->dtype,
                          .row = mem_try_block(C, sizeof(float), base->name, err),
                          .sum = mem_try_block(C, sizeof(float), base->name, err),
                          .block = mem_try_block(rows, row_bytes, base->name, err)};
    bool ready = bench.row != NULL && bench.sum != NULL && bench.block != NULL;
    int rc = scratch_align(&adapter->scratch, ALIGNMENT, err);

    if (ready && change->a != NULL) {
        const struct part *left = change->transposed ? change->a : change->b;
        const struct part *right = change->transposed ? change->b : change->a;

        bench.rank = change->a->tensor->dims[0];
        bench.left = load_matrix(left->tensor, change->transposed, err);
        bench.right = load_matrix(right->tensor, change->transposed, err);
        ready = bench.left != NULL && bench.right != NULL;
    }
    change->at = adapter->scratch.size;
    if (rc == 0) {
        rc = ready ? fold_rows(adapter, change, &bench, R, C, rows, err) : ERR_MEMORY;
    }
    free(bench.left);
    free(bench.right);
    free(bench.row);
    free(bench.sum);
    free(bench.block);
    return rc;
}

static int fold_all(struct adapter *adapter, struct err *err)
{
    int rc = scratch_open(&adapter->scratch, err);

    for (size_t i = 0; i < adapter->n_changes && rc == 0; i++) {
        rc = fold_change(adapter, &adapter->changes[i], err);
    }
    if (rc == 0) {
        rc = scratch_map(&adapter->scratch, &adapter->map, err);
    }
    scratch_close(&adapter->scratch);
    return rc;
}

/* Nothing fails from here on. */
static void hand_over(struct adapter *adapter, const char *folder)
{
    adapter->files = mem_array(adapter->n_changes, sizeof(char *));
    for (size_t i = 0; i < adapter->n_changes; i++) {
        const struct change *change = &adapter->changes[i];
        struct checkpoint_tensor *base = change->base;

        adapter->files[i] = mem_printf("%s+%s", base->file, file_name(folder));
        base->file = adapter->files[i];
        base->dtype = change->dtype;
        base->n_bytes = base->n_elements * dtype_size(change->dtype);
        base->data = adapter->map.data + change->at;
    }
}

/* ---- the door ---- */

static int open_files(struct adapter *adapter, const char *folder, struct err *err)
{
    char *config_path = file_join(folder, CONFIG_NAME);
    char *pickle = file_join(folder, "adapter_model.bin");
    int rc;

    adapter->path = file_join(folder, WEIGHTS_NAME);
    if (!file_is_dir(folder)) {
        rc = err_set(err, ERR_MISSING, "%s: no such adapter folder", folder);
    } else if (!file_exists(adapter->path) && file_exists(pickle)) {
        rc = err_set(err, ERR_MISSING,
                     "%s: no " WEIGHTS_NAME "; pickles (adapter_model.bin) are never opened, "
                     "convert it to safetensors",
                     folder);
    } else {
        rc = adapter_config_load(&adapter->config, config_path, err);
    }
    if (rc == 0) {
        rc = safetensors_open(&adapter->file, adapter->path, err);
    }
    free(config_path);
    free(pickle);
    return rc;
}

int adapter_fold(struct adapter **out, const char *folder, struct checkpoint_tensor *tensors,
                 size_t n, struct err *err)
{
    struct adapter *made = mem_array(1, sizeof(*made));
    int rc;

    if ((rc = open_files(made, folder, err)) != 0 || (rc = read_parts(made, err)) != 0 ||
        (rc = make_changes(made, tensors, n, err)) != 0 || (rc = fold_all(made, err)) != 0) {
        adapter_close(made);
        return rc;
    }
    hand_over(made, folder);
    *out = made;
    return 0;
}

void adapter_close(struct adapter *adapter)
{
    if (adapter == NULL) {
        return;
    }
    for (size_t i = 0; i < adapter->n_parts; i++) {
        free(adapter->parts[i].target);
    }
    for (size_t i = 0; adapter->files != NULL && i < adapter->n_changes; i++) {
        free(adapter->files[i]);
    }
    file_unmap(&adapter->map);
    scratch_close(&adapter->scratch);
    safetensors_close(&adapter->file);
    adapter_config_release(&adapter->config);
    free(adapter->files);
    free(adapter->changes);
    free(adapter->parts);
    free(adapter->path);
    free(adapter);
}

int adapter_unchanged(const struct adapter *adapter, struct err *err)
{
    return file_unchanged(&adapter->file.map, adapter->path, err);
}
