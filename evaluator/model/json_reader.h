/*
 * json_reader.h - JSON taken piece by piece from its bytes, for lists too long to make a document
 * of (base/doc.h): the words and merges of a tokenizer.
 *
 *   struct json_reader reader = {bytes, 0, n};
 *   json_reader_take(&reader, '[') ... json_reader_string(...) ... json_reader_take(&reader, ',')
 *
 * As strict as a document: texts are UTF-8 without zero bytes and control characters. Errors begin
 * with the line: "line 12: expected a text".
 */
#ifndef MODEL_JSON_READER_H
#define MODEL_JSON_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

/* Bytes [n]; everything before `at` is taken. All zero reads nothing. */
struct json_reader {
    const char *bytes;
    size_t at, n;
};

/* Bytes [begin, end); end 0: none. */
struct json_span {
    size_t begin, end;
};

/* Past whitespace and then c, if it comes next. */
bool json_reader_take(struct json_reader *reader, char c);
/* Only whitespace is left. */
bool json_reader_at_end(struct json_reader *reader);

/* A string: where it lies, or in scratch when escapes had to be undone. ERR_FORMAT. */
int json_reader_string(struct json_reader *reader, struct text *scratch, const char **text,
                       size_t *n, struct err *err);

/* An integer in [0, max]; false, and nothing taken, for anything else. */
bool json_reader_integer(struct json_reader *reader, uint32_t max, uint32_t *out);

/* The key of an object's next member, as it is spelled, and past its colon; false when none
 * follows.
 */
bool json_reader_key(struct json_reader *reader, struct json_span *key);
/* Past a value, of which only brackets and quotes are looked at; false when it is not closed. */
bool json_reader_skip(struct json_reader *reader);

/* ERR_FORMAT: the line, and what was expected there. */
int json_reader_expected(const struct json_reader *reader, const char *what, struct err *err);

#endif
