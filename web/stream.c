/*
 * stream.c - GET /api/stream: server-sent events.
 *
 *   poke ---> (at once, or when the last look is 250 ms old) ---> look: has the last event's number
 * moved?
 *                                                                  |-- no: nothing to say
 *                                                                  '-- yes: summary to all, to each
 * the log rows it lacks
 *
 * A client says by Last-Event-ID what it has seen; one that says nothing gets the tail of the log
 * from the page's own first fetch and starts here with what is new.
 */
#include "web/stream.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/doc.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "store/views.h"

#define LOOK_MS 1000     /* without a poke: another process may be writing */
#define COALESCE_MS 250  /* at most four times a second */
#define COMMENT_MS 15000 /* finds dead peers, and keeps what stands between from hanging up */
#define BACKLOG_MAX ((size_t)1 << 20)
#define LOG_ROWS 200 /* at once; a client that lacks more gets the latest */
#define CLIENTS_MAX 64

struct client {
    struct client *next;
    struct stream *stream;
    struct exchange *exchange;
    uint64_t seen; /* the last event it has */
};

struct stream {
    struct store *store;
    struct event *look;
    struct event *comment;
    struct client *clients;
    size_t n_clients;
    uint64_t version;  /* of the store at the last look */
    int64_t looked_ms; /* when that was */
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void look_in(struct stream *stream, int64_t ms)
{
    const struct timeval delay = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    event_add(stream->look, &delay);
}

/* ---- clients ---- */

static void client_free(struct stream *stream, struct client *client)
{
    struct client **at = &stream->clients;

    while (*at != client) {
        at = &(*at)->next;
    }
    *at = client->next;
    stream->n_clients--;
    free(client);
}

static void on_gone(struct exchange *exchange, void *context)
{
    struct client *client = context;

    (void)exchange;
    client_free(client->stream, client);
}

/* Send bytes, or hang up on a client that does not keep up: it comes back with Last-Event-ID. */
static bool client_send(struct client *client, const struct text *bytes)
{
    if (exchange_stream_backlog(client->exchange) > BACKLOG_MAX) {
        log_warn("web", "stream client dropped reason=\"it does not keep up\"");
        exchange_stream_end(client->exchange);
        client_free(client->stream, client);
        return false;
    }
    exchange_stream_add(client->exchange, text_get(bytes), bytes->size);
    return true;
}

/* One message. doc's reference is taken; id 0: none. */
static void add_message(struct text *out, const char *event, uint64_t id, json_t *doc)
{
    if (id != 0) {
        text_printf(out, "id: %llu\n", (unsigned long long)id);
    }
    text_printf(out, "event: %s\ndata: ", event);
    doc_print(out, doc); /* canonical JSON has no line breaks */
    text_add(out, "\n\n");
    json_decref(doc);
}

/* ---- looking ---- */

static int add_summary(struct text *out, struct stream *stream, struct err *err)
{
    json_t *summary = NULL;
    int rc = store_view_summary(stream->store, &summary, err);

    if (rc == 0) {
        add_message(out, "summary", 0, summary);
    }
    return rc;
}

/* The log rows after `seen`; their last number in *last. */
static int add_log(struct text *out, struct stream *stream, uint64_t seen, uint64_t *last,
                   struct err *err)
{
    json_t *doc = NULL;
    int rc = store_view_events(stream->store, seen, LOG_ROWS, &doc, err);

