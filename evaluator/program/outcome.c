/*
 * outcome.c - a result file or a last line, read for one number.
 */
#include "evaluator/program/outcome.h"

#include <dirent.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"
#include "evaluator/program/python_json.h"

#define DEPTH_MAX 16  /* of folders in folders */
#define SHOWN_MAX 200 /* bytes of a line that is quoted */

/* ---- values ---- */

/* A number, or a text that is one; NaN for all else. */
static double number_of(const json_t *value)
{
    const char *text = json_string_value(value);
    char *end = NULL;

    if (json_is_number(value)) {
        return json_number_value(value);
    }
    const double number = text != NULL ? strtod(text, &end) : (double)NAN;

    return text != NULL && end != text && *end == '\0' ? number : (double)NAN;
}

/* An error is what it is, or unknown. */
static double error_of(const json_t *value)
{
    const double error = number_of(value);

    return isfinite(error) && error >= 0 ? error : (double)NAN;
}

static size_t count_of(const json_t *value)
{
    const double count = number_of(value);

    return count >= 1 && count <= (double)OUTCOME_DOCUMENTS_MAX && floor(count) == count
               ? (size_t)count
               : 0;
}

static int read_json(json_t **out, const char *bytes, size_t n, struct err *err)
{
    struct text plain = {0};

    python_json_plain(&plain, bytes, n);
    int rc = doc_parse(out, text_get(&plain), plain.size, err);
    text_release(&plain);
    if (rc == 0 && !json_is_object(*out)) {
        rc = err_set(err, ERR_FORMAT, "expected an object, got %s", doc_kind(*out));
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

/* ---- a metric of a task ---- */

/* True for "METRIC,FILTER" of that metric. */
static bool is_of_metric(const char *key, const char *metric)
{
    const size_t n = strlen(metric);

    return strncmp(key, metric, n) == 0 && key[n] == ',';
}

/* The key of a metric that is named without a filter; NULL: none, or several, which err names. */
static const char *filtered_key(json_t *row, const char *metric, struct err *err)
{
    const char *found = NULL;
    const char *key;
    json_t *value;
    struct text names = {0};
    size_t n = 0;

    json_object_foreach(row, key, value)
    {
        if (is_of_metric(key, metric)) {
            text_printf(&names, "%s%s", n > 0 ? ", " : "", key);
            found = key;
            n++;
            if (strcmp(key + strlen(metric), ",none") == 0) {
                n = 1;
                break;
            }
        }
    }
    if (n > 1) {
        err_set(err, ERR_FORMAT, "metric %s has several filters: say which of %s", metric,
                text_get(&names));
        found = NULL;
    }
    text_release(&names);
    return found;
}

/* The nearest key that row has, for people who mistyped. */
static int no_metric(json_t *row, const char *metric, struct err *err)
{
    const char *key;
    json_t *value;
    const char **names = mem_array(json_object_size(row), sizeof *names);
    size_t n = 0;

    json_object_foreach(row, key, value)
    {
        if (strstr(key, "_stderr") == NULL && strcmp(key, "alias") != 0) {
            names[n++] = key;
        }
    }
    const char *nearest = text_nearest(metric, names, n);

    if (nearest == NULL && n > 0) {
        nearest = names[0];
    }
    free(names);
    return err_set(err, ERR_MISSING, "no metric %.64s%s%s", metric,
                   nearest != NULL ? "; it has for example " : "", nearest != NULL ? nearest : "");
}

static int find_key(json_t *row, const char *metric, const char **key, struct err *err)
{
    struct err several = {0};

    if (json_object_get(row, metric) != NULL) {
        *key = metric;
        return 0;
    }
    *key = strchr(metric, ',') == NULL ? filtered_key(row, metric, &several) : NULL;
    if (several.code != ERR_NONE) {
        return err_set(err, several.code, "%s", several.text);
    }
    return *key != NULL ? 0 : no_metric(row, metric, err);
}

/* "exact_match,strict-match" to its halves. */
static int split_key(struct outcome *out, const char *key, struct err *err)
{
    const char *comma = strchr(key, ',');
    const size_t n = comma != NULL ? (size_t)(comma - key) : strlen(key);

    if (n >= OUTCOME_NAME_MAX || (comma != NULL && strlen(comma + 1) >= OUTCOME_NAME_MAX)) {
        return err_set(err, ERR_LIMIT, "metric %.64s...: its name is longer than %d bytes", key,
                       OUTCOME_NAME_MAX - 1);
    }
    memcpy(out->metric, key, n);
    out->metric[n] = '\0';
    snprintf(out->filter, sizeof out->filter, "%s", comma != NULL ? comma + 1 : "");
    return 0;
}

static double error_beside(json_t *row, const struct outcome *outcome)
{
    char *key = mem_printf("%s_stderr%s%s", outcome->metric, outcome->filter[0] != '\0' ? "," : "",
                           outcome->filter);
    const double error = error_of(json_object_get(row, key));

    free(key);
    return error;
}

static int read_metric(struct outcome *out, json_t *row, const char *metric, struct err *err)
{
    const char *key = NULL;
    int rc = find_key(row, metric, &key, err);

    if (rc == 0) {
        rc = split_key(out, key, err);
    }
    if (rc != 0) {
        return rc;
    }
    const json_t *value = json_object_get(row, key);

    out->value = number_of(value);
    if (!isfinite(out->value)) {
        const char *text = json_string_value(value);

        return err_set(err, ERR_MISSING, "metric %s has no value: it is %.40s", key,
                       text != NULL ? text : doc_kind(value));
    }
    out->error = error_beside(row, out);
    return 0;
}

/* ---- a result file ---- */

static json_t *member(const json_t *doc, const char *first, const char *second)
{
    return json_object_get(json_object_get(doc, first), second);
}

/* A group's own row has what its name stands for; its entry among the tasks may have less. */
static int find_row(json_t **out, struct outcome *outcome, const json_t *doc, const char *task,
                    const char *metric, struct err *err)
{
    json_t *group = member(doc, "groups", task);
    json_t *row = member(doc, "results", task);

    if (json_is_object(group) && read_metric(outcome, group, metric, NULL) == 0) {
        *out = group;
        return 0;
    }
    if (!json_is_object(row)) {
        row = group;
    }
    if (!json_is_object(row)) {
        return err_set(err, ERR_MISSING, "no result of task %.64s", task);
    }
    *out = row;
    const int rc = read_metric(outcome, row, metric, err);

    return rc == 0 ? 0 : err_wrap(err, "task %.64s", task);
}

int outcome_parse(struct outcome *out, const char *bytes, size_t n, const char *task,
                  const char *metric, struct err *err)
{
    struct outcome made = {0};
    json_t *doc = NULL;
    json_t *row = NULL;

    int rc = read_json(&doc, bytes, n, err);
    if (rc == 0) {
        rc = find_row(&row, &made, doc, task, metric, err);
    }
    if (rc == 0) {
        const json_t *higher = json_object_get(member(doc, "higher_is_better", task), made.metric);

        made.better = json_is_true(higher)    ? OUTCOME_HIGHER
                      : json_is_false(higher) ? OUTCOME_LOWER
                                              : OUTCOME_UNSAID;
        made.n = count_of(json_object_get(member(doc, "n-samples", task), "effective"));
        if (made.n == 0) {
            made.n = count_of(json_object_get(row, "sample_len"));
        }
        *out = made;
    }
    json_decref(doc);
    return rc;
}

/* ---- a last line ---- */

int outcome_line(struct outcome *out, const char *output, size_t n, struct err *err)
{
    json_t *doc = NULL;

    while (n > 0 && strchr(" \t\r\n", output[n - 1]) != NULL) {
        n--;
    }
    size_t start = n;

    while (start > 0 && output[start - 1] != '\n') {
        start--;
    }
    if (start == n) {
        return err_set(err, ERR_MISSING,
                       "nothing on its standard output; its last line should be "
                       "{\"score\": NUMBER}");
    }
    int rc = read_json(&doc, output + start, n - start, NULL);
    const json_t *score = json_object_get(doc, "score");
    const double value = number_of(score);

    if (rc != 0 || score == NULL) {
        rc = err_set(err, ERR_FORMAT, "its last line should be {\"score\": NUMBER}, but is: %.*s",
                     (int)(n - start < SHOWN_MAX ? n - start : SHOWN_MAX), output + start);
    } else if (!isfinite(value)) {
        rc = err_set(err, ERR_MISSING, "score has no value: it is %.40s",
                     json_is_string(score) ? json_string_value(score) : doc_kind(score));
    } else {
        *out = (struct outcome){.value = value,
                                .error = error_of(json_object_get(doc, "stderr")),
                                .n = count_of(json_object_get(doc, "n")),
                                .metric = "score"};
    }
    json_decref(doc);
    return rc;
}

/* ---- where it lies ---- */

struct newest {
    char *path; /* NULL: none yet */
    struct timespec at;
};

static bool is_result_name(const char *name)
{
    const size_t n = strlen(name);

    return strcmp(name, "results.json") == 0 ||
           (strncmp(name, "results_", 8) == 0 && n > 13 && strcmp(name + n - 5, ".json") == 0);
}

/* Files of one moment are told apart by their names, which have the time in them. */
static bool is_newer(const struct newest *newest, const struct stat *status, const char *path)
{
    const struct timespec *at = &status->st_mtim;

    if (newest->path == NULL || at->tv_sec != newest->at.tv_sec) {
        return newest->path == NULL || at->tv_sec > newest->at.tv_sec;
    }
    return at->tv_nsec != newest->at.tv_nsec ? at->tv_nsec > newest->at.tv_nsec
                                             : strcmp(path, newest->path) > 0;
}

static void look_in(struct newest *newest, const char *folder, int depth)
{
    DIR *list = opendir(folder);
    const struct dirent *entry;

    while (list != NULL && (entry = readdir(list)) != NULL) {
        struct stat status;
        char *path = file_join(folder, entry->d_name);
        const bool hidden = entry->d_name[0] == '.';

        if (!hidden && lstat(path, &status) == 0) {
            if (S_ISDIR(status.st_mode) && depth < DEPTH_MAX) {
                look_in(newest, path, depth + 1);
            } else if (S_ISREG(status.st_mode) && is_result_name(entry->d_name) &&
                       is_newer(newest, &status, path)) {
                free(newest->path);
                *newest = (struct newest){.path = path, .at = status.st_mtim};
                path = NULL;
            }
        }
        free(path);
    }
    if (list != NULL) {
        closedir(list);
    }
}

int outcome_find(char **path, const char *folder, struct err *err)
{
    struct newest newest = {0};

    look_in(&newest, folder, 0);
    if (newest.path == NULL) {
        return err_set(err, ERR_MISSING,
                       "it left no results.json or results_*.json in its "
                       "{out_dir}");
    }
    *path = newest.path;
    return 0;
}
