/*
 * records.c - a file cut at line breaks, each piece parsed alone so that errors can name the line.
 */
#include "evaluator/task/records.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

static bool is_blank(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr(" \t\r", line[i]) == NULL || line[i] == '\0') {
            return false;
        }
    }
    return true;
}

static void add_record(struct records *records, json_t *record, size_t line)
{
    /* Room doubles at powers of two. */
    if ((records->n & (records->n - 1)) == 0) {
        const size_t capacity = records->n == 0 ? 1 : records->n * 2;

        records->all = mem_resize(records->all, capacity, sizeof *records->all);
        records->lines = mem_resize(records->lines, capacity, sizeof *records->lines);
    }
    records->all[records->n] = record;
    records->lines[records->n++] = line;
}

static int parse_line(struct records *made, const char *line, size_t n, size_t number,
                      struct err *err)
{
    json_t *record = NULL;
    size_t bad = 0;

    if (!text_is_utf8(line, n, &bad)) {
        return err_set(err, ERR_FORMAT, "not UTF-8 at byte %zu", bad + 1);
    }
    if (made->n == RECORDS_MAX) {
        return err_set(err, ERR_LIMIT, "more than %zu records", RECORDS_MAX);
    }
    const int rc = doc_parse(&record, line, n, err);
    if (rc != 0) {
        return rc;
    }
    if (!json_is_object(record)) {
        const char *kind = doc_kind(record);

        json_decref(record);
        return err_set(err, ERR_FORMAT, "expected an object, got %s", kind);
    }
    add_record(made, record, number);
    return 0;
}

int records_parse(struct records *out, const char *path, const char *bytes, size_t size,
                  struct err *err)
{
    struct records made = {.path = mem_text(path)};
    size_t number = 0;

    int rc = 0;

    for (size_t at = 0; rc == 0 && at < size; number++) {
        const char *line = bytes + at;
        const char *end = memchr(line, '\n', size - at);
        const size_t n = end != NULL ? (size_t)(end - line) : size - at;

        if (!is_blank(line, n)) {
            rc = parse_line(&made, line, n, number + 1, err);
            if (rc != 0) {
                rc = err_wrap(err, "%s:%zu", path, number + 1);
            }
        }
        at += n + 1;
    }
    if (rc == 0) {
        *out = made;
        made = (struct records){0}; /* handed over */
    }
    records_release(&made);
    return rc;
}

int records_load(struct records *out, const char *path, struct err *err)
{
    struct file_bytes bytes = {0};
    int rc = file_read(&bytes, path, RECORDS_FILE_MAX, err);

    if (rc == 0) {
        rc = records_parse(out, path, bytes.data, bytes.size, err);
    }
    file_release(&bytes);
    return rc;
}

void records_release(struct records *records)
{
    for (size_t i = 0; i < records->n; i++) {
        json_decref(records->all[i]);
    }
    free(records->all);
    free(records->lines);
    free(records->path);
    *records = (struct records){0};
}

int records_wrap(const struct records *records, size_t i, struct err *err)
{
    return err_wrap(err, "%s:%zu", records->path, records->lines[i]);
}
