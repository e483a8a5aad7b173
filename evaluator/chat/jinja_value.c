/*
 * jinja_value.c - values as Python has them: what is true, what is equal, how they print.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "evaluator/chat/jinja_internal.h"
#include "evaluator/model/unicode.h"

#define NESTED_MAX 64 /* lists in lists, where values are compared or printed */

/* ---- made ---- */

struct value value_undefined(void)
{
    return (struct value){.type = VALUE_UNDEFINED};
}

struct value value_none(void)
{
    return (struct value){.type = VALUE_NONE};
}

struct value value_bool(bool flag)
{
    return (struct value){.type = VALUE_BOOL, .integer = flag};
}

struct value value_integer(int64_t integer)
{
    return (struct value){.type = VALUE_INTEGER, .integer = integer};
}

struct value value_real(double real)
{
    return (struct value){.type = VALUE_REAL, .real = real};
}

struct value value_string(const char *bytes, size_t size)
{
    return (struct value){.type = VALUE_STRING, .size = size, .bytes = bytes};
}

struct value value_copy(struct machine *machine, const char *bytes, size_t size)
{
    char *copy = jinja_take(machine, size);

    if (copy == NULL) {
        return value_undefined();
    }
    memcpy(copy, bytes, size);
    return value_string(copy, size);
}

struct value value_list(struct machine *machine)
{
    struct list *list = jinja_take(machine, sizeof *list);

    return list == NULL ? value_undefined() : (struct value){.type = VALUE_LIST, .list = list};
}

struct value value_dict(struct machine *machine)
{
    struct dict *dict = jinja_take(machine, sizeof *dict);

    return dict == NULL ? value_undefined() : (struct value){.type = VALUE_DICT, .dict = dict};
}

/* Room for one more of n things of a size: the same block, or a copy of twice that. */
static void *grow(struct machine *machine, void *all, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity) {
        return all;
    }
    const size_t wanted = *capacity == 0 ? 4 : *capacity * 2;
    void *more = jinja_take(machine, wanted * size);

    if (more != NULL && n > 0) {
        memcpy(more, all, n * size);
    }
    *capacity = more != NULL ? wanted : *capacity;
    return more;
}

void value_append(struct machine *machine, struct list *list, struct value item)
{
    struct value *all = grow(machine, list->all, list->n, &list->capacity, sizeof *all);

    if (all != NULL) {
        list->all = all;
        list->all[list->n++] = item;
    }
}

struct value *value_find(struct machine *machine, const struct dict *dict, struct value key)
{
    jinja_spend(machine, dict->n);
    for (size_t i = 0; key.type == VALUE_STRING && i < dict->n; i++) {
        const struct value *have = &dict->all[i].key;

        if (have->size == key.size && memcmp(have->bytes, key.bytes, key.size) == 0) {
            return &dict->all[i].value;
        }
    }
    return NULL;
}

void value_put(struct machine *machine, struct dict *dict, struct value key, struct value value)
{
    struct value *old = value_find(machine, dict, key);

    if (old != NULL) {
        *old = value;
        return;
    }
    struct dict_entry *all = grow(machine, dict->all, dict->n, &dict->capacity, sizeof *all);

    if (all != NULL) {
        dict->all = all;
        dict->all[dict->n++] = (struct dict_entry){key, value};
    }
}

static struct value dict_of_json(struct machine *machine, const json_t *json)
{
    struct value made = value_dict(machine);
    const char *name = NULL;
    json_t *member = NULL;

    json_object_foreach((json_t *)(uintptr_t)json, name, member)
    {
        if (machine->rc == 0) { /* names of an object differ: appended without a look */
            struct dict *dict = made.dict;
            struct dict_entry *all =
                grow(machine, dict->all, dict->n, &dict->capacity, sizeof *all);

            dict->all = all != NULL ? all : dict->all;
            if (all != NULL) {
                dict->all[dict->n++] = (struct dict_entry){value_string(name, strlen(name)),
                                                           value_of_json(machine, member)};
            }
        }
    }
    return made;
}

struct value value_of_json(struct machine *machine, const json_t *json)
{
    struct value made = value_none();

    switch (json_typeof(json)) {
    case JSON_STRING:
        return value_string(json_string_value(json), json_string_length(json));
    case JSON_INTEGER:
        return value_integer(json_integer_value(json));
    case JSON_REAL:
        return value_real(json_real_value(json));
    case JSON_TRUE:
    case JSON_FALSE:
        return value_bool(json_is_true(json));
    case JSON_NULL:
        return made;
    case JSON_OBJECT:
        return dict_of_json(machine, json);
    case JSON_ARRAY:
        break;
    }
    made = value_list(machine);
    for (size_t i = 0; machine->rc == 0 && i < json_array_size(json); i++) {
        value_append(machine, made.list, value_of_json(machine, json_array_get(json, i)));
    }
    return made;
}

