/*
 * outcome_documents.c - the lines of one filter in a harness's log, in order of their documents.
 */
#include "evaluator/program/outcome_documents.h"

#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/program/python_json.h"
#include "evaluator/task/records.h"

#define LOG_MAX ((size_t)512 << 20)
#define MEAN_SLACK 1e-6 /* relative; sums in another order differ by far less */

struct row {
    int64_t id;
    double value;
};

/* ---- lines ---- */

static double value_of(const json_t *value)
{
    return json_is_boolean(value)  ? (double)json_is_true(value)
           : json_is_number(value) ? json_number_value(value)
                                   : (double)NAN;
}

/* One line; false when the log cannot be relied on. *counts: it is of the outcome's filter. */
static bool read_row(struct row *out, const json_t *line, const struct outcome *outcome,
                     bool *counts)
{
    const char *filter = json_string_value(json_object_get(line, "filter"));
    const json_t *id = json_object_get(line, "doc_id");

    *counts = filter == NULL || strcmp(filter, outcome->filter) == 0;
    if (*counts) {
        *out =
            (struct row){json_integer_value(id), value_of(json_object_get(line, outcome->metric))};
    }
    return !*counts || (json_is_integer(id) && isfinite(out->value));
}

static int by_id(const void *a, const void *b)
{
    const struct row *left = a;
    const struct row *right = b;

    return (left->id > right->id) - (left->id < right->id);
}

/* The rows in order; their number, 0 when the log does not account for the outcome. */
static size_t account(struct row *rows, size_t n, const struct outcome *outcome)
{
    double sum = 0;

    qsort(rows, n, sizeof *rows, by_id);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && rows[i].id == rows[i - 1].id) {
            return 0;
        }
        sum += rows[i].value;
    }
    const double off = n > 0 ? fabs(sum / (double)n - outcome->value) : HUGE_VAL;

    return off <= MEAN_SLACK * fmax(1.0, fabs(outcome->value)) ? n : 0;
}

static void take(struct outcome_documents *out, const struct row *rows, size_t n)
{
    *out = (struct outcome_documents){
        .n = n, .ids = mem_array(n, sizeof(char *)), .values = mem_array(n, sizeof(double))};
    for (size_t i = 0; i < n; i++) {
        out->ids[i] = mem_printf("%lld", (long long)rows[i].id);
        out->values[i] = rows[i].value;
    }
}

void outcome_documents_parse(struct outcome_documents *out, const char *bytes, size_t n,
                             const struct outcome *outcome)
{
    struct text plain = {0};
    struct records records = {0};
    size_t found = 0;

    *out = (struct outcome_documents){0};
    python_json_plain(&plain, bytes, n);
    bool sound = records_parse(&records, "log", text_get(&plain), plain.size, NULL) == 0 &&
                 records.n > 0 && records.n <= OUTCOME_DOCUMENTS_MAX;
    struct row *rows = mem_array(records.n, sizeof *rows);

    for (size_t i = 0; sound && i < records.n; i++) {
        bool counts;

        sound = read_row(&rows[found], records.all[i], outcome, &counts);
        found += counts;
    }
    if (sound && (found = account(rows, found, outcome)) > 0) {
        take(out, rows, found);
    }
    free(rows);
    records_release(&records);
    text_release(&plain);
}

/* ---- files ---- */

/* "samples_TASK_2024-...jsonl": a longer task's name does not go on with a year. */
static bool is_log_of(const char *name, const char *task)
{
    const size_t n = strlen(task);
    const size_t size = strlen(name);

    if (strncmp(name, "samples_", 8) != 0 || size < 8 + n + 6 || strncmp(name + 8, task, n) != 0 ||
        strcmp(name + size - 6, ".jsonl") != 0) {
        return false;
    }
    const char *rest = name + 8 + n;

    return *rest == '.' ||
           (rest[0] == '_' && isdigit((unsigned char)rest[1]) && isdigit((unsigned char)rest[2]) &&
            isdigit((unsigned char)rest[3]) && isdigit((unsigned char)rest[4]) && rest[5] == '-');
}

/* The greatest name is the newest; free() it. NULL: none. */
static char *find_log(const char *folder, const char *task)
{
    DIR *list = opendir(folder);
    const struct dirent *entry;
    char *found = NULL;

    while (list != NULL && (entry = readdir(list)) != NULL) {
        if (is_log_of(entry->d_name, task) && (found == NULL || strcmp(entry->d_name, found) > 0)) {
            free(found);
            found = mem_text(entry->d_name);
        }
    }
    if (list != NULL) {
        closedir(list);
    }
    return found;
}

void outcome_documents_read(struct outcome_documents *out, const char *folder, const char *task,
                            const struct outcome *outcome)
{
    struct file_bytes bytes = {0};
    char *name = find_log(folder, task);
    char *path = name != NULL ? file_join(folder, name) : NULL;

    *out = (struct outcome_documents){0};
    if (path != NULL && file_read(&bytes, path, LOG_MAX, NULL) == 0) {
        outcome_documents_parse(out, bytes.data, bytes.size, outcome);
    }
    file_release(&bytes);
    free(path);
    free(name);
}

void outcome_documents_release(struct outcome_documents *documents)
{
    for (size_t i = 0; i < documents->n; i++) {
        free(documents->ids[i]);
    }
    free(documents->ids);
    free(documents->values);
    *documents = (struct outcome_documents){0};
}
