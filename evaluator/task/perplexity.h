/*
 * perplexity.h - log-likelihoods of whole texts made into perplexities.
 *
 * Sums over documents before one division, not means of per-document perplexities.
 */
#ifndef TASK_PERPLEXITY_H
#define TASK_PERPLEXITY_H

#include <stddef.h>

#include "evaluator/task/metric.h"

/* Pieces of text [n] between runs of whitespace, empty ones at the ends too: " a b" has three. */
size_t perplexity_words(const char *text, size_t n);

/*
 * METRIC_PERPLEXITY, METRIC_WORD_PERPLEXITY, METRIC_BYTE_PERPLEXITY or METRIC_BITS_PER_BYTE from
 * the sum of log-likelihoods and the sum of what it is shared among: documents, words, bytes,
 * bytes.
 */
double perplexity_value(enum metric metric, double loglikelihood, size_t shared);

#endif
