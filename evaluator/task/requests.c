/*
 * requests.c - texts to sequences.
 *
 *   context "1 + 1 = "  continuation "2"      moved: "1 + 1 ="  " 2"
 *   C = ids("1 + 1 =")    W = ids("1 + 1 = 2")    scored: W[len(C) ..]
 */
#include "evaluator/task/requests.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "evaluator/model/unicode.h"

/* No limit on positions, without overflow in sums. */
#define POSITIONS_UNLIMITED ((size_t)UINT32_MAX / 4)

struct build {
    struct requests *made;
    const struct task *task;
    struct tokenizer *tokenizer;
    size_t positions; /* M */
    bool cut;         /* the current document lost tokens */
    struct tokens context, whole;
    struct text text;
};

/* Add a sequence: the last n_context of the context's tokens, then [n] scored ones. */
static struct request *add(struct build *build, const uint32_t *context, size_t n_context,
                           const uint32_t *scored, size_t n)
{
    struct requests *made = build->made;

    if (made->n == made->capacity) {
        made->capacity += made->capacity / 2 + 64;
        made->all = mem_resize(made->all, made->capacity, sizeof *made->all);
    }
    struct request *request = &made->all[made->n++];

    *request = (struct request){
        .at = made->tokens.n, .n = (uint32_t)(n_context + n), .n_scored = (uint32_t)n};
    tokens_add_n(&made->tokens, context, n_context);
    tokens_add_n(&made->tokens, scored, n);
    return request;
}

static size_t at_most(size_t n, size_t max)
{
    return n < max ? n : max;
}

/* A continuation that is only measured: the input is all but its last token. */
static int add_measured(struct build *build, const uint32_t *context, size_t n_context,
                        const uint32_t *scored, size_t n, struct err *err)
{
    if (n > build->positions) {
        return err_set(err, ERR_LIMIT, "continuation of %zu tokens, the model takes %zu", n,
                       build->positions);
    }
    const size_t kept = at_most(n_context, build->positions + 1 - n);

    build->cut = build->cut || kept < n_context;
    add(build, context + n_context - kept, kept, scored, n);
    return 0;
}

/*
 * An answer that generation must reach token by token: the context leaves room for max_new_tokens,
 * and what follows the answer's last token is asked too, unless generation would be cut just there.
 */
static int add_generated(struct build *build, const uint32_t *context, size_t n_context,
                         const uint32_t *scored, size_t n, struct err *err)
{
    const size_t room = build->task->max_new_tokens;

    if (n > room) {
        const int rc = add_measured(build, context, n_context, scored, n, err);

        if (rc == 0) {
            build->made->all[build->made->n - 1].out_of_reach = true;
        }
        return rc;
    }
    if (room >= build->positions) {
        return err_set(err, ERR_LIMIT, "max_new_tokens %zu leaves nothing of the model's %zu", room,
                       build->positions);
    }
    const size_t kept = at_most(n_context, build->positions - room);
    struct request *request = add(build, context + n_context - kept, kept, scored, n);

    build->cut = build->cut || kept < n_context;
    request->wants_next = n < room;
    return 0;
}

static int add_scored(struct build *build, const uint32_t *context, size_t n_context,
                      const uint32_t *scored, size_t n, struct err *err)
{
    if (n == 0 && build->task->output != TASK_GENERATE_UNTIL) {
        return err_set(err, ERR_FORMAT, "the continuation has no tokens of its own");
    }
    return build->task->output == TASK_GENERATE_UNTIL
               ? add_generated(build, context, n_context, scored, n, err)
               : add_measured(build, context, n_context, scored, n, err);
}

/* Nothing before the continuation: one prefix token, unless the continuation brings it. */
static int add_after_nothing(struct build *build, const struct tokens *continuation,
                             struct err *err)
{
    uint32_t prefix = 0;
    const int rc = tokenizer_prefix(build->tokenizer, &prefix, err);

    if (rc != 0) {
        return rc;
    }
    if (continuation->n > 0 && continuation->ids[0] == prefix) {
        return add_scored(build, continuation->ids, 1, continuation->ids + 1, continuation->n - 1,
                          err);
    }
    return add_scored(build, &prefix, 1, continuation->ids, continuation->n, err);
}

/* Bytes of the context without the whitespace at its end. */
static size_t size_without_space(const char *text, size_t n)
{
    while (n > 0) {
        uint32_t code = 0;
        const size_t at = unicode_last(text, n);

        unicode_next(text + at, n - at, &code);
        if (!unicode_is_python_space(code)) {
            break;
        }
        n = at;
    }
    return n;
}

