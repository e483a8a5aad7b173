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
    size_t request;
    struct answer answer;
    struct tokens tokens; /* context, then what is written */
};

struct open_answers {
    struct open_answer *all; /* [n] */
    size_t n, capacity;
};

static void open_answer_release(struct open_answer *open)
{
    answer_release(&open->answer);
    tokens_release(&open->tokens);
}

static void open_answers_release(struct open_answers *open)
{
    for (size_t i = 0; i < open->n; i++) {
        open_answer_release(&open->all[i]);
    }
    free(open->all);
    *open = (struct open_answers){0};
}

static void open_answers_add(struct open_answers *open, struct open_answer one)
{
    if (open->n == open->capacity) {
        open->capacity += open->capacity / 2 + 16;
        open->all = mem_resize(open->all, open->capacity, sizeof *open->all);
    }
    open->all[open->n++] = one;
}

/* ---- the forced pass ---- */

/* Write the most likely tokens of request r as far as they are the forced ones, and one more. */
static enum answer_verdict follow(const struct writing *writing, const struct forward *forward,
                                  size_t r, struct open_answer *open)
{
    const struct request *request = &writing->requests->all[r];
    const size_t n_context = request->n - request->n_scored;
    const uint32_t *tokens = writing->requests->tokens.ids + request->at;
    const size_t sequence = r - writing->requests->first[writing->begin];

    tokens_add_n(&open->tokens, tokens, n_context);
    for (size_t i = 0; i < request->n_scored + (request->wants_next ? 1u : 0u); i++) {
        const uint32_t best = forward_place(forward, writing->trie, sequence, i).best;
        const enum answer_verdict verdict = answer_write(&open->answer, &writing->rules, best);

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

static void follow_all(const struct writing *writing, const struct forward *forward,
                       struct open_answers *open, uint8_t *matches)
{
    const struct requests *requests = writing->requests;

    for (size_t i = writing->begin; i < writing->end; i++) {
        const struct document *document = &writing->task->documents[writing->documents[i]];

        for (size_t r = requests->first[i]; r < requests->first[i + 1]; r++) {
            struct open_answer one = {.request = r};
            const char *context = NULL;

            document_pair(document, r - requests->first[i], &context, &one.answer.wanted);
            const enum answer_verdict verdict =
                requests->all[r].out_of_reach ? ANSWER_WRONG : follow(writing, forward, r, &one);

            matches[r] = verdict == ANSWER_RIGHT;
            if (verdict == ANSWER_OPEN) {
                open_answers_add(open, one);
            } else {
                open_answer_release(&one);
            }
        }
    }
}

/* ---- decoding on ---- */

/* One token more for every open answer; those that are decided leave the list. */
static void write_next(const struct writing *writing, const struct forward_result *results,
                       struct open_answers *open, uint8_t *matches)
{
    size_t kept = 0;

    for (size_t i = 0; i < open->n; i++) {
        struct open_answer *one = &open->all[i];
        const enum answer_verdict verdict =
            answer_write(&one->answer, &writing->rules, results[i].next);

        tokens_add(&one->tokens, results[i].next);
        if (verdict == ANSWER_OPEN) {
            open->all[kept++] = *one;
        } else {
            matches[one->request] = verdict == ANSWER_RIGHT;
            open_answer_release(one);
        }
    }
    open->n = kept;
}

static int decode_once(const struct writing *writing, struct forward *forward,
                       const struct weights *weights, struct open_answers *open, uint8_t *matches,
                       struct err *err)
{
    struct forward_result *results = mem_array(open->n, sizeof *results);
    struct trie *trie = trie_new();
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < open->n; i++) {
        const struct tokens *tokens = &open->all[i].tokens;

        rc = trie_add(trie, tokens->ids, tokens->n, tokens->n, true, err);
    }
    if (rc == 0) {
        rc = trie_finish(trie, err);
    }
    if (rc == 0) {
        rc = forward_score(forward, weights, trie, results, err);
    }
    if (rc == 0) {
        write_next(writing, results, open, matches);
    }
    free(results);
    trie_free(trie);
    return rc;
}

int writing_matches(const struct writing *writing, struct forward *forward,
                    const struct weights *weights, uint8_t *matches, struct err *err)
{
    struct open_answers open = {0};
    int rc = 0;

    follow_all(writing, forward, &open, matches);
    while (rc == 0 && open.n > 0) { /* max_new_tokens ends it */
        rc = decode_once(writing, forward, weights, &open, matches, err);
    }
    open_answers_release(&open);
    return rc;
}
