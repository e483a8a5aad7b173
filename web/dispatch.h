/*
 * dispatch.h - the workers' door: from requests to calls of the coordinator and back to replies.
 *
 * Also the coordinator's clock: a timer ticks it, and held asks are answered when its wake counter
 * moves. Nothing is acknowledged before the coordinator has returned, which is after the commit.
 */
#ifndef WEB_DISPATCH_H
#define WEB_DISPATCH_H

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "search/coordinator.h"
#include "web/server.h"

struct dispatch;

struct dispatch_options {
    struct coordinator *coordinator; /* kept, like all below, until dispatch_close */
    const char *study;               /* name, for workers' logs */
    const char *study_id; /* names this very database, at most 200 bytes: spooled results of another
                             are not for it */
    const char *bundle;   /* what GET /v1/bundle answers, JSON text [bundle_size] */
    size_t bundle_size;
    int64_t ttl_ms; /* the coordinator's; 0: 30 s */

    /* The store is in trouble: outcomes are unknown, the process must stop, restart and read again.
     * Called at most once; no further request reaches the coordinator. */
    void (*on_fatal)(const struct err *err, void *context);
    /* Something changed: tell the event streams, print the progress line. May be NULL. */
    void (*on_change)(void *context);
    void *context;
};

/* Add the routes of protocol.h to the server and start ticking. */
int dispatch_open(struct dispatch **out, struct server *server, struct event_base *base,
                  const struct dispatch_options *options, struct err *err);
/* Before server_close: held asks are answered with 503. NULL is harmless. */
void dispatch_close(struct dispatch *dispatch);

/* A person's order from this process (a signal, a wall-clock limit), as if it came by HTTP. */
void dispatch_order(struct dispatch *dispatch, enum coordinator_order order);

/* The process of the worker called name is known to be dead: hand its leases out again at once
 * instead of waiting for them to expire. */
void dispatch_worker_lost(struct dispatch *dispatch, const char *name);

/* Workers that hold a lease or an ask at this moment. */
size_t dispatch_busy(const struct dispatch *dispatch);
size_t dispatch_waiting(const struct dispatch *dispatch);

#endif
