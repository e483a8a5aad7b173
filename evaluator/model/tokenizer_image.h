/*
 * tokenizer_image.h - a tokenizer as one block of bytes, used where it lies: in memory that was
 * just filled, or in a file that was mapped.
 *
 * What is large is plain arrays of numbers that are counted from the block's beginning: token
 * texts, merges, their hash tables, added tokens. What is small stays text, because it is compiled
 * to regular expressions and steps anew in every process: the parts of tokenizer.json that say how
 * text is cut, and what the small files beside it say of special tokens.
 *
 *   byte 0    "braidtok"
 *        8    u32 IMAGE_ORDER, which a machine of the other byte order reads backwards
 *       12    u32 IMAGE_VERSION
 *       16    SHA-256 of the name it is kept under and all that follows; zero until image_seal
 *       48    7 sections of (u64 first byte, u64 entries), in the order of enum section
 *      160    their bytes, each section at a multiple of 8
 *
 * Numbers are in the machine's own byte order, little-endian nearly everywhere: an image of another
 * machine is no image.
 */
#ifndef MODEL_TOKENIZER_IMAGE_H
#define MODEL_TOKENIZER_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/text.h"
#include "evaluator/model/added.h"
#include "evaluator/model/merges.h"
#include "evaluator/model/vocab.h"

/* Rises with any change of the layout, of the hash tables or of what `parts` means. */
#define IMAGE_VERSION 1u
#define IMAGE_ORDER 0x01020304u

struct image {
    const char *parts; /* [n_parts] JSON, see tokenizer_compile.h */
    size_t n_parts;
    struct vocab_view vocab; /* its texts hold those of added tokens too */
    struct merges_view merges;
    const struct added_row *added; /* [n_added] */
    size_t n_added;
};

/* Append the image to out, which must be empty. */
void image_write(struct text *out, const struct image *image);

/* Bytes that are to be kept under a name get their digest; whether bytes that were kept under that
 * name still have it, and are of this version and byte order. */
void image_seal(char *bytes, size_t n, const char *name);
bool image_is_sealed(const void *bytes, size_t n, const char *name);

/* The arrays in bytes [n], which start at a multiple of 8 and are kept while *out is used.
 * ERR_FORMAT unless every index in them stays inside; the digest is not looked at. */
int image_read(struct image *out, const void *bytes, size_t n, struct err *err);

#endif
