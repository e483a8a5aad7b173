/*
 * scoring.h - a task's documents made ready once, then scored for every candidate.
 *
 * Making ready: each request is cut into tokens, and all of them become one trie of prefixes.
 * Scoring is then a forward pass over the trie and arithmetic on what it gives.
 *
 * Tokens of a continuation (lm-evaluation-harness): trailing blanks of the context move to the
 * continuation; context and context + continuation are encoded, and what the second has beyond the
 * length of the first is the continuation. An empty context is the tokenizer's prefix token. What
 * is longer than the model's context loses its beginning; a continuation that does not fit is an
 * error.
 *
 * Exact match needs no generation: greedy decoding gives the answer iff at every place of the
 * answer the most likely token is the answer's, and after it one that ends the text (an end of
 * sequence, or a stop string's beginning).
 */
#ifndef TASK_SCORING_H
#define TASK_SCORING_H

#include <stddef.h>

#include "base/err.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/task/task_file.h"
#include "study/score.h"

struct scoring;

/* The task is kept until scoring_free. documents [n] index into it. positions: the model's longest
 * context, 0: not known. */
int scoring_new(struct scoring **out, const struct task *task, struct tokenizer *tokenizer,
                const size_t *documents, size_t n, size_t positions, struct err *err);
void scoring_free(struct scoring *scoring); /* NULL is fine */

/* out is filled; the caller releases it. Errors are forward_score's. */
int scoring_run(const struct scoring *scoring, struct forward *forward,
                const struct weights *weights, struct score_task *out, struct err *err);

/* Positions that one run computes. */
size_t scoring_positions(const struct scoring *scoring);

#endif
