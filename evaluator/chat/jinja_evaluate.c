/*
 * jinja_evaluate.c - expressions to values.
 *
 * Something undefined prints as nothing, is false and has nothing in it; whatever else is done with
 * it fails, as in Jinja.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/chat/jinja_internal.h"
#include "evaluator/model/unicode.h"

#define STEP_MAX 100000 /* of a slice */

static struct value evaluate(struct machine *machine, struct scope *scope, const struct node *node)
{
    return node == NULL ? value_undefined() : jinja_evaluate(machine, scope, node);
}

/* ---- arithmetic ---- */

static struct value add_texts(struct machine *machine, struct value a, struct value b)
{
    char *both = jinja_take(machine, a.size + b.size);

    if (both == NULL) {
        return value_undefined();
    }
    if (a.size > 0) {
        memcpy(both, a.bytes, a.size);
    }
    if (b.size > 0) {
        memcpy(both + a.size, b.bytes, b.size);
    }
    return value_string(both, a.size + b.size);
}

static struct value add_lists(struct machine *machine, const struct list *a, const struct list *b)
{
    struct value both = value_list(machine);

    for (size_t i = 0; machine->rc == 0 && i < a->n + b->n; i++) {
        value_append(machine, both.list, i < a->n ? a->all[i] : b->all[i - a->n]);
    }
    if (machine->rc == 0) {
        both.list->kind = a->kind;
    }
    return both;
}

static struct value repeat(struct machine *machine, struct value text, int64_t times)
{
    const size_t n = times > 0 ? (size_t)times : 0;
    size_t size = 0;

    if (n > JINJA_WORK_MAX || text.size > JINJA_WORK_MAX ||
        (size = n * text.size) > JINJA_WORK_MAX) {
        jinja_spend(machine, JINJA_WORK_MAX + 1);
        return value_undefined();
    }
    char *made = jinja_take(machine, size);

    for (size_t i = 0; made != NULL && i < n && text.size > 0; i++) {
        memcpy(made + i * text.size, text.bytes, text.size);
    }
    return made != NULL ? value_string(made, size) : value_undefined();
}

/* Integers, rounded down as Python does; ERANGE as a failure. */
static struct value integers(struct machine *machine, int op, int64_t a, int64_t b)
{
    const int64_t most = (int64_t)1 << 31; /* sums and products of smaller ones fit */

    if (a > most || a < -most || b > most || b < -most) {
        return jinja_fail(machine, "arithmetic with numbers beyond 2^31");
    }
    switch (op) {
    case OP('+', 0):
        return value_integer(a + b);
    case OP('-', 0):
        return value_integer(a - b);
    case OP('*', 0):
        return value_integer(a * b);
    default:
        break;
    }
    if (b == 0) {
        return jinja_fail(machine, "a division by zero");
    }
    if (op == OP('/', 0)) {
        return value_real((double)a / (double)b);
    }
    const int64_t rest = a % b;
    const bool below = rest != 0 && (rest < 0) != (b < 0);

    return value_integer(op == OP('%', 0) ? rest + (below ? b : 0) : a / b - below);
}

static struct value reals(struct machine *machine, int op, double a, double b)
{
    switch (op) {
    case OP('+', 0):
        return value_real(a + b);
    case OP('-', 0):
        return value_real(a - b);
    case OP('*', 0):
        return value_real(a * b);
    default:
        break;
    }
    if (b == 0.0) {
        return jinja_fail(machine, "a division by zero");
    }
    if (op == OP('/', 0)) {
        return value_real(a / b);
    }
    const double rest = fmod(a, b);
    const double up = rest != 0.0 && (rest < 0.0) != (b < 0.0) ? rest + b : rest;

    return value_real(op == OP('%', 0) ? up : floor((a - up) / b + 0.5));
}

static struct value arithmetic(struct machine *machine, int op, struct value a, struct value b)
{
    if (op == OP('~', 0)) {
        return add_texts(machine, value_text(machine, a), value_text(machine, b));
    }
    if (value_is_number(a) && value_is_number(b)) {
        return a.type == VALUE_REAL || b.type == VALUE_REAL
                   ? reals(machine, op, value_number(a), value_number(b))
                   : integers(machine, op, a.integer, b.integer);
    }
    if (op == OP('+', 0) && a.type == VALUE_STRING && b.type == VALUE_STRING) {
        return add_texts(machine, a, b);
    }
    if (op == OP('+', 0) && a.type == VALUE_LIST && b.type == VALUE_LIST &&
        a.list->kind == b.list->kind && a.list->kind != LIST_STREAM) {
        return add_lists(machine, a.list, b.list);
    }
    if (op == OP('*', 0) && a.type == VALUE_STRING && b.type == VALUE_INTEGER) {
        return repeat(machine, a, b.integer);
    }
    return jinja_fail(machine, "%s %c %s", value_kind(a), op & 0xff, value_kind(b));
}

