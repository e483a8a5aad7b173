/*
 * metrics.h - from log-likelihoods to the numbers people read, as lm-evaluation-harness 0.4 makes
 * them.
 */
#ifndef TASK_METRICS_H
#define TASK_METRICS_H

#include <stddef.h>

#include "evaluator/task/task_file.h"

/* What came back for one document: its requests' log-likelihoods [n] and whether each was greedy
 * (and, for a generation, ended there). */
struct metrics_input {
    const struct task *task;
    const struct task_document *document;
    const double *loglikelihoods;
    const unsigned char *greedy;
};

/* A document's value of a metric: 0 or 1 for accuracies, the log-likelihood for perplexities. */
double metrics_of_document(const struct metrics_input *input, const char *metric);

/*
 * Over documents: the mean of values [n] with its standard error (s / sqrt(n), sample deviation;
 * NaN for one document); for perplexities exp of minus the sum over the sum of units (words, bytes;
 * NULL: documents), without an error.
 */
void metrics_aggregate(const char *metric, const double *values, const double *units, size_t n,
                       double *value, double *error);

/* What divides a perplexity: words or bytes of the document, 1 for others. */
double metrics_units(const struct metrics_input *input, const char *metric);

#endif
