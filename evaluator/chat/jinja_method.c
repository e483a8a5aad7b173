/*
 * jinja_method.c - methods of texts and dicts, as Python has them. Texts are counted in code
 * points.
 */
#include <stdlib.h>
#include <string.h>

#include "evaluator/chat/jinja_internal.h"
#include "evaluator/model/letter_case.h"
#include "evaluator/model/unicode.h"

/* A text made in a buffer becomes a value; the buffer is released. */
static struct value take(struct machine *machine, struct text *text)
{
    const struct value made = value_copy(machine, text_get(text), text->size);

    text_release(text);
    return made;
}

static struct value part(struct value text, size_t from, size_t to)
{
    return value_string(text.bytes + from, to - from);
}

static bool begins(struct value text, size_t at, struct value with)
{
    return text.size - at >= with.size &&
           (with.size == 0 || memcmp(text.bytes + at, with.bytes, with.size) == 0);
}

/* ---- strip ---- */

/* Whether a code point is stripped: one of chars, or whitespace when there are none. */
static bool is_stripped(struct value chars, uint32_t code)
{
    uint32_t other = 0;

    if (chars.type != VALUE_STRING) {
        return unicode_is_python_space(code);
    }
    for (size_t at = 0; at < chars.size;) {
        at += unicode_next(chars.bytes + at, chars.size - at, &other);
        if (other == code) {
            return true;
        }
    }
    return false;
}

static struct value strip(struct machine *machine, struct value value,
                          const struct arguments *arguments, bool left, bool right)
{
    const struct value text = value_text(machine, value);
    const struct value chars = arguments->all[0];
    size_t from = 0;
    size_t to = text.size;
    uint32_t code = 0;

    if (chars.type != VALUE_STRING && chars.type != VALUE_NONE && arguments->n > 0) {
        return jinja_fail(machine, "strip: %s as characters", value_kind(chars));
    }
    jinja_spend(machine, chars.size < 64 ? text.size : text.size * (chars.size / 16));
    while (left && machine->rc == 0 && from < to) {
        const size_t n = unicode_next(text.bytes + from, to - from, &code);

        if (!is_stripped(chars, code)) {
            break;
        }
        from += n;
    }
    while (right && machine->rc == 0 && to > from) {
        const size_t at = from + unicode_last(text.bytes + from, to - from);

        unicode_next(text.bytes + at, to - at, &code);
        if (!is_stripped(chars, code)) {
            break;
        }
        to = at;
    }
    return part(text, from, to);
}

struct value text_trim(struct machine *machine, struct value text, const struct arguments *chars)
{
    return strip(machine, text, chars, true, true);
}

static struct value lstrip(struct machine *machine, struct value text,
                           const struct arguments *chars)
{
    return strip(machine, text, chars, true, false);
}

static struct value rstrip(struct machine *machine, struct value text,
                           const struct arguments *chars)
{
    return strip(machine, text, chars, false, true);
}

/* ---- letters ---- */

struct value text_upper(struct machine *machine, struct value value, const struct arguments *none)
{
    const struct value text = value_text(machine, value);
    struct text made = {0};

    (void)none;
    letter_case_add_upper(&made, text.bytes, text.size);
    return take(machine, &made);
}

struct value text_lower(struct machine *machine, struct value value, const struct arguments *none)
{
    const struct value text = value_text(machine, value);
    struct text made = {0};

    (void)none;
    letter_case_add_lower(&made, text.bytes, text.size);
    return take(machine, &made);
}

static bool is_ascii(struct value text)
{
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)text.bytes[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

/* The first letter large, the others small. Of letters beyond ASCII some have a form for titles. */
struct value text_capitalize(struct machine *machine, struct value value,
                             const struct arguments *none)
{
    const struct value text = value_text(machine, value);
    struct text made = {0};

    (void)none;
    if (!is_ascii(text)) {
        return jinja_fail(machine, "capitalize is supported for ASCII");
    }
    if (text.size > 0) {
        letter_case_add_upper(&made, text.bytes, 1);
        letter_case_add_lower(&made, text.bytes + 1, text.size - 1);
    }
    return take(machine, &made);
}

/* str.title: the first letter after anything that is no letter is large. */
static struct value title(struct machine *machine, struct value text, const struct arguments *none)
{
    struct text made = {0};
    bool inside = false;

    (void)none;
    if (!is_ascii(text)) {
        return jinja_fail(machine, "title is supported for ASCII");
    }
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.bytes[i];
        const bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';

        text_add_char(&made, !letter ? c : (char)(inside ? c | 0x20 : c & ~0x20));
        inside = letter;
    }
    return take(machine, &made);
}

/* ---- parts ---- */

