/*
 * records.h - a JSON-lines file: one object a line.
 */
#ifndef TASK_RECORDS_H
#define TASK_RECORDS_H

#include <stddef.h>

#include "base/doc.h"
#include "base/err.h"

#define RECORDS_FILE_MAX ((size_t)1 << 30)
#define RECORDS_MAX ((size_t)1 << 20)

struct records {
    char *path;
    size_t n;
    json_t **all;  /* [n] objects */
    size_t *lines; /* [n] line numbers, from 1 */
};

/* Blank lines are passed over. Errors are "path:line: reason". */
int records_load(struct records *out, const char *path, struct err *err);
/* The same from bytes [n] that a file called path holds. */
int records_parse(struct records *out, const char *path, const char *bytes, size_t n,
                  struct err *err);
void records_release(struct records *records);

/* Put "path:line" of record i in front of an error. */
int records_wrap(const struct records *records, size_t i, struct err *err);

#endif
