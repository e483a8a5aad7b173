/*
 * conversation.h - a document's prompt in chat mode: turns of a chat, made into text by the model's
 * template.
 *
 *   system       system and description
 *   user         an example's question      (or, when examples are not turns, all of them as plain
 *   assistant    its answer                  text before the question)
 *   user         the question
 *   assistant    gen_prefix, left open
 *
 * As lm-evaluation-harness 0.4 does with --apply_chat_template.
 */
#ifndef TASK_CONVERSATION_H
#define TASK_CONVERSATION_H

#include <stddef.h>

#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"
#include "evaluator/task/prompt.h"

/* Append the prompt of a record with examples [n]; choice, if not NULL, is what {choice} stands
 * for. prompt->template is there. Errors name the member, or say what the template refuses. */
int conversation_render(const struct prompt *prompt, const json_t *record, const char *choice,
                        const json_t *const *shots, size_t n, struct text *out, struct err *err);

/* Append what stands between a prompt and its answer: nothing, but after a gen_prefix without
 * whitespace at its end the target_delimiter. */
int conversation_delimiter(const struct prompt *prompt, const json_t *record, struct text *out,
                           struct err *err);

#endif
