/*
 * score.c - what came back from evaluating one candidate: its packed, wire and digest forms.
 */
#include "study/score.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define PACK_VERSION 1
#define PACK_HEAD 16 /* four u32 */
#define DOCUMENTS_MAX (1U << 24)
#define METRICS_MAX 32
#define TASKS_MAX 256

static const char *const failure_names[SCORE_FAILURES] = {
    "ok", "nan", "refused", "oom", "timeout", "exit", "signal", "bad_output"};

const char *score_failure_name(enum score_failure failure)
{
    assert(failure < SCORE_FAILURES);
    return failure_names[failure];
}

bool score_failure_parse(const char *name, enum score_failure *out)
{
    for (size_t i = 0; i < SCORE_FAILURES; i++) {
        if (strcmp(failure_names[i], name) == 0) {
            *out = (enum score_failure)i;
            return true;
        }
    }
    return false;
}

bool score_failure_final(enum score_failure failure)
{
    return failure == SCORE_NAN || failure == SCORE_REFUSED;
}

static void free_texts(char **texts, size_t n)
{
    for (size_t i = 0; texts != NULL && i < n; i++) {
        free(texts[i]);
    }
    free(texts);
}

void score_task_release(struct score_task *task)
{
    free(task->name);
    free_texts(task->metrics, task->n_metrics);
    free(task->values);
    free(task->errors);
    free_texts(task->ids, task->n);
    free(task->document_values);
    free(task->first);
    free(task->loglikelihoods);
    free(task->greedy);
    *task = (struct score_task){0};
}

void score_release(struct score *score)
{
    for (size_t t = 0; t < score->n_tasks; t++) {
        score_task_release(&score->tasks[t]);
    }
    free(score->tasks);
    free(score->detail);
    free(score->path);
    *score = (struct score){0};
}

const struct score_task *score_find(const struct score *score, const char *task)
{
    for (size_t t = 0; t < score->n_tasks; t++) {
        if (strcmp(score->tasks[t].name, task) == 0) {
            return &score->tasks[t];
        }
    }
    return NULL;
}

size_t score_metric(const struct score_task *task, const char *metric)
{
    for (size_t m = 0; m < task->n_metrics; m++) {
        if (strcmp(task->metrics[m], metric) == 0) {
            return m;
        }
    }
    return SIZE_MAX;
}

/* ---- packed documents: the host is little-endian, as the form is ---- */

static void put(unsigned char **at, const void *bytes, size_t n)
{
    if (n > 0) {
        memcpy(*at, bytes, n);
    }
    *at += n;
}

static void take(const unsigned char **at, void *bytes, size_t n)
{
    if (n > 0) {
        memcpy(bytes, *at, n);
    }
    *at += n;
}

static size_t packed_size(size_t n, size_t m, size_t r)
{
    return PACK_HEAD + 4 * (n + 1) + 8 * n * m + 9 * r;
}

void score_pack(const struct score_task *task, unsigned char **bytes, size_t *n)
{
    size_t r = task->first[task->n];
    uint32_t head[4] = {PACK_VERSION, (uint32_t)task->n, (uint32_t)task->n_metrics, (uint32_t)r};

    *n = packed_size(task->n, task->n_metrics, r);
    *bytes = mem_alloc(*n);
    unsigned char *at = *bytes;

    put(&at, head, sizeof(head));
    put(&at, task->first, 4 * (task->n + 1));
    put(&at, task->document_values, 8 * task->n * task->n_metrics);
    put(&at, task->loglikelihoods, 8 * r);
    put(&at, task->greedy, r);
    assert(at == *bytes + *n);
}

static int check_unpacked(const struct score_task *task, size_t r, struct err *err)
{
    for (size_t i = 0; i < task->n; i++) {
        if (task->first[i] > task->first[i + 1]) {
            return err_set(err, ERR_FORMAT, "documents: requests out of order at document %zu", i);
        }
    }
    if (task->first[0] != 0 || task->first[task->n] != r) {
        return err_set(err, ERR_FORMAT, "documents: request counts do not add up");
    }
    for (size_t i = 0; i < r; i++) {
        if (task->greedy[i] > 1) {
            return err_set(err, ERR_FORMAT, "documents: a greedy flag is neither 0 nor 1");
        }
    }
    return 0;
}

