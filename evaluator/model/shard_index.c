/*
 * shard_index.c - the weight map of a model in several files, read without trust.
 */
#include "evaluator/model/shard_index.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static bool is_bare_name(const char *name)
{
    return *name != '\0' && strchr(name, '/') == NULL && strcmp(name, "..") != 0 &&
           strcmp(name, ".") != 0;
}

/* The number of a file; known maps names to numbers. */
static int number_of(struct shard_index *index, json_t *known, const char *file, size_t *out,
                     struct err *err)
{
    const json_t *number = json_object_get(known, file);

    if (number != NULL) {
        *out = (size_t)json_integer_value(number);
        return 0;
    }
    if (index->n_files == SHARD_INDEX_FILES_MAX) {
        return err_set(err, ERR_LIMIT, "more than %d shards", SHARD_INDEX_FILES_MAX);
    }
    *out = index->n_files++;
    index->files = mem_resize(index->files, index->n_files, sizeof(char *));
    index->files[*out] = file;
    json_object_set_new(known, file, json_integer((json_int_t)*out));
    return 0;
}

static int read_map(struct shard_index *index, json_t *map, struct err *err)
{
    json_t *known = json_object();
    const char *tensor;
    json_t *value;
    int rc = 0;

    index->entries = mem_array(json_object_size(map), sizeof(struct shard_index_entry));
    json_object_foreach(map, tensor, value)
    {
        const char *file = json_string_value(value);
        struct shard_index_entry *entry = &index->entries[index->n];

        if (file == NULL || !is_bare_name(file)) {
            rc = err_set(err, ERR_FORMAT, "%.200s: '%.200s' is no bare file name", tensor,
                         file != NULL ? file : "");
        } else {
            rc = number_of(index, known, file, &entry->file, err);
        }
        if (rc != 0) {
            break;
        }
        entry->tensor = tensor;
        index->n++;
    }
    json_decref(known);
    return rc;
}

int shard_index_parse(struct shard_index *out, json_t *doc, struct err *err)
{
    struct shard_index made = {0};
    json_t *map;
    int rc = doc_object(doc, "weight_map", &map, err);

    if (rc == 0) {
        rc = read_map(&made, map, err);
    }
    if (rc != 0) {
        shard_index_release(&made);
        return rc;
    }
    made.doc = json_incref(doc);
    *out = made;
    return 0;
}

int shard_index_load(struct shard_index *out, const char *path, struct err *err)
{
    json_t *doc = NULL;
    int rc = doc_load(&doc, path, SHARD_INDEX_SIZE_MAX, err);

    if (rc != 0) {
        return rc;
    }
    rc = shard_index_parse(out, doc, err);
    json_decref(doc);
    return rc == 0 ? 0 : err_wrap(err, "%s", path);
}

void shard_index_release(struct shard_index *index)
{
    json_decref(index->doc);
    free(index->files);
    free(index->entries);
    *index = (struct shard_index){0};
}
