/*
 * checkpoint.c - a model folder, opened: shards found, headers read, tensors checked against the
 * family's table.
 */
#include "evaluator/model/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crew.h"
#include "base/doc.h"
#include "base/file.h"
#include "base/layered.h"
#include "base/mem.h"
#include "evaluator/model/adapter.h"
#include "evaluator/model/safetensors.h"
#include "evaluator/model/shard_index.h"

#define DIGESTED_SIZE_MAX ((size_t)100 << 20) /* of a file beside the weights */

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

static int by_tensor_name(const void *a, const void *b)
{
    const struct safetensors_tensor *const *x = a;
    const struct safetensors_tensor *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

/* Open a shard, and list its tensors by name: an index may name very many. */
static int open_shard(struct checkpoint *checkpoint, const char *name,
                      const struct safetensors_tensor ***out, struct err *err)
{
    int rc = add_shard(checkpoint, name, err);

    if (rc != 0) {
        return rc;
    }
    const struct safetensors *file = &checkpoint->shards[checkpoint->n_shards - 1].file;
    *out = mem_array(file->n_tensors, sizeof(**out));
    for (size_t i = 0; i < file->n_tensors; i++) {
        (*out)[i] = &file->tensors[i];
    }
    qsort(*out, file->n_tensors, sizeof(**out), by_tensor_name);
    return 0;
}

static int take_entry(struct checkpoint *checkpoint, const struct shard_index_entry *entry,
                      const struct safetensors_tensor **by_names, struct err *err)
{
    const struct shard *shard = &checkpoint->shards[entry->file];
    const struct safetensors_tensor key = {.name = (char *)entry->tensor};
    const struct safetensors_tensor *wanted = &key;
    const struct safetensors_tensor **found =
        bsearch(&wanted, by_names, shard->file.n_tensors, sizeof(*by_names), by_tensor_name);

    if (found == NULL) {
        return err_set(err, ERR_MISSING,
                       "%s: %.200s: the index promises it here, the file does not have it",
                       shard->path, entry->tensor);
    }
    add_tensor(checkpoint, *found, shard->name);
    return 0;
}

/* Files are opened in the order of their first mention, so that an error names the first tensor
 * that cannot be had. */
static int open_sharded(struct checkpoint *checkpoint, const char *index_path, struct err *err)
{
    struct shard_index index = {0};
    int rc = shard_index_load(&index, index_path, err);
    const struct safetensors_tensor ***by_names = mem_array(index.n_files, sizeof(*by_names));

    for (size_t i = 0; i < index.n && rc == 0; i++) {
        const struct shard_index_entry *entry = &index.entries[i];

        if (entry->file == checkpoint->n_shards) {
            rc = open_shard(checkpoint, index.files[entry->file], &by_names[entry->file], err);
            if (rc == ERR_MISSING) {
                rc = err_wrap(err, "%s: %.200s", index_path, entry->tensor);
            }
        }
        if (rc == 0) {
            rc = take_entry(checkpoint, entry, by_names[entry->file], err);
        }
    }
    for (size_t f = 0; f < index.n_files; f++) {
        free(by_names[f]);
    }
    free(by_names);
    shard_index_release(&index);
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
                : " and no " SHARD_INDEX_NAME);
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

    if (!tensors_place(&checkpoint->config, tensor->name, &place)) {
        return err_set(err, ERR_FORMAT, "%s/%s: %s: a %s model has no such tensor",
                       checkpoint->folder, tensor->file, tensor->name,
                       checkpoint->config.model_type);
    }
    if (place.role != TENSOR_UNKNOWN &&
        !same_shape(tensor->dims, tensor->n_dims, place.dims, place.n_dims)) {
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

/* Of the two ways to call a nested text model's tensors, the file's. */
static void find_nesting(struct checkpoint *checkpoint)
{
    struct config *config = &checkpoint->config;

    for (size_t i = 0; i < checkpoint->n_tensors && config->nesting != CONFIG_ALONE; i++) {
        if (strncmp(checkpoint->tensors[i].name, "model.language_model.",
                    strlen("model.language_model.")) == 0) {
            config->nesting = CONFIG_NESTED_NEWER;
        }
    }
}

static int check_tensors(struct checkpoint *checkpoint, struct err *err)
{
    find_nesting(checkpoint);
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
                           checkpoint->n_shards == 1 ? checkpoint->shards[0].name
                                                     : SHARD_INDEX_NAME,
                           place.name);
        }
    }
    return 0;
}

/* ---- the door ---- */

