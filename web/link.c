/*
 * link.c - the worker's end of the wire: what is asked, and what each answer means.
 *
 * The bytes are http_client.c's business. Here one rule decides every retry: a request that was not
 * answered, or was answered with 503 or 507, is sent again until it is answered otherwise; all
 * requests are idempotent, so sending twice is always right.
 */
#include "web/link.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "web/http_client.h"
#include "web/protocol.h"

#define CALL_MS 30000 /* a request and its answer */
#define BRIEF_MS 2000 /* of those tried once: beats and releases */
#define BUNDLE_MS 300000
#define BACKOFF_MS 1000 /* the first wait, doubled up to */
#define BACKOFF_MS_MAX 60000
#define LOOPBACK_MS 20 /* the first wait on loopback: a coordinator restarts in no time */
#define NAP_MS 100     /* how long stopped() may go unasked */
#define PATIENCE_MS 900000
#define PAUSED_MS 1000

struct link {
    struct http_client *client;
    struct protocol_hello hello;
    struct protocol_welcome welcome; /* worker_id 0: not registered */
    uint64_t seq;
    char *spool;
    int spool_lock; /* the folder's descriptor, locked while we live; -1: no spool */
    int64_t patience_ms;
    bool (*stopped)(void *context);
    void *context;
};

/* ---- waiting ---- */

static uint64_t random_below(uint64_t bound)
{
    uint64_t value = 0;

    /* Jitter only has to differ between workers; nothing that is measured depends on it. */
    if (getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value)) {
        value = (uint64_t)http_client_now_ms() * 2654435761U;
    }
    return value % bound;
}

static bool is_stopped(const struct link *link)
{
    return link->stopped != NULL && link->stopped(link->context);
}

static void nap(struct link *link, int64_t ms)
{
    int64_t end = http_client_now_ms() + ms;

    for (int64_t left = ms; left > 0 && !is_stopped(link); left = end - http_client_now_ms()) {
        poll(NULL, 0,
             (int)(left < NAP_MS ? left : NAP_MS)); /* a signal ends it early, which is welcome */
    }
}

/* How long to wait before try k (from 0): capped exponential backoff with full jitter. */
static int64_t backoff_ms(const struct link *link, unsigned k)
{
    int64_t top = http_client_is_loopback(link->client) ? LOOPBACK_MS : BACKOFF_MS;

    while (k-- > 0 && top < BACKOFF_MS_MAX) {
        top *= 2;
    }
    return 1 + (int64_t)random_below((uint64_t)(top < BACKOFF_MS_MAX ? top : BACKOFF_MS_MAX));
}

/* ---- one request, until it is answered ---- */

struct call {
    const char *method, *path;
    const struct text *body; /* NULL: none */
    size_t reply_max;
    int64_t limit_ms; /* of one try */
    bool asks;        /* may be held: stopped() ends it midway, and 503 (paused) is an answer */
};

/* Does this answer mean "send it again later"? 503 and 507, and what stands between us and the
 * coordinator may say. */
static bool is_passing(const struct call *call, int status)
{
    return (status == 503 && !call->asks) || status == 408 || status == 500 || status == 502 ||
           status == 504 || status == 507;
}

static int give_up(struct link *link, int64_t since_ms, const char *why, struct err *err)
{
    if (is_stopped(link)) {
        return err_set(err, ERR_IO, "%s: stopped while waiting for an answer",
                       http_client_url(link->client));
    }
    if (http_client_now_ms() - since_ms > link->patience_ms) {
        return err_set(err, ERR_IO, "%s: no answer for %lld s; the last try said: %s",
                       http_client_url(link->client), (long long)(link->patience_ms / 1000), why);
    }
    return 0;
}

static void reason_of(const struct http_reply *reply, int rc, const struct err *err, char out[128])
{
    if (rc != 0) {
        snprintf(out, 128, "%.120s", err->text);
    } else {
        snprintf(out, 128, "status %d", reply->status);
    }
}

