/*
 * prompt.c - records to texts.
 *
 *   description          "Add.\n\n"
 *   example              "1+1=" " " "2" "\n\n"
 *   question             "37+45="
 *   continuation          " " "82"
 */
#include "evaluator/task/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "evaluator/task/conversation.h"
#include "evaluator/task/prompt_parts.h"

const char *const prompt_keys[] = {"system",
                                   "description",
                                   "prompt",
                                   "gen_prefix",
                                   "choices",
                                   "continuation",
                                   "gold",
                                   "target_delimiter",
                                   "fewshot_delimiter",
                                   "chat",
                                   "fewshot_as_multiturn"};
const size_t prompt_n_keys = sizeof prompt_keys / sizeof *prompt_keys;

/* ---- plain text ---- */

void prompt_add_system(const struct prompt *prompt, struct text *out)
{
    text_add(out, prompt->system);
    if (out->size == 0 || *prompt->description == '\0') {
        text_add(out, prompt->description);
    } else {
        parts_join(out, prompt->fewshot_delimiter, prompt->description);
    }
}

/* The question, and the beginning of the answer. */
static int add_question(const struct prompt *prompt, const json_t *record, const char *choice,
                        struct text *out, struct err *err)
{
    struct text question = {0};
    struct text prefix = {0};

    int rc = parts_question(prompt, record, choice, &question, err);
    if (rc == 0) {
        rc = parts_prefix(prompt, record, &prefix, err);
    }
    if (rc == 0 && prompt->has_gen_prefix) {
        parts_join(&question, prompt->target_delimiter, text_get(&prefix));
    }
    if (rc == 0) {
        text_add_n(out, text_get(&question), question.size);
    }
    text_release(&prefix);
    text_release(&question);
    return rc;
}

int prompt_add_example(const struct prompt *prompt, const json_t *record, struct text *out,
                       struct err *err)
{
    struct text example = {0};
    struct text answer = {0};
    struct text prefix = {0};

    int rc = parts_example(prompt, record, &example, &answer, err);
    if (rc == 0) {
        rc = parts_prefix(prompt, record, &prefix, err);
    }
    if (rc == 0) {
        if (prompt->has_gen_prefix) {
            parts_join(&example, prompt->target_delimiter, text_get(&prefix));
            parts_join(&example, " ", text_get(&answer));
        } else {
            text_add(&example, prompt->target_delimiter);
            text_add(&example, text_get(&answer));
        }
        text_add(&example, prompt->fewshot_delimiter);
        text_add_n(out, text_get(&example), example.size);
    }
    text_release(&prefix);
    text_release(&answer);
    text_release(&example);
    return rc;
}

static int add_header(const struct prompt *prompt, const json_t *const *shots, size_t n,
                      struct text *out, struct err *err)
{
    int rc = 0;

    prompt_add_system(prompt, out);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = prompt_add_example(prompt, shots[i], out, err);
        if (rc != 0) {
            rc = err_wrap(err, "few-shot example %zu", i + 1);
        }
    }
    return rc;
}

/* ---- the document ---- */

size_t prompt_golds(const struct prompt *prompt, const json_t *record)
{
    const json_t *value = json_object_get(record, prompt->gold);

    return json_is_array(value) ? json_array_size(value) : 1;
}

/* A record and what stands before it. */
struct asked {
    const struct prompt *prompt;
    const json_t *record;
    const json_t *const *shots; /* [n] */
    size_t n;
    struct text header; /* plain text: system and examples */
};

static int add_context(const struct asked *asked, const char *choice, struct document *made,
                       struct err *err)
{
    const struct prompt *prompt = asked->prompt;
    struct text context = {0};
    int rc = 0;

    if (prompt->template != NULL) {
        rc = conversation_render(prompt, asked->record, choice, asked->shots, asked->n, &context,
                                 err);
    } else {
        text_add_n(&context, text_get(&asked->header), asked->header.size);
        rc = add_question(prompt, asked->record, choice, &context, err);
    }
    if (rc == 0 && context.size > DOCUMENT_TEXT_MAX) {
        rc = err_set(err, ERR_LIMIT, "prompt of %zu bytes, at most %zu", context.size,
                     DOCUMENT_TEXT_MAX);
    }
    if (rc == 0) {
        strings_add(&made->contexts, mem_text(text_get(&context)));
    }
    text_release(&context);
    return rc;
}

