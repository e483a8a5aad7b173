/*
 * yaml_print.c - a document as block YAML that every reader takes the same way.
 *
 *   study: demo                 plain, when no reader can take it for anything else
 *   "on": "1e-3"                quoted otherwise, keys too
 *   layers:
 *     - - 1                     a list in a list starts in the same line
 *       - 2.0e-05               floats with a dot, which YAML 1.1 asks for
 *     - name: a
 *       scale: 1.0
 *
 * No line is ever broken, so that nothing depends on how line breaks fold.
 */
#include "study/yaml.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/doc.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* Words that YAML 1.1 or 1.2 reads as a boolean or as null, in any case. */
static bool is_reserved(const char *value)
{
    static const char *const words[] = {"y",   "n",    "yes",   "no",  "on",
                                        "off", "true", "false", "null"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(value, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

/*
 * Plain is what no reader can mistake: a letter first, or the start of a path, for all numbers,
 * dates and marks of the syntax begin with something else; behind it nothing that has a meaning
 * anywhere; and not one of the reserved words.
 */
static bool is_plain(const char *value)
{
    bool is_path = value[0] == '/' || strncmp(value, "./", 2) == 0 || strncmp(value, "../", 3) == 0;
    bool is_word = value[0] != '\0' && strchr(LETTERS "_", value[0]) != NULL;
    size_t size = strspn(value, LETTERS DIGITS "_./+- ");

    return (is_path || is_word) && value[size] == '\0' && value[size - 1] != ' ' &&
           !is_reserved(value);
}

/* The code point at *at, which is valid UTF-8; *at goes behind it. */
static uint32_t next_character(const unsigned char **at)
{
    const unsigned char *s = *at;
    size_t follow = s[0] < 0x80 ? 0 : s[0] < 0xE0 ? 1 : s[0] < 0xF0 ? 2 : 3;
    uint32_t c = follow == 0 ? s[0] : s[0] & (0x3FU >> follow);

    for (size_t i = 1; i <= follow; i++) {
        c = c << 6 | (s[i] & 0x3FU);
    }
    *at = s + 1 + follow;
    return c;
}

/* What may stand in a quoted scalar on one line: printable (YAML 1.1, 4.1.1), no break, no mark. */
static bool is_printable(uint32_t c)
{
    bool is_break = c == 0x85 || c == 0x2028 || c == 0x2029;
    bool is_control = c < 0x20 || (c >= 0x7F && c < 0xA0);
    bool is_odd = c == 0xFEFF || c == 0xFFFE || c == 0xFFFF;

    return !is_break && !is_control && !is_odd;
}

static void print_quoted(struct text *out, const char *value)
{
    const unsigned char *at = (const unsigned char *)value;

    text_add_char(out, '"');
    while (*at != '\0') {
        const unsigned char *start = at;
        uint32_t c = next_character(&at);

        if (c == '"' || c == '\\') {
            text_printf(out, "\\%c", (int)c);
        } else if (c == '\n' || c == '\t') {
            text_add(out, c == '\n' ? "\\n" : "\\t");
        } else if (!is_printable(c)) {
            text_printf(out, "\\u%04" PRIX32, c);
        } else {
            text_add_n(out, (const char *)start, (size_t)(at - start));
        }
    }
    text_add_char(out, '"');
}

void yaml_print_text(struct text *out, const char *value)
{
    if (is_plain(value)) {
        text_add(out, value);
    } else {
        print_quoted(out, value);
    }
}

static bool has_items(const json_t *doc)
{
    return json_object_size(doc) + json_array_size(doc) > 0;
}

static void print_scalar(struct text *out, const json_t *doc)
{
    if (json_is_string(doc)) {
        yaml_print_text(out, json_string_value(doc));
    } else {
        doc_print(out, doc); /* numbers, words, {} and []: canonical JSON is YAML here */
    }
    text_add_char(out, '\n');
}

/*
 * The items of a list or an object, each on a line that starts at column `indent`; the first one
 * finds the pen there already. A list inside a list goes on in the same line: "- - 1".
 */
static void print_items(struct text *out, const json_t *doc, int indent);

static void print_member(struct text *out, const char *key, const json_t *value, int indent)
{
    assert(strlen(key) <= YAML_KEY_MAX);
    yaml_print_text(out, key);
    text_add_char(out, ':');
    if (has_items(value)) {
        text_printf(out, "\n%*s", indent + 2, "");
        print_items(out, value, indent + 2);
    } else {
        text_add_char(out, ' ');
        print_scalar(out, value);
    }
}

static void print_items(struct text *out, const json_t *doc, int indent)
{
    const char *key;
    json_t *value;
    size_t i;
    int margin = 0;

    json_object_foreach((json_t *)doc, key, value)
    {
        text_printf(out, "%*s", margin, "");
        print_member(out, key, value, indent);
        margin = indent;
    }
    json_array_foreach(doc, i, value)
    {
        text_printf(out, "%*s- ", margin, "");
        if (has_items(value)) {
            print_items(out, value, indent + 2);
        } else {
            print_scalar(out, value);
        }
        margin = indent;
    }
}

void yaml_print(struct text *out, const json_t *doc)
{
    if (has_items(doc)) {
        print_items(out, doc, 0);
    } else {
        print_scalar(out, doc);
    }
}