/* Send until there is an answer that is not passing. reply is the caller's to release. */
static int call_until_answered(struct link *link, const struct call *call, struct http_reply *reply,
                               struct err *err)
{
    int64_t since_ms = http_client_now_ms();
    char why[128];
    const struct http_call try = {.method = call->method,
                                  .path = call->path,
                                  .body = call->body,
                                  .reply_max = call->reply_max,
                                  .limit_ms = call->limit_ms,
                                  .stopped = call->asks ? link->stopped : NULL,
                                  .context = link->context};

    for (unsigned k = 0;; k++) {
        struct err try_err = {0};
        int rc = http_client_call(link->client, &try, reply, &try_err);

        if (rc == 0 && reply->status == 401) {
            http_reply_release(reply);
            return err_set(err, ERR_CONFLICT, "%s: the token is refused",
                           http_client_url(link->client));
        }
        if (rc == 0 && !is_passing(call, reply->status)) {
            if (k > 0) {
                log_info("link", "answered again tries=%u", k + 1);
            }
            return 0;
        }
        reason_of(reply, rc, &try_err, why);
        http_reply_release(reply);
        if (rc == ERR_FORMAT || rc == ERR_LIMIT) {
            *err = try_err;
            return rc;
        }
        rc = give_up(link, since_ms, why, err);
        if (rc != 0) {
            return rc;
        }
        int64_t wait = backoff_ms(link, k);
        if (wait > BACKOFF_MS) {
            log_warn("link", "no answer path=%s reason=\"%s\" retry_ms=%lld", call->path, why,
                     (long long)wait);
        }
        nap(link, wait);
    }
}

/* An answer that the protocol does not know. */
static int unexpected(const struct link *link, const struct call *call,
                      const struct http_reply *reply, struct err *err)
{
    return err_set(err, ERR_FORMAT, "%s%s: unexpected answer %d: %.200s",
                   http_client_url(link->client), call->path, reply->status,
                   text_get(&reply->body));
}

static void print_body(struct text *out, json_t *doc)
{
    doc_print(out, doc);
    json_decref(doc);
}

/* ---- the spool ---- */

/*
 * One file a result: its first line is the study_id it belongs to, the second the path it is sent
 * to, the rest the body.
 */
static char *spool_path(const struct link *link, uint64_t candidate, uint32_t attempt)
{
    return mem_printf("%s/%.16s-%llu-%u.result", link->spool, link->welcome.study_id,
                      (unsigned long long)candidate, attempt);
}

static int spool_write(struct link *link, const char *file, const char *path,
                       const struct text *body, struct err *err)
{
    struct text text = {0};

    text_printf(&text, "%s\n%s\n", link->welcome.study_id, path);
    text_add_n(&text, text_get(body), body->size);
    int rc = file_write(file, text_get(&text), text.size, 0600, err);
    text_release(&text);
    return rc != 0 ? err_wrap(err, "spool") : 0;
}

static int open_spool(struct link *link, const char *folder, struct err *err)
{
    int rc = file_make_dirs(folder, err);

    if (rc != 0) {
        return rc;
    }
    link->spool_lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (link->spool_lock < 0) {
        return err_set_errno(err, ERR_IO, "%s", folder);
    }
    if (flock(link->spool_lock, LOCK_EX | LOCK_NB) != 0) {
        return err_set(err, ERR_CONFLICT, "%s: another worker uses this folder", folder);
    }
    link->spool = mem_text(folder);
    return 0;
}

/* ---- results ---- */

static const char *verdict_of(int status)
{
    switch (status) {
    case 200:
        return "same";
    case 201:
        return "stored";
    case 409:
        return "differs";
    case 410:
        return "closed";
    case 422:
        return "invalid";
    default:
        return NULL;
    }
}

static int send_result(struct link *link, const char *path, const struct text *body,
                       struct err *err)
{
    const struct call call = {"PUT", path, body, PROTOCOL_REPLY_MAX, CALL_MS, false};
    struct http_reply reply = {0};

