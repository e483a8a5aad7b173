/*
 * yaml.h - YAML in and out, as documents of base/doc.h.
 *
 * What is read is YAML 1.2's core schema, less what makes files ambiguous. A plain scalar is
 *
 *   null ~ Null NULL or nothing     null
 *   true false True TRUE ...        true or false; yes, no, on and off are texts
 *   12 -3 0x1f 0o17                 a whole number of 64 bits
 *   0.5 1. .5 1e-3                  a number
 *   anything else                   a text
 *
 * and a quoted or block scalar is always a text. Keys are texts as written. Refused, with line and
 * column: anchors and aliases, keys that appear twice, tags beyond the core ones, more than one
 * document, infinities and NaN, zero bytes.
 */
#ifndef STUDY_YAML_H
#define STUDY_YAML_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"
#include "base/text.h"

#define YAML_SIZE_MAX ((size_t)1 << 20)
#define YAML_DEPTH_MAX 64
#define YAML_KEY_MAX 128 /* bytes; escaped six for one it still fits libyaml's 1024 for a key */

/* Parse one document; *out is a new reference. An empty input is null. ERR_FORMAT; ERR_LIMIT when a
 * maximum above or 64 bits are exceeded; ERR_MEMORY. */
int yaml_parse(json_t **out, const char *bytes, size_t size, struct err *err);

/* file_read + yaml_parse; errors name the path. */
int yaml_load(json_t **out, const char *path, struct err *err);

/* Append one text (UTF-8) as a scalar, quoted unless readers of YAML 1.1 and of 1.2 both take the
 * plain form for this very text. */
void yaml_print_text(struct text *out, const char *value);

/* Append doc in block style, keys in the order of the document, ended by a line break. Numbers are
 * finite, keys no longer than YAML_KEY_MAX. yaml_parse gives back an equal document. */
void yaml_print(struct text *out, const json_t *doc);

#endif
