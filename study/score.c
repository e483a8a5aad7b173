/*
 * score.c - what came back from evaluating one candidate: its packed, wire and digest forms.
 *
 * Packed, a task of two documents with two and one requests and one metric (offsets in bytes):
 *
 *    0        4        8        12       16          28               44               68     71
 *    | ver 1  | N 2    | M 1    | R 3    | 0  2  3   | v[0]    v[1]   | ll[0..2]       | greedy |
 */
#include "study/score.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "study/place.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define PACK_VERSION 1
#define PACK_HEAD 16 /* four u32 */
#define DOCUMENTS_MAX (1U << 24)
#define METRICS_MAX 32
#define TASKS_MAX 256

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the packed form is copied as it lies");

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
    free_texts(task->texts, task->n);
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

size_t score_documents(const struct score_task *task)
{
    return task->n > 0 ? task->n : task->n_told;
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

/* ---- packed documents ---- */

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

/* N documents, M metrics, R requests, none above its maximum. */
static size_t packed_size(size_t n, size_t m, size_t r)
{
    return PACK_HEAD + 4 * (n + 1) + 8 * n * m + 9 * r;
}

void score_pack(const struct score_task *task, unsigned char **bytes, size_t *n)
{
    size_t r = task->first[task->n];
    uint32_t head[4] = {PACK_VERSION, (uint32_t)task->n, (uint32_t)task->n_metrics, (uint32_t)r};

    assert(task->n <= DOCUMENTS_MAX && task->n_metrics <= METRICS_MAX && r <= DOCUMENTS_MAX);
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

static int check_head(const uint32_t head[4], size_t n, struct err *err)
{
    if (head[0] != PACK_VERSION) {
        return err_set(err, ERR_FORMAT, "documents: version %u, expected %d", head[0],
                       PACK_VERSION);
    }
    if (head[1] > DOCUMENTS_MAX || head[2] > METRICS_MAX || head[3] > DOCUMENTS_MAX) {
        return err_set(err, ERR_FORMAT,
                       "documents: %u with %u metrics and %u requests are too many", head[1],
                       head[2], head[3]);
    }
    if (n != packed_size(head[1], head[2], head[3])) {
        return err_set(err, ERR_FORMAT, "documents: %zu bytes do not fit the counts", n);
    }
    return 0;
}

/* R requests. */
static int check_unpacked(const struct score_task *task, size_t r, struct err *err)
{
    if (task->first[0] != 0 || task->first[task->n] != r) {
        return err_set(err, ERR_FORMAT, "documents: request counts do not add up");
    }
    for (size_t i = 0; i < task->n; i++) {
        if (task->first[i] > task->first[i + 1]) {
            return err_set(err, ERR_FORMAT, "documents: requests out of order at document %zu", i);
        }
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
    const unsigned char *at = bytes;
    struct score_task made = {0};
    uint32_t head[4];
    int rc;

    if (n < PACK_HEAD) {
        return err_set(err, ERR_FORMAT, "documents: %zu bytes are too few", n);
    }
    take(&at, head, sizeof(head));
    rc = check_head(head, n, err);
    if (rc != 0) {
        return rc;
    }
    size_t r = head[3];

    made.n = head[1];
    made.n_metrics = head[2];
    if ((made.first = mem_try(made.n + 1, sizeof(uint32_t), "documents", err)) == NULL ||
        (made.document_values =
             mem_try(made.n * made.n_metrics, sizeof(double), "documents", err)) == NULL ||
        (made.loglikelihoods = mem_try(r, sizeof(double), "documents", err)) == NULL ||
        (made.greedy = mem_try(r, 1, "documents", err)) == NULL) {
        rc = ERR_MEMORY;
        goto out;
    }
    take(&at, made.first, 4 * (made.n + 1));
    take(&at, made.document_values, 8 * made.n * made.n_metrics);
    take(&at, made.loglikelihoods, 8 * r);
    take(&at, made.greedy, r);
    rc = check_unpacked(&made, r, err);
    if (rc == 0) {
        *out = made;
        made = (struct score_task){0}; /* handed over */
    }

out:
    score_task_release(&made);
    return rc;
}

/* ---- the wire form: printing ---- */

/* A text as JSON has it. Lines from other programs may hold bytes that are no UTF-8: "?" each. */
static json_t *text_print(const char *text)
{
    size_t n = strlen(text);
    size_t bad;

    if (text_is_utf8(text, n, NULL)) {
        return json_string(text);
    }
    char *clean = mem_text(text);

    while (!text_is_utf8(clean, n, &bad)) {
        clean[bad] = '?';
    }
    json_t *doc = json_string(clean);

    free(clean);
    return doc;
}

/* {"bits":"3fe0000000000000","value":0.5}: for us and for people; NaN has bits only. */
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

static json_t *metrics_print(const struct score_task *task)
{
    json_t *metrics = json_array();

    for (size_t m = 0; m < task->n_metrics; m++) {
        json_array_append_new(metrics, json_pack("{s:s, s:o, s:o}", "name", task->metrics[m],
                                                 "value", number_print(task->values[m]), "error",
                                                 number_print(task->errors[m])));
    }
    return metrics;
}

/* Empty when the task has none. */
static json_t *ids_print(const struct score_task *task)
{
    json_t *ids = json_array();

    for (size_t i = 0; task->ids != NULL && i < task->n; i++) {
        json_array_append_new(ids, json_string(task->ids[i]));
    }
    return ids;
}

static json_t *documents_print(const struct score_task *task)
{
    struct text text = {0};
    unsigned char *packed;
    size_t n;

    score_pack(task, &packed, &n);
    text_add_base64(&text, packed, n);
    free(packed);
    json_t *doc = json_string(text_get(&text));

    text_release(&text);
    return doc;
}

static json_t *task_print(const struct score_task *task)
{
    json_t *doc =
        json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:I}", "name", task->name, "digest", task->digest,
                  "n", (json_int_t)task->n, "metrics", metrics_print(task), "ids", ids_print(task),
                  "documents", documents_print(task), "truncated", (json_int_t)task->truncated);

    if (task->n_told > 0) {
        json_object_set_new(doc, "told", json_integer((json_int_t)task->n_told));
    }
    return doc;
}

json_t *score_print(const struct score *score)
{
    json_t *tasks = json_array();

    assert(isfinite(score->wall_s) && isfinite(score->cpu_s) && score->positions <= INT64_MAX);
    for (size_t t = 0; t < score->n_tasks; t++) {
        json_array_append_new(tasks, task_print(&score->tasks[t]));
    }
    json_t *doc =
        json_pack("{s:s, s:s, s:o, s:f, s:f, s:I, s:o}", "failure",
                  score_failure_name(score->failure), "weights", score->weights, "path",
                  text_print(score->path != NULL ? score->path : ""), "wall_s", score->wall_s,
                  "cpu_s", score->cpu_s, "positions", (json_int_t)score->positions, "tasks", tasks);

    if (score->detail != NULL) {
        json_object_set_new(doc, "detail", text_print(score->detail));
    }
    return doc;
}

/* ---- the wire form: parsing ---- */

/* The member key of object, as number_print wrote it. */
static int number_parse(double *out, const json_t *object, const char *key, struct err *err)
{
    static const char *const known[] = {"bits", "value"};
    json_t *doc;
    const char *bits;
    double value = 0;
    double said = 0;
    int rc = doc_object(object, key, &doc, err);

    if (rc != 0) {
        return rc;
    }
    if (doc_only(doc, known, COUNT(known), err) != 0 || doc_text(doc, "bits", &bits, err) != 0) {
        return place_within(err, doc, "%s", key);
    }
    if (doc_from_bits(&value, bits, err) != 0) {
        return err_wrap(err, "%s.bits", key);
    }
    if (!isfinite(value)) {
        *out = value;
        return json_object_get(doc, "value") == NULL
                   ? 0
                   : err_set(err, ERR_FORMAT, "%s.value: bits %s are not finite", key, bits);
    }
    if (doc_number(doc, "value", &said, err) != 0) {
        return place_within(err, doc, "%s", key);
    }
    if (said != value) {
        return err_set(err, ERR_FORMAT, "%s.value: %.17g disagrees with bits %s", key, said, bits);
    }
    *out = value;
    return 0;
}

static int metric_parse(struct score_task *task, size_t m, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"name", "value", "error"};
    const char *name;
    int rc;

    if ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
        (rc = doc_text(doc, "name", &name, err)) != 0 ||
        (rc = number_parse(&task->values[m], doc, "value", err)) != 0 ||
        (rc = number_parse(&task->errors[m], doc, "error", err)) != 0) {
        return rc;
    }
    task->metrics[m] = mem_text(name);
    return 0;
}

