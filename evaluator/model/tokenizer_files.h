/*
 * tokenizer_files.h - the files of a folder that a tokenizer is made of.
 */
#ifndef MODEL_TOKENIZER_FILES_H
#define MODEL_TOKENIZER_FILES_H

#include "base/digest.h"
#include "base/err.h"
#include "base/file.h"
#include "evaluator/model/tokenizer_compile.h"

#define TOKENIZER_FILE_MAX ((size_t)256 << 20)
#define TOKENIZER_CONFIG_MAX ((size_t)16 << 20) /* tokenizer_config.json repeats added tokens */

/* All zero: none. */
struct tokenizer_files {
    struct file_map tokenizer, configs[TOKENIZER_CONFIG_FILES];
    struct tokenizer_sources sources; /* their bytes */
};

/* Map folder/tokenizer.json and what there is beside it. ERR_MISSING without tokenizer.json,
 * ERR_LIMIT, ERR_IO; errors name the file. */
int tokenizer_files_open(struct tokenizer_files *out, const char *folder, struct err *err);
void tokenizer_files_close(struct tokenizer_files *files);

/* A name for what tokenizer_compile makes of them: files of the same bytes have the same, and every
 * version of the image another. */
void tokenizer_files_key(const struct tokenizer_files *files, char out[DIGEST_HEX]);

#endif
