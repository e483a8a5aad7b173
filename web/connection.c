/*
 * connection.c - one connection: bytes that arrive advance it, a deadline ends its patience.
 *
 * The state machine is drawn in server_internal.h. The deadline is absolute: a timeout that every
 * byte resets can be outlived by one byte a second.
 */
#include <assert.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/text.h"
#include "web/server_internal.h"

#define REQUEST_MS 10000
#define BODY_FREE ((size_t)1 << 20) /* a body up to this has to arrive within REQUEST_MS too */
#define BODY_MIB_MS 1000
#define IDLE_MS 75000
#define PROBATION_MS 2000
#define LEAVE_MS 1000
#define WRITE_S 30
#define READ_AHEAD ((size_t)64 << 10)
#define UNREAD_MAX \
    ((size_t)1 << 20) /* answers the peer has not taken; no further request until it has */

/* ---- which row ---- */

/* Does path fit pattern? Segments in braces are copied out in order. */
static bool path_fits(const char *pattern, const char *path,
                      char segments[SEGMENTS_MAX][SEGMENT_SIZE])
{
    size_t taken = 0;

    while (*pattern != '\0' && *path != '\0') {
        if (*pattern != '{') {
            if (*pattern++ != *path++) {
                return false;
            }
            continue;
        }
        size_t n = strcspn(path, "/");
        if (n == 0 || n >= SEGMENT_SIZE || taken == SEGMENTS_MAX) {
            return false;
        }
        memcpy(segments[taken], path, n);
        segments[taken++][n] = '\0';
        path += n;
        pattern += strcspn(pattern, "}") + 1;
    }
    return *pattern == '\0' && *path == '\0';
}

/* Find the row; otherwise 404, or 405 with the methods that would do in allow. */
static struct refusal find_route(struct server *server, struct exchange *exchange,
                                 struct text *allow)
{
    enum request_method method = exchange->request.method;

    if (method == REQUEST_HEAD) {
        method = REQUEST_GET;
    }
    for (size_t t = 0; t < server->n_tables; t++) {
        const struct route_table *table = &server->tables[t];

        for (size_t i = 0; i < table->n; i++) {
            const struct server_route *route = &table->routes[i];

            if (!path_fits(route->path, exchange->request.path, exchange->segments)) {
                continue;
            }
            if (route->method == method) {
                exchange->route = route;
                exchange->context = table->context;
                return (struct refusal){0};
            }
            text_printf(allow, "%s%s%s",
                        allow->size > 0 ? ", " : "Allow: ", request_method_name(route->method),
                        route->method == REQUEST_GET ? ", HEAD" : "");
        }
    }
    if (allow->size == 0) {
        return (struct refusal){404, "there is nothing at this path"};
    }
    text_add(allow, "\r\n");
    return (struct refusal){405, "this path does not take this method"};
}

/* ---- its life ---- */

static void connection_free(struct connection *connection)
{
    struct server *server = connection->server;
    struct exchange *exchange = &connection->exchange;

    if (exchange->gone != NULL) {
        void (*gone)(struct exchange *, void *) = exchange->gone;

        exchange->gone = NULL;
        gone(exchange, exchange->gone_context);
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        server->connections = connection->next;
    }
    server->n_connections--;
    exchange_clear(exchange);
    event_free(connection->deadline);
    bufferevent_free(connection->bev);
    free(connection);
}

void connection_end(struct connection *connection)
{
    if (connection->advancing) {
        connection->doomed = true;
    } else {
        connection_free(connection);
    }
}

void connection_deadline(struct connection *connection, int64_t ms)
{
    const struct timeval delay = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    event_add(connection->deadline, &delay);
}

/* All is written: say so to the peer, and give it a moment to read before the socket goes (a close
 * with unread input would reset the connection and take the answer with it). */
static void connection_leave(struct connection *connection)
{
    struct evbuffer *output = bufferevent_get_output(connection->bev);

    connection->phase = PHASE_LEAVING;
    connection_deadline(connection, WRITE_S * 1000);
    if (evbuffer_get_length(output) > 0) {
        return; /* on_written comes back here */
    }
    if (connection->peer_done) {
        connection_end(connection);
        return;
    }
    shutdown(bufferevent_getfd(connection->bev), SHUT_WR);
    connection_deadline(connection, LEAVE_MS);
}

