/*
 * The page's side of the server over scripted views: what is asked of the store, what a bad query
 * gets, how the embedded page is served, and how changes are streamed. The views are defined here,
 * and the linker takes them before the library's.
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

#include "base/log.h"
#include "store/views.h"
#include "tests/web/talk.h"
#include "web/api.h"
#include "web/assets.h"
#include "web/stream.h"

/* ---- a store by script ---- */

struct script {
    uint64_t last_event; /* of the log */
    int summaries;       /* asked for */
    struct store_filter filter;
    uint64_t after, limit;
    int rc;
};

/* The store's type is opaque, so a script can stand behind it. */
static struct script *script_of(struct store *store)
{
    return (struct script *)(void *)store;
}

static int view(struct store *store, json_t **out, json_t *doc, struct err *err)
{
    if (script_of(store)->rc != 0) {
        json_decref(doc);
        return err_set(err, (enum err_code)script_of(store)->rc, "as scripted");
    }
    *out = doc;
    return 0;
}

int store_view_summary(struct store *store, json_t **out, struct err *err)
{
    script_of(store)->summaries++;
    return view(store, out,
                json_pack("{s:s, s:i}", "study", "night", "turn", script_of(store)->summaries),
                err);
}

int store_view_history(struct store *store, json_t **out, struct err *err)
{
    return view(store, out, json_pack("{s:s}", "view", "history"), err);
}

int store_view_workers(struct store *store, json_t **out, struct err *err)
{
    return view(store, out, json_pack("{s:s}", "view", "workers"), err);
}

int store_view_study(struct store *store, json_t **out, struct err *err)
{
    return view(store, out, json_pack("{s:s}", "view", "study"), err);
}

int store_view_report(struct store *store, json_t **out, struct err *err)
{
    return view(store, out, json_pack("{s:s}", "view", "report"), err);
}

int store_view_candidates(struct store *store, const struct store_filter *filter, json_t **out,
                          struct err *err)
{
    script_of(store)->filter = *filter;
    return view(store, out, json_pack("{s:s}", "view", "candidates"), err);
}

int store_view_candidate(struct store *store, uint64_t candidate, json_t **out, struct err *err)
{
    if (candidate > 9) {
        return err_set(err, ERR_MISSING, "candidate %llu: there is none",
                       (unsigned long long)candidate);
    }
    return view(store, out, json_pack("{s:I}", "candidate", (json_int_t)candidate), err);
}

int store_view_events(struct store *store, uint64_t after, uint64_t limit, json_t **out,
                      struct err *err)
{
    json_t *events = json_array();

    script_of(store)->after = after;
    script_of(store)->limit = limit;
    for (uint64_t i = after + 1; i <= script_of(store)->last_event; i++) {
        json_array_append_new(events, json_pack("{s:I}", "event", (json_int_t)i));
    }
    return view(store, out, json_pack("{s:o}", "events", events), err);
}

int store_view_last_event(struct store *store, uint64_t *out, struct err *err)
{
    *out = script_of(store)->last_event;
    return script_of(store)->rc == 0
               ? 0
               : err_set(err, (enum err_code)script_of(store)->rc, "as scripted");
}

int store_view_version(struct store *store, uint64_t *out, struct err *err)
{
    return store_view_last_event(store, out, err);
}

/* ---- a house for each test ---- */

struct house {
    struct event_base *base;
    struct server *server;
    struct stream *stream;
    struct script script;
    uint16_t port;
};

static int set_up(void **state)
{
    struct house *house = mem_array(1, sizeof(*house));
    const struct server_options options = {.listen = "127.0.0.1:0"};

    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    house->script.last_event = 5;
    struct store *store = (struct store *)(void *)&house->script;
    house->base = event_base_new();
    assert_int_equal(server_open(&house->server, house->base, &options, NULL), 0);
    api_open(house->server, store);
    assert_int_equal(stream_open(&house->stream, house->server, house->base, store, NULL), 0);
    house->port = talk_port(server_url(house->server));
    *state = house;
    return 0;
}

static int tear_down(void **state)
{
    struct house *house = *state;

    stream_close(house->stream);
    server_close(house->server);
    event_base_free(house->base);
    free(house);
    return 0;
}

static char *get(struct house *house, const char *path, const char *headers)
{
    char *request = mem_printf("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n",
                               path, headers);
    char *answer = talk_ask(house->base, house->port, request);

    free(request);
    return answer;
}

