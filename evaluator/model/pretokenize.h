/*
 * pretokenize.h - the `pre_tokenizer` of tokenizer.json: text cut into words, each then merged
 * alone.
 *
 * Sequence, Split, ByteLevel, Metaspace, Digits, Punctuation; any other type is refused by name.
 */
#ifndef MODEL_PRETOKENIZE_H
#define MODEL_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"

/*
 * Texts in a row: piece i is bytes [i == 0 ? 0 : ends[i - 1], ends[i]) of text. None is empty.
 * All zero holds none.
 */
struct pieces {
    struct text text;
    size_t *ends; /* [n] */
    size_t n, capacity;
    bool at_start; /* the first piece begins the whole input */
};

void pieces_clear(struct pieces *pieces);
void pieces_release(struct pieces *pieces);
/* Piece i and its size; valid until the next change. */
const char *pieces_get(const struct pieces *pieces, size_t i, size_t *n);
/* End a piece with what was added to pieces->text since the last one; nothing when that is nothing.
 */
void pieces_end(struct pieces *pieces);

struct pretokenizer;

/* json may be null (or NULL): the whole text is one word. ERR_FORMAT names the type or the member.
 */
int pretokenizer_parse(struct pretokenizer **out, const json_t *json, struct err *err);
void pretokenizer_free(struct pretokenizer *pretokenizer);

/* Append the words of text [n], valid UTF-8; at_start when no input precedes it. */
int pretokenizer_run(struct pretokenizer *pretokenizer, const char *text, size_t n, bool at_start,
                     struct pieces *out, struct err *err);

/*
 * The printable character that stands for a byte in byte-level vocabularies (GPT-2), and back: -1
 * for a code point that stands for none. 0x21-0x7E, 0xA1-0xAC, 0xAE-0xFF stand for themselves, the
 * other 68 bytes in rising order for U+0100, U+0101, ...: a space is U+0120.
 */
uint32_t byte_level_code(unsigned char byte);
int byte_level_byte(uint32_t code);

#endif