static int metrics_parse(struct score_task *task, const json_t *doc, struct err *err)
{
    json_t *metrics;
    int rc = doc_array(doc, "metrics", &metrics, err);

    if (rc != 0) {
        return rc;
    }
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

        if (metric_parse(task, m, metric, err) != 0) {
            return place_within(err, metric, "metrics[%zu]", m);
        }
    }
    return 0;
}

/* base64 of a packed form to its per-document results in an all-zero task. */
static int packed_parse(struct score_task *out, const char *base64, struct err *err)
{
    size_t size = strlen(base64);
    unsigned char *bytes = mem_try(3 * (size / 4) + 6, 1, "documents", err);

    if (bytes == NULL) {
        return ERR_MEMORY;
    }
    size = text_from_base64(bytes, base64, size);
    int rc = size == SIZE_MAX ? err_set(err, ERR_FORMAT, "documents: not base64")
                              : score_unpack(out, bytes, size, err);

    free(bytes);
    return rc;
}

static int documents_parse(struct score_task *task, const json_t *doc, struct err *err)
{
    struct score_task packed = {0};
    const char *base64;
    int64_t n;
    int rc;

    if ((rc = doc_integer(doc, "n", 0, DOCUMENTS_MAX, &n, err)) != 0 ||
        (rc = doc_text(doc, "documents", &base64, err)) != 0 ||
        (rc = packed_parse(&packed, base64, err)) != 0) {
        return rc;
    }
    if (packed.n != (size_t)n || packed.n_metrics != task->n_metrics) {
        rc = err_set(err, ERR_FORMAT, "documents: %zu with %zu metrics, the task has %zu with %zu",
                     packed.n, packed.n_metrics, (size_t)n, task->n_metrics);
        score_task_release(&packed);
        return rc;
    }
    task->n = packed.n;
    task->first = packed.first;
    task->document_values = packed.document_values;
    task->loglikelihoods = packed.loglikelihoods;
    task->greedy = packed.greedy;
    return 0;
}

