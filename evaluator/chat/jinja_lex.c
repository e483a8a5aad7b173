/*
 * jinja_lex.c - a template cut into text and tags, a tag into tokens.
 *
 *   Hello {%- if name %}\n  {{ name }}...
 *   text  block          text print
 *
 * Whitespace as Jinja has it with trim_blocks and lstrip_blocks: a block or comment that stands
 * first in its line takes the blanks before it, and the line end right after it, away; a '-' inside
 * a tag takes all whitespace on its side, a '+' leaves it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "evaluator/chat/jinja_internal.h"
#include "evaluator/model/unicode.h"

void parse_fail(struct parser *parser, const char *format, ...)
{
    char what[200];
    va_list arguments;

    if (parser->rc == 0) {
        va_start(arguments, format);
        vsnprintf(what, sizeof what, format, arguments);
        va_end(arguments);
        parser->rc = err_set(parser->err, ERR_FORMAT, "line %u: %s", parser->line, what);
    }
    parser->token = (struct token){.kind = TOKEN_END};
    parser->at = parser->end;
}

/* ---- text ---- */

static void advance(struct parser *parser, const char *to)
{
    for (; parser->at < to; parser->at++) {
        parser->line += *parser->at == '\n';
    }
}

static bool has(const struct parser *parser, const char *what)
{
    const size_t n = strlen(what);

    return (size_t)(parser->end - parser->at) >= n && memcmp(parser->at, what, n) == 0;
}

/* Past a tag's end, and what it takes of the text after it. */
static void close_tag(struct parser *parser, const char *to, bool strip, bool trim)
{
    const char *after = to;

    if (strip) {
        after += unicode_leading_space(to, (size_t)(parser->end - to));
    }
    if (!strip && trim && after < parser->end && *after == '\n') {
        after++;
    }
    advance(parser, after);
    parser->line_starting = after[-1] == '\n';
}

/* Text without the blanks of its last line, where the line has nothing else. */
static size_t size_without_blanks(const char *text, size_t n, bool line_starting)
{
    size_t line = n;
    uint32_t code = 0;

    while (line > 0 && text[line - 1] != '\n') {
        line--;
    }
    if (line == 0 && !line_starting) {
        return n;
    }
    for (size_t at = line; at < n;) {
        at += unicode_next(text + at, n - at, &code);
        if (!unicode_is_python_space(code)) {
            return n;
        }
    }
    return line;
}

static const char *find_tag(const char *at, const char *end)
{
    for (; end - at >= 2; at++) {
        if (at[0] == '{' && (at[1] == '{' || at[1] == '%' || at[1] == '#')) {
            return at;
        }
    }
    return end;
}

static void skip_comment(struct parser *parser)
{
    for (const char *at = parser->at; parser->end - at >= 2; at++) {
        if (at[0] == '#' && at[1] == '}') {
            const char sign = at > parser->at ? at[-1] : ' ';

            close_tag(parser, at + 2, sign == '-', sign != '+');
            return;
        }
    }
    parse_fail(parser, "a comment that is not closed");
}

enum opening lex_text(struct parser *parser, struct value *text)
{
    const char *begin = parser->at;
    const char *tag = find_tag(begin, parser->end);
    size_t size = (size_t)(tag - begin);

    if (tag == parser->end) {
        *text = value_string(begin, size);
        advance(parser, parser->end);
        return OPENING_END;
    }
    const char sign = tag + 2 < parser->end ? tag[2] : ' ';
    const enum opening opening = tag[1] == '{'   ? OPENING_PRINT
                                 : tag[1] == '%' ? OPENING_BLOCK
                                                 : OPENING_COMMENT;

    if (sign == '-') {
        size = unicode_without_trailing_space(begin, size);
    } else if (sign != '+' && opening != OPENING_PRINT) {
        size = size_without_blanks(begin, size, parser->line_starting);
    }
    *text = value_string(begin, size);
    advance(parser, tag + (sign == '-' || sign == '+' ? 3 : 2));
    parser->line_starting = false;
    if (opening == OPENING_COMMENT) {
        skip_comment(parser);
    } else {
        parser->tag = opening;
        parser->brackets = 0;
        lex_next(parser);
    }
    return opening;
}

/* ---- tokens ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "%}", "-%}", "+%}", and for what is printed "}}", "-}}": true when it is taken. */
static bool lex_close(struct parser *parser)
{
    const bool block = parser->tag == OPENING_BLOCK;
    const char *close = block ? "%}" : "}}";
    const char sign = parser->at < parser->end ? *parser->at : ' ';
    const bool is_signed = sign == '-' || (sign == '+' && block);

    parser->at += is_signed;
    const bool closes = parser->brackets == 0 && has(parser, close);
    if (!closes) {
        parser->at -= is_signed;
        return false;
    }
    close_tag(parser, parser->at + 2, sign == '-', block && sign != '+');
    parser->token.kind = TOKEN_CLOSE;
    return true;
}

static void lex_name(struct parser *parser)
{
    const char *begin = parser->at;

    while (parser->at < parser->end && (is_letter(*parser->at) || is_digit(*parser->at))) {
        parser->at++;
    }
    parser->token.kind = TOKEN_NAME;
    parser->token.value = value_string(begin, (size_t)(parser->at - begin));
}

static size_t digits(const struct parser *parser, size_t from)
{
    size_t n = from;

    while ((size_t)(parser->end - parser->at) > n && is_digit(parser->at[n])) {
        n++;
    }
    return n - from;
}

static char char_at(const struct parser *parser, size_t i)
{
    return (size_t)(parser->end - parser->at) > i ? parser->at[i] : '\0';
}

