/*
 * jinja_tojson.c - the filter tojson as transformers has it: Python's json.dumps, which separates
 * by ", " and ": " and writes every character as it is.
 */
#include <stdlib.h>
#include <string.h>

#include "evaluator/chat/jinja_internal.h"
#include "evaluator/model/unicode.h"

#define NESTED_MAX 64
#define INDENT_MAX 32

struct style {
    struct machine *machine;
    struct text *out;
    bool ascii, sorted;
    bool indented;
    size_t indent;
    const char *comma, *colon; /* texts between */
    size_t n_comma, n_colon;
};

static void add(const struct style *style, struct value value, size_t depth);

static void add_escaped(const struct style *style, uint32_t code)
{
    static const char named[] = "\b\f\n\r\t\"\\";
    static const char letters[] = "bfnrt\"\\";
    const char *known = code < 0x80 && code > 0 ? strchr(named, (int)code) : NULL;
    char bytes[4];

    if (known != NULL) {
        text_add_char(style->out, '\\');
        text_add_char(style->out, letters[known - named]);
    } else if (code < 0x20 || (style->ascii && code >= 0x80 && code < 0x10000)) {
        text_printf(style->out, "\\u%04x", code);
    } else if (style->ascii && code >= 0x10000) {
        text_printf(style->out, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10),
                    0xdc00 + ((code - 0x10000) & 0x3ff));
    } else {
        text_add_n(style->out, bytes, unicode_put(bytes, code));
    }
}

static void add_string(const struct style *style, struct value value)
{
    uint32_t code = 0;

    jinja_spend(style->machine, value.size);
    text_add_char(style->out, '"');
    for (size_t at = 0; at < value.size;) {
        at += unicode_next(value.bytes + at, value.size - at, &code);
        add_escaped(style, code);
    }
    text_add_char(style->out, '"');
}

static void add_break(const struct style *style, size_t depth)
{
    if (style->indented) {
        text_printf(style->out, "\n%*s", (int)(depth * style->indent), "");
    }
}

static void add_list(const struct style *style, const struct list *list, size_t depth)
{
    text_add_char(style->out, '[');
    for (size_t i = 0; style->machine->rc == 0 && i < list->n; i++) {
        if (i > 0) {
            text_add_n(style->out, style->comma, style->n_comma);
        }
        add_break(style, depth + 1);
        add(style, list->all[i], depth + 1);
    }
    if (list->n > 0) {
        add_break(style, depth);
    }
    text_add_char(style->out, ']');
}

static int by_key(const void *a, const void *b)
{
    const struct value *left = &((const struct dict_entry *)a)->key;
    const struct value *right = &((const struct dict_entry *)b)->key;
    const int order =
        memcmp(left->bytes, right->bytes, left->size < right->size ? left->size : right->size);

    return order != 0 ? order : (left->size > right->size) - (left->size < right->size);
}

static const struct dict_entry *entries_of(const struct style *style, const struct dict *dict)
{
    struct dict_entry *sorted =
        style->sorted ? jinja_take(style->machine, dict->n * sizeof *sorted) : NULL;

    if (sorted == NULL || dict->n == 0) {
        return dict->all;
    }
    memcpy(sorted, dict->all, dict->n * sizeof *sorted);
    qsort(sorted, dict->n, sizeof *sorted, by_key);
    return sorted;
}

static void add_dict(const struct style *style, const struct dict *dict, size_t depth)
{
    const struct dict_entry *entries = entries_of(style, dict);

    text_add_char(style->out, '{');
    for (size_t i = 0; style->machine->rc == 0 && i < dict->n; i++) {
        if (i > 0) {
            text_add_n(style->out, style->comma, style->n_comma);
        }
        add_break(style, depth + 1);
        add_string(style, entries[i].key);
        text_add_n(style->out, style->colon, style->n_colon);
        add(style, entries[i].value, depth + 1);
    }
    if (dict->n > 0) {
        add_break(style, depth);
    }
    text_add_char(style->out, '}');
}

static void add(const struct style *style, struct value value, size_t depth)
{
    struct machine *machine = style->machine;

    if (!jinja_spend(machine, 16 + depth * style->indent)) {
        return;
    }
    if (value.type == VALUE_STRING) {
        add_string(style, value);
    } else if (value.type == VALUE_NONE) {
        text_add(style->out, "null");
    } else if (value.type == VALUE_BOOL) {
        text_add(style->out, value.integer != 0 ? "true" : "false");
    } else if (value_is_number(value)) {
        value_add(machine, style->out, value);
    } else if (depth >= NESTED_MAX) {
        jinja_fail(machine, "tojson: lists nested more than %d deep", NESTED_MAX);
    } else if (value.type == VALUE_LIST && value.list->kind != LIST_STREAM) {
        add_list(style, value.list, depth);
    } else if (value.type == VALUE_DICT) {
        add_dict(style, value.dict, depth);
    } else {
        jinja_fail(machine, "tojson: %s", value_kind(value));
    }
}

static void read_indent(struct style *style, struct value indent)
{
    if (indent.type == VALUE_UNDEFINED || indent.type == VALUE_NONE) {
        return;
    }
    if (indent.type != VALUE_INTEGER || indent.integer < 0 || indent.integer > INDENT_MAX) {
        jinja_fail(style->machine, "tojson: an indent is a number up to %d", INDENT_MAX);
        return;
    }
    style->indented = true;
    style->indent = (size_t)indent.integer;
    style->n_comma = 1; /* its line ends anyway */
}

static void read_separators(struct style *style, struct value separators)
{
    if (separators.type == VALUE_UNDEFINED || separators.type == VALUE_NONE) {
        return;
    }
    if (separators.type != VALUE_LIST || separators.list->n != 2 ||
        separators.list->all[0].type != VALUE_STRING ||
        separators.list->all[1].type != VALUE_STRING) {
        jinja_fail(style->machine, "tojson: separators are two texts");
        return;
    }
    style->comma = separators.list->all[0].bytes;
    style->n_comma = separators.list->all[0].size;
    style->colon = separators.list->all[1].bytes;
    style->n_colon = separators.list->all[1].size;
}

struct value jinja_tojson(struct machine *machine, struct value value,
                          const struct arguments *arguments)
{
    struct text out = {0};
    struct style style = {.machine = machine,
                          .out = &out,
                          .ascii = value_true(arguments->all[0]),
                          .sorted = value_true(arguments->all[3]),
                          .comma = ", ",
                          .n_comma = 2,
                          .colon = ": ",
                          .n_colon = 2};

    read_indent(&style, arguments->all[1]);
    read_separators(&style, arguments->all[2]);
    add(&style, value, 0);
    const struct value made = value_copy(machine, text_get(&out), out.size);

    text_release(&out);
    return made;
}
