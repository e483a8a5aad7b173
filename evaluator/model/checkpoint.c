/*
 * checkpoint.c - a model folder, opened: shards found, headers read, tensors checked against the
 * family's table.
 */
#include "evaluator/model/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/layered.h"
#include "base/mem.h"
#include "evaluator/model/adapter.h"
#include "evaluator/model/safetensors.h"

#define INDEX_SIZE_MAX ((size_t)100 << 20)
#define SHARDS_MAX 10000
#define INDEX_NAME "model.safetensors.index.json"

struct shard {
    char *name; /* bare file name */
    char *path;
    struct safetensors file;
};

struct checkpoint {
    char *name; /* as asked for */
    char *folder;
    struct config config;
    size_t n_shards;
    struct shard *shards;
    size_t n_tensors;
    struct checkpoint_tensor *tensors; /* by name */
    struct adapter *adapter;           /* NULL when the model is a folder alone */
};

/* ---- shards ---- */

static int add_shard(struct checkpoint *checkpoint, const char *name, struct err *err)
{
    checkpoint->shards =
        mem_resize(checkpoint->shards, checkpoint->n_shards + 1, sizeof(struct shard));
    struct shard *shard = &checkpoint->shards[checkpoint->n_shards++];

    *shard = (struct shard){.name = mem_text(name), .path = file_join(checkpoint->folder, name)};
    return safetensors_open(&shard->file, shard->path, err);
}

static size_t find_shard(const struct checkpoint *checkpoint, const char *name)
{
    for (size_t s = 0; s < checkpoint->n_shards; s++) {
        if (strcmp(checkpoint->shards[s].name, name) == 0) {
            return s;
        }
    }
    return SIZE_MAX;
}

/* Names stay where they are when the lists of shards and tensors grow and move. */
static void add_tensor(struct checkpoint *checkpoint, const struct safetensors_tensor *from,
                       const char *file)
{
    checkpoint->tensors = mem_resize(checkpoint->tensors, checkpoint->n_tensors + 1,
                                     sizeof(struct checkpoint_tensor));
    struct checkpoint_tensor *to = &checkpoint->tensors[checkpoint->n_tensors++];

    *to = (struct checkpoint_tensor){.name = from->name,
                                     .dtype = from->dtype,
                                     .n_dims = from->n_dims,
                                     .n_elements = from->n_elements,
                                     .n_bytes = from->end - from->begin,
                                     .data = from->data,
                                     .folder = checkpoint->folder,
                                     .file = file,
                                     .role = TENSOR_UNKNOWN};
    memcpy(to->dims, from->dims, sizeof(to->dims));
}

static const struct safetensors_tensor *find_in_shard(const struct shard *shard, const char *name)
{
    for (size_t i = 0; i < shard->file.n_tensors; i++) {
        if (strcmp(shard->file.tensors[i].name, name) == 0) {
            return &shard->file.tensors[i];
        }
    }
    return NULL;
}

static bool is_bare_name(const char *name)
{
    return *name != '\0' && strchr(name, '/') == NULL && strcmp(name, "..") != 0 &&
           strcmp(name, ".") != 0;
}

/* Each entry of the index: open its shard if that is new, and find the tensor in it. */
static int read_weight_map(struct checkpoint *checkpoint, const json_t *map, const char *index_path,
                           struct err *err)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)map, name, value)
    {
        const char *file = json_string_value(value);

        if (file == NULL || !is_bare_name(file)) {
            return err_set(err, ERR_FORMAT, "%s: %.200s: '%.200s' is no bare file name", index_path,
                           name, file != NULL ? file : "");
        }
        size_t s = find_shard(checkpoint, file);
        if (s == SIZE_MAX) {
            if (checkpoint->n_shards == SHARDS_MAX) {
                return err_set(err, ERR_LIMIT, "%s: more than %d shards", index_path, SHARDS_MAX);
            }
            s = checkpoint->n_shards;
            int rc = add_shard(checkpoint, file, err);
            if (rc == ERR_MISSING) {
                return err_wrap(err, "%s: %.200s", index_path, name);
            }
            if (rc != 0) {
                return rc;
            }
        }
        const struct safetensors_tensor *tensor = find_in_shard(&checkpoint->shards[s], name);
        if (tensor == NULL) {
            return err_set(err, ERR_MISSING,
                           "%s: %.200s: the index promises it here, the file does not have it",
                           checkpoint->shards[s].path, name);
        }
        add_tensor(checkpoint, tensor, checkpoint->shards[s].name);
    }
    return 0;
}

