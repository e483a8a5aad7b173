/*
 * The workers' door over a scripted coordinator: each of its answers becomes the status the
 * protocol says, held asks are answered when its wake counter moves, and nothing reaches it once
 * the store is in trouble. The coordinator's functions are defined here, and the linker takes them
 * before the library's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <signal.h>

#include <cmocka.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/log.h"
#include "tests/support/support.h"
#include "tests/web/scores.h"
#include "tests/web/talk.h"
#include "web/dispatch.h"
#include "web/protocol.h"

/* ---- a coordinator by script ---- */

struct coordinator {
    uint64_t wake;
    enum coordinator_offer offer;
    enum coordinator_verdict verdict;
    int rc; /* of the next calls */
    bool cancel;
    int calls;
    uint64_t worker_id, seq, lease, candidate, attempt, released;
    enum score_failure kind;
    char detail[64], state[16];
};

static int scripted(struct coordinator *coordinator, struct err *err)
{
    coordinator->calls++;
    return coordinator->rc == 0 ? 0 : err_set(err, (enum err_code)coordinator->rc, "as scripted");
}

int coordinator_register(struct coordinator *coordinator, const struct coordinator_worker *worker,
                         int64_t now_ms, uint64_t *worker_id, struct err *err)
{
    (void)now_ms;
    *worker_id = strcmp(worker->name, "local-1") == 0 ? 1 : 2;
    return scripted(coordinator, err);
}

int coordinator_lease(struct coordinator *coordinator, uint64_t worker_id, uint64_t seq,
                      int64_t now_ms, enum coordinator_offer *offer, struct job *job,
                      struct err *err)
{
    (void)now_ms;
    coordinator->worker_id = worker_id;
    coordinator->seq = seq;
    *offer = coordinator->offer;
    if (coordinator->rc == 0 && coordinator->offer == COORDINATOR_JOB) {
        *job = (struct job){.lease = 77,
                            .candidate = 9,
                            .attempt = 1,
                            .split = SPLIT_SEARCH,
                            .recipe = mem_text("{}"),
                            .ttl_ms = 30000,
                            .limit_ms = 60000};
    }
    return scripted(coordinator, err);
}

int coordinator_beat(struct coordinator *coordinator, uint64_t lease, int64_t now_ms, bool *cancel,
                     struct err *err)
{
    (void)now_ms;
    coordinator->lease = lease;
    *cancel = coordinator->cancel;
    return scripted(coordinator, err);
}

int coordinator_result(struct coordinator *coordinator, uint64_t candidate, uint32_t attempt,
                       uint64_t lease, const struct score *score, int64_t now_ms,
                       enum coordinator_verdict *verdict, struct err *err)
{
    (void)now_ms;
    (void)score;
    coordinator->candidate = candidate;
    coordinator->attempt = attempt;
    coordinator->lease = lease;
    *verdict = coordinator->verdict;
    if (coordinator->rc == 0 && coordinator->verdict == COORDINATOR_INVALID) {
        err_set(err, ERR_FORMAT, "task addition: 2 documents, expected 3");
    }
    return scripted(coordinator, err);
}

int coordinator_fail(struct coordinator *coordinator, uint64_t lease, enum score_failure kind,
                     const char *detail, int64_t now_ms, struct err *err)
{
    (void)now_ms;
    coordinator->lease = lease;
    coordinator->kind = kind;
    snprintf(coordinator->detail, sizeof(coordinator->detail), "%s", detail);
    return scripted(coordinator, err);
}

int coordinator_release(struct coordinator *coordinator, uint64_t lease, int64_t now_ms,
                        struct err *err)
{
    (void)now_ms;
    coordinator->released = lease;
    return scripted(coordinator, err);
}

int coordinator_tick(struct coordinator *coordinator, int64_t now_ms, int64_t *next_ms,
                     struct err *err)
{
    (void)coordinator;
    (void)err;
    *next_ms = now_ms + 20;
    return 0;
}

