/*
 * http_client.c - one request and its answer over a kept connection, with a deadline.
 *
 * Every wait is a poll with the time that is left, so nothing here blocks for longer than the
 * caller allows, whatever the other end does or leaves undone.
 */
#include "web/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "web/access.h"

#define SLICE_MS 100 /* how long stopped() may go unasked */
#define HEAD_MAX ((size_t)16 << 10)
#define READ_SIZE ((size_t)64 << 10)

struct http_client {
    char *url;
    char *host, *port;
    char *authority; /* "host:port", as the Host header has it */
    char *token;
    bool loopback;
    int fd; /* -1: not connected */
};

int64_t http_client_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the address ---- */

static int parse_url(struct http_client *client, const char *url, struct err *err)
{
    if (strncmp(url, "https://", 8) == 0) {
        return err_set(err, ERR_FORMAT,
                       "%s: this version speaks plain http only; use an ssh tunnel", url);
    }
    if (strncmp(url, "http://", 7) != 0) {
        return err_set(err, ERR_FORMAT, "%s: expected http://HOST:PORT", url);
    }
    const char *authority = url + 7;
    bool bracket = authority[0] == '[';
    const char *host_end = strchr(authority, bracket ? ']' : ':');
    const char *colon = host_end != NULL && bracket ? host_end + 1 : host_end;
    if (colon == NULL || *colon != ':') {
        return err_set(err, ERR_FORMAT, "%s: expected http://HOST:PORT", url);
    }
    size_t digits = strspn(colon + 1, "0123456789");
    const char *rest = colon + 1 + digits;
    if (digits == 0 || digits > 5 || (strcmp(rest, "") != 0 && strcmp(rest, "/") != 0)) {
        return err_set(err, ERR_FORMAT, "%s: expected http://HOST:PORT and nothing after it", url);
    }
    client->host = bracket ? mem_text_n(authority + 1, (size_t)(host_end - authority - 1))
                           : mem_text_n(authority, (size_t)(host_end - authority));
    client->port = mem_text_n(colon + 1, digits);
    client->authority = mem_text_n(authority, (size_t)(rest - authority));
    client->url = mem_printf("http://%s", client->authority);
    client->loopback = strcmp(client->host, "localhost") == 0 || access_is_loopback(client->host);
    return 0;
}

int http_client_open(struct http_client **out, const char *url, const char *token, struct err *err)
{
    struct http_client *client = mem_array(1, sizeof(*client));

    client->fd = -1;
    int rc = parse_url(client, url, err);
    if (rc != 0) {
        http_client_close(client);
        return rc;
    }
    client->token = mem_text(token);
    *out = client;
    return 0;
}

static void disconnect(struct http_client *client)
{
    if (client->fd >= 0) {
        close(client->fd);
        client->fd = -1;
    }
}

void http_client_close(struct http_client *client)
{
    if (client == NULL) {
        return;
    }
    disconnect(client);
    free(client->url);
    free(client->host);
    free(client->port);
    free(client->authority);
    free(client->token);
    free(client);
}

const char *http_client_url(const struct http_client *client)
{
    return client->url;
}

bool http_client_is_loopback(const struct http_client *client)
{
    return client->loopback;
}

/* ---- waiting ---- */

struct patience {
    const struct http_call *call;
    int64_t end_ms;
};

/* Wait until the socket is ready for events. ERR_IO: the time is up, or stopped() says so. */
static int wait_for(const struct http_client *client, const struct patience *patience, short events,
                    struct err *err)
{
    struct pollfd ready = {.fd = client->fd, .events = events};

    for (;;) {
        int64_t left = patience->end_ms - http_client_now_ms();

        if (left <= 0) {
            return err_set(err, ERR_IO, "%s: no answer within %lld ms", client->url,
                           (long long)patience->call->limit_ms);
        }
        if (patience->call->stopped != NULL && patience->call->stopped(patience->call->context)) {
            return err_set(err, ERR_IO, "%s: stopped while waiting for an answer", client->url);
        }
        bool sliced = patience->call->stopped != NULL && left > SLICE_MS;
        int n = poll(&ready, 1, sliced ? SLICE_MS : (int)left);
        if (n > 0) {
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            return err_set_errno(err, ERR_IO, "%s", client->url);
        }
    }
}

/* ---- connecting ---- */

