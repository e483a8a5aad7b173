/*
 * completion.h - POST /v1/completions of the OpenAI form, as evaluation harnesses use it.
 *
 *   likelihood  {"prompt": [[1, 15043, 3186]], "max_tokens": 1, "logprobs": 1, "echo": true}
 *   generation  {"prompt": "Q: 1 + 1 =", "max_tokens": 16, "temperature": 0, "stop": ["\n"]}
 *
 * What lm-evaluation-harness computes from the answer decides the details. It sums
 * token_logprobs[context : -1] and calls the continuation greedy when each of these equals the
 * largest number in top_logprobs at its place. So with echo the arrays hold the prompt and exactly
 * max_tokens 1 generated token, be it the end of sequence; place 0 is null; top_logprobs has one
 * entry a place, the most likely token, and where that token stands both numbers are one double.
 *
 * Text is what the tokens say inside a text, special ones written out, the end of sequence left
 * out, cut before the first stop. Only greedy generation: members that would change the answer and
 * are not supported are refused by name, any other unknown member is ignored.
 */
#ifndef EVALUATOR_COMPLETION_H
#define EVALUATOR_COMPLETION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "evaluator/served.h"
#include "evaluator/task/strings.h"

#define COMPLETION_PROMPTS_MAX ((size_t)4096)
#define COMPLETION_STOPS_MAX ((size_t)64)
#define COMPLETION_TOKENS 16 /* max_tokens when the request is silent */

struct completion_request {
    size_t n;
    struct tokens *prompts; /* [n], none empty */
    size_t max_tokens;
    bool echo, logprobs;
    struct strings stops;
};

/* ERR_FORMAT, ERR_MISSING and ERR_LIMIT name the member, or both lengths when prompt and answer do
 * not fit into the context. */
int completion_request_read(struct completion_request *out, struct served *served,
                            const json_t *body, struct err *err);
void completion_request_release(struct completion_request *request);

/* Answer a request made at a time (seconds of the calendar); a new reference. Errors as above, or
 * as forward_score. */
int completion_answer(struct served *served, const json_t *body, int64_t created, json_t **out,
                      struct err *err);

/* ---- its parts, for chats (chat_completion.h) ---- */

/* Refuse what would change the answer, by name. */
int completion_refuse_unsupported(const json_t *body, struct err *err);
int completion_read_stops(struct completion_request *made, const json_t *body, struct err *err);
/* Prompt and answer together fit into the context. */
int completion_check_lengths(const struct completion_request *made, const struct served *served,
                             struct err *err);
int completion_carry_out(struct served *served, const struct completion_request *request,
                         int64_t created, json_t **out, struct err *err);

#endif