/* None, or one a document. */
static int ids_parse(struct score_task *task, const json_t *doc, struct err *err)
{
    json_t *ids;
    int rc = doc_array(doc, "ids", &ids, err);

    if (rc != 0 || json_array_size(ids) == 0) {
        return rc;
    }
    if (json_array_size(ids) != task->n) {
        return err_set(err, ERR_FORMAT, "ids: %zu for %zu documents", json_array_size(ids),
                       task->n);
    }
    task->ids = mem_array(task->n, sizeof(char *));
    for (size_t i = 0; i < task->n; i++) {
        const json_t *id = json_array_get(ids, i);

        if (!json_is_string(id)) {
            return err_set(err, ERR_FORMAT, "ids[%zu]: expected a text, got %s", i, doc_kind(id));
        }
        task->ids[i] = mem_text(json_string_value(id));
    }
    return 0;
}

static int task_parse(struct score_task *task, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"name", "digest",    "n",         "metrics",
                                        "ids",  "documents", "truncated", "told"};
    const char *name;
    const char *digest;
    int64_t truncated;
    int64_t told;
    int rc;

    if ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
        (rc = doc_text(doc, "name", &name, err)) != 0 ||
        (rc = doc_text(doc, "digest", &digest, err)) != 0 ||
        (rc = doc_integer(doc, "truncated", 0, DOCUMENTS_MAX, &truncated, err)) != 0 ||
        (rc = doc_integer_or(doc, "told", 1, DOCUMENTS_MAX, 0, &told, err)) != 0) {
        return rc;
    }
    if (!digest_is_hex(digest)) {
        return err_set(err, ERR_FORMAT, "digest: expected 64 hex digits");
    }
    task->name = mem_text(name);
    memcpy(task->digest, digest, DIGEST_HEX);
    task->truncated = (size_t)truncated;
    task->n_told = (size_t)told;
    if ((rc = metrics_parse(task, doc, err)) != 0 || (rc = documents_parse(task, doc, err)) != 0) {
        return rc;
    }
    return ids_parse(task, doc, err);
}

