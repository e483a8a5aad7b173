/*
 * answer.h - whether greedy decoding would write an answer, told by one forced pass.
 *
 * Under greedy decoding the generated text is the answer if the model's most likely token is the
 * answer's at each of its places, and what it would write next ends the text: an end of sequence,
 * or a token that begins with a stop text. An answer exactly max_new_tokens long needs no end. A
 * stop text that would take several tokens does not count as an end here.
 */
#ifndef TASK_ANSWER_H
#define TASK_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/task/requests.h"
#include "evaluator/task/strings.h"

/* Which tokens end a generation. All zero: none. */
struct answer_ends {
    uint8_t *ends; /* [n] 1 for those */
    size_t n;
};

/* Ends of sequence, and tokens whose text begins with one of stops. */
int answer_ends_find(struct answer_ends *out, struct tokenizer *tokenizer,
                     const struct strings *stops, struct err *err);
void answer_ends_release(struct answer_ends *ends);

/* True when generation would be this request's answer: all greedy, within reach, and ended by
 * `next`. */
bool answer_matches(const struct answer_ends *ends, const struct request *request, bool greedy,
                    uint32_t next);

#endif
