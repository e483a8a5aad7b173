/*
 * jinja_expression.c - tokens to expressions, by recursive descent, loosest first:
 *
 *   a if b else c     or     and     not     == != < <= > >= in     + -     ~     * / // %
 *   unary + -         .name [item] (call)         | filter   is test
 */
#include <stdlib.h>
#include <string.h>

#include "evaluator/chat/jinja_internal.h"

bool parse_is_op(const struct parser *parser, int op)
{
    return parser->token.kind == TOKEN_OP && parser->token.op == op;
}

bool parse_skip_op(struct parser *parser, int op)
{
    const bool there = parse_is_op(parser, op);

    if (there) {
        lex_next(parser);
    }
    return there;
}

void parse_expect_op(struct parser *parser, int op)
{
    if (!parse_skip_op(parser, op)) {
        parse_fail(parser, "'%c' expected", op & 0xff);
    }
}

bool parse_is_name(const struct parser *parser, const char *name)
{
    return parser->token.kind == TOKEN_NAME && value_is(parser->token.value, name);
}

bool parse_skip_name(struct parser *parser, const char *name)
{
    const bool there = parse_is_name(parser, name);

    if (there) {
        lex_next(parser);
    }
    return there;
}

struct value parse_name(struct parser *parser)
{
    const struct value name = parser->token.value;

    if (parser->token.kind != TOKEN_NAME) {
        parse_fail(parser, "a name expected");
        return value_string("", 0);
    }
    lex_next(parser);
    return name;
}

struct node *parse_node(struct parser *parser, enum node_kind kind)
{
    struct node *node = arena_take(parser->arena, sizeof *node);

    node->kind = kind;
    node->line = parser->line;
    return node;
}

bool parse_enter(struct parser *parser)
{
    if (++parser->depth > JINJA_DEPTH_MAX) {
        parse_fail(parser, "expressions or statements are nested more than %d deep",
                   JINJA_DEPTH_MAX);
    }
    return parser->rc == 0;
}

void parse_leave(struct parser *parser)
{
    parser->depth--;
}

static struct node *parse_unary(struct parser *parser, bool with_filters);

static struct node *with_two(struct parser *parser, enum node_kind kind, int op, struct node *a,
                             struct node *b)
{
    struct node *node = parse_node(parser, kind);

    node->op = op;
    node->a = a;
    node->b = b;
    return node;
}

/* ---- arguments ---- */

/* name=value, or a value: the name was read as an expression first. */
static struct node *parse_argument(struct parser *parser)
{
    if (parse_is_op(parser, OP('*', 0)) || parse_is_op(parser, OP('*', '*'))) {
        parse_fail(parser, "arguments from a list (*) are not supported");
    }
    struct node *value = parse_expression(parser);

    if (value->kind == NODE_NAME && parse_skip_op(parser, OP('=', 0))) {
        struct node *keyword = parse_node(parser, NODE_KEYWORD);

        keyword->value = value->value;
        keyword->a = parse_expression(parser);
        return keyword;
    }
    return value;
}

struct node *parse_arguments(struct parser *parser)
{
    struct node *first = NULL;
    struct node **last = &first;

    while (parser->rc == 0 && !parse_is_op(parser, OP(')', 0))) {
        *last = parse_argument(parser);
        last = &(*last)->next;
        if (!parse_skip_op(parser, OP(',', 0))) {
            break;
        }
    }
    parse_expect_op(parser, OP(')', 0));
    return first;
}

const struct callable *jinja_find(const struct callable *table, struct value name)
{
    for (; table->name != NULL; table++) {
        if (value_is(name, table->name)) {
            return table;
        }
    }
    return NULL;
}

/* The number of words in "old new count"; *has: whether one is name. */
static size_t count_words(const char *words, struct value name, bool *has)
{
    size_t n = 0;

    *has = false;
    for (; *words != '\0'; n++) {
        const size_t size = strcspn(words, " ");

        *has = *has || (size == name.size && memcmp(words, name.bytes, size) == 0);
        words += size + (words[size] == ' ');
    }
    return n;
}

/* Arguments must fit what is called, so that none is silently left out. */
static void check_arguments(struct parser *parser, const struct node *node,
                            const struct callable *callable)
{
    size_t n = 0;
    bool known = false;

    for (const struct node *argument = node->b; argument != NULL; argument = argument->next, n++) {
        const bool keyword = argument->kind == NODE_KEYWORD;
        const struct value name = keyword ? argument->value : value_string("", 0);
        const size_t most = count_words(callable->parameters, name, &known);

        if (keyword && !known) {
            parse_fail(parser, "%s: the argument %.*s is not supported", callable->name,
                       (int)name.size, name.bytes);
        } else if (n == most) {
            parse_fail(parser, "%s: more arguments than %zu are not supported", callable->name,
                       most);
        }
    }
}

