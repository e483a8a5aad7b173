/*
 * jinja_internal.h - what the files of the template language share: the tree of a parsed template,
 * values, and the machine that runs the one over the other.
 *
 *   jinja_lex.c         text and tags, tags to tokens
 *   jinja_parse.c       tokens to statements; jinja_expression.c: to expressions
 *   jinja_value.c       values: made, compared, printed
 *   jinja_run.c         statements carried out; jinja_evaluate.c: expressions
 *   jinja_function.c, jinja_filter.c, jinja_test.c, jinja_method.c, jinja_tojson.c: what is called
 *                       by name
 *
 * Failing is sticky, in the parser as in the machine: the first failure is kept, and from then on
 * tokens are TOKEN_END, values undefined, and every loop ends. So nobody in between looks.
 */
#ifndef CHAT_JINJA_INTERNAL_H
#define CHAT_JINJA_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"
#include "base/text.h"
#include "evaluator/chat/arena.h"
#include "evaluator/chat/jinja.h"

/* ---- values ---- */

enum value_type {
    VALUE_UNDEFINED,
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INTEGER,
    VALUE_REAL,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_DICT,
    VALUE_NAMESPACE,
    VALUE_LOOP,
    VALUE_MACRO,
    VALUE_FUNCTION
};

struct value {
    enum value_type type;
    size_t size; /* VALUE_STRING: bytes */
    union {
        int64_t integer; /* VALUE_BOOL too: 0 or 1 */
        double real;
        const char *bytes; /* [size] UTF-8, not terminated; lives as long as the machine */
        struct list *list;
        struct dict *dict; /* VALUE_NAMESPACE too */
        const struct loop *loop;
        const struct macro *macro;
        enum function {
            FUNCTION_RANGE,
            FUNCTION_DICT,
            FUNCTION_NAMESPACE,
            FUNCTION_RAISE,
            FUNCTION_STRFTIME,
            FUNCTIONS
        } function;
    };
};

/* Lists do not change once they are seen. A stream is what map and select give: something that can
 * be gone through once, and is true even when nothing is in it. */
struct list {
    enum { LIST_PLAIN, LIST_TUPLE, LIST_STREAM } kind;
    bool spent; /* a stream that was gone through */
    size_t n, capacity;
    struct value *all; /* [n] */
};

struct dict {
    size_t n, capacity;
    struct dict_entry {
        struct value key; /* VALUE_STRING */
        struct value value;
    } * all; /* [n] in order of insertion */
};

struct loop {
    const struct list *items;
    size_t at;
};

/* ---- the tree ---- */

struct callable;

enum node_kind {
    /* statements: `next` is the one after */
    NODE_TEXT,    /* value */
    NODE_PRINT,   /* a */
    NODE_IF,      /* a ? b : c */
    NODE_FOR,     /* target a, over b, body c, condition d, else e */
    NODE_SET,     /* target a, value b */
    NODE_CAPTURE, /* target a, body b */
    NODE_MACRO,   /* name value, parameters a (NODE_PARAMETER), body b */
    NODE_BREAK,
    NODE_CONTINUE,
    NODE_BODY, /* a: a scope of nothing, for generation */
    /* expressions: `next` is the one after in lists of arguments, items, parameters */
    NODE_CONSTANT,  /* value */
    NODE_NAME,      /* name value */
    NODE_LIST,      /* a */
    NODE_TUPLE,     /* a */
    NODE_DICT,      /* a: NODE_PAIR */
    NODE_PAIR,      /* key a, value b */
    NODE_PARAMETER, /* name value, default a or NULL */
    NODE_KEYWORD,   /* name value = a */
    NODE_MEMBER,    /* a.value */
    NODE_ITEM,      /* a[b] */
    NODE_SLICE,     /* a[b:c:d], each but a may be NULL */
    NODE_CALL,      /* a(b...) */
    NODE_METHOD,    /* a.callable(b...), name value */
    NODE_CALLABLE,  /* a | callable(b...), a is callable(b...), name value */
    NODE_NOT,       /* a */
    NODE_NEGATIVE,  /* a */
    NODE_POSITIVE,  /* a */
    NODE_AND,       /* a, b */
    NODE_OR,        /* a, b */
    NODE_CHOICE,    /* a if b else c, which may be NULL */
    NODE_COMPARE,   /* a, then NODE_PAIR: op, a, in a list b */
    NODE_ARITHMETIC /* a op b */
};

struct node {
    enum node_kind kind;
    uint32_t line;
    int op; /* an operator (OP) */
    const struct callable *callable;
    struct value value;
    struct node *next;
    struct node *a, *b, *c, *d, *e;
};

/* Operators are their characters. */
#define OP(first, second) ((int)(first) | (int)(second) << 8)
#define OP_IN OP('i', 'n')
#define OP_NOT_IN OP('n', 'i')

struct jinja {
    struct arena arena; /* the tree, and the text that it points into */
    struct node *body;
};

/* ---- parsing ---- */

enum token_kind {
    TOKEN_END,
    TOKEN_CLOSE,
    TOKEN_NAME,
    TOKEN_STRING,
    TOKEN_INTEGER,
    TOKEN_REAL,
    TOKEN_OP
};

struct token {
    enum token_kind kind;
    int op;
    struct value value; /* name, text or number */
};

enum opening { OPENING_END, OPENING_PRINT, OPENING_BLOCK, OPENING_COMMENT };