static void expect(struct house *house, const char *path, const char *headers, int status,
                   const char *part)
{
    char *answer = get(house, path, headers);

    if (atoi(answer + strlen("HTTP/1.1 ")) != status || strstr(answer, part) == NULL) {
        fail_msg("%s: expected %d and %s in %s", path, status, part, answer);
    }
    free(answer);
}

/* ---- the API ---- */

static void each_path_shows_its_view(void **state)
{
    struct house *house = *state;

    expect(house, "/api/summary", "", 200, "\"study\":\"night\"");
    expect(house, "/api/history", "", 200, "{\"view\":\"history\"}");
    expect(house, "/api/workers", "", 200, "{\"view\":\"workers\"}");
    expect(house, "/api/study", "", 200, "{\"view\":\"study\"}");
    expect(house, "/api/report", "", 200, "{\"view\":\"report\"}");
    expect(house, "/api/candidate/7", "", 200, "{\"candidate\":7}");
    expect(house, "/api/candidate/70", "", 404, "candidate 70: there is none");
    expect(house, "/api/candidate/best", "", 404, "'best' is not a number");
}

static void a_query_becomes_a_filter(void **state)
{
    struct house *house = *state;

    expect(house, "/api/candidates", "", 200, "candidates");
    assert_int_equal(house->script.filter.sort, STORE_SORT_NUMBER);
    assert_int_equal(house->script.filter.limit, 50);
    assert_null(house->script.filter.stage);
    expect(house,
           "/api/candidates?sort=value&order=desc&stage=search&status=failed&offset=100&limit=25",
           "", 200, "");
    assert_int_equal(house->script.filter.sort, STORE_SORT_VALUE);
    assert_true(house->script.filter.descending);
    assert_string_equal(house->script.filter.stage, "search");
    assert_string_equal(house->script.filter.status, "failed");
    assert_int_equal(house->script.filter.offset, 100);
    assert_int_equal(house->script.filter.limit, 25);
}

static void a_bad_query_is_named(void **state)
{
    struct house *house = *state;

    expect(house, "/api/candidates?sort=luck", "", 400, "sort: there is no 'luck'");
    expect(house, "/api/candidates?order=up", "", 400, "order: there is no 'up'");
    expect(house, "/api/candidates?limit=501", "", 400, "limit: expected a number from 1 to 500");
    expect(house, "/api/candidates?offset=-1", "", 400, "offset");
    expect(house, "/api/events?after=x", "", 400, "after");
    expect(house, "/api/candidates?stage=%27%3B%20DROP", "", 400, "stage: there is no '';");
}

static void a_store_that_cannot_be_read_is_500_with_its_line(void **state)
{
    struct house *house = *state;

    house->script.rc = ERR_IO;
    expect(house, "/api/summary", "", 500, "as scripted");
}

/* ---- the page ---- */

static void serves_the_page_compressed_with_a_tag(void **state)
{
    struct house *house = *state;
    const char *const types[] = {"text/html", "text/javascript", "text/css"};
    const char *const paths[] = {"/", "/page.js", "/page.css"};

    for (size_t i = 0; i < 3; i++) {
        char *answer = get(house, paths[i], "Accept-Encoding: br, gzip\r\n");

        assert_int_equal(atoi(answer + 9), 200);
        assert_non_null(strstr(answer, "Content-Encoding: gzip\r\n"));
        assert_non_null(strstr(answer, types[i]));
        assert_non_null(strstr(answer, "ETag: \""));
        assert_non_null(strstr(answer, "script-src 'self'"));
        free(answer);
    }
}

static void answers_304_to_one_who_has_it(void **state)
{
    struct house *house = *state;
    size_t n;
    const struct asset *assets = asset_list(&n);

    for (size_t i = 0; i < n; i++) {
        char *headers =
            mem_printf("Accept-Encoding: gzip\r\nIf-None-Match: %s\r\n", assets[i].etag);

        expect(house, assets[i].path, headers, 304, "");
        free(headers);
    }
}

static void says_so_to_one_who_cannot_unpack_it(void **state)
{
    expect(*state, "/", "", 406, "Accept-Encoding: gzip");
}

static void the_whole_page_is_under_60_kb(void **state)
{
    size_t n;
    const struct asset *assets = asset_list(&n);
    size_t bytes = 0;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        bytes += (size_t)(assets[i].end - assets[i].bytes);
    }
    assert_int_equal(n, 3);
    assert_true(bytes < 60000);
}

