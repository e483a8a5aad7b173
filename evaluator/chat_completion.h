/*
 * chat_completion.h - POST /v1/chat/completions of the OpenAI form: messages in, the assistant's
 * turn out.
 *
 *   {"messages": [{"role": "user", "content": "37+45="}], "max_tokens": 16, "temperature": 0}
 *
 * The model's chat template makes the prompt, in the very ids that a task with `chat: true` asks;
 * what follows is generated as by completion.h. With "continue_final_message" the last message is
 * the beginning of the answer and is gone on with. What would change the answer and is not
 * supported is refused by name: tools, log-probabilities, sampling, several answers, anything but
 * text. A model without a template that renders refuses all, and says why.
 */
#ifndef EVALUATOR_CHAT_COMPLETION_H
#define EVALUATOR_CHAT_COMPLETION_H

#include <stdint.h>

#include "evaluator/completion.h"
#include "evaluator/served.h"

#define CHAT_COMPLETION_MESSAGES_MAX ((size_t)4096)
/* At most, when the request is silent and the context allows. */
#define CHAT_COMPLETION_TOKENS 1024

/* As completion_request_read, with one prompt. */
int chat_completion_read(struct completion_request *out, struct served *served, const json_t *body,
                         struct err *err);

/* As completion_answer. */
int chat_completion_answer(struct served *served, const json_t *body, int64_t created, json_t **out,
                           struct err *err);

#endif