/* ---- comparisons ---- */

static bool holds(struct machine *machine, int op, struct value a, struct value b)
{
    switch (op) {
    case OP('=', '='):
        return value_equal(machine, a, b);
    case OP('!', '='):
        return !value_equal(machine, a, b);
    case OP_IN:
        return value_contains(machine, b, a);
    case OP_NOT_IN:
        return !value_contains(machine, b, a);
    default:
        break;
    }
    const int order = value_order(machine, a, b);

    return op == OP('<', 0)     ? order < 0
           : op == OP('<', '=') ? order <= 0
           : op == OP('>', 0)   ? order > 0
                                : order >= 0;
}

/* a < b < c: each with the next. */
static struct value compare(struct machine *machine, struct scope *scope, const struct node *node)
{
    struct value left = jinja_evaluate(machine, scope, node->a);

    for (const struct node *next = node->b; next != NULL; next = next->next) {
        const struct value right = jinja_evaluate(machine, scope, next->a);

        if (machine->rc != 0 || !holds(machine, next->op, left, right)) {
            return value_bool(false);
        }
        left = right;
    }
    return value_bool(true);
}

/* ---- names, members, items ---- */

static struct value look_up(struct machine *machine, struct scope *scope, struct value name)
{
    for (; scope != NULL; scope = scope->parent) {
        const struct value *found = value_find(machine, &scope->names, name);

        if (found != NULL) {
            return *found;
        }
    }
    return value_undefined();
}

static struct value loop_member(struct machine *machine, const struct loop *loop, struct value name)
{
    const int64_t at = (int64_t)loop->at;
    const int64_t n = (int64_t)loop->items->n;
    const struct value *items = loop->items->all;
    const struct {
        const char *name;
        struct value value;
    } members[] = {{"index", value_integer(at + 1)},
                   {"index0", value_integer(at)},
                   {"revindex", value_integer(n - at)},
                   {"revindex0", value_integer(n - at - 1)},
                   {"first", value_bool(at == 0)},
                   {"last", value_bool(at == n - 1)},
                   {"length", value_integer(n)},
                   {"previtem", at > 0 ? items[at - 1] : value_undefined()},
                   {"nextitem", at + 1 < n ? items[at + 1] : value_undefined()}};

    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (value_is(name, members[i].name)) {
            return members[i].value;
        }
    }
    return jinja_fail(machine, "loop.%.*s is not supported", (int)name.size, name.bytes);
}

/* a.name, or a["name"]. Methods are no values here. */
static struct value member(struct machine *machine, struct value of, struct value name)
{
    const struct value *found = NULL;

    if (of.type == VALUE_UNDEFINED) {
        return jinja_fail(machine, "%.*s of something undefined", (int)name.size, name.bytes);
    }
    if (of.type == VALUE_LOOP) {
        return loop_member(machine, of.loop, name);
    }
    if (of.type == VALUE_DICT || of.type == VALUE_NAMESPACE) {
        found = value_find(machine, of.dict, name);
    }
    if (found == NULL &&
        ((of.type == VALUE_DICT && jinja_find(jinja_dict_methods, name) != NULL) ||
         (of.type == VALUE_STRING && jinja_find(jinja_text_methods, name) != NULL))) {
        return jinja_fail(machine, "the method %.*s without a call", (int)name.size, name.bytes);
    }
    return found != NULL ? *found : value_undefined();
}

/* The i-th character of a text, from the end when negative. */
static struct value character(struct machine *machine, struct value text, int64_t i)
{
    const struct list *all = value_items(machine, text);
    const int64_t at = i < 0 ? i + (int64_t)all->n : i;

    return at >= 0 && at < (int64_t)all->n ? all->all[at] : value_undefined();
}

static struct value item(struct machine *machine, struct value of, struct value index)
{
    if (of.type == VALUE_UNDEFINED) {
        return jinja_fail(machine, "an item of something undefined");
    }
    if (index.type == VALUE_STRING) {
        /* Jinja looks for an item first, then for a method of that name. */
        return member(machine, of, index);
    }
    if (index.type != VALUE_INTEGER && index.type != VALUE_BOOL) {
        return of.type == VALUE_DICT || of.type == VALUE_NONE
                   ? value_undefined()
                   : jinja_fail(machine, "%s as an index", value_kind(index));
    }
    if (of.type == VALUE_STRING) {
        return character(machine, of, index.integer);
    }
    if (of.type == VALUE_LIST && of.list->kind != LIST_STREAM) {
        const int64_t n = (int64_t)of.list->n;
        const int64_t at = index.integer < 0 ? index.integer + n : index.integer;

        return at >= 0 && at < n ? of.list->all[at] : value_undefined();
    }
    return value_undefined();
}

