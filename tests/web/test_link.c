/*
 * The worker's end against a coordinator's end that loses connections, pauses, forgets. The other
 * end is the real server with scripted handlers, in a child process; what it saw is in memory
 * shared with the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "tests/support/support.h"
#include "tests/web/scores.h"
#include "web/link.h"
#include "web/protocol.h"
#include "web/server.h"

/* What the far end is to do, and what it has seen. */
struct script {
    char url[64];
    char token[ACCESS_TOKEN_MAX];
    char study_id[32];
    int drops;    /* connections to cut without an answer, one a request */
    int status;   /* of results, once the drops are used up; 0: 201 */
    int refusals; /* results to answer with 507 first */
    int offer;    /* status of asks: 200, 204, 410, 503; 0: hold */
    int forgets;  /* asks to answer with 404 */
    bool cancel;
    int hellos, asks, results, failures, releases;
    uint64_t seqs[16];
    char detail[64];
    char digest[DIGEST_HEX];
};

struct far_end {
    struct script *script;
    char *folder;
    pid_t pid;
};

/* ---- the far end ---- */

static void on_gone(struct exchange *exchange, void *context)
{
    (void)exchange;
    (void)context;
}

/* Cut the connection instead of answering, if the script says so. */
static bool dropped(struct exchange *exchange, struct script *script)
{
    if (script->drops == 0) {
        return false;
    }
    script->drops--;
    exchange_hold(exchange, on_gone, script);
    exchange_stream_end(exchange);
    return true;
}

static void on_hello(struct exchange *exchange, void *context)
{
    struct script *script = context;
    struct protocol_welcome welcome = {
        .worker_id = 1, .ttl_ms = 300, .beat_ms = 100, .study = "night"};

    script->hellos++;
    if (!dropped(exchange, script)) {
        snprintf(welcome.study_id, sizeof(welcome.study_id), "%s", script->study_id);
        exchange_reply(exchange, 201, protocol_welcome_print(&welcome));
    }
}

static void on_bundle(struct exchange *exchange, void *context)
{
    (void)context;
    exchange_reply_bytes(exchange, 200, "application/json", "{\"a\":1}", 7, "");
}

static void on_ask(struct exchange *exchange, void *context)
{
    struct script *script = context;
    struct protocol_ask ask;
    json_t *doc = exchange_body(exchange);
    char recipe[] = "{}";
    const struct job job = {.lease = 5,
                            .candidate = 9,
                            .attempt = 1,
                            .split = SPLIT_SEARCH,
                            .recipe = recipe,
                            .ttl_ms = 300};

    if (protocol_ask_parse(&ask, doc, NULL) == 0 && script->asks < 16) {
        script->seqs[script->asks] = ask.seq;
    }
    json_decref(doc);
    script->asks++;
    if (dropped(exchange, script)) {
        return;
    }
    if (script->forgets > 0) {
        script->forgets--;
        exchange_refuse(exchange, 404, "who are you?");
    } else if (script->offer == 0) {
        exchange_hold(exchange, on_gone, script);
    } else if (script->offer == 200) {
        exchange_reply(exchange, 200, job_print(&job));
    } else if (script->offer == 204) {
        exchange_reply_empty(exchange, 204);
    } else {
        exchange_refuse(exchange, script->offer, "as scripted");
    }
}

static void on_beat(struct exchange *exchange, void *context)
{
    struct script *script = context;

    exchange_reply(exchange, 200, json_pack("{s:b}", "cancel", script->cancel));
}

static void on_result(struct exchange *exchange, void *context)
{
    struct script *script = context;
    struct score score = {0};
    uint64_t lease;
    json_t *doc = exchange_body(exchange);

    script->results++;
    if (protocol_result_parse(&lease, &score, doc, NULL) == 0) {
        score_digest(&score, script->digest);
    }
    score_release(&score);
    json_decref(doc);
    if (dropped(exchange, script)) {
        return;
    }
    if (script->refusals > 0) {
        script->refusals--;
        exchange_refuse(exchange, 507, "the disk is full");
    } else {
        exchange_reply(exchange, script->status != 0 ? script->status : 201, json_object());
    }
}

static void on_fail(struct exchange *exchange, void *context)
{
    struct script *script = context;
    enum score_failure kind;
    const char *detail;
    json_t *doc = exchange_body(exchange);

    script->failures++;
    if (protocol_failure_parse(&kind, &detail, doc, NULL) == 0) {
        snprintf(script->detail, sizeof(script->detail), "%s: %s", score_failure_name(kind),
                 detail);
    }
    json_decref(doc);
    if (!dropped(exchange, script)) {
        exchange_reply(exchange, 200, json_object());
    }
}

