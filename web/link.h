/*
 * link.h - the worker's end of the wire: a blocking HTTP/1.1 client over one kept connection.
 *
 * For a supervisor whose evaluator child computes meanwhile (evaluator/worker.h):
 *
 *   link_open, link_register, link_bundle
 *   while (link_ask(link, 20000, &offer, &job) == 0 && offer != LINK_OVER)     waits up to 20 s for
 * a job worker_send(child, &job) until worker_wait(child, link_beat_ms(link), &done, &score) says
 * done    its beat period is our beat period link_beat(link, job.lease, &cancel) two seconds at
 * most, never fails link_report(link, &job, &score)                                        until
 * acknowledged link_close
 *
 * A lost connection, a 503 and a 507 are waited out: 1 s doubling to 60 s, each wait drawn evenly
 * from zero to that (AWS Architecture Blog 2015, "Exponential Backoff And Jitter", full jitter); on
 * loopback the first tries follow within milliseconds. A result is spooled to disk before it is
 * sent and removed when it is acknowledged; after a crash, link_register sends what it finds there.
 */
#ifndef WEB_LINK_H
#define WEB_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "study/job.h"
#include "study/score.h"

struct link;

struct link_options {
    const char *url;                 /* "http://HOST:PORT" */
    const char *token;               /* 64 hex digits */
    const char *name, *build, *path; /* who we are, see protocol.h */
    const char *spool; /* a folder of this worker alone, made when missing; NULL: no spool */
    int64_t
        patience_ms; /* without a word from the coordinator for this long, give up; 0: 15 minutes */
    /* Asked between tries and while waiting; true ends the wait. May be NULL. */
    bool (*stopped)(void *context);
    void *context;
};

/* Options are copied. Does not connect yet. ERR_FORMAT: the url; ERR_CONFLICT: another process uses
 * the spool. */
int link_open(struct link **out, const struct link_options *options, struct err *err);
void link_close(struct link *link);

/*
 * What every call below may fail with: ERR_IO patience is at its end, or stopped() said so (the
 * text tells which); ERR_CONFLICT the token is refused; ERR_FORMAT the other end does not speak our
 * protocol.
 */

/* Say hello, then send spooled results of an earlier life. */
int link_register(struct link *link, struct err *err);

/* Append the study's bundle, JSON text. */
int link_bundle(struct link *link, struct text *out, struct err *err);

/* True when the coordinator is on this machine, by its address. */
bool link_is_local(const struct link *link);

enum link_offer {
    LINK_JOB,     /* *job is filled; the caller releases it */
    LINK_NOTHING, /* nothing within wait_ms, or paused: ask again */
    LINK_OVER     /* the study has ended: go home */
};
int link_ask(struct link *link, int64_t wait_ms, enum link_offer *offer, struct job *job,
             struct err *err);

/* How often to call link_beat, in milliseconds; told at registration, with jitter. */
int64_t link_beat_ms(struct link *link);

/* One try of two seconds. A beat that does not get through is not worth an error: the next one may.
 * *cancel: another attempt has finished this candidate, stop working on it. */
void link_beat(struct link *link, uint64_t lease, bool *cancel);

/* A score, good or failed: spooled, sent, sent again until the coordinator has answered. What it
 * answers about the result itself (stored, the same, differs, closed, invalid) is logged and is no
 * error. */
int link_report(struct link *link, const struct job *job, const struct score *score,
                struct err *err);

/* Give a lease back unfinished; one try of two seconds. */
void link_release(struct link *link, uint64_t lease);

#endif
