/*
 * normalize.h - the `normalizer` of tokenizer.json: what is done to text before it is cut into
 * words.
 *
 * Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Strip, Prepend, Replace; any other type is refused by
 * name.
 */
#ifndef MODEL_NORMALIZE_H
#define MODEL_NORMALIZE_H

#include <stddef.h>

#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"

struct normalizer;

/* json may be null (or NULL): nothing is changed. ERR_FORMAT names the type or the member. */
int normalizer_parse(struct normalizer **out, const json_t *json, struct err *err);
void normalizer_free(struct normalizer *normalizer);

/* Append the normal form of text [n], valid UTF-8. A regular expression may run into its limit:
 * ERR_LIMIT. */
int normalizer_run(struct normalizer *normalizer, const char *text, size_t n, struct text *out,
                   struct err *err);

#endif
