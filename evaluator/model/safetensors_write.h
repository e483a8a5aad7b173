/*
 * safetensors_write.h - a model's weights written as safetensors, in one file or in shards.
 *
 * Sizes are known beforehand, bytes come in order: tensors by type width, widest first, then by
 * name. The caller writes into a folder of its own making and renames that when all is there; each
 * file is synced.
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

/* tensors [n] in the order their bytes will come (one type, by name), kept until the end. Writes
 * model.safetensors, or shards and model.safetensors.index.json when they need more than
 * shard_bytes. */
int safetensors_write_begin(struct safetensors_writer **out, const char *folder,
                            const struct safetensors_output *tensors, size_t n,
                            uint64_t shard_bytes, struct err *err);
/* The next bytes; they may cross tensors' borders nowhere but at their ends. */
int safetensors_write_bytes(struct safetensors_writer *writer, const void *bytes, size_t n,
                            struct err *err);
/* Sync, write the index, free. ERR_FORMAT when bytes are missing. NULL is fine with abandon. */
int safetensors_write_end(struct safetensors_writer *writer, struct err *err);
void safetensors_write_abandon(struct safetensors_writer *writer);

#endif
