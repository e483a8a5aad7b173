/*
 * stream.h - GET /api/stream: server-sent events (WHATWG HTML, 9.2).
 *
 *   event: summary      the study's summary, as /api/summary answers it
 *   event: log          new rows of the event log; their id is the message's id
 *
 * What has changed is read from the store, so a study that another process runs streams as well.
 * Changes are sent at most four times a second; a comment line every 15 s finds dead peers; a
 * client that leaves more than 1 MiB untaken is dropped and comes back with Last-Event-ID.
 */
#ifndef WEB_STREAM_H
#define WEB_STREAM_H

#include <event2/event.h>

#include "store/store.h"
#include "web/server.h"

struct stream;

/* Add the route. The store (a reader will do) is kept until stream_close. */
int stream_open(struct stream **out, struct server *server, struct event_base *base,
                struct store *store, struct err *err);
/* Before server_close. NULL is harmless. */
void stream_close(struct stream *stream);

/* Something may have changed: look soon. Without pokes it looks once a second. */
void stream_poke(struct stream *stream);

#endif
