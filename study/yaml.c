/*
 * yaml.c - YAML to a document through libyaml's events.
 *
 * Events rather than libyaml's own tree: its loader lets duplicate keys pass and shares nodes
 * behind aliases. Deep flow nesting costs libyaml quadratic time, so brackets are counted before it
 * starts.
 */
#include "study/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/file.h"

/* More brackets open at once than the depth allows can only be refused; texts that hold brackets
 * are rare and never nest this deep. */
static int check_nesting(const char *bytes, size_t size, struct err *err)
{
    size_t depth = 0;
    size_t line = 1;

    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '[' || bytes[i] == '{') {
            if (++depth > 16 * YAML_DEPTH_MAX) {
                return err_set(err, ERR_LIMIT, "line %zu: nested too deep", line);
            }
        } else if ((bytes[i] == ']' || bytes[i] == '}') && depth > 0) {
            depth--;
        } else if (bytes[i] == '\n') {
            line++;
        }
    }
    return 0;
}

/* ---- scalars ---- */

static bool is_one_of(const char *s, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(s, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static const char *const null_words[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const true_words[] = {"true", "True", "TRUE", NULL};
static const char *const false_words[] = {"false", "False", "FALSE", NULL};

/* [-+]?[0-9]+ that fits 64 bits. */
static bool read_integer(const char *s, json_int_t *out)
{
    const char *digits = s + (*s == '-' || *s == '+');
    char *end;

    if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0') {
        return false;
    }
    errno = 0;
    long long value = strtoll(s, &end, 10);
    *out = value;
    return errno == 0;
}

/* [-+]?(digits[.digits]|.digits)([eE][-+]?digits)? */
static bool read_real(const char *s, double *out)
{
    const char *at = s + (*s == '-' || *s == '+');
    size_t whole = strspn(at, "0123456789");
    size_t part = 0;

    at += whole;
    if (*at == '.') {
        part = strspn(++at, "0123456789");
        at += part;
    }
    if (whole + part == 0) {
        return false;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '-' || *at == '+';
        size_t exponent = strspn(at, "0123456789");
        at += exponent;
        if (exponent == 0) {
            return false;
        }
    }
    *out = strtod(s, NULL);
    return *at == '\0' && isfinite(*out);
}

static json_t *plain_scalar(const char *s)
{
    json_int_t integer;
    double real;

    if (is_one_of(s, null_words)) {
        return json_null();
    }
    if (is_one_of(s, true_words)) {
        return json_true();
    }
    if (is_one_of(s, false_words)) {
        return json_false();
    }
    if (read_integer(s, &integer)) {
        return json_integer(integer);
    }
    if (read_real(s, &real)) {
        return json_real(real);
    }
    return json_string(s);
}

/* ---- events to a tree ---- */

struct reader {
    yaml_parser_t parser;
    size_t depth;
};

static int refuse(const yaml_mark_t *mark, struct err *err, enum err_code code, const char *what)
{
    return err_set(err, code, "line %zu: %s", mark->line + 1, what);
}

static int next_event(struct reader *reader, yaml_event_t *event, struct err *err)
{
    if (yaml_parser_parse(&reader->parser, event) == 0) {
        const yaml_parser_t *p = &reader->parser;
        size_t line = p->problem_mark.line != 0 ? p->problem_mark.line : p->context_mark.line;

        return err_set(err, ERR_FORMAT, "line %zu: %s", line + 1,
                       p->problem != NULL ? p->problem : "not YAML");
    }
    return 0;
}

static bool is_core_tag(const yaml_char_t *tag, const char *kind)
{
    return tag == NULL || strcmp((const char *)tag, kind) == 0 ||
           strcmp((const char *)tag, "!") == 0;
}

static int read_value(struct reader *reader, const yaml_event_t *event, json_t **out,
                      struct err *err);

static int read_scalar(const yaml_event_t *event, json_t **out, struct err *err)
{
    const char *s = (const char *)event->data.scalar.value;
    bool text =
        event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || event->data.scalar.tag != NULL;

    if (event->data.scalar.anchor != NULL) {
        return refuse(&event->start_mark, err, ERR_FORMAT, "anchors are not accepted");
    }
    if (!is_core_tag(event->data.scalar.tag, YAML_STR_TAG)) {
        return refuse(&event->start_mark, err, ERR_FORMAT, "tags are not accepted");
    }
    if (strlen(s) != event->data.scalar.length) {
        return refuse(&event->start_mark, err, ERR_FORMAT, "a zero byte inside a text");
    }
    *out = text ? json_string(s) : plain_scalar(s);
    return *out != NULL ? 0 : refuse(&event->start_mark, err, ERR_FORMAT, "not UTF-8");
}

static int read_list(struct reader *reader, json_t **out, struct err *err)
{
    json_t *list = json_array();
    int rc = 0;

    for (bool more = true; rc == 0 && more;) {
        yaml_event_t event;
        json_t *value = NULL;

        rc = next_event(reader, &event, err);
        if (rc != 0) {
            break;
        }
        more = event.type != YAML_SEQUENCE_END_EVENT;
        if (more) {
            rc = read_value(reader, &event, &value, err);
        }
        if (rc == 0 && more) {
            json_array_append_new(list, value);
        }
        yaml_event_delete(&event);
    }
    if (rc != 0) {
        json_decref(list);
        return rc;
    }
    *out = list;
    return 0;
}

/* One "key: value" whose key event has been read. */
static int read_member(struct reader *reader, const yaml_event_t *key, json_t *object,
                       struct err *err)
{
    yaml_event_t event;
    json_t *value = NULL;

    if (key->type != YAML_SCALAR_EVENT) {
        return refuse(&key->start_mark, err, ERR_FORMAT, "a key must be a plain word");
    }
    const char *name = (const char *)key->data.scalar.value;
    if (key->data.scalar.anchor != NULL || strlen(name) != key->data.scalar.length) {
        return refuse(&key->start_mark, err, ERR_FORMAT, "a key must be a plain word");
    }
    if (json_object_get(object, name) != NULL) {
        return err_set(err, ERR_FORMAT, "line %zu: '%s' appears twice", key->start_mark.line + 1,
                       name);
    }
    int rc = next_event(reader, &event, err);
    if (rc != 0) {
        return rc;
    }
    rc = read_value(reader, &event, &value, err);
    yaml_event_delete(&event);
    if (rc == 0 && json_object_set_new(object, name, value) != 0) {
        rc = refuse(&key->start_mark, err, ERR_FORMAT, "a key that is not UTF-8");
    }
    return rc;
}

static int read_mapping(struct reader *reader, json_t **out, struct err *err)
{
    json_t *object = json_object();
    int rc = 0;

    for (bool more = true; rc == 0 && more;) {
        yaml_event_t event;

        rc = next_event(reader, &event, err);
        if (rc != 0) {
            break;
        }
        more = event.type != YAML_MAPPING_END_EVENT;
        if (more) {
            rc = read_member(reader, &event, object, err);
        }
        yaml_event_delete(&event);
    }
    if (rc != 0) {
        json_decref(object);
        return rc;
    }
    *out = object;
    return 0;
}

static int read_value(struct reader *reader, const yaml_event_t *event, json_t **out,
                      struct err *err)
{
    int rc;

    if (reader->depth == YAML_DEPTH_MAX) {
        return refuse(&event->start_mark, err, ERR_LIMIT, "nested too deep");
    }
    reader->depth++;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        rc = read_scalar(event, out, err);
        break;
    case YAML_SEQUENCE_START_EVENT:
        rc = event->data.sequence_start.anchor != NULL ||
                     !is_core_tag(event->data.sequence_start.tag, YAML_SEQ_TAG)
                 ? refuse(&event->start_mark, err, ERR_FORMAT, "anchors and tags are not accepted")
                 : read_list(reader, out, err);
        break;
    case YAML_MAPPING_START_EVENT:
        rc = event->data.mapping_start.anchor != NULL ||
                     !is_core_tag(event->data.mapping_start.tag, YAML_MAP_TAG)
                 ? refuse(&event->start_mark, err, ERR_FORMAT, "anchors and tags are not accepted")
                 : read_mapping(reader, out, err);
        break;
    case YAML_ALIAS_EVENT:
        rc = refuse(&event->start_mark, err, ERR_FORMAT, "aliases are not accepted");
        break;
    default:
        rc = refuse(&event->start_mark, err, ERR_FORMAT, "a value is missing");
    }
    reader->depth--;
    return rc;
}

/* The events around the one document: stream start, document start, VALUE, document end, stream
 * end. */
static int read_stream(struct reader *reader, json_t **out, struct err *err)
{
    json_t *made = NULL;
    bool done = false;
    int rc = 0;

    while (rc == 0 && !done) {
        yaml_event_t event;

        rc = next_event(reader, &event, err);
        if (rc != 0) {
            break;
        }
        switch (event.type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        case YAML_DOCUMENT_START_EVENT:
            if (made != NULL) {
                rc = refuse(&event.start_mark, err, ERR_FORMAT, "more than one document");
            }
            break;
        case YAML_STREAM_END_EVENT:
            done = true;
            break;
        default:
            rc = read_value(reader, &event, &made, err);
        }
        yaml_event_delete(&event);
    }
    if (rc == 0 && made == NULL) {
        rc = err_set(err, ERR_FORMAT, "line 1: nothing there");
    }
    if (rc != 0) {
        json_decref(made);
        return rc;
    }
    *out = made;
    return 0;
}

int yaml_parse(json_t **out, const char *bytes, size_t size, struct err *err)
{
    struct reader reader = {0};
    int rc;

    if (size > YAML_SIZE_MAX) {
        return err_set(err, ERR_LIMIT, "%zu bytes are more than %zu", size, YAML_SIZE_MAX);
    }
    rc = check_nesting(bytes, size, err);
    if (rc != 0) {
        return rc;
    }
    if (yaml_parser_initialize(&reader.parser) == 0) {
        return err_set(err, ERR_MEMORY, "no memory for a YAML parser");
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)bytes, size);
    rc = read_stream(&reader, out, err);
    yaml_parser_delete(&reader.parser);
    return rc;
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

/* ---- printing ---- */

/* Would some YAML reader take this for anything but the text it is? */
static bool needs_quotes(const char *s)
{
    static const char *const words[] = {"y",    "n",     "yes",  "no", "on", "off",
                                        "true", "false", "null", "~",  NULL};
    char lower[8] = {0};

    if (*s == '\0' || strlen(s) > 200) {
        return true;
    }
    for (size_t i = 0; i < sizeof(lower) - 1 && s[i] != '\0'; i++) {
        lower[i] = (char)tolower((unsigned char)s[i]);
    }
    if (strlen(s) < sizeof(lower) && is_one_of(lower, words)) {
        return true;
    }
    /* Plain only when it starts with a letter or a path's dot or slash and holds nothing that YAML
     * reads. */
    if (!isalpha((unsigned char)*s) && *s != '/' && !(*s == '.' && (s[1] == '/' || s[1] == '.'))) {
        return true;
    }
    for (const char *at = s; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && strchr("_-./+", *at) == NULL) {
            return true;
        }
    }
    return false;
}