struct parser {
    struct arena *arena;
    const char *at, *end;
    uint32_t line;
    bool line_starting; /* what was read last ended a line */
    enum opening tag;   /* that is open, for its close */
    size_t brackets;    /* open in the tag */
    struct token token; /* the current one */
    size_t depth;
    size_t loops; /* open around here */
    size_t safes; /* filters of that name in the tag */
    struct err *err;
    int rc;
};

/* Read text up to the next tag; what is left of it when whitespace is stripped; its first token. */
enum opening lex_text(struct parser *parser, struct value *text);
void lex_next(struct parser *parser);

/* Every failure of a parser: "line 3: ...". */
void parse_fail(struct parser *parser, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

bool parse_is_op(const struct parser *parser, int op);
bool parse_skip_op(struct parser *parser, int op); /* true when it was there */
void parse_expect_op(struct parser *parser, int op);
bool parse_is_name(const struct parser *parser, const char *name);
bool parse_skip_name(struct parser *parser, const char *name);
struct value parse_name(struct parser *parser); /* expected, and taken */
struct node *parse_node(struct parser *parser, enum node_kind kind);

/* A step deeper, false when that is too deep. parse_leave after each, whatever it gave. */
bool parse_enter(struct parser *parser);
void parse_leave(struct parser *parser);

struct node *parse_expression(struct parser *parser);     /* a if b else c and all below */
struct node *parse_without_choice(struct parser *parser); /* or and all below */
struct node *parse_arguments(struct parser *parser);      /* up to ')', '(' is taken */

/* ---- the machine ---- */

struct scope {
    struct scope *parent;
    struct dict names;
};

struct macro {
    const struct node *node;
    struct scope *scope; /* where it was defined */
};

struct machine {
    struct arena arena;
    uint64_t work;
    size_t depth;
    struct tm date;
    uint32_t line; /* at work on */
    struct text *out;
    struct err *err;
    int rc;
};

/* Every failure of a machine; gives undefined. */
struct value jinja_fail(struct machine *machine, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool jinja_spend(struct machine *machine, size_t n); /* false when failed, or all is spent */
void *jinja_take(struct machine *machine, size_t n); /* zeroed; NULL when failed */

void jinja_enter(struct machine *machine); /* a step deeper; machine->depth-- after each */
struct value jinja_call_macro(struct machine *machine, struct scope *scope,
                              const struct macro *macro, const struct node *arguments);
struct value jinja_evaluate(struct machine *machine, struct scope *scope, const struct node *node);
struct value jinja_call_function(struct machine *machine, struct scope *scope,
                                 enum function function, const struct node *arguments);
const char *jinja_function_name(enum function function);

/* ---- filters, tests, methods ---- */

#define ARGUMENTS_MAX 4

struct arguments {
    size_t n;
    struct value all[ARGUMENTS_MAX]; /* in the order of parameters, undefined where left out */
};

/* What it is called, the names of its parameters ("old new count"), and what it makes of a value.
 */
struct callable {
    const char *name;
    const char *parameters;
    struct value (*call)(struct machine *machine, struct value value,
                         const struct arguments *arguments);
};

/* Tables end with a row without name. Tests give true or false. */
extern const struct callable jinja_filters[], jinja_tests[], jinja_text_methods[],
    jinja_dict_methods[];

const struct callable *jinja_find(const struct callable *table, struct value name); /* or NULL */

/* What filters and methods share: a value as a text, changed. */
struct value text_trim(struct machine *machine, struct value text, const struct arguments *chars);
struct value text_upper(struct machine *machine, struct value text, const struct arguments *none);
struct value text_lower(struct machine *machine, struct value text, const struct arguments *none);
struct value text_capitalize(struct machine *machine, struct value text,
                             const struct arguments *none);
struct value text_replace(struct machine *machine, struct value text,
                          const struct arguments *old_new_count);
struct value text_join(struct machine *machine, struct value glue, const struct arguments *list);
struct value dict_items(struct machine *machine, struct value dict, const struct arguments *none);

/* The filter: ensure_ascii indent separators sort_keys. */
struct value jinja_tojson(struct machine *machine, struct value value,
                          const struct arguments *arguments);

/* ---- values ---- */

struct value value_bool(bool flag);
struct value value_integer(int64_t integer);
struct value value_real(double real);
struct value value_string(const char *bytes, size_t size); /* lent */
struct value value_none(void);
struct value value_undefined(void);

/* Copied into the machine. */
struct value value_copy(struct machine *machine, const char *bytes, size_t size);
struct value value_list(struct machine *machine);
void value_append(struct machine *machine, struct list *list, struct value item);
struct value value_dict(struct machine *machine);
void value_put(struct machine *machine, struct dict *dict, struct value key, struct value value);
struct value *value_find(struct machine *machine, const struct dict *dict,
                         struct value key); /* or NULL */
struct value value_of_json(struct machine *machine, const json_t *json);

bool value_is(struct value value, const char *text); /* a string of these characters */
bool value_is_number(struct value value);            /* bool, integer, real */
double value_number(struct value value);
bool value_true(struct value value);
bool value_equal(struct machine *machine, struct value a, struct value b);
int value_order(struct machine *machine, struct value a, struct value b); /* < 0, 0, > 0 */
bool value_contains(struct machine *machine, struct value container, struct value item);
const char *value_kind(struct value value); /* "a text", "a list", ... */

/* What a loop goes through: items of a list, characters of a text, keys of a dict. */
const struct list *value_items(struct machine *machine, struct value value);
/* Characters, items or members. */
size_t value_length(struct machine *machine, struct value value);

/* As print and ~ write it; a list and the like fail. */
void value_add(struct machine *machine, struct text *out, struct value value);
struct value value_text(struct machine *machine, struct value value); /* the same as a value */

#endif
