/*
 * text.h - a string that grows.
 *
 * An all-zero struct text is an empty string. data is always terminated once something was added;
 * text_get never returns NULL.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    char *data;
    size_t size; /* bytes without the terminator */
    size_t capacity;
};

void text_add(struct text *text, const char *s);
void text_add_n(struct text *text, const char *s, size_t n);
void text_add_char(struct text *text, char c);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The shortest decimal that reads back to the same binary64, always with a '.' or an exponent's '.'
 * when `dotted`, so that YAML 1.1 readers see a float: 0.5, 1.0, 1.0e-05. NaN and infinity assert.
 */
void text_add_double(struct text *text, double value, bool dotted);

/* The string so far; valid until the next change. */
const char *text_get(const struct text *text);
void text_clear(struct text *text);

/* Hand the buffer over; the caller frees it. The text is empty afterwards. */
char *text_take(struct text *text);
void text_release(struct text *text);

/* Levenshtein distance of two short names, at most 64 bytes each are looked at. */
size_t text_distance(const char *a, const char *b);

/* The entry of names [n] nearest to word, or NULL if none is within a third of its length (at least
 * 2). */
const char *text_nearest(const char *word, const char *const *names, size_t n);

/* True when bytes [n] are valid UTF-8 without surrogates. *at, if given, receives the first bad
 * offset. */
bool text_is_utf8(const char *bytes, size_t n, size_t *at);

/* Standard base64 with padding. text_from_base64 returns the decoded size or SIZE_MAX when
 * malformed; out has room for 3 * n / 4 + 3 bytes. */
void text_add_base64(struct text *text, const void *bytes, size_t n);
size_t text_from_base64(void *out, const char *text, size_t n);

#endif