    int rc = call_until_answered(link, &call, &reply, err);
    if (rc != 0) {
        return rc;
    }
    const char *verdict = verdict_of(reply.status);
    if (verdict == NULL) {
        rc = unexpected(link, &call, &reply, err);
    } else if (reply.status > 201) {
        log_warn("link", "result refused path=%s verdict=%s answer=\"%.200s\"", path, verdict,
                 text_get(&reply.body));
    }
    http_reply_release(&reply);
    return rc;
}

/* Send one spooled result if it belongs to this study, and remove it; one of another study stays.
 */
static int resend(struct link *link, const char *file, struct err *err)
{
    struct file_bytes bytes = {0};
    struct text body = {0};

    int rc = file_read(&bytes, file, PROTOCOL_RESULT_MAX + 1024, err);
    if (rc != 0) {
        return rc;
    }
    char *path = strchr(bytes.data, '\n');
    char *start = path != NULL ? strchr(path + 1, '\n') : NULL;
    if (start == NULL) {
        log_warn("link", "spool file is not ours file=%s", file);
        goto out;
    }
    *path++ = '\0';
    *start++ = '\0';
    if (strcmp(bytes.data, link->welcome.study_id) != 0) {
        goto out;
    }
    text_add_n(&body, start, bytes.size - (size_t)(start - bytes.data));
    log_info("link", "sending a result of an earlier life path=%s", path);
    rc = send_result(link, path, &body, err);
    if (rc == 0) {
        unlink(file);
    }
out:
    text_release(&body);
    file_release(&bytes);
    return rc;
}

static int resend_all(struct link *link, struct err *err)
{
    DIR *folder = link->spool != NULL ? opendir(link->spool) : NULL;
    const struct dirent *entry;
    int rc = 0;

    if (folder == NULL) {
        return link->spool == NULL ? 0 : err_set_errno(err, ERR_IO, "%s", link->spool);
    }
    while (rc == 0 && (entry = readdir(folder)) != NULL) {
        size_t n = strlen(entry->d_name);

        if (n > 7 && strcmp(entry->d_name + n - 7, ".result") == 0) {
            char *file = file_join(link->spool, entry->d_name);

            rc = resend(link, file, err);
            free(file);
        }
    }
    closedir(folder);
    return rc;
}

static int report_good(struct link *link, const struct job *job, const struct score *score,
                       struct err *err)
{
    struct text body = {0};
    char *path =
        mem_printf(PROTOCOL_RESULT "/%llu/%u", (unsigned long long)job->candidate, job->attempt);
    char *file = link->spool != NULL ? spool_path(link, job->candidate, job->attempt) : NULL;
    int rc = 0;

    print_body(&body, protocol_result_print(job->lease, score));
    if (file != NULL) {
        rc = spool_write(link, file, path, &body, err);
    }
    if (rc == 0) {
        rc = send_result(link, path, &body, err);
    }
    if (rc == 0 && file != NULL) {
        unlink(file);
    }
    free(file);
    free(path);
    text_release(&body);
    return rc;
}

/* A failure is not spooled: lost, its lease expires and the candidate is tried again. */
static int report_failed(struct link *link, const struct job *job, const struct score *score,
                         struct err *err)
{
    struct text body = {0};
    char *path = mem_printf(PROTOCOL_LEASE "/%llu/fail", (unsigned long long)job->lease);
    struct http_reply reply = {0};

    print_body(&body,
               protocol_failure_print(score->failure, score->detail != NULL ? score->detail : ""));
    const struct call call = {"POST", path, &body, PROTOCOL_REPLY_MAX, CALL_MS, false};
    int rc = call_until_answered(link, &call, &reply, err);
    if (rc == 0 && reply.status != 200 && reply.status != 410) {
        rc = unexpected(link, &call, &reply, err);
    }
    http_reply_release(&reply);
    text_release(&body);
    free(path);
    return rc;
}

int link_report(struct link *link, const struct job *job, const struct score *score,
                struct err *err)
{
    return score->failure == SCORE_OK ? report_good(link, job, score, err)
                                      : report_failed(link, job, score, err);
}