static int connect_one(struct http_client *client, const struct addrinfo *address,
                       const struct patience *patience, struct err *err)
{
    const int on = 1;
    int trouble = 0;
    socklen_t size = sizeof(trouble);

    client->fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                        address->ai_protocol);
    if (client->fd < 0) {
        return err_set_errno(err, ERR_IO, "socket");
    }
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(client->fd, address->ai_addr, address->ai_addrlen) == 0) {
        return 0;
    }
    if (errno != EINPROGRESS) {
        return err_set_errno(err, ERR_IO, "%s: cannot connect", client->url);
    }
    int rc = wait_for(client, patience, POLLOUT, err);
    if (rc != 0) {
        return rc;
    }
    if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &trouble, &size) != 0 || trouble != 0) {
        errno = trouble;
        return err_set_errno(err, ERR_IO, "%s: cannot connect", client->url);
    }
    return 0;
}

static int connect_any(struct http_client *client, const struct patience *patience, struct err *err)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;

    int status = getaddrinfo(client->host, client->port, &hints, &found);
    if (status != 0) {
        return err_set(err, ERR_IO, "%s: %s", client->url, gai_strerror(status));
    }
    int rc = ERR_IO;
    for (const struct addrinfo *address = found; address != NULL && rc != 0;
         address = address->ai_next) {
        rc = connect_one(client, address, patience, err);
        if (rc != 0) {
            disconnect(client);
        }
    }
    freeaddrinfo(found);
    return rc;
}

/* ---- sending ---- */

static int send_all(struct http_client *client, const struct text *bytes,
                    const struct patience *patience, struct err *err)
{
    size_t sent = 0;

    while (sent < bytes->size) {
        ssize_t n = send(client->fd, bytes->data + sent, bytes->size - sent, MSG_NOSIGNAL);

        if (n >= 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN) {
            int rc = wait_for(client, patience, POLLOUT, err);

            if (rc != 0) {
                return rc;
            }
        } else if (errno != EINTR) {
            return err_set_errno(err, ERR_IO, "%s: cannot send", client->url);
        }
    }
    return 0;
}

static void print_call(struct text *out, const struct http_client *client,
                       const struct http_call *call)
{
    text_printf(out, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", call->method,
                call->path, client->authority, client->token);
    if (call->body != NULL) {
        text_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                    call->body->size);
        text_add_n(out, text_get(call->body), call->body->size);
    } else {
        text_add(out, "\r\n");
    }
}

/* ---- receiving ---- */

/* Append what has arrived; *ended: the other side has closed. */
static int receive(struct http_client *client, struct text *into, const struct patience *patience,
                   bool *ended, struct err *err)
{
    char bytes[READ_SIZE];

    *ended = false;
    for (;;) {
        ssize_t n = recv(client->fd, bytes, sizeof(bytes), 0);

        if (n > 0) {
            text_add_n(into, bytes, (size_t)n);
            return 0;
        }
        if (n == 0) {
            *ended = true;
            return 0;
        }
        if (errno == EAGAIN) {
            int rc = wait_for(client, patience, POLLIN, err);

            if (rc != 0) {
                return rc;
            }
        } else if (errno != EINTR) {
            return err_set_errno(err, ERR_IO, "%s: cannot receive", client->url);
        }
    }
}

struct reply_head {
    int status;
    size_t size; /* of the head, with its empty line */
    size_t body_size;
    bool closes;
};

/* The value of a header line if it is the one called name ("content-length:"), else NULL. */
static const char *header_value(const char *line, const char *name)
{
    size_t n = strlen(name);

    return strncasecmp(line, name, n) == 0 ? line + n + strspn(line + n, " \t") : NULL;
}

/* Read the head of an answer. text holds the whole head. */
static int parse_head(struct reply_head *out, const char *text, size_t size,
                      const struct http_client *client, struct err *err)
{
    bool sized = false;

    *out = (struct reply_head){.size = size};
    if (strncmp(text, "HTTP/1.", 7) != 0 || strspn(text + 9, "0123456789") != 3) {
        return err_set(err, ERR_FORMAT, "%s: what answers there does not speak HTTP/1",
                       client->url);
    }
    out->status = (int)strtol(text + 9, NULL, 10);
    out->closes = text[7] == '0';
    for (const char *line = strstr(text, "\r\n") + 2; line < text + size - 2;
         line = strstr(line, "\r\n") + 2) {
        const char *length = header_value(line, "content-length:");
        const char *connection = header_value(line, "connection:");

        if (length != NULL) {
            out->body_size = strtoull(length, NULL, 10);
            sized = true;
        }
        if (connection != NULL && strncasecmp(connection, "close", 5) == 0) {
            out->closes = true;
        }
        if (header_value(line, "transfer-encoding:") != NULL) {
            sized = false;
            break;
        }
    }
    if (!sized && out->status != 204 && out->status != 304 && out->status / 100 != 1) {
        return err_set(err, ERR_FORMAT,
                       "%s: an answer without a length; this is not a braid coordinator",
                       client->url);
    }
    return 0;
}

