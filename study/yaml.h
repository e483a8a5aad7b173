/*
 * yaml.h - YAML to a document, and back, by libyaml.
 *
 * Read: one document of mappings, lists and scalars in the YAML 1.2 core schema: null, ~ and
 * nothing are null; true and false are booleans; integers and floats (1e-3 too) are numbers; quoted
 * scalars are texts. Aliases, tags other than the core ones, duplicate keys and several documents
 * are refused; the line says where.
 */
#ifndef STUDY_YAML_H
#define STUDY_YAML_H

#include <stddef.h>

#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"

#define YAML_SIZE_MAX ((size_t)1 << 20)
#define YAML_DEPTH_MAX 64

/* *out is a new reference. ERR_FORMAT "line 3: ...", ERR_LIMIT for size and depth. */
int yaml_parse(json_t **out, const char *bytes, size_t size, struct err *err);

/* The same from a file; errors start with its path. */
int yaml_load(json_t **out, const char *path, struct err *err);

/* Append doc as block YAML: floats with a dot, texts quoted whenever a YAML 1.1 or 1.2 reader would
 * take them for something else. yaml_parse reads it back equal. */
void yaml_print(struct text *out, const json_t *doc);

#endif
