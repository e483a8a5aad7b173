/*
 * jinja_filter.c - what stands after '|'.
 */
#include <stdlib.h>
#include <string.h>

#include "evaluator/chat/jinja_internal.h"
#include "evaluator/model/unicode.h"

/* ---- one value ---- */

static struct value identity(struct machine *machine, struct value value,
                             const struct arguments *none)
{
    (void)machine;
    (void)none;
    return value;
}

static struct value as_text(struct machine *machine, struct value value,
                            const struct arguments *none)
{
    (void)none;
    return value_text(machine, value);
}

static struct value length(struct machine *machine, struct value value,
                           const struct arguments *none)
{
    (void)none;
    return value_integer((int64_t)value_length(machine, value));
}

static struct value fall_back(struct machine *machine, struct value value,
                              const struct arguments *arguments)
{
    const bool missing =
        value.type == VALUE_UNDEFINED || (value_true(arguments->all[1]) && !value_true(value));

    (void)machine;
    if (!missing) {
        return value;
    }
    return arguments->n > 0 ? arguments->all[0] : value_string("", 0);
}

/* The number that a text begins and ends with, blanks around it aside. */
static bool read_number(struct value text, double *number)
{
    char copy[64];
    char *end = NULL;

    if (text.size == 0 || text.size >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.bytes, text.size);
    copy[text.size] = '\0';
    if (strspn(copy, "0123456789+-.eE ") != text.size) {
        return false;
    }
    *number = strtod(copy, &end);
    return end != copy && end[strspn(end, " ")] == '\0';
}

static bool as_number(struct value value, double *number)
{
    if (value_is_number(value)) {
        *number = value_number(value);
        return true;
    }
    return value.type == VALUE_STRING && read_number(value, number);
}

static struct value as_integer(struct machine *machine, struct value value,
                               const struct arguments *fallback)
{
    double number = 0.0;

    if (value.type == VALUE_INTEGER || value.type == VALUE_BOOL) {
        return value_integer(value.integer);
    }
    if (value.type == VALUE_UNDEFINED) {
        return jinja_fail(machine, "int of something undefined");
    }
    if (!as_number(value, &number)) {
        return fallback->n > 0 ? fallback->all[0] : value_integer(0);
    }
    return number > -9e15 && number < 9e15 ? value_integer((int64_t)number)
                                           : jinja_fail(machine, "int: a number too large");
}

static struct value as_real(struct machine *machine, struct value value,
                            const struct arguments *fallback)
{
    double number = 0.0;

    if (value.type == VALUE_UNDEFINED) {
        return jinja_fail(machine, "float of something undefined");
    }
    if (!as_number(value, &number)) {
        return fallback->n > 0 ? fallback->all[0] : value_real(0.0);
    }
    return value_real(number);
}

static struct value absolute(struct machine *machine, struct value value,
                             const struct arguments *none)
{
    (void)none;
    if (!value_is_number(value)) {
        return jinja_fail(machine, "abs: %s", value_kind(value));
    }
    if (value.type == VALUE_REAL) {
        return value_real(value.real < 0.0 ? -value.real : value.real);
    }
    return value_integer(value.integer < 0 ? -value.integer : value.integer);
}

/* The first letter of a word large, the others small; words begin after blanks and brackets. */
static struct value title(struct machine *machine, struct value value, const struct arguments *none)
{
    const struct value text = value_text(machine, value);
    struct text made = {0};
    bool inside = false;

    (void)none;
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.bytes[i];
        const bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';

        if ((unsigned char)c >= 0x80) {
            jinja_fail(machine, "title is supported for ASCII");
        }
        text_add_char(&made, !letter ? c : (char)(inside ? c | 0x20 : c & ~0x20));
        inside = strchr("- \t\n\v\f\r\x1c\x1d\x1e\x1f({[<", c) == NULL;
    }
    const struct value titled = value_copy(machine, text_get(&made), made.size);

    text_release(&made);
    return titled;
}

