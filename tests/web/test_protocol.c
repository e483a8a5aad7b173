/* Both ends of the wire: what one prints the other parses; what neither printed is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/doc.h"
#include "base/mem.h"
#include "tests/web/scores.h"
#include "web/protocol.h"

static void a_hello_survives_the_wire(void **state)
{
    const struct protocol_hello said = {"00112233445566778899aabbccddeeff", "local-1", "0.1.0",
                                        "f32/openblas-Zen"};
    struct protocol_hello heard;
    json_t *doc = protocol_hello_print(&said);

    (void)state;
    assert_int_equal(protocol_hello_parse(&heard, doc, NULL), 0);
    assert_string_equal(heard.boot_id, said.boot_id);
    assert_string_equal(heard.name, said.name);
    assert_string_equal(heard.build, said.build);
    assert_string_equal(heard.path, said.path);
    json_decref(doc);
}

static void a_hello_needs_a_whole_boot_id(void **state)
{
    const char *const bad[] = {"", "00112233", "00112233445566778899aabbccddeefg",
                               "00112233445566778899aabbccddeeff0"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        json_t *doc = json_pack("{s:s, s:s, s:s, s:s}", "boot_id", bad[i], "name", "w", "build",
                                "1", "path", "p");
        struct protocol_hello heard;
        struct err err = {0};

        assert_true(protocol_hello_parse(&heard, doc, &err) < 0);
        assert_non_null(strstr(err.text, "boot_id"));
        json_decref(doc);
    }
}

static void a_hello_with_a_name_over_200_bytes_is_refused(void **state)
{
    char name[300];
    struct protocol_hello heard;
    struct err err = {0};

    (void)state;
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    json_t *doc = json_pack("{s:s, s:s, s:s, s:s}", "boot_id", "00112233445566778899aabbccddeeff",
                            "name", name, "build", "1", "path", "p");
    assert_int_equal(protocol_hello_parse(&heard, doc, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "name: longer than 200 bytes"));
    json_decref(doc);
}

static void a_welcome_survives_the_wire(void **state)
{
    const struct protocol_welcome said = {7, 30000, 10000, "night", "0123"};
    struct protocol_welcome heard;
    json_t *doc = protocol_welcome_print(&said);

    (void)state;
    assert_int_equal(protocol_welcome_parse(&heard, doc, NULL), 0);
    assert_int_equal(heard.worker_id, 7);
    assert_int_equal(heard.ttl_ms, 30000);
    assert_int_equal(heard.beat_ms, 10000);
    assert_string_equal(heard.study, "night");
    assert_string_equal(heard.study_id, "0123");
    json_decref(doc);
}

static void an_ask_waits_at_most_25_seconds(void **state)
{
    const struct protocol_ask said = {7, 3, PROTOCOL_WAIT_MS_MAX};
    struct protocol_ask heard;
    json_t *doc = protocol_ask_print(&said);

    (void)state;
    assert_int_equal(protocol_ask_parse(&heard, doc, NULL), 0);
    assert_int_equal(heard.worker_id, 7);
    assert_int_equal(heard.seq, 3);
    assert_int_equal(heard.wait_ms, PROTOCOL_WAIT_MS_MAX);
    json_object_set_new(doc, "wait_ms", json_integer(PROTOCOL_WAIT_MS_MAX + 1));
    assert_int_equal(protocol_ask_parse(&heard, doc, NULL), ERR_LIMIT);
    json_decref(doc);
}

static void a_result_survives_the_wire_bit_for_bit(void **state)
{
    struct score said = score_made(0.1 + 0.2);
    struct score heard = {0};
    uint64_t lease = 0;
    char before[DIGEST_HEX];
    char after[DIGEST_HEX];
    json_t *doc = protocol_result_print(12, &said);

    (void)state;
    assert_int_equal(protocol_result_parse(&lease, &heard, doc, NULL), 0);
    assert_int_equal(lease, 12);
    score_digest(&said, before);
    score_digest(&heard, after);
    assert_string_equal(before, after);
    score_release(&said);
    score_release(&heard);
    json_decref(doc);
}

static void a_failed_score_is_no_result(void **state)
{
    struct score score = score_made(0.5);
    struct score heard = {0};
    uint64_t lease = 0;
    struct err err = {0};
    json_t *doc = protocol_result_print(12, &score);

    (void)state;
    json_object_set_new(json_object_get(doc, "score"), "failure", json_string("nan"));
    assert_true(protocol_result_parse(&lease, &heard, doc, &err) < 0);
    assert_int_equal(lease, 0);
    score_release(&score);
    json_decref(doc);
}

static void a_failure_survives_the_wire(void **state)
{
    enum score_failure kind = SCORE_OK;
    const char *detail = NULL;
    json_t *doc = protocol_failure_print(SCORE_TIMEOUT, "took 61 s");

    (void)state;
    assert_int_equal(protocol_failure_parse(&kind, &detail, doc, NULL), 0);
    assert_int_equal(kind, SCORE_TIMEOUT);
    assert_string_equal(detail, "took 61 s");
    json_decref(doc);
}

static void a_long_detail_is_cut_between_characters(void **state)
{
    char long_detail[PROTOCOL_DETAIL_MAX + 10];
    enum score_failure kind;
    const char *detail;

    (void)state;
    memset(long_detail, 'a', sizeof(long_detail));
    memcpy(long_detail + PROTOCOL_DETAIL_MAX - 1, "\xc3\xa9", 2); /* would be cut in two */
    long_detail[sizeof(long_detail) - 1] = '\0';
    json_t *doc = protocol_failure_print(SCORE_EXIT, long_detail);
    assert_int_equal(protocol_failure_parse(&kind, &detail, doc, NULL), 0);
    assert_int_equal(strlen(detail), PROTOCOL_DETAIL_MAX - 1);
    json_decref(doc);
}

static void a_detail_that_is_no_text_is_left_out(void **state)
{
    enum score_failure kind;
    const char *detail;
    json_t *doc = protocol_failure_print(SCORE_EXIT, "\xff\xfe");

    (void)state;
    assert_int_equal(protocol_failure_parse(&kind, &detail, doc, NULL), 0);
    assert_string_equal(detail, "");
    json_decref(doc);
}

static void an_unknown_kind_of_failure_is_refused(void **state)
{
    enum score_failure kind;
    const char *detail;
    struct err err = {0};
    json_t *unknown = json_pack("{s:s, s:s}", "kind", "gremlins", "detail", "");
    json_t *fine = json_pack("{s:s, s:s}", "kind", "ok", "detail", "");

    (void)state;
    assert_int_equal(protocol_failure_parse(&kind, &detail, unknown, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "gremlins"));
    assert_int_equal(protocol_failure_parse(&kind, &detail, fine, &err), ERR_FORMAT);
    json_decref(unknown);
    json_decref(fine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_survives_the_wire),
        cmocka_unit_test(a_hello_needs_a_whole_boot_id),
        cmocka_unit_test(a_hello_with_a_name_over_200_bytes_is_refused),
        cmocka_unit_test(a_welcome_survives_the_wire),
        cmocka_unit_test(an_ask_waits_at_most_25_seconds),
        cmocka_unit_test(a_result_survives_the_wire_bit_for_bit),
        cmocka_unit_test(a_failed_score_is_no_result),
        cmocka_unit_test(a_failure_survives_the_wire),
        cmocka_unit_test(a_long_detail_is_cut_between_characters),
        cmocka_unit_test(a_detail_that_is_no_text_is_left_out),
        cmocka_unit_test(an_unknown_kind_of_failure_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
