/*
 * safetensors_write.c - a model's weights written as safetensors.
 */
#include "evaluator/model/safetensors_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"

#define BUFFER_BYTES ((size_t)1 << 20)

struct safetensors_writer {
    char *folder;
    const struct safetensors_output *tensors;
    size_t n_tensors;
    size_t *shard_of; /* [n_tensors] */
    size_t n_shards;
    uint64_t total_bytes;
    size_t tensor;  /* the one being written */
    size_t written; /* bytes of it */
    int fd;         /* of the open shard, -1: none */
    char *path;
    unsigned char *buffer;
    size_t buffered;
};

/* Fill a shard until the next tensor would pass the limit; a larger tensor has one of its own. */
static void assign_shards(struct safetensors_writer *writer, uint64_t shard_bytes)
{
    uint64_t filled = 0;

    writer->n_shards = 1;
    for (size_t i = 0; i < writer->n_tensors; i++) {
        uint64_t n = writer->tensors[i].n_bytes;

        if (filled > 0 && filled + n > shard_bytes) {
            writer->n_shards++;
            filled = 0;
        }
        filled += n;
        writer->shard_of[i] = writer->n_shards - 1;
        writer->total_bytes += n;
    }
}

static char *shard_name(const struct safetensors_writer *writer, size_t shard)
{
    if (writer->n_shards == 1) {
        return mem_text("model.safetensors");
    }
    return mem_printf("model-%05zu-of-%05zu.safetensors", shard + 1, writer->n_shards);
}

/* ---- buffered bytes ---- */

static int flush(struct safetensors_writer *writer, struct err *err)
{
    size_t at = 0;

    while (at < writer->buffered) {
        ssize_t n = write(writer->fd, writer->buffer + at, writer->buffered - at);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_set_errno(err, ERR_IO, "%s", writer->path);
        }
        at += (size_t)n;
    }
    writer->buffered = 0;
    return 0;
}

