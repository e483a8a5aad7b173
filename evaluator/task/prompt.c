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
#include "evaluator/model/unicode.h"

const char *const prompt_keys[] = {"description",      "prompt",           "gen_prefix",
                                   "choices",          "continuation",     "gold",
                                   "target_delimiter", "fewshot_delimiter"};
const size_t prompt_n_keys = sizeof prompt_keys / sizeof *prompt_keys;

/* ---- what a record says ---- */

/* The record's choices: a list-valued member, or the literal list with its places filled. */
static int render_choices(const struct prompt *prompt, const json_t *record, struct strings *out,
                          struct err *err)
{
    const char *member = template_member(&prompt->choices_member);
    const json_t *list = member != NULL ? json_object_get(record, member) : NULL;
    const size_t n = member != NULL ? json_array_size(list) : prompt->n_choices;

    if (member != NULL && !json_is_array(list)) {
        return list == NULL ? err_set(err, ERR_MISSING, "no member \"%.64s\"", member)
                            : err_set(err, ERR_FORMAT,
                                      "member \"%.64s\": expected a list of choices, got %s",
                                      member, doc_kind(list));
    }
    if (n == 0 || n > DOCUMENT_CHOICES_MAX) {
        return err_set(err, ERR_LIMIT, "%zu choices, expected 1 to %zu", n, DOCUMENT_CHOICES_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        struct text choice = {0};
        const int rc = member != NULL
                           ? template_add_value(&choice, json_array_get(list, i), member, err)
                           : template_render(&prompt->choices[i], record, NULL, &choice, err);
        const bool empty = choice.size == 0;

        strings_add(out, mem_text(text_get(&choice)));
        text_release(&choice);
        if (rc != 0) {
            return rc;
        }
        if (empty) { /* its length divides */
            return err_set(err, ERR_FORMAT, "choice %zu is empty", i);
        }
    }
    return 0;
}

/* The gold member as a list of at least one value: itself, or what it lists. */
static int gold_values(const struct prompt *prompt, const json_t *record, const json_t **value,
                       size_t *n, struct err *err)
{
    *value = json_object_get(record, prompt->gold);
    if (*value == NULL || json_is_null(*value)) {
        return err_set(err, ERR_MISSING, "no gold: member \"%.64s\" is missing", prompt->gold);
    }
    *n = json_is_array(*value) ? json_array_size(*value) : 1;
    return *n > 0 ? 0
                  : err_set(err, ERR_FORMAT, "no gold: member \"%.64s\" is an empty list",
                            prompt->gold);
}

static const json_t *gold_value(const json_t *value, size_t i)
{
    return json_is_array(value) ? json_array_get(value, i) : value;
}

/* Add the choice that a gold value means, by index or by text; a value that is none adds nothing.
 */
static int add_gold(struct document *made, const json_t *gold, struct err *err)
{
    const char *text = json_string_value(gold);

    if (!json_is_integer(gold) && text == NULL) {
        return err_set(err, ERR_FORMAT, "gold: expected an index or a text, got %s",
                       doc_kind(gold));
    }
    for (size_t i = 0; i < made->choices.n; i++) {
        if (text != NULL ? strcmp(text, made->choices.all[i]) == 0
                         : json_integer_value(gold) == (json_int_t)i) {
            made->golds[made->n_golds++] = (uint32_t)i;
            break;
        }
    }
    return 0;
}

static int render_golds(const struct prompt *prompt, const json_t *record, struct document *made,
                        struct err *err)
{
    const json_t *value = NULL;
    size_t n = 0;

    int rc = gold_values(prompt, record, &value, &n, err);
    if (rc != 0) {
        return rc;
    }
    if (n > DOCUMENT_CHOICES_MAX) {
        return err_set(err, ERR_LIMIT, "gold: %zu entries", n);
    }
    made->golds = mem_array(n, sizeof *made->golds);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = add_gold(made, gold_value(value, i), err);
    }
    return rc;
}

size_t prompt_golds(const struct prompt *prompt, const json_t *record)
{
    const json_t *value = json_object_get(record, prompt->gold);

    return json_is_array(value) ? json_array_size(value) : 1;
}

/* The answer texts of a task without choices. */
static int render_answers(const struct prompt *prompt, const json_t *record, struct strings *out,
                          struct err *err)
{
    const json_t *value = NULL;
    size_t n = 0;

    int rc = gold_values(prompt, record, &value, &n, err);
    const size_t most = prompt->output == TASK_LOGLIKELIHOOD ? 1 : DOCUMENT_CHOICES_MAX;

    if (rc == 0 && n > most) {
        rc = err_set(err, ERR_LIMIT, "gold: %zu entries, at most %zu", n, most);
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct text answer = {0};

        rc = template_add_value(&answer, gold_value(value, i), prompt->gold, err);
        if (rc == 0 && answer.size == 0 && prompt->output == TASK_LOGLIKELIHOOD) {
            rc = err_set(err, ERR_FORMAT, "gold is empty");
        }
        strings_add(out, mem_text(text_get(&answer)));
        text_release(&answer);
    }
    return rc;
}

/* ---- joints ---- */

static bool ends_in_space(const char *text, size_t n)
{
    uint32_t code = 0;

    if (n == 0) {
        return false;
    }
    const size_t at = unicode_last(text, n);

    unicode_next(text + at, n - at, &code);
    return unicode_is_python_space(code);
}

static bool begins_in_space(const char *text)
{
    uint32_t code = 0;

    if (*text == '\0') {
        return false;
    }
    unicode_next(text, strlen(text), &code);
    return unicode_is_python_space(code);
}

