/*
 * template.h - text with places for members of a record: "Question: {question}\nAnswer:".
 *
 * {{ and }} are braces. A text member goes in as it is, a number as its shortest decimal, true and
 * false as Python writes them; anything else is an error.
 */
#ifndef TASK_TEMPLATE_H
#define TASK_TEMPLATE_H

#include <stddef.h>

#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"

struct template_part {
    char *text; /* literal text, or the member's name */
    int is_member;
};

/* All zero renders to nothing. */
struct template
{
    size_t n;
    struct template_part *parts; /* [n] */
};

/* ERR_FORMAT at a brace that opens or closes nothing. */
int template_parse(struct template *out, const char *text, struct err *err);
void template_release(struct template *template);

/* Append the text for a record. choice, if not NULL, is what {choice} stands for. ERR_MISSING names
 * the member. */
int template_render(const struct template *template, const json_t *record, const char *choice,
                    struct text *out, struct err *err);

/* The member's name when the template is that member and nothing else, or NULL. */
const char *template_member(const struct template *template);

/* Append a text, number or boolean as a template would; ERR_FORMAT names `name` otherwise. */
int template_add_value(struct text *out, const json_t *value, const char *name, struct err *err);

#endif