static int open_sharded(struct checkpoint *checkpoint, const char *index_path, struct err *err)
{
    json_t *index = NULL;
    json_t *map;

    int rc = doc_load(&index, index_path, INDEX_SIZE_MAX, err);
    if (rc != 0) {
        return rc;
    }
    rc = doc_object(index, "weight_map", &map, err);
    if (rc != 0) {
        rc = err_wrap(err, "%s", index_path);
    } else {
        rc = read_weight_map(checkpoint, map, index_path, err);
    }
    json_decref(index);
    return rc;
}

static int open_single(struct checkpoint *checkpoint, struct err *err)
{
    char *path = file_join(checkpoint->folder, "model.safetensors");
    char *pickle = file_join(checkpoint->folder, "pytorch_model.bin");
    int rc;

    if (!file_exists(path)) {
        rc = err_set(
            err, ERR_MISSING, "%s: no model.safetensors%s", checkpoint->folder,
            file_exists(pickle)
                ? "; pickles (pytorch_model.bin) are never opened, convert it to safetensors"
                : " and no " INDEX_NAME);
    } else {
        rc = add_shard(checkpoint, "model.safetensors", err);
    }
    if (rc == 0) {
        const struct safetensors *file = &checkpoint->shards[0].file;

        for (size_t i = 0; i < file->n_tensors; i++) {
            add_tensor(checkpoint, &file->tensors[i], checkpoint->shards[0].name);
        }
    }
    free(path);
    free(pickle);
    return rc;
}

/* ---- the family's table ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct checkpoint_tensor *)a)->name,
                  ((const struct checkpoint_tensor *)b)->name);
}

static void drop_ignored(struct checkpoint *checkpoint)
{
    size_t kept = 0;

    for (size_t i = 0; i < checkpoint->n_tensors; i++) {
        if (!tensors_ignored(&checkpoint->config, checkpoint->tensors[i].name)) {
            checkpoint->tensors[kept++] = checkpoint->tensors[i];
        }
    }
    checkpoint->n_tensors = kept;
}

void checkpoint_shape_words(char *out, size_t size, const size_t *dims, size_t n)
{
    size_t at = (size_t)snprintf(out, size, "[");

    for (size_t d = 0; d < n && at < size; d++) {
        at += (size_t)snprintf(out + at, size - at, "%s%zu", d > 0 ? ", " : "", dims[d]);
    }
    if (at < size) {
        snprintf(out + at, size - at, "]");
    }
}

static bool same_shape(const size_t *a, size_t n_a, const size_t *b, size_t n_b)
{
    return n_a == n_b && memcmp(a, b, n_a * sizeof(size_t)) == 0;
}

static int place_tensor(const struct checkpoint *checkpoint, struct checkpoint_tensor *tensor,
                        struct err *err)
{
    struct tensor_place place;
    char want[128];
    char have[128];

    if (checkpoint->config.family == CONFIG_OTHER) {
        tensors_guess(&checkpoint->config, tensor->name, &place);
    } else if (!tensors_find(&checkpoint->config, tensor->name, &place)) {
        return err_set(err, ERR_FORMAT, "%s/%s: %s: a %s model has no such tensor",
                       checkpoint->folder, tensor->file, tensor->name,
                       checkpoint->config.model_type);
    } else if (!same_shape(tensor->dims, tensor->n_dims, place.dims, place.n_dims)) {
        checkpoint_shape_words(have, sizeof(have), tensor->dims, tensor->n_dims);
        checkpoint_shape_words(want, sizeof(want), place.dims, place.n_dims);
        return err_set(err, ERR_FORMAT, "%s/%s: %s: its shape is %s, config.json says %s",
                       checkpoint->folder, tensor->file, tensor->name, have, want);
    }
    tensor->role = place.role;
    tensor->part = place.part;
    tensor->depth = place.depth;
    return 0;
}

/* A family that we do not know may call its number of layers otherwise; its tensors tell. */
static uint32_t count_layers(const struct checkpoint *checkpoint)
{
    uint32_t n = 0;

    for (size_t i = 0; i < checkpoint->n_tensors; i++) {
        struct tensor_place place;

        tensors_guess(&checkpoint->config, checkpoint->tensors[i].name, &place);
        if (place.in_layer && place.layer >= n && place.layer < CONFIG_LAYERS_MAX) {
            n = place.layer + 1;
        }
    }
    return n;
}

