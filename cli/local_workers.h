/*
 * local_workers.h - the worker processes a search starts on its own machine.
 *
 * Each is `braid work` on loopback, with its death tied to ours. One that dies is started again;
 * when they die faster than they can work, that is an error in words and not a loop.
 */
#ifndef CLI_LOCAL_WORKERS_H
#define CLI_LOCAL_WORKERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define LOCAL_WORKERS_MAX 256

/* Names of local workers start with this and end with their number. */
#define LOCAL_WORKERS_PREFIX "local-"

struct local_workers {
    size_t n;
    pid_t pids[LOCAL_WORKERS_MAX]; /* 0: not running */
    int64_t started_ms[LOCAL_WORKERS_MAX];
    unsigned quick_deaths;  /* in a row, soon after their start and with nothing finished between */
    uint64_t done_at_death; /* candidates finished when the last one died */
    char *url, *token_file, *spool, *program;
};

/* Start n workers for the coordinator at url ("http://127.0.0.1:8471"); each keeps unacknowledged
 * results in a folder of its own under spool. */
int local_workers_start(struct local_workers *out, size_t n, const char *url,
                        const char *token_file, const char *spool, int64_t now_ms, struct err *err);

/*
 * done: candidates finished so far; while that moves, workers may die as often as they like.
 * Reap what has ended and start it again while `wanted` (else let them go). lost is called with the
 * name of each worker that was killed or failed, so that its lease can be handed out at once.
 * ERR_IO when workers cannot be kept alive.
 */
int local_workers_tend(struct local_workers *workers, int wanted, uint64_t done, int64_t now_ms,
                       void (*lost)(const char *name, void *context), void *context,
                       struct err *err);

/* How many run. */
size_t local_workers_running(const struct local_workers *workers);

/* TERM, a second's patience, KILL; reaps all. */
void local_workers_stop(struct local_workers *workers);

#endif
