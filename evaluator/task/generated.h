/*
 * generated.h - generate_until tasks whose text is needed: generate it, find the answer, compare.
 *
 *   generated_open(&drafts, begin, end);                       a line a document
 *   for each line: prompts[i] = generated_prompt(&drafts, i);
 *   generate(...)                                              every token to generated_take
 *   for each line that ended: generated_text(&drafts, i, ...);
 *   generated_end(&drafts);
 */
#ifndef TASK_GENERATED_H
#define TASK_GENERATED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/generate.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/task/answer.h"
#include "evaluator/task/requests.h"
#include "evaluator/task/task.h"

struct draft;

/* Texts under way. What they need is lent; requests keep their tokens. */
struct drafts {
    const struct task *task;
    const struct requests *requests;
    const struct answer_rules *rules;
    struct tokenizer *tokenizer;
    struct draft *all; /* [n] lines; none at first */
    size_t n, capacity;
};

/* A line more for each of the documents [begin, end). */
void generated_open(struct drafts *drafts, size_t begin, size_t end);

/* Where a line begins, lent until generated_end; and the document that it is of. */
struct generate_prompt generated_prompt(const struct drafts *drafts, size_t line);
size_t generated_document(const struct drafts *drafts, size_t line);

/* A line's next token: true while more may follow. */
bool generated_take(struct drafts *drafts, size_t line, const struct forward_place *place);

/*
 * Of a line that ended:
 *
 *   text    what was generated, up to the stops; the caller frees. Bytes that are no UTF-8, and
 *           zeros, are U+FFFD.
 *   result  log-likelihood of all that was generated; greedy
 *
 * Errors as tokenizer_decode.
 */
int generated_text(struct drafts *drafts, size_t line, char **text, struct forward_result *result,
                   struct err *err);

/* No lines any more. */
void generated_end(struct drafts *drafts);

/* matches [task_columns]: 1 where the column's filter finds an accepted answer in the text.
 * ERR_LIMIT when a pattern takes too many steps. */
int generated_matches(const struct task *task, const struct document *document, const char *text,
                      uint8_t *matches, struct err *err);

#endif
