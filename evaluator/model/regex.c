/*
 * regex.c - translate a Ruby pattern, compile it, run it.
 *
 * The translation walks the pattern once. Outside a character class it looks at escapes, groups and
 * quantifiers; inside, only at escapes and at Ruby's set operations. Everything else is copied.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "evaluator/model/regex.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "evaluator/model/regex_internal.h"

/* Steps of one match. Splitting patterns need a few a character; the largest texts have millions.
 */
#define MATCH_STEPS_MAX 50000000u
/* Stack of the compiled matcher: starts small, grows to this for patterns that backtrack. */
#define MATCH_STACK_MAX ((size_t)8 << 20)

/* White_Space and its complement, as members of a class. */
#define SPACES                                                                                  \
    "\\x{9}-\\x{D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}" \
    "\\x{205F}\\x{3000}"
#define NO_SPACES                                                                           \
    "\\x{0}-\\x{8}\\x{E}-\\x{1F}\\x{21}-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-"  \
    "\\x{1FFF}\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}" \
    "\\x{3001}-\\x{D7FF}\\x{E000}-\\x{10FFFF}"

struct regex {
    pcre2_code *code;
    pcre2_match_data *found;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    bool jit;
};

/* Where the translation stands. */
struct walk {
    const char *pattern;
    const char *at;
    bool in_class;
    struct text *out;
};

static int refuse(const struct walk *walk, size_t size, struct err *err)
{
    return err_set(
        err, ERR_FORMAT,
        "regular expression: \"%.*s\" at byte %zu differs between engines and is refused",
        (int)size, walk->at, (size_t)(walk->at - walk->pattern));
}

/* \uHHHH */
static int translate_code(struct walk *walk, struct err *err)
{
    const char *digits = walk->at + 2;

    if (strspn(digits, "0123456789abcdefABCDEF") < 4) {
        return refuse(walk, 2, err);
    }
    text_printf(walk->out, "\\x{%.4s}", digits);
    walk->at += 6;
    return 0;
}

static int copy_escape(struct walk *walk)
{
    text_add_n(walk->out, walk->at, 2);
    walk->at += 2;
    return 0;
}

/* Copy an escape of `size` bytes and the {...} that belongs to it. */
static int copy_braced(struct walk *walk, size_t size, struct err *err)
{
    if (walk->at[size] == '{') {
        const char *end = strchr(walk->at, '}');

        if (end == NULL) {
            return refuse(walk, size + 1, err);
        }
        size = (size_t)(end - walk->at) + 1;
    }
    text_add_n(walk->out, walk->at, size);
    walk->at += size;
    return 0;
}

/* \xHH is a byte in one engine and a code point in the other: the same below 0x80. \x{...} is the
 * same. */
static int translate_hex(struct walk *walk, struct err *err)
{
    const char *digits = walk->at + 2;

    if (digits[0] != '{' && (digits[0] < '0' || digits[0] > '7')) {
        return refuse(walk, 3, err);
    }
    return copy_braced(walk, 2, err);
}

static int translate_escape(struct walk *walk, struct err *err)
{
    const char c = walk->at[1];

    if (c == 's' || c == 'S') {
        if (walk->in_class) {
            text_add(walk->out, c == 's' ? SPACES : NO_SPACES);
        } else {
            text_printf(walk->out, "[%s" SPACES "]", c == 's' ? "" : "^");
        }
        walk->at += 2;
        return 0;
    }
    if (c == 'u') {
        return translate_code(walk, err);
    }
    if (c == 'x') {
        return translate_hex(walk, err);
    }
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

    if (c == '\0' || (unsigned char)c >= 0x80 || (letter && strchr("pPdDtnrf", c) == NULL)) {
        return refuse(walk, c == '\0' ? 1 : 2, err);
    }
    return c == 'p' || c == 'P' ? copy_braced(walk, 2, err) : copy_escape(walk);
}

