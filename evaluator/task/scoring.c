/*
 * scoring.c - a task's documents made ready once, then scored for every candidate.
 */
#include "evaluator/task/scoring.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "evaluator/model/trie.h"
#include "evaluator/task/metrics.h"

/* A request's sequences in the trie: one, or the windows of a rolling text. */
struct stretch {
    size_t first, n;
};

struct scoring {
    const struct task *task;
    size_t n;                  /* documents */
    size_t *documents;         /* [n] */
    size_t n_requests;         /* of these documents */
    struct stretch *stretches; /* [n_requests] */
    struct trie *trie;
    size_t n_sequences;
    size_t truncated;
    size_t vocab;
    unsigned char *ends; /* [vocab] 1: this token ends a generation */
};

/* What making ready shares. */
struct builder {
    struct scoring *scoring;
    struct tokenizer *tokenizer;
    size_t positions; /* 0: no limit */
    struct tokens context, whole;
};

static int add_sequence(struct builder *builder, const uint32_t *tokens, size_t n, size_t from,
                        bool want_next, struct err *err)
{
    int rc = trie_add(builder->scoring->trie, tokens, n, from, want_next, err);

    builder->scoring->n_sequences += rc == 0;
    return rc;
}

/* ---- context and continuation ---- */

static int encode(struct builder *builder, const char *s, size_t n, enum tokenizer_special special,
                  struct tokens *out, struct err *err)
{
    tokens_clear(out);
    return tokenizer_encode(builder->tokenizer, s, n, special, out, err);
}

/* builder->whole gets all tokens, *from where the continuation begins. */
static int cut_request(struct builder *builder, const struct task_request *request, size_t *from,
                       struct err *err)
{
    size_t n = strlen(request->context);
    uint32_t prefix;
    int rc;

    while (n > 0 && isspace((unsigned char)request->context[n - 1])) {
        n--;
    }
    if (n == 0 && request->context[0] == '\0') {
        if (!tokenizer_prefix(builder->tokenizer, &prefix)) {
            return err_set(err, ERR_MISSING,
                           "an empty context needs a beginning or end of sequence token");
        }
        rc = encode(builder, request->continuation, strlen(request->continuation), TOKENIZER_PLAIN,
                    &builder->context, err);
        tokens_clear(&builder->whole);
        if (rc == 0 && (builder->context.n == 0 || builder->context.ids[0] != prefix)) {
            tokens_add(&builder->whole, prefix);
        }
        tokens_add_n(&builder->whole, builder->context.ids, builder->context.n);
        *from = 1;
        return rc;
    }
    struct text text = {0};
    text_add(&text, request->context);
    text_add(&text, request->continuation);
    rc = encode(builder, request->context, n, TOKENIZER_WITH_SPECIAL, &builder->context, err);
    if (rc == 0) {
        rc = encode(builder, text_get(&text), text.size, TOKENIZER_WITH_SPECIAL, &builder->whole,
                    err);
    }
    *from = builder->context.n;
    text_release(&text);
    return rc;
}

static int add_request(struct builder *builder, const struct task_request *request, bool *cut,
                       struct err *err)
{
    bool generates = builder->scoring->task->output == TASK_GENERATE;
    size_t from = 0;
    int rc = cut_request(builder, request, &from, err);

    if (rc != 0) {
        return rc;
    }
    const uint32_t *tokens = builder->whole.ids;
    size_t n = builder->whole.n;
    if (from == 0 || from > n || (from == n && !generates)) {
        return err_set(err, ERR_FORMAT, "the continuation adds no token to its context");
    }
    /* The last token is only predicted, unless what follows it matters. */
    size_t room = builder->positions > 0 ? builder->positions + !generates : n;
    if (n > room) {
        size_t drop = n - room;

        if (drop >= from) {
            return err_set(err, ERR_LIMIT,
                           "a continuation of %zu tokens does not fit the model's context of %zu",
                           n - from, builder->positions);
        }
        tokens += drop;
        n -= drop;
        from -= drop;
        *cut = true;
    }
    return add_sequence(builder, tokens, n, from, generates, err);
}

/* ---- rolling windows ---- */

