/*
 * evaluations.c - what came back: one outcome a candidate, and evidence of those that disagree.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "base/text.h"
#include "store/store_internal.h"

/* ---- writing ---- */

static int add_metrics(struct store *store, uint64_t candidate, size_t number,
                       const struct score_task *task, struct err *err)
{
    int rc = 0;

    for (size_t m = 0; m < task->n_metrics && rc == 0; m++) {
        rc = store_run(store, err,
                       "INSERT INTO scores (candidate, task, metric, value, error, n)"
                       " VALUES (?, ?, ?, ?, ?, ?)",
                       "iitrri", candidate, number, task->metrics[m], task->values[m],
                       task->errors[m], score_documents(task));
    }
    return rc;
}

/* The metrics' names in order, as a JSON list. */
static void print_names(struct text *out, const struct score_task *task)
{
    json_t *names = json_array();

    for (size_t m = 0; m < task->n_metrics; m++) {
        json_array_append_new(names, json_string(task->metrics[m]));
    }
    doc_print(out, names);
    json_decref(names);
}

static int add_documents(struct store *store, uint64_t candidate, size_t number,
                         const struct score_task *task, struct err *err)
{
    struct text names = {0};
    unsigned char *packed = NULL;
    size_t n = 0;

    print_names(&names, task);
    score_pack(task, &packed, &n);
    int rc = store_run(store, err,
                       "INSERT INTO documents (candidate, task, metrics, truncated, packed)"
                       " VALUES (?, ?, ?, ?, ?)",
                       "iitib", candidate, number, text_get(&names), task->truncated, packed, n);
    free(packed);
    text_release(&names);
    return rc;
}

int store_add_evaluation(struct store *store, const struct store_evaluation *evaluation,
                         struct err *err)
{
    const struct score *score = evaluation->score;
    int rc = store_run(
        store, err,
        "INSERT INTO evaluations (candidate, attempt, worker, digest, weights, path, wall_s,"
        " cpu_s, positions, failure, detail, stored_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "iiktttrritti", evaluation->candidate, (int64_t)evaluation->attempt, evaluation->worker,
        evaluation->digest, score->weights, score->path != NULL ? score->path : "", score->wall_s,
        score->cpu_s, score->positions, score_failure_name(score->failure),
        score->detail != NULL ? score->detail : "", store_now_ms());

    for (size_t t = 0; t < score->n_tasks && rc == 0; t++) {
        rc = add_metrics(store, evaluation->candidate, t, &score->tasks[t], err);
        if (rc == 0) {
            rc = add_documents(store, evaluation->candidate, t, &score->tasks[t], err);
        }
    }
    return rc;
}

int store_copy_evaluation(struct store *store, uint64_t from, uint64_t to, struct err *err)
{
    int rc = store_run(store, err,
                       "INSERT INTO evaluations SELECT ?2, 0, NULL, digest, weights, path, 0, 0, 0,"
                       " failure, detail, ?3 FROM evaluations WHERE candidate = ?1",
                       "iii", from, to, store_now_ms());

    if (rc == 0) {
        rc = store_run(store, err,
                       "INSERT INTO scores SELECT ?2, task, metric, value, error, n"
                       " FROM scores WHERE candidate = ?1",
                       "ii", from, to);
    }
    if (rc == 0) {
        rc = store_run(store, err,
                       "INSERT INTO documents SELECT ?2, task, metrics, truncated, packed"
                       " FROM documents WHERE candidate = ?1",
                       "ii", from, to);
    }
    return rc;
}

int store_add_conflict(struct store *store, const struct store_evaluation *evaluation,
                       struct err *err)
{
    struct text text = {0};
    json_t *doc = score_print(evaluation->score);

    doc_print(&text, doc);
    json_decref(doc);
    int rc = store_run(
        store, err,
        "INSERT OR IGNORE INTO conflicts (candidate, attempt, worker, digest, score, stored_ms)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        "iiktti", evaluation->candidate, (int64_t)evaluation->attempt, evaluation->worker,
        evaluation->digest, text_get(&text), store_now_ms());
    text_release(&text);
    return rc;
}

/* ---- reading ---- */

static int take_names(struct score_task *task, sqlite3_stmt *row, int column, struct err *err)
{
    const char *text = store_column_peek(row, column);
    json_t *names = NULL;
    int rc = doc_parse(&names, text, strlen(text), err);

    if (rc != 0) {
        return rc;
    }
    size_t n = json_array_size(names);
    if (n != task->n_metrics) {
        rc = err_set(err, ERR_CONFLICT, "database: damaged: names and values of metrics disagree");
        n = task->n_metrics;
    }
    task->metrics = mem_array(n, sizeof(char *));
    task->values = mem_array(n, sizeof(double));
    task->errors = mem_array(n, sizeof(double));
    for (size_t m = 0; m < n; m++) {
        const char *name = json_string_value(json_array_get(names, m));

        task->metrics[m] = mem_text(name != NULL ? name : "");
    }
    json_decref(names);
    return rc;
}

