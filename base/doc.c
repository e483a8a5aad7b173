/*
 * doc.c - JSON through jansson, made strict on the way in and canonical on the way out.
 *
 * Canonical form, so that equal documents have equal bytes:
 *   - keys in byte order, no spaces, no line breaks;
 *   - in strings only the quote, the backslash and control characters are escaped, these as
 *     \b \t \n \f \r or \u00xx in lower case; all else stands as UTF-8;
 *   - integers as they are; reals as the shortest digits that read back, always with a dot ("1.0",
 *     "1.0e-05"), so that 1 and 1.0 stay what they are when read again.
 *
 * A string with a zero byte ("\u0000") is refused: the getters hand out C strings.
 */
#include "base/doc.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

/*
 * Refuse nesting before jansson recurses. Up to the first syntax error this agrees with it about
 * what is inside a string, and behind one nothing is parsed.
 */
static int check_depth(const char *bytes, size_t size, struct err *err)
{
    size_t depth = 0;
    size_t line = 1;
    bool in_string = false;

    for (size_t i = 0; i < size; i++) {
        char c = bytes[i];

        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > DOC_DEPTH_MAX) {
                return err_set(err, ERR_LIMIT, "line %zu: nested deeper than %d", line,
                               DOC_DEPTH_MAX);
            }
        } else if (c == ']' || c == '}') {
            depth -= depth > 0;
        } else if (c == '\n') {
            line++;
        }
    }
    return 0;
}

/* A number of n letters is an integer of more than 63 bits. */
static bool overflows(const char *number, size_t n)
{
    static const char first[] = "9223372036854775808";
    const size_t sign = n > 0 && number[0] == '-', digits = n - sign;

    for (size_t i = sign; i < n; i++) {
        if (number[i] < '0' || number[i] > '9') {
            return false;
        }
    }
    return digits > sizeof first - 1 ||
           (digits == sizeof first - 1 && memcmp(number + sign, first, digits) >= 0);
}

/* The same with ".0" behind every integer that overflows: Python writes them whatever their size
 * ("model_max_length": 1000000000000000019884624838656), and jansson reads them as reals only. */
static void widen_integers(struct text *out, const char *bytes, size_t size)
{
    bool in_string = false;

    for (size_t i = 0, n; i < size; i += n) {
        n = 1;
        if (in_string) {
            n += bytes[i] == '\\' && i + 1 < size;
            in_string = bytes[i] != '"';
        } else if (bytes[i] == '"') {
            in_string = true;
        } else {
            while (strchr("+-.0123456789eE", bytes[i + n - 1]) != NULL && i + n < size &&
                   strchr("+-.0123456789eE", bytes[i + n]) != NULL) {
                n++;
            }
        }
        text_add_n(out, bytes + i, n);
        if (!in_string && overflows(bytes + i, n)) {
            text_add(out, ".0");
        }
    }
}

static json_t *parse(const char *bytes, size_t size, json_error_t *error)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
    json_t *made = json_loadb(bytes, size, flags, error);

    if (made == NULL && json_error_code(error) == json_error_numeric_overflow) {
        struct text widened = {0};

        widen_integers(&widened, bytes, size);
        made = json_loadb(text_get(&widened), widened.size, flags, error);
        text_release(&widened);
    }
    return made;
}

int doc_parse(json_t **out, const char *bytes, size_t size, struct err *err)
{
    json_error_t error;
    int rc = check_depth(bytes, size, err);

    if (rc != 0) {
        return rc;
    }
    json_t *made = parse(bytes, size, &error);

    if (made == NULL) {
        bool no_memory = json_error_code(&error) == json_error_out_of_memory;

        return err_set(err, no_memory ? ERR_MEMORY : ERR_FORMAT, "line %d column %d: %s",
                       error.line, error.column, error.text);
    }
    *out = made;
    return 0;
}

int doc_load(json_t **out, const char *path, size_t size_max, struct err *err)
{
    struct file_bytes bytes = {0};
    int rc = file_read(&bytes, path, size_max, err);

    if (rc != 0) {
        return rc; /* it names the path already */
    }
    rc = doc_parse(out, bytes.data, bytes.size, err);
    if (rc != 0) {
        rc = err_wrap(err, "%s", path);
    }
    file_release(&bytes);
    return rc;
}

static void print_string(struct text *out, const char *s, size_t n)
{
    static const char short_forms[] = "btnvfr"; /* for 8 to 13; JSON has no \v */
    size_t plain = 0;                           /* start of what is not yet copied */

    text_add_char(out, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        text_add_n(out, s + plain, i - plain);
        plain = i + 1;
        if (c == '"' || c == '\\') {
            text_printf(out, "\\%c", c);
        } else if (c >= 8 && c <= 13 && c != 11) {
            text_printf(out, "\\%c", short_forms[c - 8]);
        } else {
            text_printf(out, "\\u%04x", c);
        }
    }
    text_add_n(out, s + plain, n - plain);
    text_add_char(out, '"');
}

