/*
 * prompt_parts.c - what a record says, as texts.
 */
#include "evaluator/task/prompt_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/model/unicode.h"

/* ---- what a record says ---- */

int parts_choices(const struct prompt *prompt, const json_t *record, struct strings *out,
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

static bool has_gold(const struct document *document, size_t choice)
{
    bool has = false;

    for (size_t k = 0; k < document->n_golds; k++) {
        has = has || document->golds[k] == choice;
    }
    return has;
}

/* Add the choice that a gold value means, by index or by text; a value that is none, or one that
 * is there already, adds nothing. */
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
            if (!has_gold(made, i)) {
                made->golds[made->n_golds++] = (uint32_t)i;
            }
            break;
        }
    }
    return 0;
}

int parts_golds(const struct prompt *prompt, const json_t *record, struct document *made,
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

int parts_answers(const struct prompt *prompt, const json_t *record, struct strings *out,
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

bool parts_end_in_space(const char *text, size_t n)
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

void parts_join(struct text *out, const char *delimiter, const char *text)
{
    if (!parts_end_in_space(text_get(out), out->size) && !begins_in_space(text)) {
        text_add(out, delimiter);
    }
    text_add(out, text);
}

/* ---- questions and answers ---- */

int parts_question(const struct prompt *prompt, const json_t *record, const char *choice,
                   struct text *out, struct err *err)
{
    return template_render(&prompt->question, record, choice, out, err);
}

int parts_prefix(const struct prompt *prompt, const json_t *record, struct text *out,
                 struct err *err)
{
    return prompt->has_gen_prefix ? template_render(&prompt->gen_prefix, record, NULL, out, err)
                                  : 0;
}

/* What an example answers: choice text, first answer, or the common continuation. */
static int example_answer(const struct prompt *prompt, const json_t *record,
                          struct document *scratch, struct text *out, struct err *err)
{
    int rc = 0;

    if (prompt->output == TASK_MULTIPLE_CHOICE) {
        rc = parts_choices(prompt, record, &scratch->choices, err);
        if (rc == 0) {
            rc = parts_golds(prompt, record, scratch, err);
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
    rc = parts_answers(prompt, record, &scratch->choices, err);
    if (rc == 0) {
        text_add(out, scratch->choices.all[0]);
    }
    return rc;
}

int parts_example(const struct prompt *prompt, const json_t *record, struct text *question,
                  struct text *answer, struct err *err)
{
    struct document scratch = {0};

    int rc = example_answer(prompt, record, &scratch, answer, err);
    if (rc == 0) {
        const char *choice =
            prompt->has_continuation ? scratch.choices.all[scratch.golds[0]] : NULL;

        rc = parts_question(prompt, record, choice, question, err);
    }
    document_release(&scratch);
    return rc;
}