static int check_tensors(struct checkpoint *checkpoint, struct err *err)
{
    drop_ignored(checkpoint);
    if (checkpoint->config.n_layers == 0) {
        checkpoint->config.n_layers = count_layers(checkpoint);
    }
    qsort(checkpoint->tensors, checkpoint->n_tensors, sizeof(struct checkpoint_tensor), by_name);
    for (size_t i = 0; i < checkpoint->n_tensors; i++) {
        int rc = place_tensor(checkpoint, &checkpoint->tensors[i], err);

        if (rc != 0) {
            return rc;
        }
    }
    size_t n = tensors_count(&checkpoint->config);
    for (size_t i = 0; i < n; i++) {
        struct tensor_place place;

        tensors_at(&checkpoint->config, i, &place);
        if (checkpoint_find(checkpoint, place.name) == NULL) {
            return err_set(err, ERR_MISSING, "%s/%s: %s: the tensor is missing", checkpoint->folder,
                           checkpoint->n_shards == 1 ? checkpoint->shards[0].name : INDEX_NAME,
                           place.name);
        }
    }
    return 0;
}

/* ---- the door ---- */

static int open_folder(struct checkpoint *made, struct err *err)
{
    char *index_path = file_join(made->folder, INDEX_NAME);
    int rc;

    if (!file_is_dir(made->folder)) {
        rc = err_set(err, ERR_MISSING, "%s: no such model folder", made->folder);
    } else {
        rc = config_load(&made->config, made->folder, err);
    }
    if (rc == 0) {
        rc = file_exists(index_path) ? open_sharded(made, index_path, err) : open_single(made, err);
    }
    if (rc == 0) {
        rc = check_tensors(made, err);
    }
    free(index_path);
    return rc;
}

int checkpoint_open(struct checkpoint **out, const char *name, struct err *err)
{
    struct checkpoint *made = mem_array(1, sizeof(*made));
    const char *plus = layered_plus(name);

    made->name = mem_text(name);
    made->folder = plus != NULL ? mem_text_n(name, (size_t)(plus - name)) : mem_text(name);
    int rc = open_folder(made, err);
    if (rc == 0 && plus != NULL) {
        rc = adapter_fold(&made->adapter, plus + 1, made->tensors, made->n_tensors, err);
    }
    if (rc != 0) {
        checkpoint_close(made);
        return rc;
    }
    *out = made;
    return 0;
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    if (checkpoint == NULL) {
        return;
    }
    for (size_t s = 0; s < checkpoint->n_shards; s++) {
        safetensors_close(&checkpoint->shards[s].file);
        free(checkpoint->shards[s].name);
        free(checkpoint->shards[s].path);
    }
    free(checkpoint->shards);
    free(checkpoint->tensors);
    adapter_close(checkpoint->adapter);
    free(checkpoint->folder);
    free(checkpoint->name);
    free(checkpoint);
}

const struct config *checkpoint_config(const struct checkpoint *checkpoint)
{
    return &checkpoint->config;
}

const char *checkpoint_name(const struct checkpoint *checkpoint)
{
    return checkpoint->name;
}

const char *checkpoint_folder(const struct checkpoint *checkpoint)
{
    return checkpoint->folder;
}

size_t checkpoint_count(const struct checkpoint *checkpoint)
{
    return checkpoint->n_tensors;
}

const struct checkpoint_tensor *checkpoint_at(const struct checkpoint *checkpoint, size_t i)
{
    return &checkpoint->tensors[i];
}

const struct checkpoint_tensor *checkpoint_find(const struct checkpoint *checkpoint,
                                                const char *name)
{
    struct checkpoint_tensor key = {.name = name};

    return bsearch(&key, checkpoint->tensors, checkpoint->n_tensors, sizeof(key), by_name);
}

const struct checkpoint_tensor *checkpoint_role(const struct checkpoint *checkpoint,
                                                enum tensor_role role, uint32_t layer)
{
    char name[TENSORS_NAME_MAX];

    if (checkpoint->config.family == CONFIG_OTHER ||
        !tensors_name(&checkpoint->config, role, layer, name)) {
        return NULL;
    }
    return checkpoint_find(checkpoint, name);
}