/* jansson's iterators ask for a mutable object, but only read it. */
static json_t *mutable(const json_t *doc)
{
    return (json_t *)doc;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(json_object_iter_key(*(void *const *)a), json_object_iter_key(*(void *const *)b));
}

/* How deep to indent; CANONICAL: one line, keys sorted. */
#define CANONICAL (-1)

static void print_value(struct text *out, const json_t *doc, int indent);

static void print_break(struct text *out, int indent)
{
    if (indent != CANONICAL) {
        text_printf(out, "\n%*s", 2 * indent, "");
    }
}

static void print_members(struct text *out, json_t *object, void **members, int indent)
{
    size_t n = json_object_size(object);
    size_t i = 0;

    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        members[i++] = at;
    }
    assert(i == n);
    if (indent == CANONICAL) {
        qsort(members, n, sizeof *members, compare_keys);
    }
    int inner = indent == CANONICAL ? CANONICAL : indent + 1;

    for (i = 0; i < n; i++) {
        const char *key = json_object_iter_key(members[i]);

        text_add(out, i > 0 ? "," : "");
        print_break(out, inner);
        print_string(out, key, strlen(key));
        text_add(out, indent == CANONICAL ? ":" : ": ");
        print_value(out, json_object_iter_value(members[i]), inner);
    }
}

static void print_object(struct text *out, const json_t *object, int indent)
{
    size_t n = json_object_size(object);

    text_add_char(out, '{');
    if (n > 0) {
        void **members = mem_array(n, sizeof *members);

        print_members(out, mutable(object), members, indent);
        print_break(out, indent);
        free(members);
    }
    text_add_char(out, '}');
}

static void print_array(struct text *out, const json_t *array, int indent)
{
    size_t n = json_array_size(array);
    int inner = indent == CANONICAL ? CANONICAL : indent + 1;

    text_add_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        text_add(out, i > 0 ? "," : "");
        print_break(out, inner);
        print_value(out, json_array_get(array, i), inner);
    }
    if (n > 0) {
        print_break(out, indent);
    }
    text_add_char(out, ']');
}

static void print_value(struct text *out, const json_t *doc, int indent)
{
    switch (json_typeof(doc)) {
    case JSON_OBJECT:
        print_object(out, doc, indent);
        break;
    case JSON_ARRAY:
        print_array(out, doc, indent);
        break;
    case JSON_STRING:
        print_string(out, json_string_value(doc), json_string_length(doc));
        break;
    case JSON_INTEGER:
        text_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(doc));
        break;
    case JSON_REAL:
        text_add_double(out, json_real_value(doc), true);
        break;
    case JSON_TRUE:
        text_add(out, "true");
        break;
    case JSON_FALSE:
        text_add(out, "false");
        break;
    case JSON_NULL:
        text_add(out, "null");
        break;
    }
}

void doc_print(struct text *out, const json_t *doc)
{
    print_value(out, doc, CANONICAL);
}

void doc_print_pretty(struct text *out, const json_t *doc)
{
    print_value(out, doc, 0);
}

const char *doc_kind(const json_t *value)
{
    if (value == NULL) {
        return "nothing";
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    }
    return "nothing";
}

/* The member `key`, or *out = NULL when there is none. */
static int find(const json_t *object, const char *key, json_t **out, struct err *err)
{
    if (!json_is_object(object)) {
        return err_set(err, ERR_FORMAT, "expected an object with %s, got %s", key,
                       doc_kind(object));
    }
    *out = json_object_get(object, key);
    return 0;
}

/* The member `key`, which must be there. */
static int need(const json_t *object, const char *key, json_t **out, struct err *err)
{
    json_t *value = NULL;
    int rc = find(object, key, &value, err);

    if (rc != 0) {
        return rc;
    }
    if (value == NULL) {
        return err_set(err, ERR_MISSING, "%s: missing", key);
    }
    *out = value;
    return 0;
}

static int set_wrong_kind(struct err *err, const char *key, const char *expected,
                          const json_t *value)
{
    return err_set(err, ERR_FORMAT, "%s: expected %s, got %s", key, expected, doc_kind(value));
}

static int as_text(const json_t *value, const char *key, const char **out, struct err *err)
{
    if (!json_is_string(value)) {
        return set_wrong_kind(err, key, "a text", value);
    }
    *out = json_string_value(value);
    return 0;
}

static int as_number(const json_t *value, const char *key, double *out, struct err *err)
{
    if (!json_is_number(value)) {
        return set_wrong_kind(err, key, "a number", value);
    }
    *out = json_number_value(value);
    return 0;
}

