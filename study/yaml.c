/*
 * yaml.c - a document from libyaml's events.
 *
 * libyaml's own tree builder lets keys repeat and shares nodes behind aliases, even in loops; its
 * events carry no such surprises, and each has a line and a column.
 *
 * Its scanner takes time quadratic in the depth of brackets. It runs ahead of the events only as
 * far as an implicit key could reach, 1024 characters, so refusing depth where the events arrive
 * keeps a megabyte of brackets at a millisecond.
 */
#include "study/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/file.h"

/* --- what a plain scalar means --- */

enum scalar_kind { SCALAR_TEXT, SCALAR_NULL, SCALAR_BOOL, SCALAR_INTEGER, SCALAR_REAL };

static bool is_one_of(const char *word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(word, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static size_t skip_sign(const char *s)
{
    return *s == '+' || *s == '-';
}

/* [-+]?[0-9]+ | 0o[0-7]+ | 0x[0-9a-fA-F]+ */
static bool looks_like_integer(const char *s)
{
    const char *digits = "0123456789";

    if (s[0] == '0' && (s[1] == 'o' || s[1] == 'x')) {
        digits = s[1] == 'o' ? "01234567" : "0123456789abcdefABCDEF";
        s += 2;
    } else {
        s += skip_sign(s);
    }
    size_t n = strspn(s, digits);

    return n > 0 && s[n] == '\0';
}

/* [-+]? ( \.[0-9]+ | [0-9]+ (\.[0-9]*)? ) ([eE][-+]?[0-9]+)? | [-+]?\.inf | \.nan */
static bool looks_like_real(const char *s)
{
    static const char *const specials[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"};

    s += skip_sign(s);
    if (is_one_of(s, specials, sizeof specials / sizeof *specials)) {
        return true;
    }
    size_t whole = strspn(s, "0123456789");

    s += whole;
    if (*s == '.') {
        size_t fraction = strspn(s + 1, "0123456789");

        if (whole + fraction == 0) {
            return false;
        }
        s += 1 + fraction;
    } else if (whole == 0) {
        return false;
    }
    if (*s == 'e' || *s == 'E') {
        s += 1 + skip_sign(s + 1);
        size_t exponent = strspn(s, "0123456789");

        return exponent > 0 && s[exponent] == '\0';
    }
    return *s == '\0';
}

static enum scalar_kind kind_of_plain(const char *s)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE"};

    if (is_one_of(s, nulls, sizeof nulls / sizeof *nulls)) {
        return SCALAR_NULL;
    }
    if (is_one_of(s, bools, sizeof bools / sizeof *bools)) {
        return SCALAR_BOOL;
    }
    if (looks_like_integer(s)) {
        return SCALAR_INTEGER;
    }
    return looks_like_real(s) ? SCALAR_REAL : SCALAR_TEXT;
}

/* --- reading --- */

struct reader {
    yaml_parser_t parser;
    const char *bytes; /* the input, to find the line of a byte */
    struct err *err;
};

static int refuse(struct reader *reader, enum err_code code, yaml_mark_t mark, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));

static int refuse(struct reader *reader, enum err_code code, yaml_mark_t mark, const char *format,
                  ...)
{
    char what[ERR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return err_set(reader->err, code, "line %zu column %zu: %s", mark.line + 1, mark.column + 1,
                   what);
}

/* Where a byte stands, for errors below the level of lines. */
static yaml_mark_t mark_at(const char *bytes, size_t offset)
{
    yaml_mark_t mark = {.index = offset};

    for (size_t i = 0; i < offset; i++) {
        bool starts_character = ((unsigned char)bytes[i] & 0xC0) != 0x80;

        mark.line += bytes[i] == '\n';
        mark.column = bytes[i] == '\n' ? 0 : mark.column + starts_character;
    }
    return mark;
}

/* The next event, which the caller deletes. */
static int next_event(struct reader *reader, yaml_event_t *event)
{
    yaml_parser_t *parser = &reader->parser;

    if (yaml_parser_parse(parser, event) == 1) {
        return 0;
    }
    if (parser->error == YAML_MEMORY_ERROR) {
        return refuse(reader, ERR_MEMORY, parser->mark, "no memory");
    }
    yaml_mark_t mark = parser->error == YAML_READER_ERROR
                           ? mark_at(reader->bytes, parser->problem_offset)
                           : parser->problem_mark;

    return refuse(reader, ERR_FORMAT, mark, "%s",
                  parser->problem != NULL ? parser->problem : "malformed");
}

static int refuse_anchor(struct reader *reader, const yaml_event_t *event)
{
    return refuse(reader, ERR_FORMAT, event->start_mark, "anchors and aliases are not accepted");
}

/* The kind that a core tag asks for; false for any other tag. No tag: as the scalar looks. */
static bool kind_of_tag(const char *tag, enum scalar_kind *kind)
{
    static const struct {
        const char *tag;
        enum scalar_kind kind;
    } core[] = {
        {"!", SCALAR_TEXT},           {YAML_STR_TAG, SCALAR_TEXT},    {YAML_NULL_TAG, SCALAR_NULL},
        {YAML_BOOL_TAG, SCALAR_BOOL}, {YAML_INT_TAG, SCALAR_INTEGER}, {YAML_FLOAT_TAG, SCALAR_REAL},
    };

    for (size_t i = 0; i < sizeof core / sizeof *core; i++) {
        if (strcmp(tag, core[i].tag) == 0) {
            *kind = core[i].kind;
            return true;
        }
    }
    return false;
}

static int build_integer(struct reader *reader, json_t **out, const yaml_event_t *event,
                         const char *value)
{
    int base = strncmp(value, "0x", 2) == 0 ? 16 : strncmp(value, "0o", 2) == 0 ? 8 : 10;

    errno = 0;
    long long number = strtoll(base == 10 ? value : value + 2, NULL, base);

    if (errno == ERANGE) {
        return refuse(reader, ERR_LIMIT, event->start_mark, "%s: does not fit 64 bits", value);
    }
    *out = json_integer(number);
    return 0;
}

static int build_real(struct reader *reader, json_t **out, const yaml_event_t *event,
                      const char *value)
{
    /* strtod knows no ".inf" and reads nothing there; a number out of range it makes infinite. */
    char *end;
    double number = strtod(value, &end);

    if (*end != '\0' || !isfinite(number)) {
        return refuse(reader, ERR_FORMAT, event->start_mark, "%s: not a finite number", value);
    }
    *out = json_real(number);
    return 0;
}

static int build_text(struct reader *reader, json_t **out, const yaml_event_t *event)
{
    size_t size = event->data.scalar.length;
    const char *value = (const char *)event->data.scalar.value;

    if (memchr(value, '\0', size) != NULL) {
        return refuse(reader, ERR_FORMAT, event->start_mark, "a zero byte in a text");
    }
    *out = json_stringn(value, size);
    return 0;
}

/* Which of the kinds this scalar is, by its tag if it has one, else by its looks. */
static int find_kind(struct reader *reader, enum scalar_kind *kind, const yaml_event_t *event)
{
    const char *tag = (const char *)event->data.scalar.tag;
    const char *value = (const char *)event->data.scalar.value;
    enum scalar_kind looks = kind_of_plain(value);

    if (tag == NULL) {
        *kind = event->data.scalar.plain_implicit ? looks : SCALAR_TEXT;
        return 0;
    }
    if (!kind_of_tag(tag, kind)) {
        return refuse(reader, ERR_FORMAT, event->start_mark, "%s: unknown tag", tag);
    }
    bool widens = *kind == SCALAR_REAL && looks == SCALAR_INTEGER && looks_like_real(value);
    bool fits = *kind == SCALAR_TEXT || *kind == looks || widens;

    return fits ? 0 : refuse(reader, ERR_FORMAT, event->start_mark, "%s: not a %s", value, tag);
}

static int build_scalar(struct reader *reader, json_t **out, const yaml_event_t *event)
{
    const char *value = (const char *)event->data.scalar.value;
    enum scalar_kind kind = SCALAR_TEXT;
    int rc = find_kind(reader, &kind, event);

    if (rc != 0) {
        return rc;
    }
    switch (kind) {
    case SCALAR_NULL:
        *out = json_null();
        return 0;
    case SCALAR_BOOL:
        *out = json_boolean(value[0] == 't' || value[0] == 'T');
        return 0;
    case SCALAR_INTEGER:
        return build_integer(reader, out, event, value);
    case SCALAR_REAL:
        return build_real(reader, out, event, value);
    case SCALAR_TEXT:
        break;
    }
    return build_text(reader, out, event);
}

static int build_node(struct reader *reader, json_t **out, const yaml_event_t *event, size_t depth);

/* The next event, built into a node: *out stays NULL when the event is `end`. */
static int build_next(struct reader *reader, json_t **out, yaml_event_type_t end, size_t depth)
{
    yaml_event_t event;
    int rc = next_event(reader, &event);

    if (rc != 0) {
        return rc;
    }
    if (event.type != end) {
        rc = build_node(reader, out, &event, depth);
    }
    yaml_event_delete(&event);
    return rc;
}

static int build_list(struct reader *reader, json_t *list, size_t depth)
{
    for (;;) {
        json_t *item = NULL;
        int rc = build_next(reader, &item, YAML_SEQUENCE_END_EVENT, depth);

        if (rc != 0 || item == NULL) {
            return rc;
        }
        if (json_array_append_new(list, item) != 0) {
            return refuse(reader, ERR_MEMORY, reader->parser.mark, "no memory");
        }
    }
}

/* A key as a text; scalars only, and untyped, for 1 and "1" are the same key. */
static int build_key(struct reader *reader, json_t **out, const yaml_event_t *event)
{
    if (event->type != YAML_SCALAR_EVENT || event->data.scalar.tag != NULL) {
        return refuse(reader, ERR_FORMAT, event->start_mark, "a key must be a text");
    }
    if (event->data.scalar.anchor != NULL) {
        return refuse_anchor(reader, event);
    }
    if (event->data.scalar.length > YAML_KEY_MAX) {
        return refuse(reader, ERR_LIMIT, event->start_mark, "a key longer than %d bytes",
                      YAML_KEY_MAX);
    }
    return build_text(reader, out, event);
}

/* One member, whose key's event has been read. */
static int build_member(struct reader *reader, json_t *object, const yaml_event_t *event,
                        size_t depth)
{
    json_t *key = NULL;
    json_t *value = NULL;
    int rc = build_key(reader, &key, event);

    if (rc != 0) {
        return rc;
    }
    const char *name = json_string_value(key);

    if (json_object_get(object, name) != NULL) {
        rc = refuse(reader, ERR_FORMAT, event->start_mark, "%s: this key is there twice", name);
        goto out;
    }
    rc = build_next(reader, &value, YAML_NO_EVENT, depth);
    if (rc == 0 && json_object_set_new(object, name, value) != 0) {
        rc = refuse(reader, ERR_MEMORY, event->start_mark, "no memory");
    }

out:
    json_decref(key);
    return rc;
}

static int build_object(struct reader *reader, json_t *object, size_t depth)
{
    int rc = 0;
    bool at_end = false;

    while (rc == 0 && !at_end) {
        yaml_event_t event;

        rc = next_event(reader, &event);
        if (rc != 0) {
            return rc;
        }
        at_end = event.type == YAML_MAPPING_END_EVENT;
        if (!at_end) {
            rc = build_member(reader, object, &event, depth);
        }
        yaml_event_delete(&event);
    }
    return rc;
}

/* The start of a list or an object: its one core tag or none, and no anchor. */
static int check_start(struct reader *reader, const yaml_event_t *event, const yaml_char_t *anchor,
                       const yaml_char_t *tag, const char *core)
{
    if (anchor != NULL) {
        return refuse_anchor(reader, event);
    }
    if (tag != NULL && strcmp((const char *)tag, core) != 0 &&
        strcmp((const char *)tag, "!") != 0) {
        return refuse(reader, ERR_FORMAT, event->start_mark, "%s: unknown tag", (const char *)tag);
    }
    return 0;
}

/* The node that starts with this event, `depth` lists and objects down. */
static int build_node(struct reader *reader, json_t **out, const yaml_event_t *event, size_t depth)
{
    json_t *made = NULL;
    int rc = 0;

    if (event->type != YAML_SCALAR_EVENT && depth == YAML_DEPTH_MAX) {
        return refuse(reader, ERR_LIMIT, event->start_mark, "nested deeper than %d",
                      YAML_DEPTH_MAX);
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        rc = event->data.scalar.anchor != NULL ? refuse_anchor(reader, event)
                                               : build_scalar(reader, &made, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        rc = check_start(reader, event, event->data.sequence_start.anchor,
                         event->data.sequence_start.tag, YAML_SEQ_TAG);
        made = json_array();
        if (rc == 0 && made != NULL) {
            rc = build_list(reader, made, depth + 1);
        }
        break;
    case YAML_MAPPING_START_EVENT:
        rc = check_start(reader, event, event->data.mapping_start.anchor,
                         event->data.mapping_start.tag, YAML_MAP_TAG);
        made = json_object();
        if (rc == 0 && made != NULL) {
            rc = build_object(reader, made, depth + 1);
        }
        break;
    default: /* libyaml's grammar leaves only this one */
        rc = refuse_anchor(reader, event);
    }
    if (rc == 0 && made == NULL) {
        rc = refuse(reader, ERR_MEMORY, event->start_mark, "no memory");
    }
    if (rc != 0) {
        json_decref(made);
        return rc;
    }
    *out = made;
    return 0;
}

/* stream start, { document start, node, document end }, stream end; one document at most. */
static int build_stream(struct reader *reader, json_t **out)
{
    yaml_event_type_t type = YAML_NO_EVENT;
    int rc = 0;

    while (rc == 0 && type != YAML_STREAM_END_EVENT) {
        yaml_event_t event;

        rc = next_event(reader, &event);
        if (rc != 0) {
            return rc;
        }
        type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT) {
            rc = *out != NULL
                     ? refuse(reader, ERR_FORMAT, event.start_mark, "a second document starts here")
                     : build_next(reader, out, YAML_NO_EVENT, 0);
        }
        yaml_event_delete(&event);
    }
    if (rc == 0 && *out == NULL) {
        *out = json_null();
    }
    return rc;
}

int yaml_parse(json_t **out, const char *bytes, size_t size, struct err *err)
{
    struct reader reader = {.bytes = bytes, .err = err};
    json_t *made = NULL;

    if (size > YAML_SIZE_MAX) {
        return err_set(err, ERR_LIMIT, "%zu bytes, more than %zu", size, YAML_SIZE_MAX);
    }
    if (yaml_parser_initialize(&reader.parser) != 1) {
        return err_set(err, ERR_MEMORY, "no memory to read YAML");
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)bytes, size);

    int rc = build_stream(&reader, &made);

    yaml_parser_delete(&reader.parser);
    if (rc != 0) {
        json_decref(made);
        return rc;
    }
    *out = made;
    return 0;
}

int yaml_load(json_t **out, const char *path, struct err *err)
{
    struct file_bytes bytes = {0};
    int rc = file_read(&bytes, path, YAML_SIZE_MAX, err);

    if (rc != 0) {
        return rc; /* it names the path already */
    }
    rc = yaml_parse(out, bytes.data, bytes.size, err);
    if (rc != 0) {
        rc = err_wrap(err, "%s", path);
    }
    file_release(&bytes);
    return rc;
}
