/*
 * json_reader.c - RFC 8259, a token at a time.
 */
#include "evaluator/model/json_reader.h"

#include <string.h>

#include "evaluator/model/unicode.h"

int json_reader_expected(const struct json_reader *reader, const char *what, struct err *err)
{
    size_t line = 1;

    for (size_t i = 0; i < reader->at; i++) {
        line += reader->bytes[i] == '\n';
    }
    return err_set(err, ERR_FORMAT, "line %zu: expected %s", line, what);
}

static void skip_space(struct json_reader *reader)
{
    for (; reader->at < reader->n; reader->at++) {
        const char c = reader->bytes[reader->at];

        if (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
            return;
        }
    }
}

bool json_reader_take(struct json_reader *reader, char c)
{
    skip_space(reader);
    if (reader->at == reader->n || reader->bytes[reader->at] != c) {
        return false;
    }
    reader->at++;
    return true;
}

bool json_reader_at_end(struct json_reader *reader)
{
    skip_space(reader);
    return reader->at == reader->n;
}

bool json_reader_integer(struct json_reader *reader, uint32_t max, uint32_t *out)
{
    skip_space(reader);
    const char *begin = reader->bytes + reader->at;
    const char *end = reader->bytes + reader->n;
    const char *at = begin;
    uint64_t value = 0;

    while (at < end && *at >= '0' && *at <= '9' && value <= max) {
        value = value * 10 + (uint64_t)(*at++ - '0');
    }
    const bool leads_with_zero = at - begin > 1 && *begin == '0';
    const bool is_real = at < end && (*at == '.' || *at == 'e' || *at == 'E');

    if (at == begin || value > max || leads_with_zero || is_real) {
        return false;
    }
    reader->at += (size_t)(at - begin);
    *out = (uint32_t)value;
    return true;
}

/* ---- strings ---- */

/* The value of \uHHHH at `at`, or UINT32_MAX. */
static uint32_t code_unit(const char *at, const char *end)
{
    uint32_t value = 0;

    if (end - at < 6 || at[0] != '\\' || at[1] != 'u') {
        return UINT32_MAX;
    }
    for (size_t i = 2; i < 6; i++) {
        static const char digits[] = "0123456789abcdef";
        const char lower = at[i] >= 'A' && at[i] <= 'F' ? (char)(at[i] + ('a' - 'A')) : at[i];
        const char *digit = lower != '\0' ? strchr(digits, lower) : NULL;

        if (digit == NULL) {
            return UINT32_MAX;
        }
        value = value << 4 | (uint32_t)(digit - digits);
    }
    return value;
}

/* Append what the escape at *at stands for, and step over it; false when it is none. */
static bool add_escape(struct text *out, const char **at, const char *end)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    uint32_t code = code_unit(*at, end);
    char bytes[4];

    if (code == UINT32_MAX) {
        const char *letter = end - *at >= 2 && (*at)[1] != '\0' ? strchr(letters, (*at)[1]) : NULL;

        if (letter == NULL) {
            return false;
        }
        text_add_char(out, meant[letter - letters]);
        *at += 2;
        return true;
    }
    *at += 6;
    if (code >= 0xD800 && code <= 0xDBFF) { /* the first half of a pair */
        const uint32_t low = code_unit(*at, end);

        if (low < 0xDC00 || low > 0xDFFF) {
            return false;
        }
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        *at += 6;
    } else if (code == 0 || (code >= 0xDC00 && code <= 0xDFFF)) {
        return false;
    }
    text_add_n(out, bytes, unicode_put(bytes, code));
    return true;
}

/* Up to the next quote, backslash or control character. *seen collects the bytes. */
static const char *plain_end(const char *at, const char *end, unsigned char *seen)
{
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20) {
        *seen |= (unsigned char)*at++;
    }
    return at;
}

int json_reader_string(struct json_reader *reader, struct text *scratch, const char **text,
                       size_t *n, struct err *err)
{
    unsigned char seen = 0;

    if (!json_reader_take(reader, '"')) {
        return json_reader_expected(reader, "a text", err);
    }
    const char *begin = reader->bytes + reader->at;
    const char *end = reader->bytes + reader->n;
    const char *at = plain_end(begin, end, &seen);

    *text = begin;
    *n = (size_t)(at - begin);
    if (at < end && *at == '\\') {
        text_clear(scratch);
        text_add_n(scratch, begin, *n);
        while (at < end && *at == '\\') {
            if (!add_escape(scratch, &at, end)) {
                return json_reader_expected(reader, "a text with known escapes", err);
            }
            const char *stop = plain_end(at, end, &seen);

            text_add_n(scratch, at, (size_t)(stop - at));
            at = stop;
        }
        *text = text_get(scratch);
        *n = scratch->size;
    }
    if (at == end || *at != '"') {
        return json_reader_expected(reader, "a text that ends on its line", err);
    }
    if (seen >= 0x80 && !text_is_utf8(*text, *n, NULL)) {
        return json_reader_expected(reader, "a text in UTF-8", err);
    }
    reader->at = (size_t)(at - reader->bytes) + 1;
    return 0;
}

/* ---- what is not read ---- */

/* Past a string, whatever is in it. */
static bool skip_string(struct json_reader *reader)
{
    size_t at = reader->at + 1;

    while (at < reader->n && reader->bytes[at] != '"') {
        at += reader->bytes[at] == '\\' ? 2 : 1;
    }
    if (at >= reader->n) {
        return false;
    }
    reader->at = at + 1;
    return true;
}

bool json_reader_skip(struct json_reader *reader)
{
    size_t depth = 0;

    while (reader->at < reader->n) {
        const char c = reader->bytes[reader->at];

        if (c == '"') {
            if (!skip_string(reader)) {
                return false;
            }
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            return true;
        }
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        reader->at++;
    }
    return depth == 0;
}

bool json_reader_key(struct json_reader *reader, struct json_span *key)
{
    json_reader_take(reader, ',');
    skip_space(reader);
    const size_t begin = reader->at + 1;

    if (reader->at == reader->n || reader->bytes[reader->at] != '"' || !skip_string(reader)) {
        return false;
    }
    *key = (struct json_span){begin, reader->at - 1};
    return json_reader_take(reader, ':');
}
