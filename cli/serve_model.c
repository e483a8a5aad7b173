/*
 * serve_model.c - routes to the model, and a queue before it.
 *
 * The model answers one request at a time, in the loop's own thread. Requests wait in a list and
 * are taken up one a turn of the loop, so that between two answers every socket is read and small
 * questions (health, tokens) come through.
 */
#include "cli/serve_model.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/command.h"
#include "evaluator/chat_completion.h"
#include "evaluator/completion.h"
#include "web/server.h"

#define LOOK_MS 200
#define COMPLETIONS_BODY_MAX ((size_t)8 << 20) /* thousands of ids a prompt, many prompts */
#define BODY_MAX ((size_t)1 << 20)

struct waiting {
    struct waiting *next;
    struct service *service;
    struct exchange *exchange;
    json_t *body;
    int (*answer)(struct served *served, const json_t *body, int64_t created, json_t **out,
                  struct err *err);
};

struct service {
    struct event_base *base;
    struct served model;
    struct waiting *first, **last; /* in order of arrival */
    struct event *turn;            /* answers the first */
};

/* The request is at fault unless the model was; a body of the wrong size was refused before. */
static void reply(struct exchange *exchange, int rc, json_t *doc, const struct err *err)
{
    if (rc == 0) {
        exchange_reply(exchange, 200, doc);
    } else if (rc == ERR_FORMAT || rc == ERR_LIMIT || rc == ERR_MISSING) {
        exchange_refuse(exchange, 400, "%s", err->text);
    } else {
        exchange_refuse(exchange, 500, "%s", err->text);
    }
}

/* ---- the queue ---- */

static void expect_turn(struct service *service)
{
    const struct timeval now = {0};

    if (service->first != NULL) {
        event_add(service->turn, &now);
    }
}

static void leave_queue(struct waiting *waiting)
{
    struct service *service = waiting->service;
    struct waiting **at = &service->first;

    while (*at != waiting) {
        at = &(*at)->next;
    }
    *at = waiting->next;
    if (service->last == &waiting->next) {
        service->last = at;
    }
    json_decref(waiting->body);
    free(waiting);
}

static void on_gone(struct exchange *exchange, void *context)
{
    (void)exchange;
    leave_queue(context);
}

static void on_turn(evutil_socket_t fd, short what, void *context)
{
    struct service *service = context;
    struct waiting *waiting = service->first;
    struct err err = {0};
    json_t *doc = NULL;

    (void)fd;
    (void)what;
    if (waiting == NULL) {
        return;
    }
    struct exchange *exchange = waiting->exchange;
    const int rc =
        waiting->answer(&service->model, waiting->body, command_calendar_ms() / 1000, &doc, &err);

    leave_queue(waiting);
    reply(exchange, rc, doc, &err);
    expect_turn(service);
}

static void enqueue(struct exchange *exchange, struct service *service,
                    int (*answer)(struct served *served, const json_t *body, int64_t created,
                                  json_t **out, struct err *err))
{
    json_t *body = exchange_body(exchange);

    if (body == NULL) {
        return;
    }
    struct waiting *waiting = mem_alloc(sizeof *waiting);

    *waiting =
        (struct waiting){.service = service, .exchange = exchange, .body = body, .answer = answer};
    *service->last = waiting;
    service->last = &waiting->next;
    exchange_hold(exchange, on_gone, waiting);
    expect_turn(service);
}

static void on_completions(struct exchange *exchange, void *context)
{
    enqueue(exchange, context, completion_answer);
}

static void on_chat_completions(struct exchange *exchange, void *context)
{
    enqueue(exchange, context, chat_completion_answer);
}

/* ---- small questions ---- */

static void on_tokenizer(struct exchange *exchange, struct service *service,
                         int (*ask)(struct served *served, const json_t *request, json_t **out,
                                    struct err *err))
{
    struct err err = {0};
    json_t *doc = NULL;
    json_t *body = exchange_body(exchange);

    if (body != NULL) {
        const int rc = ask(&service->model, body, &doc, &err);

        json_decref(body);
        reply(exchange, rc, doc, &err);
    }
}

static void on_tokenize(struct exchange *exchange, void *context)
{
    on_tokenizer(exchange, context, served_tokenize);
}

static void on_detokenize(struct exchange *exchange, void *context)
{
    on_tokenizer(exchange, context, served_detokenize);
}