static void on_release(struct exchange *exchange, void *context)
{
    struct script *script = context;

    script->releases++;
    exchange_reply(exchange, 200, json_object());
}

static const struct server_route routes[] = {
    {REQUEST_POST, PROTOCOL_WORKERS, ACCESS_HOLDER, PROTOCOL_BODY_MAX, on_hello},
    {REQUEST_GET, PROTOCOL_BUNDLE, ACCESS_HOLDER, 0, on_bundle},
    {REQUEST_POST, PROTOCOL_LEASE, ACCESS_HOLDER, PROTOCOL_BODY_MAX, on_ask},
    {REQUEST_POST, PROTOCOL_LEASE "/{id}/beat", ACCESS_HOLDER, PROTOCOL_BODY_MAX, on_beat},
    {REQUEST_POST, PROTOCOL_LEASE "/{id}/fail", ACCESS_HOLDER, PROTOCOL_BODY_MAX, on_fail},
    {REQUEST_POST, PROTOCOL_LEASE "/{id}/release", ACCESS_HOLDER, PROTOCOL_BODY_MAX, on_release},
    {REQUEST_PUT, PROTOCOL_RESULT "/{candidate}/{attempt}", ACCESS_HOLDER, PROTOCOL_RESULT_MAX,
     on_result},
};

static void serve(struct far_end *far, const char *listen)
{
    struct event_base *base = event_base_new();
    struct server *server = NULL;
    char *token_file = file_join(far->folder, "t.token");
    const struct server_options options = {.listen = listen, .token_file = token_file};

    if (server_open(&server, base, &options, NULL) != 0) {
        _exit(1);
    }
    server_route(server, routes, sizeof(routes) / sizeof(routes[0]), far->script);
    memcpy(far->script->token, server_token(server), ACCESS_TOKEN_MAX);
    snprintf(far->script->url, sizeof(far->script->url), "%s", server_url(server));
    event_base_dispatch(base);
    _exit(0);
}

/* Start the far end, and wait until it listens. */
static void start(struct far_end *far, const char *listen)
{
    far->script->token[0] = '\0';
    char *keep = mem_text(listen);
    far->script->url[0] = '\0';
    fflush(NULL);
    far->pid = fork();
    assert_true(far->pid >= 0);
    if (far->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(far, keep);
    }
    free(keep);
    for (int i = 0; i < 500 && far->script->url[0] == '\0'; i++) {
        usleep(10000);
    }
    assert_true(far->script->url[0] != '\0');
}

static void stop(struct far_end *far)
{
    if (far->pid > 0) {
        kill(far->pid, SIGKILL);
        waitpid(far->pid, NULL, 0);
        far->pid = 0;
    }
}

static int set_up(void **state)
{
    struct far_end *far = mem_array(1, sizeof(*far));

    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    far->folder = support_temp_dir();
    far->script =
        mmap(NULL, sizeof(*far->script), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(far->script != MAP_FAILED);
    strcpy(far->script->study_id, "study-one");
    start(far, "127.0.0.1:0");
    *state = far;
    return 0;
}

static int tear_down(void **state)
{
    struct far_end *far = *state;

    stop(far);
    munmap(far->script, sizeof(*far->script));
    support_remove_dir(far->folder);
    free(far);
    return 0;
}

/* ---- the near end ---- */

static struct link_options options_for(const struct far_end *far)
{
    return (struct link_options){.url = far->script->url,
                                 .token = far->script->token,
                                 .name = "w",
                                 .build = "0.1.0",
                                 .path = "f32/test",
                                 .patience_ms = 3000};
}

static struct link *registered(const struct link_options *options)
{
    struct link *link = NULL;
    struct err err = {0};

    assert_int_equal(link_open(&link, options, &err), 0);
    if (link_register(link, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return link;
}

static size_t spooled(const char *folder)
{
    DIR *dir = opendir(folder);
    size_t n = 0;

    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        n += strstr(entry->d_name, ".result") != NULL;
    }
    closedir(dir);
    return n;
}

static const struct job job_nine = {.lease = 5, .candidate = 9, .attempt = 1, .ttl_ms = 300};

/* ---- behaviour ---- */

static void says_hello_and_fetches_the_bundle(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);
    struct link *link = registered(&options);
    struct text bundle = {0};

    assert_int_equal(link_bundle(link, &bundle, NULL), 0);
    assert_string_equal(text_get(&bundle), "{\"a\":1}");
    assert_true(link_beat_ms(link) > 70 && link_beat_ms(link) <= 100);
    assert_int_equal(far->script->hellos, 1);
    text_release(&bundle);
    link_close(link);
}

static void says_hello_again_when_the_connection_is_cut(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);

    far->script->drops = 3;
    link_close(registered(&options));
    assert_int_equal(far->script->hellos, 4);
}

