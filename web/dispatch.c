/*
 * dispatch.c - the workers' door: from requests to calls of the coordinator and back to replies.
 *
 *   request --> coordinator_x() --> (commit) --> reply
 *                     |
 *                     +-- wake counter moved --> held asks are tried again, on_change is called
 *
 * An ask that finds nothing is held: the exchange waits in a list until the wake counter moves or
 * its time is up, so that a worker has its next job within a round trip of its becoming free,
 * without polling.
 */
#include "web/dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "study/job.h"
#include "web/protocol.h"

#define TICK_MS_MAX 1000 /* the coordinator is ticked at least this often */
#define TICK_MS_MIN 10

/* An ask that waits for something to do. */
struct held {
    struct held *next;
    struct dispatch *dispatch;
    struct exchange *exchange;
    struct protocol_ask ask;
    struct event *timeout;
};

/* A worker that has said hello, and the lease it works on (0: none). */
struct caller {
    struct caller *next;
    uint64_t worker_id;
    uint64_t lease;
    char *name;
};

struct dispatch {
    struct dispatch_options options;
    struct event_base *base;
    struct event *tick;
    struct held *held;
    struct caller *callers;
    uint64_t wake_seen;
    bool dead; /* the store is in trouble: nothing reaches the coordinator any more */
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME,
                  &now); /* goes on while the machine sleeps: leases expire overnight */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct timeval after_ms(int64_t ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

/* ---- trouble ---- */

static void die(struct dispatch *dispatch, const struct err *err)
{
    if (dispatch->dead) {
        return;
    }
    dispatch->dead = true;
    event_del(dispatch->tick);
    log_error("web", "coordinator stopped error=\"%s\"", err->text);
    dispatch->options.on_fatal(err, dispatch->options.context);
}

/* Refuse what comes after. */
static bool is_dead(struct dispatch *dispatch, struct exchange *exchange)
{
    if (dispatch->dead) {
        exchange_refuse(exchange, 503, "the coordinator has stopped");
    }
    return dispatch->dead;
}

/* The coordinator could not say what became of a request: say nothing good, and stop. */
static void fail_and_die(struct dispatch *dispatch, struct exchange *exchange, int status,
                         const struct err *err)
{
    exchange_refuse(exchange, status, "not stored: %s", err->text);
    die(dispatch, err);
}

/* ---- callers ---- */

static struct caller *caller_of_worker(struct dispatch *dispatch, uint64_t worker_id)
{
    struct caller *caller = dispatch->callers;

    while (caller != NULL && caller->worker_id != worker_id) {
        caller = caller->next;
    }
    return caller;
}

static void remember_caller(struct dispatch *dispatch, uint64_t worker_id, const char *name)
{
    if (caller_of_worker(dispatch, worker_id) != NULL) {
        return;
    }
    struct caller *caller = mem_array(1, sizeof(*caller));
    caller->worker_id = worker_id;
    caller->name = mem_text(name);
    caller->next = dispatch->callers;
    dispatch->callers = caller;
}

static void remember_lease(struct dispatch *dispatch, uint64_t worker_id, uint64_t lease)
{
    struct caller *caller = caller_of_worker(dispatch, worker_id);

    if (caller != NULL) {
        caller->lease = lease;
    }
}

static void forget_lease(struct dispatch *dispatch, uint64_t lease)
{
    for (struct caller *caller = dispatch->callers; caller != NULL; caller = caller->next) {
        if (caller->lease == lease) {
            caller->lease = 0;
        }
    }
}

/* ---- asks, held and answered ---- */

static void held_free(struct dispatch *dispatch, struct held *held)
{
    struct held **at = &dispatch->held;

    while (*at != held) {
        at = &(*at)->next;
    }
    *at = held->next;
    event_free(held->timeout);
    free(held);
}

/* Try to answer an ask. False when there is nothing to say yet. */
static bool answer_ask(struct dispatch *dispatch, struct exchange *exchange,
                       const struct protocol_ask *ask)
{
    enum coordinator_offer offer;
    struct job job = {0};
    struct err err = {0};

    int rc = coordinator_lease(dispatch->options.coordinator, ask->worker_id, ask->seq, now_ms(),
                               &offer, &job, &err);
    if (rc == ERR_MISSING) {
        exchange_fail(exchange, &err);
        return true;
    }
    if (rc != 0) {
        fail_and_die(dispatch, exchange, 503, &err);
        return true;
    }
    switch (offer) {
    case COORDINATOR_NOTHING:
        return false;
    case COORDINATOR_JOB:
        remember_lease(dispatch, ask->worker_id, job.lease);
        exchange_reply(exchange, 200, job_print(&job));
        job_release(&job);
        return true;
    case COORDINATOR_PAUSED:
        exchange_refuse(exchange, 503, "the study is paused");
        return true;
    case COORDINATOR_OVER:
        exchange_refuse(exchange, 410, "the study has ended");
        return true;
    }
    return false;
}

/* Answer those held asks that can be answered now. */
static void try_held(struct dispatch *dispatch)
{
    struct held *next;

    for (struct held *held = dispatch->held; held != NULL && !dispatch->dead; held = next) {
        next = held->next;
        if (answer_ask(dispatch, held->exchange, &held->ask)) {
            held_free(dispatch, held);
        }
    }
}

/* Something may have changed: follow the wake counter until it rests. */
static void settle(struct dispatch *dispatch)
{
    bool changed = false;

    while (!dispatch->dead &&
           coordinator_wake(dispatch->options.coordinator) != dispatch->wake_seen) {
        dispatch->wake_seen = coordinator_wake(dispatch->options.coordinator);
        changed = true;
        try_held(dispatch);
    }
    if (changed && dispatch->options.on_change != NULL) {
        dispatch->options.on_change(dispatch->options.context);
    }
}

static void on_held_gone(struct exchange *exchange, void *context)
{
    struct held *held = context;

    (void)exchange;
    held_free(held->dispatch, held);
}

static void on_held_timeout(evutil_socket_t fd, short what, void *context)
{
    struct held *held = context;

    (void)fd;
    (void)what;
    exchange_reply_empty(held->exchange, 204);
    held_free(held->dispatch, held);
}

static void hold_ask(struct dispatch *dispatch, struct exchange *exchange,
                     const struct protocol_ask *ask)
{
    struct held *held = mem_array(1, sizeof(*held));
    const struct timeval wait = after_ms(ask->wait_ms);
    struct held **last = &dispatch->held;

    held->dispatch = dispatch;
    held->exchange = exchange;
    held->ask = *ask;
    held->timeout = evtimer_new(dispatch->base, on_held_timeout, held);
    event_add(held->timeout, &wait);
    while (*last != NULL) {
        last = &(*last)->next; /* first come, first served */
    }
    *last = held;
    exchange_hold(exchange, on_held_gone, held);
}

/* A worker asks again while an older ask of it is still held: the connection that one came by is
 * lost to it. */
static void end_older_ask(struct dispatch *dispatch, uint64_t worker_id)
{
    struct held *next;

    for (struct held *held = dispatch->held; held != NULL; held = next) {
        next = held->next;
        if (held->ask.worker_id == worker_id) {
            exchange_reply_empty(held->exchange, 204);
            held_free(dispatch, held);
        }
    }
}

/* ---- handlers ---- */

static void on_hello(struct exchange *exchange, void *context)
{
    struct dispatch *dispatch = context;
    const struct dispatch_options *options = &dispatch->options;
    struct protocol_hello hello;
    struct protocol_welcome welcome = {0};
    struct err err = {0};
    json_t *doc = is_dead(dispatch, exchange) ? NULL : exchange_body(exchange);

    if (doc == NULL) {
        return;
    }
    if (protocol_hello_parse(&hello, doc, &err) != 0) {
        exchange_refuse(exchange, 400, "%s", err.text);
        json_decref(doc);
        return;
    }
    json_decref(doc);
    const struct coordinator_worker worker = {hello.boot_id, hello.name, hello.build, hello.path};
    if (coordinator_register(options->coordinator, &worker, now_ms(), &welcome.worker_id, &err) !=
        0) {
        fail_and_die(dispatch, exchange, 503, &err);
        return;
    }
    remember_caller(dispatch, welcome.worker_id, hello.name);
    welcome.ttl_ms = options->ttl_ms > 0 ? options->ttl_ms : PROTOCOL_TTL_MS;
    welcome.beat_ms = welcome.ttl_ms / PROTOCOL_BEATS > 0 ? welcome.ttl_ms / PROTOCOL_BEATS : 1;
    snprintf(welcome.study, sizeof(welcome.study), "%s", options->study);
    snprintf(welcome.study_id, sizeof(welcome.study_id), "%s", options->study_id);
    log_info("web", "worker said hello worker=%s id=%llu path=%s", hello.name,
             (unsigned long long)welcome.worker_id, hello.path);
    exchange_reply(exchange, 201, protocol_welcome_print(&welcome));
    settle(dispatch);
}

static void on_bundle(struct exchange *exchange, void *context)
{
    struct dispatch *dispatch = context;

    exchange_reply_bytes(exchange, 200, "application/json", dispatch->options.bundle,
                         dispatch->options.bundle_size, "Cache-Control: no-store\r\n");
}

static void on_ask(struct exchange *exchange, void *context)
{
    struct dispatch *dispatch = context;
    struct protocol_ask ask;
    struct err err = {0};
    json_t *doc = is_dead(dispatch, exchange) ? NULL : exchange_body(exchange);

    if (doc == NULL) {
        return;
    }
    int rc = protocol_ask_parse(&ask, doc, &err);
    json_decref(doc);
    if (rc != 0) {
        exchange_refuse(exchange, 400, "%s", err.text);
        return;
    }
    end_older_ask(dispatch, ask.worker_id);
    if (!answer_ask(dispatch, exchange, &ask)) {
        if (ask.wait_ms > 0) {
            hold_ask(dispatch, exchange, &ask);
        } else {
            exchange_reply_empty(exchange, 204);
        }
    }
    settle(dispatch);
}

static void on_beat(struct exchange *exchange, void *context)
{
    struct dispatch *dispatch = context;
    uint64_t lease;
    bool cancel = false;
    struct err err = {0};

    if (is_dead(dispatch, exchange) || !exchange_number(exchange, 0, &lease)) {
        return;
    }
    int rc = coordinator_beat(dispatch->options.coordinator, lease, now_ms(), &cancel, &err);
    if (rc == ERR_MISSING) {
        exchange_refuse(exchange, 410, "%s", err.text);
    } else if (rc != 0) {
        fail_and_die(dispatch, exchange, 503, &err);
    } else {
        exchange_reply(exchange, 200, json_pack("{s:b}", "cancel", cancel));
    }
    settle(dispatch);
}

static void reply_verdict(struct exchange *exchange, enum coordinator_verdict verdict,
                          const struct err *err)
{
    switch (verdict) {
    case COORDINATOR_STORED:
        exchange_reply(exchange, 201, json_pack("{s:s}", "verdict", "stored"));
        break;
    case COORDINATOR_SAME:
        exchange_reply(exchange, 200, json_pack("{s:s}", "verdict", "same"));
        break;
    case COORDINATOR_DIFFERS:
        exchange_refuse(exchange, 409, "another result is stored for this candidate");
        break;
    case COORDINATOR_CLOSED:
        exchange_refuse(exchange, 410, "the candidate is closed");
        break;
    case COORDINATOR_INVALID:
        exchange_refuse(exchange, 422, "%s", err->text);
        break;
    }
}

static void on_result(struct exchange *exchange, void *context)
{
    struct dispatch *dispatch = context;
    uint64_t candidate;
    uint64_t attempt;
    uint64_t lease = 0;
    enum coordinator_verdict verdict;
    struct score score = {0};
    struct err err = {0};

    if (is_dead(dispatch, exchange) || !exchange_number(exchange, 0, &candidate) ||
        !exchange_number(exchange, 1, &attempt)) {
        return;
    }
    json_t *doc = exchange_body(exchange);
    if (doc == NULL) {
        return;
    }
    int rc = protocol_result_parse(&lease, &score, doc, &err);
    json_decref(doc);
    if (rc != 0 || attempt > UINT32_MAX) {
        exchange_refuse(exchange, 422, "%s", rc != 0 ? err.text : "attempt: too large");
        score_release(&score);
        return;
    }
    rc = coordinator_result(dispatch->options.coordinator, candidate, (uint32_t)attempt, lease,
                            &score, now_ms(), &verdict, &err);
    score_release(&score);
    if (rc != 0) {
        fail_and_die(dispatch, exchange, 507, &err);
        return;
    }
    forget_lease(dispatch, lease);
    reply_verdict(exchange, verdict, &err);
    settle(dispatch);
}

/* The common end of fail and release: the lease is over either way. */
static void reply_ended(struct dispatch *dispatch, struct exchange *exchange, uint64_t lease,
                        int rc, const struct err *err)
{
    forget_lease(dispatch, lease);
    if (rc == ERR_MISSING) {
        exchange_refuse(exchange, 410, "%s", err->text);
    } else if (rc != 0) {
        fail_and_die(dispatch, exchange, 507, err);
    } else {
        exchange_reply(exchange, 200, json_object());
    }
    settle(dispatch);
}

static void on_fail(struct exchange *exchange, void *context)
{
    struct dispatch *dispatch = context;
    uint64_t lease;
    enum score_failure kind;
    const char *detail;
    struct err err = {0};

    if (is_dead(dispatch, exchange) || !exchange_number(exchange, 0, &lease)) {
        return;
    }
    json_t *doc = exchange_body(exchange);
    if (doc == NULL) {
        return;
    }
    if (protocol_failure_parse(&kind, &detail, doc, &err) != 0) {
        exchange_refuse(exchange, 400, "%s", err.text);
    } else {
        int rc =
            coordinator_fail(dispatch->options.coordinator, lease, kind, detail, now_ms(), &err);

        reply_ended(dispatch, exchange, lease, rc, &err);
    }
    json_decref(doc);
}

static void on_release(struct exchange *exchange, void *context)
{
    struct dispatch *dispatch = context;
    uint64_t lease;
    struct err err = {0};

    if (is_dead(dispatch, exchange) || !exchange_number(exchange, 0, &lease)) {
        return;
    }
    int rc = coordinator_release(dispatch->options.coordinator, lease, now_ms(), &err);
    reply_ended(dispatch, exchange, lease, rc, &err);
}

/* A person's order; the path says which, and the routes let no other word in. */
static void on_order(struct exchange *exchange, void *context)
{
    static const struct {
        const char *path;
        enum coordinator_order order;
    } orders[] = {
        {"/v1/pause", COORDINATOR_PAUSE},
        {"/v1/resume", COORDINATOR_RESUME},
        {"/v1/finish", COORDINATOR_FINISH},
        {"/v1/stop", COORDINATOR_STOP},
    };
    struct dispatch *dispatch = context;
    struct coordinator_status status;
    size_t i = 0;

    if (is_dead(dispatch, exchange)) {
        return;
    }
    while (strcmp(orders[i].path, exchange_request(exchange)->path) != 0) {
        i++;
    }
    log_info("web", "order path=%s", orders[i].path);
    dispatch_order(dispatch, orders[i].order);
    if (!is_dead(dispatch, exchange)) {
        coordinator_status(dispatch->options.coordinator, &status);
        exchange_reply(exchange, 200,
                       json_pack("{s:s, s:s}", "state", status.state, "stage", status.stage));
    }
}

static const struct server_route routes[] = {
    {REQUEST_POST, PROTOCOL_WORKERS, ACCESS_HOLDER, PROTOCOL_BODY_MAX, on_hello},
    {REQUEST_GET, PROTOCOL_BUNDLE, ACCESS_HOLDER, 0, on_bundle},
    {REQUEST_POST, PROTOCOL_LEASE, ACCESS_HOLDER, PROTOCOL_BODY_MAX, on_ask},
    {REQUEST_POST, PROTOCOL_LEASE "/{id}/beat", ACCESS_HOLDER, PROTOCOL_BODY_MAX, on_beat},
    {REQUEST_PUT, PROTOCOL_RESULT "/{candidate}/{attempt}", ACCESS_HOLDER, PROTOCOL_RESULT_MAX,
     on_result},
    {REQUEST_POST, PROTOCOL_LEASE "/{id}/fail", ACCESS_HOLDER, PROTOCOL_BODY_MAX, on_fail},
    {REQUEST_POST, PROTOCOL_LEASE "/{id}/release", ACCESS_HOLDER, PROTOCOL_BODY_MAX, on_release},
    {REQUEST_POST, "/v1/pause", ACCESS_HOLDER, PROTOCOL_BODY_MAX, on_order},
    {REQUEST_POST, "/v1/resume", ACCESS_HOLDER, PROTOCOL_BODY_MAX, on_order},
    {REQUEST_POST, "/v1/finish", ACCESS_HOLDER, PROTOCOL_BODY_MAX, on_order},
    {REQUEST_POST, "/v1/stop", ACCESS_HOLDER, PROTOCOL_BODY_MAX, on_order},
};

/* ---- the clock ---- */

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    struct dispatch *dispatch = context;
    struct err err = {0};
    int64_t now = now_ms();
    int64_t next = now + TICK_MS_MAX;

    (void)fd;
    (void)what;
    if (coordinator_tick(dispatch->options.coordinator, now, &next, &err) != 0) {
        die(dispatch, &err);
        return;
    }
    settle(dispatch);
    if (dispatch->dead) {
        return;
    }
    int64_t wait = next - now;
    wait = wait > TICK_MS_MAX ? TICK_MS_MAX : wait;
    const struct timeval delay = after_ms(wait < TICK_MS_MIN ? TICK_MS_MIN : wait);
    event_add(dispatch->tick, &delay);
}

