/*
 * server_internal.h - what server.c (listening), connection.c (one connection) and exchange.c
 * (answers) share.
 */
#ifndef WEB_SERVER_INTERNAL_H
#define WEB_SERVER_INTERNAL_H

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>

#include "web/server.h"

#define SEGMENTS_MAX 2
#define SEGMENT_SIZE 64
#define TABLES_MAX 8

/*
 *          first byte        head complete       body complete      answered
 *   HEAD ------------> HEAD --------------> BODY -------------> ANSWERING ---> HEAD (keep-alive)
 *   (idle, 75 s)   (deadline 10 s)                              (held, streamed) \-> LEAVING ->
 * closed
 */
enum phase {
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_ANSWERING, /* a handler has the exchange */
    PHASE_STREAMING,
    PHASE_LEAVING /* what is written goes out, what comes in is dropped */
};

struct exchange {
    struct connection *connection;
    char *head; /* the bytes request points into */
    struct request request;
    char segments[SEGMENTS_MAX][SEGMENT_SIZE];
    const struct server_route *route;
    void *context; /* of the route */
    char *body;    /* [request.body_size] */
    void (*gone)(struct exchange *exchange, void *context);
    void *gone_context;
};

struct connection {
    struct server *server;
    struct connection *previous, *next;
    struct bufferevent *bev;
    struct event *deadline;
    char address[INET6_ADDRSTRLEN];
    bool loopback;
    bool probation; /* beyond the caps: only the token lets it stay */
    bool begun;     /* bytes of the next head have arrived */
    bool advancing; /* connection_advance is on the stack: it frees a doomed connection when it is
                       done */
    bool doomed;
    bool peer_done; /* the other side has sent its last byte */
    enum phase phase;
    size_t scanned; /* see request_head_size */
    struct exchange exchange;
};

struct route_table {
    const struct server_route *routes;
    size_t n;
    void *context;
};

struct server {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *pause; /* ends a pause of accepting */
    struct access_rules rules;
    char *hosts[ACCESS_HOSTS_MAX];
    char *url;
    char token[ACCESS_TOKEN_MAX]; /* what rules.token_hash is made of; "" when there is none */
    struct route_table tables[TABLES_MAX];
    size_t n_tables;
    struct connection *connections; /* newest first */
    size_t n_connections;
};

/* connection.c: take an accepted socket over. probation: it has to show the token soon, or go. */
void connection_open(struct server *server, evutil_socket_t fd, const char *address,
                     bool probation);
/* The answer is written: free the request, wait for the next one or leave. */
void connection_answered(struct connection *connection);
/* Set the absolute deadline of what the connection is waiting for. */
void connection_deadline(struct connection *connection, int64_t ms);
/* Free now, or when connection_advance is done. */
void connection_end(struct connection *connection);

/* exchange.c: free what belongs to one request. */
void exchange_clear(struct exchange *exchange);
/* Answer a refusal and leave. */
void exchange_turn_away(struct exchange *exchange, struct refusal refusal, const char *headers);

#endif
