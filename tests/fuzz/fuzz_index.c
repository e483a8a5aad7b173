/* model.safetensors.index.json: what is accepted names bare files, each mentioned, each tensor
 * once.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/model/shard_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check(const struct shard_index *index)
{
    must(index->n_files <= index->n && index->n_files <= SHARD_INDEX_FILES_MAX);
    size_t mentioned = 0;
    for (size_t i = 0; i < index->n; i++) {
        must(index->entries[i].file < index->n_files && index->entries[i].file <= mentioned);
        mentioned += index->entries[i].file == mentioned;
        for (size_t j = 0; j < i; j++) {
            must(strcmp(index->entries[i].tensor, index->entries[j].tensor) != 0);
        }
    }
    must(mentioned == index->n_files);
    for (size_t f = 0; f < index->n_files; f++) {
        must(*index->files[f] != '\0' && strchr(index->files[f], '/') == NULL);
        must(strcmp(index->files[f], ".") != 0 && strcmp(index->files[f], "..") != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct shard_index index = {0};
    json_t *doc = NULL;

    if (doc_parse(&doc, (const char *)bytes, n, NULL) != 0) {
        return 0;
    }
    struct err err = {0};
    const int rc = shard_index_parse(&index, doc, &err);
    json_decref(doc);
    if (rc != 0) {
        must(rc == ERR_FORMAT || rc == ERR_MISSING || rc == ERR_LIMIT);
        must(err.text[0] != '\0' && strchr(err.text, '\n') == NULL && index.doc == NULL);
        return 0;
    }
    check(&index);
    shard_index_release(&index);
    return 0;
}