/* The delimiter before every answer. */
static int add_delimiter(const struct asked *asked, struct text *out, struct err *err)
{
    if (asked->prompt->template != NULL) {
        return conversation_delimiter(asked->prompt, asked->record, out, err);
    }
    text_add(out, asked->prompt->target_delimiter);
    return 0;
}

static int add_continuations(const struct asked *asked, struct document *made, struct err *err)
{
    struct text delimiter = {0};
    const int rc = add_delimiter(asked, &delimiter, err);

    for (size_t i = 0; rc == 0 && i < made->choices.n; i++) {
        strings_add(&made->continuations,
                    mem_printf("%s%s", text_get(&delimiter), made->choices.all[i]));
    }
    text_release(&delimiter);
    return rc;
}

/* The choice is inside the prompt: one context a choice, one continuation. */
static int render_inside(const struct asked *asked, struct document *made, struct err *err)
{
    struct text continuation = {0};

    int rc = add_delimiter(asked, &continuation, err);
    if (rc == 0) {
        rc = template_render(&asked->prompt->continuation, asked->record, NULL, &continuation, err);
    }
    if (rc == 0) {
        strings_add(&made->continuations, mem_text(text_get(&continuation)));
    }
    text_release(&continuation);
    for (size_t i = 0; rc == 0 && i < made->choices.n; i++) {
        rc = add_context(asked, made->choices.all[i], made, err);
    }
    return rc;
}

static int render_asked(const struct asked *asked, struct document *made, struct err *err)
{
    const struct prompt *prompt = asked->prompt;
    int rc = 0;

    if (prompt->output == TASK_MULTIPLE_CHOICE) {
        rc = parts_choices(prompt, asked->record, &made->choices, err);
        if (rc == 0) {
            rc = parts_golds(prompt, asked->record, made, err);
        }
    } else if (prompt->output != TASK_LOGLIKELIHOOD_ROLLING) {
        rc = parts_answers(prompt, asked->record, &made->choices, err);
    }
    if (rc == 0 && prompt->has_continuation) {
        return render_inside(asked, made, err);
    }
    if (rc == 0) {
        rc = add_continuations(asked, made, err);
    }
    return rc == 0 ? add_context(asked, NULL, made, err) : rc;
}

int prompt_render(const struct prompt *prompt, const json_t *record, const json_t *const *shots,
                  size_t n, struct document *out, struct err *err)
{
    struct asked asked = {prompt, record, shots, n, {0}};
    struct document made = {0};

    int rc = prompt->template == NULL ? add_header(prompt, shots, n, &asked.header, err) : 0;
    if (rc == 0) {
        rc = render_asked(&asked, &made, err);
    }
    if (rc == 0) {
        *out = made;
        made = (struct document){0}; /* handed over */
    }
    document_release(&made);
    text_release(&asked.header);
    return rc;
}

/* ---- the configuration ---- */

static int parse_text(char **out, const json_t *config, const char *key, const char *fallback,
                      struct err *err)
{
    const char *text = NULL;
    const int rc = doc_text_or(config, key, fallback, &text, err);

    if (rc == 0) {
        *out = mem_text(text);
    }
    return rc;
}

/* A template under key; *has tells whether it is there. */
static int parse_template(struct template *out, bool *has, const json_t *config, const char *key,
                          struct err *err)
{
    const char *text = NULL;

    *has = json_object_get(config, key) != NULL;
    if (!*has) {
        return 0;
    }
    int rc = doc_text(config, key, &text, err);
    if (rc == 0) {
        rc = template_parse(out, text, err);
        rc = rc == 0 ? 0 : err_wrap(err, "%s", key);
    }
    return rc;
}

static int parse_choice_list(struct prompt *made, const json_t *list, struct err *err)
{
    const size_t n = json_array_size(list);

    if (n == 0 || n > DOCUMENT_CHOICES_MAX) {
        return err_set(err, ERR_LIMIT, "choices: %zu entries, expected 1 to %zu", n,
                       DOCUMENT_CHOICES_MAX);
    }
    made->choices = mem_array(n, sizeof *made->choices);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        int rc =
            json_is_string(item)
                ? template_parse(&made->choices[made->n_choices++], json_string_value(item), err)
                : err_set(err, ERR_FORMAT, "expected a text, got %s", doc_kind(item));

        if (rc != 0) {
            return err_wrap(err, "choices: entry %zu", i);
        }
    }
    return 0;
}