int score_unpack(struct score_task *out, const unsigned char *bytes, size_t n, struct err *err)
{
    uint32_t head[4];
    const unsigned char *at = bytes;

    if (n < PACK_HEAD) {
        return err_set(err, ERR_FORMAT, "documents: %zu bytes are too few", n);
    }
    take(&at, head, sizeof(head));
    if (head[0] != PACK_VERSION) {
        return err_set(err, ERR_FORMAT, "documents: version %u, expected %d", head[0],
                       PACK_VERSION);
    }
    if (head[1] > DOCUMENTS_MAX || head[2] > METRICS_MAX || head[3] > DOCUMENTS_MAX) {
        return err_set(err, ERR_LIMIT, "documents: counts %u, %u, %u are too large", head[1],
                       head[2], head[3]);
    }
    if (n != packed_size(head[1], head[2], head[3])) {
        return err_set(err, ERR_FORMAT, "documents: %zu bytes do not fit the counts", n);
    }
    struct score_task made = {.n = head[1]};
    size_t n_values = (size_t)head[1] * head[2];
    made.first = mem_array((size_t)head[1] + 1, sizeof(uint32_t));
    made.document_values = mem_array(n_values, sizeof(double));
    made.loglikelihoods = mem_array(head[3], sizeof(double));
    made.greedy = mem_array(head[3], 1);
    take(&at, made.first, 4 * ((size_t)head[1] + 1));
    take(&at, made.document_values, 8 * n_values);
    take(&at, made.loglikelihoods, 8 * (size_t)head[3]);
    take(&at, made.greedy, head[3]);
    int rc = check_unpacked(&made, head[3], err);
    if (rc != 0) {
        score_task_release(&made);
        return rc;
    }
    /* The caller's names and ids, if it has any, stay. */
    out->n = made.n;
    out->n_metrics = head[2];
    out->first = made.first;
    out->document_values = made.document_values;
    out->loglikelihoods = made.loglikelihoods;
    out->greedy = made.greedy;
    return 0;
}

/* ---- the wire form ---- */

/* {"value":0.5,"bits":"3fe0000000000000"}: for people and for us; NaN has bits only. */
static json_t *number_print(double value)
{
    char bits[17];

    doc_to_bits(bits, value);
    json_t *doc = json_pack("{s:s}", "bits", bits);
    if (isfinite(value)) {
        json_object_set_new(doc, "value", json_real(value));
    }
    return doc;
}