static int add_pair(struct build *build, const char *context, const char *continuation,
                    struct err *err)
{
    const bool generated = build->task->output == TASK_GENERATE_UNTIL;
    const size_t n = generated ? strlen(context) : size_without_space(context, strlen(context));
    struct tokens *alone = &build->context;
    struct tokens *whole = &build->whole;

    text_clear(&build->text);
    text_add(&build->text, context);
    text_add(&build->text, continuation);
    tokens_clear(alone);
    tokens_clear(whole);
    int rc = 0;
    if (n > 0) {
        rc = tokenizer_encode(build->tokenizer, context, n, TOKENIZER_WITH_SPECIAL, alone, err);
    }
    if (rc == 0) {
        rc = tokenizer_encode(build->tokenizer, text_get(&build->text), build->text.size,
                              n > 0 ? TOKENIZER_WITH_SPECIAL : TOKENIZER_PLAIN, whole, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (alone->n == 0) {
        return add_after_nothing(build, whole, err);
    }
    const size_t n_context = at_most(alone->n, whole->n);

    return add_scored(build, alone->ids, n_context, whole->ids + n_context, whole->n - n_context,
                      err);
}

/*
 * A rolling text in windows of M predicted tokens, each token predicted once. With M = 4 and nine
 * tokens the inputs are p 1 2 3, 4 5 6 7, 5 6 7 8, which predict 1-4, 5-8, 9.
 */
static int add_windows(struct build *build, const char *text, struct err *err)
{
    struct tokens *tokens = &build->whole;
    uint32_t prefix = 0;

    tokens_clear(tokens);
    int rc =
        tokenizer_encode(build->tokenizer, text, strlen(text), TOKENIZER_WITH_SPECIAL, tokens, err);
    if (rc != 0 || tokens->n == 0) {
        return rc;
    }
    rc = tokenizer_prefix(build->tokenizer, &prefix, err);
    if (rc != 0) {
        return rc;
    }
    const size_t M = build->positions;
    size_t done = at_most(M, tokens->n);

    add(build, &prefix, 1, tokens->ids, done);
    while (done < tokens->n) {
        const size_t w = at_most(M, tokens->n - done);
        const size_t begin = done + w - M - 1;

        add(build, tokens->ids + begin, done - begin, tokens->ids + done, w);
        done += w;
    }
    return 0;
}

static int add_document(struct build *build, const struct document *document, struct err *err)
{
    const size_t pairs = document_pairs(document);
    const bool unconditional = task_metric(build->task, "acc_mutual_info") != SIZE_MAX;
    const char *context = NULL;
    const char *continuation = NULL;
    int rc = 0;

    if (build->task->output == TASK_LOGLIKELIHOOD_ROLLING) {
        return add_windows(build, document->contexts.all[0], err);
    }
    if (task_needs_text(build->task)) {
        return add_pair(build, document->contexts.all[0], "", err);
    }
    for (size_t i = 0; rc == 0 && i < pairs; i++) {
        document_pair(document, i, &context, &continuation);
        rc = add_pair(build, context, continuation, err);
    }
    for (size_t i = 0; rc == 0 && unconditional && i < pairs; i++) {
        document_pair(document, i, &context, &continuation);
        rc = add_pair(build, "", continuation, err);
    }
    return rc;
}

int requests_build(struct requests *out, const struct task *task, const size_t *documents, size_t n,
                   struct tokenizer *tokenizer, size_t positions_max, struct err *err)
{
    struct requests made = {0};
    struct build build = {.made = &made,
                          .task = task,
                          .tokenizer = tokenizer,
                          .positions = positions_max > 0 ? positions_max : POSITIONS_UNLIMITED};
    size_t bad = 0;
    int rc = 0;

    made.first = mem_array(n + 1, sizeof *made.first);
    made.n_documents = n;
    for (size_t i = 0; i < n; i++) {
        const struct document *document = &task->documents[documents[i]];

        build.cut = false;
        const int failed = add_document(&build, document, bad == 0 ? err : NULL);

        if (failed != 0 && bad++ == 0) {
            rc = err_wrap(err, "task %s: document %s", task->name, document->id);
        }
        made.truncated += build.cut;
        made.first[i + 1] = made.n;
    }
    if (bad > 1) {
        rc = err_wrap(err, "%zu of %zu documents cannot be asked, first", bad, n);
    }
    if (rc == 0) {
        *out = made;
        made = (struct requests){0}; /* handed over */
    }
    requests_release(&made);
    tokens_release(&build.context);
    tokens_release(&build.whole);
    text_release(&build.text);
    return rc;
}

void requests_release(struct requests *requests)
{
    tokens_release(&requests->tokens);
    free(requests->all);
    free(requests->first);
    *requests = (struct requests){0};
}
