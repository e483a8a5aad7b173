/* The server over real sockets: raw bytes in, raw bytes out, one process, the event loop turned by
 * hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/support/support.h"
#include "tests/web/talk.h"
#include "web/server.h"

struct house {
    struct event_base *base;
    struct server *server;
    char *folder;
    char token[ACCESS_TOKEN_MAX];
    uint16_t port;
    struct exchange *held; /* by /hold or /stream */
    int gone;
};

/* ---- routes to test with ---- */

static void on_hello(struct exchange *exchange, void *context)
{
    (void)context;
    exchange_reply(exchange, 200, json_pack("{s:s}", "hello", "world"));
}

static void on_echo(struct exchange *exchange, void *context)
{
    (void)context;
    exchange_reply_bytes(exchange, 200, "text/plain", "ok", 2, "");
}

static void on_item(struct exchange *exchange, void *context)
{
    uint64_t id;

    (void)context;
    if (exchange_number(exchange, 0, &id)) {
        exchange_reply(
            exchange, 200,
            json_pack("{s:I, s:s}", "id", (json_int_t)id, "part", exchange_segment(exchange, 1)));
    }
}

static void on_gone(struct exchange *exchange, void *context)
{
    struct house *house = context;

    (void)exchange;
    house->held = NULL;
    house->gone++;
}

static void on_hold(struct exchange *exchange, void *context)
{
    struct house *house = context;

    house->held = exchange;
    exchange_hold(exchange, on_gone, house);
}

static void on_stream(struct exchange *exchange, void *context)
{
    struct house *house = context;

    house->held = exchange;
    exchange_stream(exchange, "text/event-stream", on_gone, house);
    exchange_stream_add(exchange, ": hi\n\n", 6);
}

static const struct server_route routes[] = {
    {REQUEST_GET, "/hello", ACCESS_VIEWER, 0, on_hello},
    {REQUEST_POST, "/echo", ACCESS_VIEWER, 1 << 20, on_echo},
    {REQUEST_GET, "/item/{id}/{part}", ACCESS_VIEWER, 0, on_item},
    {REQUEST_POST, "/secret", ACCESS_HOLDER, 100, on_echo},
    {REQUEST_GET, "/hold", ACCESS_VIEWER, 0, on_hold},
    {REQUEST_GET, "/stream", ACCESS_VIEWER, 0, on_stream},
};

/* ---- a house for each test ---- */

static int set_up(void **state)
{
    struct house *house = mem_array(1, sizeof(*house));
    struct err err = {0};

    signal(SIGPIPE, SIG_IGN);
    house->folder = support_temp_dir();
    house->base = event_base_new();
    char *token_file = file_join(house->folder, "t.token");
    const struct server_options options = {.listen = "127.0.0.1:0", .token_file = token_file};
    assert_int_equal(server_open(&house->server, house->base, &options, &err), 0);
    assert_int_equal(access_token_read(token_file, house->token, &err), 0);
    free(token_file);
    server_route(house->server, routes, sizeof(routes) / sizeof(routes[0]), house);
    house->port = talk_port(server_url(house->server));
    *state = house;
    return 0;
}

static int tear_down(void **state)
{
    struct house *house = *state;

    server_close(house->server);
    event_base_free(house->base);
    support_remove_dir(house->folder);
    free(house);
    return 0;
}

/* ---- a client ---- */

static int dial(const struct house *house)
{
    return talk_dial(house->port);
}

static void turn(struct house *house)
{
    talk_turn(house->base);
}

static bool listen_for(struct house *house, int fd, const char *until, int64_t ms, struct text *out)
{
    return talk_listen(house->base, fd, until, ms, out);
}

static char *ask(struct house *house, const char *text)
{
    return talk_ask(house->base, house->port, text);
}

static void expect(struct house *house, const char *request, const char *start, const char *part)
{
    char *answer = ask(house, request);

    if (strncmp(answer, start, strlen(start)) != 0 || strstr(answer, part) == NULL) {
        fail_msg("asked %s\nexpected %s ... %s\ngot %s", request, start, part, answer);
    }
    free(answer);
}

#define CLOSE "Host: localhost\r\nConnection: close\r\n"

/* ---- behaviour ---- */