    if (rc != 0) {
        return rc;
    }
    json_t *events = json_object_get(doc, "events");
    size_t n = json_array_size(events);
    if (n > 0) {
        *last =
            (uint64_t)json_integer_value(json_object_get(json_array_get(events, n - 1), "event"));
        add_message(out, "log", *last, json_incref(events));
    }
    json_decref(doc);
    return 0;
}

/* Bring one client up to date; summary is what all get. */
static void client_update(struct client *client, const struct text *summary)
{
    struct text bytes = {0};
    struct err err = {0};

    text_add_n(&bytes, text_get(summary), summary->size);
    if (add_log(&bytes, client->stream, client->seen, &client->seen, &err) != 0) {
        log_warn("web", "log not read error=\"%s\"", err.text);
    }
    client_send(client, &bytes);
    text_release(&bytes);
}

static void look(struct stream *stream)
{
    uint64_t version = stream->version;
    struct text summary = {0};
    struct err err = {0};
    struct client *next;

    stream->looked_ms = now_ms();
    int rc = store_view_version(stream->store, &version, &err);
    if (rc == 0 && version != stream->version) {
        rc = add_summary(&summary, stream, &err);
        for (struct client *client = stream->clients; client != NULL && rc == 0; client = next) {
            next = client->next;
            client_update(client, &summary);
        }
        stream->version = version;
    }
    if (rc != 0) {
        log_warn("web", "store not read error=\"%s\"", err.text);
    }
    text_release(&summary);
}

static void on_look(evutil_socket_t fd, short what, void *context)
{
    struct stream *stream = context;

    (void)fd;
    (void)what;
    if (stream->clients != NULL) {
        look(stream);
    }
    look_in(stream, LOOK_MS);
}

static void on_comment(evutil_socket_t fd, short what, void *context)
{
    struct stream *stream = context;
    const struct timeval period = {.tv_sec = COMMENT_MS / 1000};
    struct text comment = {0};
    struct client *next;

    (void)fd;
    (void)what;
    text_add(&comment, ": still here\n\n");
    for (struct client *client = stream->clients; client != NULL; client = next) {
        next = client->next;
        client_send(client, &comment);
    }
    text_release(&comment);
    event_add(stream->comment, &period);
}

/* ---- the route ---- */

/* What the client says it has seen; what is there now when it says nothing. */
static uint64_t seen_by(const struct request *request, uint64_t last)
{
    const char *id = request_header(request, "last-event-id");
    size_t n = id != NULL ? strlen(id) : 0;

    return n > 0 && n <= 18 && strspn(id, "0123456789") == n ? strtoull(id, NULL, 10) : last;
}

static void on_stream(struct exchange *exchange, void *context)
{
    struct stream *stream = context;
    struct text first = {0};
    struct err err = {0};
    uint64_t last = 0;

    if (exchange_request(exchange)->method == REQUEST_HEAD) {
        exchange_reply_empty(exchange, 200);
        return;
    }
    if (stream->n_clients >= CLIENTS_MAX) {
        exchange_refuse(exchange, 503, "too many pages follow this study");
        return;
    }
    int rc = store_view_last_event(stream->store, &last, &err);
    rc = rc != 0 ? rc : add_summary(&first, stream, &err);
    if (rc != 0) {
        exchange_fail(exchange, &err);
        text_release(&first);
        return;
    }
    struct client *client = mem_array(1, sizeof(*client));
    client->stream = stream;
    client->exchange = exchange;
    client->seen = seen_by(exchange_request(exchange), last);
    client->next = stream->clients;
    stream->clients = client;
    stream->n_clients++;
    exchange_stream(exchange, "text/event-stream", on_gone, client);
    client_update(client, &first);
    text_release(&first);
}

static const struct server_route routes[] = {
    {REQUEST_GET, "/api/stream", ACCESS_VIEWER, 0, on_stream},
};

int stream_open(struct stream **out, struct server *server, struct event_base *base,
                struct store *store, struct err *err)
{
    const struct timeval period = {.tv_sec = COMMENT_MS / 1000};
    struct stream *stream = mem_array(1, sizeof(*stream));

    stream->store = store;
    int rc = store_view_version(store, &stream->version, err);
    if (rc != 0) {
        free(stream);
        return rc;
    }
    stream->look = evtimer_new(base, on_look, stream);
    stream->comment = evtimer_new(base, on_comment, stream);
    look_in(stream, LOOK_MS);
    event_add(stream->comment, &period);
    server_route(server, routes, sizeof(routes) / sizeof(routes[0]), stream);
    *out = stream;
    return 0;
}

void stream_close(struct stream *stream)
{
    if (stream == NULL) {
        return;
    }
    while (stream->clients != NULL) {
        exchange_stream_end(stream->clients->exchange);
        client_free(stream, stream->clients);
    }
    event_free(stream->look);
    event_free(stream->comment);
    free(stream);
}

void stream_poke(struct stream *stream)
{
    int64_t wait = stream->looked_ms + COALESCE_MS - now_ms();

    look_in(stream, wait > 0 ? wait : 0);
}