/* Append text, with the delimiter before it unless whitespace is at the joint already. */
static void join(struct text *out, const char *delimiter, const char *text)
{
    if (!ends_in_space(text_get(out), out->size) && !begins_in_space(text)) {
        text_add(out, delimiter);
    }
    text_add(out, text);
}

/* ---- the prompt ---- */

/* The question of a record; the choice goes where the prompt has {choice}. */
static int add_question(const struct prompt *prompt, const json_t *record, const char *choice,
                        struct text *out, struct err *err)
{
    struct text question = {0};
    struct text prefix = {0};

    int rc = template_render(&prompt->question, record, choice, &question, err);
    if (rc == 0 && prompt->has_gen_prefix) {
        rc = template_render(&prompt->gen_prefix, record, NULL, &prefix, err);
        if (rc == 0) {
            join(&question, prompt->target_delimiter, text_get(&prefix));
        }
    }
    if (rc == 0) {
        text_add_n(out, text_get(&question), question.size);
    }
    text_release(&prefix);
    text_release(&question);
    return rc;
}

/* What an example answers: choice text, first answer, or the common continuation. */
static int example_answer(const struct prompt *prompt, const json_t *record,
                          struct document *scratch, struct text *out, struct err *err)
{
    int rc = 0;

    if (prompt->output == TASK_MULTIPLE_CHOICE) {
        rc = render_choices(prompt, record, &scratch->choices, err);
        if (rc == 0) {
            rc = render_golds(prompt, record, scratch, err);
        }
        if (rc == 0 && scratch->n_golds == 0) {
            rc =
                err_set(err, ERR_FORMAT, "its gold is none of its %zu choices", scratch->choices.n);
        }
        if (rc == 0 && prompt->has_continuation) {
            return template_render(&prompt->continuation, record, NULL, out, err);
        }
        if (rc == 0) {
            text_add(out, scratch->choices.all[scratch->golds[0]]);
        }
        return rc;
    }
    rc = render_answers(prompt, record, &scratch->choices, err);
    if (rc == 0) {
        text_add(out, scratch->choices.all[0]);
    }
    return rc;
}

static int add_example(const struct prompt *prompt, const json_t *record, struct text *out,
                       struct err *err)
{
    struct document scratch = {0};
    struct text example = {0};
    struct text answer = {0};

    int rc = example_answer(prompt, record, &scratch, &answer, err);
    if (rc == 0) {
        const char *choice =
            prompt->has_continuation ? scratch.choices.all[scratch.golds[0]] : NULL;

        rc = add_question(prompt, record, choice, &example, err);
    }
    if (rc == 0) {
        if (prompt->has_gen_prefix) {
            join(&example, " ", text_get(&answer));
        } else {
            text_add(&example, prompt->target_delimiter);
            text_add(&example, text_get(&answer));
        }
        text_add(&example, prompt->fewshot_delimiter);
        text_add_n(out, text_get(&example), example.size);
    }
    text_release(&answer);
    text_release(&example);
    document_release(&scratch);
    return rc;
}

/* ---- the document ---- */

static int add_context(const struct prompt *prompt, const json_t *record, const char *choice,
                       const struct text *header, struct document *made, struct err *err)
{
    struct text context = {0};

    text_add_n(&context, text_get(header), header->size);
    int rc = add_question(prompt, record, choice, &context, err);
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

static void add_continuations(const struct prompt *prompt, struct document *made)
{
    for (size_t i = 0; i < made->choices.n; i++) {
        strings_add(&made->continuations,
                    mem_printf("%s%s", prompt->target_delimiter, made->choices.all[i]));
    }
}

/* The choice is inside the prompt: one context a choice, one continuation. */
static int render_inside(const struct prompt *prompt, const json_t *record,
                         const struct text *header, struct document *made, struct err *err)
{
    struct text continuation = {0};

    text_add(&continuation, prompt->target_delimiter);
    int rc = template_render(&prompt->continuation, record, NULL, &continuation, err);
    if (rc == 0) {
        strings_add(&made->continuations, mem_text(text_get(&continuation)));
    }
    text_release(&continuation);
    for (size_t i = 0; rc == 0 && i < made->choices.n; i++) {
        rc = add_context(prompt, record, made->choices.all[i], header, made, err);
    }
    return rc;
}

static int render_with_header(const struct prompt *prompt, const json_t *record,
                              const struct text *header, struct document *made, struct err *err)
{
    int rc = 0;

    if (prompt->output == TASK_MULTIPLE_CHOICE) {
        rc = render_choices(prompt, record, &made->choices, err);
        if (rc == 0) {
            rc = render_golds(prompt, record, made, err);
        }
    } else if (prompt->output != TASK_LOGLIKELIHOOD_ROLLING) {
        rc = render_answers(prompt, record, &made->choices, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (prompt->has_continuation) {
        return render_inside(prompt, record, header, made, err);
    }
    add_continuations(prompt, made);
    return add_context(prompt, record, NULL, header, made, err);
}

int prompt_render(const struct prompt *prompt, const json_t *record, const json_t *const *shots,
                  size_t n, struct document *out, struct err *err)
{
    struct text header = {0};
    struct document made = {0};
    int rc = 0;

    text_add(&header, prompt->description);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = add_example(prompt, shots[i], &header, err);
        if (rc != 0) {
            rc = err_wrap(err, "few-shot example %zu", i + 1);
        }
    }
    if (rc == 0) {
        rc = render_with_header(prompt, record, &header, &made, err);
    }
    if (rc == 0) {
        *out = made;
        made = (struct document){0}; /* handed over */
    }
    document_release(&made);
    text_release(&header);
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

int prompt_parse(struct prompt *out, const json_t *config, enum task_output output, struct err *err)
{
    struct prompt made = {.output = output};
    bool has_prompt = false;

    int rc = parse_text(&made.description, config, "description", "", err);
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
