/*
 * shard_index.h - model.safetensors.index.json: which tensor is in which file.
 *
 *   {"metadata": {"total_size": 27000000000}, "weight_map": {"<tensor>": "<file name>", ...}}
 *
 * Files are bare names in the index's folder; nothing leads out of it. metadata is not looked at.
 */
#ifndef MODEL_SHARD_INDEX_H
#define MODEL_SHARD_INDEX_H

#include <stddef.h>

#include "base/doc.h"
#include "base/err.h"

#define SHARD_INDEX_NAME "model.safetensors.index.json"
#define SHARD_INDEX_SIZE_MAX ((size_t)100 << 20)
#define SHARD_INDEX_FILES_MAX 10000

struct shard_index_entry {
    const char *tensor; /* in doc */
    size_t file;        /* among files */
};

struct shard_index {
    json_t *doc; /* what names point into */
    size_t n_files;
    const char **files; /* [n_files] in the order of their first mention */
    size_t n;
    struct shard_index_entry *entries; /* [n] */
};

/* doc is kept by reference. ERR_MISSING, ERR_FORMAT: no weight_map, or the tensor whose file is no
 * bare file name; ERR_LIMIT: too many files. */
int shard_index_parse(struct shard_index *out, json_t *doc, struct err *err);

/* The same from a file; errors begin with its path. */
int shard_index_load(struct shard_index *out, const char *path, struct err *err);
void shard_index_release(struct shard_index *index);

#endif
