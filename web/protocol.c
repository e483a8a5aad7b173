/*
 * protocol.c - the words both ends of the wire share. Each form's print and parse stand side by
 * side.
 */
#include "web/protocol.h"

#include <assert.h>
#include <string.h>

#include "base/doc.h"
#include "base/text.h"

/* Copy a text field of at most size - 1 bytes. */
static int read_text(char *out, size_t size, const json_t *doc, const char *key, struct err *err)
{
    const char *value;

    int rc = doc_text(doc, key, &value, err);
    if (rc != 0) {
        return rc;
    }
    if (strlen(value) >= size) {
        return err_set(err, ERR_LIMIT, "%s: longer than %zu bytes", key, size - 1);
    }
    memcpy(out, value, strlen(value) + 1);
    return 0;
}

static int read_u64(uint64_t *out, const json_t *doc, const char *key, struct err *err)
{
    int64_t value = 0;

    int rc = doc_integer(doc, key, 0, INT64_MAX, &value, err);
    if (rc == 0) {
        *out = (uint64_t)value;
    }
    return rc;
}

json_t *protocol_hello_print(const struct protocol_hello *hello)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "boot_id", hello->boot_id, "name", hello->name,
                     "build", hello->build, "path", hello->path);
}

int protocol_hello_parse(struct protocol_hello *out, const json_t *doc, struct err *err)
{
    struct protocol_hello made;

    int rc = read_text(made.boot_id, sizeof(made.boot_id), doc, "boot_id", err);
    rc = rc != 0 ? rc : read_text(made.name, sizeof(made.name), doc, "name", err);
    rc = rc != 0 ? rc : read_text(made.build, sizeof(made.build), doc, "build", err);
    rc = rc != 0 ? rc : read_text(made.path, sizeof(made.path), doc, "path", err);
    if (rc != 0) {
        return rc;
    }
    if (strspn(made.boot_id, "0123456789abcdef") != PROTOCOL_BOOT_ID) {
        return err_set(err, ERR_FORMAT, "boot_id: expected %d hex digits", PROTOCOL_BOOT_ID);
    }
    *out = made;
    return 0;
}

json_t *protocol_welcome_print(const struct protocol_welcome *welcome)
{
    return json_pack("{s:I, s:I, s:I, s:s, s:s}", "worker_id", (json_int_t)welcome->worker_id,
                     "ttl_ms", (json_int_t)welcome->ttl_ms, "beat_ms", (json_int_t)welcome->beat_ms,
                     "study", welcome->study, "study_id", welcome->study_id);
}

int protocol_welcome_parse(struct protocol_welcome *out, const json_t *doc, struct err *err)
{
    struct protocol_welcome made;

    int rc = read_u64(&made.worker_id, doc, "worker_id", err);
    rc = rc != 0 ? rc : doc_integer(doc, "ttl_ms", 1, INT32_MAX, &made.ttl_ms, err);
    rc = rc != 0 ? rc : doc_integer(doc, "beat_ms", 1, INT32_MAX, &made.beat_ms, err);
    rc = rc != 0 ? rc : read_text(made.study, sizeof(made.study), doc, "study", err);
    rc = rc != 0 ? rc : read_text(made.study_id, sizeof(made.study_id), doc, "study_id", err);
    if (rc == 0) {
        *out = made;
    }
    return rc;
}

json_t *protocol_ask_print(const struct protocol_ask *ask)
{
    return json_pack("{s:I, s:I, s:I}", "worker_id", (json_int_t)ask->worker_id, "seq",
                     (json_int_t)ask->seq, "wait_ms", (json_int_t)ask->wait_ms);
}

int protocol_ask_parse(struct protocol_ask *out, const json_t *doc, struct err *err)
{
    struct protocol_ask made;

    int rc = read_u64(&made.worker_id, doc, "worker_id", err);
    rc = rc != 0 ? rc : read_u64(&made.seq, doc, "seq", err);
    rc = rc != 0 ? rc : doc_integer(doc, "wait_ms", 0, PROTOCOL_WAIT_MS_MAX, &made.wait_ms, err);
    if (rc == 0) {
        *out = made;
    }
    return rc;
}

json_t *protocol_result_print(uint64_t lease, const struct score *score)
{
    assert(score->failure == SCORE_OK);
    return json_pack("{s:I, s:o}", "lease", (json_int_t)lease, "score", score_print(score));
}

int protocol_result_parse(uint64_t *lease, struct score *out, const json_t *doc, struct err *err)
{
    uint64_t id;
    json_t *form;
    struct score made = {0};

    int rc = read_u64(&id, doc, "lease", err);
    rc = rc != 0 ? rc : doc_object(doc, "score", &form, err);
    rc = rc != 0 ? rc : score_parse(&made, form, err);
    if (rc == 0 && made.failure != SCORE_OK) {
        rc = err_set(err, ERR_FORMAT, "score: a failure is reported to the lease, not as a result");
    }
    if (rc != 0) {
        score_release(&made);
        return rc;
    }
    *lease = id;
    *out = made;
    return 0;
}

/* How much of a text fits in PROTOCOL_DETAIL_MAX without cutting a UTF-8 character in two. */
static size_t detail_size(const char *detail)
{
    size_t n = strlen(detail);

    if (n <= PROTOCOL_DETAIL_MAX) {
        return n;
    }
    n = PROTOCOL_DETAIL_MAX;
    while (n > 0 && ((unsigned char)detail[n] & 0xc0) == 0x80) {
        n--;
    }
    return n;
}

json_t *protocol_failure_print(enum score_failure kind, const char *detail)
{
    json_t *text = json_stringn(detail, detail_size(detail));

    assert(kind != SCORE_OK);
    /* What an evaluator said last may be any bytes; then the kind alone has to do. */
    return json_pack("{s:s, s:o}", "kind", score_failure_name(kind), "detail",
                     text != NULL ? text : json_string(""));
}

int protocol_failure_parse(enum score_failure *kind, const char **detail, const json_t *doc,
                           struct err *err)
{
    const char *name;
    const char *text;
    enum score_failure found;

    int rc = doc_text(doc, "kind", &name, err);
    rc = rc != 0 ? rc : doc_text(doc, "detail", &text, err);
    if (rc != 0) {
        return rc;
    }
    if (!score_failure_parse(name, &found) || found == SCORE_OK) {
        return err_set(err, ERR_FORMAT, "kind: no such failure '%.40s'", name);
    }
    if (strlen(text) > PROTOCOL_DETAIL_MAX) {
        return err_set(err, ERR_LIMIT, "detail: longer than %d bytes", PROTOCOL_DETAIL_MAX);
    }
    *kind = found;
    *detail = text;
    return 0;
}
