/*
 * run.h - a task on a model: requests tokenised once, scored for every candidate.
 *
 *   struct task_plan *plan = NULL;
 *   task_plan_new(&plan, &task, tokenizer, documents, n, 0, positions_max, err);
 *   for each candidate: task_run(plan, forward, weights, NULL, &score_task, err);
 *   task_plan_free(plan);
 */
#ifndef TASK_RUN_H
#define TASK_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/model/weights.h"
#include "evaluator/task/task.h"
#include "study/score.h"

struct task_plan;

/* Documents between two looks at a watched run. */
#define TASK_STRETCH ((size_t)32)

/* Called after each stretch of documents: how many of n are done; false stops the run there. */
struct task_watch {
    bool (*look)(void *context, size_t done, size_t n);
    void *context;
    bool stopped; /* set when look returned false */
};

/*
 * Tokenise documents [n] (indices into task->documents) and lay their requests out as a trie, or
 * one for every `stretch` of them when that is not 0: numbers are the same, prefixes are shared
 * within a stretch. task and tokenizer are kept until task_plan_free. Errors as requests_build, and
 * ERR_MEMORY.
 */
int task_plan_new(struct task_plan **out, const struct task *task, struct tokenizer *tokenizer,
                  const size_t *documents, size_t n, size_t stretch, size_t positions_max,
                  struct err *err);
void task_plan_free(struct task_plan *plan); /* NULL is fine */

/* Token positions one run computes, and what they would be without shared prefixes. */
size_t task_plan_positions(const struct task_plan *plan);
size_t task_plan_tokens(const struct task_plan *plan);

/* The tries that one run scores, [*n]: lent until task_plan_free. */
const struct trie *const *task_plan_tries(const struct task_plan *plan, size_t *n);

/* Raise largest's n, depth_max, n_scored and n_targets to the most that any trie of the plan has:
 * what the forward pass needs room for, answers that are decoded to their longest included; and
 * n_sequences to the most that text is generated from. */
void task_plan_largest(const struct task_plan *plan, struct trie_nodes *largest);

/*
 * Score one candidate: name, digest, ids, values, errors and per-document results of *out, which
 * the caller releases with score_task_release. watch may be NULL; a run that it stops is scored on
 * the documents done. Errors as forward_score: ERR_NUMERIC means that the candidate failed.
 */
int task_run(struct task_plan *plan, struct forward *forward, const struct weights *weights,
             struct task_watch *watch, struct score_task *out, struct err *err);

#endif
