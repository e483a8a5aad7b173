/*
 * metric.h - the names of what is measured, which kinds of task have it, and which way is better.
 *
 * The first group has the names and numbers of lm-evaluation-harness; choice_logprob and
 * choice_logprob_norm are our own, finer than acc for an optimiser.
 */
#ifndef TASK_METRIC_H
#define TASK_METRIC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* How the model is asked. */
enum task_output {
    TASK_MULTIPLE_CHOICE,
    TASK_LOGLIKELIHOOD,
    TASK_LOGLIKELIHOOD_ROLLING,
    TASK_GENERATE_UNTIL,
    TASK_OUTPUTS /* how many */
};

/* "multiple_choice", ...; and back (false when unknown). */
const char *task_output_name(enum task_output output);
bool task_output_parse(const char *name, enum task_output *out);

enum metric {
    METRIC_ACC,                 /* argmax of log-likelihoods; loglikelihood tasks: all greedy */
    METRIC_ACC_NORM,            /* argmax a character of the choice */
    METRIC_ACC_BYTES,           /* argmax a byte of the choice */
    METRIC_ACC_MUTUAL_INFO,     /* argmax less the choice's log-likelihood without a context */
    METRIC_EXACT_MATCH,         /* the answer is what greedy decoding writes */
    METRIC_BRIER_SCORE,         /* squared distance of softmax from the right answer */
    METRIC_CHOICE_LOGPROB,      /* ln softmax of the right answer */
    METRIC_CHOICE_LOGPROB_NORM, /* the same of log-likelihoods a character */
    METRIC_PERPLEXITY,          /* exp of minus the mean over documents */
    METRIC_WORD_PERPLEXITY,
    METRIC_BYTE_PERPLEXITY,
    METRIC_BITS_PER_BYTE,
    METRICS /* how many */
};

const char *metric_name(enum metric metric);
bool metric_higher_is_better(enum metric metric);
/* True for those that are a quotient of sums over documents, not a mean over them. */
bool metric_is_perplexity(enum metric metric);

/* The metric that a kind of task has when nobody names one. */
enum metric metric_first(enum task_output output);

/* The metric of that name. ERR_FORMAT when that kind of task has none, with the nearest it has. */
int metric_parse(enum metric *out, const char *name, enum task_output output, struct err *err);

#endif