static void asks_the_same_question_again_when_the_answer_is_lost(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);
    struct link *link = registered(&options);
    enum link_offer offer;
    struct job job = {0};

    far->script->offer = 200;
    far->script->drops = 2;
    assert_int_equal(link_ask(link, 0, &offer, &job, NULL), 0);
    assert_int_equal(offer, LINK_JOB);
    assert_int_equal(job.candidate, 9);
    assert_string_equal(job.recipe, "{}");
    assert_int_equal(far->script->asks, 3);
    assert_int_equal(far->script->seqs[0], far->script->seqs[2]);
    job_release(&job);
    assert_int_equal(link_ask(link, 0, &offer, &job, NULL), 0);
    assert_int_equal(far->script->seqs[3], far->script->seqs[2] + 1);
    job_release(&job);
    link_close(link);
}

static void tells_nothing_over_and_paused_apart(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);
    struct link *link = registered(&options);
    enum link_offer offer;
    struct job job = {0};

    far->script->offer = 204;
    assert_int_equal(link_ask(link, 0, &offer, &job, NULL), 0);
    assert_int_equal(offer, LINK_NOTHING);
    far->script->offer = 503;
    assert_int_equal(link_ask(link, 0, &offer, &job, NULL), 0);
    assert_int_equal(offer, LINK_NOTHING);
    far->script->offer = 410;
    assert_int_equal(link_ask(link, 0, &offer, &job, NULL), 0);
    assert_int_equal(offer, LINK_OVER);
    link_close(link);
}

static void says_hello_again_to_a_coordinator_that_forgot_it(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);
    struct link *link = registered(&options);
    enum link_offer offer;
    struct job job = {0};

    far->script->forgets = 1;
    far->script->offer = 204;
    assert_int_equal(link_ask(link, 0, &offer, &job, NULL), 0);
    assert_int_equal(offer, LINK_NOTHING);
    assert_int_equal(far->script->hellos, 2);
    link_close(link);
}

static void sends_a_result_until_it_is_stored(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);
    char *spool = file_join(far->folder, "spool");
    struct score score = score_made(0.5);
    char digest[DIGEST_HEX];

    options.spool = spool;
    struct link *link = registered(&options);
    far->script->drops = 2;
    far->script->refusals = 2;
    assert_int_equal(link_report(link, &job_nine, &score, NULL), 0);
    assert_int_equal(far->script->results, 5);
    score_digest(&score, digest);
    assert_string_equal(far->script->digest, digest);
    assert_int_equal(spooled(spool), 0);
    score_release(&score);
    link_close(link);
    free(spool);
}

static void takes_every_verdict_on_a_result_for_an_answer(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);
    struct link *link = registered(&options);
    const int verdicts[] = {200, 201, 409, 410, 422};
    struct score score = score_made(0.5);

    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        far->script->status = verdicts[i];
        assert_int_equal(link_report(link, &job_nine, &score, NULL), 0);
    }
    far->script->status = 404;
    assert_int_equal(link_report(link, &job_nine, &score, NULL), ERR_FORMAT);
    score_release(&score);
    link_close(link);
}

static void sends_a_spooled_result_in_its_next_life(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);
    char *spool = file_join(far->folder, "spool");
    struct score score = score_made(0.25);
    struct err err = {0};

    options.spool = spool;
    options.patience_ms = 300;
    struct link *link = registered(&options);
    char *address = mem_text(far->script->url + 7);
    stop(far);
    assert_int_equal(link_report(link, &job_nine, &score, &err), ERR_IO);
    assert_non_null(strstr(err.text, "no answer for"));
    assert_int_equal(spooled(spool), 1);
    link_close(link);

    start(far, address);
    link_close(registered(&options));
    assert_int_equal(far->script->results, 1);
    assert_int_equal(spooled(spool), 0);
    score_release(&score);
    free(address);
    free(spool);
}

