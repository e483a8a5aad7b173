/*
 * decode.h - the `decoder` of tokenizer.json: token texts back to text.
 *
 * ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace and Sequence of them; any other type is
 * refused by name. Without a decoder token texts are joined with single spaces.
 */
#ifndef MODEL_DECODE_H
#define MODEL_DECODE_H

#include <stddef.h>

#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"
#include "evaluator/model/pretokenize.h"

struct decoder;

int decoder_parse(struct decoder **out, const json_t *json, struct err *err);
void decoder_free(struct decoder *decoder);

/* Append the text of the tokens in `pieces`, one piece a token. The result is valid UTF-8. */
int decoder_run(struct decoder *decoder, const struct pieces *pieces, struct text *out,
                struct err *err);

/* Append the bytes that one token [n] adds inside a text: no trimming at ends, perhaps half a
 * character. */
int decoder_run_one(struct decoder *decoder, const char *token, size_t n, struct text *out,
                    struct err *err);

#endif
