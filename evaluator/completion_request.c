/*
 * completion_request.c - what a request asks for, checked before any work is done.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/completion.h"

/* ---- prompts: a text, texts, ids, lists of ids ---- */

static int add_prompt(struct completion_request *made, struct served *served, const json_t *json,
                      struct err *err)
{
    struct tokens *ids = &made->prompts[made->n++];

    if (json_is_string(json)) { /* nothing is put in front: clients that count tokens rely on it */
        return tokenizer_encode(served->tokenizer, json_string_value(json),
                                json_string_length(json), TOKENIZER_PLAIN, ids, err);
    }
    if (json_is_array(json)) {
        return served_ids(served, json, ids, err);
    }
    return err_set(err, ERR_FORMAT, "expected a text or a list of token ids, got %s",
                   doc_kind(json));
}

static int read_prompts(struct completion_request *made, struct served *served, const json_t *body,
                        struct err *err)
{
    const json_t *prompt = json_object_get(body, "prompt");
    const bool several =
        json_is_array(prompt) && !json_is_integer(json_array_get(prompt, 0)); /* or none */
    const size_t n = several ? json_array_size(prompt) : 1;

    if (prompt == NULL || n == 0) {
        return err_set(err, ERR_MISSING, "prompt: there is none");
    }
    if (n > COMPLETION_PROMPTS_MAX) {
        return err_set(err, ERR_LIMIT, "prompt: %zu in one request, at most %zu", n,
                       COMPLETION_PROMPTS_MAX);
    }
    made->prompts = mem_array(n, sizeof *made->prompts);
    for (size_t i = 0; i < n; i++) {
        int rc = add_prompt(made, served, several ? json_array_get(prompt, i) : prompt, err);

        if (rc == 0 && made->prompts[i].n == 0) {
            rc = err_set(err, ERR_FORMAT, "it has no tokens, and nothing is put in front");
        }
        if (rc != 0) {
            return err_wrap(err, "prompt %zu", i);
        }
    }
    return 0;
}

/* ---- the other members ---- */

static bool is_given(const json_t *body, const char *key)
{
    const json_t *value = json_object_get(body, key);

    return value != NULL && !json_is_null(value);
}

int completion_read_stops(struct completion_request *made, const json_t *body, struct err *err)
{
    const json_t *stop = json_object_get(body, "stop");
    const size_t n = json_is_array(stop) ? json_array_size(stop) : 1;

    if (!is_given(body, "stop")) {
        return 0;
    }
    if (n > COMPLETION_STOPS_MAX) {
        return err_set(err, ERR_LIMIT, "stop: %zu texts, at most %zu", n, COMPLETION_STOPS_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *text = json_is_array(stop) ? json_array_get(stop, i) : stop;

        if (!json_is_string(text)) {
            return err_set(err, ERR_FORMAT, "stop: expected a text, got %s", doc_kind(text));
        }
        if (json_string_length(text) > 0) { /* an empty one would stop at once: ignored */
            strings_add(&made->stops, mem_text(json_string_value(text)));
        }
    }
    return 0;
}

/* A number member that must have one value when it is there. */
static int only_number(const json_t *body, const char *key, double only, struct err *err)
{
    double value = only;
    const int rc = is_given(body, key) ? doc_number(body, key, &value, err) : 0;

    if (rc != 0 || value == only) {
        return rc;
    }
    return err_set(err, ERR_FORMAT, "%s: only %g is supported, not %g", key, only, value);
}

int completion_refuse_unsupported(const json_t *body, struct err *err)
{
    static const struct {
        const char *key;
        double only;
    } numbers[] = {{"temperature", 0},       {"n", 1},
                   {"best_of", 1},           {"presence_penalty", 0},
                   {"frequency_penalty", 0}, {"repetition_penalty", 1}};
    static const char *const absent[] = {"suffix", "logit_bias"};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const int rc = only_number(body, numbers[i].key, numbers[i].only, err);

        if (rc != 0) {
            return rc;
        }
    }
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        const json_t *value = json_object_get(body, absent[i]);
        const bool empty = json_is_object(value) && json_object_size(value) == 0;

        if (is_given(body, absent[i]) && !empty) {
            return err_set(err, ERR_FORMAT, "%s is not supported", absent[i]);
        }
    }
    bool stream = false;
    const int rc = is_given(body, "stream") ? doc_bool_or(body, "stream", false, &stream, err) : 0;

    return rc == 0 && stream ? err_set(err, ERR_FORMAT, "stream is not supported") : rc;
}

static int read_options(struct completion_request *made, const json_t *body, struct err *err)
{
    int64_t max_tokens = COMPLETION_TOKENS;
    int64_t logprobs = 0;
    int rc = 0;

    if (is_given(body, "max_tokens")) {
        rc = doc_integer(body, "max_tokens", 0, INT32_MAX, &max_tokens, err);
    }
    if (rc == 0 && is_given(body, "logprobs")) { /* the most likely token is all there is */
        rc = doc_integer(body, "logprobs", 0, 1, &logprobs, err);
        made->logprobs = true;
    }
    if (rc == 0 && is_given(body, "echo")) {
        rc = doc_bool_or(body, "echo", false, &made->echo, err);
    }
    made->max_tokens = (size_t)max_tokens;
    return rc;
}

int completion_check_lengths(const struct completion_request *made, const struct served *served,
                             struct err *err)
{
    for (size_t i = 0; i < made->n; i++) {
        if (made->prompts[i].n + made->max_tokens > served->positions) {
            return err_set(err, ERR_LIMIT,
                           "prompt %zu: its %zu tokens and max_tokens %zu exceed the context of "
                           "%zu",
                           i, made->prompts[i].n, made->max_tokens, served->positions);
        }
    }
    return 0;
}

int completion_request_read(struct completion_request *out, struct served *served,
                            const json_t *body, struct err *err)
{
    struct completion_request made = {0};

    int rc = completion_refuse_unsupported(body, err);
    if (rc == 0) {
        rc = read_options(&made, body, err);
    }
    if (rc == 0) {
        rc = completion_read_stops(&made, body, err);
    }
    if (rc == 0) {
        rc = read_prompts(&made, served, body, err);
    }
    if (rc == 0) {
        rc = completion_check_lengths(&made, served, err);
    }
    if (rc != 0) {
        completion_request_release(&made);
        return rc;
    }
    *out = made;
    return 0;
}

void completion_request_release(struct completion_request *request)
{
    for (size_t i = 0; i < request->n; i++) {
        tokens_release(&request->prompts[i]);
    }
    free(request->prompts);
    strings_release(&request->stops);
    *request = (struct completion_request){0};
}
