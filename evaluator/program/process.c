/*
 * process.c - the evaluator's side of a guarded program: pipes, clock, and the last of what it
 * said.
 */
#include "evaluator/program/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/stop.h"
#include "evaluator/program/guard.h"

#define TICK_MS 200 /* how long a signal may go unseen */

enum { LIFE, REPORT, OUT, ERR, PIPES };

struct running {
    pid_t guard;
    int ends[PIPES]; /* ours; -1: closed */
    struct process_end end;
    bool reported;
};

void process_end_release(struct process_end *end)
{
    text_release(&end->out);
    text_release(&end->err);
    *end = (struct process_end){0};
}

/* ---- pipes ---- */

static void close_all(int *ends)
{
    for (int i = 0; i < PIPES; i++) {
        if (ends[i] >= 0) {
            close(ends[i]);
            ends[i] = -1;
        }
    }
}

/* Ours and theirs of each pipe; programs inherit neither. */
static int open_pipes(int *ours, int *theirs, struct err *err)
{
    for (int i = 0; i < PIPES; i++) {
        ours[i] = theirs[i] = -1;
    }
    for (int i = 0; i < PIPES; i++) {
        int ends[2];

        if (pipe(ends) != 0) {
            const int rc = err_set_errno(err, ERR_IO, "pipe");

            close_all(ours);
            close_all(theirs);
            return rc;
        }
        fcntl(ends[0], F_SETFD, FD_CLOEXEC);
        fcntl(ends[1], F_SETFD, FD_CLOEXEC);
        ours[i] = ends[i == LIFE]; /* all but the first are read here */
        theirs[i] = ends[i != LIFE];
        if (i != LIFE) {
            fcntl(ours[i], F_SETFL, O_NONBLOCK);
        }
    }
    return 0;
}

static int start(struct running *running, const struct process *process, struct err *err)
{
    int theirs[PIPES];
    int rc = open_pipes(running->ends, theirs, err);

    if (rc != 0) {
        return rc;
    }
    running->guard = fork();
    if (running->guard == 0) {
        close_all(running->ends);
        guard_be(&(struct guard){.argv = process->argv,
                                 .environ = process->environ,
                                 .folder = process->folder,
                                 .scratch = process->scratch,
                                 .grace_ms = process->grace_ms,
                                 .life = theirs[LIFE],
                                 .report = theirs[REPORT],
                                 .out = theirs[OUT],
                                 .err = theirs[ERR]});
    }
    if (running->guard < 0) {
        rc = err_set_errno(err, ERR_IO, "fork");
        close_all(running->ends);
    }
    close_all(theirs);
    return rc;
}

/* ---- what it says ---- */

/* Forget all but the last `most` bytes, now and then. */
static void keep_last(struct text *text, size_t most, bool now)
{
    if (text->size > (now ? most : 2 * most)) {
        memmove(text->data, text->data + text->size - most, most);
        text->size = most;
        text->data[most] = '\0';
    }
}

/* All that is there now; closes the pipe at its end. */
static void listen_to(int *fd, struct text *said, size_t most)
{
    char bytes[16384];
    ssize_t n = -1;

    while (*fd >= 0 && (n = read(*fd, bytes, sizeof bytes)) > 0) {
        text_add_n(said, bytes, (size_t)n);
        keep_last(said, most, false);
    }
    if (*fd >= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR))) {
        close(*fd);
        *fd = -1;
    }
}

static void listen_all(struct running *running)
{
    struct process_end *end = &running->end;

    listen_to(&running->ends[OUT], &end->out, PROCESS_OUT_MAX);
    listen_to(&running->ends[ERR], &end->err, PROCESS_ERR_MAX);
}

/* ---- until it ends ---- */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wait_a_while(struct running *running, int64_t most_ms)
{
    struct pollfd ends[PIPES - 1];

    for (int i = 0; i < PIPES - 1; i++) {
        ends[i] = (struct pollfd){.fd = running->ends[i + 1], .events = POLLIN};
    }
    if (poll(ends, PIPES - 1, (int)(most_ms < TICK_MS ? most_ms : TICK_MS)) > 0) {
        const ssize_t n =
            ends[REPORT - 1].revents != 0
                ? read(running->ends[REPORT], &running->end.status, sizeof running->end.status)
                : -1;

        running->reported = n >= 0;
        if (n >= 0 && n != (ssize_t)sizeof running->end.status) {
            running->end.status = SIGKILL; /* the guard is gone without a word */
        }
    }
    listen_all(running);
}

static void ask_to_end(struct running *running)
{
    /* A guard that is gone already has reported: there is nobody to tell then. */
    if (write(running->ends[LIFE], "e", 1) < 0) {
        return;
    }
}

static int watch(struct running *running, const struct process *process, struct err *err)
{
    const int64_t until_ms = process->timeout_ms > 0 ? now_ms() + process->timeout_ms : INT64_MAX;
    bool asked = false, stopped = false;

    while (!running->reported) {
        stopped = stopped || stop_requested();
        running->end.timed_out = running->end.timed_out || (!stopped && now_ms() >= until_ms);
        if (!asked && (stopped || running->end.timed_out)) {
            ask_to_end(running);
            asked = true;
        }
        const int64_t left_ms = until_ms - now_ms();

        wait_a_while(running, asked || left_ms > TICK_MS ? TICK_MS : left_ms > 0 ? left_ms : 0);
    }
    return stopped ? err_set(err, ERR_STOPPED, "stopped by a signal") : 0;
}

int process_run(const struct process *process, struct process_end *out, struct err *err)
{
    struct running running = {0};
    int rc = start(&running, process, err);

    if (rc != 0) {
        return rc;
    }
    rc = watch(&running, process, err);
    close_all(running.ends);
    while (waitpid(running.guard, NULL, 0) < 0 && errno == EINTR) {
    }
    if (rc != 0) {
        process_end_release(&running.end);
        return rc;
    }
    keep_last(&running.end.out, PROCESS_OUT_MAX, true);
    keep_last(&running.end.err, PROCESS_ERR_MAX, true);
    *out = running.end;
    return 0;
}