/* ---- the other calls ---- */

static int say_hello(struct link *link, struct err *err)
{
    struct text body = {0};
    struct http_reply reply = {0};
    json_t *doc = NULL;

    print_body(&body, protocol_hello_print(&link->hello));
    const struct call call = {"POST", PROTOCOL_WORKERS, &body, PROTOCOL_REPLY_MAX, CALL_MS, false};
    int rc = call_until_answered(link, &call, &reply, err);
    if (rc != 0) {
        goto out;
    }
    if (reply.status != 201) {
        rc = unexpected(link, &call, &reply, err);
        goto out;
    }
    rc = doc_parse(&doc, text_get(&reply.body), reply.body.size, err);
    if (rc == 0) {
        rc = protocol_welcome_parse(&link->welcome, doc, err);
    }
out:
    json_decref(doc);
    http_reply_release(&reply);
    text_release(&body);
    return rc;
}

int link_register(struct link *link, struct err *err)
{
    int rc = say_hello(link, err);

    return rc != 0 ? rc : resend_all(link, err);
}

int link_bundle(struct link *link, struct text *out, struct err *err)
{
    const struct call call = {"GET", PROTOCOL_BUNDLE, NULL, PROTOCOL_BUNDLE_MAX, BUNDLE_MS, false};
    struct http_reply reply = {0};

    int rc = call_until_answered(link, &call, &reply, err);
    if (rc == 0 && reply.status != 200) {
        rc = unexpected(link, &call, &reply, err);
    }
    if (rc == 0) {
        text_add_n(out, text_get(&reply.body), reply.body.size);
    }
    http_reply_release(&reply);
    return rc;
}

bool link_is_local(const struct link *link)
{
    return http_client_is_loopback(link->client);
}

/* What an answer to an ask means; *again: the coordinator does not know us any more, say hello and
 * ask again. */
static int read_offer(struct link *link, const struct call *call, const struct http_reply *reply,
                      enum link_offer *offer, struct job *job, bool *again, struct err *err)
{
    json_t *doc = NULL;
    int rc = 0;

    *again = false;
    switch (reply->status) {
    case 200:
        rc = doc_parse(&doc, text_get(&reply->body), reply->body.size, err);
        rc = rc != 0 ? rc : job_parse(job, doc, err);
        json_decref(doc);
        *offer = LINK_JOB;
        return rc;
    case 204:
        *offer = LINK_NOTHING;
        return 0;
    case 404:
        *again = true;
        return 0;
    case 410:
        *offer = LINK_OVER;
        return 0;
    case 503:
        *offer = LINK_NOTHING;
        nap(link, PAUSED_MS);
        return 0;
    default:
        return unexpected(link, call, reply, err);
    }
}

static int ask_once(struct link *link, int64_t wait_ms, enum link_offer *offer, struct job *job,
                    bool *again, struct err *err)
{
    const struct protocol_ask ask = {link->welcome.worker_id, link->seq, wait_ms};
    struct text body = {0};
    struct http_reply reply = {0};

    print_body(&body, protocol_ask_print(&ask));
    const struct call call = {"POST", PROTOCOL_LEASE, &body, PROTOCOL_REPLY_MAX, wait_ms + CALL_MS,
                              true};
    int rc = call_until_answered(link, &call, &reply, err);
    if (rc == 0) {
        rc = read_offer(link, &call, &reply, offer, job, again, err);
    }
    http_reply_release(&reply);
    text_release(&body);
    return rc;
}

int link_ask(struct link *link, int64_t wait_ms, enum link_offer *offer, struct job *job,
             struct err *err)
{
    bool again = true;
    int rc = 0;

    assert(wait_ms >= 0 && wait_ms <= PROTOCOL_WAIT_MS_MAX);
    link->seq++; /* a new question; tries of it that went unanswered keep their number */
    while (rc == 0 && again) {
        rc = ask_once(link, wait_ms, offer, job, &again, err);
        if (rc == 0 && again) {
            log_info("link", "the coordinator does not know us any more, saying hello again");
            rc = say_hello(link, err);
        }
    }
    return rc;
}