/* Inside [...]. Ruby reads a nested [ as a set and && as an intersection. */
static int translate_member(struct walk *walk, struct err *err)
{
    if (*walk->at == '\\') {
        return translate_escape(walk, err);
    }
    if (*walk->at == '[') {
        return refuse(walk, 1, err);
    }
    if (walk->at[0] == '&' && walk->at[1] == '&') {
        return refuse(walk, 2, err);
    }
    walk->in_class = *walk->at != ']';
    text_add_char(walk->out, *walk->at++);
    return 0;
}

/* ( and what makes it special. (?i) alone binds differently after the start of the pattern. */
static int translate_group(struct walk *walk, struct err *err)
{
    static const char *const kinds[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?i:", "(?-i:"};

    if (walk->at[1] == '*') {
        return refuse(walk, 2, err);
    }
    if (walk->at[1] != '?') {
        text_add_char(walk->out, *walk->at++);
        return 0;
    }
    if (walk->at == walk->pattern && strncmp(walk->at, "(?i)", 4) == 0) {
        text_add_n(walk->out, walk->at, 4);
        walk->at += 4;
        return 0;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const size_t size = strlen(kinds[i]);

        if (strncmp(walk->at, kinds[i], size) == 0) {
            text_add_n(walk->out, walk->at, size);
            walk->at += size;
            return 0;
        }
    }
    return refuse(walk, 3, err);
}

/* {n}, {n,}, {n,m}: the same in both; {,m} and a brace that counts nothing are not. */
static int translate_braces(struct walk *walk, struct err *err)
{
    const size_t low = strspn(walk->at + 1, "0123456789");
    const size_t comma = walk->at[1 + low] == ',';
    const size_t high = comma ? strspn(walk->at + 2 + low, "0123456789") : 0;
    const size_t size = low + comma + high + 2;

    if (low == 0 || walk->at[size - 1] != '}') {
        return refuse(walk, 1, err);
    }
    if (walk->at[size] == '+') {
        return refuse(walk, size + 1, err);
    }
    text_add_n(walk->out, walk->at, size);
    walk->at += size;
    return 0;
}

static int translate_open(struct walk *walk)
{
    text_add_char(walk->out, *walk->at++);
    if (*walk->at == '^') {
        text_add_char(walk->out, *walk->at++);
    }
    walk->in_class = true;
    return 0;
}

static int translate_one(struct walk *walk, struct err *err)
{
    if (walk->in_class) {
        return translate_member(walk, err);
    }
    switch (*walk->at) {
    case '\\':
        return translate_escape(walk, err);
    case '(':
        return translate_group(walk, err);
    case '{':
        return translate_braces(walk, err);
    case '[':
        if (walk->at[1] == ']' || (walk->at[1] == '^' && walk->at[2] == ']')) {
            return refuse(walk, 2, err);
        }
        return translate_open(walk);
    case '^':
    case '$':
        return refuse(walk, 1, err);
    case '?':
    case '*':
    case '+':
        if (walk->at[1] == '+') {
            return refuse(walk, 2, err);
        }
        break;
    default:
        break;
    }
    text_add_char(walk->out, *walk->at++);
    return 0;
}

static int translate(struct text *out, const char *pattern, struct err *err)
{
    struct walk walk = {.pattern = pattern, .at = pattern, .out = out};
    int rc = 0;

    while (rc == 0 && *walk.at != '\0') {
        rc = translate_one(&walk, err);
    }
    return rc;
}

static int compile(struct regex *regex, const struct text *pattern, struct err *err)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *how = pcre2_compile_context_create(NULL);

    if (how == NULL) {
        return err_set(err, ERR_MEMORY, "regular expression: out of memory");
    }
    pcre2_set_newline(how, PCRE2_NEWLINE_LF);
    regex->code = pcre2_compile((PCRE2_SPTR)text_get(pattern), pattern->size,
                                PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, how);
    pcre2_compile_context_free(how);
    if (regex->code == NULL) {
        PCRE2_UCHAR why[128];

        pcre2_get_error_message(code, why, sizeof why);
        return err_set(err, ERR_FORMAT, "regular expression: %s", (const char *)why);
    }
    regex->jit = pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE) == 0;
    return 0;
}

