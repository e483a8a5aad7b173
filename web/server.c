/*
 * server.c - the front door: listening, and who may connect.
 *
 * What happens on a connection is connection.c's business, what is answered exchange.c's.
 */
#include "web/server.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "web/server_internal.h"

#define CONNECTIONS_MAX 512
#define CONNECTIONS_OPEN 480 /* the rest is for those who hold the token */
#define CONNECTIONS_ADDRESS 64
#define PAUSE_US 200000
#define BACKLOG 128

/* ---- accepting ---- */

static size_t connections_of(const struct server *server, const char *address)
{
    size_t n = 0;

    for (const struct connection *c = server->connections; c != NULL; c = c->next) {
        n += strcmp(c->address, address) == 0;
    }
    return n;
}

/* The oldest newcomer that has not shown a token makes room. */
static bool make_room(struct server *server)
{
    struct connection *oldest = NULL;

    for (struct connection *c = server->connections; c != NULL; c = c->next) {
        oldest = c->probation ? c : oldest;
    }
    if (oldest != NULL) {
        connection_end(oldest);
    }
    return oldest != NULL;
}

static void peer_address(char out[INET6_ADDRSTRLEN], const struct sockaddr *from)
{
    const void *address =
        from->sa_family == AF_INET6
            ? (const void *)&((const struct sockaddr_in6 *)(const void *)from)->sin6_addr
            : (const void *)&((const struct sockaddr_in *)(const void *)from)->sin_addr;

    if (evutil_inet_ntop(from->sa_family, address, out, INET6_ADDRSTRLEN) == NULL) {
        out[0] = '\0';
    }
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                      int size, void *context)
{
    struct server *server = context;
    char address[INET6_ADDRSTRLEN];

    (void)listener;
    (void)size;
    if (server->n_connections >= CONNECTIONS_MAX && !make_room(server)) {
        evutil_closesocket(fd);
        return;
    }
    peer_address(address, from);
    bool probation = server->n_connections >= CONNECTIONS_OPEN ||
                     connections_of(server, address) >= CONNECTIONS_ADDRESS;
    connection_open(server, fd, address, probation);
}

static void on_pause_over(evutil_socket_t fd, short what, void *context)
{
    struct server *server = context;

    (void)fd;
    (void)what;
    evconnlistener_enable(server->listener);
}

/* Descriptors have run out: the listening socket stays readable, so go on accepting a little later.
 */
static void on_accept_error(struct evconnlistener *listener, void *context)
{
    struct server *server = context;
    const struct timeval pause = {.tv_usec = PAUSE_US};

    log_warn("web", "accept paused reason=\"%s\"", strerror(errno));
    evconnlistener_disable(listener);
    event_add(server->pause, &pause);
}

/* ---- opening ---- */

struct address {
    struct sockaddr_storage storage;
    int size;
    bool loopback;
};

/* "ADDRESS:PORT", "[V6]:PORT" or "localhost:PORT". */
static int parse_listen(struct address *out, const char *listen, struct err *err)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    const char *colon = strrchr(listen, ':');
    size_t n = colon != NULL ? (size_t)(colon - listen) : 0;
    bool bracket = n > 2 && listen[0] == '[' && listen[n - 1] == ']';
    struct addrinfo *found = NULL;
    char address[INET6_ADDRSTRLEN];

    char *host = bracket ? mem_text_n(listen + 1, n - 2) : mem_text_n(listen, n);
    bool ambiguous =
        !bracket && strchr(host, ':') != NULL; /* a bare V6 address: which colon is the port's? */
    const char *name = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;
    bool sound = n > 0 && !ambiguous && digits > 0 && digits <= 5 && colon[1 + digits] == '\0' &&
                 atoi(colon + 1) <= UINT16_MAX;
    if (!sound || getaddrinfo(name, colon + 1, &hints, &found) != 0) {
        free(host);
        return err_set(err, ERR_FORMAT,
                       "%s: expected ADDRESS:PORT, as in 127.0.0.1:8471 or [::1]:8471", listen);
    }
    memcpy(&out->storage, found->ai_addr, found->ai_addrlen);
    out->size = (int)found->ai_addrlen;
    peer_address(address, found->ai_addr);
    out->loopback = access_is_loopback(address);
    freeaddrinfo(found);
    free(host);
    return 0;
}

