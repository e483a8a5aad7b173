/*
 * answer.h - whether greedy decoding would write an answer, told with as little decoding as can be.
 *
 * One forced pass over context and answer shows the most likely token at every place. Following
 * those tokens from the first on, what is written either becomes the answer and ends (right),
 * becomes something else (wrong), or stays undecided: the same text in other tokens, or the
 * beginning of a stop text behind the answer. Only then decoding goes on, token by token, until it
 * is decided. So the verdict is that of generating, wherever tokens begin and end:
 *
 *   answer "82", stop "\n\n"       "8" "2" "\n\n"     right
 *                                  "8" "2" "\n" "\n"  right, the third token leaves it open
 *                                  "82\n" "\n"        right: a token over the answer's end
 *                                  "8" "2" "\n" "3"   wrong
 */
#ifndef TASK_ANSWER_H
#define TASK_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/task/strings.h"

/* What each token writes: nothing for those that end a sequence and other special ones. */
struct answer_vocabulary {
    size_t n;
    struct text texts; /* of all tokens, one behind the other */
    size_t *ends;      /* [n] where each ends */
    uint8_t *last;     /* [n] 1: the sequence ends with it */
};

/* All zero: no tokens. ERR_MEMORY. */
int answer_vocabulary_read(struct answer_vocabulary *out, struct tokenizer *tokenizer,
                           struct err *err);
void answer_vocabulary_release(struct answer_vocabulary *vocabulary);

enum answer_verdict { ANSWER_WRONG, ANSWER_RIGHT, ANSWER_OPEN };

/* How generation ends. */
struct answer_rules {
    struct answer_vocabulary vocabulary;
    struct strings stops; /* none empty */
    size_t max_new_tokens;
};

/* A generation under way. */
struct answer {
    const char *wanted;
    struct text written;
    size_t n_tokens;
};

/* Bytes of text [n] before the stops: cut at the first occurrence of the first, what is left at
 * that of the second, and so on, as the harness does; n when there is none. */
size_t answer_cut(const struct strings *stops, const char *text, size_t n);

/* Write the next token, perhaps a row of the model that stands for none. Returns true when
 * generation ends with it, by the token itself or its number; not looking at stops. */
bool answer_add(struct answer *answer, const struct answer_rules *rules, uint32_t token);

/* The same, and judge. */
enum answer_verdict answer_write(struct answer *answer, const struct answer_rules *rules,
                                 uint32_t token);
void answer_release(struct answer *answer);

#endif
