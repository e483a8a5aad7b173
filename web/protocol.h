/*
 * protocol.h - the words both ends of the wire share: paths, field names, limits, forms of requests
 * and replies.
 *
 *   worker                                        coordinator
 *   POST /v1/workers        hello            ->   201 welcome (the same boot_id: the same answer)
 *   GET  /v1/bundle                          ->   200 models by digest, tasks with their documents
 *   POST /v1/lease          ask, held        ->   200 job | 204 nothing now | 410 over: go home |
 * 503 paused POST /v1/lease/ID/beat                   ->   200 {"cancel": false} | 410 no such
 * lease PUT  /v1/result/CANDIDATE/ATTEMPT        ->   201 stored | 200 the same is stored | 409
 * another is stored | 410 closed | 422 invalid | 507 not stored, keep and retry POST
 * /v1/lease/ID/fail                   ->   200 POST /v1/lease/ID/release                ->   200
 *   POST /v1/pause, resume, finish, stop     ->   200 (people, with the same token)
 *
 * HTTP/1.1, JSON, "Authorization: Bearer TOKEN". Every request may be sent again: (worker_id, seq)
 * names an ask, (candidate, attempt) a result, the lease its end. Jobs are study/job.h's form,
 * scores study/score.h's.
 */
#ifndef WEB_PROTOCOL_H
#define WEB_PROTOCOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "study/score.h"

#define PROTOCOL_WORKERS "/v1/workers"
#define PROTOCOL_BUNDLE "/v1/bundle"
#define PROTOCOL_LEASE "/v1/lease"
#define PROTOCOL_RESULT "/v1/result"

#define PROTOCOL_BODY_MAX ((size_t)1 << 20)    /* any request but a result */
#define PROTOCOL_RESULT_MAX ((size_t)64 << 20) /* per-document results of every task */
#define PROTOCOL_REPLY_MAX \
    ((size_t)4 << 20) /* any reply but the bundle; a job holds a recipe of up to 1 MiB, escaped */
#define PROTOCOL_BUNDLE_MAX ((size_t)256 << 20)
#define PROTOCOL_WAIT_MS_MAX 25000 /* of a held ask: shorter than what proxies cut */
#define PROTOCOL_TEXT_MAX 200      /* names, builds, paths */
#define PROTOCOL_DETAIL_MAX 4096   /* of a failure */
#define PROTOCOL_BOOT_ID 32        /* hex digits: 128 random bits, made when the worker starts */
#define PROTOCOL_TTL_MS 30000      /* of a lease, unless the study says otherwise */
#define PROTOCOL_BEATS 3           /* heartbeats a lease's time-to-live */

/* A worker says who it is. */
struct protocol_hello {
    char boot_id[PROTOCOL_BOOT_ID + 1];
    char name[PROTOCOL_TEXT_MAX + 1];
    char build[PROTOCOL_TEXT_MAX + 1]; /* version of braid */
    char path[PROTOCOL_TEXT_MAX + 1];  /* numeric path, "f32/openblas-SkylakeX" */
};
json_t *protocol_hello_print(const struct protocol_hello *hello);
int protocol_hello_parse(struct protocol_hello *out, const json_t *doc, struct err *err);

/* What it is told. */
struct protocol_welcome {
    uint64_t worker_id;
    int64_t ttl_ms, beat_ms;
    char study[PROTOCOL_TEXT_MAX + 1]; /* name */
    char
        study_id[PROTOCOL_TEXT_MAX + 1]; /* names the database: results of another are not for it */
};
json_t *protocol_welcome_print(const struct protocol_welcome *welcome);
int protocol_welcome_parse(struct protocol_welcome *out, const json_t *doc, struct err *err);

/* A worker asks for a job, and is willing to wait. */
struct protocol_ask {
    uint64_t worker_id;
    uint64_t seq; /* counts its asks; sent again unchanged when the answer was lost */
    int64_t wait_ms;
};
json_t *protocol_ask_print(const struct protocol_ask *ask);
int protocol_ask_parse(struct protocol_ask *out, const json_t *doc, struct err *err);

/* A finished evaluation. The score must not be a failed one; those go by protocol_failure. */
json_t *protocol_result_print(uint64_t lease, const struct score *score);
int protocol_result_parse(uint64_t *lease, struct score *out, const json_t *doc, struct err *err);

/* An evaluation that failed: its kind, and a detail that is cut at PROTOCOL_DETAIL_MAX. detail is
 * borrowed from doc. */
json_t *protocol_failure_print(enum score_failure kind, const char *detail);
int protocol_failure_parse(enum score_failure *kind, const char **detail, const json_t *doc,
                           struct err *err);

#endif