static int parse_choices(struct prompt *made, const json_t *config, struct err *err)
{
    const json_t *choices = json_object_get(config, "choices");
    bool has = false;

    if (made->output != TASK_MULTIPLE_CHOICE) {
        return choices == NULL && !made->has_continuation
                   ? 0
                   : err_set(err, ERR_FORMAT, "%s: only for multiple_choice tasks",
                             choices != NULL ? "choices" : "continuation");
    }
    if (choices == NULL) {
        return err_set(err, ERR_MISSING, "choices: missing");
    }
    if (json_is_array(choices)) {
        return parse_choice_list(made, choices, err);
    }
    int rc = parse_template(&made->choices_member, &has, config, "choices", err);
    if (rc == 0 && template_member(&made->choices_member) == NULL) {
        rc = err_set(err, ERR_FORMAT, "choices: expected \"{member}\" or a list of texts");
    }
    return rc;
}

static int parse_gold(struct prompt *made, const json_t *config, struct err *err)
{
    const char *gold = NULL;
    const bool rolling = made->output == TASK_LOGLIKELIHOOD_ROLLING;

    if (rolling) {
        return json_object_get(config, "gold") == NULL
                   ? 0
                   : err_set(err, ERR_FORMAT, "gold: a rolling task has none");
    }
    const int rc = doc_text(config, "gold", &gold, err);
    if (rc == 0) {
        made->gold = mem_text(gold);
    }
    return rc;
}

static int parse_chat(struct prompt *made, const json_t *config, struct err *err)
{
    int rc = doc_bool_or(config, "chat", false, &made->chat, err);

    if (rc == 0) {
        rc = doc_bool_or(config, "fewshot_as_multiturn", false, &made->multiturn, err);
    }
    if (rc == 0 && made->chat && made->output == TASK_LOGLIKELIHOOD_ROLLING) {
        rc = err_set(err, ERR_FORMAT, "chat: a rolling task has no turns");
    }
    return rc;
}

int prompt_parse(struct prompt *out, const json_t *config, enum task_output output, struct err *err)
{
    struct prompt made = {.output = output};
    bool has_prompt = false;

    int rc = parse_chat(&made, config, err);
    if (rc == 0) {
        rc = parse_text(&made.system, config, "system", "", err);
    }
    if (rc == 0) {
        rc = parse_text(&made.description, config, "description", "", err);
    }
    if (rc == 0) {
        rc = parse_text(&made.target_delimiter, config, "target_delimiter", " ", err);
    }
    if (rc == 0) {
        rc = parse_text(&made.fewshot_delimiter, config, "fewshot_delimiter", "\n\n", err);
    }
    if (rc == 0) {
        rc = parse_template(&made.question, &has_prompt, config, "prompt", err);
    }
    if (rc == 0 && !has_prompt) {
        rc = err_set(err, ERR_MISSING, "prompt: missing");
    }
    if (rc == 0) {
        rc = parse_template(&made.gen_prefix, &made.has_gen_prefix, config, "gen_prefix", err);
        made.has_gen_prefix = made.has_gen_prefix && made.gen_prefix.n > 0;
    }
    if (rc == 0) {
        rc =
            parse_template(&made.continuation, &made.has_continuation, config, "continuation", err);
    }
    if (rc == 0) {
        rc = parse_choices(&made, config, err);
    }
    if (rc == 0) {
        rc = parse_gold(&made, config, err);
    }
    if (rc != 0) {
        prompt_release(&made);
        return rc;
    }
    *out = made;
    return 0;
}

void prompt_release(struct prompt *prompt)
{
    free(prompt->system);
    free(prompt->description);
    free(prompt->target_delimiter);
    free(prompt->fewshot_delimiter);
    template_release(&prompt->question);
    template_release(&prompt->gen_prefix);
    template_release(&prompt->choices_member);
    for (size_t i = 0; i < prompt->n_choices; i++) {
        template_release(&prompt->choices[i]);
    }
    free(prompt->choices);
    template_release(&prompt->continuation);
    free(prompt->gold);
    *prompt = (struct prompt){0};
}
