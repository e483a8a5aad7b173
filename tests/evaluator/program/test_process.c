#include "evaluator/program/process.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/support/support.h"

static char *environment[] = {(char *)"PATH=/usr/bin:/bin", (char *)"WORD=of its own", NULL};

/* Limits are long enough for a busy machine to have begun by then. */
static struct process_end run_in(const char *folder, const char *script, int64_t timeout_ms)
{
    char *const words[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
    const struct process process = {.argv = words,
                                    .environ = environment,
                                    .folder = folder,
                                    .timeout_ms = timeout_ms,
                                    .grace_ms = 1000};
    struct process_end end = {0};
    struct err err = {0};

    if (process_run(&process, &end, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return end;
}

static struct process_end run(const char *script, int64_t timeout_ms)
{
    return run_in(NULL, script, timeout_ms);
}

static void hears_what_it_says_and_how_it_ends(void **state)
{
    struct process_end end = run("echo out; echo err >&2; echo $WORD; exit 3", 0);

    (void)state;
    assert_string_equal(text_get(&end.out), "out\nof its own\n");
    assert_string_equal(text_get(&end.err), "err\n");
    assert_true(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 3);
    assert_false(end.timed_out);
    process_end_release(&end);
    end = run("kill -9 $$", 0);
    assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGKILL);
    process_end_release(&end);
}

static void gives_it_nothing_to_read_and_the_folder_asked_for(void **state)
{
    char *folder = support_temp_dir();
    struct process_end end = run_in(folder, "cat; pwd -P", 0);

    (void)state;
    assert_true(strstr(text_get(&end.out), file_name(folder)) != NULL);
    process_end_release(&end);
    end = run_in("/no/such/folder", "echo here", 0);
    assert_string_equal(text_get(&end.out), "here\n");
    process_end_release(&end);
    support_remove_dir(folder);
}

static void says_that_a_program_is_not_there(void **state)
{
    char *const words[] = {(char *)"no-such-program-anywhere", NULL};
    const struct process process = {.argv = words, .environ = environment, .grace_ms = 300};
    struct process_end end = {0};

    (void)state;
    assert_int_equal(process_run(&process, &end, NULL), 0);
    assert_int_equal(WEXITSTATUS(end.status), 127);
    assert_true(strstr(text_get(&end.err), "no-such-program-anywhere: No such file") != NULL);
    process_end_release(&end);
}

static void keeps_the_end_of_what_is_too_much(void **state)
{
    struct process_end end = run(
        "yes 0123456789 | head -c 1000000; echo last; yes x | head -c 100000 >&2; echo end >&2", 0);

    (void)state;
    assert_int_equal(end.out.size, PROCESS_OUT_MAX);
    assert_int_equal(end.err.size, PROCESS_ERR_MAX);
    assert_string_equal(text_get(&end.out) + end.out.size - 5, "last\n");
    assert_string_equal(text_get(&end.err) + end.err.size - 4, "end\n");
    process_end_release(&end);
}

/* ---- what must not stay ---- */

/* The number that a script has written; 0 when there is none. */
static pid_t written(const char *folder, const char *name)
{
    struct file_bytes bytes = {0};
    char *path = file_join(folder, name);
    const long pid = file_read(&bytes, path, 64, NULL) == 0 ? atol(bytes.data) : 0;

    file_release(&bytes);
    free(path);
    return (pid_t)pid;
}

static void nap(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void is_gone(pid_t pid)
{
    assert_true(pid > 0);
    for (int tries = 0; tries < 300 && kill(pid, 0) == 0; tries++) {
        nap(10);
    }
    assert_true(kill(pid, 0) != 0 && errno == ESRCH);
}

/* A child in the group, one that left it for a session of its own, and one that ignores requests.
 */
#define FAMILY                                          \
    "trap '' TERM; sleep 300 & echo $! > child; "       \
    "setsid sh -c 'echo $$ > stray; exec sleep 300' & " \
    "while [ ! -s stray ]; do sleep 0.01; done; "

static void ends_all_that_it_started_at_its_limit(void **state)
{
    char *folder = support_temp_dir();
    struct process_end end = run_in(folder, FAMILY "echo begun; sleep 300", 1000);

    (void)state;
    assert_true(end.timed_out);
    assert_string_equal(text_get(&end.out), "begun\n");
    is_gone(written(folder, "child"));
    is_gone(written(folder, "stray"));
    process_end_release(&end);
    support_remove_dir(folder);
}

static void asks_before_it_kills(void **state)
{
    struct process_end end = run("trap 'echo goodbye; exit 7' TERM; sleep 300 & wait", 1000);

    (void)state;
    assert_true(end.timed_out);
    assert_string_equal(text_get(&end.out), "goodbye\n");
    process_end_release(&end);
}

static void ends_what_it_leaves_running(void **state)
{
    char *folder = support_temp_dir();
    struct process_end end = run_in(folder, FAMILY "echo done", 0);

    (void)state;
    assert_false(end.timed_out);
    assert_string_equal(text_get(&end.out), "done\n");
    is_gone(written(folder, "child"));
    is_gone(written(folder, "stray"));
    process_end_release(&end);
    support_remove_dir(folder);
}

static void ends_it_and_removes_its_folder_when_we_are_killed(void **state)
{
    char *folder = support_temp_dir();
    char *scratch = file_join(folder, "scratch");
    char *const words[] = {(char *)"sh", (char *)"-c", (char *)FAMILY "echo $$ > self; sleep 300",
                           NULL};
    const struct process process = {.argv = words,
                                    .environ = environment,
                                    .folder = folder,
                                    .scratch = scratch,
                                    .grace_ms = 100};

    (void)state;
    file_make_dirs(scratch, NULL);
    const pid_t us = fork();

    if (us == 0) {
        struct process_end end = {0};

        process_run(&process, &end, NULL);
        _exit(0);
    }
    while (written(folder, "self") == 0) {
        nap(10);
    }
    kill(us, SIGKILL);
    waitpid(us, NULL, 0);
    is_gone(written(folder, "self"));
    is_gone(written(folder, "child"));
    is_gone(written(folder, "stray"));
    for (int tries = 0; tries < 300 && file_exists(scratch); tries++) {
        nap(10);
    }
    assert_false(file_exists(scratch));
    free(scratch);
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hears_what_it_says_and_how_it_ends),
        cmocka_unit_test(gives_it_nothing_to_read_and_the_folder_asked_for),
        cmocka_unit_test(says_that_a_program_is_not_there),
        cmocka_unit_test(keeps_the_end_of_what_is_too_much),
        cmocka_unit_test(ends_all_that_it_started_at_its_limit),
        cmocka_unit_test(asks_before_it_kills),
        cmocka_unit_test(ends_what_it_leaves_running),
        cmocka_unit_test(ends_it_and_removes_its_folder_when_we_are_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
