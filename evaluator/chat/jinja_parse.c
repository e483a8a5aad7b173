/*
 * jinja_parse.c - a template to statements.
 *
 * A body is the list of what stands between two tags: text, prints, statements. It ends at a tag
 * that its statement knows (elif, else, endif, ...), whose name is then the current token.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/chat/jinja_internal.h"

/* Statements are read until one of these words; NULL ends the list. */
static struct node *parse_body(struct parser *parser, const char *const *ends);

static void expect_close(struct parser *parser)
{
    if (parser->token.kind != TOKEN_CLOSE) {
        parse_fail(parser, "the tag should end here");
    } else if (parser->safes > 0) { /* Jinja changes what is joined to a text marked so */
        parse_fail(parser, "the filter safe is supported at the end of a print only");
    }
}

/* ---- statements: the word is taken, the tag's end is left to them ---- */

/* One condition and its body, then what follows it: elif is an if in the place of else. */
static struct node *parse_if(struct parser *parser)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    static const char *const last[] = {"endif", NULL};
    struct node *first = NULL;
    struct node **at = &first;

    do {
        *at = parse_node(parser, NODE_IF);
        (*at)->a = parse_without_choice(parser);
        expect_close(parser);
        (*at)->b = parse_body(parser, ends);
        at = &(*at)->c;
    } while (parse_skip_name(parser, "elif"));
    if (parse_skip_name(parser, "else")) {
        expect_close(parser);
        *at = parse_body(parser, last);
    }
    parse_skip_name(parser, "endif");
    return first;
}

/* name, or name, name, ... with or without brackets. */
static struct node *parse_target(struct parser *parser)
{
    const bool brackets = parse_skip_op(parser, OP('(', 0));
    struct node *first = parse_node(parser, NODE_NAME);
    struct node **last = &first->next;
    bool several = brackets;

    first->value = parse_name(parser);
    while (parse_skip_op(parser, OP(',', 0))) {
        several = true;
        if (parser->token.kind != TOKEN_NAME || parse_is_name(parser, "in")) {
            break;
        }
        *last = parse_node(parser, NODE_NAME);
        (*last)->value = parse_name(parser);
        last = &(*last)->next;
    }
    if (brackets) {
        parse_expect_op(parser, OP(')', 0));
    }
    if (!several) {
        return first;
    }
    struct node *tuple = parse_node(parser, NODE_TUPLE);

    tuple->a = first;
    return tuple;
}

static struct node *parse_for(struct parser *parser)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    static const char *const last[] = {"endfor", NULL};
    struct node *node = parse_node(parser, NODE_FOR);

    node->a = parse_target(parser);
    if (!parse_skip_name(parser, "in")) {
        parse_fail(parser, "for: 'in' expected");
    }
    node->b = parse_without_choice(parser);
    if (parse_skip_name(parser, "if")) {
        node->d = parse_expression(parser);
    }
    if (parse_is_name(parser, "recursive")) {
        parse_fail(parser, "for ... recursive is not supported");
    }
    expect_close(parser);
    parser->loops++;
    node->c = parse_body(parser, ends);
    parser->loops--;
    if (parse_skip_name(parser, "else")) {
        expect_close(parser);
        node->e = parse_body(parser, last);
    }
    parse_skip_name(parser, "endfor");
    return node;
}

/* set name = value, set ns.member = value, set a, b = value; without '=', what the body writes. */
static struct node *parse_set(struct parser *parser)
{
    static const char *const ends[] = {"endset", NULL};
    struct node *node = parse_node(parser, NODE_SET);

    node->a = parse_target(parser);
    if (node->a->kind == NODE_NAME && parse_skip_op(parser, OP('.', 0))) {
        struct node *member = parse_node(parser, NODE_MEMBER);

        member->a = node->a;
        member->value = parse_name(parser);
        node->a = member;
    }
    if (parse_skip_op(parser, OP('=', 0))) {
        node->b = parse_expression(parser);
        if (parse_is_op(parser, OP(',', 0))) {
            parse_fail(parser, "set: a list without brackets is not supported");
        }
        return node;
    }
    if (parse_is_op(parser, OP('|', 0))) {
        parse_fail(parser, "set with a filter over its body is not supported");
    }
    expect_close(parser);
    node->kind = NODE_CAPTURE;
    node->b = parse_body(parser, ends);
    parse_skip_name(parser, "endset");
    return node;
}

static struct node *parse_parameters(struct parser *parser)
{
    struct node *first = NULL;
    struct node **last = &first;
    bool defaults = false;

    parse_expect_op(parser, OP('(', 0));
    while (parser->rc == 0 && !parse_is_op(parser, OP(')', 0))) {
        *last = parse_node(parser, NODE_PARAMETER);
        (*last)->value = parse_name(parser);
        if (parse_skip_op(parser, OP('=', 0))) {
            (*last)->a = parse_expression(parser);
            defaults = true;
        } else if (defaults) {
            parse_fail(parser, "macro: a parameter without default after one with");
        }
        last = &(*last)->next;
        if (!parse_skip_op(parser, OP(',', 0))) {
            break;
        }
    }
    parse_expect_op(parser, OP(')', 0));
    return first;
}

static struct node *parse_macro(struct parser *parser)
{
    static const char *const ends[] = {"endmacro", NULL};
    struct node *node = parse_node(parser, NODE_MACRO);
    const size_t loops = parser->loops;