void connection_answered(struct connection *connection)
{
    bool keep = connection->exchange.request.keep_alive && !connection->peer_done;

    exchange_clear(&connection->exchange);
    if (!keep) {
        connection_leave(connection);
        return;
    }
    connection->phase = PHASE_HEAD;
    connection->begun = false;
    connection->scanned = 0;
    bufferevent_setwatermark(connection->bev, EV_READ, 0, READ_AHEAD);
    connection_deadline(connection, IDLE_MS);
    if (!connection->advancing) {
        /* The next request may be here already; it is looked at from the event loop, not from
         * inside a handler. */
        bufferevent_trigger(connection->bev, EV_READ,
                            BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
    }
}

static struct refusal admit(struct connection *connection, struct text *allow)
{
    struct server *server = connection->server;
    struct exchange *exchange = &connection->exchange;
    const struct request *request = &exchange->request;

    struct refusal refusal = access_check(&server->rules, request);
    if (refusal.status == 0 && connection->probation) {
        connection->probation = !access_holds_token(&server->rules, request);
        if (connection->probation) {
            return (struct refusal){503, "too many connections"};
        }
    }
    if (refusal.status == 0) {
        refusal = find_route(server, exchange, allow);
    }
    if (refusal.status == 0) {
        refusal =
            access_permit(&server->rules, request, connection->loopback, exchange->route->role);
    }
    if (refusal.status == 0 && (uint64_t)request->body_size > exchange->route->body_max) {
        refusal = (struct refusal){413, "the body is larger than this path takes"};
    }
    return refusal;
}

static void turn_away(struct connection *connection, struct refusal refusal, const char *headers)
{
    connection->exchange.request.keep_alive = false;
    exchange_turn_away(&connection->exchange, refusal, headers);
}

static void call_handler(struct connection *connection)
{
    struct exchange *exchange = &connection->exchange;

    event_del(connection->deadline);
    connection->phase = PHASE_ANSWERING;
    exchange->route->handle(exchange, exchange->context);
    /* Answered, held, or hung up on. */
    assert(connection->phase != PHASE_ANSWERING || exchange->gone != NULL || connection->doomed);
}

static void expect_body(struct connection *connection)
{
    struct evbuffer *input = bufferevent_get_input(connection->bev);
    size_t size = (size_t)connection->exchange.request.body_size;

    connection->phase = PHASE_BODY;
    bufferevent_setwatermark(connection->bev, EV_READ, 0, size > READ_AHEAD ? size : READ_AHEAD);
    if (size > BODY_FREE) {
        connection_deadline(connection, REQUEST_MS + (int64_t)(size >> 20) * BODY_MIB_MS);
    }
    if (connection->exchange.request.expects_continue && evbuffer_get_length(input) < size) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

        bufferevent_write(connection->bev, go_on, sizeof(go_on) - 1);
    }
}

/* Is there a whole head? Read it, admit it. False: wait for more. */
static bool take_head(struct connection *connection)
{
    struct evbuffer *input = bufferevent_get_input(connection->bev);
    struct exchange *exchange = &connection->exchange;
    size_t n = evbuffer_get_length(input);

    if (n == 0 || evbuffer_get_length(bufferevent_get_output(connection->bev)) > UNREAD_MAX) {
        return false;
    }
    if (!connection->begun) {
        connection->begun = true;
        connection_deadline(connection, connection->probation ? PROBATION_MS : REQUEST_MS);
    }
    n = n < REQUEST_HEAD_MAX + 1 ? n : REQUEST_HEAD_MAX + 1;
    const char *bytes = (const char *)evbuffer_pullup(input, (ev_ssize_t)n);
    size_t size = request_head_size(bytes, n, &connection->scanned);
    if (size == 0 && n <= REQUEST_HEAD_MAX) {
        return false;
    }
    if (size == 0 || size > REQUEST_HEAD_MAX) {
        turn_away(connection, (struct refusal){400, "the head is larger than 16 KiB"}, "");
        return true;
    }
    exchange->head = mem_text_n(bytes, size);
    evbuffer_drain(input, size);

    struct text allow = {0};
    struct refusal refusal = request_parse(&exchange->request, exchange->head, size);
    if (refusal.status == 0) {
        refusal = admit(connection, &allow);
    }
    if (refusal.status != 0) {
        turn_away(connection, refusal, text_get(&allow));
    } else if (exchange->request.body_size > 0) {
        expect_body(connection);
    } else {
        call_handler(connection);
    }
    text_release(&allow);
    return true;
}