static int number_parse(double *out, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"bits", "value"};
    const char *bits;
    double value;
    double said;

    int rc = doc_only(doc, known, 2, err);
    if (rc == 0) {
        rc = doc_text(doc, "bits", &bits, err);
    }
    if (rc == 0) {
        rc = doc_from_bits(&value, bits, err);
    }
    if (rc == 0) {
        rc = doc_number_or(doc, "value", value, &said, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (isfinite(value) && (json_object_get(doc, "value") == NULL || said != value)) {
        return err_set(err, ERR_FORMAT, "value: the decimal disagrees with bits %s", bits);
    }
    if (!isfinite(value) && json_object_get(doc, "value") != NULL) {
        return err_set(err, ERR_FORMAT, "value: bits %s are not a finite number", bits);
    }
    *out = value;
    return 0;
}

static json_t *task_print(const struct score_task *task)
{
    json_t *metrics = json_array();
    unsigned char *packed;
    size_t n;
    struct text text = {0};

    for (size_t m = 0; m < task->n_metrics; m++) {
        json_array_append_new(metrics, json_pack("{s:s, s:o, s:o}", "name", task->metrics[m],
                                                 "value", number_print(task->values[m]), "error",
                                                 number_print(task->errors[m])));
    }
    json_t *ids = json_array();
    for (size_t i = 0; task->ids != NULL && i < task->n; i++) {
        json_array_append_new(ids, json_string(task->ids[i]));
    }
    score_pack(task, &packed, &n);
    text_add_base64(&text, packed, n);
    free(packed);
    json_t *doc = json_pack("{s:s, s:s, s:I, s:o, s:o, s:s, s:I}", "name", task->name, "digest",
                            task->digest, "n", (json_int_t)task->n, "metrics", metrics, "ids", ids,
                            "documents", text_get(&text), "truncated", (json_int_t)task->truncated);
    text_release(&text);
    return doc;
}

static int metrics_parse(struct score_task *task, const json_t *metrics, struct err *err)
{
    size_t n = json_array_size(metrics);

    if (n > METRICS_MAX) {
        return err_set(err, ERR_LIMIT, "metrics: %zu are more than %d", n, METRICS_MAX);
    }
    task->metrics = mem_array(n, sizeof(char *));
    task->values = mem_array(n, sizeof(double));
    task->errors = mem_array(n, sizeof(double));
    task->n_metrics = n;
    for (size_t m = 0; m < n; m++) {
        const json_t *metric = json_array_get(metrics, m);
        const char *name;
        json_t *value;
        json_t *error;
        int rc;

        if ((rc = doc_text(metric, "name", &name, err)) != 0 ||
            (rc = doc_object(metric, "value", &value, err)) != 0 ||
            (rc = doc_object(metric, "error", &error, err)) != 0 ||
            (rc = number_parse(&task->values[m], value, err)) != 0 ||
            (rc = number_parse(&task->errors[m], error, err)) != 0) {
            return err_wrap(err, "metric %zu", m);
        }
        task->metrics[m] = mem_text(name);
    }
    return 0;
}

static int documents_parse(struct score_task *task, const char *base64, size_t n, struct err *err)
{
    size_t size = strlen(base64);
    size_t n_metrics = task->n_metrics;
    unsigned char *bytes = mem_try(size * 3 / 4 + 3, 1, "documents", err);

    if (bytes == NULL) {
        return ERR_MEMORY;
    }
    size = text_from_base64(bytes, base64, size);
    int rc = size == SIZE_MAX ? err_set(err, ERR_FORMAT, "documents: not base64")
                              : score_unpack(task, bytes, size, err);
    if (rc == 0 && (task->n != n || task->n_metrics != n_metrics)) {
        task->n_metrics = n_metrics; /* what was allocated for names */
        rc = err_set(err, ERR_FORMAT, "documents: their counts are not the task's");
    }
    free(bytes);
    return rc;
}

static int ids_parse(struct score_task *task, const json_t *ids, struct err *err)
{
    size_t n = json_array_size(ids);

    if (n == 0) {
        return 0;
    }
    if (n != task->n) {
        return err_set(err, ERR_FORMAT, "ids: %zu for %zu documents", n, task->n);
    }
    task->ids = mem_array(n, sizeof(char *));
    for (size_t i = 0; i < n; i++) {
        const char *id = json_string_value(json_array_get(ids, i));

        if (id == NULL) {
            return err_set(err, ERR_FORMAT, "ids: entry %zu is not a text", i);
        }
        task->ids[i] = mem_text(id);
    }
    return 0;
}

static int task_parse(struct score_task *task, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"name", "digest",    "n",        "metrics",
                                        "ids",  "documents", "truncated"};
    const char *name;
    const char *digest;
    const char *documents;
    json_t *metrics;
    json_t *ids;
    int64_t n;
    int64_t truncated;
    int rc;

    if ((rc = doc_only(doc, known, sizeof(known) / sizeof(known[0]), err)) != 0 ||
        (rc = doc_text(doc, "name", &name, err)) != 0 ||
        (rc = doc_text(doc, "digest", &digest, err)) != 0 ||
        (rc = doc_text(doc, "documents", &documents, err)) != 0 ||
        (rc = doc_array(doc, "metrics", &metrics, err)) != 0 ||
        (rc = doc_array(doc, "ids", &ids, err)) != 0 ||
        (rc = doc_integer(doc, "n", 0, DOCUMENTS_MAX, &n, err)) != 0 ||
        (rc = doc_integer(doc, "truncated", 0, DOCUMENTS_MAX, &truncated, err)) != 0) {
        return rc;
    }
    if (!digest_is_hex(digest)) {
        return err_set(err, ERR_FORMAT, "digest: not 64 hex digits");
    }
    task->name = mem_text(name);
    memcpy(task->digest, digest, DIGEST_HEX);
    task->truncated = (size_t)truncated;
    if ((rc = metrics_parse(task, metrics, err)) != 0 ||
        (rc = documents_parse(task, documents, (size_t)n, err)) != 0) {
        return rc;
    }
    return ids_parse(task, ids, err);
}