/* ---- primaries ---- */

/* Items up to a closing bracket; *trailing: the last was followed by a comma. */
static struct node *parse_items(struct parser *parser, int close, bool *trailing)
{
    struct node *first = NULL;
    struct node **last = &first;

    *trailing = false;
    while (parser->rc == 0 && !parse_is_op(parser, close)) {
        *last = parse_expression(parser);
        last = &(*last)->next;
        *trailing = parse_skip_op(parser, OP(',', 0));
        if (!*trailing) {
            break;
        }
    }
    parse_expect_op(parser, close);
    return first;
}

static struct node *parse_list(struct parser *parser)
{
    struct node *list = parse_node(parser, NODE_LIST);
    bool trailing = false;

    list->a = parse_items(parser, OP(']', 0), &trailing);
    return list;
}

/* Brackets around one expression, or a tuple. */
static struct node *parse_brackets(struct parser *parser)
{
    struct node *tuple = parse_node(parser, NODE_TUPLE);
    bool trailing = false;

    tuple->a = parse_items(parser, OP(')', 0), &trailing);
    return tuple->a != NULL && tuple->a->next == NULL && !trailing ? tuple->a : tuple;
}

static struct node *parse_dict(struct parser *parser)
{
    struct node *dict = parse_node(parser, NODE_DICT);
    struct node **last = &dict->a;

    while (parser->rc == 0 && !parse_is_op(parser, OP('}', 0))) {
        struct node *key = parse_expression(parser);

        parse_expect_op(parser, OP(':', 0));
        *last = with_two(parser, NODE_PAIR, 0, key, parse_expression(parser));
        last = &(*last)->next;
        if (!parse_skip_op(parser, OP(',', 0))) {
            break;
        }
    }
    parse_expect_op(parser, OP('}', 0));
    return dict;
}

/* Texts that follow each other are one. */
static struct node *parse_string(struct parser *parser)
{
    struct node *node = parse_node(parser, NODE_CONSTANT);

    node->value = parser->token.value;
    lex_next(parser);
    while (parser->token.kind == TOKEN_STRING) {
        const struct value more = parser->token.value;
        char *both = arena_take(parser->arena, node->value.size + more.size);

        memcpy(both, node->value.bytes, node->value.size);
        memcpy(both + node->value.size, more.bytes, more.size);
        node->value = value_string(both, node->value.size + more.size);
        lex_next(parser);
    }
    return node;
}

static struct node *parse_word(struct parser *parser)
{
    static const struct {
        const char *name;
        enum value_type type;
        int64_t flag;
    } constants[] = {{"true", VALUE_BOOL, 1},  {"True", VALUE_BOOL, 1}, {"false", VALUE_BOOL, 0},
                     {"False", VALUE_BOOL, 0}, {"none", VALUE_NONE, 0}, {"None", VALUE_NONE, 0}};
    struct node *node = parse_node(parser, NODE_NAME);

    node->value = parse_name(parser);
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        if (value_is(node->value, constants[i].name)) {
            node->kind = NODE_CONSTANT;
            node->value = (struct value){.type = constants[i].type, .integer = constants[i].flag};
        }
    }
    return node;
}

static struct node *parse_primary(struct parser *parser)
{
    if (parser->token.kind == TOKEN_NAME) {
        return parse_word(parser);
    }
    if (parser->token.kind == TOKEN_STRING) {
        return parse_string(parser);
    }
    struct node *node = parse_node(parser, NODE_CONSTANT);

    if (parser->token.kind == TOKEN_INTEGER || parser->token.kind == TOKEN_REAL) {
        node->value = parser->token.value;
        lex_next(parser);
    } else if (parse_skip_op(parser, OP('(', 0))) {
        node = parse_brackets(parser);
    } else if (parse_skip_op(parser, OP('[', 0))) {
        node = parse_list(parser);
    } else if (parse_skip_op(parser, OP('{', 0))) {
        node = parse_dict(parser);
    } else {
        parse_fail(parser, "an expression expected");
    }
    return node;
}

/* ---- what follows a primary ---- */

/* a[b], a[b:c:d]; '[' is taken. */
static struct node *parse_item(struct parser *parser, struct node *of)
{
    struct node *node = with_two(parser, NODE_ITEM, 0, of, NULL);
    struct node **const parts[] = {&node->b, &node->c, &node->d};

    for (size_t i = 0; i < 3; i++) {
        if (!parse_is_op(parser, OP(':', 0)) && !parse_is_op(parser, OP(']', 0))) {
            *parts[i] = parse_expression(parser);
        }
        if (i == 2 || !parse_skip_op(parser, OP(':', 0))) {
            break;
        }
        node->kind = NODE_SLICE;
    }
    if (node->kind == NODE_ITEM && node->b == NULL) {
        parse_fail(parser, "an index expected");
    }
    parse_expect_op(parser, OP(']', 0));
    return node;
}

