/*
 * writing.c - follow what the forced pass found, then decode what is still open.
 *
 *   context "37+45="   forced "8" "2"   most likely there  "8" "2" "\n"    right, no pass more
 *                                                          "8" "3"          wrong
 *                                                          "82"             open: decode on from it
 */
#include "evaluator/task/writing.h"

#include <stdlib.h>

#include "base/mem.h"

/* A generation that goes on. */
struct open_answer {
    size_t document, request;
    struct answer answer;
    struct tokens tokens; /* context, then what the forced pass wrote */
};

static void open_answer_release(struct open_answer *open)
{
    answer_release(&open->answer);
    tokens_release(&open->tokens);
}

void writing_end(struct writing *writing)
{
    for (size_t i = 0; i < writing->n; i++) {
        open_answer_release(&writing->open[i]);
    }
    free(writing->open);
    writing->open = NULL;
    writing->n = writing->capacity = 0;
}

static void add_line(struct writing *writing, struct open_answer one)
{
    if (writing->n == writing->capacity) {
        writing->capacity += writing->capacity / 2 + 16;
        writing->open = mem_resize(writing->open, writing->capacity, sizeof *writing->open);
    }
    writing->open[writing->n++] = one;
}

/* ---- the forced pass ---- */

/* Write the most likely tokens of a sequence's request as far as they are the forced ones, and one
 * more. */
static enum answer_verdict follow(const struct writing *writing, const struct forward *forward,
                                  const struct trie *trie, size_t sequence,
                                  struct open_answer *open)
{
    const struct request *request = &writing->requests->all[open->request];
    const size_t n_context = request->n - request->n_scored;
    const uint32_t *tokens = writing->requests->tokens.ids + request->at;

    tokens_add_n(&open->tokens, tokens, n_context);
    for (size_t i = 0; i < request->n_scored + (request->wants_next ? 1u : 0u); i++) {
        const uint32_t best = forward_place(forward, trie, sequence, i).best;
        const enum answer_verdict verdict = answer_write(&open->answer, writing->rules, best);

        tokens_add(&open->tokens, best);
        if (verdict != ANSWER_OPEN) {
            return verdict;
        }
        if (i < request->n_scored && best != tokens[n_context + i]) {
            break;
        }
    }
    return ANSWER_OPEN;
}

void writing_follow(struct writing *writing, const struct writing_stretch *stretch,
                    const struct forward *forward, uint8_t *matches)
{
    const struct requests *requests = writing->requests;
    const size_t first = requests->first[stretch->begin];

    for (size_t i = stretch->begin; i < stretch->end; i++) {
        const struct document *document = &writing->task->documents[writing->documents[i]];

        for (size_t r = requests->first[i]; r < requests->first[i + 1]; r++) {
            struct open_answer one = {.document = i, .request = r};
            const char *context = NULL;

            document_pair(document, r - requests->first[i], &context, &one.answer.wanted);
            const enum answer_verdict verdict =
                requests->all[r].out_of_reach
                    ? ANSWER_WRONG
                    : follow(writing, forward, stretch->trie, r - first, &one);

            matches[r] = verdict == ANSWER_RIGHT;
            if (verdict == ANSWER_OPEN) {
                add_line(writing, one);
            } else {
                open_answer_release(&one);
            }
        }
    }
}

/* ---- decoding on ---- */

struct generate_prompt writing_prompt(const struct writing *writing, size_t line)
{
    const struct open_answer *one = &writing->open[line];

    return (struct generate_prompt){.tokens = one->tokens.ids,
                                    .n = one->tokens.n,
                                    .n_new = writing->rules->max_new_tokens - one->answer.n_tokens};
}

size_t writing_document(const struct writing *writing, size_t line)
{
    return writing->open[line].document;
}

bool writing_take(struct writing *writing, size_t line, const struct forward_place *place,
                  uint8_t *matches)
{
    struct open_answer *one = &writing->open[line];
    const enum answer_verdict verdict = answer_write(&one->answer, writing->rules, place->best);

    if (verdict != ANSWER_OPEN) {
        matches[one->request] = verdict == ANSWER_RIGHT;
    }
    return verdict == ANSWER_OPEN;
}
