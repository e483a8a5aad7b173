/*
 * local_workers.c - the worker processes a search starts on its own machine.
 */
#include "cli/local_workers.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/command.h"

#define QUICK_MS 2000
#define QUICK_DEATHS_MAX 8

static void exec_worker(const struct local_workers *workers, size_t i, pid_t parent)
{
    char name[32];
    sigset_t none;

    snprintf(name, sizeof(name), LOCAL_WORKERS_PREFIX "%zu", i + 1);
    char *spool = file_join(workers->spool, name);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(1);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* A process group of its own: Ctrl-C reaches the search, which then lets its workers go in
     * order. */
    setpgid(0, 0);
    execl(workers->program, "braid", "work", workers->url, "--token-file", workers->token_file,
          "--name", name, "--spool", spool, (char *)NULL);
    _exit(127);
}

static int start_one(struct local_workers *workers, size_t i, int64_t now_ms, struct err *err)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid < 0) {
        return err_set_errno(err, ERR_IO, "cannot start worker %zu", i + 1);
    }
    if (pid == 0) {
        exec_worker(workers, i, parent);
    }
    workers->pids[i] = pid;
    workers->started_ms[i] = now_ms;
    return 0;
}

int local_workers_start(struct local_workers *out, size_t n, const char *url,
                        const char *token_file, const char *spool, int64_t now_ms, struct err *err)
{
    int rc = 0;

    assert(n <= LOCAL_WORKERS_MAX);
    *out = (struct local_workers){.n = n,
                                  .url = mem_text(url),
                                  .token_file = mem_text(token_file),
                                  .spool = mem_text(spool),
                                  .program = command_program()};
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = start_one(out, i, now_ms, err);
    }
    if (rc != 0) {
        local_workers_stop(out);
    }
    return rc;
}

static void say_end(size_t i, int status)
{
    if (WIFSIGNALED(status)) {
        log_warn("search", "worker ended worker=" LOCAL_WORKERS_PREFIX "%zu signal=%d", i + 1,
                 WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0) {
        log_warn("search", "worker ended worker=" LOCAL_WORKERS_PREFIX "%zu status=%d", i + 1,
                 WEXITSTATUS(status));
    }
}

int local_workers_tend(struct local_workers *workers, int wanted, uint64_t done, int64_t now_ms,
                       void (*lost)(const char *name, void *context), void *context,
                       struct err *err)
{
    for (size_t i = 0; i < workers->n; i++) {
        int status;

        if (workers->pids[i] == 0 ||
            waitpid(workers->pids[i], &status, WNOHANG) != workers->pids[i]) {
            continue;
        }
        workers->pids[i] = 0;
        if (!wanted) {
            continue;
        }
        char name[32];
        snprintf(name, sizeof(name), LOCAL_WORKERS_PREFIX "%zu", i + 1);
        say_end(i, status);
        lost(name, context);
        bool quick = now_ms - workers->started_ms[i] < QUICK_MS;
        bool futile = quick && done == workers->done_at_death;

        workers->quick_deaths = futile ? workers->quick_deaths + 1 : 0;
        workers->done_at_death = done;
        if (workers->quick_deaths >= QUICK_DEATHS_MAX) {
            return err_set(err, ERR_IO, "workers end as soon as they start; see the lines above");
        }
        int rc = start_one(workers, i, now_ms, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

size_t local_workers_running(const struct local_workers *workers)
{
    size_t running = 0;

    for (size_t i = 0; i < workers->n; i++) {
        running += workers->pids[i] != 0;
    }
    return running;
}

static void signal_all(struct local_workers *workers, int number)
{
    for (size_t i = 0; i < workers->n; i++) {
        if (workers->pids[i] != 0) {
            kill(workers->pids[i], number);
        }
    }
}

static bool reap_all(struct local_workers *workers, int options)
{
    for (size_t i = 0; i < workers->n; i++) {
        if (workers->pids[i] != 0 && waitpid(workers->pids[i], NULL, options) == workers->pids[i]) {
            workers->pids[i] = 0;
        }
    }
    return local_workers_running(workers) == 0;
}

void local_workers_stop(struct local_workers *workers)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};

    signal_all(workers, SIGTERM);
    for (int tries = 0; tries < 50 && !reap_all(workers, WNOHANG); tries++) {
        nanosleep(&pause, NULL);
    }
    signal_all(workers, SIGKILL);
    reap_all(workers, 0);
    free(workers->url);
    free(workers->token_file);
    free(workers->spool);
    free(workers->program);
    *workers = (struct local_workers){0};
}
