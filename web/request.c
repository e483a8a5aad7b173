/*
 * request.c - the head of an HTTP/1.1 request, read strictly.
 *
 *   PUT /v1/result/12/1?x=y HTTP/1.1 CRLF     request line: method, target, version
 *   host: 127.0.0.1:8471 CRLF                 at most 64 headers
 *   content-length: 812 CRLF
 *   CRLF                                      the empty line ends the head
 *
 * RFC 9110 and 9112 (2022) are the grammar; where they say MAY about something sloppy, we do not.
 * The bytes are cut up in place: separators become terminators, names become lower case.
 */
#include "web/request.h"

#include <string.h>

#include "base/text.h"

static const struct refusal accepted = {0, NULL};

static struct refusal refuse(int status, const char *why)
{
    return (struct refusal){status, why};
}

/* tchar of RFC 9110, 5.6.2. */
static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t request_head_size(const char *bytes, size_t n, size_t *scanned)
{
    /* An empty line may end in a bare line feed here: the parser refuses it, which beats waiting
     * for more. */
    for (size_t i = *scanned; i < n; i++) {
        bool after_line = i >= 1 && (bytes[i - 1] == '\n' ||
                                     (i >= 2 && bytes[i - 1] == '\r' && bytes[i - 2] == '\n'));

        if (bytes[i] == '\n' && after_line) {
            *scanned = i;
            return i + 1;
        }
    }
    *scanned = n;
    return 0;
}

/* Cut the next line off [*at, end) at its CRLF; NULL when a line ends otherwise or holds a NUL. */
static char *next_line(char **at, char *end)
{
    char *line = *at;
    char *feed = memchr(line, '\n', (size_t)(end - line));

    if (feed == NULL || feed == line || feed[-1] != '\r') {
        return NULL;
    }
    feed[-1] = '\0';
    *at = feed + 1;
    return strlen(line) == (size_t)(feed - 1 - line) ? line : NULL;
}

static struct refusal read_method(enum request_method *out, const char *name)
{
    static const enum request_method known[] = {REQUEST_GET, REQUEST_HEAD, REQUEST_POST,
                                                REQUEST_PUT, REQUEST_DELETE};

    if (name[0] == '\0') {
        return refuse(400, "the request line has no method");
    }
    for (const char *c = name; *c != '\0'; c++) {
        if (!is_token_char(*c)) {
            return refuse(400, "the method has a character that does not belong there");
        }
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(name, request_method_name(known[i])) == 0) {
            *out = known[i];
            return accepted;
        }
    }
    return refuse(501, "this method is not known here");
}

/* Decode %XX in place; false on a malformed escape or a decoded '/' or control character. */
static bool decode_in_place(char *text, bool is_path)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; from++) {
        char c = *from;

        if (c == '%') {
            int high = hex_value(from[1]);
            int low = high < 0 ? -1 : hex_value(from[2]);

            if (low < 0) {
                return false;
            }
            c = (char)(high * 16 + low);
            if (is_control((unsigned char)c) || (is_path && c == '/')) {
                return false;
            }
            from += 2;
        } else if (c == '+' && !is_path) {
            c = ' ';
        }
        *to++ = c;
    }
    *to = '\0';
    return text_is_utf8(text, (size_t)(to - text), NULL);
}

static bool has_dot_segment(const char *path)
{
    for (const char *at = path; at != NULL; at = strchr(at + 1, '/')) {
        size_t n = strcspn(at + 1, "/");

        if ((n == 1 && at[1] == '.') || (n == 2 && at[1] == '.' && at[2] == '.')) {
            return true;
        }
    }
    return false;
}

static struct refusal read_target(struct request *out, char *target)
{
    if (target[0] != '/' || target[1] == '/') {
        return refuse(400, "the target must start with one '/'");
    }
    if (strlen(target) > REQUEST_TARGET_MAX) {
        return refuse(400, "the target is longer than 4096 bytes");
    }
    for (const char *c = target; *c != '\0'; c++) {
        if (is_control((unsigned char)*c) || (unsigned char)*c >= 0x80 || *c == '#' || *c == '\\') {
            return refuse(400, "the target has a character that must be escaped");
        }
    }
    char *mark = strchr(target, '?');
    out->query = "";
    if (mark != NULL) {
        *mark = '\0';
        out->query = mark + 1;
    }
    if (!decode_in_place(target, true)) {
        return refuse(400, "the path has an escape that is malformed or not allowed");
    }
    if (has_dot_segment(target)) {
        return refuse(400, "the path has a '.' or '..' segment");
    }
    out->path = target;
    return accepted;
}

/* "METHOD target HTTP/1.x", exactly two spaces. */
static struct refusal read_request_line(struct request *out, char *line)
{
    char *target = strchr(line, ' ');
    char *version = target != NULL ? strchr(target + 1, ' ') : NULL;

    if (version == NULL) {
        return refuse(400, "the request line is not 'METHOD target HTTP/1.1'");
    }
    *target++ = '\0';
    *version++ = '\0';
    struct refusal refusal = read_method(&out->method, line);
    if (refusal.status != 0) {
        return refusal;
    }
    if (strncmp(version, "HTTP/", 5) != 0) {
        return refuse(400, "the request line does not end in an HTTP version");
    }
    if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0) {
        return refuse(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    }
    out->keep_alive = strcmp(version, "HTTP/1.1") == 0;
    return read_target(out, target);
}