int coordinator_command(struct coordinator *coordinator, enum coordinator_order order,
                        int64_t now_ms, struct err *err)
{
    static const char *const states[] = {"paused", "running", "finishing", "stopped"};

    (void)now_ms;
    snprintf(coordinator->state, sizeof(coordinator->state), "%s", states[order]);
    coordinator->wake++;
    return scripted(coordinator, err);
}

uint64_t coordinator_wake(const struct coordinator *coordinator)
{
    return coordinator->wake;
}

void coordinator_status(const struct coordinator *coordinator, struct coordinator_status *out)
{
    *out =
        (struct coordinator_status){.stage = "search", .state = coordinator->state, .reason = ""};
}

/* ---- a house for each test ---- */

struct house {
    struct event_base *base;
    struct server *server;
    struct dispatch *dispatch;
    struct coordinator coordinator;
    char *folder;
    uint16_t port;
    int changes, deaths;
};

static void on_fatal(const struct err *err, void *context)
{
    struct house *house = context;

    assert_string_equal(err->text, "as scripted");
    house->deaths++;
}

static void on_change(void *context)
{
    struct house *house = context;

    house->changes++;
}

static int set_up(void **state)
{
    struct house *house = mem_array(1, sizeof(*house));

    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    house->folder = support_temp_dir();
    house->base = event_base_new();
    char *token_file = file_join(house->folder, "t.token");
    const struct server_options options = {.listen = "127.0.0.1:0", .token_file = token_file};
    assert_int_equal(server_open(&house->server, house->base, &options, NULL), 0);
    const struct dispatch_options dispatch_options = {.coordinator = &house->coordinator,
                                                      .study = "night",
                                                      .study_id = "id-1",
                                                      .bundle = "{\"models\":[]}",
                                                      .bundle_size = 13,
                                                      .on_fatal = on_fatal,
                                                      .on_change = on_change,
                                                      .context = house};
    assert_int_equal(
        dispatch_open(&house->dispatch, house->server, house->base, &dispatch_options, NULL), 0);
    house->port = talk_port(server_url(house->server));
    free(token_file);
    *state = house;
    return 0;
}

static int tear_down(void **state)
{
    struct house *house = *state;

    dispatch_close(house->dispatch);
    server_close(house->server);
    event_base_free(house->base);
    support_remove_dir(house->folder);
    free(house);
    return 0;
}

/* ---- a worker ---- */

static char *request_of(struct house *house, const char *method, const char *path, const char *body)
{
    return mem_printf(
        "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer %s\r\n"
        "Content-Length: %zu\r\n\r\n%s",
        method, path, server_token(house->server), strlen(body), body);
}

/* The status of the answer; its body must hold part. */
static int call(struct house *house, const char *method, const char *path, const char *body,
                const char *part)
{
    char *request = request_of(house, method, path, body);
    char *answer = talk_ask(house->base, house->port, request);
    int status = atoi(answer + strlen("HTTP/1.1 "));

    if (strstr(answer, part) == NULL) {
        fail_msg("%s %s: expected %s in %s", method, path, part, answer);
    }
    free(answer);
    free(request);
    return status;
}

static void say_hello(struct house *house, const char *name)
{
    char *body = mem_printf("{\"boot_id\":\"00112233445566778899aabbccddeeff\",\"name\":\"%s\","
                            "\"build\":\"1\",\"path\":\"p\"}",
                            name);

    assert_int_equal(call(house, "POST", "/v1/workers", body, "\"study_id\":\"id-1\""), 201);
    free(body);
}

/* Ask on a connection of its own and leave it held. */
static int ask_and_wait(struct house *house, const char *body)
{
    char *request = request_of(house, "POST", "/v1/lease", body);
    struct text nothing = {0};
    int fd = talk_dial(house->port);

    talk_send(fd, request);
    talk_listen(house->base, fd, NULL, 60, &nothing);
    assert_int_equal(nothing.size, 0);
    text_release(&nothing);
    free(request);
    return fd;
}

