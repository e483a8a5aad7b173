/*
 * completion.c - prompts in one trie, answers token by token.
 *
 *   likelihood   one pass over the prompts: what stands at their places, and the token after each
 *   generation   lines that go on are generated from (generate.h)
 *
 * Prompts that share a beginning share its cost.
 */
#include "evaluator/completion.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/model/generate.h"
#include "evaluator/model/unicode.h"

/* One prompt and what comes after it. */
struct line {
    struct tokens ids; /* prompt, then generated */
    size_t n_prompt;
    struct forward_place *places; /* [ids.n], of each token; of the prompt's only when asked for */
    struct text text;             /* of the generated tokens */
    bool done, stopped;           /* stopped: by a stop text or the end of sequence */
};

struct lines {
    struct line *all; /* [n] */
    size_t n;
};

static void lines_release(struct lines *lines)
{
    for (size_t i = 0; i < lines->n; i++) {
        tokens_release(&lines->all[i].ids);
        text_release(&lines->all[i].text);
        free(lines->all[i].places);
    }
    free(lines->all);
    *lines = (struct lines){0};
}

static void lines_init(struct lines *lines, const struct completion_request *request)
{
    *lines = (struct lines){mem_array(request->n, sizeof *lines->all), request->n};
    for (size_t i = 0; i < request->n; i++) {
        const struct tokens *prompt = &request->prompts[i];
        struct line *line = &lines->all[i];

        tokens_add_n(&line->ids, prompt->ids, prompt->n);
        line->n_prompt = prompt->n;
        line->places = mem_array(prompt->n, sizeof *line->places);
        line->done = request->max_tokens == 0;
    }
}

/* ---- generating ---- */

static bool ends_sequence(const struct served *served, uint32_t id)
{
    size_t n = 0;
    const uint32_t *eos = tokenizer_eos(served->tokenizer, &n);

    for (size_t i = 0; i < n; i++) {
        if (eos[i] == id) {
            return true;
        }
    }
    return false;
}

/* Where a text begins to contain what, or n. */
static size_t find(const struct text *text, const char *what)
{
    const size_t size = strlen(what);

    for (size_t at = 0; at + size <= text->size; at++) {
        if (memcmp(text_get(text) + at, what, size) == 0) {
            return at;
        }
    }
    return text->size;
}

/* Cut the text at the first of the stops, wherever in a token it begins. */
static bool cut_at_stop(struct text *text, const struct strings *stops)
{
    size_t first = text->size;

    for (size_t i = 0; i < stops->n; i++) {
        const size_t at = find(text, stops->all[i]);

        first = at < first ? at : first;
    }
    if (first == text->size) {
        return false;
    }
    text->size = first;
    text->data[first] = '\0';
    return true;
}

/* The most likely token after a line joins it. */
static void go_on(struct served *served, const struct completion_request *request,
                  struct line *line, struct forward_place place)
{
    const size_t n = line->ids.n;

    place.loglikelihood = place.best_loglikelihood;
    line->places = mem_resize(line->places, n + 1, sizeof *line->places);
    line->places[n] = place;
    tokens_add(&line->ids, place.best);
    line->done = line->ids.n - line->n_prompt == request->max_tokens;
    if (ends_sequence(served, place.best)) {
        line->done = line->stopped = true;
        return;
    }
    /* A row of the model that no token has may still win: then it has no text. */
    (void)tokenizer_token_text(served->tokenizer, place.best, &line->text, NULL);
    if (cut_at_stop(&line->text, &request->stops)) {
        line->done = line->stopped = true;
    }
}

/* Every place of a prompt, and the token after it. */
static void take_places(struct served *served, const struct completion_request *request,
                        struct line *line, const struct trie *trie, size_t sequence)
{
    for (size_t at = 1; at < line->n_prompt; at++) {
        line->places[at] = forward_place(served->forward, trie, sequence, at - 1);
    }
    if (!line->done) {
        go_on(served, request, line,
              forward_place(served->forward, trie, sequence, line->n_prompt - 1));
    }
}

static int score_prompts(struct served *served, const struct completion_request *request,
                         struct lines *lines, struct err *err)
{
    struct trie *trie = trie_new();
    struct forward_result *results = mem_array(lines->n, sizeof *results);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < lines->n; i++) {
        rc = trie_add(trie, lines->all[i].ids.ids, lines->all[i].ids.n, 1, true, err);
    }
    if (rc == 0) {
        rc = trie_finish(trie, err);
    }
    if (rc == 0) {
        rc = forward_score(served->forward, served->weights, trie, results, err);
    }
    for (size_t i = 0; rc == 0 && i < lines->n; i++) {
        take_places(served, request, &lines->all[i], trie, i);
    }
    free(results);
    trie_free(trie);
    return rc;
}

struct generating {
    struct served *served;
    const struct completion_request *request;
    struct line **open; /* the lines that are not done */
};

static bool take(void *context, size_t line, const struct forward_place *place)
{
    const struct generating *generating = context;

    go_on(generating->served, generating->request, generating->open[line], *place);
    return !generating->open[line]->done;
}

static int generate_lines(struct served *served, const struct completion_request *request,
                          struct lines *lines, struct err *err)
{
    struct generate_prompt *prompts = mem_array(lines->n, sizeof *prompts);
    struct generating generating = {served, request, mem_array(lines->n, sizeof(struct line *))};
    const struct generate_sink sink = {.take = take, .context = &generating};
    size_t n = 0;