static int prepare(struct regex *regex, struct err *err)
{
    regex->found = pcre2_match_data_create_from_pattern(regex->code, NULL);
    regex->context = pcre2_match_context_create(NULL);
    if (regex->found == NULL || regex->context == NULL) {
        return err_set(err, ERR_MEMORY, "regular expression: out of memory");
    }
    pcre2_set_match_limit(regex->context, MATCH_STEPS_MAX);
    if (regex->jit) {
        regex->stack = pcre2_jit_stack_create((size_t)32 << 10, MATCH_STACK_MAX, NULL);
        if (regex->stack == NULL) {
            return err_set(err, ERR_MEMORY, "regular expression: out of memory");
        }
        pcre2_jit_stack_assign(regex->context, NULL, regex->stack);
    }
    return 0;
}

int regex_compile_translated(struct regex **out, const struct text *pattern, struct err *err)
{
    struct regex *made = mem_alloc(sizeof *made);

    int rc = compile(made, pattern, err);
    if (rc == 0) {
        rc = prepare(made, err);
    }
    if (rc != 0) {
        regex_free(made);
        return rc;
    }
    *out = made;
    return 0;
}

int regex_compile(struct regex **out, const char *pattern, struct err *err)
{
    struct text translated = {0};

    int rc = translate(&translated, pattern, err);
    if (rc == 0) {
        rc = regex_compile_translated(out, &translated, err);
    }
    text_release(&translated);
    return rc;
}

void regex_free(struct regex *regex)
{
    if (regex == NULL) {
        return;
    }
    pcre2_jit_stack_free(regex->stack);
    pcre2_match_context_free(regex->context);
    pcre2_match_data_free(regex->found);
    pcre2_code_free(regex->code);
    free(regex);
}

static int match(struct regex *regex, const char *text, size_t n, size_t from, uint32_t options,
                 bool *found, struct err *err)
{
    const PCRE2_SPTR subject = (PCRE2_SPTR)text;
    const int rc =
        regex->jit
            ? pcre2_jit_match(regex->code, subject, n, from, options, regex->found, regex->context)
            : pcre2_match(regex->code, subject, n, from, options | PCRE2_NO_UTF_CHECK, regex->found,
                          regex->context);

    *found = rc >= 0;
    if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH) {
        return 0;
    }
    PCRE2_UCHAR why[128];

    pcre2_get_error_message(rc, why, sizeof why);
    return err_set(err, ERR_LIMIT, "regular expression: %s at byte %zu", (const char *)why, from);
}

int regex_next(struct regex *regex, const char *text, size_t n, size_t from, bool *found,
               size_t *begin, size_t *end, struct err *err)
{
    const int rc = match(regex, text, n, from, PCRE2_NOTEMPTY, found, err);

    if (rc == 0 && *found) {
        regex_group(regex, 0, begin, end);
    }
    return rc;
}

int regex_walk(struct regex *regex, const char *text, size_t n, struct regex_place *place,
               bool *found, struct err *err)
{
    size_t begin = 0;
    const int rc =
        match(regex, text, n, place->from, place->empty ? PCRE2_NOTEMPTY_ATSTART : 0, found, err);

    if (rc == 0 && *found) {
        regex_group(regex, 0, &begin, &place->from);
        place->empty = begin == place->from;
    }
    return rc;
}

size_t regex_groups(const struct regex *regex)
{
    uint32_t n = 0;

    pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &n);
    return n;
}

bool regex_group(const struct regex *regex, size_t group, size_t *begin, size_t *end)
{
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(regex->found) + 2 * group;

    if (span[0] == PCRE2_UNSET) {
        return false;
    }
    *begin = span[0];
    *end = span[1];
    return true;
}