int64_t link_beat_ms(struct link *link)
{
    int64_t beat = link->welcome.beat_ms;

    return beat - (int64_t)random_below((uint64_t)beat / 5 +
                                        1); /* up to a fifth early, so that workers spread out */
}

/* One short try; whatever comes of it. */
static void call_once(struct link *link, const char *path, struct http_reply *reply)
{
    struct text body = {0};
    struct err err = {0};

    text_add(&body, "{}");
    const struct http_call call = {.method = "POST",
                                   .path = path,
                                   .body = &body,
                                   .reply_max = PROTOCOL_REPLY_MAX,
                                   .limit_ms = BRIEF_MS};
    if (http_client_call(link->client, &call, reply, &err) != 0) {
        log_debug("link", "not answered path=%s reason=\"%s\"", path, err.text);
    }
    text_release(&body);
}

void link_beat(struct link *link, uint64_t lease, bool *cancel)
{
    char path[64];
    struct http_reply reply = {0};
    json_t *doc = NULL;

    *cancel = false;
    snprintf(path, sizeof(path), PROTOCOL_LEASE "/%llu/beat", (unsigned long long)lease);
    call_once(link, path, &reply);
    /* An unknown lease (410) is no reason to stop: an expired lease's result is still good. */
    if (reply.status == 200 && doc_parse(&doc, text_get(&reply.body), reply.body.size, NULL) == 0) {
        *cancel = json_is_true(json_object_get(doc, "cancel"));
    }
    json_decref(doc);
    http_reply_release(&reply);
}

void link_release(struct link *link, uint64_t lease)
{
    char path[64];
    struct http_reply reply = {0};

    snprintf(path, sizeof(path), PROTOCOL_LEASE "/%llu/release", (unsigned long long)lease);
    call_once(link, path, &reply);
    http_reply_release(&reply);
}

/* ---- opening ---- */

static int read_hello(struct protocol_hello *out, const struct link_options *options,
                      struct err *err)
{
    unsigned char random[PROTOCOL_BOOT_ID / 2];

    if (strlen(options->name) > PROTOCOL_TEXT_MAX || strlen(options->build) > PROTOCOL_TEXT_MAX ||
        strlen(options->path) > PROTOCOL_TEXT_MAX) {
        return err_set(err, ERR_LIMIT, "worker: name longer than %d bytes", PROTOCOL_TEXT_MAX);
    }
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return err_set_errno(err, ERR_IO, "random numbers for a worker's identity");
    }
    for (size_t i = 0; i < sizeof(random); i++) {
        snprintf(out->boot_id + 2 * i, 3, "%02x", random[i]);
    }
    snprintf(out->name, sizeof(out->name), "%s", options->name);
    snprintf(out->build, sizeof(out->build), "%s", options->build);
    snprintf(out->path, sizeof(out->path), "%s", options->path);
    return 0;
}

int link_open(struct link **out, const struct link_options *options, struct err *err)
{
    struct link *link = mem_array(1, sizeof(*link));

    link->spool_lock = -1;
    link->patience_ms = options->patience_ms > 0 ? options->patience_ms : PATIENCE_MS;
    link->stopped = options->stopped;
    link->context = options->context;
    int rc = read_hello(&link->hello, options, err);
    if (rc != 0) {
        goto out;
    }
    rc = http_client_open(&link->client, options->url, options->token, err);
    if (rc != 0) {
        goto out;
    }
    if (options->spool != NULL) {
        rc = open_spool(link, options->spool, err);
        if (rc != 0) {
            goto out;
        }
    }
    *out = link;
    link = NULL; /* handed over */
out:
    link_close(link);
    return rc;
}

void link_close(struct link *link)
{
    if (link == NULL) {
        return;
    }
    http_client_close(link->client);
    if (link->spool_lock >= 0) {
        close(link->spool_lock); /* unlocks */
    }
    free(link->spool);
    free(link);
}