static struct refusal read_header(struct request *out, char *line)
{
    if (line[0] == ' ' || line[0] == '\t') {
        return refuse(400, "a header is folded over two lines");
    }
    if (out->n_headers == REQUEST_HEADERS_MAX) {
        return refuse(400, "more than 64 headers");
    }
    char *c = line;
    for (; is_token_char(*c); c++) {
        *c = lower(*c);
    }
    if (c == line || *c != ':') {
        return refuse(400, "a header's name is malformed");
    }
    *c = '\0';
    char *value = c + 1 + strspn(c + 1, " \t");
    size_t n = strlen(value);
    while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t')) {
        value[--n] = '\0';
    }
    for (const char *v = value; *v != '\0'; v++) {
        if (is_control((unsigned char)*v) && *v != '\t') {
            return refuse(400, "a header has a control character");
        }
    }
    out->headers[out->n_headers++] = (struct request_header){line, value};
    return accepted;
}

/* Digits only, and few enough that they fit. */
static bool read_length(int64_t *out, const char *text)
{
    size_t n = strlen(text);

    if (n == 0 || n > 18 || strspn(text, "0123456789") != n) {
        return false;
    }
    int64_t value = 0;
    for (const char *c = text; *c != '\0'; c++) {
        value = value * 10 + (*c - '0');
    }
    *out = value;
    return true;
}

/* How long the body is: one well-formed length or none, and only where a body belongs. */
static struct refusal read_framing(struct request *out)
{
    size_t lengths = request_header_count(out, "content-length");
    bool wants_body = out->method == REQUEST_POST || out->method == REQUEST_PUT;

    if (lengths > 1) {
        return refuse(400, "more than one Content-Length");
    }
    if (request_header_count(out, "transfer-encoding") > 0) {
        return lengths == 0 && wants_body
                   ? refuse(411, "a body needs a Content-Length; Transfer-Encoding is not spoken")
                   : refuse(400, "Transfer-Encoding is not spoken here");
    }
    if (lengths == 0) {
        return wants_body ? refuse(411, "a body needs a Content-Length") : accepted;
    }
    if (!read_length(&out->body_size, request_header(out, "content-length"))) {
        return refuse(400, "the Content-Length is not a plain number");
    }
    if (out->body_size > 0 && !wants_body) {
        return refuse(400, "this method takes no body");
    }
    return accepted;
}

/* Is word one of the comma-separated tokens of a header, in any case? */
static bool lists(const char *value, const char *word)
{
    size_t n = strlen(word);

    while (*value != '\0') {
        value += strspn(value, ", \t");
        size_t length = strcspn(value, ", \t");
        size_t same = 0;
        while (same < length && same < n && lower(value[same]) == word[same]) {
            same++;
        }
        if (same == length && same == n) {
            return true;
        }
        value += length;
    }
    return false;
}

static struct refusal read_connection(struct request *out)
{
    const char *expect = request_header(out, "expect");

    for (size_t i = 0; i < out->n_headers; i++) {
        if (strcmp(out->headers[i].name, "connection") == 0 &&
            lists(out->headers[i].value, "close")) {
            out->keep_alive = false;
        }
    }
    if (request_header_count(out, "expect") == 0) {
        return accepted;
    }
    if (expect == NULL || !lists(expect, "100-continue")) {
        return refuse(417, "only 'Expect: 100-continue' is known here");
    }
    out->expects_continue = true;
    return accepted;
}

struct refusal request_parse(struct request *out, char *bytes, size_t n)
{
    struct request made = {0};
    char *at = bytes;
    char *end = bytes + n;

    if (n > REQUEST_HEAD_MAX) {
        return refuse(400, "the head is larger than 16 KiB");
    }
    char *line = next_line(&at, end);
    if (line == NULL) {
        return refuse(400, "a line does not end in CR LF, or holds a NUL");
    }
    struct refusal refusal = read_request_line(&made, line);
    while (refusal.status == 0) {
        line = next_line(&at, end);
        if (line == NULL) {
            return refuse(400, "a line does not end in CR LF, or holds a NUL");
        }
        if (line[0] == '\0') {
            break;
        }
        refusal = read_header(&made, line);
    }
    if (refusal.status == 0) {
        refusal = read_framing(&made);
    }
    if (refusal.status == 0) {
        refusal = read_connection(&made);
    }
    if (refusal.status == 0) {
        *out = made;
    }
    return refusal;
}

size_t request_header_count(const struct request *request, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < request->n_headers; i++) {
        count += strcmp(request->headers[i].name, name) == 0;
    }
    return count;
}

const char *request_header(const struct request *request, const char *name)
{
    const char *value = NULL;

    for (size_t i = 0; i < request->n_headers; i++) {
        if (strcmp(request->headers[i].name, name) == 0) {
            if (value != NULL) {
                return NULL;
            }
            value = request->headers[i].value;
        }
    }
    return value;
}

bool request_query(const struct request *request, const char *name, char *out, size_t size)
{
    size_t n = strlen(name);

    for (const char *at = request->query; *at != '\0';) {
        size_t length = strcspn(at, "&");

        if (length > n && strncmp(at, name, n) == 0 && at[n] == '=') {
            size_t value_size = length - n - 1;

            if (value_size >= size) {
                return false;
            }
            memcpy(out, at + n + 1, value_size);
            out[value_size] = '\0';
            return decode_in_place(out, false);
        }
        at += length + (at[length] == '&');
    }
    return false;
}

const char *request_method_name(enum request_method method)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE"};

    return names[method];
}