static struct node *parse_member(struct parser *parser, struct node *of)
{
    struct node *node = with_two(parser, NODE_MEMBER, 0, of, NULL);

    node->value = parse_name(parser);
    return node;
}

/* a(...): a method where a is x.name, else a macro or function. '(' is taken. */
static struct node *parse_call(struct parser *parser, struct node *callee)
{
    const bool method = callee->kind == NODE_MEMBER;
    const struct callable *callable = NULL;
    struct node *call =
        with_two(parser, method ? NODE_METHOD : NODE_CALL, 0, method ? callee->a : callee, NULL);

    if (method) {
        callable = jinja_find(jinja_text_methods, callee->value);
        callable = callable != NULL ? callable : jinja_find(jinja_dict_methods, callee->value);
    }
    if (method && callable == NULL) {
        parse_fail(parser, "the method %.*s is not supported", (int)callee->value.size,
                   callee->value.bytes);
    } else if (!method && callee->kind != NODE_NAME) {
        parse_fail(parser, "only names and methods can be called");
    }
    call->value = callee->value;
    call->b = parse_arguments(parser);
    if (callable != NULL) {
        check_arguments(parser, call, callable);
    }
    return call;
}

static struct node *parse_postfix(struct parser *parser, struct node *node)
{
    while (parser->rc == 0) {
        if (parse_skip_op(parser, OP('.', 0))) {
            node = parse_member(parser, node);
        } else if (parse_skip_op(parser, OP('[', 0))) {
            node = parse_item(parser, node);
        } else if (parse_skip_op(parser, OP('(', 0))) {
            node = parse_call(parser, node);
        } else {
            break;
        }
    }
    return node;
}

/* A filter or test by its name, the current token. */
static struct node *parse_callable(struct parser *parser, struct node *of,
                                   const struct callable *table, const char *what)
{
    struct node *node = with_two(parser, NODE_CALLABLE, 0, of, NULL);

    node->value = parse_name(parser);
    node->callable = jinja_find(table, node->value);
    if (parser->rc == 0 && node->callable == NULL) {
        parse_fail(parser, "the %s %.*s is not supported", what, (int)node->value.size,
                   node->value.bytes);
    }
    return node;
}

static struct node *parse_filter(struct parser *parser, struct node *of)
{
    struct node *node = parse_callable(parser, of, jinja_filters, "filter");

    if (parse_skip_op(parser, OP('(', 0))) {
        node->b = parse_arguments(parser);
    }
    if (parser->rc == 0) {
        check_arguments(parser, node, node->callable);
        parser->safes += value_is(node->value, "safe");
    }
    return node;
}

/* True when the argument of a test may begin here, without brackets around it. */
static bool argument_follows(const struct parser *parser)
{
    static const char *const ends[] = {"else", "or", "and", "if", "is", "not", "in"};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (parse_is_name(parser, ends[i])) {
            return false;
        }
    }
    return parser->token.kind == TOKEN_NAME || parser->token.kind == TOKEN_STRING ||
           parser->token.kind == TOKEN_INTEGER || parser->token.kind == TOKEN_REAL ||
           parse_is_op(parser, OP('[', 0)) || parse_is_op(parser, OP('{', 0));
}

/* a is [not] test; `is` is taken. */
static struct node *parse_test(struct parser *parser, struct node *of)
{
    const bool negated = parse_skip_name(parser, "not");
    struct node *node = parse_callable(parser, of, jinja_tests, "test");

    if (parse_skip_op(parser, OP('(', 0))) {
        node->b = parse_arguments(parser);
    } else if (parser->rc == 0 && *node->callable->parameters != '\0' && argument_follows(parser)) {
        node->b = parse_postfix(parser, parse_primary(parser));
    }
    if (parser->rc == 0) {
        check_arguments(parser, node, node->callable);
    }
    if (parser->rc == 0 && *node->callable->parameters != '\0' && node->b == NULL) {
        parse_fail(parser, "%s: its argument is missing", node->callable->name);
    }
    return negated ? with_two(parser, NODE_NOT, 0, node, NULL) : node;
}

static struct node *parse_filters(struct parser *parser, struct node *node)
{
    while (parser->rc == 0) {
        if (parse_skip_op(parser, OP('|', 0))) {
            node = parse_filter(parser, node);
        } else if (parse_skip_name(parser, "is")) {
            node = parse_test(parser, node);
        } else if (parse_is_op(parser, OP('(', 0))) {
            parse_fail(parser, "what a filter or test gives cannot be called");
        } else {
            break;
        }
    }
    return node;
}

/* ---- operators ---- */

static struct node *parse_unary(struct parser *parser, bool with_filters)
{
    struct node *node = NULL;

