/*
 * safetensors_write.c - a model's weights written as safetensors.
 *
 *   size of the header, 8 bytes | header, padded to 8 | tensor | tensor | ...
 */
#include "evaluator/model/safetensors_write.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"

#define STRETCH_BYTES ((uint64_t)8 << 20) /* what is sent to the disk at once */

/* sync_file_range of linux/fs.h */
#define RANGE_WAIT_BEFORE 1U
#define RANGE_WRITE 2U
#define RANGE_WAIT_AFTER 4U

#define NO_SHARD SIZE_MAX

/* Bytes of the open shard. */
struct stretch {
    uint64_t begin, end;
};

struct safetensors_writer {
    char *folder;
    const struct safetensors_output *tensors;
    size_t n_tensors;
    size_t *shard_of; /* [n_tensors] */
    uint64_t *at;     /* [n_tensors] first byte in the shard's file */
    size_t n_shards;
    uint64_t total_bytes;
    bool drops; /* from the system's cache what is on the disk */
    /* the open shard */
    size_t shard; /* NO_SHARD: none */
    int fd;
    char *path;
    struct stretch written; /* since the last one was sent */
    struct stretch sent;    /* the last one */
    /* bytes in order: the tensor that is next, and how many of its bytes are there */
    size_t tensor;
    uint64_t filled;
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
        writer->at[i] = filled;
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

static int fail(const struct safetensors_writer *writer, struct err *err)
{
    return err_set_errno(err, ERR_IO, "%s", writer->path);
}

/* ---- files ---- */

static int open_shard(struct safetensors_writer *writer, size_t shard, int flags, struct err *err)
{
    char *name = shard_name(writer, shard);

    free(writer->path);
    writer->path = file_join(writer->folder, name);
    free(name);
    writer->fd = open(writer->path, O_WRONLY | O_CLOEXEC | flags, 0666);
    if (writer->fd < 0) {
        return fail(writer, err);
    }
    writer->shard = shard;
    writer->written = (struct stretch){0};
    writer->sent = (struct stretch){0};
    return 0;
}

static int put(const struct safetensors_writer *writer, uint64_t at, const void *bytes, size_t n,
               struct err *err)
{
    const unsigned char *from = bytes;

    while (n > 0) {
        ssize_t done = pwrite(writer->fd, from, n, (off_t)at);

        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return fail(writer, err);
        }
        from += done;
        at += (uint64_t)done;
        n -= (size_t)done;
    }
    return 0;
}

/* Let the disk begin with what was written; what it was given before is there by now, or nearly. */
static void send_written(struct safetensors_writer *writer)
{
    const struct stretch sent = writer->sent;

    if (writer->written.end == writer->written.begin) {
        return;
    }
    /* Advice only: where the system has no such calls, or fails, fsync at the end does it all. */
    (void)syscall(SYS_sync_file_range, writer->fd, (off_t)writer->written.begin,
                  (off_t)(writer->written.end - writer->written.begin), RANGE_WRITE);
    if (writer->drops && sent.end > sent.begin) {
        (void)syscall(SYS_sync_file_range, writer->fd, (off_t)sent.begin,
                      (off_t)(sent.end - sent.begin),
                      RANGE_WAIT_BEFORE | RANGE_WRITE | RANGE_WAIT_AFTER);
        (void)posix_fadvise(writer->fd, (off_t)sent.begin, (off_t)(sent.end - sent.begin),
                            POSIX_FADV_DONTNEED);
    }
    writer->sent = writer->written;
    writer->written.begin = writer->written.end;
}