static int read_documents(struct store *store, uint64_t candidate, struct score *score,
                          struct err *err)
{
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err,
                         "SELECT t.name, t.digest, d.metrics, d.truncated, d.packed"
                         "  FROM documents AS d JOIN tasks AS t ON t.number = d.task"
                         " WHERE d.candidate = ? ORDER BY d.task",
                         "i", candidate);

    while (rc == 0 && (rc = store_step(store, row, err)) == 1) {
        score->tasks = mem_resize(score->tasks, score->n_tasks + 1, sizeof(*score->tasks));
        struct score_task *task = &score->tasks[score->n_tasks++];

        *task = (struct score_task){0};
        rc = score_unpack(task, sqlite3_column_blob(row, 4), (size_t)sqlite3_column_bytes(row, 4),
                          err);
        if (rc == 0) {
            rc = take_names(task, row, 2, err);
        }
        task->name = store_column_text(row, 0);
        store_column_digest(row, 1, task->digest);
        task->truncated = (size_t)store_column_number(row, 3);
    }
    return rc;
}

/* Fill in values and errors; *sound: every value was stored as a number. */
static int read_metrics(struct store *store, uint64_t candidate, struct score *score, bool *sound,
                        struct err *err)
{
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err,
                         "SELECT task, metric, value, error, n FROM scores WHERE candidate = ?",
                         "i", candidate);

    *sound = true;
    while (rc == 0 && (rc = store_step(store, row, err)) == 1) {
        uint64_t t = store_column_number(row, 0);
        struct score_task *task = t < score->n_tasks ? &score->tasks[t] : NULL;
        size_t m = task != NULL ? score_metric(task, store_column_peek(row, 1)) : SIZE_MAX;

        if (m != SIZE_MAX) {
            task->values[m] = store_column_real(row, 2);
            task->errors[m] = store_column_real(row, 3);
            task->n_told = task->n > 0 ? 0 : (size_t)store_column_number(row, 4);
            *sound = *sound && !isnan(task->values[m]);
        }
        rc = 0;
    }
    return rc;
}

/* The row of evaluations; its digest into digest. */
static int read_head(struct store *store, uint64_t candidate, struct score *score,
                     char digest[DIGEST_HEX], struct err *err)
{
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err,
                         "SELECT digest, weights, path, wall_s, cpu_s, positions, failure, detail"
                         "  FROM evaluations WHERE candidate = ?",
                         "i", candidate);

    if (rc != 0 || (rc = store_step(store, row, err)) < 0) {
        return rc;
    }
    if (rc == 0) {
        return err_set(err, ERR_MISSING, "candidate %llu: it has no result",
                       (unsigned long long)candidate);
    }
    store_column_digest(row, 0, digest);
    store_column_digest(row, 1, score->weights);
    score->path = store_column_text(row, 2);
    score->wall_s = store_column_real(row, 3);
    score->cpu_s = store_column_real(row, 4);
    score->positions = store_column_number(row, 5);
    score_failure_parse(store_column_peek(row, 6), &score->failure);
    if (score->failure != SCORE_OK) {
        score->detail = store_column_text(row, 7);
    }
    store_stop(row);
    return 0;
}

/* A value that is not a number lost its bits on the way; then there is nothing to compare. */
static int check_digest(const struct score *score, const char *stored, struct err *err)
{
    char digest[DIGEST_HEX];

    score_digest(score, digest);
    return strcmp(digest, stored) == 0
               ? 0
               : err_set(err, ERR_CONFLICT, "database: damaged: the result is not what was stored");
}

int store_score(struct store *store, uint64_t candidate, struct score *out, struct err *err)
{
    struct score made = {0};
    char digest[DIGEST_HEX];
    bool sound = false;

    int rc = read_head(store, candidate, &made, digest, err);
    if (rc == 0) {
        rc = read_documents(store, candidate, &made, err);
    }
    if (rc == 0) {
        rc = read_metrics(store, candidate, &made, &sound, err);
    }
    if (rc == 0 && made.failure == SCORE_OK && sound) {
        rc = check_digest(&made, digest, err);
    }
    if (rc != 0) {
        score_release(&made);
        return err_wrap(err, "candidate %llu", (unsigned long long)candidate);
    }
    *out = made;
    return 0;
}

int store_values(struct store *store, uint64_t candidate, size_t n_tasks, double *out,
                 struct err *err)
{
    sqlite3_stmt *row;
    size_t n = 0;
    int rc = store_start(store, &row, err,
                         "SELECT s.value FROM tasks AS t"
                         "  JOIN scores AS s ON s.task = t.number AND s.metric = t.metric"
                         " WHERE s.candidate = ? ORDER BY t.number",
                         "i", candidate);

    while (rc == 0 && n < n_tasks && (rc = store_step(store, row, err)) == 1) {
        out[n++] = store_column_real(row, 0);
        rc = 0;
    }
    store_stop(row);
    if (rc == 0 && n < n_tasks) {
        rc = err_set(err, ERR_MISSING, "candidate %llu: a value is missing",
                     (unsigned long long)candidate);
    }
    return rc;
}

int store_recent_walls(struct store *store, size_t limit, double *out, size_t *n, struct err *err)
{
    sqlite3_stmt *row;
    int rc = store_start(store, &row, err,
                         "SELECT wall_s FROM evaluations WHERE failure = 'ok' AND attempt > 0"
                         " ORDER BY candidate DESC LIMIT ?",
                         "i", limit);

    *n = 0;
    while (rc == 0 && *n < limit && (rc = store_step(store, row, err)) == 1) {
        out[(*n)++] = store_column_real(row, 0);
        rc = 0;
    }
    store_stop(row);
    return rc;
}