    if (!parse_enter(parser)) {
        parse_leave(parser);
        return parse_node(parser, NODE_CONSTANT);
    }
    if (parse_skip_op(parser, OP('-', 0))) {
        node = with_two(parser, NODE_NEGATIVE, 0, parse_unary(parser, false), NULL);
    } else if (parse_skip_op(parser, OP('+', 0))) {
        node = with_two(parser, NODE_POSITIVE, 0, parse_unary(parser, false), NULL);
    } else {
        node = parse_primary(parser);
    }
    node = parse_postfix(parser, node);
    if (with_filters) {
        node = parse_filters(parser, node);
    }
    if (parse_is_op(parser, OP('*', '*'))) {
        parse_fail(parser, "** is not supported");
    }
    parse_leave(parser);
    return node;
}

/* The operator at hand if it is one of the level's, else 0. */
static int op_of(const struct parser *parser, const int *ops, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (parse_is_op(parser, ops[i])) {
            return ops[i];
        }
    }
    return 0;
}

static struct node *parse_product(struct parser *parser)
{
    static const int ops[] = {OP('*', 0), OP('/', 0), OP('/', '/'), OP('%', 0)};
    struct node *node = parse_unary(parser, true);

    for (int op = 0; (op = op_of(parser, ops, 4)) != 0;) {
        lex_next(parser);
        node = with_two(parser, NODE_ARITHMETIC, op, node, parse_unary(parser, true));
    }
    return node;
}

static struct node *parse_joined(struct parser *parser)
{
    struct node *node = parse_product(parser);

    while (parse_skip_op(parser, OP('~', 0))) {
        node = with_two(parser, NODE_ARITHMETIC, OP('~', 0), node, parse_product(parser));
    }
    return node;
}

static struct node *parse_sum(struct parser *parser)
{
    static const int ops[] = {OP('+', 0), OP('-', 0)};
    struct node *node = parse_joined(parser);

    for (int op = 0; (op = op_of(parser, ops, 2)) != 0;) {
        lex_next(parser);
        node = with_two(parser, NODE_ARITHMETIC, op, node, parse_joined(parser));
    }
    return node;
}

/* The comparison at hand, taken, or 0. */
static int skip_comparison(struct parser *parser)
{
    static const int ops[] = {OP('=', '='), OP('!', '='), OP('<', 0),
                              OP('<', '='), OP('>', 0),   OP('>', '=')};
    const int op = op_of(parser, ops, 6);
    const struct parser before = *parser;

    if (op != 0) {
        lex_next(parser);
        return op;
    }
    if (parse_skip_name(parser, "in")) {
        return OP_IN;
    }
    if (parse_skip_name(parser, "not")) {
        if (parse_skip_name(parser, "in")) {
            return OP_NOT_IN;
        }
        *parser = before; /* someone else's */
    }
    return 0;
}

static struct node *parse_comparison(struct parser *parser)
{
    struct node *node = parse_sum(parser);
    struct node *chain = NULL;
    struct node **last = NULL;

    for (int op = 0; (op = skip_comparison(parser)) != 0; last = &(*last)->next) {
        if (chain == NULL) {
            chain = with_two(parser, NODE_COMPARE, 0, node, NULL);
            last = &chain->b;
        }
        *last = with_two(parser, NODE_PAIR, op, parse_sum(parser), NULL);
    }
    return chain != NULL ? chain : node;
}

static struct node *parse_not(struct parser *parser)
{
    struct node *node = NULL;

    if (!parse_is_name(parser, "not")) {
        return parse_comparison(parser);
    }
    if (parse_enter(parser)) {
        lex_next(parser);
        node = with_two(parser, NODE_NOT, 0, parse_not(parser), NULL);
    }
    parse_leave(parser);
    return node != NULL ? node : parse_node(parser, NODE_CONSTANT);
}

static struct node *parse_and(struct parser *parser)
{
    struct node *node = parse_not(parser);

    while (parse_skip_name(parser, "and")) {
        node = with_two(parser, NODE_AND, 0, node, parse_not(parser));
    }
    return node;
}

struct node *parse_without_choice(struct parser *parser)
{
    struct node *node = parse_and(parser);

    while (parse_skip_name(parser, "or")) {
        node = with_two(parser, NODE_OR, 0, node, parse_and(parser));
    }
    return node;
}

struct node *parse_expression(struct parser *parser)
{
    if (!parse_enter(parser)) {
        parse_leave(parser);
        return parse_node(parser, NODE_CONSTANT);
    }
    struct node *node = parse_without_choice(parser);

    while (parse_skip_name(parser, "if")) {
        node = with_two(parser, NODE_CHOICE, 0, node, parse_without_choice(parser));
        if (parse_skip_name(parser, "else")) {
            node->c = parse_expression(parser);
        }
    }
    parse_leave(parser);
    return node;
}
