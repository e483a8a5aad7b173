/*
 * unicode.h - code points in UTF-8, and the few properties that tokenizers ask for.
 *
 * Texts given here are valid UTF-8 unless the function says otherwise.
 */
#ifndef MODEL_UNICODE_H
#define MODEL_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define UNICODE_REPLACEMENT 0xFFFDu

/* The first code point of text [n], n > 0, and how many bytes it takes. */
size_t unicode_next(const char *text, size_t n, uint32_t *code);

/* Where the last code point of text [n] begins, n > 0. */
size_t unicode_last(const char *text, size_t n);

/* Write a code point; returns its bytes, 1 to 4. */
size_t unicode_put(char out[4], uint32_t code);

/* Code points in text [n]. */
size_t unicode_count(const char *text, size_t n);

/* White_Space. U+180E is not among them since Unicode 6.3. */
bool unicode_is_space(uint32_t code);
/* What Python's str.isspace takes for whitespace: White_Space and the separators U+001C to U+001F.
 */
bool unicode_is_python_space(uint32_t code);
/* Bytes of the whitespace that text [n] begins with, and of text [n] without the whitespace at its
 * end, as Python's str.strip has it. */
size_t unicode_leading_space(const char *text, size_t n);
size_t unicode_without_trailing_space(const char *text, size_t n);
/* Nd, Nl or No. */
bool unicode_is_numeric(uint32_t code);
/* P*, and those symbols of ASCII that keyboards have among them: $+<=>^`|~. */
bool unicode_is_punctuation(uint32_t code);
/* What \w is in Unicode Technical Standard 18: Alphabetic, marks, decimal digits, connectors,
 * joiners. */
bool unicode_is_word(uint32_t code);

/* Append bytes [n] that may be anything: each maximal invalid part becomes one U+FFFD (Unicode
 * 15, 3.9). */
void unicode_add_lossy(struct text *out, const char *bytes, size_t n);

#endif
