/*
 * regex_python.c - translate a pattern of Python's re module, compile it, find all its matches.
 *
 * Python's grammar is a small one: what it has, PCRE2 has, though some of it is spelled otherwise
 * or means a little more. What PCRE2 has besides (possessive classes of newlines, \K, recursion,
 * verbs, ...) is an error in Python, and is refused here.
 */
#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "evaluator/model/regex.h"
#include "evaluator/model/regex_internal.h"

/* str.isspace, and what re takes for a letter of a word, as members of a class. PCRE2's own classes
 * hold U+180E and leave out U+001C to U+001F; its words have gained marks with version 10.43. */
#define SPACES                                                                                 \
    "\\x{9}-\\x{D}\\x{1C}-\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}" \
    "\\x{202F}\\x{205F}\\x{3000}"
#define WORDS "\\p{L}\\p{N}_"
#define EDGE "(?:(?<=[" WORDS "])(?![" WORDS "])|(?<![" WORDS "])(?=[" WORDS "]))"
#define NO_EDGE "(?:(?<=[" WORDS "])(?=[" WORDS "])|(?<![" WORDS "])(?![" WORDS "]))"

struct walk {
    const char *pattern;
    const char *at;
    bool in_class;
    struct text *out;
};

static int refuse(const struct walk *walk, size_t size, struct err *err)
{
    return err_set(err, ERR_FORMAT,
                   "regular expression: \"%.*s\" at byte %zu is not understood as Python does",
                   (int)size, walk->at, (size_t)(walk->at - walk->pattern));
}

static int put(struct walk *walk, const char *text, size_t skip)
{
    text_add(walk->out, text);
    walk->at += skip;
    return 0;
}

/* \xHH, \uHHHH, \UHHHHHHHH: so many digits, no more and no fewer. */
static int translate_code(struct walk *walk, size_t n, struct err *err)
{
    const char *digits = walk->at + 2;

    for (size_t i = 0; i < n; i++) {
        if (!isxdigit((unsigned char)digits[i])) {
            return refuse(walk, 2, err);
        }
    }
    text_printf(walk->out, "\\x{%.*s}", (int)n, digits);
    walk->at = digits + n;
    return 0;
}

/* A group by its number; octal codes, which look alike, are refused. */
static int translate_number(struct walk *walk, struct err *err)
{
    const char *digits = walk->at + 1;
    const size_t n = strspn(digits, "0123456789");

    if (walk->in_class || *digits == '0' || n > 2) {
        return refuse(walk, 1 + n, err);
    }
    text_printf(walk->out, "\\g{%.*s}", (int)n, digits);
    walk->at = digits + n;
    return 0;
}

/* Classes are written out where their members are known; inside a class what is not of it stays
 * PCRE2's, so that [\s\S] is every character. */
static int translate_class(struct walk *walk)
{
    switch (walk->at[1]) {
    case 's':
        return put(walk, walk->in_class ? SPACES : "[" SPACES "]", 2);
    case 'S':
        return put(walk, walk->in_class ? "\\S" : "[^" SPACES "]", 2);
    case 'w':
        return put(walk, walk->in_class ? WORDS : "[" WORDS "]", 2);
    case 'W':
        return put(walk, walk->in_class ? "\\W" : "[^" WORDS "]", 2);
    case 'd':
        return put(walk, "\\p{Nd}", 2);
    default:
        return put(walk, "\\P{Nd}", 2);
    }
}

static int translate_place(struct walk *walk, struct err *err)
{
    if (walk->in_class) {
        return walk->at[1] == 'b' ? put(walk, "\\x{8}", 2) : refuse(walk, 2, err);
    }
    switch (walk->at[1]) {
    case 'b':
        return put(walk, EDGE, 2);
    case 'B':
        return put(walk, NO_EDGE, 2);
    case 'A':
        return put(walk, "\\A", 2);
    default:
        return put(walk, "\\z", 2); /* \Z: the very end */
    }
}