/* Every token predicted once; a full window starts with one token of context, the last is filled up
 * with earlier ones. */
static int add_windows(struct builder *builder, const char *s, struct err *err)
{
    uint32_t prefix;
    int rc;

    if (!tokenizer_prefix(builder->tokenizer, &prefix)) {
        return err_set(err, ERR_MISSING,
                       "a rolling text needs a beginning or end of sequence token");
    }
    rc = encode(builder, s, strlen(s), TOKENIZER_WITH_SPECIAL, &builder->context, err);
    tokens_clear(&builder->whole);
    tokens_add(&builder->whole, prefix);
    tokens_add_n(&builder->whole, builder->context.ids, builder->context.n);
    size_t total = builder->context.n;
    size_t window = builder->positions > 0 ? builder->positions : total;
    for (size_t done = 0; done < total && rc == 0;) {
        size_t n = total - done < window ? total - done : window;
        size_t end = done + n; /* predicts whole[done + 1 .. end] */
        size_t begin = done == 0 || end < window ? 0 : end - window;

        rc = add_sequence(builder, builder->whole.ids + begin, end + 1 - begin, done + 1 - begin,
                          false, err);
        done = end;
    }
    return rc;
}

/* ---- making ready ---- */

static int add_document(struct builder *builder, const struct task_document *document,
                        struct err *err)
{
    struct scoring *scoring = builder->scoring;
    bool cut = false;

    for (size_t r = 0; r < document->n; r++) {
        const struct task_request *request = &scoring->task->requests[document->first + r];
        struct stretch *stretch = &scoring->stretches[scoring->n_requests++];

        stretch->first = scoring->n_sequences;
        int rc = scoring->task->output == TASK_ROLLING
                     ? add_windows(builder, request->continuation, err)
                     : add_request(builder, request, &cut, err);
        stretch->n = scoring->n_sequences - stretch->first;
        if (rc != 0) {
            return err_wrap(err, "task %s: document '%.80s'", scoring->task->name, document->id);
        }
    }
    scoring->truncated += cut;
    return 0;
}

/* Which tokens end a generation: ends of sequence, and those whose text begins with a stop string.
 */
static int find_ends(struct scoring *scoring, struct tokenizer *tokenizer, struct err *err)
{
    size_t n_eos;
    const uint32_t *eos = tokenizer_eos(tokenizer, &n_eos);
    struct text text = {0};
    int rc = 0;

    scoring->vocab = tokenizer_size(tokenizer);
    scoring->ends = mem_array(scoring->vocab, 1);
    for (uint32_t id = 0; id < scoring->vocab && rc == 0; id++) {
        text_clear(&text);
        rc = tokenizer_token_text(tokenizer, id, &text, err);
        for (size_t u = 0; u < scoring->task->n_until && rc == 0; u++) {
            const char *until = scoring->task->until[u];

            scoring->ends[id] |= strncmp(text_get(&text), until, strlen(until)) == 0;
        }
    }
    for (size_t i = 0; i < n_eos; i++) {
        if (eos[i] < scoring->vocab) {
            scoring->ends[eos[i]] = 1;
        }
    }
    text_release(&text);
    return rc;
}

int scoring_new(struct scoring **out, const struct task *task, struct tokenizer *tokenizer,
                const size_t *documents, size_t n, size_t positions, struct err *err)
{
    struct scoring *made = mem_array(1, sizeof(*made));
    struct builder builder = {.scoring = made, .tokenizer = tokenizer, .positions = positions};
    size_t n_requests = 0;
    int rc = 0;

    *made = (struct scoring){
        .task = task, .n = n, .documents = mem_array(n, sizeof(size_t)), .trie = trie_new()};
    memcpy(made->documents, documents, n * sizeof(size_t));
    for (size_t i = 0; i < n; i++) {
        n_requests += task->documents[documents[i]].n;
    }
    made->stretches = mem_array(n_requests, sizeof(struct stretch));
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = add_document(&builder, &task->documents[documents[i]], err);
    }
    if (rc == 0) {
        rc = trie_finish(made->trie, err);
    }
    if (rc == 0 && task->output == TASK_GENERATE) {
        rc = find_ends(made, tokenizer, err);
    }
    tokens_release(&builder.context);
    tokens_release(&builder.whole);
    if (rc != 0) {
        scoring_free(made);
        return rc;
    }
    *out = made;
    return 0;
}