/* Where in text, from `at` on, what begins; text.size + 1 when nowhere. */
static size_t find_from(struct value text, size_t at, struct value what)
{
    for (; at + what.size <= text.size; at++) {
        if (begins(text, at, what)) {
            return at;
        }
    }
    return text.size + 1;
}

static bool is_text(struct machine *machine, const char *method, struct value argument)
{
    if (argument.type != VALUE_STRING) {
        jinja_fail(machine, "%s: %s as its argument", method, value_kind(argument));
    }
    return argument.type == VALUE_STRING && machine->rc == 0;
}

/* A number of times, without limit when left out or negative. */
static size_t times(struct machine *machine, struct value count)
{
    if (count.type == VALUE_UNDEFINED || count.type == VALUE_NONE) {
        return SIZE_MAX;
    }
    if (count.type != VALUE_INTEGER) {
        jinja_fail(machine, "%s as a count", value_kind(count));
    }
    return count.integer < 0 ? SIZE_MAX : (size_t)count.integer;
}

struct value text_replace(struct machine *machine, struct value value,
                          const struct arguments *arguments)
{
    const struct value text = value_text(machine, value);
    const struct value old = value_text(machine, arguments->all[0]);
    const struct value new = value_text(machine, arguments->all[1]);
    size_t left = times(machine, arguments->all[2]);
    struct text made = {0};
    size_t at = 0;

    if (old.size == 0 || arguments->n < 2) {
        return jinja_fail(machine, "replace: what is replaced has no characters");
    }
    while (left > 0 && jinja_spend(machine, 16 + new.size)) {
        const size_t found = find_from(text, at, old);

        if (found > text.size) {
            break;
        }
        text_add_n(&made, text.bytes + at, found - at);
        text_add_n(&made, new.bytes, new.size);
        at = found + old.size;
        left--;
    }
    text_add_n(&made, text.bytes + at, text.size - at);
    return take(machine, &made);
}

/* Pieces between runs of whitespace, none empty. */
static void split_at_space(struct machine *machine, struct value text, size_t left,
                           struct list *pieces)
{
    const struct arguments none = {0};

    text = lstrip(machine, text, &none);
    while (machine->rc == 0 && text.size > 0) {
        size_t n = 0;
        uint32_t code = 0;

        while (n < text.size && left > 0) {
            const size_t step = unicode_next(text.bytes + n, text.size - n, &code);

            if (unicode_is_python_space(code)) {
                break;
            }
            n += step;
        }
        n = left > 0 ? n : text.size;
        left -= left > 0;
        value_append(machine, pieces,
                     n < text.size ? part(text, 0, n) : rstrip(machine, text, &none));
        text = lstrip(machine, part(text, n, text.size), &none);
    }
}

static struct value split(struct machine *machine, struct value text,
                          const struct arguments *arguments)
{
    struct value pieces = value_list(machine);
    const struct value glue = arguments->all[0];
    size_t left = times(machine, arguments->all[1]);
    size_t at = 0;

    jinja_spend(machine, text.size);
    if (machine->rc == 0 && (glue.type == VALUE_UNDEFINED || glue.type == VALUE_NONE)) {
        split_at_space(machine, text, left, pieces.list);
        return pieces;
    }
    if (!is_text(machine, "split", glue) || glue.size == 0) {
        return jinja_fail(machine, "split: at no characters");
    }
    while (machine->rc == 0) {
        const size_t found = left > 0 ? find_from(text, at, glue) : text.size + 1;

        if (found > text.size) {
            break;
        }
        value_append(machine, pieces.list, part(text, at, found));
        at = found + glue.size;
        left--;
    }
    if (machine->rc == 0) {
        value_append(machine, pieces.list, part(text, at, text.size));
    }
    return pieces;
}

/* One text, or any of a tuple. */
static struct value has_edge(struct machine *machine, struct value text, struct value edge,
                             bool at_end)
{
    const bool several = edge.type == VALUE_LIST && edge.list->kind == LIST_TUPLE;
    bool found = false;

    for (size_t i = 0; !found && machine->rc == 0 && i < (several ? edge.list->n : 1); i++) {
        const struct value each = several ? edge.list->all[i] : edge;

        jinja_spend(machine, each.size);
        found = is_text(machine, at_end ? "endswith" : "startswith", each) &&
                each.size <= text.size && begins(text, at_end ? text.size - each.size : 0, each);
    }
    return value_bool(found);
}

static struct value startswith(struct machine *machine, struct value text,
                               const struct arguments *prefix)
{
    return has_edge(machine, text, prefix->all[0], false);
}

static struct value endswith(struct machine *machine, struct value text,
                             const struct arguments *suffix)
{
    return has_edge(machine, text, suffix->all[0], true);
}