    for (size_t i = 0; i < lines->n; i++) {
        struct line *line = &lines->all[i];

        if (!line->done) {
            prompts[n] = (struct generate_prompt){
                line->ids.ids, line->ids.n, request->max_tokens - (line->ids.n - line->n_prompt)};
            generating.open[n++] = line;
        }
    }
    const int rc = generate(served->forward, served->weights, prompts, n, &sink, err);

    free(generating.open);
    free(prompts);
    return rc;
}

static int run(struct served *served, const struct completion_request *request, struct lines *lines,
               struct err *err)
{
    int rc = request->echo && request->logprobs ? score_prompts(served, request, lines, err) : 0;

    return rc == 0 ? generate_lines(served, request, lines, err) : rc;
}

/* ---- printing ---- */

/* What a token says inside a text, perhaps half a character; "" for a row without a token. */
static void token_bytes(struct served *served, uint32_t id, struct text *out)
{
    text_clear(out);
    (void)tokenizer_token_text(served->tokenizer, id, out, NULL);
}

static json_t *lossy(const struct text *bytes)
{
    struct text valid = {0};

    unicode_add_lossy(&valid, text_get(bytes), bytes->size);
    json_t *json = json_stringn(text_get(&valid), valid.size);
    text_release(&valid);
    return json;
}

static json_t *print_best(struct served *served, const struct forward_place *place)
{
    struct text bytes = {0};
    struct text key = {0};
    json_t *best = json_object();

    token_bytes(served, place->best, &bytes);
    unicode_add_lossy(&key, text_get(&bytes), strlen(text_get(&bytes))); /* a key ends at a NUL */
    json_object_set_new(best, text_get(&key), json_real(place->best_loglikelihood));
    text_release(&key);
    text_release(&bytes);
    return best;
}

/* The arrays over tokens [from, ids.n). Nothing precedes the very first, so it has no number. */
static json_t *print_logprobs(struct served *served, const struct line *line, size_t from)
{
    json_t *tokens = json_array();
    json_t *logprobs = json_array();
    json_t *best = json_array();
    json_t *offsets = json_array();
    struct text bytes = {0};
    size_t offset = 0;

    for (size_t i = from; i < line->ids.n; i++) {
        const struct forward_place *place = &line->places[i];

        token_bytes(served, line->ids.ids[i], &bytes);
        json_array_append_new(tokens, lossy(&bytes));
        json_array_append_new(logprobs, i == 0 ? json_null() : json_real(place->loglikelihood));
        json_array_append_new(best, i == 0 ? json_null() : print_best(served, place));
        json_array_append_new(offsets, json_integer((json_int_t)offset));
        offset += unicode_count(text_get(&bytes), bytes.size);
    }
    text_release(&bytes);
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", tokens, "token_logprobs", logprobs,
                     "top_logprobs", best, "text_offset", offsets);
}

static json_t *print_text(struct served *served, const struct line *line, bool echo)
{
    struct text whole = {0};
    struct text bytes = {0};

    for (size_t i = 0; echo && i < line->n_prompt; i++) {
        token_bytes(served, line->ids.ids[i], &bytes);
        text_add_n(&whole, text_get(&bytes), bytes.size);
    }
    text_add_n(&whole, text_get(&line->text), line->text.size);
    json_t *json = lossy(&whole);
    text_release(&bytes);
    text_release(&whole);
    return json;
}

static json_t *print_choice(struct served *served, const struct completion_request *request,
                            const struct line *line, size_t index)
{
    const size_t from = request->echo ? 0 : line->n_prompt;

    return json_pack("{s:I, s:o, s:s, s:o}", "index", (json_int_t)index, "text",
                     print_text(served, line, request->echo), "finish_reason",
                     line->stopped ? "stop" : "length", "logprobs",
                     request->logprobs ? print_logprobs(served, line, from) : json_null());
}

static json_t *print_answer(struct served *served, const struct completion_request *request,
                            const struct lines *lines, int64_t created)
{
    static uint64_t number; /* of the answer; clients only want them to differ */
    json_t *choices = json_array();
    size_t prompted = 0;
    size_t total = 0;
    char id[32];

    snprintf(id, sizeof id, "cmpl-%llu", (unsigned long long)++number);
    for (size_t i = 0; i < lines->n; i++) {
        prompted += lines->all[i].n_prompt;
        total += lines->all[i].ids.n;
        json_array_append_new(choices, print_choice(served, request, &lines->all[i], i));
    }
    return json_pack("{s:s, s:s, s:I, s:s, s:o, s:{s:I, s:I, s:I}}", "id", id, "object",
                     "text_completion", "created", (json_int_t)created, "model", served->name,
                     "choices", choices, "usage", "prompt_tokens", (json_int_t)prompted,
                     "completion_tokens", (json_int_t)(total - prompted), "total_tokens",
                     (json_int_t)total);
}

int completion_carry_out(struct served *served, const struct completion_request *request,
                         int64_t created, json_t **out, struct err *err)
{
    struct lines lines = {0};

    lines_init(&lines, request);
    const int rc = run(served, request, &lines, err);
    if (rc == 0) {
        *out = print_answer(served, request, &lines, created);
    }
    lines_release(&lines);
    return rc;
}

int completion_answer(struct served *served, const json_t *body, int64_t created, json_t **out,
                      struct err *err)
{
    struct completion_request request = {0};

    int rc = completion_request_read(&request, served, body, err);
    if (rc == 0) {
        rc = completion_carry_out(served, &request, created, out, err);
    }
    completion_request_release(&request);
    return rc;
}
