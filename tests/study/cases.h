/*
 * cases.h - walk a file of text groups: one good document, then patches to it and what is said to
 * each. The files in tests/cases/study/ explain themselves.
 */
#ifndef TESTS_STUDY_CASES_H
#define TESTS_STUDY_CASES_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

/* Reads a document; 0, or an error whose text the case tells. */
typedef int cases_read(const json_t *doc, struct err *err);

/* The good document must be read; each patched one must be refused with the very message. Prints
 * every case that went otherwise, and fails the test if there was one. Returns how many cases there
 * were, the good one not counted. */
size_t cases_walk(const char *file, cases_read *read);

/* The good document of a file: a new reference. */
json_t *cases_good(const char *file);

/* RFC 7396, merge patch: mappings are merged, null takes a key out, anything else replaces. */
void cases_patch(json_t *doc, const json_t *patch);

/* A patch written as YAML. */
void cases_patch_yaml(json_t *doc, const char *yaml);

#endif