void scoring_free(struct scoring *scoring)
{
    if (scoring != NULL) {
        trie_free(scoring->trie);
        free(scoring->documents);
        free(scoring->stretches);
        free(scoring->ends);
        free(scoring);
    }
}

size_t scoring_positions(const struct scoring *scoring)
{
    return trie_positions(scoring->trie);
}

/* ---- running ---- */

static void lay_out_score(const struct scoring *scoring, struct score_task *out)
{
    const struct task *task = scoring->task;

    *out = (struct score_task){.name = mem_text(task->name),
                               .n = scoring->n,
                               .n_metrics = task->n_metrics,
                               .truncated = scoring->truncated};
    memcpy(out->digest, task->digest, DIGEST_HEX);
    out->metrics = mem_array(task->n_metrics, sizeof(char *));
    out->values = mem_array(task->n_metrics, sizeof(double));
    out->errors = mem_array(task->n_metrics, sizeof(double));
    out->ids = mem_array(scoring->n, sizeof(char *));
    out->document_values = mem_array(scoring->n * task->n_metrics, sizeof(double));
    out->first = mem_array(scoring->n + 1, sizeof(uint32_t));
    out->loglikelihoods = mem_array(scoring->n_requests, sizeof(double));
    out->greedy = mem_array(scoring->n_requests, 1);
    for (size_t m = 0; m < task->n_metrics; m++) {
        out->metrics[m] = mem_text(task->metrics[m]);
    }
}

/* A request's sequences added up. */
static void take_results(const struct scoring *scoring, const struct forward_result *results,
                         struct score_task *out)
{
    for (size_t r = 0; r < scoring->n_requests; r++) {
        const struct stretch *stretch = &scoring->stretches[r];

        out->greedy[r] = 1;
        for (size_t s = stretch->first; s < stretch->first + stretch->n; s++) {
            const struct forward_result *result = &results[s];
            bool ended = scoring->ends == NULL ||
                         (result->next < scoring->vocab && scoring->ends[result->next] != 0);

            out->loglikelihoods[r] += result->loglikelihood;
            out->greedy[r] = out->greedy[r] && result->greedy && ended;
        }
    }
}

static void measure(const struct scoring *scoring, struct score_task *out)
{
    const struct task *task = scoring->task;
    double *values = mem_array(scoring->n, sizeof(double));
    double *units = mem_array(scoring->n, sizeof(double));

    for (size_t m = 0; m < task->n_metrics; m++) {
        for (size_t i = 0; i < scoring->n; i++) {
            struct metrics_input input = {.task = task,
                                          .document = &task->documents[scoring->documents[i]],
                                          .loglikelihoods = out->loglikelihoods + out->first[i],
                                          .greedy = out->greedy + out->first[i]};

            values[i] = metrics_of_document(&input, task->metrics[m]);
            units[i] = metrics_units(&input, task->metrics[m]);
            out->document_values[i * task->n_metrics + m] = values[i];
        }
        metrics_aggregate(task->metrics[m], values, units, scoring->n, &out->values[m],
                          &out->errors[m]);
    }
    free(values);
    free(units);
}

int scoring_run(const struct scoring *scoring, struct forward *forward,
                const struct weights *weights, struct score_task *out, struct err *err)
{
    struct forward_result *results = mem_array(scoring->n_sequences, sizeof(*results));
    int rc = forward_score(forward, weights, scoring->trie, results, err);

    if (rc == 0) {
        lay_out_score(scoring, out);
        for (size_t i = 0; i < scoring->n; i++) {
            const struct task_document *document = &scoring->task->documents[scoring->documents[i]];

            out->ids[i] = mem_text(document->id);
            out->first[i + 1] = out->first[i] + (uint32_t)document->n;
        }
        take_results(scoring, results, out);
        measure(scoring, out);
    }
    free(results);
    return rc;
}
