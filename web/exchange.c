/*
 * exchange.c - what a handler reads from a request, and how it answers.
 *
 * Every answer carries the headers that keep a browser from doing more with it than we mean; none
 * says Access-Control-Allow-anything, so no page of another origin can read one.
 */
#include <assert.h>
#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/doc.h"
#include "base/mem.h"
#include "base/text.h"
#include "web/server_internal.h"

static const char safety_headers[] =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src "
    "'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n";

static const char type_json[] = "application/json";
static const char no_store[] = "Cache-Control: no-store\r\n";

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return "Other";
}

void exchange_clear(struct exchange *exchange)
{
    struct connection *connection = exchange->connection;

    free(exchange->head);
    free(exchange->body);
    *exchange = (struct exchange){.connection = connection};
}

/* ---- reading ---- */

const struct request *exchange_request(const struct exchange *exchange)
{
    return &exchange->request;
}

const char *exchange_segment(const struct exchange *exchange, size_t i)
{
    assert(i < SEGMENTS_MAX);
    return exchange->segments[i];
}

static bool parse_number(const char *text, uint64_t *out)
{
    size_t n = strlen(text);

    if (n == 0 || n > 18 || strspn(text, "0123456789") != n) {
        return false;
    }
    *out = strtoull(text, NULL, 10);
    return true;
}

bool exchange_number(struct exchange *exchange, size_t i, uint64_t *out)
{
    if (!parse_number(exchange_segment(exchange, i), out)) {
        exchange_refuse(exchange, 404, "'%s' is not a number", exchange_segment(exchange, i));
        return false;
    }
    return true;
}

json_t *exchange_body(struct exchange *exchange)
{
    json_t *doc = NULL;
    struct err err = {0};
    size_t size = (size_t)exchange->request.body_size;

    if (size == 0) {
        return json_object();
    }
    if (doc_parse(&doc, exchange->body, size, &err) != 0) {
        exchange_refuse(exchange, 400, "%s", err.text);
        return NULL;
    }
    if (!json_is_object(doc)) {
        json_decref(doc);
        exchange_refuse(exchange, 400, "expected a JSON object");
        return NULL;
    }
    return doc;
}

bool exchange_query_integer(struct exchange *exchange, const char *name, int64_t min, int64_t max,
                            int64_t fallback, int64_t *out)
{
    char text[24];
    uint64_t value;

    *out = fallback;
    if (!request_query(&exchange->request, name, text, sizeof(text))) {
        return true;
    }
    if (!parse_number(text, &value) || (int64_t)value < min || (int64_t)value > max) {
        exchange_refuse(exchange, 400, "%s: expected a number from %lld to %lld", name,
                        (long long)min, (long long)max);
        return false;
    }
    *out = (int64_t)value;
    return true;
}

/* ---- answering ---- */

static void add_head(struct evbuffer *output, int status, bool keep_alive, const char *headers)
{
    char date[64];
    time_t now = time(NULL);
    struct tm utc;

    gmtime_r(&now, &utc);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    evbuffer_add_printf(output, "HTTP/1.1 %d %s\r\nDate: %s\r\n%s%s%s", status, reason_of(status),
                        date, keep_alive ? "" : "Connection: close\r\n", safety_headers, headers);
}

/* The answer goes out; the client's leaving is no longer anybody's business. */
static struct connection *begin_answer(struct exchange *exchange)
{
    exchange->gone = NULL;
    return exchange->connection;
}

void exchange_reply_bytes(struct exchange *exchange, int status, const char *type,
                          const void *bytes, size_t n, const char *headers)
{
    struct connection *connection = begin_answer(exchange);
    struct evbuffer *output = bufferevent_get_output(connection->bev);

    add_head(output, status, exchange->request.keep_alive, headers);
    evbuffer_add_printf(output, "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n", type, n);
    if (exchange->request.method != REQUEST_HEAD) {
        evbuffer_add(output, bytes, n);
    }
    connection_answered(connection);
}

void exchange_reply_empty(struct exchange *exchange, int status)
{
    struct connection *connection = begin_answer(exchange);
    struct evbuffer *output = bufferevent_get_output(connection->bev);

    add_head(output, status, exchange->request.keep_alive, no_store);
    evbuffer_add_printf(output,
                        status == 204 || status == 304 ? "\r\n" : "Content-Length: 0\r\n\r\n");
    connection_answered(connection);
}

static void reply_doc(struct exchange *exchange, int status, json_t *doc, const char *headers)
{
    struct text body = {0};

    doc_print(&body, doc);
    text_add_char(&body, '\n');
    json_decref(doc);
    exchange_reply_bytes(exchange, status, type_json, body.data, body.size, headers);
    text_release(&body);
}

void exchange_reply(struct exchange *exchange, int status, json_t *doc)
{
    reply_doc(exchange, status, doc, no_store);
}

static json_t *error_doc(const char *line)
{
    json_t *text = json_string(line);

    return json_pack("{s:o}", "error",
                     text != NULL ? text : json_string("an error whose text is not UTF-8"));
}

void exchange_refuse(struct exchange *exchange, int status, const char *format, ...)
{
    struct err line = {0};
    va_list arguments;
    char text[ERR_TEXT_MAX];

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    err_set(&line, ERR_FORMAT, "%s", text); /* one line, whatever came in */
    reply_doc(exchange, status, error_doc(line.text),
              status == 503 ? "Retry-After: 1\r\nCache-Control: no-store\r\n" : no_store);
}

void exchange_fail(struct exchange *exchange, const struct err *err)
{
    int status = 500;

    if (err->code == ERR_MISSING) {
        status = 404;
    } else if (err->code == ERR_CONFLICT) {
        status = 409;
    } else if (err->code == ERR_FORMAT) {
        status = 400;
    } else if (err->code == ERR_LIMIT) {
        status = 413;
    }
    exchange_refuse(exchange, status, "%s", err->text);
}

void exchange_turn_away(struct exchange *exchange, struct refusal refusal, const char *headers)
{
    struct text lines = {0};

    text_add(&lines, no_store);
    text_add(&lines, headers);
    if (refusal.status == 401) {
        text_add(&lines, "WWW-Authenticate: Bearer\r\n");
    } else if (refusal.status == 503) {
        text_add(&lines, "Retry-After: 1\r\n");
    }
    reply_doc(exchange, refusal.status, error_doc(refusal.why), text_get(&lines));
    text_release(&lines);
}

void exchange_hold(struct exchange *exchange,
                   void (*gone)(struct exchange *exchange, void *context), void *context)
{
    exchange->gone = gone;
    exchange->gone_context = context;
}

void exchange_stream(struct exchange *exchange, const char *type,
                     void (*gone)(struct exchange *exchange, void *context), void *context)
{
    struct connection *connection = exchange->connection;
    struct evbuffer *output = bufferevent_get_output(connection->bev);

    exchange_hold(exchange, gone, context);
    connection->phase = PHASE_STREAMING;
    add_head(output, 200, false, no_store);
    evbuffer_add_printf(output, "Content-Type: %s\r\n\r\n", type);
}

void exchange_stream_add(struct exchange *exchange, const char *bytes, size_t n)
{
    evbuffer_add(bufferevent_get_output(exchange->connection->bev), bytes, n);
}

size_t exchange_stream_backlog(const struct exchange *exchange)
{
    return evbuffer_get_length(bufferevent_get_output(exchange->connection->bev));
}

void exchange_stream_end(struct exchange *exchange)
{
    exchange->gone = NULL;
    connection_end(exchange->connection);
}