static int as_integer(const json_t *value, const char *key, int64_t min, int64_t max, int64_t *out,
                      struct err *err)
{
    if (json_is_real(value)) {
        return err_set(err, ERR_FORMAT, "%s: expected a whole number, got %g", key,
                       json_real_value(value));
    }
    if (!json_is_integer(value)) {
        return set_wrong_kind(err, key, "a whole number", value);
    }
    int64_t number = json_integer_value(value);

    if (number < min || number > max) {
        return err_set(err, ERR_LIMIT, "%s: %" PRId64 " is outside %" PRId64 " to %" PRId64, key,
                       number, min, max);
    }
    *out = number;
    return 0;
}

int doc_text(const json_t *object, const char *key, const char **out, struct err *err)
{
    json_t *value = NULL;
    int rc = need(object, key, &value, err);

    return rc != 0 ? rc : as_text(value, key, out, err);
}

int doc_text_or(const json_t *object, const char *key, const char *fallback, const char **out,
                struct err *err)
{
    json_t *value = NULL;
    int rc = find(object, key, &value, err);

    if (rc == 0 && value == NULL) {
        *out = fallback;
        return 0;
    }
    return rc != 0 ? rc : as_text(value, key, out, err);
}

int doc_number(const json_t *object, const char *key, double *out, struct err *err)
{
    json_t *value = NULL;
    int rc = need(object, key, &value, err);

    return rc != 0 ? rc : as_number(value, key, out, err);
}

int doc_number_or(const json_t *object, const char *key, double fallback, double *out,
                  struct err *err)
{
    json_t *value = NULL;
    int rc = find(object, key, &value, err);

    if (rc == 0 && value == NULL) {
        *out = fallback;
        return 0;
    }
    return rc != 0 ? rc : as_number(value, key, out, err);
}

int doc_integer(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *out,
                struct err *err)
{
    json_t *value = NULL;
    int rc = need(object, key, &value, err);

    return rc != 0 ? rc : as_integer(value, key, min, max, out, err);
}

int doc_integer_or(const json_t *object, const char *key, int64_t min, int64_t max,
                   int64_t fallback, int64_t *out, struct err *err)
{
    json_t *value = NULL;
    int rc = find(object, key, &value, err);

    if (rc == 0 && value == NULL) {
        *out = fallback;
        return 0;
    }
    return rc != 0 ? rc : as_integer(value, key, min, max, out, err);
}

int doc_bool_or(const json_t *object, const char *key, bool fallback, bool *out, struct err *err)
{
    json_t *value = NULL;
    int rc = find(object, key, &value, err);

    if (rc != 0) {
        return rc;
    }
    if (value != NULL && !json_is_boolean(value)) {
        return set_wrong_kind(err, key, "true or false", value);
    }
    *out = value != NULL ? json_is_true(value) : fallback;
    return 0;
}

int doc_object(const json_t *object, const char *key, json_t **out, struct err *err)
{
    json_t *value = NULL;
    int rc = need(object, key, &value, err);

    if (rc != 0) {
        return rc;
    }
    if (!json_is_object(value)) {
        return set_wrong_kind(err, key, "an object", value);
    }
    *out = value;
    return 0;
}

int doc_array(const json_t *object, const char *key, json_t **out, struct err *err)
{
    json_t *value = NULL;
    int rc = need(object, key, &value, err);

    if (rc != 0) {
        return rc;
    }
    if (!json_is_array(value)) {
        return set_wrong_kind(err, key, "a list", value);
    }
    *out = value;
    return 0;
}

static bool is_known(const char *key, const char *const *known, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(key, known[i]) == 0) {
            return true;
        }
    }
    return false;
}

int doc_only(const json_t *object, const char *const *known, size_t n, struct err *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(object)) {
        return err_set(err, ERR_FORMAT, "expected an object, got %s", doc_kind(object));
    }
    json_object_foreach(mutable(object), key, value)
    {
        if (is_known(key, known, n)) {
            continue;
        }
        const char *nearest = text_nearest(key, known, n);

        return nearest != NULL
                   ? err_set(err, ERR_FORMAT, "%s: unknown key, did you mean %s?", key, nearest)
                   : err_set(err, ERR_FORMAT, "%s: unknown key", key);
    }
    return 0;
}

void doc_to_bits(char out[17], double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    snprintf(out, 17, "%016" PRIx64, bits);
}

int doc_from_bits(double *out, const char *hex, struct err *err)
{
    if (strspn(hex, "0123456789abcdefABCDEF") != 16 || hex[16] != '\0') {
        return err_set(err, ERR_FORMAT, "%.40s: expected 16 hex digits", hex);
    }
    uint64_t bits = strtoull(hex, NULL, 16);

    memcpy(out, &bits, sizeof bits);
    return 0;
}
