/*
 * prompt_parts.h - what prompts are put together from, as plain text and as turns of a chat alike:
 * a record's question, its choices, its right answers.
 */
#ifndef TASK_PROMPT_PARTS_H
#define TASK_PROMPT_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"
#include "evaluator/task/document.h"
#include "evaluator/task/prompt.h"

/* The record's choices: a list-valued member, or the literal list with its places filled. */
int parts_choices(const struct prompt *prompt, const json_t *record, struct strings *out,
                  struct err *err);
/* Which of made->choices are right; those that are none of them are left out. */
int parts_golds(const struct prompt *prompt, const json_t *record, struct document *made,
                struct err *err);
/* The answer texts of a task without choices. */
int parts_answers(const struct prompt *prompt, const json_t *record, struct strings *out,
                  struct err *err);

/* Append the question; the choice goes where the prompt has {choice}. */
int parts_question(const struct prompt *prompt, const json_t *record, const char *choice,
                   struct text *out, struct err *err);
/* Append the beginning of the answer; nothing when there is none. */
int parts_prefix(const struct prompt *prompt, const json_t *record, struct text *out,
                 struct err *err);
/* Append an example's question, and its answer without the beginning. */
int parts_example(const struct prompt *prompt, const json_t *record, struct text *question,
                  struct text *answer, struct err *err);

/* Append text, with the delimiter before it unless whitespace is at the joint already. */
void parts_join(struct text *out, const char *delimiter, const char *text);
bool parts_end_in_space(const char *text, size_t n);

#endif
