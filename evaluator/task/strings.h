/*
 * strings.h - an owned list of texts.
 */
#ifndef TASK_STRINGS_H
#define TASK_STRINGS_H

#include <stddef.h>

#include "base/doc.h"
#include "base/err.h"

/* All zero is empty. */
struct strings {
    char **all; /* [n] */
    size_t n;
};

/* Append a text; it is owned by the list from now on. */
void strings_add(struct strings *strings, char *text);
void strings_release(struct strings *strings);

/* A list of texts as JSON, a new reference, and back. strings_read is ERR_FORMAT naming key, and
 * ERR_LIMIT above max. */
json_t *strings_print(const struct strings *strings);
int strings_read(struct strings *out, const json_t *object, const char *key, size_t max,
                 struct err *err);

#endif
