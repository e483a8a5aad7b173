/*
 * candidate.h - a candidate as commands name it: "best" (the winner, or the best so far), or its
 * number.
 */
#ifndef CLI_CANDIDATE_H
#define CLI_CANDIDATE_H

#include <stdint.h>

#include "base/doc.h"
#include "base/err.h"
#include "store/store.h"

/* ERR_MISSING when there is none yet, ERR_FORMAT for another word. */
int candidate_find(struct store *store, const char *word, uint64_t *out, struct err *err);

/* All evaluations of the candidate's recipe, over every split it was measured on: {"candidate",
 * "recipe_digest", "weights", "path", "recipe", "scores": [{"task", "split", "n", "metrics":
 * {metric: {"value", "stderr"}}, "documents": [...]}]}. Documents only when wanted. A new
 * reference. */
int candidate_doc(struct store *store, uint64_t candidate, int documents, json_t **out,
                  struct err *err);

/* {"id", "loglikelihoods", "greedy", "metrics"} of document i, as `braid eval` prints it too. id
 * may be NULL. */
json_t *candidate_document(const struct score_task *task, size_t i, const char *id);
/* How many documents a task's values are over, null when its program does not say. */
json_t *candidate_count(const struct score_task *task);
/* {metric: {"value", "stderr"}} */
json_t *candidate_metrics(const struct score_task *task);

#endif