static void print_text(struct text *out, const char *s)
{
    if (!needs_quotes(s)) {
        text_add(out, s);
        return;
    }
    json_t *value = json_string(s);

    /* A JSON string is a double-quoted YAML scalar. */
    doc_print(out, value);
    json_decref(value);
}

static void print_block(struct text *out, const json_t *doc, int indent);

static void print_scalar(struct text *out, const json_t *doc)
{
    if (json_is_real(doc)) {
        text_add_double(out, json_real_value(doc), true);
    } else if (json_is_string(doc)) {
        print_text(out, json_string_value(doc));
    } else {
        doc_print(out, doc);
    }
}

static bool is_block(const json_t *doc)
{
    return (json_is_object(doc) && json_object_size(doc) > 0) ||
           (json_is_array(doc) && json_array_size(doc) > 0);
}

/* What follows "key:" or "-". */
static void print_after(struct text *out, const json_t *doc, int indent)
{
    if (is_block(doc)) {
        text_add_char(out, '\n');
        print_block(out, doc, indent + 2);
    } else {
        text_add_char(out, ' ');
        print_scalar(out, doc);
        text_add_char(out, '\n');
    }
}

static void print_block(struct text *out, const json_t *doc, int indent)
{
    const char *key;
    json_t *value;
    size_t i;

    if (json_is_object(doc)) {
        json_object_foreach((json_t *)doc, key, value)
        {
            text_printf(out, "%*s", indent, "");
            print_text(out, key);
            text_add_char(out, ':');
            print_after(out, value, indent);
        }
        return;
    }
    json_array_foreach(doc, i, value)
    {
        text_printf(out, "%*s-", indent, "");
        print_after(out, value, indent);
    }
}

void yaml_print(struct text *out, const json_t *doc)
{
    if (is_block(doc)) {
        print_block(out, doc, 0);
    } else {
        print_scalar(out, doc);
        text_add_char(out, '\n');
    }
}