/* ---- digests ---- */

int checkpoint_unchanged(const struct checkpoint *checkpoint, struct err *err)
{
    for (size_t s = 0; s < checkpoint->n_shards; s++) {
        const struct shard *shard = &checkpoint->shards[s];
        int rc = file_unchanged(&shard->file.map, shard->path, err);

        if (rc != 0) {
            return rc;
        }
    }
    return checkpoint->adapter != NULL ? adapter_unchanged(checkpoint->adapter, err) : 0;
}

void checkpoint_digest_tensor(struct digest *digest, const char *name, enum dtype dtype,
                              const size_t *dims, size_t n_dims,
                              const unsigned char content[DIGEST_SIZE])
{
    digest_add_text(digest, name);
    digest_add_text(digest, dtype_name(dtype));
    digest_add_u64(digest, n_dims);
    for (size_t d = 0; d < n_dims; d++) {
        digest_add_u64(digest, dims[d]);
    }
    digest_add(digest, content, DIGEST_SIZE);
}

int checkpoint_weights_digest(struct checkpoint *checkpoint, char out[DIGEST_HEX], struct err *err)
{
    struct digest *digest = digest_new();

    for (size_t i = 0; i < checkpoint->n_tensors; i++) {
        const struct checkpoint_tensor *tensor = &checkpoint->tensors[i];
        unsigned char content[DIGEST_SIZE];

        digest_of(tensor->data, tensor->n_bytes, content);
        checkpoint_digest_tensor(digest, tensor->name, tensor->dtype, tensor->dims, tensor->n_dims,
                                 content);
    }
    digest_end_hex(digest, out);
    return checkpoint_unchanged(checkpoint, err);
}

static int digest_file(struct digest *digest, const char *folder, const char *name, struct err *err)
{
    char *path = file_join(folder, name);
    struct file_bytes bytes = {0};
    int rc = 0;

    digest_add_text(digest, name);
    if (file_exists(path)) {
        rc = file_read(&bytes, path, INDEX_SIZE_MAX, err);
    }
    digest_add_u64(digest, bytes.size);
    digest_add(digest, bytes.data, bytes.size);
    file_release(&bytes);
    free(path);
    return rc;
}

int checkpoint_digest(struct checkpoint *checkpoint, char out[DIGEST_HEX], struct err *err)
{
    char weights[DIGEST_HEX];

    int rc = checkpoint_weights_digest(checkpoint, weights, err);
    if (rc != 0) {
        return rc;
    }
    struct digest *digest = digest_new();
    digest_add_text(digest, weights);
    rc = digest_file(digest, checkpoint->folder, "config.json", err);
    if (rc == 0) {
        rc = digest_file(digest, checkpoint->folder, "tokenizer.json", err);
    }
    digest_end_hex(digest, out);
    return rc;
}

/* ---- two sources ---- */

static bool is_tied_head(const struct checkpoint *other, const struct checkpoint_tensor *tensor)
{
    return tensor->role == TENSOR_HEAD && other->config.tied;
}

static int compare_one_way(const struct checkpoint *a, const struct checkpoint *b, struct err *err)
{
    for (size_t i = 0; i < a->n_tensors; i++) {
        const struct checkpoint_tensor *ours = &a->tensors[i];
        const struct checkpoint_tensor *theirs = checkpoint_find(b, ours->name);
        char have[128];
        char want[128];

        if (theirs == NULL && is_tied_head(b, ours)) {
            continue;
        }
        if (theirs == NULL) {
            return err_set(err, ERR_CONFLICT, "%s: %s: %s does not have this tensor", a->folder,
                           ours->name, b->folder);
        }
        if (!same_shape(ours->dims, ours->n_dims, theirs->dims, theirs->n_dims)) {
            checkpoint_shape_words(have, sizeof(have), ours->dims, ours->n_dims);
            checkpoint_shape_words(want, sizeof(want), theirs->dims, theirs->n_dims);
            return err_set(err, ERR_CONFLICT, "%s: %s: its shape is %s, in %s it is %s", a->folder,
                           ours->name, have, b->folder, want);
        }
    }
    return 0;
}

int checkpoint_compare(const struct checkpoint *a, const struct checkpoint *b, struct err *err)
{
    int rc = compare_one_way(a, b, err);

    return rc != 0 ? rc : compare_one_way(b, a, err);
}
