/* Tokens and roles. Host and Origin are in the table of test_request.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/support/support.h"
#include "web/access.h"

#define TOKEN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct access_rules rules_with_token(void)
{
    struct access_rules rules = {.has_token = true};

    digest_of(TOKEN, strlen(TOKEN), rules.token_hash);
    return rules;
}

static int permit(const struct access_rules *rules, const char *authorization, bool loopback,
                  enum access_role role)
{
    struct request request = {.n_headers = authorization != NULL,
                              .headers = {{"authorization", authorization}}};

    return access_permit(rules, &request, loopback, role).status;
}

static void lets_anyone_on_this_machine_read(void **state)
{
    struct access_rules rules = rules_with_token();

    (void)state;
    assert_int_equal(permit(&rules, NULL, true, ACCESS_VIEWER), 0);
    assert_int_equal(permit(&rules, NULL, true, ACCESS_ANYONE), 0);
}

static void asks_other_machines_for_the_token_to_read(void **state)
{
    struct access_rules rules = rules_with_token();

    (void)state;
    assert_int_equal(permit(&rules, NULL, false, ACCESS_VIEWER), 401);
    assert_int_equal(permit(&rules, "Bearer " TOKEN, false, ACCESS_VIEWER), 0);
    assert_int_equal(permit(&rules, NULL, false, ACCESS_ANYONE), 0);
}

static void private_reading_needs_the_token_here_too(void **state)
{
    struct access_rules rules = rules_with_token();

    (void)state;
    rules.private_reading = true;
    assert_int_equal(permit(&rules, NULL, true, ACCESS_VIEWER), 401);
    assert_int_equal(permit(&rules, "bearer " TOKEN, true, ACCESS_VIEWER), 0);
}

static void changing_state_needs_the_token_on_loopback_too(void **state)
{
    struct access_rules rules = rules_with_token();

    (void)state;
    assert_int_equal(permit(&rules, NULL, true, ACCESS_HOLDER), 401);
    assert_int_equal(permit(&rules, "Bearer " TOKEN, true, ACCESS_HOLDER), 0);
}

static void refuses_tokens_that_are_nearly_right(void **state)
{
    struct access_rules rules = rules_with_token();

    (void)state;
    assert_int_equal(permit(&rules, "Bearer " TOKEN "0", true, ACCESS_HOLDER), 401);
    assert_int_equal(permit(&rules, "Bearer 1" TOKEN, true, ACCESS_HOLDER), 401);
    assert_int_equal(permit(&rules, "Bearer ", true, ACCESS_HOLDER), 401);
    assert_int_equal(permit(&rules, "Bearer", true, ACCESS_HOLDER), 401);
    assert_int_equal(permit(&rules, "Basic " TOKEN, true, ACCESS_HOLDER), 401);
    assert_int_equal(permit(&rules, TOKEN, true, ACCESS_HOLDER), 401);
}

static void without_a_token_nothing_changes_state(void **state)
{
    const struct access_rules rules = {0};

    (void)state;
    assert_int_equal(permit(&rules, "Bearer " TOKEN, true, ACCESS_HOLDER), 401);
    assert_int_equal(permit(&rules, "Bearer ", true, ACCESS_HOLDER), 401);
}

static void knows_which_addresses_are_this_machine(void **state)
{
    (void)state;
    assert_true(access_is_loopback("127.0.0.1"));
    assert_true(access_is_loopback("127.9.9.9"));
    assert_true(access_is_loopback("::1"));
    assert_true(access_is_loopback("::ffff:127.0.0.1"));
    assert_false(access_is_loopback("128.0.0.1"));
    assert_false(access_is_loopback("::"));
    assert_false(access_is_loopback("localhost"));
    assert_false(access_is_loopback(""));
}

static void makes_a_token_file_once_and_keeps_it(void **state)
{
    char *folder = support_temp_dir();
    char *path = file_join(folder, "night.token");
    char first[ACCESS_TOKEN_MAX];
    char second[ACCESS_TOKEN_MAX];
    struct stat facts;
    struct err err = {0};

    (void)state;
    assert_int_equal(access_token_read(path, first, &err), ERR_MISSING);
    assert_int_equal(access_token_open(path, first, &err), 0);
    assert_true(digest_is_hex(first));
    assert_int_equal(access_token_open(path, second, &err), 0);
    assert_string_equal(first, second);
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    free(path);
    support_remove_dir(folder);
}

static void refuses_a_token_file_that_others_can_read_or_that_is_none(void **state)
{
    char *folder = support_temp_dir();
    char *path = file_join(folder, "night.token");
    char token[ACCESS_TOKEN_MAX];
    struct err err = {0};

    (void)state;
    support_write(folder, "night.token", TOKEN "\n");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(access_token_open(path, token, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "chmod 600"));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(access_token_open(path, token, &err), 0);
    assert_string_equal(token, TOKEN);
    support_write(folder, "night.token", "secret\n");
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(access_token_open(path, token, &err), ERR_FORMAT);
    free(path);
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_anyone_on_this_machine_read),
        cmocka_unit_test(asks_other_machines_for_the_token_to_read),
        cmocka_unit_test(private_reading_needs_the_token_here_too),
        cmocka_unit_test(changing_state_needs_the_token_on_loopback_too),
        cmocka_unit_test(refuses_tokens_that_are_nearly_right),
        cmocka_unit_test(without_a_token_nothing_changes_state),
        cmocka_unit_test(knows_which_addresses_are_this_machine),
        cmocka_unit_test(makes_a_token_file_once_and_keeps_it),
        cmocka_unit_test(refuses_a_token_file_that_others_can_read_or_that_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
