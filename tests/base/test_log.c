#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"

/* The latest line, and how many there were. */
struct heard {
    char *line;
    int n;
};

static void listen(const char *line, void *context)
{
    struct heard *heard = context;

    free(heard->line);
    heard->line = mem_text(line);
    heard->n++;
}

static void takes_its_level_from_the_environment(void **state)
{
    struct heard heard = {0};

    (void)state; /* the first test: the environment is read once */
    setenv("BRAID_LOG", "warn", 1);
    log_set_sink(listen, &heard);
    log_info("base", "not this");
    assert_int_equal(heard.n, 0);
    log_warn("base", "this");
    log_error("base", "and this");
    assert_int_equal(heard.n, 2);
    free(heard.line);
}

static void drops_what_is_above_the_level(void **state)
{
    struct heard heard = {0};

    (void)state;
    log_set_sink(listen, &heard);
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("base", "fine detail");
    assert_int_equal(heard.n, 1);
    log_set_level(LOG_LEVEL_ERROR);
    log_warn("base", "dropped");
    assert_int_equal(heard.n, 1);
    free(heard.line);
}

static void puts_time_level_and_room_in_front(void **state)
{
    const char *pattern = "0000-00-00T00:00:00.000Z"; /* 0 stands for any digit */
    struct heard heard = {0};

    (void)state;
    log_set_sink(listen, &heard);
    log_set_level(LOG_LEVEL_INFO);
    log_info("search", "generation done gen=%d best=%.3f", 12, 0.613);
    for (size_t i = 0; pattern[i] != '\0'; i++) {
        bool fits = pattern[i] == '0' ? isdigit((unsigned char)heard.line[i]) != 0
                                      : heard.line[i] == pattern[i];
        assert_true(fits);
    }
    assert_string_equal(heard.line + strlen(pattern),
                        " info search generation done gen=12 best=0.613");
    free(heard.line);
}

static void keeps_an_event_on_one_line(void **state)
{
    struct heard heard = {0};

    (void)state;
    log_set_sink(listen, &heard);
    log_info("web", "a\nb\x1b[0m");
    assert_non_null(strstr(heard.line, " info web a b [0m"));
    free(heard.line);
}

static void writes_lines_to_standard_error(void **state)
{
    char line[200] = {0};
    int ends[2];
    int saved = dup(STDERR_FILENO);

    (void)state;
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_set_sink(NULL, NULL);
    log_info("cli", "hello");
    dup2(saved, STDERR_FILENO);
    assert_in_range(read(ends[0], line, sizeof line - 1), 1, sizeof line);
    assert_string_equal(strchr(line, 'Z'), "Z info cli hello\n");
    close(ends[0]);
    close(ends[1]);
    close(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_its_level_from_the_environment),
        cmocka_unit_test(drops_what_is_above_the_level),
        cmocka_unit_test(puts_time_level_and_room_in_front),
        cmocka_unit_test(keeps_an_event_on_one_line),
        cmocka_unit_test(writes_lines_to_standard_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
