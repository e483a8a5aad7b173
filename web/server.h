/*
 * server.h - the front door: connections, limits, the route table, answers.
 *
 * HTTP/1.1 on libevent's buffered sockets, one thread. Each connection carries one exchange at a
 * time: a request comes in (web/request.h reads it, web/access.h admits it), its route's handler is
 * called, and the handler answers now, later (a held exchange: long-polls) or bit by bit (a
 * stream).
 *
 * What is limited, and what happens then:
 *
 *   a head over 16 KiB, over 64 headers        400
 *   a body over the route's limit              413, before the body is read
 *   10 s to a complete request                 408, however busily the bytes drip; larger bodies
 * get 1 s a MiB more 75 s idle between requests                 closed 30 s without the peer taking
 * any bytes     closed 64 connections an address, 480 in all      newcomers must show the token
 * within 2 s, so workers get in: 503 512 connections                            the oldest newcomer
 * without a token makes room, else the new one is closed no descriptors left accepting pauses for
 * 200 ms
 */
#ifndef WEB_SERVER_H
#define WEB_SERVER_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "web/access.h"
#include "web/request.h"

struct server;
struct exchange; /* one request and its answer */

struct server_options {
    const char *listen;     /* "ADDR:PORT", "[V6]:PORT"; port 0 picks a free one */
    const char *token_file; /* see access_token_open; NULL: nothing that needs a token is allowed */
    const char *const
        *hosts; /* further names allowed in Host [n_hosts], at most ACCESS_HOSTS_MAX */
    size_t n_hosts;
    bool private_reading;    /* reading needs the token on loopback too */
    bool insecure_plaintext; /* listen beyond loopback although nothing is encrypted */
};

/*
 * Listen. ERR_CONFLICT: the port is in use (the line names address and port), or the address is not
 * loopback and insecure_plaintext is not set. The base is kept until server_close.
 */
int server_open(struct server **out, struct event_base *base, const struct server_options *options,
                struct err *err);

/* Close every connection; gone callbacks are called. NULL is harmless. */
void server_close(struct server *server);

/* "http://127.0.0.1:8471", with the port that was picked. Valid while the server lives. */
const char *server_url(const struct server *server);

/* The token, for the link that lets its owner in; "" when there is none. Valid while the server
 * lives. */
const char *server_token(const struct server *server);

/* How many connections are open. */
size_t server_connections(const struct server *server);

/*
 * One row a route. A segment of the path in braces takes any one segment: "/v1/lease/{id}/beat".
 * Rows of one path and different methods stand side by side; a method no row has is 405. HEAD is
 * answered by GET's row. handle is given the context of server_route.
 */
struct server_route {
    enum request_method method;
    const char *path;
    enum access_role role;
    size_t body_max; /* bytes */
    void (*handle)(struct exchange *exchange, void *context);
};

/* Add rows [n], kept until server_close. */
void server_route(struct server *server, const struct server_route *routes, size_t n,
                  void *context);

/* ---- what a handler reads ---- */

const struct request *exchange_request(const struct exchange *exchange);
/* The text of the i-th segment in braces. */
const char *exchange_segment(const struct exchange *exchange, size_t i);
/* The same as a number; false (and answered with 404) unless it is plain decimal. */
bool exchange_number(struct exchange *exchange, size_t i, uint64_t *out);
/* The body as a JSON object, a new reference; NULL (and answered with 400) when it is none. */
json_t *exchange_body(struct exchange *exchange);
/* A query parameter as a number in [min, max], or the fallback; false (and answered with 400) when
 * it is there but is none. */
bool exchange_query_integer(struct exchange *exchange, const char *name, int64_t min, int64_t max,
                            int64_t fallback, int64_t *out);

/* ---- how it answers: exactly one of these ---- */

/* doc's reference is taken. */
void exchange_reply(struct exchange *exchange, int status, json_t *doc);
/* {"error": line}; the line may be formatted. */
void exchange_refuse(struct exchange *exchange, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* {"error": err->text} with the status its code stands for: MISSING 404, CONFLICT 409, FORMAT 400,
 * LIMIT 413, else 500. */
void exchange_fail(struct exchange *exchange, const struct err *err);
/* Nothing but the status (204). */
void exchange_reply_empty(struct exchange *exchange, int status);
/* Any bytes, copied. headers: further lines, each ending in CR LF, or "". */
void exchange_reply_bytes(struct exchange *exchange, int status, const char *type,
                          const void *bytes, size_t n, const char *headers);

/*
 * Answer later: gone is called if the client leaves first (or the server closes), after which the
 * exchange must not be touched. A handler that returns without an answer must have called this.
 */
void exchange_hold(struct exchange *exchange,
                   void (*gone)(struct exchange *exchange, void *context), void *context);

/* Begin an endless answer of this type; more bytes follow by exchange_stream_add until the client
 * goes (gone is called). */
void exchange_stream(struct exchange *exchange, const char *type,
                     void (*gone)(struct exchange *exchange, void *context), void *context);
void exchange_stream_add(struct exchange *exchange, const char *bytes, size_t n);
/* Bytes that the client has not taken yet. */
size_t exchange_stream_backlog(const struct exchange *exchange);
/* Hang up; gone is not called. */
void exchange_stream_end(struct exchange *exchange);

#endif