static int close_shard(struct safetensors_writer *writer, bool sync, struct err *err)
{
    int rc = 0;

    if (sync && fsync(writer->fd) != 0) {
        rc = fail(writer, err);
    }
    if (sync && writer->drops) {
        (void)posix_fadvise(writer->fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    if (close(writer->fd) != 0 && rc == 0) {
        rc = fail(writer, err);
    }
    writer->fd = -1;
    writer->shard = NO_SHARD;
    return rc;
}

/* ---- headers ---- */

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

/* Take the room for a file of this size; a file system that cannot, need not. */
static int reserve(const struct safetensors_writer *writer, uint64_t n_bytes, struct err *err)
{
    if (syscall(SYS_fallocate, writer->fd, 0, (off_t)0, (off_t)n_bytes) == 0) {
        return 0;
    }
    if (errno != EOPNOTSUPP && errno != ENOSYS) {
        return fail(writer, err);
    }
    return ftruncate(writer->fd, (off_t)n_bytes) == 0 ? 0 : fail(writer, err);
}

/* A shard's file at full size, with its header. */
static int make_shard(struct safetensors_writer *writer, size_t shard, struct err *err)
{
    struct text header = {0};
    unsigned char size[8];
    uint64_t end = 0;

    int rc = open_shard(writer, shard, O_CREAT | O_EXCL, err);
    if (rc != 0) {
        return rc;
    }
    header_text(writer, shard, &header);
    for (size_t i = 0; i < 8; i++) {
        size[i] = (unsigned char)((uint64_t)header.size >> (8 * i));
    }
    for (size_t i = 0; i < writer->n_tensors; i++) {
        if (writer->shard_of[i] == shard) {
            writer->at[i] += 8 + header.size;
            end = writer->at[i] + writer->tensors[i].n_bytes;
        }
    }
    rc = reserve(writer, end > 0 ? end : 8 + header.size, err);
    if (rc == 0) {
        rc = put(writer, 0, size, 8, err);
    }
    if (rc == 0) {
        rc = put(writer, 8, text_get(&header), header.size, err);
    }
    text_release(&header);
    int closed = close_shard(writer, false, rc == 0 ? err : NULL);
    return rc != 0 ? rc : closed;
}

/* ---- the door ---- */

/* True when the output would push out of memory what is there now, the inputs first of all. */
static bool is_scarce(uint64_t n_bytes)
{
#if defined(_SC_AVPHYS_PAGES)
    uint64_t n_free = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

    return n_free / 2 < n_bytes;
#else
    return true;
#endif
}

int safetensors_write_begin(struct safetensors_writer **out, const char *folder,
                            const struct safetensors_output *tensors, size_t n,
                            uint64_t shard_bytes, struct err *err)
{
    struct safetensors_writer *writer = mem_array(1, sizeof(*writer));
    int rc = 0;

    *writer = (struct safetensors_writer){.folder = mem_text(folder),
                                          .tensors = tensors,
                                          .n_tensors = n,
                                          .shard_of = mem_array(n, sizeof(size_t)),
                                          .at = mem_array(n, sizeof(uint64_t)),
                                          .shard = NO_SHARD,
                                          .fd = -1};
    assign_shards(writer, shard_bytes);
    writer->drops = is_scarce(writer->total_bytes);
    for (size_t shard = 0; shard < writer->n_shards && rc == 0; shard++) {
        rc = make_shard(writer, shard, err);
    }
    if (rc != 0) {
        safetensors_write_abandon(writer);
        return rc;
    }
    *out = writer;
    return 0;
}

/* Make the shard of a tensor the open one. */
static int enter_shard(struct safetensors_writer *writer, size_t shard, struct err *err)
{
    int rc = 0;

    if (writer->shard == shard) {
        return 0;
    }
    if (writer->shard != NO_SHARD) {
        send_written(writer);
        rc = close_shard(writer, false, err);
    }
    return rc != 0 ? rc : open_shard(writer, shard, 0, err);
}

int safetensors_write_at(struct safetensors_writer *writer, size_t i, uint64_t at,
                         const void *bytes, size_t n, struct err *err)
{
    uint64_t begin = writer->at[i] + at;

    assert(i < writer->n_tensors && at + n <= writer->tensors[i].n_bytes);
    int rc = enter_shard(writer, writer->shard_of[i], err);
    if (rc == 0) {
        rc = put(writer, begin, bytes, n, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (begin != writer->written.end) { /* a jump */
        send_written(writer);
        writer->written.begin = begin;
    }
    writer->written.end = begin + n;
    if (writer->written.end - writer->written.begin >= STRETCH_BYTES) {
        send_written(writer);
    }
    return 0;
}

/* Step over tensors that are complete, those without bytes included. */
static void advance(struct safetensors_writer *writer)
{
    while (writer->tensor < writer->n_tensors &&
           writer->filled == writer->tensors[writer->tensor].n_bytes) {
        writer->tensor++;
        writer->filled = 0;
    }
}

int safetensors_write_bytes(struct safetensors_writer *writer, const void *bytes, size_t n,
                            struct err *err)
{
    advance(writer);
    if (n == 0) {
        return 0;
    }
    if (writer->tensor == writer->n_tensors ||
        n > writer->tensors[writer->tensor].n_bytes - writer->filled) {
        return err_set(err, ERR_FORMAT, "%s: more bytes than the tensor has", writer->folder);
    }
    int rc = safetensors_write_at(writer, writer->tensor, writer->filled, bytes, n, err);
    if (rc == 0) {
        writer->filled += n;
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

static int sync_shard(struct safetensors_writer *writer, size_t shard, struct err *err)
{
    int rc = enter_shard(writer, shard, err);

    return rc != 0 ? rc : close_shard(writer, true, err);
}

int safetensors_write_seal(struct safetensors_writer *writer, struct err *err)
{
    int rc = 0;

    for (size_t shard = 0; shard < writer->n_shards && rc == 0; shard++) {
        rc = sync_shard(writer, shard, err);
    }
    if (rc == 0 && writer->n_shards > 1) {
        rc = write_index(writer, err);
    }
    safetensors_write_abandon(writer);
    return rc;
}

int safetensors_write_end(struct safetensors_writer *writer, struct err *err)
{
    advance(writer);
    if (writer->tensor == writer->n_tensors) {
        return safetensors_write_seal(writer, err);
    }
    int rc = err_set(err, ERR_FORMAT, "%s: tensor %s is incomplete", writer->folder,
                     writer->tensors[writer->tensor].name);
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
    free(writer->at);
    free(writer);
}