/* ---- looked at ---- */

bool value_is(struct value value, const char *text)
{
    return value.type == VALUE_STRING && value.size == strlen(text) &&
           memcmp(value.bytes, text, value.size) == 0;
}

bool value_is_number(struct value value)
{
    return value.type == VALUE_BOOL || value.type == VALUE_INTEGER || value.type == VALUE_REAL;
}

double value_number(struct value value)
{
    return value.type == VALUE_REAL ? value.real : (double)value.integer;
}

const char *value_kind(struct value value)
{
    static const char *const kinds[] = {"something undefined",
                                        "none",
                                        "true or false",
                                        "a number",
                                        "a number",
                                        "a text",
                                        "a list",
                                        "a dict",
                                        "a namespace",
                                        "a loop",
                                        "a macro",
                                        "a function"};

    return kinds[value.type];
}

bool value_true(struct value value)
{
    switch (value.type) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return false;
    case VALUE_BOOL:
    case VALUE_INTEGER:
        return value.integer != 0;
    case VALUE_REAL:
        return value.real != 0.0;
    case VALUE_STRING:
        return value.size > 0;
    case VALUE_LIST:
        return value.list->n > 0 || value.list->kind == LIST_STREAM;
    case VALUE_DICT:
        return value.dict->n > 0;
    case VALUE_NAMESPACE:
    case VALUE_LOOP:
    case VALUE_MACRO:
    case VALUE_FUNCTION:
        break;
    }
    return true;
}

/* ---- compared ---- */

static bool equal(struct machine *machine, struct value a, struct value b, size_t depth);

static bool lists_equal(struct machine *machine, const struct list *a, const struct list *b,
                        size_t depth)
{
    bool same = a->n == b->n && a->kind == b->kind;

    for (size_t i = 0; same && machine->rc == 0 && i < a->n; i++) {
        same = equal(machine, a->all[i], b->all[i], depth);
    }
    return same;
}

static bool dicts_equal(struct machine *machine, const struct dict *a, const struct dict *b,
                        size_t depth)
{
    bool same = a->n == b->n;

    for (size_t i = 0; same && machine->rc == 0 && i < a->n; i++) {
        const struct value *other = value_find(machine, b, a->all[i].key);

        same = other != NULL && equal(machine, a->all[i].value, *other, depth);
    }
    return same;
}

static bool equal(struct machine *machine, struct value a, struct value b, size_t depth)
{
    jinja_spend(machine, 16 + a.size);
    if (depth > NESTED_MAX) {
        jinja_fail(machine, "lists nested more than %d deep are compared", NESTED_MAX);
        return false;
    }
    if (value_is_number(a) && value_is_number(b)) {
        return a.type == VALUE_REAL || b.type == VALUE_REAL ? value_number(a) == value_number(b)
                                                            : a.integer == b.integer;
    }
    if (a.type != b.type) {
        return false;
    }
    switch (a.type) {
    case VALUE_STRING:
        return a.size == b.size && memcmp(a.bytes, b.bytes, a.size) == 0;
    case VALUE_LIST:
        return a.list->kind == LIST_STREAM || b.list->kind == LIST_STREAM
                   ? a.list == b.list
                   : lists_equal(machine, a.list, b.list, depth + 1);
    case VALUE_DICT:
        return dicts_equal(machine, a.dict, b.dict, depth + 1);
    case VALUE_NAMESPACE:
        return a.dict == b.dict;
    case VALUE_LOOP:
        return a.loop == b.loop;
    case VALUE_MACRO:
        return a.macro == b.macro;
    case VALUE_FUNCTION:
        return a.function == b.function;
    default: /* undefined, none */
        return true;
    }
}

bool value_equal(struct machine *machine, struct value a, struct value b)
{
    return equal(machine, a, b, 0);
}

int value_order(struct machine *machine, struct value a, struct value b)
{
    if (value_is_number(a) && value_is_number(b)) {
        const double x = value_number(a);
        const double y = value_number(b);

        return a.type == VALUE_REAL || b.type == VALUE_REAL
                   ? (x > y) - (x < y)
                   : (a.integer > b.integer) - (a.integer < b.integer);
    }
    if (a.type == VALUE_STRING && b.type == VALUE_STRING) { /* UTF-8 is in order of code points */
        const size_t n = a.size < b.size ? a.size : b.size;
        const int order = memcmp(a.bytes, b.bytes, n);

        jinja_spend(machine, n);
        return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
    }
    jinja_fail(machine, "%s and %s have no order", value_kind(a), value_kind(b));
    return 0;
}

static bool text_contains(struct machine *machine, struct value text, struct value part)
{
    if (part.type != VALUE_STRING) {
        jinja_fail(machine, "%s is looked for in a text", value_kind(part));
        return false;
    }
    jinja_spend(machine, text.size);
    for (size_t at = 0; at + part.size <= text.size; at++) {
        if (memcmp(text.bytes + at, part.bytes, part.size) == 0) {
            return true;
        }
    }
    return false;
}

