/*
 * cmd_serve.c - braid serve DB: the dashboard of a database, finished, copied, or run by another
 * process.
 */
#include <event2/event.h>
#include <stdio.h>

#include "cli/command.h"
#include "store/store.h"
#include "web/api.h"
#include "web/server.h"
#include "web/stream.h"

#define DEFAULT_LISTEN "127.0.0.1:8471"
#define LOOK_MS 200

struct arguments {
    const char *database, *listen;
    bool insecure_plaintext;
};

enum { KEY_INSECURE = 1000 };

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 'l':
        arguments->listen = value;
        return 0;
    case KEY_INSECURE:
        arguments->insecure_plaintext = true;
        return 0;
    default:
        return command_one(key, value, state, "database", &arguments->database);
    }
}

static void look(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    if (command_stopped()) {
        event_base_loopbreak(context);
    }
}

static int serve(const struct arguments *arguments, struct event_base *base, struct store *store,
                 struct err *err)
{
    const struct server_options options = {.listen = arguments->listen != NULL ? arguments->listen
                                                                               : DEFAULT_LISTEN,
                                           .insecure_plaintext = arguments->insecure_plaintext};
    const struct timeval period = {.tv_usec = LOOK_MS * 1000};
    struct server *server = NULL;
    struct stream *stream = NULL;
    int rc = server_open(&server, base, &options, err);

    if (rc == 0) {
        api_open(server, store);
        rc = stream_open(&stream, server, base, store, err);
    }
    if (rc == 0) {
        struct event *timer = event_new(base, -1, EV_PERSIST, look, base);

        event_add(timer, &period);
        fprintf(stderr, "%s: %s\n", arguments->database, server_url(server));
        event_base_dispatch(base);
        event_free(timer);
    }
    stream_close(stream);
    server_close(server);
    return rc;
}

int cmd_serve(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"listen", 'l', "ADDR:PORT", 0,
         "where the page is (default " DEFAULT_LISTEN "; port 0 picks one)", 0},
        {"insecure-plaintext", KEY_INSECURE, NULL, 0,
         "listen beyond this machine although nothing is encrypted", 0},
        {0}};
    static const struct argp argp = {
        options,
        parse_option,
        "DATABASE",
        "Open the dashboard of a study's database; it is read, never written.\v"
        "Example: braid serve night.db",
        NULL,
        NULL,
        NULL};
    struct arguments arguments = {0};
    struct store *store = NULL;
    struct err err = {0};

    command_parse(&argp, argc, argv, &arguments);
    command_catch_signals();
    struct event_base *base = event_base_new();
    int rc = store_open_reader(&store, arguments.database, &err);
    if (rc == 0) {
        rc = serve(&arguments, base, store, &err);
    }
    store_close(store);
    event_base_free(base);
    return rc == 0 ? COMMAND_DONE : command_fail(argv[0], &err);
}
