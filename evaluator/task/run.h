/*
 * run.h - a task on a model: requests tokenised once, scored for every candidate.
 *
 *   struct task_plan *plan = NULL;
 *   task_plan_new(&plan, &task, tokenizer, documents, n, positions_max, err);
 *   for each candidate: task_run(plan, forward, weights, &score_task, err);
 *   task_plan_free(plan);
 */
#ifndef TASK_RUN_H
#define TASK_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/model/weights.h"
#include "evaluator/task/task.h"
#include "study/score.h"

struct task_plan;

/*
 * Tokenise documents [n] (indices into task->documents) and lay their requests out as a trie. task
 * is kept until task_plan_free; tokenizer is used during the call. Errors as requests_build, and
 * ERR_MEMORY.
 */
int task_plan_new(struct task_plan **out, const struct task *task, struct tokenizer *tokenizer,
                  const size_t *documents, size_t n, size_t positions_max, struct err *err);
void task_plan_free(struct task_plan *plan); /* NULL is fine */

/* Token positions one run computes, and what they would be without shared prefixes. */
size_t task_plan_positions(const struct task_plan *plan);
size_t task_plan_tokens(const struct task_plan *plan);

/*
 * Score one candidate: name, digest, ids, values, errors and per-document results of *out, which
 * the caller releases with score_task_release. Errors as forward_score: ERR_NUMERIC means that the
 * candidate failed.
 */
int task_run(struct task_plan *plan, struct forward *forward, const struct weights *weights,
             struct score_task *out, struct err *err);

#endif
