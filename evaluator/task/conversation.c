/*
 * conversation.c - records to turns.
 */
#include "evaluator/task/conversation.h"

#include "evaluator/task/prompt_parts.h"

static void add_turn(json_t *messages, const char *role, const struct text *content)
{
    json_array_append_new(messages, json_pack("{s:s, s:s%}", "role", role, "content",
                                              text_get(content), content->size));
}

static void add_system(const struct prompt *prompt, json_t *messages)
{
    struct text system = {0};

    prompt_add_system(prompt, &system);
    if (system.size > 0) {
        add_turn(messages, "system", &system);
    }
    text_release(&system);
}

/* An example as two turns. */
static int add_example(const struct prompt *prompt, const json_t *record, json_t *messages,
                       struct err *err)
{
    struct text question = {0};
    struct text answer = {0};
    struct text begun = {0};

    int rc = parts_example(prompt, record, &question, &answer, err);
    if (rc == 0) {
        rc = parts_prefix(prompt, record, &begun, err);
    }
    if (rc == 0) {
        parts_join(&begun, begun.size > 0 ? " " : "", text_get(&answer));
        add_turn(messages, "user", &question);
        add_turn(messages, "assistant", &begun);
    }
    text_release(&begun);
    text_release(&answer);
    text_release(&question);
    return rc;
}

/* Examples as turns of their own, or as text before the question. */
static int add_examples(const struct prompt *prompt, const json_t *const *shots, size_t n,
                        json_t *messages, struct text *before, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = prompt->multiturn ? add_example(prompt, shots[i], messages, err)
                               : prompt_add_example(prompt, shots[i], before, err);
        if (rc != 0) {
            rc = err_wrap(err, "few-shot example %zu", i + 1);
        }
    }
    return rc;
}

int conversation_render(const struct prompt *prompt, const json_t *record, const char *choice,
                        const json_t *const *shots, size_t n, struct text *out, struct err *err)
{
    json_t *messages = json_array();
    struct text question = {0};
    struct text begun = {0};

    add_system(prompt, messages);
    int rc = add_examples(prompt, shots, n, messages, &question, err);
    if (rc == 0) {
        rc = parts_question(prompt, record, choice, &question, err);
    }
    if (rc == 0) {
        rc = parts_prefix(prompt, record, &begun, err);
    }
    if (rc == 0) {
        add_turn(messages, "user", &question);
        if (begun.size > 0) {
            add_turn(messages, "assistant", &begun);
        }
        rc = chat_render(prompt->template, messages, begun.size > 0 ? CHAT_CONTINUE : CHAT_ANSWER,
                         out, err);
    }
    text_release(&begun);
    text_release(&question);
    json_decref(messages);
    return rc;
}

int conversation_delimiter(const struct prompt *prompt, const json_t *record, struct text *out,
                           struct err *err)
{
    struct text begun = {0};
    const int rc = parts_prefix(prompt, record, &begun, err);

    if (rc == 0 && begun.size > 0 && !parts_end_in_space(text_get(&begun), begun.size)) {
        text_add(out, prompt->target_delimiter);
    }
    text_release(&begun);
    return rc;
}