/* Every line but the first, and but empty ones, moved to the right. */
static struct value indent(struct machine *machine, struct value value,
                           const struct arguments *arguments)
{
    const struct value text = value_text(machine, value);
    const struct value width = arguments->n > 0 ? arguments->all[0] : value_integer(4);
    struct text made = {0};
    bool starts = value_true(arguments->all[1]);

    if (width.type != VALUE_INTEGER || width.integer < 0 || width.integer > 64) {
        return jinja_fail(machine, "indent: a width is a number up to 64");
    }
    for (size_t i = 0;
         i < text.size && jinja_spend(machine, 1 + (starts ? (size_t)width.integer : 0)); i++) {
        const bool ends = text.bytes[i] == '\n';

        if (strchr("\r\v\f\x1c\x1d\x1e", text.bytes[i]) != NULL) {
            jinja_fail(machine, "indent: a line end other than \\n");
        }
        if (starts && (!ends || value_true(arguments->all[2]))) {
            text_printf(&made, "%*s", (int)width.integer, "");
        }
        text_add_char(&made, text.bytes[i]);
        starts = ends;
    }
    const struct value moved = value_copy(machine, text_get(&made), made.size);

    text_release(&made);
    return moved;
}

/* ---- lists ---- */

static struct value as_list(struct machine *machine, struct value value,
                            const struct arguments *none)
{
    const struct list *items = value_items(machine, value);
    struct value made = value_list(machine);

    (void)none;
    for (size_t i = 0; machine->rc == 0 && i < items->n; i++) {
        value_append(machine, made.list, items->all[i]);
    }
    return made;
}

static struct value first(struct machine *machine, struct value value, const struct arguments *none)
{
    const struct list *items = value_items(machine, value);

    (void)none;
    return items->n > 0 ? items->all[0] : value_undefined();
}

static struct value last(struct machine *machine, struct value value, const struct arguments *none)
{
    const struct list *items = value_items(machine, value);

    (void)none;
    return items->n > 0 ? items->all[items->n - 1] : value_undefined();
}

static struct value reverse(struct machine *machine, struct value value,
                            const struct arguments *none)
{
    const struct list *items = value_items(machine, value);
    struct value made = value_list(machine);
    const struct arguments list = {.n = 1, .all = {made}};

    (void)none;
    for (size_t i = items->n; machine->rc == 0 && i > 0; i--) {
        value_append(machine, made.list, items->all[i - 1]);
    }
    if (machine->rc == 0 && value.type == VALUE_STRING) {
        return text_join(machine, value_string("", 0), &list);
    }
    if (machine->rc == 0) {
        made.list->kind = LIST_STREAM;
    }
    return made;
}

static struct value items(struct machine *machine, struct value value, const struct arguments *none)
{
    struct value made = value.type == VALUE_DICT ? dict_items(machine, value, none)
                        : value.type == VALUE_UNDEFINED
                            ? value_list(machine)
                            : jinja_fail(machine, "items: %s", value_kind(value));

    if (machine->rc == 0) {
        made.list->kind = LIST_STREAM;
    }
    return made;
}

/* ---- lists, item by item ---- */

/* "a.b": member b of member a; a number is an index. */
static struct value attribute(struct machine *machine, struct value of, struct value path)
{
    if (path.type != VALUE_STRING || memchr(path.bytes, '.', path.size) != NULL) {
        return jinja_fail(machine, "attribute: expected one name");
    }
    if (of.type == VALUE_DICT) {
        const struct value *found = value_find(machine, of.dict, path);

        return found != NULL ? *found : value_undefined();
    }
    return of.type == VALUE_UNDEFINED ? jinja_fail(machine, "attribute of something undefined")
                                      : value_undefined();
}

static struct value join(struct machine *machine, struct value value,
                         const struct arguments *arguments)
{
    struct arguments list = {.n = 1, .all = {value}};
    const struct value glue = arguments->n > 0 && arguments->all[0].type != VALUE_UNDEFINED
                                  ? value_text(machine, arguments->all[0])
                                  : value_string("", 0);

    if (arguments->all[1].type != VALUE_UNDEFINED) {
        const struct list *of = value_items(machine, value);

        list.all[0] = value_list(machine);
        for (size_t i = 0; machine->rc == 0 && i < of->n; i++) {
            value_append(machine, list.all[0].list,
                         attribute(machine, of->all[i], arguments->all[1]));
        }
    }
    return machine->rc == 0 ? text_join(machine, glue, &list) : value_undefined();
}

static const struct callable *named(struct machine *machine, const struct callable *table,
                                    struct value name)
{
    const struct callable *found = name.type == VALUE_STRING ? jinja_find(table, name) : NULL;