json_t *score_print(const struct score *score)
{
    json_t *tasks = json_array();

    for (size_t t = 0; t < score->n_tasks; t++) {
        json_array_append_new(tasks, task_print(&score->tasks[t]));
    }
    json_t *doc = json_pack("{s:s, s:s, s:s, s:o, s:o, s:I, s:o}", "failure",
                            score_failure_name(score->failure), "weights", score->weights, "path",
                            score->path != NULL ? score->path : "", "wall_s",
                            json_real(isfinite(score->wall_s) ? score->wall_s : 0), "cpu_s",
                            json_real(isfinite(score->cpu_s) ? score->cpu_s : 0), "positions",
                            (json_int_t)score->positions, "tasks", tasks);
    if (score->detail != NULL) {
        json_object_set_new(doc, "detail", json_string(score->detail));
    }
    return doc;
}

static int tasks_parse(struct score *score, const json_t *tasks, struct err *err)
{
    size_t n = json_array_size(tasks);

    if (n > TASKS_MAX) {
        return err_set(err, ERR_LIMIT, "tasks: %zu are more than %d", n, TASKS_MAX);
    }
    score->tasks = mem_array(n, sizeof(struct score_task));
    score->n_tasks = n;
    for (size_t t = 0; t < n; t++) {
        int rc = task_parse(&score->tasks[t], json_array_get(tasks, t), err);

        if (rc != 0) {
            return err_wrap(err, "task %zu", t);
        }
    }
    return 0;
}

int score_parse(struct score *out, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"failure", "detail", "weights",   "path",
                                        "wall_s",  "cpu_s",  "positions", "tasks"};
    struct score made = {0};
    const char *failure;
    const char *detail;
    const char *weights;
    const char *path;
    int64_t positions;
    json_t *tasks;
    int rc;

    if ((rc = doc_only(doc, known, sizeof(known) / sizeof(known[0]), err)) != 0 ||
        (rc = doc_text(doc, "failure", &failure, err)) != 0 ||
        (rc = doc_text_or(doc, "detail", NULL, &detail, err)) != 0 ||
        (rc = doc_text(doc, "weights", &weights, err)) != 0 ||
        (rc = doc_text(doc, "path", &path, err)) != 0 ||
        (rc = doc_number(doc, "wall_s", &made.wall_s, err)) != 0 ||
        (rc = doc_number(doc, "cpu_s", &made.cpu_s, err)) != 0 ||
        (rc = doc_integer(doc, "positions", 0, INT64_MAX, &positions, err)) != 0 ||
        (rc = doc_array(doc, "tasks", &tasks, err)) != 0) {
        return rc;
    }
    if (!score_failure_parse(failure, &made.failure)) {
        return err_set(err, ERR_FORMAT, "failure: no such kind '%s'", failure);
    }
    if (weights[0] != '\0' && !digest_is_hex(weights)) {
        return err_set(err, ERR_FORMAT, "weights: not 64 hex digits");
    }
    memcpy(made.weights, weights, strlen(weights) + 1);
    made.positions = (uint64_t)positions;
    rc = tasks_parse(&made, tasks, err);
    if (rc != 0) {
        score_release(&made);
        return rc;
    }
    made.detail = detail != NULL ? mem_text(detail) : NULL;
    made.path = mem_text(path);
    *out = made;
    return 0;
}

static void digest_add_double(struct digest *digest, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    digest_add_u64(digest, bits);
}

void score_digest(const struct score *score, char out[DIGEST_HEX])
{
    struct digest *digest = digest_new();

    digest_add_text(digest, score_failure_name(score->failure));
    digest_add_text(digest, score->weights);
    digest_add_text(digest, score->path != NULL ? score->path : "");
    digest_add_u64(digest, score->n_tasks);
    for (size_t t = 0; t < score->n_tasks; t++) {
        const struct score_task *task = &score->tasks[t];
        unsigned char *packed;
        size_t n;

        digest_add_text(digest, task->name);
        digest_add_text(digest, task->digest);
        for (size_t m = 0; m < task->n_metrics; m++) {
            digest_add_text(digest, task->metrics[m]);
            digest_add_double(digest, task->values[m]);
        }
        score_pack(task, &packed, &n);
        digest_add_u64(digest, n);
        digest_add(digest, packed, n);
        free(packed);
    }
    digest_end_hex(digest, out);
}
