/*
 * tokenizer.h - text to token ids and back, as tokenizer.json says.
 *
 *   struct tokenizer *tokenizer = NULL;
 *   struct tokens ids = {0};
 *   if (tokenizer_open(&tokenizer, "models/base", err) == 0 &&
 *       tokenizer_encode(tokenizer, "37+45=", 6, TOKENIZER_WITH_SPECIAL, &ids, err) == 0) { ... }
 *   tokens_release(&ids);
 *   tokenizer_close(tokenizer);
 *
 * Encoding: the raw text is cut at added tokens; each piece between is normalized and cut at those
 * added tokens that are looked for in normal text; what is left is cut into words, and each word
 * merged by rank. Ids equal those of the Hugging Face tokenizers library. Component types that are
 * not known are refused by name when the file is read. One user at a time: a tokenizer keeps
 * scratch and a cache.
 */
#ifndef MODEL_TOKENIZER_H
#define MODEL_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "evaluator/model/tokens.h"

#define TOKENIZER_TEXT_MAX ((size_t)64 << 20) /* bytes of one text */

struct tokenizer;

enum tokenizer_special {
    TOKENIZER_PLAIN,       /* nothing added; special tokens written out in the text still count */
    TOKENIZER_WITH_SPECIAL /* what the post-processor adds, as a beginning of sequence */
};

/*
 * Read folder/tokenizer.json, and from tokenizer_config.json, generation_config.json and
 * config.json, where they are there, the special tokens. A large one is compiled once and found in
 * a cache from then on (tokenizer_cache.h), which changes nothing but the time. ERR_MISSING without
 * tokenizer.json; ERR_FORMAT names file and part.
 */
int tokenizer_open(struct tokenizer **out, const char *folder, struct err *err);
/* The same from the bytes of tokenizer.json alone: no beginning and no end of sequence are known.
 */
int tokenizer_parse(struct tokenizer **out, const char *json, size_t n, struct err *err);
/* The same from an image (tokenizer_image.h), which is taken over in any case. ERR_FORMAT when it
 * is damaged in a way that would lead outside it; whether it says what its maker wrote is for
 * image_is_sealed. */
int tokenizer_compiled(struct tokenizer **out, struct text *image, struct err *err);
void tokenizer_close(struct tokenizer *tokenizer);

/* Append the ids of text [n]. ERR_FORMAT unless it is UTF-8, ERR_LIMIT when too long. A text that
 * begins with the beginning-of-sequence token does not get a second one. */
int tokenizer_encode(struct tokenizer *tokenizer, const char *text, size_t n,
                     enum tokenizer_special special, struct tokens *out, struct err *err);

/* Append the text of ids [n]; special tokens are left out unless TOKENIZER_WITH_SPECIAL. ERR_LIMIT
 * for ids outside the vocabulary. Always valid UTF-8. */
int tokenizer_decode(struct tokenizer *tokenizer, const uint32_t *ids, size_t n,
                     enum tokenizer_special special, struct text *out, struct err *err);

/* Append the bytes that one token adds inside a text, perhaps half a character. ERR_LIMIT. */
int tokenizer_token_text(struct tokenizer *tokenizer, uint32_t id, struct text *out,
                         struct err *err);

/* A token has this id: below tokenizer_size there may be ids that none has. */
bool tokenizer_has(const struct tokenizer *tokenizer, uint32_t id);
/* Decoding without special tokens leaves this id out. */
bool tokenizer_is_special(const struct tokenizer *tokenizer, uint32_t id);

/* Highest id + 1, added tokens included. The model may have more rows. */
size_t tokenizer_size(const struct tokenizer *tokenizer);

/* Beginning of sequence; false when this tokenizer has none. */
bool tokenizer_bos(const struct tokenizer *tokenizer, uint32_t *id);
/* Ids that end a generation, the tokenizer's own first, then generation_config's and config's; no
 * id twice. */
const uint32_t *tokenizer_eos(const struct tokenizer *tokenizer, size_t *n);
/* What precedes a text with nothing before it: bos, else eos. ERR_FORMAT when there is neither,
 * ERR_LIMIT when the model has no row for it. */
int tokenizer_prefix(const struct tokenizer *tokenizer, uint32_t *id, struct err *err);

/*
 * The rows of the embedding that ids are for. From now on a text that needs an id beyond them is
 * refused: ERR_LIMIT, with token and id. A model may have more rows than there are ids.
 */
void tokenizer_fit(struct tokenizer *tokenizer, size_t rows);

/* Append a line for each thing that may surprise: ids beyond so many rows, no beginning and no end
 * of sequence, an unknown or a padding token that is named and not there. */
void tokenizer_remarks(const struct tokenizer *tokenizer, size_t rows, struct text *out);

/*
 * How two tokenizers differ, for sources that are to be merged: 0 when ids below both sizes have
 * the same text, merges, normalizer and pre-tokenizer are equal; else how many parts differ, with a
 * line appended for each: "vocabulary: 3 ids differ, first 17: \"a\" and \"b\"".
 */
size_t tokenizer_compare(const struct tokenizer *a, const struct tokenizer *b, struct text *report);

#endif
