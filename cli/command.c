/*
 * command.c - what every command shares.
 */
#include "cli/command.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stop.h"

int command_fail(const char *name, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", name, err->text);
    return err->code == ERR_STOPPED ? COMMAND_STOPPED : COMMAND_FAILED;
}

void command_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    argp_err_exit_status = COMMAND_USAGE;
    argp_program_version = NULL;
    /* argp prints its own line and exits; ARGP_IN_ORDER would break options after arguments. */
    (void)argp_parse(argp, argc, argv, 0, NULL, input);
}

error_t command_one(int key, char *value, struct argp_state *state, const char *what,
                    const char **slot)
{
    switch (key) {
    case ARGP_KEY_ARG:
        if (*slot != NULL) {
            argp_error(state, "one %s, please", what);
        }
        *slot = value;
        return 0;
    case ARGP_KEY_END:
        if (*slot == NULL) {
            argp_error(state, "which %s?", what);
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void command_catch_signals(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigemptyset(&ignore.sa_mask);
    sigaction(SIGPIPE, &ignore, NULL);
    stop_on_signals();
}

bool command_stopped(void)
{
    return stop_requested();
}

char *command_program(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (n <= 0) {
        return mem_text("braid");
    }
    return mem_text_n(path, (size_t)n);
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t command_now_ms(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

int64_t command_calendar_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}