static void lex_number(struct parser *parser)
{
    size_t n = digits(parser, 0);
    bool real = false;
    int64_t integer = 0;
    char text[64];

    if (char_at(parser, n) == '.' && is_digit(char_at(parser, n + 1))) {
        n += 1 + digits(parser, n + 1);
        real = true;
    }
    if (char_at(parser, n) == 'e' || char_at(parser, n) == 'E') {
        const bool has_sign = char_at(parser, n + 1) == '-' || char_at(parser, n + 1) == '+';

        n += 1 + has_sign;
        n += digits(parser, n);
        real = true;
    }
    if (is_letter(char_at(parser, n)) || n >= sizeof text || (!real && n > 18) ||
        (!real && n > 1 && *parser->at == '0')) {
        parse_fail(parser, "the number %.20s...", parser->at);
        return;
    }
    memcpy(text, parser->at, n);
    text[n] = '\0';
    for (size_t i = 0; !real && i < n; i++) {
        integer = integer * 10 + (text[i] - '0');
    }
    parser->token.kind = real ? TOKEN_REAL : TOKEN_INTEGER;
    parser->token.value = real ? value_real(strtod(text, NULL)) : value_integer(integer);
    parser->at += n;
}

/* The code of \xhh, \uhhhh, \Uhhhhhhhh; at is at the first of n digits. */
static bool read_code(const char *at, const char *end, size_t n, uint32_t *code)
{
    static const char hex[] = "0123456789abcdef";

    *code = 0;
    if ((size_t)(end - at) < n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const char *digit = memchr(hex, at[i] | 0x20, 16);

        if (digit == NULL) {
            return false;
        }
        *code = *code << 4 | (uint32_t)(digit - hex);
    }
    return *code > 0 && *code < 0x110000 && (*code < 0xd800 || *code > 0xdfff);
}

/* What stands for a character after a backslash; at is after the backslash. Returns how much of it
 * is taken, 0 when it cannot be. */
static size_t unescape(const char *at, const char *end, char *out, size_t *n)
{
    static const char names[] = "abfnrtv\\'\"";
    static const char meant[] = "\a\b\f\n\r\t\v\\'\"";
    const size_t hex = *at == 'x' ? 2 : *at == 'u' ? 4 : *at == 'U' ? 8 : 0;
    const char *known = strchr(names, *at);
    uint32_t code = 0;

    if (hex > 0) {
        if (!read_code(at + 1, end, hex, &code)) {
            return 0;
        }
        *n += unicode_put(out + *n, code);
        return 1 + hex;
    }
    if (*at == 'N' || is_digit(*at)) {
        return 0;
    }
    if (*at == '\n') {
        return 1;
    }
    if (known != NULL) {
        out[(*n)++] = meant[known - names];
        return 1;
    }
    out[(*n)++] = '\\'; /* of any other, both stay */
    const size_t size = unicode_next(at, (size_t)(end - at), &code);

    memcpy(out + *n, at, size);
    *n += size;
    return size;
}

static void lex_string(struct parser *parser)
{
    const char quote = *parser->at;
    const char *end = parser->at + 1;

    while (end < parser->end && *end != quote) {
        end += *end == '\\' && parser->end - end > 1 ? 2 : 1;
    }
    if (end >= parser->end) {
        parse_fail(parser, "a text that is not closed");
        return;
    }
    char *bytes = arena_take(parser->arena, (size_t)(end - parser->at));
    size_t n = 0;

    for (const char *at = parser->at + 1; at < end;) {
        if (*at != '\\') {
            bytes[n++] = *at++;
            continue;
        }
        const size_t taken = unescape(at + 1, end, bytes, &n);

        if (taken == 0) {
            parse_fail(parser, "the escape \\%c in a text",
                       at[1] >= ' ' && at[1] < 0x7f ? at[1] : '?');
            return;
        }
        at += 1 + taken;
    }
    advance(parser, end + 1);
    parser->token.kind = TOKEN_STRING;
    parser->token.value = value_string(bytes, n);
}

static void lex_op(struct parser *parser)
{
    static const char *const pairs[] = {"//", "**", "==", "!=", ">=", "<="};
    const char c = *parser->at;

    parser->token.kind = TOKEN_OP;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (has(parser, pairs[i])) {
            parser->token.op = OP(c, pairs[i][1]);
            parser->at += 2;
            return;
        }
    }
    if (c == '\0' || strchr("+-*/%~[](){}><=.:|,", c) == NULL) {
        parse_fail(parser, "the character '%c'", c >= ' ' && c < 0x7f ? c : '?');
        return;
    }
    const bool opens = strchr("([{", c) != NULL;
    const bool closes = strchr(")]}", c) != NULL;

    parser->brackets += opens;
    parser->brackets -= closes && parser->brackets > 0;
    parser->token.op = OP(c, 0);
    parser->at++;
}

void lex_next(struct parser *parser)
{
    parser->token = (struct token){.kind = TOKEN_END};
    while (parser->at < parser->end && strchr(" \t\n\f\v", *parser->at) != NULL) {
        advance(parser, parser->at + 1);
    }
    if (parser->at == parser->end) {
        if (parser->rc == 0) {
            parse_fail(parser, "a tag that is not closed");
        }
        return;
    }
    if (lex_close(parser)) {
        return;
    }
    if (is_letter(*parser->at)) {
        lex_name(parser);
    } else if (is_digit(*parser->at)) {
        lex_number(parser);
    } else if (*parser->at == '\'' || *parser->at == '"') {
        lex_string(parser);
    } else {
        lex_op(parser);
    }
}
