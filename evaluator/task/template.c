/*
 * template.c - literal parts and members, in order.
 */
#include "evaluator/task/template.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void add_part(struct template *template, char *text, int is_member)
{
    template->parts = mem_resize(template->parts, template->n + 1, sizeof *template->parts);
    template->parts[template->n++] = (struct template_part){text, is_member};
}

static void end_literal(struct template *template, struct text *literal)
{
    if (literal->size > 0) {
        add_part(template, text_take(literal), 0);
    }
}

/* What a brace at *at stands for; moves *at past it. */
static int parse_brace(struct template *made, struct text *literal, const char **at,
                       struct err *err)
{
    const char *open = *at;

    if (open[1] == open[0]) {
        text_add_char(literal, open[0]);
        *at += 2;
        return 0;
    }
    const size_t size = open[0] == '{' ? strcspn(open + 1, "{}") : 0;

    if (size == 0 || open[size + 1] != '}') {
        return err_set(err, ERR_FORMAT,
                       "\"%.20s\": a brace that is meant as itself is written twice", open);
    }
    end_literal(made, literal);
    add_part(made, mem_text_n(open + 1, size), 1);
    *at += size + 2;
    return 0;
}

int template_parse(struct template *out, const char *text, struct err *err)
{
    struct template made = {0};
    struct text literal = {0};
    int rc = 0;

    while (rc == 0 && *text != '\0') {
        const size_t size = strcspn(text, "{}");

        text_add_n(&literal, text, size);
        text += size;
        if (*text != '\0') {
            rc = parse_brace(&made, &literal, &text, err);
        }
    }
    if (rc == 0) {
        end_literal(&made, &literal);
        *out = made;
        made = (struct template){0}; /* handed over */
    }
    template_release(&made);
    text_release(&literal);
    return rc;
}

void template_release(struct template *template)
{
    for (size_t i = 0; i < template->n; i++) {
        free(template->parts[i].text);
    }
    free(template->parts);
    *template = (struct template){0};
}

int template_add_value(struct text *out, const json_t *value, const char *name, struct err *err)
{
    if (json_is_string(value)) {
        text_add_n(out, json_string_value(value), json_string_length(value));
    } else if (json_is_integer(value)) {
        text_printf(out, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        text_add_double(out, json_real_value(value), true);
    } else if (json_is_boolean(value)) {
        text_add(out, json_is_true(value) ? "True" : "False");
    } else {
        return err_set(err, ERR_FORMAT, "member \"%.64s\": expected a text or a number, got %s",
                       name, doc_kind(value));
    }
    return 0;
}

int template_render(const struct template *template, const json_t *record, const char *choice,
                    struct text *out, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < template->n; i++) {
        const char *text = template->parts[i].text;

        if (!template->parts[i].is_member) {
            text_add(out, text);
        } else if (choice != NULL && strcmp(text, "choice") == 0) {
            text_add(out, choice);
        } else {
            const json_t *value = json_object_get(record, text);

            rc = value != NULL ? template_add_value(out, value, text, err)
                               : err_set(err, ERR_MISSING, "no member \"%.64s\"", text);
        }
    }
    return rc;
}

const char *template_member(const struct template *template)
{
    return template->n == 1 && template->parts[0].is_member ? template->parts[0].text : NULL;
}
