/*
 * task_file.h - a task read and rendered: from a YAML file and JSON lines to plain requests.
 *
 * A request is a context and the continuation scored after it; all templating is done here. A
 * document has one request a choice (multiple choice), one a target (exact match), or one. The
 * digest of the rendered requests is the task's identity: a changed prompt is another task.
 *
 * Prompts are built as lm-evaluation-harness 0.4 builds them in plain text mode: description,
 * few-shot examples (question, target_delimiter, answer, fewshot_delimiter), question; the
 * continuation is target_delimiter and the choice.
 */
#ifndef TASK_TASK_FILE_H
#define TASK_TASK_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/doc.h"
#include "base/err.h"

#define TASK_CHOICES_MAX 64
#define TASK_DOCUMENTS_MAX ((size_t)1 << 22)
#define TASK_METRICS_MAX 16

enum task_output { TASK_MULTIPLE_CHOICE, TASK_LOGLIKELIHOOD, TASK_ROLLING, TASK_GENERATE };

struct task_request {
    char *context, *continuation;
    uint32_t characters; /* of the choice without delimiter; words of the text, for rolling */
    uint32_t bytes;      /* of the same, in UTF-8 */
};

struct task_document {
    char *id;
    size_t first, n; /* its requests */
    uint64_t gold;   /* a bit a choice that counts as right */
};

struct task {
    char *name;
    enum task_output output;
    char digest[DIGEST_HEX];
    size_t n_metrics;
    char **metrics;
    size_t n_until;
    char **until; /* stop strings of a generation */
    size_t n;
    struct task_document *documents;
    size_t n_requests;
    struct task_request *requests;
};

/* A task file; its data are relative to it. Errors name file and line: "a.jsonl:12: no answer". */
int task_load(struct task *out, const char *path, struct err *err);
/* The same keys inline; data are relative to folder. */
int task_parse(struct task *out, const json_t *doc, const char *folder, struct err *err);
void task_release(struct task *task);

/* Rendered, for workers that have no task files: a new reference; and back, the digest checked. */
json_t *task_print(const struct task *task);
int task_read(struct task *out, const json_t *doc, struct err *err);

/* Metrics that an output type has; the first are its defaults. */
const char *const *task_metric_names(enum task_output output, size_t *n);
bool task_higher_is_better(const char *metric);

#endif