static void hears(struct house *house, int fd, const char *part)
{
    struct text answer = {0};

    talk_listen(house->base, fd, NULL, 1000, &answer);
    if (strstr(text_get(&answer), part) == NULL) {
        fail_msg("expected %s in %s", part, text_get(&answer));
    }
    text_release(&answer);
    close(fd);
}

static const char ask_now[] = "{\"worker_id\":1,\"seq\":3,\"wait_ms\":0}";
static const char ask_long[] = "{\"worker_id\":1,\"seq\":3,\"wait_ms\":5000}";

/* ---- behaviour ---- */

static void welcomes_a_worker_and_gives_it_the_bundle(void **state)
{
    struct house *house = *state;

    say_hello(house, "local-1");
    assert_int_equal(call(house, "GET", "/v1/bundle", "", "{\"models\":[]}"), 200);
    assert_int_equal(call(house, "POST", "/v1/workers", "{}", "boot_id"), 400);
    assert_int_equal(call(house, "POST", "/v1/workers", "[1]", "expected a JSON object"), 400);
    assert_int_equal(call(house, "POST", "/v1/workers", "{", "error"), 400);
}

static void needs_the_token_for_everything(void **state)
{
    struct house *house = *state;
    char *answer = talk_ask(house->base, house->port,
                            "POST /v1/lease HTTP/1.1\r\nHost: localhost\r\nConnection: "
                            "close\r\nContent-Length: 2\r\n\r\n{}");

    assert_int_equal(atoi(answer + 9), 401);
    assert_int_equal(house->coordinator.calls, 0);
    free(answer);
}

static void each_offer_has_its_status(void **state)
{
    struct house *house = *state;

    house->coordinator.offer = COORDINATOR_JOB;
    assert_int_equal(call(house, "POST", "/v1/lease", ask_now, "\"candidate\":9"), 200);
    assert_int_equal(house->coordinator.seq, 3);
    house->coordinator.offer = COORDINATOR_NOTHING;
    assert_int_equal(call(house, "POST", "/v1/lease", ask_now, ""), 204);
    house->coordinator.offer = COORDINATOR_PAUSED;
    assert_int_equal(call(house, "POST", "/v1/lease", ask_now, "Retry-After: 1"), 503);
    house->coordinator.offer = COORDINATOR_OVER;
    assert_int_equal(call(house, "POST", "/v1/lease", ask_now, "ended"), 410);
    house->coordinator.rc = ERR_MISSING;
    assert_int_equal(call(house, "POST", "/v1/lease", ask_now, "as scripted"), 404);
    assert_int_equal(house->deaths, 0);
    assert_int_equal(call(house, "POST", "/v1/lease",
                          "{\"worker_id\":1,\"seq\":3,\"wait_ms\":99999}", "wait_ms"),
                     400);
}

static void a_held_ask_is_answered_when_something_turns_up(void **state)
{
    struct house *house = *state;

    house->coordinator.offer = COORDINATOR_NOTHING;
    int fd = ask_and_wait(house, ask_long);
    assert_int_equal(dispatch_waiting(house->dispatch), 1);
    house->coordinator.offer = COORDINATOR_JOB;
    house->coordinator.wake++;
    hears(house, fd, "\"lease\":77");
    assert_int_equal(dispatch_waiting(house->dispatch), 0);
    assert_true(house->changes > 0);
}

static void a_held_ask_ends_with_nothing_when_its_time_is_up(void **state)
{
    struct house *house = *state;

    house->coordinator.offer = COORDINATOR_NOTHING;
    int fd = ask_and_wait(house, "{\"worker_id\":1,\"seq\":3,\"wait_ms\":150}");
    hears(house, fd, "HTTP/1.1 204");
}