static bool take_body(struct connection *connection)
{
    struct evbuffer *input = bufferevent_get_input(connection->bev);
    struct exchange *exchange = &connection->exchange;
    size_t size = (size_t)exchange->request.body_size;

    if (evbuffer_get_length(input) < size) {
        return false;
    }
    exchange->body = mem_try(size, 1, "request body", NULL);
    if (exchange->body == NULL) {
        turn_away(connection, (struct refusal){507, "no memory for this body"}, "");
        return true;
    }
    evbuffer_remove(input, exchange->body, size);
    call_handler(connection);
    return true;
}

/* Go on as far as the bytes at hand allow. */
static void connection_advance(struct connection *connection)
{
    bool moved = true;

    connection->advancing = true;
    while (moved && !connection->doomed) {
        switch (connection->phase) {
        case PHASE_HEAD:
            moved = take_head(connection);
            break;
        case PHASE_BODY:
            moved = take_body(connection);
            break;
        case PHASE_ANSWERING:
        case PHASE_STREAMING:
            moved = false; /* what comes meanwhile waits, up to READ_AHEAD */
            break;
        case PHASE_LEAVING:
            evbuffer_drain(bufferevent_get_input(connection->bev),
                           evbuffer_get_length(bufferevent_get_input(connection->bev)));
            moved = false;
            break;
        }
    }
    connection->advancing = false;
    if (connection->doomed) {
        connection_free(connection);
    }
}

static void on_readable(struct bufferevent *bev, void *context)
{
    (void)bev;
    connection_advance(context);
}

static void on_written(struct bufferevent *bev, void *context)
{
    struct connection *connection = context;

    (void)bev;
    if (connection->phase == PHASE_LEAVING) {
        connection_leave(connection);
    } else if (connection->phase == PHASE_HEAD) {
        connection_advance(connection);
    }
}

/* The peer is done, or the socket is: nothing more will be read. */
static void on_event(struct bufferevent *bev, short what, void *context)
{
    struct connection *connection = context;
    bool orderly = (what & BEV_EVENT_EOF) != 0 && (what & BEV_EVENT_ERROR) == 0;

    connection->peer_done = true;
    if (orderly && connection->exchange.gone == NULL &&
        evbuffer_get_length(bufferevent_get_output(bev)) > 0) {
        connection_leave(connection); /* it half-closed and still reads */
        return;
    }
    connection_free(connection);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    struct connection *connection = context;

    (void)fd;
    (void)what;
    bool waiting =
        (connection->phase == PHASE_HEAD && connection->begun) || connection->phase == PHASE_BODY;
    if (waiting && !connection->probation) {
        turn_away(connection, (struct refusal){408, "the request did not arrive in time"}, "");
    } else {
        connection_free(connection);
    }
}

void connection_open(struct server *server, evutil_socket_t fd, const char *address, bool probation)
{
    const struct timeval write_patience = {.tv_sec = WRITE_S};
    struct connection *connection = mem_array(1, sizeof(*connection));

    connection->server = server;
    connection->exchange.connection = connection;
    snprintf(connection->address, sizeof(connection->address), "%s", address);
    connection->loopback = access_is_loopback(address);
    connection->probation = probation;
    connection->bev = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
    connection->deadline = evtimer_new(server->base, on_deadline, connection);
    assert(connection->bev != NULL && connection->deadline != NULL);

    connection->next = server->connections;
    if (connection->next != NULL) {
        connection->next->previous = connection;
    }
    server->connections = connection;
    server->n_connections++;

    bufferevent_setcb(connection->bev, on_readable, on_written, on_event, connection);
    bufferevent_set_timeouts(connection->bev, NULL, &write_patience);
    bufferevent_setwatermark(connection->bev, EV_READ, 0, READ_AHEAD);
    connection_deadline(connection, probation ? PROBATION_MS : REQUEST_MS);
    bufferevent_enable(connection->bev, EV_READ | EV_WRITE);
}