static int put(struct safetensors_writer *writer, const void *bytes, size_t n, struct err *err)
{
    const unsigned char *from = bytes;

    while (n > 0) {
        size_t room = BUFFER_BYTES - writer->buffered;
        size_t part = n < room ? n : room;

        memcpy(writer->buffer + writer->buffered, from, part);
        writer->buffered += part;
        from += part;
        n -= part;
        if (writer->buffered == BUFFER_BYTES) {
            int rc = flush(writer, err);

            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

/* ---- shards ---- */

static void header_text(const struct safetensors_writer *writer, size_t shard, struct text *out)
{
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    json_int_t at = 0;

    for (size_t i = 0; i < writer->n_tensors; i++) {
        const struct safetensors_output *tensor = &writer->tensors[i];
        json_t *shape = json_array();

        if (writer->shard_of[i] != shard) {
            json_decref(shape);
            continue;
        }
        for (size_t d = 0; d < tensor->n_dims; d++) {
            json_array_append_new(shape, json_integer((json_int_t)tensor->dims[d]));
        }
        json_object_set_new(header, tensor->name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(tensor->dtype),
                                      "shape", shape, "data_offsets", at,
                                      at + (json_int_t)tensor->n_bytes));
        at += (json_int_t)tensor->n_bytes;
    }
    doc_print(out, header);
    while (out->size % 8 != 0) {
        text_add_char(out, ' ');
    }
    json_decref(header);
}

static int open_shard(struct safetensors_writer *writer, size_t shard, struct err *err)
{
    char *name = shard_name(writer, shard);
    struct text header = {0};
    unsigned char size[8];

    free(writer->path);
    writer->path = file_join(writer->folder, name);
    free(name);
    writer->fd = open(writer->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (writer->fd < 0) {
        return err_set_errno(err, ERR_IO, "%s", writer->path);
    }
    header_text(writer, shard, &header);
    for (size_t i = 0; i < 8; i++) {
        size[i] = (unsigned char)((uint64_t)header.size >> (8 * i));
    }
    int rc = put(writer, size, 8, err);
    if (rc == 0) {
        rc = put(writer, text_get(&header), header.size, err);
    }
    text_release(&header);
    return rc;
}

static int close_shard(struct safetensors_writer *writer, struct err *err)
{
    int rc = flush(writer, err);

    if (rc == 0 && fsync(writer->fd) != 0) {
        rc = err_set_errno(err, ERR_IO, "%s", writer->path);
    }
    if (close(writer->fd) != 0 && rc == 0) {
        rc = err_set_errno(err, ERR_IO, "%s", writer->path);
    }
    writer->fd = -1;
    return rc;
}

/* The next tensor begins: move to its shard when it is another. */
static int enter_tensor(struct safetensors_writer *writer, struct err *err)
{
    size_t shard = writer->shard_of[writer->tensor];
    bool first = writer->tensor == 0 || writer->shard_of[writer->tensor - 1] != shard;
    int rc = 0;

    if (!first) {
        return 0;
    }
    if (writer->fd >= 0) {
        rc = close_shard(writer, err);
    }
    return rc != 0 ? rc : open_shard(writer, shard, err);
}

/* Step over what is complete, tensors without bytes included. */
static int advance(struct safetensors_writer *writer, struct err *err)
{
    while (writer->tensor < writer->n_tensors &&
           writer->written == writer->tensors[writer->tensor].n_bytes) {
        writer->tensor++;
        writer->written = 0;
        if (writer->tensor < writer->n_tensors) {
            int rc = enter_tensor(writer, err);

            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

/* ---- the door ---- */

int safetensors_write_begin(struct safetensors_writer **out, const char *folder,
                            const struct safetensors_output *tensors, size_t n,
                            uint64_t shard_bytes, struct err *err)
{
    struct safetensors_writer *writer = mem_array(1, sizeof(*writer));

    *writer = (struct safetensors_writer){
        .folder = mem_text(folder), .tensors = tensors, .n_tensors = n, .fd = -1};
    writer->shard_of = mem_array(n, sizeof(size_t));
    writer->buffer = mem_alloc(BUFFER_BYTES);
    assign_shards(writer, shard_bytes);
    int rc = n > 0 ? enter_tensor(writer, err) : open_shard(writer, 0, err);
    if (rc == 0) {
        rc = advance(writer, err);
    }
    if (rc != 0) {
        safetensors_write_abandon(writer);
        return rc;
    }
    *out = writer;
    return 0;
}

int safetensors_write_bytes(struct safetensors_writer *writer, const void *bytes, size_t n,
                            struct err *err)
{
    if (writer->tensor == writer->n_tensors ||
        n > writer->tensors[writer->tensor].n_bytes - writer->written) {
        return err_set(err, ERR_FORMAT, "%s: more bytes than the tensor has", writer->path);
    }
    int rc = put(writer, bytes, n, err);
    if (rc == 0) {
        writer->written += n;
        rc = advance(writer, err);
    }
    return rc;
}

static int write_index(const struct safetensors_writer *writer, struct err *err)
{
    json_t *map = json_object();
    struct text text = {0};

    for (size_t i = 0; i < writer->n_tensors; i++) {
        char *name = shard_name(writer, writer->shard_of[i]);

        json_object_set_new(map, writer->tensors[i].name, json_string(name));
        free(name);
    }
    json_t *index = json_pack("{s:{s:I}, s:o}", "metadata", "total_size",
                              (json_int_t)writer->total_bytes, "weight_map", map);
    doc_print_pretty(&text, index);
    char *path = file_join(writer->folder, "model.safetensors.index.json");
    int rc = file_write(path, text_get(&text), text.size, 0666, err);
    free(path);
    text_release(&text);
    json_decref(index);
    return rc;
}

int safetensors_write_end(struct safetensors_writer *writer, struct err *err)
{
    int rc = 0;

    if (writer->tensor < writer->n_tensors) {
        rc = err_set(err, ERR_FORMAT, "%s: tensor %s is incomplete", writer->path,
                     writer->tensors[writer->tensor].name);
    } else {
        rc = close_shard(writer, err);
    }
    if (rc == 0 && writer->n_shards > 1) {
        rc = write_index(writer, err);
    }
    safetensors_write_abandon(writer);
    return rc;
}

void safetensors_write_abandon(struct safetensors_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    if (writer->fd >= 0) {
        close(writer->fd);
    }
    free(writer->folder);
    free(writer->path);
    free(writer->shard_of);
    free(writer->buffer);
    free(writer);
}