/* Receive until the head of the final answer (not a 100) is in bytes. */
static int receive_head(struct http_client *client, struct text *bytes, struct reply_head *head,
                        const struct patience *patience, bool *silent, struct err *err)
{
    for (;;) {
        const char *end = bytes->size > 0 ? strstr(bytes->data, "\r\n\r\n") : NULL;
        bool ended = false;

        if (end != NULL) {
            int rc = parse_head(head, bytes->data, (size_t)(end + 4 - bytes->data), client, err);

            if (rc != 0 || head->status / 100 != 1) {
                return rc;
            }
            memmove(bytes->data, bytes->data + head->size, bytes->size - head->size + 1);
            bytes->size -= head->size;
            continue;
        }
        if (bytes->size > HEAD_MAX) {
            return err_set(err, ERR_LIMIT, "%s: the head of the answer is larger than 16 KiB",
                           client->url);
        }
        int rc = receive(client, bytes, patience, &ended, err);
        if (rc != 0) {
            *silent = bytes->size == 0 && http_client_now_ms() < patience->end_ms;
            return rc;
        }
        if (ended) {
            *silent = bytes->size == 0;
            return err_set(err, ERR_IO, "%s: the connection was closed before an answer",
                           client->url);
        }
    }
}

static int receive_reply(struct http_client *client, struct http_reply *out,
                         const struct patience *patience, bool *silent, struct err *err)
{
    struct text bytes = {0};
    struct reply_head head = {0};
    bool ended = false;

    int rc = receive_head(client, &bytes, &head, patience, silent, err);
    if (rc == 0 && head.body_size > patience->call->reply_max) {
        rc = err_set(err, ERR_LIMIT, "%s: the answer is larger than %zu bytes", client->url,
                     patience->call->reply_max);
    }
    while (rc == 0 && bytes.size < head.size + head.body_size) {
        rc = receive(client, &bytes, patience, &ended, err);
        if (rc == 0 && ended) {
            rc = err_set(err, ERR_IO, "%s: the connection was closed in the middle of an answer",
                         client->url);
        }
    }
    if (rc == 0) {
        text_add_n(&out->body, bytes.data + head.size, head.body_size);
        out->status = head.status;
    }
    if (rc != 0 || head.closes) {
        disconnect(client);
    }
    text_release(&bytes);
    return rc;
}

/* One request on the connection at hand. *silent: the other side closed it without a byte of an
 * answer. */
static int exchange_once(struct http_client *client, const struct text *request,
                         struct http_reply *out, const struct patience *patience, bool *silent,
                         struct err *err)
{
    *silent = false;
    int rc = send_all(client, request, patience, err);
    if (rc != 0) {
        *silent = true;
        disconnect(client);
        return rc;
    }
    return receive_reply(client, out, patience, silent, err);
}

int http_client_call(struct http_client *client, const struct http_call *call,
                     struct http_reply *out, struct err *err)
{
    const struct patience patience = {call, http_client_now_ms() + call->limit_ms};
    struct text request = {0};
    bool kept = client->fd >= 0;
    bool silent = false;

    print_call(&request, client, call);
    int rc = kept ? 0 : connect_any(client, &patience, err);
    if (rc == 0) {
        rc = exchange_once(client, &request, out, &patience, &silent, err);
    }
    if (rc != 0 && kept && silent) {
        rc = connect_any(client, &patience, err);
        if (rc == 0) {
            rc = exchange_once(client, &request, out, &patience, &silent, err);
        }
    }
    text_release(&request);
    return rc;
}

void http_reply_release(struct http_reply *reply)
{
    text_release(&reply->body);
    *reply = (struct http_reply){0};
}
