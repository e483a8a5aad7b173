/*
 * tokenizer_compile.h - the files of a tokenizer made into an image.
 *
 * The image's parts are this document, canonically printed:
 *
 *   {"tokenizer": {"normalizer": ..., "pre_tokenizer": ..., "post_processor": ..., "decoder": ...,
 *                  "model": {"byte_fallback": ..., ...}},
 *    "special": {"tokenizer_config.json": {"bos_token": ..., ...}, ...}}
 */
#ifndef MODEL_TOKENIZER_COMPILE_H
#define MODEL_TOKENIZER_COMPILE_H

#include <stddef.h>

#include "base/err.h"
#include "base/text.h"
#include "evaluator/model/tokenizer_config.h"

/* Bytes of files; NULL: there is none. */
struct tokenizer_sources {
    const char *tokenizer; /* tokenizer.json */
    size_t n_tokenizer;
    const char *configs[TOKENIZER_CONFIG_FILES];
    size_t n_configs[TOKENIZER_CONFIG_FILES];
};

/*
 * Fill out, which must be empty, with an image (tokenizer_image.h). Checks what makes its arrays:
 * ERR_FORMAT names the file and the other model types, tokens that occur twice, merges whose tokens
 * the vocabulary lacks; ERR_LIMIT. What stays JSON is checked where it is used.
 */
int tokenizer_compile(struct text *out, const struct tokenizer_sources *sources, struct err *err);

#endif