/* ---- slices ---- */

/* A bound as Python reads it: from the end when negative, then into [low, high]. */
static int64_t bound(struct machine *machine, struct value value, int64_t n, int64_t fallback,
                     int64_t low, int64_t high)
{
    if (value.type == VALUE_UNDEFINED || value.type == VALUE_NONE) {
        return fallback;
    }
    if (value.type != VALUE_INTEGER && value.type != VALUE_BOOL) {
        jinja_fail(machine, "%s as a bound of a slice", value_kind(value));
        return fallback;
    }
    const int64_t at = value.integer < 0 ? value.integer + n : value.integer;

    return at < low ? low : at > high ? high : at;
}

static struct value join_characters(struct machine *machine, const struct list *list)
{
    struct text text = {0};

    for (size_t i = 0; i < list->n; i++) {
        text_add_n(&text, list->all[i].bytes, list->all[i].size);
    }
    const struct value made = value_copy(machine, text_get(&text), text.size);

    text_release(&text);
    return made;
}

static struct value slice(struct machine *machine, struct scope *scope, const struct node *node)
{
    const struct value of = jinja_evaluate(machine, scope, node->a);
    const struct value step_value = evaluate(machine, scope, node->d);
    const struct value from = evaluate(machine, scope, node->b);
    const struct value to = evaluate(machine, scope, node->c);
    const int64_t step = step_value.type == VALUE_INTEGER ? step_value.integer : 1;

    if ((of.type != VALUE_STRING && of.type != VALUE_LIST) || step == 0 || step < -STEP_MAX ||
        step > STEP_MAX || (of.type == VALUE_LIST && of.list->kind == LIST_STREAM)) {
        return jinja_fail(machine, "a slice of %s", value_kind(of));
    }
    const struct list *items = value_items(machine, of);
    const int64_t n = (int64_t)items->n;
    const int64_t low = step > 0 ? 0 : -1;
    const int64_t high = step > 0 ? n : n - 1;
    const int64_t first = bound(machine, from, n, step > 0 ? low : high, low, high);
    const int64_t last = bound(machine, to, n, step > 0 ? high : low, low, high);
    struct value made = value_list(machine);

    for (int64_t i = first; machine->rc == 0 && (step > 0 ? i < last : i > last); i += step) {
        value_append(machine, made.list, items->all[i]);
    }
    if (machine->rc != 0) {
        return value_undefined();
    }
    made.list->kind = of.type == VALUE_LIST ? of.list->kind : LIST_PLAIN;
    return of.type == VALUE_STRING ? join_characters(machine, made.list) : made;
}

/* ---- literals ---- */

static struct value make_list(struct machine *machine, struct scope *scope, const struct node *node)
{
    struct value made = value_list(machine);

    for (const struct node *each = node->a; machine->rc == 0 && each != NULL; each = each->next) {
        value_append(machine, made.list, jinja_evaluate(machine, scope, each));
    }
    if (machine->rc == 0 && node->kind == NODE_TUPLE) {
        made.list->kind = LIST_TUPLE;
    }
    return made;
}

static struct value make_dict(struct machine *machine, struct scope *scope, const struct node *node)
{
    struct value made = value_dict(machine);

    for (const struct node *pair = node->a; machine->rc == 0 && pair != NULL; pair = pair->next) {
        const struct value key = jinja_evaluate(machine, scope, pair->a);

        if (key.type != VALUE_STRING) {
            return jinja_fail(machine, "%s as a key", value_kind(key));
        }
        value_put(machine, made.dict, key, jinja_evaluate(machine, scope, pair->b));
    }
    return made;
}

/* ---- calls ---- */

static struct value call(struct machine *machine, struct scope *scope, const struct node *node)
{
    const struct value callee = look_up(machine, scope, node->value);

    if (callee.type == VALUE_MACRO) {
        return jinja_call_macro(machine, scope, callee.macro, node->b);
    }
    if (callee.type == VALUE_FUNCTION) {
        return jinja_call_function(machine, scope, callee.function, node->b);
    }
    return jinja_fail(machine, "%.*s cannot be called: it is %s", (int)node->value.size,
                      node->value.bytes, value_kind(callee));
}

