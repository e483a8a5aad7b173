/*
 * safetensors_write.h - a model's weights written as safetensors, in one file or in shards.
 *
 * Sizes are known beforehand, so files stand at full size, header and all, before the first byte of
 * a tensor comes; a disk that is too small says so at once. Bytes then come in order, or anywhere
 * and from several processes: a writer may be used by forked copies of the one that began. What is
 * written goes to the disk at once, in large stretches, and is dropped from the system's cache
 * where it would push other things out.
 *
 * The caller writes into a folder of its own making and renames that when all is there; each file
 * is synced.
 */
#ifndef MODEL_SAFETENSORS_WRITE_H
#define MODEL_SAFETENSORS_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/dtype.h"
#include "evaluator/model/tensors.h"

/* Data bytes a shard, the usual default of the field's tools. */
#define SAFETENSORS_SHARD_BYTES 5000000000ULL

struct safetensors_output {
    const char *name;
    enum dtype dtype;
    size_t n_dims;
    size_t dims[TENSORS_DIMS_MAX];
    size_t n_bytes;
};

struct safetensors_writer;

/* tensors [n] in the order in which they will lie (widest type first, then by name), kept until the
 * end. Makes model.safetensors, or shards and model.safetensors.index.json when they need more than
 * shard_bytes. */
int safetensors_write_begin(struct safetensors_writer **out, const char *folder,
                            const struct safetensors_output *tensors, size_t n,
                            uint64_t shard_bytes, struct err *err);

/* Bytes [at, at + n) of the i-th tensor. Few large calls are better than many small ones, and those
 * that go forward better than those that jump. */
int safetensors_write_at(struct safetensors_writer *writer, size_t i, uint64_t at,
                         const void *bytes, size_t n, struct err *err);

/* The next bytes, in order; they may cross tensors' borders nowhere but at their ends. */
int safetensors_write_bytes(struct safetensors_writer *writer, const void *bytes, size_t n,
                            struct err *err);

/* Sync, write the index, free: end after bytes in order, ERR_FORMAT when some are missing; seal
 * after write_at, whose caller knows that all is there. */
int safetensors_write_end(struct safetensors_writer *writer, struct err *err);
int safetensors_write_seal(struct safetensors_writer *writer, struct err *err);

/* Free, as it is. NULL is fine. */
void safetensors_write_abandon(struct safetensors_writer *writer);

#endif
