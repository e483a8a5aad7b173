#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void returns_the_code_and_keeps_the_line(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(err_set(&err, ERR_LIMIT, "%s: %d is too many", "m/a", 7), ERR_LIMIT);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_string_equal(err.text, "m/a: 7 is too many");
}

static void puts_context_in_front_and_keeps_the_code(void **state)
{
    struct err err = {0};

    (void)state;
    err_set(&err, ERR_MISSING, "layer 3");
    assert_int_equal(err_wrap(&err, "model %s", "b"), ERR_MISSING);
    assert_string_equal(err.text, "model b: layer 3");
}

static void tells_the_reason_of_the_system(void **state)
{
    struct err err = {0};

    (void)state;
    errno = ENOSPC;
    assert_int_equal(err_set_errno(&err, ERR_IO, "a.db"), ERR_IO);
    assert_string_equal(err.text, "a.db: No space left on device");
}

static void keeps_a_message_on_one_line(void **state)
{
    struct err err = {0};

    (void)state;
    err_set(&err, ERR_FORMAT, "a\nb\r\tc\x1b[31m\x7f");
    assert_string_equal(err.text, "a b  c [31m ");
}

static void cuts_long_text_between_characters(void **state)
{
    struct err err = {0};
    char text[2 * ERR_TEXT_MAX];

    (void)state;
    for (size_t ascii = 0; ascii < 4; ascii++) {
        memset(text, 'a', ascii);
        text[ascii] = '\0';
        while (strlen(text) + 5 < sizeof text) {
            strcat(text, "\U0001F600");
        }
        err_set(&err, ERR_FORMAT, "%s", text);
        assert_in_range(strlen(err.text), ERR_TEXT_MAX - 4, ERR_TEXT_MAX - 1);
        assert_int_equal((strlen(err.text) - ascii) % 4, 0);
    }
}

static void cuts_the_old_text_when_context_needs_the_room(void **state)
{
    struct err err = {0};
    char text[ERR_TEXT_MAX];

    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    err_set(&err, ERR_FORMAT, "%s", text);
    err_wrap(&err, "where");
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    assert_memory_equal(err.text, "where: xxx", 10);
}

static void may_be_given_its_own_text(void **state)
{
    struct err err = {0};

    (void)state;
    err_set(&err, ERR_FORMAT, "inner");
    err_set(&err, ERR_CONFLICT, "outer (%s)", err.text);
    assert_string_equal(err.text, "outer (inner)");
}

static void returns_the_code_when_nobody_wants_the_text(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_NUMERIC, "no %s", "matter"), ERR_NUMERIC);
    assert_int_equal(err_wrap(NULL, "context"), ERR_NUMERIC);
    assert_int_equal(err_set_errno(NULL, ERR_IO, "x"), ERR_IO);
    assert_int_equal(err_wrap(NULL, "context"), ERR_IO);
}

static void names_every_code(void **state)
{
    (void)state;
    assert_string_equal(err_code_name(ERR_NONE), "none");
    assert_string_equal(err_code_name(ERR_IO), "io");
    assert_string_equal(err_code_name(ERR_FORMAT), "format");
    assert_string_equal(err_code_name(ERR_MISSING), "missing");
    assert_string_equal(err_code_name(ERR_CONFLICT), "conflict");
    assert_string_equal(err_code_name(ERR_LIMIT), "limit");
    assert_string_equal(err_code_name(ERR_MEMORY), "memory");
    assert_string_equal(err_code_name(ERR_NUMERIC), "numeric");
    assert_string_equal(err_code_name(ERR_STOPPED), "stopped");
    assert_string_equal(err_code_name((enum err_code) - 99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(returns_the_code_and_keeps_the_line),
        cmocka_unit_test(puts_context_in_front_and_keeps_the_code),
        cmocka_unit_test(tells_the_reason_of_the_system),
        cmocka_unit_test(keeps_a_message_on_one_line),
        cmocka_unit_test(cuts_long_text_between_characters),
        cmocka_unit_test(cuts_the_old_text_when_context_needs_the_room),
        cmocka_unit_test(may_be_given_its_own_text),
        cmocka_unit_test(returns_the_code_when_nobody_wants_the_text),
        cmocka_unit_test(names_every_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