static void on_tokenizer_info(struct exchange *exchange, void *context)
{
    struct service *service = context;
    struct err err = {0};
    json_t *doc = NULL;
    const int rc = served_tokenizer_info(&service->model, &doc, &err);

    reply(exchange, rc, doc, &err);
}

static void on_models(struct exchange *exchange, void *context)
{
    const struct service *service = context;

    exchange_reply(exchange, 200,
                   json_pack("{s:s, s:[{s:s, s:s}]}", "object", "list", "data", "id",
                             service->model.name, "object", "model"));
}

static void on_health(struct exchange *exchange, void *context)
{
    (void)context;
    exchange_reply(exchange, 200, json_pack("{s:s}", "status", "ok"));
}

/* Nothing here changes anything, so no token is asked for; clients send one all the same. */
static const struct server_route routes[] = {
    {REQUEST_POST, "/v1/completions", ACCESS_ANYONE, COMPLETIONS_BODY_MAX, on_completions},
    {REQUEST_POST, "/v1/chat/completions", ACCESS_ANYONE, COMPLETIONS_BODY_MAX,
     on_chat_completions},
    {REQUEST_GET, "/v1/models", ACCESS_ANYONE, 0, on_models},
    {REQUEST_GET, "/health", ACCESS_ANYONE, 0, on_health},
    {REQUEST_GET, "/tokenizer_info", ACCESS_ANYONE, 0, on_tokenizer_info},
    {REQUEST_POST, "/tokenize", ACCESS_ANYONE, BODY_MAX, on_tokenize},
    {REQUEST_POST, "/detokenize", ACCESS_ANYONE, BODY_MAX, on_detokenize},
};

/* ---- serving ---- */

static void look(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    if (command_stopped()) {
        event_base_loopbreak(context);
    }
}

static void introduce(const struct service *service, const char *url)
{
    uint32_t bos = 0;
    const size_t ids = tokenizer_size(service->model.tokenizer);

    if (ids > service->model.config.vocab) {
        fprintf(stderr,
                "%s: the tokenizer has %zu ids, the model %u rows: the others are refused\n",
                service->model.folder, ids, service->model.config.vocab);
    }
    fprintf(stderr,
            "%s: %s\n"
            "lm_eval --model local-completions --model_args "
            "base_url=%s/v1/completions,model=%s,tokenizer_backend=remote,max_length=%zu%s "
            "--tasks ...\n",
            service->model.folder, url, url, service->model.name, service->model.positions,
            tokenizer_bos(service->model.tokenizer, &bos) ? ",add_bos_token=True" : "");
}

/* Chats write texts only: tasks of likelihoods are the other line's. */
static void introduce_chat(const struct service *service, const char *url)
{
    struct err err = {0};

    if (chat_usable(service->model.chat, &err) != 0) {
        fprintf(stderr, "no chats: %s\n", err.text);
        return;
    }
    fprintf(stderr,
            "lm_eval --model local-chat-completions --model_args "
            "base_url=%s/v1/chat/completions,model=%s --apply_chat_template --tasks ... "
            "(generation only)\n",
            url, service->model.name);
}

static int listen_and_answer(struct service *service, uint16_t port, struct err *err)
{
    const struct timeval period = {.tv_usec = LOOK_MS * 1000};
    char *address = mem_printf("127.0.0.1:%u", port);
    const struct server_options options = {.listen = address};
    struct server *server = NULL;

    const int rc = server_open(&server, service->base, &options, err);
    if (rc == 0) {
        struct event *timer = event_new(service->base, -1, EV_PERSIST, look, service->base);

        server_route(server, routes, sizeof routes / sizeof *routes, service);
        event_add(timer, &period);
        introduce(service, server_url(server));
        introduce_chat(service, server_url(server));
        event_base_dispatch(service->base);
        event_free(timer);
    }
    server_close(server);
    free(address);
    return rc;
}

int serve_model(const char *folder, uint16_t port, enum numeric numeric, struct err *err)
{
    struct service service = {.base = event_base_new()};
    int rc = served_open(&service.model, folder, numeric, err);

    service.last = &service.first;
    service.turn = evtimer_new(service.base, on_turn, &service);
    if (rc == 0) {
        rc = listen_and_answer(&service, port, err);
    }
    event_free(service.turn);
    event_base_free(service.base);
    served_close(&service.model);
    return rc;
}