static void keeps_a_spooled_result_of_another_study(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);
    char *spool = file_join(far->folder, "spool");
    struct score score = score_made(0.25);

    options.spool = spool;
    options.patience_ms = 300;
    struct link *link = registered(&options);
    far->script->refusals = 1000;
    assert_int_equal(link_report(link, &job_nine, &score, NULL), ERR_IO);
    link_close(link);

    strcpy(far->script->study_id, "study-two");
    far->script->results = 0;
    link_close(registered(&options));
    assert_int_equal(far->script->results, 0);
    assert_int_equal(spooled(spool), 1);
    score_release(&score);
    free(spool);
}

static void shares_its_spool_with_nobody(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);
    struct link *first = NULL;
    struct link *second = NULL;
    struct err err = {0};

    options.spool = far->folder;
    assert_int_equal(link_open(&first, &options, &err), 0);
    assert_int_equal(link_open(&second, &options, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, far->folder));
    link_close(first);
    assert_int_equal(link_open(&second, &options, &err), 0);
    link_close(second);
}

static void reports_a_failure_with_its_kind_and_detail(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);
    struct link *link = registered(&options);
    char detail[] = "layer 3 is not finite";
    const struct score score = {.failure = SCORE_NAN, .detail = detail};

    far->script->drops = 1;
    assert_int_equal(link_report(link, &job_nine, &score, NULL), 0);
    assert_int_equal(far->script->failures, 2);
    assert_string_equal(far->script->detail, "nan: layer 3 is not finite");
    link_close(link);
}

static void beats_and_hears_that_it_may_stop(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);
    struct link *link = registered(&options);
    bool cancel = true;

    link_beat(link, 5, &cancel);
    assert_false(cancel);
    far->script->cancel = true;
    link_beat(link, 5, &cancel);
    assert_true(cancel);
    stop(far);
    link_beat(link, 5, &cancel);
    assert_false(cancel);
    link_close(link);
}

static void gives_a_lease_back(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);
    struct link *link = registered(&options);

    link_release(link, 5);
    assert_int_equal(far->script->releases, 1);
    link_close(link);
}

static bool stopped_soon(void *context)
{
    int *left = context;

    return --*left < 0;
}

static void stops_waiting_for_a_job_when_told_to(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);
    int left = 3;
    struct err err = {0};
    enum link_offer offer;
    struct job job = {0};

    options.stopped = stopped_soon;
    options.context = &left;
    struct link *link = registered(&options);
    left = 3;
    assert_int_equal(link_ask(link, 20000, &offer, &job, &err), ERR_IO);
    assert_non_null(strstr(err.text, "stopped"));
    left = -1;
    link_release(link, 5); /* still gets through */
    assert_int_equal(far->script->releases, 1);
    link_close(link);
}

static void a_refused_token_is_final(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);
    struct link *link = NULL;
    struct err err = {0};

    options.token = "wrong";
    assert_int_equal(link_open(&link, &options, NULL), 0);
    assert_int_equal(link_register(link, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "token"));
    link_close(link);
}

static void refuses_urls_it_cannot_use(void **state)
{
    struct far_end *far = *state;
    struct link_options options = options_for(far);
    const char *const bad[] = {
        "", "https://h:1", "http://h", "http://h:", "http://h:x", "http://h:1/v1", "127.0.0.1:80"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct link *link = NULL;

        options.url = bad[i];
        assert_int_equal(link_open(&link, &options, NULL), ERR_FORMAT);
        assert_null(link);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(says_hello_and_fetches_the_bundle),
        TEST(says_hello_again_when_the_connection_is_cut),
        TEST(asks_the_same_question_again_when_the_answer_is_lost),
        TEST(tells_nothing_over_and_paused_apart),
        TEST(says_hello_again_to_a_coordinator_that_forgot_it),
        TEST(sends_a_result_until_it_is_stored),
        TEST(takes_every_verdict_on_a_result_for_an_answer),
        TEST(sends_a_spooled_result_in_its_next_life),
        TEST(keeps_a_spooled_result_of_another_study),
        TEST(shares_its_spool_with_nobody),
        TEST(reports_a_failure_with_its_kind_and_detail),
        TEST(beats_and_hears_that_it_may_stop),
        TEST(gives_a_lease_back),
        TEST(stops_waiting_for_a_job_when_told_to),
        TEST(a_refused_token_is_final),
        TEST(refuses_urls_it_cannot_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
