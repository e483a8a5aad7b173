#include "evaluator/program/folder.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/support/support.h"

/* It has become the program that it was forked for. */
static bool has_begun(pid_t pid)
{
    char *path = mem_printf("/proc/%ld/comm", (long)pid);
    FILE *file = fopen(path, "r");
    char name[32] = "";
    const bool begun = fgets(name, sizeof name, file) != NULL && strcmp(name, "sleep\n") == 0;

    fclose(file);
    free(path);
    return begun;
}

static void is_for_our_eyes_alone_and_goes_with_all_in_it(void **state)
{
    char *where = support_temp_dir();
    struct folder folder = {0};
    struct stat status;

    (void)state;
    assert_int_equal(folder_open(&folder, where, NULL), 0);
    assert_int_equal(stat(folder.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    support_write(folder.path, "weights", "heavy");
    char *path = mem_text(folder.path);

    folder_close(&folder);
    assert_false(file_exists(path));
    free(path);
    support_remove_dir(where);
}

static void is_swept_when_its_process_is_dead_and_not_before(void **state)
{
    char *where = support_temp_dir();
    char *stranger = file_join(where, "braid-evil");
    struct folder ours = {0};
    int ends[2];
    char path[4096] = "";

    (void)state;
    assert_int_equal(pipe(ends), 0);
    file_make_dirs(stranger, NULL);
    const pid_t other = fork();

    if (other == 0) {
        struct folder folder = {0};

        folder_open(&folder, where, NULL);
        support_write(folder.path, "weights", "heavy");
        (void)!write(ends[1], folder.path, strlen(folder.path) + 1);
        pause();
        _exit(0);
    }
    assert_true(read(ends[0], path, sizeof path) > 0);
    assert_int_equal(folder_open(&ours, where, NULL), 0);
    folder_sweep(where);
    assert_true(file_exists(path) && file_exists(ours.path));
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    folder_sweep(where);
    assert_false(file_exists(path));
    assert_true(file_exists(ours.path) && file_exists(stranger));
    folder_close(&ours);
    close(ends[0]);
    close(ends[1]);
    free(stranger);
    support_remove_dir(where);
}

static void what_still_works_in_it_is_ended_when_it_is_swept(void **state)
{
    char *where = support_temp_dir();
    char *left = file_join(where, "braid-eval-000000");
    char *variable = mem_printf("BRAID_MODEL_DIR=%s/model", left);
    char *other = mem_printf("BRAID_MODEL_DIR=%s/braid-eval-000001/model", where);
    pid_t pids[2];
    int status;

    (void)state;
    file_make_dirs(left, NULL);
    for (int i = 0; i < 2; i++) {
        char *const words[] = {(char *)"sleep", (char *)"300", NULL};
        char *const variables[] = {i == 0 ? variable : other, NULL};

        pids[i] = fork();
        if (pids[i] == 0) {
            execve("/bin/sleep", words, variables);
            _exit(1);
        }
        while (!has_begun(pids[i])) {
        }
    }
    folder_sweep(where);
    assert_false(file_exists(left));
    assert_int_equal(waitpid(pids[0], &status, 0), pids[0]);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(waitpid(pids[1], &status, WNOHANG), 0);
    kill(pids[1], SIGKILL);
    waitpid(pids[1], &status, 0);
    free(left);
    free(variable);
    free(other);
    support_remove_dir(where);
}

static void says_where_there_is_no_place(void **state)
{
    struct folder folder = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(folder_open(&folder, "/no/such/place", &err), ERR_IO);
    assert_non_null(strstr(err.text, "/no/such/place"));
    assert_int_equal(folder_room("/no/such/place"), 0);
    folder_sweep("/no/such/place");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_for_our_eyes_alone_and_goes_with_all_in_it),
        cmocka_unit_test(is_swept_when_its_process_is_dead_and_not_before),
        cmocka_unit_test(what_still_works_in_it_is_ended_when_it_is_swept),
        cmocka_unit_test(says_where_there_is_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
