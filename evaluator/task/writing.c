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
#include "evaluator/model/generate.h"

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

struct decoding {
    const struct writing *writing;
    struct open_answers *open;
    uint8_t *matches;
};

static bool write_next(void *context, size_t line, const struct forward_place *place)
{
    struct decoding *decoding = context;
    struct open_answer *one = &decoding->open->all[line];
    const enum answer_verdict verdict =
        answer_write(&one->answer, decoding->writing->rules, place->best);

    if (verdict != ANSWER_OPEN) {
        decoding->matches[one->request] = verdict == ANSWER_RIGHT;
    }
    return verdict == ANSWER_OPEN;
}

static int decode(const struct writing *writing, struct forward *forward,
                  const struct weights *weights, struct open_answers *open, uint8_t *matches,
                  struct err *err)
{
    struct generate_prompt *prompts = mem_array(open->n, sizeof *prompts);
    struct decoding decoding = {.writing = writing, .open = open, .matches = matches};
    const struct generate_sink sink = {.take = write_next, .context = &decoding};

    for (size_t i = 0; i < open->n; i++) {
        const struct open_answer *one = &open->all[i];

        prompts[i] = (struct generate_prompt){.tokens = one->tokens.ids,
                                              .n = one->tokens.n,
                                              .n_new = writing->rules->max_new_tokens -
                                                       one->answer.n_tokens};
    }
    const int rc = generate(forward, weights, prompts, open->n, &sink, err);

    free(prompts);
    return rc;
}

int writing_matches(const struct writing *writing, struct forward *forward,
                    const struct weights *weights, uint8_t *matches, struct err *err)
{
    struct open_answers open = {0};

    follow_all(writing, forward, &open, matches);
    const int rc = decode(writing, forward, weights, &open, matches, err);

    open_answers_release(&open);
    return rc;
}