/* ---- the stream ---- */

static int follow(struct house *house, const char *headers)
{
    char *request = mem_printf("GET /api/stream HTTP/1.1\r\nHost: localhost\r\n%s\r\n", headers);
    int fd = talk_dial(house->port);

    talk_send(fd, request);
    free(request);
    return fd;
}

/* Count how often part occurs in text. */
static size_t occurrences(const char *text, const char *part)
{
    size_t n = 0;

    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        n++;
    }
    return n;
}

static void starts_with_the_summary_and_follows_changes(void **state)
{
    struct house *house = *state;
    struct text heard = {0};
    int fd = follow(house, "");

    assert_false(talk_listen(house->base, fd, "event: summary\ndata: {", 1000, &heard));
    assert_null(strstr(text_get(&heard), "event: log"));
    house->script.last_event = 7;
    stream_poke(house->stream);
    assert_false(talk_listen(house->base, fd,
                             "id: 7\nevent: log\ndata: [{\"event\":6},{\"event\":7}]\n\n", 1000,
                             &heard));
    assert_int_equal(occurrences(text_get(&heard), "event: summary"), 2);
    text_release(&heard);
    close(fd);
}

static void sends_what_was_missed_since_the_last_event_id(void **state)
{
    struct house *house = *state;
    struct text heard = {0};
    int fd = follow(house, "Last-Event-ID: 3\r\n");

    assert_false(talk_listen(house->base, fd,
                             "id: 5\nevent: log\ndata: [{\"event\":4},{\"event\":5}]\n\n", 1000,
                             &heard));
    text_release(&heard);
    close(fd);
}

static void notices_changes_nobody_told_it_of(void **state)
{
    struct house *house = *state;
    struct text heard = {0};
    int fd = follow(house, "");

    talk_listen(house->base, fd, "event: summary", 1000, &heard);
    house->script.last_event = 6;
    assert_false(talk_listen(house->base, fd, "id: 6\n", 2500, &heard));
    text_release(&heard);
    close(fd);
}

static void says_nothing_when_nothing_has_changed(void **state)
{
    struct house *house = *state;
    struct text heard = {0};
    int fd = follow(house, "");

    talk_listen(house->base, fd, "}\n\n", 1000, &heard);
    text_clear(&heard);
    stream_poke(house->stream);
    talk_listen(house->base, fd, NULL, 1300, &heard);
    assert_int_equal(heard.size, 0);
    text_release(&heard);
    close(fd);
}

static void sends_at_most_four_times_a_second(void **state)
{
    struct house *house = *state;
    struct text heard = {0};
    int64_t end = talk_now_ms() + 1000;
    int fd = follow(house, "");

    while (talk_now_ms() < end) {
        house->script.last_event++;
        stream_poke(house->stream);
        talk_listen(house->base, fd, NULL, 10, &heard);
    }
    size_t times = occurrences(text_get(&heard), "event: summary");
    assert_true(times >= 3 && times <= 6); /* the first, and four a second */
    text_release(&heard);
    close(fd);
}

static void drops_a_client_that_does_not_keep_up(void **state)
{
    struct house *house = *state;
    int fd = follow(house, "");

    for (int i = 0; i < 400 && server_connections(house->server) > 0; i++) {
        house->script.last_event += 20000; /* about 300 KB of log rows, never read */
        stream_poke(house->stream);
        for (int k = 0; k < 26; k++) {
            talk_turn(house->base);
            poll(NULL, 0, 10);
        }
    }
    assert_int_equal(server_connections(house->server), 0);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_path_shows_its_view),
        TEST(a_query_becomes_a_filter),
        TEST(a_bad_query_is_named),
        TEST(a_store_that_cannot_be_read_is_500_with_its_line),
        TEST(serves_the_page_compressed_with_a_tag),
        TEST(answers_304_to_one_who_has_it),
        TEST(says_so_to_one_who_cannot_unpack_it),
        TEST(the_whole_page_is_under_60_kb),
        TEST(starts_with_the_summary_and_follows_changes),
        TEST(sends_what_was_missed_since_the_last_event_id),
        TEST(notices_changes_nobody_told_it_of),
        TEST(says_nothing_when_nothing_has_changed),
        TEST(sends_at_most_four_times_a_second),
        TEST(drops_a_client_that_does_not_keep_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
