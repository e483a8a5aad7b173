/*
 * outcome_documents.h - a value a document, from the log that lm-evaluation-harness leaves beside
 * its results when asked to (--log_samples).
 *
 *   samples_TASK_2024-05-01T10-00-00.jsonl
 *   {"doc_id": 0, "filter": "strict-match", "exact_match": 1.0, ...}      one line a document and
 * filter
 *
 * They are what makes the difference of two candidates known to a paired interval. They are taken
 * only where they account for the result: where their mean is its value.
 */
#ifndef PROGRAM_OUTCOME_DOCUMENTS_H
#define PROGRAM_OUTCOME_DOCUMENTS_H

#include <stddef.h>

#include "evaluator/program/outcome.h"

struct outcome_documents {
    size_t n;       /* 0: there are none */
    char **ids;     /* [n] doc_id, in ascending order */
    double *values; /* [n] */
};

/* From the newest log of the task in folder; none is no error. */
void outcome_documents_read(struct outcome_documents *out, const char *folder, const char *task,
                            const struct outcome *outcome);

/* The same from a log's bytes. */
void outcome_documents_parse(struct outcome_documents *out, const char *bytes, size_t n,
                             const struct outcome *outcome);
void outcome_documents_release(struct outcome_documents *documents);

#endif
