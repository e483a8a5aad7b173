/*
 * jinja_run.c - statements carried out.
 *
 * A scope holds what is set in it and knows the one around it. Each turn of a loop, each call of a
 * macro and each body of a set has its own; a macro sees the scope that it was defined in.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "evaluator/chat/jinja_internal.h"

#define RUN_DEPTH_MAX 1000 /* a + b + c is three deep; the C stack holds ten times this */

struct value jinja_fail(struct machine *machine, const char *format, ...)
{
    char what[ERR_TEXT_MAX];
    va_list arguments;

    if (machine->rc == 0) {
        va_start(arguments, format);
        vsnprintf(what, sizeof what, format, arguments);
        va_end(arguments);
        machine->rc = err_set(machine->err, ERR_FORMAT, "line %u: %s", machine->line, what);
    }
    return value_undefined();
}

bool jinja_spend(struct machine *machine, size_t n)
{
    machine->work += n;
    if (machine->rc == 0 && (n > JINJA_WORK_MAX || machine->work > JINJA_WORK_MAX)) {
        machine->rc = err_set(machine->err, ERR_LIMIT, "line %u: it does more than a prompt takes",
                              machine->line);
    }
    return machine->rc == 0;
}

void jinja_enter(struct machine *machine)
{
    if (++machine->depth > RUN_DEPTH_MAX) {
        jinja_fail(machine, "blocks, calls and expressions are more than %d deep", RUN_DEPTH_MAX);
    }
}

void *jinja_take(struct machine *machine, size_t n)
{
    return jinja_spend(machine, n) ? arena_take(&machine->arena, n) : NULL;
}

/* ---- scopes ---- */

static struct scope *inner(struct machine *machine, struct scope *parent)
{
    struct scope *scope = jinja_take(machine, sizeof *scope);

    if (scope != NULL) {
        scope->parent = parent;
    }
    return scope;
}

static void set_member(struct machine *machine, struct scope *scope, const struct node *target,
                       struct value value)
{
    const struct value namespace = jinja_evaluate(machine, scope, target->a);

    if (namespace.type == VALUE_NAMESPACE) {
        value_put(machine, namespace.dict, target->value, value);
    } else {
        jinja_fail(machine, "set: %.*s is no namespace", (int)target->a->value.size,
                   target->a->value.bytes);
    }
}

/* A name gets a value, or several names its items. */
static void assign(struct machine *machine, struct scope *scope, const struct node *target,
                   struct value value)
{
    if (target->kind == NODE_NAME) {
        value_put(machine, &scope->names, target->value, value);
        return;
    }
    if (target->kind == NODE_MEMBER) {
        set_member(machine, scope, target, value);
        return;
    }
    const struct list *items = value_items(machine, value);
    size_t n = 0;

    for (const struct node *name = target->a; name != NULL; name = name->next, n++) {
        if (n < items->n) {
            value_put(machine, &scope->names, name->value, items->all[n]);
        }
    }
    if (n != items->n) {
        jinja_fail(machine, "%zu names for %zu items", n, items->n);
    }
}

/* ---- statements: what ends a body early ---- */

enum ending { ENDS, BREAKS, CONTINUES };

static enum ending run(struct machine *machine, struct scope *scope, const struct node *body);

static enum ending run_if(struct machine *machine, struct scope *scope, const struct node *node)
{
    while (node != NULL && node->kind == NODE_IF) {
        if (value_true(jinja_evaluate(machine, scope, node->a))) {
            return machine->rc == 0 ? run(machine, scope, node->b) : ENDS;
        }
        if (node->c == NULL || node->c->kind != NODE_IF || node->c->next != NULL) {
            break; /* else, which may begin with an if of its own */
        }
        node = node->c;
    }
    return machine->rc == 0 ? run(machine, scope, node->c) : ENDS;
}

/* The items that a loop's condition leaves. */
static const struct list *choose(struct machine *machine, struct scope *scope,
                                 const struct node *node, const struct list *items)
{
    struct list *chosen = value_list(machine).list;

    for (size_t i = 0; machine->rc == 0 && i < items->n; i++) {
        struct scope *turn = inner(machine, scope);

        if (turn == NULL) {
            break;
        }
        assign(machine, turn, node->a, items->all[i]);
        if (value_true(jinja_evaluate(machine, turn, node->d))) {
            value_append(machine, chosen, items->all[i]);
        }
    }
    return machine->rc == 0 ? chosen : items;
}

static enum ending run_for(struct machine *machine, struct scope *scope, const struct node *node)
{
    const struct value over = jinja_evaluate(machine, scope, node->b);
    const struct list *items = value_items(machine, over);
    struct loop *loop = jinja_take(machine, sizeof *loop);
    bool whole = false; /* a turn came to its end */

    if (machine->rc == 0 && node->d != NULL) {
        items = choose(machine, scope, node, items);
    }
    if (machine->rc != 0) {
        return ENDS;
    }
    loop->items = items;
    for (; machine->rc == 0 && loop->at < items->n; loop->at++) {
        struct scope *turn = inner(machine, scope);

        if (turn == NULL) {
            break;
        }
        value_put(machine, &turn->names, value_string("loop", 4),
                  (struct value){.type = VALUE_LOOP, .loop = loop});
        assign(machine, turn, node->a, items->all[loop->at]);
        const enum ending ending = run(machine, turn, node->c);

        whole = whole || ending == ENDS;
        if (ending == BREAKS) {
            break;
        }
    }
    /* Jinja takes a loop whose every turn ended early for one without turns. */
    return whole ? ENDS : run(machine, scope, node->e);
}

