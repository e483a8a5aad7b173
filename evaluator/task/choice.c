/*
 * choice.c - argmax of the log-likelihoods under four scales, and the softmax over them.
 *
 * A document whose gold is none of its choices is wrong whatever is predicted. Its log-probability
 * would be that of the impossible; it gets a guess's, the same for every model.
 */
#include "evaluator/task/choice.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/model/unicode.h"

/* What choice i counts with: its log-likelihood as the metric scales it. */
static double scaled(enum metric metric, const struct document *document,
                     const double *loglikelihoods, size_t i)
{
    const char *choice = document->choices.all[i];
    const size_t bytes = strlen(choice);

    switch (metric) {
    case METRIC_ACC_NORM:
    case METRIC_CHOICE_LOGPROB_NORM:
        return loglikelihoods[i] / (double)unicode_count(choice, bytes);
    case METRIC_ACC_BYTES:
        return loglikelihoods[i] / (double)bytes;
    case METRIC_ACC_MUTUAL_INFO:
        return loglikelihoods[i] - loglikelihoods[document->choices.n + i];
    default:
        return loglikelihoods[i];
    }
}

static bool is_gold(const struct document *document, size_t i)
{
    for (size_t k = 0; k < document->n_golds; k++) {
        if (document->golds[k] == i) {
            return true;
        }
    }
    return false;
}

static size_t argmax(const double *values, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++) {
        if (values[i] > values[best]) {
            best = i;
        }
    }
    return best;
}

/* ln of the sum of exp. */
static double log_sum(const double *values, size_t n)
{
    const double largest = values[argmax(values, n)];
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        sum += exp(values[i] - largest);
    }
    return largest + log(sum);
}

/* ln of the probability that softmax gives to the right answers together. */
static double gold_logprob(const struct document *document, const double *values)
{
    const size_t n = document->choices.n;
    double *right = mem_array(n, sizeof *right);
    size_t n_right = 0;

    for (size_t i = 0; i < n; i++) {
        if (is_gold(document, i)) {
            right[n_right++] = values[i];
        }
    }
    const double result =
        n_right > 0 ? log_sum(right, n_right) - log_sum(values, n) : -log((double)n);

    free(right);
    return result;
}

/* Squared distance of softmax from the first right answer's one-hot. */
static double brier(const struct document *document, const double *values)
{
    const double total = log_sum(values, document->choices.n);
    double sum = 0.0;

    for (size_t i = 0; i < document->choices.n; i++) {
        const double probability = exp(values[i] - total);
        const bool right = document->n_golds > 0 && i == document->golds[0];
        const double error = probability - (right ? 1.0 : 0.0);

        sum += error * error;
    }
    return sum;
}

static double any_gold_greedy(const struct document *document, const uint8_t *greedy)
{
    for (size_t k = 0; k < document->n_golds; k++) {
        if (greedy[document->golds[k]] != 0) {
            return 1.0;
        }
    }
    return 0.0;
}

double choice_value(enum metric metric, const struct document *document,
                    const double *loglikelihoods, const uint8_t *greedy)
{
    const size_t n = document->choices.n;
    double *values = mem_array(n, sizeof *values);
    double result = 0.0;

    assert(n > 0);
    for (size_t i = 0; i < n; i++) {
        values[i] = scaled(metric, document, loglikelihoods, i);
    }
    switch (metric) {
    case METRIC_EXACT_MATCH:
        result = any_gold_greedy(document, greedy);
        break;
    case METRIC_BRIER_SCORE:
        result = brier(document, values);
        break;
    case METRIC_CHOICE_LOGPROB:
    case METRIC_CHOICE_LOGPROB_NORM:
        result = gold_logprob(document, values);
        break;
    default:
        result = is_gold(document, argmax(values, n)) ? 1.0 : 0.0;
        break;
    }
    free(values);
    return result;
}
