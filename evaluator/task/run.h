/*
 * run.h - a task on a model: requests tokenised once, scored for every candidate.
 *
 *   struct task_plan *plan = NULL;
 *   task_plan_new(&plan, &task, tokenizer, documents, n, 0, positions_max, err);
 *   for each candidate: task_run(plan, forward, weights, &score_task, err);
 *   task_plan_free(plan);
 *
 * Or in steps, for whoever takes the documents of several tasks together (exam.h):
 *
 *   task_begin(plan);
 *   for each stretch t: task_score(plan, t, forward, weights, err);
 *   generate(...) from task_prompt of each of the task_lines, every token to task_take
 *   task_write(plan, err);
 *   task_result(plan, &score_task);     of the documents that are done
 */
#ifndef TASK_RUN_H
#define TASK_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/generate.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/model/weights.h"
#include "evaluator/task/task.h"
#include "study/score.h"

struct task_plan;

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

/* Stretches of documents: one, or as many as `stretch` makes of them; those of stretch t, and their
 * trie, lent until task_plan_free. */
size_t task_plan_stretches(const struct task_plan *plan);
size_t task_plan_documents(const struct task_plan *plan, size_t t);
const struct trie *task_plan_trie(const struct task_plan *plan, size_t t);

/* False when texts are needed: they are generated, and no trie is scored before. */
bool task_plan_scores(const struct task_plan *plan);

/* Tokens that are generated of a line at most; 0: the task generates nothing. */
size_t task_plan_new_tokens(const struct task_plan *plan);

/* Raise largest's n, depth_max, n_scored and n_targets to the most that any trie of the plan has:
 * what the forward pass needs room for, answers that are decoded to their longest included; and
 * n_sequences to the most that text of a stretch is generated from. */
void task_plan_largest(const struct task_plan *plan, struct trie_nodes *largest);

/*
 * Score one candidate: name, digest, ids, values, errors and per-document results of *out, which
 * the caller releases with score_task_release. Errors as forward_score: ERR_NUMERIC means that the
 * candidate failed.
 */
int task_run(struct task_plan *plan, struct forward *forward, const struct weights *weights,
             struct score_task *out, struct err *err);

/* ---- the same in steps ---- */

/* Another candidate: no document is done. */
void task_begin(struct task_plan *plan);

/* Score a stretch. Texts that must be generated for its documents join the lines. Errors as
 * forward_score. */
int task_score(struct task_plan *plan, size_t t, struct forward *forward,
               const struct weights *weights, struct err *err);

/* Lines so far; where each begins, lent until task_write; and its next token: true while more may
 * follow. */
size_t task_lines(const struct task_plan *plan);
struct generate_prompt task_prompt(const struct task_plan *plan, size_t line);
bool task_take(struct task_plan *plan, size_t line, const struct forward_place *place);

/* All lines leave. Documents are done whose lines have all ended; those of others never will be.
 * Errors name the document: ERR_LIMIT when a pattern takes too many steps. */
int task_write(struct task_plan *plan, struct err *err);

/* Documents, from the first on, that are done. Those behind one that is not do not count: which are
 * done early may depend on what was written, and a mean over them would too. */
size_t task_done(const struct task_plan *plan);

/* What task_run gives, of the documents that are done, one at least. */
void task_result(struct task_plan *plan, struct score_task *out);

#endif