static void answers_a_request_with_json_and_the_safety_headers(void **state)
{
    char *answer = ask(*state, "GET /hello HTTP/1.1\r\n" CLOSE "\r\n");

    assert_int_equal(strncmp(answer, "HTTP/1.1 200 OK\r\n", 17), 0);
    assert_non_null(strstr(answer, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(answer, "Content-Security-Policy: default-src 'none';"));
    assert_non_null(strstr(answer, "X-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(answer, "Cache-Control: no-store\r\n"));
    assert_null(strstr(answer, "Access-Control"));
    assert_non_null(strstr(answer, "\r\n\r\n{\"hello\":\"world\"}\n"));
    free(answer);
}

static void answers_head_without_a_body(void **state)
{
    char *answer = ask(*state, "HEAD /hello HTTP/1.1\r\n" CLOSE "\r\n");

    assert_non_null(strstr(answer, "Content-Length: 18\r\n\r\n"));
    assert_null(strstr(answer, "world"));
    free(answer);
}

static void takes_segments_out_of_the_path(void **state)
{
    expect(*state, "GET /item/42/name HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200",
           "{\"id\":42,\"part\":\"name\"}");
    expect(*state, "GET /item/x/name HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 404",
           "'x' is not a number");
    expect(*state, "GET /item/1 HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 404", "error");
}

static void names_the_methods_a_path_takes(void **state)
{
    expect(*state, "POST /hello HTTP/1.1\r\n" CLOSE "Content-Length: 0\r\n\r\n", "HTTP/1.1 405",
           "Allow: GET, HEAD\r\n");
    expect(*state, "GET /nothing HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 404",
           "there is nothing at this path");
}

static void refuses_hostile_heads_and_hangs_up(void **state)
{
    expect(*state, "GET /hello HTTP/1.1\r\n\r\n", "HTTP/1.1 421", "Connection: close");
    expect(*state, "GET /hello HTTP/1.1\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 421", "error");
    expect(*state, "GET /hello HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n",
           "HTTP/1.1 403", "error");
    expect(*state,
           "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: "
           "2\r\n\r\nab",
           "HTTP/1.1 400", "more than one Content-Length");
    expect(*state, "POST /echo HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 411",
           "Content-Length");
    expect(*state, "BREW /hello HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 501", "error");
    expect(*state, "GET /hello HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n", "HTTP/1.1 400",
           "folded");
}

static void wants_the_token_before_it_reads_a_body(void **state)
{
    struct house *house = *state;
    char *with = mem_printf("POST /secret HTTP/1.1\r\n" CLOSE
                            "Authorization: Bearer %s\r\nContent-Length: 2\r\n\r\n{}",
                            house->token);

    expect(house, "POST /secret HTTP/1.1\r\n" CLOSE "Content-Length: 2\r\n\r\n{}", "HTTP/1.1 401",
           "WWW-Authenticate: Bearer");
    expect(house, "POST /secret HTTP/1.1\r\n" CLOSE "Content-Length: 99999999\r\n\r\n",
           "HTTP/1.1 401", "token");
    expect(house, with, "HTTP/1.1 200", "ok");
    free(with);
}

static void refuses_a_body_over_the_routes_limit_unread(void **state)
{
    expect(*state, "POST /echo HTTP/1.1\r\n" CLOSE "Content-Length: 1048577\r\n\r\n",
           "HTTP/1.1 413", "error");
}

static void refuses_a_head_over_16_kib(void **state)
{
    struct text request = {0};

    text_add(&request, "GET /hello HTTP/1.1\r\nHost: localhost\r\nX: ");
    while (request.size < REQUEST_HEAD_MAX + 100) {
        text_add_char(&request, 'a');
    }
    expect(*state, text_get(&request), "HTTP/1.1 400", "16 KiB");
    text_release(&request);
}

static void answers_pipelined_requests_in_order(void **state)
{
    char *answer =
        ask(*state, "GET /item/1/a HTTP/1.1\r\nHost: localhost\r\n\r\n"
                    "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nGET "
                    "GET /item/2/b HTTP/1.1\r\n" CLOSE "\r\n");
    const char *first = strstr(answer, "{\"id\":1");
    const char *second = strstr(answer, "\r\n\r\nok");
    const char *third = strstr(answer, "{\"id\":2");

    assert_non_null(first);
    assert_non_null(second);
    assert_non_null(third);
    assert_true(first < second && second < third);
    free(answer);
}

static void on_large(struct exchange *exchange, void *context)
{
    static char bytes[200000];

    (void)context;
    exchange_reply_bytes(exchange, 200, "text/plain", bytes, sizeof(bytes), "");
}

static const struct server_route large_route[] = {
    {REQUEST_GET, "/large", ACCESS_VIEWER, 0, on_large}};

static void answers_no_further_than_the_client_reads(void **state)
{
    struct house *house = *state;
    struct text answer = {0};
    const char request[] = "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int fd = dial(house);

    server_route(house->server, large_route, 1, NULL);
    for (int i = 0; i < 200; i++) {
        talk_send(fd, request);
        turn(house);
    }
    talk_send(fd, "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_true(listen_for(house, fd, NULL, 5000, &answer));
    assert_true(answer.size > 200u * 200000u); /* all of them came, in the end */
    text_release(&answer);
    close(fd);
}

static void reads_a_request_byte_by_byte(void **state)
{
    struct house *house = *state;
    const char request[] = "POST /echo HTTP/1.1\r\n" CLOSE "Content-Length: 3\r\n\r\nabc";
    struct text answer = {0};
    int fd = dial(house);

    for (size_t i = 0; i < strlen(request); i++) {
        assert_int_equal(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
        turn(house);
    }
    assert_true(listen_for(house, fd, NULL, 2000, &answer));
    assert_non_null(strstr(text_get(&answer), "\r\n\r\nok"));
    text_release(&answer);
    close(fd);
}

static void tells_a_client_that_asks_to_go_on(void **state)
{
    struct house *house = *state;
    struct text answer = {0};
    int fd = dial(house);
    const char head[] =
        "POST /echo HTTP/1.1\r\n" CLOSE "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n";

    assert_int_equal(send(fd, head, strlen(head), MSG_NOSIGNAL), strlen(head));
    listen_for(house, fd, "100 Continue\r\n\r\n", 2000, &answer);
    assert_int_equal(send(fd, "abc", 3, MSG_NOSIGNAL), 3);
    assert_true(listen_for(house, fd, NULL, 2000, &answer));
    assert_int_equal(strncmp(text_get(&answer), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK", 40),
                     0);
    text_release(&answer);
    close(fd);
}

static void answers_a_held_exchange_later(void **state)
{
    struct house *house = *state;
    struct text answer = {0};
    int fd = dial(house);
    const char request[] = "GET /hold HTTP/1.1\r\n" CLOSE "\r\n";

    send(fd, request, strlen(request), MSG_NOSIGNAL);
    assert_false(listen_for(house, fd, NULL, 100, &answer));
    assert_non_null(house->held);
    exchange_reply_empty(house->held, 204);
    assert_true(listen_for(house, fd, NULL, 2000, &answer));
    assert_int_equal(strncmp(text_get(&answer), "HTTP/1.1 204", 12), 0);
    assert_int_equal(house->gone, 0);
    text_release(&answer);
    close(fd);
}

static void says_when_a_held_client_has_gone(void **state)
{
    struct house *house = *state;
    struct text answer = {0};
    int fd = dial(house);
    const char request[] = "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n";

    send(fd, request, strlen(request), MSG_NOSIGNAL);
    listen_for(house, fd, NULL, 100, &answer);
    assert_int_equal(server_connections(house->server), 1);
    close(fd);
    for (int i = 0; i < 100 && house->gone == 0; i++) {
        turn(house);
        poll(NULL, 0, 1);
    }
    assert_int_equal(house->gone, 1);
    assert_int_equal(server_connections(house->server), 0);
}

static void streams_until_the_client_leaves(void **state)
{
    struct house *house = *state;
    struct text answer = {0};
    int fd = dial(house);
    const char request[] = "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n";

    send(fd, request, strlen(request), MSG_NOSIGNAL);
    assert_false(listen_for(house, fd, ": hi\n\n", 2000, &answer));
    exchange_stream_add(house->held, "data: 1\n\n", 9);
    assert_false(listen_for(house, fd, "data: 1\n\n", 2000, &answer));
    assert_non_null(strstr(text_get(&answer), "Content-Type: text/event-stream\r\n"));
    close(fd);
    for (int i = 0; i < 100 && house->gone == 0; i++) {
        turn(house);
        poll(NULL, 0, 1);
    }
    assert_int_equal(house->gone, 1);
    text_release(&answer);
}

static void calls_gone_for_held_exchanges_when_it_closes(void **state)
{
    struct house *house = *state;
    struct text answer = {0};
    int fd = dial(house);
    const char request[] = "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n";

    send(fd, request, strlen(request), MSG_NOSIGNAL);
    listen_for(house, fd, NULL, 100, &answer);
    server_close(house->server);
    house->server = NULL;
    assert_int_equal(house->gone, 1);
    close(fd);
}

static void lets_a_half_closed_client_have_its_answer(void **state)
{
    struct house *house = *state;
    struct text answer = {0};
    int fd = dial(house);
    const char request[] = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

    send(fd, request, strlen(request), MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    assert_true(listen_for(house, fd, NULL, 2000, &answer));
    assert_non_null(strstr(text_get(&answer), "world"));
    text_release(&answer);
    close(fd);
}

static void lets_the_holder_in_when_too_many_others_are_connected(void **state)
{
    struct house *house = *state;
    int idle[80];
    char *with = mem_printf("POST /secret HTTP/1.1\r\n" CLOSE
                            "Authorization: Bearer %s\r\nContent-Length: 2\r\n\r\n{}",
                            house->token);

    for (int i = 0; i < 80; i++) {
        idle[i] = dial(house);
        turn(house);
    }
    expect(house, "GET /hello HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 503", "too many connections");
    expect(house, with, "HTTP/1.1 200", "ok");
    for (int i = 0; i < 80; i++) {
        close(idle[i]);
    }
    free(with);
}

static void survives_more_connections_than_it_takes(void **state)
{
    struct house *house = *state;
    int fds[600];
    char *with = mem_printf("POST /secret HTTP/1.1\r\n" CLOSE
                            "Authorization: Bearer %s\r\nContent-Length: 2\r\n\r\n{}",
                            house->token);

    for (int i = 0; i < 600; i++) {
        fds[i] = dial(house);
        turn(house);
    }
    assert_true(server_connections(house->server) <= 512);
    expect(house, with, "HTTP/1.1 200", "ok");
    for (int i = 0; i < 600; i++) {
        close(fds[i]);
    }
    free(with);
}

static void cuts_a_slow_drip_at_its_deadline(void **state)
{
    struct house *house = *state;
    struct text answer = {0};
    int fd = dial(house);
    int64_t start = talk_now_ms();
    const char request[] = "GET /hello HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";

    send(fd, request, strlen(request), MSG_NOSIGNAL);
    while (talk_now_ms() - start < 12000) {
        if (listen_for(house, fd, NULL, 200, &answer)) {
            break;
        }
        send(fd, "a", 1, MSG_NOSIGNAL);
    }
    int64_t took = talk_now_ms() - start;
    assert_true(took > 9500 && took < 11900);
    assert_int_equal(strncmp(text_get(&answer), "HTTP/1.1 408", 12), 0);
    text_release(&answer);
    close(fd);
}

/* ---- opening ---- */

static void names_address_and_port_when_the_port_is_in_use(void **state)
{
    struct house *house = *state;
    struct server *second = NULL;
    struct err err = {0};
    const struct server_options options = {.listen = server_url(house->server) + 7};

    assert_int_equal(server_open(&second, house->base, &options, &err), ERR_CONFLICT);
    assert_null(second);
    assert_non_null(strstr(err.text, options.listen));
    assert_non_null(strstr(err.text, "in use"));
}

static void refuses_other_machines_unless_told(void **state)
{
    struct house *house = *state;
    struct server *second = NULL;
    struct err err = {0};
    struct server_options options = {.listen = "0.0.0.0:0"};

    assert_int_equal(server_open(&second, house->base, &options, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "--insecure-plaintext"));
    options.insecure_plaintext = true;
    assert_int_equal(server_open(&second, house->base, &options, &err), 0);
    server_close(second);
}

static void refuses_addresses_that_are_none(void **state)
{
    struct house *house = *state;
    const char *const bad[] = {
        "",        "localhost",      "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999",
        "::1:80x", "host.example:80"};
    struct server *second = NULL;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct server_options options = {.listen = bad[i]};
        struct err err = {0};

        assert_int_equal(server_open(&second, house->base, &options, &err), ERR_FORMAT);
    }
    const struct server_options good = {.listen = "localhost:0"};
    assert_int_equal(server_open(&second, house->base, &good, NULL), 0);
    server_close(second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_a_request_with_json_and_the_safety_headers),
        TEST(answers_head_without_a_body),
        TEST(takes_segments_out_of_the_path),
        TEST(names_the_methods_a_path_takes),
        TEST(refuses_hostile_heads_and_hangs_up),
        TEST(wants_the_token_before_it_reads_a_body),
        TEST(refuses_a_body_over_the_routes_limit_unread),
        TEST(refuses_a_head_over_16_kib),
        TEST(answers_pipelined_requests_in_order),
        TEST(answers_no_further_than_the_client_reads),
        TEST(reads_a_request_byte_by_byte),
        TEST(tells_a_client_that_asks_to_go_on),
        TEST(answers_a_held_exchange_later),
        TEST(says_when_a_held_client_has_gone),
        TEST(streams_until_the_client_leaves),
        TEST(calls_gone_for_held_exchanges_when_it_closes),
        TEST(lets_a_half_closed_client_have_its_answer),
        TEST(lets_the_holder_in_when_too_many_others_are_connected),
        TEST(survives_more_connections_than_it_takes),
        TEST(cuts_a_slow_drip_at_its_deadline),
        TEST(names_address_and_port_when_the_port_is_in_use),
        TEST(refuses_other_machines_unless_told),
        TEST(refuses_addresses_that_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