    if (found == NULL) {
        jinja_fail(machine, "there is no filter or test %.*s here",
                   name.type == VALUE_STRING ? (int)name.size : 0,
                   name.type == VALUE_STRING ? name.bytes : "");
    }
    return found;
}

/* The arguments after the first k. */
static struct arguments rest_of(const struct arguments *arguments, size_t k)
{
    struct arguments rest = {.n = arguments->n > k ? arguments->n - k : 0};

    for (size_t i = 0; i < rest.n; i++) {
        rest.all[i] = arguments->all[i + k];
    }
    return rest;
}

/* map("trim"), map("replace", "a", "b"), map(attribute="name"). */
static struct value map(struct machine *machine, struct value value,
                        const struct arguments *arguments)
{
    const struct list *of = value_items(machine, value);
    struct value made = value_list(machine);
    const bool by_name = arguments->all[3].type == VALUE_UNDEFINED;
    const struct callable *filter =
        by_name ? named(machine, jinja_filters, arguments->all[0]) : NULL;
    const struct arguments rest = rest_of(arguments, 1);

    for (size_t i = 0; machine->rc == 0 && i < of->n; i++) {
        value_append(machine, made.list,
                     by_name ? filter->call(machine, of->all[i], &rest)
                             : attribute(machine, of->all[i], arguments->all[3]));
    }
    if (machine->rc == 0) {
        made.list->kind = LIST_STREAM;
    }
    return made;
}

/* Those items of which a test, asked of them or of a member, says `wanted`. */
static struct value choose(struct machine *machine, struct value value,
                           const struct arguments *arguments, bool by_attribute, bool wanted)
{
    const struct list *of = value_items(machine, value);
    struct value made = value_list(machine);
    const size_t at = by_attribute;
    const struct callable *test =
        arguments->n > at ? named(machine, jinja_tests, arguments->all[at]) : NULL;
    const struct arguments rest = rest_of(arguments, at + 1);

    if (by_attribute && arguments->n == 0) {
        return jinja_fail(machine, "an attribute is missing");
    }
    for (size_t i = 0; machine->rc == 0 && i < of->n; i++) {
        const struct value asked =
            by_attribute ? attribute(machine, of->all[i], arguments->all[0]) : of->all[i];
        const struct value said = test != NULL ? test->call(machine, asked, &rest) : asked;

        if (value_true(said) == wanted) {
            value_append(machine, made.list, of->all[i]);
        }
    }
    if (machine->rc == 0) {
        made.list->kind = LIST_STREAM;
    }
    return made;
}

static struct value choose_some(struct machine *machine, struct value value,
                                const struct arguments *arguments)
{
    return choose(machine, value, arguments, false, true);
}

static struct value reject_some(struct machine *machine, struct value value,
                                const struct arguments *arguments)
{
    return choose(machine, value, arguments, false, false);
}

static struct value selectattr(struct machine *machine, struct value value,
                               const struct arguments *arguments)
{
    return choose(machine, value, arguments, true, true);
}

static struct value rejectattr(struct machine *machine, struct value value,
                               const struct arguments *arguments)
{
    return choose(machine, value, arguments, true, false);
}

const struct callable jinja_filters[] = {
    {"abs", "", absolute},
    {"capitalize", "", text_capitalize},
    {"count", "", length},
    {"d", "default_value boolean", fall_back},
    {"default", "default_value boolean", fall_back},
    {"first", "", first},
    {"float", "default", as_real},
    {"indent", "width first blank", indent},
    {"int", "default", as_integer},
    {"items", "", items},
    {"join", "d attribute", join},
    {"last", "", last},
    {"length", "", length},
    {"list", "", as_list},
    {"lower", "", text_lower},
    {"map", "filter one two attribute", map},
    {"reject", "test one two", reject_some},
    {"rejectattr", "attr test one", rejectattr},
    {"replace", "old new count", text_replace},
    {"reverse", "", reverse},
    {"safe", "", identity},
    {"select", "test one two", choose_some},
    {"selectattr", "attr test one", selectattr},
    {"string", "", as_text},
    {"title", "", title},
    {"tojson", "ensure_ascii indent separators sort_keys", jinja_tojson},
    {"trim", "chars", text_trim},
    {"upper", "", text_upper},
    {NULL, NULL, NULL},
};
