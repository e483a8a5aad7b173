/*
 * http_client.h - one request and its answer over a kept connection, with a deadline.
 *
 * HTTP/1.1 to a server of ours, on a plain blocking-style socket (non-blocking inside, waited on
 * with poll): answers carry a Content-Length or have no body; anything else is not our server and
 * is ERR_FORMAT.
 */
#ifndef WEB_HTTP_CLIENT_H
#define WEB_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

struct http_client;

/* url: "http://HOST:PORT", nothing after it (ERR_FORMAT). The token goes into every request. Does
 * not connect yet. */
int http_client_open(struct http_client **out, const char *url, const char *token, struct err *err);
void http_client_close(struct http_client *client);

const char *http_client_url(const struct http_client *client);
bool http_client_is_loopback(const struct http_client *client);

struct http_call {
    const char *method, *path;
    const struct text *body;        /* NULL: none */
    size_t reply_max;               /* bytes of the answer's body */
    int64_t limit_ms;               /* from connecting to the answer's last byte */
    bool (*stopped)(void *context); /* asked ten times a second; true ends the call. NULL: never */
    void *context;
};

struct http_reply {
    int status;
    struct text body;
};

/*
 * Connects when needed. A kept connection that turns out to be closed is replaced once, at once:
 * the server may have let it go between two requests. ERR_IO: no answer (out says nothing);
 * ERR_FORMAT, ERR_LIMIT: not an answer of ours.
 */
int http_client_call(struct http_client *client, const struct http_call *call,
                     struct http_reply *out, struct err *err);
void http_reply_release(struct http_reply *reply);

/* CLOCK_BOOTTIME in milliseconds, by which limits are kept. */
int64_t http_client_now_ms(void);

#endif
