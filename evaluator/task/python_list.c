/*
 * python_list.c - one pass over the text, an item at a time.
 */
#include "evaluator/task/python_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "evaluator/model/unicode.h"

/* Hexadecimal digits [n] as a code point; false when they are not, or are a surrogate. */
static bool read_code(const char *digits, size_t n, struct text *out)
{
    char piece[9] = {0};
    char utf8[4];

    if (strspn(digits, "0123456789abcdefABCDEF") < n) {
        return false;
    }
    memcpy(piece, digits, n);
    const unsigned long code = strtoul(piece, NULL, 16);

    if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
        return false;
    }
    text_add_n(out, utf8, unicode_put(utf8, (uint32_t)code));
    return true;
}

/* What stands behind a backslash; *at is moved behind it. */
static bool read_escape(const char **at, struct text *out)
{
    static const char names[] = "\\'\"nrt";
    static const char meant[] = "\\'\"\n\r\t";
    const char name = *(*at)++;
    const char *found = name != '\0' ? strchr(names, name) : NULL;

    if (found != NULL) {
        text_add_char(out, meant[found - names]);
        return true;
    }
    const size_t n = name == 'x' ? 2 : name == 'u' ? 4 : name == 'U' ? 8 : 0;

    if (n == 0 || !read_code(*at, n, out)) {
        return false;
    }
    *at += n;
    return true;
}

/* A text in quotes of either kind. */
static bool read_quoted(const char **at, struct text *out)
{
    const char quote = *(*at)++;

    while (**at != quote) {
        const char c = *(*at)++;

        if (c == '\0' || (c == '\\' && !read_escape(at, out))) {
            return false;
        }
        if (c != '\\') {
            text_add_char(out, c);
        }
    }
    (*at)++;
    return true;
}

static bool read_item(const char **at, struct text *out)
{
    if (**at == '\'' || **at == '"') {
        return read_quoted(at, out);
    }
    const size_t n = strcspn(*at, ",[](){}'\"");

    text_add_n(out, *at, n);
    *at += n;
    return n > 0;
}

/* Behind an item: a comma and a space when another follows, the end of all else. */
static bool read_joint(const char **at, bool *more)
{
    *more = strncmp(*at, ", ", 2) == 0;
    if (*more) {
        *at += 2;
        return true;
    }
    return strcmp(*at, "]") == 0;
}

bool python_list_read(struct strings *out, const char *text)
{
    struct strings made = {0};
    const char *at = text + 1;
    bool more = *text == '[';
    bool good = more;

    while (good && more) {
        struct text item = {0};

        good = read_item(&at, &item) && read_joint(&at, &more);
        strings_add(&made, mem_text(text_get(&item)));
        text_release(&item);
    }
    if (!good) {
        strings_release(&made);
        return false;
    }
    *out = made;
    return true;
}
