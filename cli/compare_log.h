/*
 * compare_log.h - a score beside what lm-evaluation-harness got for the same model.
 */
#ifndef CLI_COMPARE_LOG_H
#define CLI_COMPARE_LOG_H

#include "base/err.h"
#include "evaluator/task/metric.h"
#include "study/score.h"

/*
 * Print to standard error the largest and mean difference of log-likelihoods to those of a
 * per-sample log (evaluator/task/samples.h), and every document whose prediction is another. Of
 * generated texts: how many are others, and every verdict of exact_match that is.
 * Documents are matched by the harness's doc_id. ERR_MISSING when no number can be compared.
 */
int compare_log(const struct score_task *task, enum task_output output, const char *path,
                struct err *err);

#endif
