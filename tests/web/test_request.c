/* The strict reading of request heads. The hostile table is tests/cases/requests.txt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "web/access.h"
#include "web/request.h"

/* ---- the table ---- */

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Append a line of the table with its escapes resolved. */
static void add_bytes(struct text *out, const char *line)
{
    for (const char *c = line; *c != '\0'; c++) {
        if (*c != '\\') {
            text_add_char(out, *c);
            continue;
        }
        switch (*++c) {
        case 'r':
            text_add_char(out, '\r');
            break;
        case 'n':
            text_add_char(out, '\n');
            break;
        case 't':
            text_add_char(out, '\t');
            break;
        case '0':
            text_add_char(out, '\0');
            break;
        case 'x':
            text_add_char(out, (char)(hex_digit(c[1]) * 16 + hex_digit(c[2])));
            c += 2;
            break;
        default:
            text_add_char(out, *c);
        }
    }
}

/* What the front door says to these bytes, as server.c asks it; -1: it would wait for more. */
static int verdict_on(const struct text *bytes)
{
    const struct access_rules rules = {.n_hosts = 1, .hosts = {"lab.example"}};
    struct request request;
    size_t scanned = 0;

    size_t size = request_head_size(text_get(bytes), bytes->size, &scanned);
    if (size == 0) {
        return -1;
    }
    char *head = mem_text_n(text_get(bytes), size);
    struct refusal refusal = request_parse(&request, head, size);
    if (refusal.status == 0) {
        refusal = access_check(&rules, &request);
    }
    free(head);
    return refusal.status;
}

static void says_what_the_table_says(void **state)
{
    struct file_bytes file = {0};
    struct text bytes = {0};
    char name[200] = "";
    size_t cases = 0;

    (void)state;
    assert_int_equal(file_read(&file, TESTS_DIR "/cases/requests.txt", 1 << 20, NULL), 0);
    for (char *line = strtok(file.data, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (line[0] == '>') {
            add_bytes(&bytes, line + 2);
        } else if (line[0] == '=') {
            int want = atoi(line + 2);
            int got = verdict_on(&bytes);

            if (got != want) {
                fail_msg("%s: %d, expected %d", name, got, want);
            }
            text_clear(&bytes);
            cases++;
        } else if (line[0] != '#') {
            snprintf(name, sizeof(name), "%s", line);
        }
    }
    assert_true(cases > 70);
    text_release(&bytes);
    file_release(&file);
}

/* ---- single things ---- */

static struct request parsed(char *head)
{
    struct request request = {0};
    struct refusal refusal = request_parse(&request, head, strlen(head));

    assert_int_equal(refusal.status, 0);
    return request;
}

static void reads_method_path_query_and_headers(void **state)
{
    char head[] = "PUT /v1/result/12/1?a=1&b=%20x+y HTTP/1.1\r\nHost: h\r\nContent-Length: "
                  "81\r\nX-Odd:  v \r\n\r\n";
    struct request request = parsed(head);
    char value[16];

    (void)state;
    assert_int_equal(request.method, REQUEST_PUT);
    assert_string_equal(request.path, "/v1/result/12/1");
    assert_int_equal(request.body_size, 81);
    assert_true(request.keep_alive);
    assert_string_equal(request_header(&request, "x-odd"), "v");
    assert_true(request_query(&request, "b", value, sizeof(value)));
    assert_string_equal(value, " x y");
    assert_false(request_query(&request, "c", value, sizeof(value)));
    assert_false(request_query(&request, "b", value, 3));
}

static void closes_when_asked_to_and_in_http_1_0(void **state)
{
    char closing[] = "GET / HTTP/1.1\r\nHost: h\r\nConnection: foo, Close\r\n\r\n";
    char old[] = "GET / HTTP/1.0\r\nHost: h\r\n\r\n";
    char kept[] = "GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n";

    (void)state;
    assert_false(parsed(closing).keep_alive);
    assert_false(parsed(old).keep_alive);
    assert_true(parsed(kept).keep_alive);
}

static void finds_the_end_of_a_head_that_drips_in(void **state)
{
    const char head[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\nbody";
    size_t size = strlen(head) - 4;
    size_t scanned = 0;

    (void)state;
    for (size_t n = 1; n < size; n++) {
        assert_int_equal(request_head_size(head, n, &scanned), 0);
    }
    assert_int_equal(request_head_size(head, size, &scanned), size);
}

static void takes_64_headers_and_refuses_65(void **state)
{
    struct text head = {0};
    struct request request;

    (void)state;
    text_add(&head, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < REQUEST_HEADERS_MAX; i++) {
        text_printf(&head, "X-%d: v\r\n", i);
    }
    char *good = mem_printf("%s\r\n", text_get(&head));
    char *bad = mem_printf("%sX: v\r\n\r\n", text_get(&head));
    assert_int_equal(request_parse(&request, good, strlen(good)).status, 0);
    assert_int_equal(request.n_headers, REQUEST_HEADERS_MAX);
    assert_int_equal(request_parse(&request, bad, strlen(bad)).status, 400);
    free(good);
    free(bad);
    text_release(&head);
}

static void refuses_a_target_over_4096_bytes(void **state)
{
    struct request request;
    struct text head = {0};

    (void)state;
    text_add(&head, "GET /");
    for (size_t i = 0; i < REQUEST_TARGET_MAX; i++) {
        text_add_char(&head, 'a');
    }
    text_add(&head, " HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(request_parse(&request, head.data, head.size).status, 400);
    text_release(&head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_the_table_says),
        cmocka_unit_test(reads_method_path_query_and_headers),
        cmocka_unit_test(closes_when_asked_to_and_in_http_1_0),
        cmocka_unit_test(finds_the_end_of_a_head_that_drips_in),
        cmocka_unit_test(takes_64_headers_and_refuses_65),
        cmocka_unit_test(refuses_a_target_over_4096_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
