/*
 * crew.c - jobs from a shared list, by processes.
 *
 *   shared memory   board: next job, how many are done, has one failed
 *                   seats: what each process is at, and its error
 *                   results
 *   a pipe          nobody writes; its end is seen when the last process is gone
 */
#include "base/crew.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stop.h"

#define TICK_MS 100

struct seat {
    size_t job;     /* the one it is at */
    bool has_taken; /* it is, or was, at one */
    struct err err; /* code 0: none */
};

struct board {
    atomic_size_t next, done;
    atomic_bool failed;
    struct seat seats[CREW_PROCESSES_MAX];
};

struct running {
    const struct crew *crew;
    size_t n;
    pid_t pids[CREW_PROCESSES_MAX]; /* 0: ended */
    int pipe[2];
    struct board *board;
    unsigned char *results;
    size_t shared_bytes;
};

/* ---- in a process of the crew ---- */

static void work_off(const struct running *running, struct seat *seat)
{
    const struct crew *crew = running->crew;
    struct board *board = running->board;

    while (!atomic_load(&board->failed)) {
        size_t job = atomic_fetch_add(&board->next, 1);

        if (job >= crew->n_jobs) {
            return;
        }
        seat->job = job;
        seat->has_taken = true;
        int rc =
            crew->work(crew->context, job, running->results + job * crew->result_bytes, &seat->err);
        if (rc != 0) {
            seat->err.code = (enum err_code)rc;
            atomic_store(&board->failed, true);
            return;
        }
        atomic_fetch_add(&board->done, 1);
    }
}

/* The caller decides when to stop, and ends its crew by SIGKILL; so does its own death. A map whose
 * file was cut short ends the process that reads it: no handler of the caller's may catch that. */
static _Noreturn void be_one(struct running *running, size_t i, pid_t caller)
{
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGBUS, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == caller) {
        close(running->pipe[0]);
        work_off(running, &running->board->seats[i]);
    }
    _exit(0);
}

/* ---- in the caller ---- */

static int open_board(struct running *running, struct err *err)
{
    const struct crew *crew = running->crew;
    size_t n_bytes;

    if (!mem_multiply(crew->n_jobs, crew->result_bytes, &n_bytes) ||
        !mem_add(n_bytes, sizeof(struct board), &n_bytes)) {
        return err_set(err, ERR_MEMORY, "%zu jobs are too many", crew->n_jobs);
    }
    if (pipe(running->pipe) != 0) {
        return err_set_errno(err, ERR_IO, "no pipe");
    }
    void *shared = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        close(running->pipe[0]);
        close(running->pipe[1]);
        return err_set_errno(err, ERR_MEMORY, "no memory to share between processes");
    }
    running->shared_bytes = n_bytes;
    running->board = shared;
    running->results = (unsigned char *)shared + sizeof(struct board);
    return 0;
}

static int start_all(struct running *running, struct err *err)
{
    pid_t caller = getpid();

    for (size_t i = 0; i < running->n; i++) {
        pid_t pid = fork();

        if (pid < 0) {
            return err_set_errno(err, ERR_IO, "no process to work in");
        }
        if (pid == 0) {
            be_one(running, i, caller);
        }
        running->pids[i] = pid;
    }
    return 0;
}

static void kill_all(const struct running *running)
{
    for (size_t i = 0; i < running->n; i++) {
        if (running->pids[i] != 0) {
            kill(running->pids[i], SIGKILL);
        }
    }
}

static int say_death(const struct running *running, size_t i, int status, struct err *err)
{
    const struct crew *crew = running->crew;
    const struct seat *seat = &running->board->seats[i];
    const char *what = seat->has_taken && crew->name != NULL ? crew->name(crew->context, seat->job)
                                                             : "a list of jobs";

    if (WIFSIGNALED(status)) {
        return err_set(err, ERR_IO, "%s: the process at work on it was killed by signal %d (%s)",
                       what, WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    return err_set(err, ERR_IO, "%s: the process at work on it ended with status %d", what,
                   WEXITSTATUS(status));
}

/* Collect those that have ended; an error when one of them did not end by itself. */
static int reap(struct running *running, int options, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < running->n; i++) {
        int status;
        pid_t pid = running->pids[i];

        if (pid == 0) {
            continue;
        }
        pid_t ended;
        do {
            ended = waitpid(pid, &status, options);
        } while (ended < 0 && errno == EINTR);
        if (ended == 0) {
            continue;
        }
        running->pids[i] = 0;
        if (ended == pid && status != 0 && rc == 0) {
            rc = say_death(running, i, status, err);
        }
    }
    return rc;
}

static bool is_running(const struct running *running)
{
    for (size_t i = 0; i < running->n; i++) {
        if (running->pids[i] != 0) {
            return true;
        }
    }
    return false;
}

/* Until all have ended, or one died, or a signal came. */
static int watch(struct running *running, struct err *err)
{
    const struct crew *crew = running->crew;
    struct pollfd end = {.fd = running->pipe[0], .events = POLLIN};
    int rc = 0;

    while (rc == 0 && is_running(running)) {
        bool last = poll(&end, 1, TICK_MS) > 0;

        rc = reap(running, last ? 0 : WNOHANG, err);
        if (rc == 0 && stop_requested() && is_running(running)) {
            rc = err_set(err, ERR_STOPPED, "stopped by a signal");
        }
        if (rc == 0 && crew->tick != NULL) {
            crew->tick(crew->context, atomic_load(&running->board->done));
        }
    }
    return rc;
}

/* The error of the first job that failed. */
static int first_error(const struct running *running, struct err *err)
{
    const struct seat *first = NULL;

    for (size_t i = 0; i < running->n; i++) {
        const struct seat *seat = &running->board->seats[i];

        if (seat->err.code != ERR_NONE && (first == NULL || seat->job < first->job)) {
            first = seat;
        }
    }
    return first != NULL ? err_set(err, first->err.code, "%s", first->err.text) : 0;
}

int crew_run(const struct crew *crew, void *results, struct err *err)
{
    struct running running = {.crew = crew};

    assert(crew->n_processes >= 1 && crew->n_processes <= CREW_PROCESSES_MAX);
    running.n = crew->n_processes < crew->n_jobs ? crew->n_processes : crew->n_jobs;
    int rc = open_board(&running, err);
    if (rc != 0) {
        return rc;
    }
    rc = start_all(&running, err);
    close(running.pipe[1]);
    if (rc == 0) {
        rc = watch(&running, err);
    }
    if (rc != 0) {
        kill_all(&running);
        reap(&running, 0, NULL);
    } else {
        rc = first_error(&running, err);
    }
    if (rc == 0 && crew->n_jobs > 0 && crew->result_bytes > 0) {
        memcpy(results, running.results, crew->n_jobs * crew->result_bytes);
    }
    close(running.pipe[0]);
    munmap(running.board, running.shared_bytes);
    return rc;
}

size_t crew_processors(void)
{
    unsigned char mask[1024] = {0}; /* a bit a processor */
    size_t n = 0;

    /* Not how many there are: a job of a cluster is often bound to a few of them. */
    if (syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask) <= 0) {
        return 1;
    }
    for (size_t i = 0; i < 8 * sizeof(mask); i++) {
        n += mask[i / 8] >> i % 8 & 1;
    }
    return n < 1 ? 1 : n > CREW_PROCESSES_MAX ? CREW_PROCESSES_MAX : n;
}

size_t crew_peak_bytes(void)
{
    struct rusage usage;

    getrusage(RUSAGE_CHILDREN, &usage);
    return (size_t)usage.ru_maxrss * 1024;
}