bool value_contains(struct machine *machine, struct value container, struct value item)
{
    if (container.type == VALUE_STRING) {
        return text_contains(machine, container, item);
    }
    if (container.type == VALUE_DICT) {
        return value_find(machine, container.dict, item) != NULL;
    }
    const struct list *items = value_items(machine, container);

    for (size_t i = 0; machine->rc == 0 && i < items->n; i++) {
        if (value_equal(machine, items->all[i], item)) {
            return true;
        }
    }
    return false;
}

/* ---- gone through ---- */

static struct list *characters(struct machine *machine, struct value text)
{
    struct list *list = value_list(machine).list;
    uint32_t code = 0;

    for (size_t at = 0; machine->rc == 0 && at < text.size;) {
        const size_t n = unicode_next(text.bytes + at, text.size - at, &code);

        value_append(machine, list, value_string(text.bytes + at, n));
        at += n;
    }
    return list;
}

static struct list *keys(struct machine *machine, const struct dict *dict)
{
    struct list *list = value_list(machine).list;

    for (size_t i = 0; machine->rc == 0 && i < dict->n; i++) {
        value_append(machine, list, dict->all[i].key);
    }
    return list;
}

const struct list *value_items(struct machine *machine, struct value value)
{
    static const struct list empty;
    const struct list *items = &empty;

    if (value.type == VALUE_LIST && value.list->spent) {
        jinja_fail(machine, "what a filter gave is gone through twice: add | list");
    } else if (value.type == VALUE_LIST) {
        value.list->spent = value.list->kind == LIST_STREAM;
        items = value.list;
    } else if (value.type == VALUE_STRING) {
        items = characters(machine, value);
    } else if (value.type == VALUE_DICT) {
        items = keys(machine, value.dict);
    } else if (value.type != VALUE_UNDEFINED) {
        jinja_fail(machine, "%s has nothing to go through", value_kind(value));
    }
    return machine->rc == 0 ? items : &empty;
}

size_t value_length(struct machine *machine, struct value value)
{
    switch (value.type) {
    case VALUE_UNDEFINED:
        return 0;
    case VALUE_STRING:
        jinja_spend(machine, value.size);
        return unicode_count(value.bytes, value.size);
    case VALUE_DICT:
        return value.dict->n;
    case VALUE_LIST:
        if (value.list->kind != LIST_STREAM) {
            return value.list->n;
        }
        jinja_fail(machine, "what a filter gave has no length: add | list");
        return 0;
    default:
        jinja_fail(machine, "%s has no length", value_kind(value));
        return 0;
    }
}

/* ---- printed ---- */

/* As Python's repr: the shortest digits, an exponent below 1e-4. */
static void add_real(struct machine *machine, struct text *out, double real)
{
    struct text digits = {0};

    if (!isfinite(real) || fabs(real) >= 1e16) {
        jinja_fail(machine, "a number that is too large to print");
        return;
    }
    if (fabs(real) >= 1e15) { /* where %g has an exponent already */
        text_printf(out, "%.1f", real);
        return;
    }
    text_add_double(&digits, real, true);
    const char *text = text_get(&digits);
    const char *exponent = strchr(text, 'e');
    const size_t mantissa = exponent != NULL ? (size_t)(exponent - text) : digits.size;
    const bool bare = exponent != NULL && mantissa > 2 && memcmp(exponent - 2, ".0", 2) == 0;

    text_add_n(out, text, bare ? mantissa - 2 : mantissa);
    text_add(out, exponent != NULL ? exponent : "");
    text_release(&digits);
}

void value_add(struct machine *machine, struct text *out, struct value value)
{
    if (!jinja_spend(machine, 16 + value.size)) {
        return;
    }
    switch (value.type) {
    case VALUE_UNDEFINED:
        return;
    case VALUE_NONE:
        text_add(out, "None");
        return;
    case VALUE_BOOL:
        text_add(out, value.integer != 0 ? "True" : "False");
        return;
    case VALUE_INTEGER:
        text_printf(out, "%" PRId64, value.integer);
        return;
    case VALUE_REAL:
        add_real(machine, out, value.real);
        return;
    case VALUE_STRING:
        text_add_n(out, value.bytes, value.size);
        return;
    default:
        jinja_fail(machine, "%s is printed: it wants | tojson or | join", value_kind(value));
    }
}

struct value value_text(struct machine *machine, struct value value)
{
    struct text text = {0};

    if (value.type == VALUE_STRING) {
        return value;
    }
    value_add(machine, &text, value);
    const struct value made = value_copy(machine, text_get(&text), text.size);

    text_release(&text);
    return machine->rc == 0 ? made : value_string("", 0);
}
