/*
 * tokenizer_files.c - four maps, of which one must be there.
 */
#include "evaluator/model/tokenizer_files.h"

#include <stdlib.h>

#include "evaluator/model/tokenizer_image.h"

static int map_file(struct file_map *out, const char **bytes, size_t *n, const char *path,
                    size_t max, struct err *err)
{
    const int rc = file_map(out, path, err);

    if (rc != 0) {
        return rc;
    }
    if (out->size > max) {
        return err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", path, max);
    }
    *bytes = out->size > 0 ? (const char *)out->data : "";
    *n = out->size;
    return 0;
}

int tokenizer_files_open(struct tokenizer_files *out, const char *folder, struct err *err)
{
    struct tokenizer_files made = {0};
    struct tokenizer_sources *sources = &made.sources;
    char *path = file_join(folder, "tokenizer.json");

    int rc = map_file(&made.tokenizer, &sources->tokenizer, &sources->n_tokenizer, path,
                      TOKENIZER_FILE_MAX, err);
    for (size_t f = 0; rc == 0 && f < TOKENIZER_CONFIG_FILES; f++) {
        free(path);
        path = file_join(folder, tokenizer_config_name((enum tokenizer_config_file)f));
        if (file_exists(path)) {
            rc = map_file(&made.configs[f], &sources->configs[f], &sources->n_configs[f], path,
                          TOKENIZER_CONFIG_MAX, err);
        }
    }
    free(path);
    if (rc != 0) {
        tokenizer_files_close(&made);
        return rc;
    }
    *out = made;
    return 0;
}

void tokenizer_files_close(struct tokenizer_files *files)
{
    file_unmap(&files->tokenizer);
    for (size_t f = 0; f < TOKENIZER_CONFIG_FILES; f++) {
        file_unmap(&files->configs[f]);
    }
    *files = (struct tokenizer_files){0};
}

static void add_bytes(struct digest *digest, const char *bytes, size_t n)
{
    digest_add_u64(digest, bytes != NULL);
    digest_add_u64(digest, n);
    if (bytes != NULL) {
        digest_add(digest, bytes, n);
    }
}

void tokenizer_files_key(const struct tokenizer_files *files, char out[DIGEST_HEX])
{
    const struct tokenizer_sources *sources = &files->sources;
    struct digest *digest = digest_new();

    digest_add_text(digest, "tokenizer image");
    digest_add_u64(digest, IMAGE_VERSION);
    add_bytes(digest, sources->tokenizer, sources->n_tokenizer);
    for (size_t f = 0; f < TOKENIZER_CONFIG_FILES; f++) {
        add_bytes(digest, sources->configs[f], sources->n_configs[f]);
    }
    digest_end_hex(digest, out);
}