static struct value removeprefix(struct machine *machine, struct value text,
                                 const struct arguments *prefix)
{
    return is_text(machine, "removeprefix", prefix->all[0]) && begins(text, 0, prefix->all[0])
               ? part(text, prefix->all[0].size, text.size)
               : text;
}

static struct value removesuffix(struct machine *machine, struct value text,
                                 const struct arguments *suffix)
{
    const struct value end = suffix->all[0];

    return is_text(machine, "removesuffix", end) && end.size <= text.size &&
                   begins(text, text.size - end.size, end)
               ? part(text, 0, text.size - end.size)
               : text;
}

static struct value find(struct machine *machine, struct value text, const struct arguments *sub)
{
    if (!is_text(machine, "find", sub->all[0]) || !jinja_spend(machine, text.size)) {
        return value_undefined();
    }
    const size_t at = find_from(text, 0, sub->all[0]);

    return value_integer(at > text.size ? -1 : (int64_t)unicode_count(text.bytes, at));
}

static struct value count(struct machine *machine, struct value text, const struct arguments *sub)
{
    int64_t n = 0;

    if (!is_text(machine, "count", sub->all[0]) || sub->all[0].size == 0 ||
        !jinja_spend(machine, text.size)) {
        return jinja_fail(machine, "count: of no characters");
    }
    for (size_t at = 0; (at = find_from(text, at, sub->all[0])) <= text.size; n++) {
        at += sub->all[0].size;
    }
    return value_integer(n);
}

struct value text_join(struct machine *machine, struct value glue, const struct arguments *list)
{
    const struct list *items = value_items(machine, list->all[0]);
    struct text made = {0};

    for (size_t i = 0; machine->rc == 0 && i < items->n; i++) {
        if (i > 0) {
            value_add(machine, &made, glue);
        }
        value_add(machine, &made, items->all[i]);
    }
    return take(machine, &made);
}

/* str.join: of texts only. */
static struct value join(struct machine *machine, struct value glue, const struct arguments *list)
{
    const struct value of = list->all[0];

    for (size_t i = 0; of.type == VALUE_LIST && machine->rc == 0 && i < of.list->n; i++) {
        is_text(machine, "join", of.list->all[i]);
    }
    return text_join(machine, glue, list);
}

const struct callable jinja_text_methods[] = {
    {"strip", "chars", text_trim},
    {"lstrip", "chars", lstrip},
    {"rstrip", "chars", rstrip},
    {"upper", "", text_upper},
    {"lower", "", text_lower},
    {"capitalize", "", text_capitalize},
    {"title", "", title},
    {"replace", "old new count", text_replace},
    {"split", "sep maxsplit", split},
    {"startswith", "prefix", startswith},
    {"endswith", "suffix", endswith},
    {"removeprefix", "prefix", removeprefix},
    {"removesuffix", "suffix", removesuffix},
    {"find", "sub", find},
    {"count", "sub", count},
    {"join", "iterable", join},
    {NULL, NULL, NULL},
};

/* ---- dicts ---- */

static struct value pair(struct machine *machine, const struct dict_entry *entry)
{
    struct value made = value_list(machine);

    if (machine->rc == 0) {
        made.list->kind = LIST_TUPLE;
        value_append(machine, made.list, entry->key);
        value_append(machine, made.list, entry->value);
    }
    return made;
}

struct value dict_items(struct machine *machine, struct value dict, const struct arguments *none)
{
    struct value made = value_list(machine);

    (void)none;
    for (size_t i = 0; machine->rc == 0 && i < dict.dict->n; i++) {
        value_append(machine, made.list, pair(machine, &dict.dict->all[i]));
    }
    return made;
}

static struct value keys(struct machine *machine, struct value dict, const struct arguments *none)
{
    struct value made = value_list(machine);

    (void)none;
    for (size_t i = 0; machine->rc == 0 && i < dict.dict->n; i++) {
        value_append(machine, made.list, dict.dict->all[i].key);
    }
    return made;
}

static struct value values(struct machine *machine, struct value dict, const struct arguments *none)
{
    struct value made = value_list(machine);

    (void)none;
    for (size_t i = 0; machine->rc == 0 && i < dict.dict->n; i++) {
        value_append(machine, made.list, dict.dict->all[i].value);
    }
    return made;
}

static struct value get(struct machine *machine, struct value dict, const struct arguments *key)
{
    const struct value *found = value_find(machine, dict.dict, key->all[0]);
    const struct value fallback = key->n > 1 ? key->all[1] : value_none();

    return found != NULL ? *found : fallback;
}

const struct callable jinja_dict_methods[] = {
    {"items", "", dict_items},   {"keys", "", keys}, {"values", "", values},
    {"get", "key default", get}, {NULL, NULL, NULL},
};