    node->value = parse_name(parser);
    node->a = parse_parameters(parser);
    expect_close(parser);
    parser->loops = 0;
    node->b = parse_body(parser, ends);
    parser->loops = loops;
    parse_skip_name(parser, "endmacro");
    return node;
}

/* Says which part of a prompt the model wrote; nothing here asks. */
static struct node *parse_generation(struct parser *parser)
{
    static const char *const ends[] = {"endgeneration", NULL};
    struct node *node = parse_node(parser, NODE_BODY);

    expect_close(parser);
    node->a = parse_body(parser, ends);
    parse_skip_name(parser, "endgeneration");
    return node;
}

static struct node *parse_jump(struct parser *parser, enum node_kind kind)
{
    if (parser->loops == 0) {
        parse_fail(parser, "break and continue belong into a loop");
    }
    return parse_node(parser, kind);
}

static struct node *parse_break(struct parser *parser)
{
    return parse_jump(parser, NODE_BREAK);
}

static struct node *parse_continue(struct parser *parser)
{
    return parse_jump(parser, NODE_CONTINUE);
}

static struct node *parse_statement(struct parser *parser)
{
    static const struct {
        const char *word;
        struct node *(*parse)(struct parser *parser);
    } statements[] = {{"if", parse_if},
                      {"for", parse_for},
                      {"set", parse_set},
                      {"macro", parse_macro},
                      {"break", parse_break},
                      {"continue", parse_continue},
                      {"generation", parse_generation}};
    struct node *node = NULL;

    for (size_t i = 0; node == NULL && i < sizeof statements / sizeof *statements; i++) {
        if (parse_skip_name(parser, statements[i].word)) {
            node = statements[i].parse(parser);
        }
    }
    if (node == NULL) {
        const struct value word = parser->token.value;

        parse_fail(parser, "the statement %.*s is not supported here",
                   parser->token.kind == TOKEN_NAME ? (int)word.size : 1,
                   parser->token.kind == TOKEN_NAME ? word.bytes : "?");
        return parse_node(parser, NODE_TEXT);
    }
    expect_close(parser);
    return node;
}

/* ---- bodies ---- */

static struct node *parse_print(struct parser *parser)
{
    struct node *node = parse_node(parser, NODE_PRINT);

    node->a = parse_expression(parser);
    if (node->a->kind == NODE_CALLABLE && value_is(node->a->value, "safe")) {
        parser->safes--; /* it says how to print, and nothing else */
    }
    expect_close(parser);
    return node;
}

static bool at_end(const struct parser *parser, const char *const *ends)
{
    for (size_t i = 0; ends != NULL && ends[i] != NULL; i++) {
        if (parse_is_name(parser, ends[i])) {
            return true;
        }
    }
    return false;
}

static const char *last_of(const char *const *ends)
{
    while (ends[1] != NULL) {
        ends++;
    }
    return *ends;
}

static struct node *parse_statements(struct parser *parser, const char *const *ends)
{
    struct node *first = NULL;
    struct node **last = &first;

    while (parser->rc == 0) {
        struct value text;
        const enum opening opening = lex_text(parser, &text);

        if (text.size > 0) {
            *last = parse_node(parser, NODE_TEXT);
            (*last)->value = text;
            last = &(*last)->next;
        }
        if (opening == OPENING_END && ends != NULL) {
            parse_fail(parser, "%s is missing", last_of(ends));
        }
        if (opening == OPENING_END || (opening == OPENING_BLOCK && at_end(parser, ends))) {
            break;
        }
        if (opening != OPENING_COMMENT) {
            *last = opening == OPENING_PRINT ? parse_print(parser) : parse_statement(parser);
            last = &(*last)->next;
        }
    }
    return first;
}

static struct node *parse_body(struct parser *parser, const char *const *ends)
{
    struct node *body = parse_enter(parser) ? parse_statements(parser, ends) : NULL;

    parse_leave(parser);
    return body;
}

/* ---- the whole ---- */

/* The text with every line end a '\n', and without the one at its very end. */
static struct value take_text(struct arena *arena, const char *text, size_t n)
{
    char *bytes = arena_take(arena, n);
    size_t size = 0;

    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\r' && i + 1 < n && text[i + 1] == '\n') {
            continue;
        }
        bytes[size++] = text[i] == '\r' ? '\n' : text[i];
    }
    size -= size > 0 && bytes[size - 1] == '\n';
    return value_string(bytes, size);
}

int jinja_parse(struct jinja **out, const char *text, size_t n, struct err *err)
{
    if (n > JINJA_TEXT_MAX) {
        return err_set(err, ERR_LIMIT, "a template of %zu bytes, at most %zu", n, JINJA_TEXT_MAX);
    }
    if (memchr(text, '\0', n) != NULL || !text_is_utf8(text, n, NULL)) {
        return err_set(err, ERR_FORMAT, "a template that is not UTF-8 text");
    }
    struct jinja *made = mem_alloc(sizeof *made);
    const struct value source = take_text(&made->arena, text, n);
    struct parser parser = {.arena = &made->arena,
                            .at = source.bytes,
                            .end = source.bytes + source.size,
                            .line = 1,
                            .line_starting = true,
                            .err = err};

    made->body = parse_body(&parser, NULL);
    if (parser.rc != 0) {
        jinja_free(made);
        return parser.rc;
    }
    *out = made;
    return 0;
}

void jinja_free(struct jinja *jinja)
{
    if (jinja != NULL) {
        arena_release(&jinja->arena);
        free(jinja);
    }
}
