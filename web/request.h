/*
 * request.h - the head of an HTTP/1.1 request, read strictly.
 *
 * One parser, ours, decides what a request says; nothing behind it reads the bytes again, so there
 * are no two readings to play against each other. What RFC 9112 lets a server tolerate (bare line
 * feeds, folded lines, two lengths, spaces before a colon) is refused.
 *
 * Pure on bytes in memory: no socket, no allocation, no clock.
 */
#ifndef WEB_REQUEST_H
#define WEB_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_HEAD_MAX ((size_t)16 << 10) /* request line and headers together */
#define REQUEST_HEADERS_MAX 64
#define REQUEST_TARGET_MAX 4096

enum request_method { REQUEST_GET, REQUEST_HEAD, REQUEST_POST, REQUEST_PUT, REQUEST_DELETE };

struct request_header {
    const char *name; /* in lower case */
    const char *value;
};

struct request {
    enum request_method method;
    const char *
        path; /* decoded once; starts with one '/', no dot segments, no control characters, UTF-8 */
    const char *query; /* after the '?', as it came; "" when there is none */
    size_t n_headers;
    struct request_header headers[REQUEST_HEADERS_MAX];
    int64_t body_size; /* Content-Length; 0 when there is none */
    bool keep_alive;   /* the connection may carry another request */
    bool expects_continue;
};

/* Why a request is refused: an HTTP status and one line for a person. status 0: not refused. */
struct refusal {
    int status;
    const char *why;
};

/*
 * The size of the head that starts at bytes: up to and including the first empty line, 0 when it
 * has not arrived yet. *scanned says how far earlier calls have looked (start with 0), so that a
 * head that drips in is looked at once.
 */
size_t request_head_size(const char *bytes, size_t n, size_t *scanned);

/*
 * Read a head [n] in place; out points into it and is valid while it lives unchanged. What it may
 * be refused with: 400 malformed, 411 a body without a length, 501 unknown method, 505 not HTTP/1.0
 * or 1.1.
 */
struct refusal request_parse(struct request *out, char *bytes, size_t n);

/* The value of the only header called name (lower case); NULL when there is none or more than one.
 */
const char *request_header(const struct request *request, const char *name);
size_t request_header_count(const struct request *request, const char *name);

/*
 * The decoded value of a query parameter, into out [size]; false when it is absent, malformed or
 * too long. The first of several wins.
 */
bool request_query(const struct request *request, const char *name, char *out, size_t size);

/* "GET", "HEAD", ... */
const char *request_method_name(enum request_method method);

#endif