static int open_folder(struct checkpoint *made, struct err *err)
{
    char *index_path = file_join(made->folder, SHARD_INDEX_NAME);
    char *route_path = file_join(made->folder, CHECKPOINT_FOLDED);
    int rc;

    if (!file_is_dir(made->folder)) {
        rc = err_set(err, ERR_MISSING, "%s: no such model folder", made->folder);
    } else if (file_exists(route_path)) {
        rc = err_set(err, ERR_FORMAT, "%s: a folded route; export it flat to run it", route_path);
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
    free(route_path);
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

enum dtype checkpoint_dtype(const struct checkpoint *checkpoint, bool *mixed)
{
    const struct config *config = &checkpoint->config;
    enum dtype found = DTYPE_F32;
    size_t n = 0;

    *mixed = false;
    for (size_t i = 0; i < checkpoint->n_tensors; i++) {
        const enum dtype dtype = checkpoint->tensors[i].dtype;

        if (dtype_is_number(dtype)) {
            *mixed = *mixed || (n > 0 && dtype != found);
            found = n++ == 0 ? dtype : found;
        }
    }
    if (*mixed) {
        found = config->has_dtype ? config->dtype : DTYPE_F32;
    }
    return found;
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

/* Below this a model is hashed sooner than processes are started. */
#define CREW_ABOVE ((size_t)16 << 20)
#define HASH_BYTES ((size_t)1 << 20)

static int hash_tensor(void *context, size_t i, void *content, struct err *err)
{
    const struct checkpoint *checkpoint = context;
    const struct checkpoint_tensor *tensor = &checkpoint->tensors[i];
    struct digest *digest = digest_new();

    (void)err;
    for (size_t at = 0; at < tensor->n_bytes; at += HASH_BYTES) {
        size_t left = tensor->n_bytes - at;
        size_t n = left < HASH_BYTES ? left : HASH_BYTES;

        digest_add(digest, tensor->data + at, n);
        file_passed(tensor->data + at, n);
    }
    file_done(tensor->data, tensor->n_bytes);
    digest_end(digest, content);
    return 0;
}

/* In a process of its own, which goes through the maps once. */
static int hash_apart(void *context, size_t i, void *content, struct err *err)
{
    file_drop_passed();
    return hash_tensor(context, i, content, err);
}

static const char *name_folder(void *context, size_t i)
{
    (void)i;
    return ((const struct checkpoint *)context)->folder;
}

/* contents [n_tensors, DIGEST_SIZE], by as many processes as there are cores. */
static int hash_tensors(struct checkpoint *checkpoint, unsigned char *contents, struct err *err)
{
    const struct crew crew = {.n_jobs = checkpoint->n_tensors,
                              .n_processes = crew_processors(),
                              .result_bytes = DIGEST_SIZE,
                              .work = hash_apart,
                              .name = name_folder,
                              .context = checkpoint};
    size_t n_bytes = 0;

    for (size_t i = 0; i < checkpoint->n_tensors; i++) {
        n_bytes += checkpoint->tensors[i].n_bytes;
    }
    if (n_bytes > CREW_ABOVE) {
        return crew_run(&crew, contents, err);
    }
    for (size_t i = 0; i < checkpoint->n_tensors; i++) {
        (void)hash_tensor(checkpoint, i, contents + i * DIGEST_SIZE, err);
    }
    return 0;
}

int checkpoint_weights_digest(struct checkpoint *checkpoint, char out[DIGEST_HEX], struct err *err)
{
    unsigned char *contents = mem_array(checkpoint->n_tensors, DIGEST_SIZE);
    struct err changed = {0};

    int rc = hash_tensors(checkpoint, contents, err);
    /* A file cut short kills its reader; that says more than the death does. */
    if (rc != ERR_STOPPED && checkpoint_unchanged(checkpoint, &changed) != 0) {
        rc = err_set(err, changed.code, "%s", changed.text);
    }
    if (rc == 0) {
        struct digest *digest = digest_new();

        for (size_t i = 0; i < checkpoint->n_tensors; i++) {
            const struct checkpoint_tensor *tensor = &checkpoint->tensors[i];

            checkpoint_digest_tensor(digest, tensor->name, tensor->dtype, tensor->dims,
                                     tensor->n_dims, contents + i * DIGEST_SIZE);
        }
        digest_end_hex(digest, out);
    }
    free(contents);
    return rc;
}

static int digest_file(struct digest *digest, const char *folder, const char *name, struct err *err)
{
    char *path = file_join(folder, name);
    struct file_bytes bytes = {0};
    int rc = 0;

    digest_add_text(digest, name);
    if (file_exists(path)) {
        rc = file_read(&bytes, path, DIGESTED_SIZE_MAX, err);
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
