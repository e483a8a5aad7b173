/*
 * doc.h - a parsed document: JSON strictly read and canonically printed.
 *
 * Documents are jansson values (json_t); YAML becomes one too (study/yaml.h), so one set of getters
 * serves both. A getter names the key at fault: "merge.method: expected a text, got a number".
 * Canonical printing: keys sorted by bytes, no spaces, integers as such, reals as the shortest
 * decimal that reads back, so equal documents have equal bytes and a digest.
 */
#ifndef BASE_DOC_H
#define BASE_DOC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define DOC_DEPTH_MAX 128

/* Parse exactly one JSON value; duplicate keys, NaN, trailing bytes are ERR_FORMAT with line and
 * column. Integers beyond 64 bits are reals. *out is a new reference. Depth above DOC_DEPTH_MAX is
 * ERR_LIMIT. */
int doc_parse(json_t **out, const char *bytes, size_t size, struct err *err);

/* file_read + doc_parse; errors are wrapped with the path. */
int doc_load(json_t **out, const char *path, size_t size_max, struct err *err);

/* Append the canonical form. Reals must be finite. */
void doc_print(struct text *out, const json_t *doc);

/* Append an indented form for people, keys in the order of the document. */
void doc_print_pretty(struct text *out, const json_t *doc);

/*
 * Getters. `object` must be an object, else ERR_FORMAT. A missing key is ERR_MISSING for the plain
 * form; the _or form takes a default instead. Values are borrowed: valid while object lives. On
 * failure *out is as it was.
 */
int doc_text(const json_t *object, const char *key, const char **out, struct err *err);
int doc_text_or(const json_t *object, const char *key, const char *fallback, const char **out,
                struct err *err);
int doc_number(const json_t *object, const char *key, double *out, struct err *err);
int doc_number_or(const json_t *object, const char *key, double fallback, double *out,
                  struct err *err);
/* Integers in [min, max]; outside is ERR_LIMIT with the value. */
int doc_integer(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *out,
                struct err *err);
int doc_integer_or(const json_t *object, const char *key, int64_t min, int64_t max,
                   int64_t fallback, int64_t *out, struct err *err);
int doc_bool_or(const json_t *object, const char *key, bool fallback, bool *out, struct err *err);
int doc_object(const json_t *object, const char *key, json_t **out, struct err *err);
int doc_array(const json_t *object, const char *key, json_t **out, struct err *err);

/* ERR_FORMAT naming the first member of object that is not among known [n], with the nearest known
 * one. */
int doc_only(const json_t *object, const char *const *known, size_t n, struct err *err);

/* "a text", "a number", "a list", ...: the kind of a value, for messages. */
const char *doc_kind(const json_t *value);

/* IEEE-754 binary64 as 16 hex digits and back; for scores on the wire. doc_from_bits is ERR_FORMAT
 * unless 16 hex digits. */
void doc_to_bits(char out[17], double value);
int doc_from_bits(double *out, const char *hex, struct err *err);

#endif