/* ---- opening ---- */

int dispatch_open(struct dispatch **out, struct server *server, struct event_base *base,
                  const struct dispatch_options *options, struct err *err)
{
    const struct timeval now = {0};

    if (strlen(options->study) > PROTOCOL_TEXT_MAX ||
        strlen(options->study_id) > PROTOCOL_TEXT_MAX) {
        return err_set(err, ERR_LIMIT, "study: name longer than %d bytes", PROTOCOL_TEXT_MAX);
    }
    struct dispatch *dispatch = mem_array(1, sizeof(*dispatch));
    dispatch->options = *options;
    dispatch->base = base;
    dispatch->wake_seen = coordinator_wake(options->coordinator);
    dispatch->tick = evtimer_new(base, on_tick, dispatch);
    event_add(dispatch->tick, &now);
    server_route(server, routes, sizeof(routes) / sizeof(routes[0]), dispatch);
    *out = dispatch;
    return 0;
}

void dispatch_close(struct dispatch *dispatch)
{
    if (dispatch == NULL) {
        return;
    }
    dispatch->dead = true;
    while (dispatch->held != NULL) {
        exchange_refuse(dispatch->held->exchange, 503, "the coordinator is stopping");
        held_free(dispatch, dispatch->held);
    }
    while (dispatch->callers != NULL) {
        struct caller *caller = dispatch->callers;

        dispatch->callers = caller->next;
        free(caller->name);
        free(caller);
    }
    event_free(dispatch->tick);
    free(dispatch);
}