static int set_rules(struct server *server, const struct server_options *options,
                     const struct address *address, struct err *err)
{
    struct access_rules *rules = &server->rules;

    if (!address->loopback && !options->insecure_plaintext) {
        return err_set(err, ERR_CONFLICT,
                       "%s: this address is reachable from other machines, and this version cannot "
                       "encrypt; listen on "
                       "127.0.0.1 and use an ssh tunnel, or say --insecure-plaintext",
                       options->listen);
    }
    rules->private_reading = options->private_reading;
    rules->any_address_host = !address->loopback;
    assert(options->n_hosts <= ACCESS_HOSTS_MAX);
    for (size_t i = 0; i < options->n_hosts; i++) {
        server->hosts[i] = mem_text(options->hosts[i]);
        rules->hosts[rules->n_hosts++] = server->hosts[i];
    }
    if (options->token_file == NULL) {
        return 0;
    }
    int rc = access_token_open(options->token_file, server->token, err);
    if (rc == 0) {
        digest_of(server->token, strlen(server->token), rules->token_hash);
        rules->has_token = true;
    }
    return rc;
}

static int start_listening(struct server *server, const struct address *address, const char *listen,
                           struct err *err)
{
    const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
    const int on = 1;

    server->listener =
        evconnlistener_new_bind(server->base, on_accept, server, flags, BACKLOG,
                                (const struct sockaddr *)&address->storage, address->size);
    if (server->listener == NULL) {
        return errno == EADDRINUSE ? err_set(err, ERR_CONFLICT,
                                             "%s: the port is in use, perhaps by another braid; "
                                             "port 0 takes a free one",
                                             listen)
                                   : err_set_errno(err, ERR_IO, "%s: cannot listen", listen);
    }
    evconnlistener_set_error_cb(server->listener, on_accept_error);
    /* Accepted sockets inherit it; without it small answers wait for the peer's delayed
     * acknowledgement. */
    setsockopt(evconnlistener_get_fd(server->listener), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return 0;
}

/* The url people and workers use: the address listened on, with the port that was picked. */
static char *url_of(struct evconnlistener *listener)
{
    struct sockaddr_storage storage = {0};
    socklen_t size = sizeof(storage);
    char host[INET6_ADDRSTRLEN] = "";
    char port[8] = "";

    getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&storage, &size);
    getnameinfo((const struct sockaddr *)&storage, size, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    return mem_printf(storage.ss_family == AF_INET6 ? "http://[%s]:%s" : "http://%s:%s", host,
                      port);
}

int server_open(struct server **out, struct event_base *base, const struct server_options *options,
                struct err *err)
{
    struct server *server = mem_array(1, sizeof(*server));
    struct address address = {0};

    server->base = base;
    int rc = parse_listen(&address, options->listen, err);
    if (rc != 0) {
        goto out;
    }
    rc = set_rules(server, options, &address, err);
    if (rc != 0) {
        goto out;
    }
    rc = start_listening(server, &address, options->listen, err);
    if (rc != 0) {
        goto out;
    }
    server->pause = evtimer_new(base, on_pause_over, server);
    server->url = url_of(server->listener);
    *out = server;
    server = NULL; /* handed over */

out:
    server_close(server);
    return rc;
}

void server_close(struct server *server)
{
    if (server == NULL) {
        return;
    }
    while (server->connections != NULL) {
        connection_end(server->connections);
    }
    if (server->listener != NULL) {
        evconnlistener_free(server->listener);
    }
    if (server->pause != NULL) {
        event_free(server->pause);
    }
    for (size_t i = 0; i < server->rules.n_hosts; i++) {
        free(server->hosts[i]);
    }
    free(server->url);
    free(server);
}

const char *server_url(const struct server *server)
{
    return server->url;
}

const char *server_token(const struct server *server)
{
    return server->token;
}

size_t server_connections(const struct server *server)
{
    return server->n_connections;
}

void server_route(struct server *server, const struct server_route *routes, size_t n, void *context)
{
    assert(server->n_tables < TABLES_MAX);
    server->tables[server->n_tables++] = (struct route_table){routes, n, context};
}