static void a_held_ask_of_a_worker_that_has_gone_is_forgotten(void **state)
{
    struct house *house = *state;

    house->coordinator.offer = COORDINATOR_NOTHING;
    close(ask_and_wait(house, ask_long));
    for (int i = 0; i < 100 && dispatch_waiting(house->dispatch) > 0; i++) {
        talk_turn(house->base);
        poll(NULL, 0, 1);
    }
    assert_int_equal(dispatch_waiting(house->dispatch), 0);
}

static void a_worker_that_asks_again_ends_its_older_ask(void **state)
{
    struct house *house = *state;

    house->coordinator.offer = COORDINATOR_NOTHING;
    int first = ask_and_wait(house, ask_long);
    int second = ask_and_wait(house, ask_long);
    assert_int_equal(dispatch_waiting(house->dispatch), 1);
    hears(house, first, "HTTP/1.1 204");
    close(second);
}

static void a_beat_says_whether_to_stop(void **state)
{
    struct house *house = *state;

    assert_int_equal(call(house, "POST", "/v1/lease/5/beat", "{}", "{\"cancel\":false}"), 200);
    assert_int_equal(house->coordinator.lease, 5);
    house->coordinator.cancel = true;
    assert_int_equal(call(house, "POST", "/v1/lease/5/beat", "{}", "{\"cancel\":true}"), 200);
    house->coordinator.rc = ERR_MISSING;
    assert_int_equal(call(house, "POST", "/v1/lease/5/beat", "{}", "as scripted"), 410);
    assert_int_equal(call(house, "POST", "/v1/lease/x/beat", "{}", "'x' is not a number"), 404);
}

static char *result_body(void)
{
    struct score score = score_made(0.5);
    struct text body = {0};
    json_t *doc = protocol_result_print(77, &score);

    doc_print(&body, doc);
    json_decref(doc);
    score_release(&score);
    return text_take(&body);
}

static void each_verdict_on_a_result_has_its_status(void **state)
{
    static const struct {
        enum coordinator_verdict verdict;
        int status;
        const char *part;
    } rows[] = {
        {COORDINATOR_STORED, 201, "stored"},      {COORDINATOR_SAME, 200, "same"},
        {COORDINATOR_DIFFERS, 409, "another"},    {COORDINATOR_CLOSED, 410, "closed"},
        {COORDINATOR_INVALID, 422, "expected 3"},
    };
    struct house *house = *state;
    char *body = result_body();

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        house->coordinator.verdict = rows[i].verdict;
        assert_int_equal(call(house, "PUT", "/v1/result/9/2", body, rows[i].part), rows[i].status);
    }
    assert_int_equal(house->coordinator.candidate, 9);
    assert_int_equal(house->coordinator.attempt, 2);
    assert_int_equal(house->coordinator.lease, 77);
    free(body);
}

static void a_result_that_cannot_be_read_never_reaches_the_coordinator(void **state)
{
    struct house *house = *state;

    assert_int_equal(call(house, "PUT", "/v1/result/9/2", "{\"lease\":77}", "score"), 422);
    assert_int_equal(call(house, "PUT", "/v1/result/9/2",
                          "{\"lease\":77,\"score\":{\"failure\":\"nan\"}}", "error"),
                     422);
    assert_int_equal(house->coordinator.calls, 0);
}

static void failures_and_releases_end_a_lease(void **state)
{
    struct house *house = *state;

    assert_int_equal(
        call(house, "POST", "/v1/lease/77/fail", "{\"kind\":\"nan\",\"detail\":\"layer 3\"}", "{}"),
        200);
    assert_int_equal(house->coordinator.kind, SCORE_NAN);
    assert_string_equal(house->coordinator.detail, "layer 3");
    assert_int_equal(
        call(house, "POST", "/v1/lease/77/fail", "{\"kind\":\"ok\",\"detail\":\"\"}", "kind"), 400);
    assert_int_equal(call(house, "POST", "/v1/lease/77/release", "{}", "{}"), 200);
    assert_int_equal(house->coordinator.released, 77);
    house->coordinator.rc = ERR_MISSING;
    assert_int_equal(call(house, "POST", "/v1/lease/78/release", "{}", "as scripted"), 410);
    assert_int_equal(house->deaths, 0);
}