/* Where a name stands among parameters, "old new count"; they were checked when parsed. */
static size_t place_of(const char *parameters, struct value name)
{
    size_t place = 0;

    while (!(strcspn(parameters, " ") == name.size &&
             memcmp(parameters, name.bytes, name.size) == 0)) {
        parameters += strcspn(parameters, " ") + 1;
        place++;
    }
    return place;
}

static struct arguments arguments_of(struct machine *machine, struct scope *scope,
                                     const struct node *argument, const char *parameters)
{
    struct arguments made = {0};
    size_t place = 0;

    for (; argument != NULL; argument = argument->next, place++) {
        const bool keyword = argument->kind == NODE_KEYWORD;
        const size_t at = keyword ? place_of(parameters, argument->value) : place;

        made.all[at] = jinja_evaluate(machine, scope, keyword ? argument->a : argument);
        made.n = at + 1 > made.n ? at + 1 : made.n;
    }
    return made;
}

static struct value call_by_name(struct machine *machine, struct scope *scope,
                                 const struct node *node)
{
    const struct value of = jinja_evaluate(machine, scope, node->a);
    const struct callable *callable = node->callable;

    if (node->kind == NODE_METHOD) {
        const struct callable *table = of.type == VALUE_STRING ? jinja_text_methods
                                       : of.type == VALUE_DICT ? jinja_dict_methods
                                                               : NULL;

        callable = table != NULL ? jinja_find(table, node->value) : NULL;
        if (callable == NULL) {
            return jinja_fail(machine, "%s has no method %.*s", value_kind(of),
                              (int)node->value.size, node->value.bytes);
        }
    }
    const struct arguments arguments = arguments_of(machine, scope, node->b, callable->parameters);

    return machine->rc == 0 ? callable->call(machine, of, &arguments) : value_undefined();
}

/* ---- all together ---- */

static struct value negative(struct machine *machine, struct value value, int sign)
{
    if (!value_is_number(value)) {
        return jinja_fail(machine, "a sign before %s", value_kind(value));
    }
    return value.type == VALUE_REAL ? value_real(sign * value.real)
                                    : value_integer(sign * value.integer);
}

static struct value evaluate_node(struct machine *machine, struct scope *scope,
                                  const struct node *node)
{
    struct value a = value_undefined();

    switch (node->kind) {
    case NODE_CONSTANT:
        return node->value;
    case NODE_NAME:
        return look_up(machine, scope, node->value);
    case NODE_LIST:
    case NODE_TUPLE:
        return make_list(machine, scope, node);
    case NODE_DICT:
        return make_dict(machine, scope, node);
    case NODE_MEMBER:
        return member(machine, jinja_evaluate(machine, scope, node->a), node->value);
    case NODE_ITEM:
        a = jinja_evaluate(machine, scope, node->a);
        return item(machine, a, jinja_evaluate(machine, scope, node->b));
    case NODE_SLICE:
        return slice(machine, scope, node);
    case NODE_CALL:
        return call(machine, scope, node);
    case NODE_METHOD:
    case NODE_CALLABLE:
        return call_by_name(machine, scope, node);
    case NODE_NOT:
        return value_bool(!value_true(jinja_evaluate(machine, scope, node->a)));
    case NODE_NEGATIVE:
        return negative(machine, jinja_evaluate(machine, scope, node->a), -1);
    case NODE_POSITIVE:
        return negative(machine, jinja_evaluate(machine, scope, node->a), 1);
    case NODE_AND:
        a = jinja_evaluate(machine, scope, node->a);
        return value_true(a) ? jinja_evaluate(machine, scope, node->b) : a;
    case NODE_OR:
        a = jinja_evaluate(machine, scope, node->a);
        return value_true(a) ? a : jinja_evaluate(machine, scope, node->b);
    case NODE_CHOICE:
        a = jinja_evaluate(machine, scope, node->b);
        return evaluate(machine, scope, value_true(a) ? node->a : node->c);
    case NODE_COMPARE:
        return compare(machine, scope, node);
    default: /* NODE_ARITHMETIC */
        a = jinja_evaluate(machine, scope, node->a);
        return arithmetic(machine, node->op, a, jinja_evaluate(machine, scope, node->b));
    }
}

struct value jinja_evaluate(struct machine *machine, struct scope *scope, const struct node *node)
{
    struct value made = value_undefined();

    jinja_enter(machine);
    if (jinja_spend(machine, 16)) {
        machine->line = node->line;
        made = evaluate_node(machine, scope, node);
    }
    machine->depth--;
    return machine->rc == 0 ? made : value_undefined();
}