static int tasks_parse(struct score *score, const json_t *doc, struct err *err)
{
    json_t *tasks;
    int rc = doc_array(doc, "tasks", &tasks, err);

    if (rc != 0) {
        return rc;
    }
    size_t n = json_array_size(tasks);

    if (n > TASKS_MAX) {
        return err_set(err, ERR_LIMIT, "tasks: %zu are more than %d", n, TASKS_MAX);
    }
    score->tasks = mem_array(n, sizeof(*score->tasks));
    score->n_tasks = n;
    for (size_t t = 0; t < n; t++) {
        const json_t *task = json_array_get(tasks, t);

        if (task_parse(&score->tasks[t], task, err) != 0) {
            return place_within(err, task, "tasks[%zu]", t);
        }
    }
    return 0;
}

static size_t count_finite(const double *values, size_t n)
{
    size_t finite = 0;

    while (finite < n && isfinite(values[finite])) {
        finite++;
    }
    return finite;
}

/* What counts as a success is numbers all through; standard errors alone may be missing. */
static int check_finite(const struct score *score, struct err *err)
{
    for (size_t t = 0; t < score->n_tasks; t++) {
        const struct score_task *task = &score->tasks[t];
        size_t n_values = task->n * task->n_metrics;
        size_t r = task->first[task->n];

        if (count_finite(task->values, task->n_metrics) < task->n_metrics ||
            count_finite(task->document_values, n_values) < n_values ||
            count_finite(task->loglikelihoods, r) < r) {
            return err_set(err, ERR_FORMAT, "tasks[%zu]: %s has a value that is not finite", t,
                           task->name);
        }
    }
    return 0;
}

static int head_parse(struct score *score, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"failure", "detail", "weights",   "path",
                                        "wall_s",  "cpu_s",  "positions", "tasks"};
    const char *failure;
    const char *detail;
    const char *weights;
    const char *path;
    int64_t positions;
    int rc;

    if ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
        (rc = doc_text(doc, "failure", &failure, err)) != 0 ||
        (rc = doc_text_or(doc, "detail", NULL, &detail, err)) != 0 ||
        (rc = doc_text(doc, "weights", &weights, err)) != 0 ||
        (rc = doc_text(doc, "path", &path, err)) != 0 ||
        (rc = doc_number(doc, "wall_s", &score->wall_s, err)) != 0 ||
        (rc = doc_number(doc, "cpu_s", &score->cpu_s, err)) != 0 ||
        (rc = doc_integer(doc, "positions", 0, INT64_MAX, &positions, err)) != 0) {
        return rc;
    }
    if (!score_failure_parse(failure, &score->failure)) {
        return err_set(err, ERR_FORMAT, "failure: no such kind '%s'", failure);
    }
    if (weights[0] != '\0' && !digest_is_hex(weights)) {
        return err_set(err, ERR_FORMAT, "weights: expected 64 hex digits or nothing");
    }
    memcpy(score->weights, weights, strlen(weights) + 1);
    score->positions = (uint64_t)positions;
    score->detail = detail != NULL ? mem_text(detail) : NULL;
    score->path = mem_text(path);
    return 0;
}

int score_parse(struct score *out, const json_t *doc, struct err *err)
{
    struct score made = {0};
    int rc;

    if ((rc = head_parse(&made, doc, err)) != 0 || (rc = tasks_parse(&made, doc, err)) != 0 ||
        (made.failure == SCORE_OK && (rc = check_finite(&made, err)) != 0)) {
        goto out;
    }
    *out = made;
    made = (struct score){0}; /* handed over */

out:
    score_release(&made);
    return rc;
}

/* ---- the digest ---- */

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

double score_secant(double mean, double other_mean, double value, double other_value)
{
    double means = mean - other_mean;
    double values = value - other_value;

    if (fabs(means - values) <= 1e-9 * (fabs(values) + 1.0)) {
        return 1.0;
    }
    return means != 0.0 ? values / means : 1.0;
}