static void a_store_in_trouble_is_fatal_once_and_acknowledges_nothing(void **state)
{
    struct house *house = *state;
    char *body = result_body();

    house->coordinator.rc = ERR_IO;
    house->coordinator.verdict = COORDINATOR_STORED;
    assert_int_equal(call(house, "PUT", "/v1/result/9/2", body, "not stored: as scripted"), 507);
    assert_int_equal(house->deaths, 1);
    house->coordinator.rc = 0;
    int calls = house->coordinator.calls;
    assert_int_equal(call(house, "PUT", "/v1/result/9/2", body, "stopped"), 503);
    assert_int_equal(call(house, "POST", "/v1/lease", ask_now, "stopped"), 503);
    assert_int_equal(call(house, "POST", "/v1/pause", "{}", "stopped"), 503);
    assert_int_equal(house->coordinator.calls, calls);
    assert_int_equal(house->deaths, 1);
    free(body);
}

static void people_pause_resume_finish_and_stop(void **state)
{
    struct house *house = *state;

    assert_int_equal(call(house, "POST", "/v1/pause", "{}", "\"state\":\"paused\""), 200);
    assert_int_equal(call(house, "POST", "/v1/resume", "{}", "\"state\":\"running\""), 200);
    assert_int_equal(call(house, "POST", "/v1/finish", "{}", "\"state\":\"finishing\""), 200);
    assert_int_equal(call(house, "POST", "/v1/stop", "", "\"state\":\"stopped\""), 200);
    assert_int_equal(call(house, "POST", "/v1/explode", "{}", "nothing at this path"), 404);
    assert_int_equal(house->changes, 4);
}

static void a_local_worker_that_died_gives_its_lease_back(void **state)
{
    struct house *house = *state;

    say_hello(house, "local-1");
    house->coordinator.offer = COORDINATOR_JOB;
    assert_int_equal(call(house, "POST", "/v1/lease", ask_now, "\"lease\":77"), 200);
    assert_int_equal(dispatch_busy(house->dispatch), 1);
    dispatch_worker_lost(house->dispatch, "local-2");
    assert_int_equal(house->coordinator.released, 0);
    dispatch_worker_lost(house->dispatch, "local-1");
    assert_int_equal(house->coordinator.released, 77);
    assert_int_equal(dispatch_busy(house->dispatch), 0);
}

static void closing_answers_those_who_wait(void **state)
{
    struct house *house = *state;

    house->coordinator.offer = COORDINATOR_NOTHING;
    int fd = ask_and_wait(house, ask_long);
    dispatch_close(house->dispatch);
    house->dispatch = NULL;
    hears(house, fd, "the coordinator is stopping");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(welcomes_a_worker_and_gives_it_the_bundle),
        TEST(needs_the_token_for_everything),
        TEST(each_offer_has_its_status),
        TEST(a_held_ask_is_answered_when_something_turns_up),
        TEST(a_held_ask_ends_with_nothing_when_its_time_is_up),
        TEST(a_held_ask_of_a_worker_that_has_gone_is_forgotten),
        TEST(a_worker_that_asks_again_ends_its_older_ask),
        TEST(a_beat_says_whether_to_stop),
        TEST(each_verdict_on_a_result_has_its_status),
        TEST(a_result_that_cannot_be_read_never_reaches_the_coordinator),
        TEST(failures_and_releases_end_a_lease),
        TEST(a_store_in_trouble_is_fatal_once_and_acknowledges_nothing),
        TEST(people_pause_resume_finish_and_stop),
        TEST(a_local_worker_that_died_gives_its_lease_back),
        TEST(closing_answers_those_who_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
