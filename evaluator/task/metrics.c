/*
 * metrics.c - from log-likelihoods to the numbers people read.
 *
 * An argmax tie goes to the first choice. Lengths are of the choice without its delimiter.
 */
#include "evaluator/task/metrics.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static const struct task_request *request_of(const struct metrics_input *input, size_t i)
{
    return &input->task->requests[input->document->first + i];
}

enum length { LENGTH_NONE, LENGTH_CHARACTERS, LENGTH_BYTES };

static double normalized(const struct metrics_input *input, size_t i, enum length length)
{
    double by = length == LENGTH_CHARACTERS ? (double)request_of(input, i)->characters
                : length == LENGTH_BYTES    ? (double)request_of(input, i)->bytes
                                            : 1.0;

    return input->loglikelihoods[i] / by;
}

static double accuracy(const struct metrics_input *input, enum length length)
{
    size_t best = 0;

    for (size_t i = 1; i < input->document->n; i++) {
        if (normalized(input, i, length) > normalized(input, best, length)) {
            best = i;
        }
    }
    return (double)(input->document->gold >> best & 1U);
}

static double any_gold_greedy(const struct metrics_input *input)
{
    for (size_t i = 0; i < input->document->n; i++) {
        if (input->greedy[i] && (input->document->gold >> i & 1U) != 0) {
            return 1.0;
        }
    }
    return 0.0;
}

/* log of the softmax's share of the gold choices. */
static double gold_logprob(const struct metrics_input *input, enum length length)
{
    double largest = -INFINITY;
    double all = 0.0;
    double gold = 0.0;

    for (size_t i = 0; i < input->document->n; i++) {
        largest = fmax(largest, normalized(input, i, length));
    }
    for (size_t i = 0; i < input->document->n; i++) {
        double share = exp(normalized(input, i, length) - largest);

        all += share;
        gold += (input->document->gold >> i & 1U) != 0 ? share : 0.0;
    }
    return log(gold) - log(all);
}

static double brier(const struct metrics_input *input)
{
    double largest = -INFINITY;
    double all = 0.0;
    double sum = 0.0;

    for (size_t i = 0; i < input->document->n; i++) {
        largest = fmax(largest, input->loglikelihoods[i]);
    }
    for (size_t i = 0; i < input->document->n; i++) {
        all += exp(input->loglikelihoods[i] - largest);
    }
    for (size_t i = 0; i < input->document->n; i++) {
        double off = exp(input->loglikelihoods[i] - largest) / all -
                     (double)(input->document->gold >> i & 1U);

        sum += off * off;
    }
    return sum;
}

double metrics_of_document(const struct metrics_input *input, const char *metric)
{
    bool choices = input->task->output == TASK_MULTIPLE_CHOICE;

    if (strcmp(metric, "acc") == 0) {
        return choices ? accuracy(input, LENGTH_NONE) : (double)input->greedy[0];
    }
    if (strcmp(metric, "acc_norm") == 0) {
        return accuracy(input, LENGTH_CHARACTERS);
    }
    if (strcmp(metric, "acc_bytes") == 0) {
        return accuracy(input, LENGTH_BYTES);
    }
    if (strcmp(metric, "exact_match") == 0) {
        return any_gold_greedy(input);
    }
    if (strcmp(metric, "brier_score") == 0) {
        return brier(input);
    }
    if (strcmp(metric, "choice_logprob") == 0) {
        return gold_logprob(input, LENGTH_NONE);
    }
    if (strcmp(metric, "choice_logprob_norm") == 0) {
        return gold_logprob(input, LENGTH_CHARACTERS);
    }
    return input->loglikelihoods[0]; /* perplexities */
}

double metrics_units(const struct metrics_input *input, const char *metric)
{
    if (strcmp(metric, "word_perplexity") == 0) {
        return (double)request_of(input, 0)->characters;
    }
    if (strcmp(metric, "byte_perplexity") == 0 || strcmp(metric, "bits_per_byte") == 0) {
        return (double)request_of(input, 0)->bytes;
    }
    return 1.0;
}

void metrics_aggregate(const char *metric, const double *values, const double *units, size_t n,
                       double *value, double *error)
{
    double sum = 0.0;
    double unit_sum = 0.0;
    double squares = 0.0;

    for (size_t i = 0; i < n; i++) {
        sum += values[i];
        unit_sum += units[i];
    }
    *error = (double)NAN;
    if (strcmp(metric, "bits_per_byte") == 0) {
        *value = -sum / (unit_sum * log(2.0));
        return;
    }
    if (strstr(metric, "perplexity") != NULL) {
        *value = exp(-sum / unit_sum);
        return;
    }
    *value = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        squares += (values[i] - *value) * (values[i] - *value);
    }
    if (n > 1) {
        *error = sqrt(squares / (double)(n - 1) / (double)n);
    }
}