/* What a body writes, as a text, unless it is left for the next turn of a loop around it. */
static enum ending capture(struct machine *machine, struct scope *scope, const struct node *body,
                           struct value *written)
{
    struct text text = {0};
    struct text *out = machine->out;

    machine->out = &text;
    const enum ending ending = run(machine, scope, body);

    machine->out = out;
    *written = value_copy(machine, text_get(&text), text.size);
    text_release(&text);
    return ending;
}

static enum ending run_capture(struct machine *machine, struct scope *scope,
                               const struct node *node)
{
    struct scope *own = inner(machine, scope);
    struct value written;

    if (own == NULL) {
        return ENDS;
    }
    const enum ending ending = capture(machine, own, node->b, &written);

    if (ending == ENDS) {
        assign(machine, scope, node->a, written);
    }
    return ending;
}

static void define(struct machine *machine, struct scope *scope, const struct node *node)
{
    struct macro *macro = jinja_take(machine, sizeof *macro);

    if (macro != NULL) {
        *macro = (struct macro){node, scope};
        value_put(machine, &scope->names, node->value,
                  (struct value){.type = VALUE_MACRO, .macro = macro});
    }
}

static enum ending run_statement(struct machine *machine, struct scope *scope,
                                 const struct node *node)
{
    switch (node->kind) {
    case NODE_TEXT:
        value_add(machine, machine->out, node->value);
        return ENDS;
    case NODE_PRINT:
        value_add(machine, machine->out, jinja_evaluate(machine, scope, node->a));
        return ENDS;
    case NODE_IF:
        return run_if(machine, scope, node);
    case NODE_FOR:
        return run_for(machine, scope, node);
    case NODE_SET:
        assign(machine, scope, node->a, jinja_evaluate(machine, scope, node->b));
        return ENDS;
    case NODE_CAPTURE:
        return run_capture(machine, scope, node);
    case NODE_MACRO:
        define(machine, scope, node);
        return ENDS;
    case NODE_BREAK:
        return BREAKS;
    case NODE_CONTINUE:
        return CONTINUES;
    default:
        return run(machine, scope, node->a); /* NODE_BODY */
    }
}

static enum ending run(struct machine *machine, struct scope *scope, const struct node *body)
{
    enum ending ending = ENDS;

    jinja_enter(machine);
    for (; ending == ENDS && machine->rc == 0 && body != NULL; body = body->next) {
        machine->line = body->line;
        if (jinja_spend(machine, 16)) {
            ending = run_statement(machine, scope, body);
        }
    }
    machine->depth--;
    return ending;
}

/* ---- macros ---- */

/* Names of parameters get arguments, by place or by name, or else their defaults. */
static void bind(struct machine *machine, struct scope *caller, struct scope *own,
                 const struct macro *macro, const struct node *arguments)
{
    const struct node *parameter = macro->node->a;

    for (; arguments != NULL; arguments = arguments->next) {
        const bool keyword = arguments->kind == NODE_KEYWORD;
        const struct node *named = keyword ? macro->node->a : parameter;

        while (keyword && named != NULL && !value_equal(machine, named->value, arguments->value)) {
            named = named->next;
        }
        if (named == NULL || value_find(machine, &own->names, named->value) != NULL) {
            jinja_fail(machine, "%.*s has no place for an argument", (int)macro->node->value.size,
                       macro->node->value.bytes);
            return;
        }
        value_put(machine, &own->names, named->value,
                  jinja_evaluate(machine, caller, keyword ? arguments->a : arguments));
        parameter = keyword ? parameter : parameter->next;
    }
    for (parameter = macro->node->a; parameter != NULL; parameter = parameter->next) {
        if (value_find(machine, &own->names, parameter->value) == NULL) {
            value_put(machine, &own->names, parameter->value,
                      parameter->a != NULL ? jinja_evaluate(machine, own, parameter->a)
                                           : value_undefined());
        }
    }
}

struct value jinja_call_macro(struct machine *machine, struct scope *scope,
                              const struct macro *macro, const struct node *arguments)
{
    struct scope *own = inner(machine, macro->scope);
    const uint32_t line = machine->line;
    struct value written = value_undefined();

    if (own == NULL) {
        return value_undefined();
    }
    bind(machine, scope, own, macro, arguments);
    if (machine->rc == 0) {
        capture(machine, own, macro->node->b, &written);
    }
    machine->line = line;
    return written;
}

/* ---- the whole ---- */

static void give(struct machine *machine, struct scope *scope, const json_t *variables)
{
    for (int i = 0; i < FUNCTIONS; i++) {
        const char *name = jinja_function_name((enum function)i);

        value_put(machine, &scope->names, value_string(name, strlen(name)),
                  (struct value){.type = VALUE_FUNCTION, .function = (enum function)i});
    }
    const char *name = NULL;
    json_t *value = NULL;

    json_object_foreach((json_t *)(uintptr_t)variables, name, value)
    {
        if (machine->rc == 0) {
            value_put(machine, &scope->names, value_string(name, strlen(name)),
                      value_of_json(machine, value));
        }
    }
}

int jinja_render(const struct jinja *jinja, const json_t *variables, int64_t date, struct text *out,
                 struct err *err)
{
    struct text written = {0};
    struct machine machine = {.out = &written, .err = err, .line = 1};
    struct scope globals = {0};
    const time_t seconds = (time_t)date;

    if (gmtime_r(&seconds, &machine.date) == NULL) {
        return err_set(err, ERR_LIMIT, "a date outside the calendar");
    }
    give(&machine, &globals, variables);
    if (machine.rc == 0) {
        run(&machine, &globals, jinja->body);
    }
    if (machine.rc == 0) {
        text_add_n(out, text_get(&written), written.size);
    }
    text_release(&written);
    arena_release(&machine.arena);
    return machine.rc;
}
