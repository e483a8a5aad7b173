/*
 * requests.h - the documents of a task as token sequences, each with a part that is scored.
 *
 * For (context, continuation): whitespace at the context's end moves to the continuation's front;
 * the continuation's tokens are those of both texts together after as many as the context alone
 * has. So a token across the joint counts as context, as in lm-evaluation-harness. An empty context
 * is one prefix token (bos, else eos). Sequences that are too long lose tokens at the front. What
 * is to be generated starts from the whole context, its whitespace included; the answer's tokens
 * are then only a guess at what will be written, and where the text itself is needed there are
 * none.
 */
#ifndef TASK_REQUESTS_H
#define TASK_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/task/task.h"

struct request {
    size_t at;         /* first token, in requests.tokens */
    uint32_t n;        /* tokens of the sequence */
    uint32_t n_scored; /* the last of them; the rest is context */
    bool wants_next;   /* exact match also asks what comes after the last */
    bool out_of_reach; /* longer than max_new_tokens: generation would be cut before its end */
};

/*
 * Requests of N documents; document i has all[first[i]] .. all[first[i + 1] - 1]: one a pair of
 * document.h, or one a window of a rolling text, or one to generate a text from; then, when the
 * task measures acc_mutual_info, the same continuations after an empty context.
 */
struct requests {
    struct tokens tokens;
    struct request *all; /* [n] */
    size_t n, capacity;
    size_t *first; /* [N + 1] */
    size_t n_documents;
    size_t truncated; /* documents that lost tokens at the front */
};

/*
 * documents [n]: indices into task->documents. positions_max: longest input the model takes (M), 0:
 * no limit. Errors name the first document and how many there are like it: ERR_LIMIT when a
 * continuation does not fit or needs a token that the model has no row for, ERR_FORMAT when one has
 * no tokens or the tokenizer has no prefix token for an empty context.
 */
int requests_build(struct requests *out, const struct task *task, const size_t *documents, size_t n,
                   struct tokenizer *tokenizer, size_t positions_max, struct err *err);
void requests_release(struct requests *requests);

#endif
