/*
 * choice.h - marks of a multiple-choice document from the log-likelihoods of its choices.
 */
#ifndef TASK_CHOICE_H
#define TASK_CHOICE_H

#include <stdint.h>

#include "evaluator/task/document.h"
#include "evaluator/task/metric.h"

/*
 * One metric of one document with m choices.
 *
 *   loglikelihoods  [m]; for METRIC_ACC_MUTUAL_INFO [2m]: then those without context
 *   greedy          [m]  1 where the choice is what greedy decoding writes
 *
 * An argmax tie goes to the first. Lengths are those of the choice text without delimiter: code
 * points, bytes.
 */
double choice_value(enum metric metric, const struct document *document,
                    const double *loglikelihoods, const uint8_t *greedy);

#endif
