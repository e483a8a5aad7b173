/*
 * chat_completion.c - messages to a prompt; the text that follows it to a message.
 */
#include "evaluator/chat_completion.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/chat/chat.h"

static bool is_given(const json_t *body, const char *key)
{
    const json_t *value = json_object_get(body, key);

    return value != NULL && !json_is_null(value);
}

/* ---- messages ---- */

/* Only who speaks and what; members that say more must be empty. */
static int add_message(json_t *messages, const json_t *message, struct err *err)
{
    static const char *const absent[] = {"tool_calls", "function_call", "tool_call_id"};
    const char *role = NULL;
    const char *content = NULL;

    int rc = doc_text(message, "role", &role, err);
    if (rc == 0) {
        rc = doc_text(message, "content", &content, err);
    }
    for (size_t i = 0; rc == 0 && i < sizeof absent / sizeof *absent; i++) {
        if (is_given(message, absent[i])) {
            rc = err_set(err, ERR_FORMAT, "%s is not supported", absent[i]);
        }
    }
    if (rc == 0) {
        json_array_append_new(messages, json_pack("{s:s, s:s}", "role", role, "content", content));
    }
    return rc;
}

static int read_messages(json_t *messages, const json_t *body, struct err *err)
{
    json_t *list = NULL;

    int rc = doc_array(body, "messages", &list, err);
    const size_t n = json_array_size(list);

    if (rc == 0 && (n == 0 || n > CHAT_COMPLETION_MESSAGES_MAX)) {
        rc = err_set(err, ERR_LIMIT, "messages: %zu, expected 1 to %zu", n,
                     CHAT_COMPLETION_MESSAGES_MAX);
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = add_message(messages, json_array_get(list, i), err);
        if (rc != 0) {
            rc = err_wrap(err, "messages[%zu]", i);
        }
    }
    return rc;
}

/* ---- the other members ---- */

static int refuse_unsupported(const json_t *body, struct err *err)
{
    static const char *const absent[] = {"tools", "tool_choice", "functions", "function_call",
                                         "audio"};
    const json_t *format = json_object_get(body, "response_format");
    const char *type = json_string_value(json_object_get(format, "type"));
    bool logprobs = false;

    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        const json_t *value = json_object_get(body, absent[i]);
        const bool empty = json_is_array(value) && json_array_size(value) == 0;

        if (is_given(body, absent[i]) && !empty) {
            return err_set(err, ERR_FORMAT, "%s is not supported", absent[i]);
        }
    }
    if (is_given(body, "response_format") && (type == NULL || strcmp(type, "text") != 0)) {
        return err_set(err, ERR_FORMAT, "response_format: only text is supported");
    }
    const int rc =
        is_given(body, "logprobs") ? doc_bool_or(body, "logprobs", false, &logprobs, err) : 0;

    return rc == 0 && logprobs
               ? err_set(err, ERR_FORMAT, "logprobs is not supported; /v1/completions has them")
               : rc;
}

/* Whether the assistant's turn is opened, or its beginning gone on with. */
static int read_end(const json_t *body, const json_t *messages, enum chat_end *end, struct err *err)
{
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    const char *role = json_string_value(json_object_get(last, "role"));
    bool continues = false;
    bool opens = true;

    int rc = doc_bool_or(body, "continue_final_message", false, &continues, err);
    if (rc == 0) {
        rc = doc_bool_or(body, "add_generation_prompt", !continues, &opens, err);
    }
    if (rc == 0 && opens == continues) {
        rc = err_set(err, ERR_FORMAT,
                     "add_generation_prompt: one of it and continue_final_message is true");
    }
    if (rc == 0 && continues && strcmp(role, "assistant") != 0) {
        rc = err_set(err, ERR_FORMAT,
                     "continue_final_message: the last message is not the "
                     "assistant's");
    }
    *end = continues ? CHAT_CONTINUE : CHAT_ANSWER;
    return rc;
}

/* max_completion_tokens is the newer name of max_tokens; silent, what the context leaves. */
static int read_max_tokens(struct completion_request *made, const struct served *served,
                           const json_t *body, struct err *err)
{
    const size_t n = made->prompts[0].n;
    const size_t left = n < served->positions ? served->positions - n : 1;
    const char *key =
        is_given(body, "max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
    int64_t tokens =
        (int64_t)(left < CHAT_COMPLETION_TOKENS ? left : (size_t)CHAT_COMPLETION_TOKENS);
    const int rc = is_given(body, key) ? doc_integer(body, key, 1, INT32_MAX, &tokens, err) : 0;

    made->max_tokens = (size_t)tokens;
    return rc;
}

/* ---- the prompt ---- */

static int make_prompt(struct completion_request *made, struct served *served, const json_t *body,
                       struct err *err)
{
    json_t *messages = json_array();
    struct text prompt = {0};
    enum chat_end end = CHAT_ANSWER;

    int rc = read_messages(messages, body, err);
    if (rc == 0) {
        rc = read_end(body, messages, &end, err);
    }
    if (rc == 0) {
        rc = chat_render(served->chat, messages, end, &prompt, err);
    }
    if (rc == 0) {
        made->prompts = mem_array(1, sizeof *made->prompts);
        made->n = 1;
        rc = tokenizer_encode(served->tokenizer, text_get(&prompt), prompt.size,
                              TOKENIZER_WITH_SPECIAL, &made->prompts[0], err);
    }
    if (rc == 0 && made->prompts[0].n == 0) {
        rc = err_set(err, ERR_FORMAT, "messages: the template makes no tokens of them");
    }
    text_release(&prompt);
    json_decref(messages);
    return rc;
}

int chat_completion_read(struct completion_request *out, struct served *served, const json_t *body,
                         struct err *err)
{
    struct completion_request made = {0};

    int rc = completion_refuse_unsupported(body, err);
    if (rc == 0) {
        rc = refuse_unsupported(body, err);
    }
    if (rc == 0) {
        rc = completion_read_stops(&made, body, err);
    }
    if (rc == 0) {
        rc = make_prompt(&made, served, body, err);
    }
    if (rc == 0) {
        rc = read_max_tokens(&made, served, body, err);
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

/* ---- the answer ---- */

/* A completion's answer in the form of a chat's. */
static void reshape(json_t *answer)
{
    json_t *choice = json_array_get(json_object_get(answer, "choices"), 0);
    char *id = mem_printf("chat%s", json_string_value(json_object_get(answer, "id")));

    json_object_set_new(
        choice, "message",
        json_pack("{s:s, s:O}", "role", "assistant", "content", json_object_get(choice, "text")));
    json_object_del(choice, "text");
    json_object_set_new(answer, "id", json_string(id));
    json_object_set_new(answer, "object", json_string("chat.completion"));
    free(id);
}

int chat_completion_answer(struct served *served, const json_t *body, int64_t created, json_t **out,
                           struct err *err)
{
    struct completion_request request = {0};
    json_t *answer = NULL;

    int rc = chat_completion_read(&request, served, body, err);
    if (rc == 0) {
        rc = completion_carry_out(served, &request, created, &answer, err);
    }
    if (rc == 0) {
        reshape(answer);
        *out = answer;
    }
    completion_request_release(&request);
    return rc;
}