static int translate_escape(struct walk *walk, struct err *err)
{
    const char c = walk->at[1];

    switch (c) {
    case 's':
    case 'S':
    case 'w':
    case 'W':
    case 'd':
    case 'D':
        return translate_class(walk);
    case 'b':
    case 'B':
    case 'A':
    case 'Z':
        return translate_place(walk, err);
    case 'x':
        return translate_code(walk, 2, err);
    case 'u':
        return translate_code(walk, 4, err);
    case 'U':
        return translate_code(walk, 8, err);
    case 'a':
        return put(walk, "\\x{7}", 2);
    case 'v':
        return put(walk, "\\x{B}", 2);
    case 'f':
    case 'n':
    case 'r':
    case 't':
        text_add_n(walk->out, walk->at, 2);
        walk->at += 2;
        return 0;
    default:
        break;
    }
    if (isdigit((unsigned char)c)) {
        return translate_number(walk, err);
    }
    if (c == '\0' || isalpha((unsigned char)c)) {
        return refuse(walk, 2, err);
    }
    if ((unsigned char)c <
        0x80) { /* punctuation is literal; a letter of another script needs none */
        text_add_char(walk->out, '\\');
        text_add_char(walk->out, c);
        walk->at += 2;
    } else {
        walk->at++;
    }
    return 0;
}

/* (?ims) at the very start, (?ims: or (?ims-ims: anywhere. */
static bool is_flags(const struct walk *walk)
{
    const char *at = walk->at + 2;
    const size_t on = strspn(at, "ims");
    const size_t off = at[on] == '-' ? 1 + strspn(at + on + 1, "ims") : 0;
    const char end = at[on + off];

    return on + off > 0 && off != 1 &&
           (end == ':' || (end == ')' && off == 0 && walk->at == walk->pattern));
}

static int translate_group(struct walk *walk, struct err *err)
{
    static const char *const known[] = {"(?:", "(?=", "(?!",  "(?<=", "(?<!",
                                        "(?>", "(?(", "(?P<", "(?P="};
    const char *end = strchr(walk->at, ')');

    if (walk->at[1] == '*') {
        return refuse(walk, 2, err);
    }
    if (walk->at[1] != '?') {
        return put(walk, "(", 1);
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const size_t n = strlen(known[i]);

        if (strncmp(walk->at, known[i], n) == 0) {
            return put(walk, known[i], n);
        }
    }
    if (walk->at[2] == '#' && end != NULL) { /* a comment */
        walk->at = end + 1;
        return 0;
    }
    if (!is_flags(walk)) {
        return refuse(walk, 3, err);
    }
    return put(walk, "(?", 2);
}

/* {m}, {m,}, {,n}, {m,n}, {,} repeat; any other brace stands for itself. */
static int translate_braces(struct walk *walk)
{
    const size_t low = strspn(walk->at + 1, "0123456789");
    const char *at = walk->at + 1 + low;
    const size_t high = *at == ',' ? strspn(at + 1, "0123456789") : 0;
    const bool repeats = *at == ',' ? at[1 + high] == '}' : *at == '}' && low > 0;

    if (!repeats) {
        return put(walk, "\\{", 1);
    }
    return put(walk, low == 0 ? "{0" : "{", 1);
}

/* '[', '^' and a ']' that stands for itself. */
static int translate_open(struct walk *walk)
{
    walk->in_class = true;
    put(walk, "[", 1);
    if (*walk->at == '^') {
        put(walk, "^", 1);
    }
    return *walk->at == ']' ? put(walk, "\\]", 1) : 0;
}

static int translate_one(struct walk *walk, struct err *err)
{
    const char c = *walk->at;

    if (c == '\\') {
        return translate_escape(walk, err);
    }
    if (walk->in_class) {
        if (c == '[') { /* PCRE2 looks for [:names:] behind it */
            return put(walk, "\\[", 1);
        }
        walk->in_class = c != ']';
    } else if (c == '(') {
        return translate_group(walk, err);
    } else if (c == '{') {
        return translate_braces(walk);
    } else if (c == '[') {
        return translate_open(walk);
    }
    text_add_char(walk->out, *walk->at++);
    return 0;
}

int regex_compile_python(struct regex **out, const char *pattern, struct err *err)
{
    struct text translated = {0};
    struct walk walk = {.pattern = pattern, .at = pattern, .out = &translated};
    int rc = 0;

    while (rc == 0 && *walk.at != '\0') {
        rc = translate_one(&walk, err);
    }
    if (rc == 0) {
        rc = regex_compile_translated(out, &translated, err);
    }
    text_release(&translated);
    return rc;
}
