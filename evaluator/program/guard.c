/*
 * guard.c - start a program, wait for its end or for the evaluator's, and leave nothing behind.
 */
#include "evaluator/program/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

extern char **environ; /* POSIX leaves it to us */

/* ---- the program ---- */

static _Noreturn void start_program(const struct guard *guard, int null, pid_t parent)
{
    sigset_t none;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number < NSIG; number++) {
        signal(number, SIG_DFL);
    }
    if (getppid() != parent || dup2(null, STDIN_FILENO) < 0 ||
        dup2(guard->out, STDOUT_FILENO) < 0 || dup2(guard->err, STDERR_FILENO) < 0) {
        _exit(GUARD_NOT_STARTED);
    }
    if (guard->folder != NULL && chdir(guard->folder) != 0 && errno != ENOENT) {
        dprintf(STDERR_FILENO, "%s: %s\n", guard->folder, strerror(errno));
        _exit(GUARD_NOT_STARTED);
    }
    environ = (char **)guard->environ;
    execvp(guard->argv[0], guard->argv);
    dprintf(STDERR_FILENO, "%s: %s\n", guard->argv[0], strerror(errno));
    _exit(GUARD_NOT_STARTED);
}

/* ---- its end ---- */

/* Kill all processes whose parent we are; false when they cannot be listed. */
static bool kill_children(void)
{
    char path[64];
    long pid;

    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    FILE *list = fopen(path, "re");
    if (list == NULL) {
        return false;
    }
    while (fscanf(list, "%ld", &pid) == 1) {
        kill((pid_t)pid, SIGKILL);
    }
    fclose(list);
    return true;
}

/* Orphans of those that are killed come to us, to be killed in turn. Keeps the program's status. */
static void kill_all(pid_t program, int *status)
{
    pid_t ended = 0;

    while (ended >= 0 || errno == EINTR) {
        int one;

        kill(-program, SIGKILL);
        const bool listed = kill_children();

        ended = waitpid(-1, &one, listed ? 0 : WNOHANG);
        if (ended == program) {
            *status = one;
        }
        if (ended == 0) {
            return;
        }
    }
}

/* ---- waiting ---- */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Collect what has ended; true when the program has. */
static bool reap(pid_t program, int *status, int signals)
{
    struct signalfd_siginfo info;
    bool done = false;
    int one;
    pid_t ended;

    while (read(signals, &info, sizeof info) > 0) { /* one of them may stand for many */
    }
    while ((ended = waitpid(-1, &one, WNOHANG)) > 0) {
        if (ended == program) {
            *status = one;
            done = true;
        }
    }
    return done;
}

/* Until the program ends, or the evaluator wants it to or is dead; then it is asked to, and has a
 * while for it. *orphaned: the evaluator is dead. */
static void watch(const struct guard *guard, pid_t program, int signals, int *status,
                  bool *orphaned)
{
    struct pollfd ends[] = {{.fd = signals, .events = POLLIN},
                            {.fd = guard->life, .events = POLLIN}};
    int64_t until_ms = -1; /* -1: nobody wants it to end */

    while (!reap(program, status, signals)) {
        const int64_t left_ms = until_ms - now_ms();
        char byte;

        if (until_ms >= 0 && left_ms <= 0) {
            return;
        }
        if (poll(ends, 2, until_ms < 0 ? -1 : (int)left_ms) > 0 && ends[1].revents != 0) {
            *orphaned = *orphaned || read(guard->life, &byte, 1) <= 0;
            if (until_ms < 0) {
                kill(-program, SIGTERM);
                until_ms = now_ms() + guard->grace_ms;
            }
            ends[1].fd = *orphaned ? -1 : ends[1].fd;
        }
    }
}

/* The pipes of the evaluator are not ours to hold open, nor is Ctrl-C meant for us. */
static int leave_the_evaluator(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return null;
}

_Noreturn void guard_be(const struct guard *guard)
{
    const pid_t self = getpid();
    const int null = leave_the_evaluator();
    bool orphaned = false;
    int status = GUARD_NOT_STARTED << 8;
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    const int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    const pid_t program = signals >= 0 ? fork() : -1;

    if (program == 0) {
        start_program(guard, null, self);
    }
    close(guard->out);
    close(guard->err);
    if (program > 0) {
        setpgid(program, program); /* whoever of us comes first */
        watch(guard, program, signals, &status, &orphaned);
        kill_all(program, &status);
    }
    if (write(guard->report, &status, sizeof status) < 0 || orphaned) {
        orphaned = true;
    }
    if (orphaned && guard->scratch != NULL) {
        file_remove_tree(guard->scratch, NULL);
    }
    _exit(0);
}
