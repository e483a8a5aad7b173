/*
 * tokenizer_cache.h - images of tokenizers (tokenizer_image.h) that outlive the process.
 *
 *   $XDG_CACHE_HOME/braid/tokenizers/<key>       else  $HOME/.cache/braid/tokenizers/<key>
 *
 * A file is written beside and renamed, never changed, and mapped read-only by any number of
 * processes. One that is damaged, cut short or of another version is as good as none. The
 * TOKENIZER_CACHE_KEPT that were last used stay, older ones are removed when one is added; some
 * megabytes each. Nothing here fails: without a folder, or on a full disk, there is no cache.
 */
#ifndef MODEL_TOKENIZER_CACHE_H
#define MODEL_TOKENIZER_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/file.h"

#define TOKENIZER_CACHE_KEPT 16

/* Smaller tokenizer.json are compiled sooner than looked up. */
#define TOKENIZER_CACHED_FROM ((size_t)256 << 10)

/* Map the image that was kept under a key; file_unmap ends it. False: there is none to trust. */
bool tokenizer_cache_map(struct file_map *out, const char *key);

/* Seal an image and keep it under a key. */
void tokenizer_cache_keep(const char *key, char *bytes, size_t n);

#endif
