/*
 * generated.h - generate_until tasks whose text is needed: generate it, find the answer, compare.
 */
#ifndef TASK_GENERATED_H
#define TASK_GENERATED_H

#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/model/weights.h"
#include "evaluator/task/writing.h"

/*
 * For each document of the stretch, at its place among the plan's:
 *
 *   texts    what was generated, up to the stops; the caller frees. Bytes that are no UTF-8, and
 *            zeros, are U+FFFD.
 *   results  log-likelihood of all that was generated; greedy
 *
 * On failure no text is new. Errors as generate.
 */
int generated_texts(const struct writing *writing, struct tokenizer *tokenizer,
                    struct forward *forward, const struct weights *weights, char **texts,
                    struct forward_result *results, struct err *err);

/* matches [task_columns]: 1 where the column's filter finds an accepted answer in the text.
 * ERR_LIMIT when a pattern takes too many steps. */
int generated_matches(const struct task *task, const struct document *document, const char *text,
                      uint8_t *matches, struct err *err);

#endif
