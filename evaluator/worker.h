/*
 * worker.h - jobs in and scores out on two file descriptors, in a process of its own.
 *
 * A candidate that crashes, hangs or eats memory costs a child, never the process that talks to the
 * coordinator; heartbeats need no thread. Lines of JSON: the first line in is the bundle; then each
 * job
 * ({"recipe":TEXT,"split":NAME}) is answered with one line, a score (study/score.h).
 */
#ifndef EVALUATOR_WORKER_H
#define EVALUATOR_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "study/job.h"
#include "study/score.h"

struct worker_options {
    const char *const *model_dirs; /* [n_dirs] searched for models, by digest */
    size_t n_dirs;
    const char *scratch; /* for what programs are given (evaluator_scratch), NULL: TMPDIR, /tmp */
};

/* The child's side: serve until in ends. Returns 0 then. A bundle that cannot be opened is the
 * error returned. */
int worker_serve(int in, int out, const struct worker_options *options, struct err *err);

/* The parent's side: one child. */
struct worker {
    pid_t pid; /* 0: none */
    int to, from;
    char *answer; /* bytes read so far [n] */
    size_t n, capacity;
};

/* fork + exec of argv (NULL-terminated) with its standard input and output on pipes, its death tied
 * to ours; sends the bundle. */
int worker_start(struct worker *out, char *const *argv, const char *bundle, size_t size,
                 struct err *err);

/* Hand over one job; the child must be idle. */
int worker_send(struct worker *worker, const struct job *job, struct err *err);

/*
 * Wait up to wait_ms for the answer. *done: a score is in *out. When the child has ended, out holds
 * a failed score (signal, exit, oom by SIGKILL is "signal") and *done is true; start another child
 * then.
 */
int worker_wait(struct worker *worker, int64_t wait_ms, bool *done, struct score *out,
                struct err *err);

/* Kill and reap; harmless on an all-zero worker. */
void worker_stop(struct worker *worker);

#endif