void dispatch_order(struct dispatch *dispatch, enum coordinator_order order)
{
    struct err err = {0};

    if (dispatch->dead) {
        return;
    }
    if (coordinator_command(dispatch->options.coordinator, order, now_ms(), &err) != 0) {
        die(dispatch, &err);
        return;
    }
    settle(dispatch);
}

void dispatch_worker_lost(struct dispatch *dispatch, const char *name)
{
    struct err err = {0};

    for (struct caller *caller = dispatch->callers; caller != NULL && !dispatch->dead;
         caller = caller->next) {
        if (caller->lease == 0 || strcmp(caller->name, name) != 0) {
            continue;
        }
        int rc = coordinator_release(dispatch->options.coordinator, caller->lease, now_ms(), &err);
        caller->lease = 0;
        if (rc != 0 && rc != ERR_MISSING) {
            die(dispatch, &err);
        }
    }
    settle(dispatch);
}

size_t dispatch_busy(const struct dispatch *dispatch)
{
    size_t n = 0;

    for (const struct caller *caller = dispatch->callers; caller != NULL; caller = caller->next) {
        n += caller->lease != 0;
    }
    return n;
}

size_t dispatch_waiting(const struct dispatch *dispatch)
{
    size_t n = 0;

    for (const struct held *held = dispatch->held; held != NULL; held = held->next) {
        n++;
    }
    return n;
}
