/*
 * crew.h - a list of jobs done by several processes at once.
 *
 *   static int measure(void *context, size_t job, void *result, struct err *err) ...
 *
 *   struct crew crew = {.n_jobs = n, .n_processes = crew_processors(), .result_bytes = 32,
 *                       .work = measure, .name = name_of, .context = &things};
 *   int rc = crew_run(&crew, results, err);
 *
 * Each process starts as a copy of the caller (fork) and takes the next job until none is left:
 * whatever was made before is there to read, whatever a job changes is gone at the end but for its
 * result. Processes and not threads: one that dies takes no other with it, and nothing in the tree
 * needs to know of locks. Jobs must not call into a library that keeps threads (BLAS).
 */
#ifndef BASE_CREW_H
#define BASE_CREW_H

#include <stddef.h>

#include "base/err.h"

#define CREW_PROCESSES_MAX 256

struct crew {
    size_t n_jobs;
    size_t n_processes;  /* from 1 to CREW_PROCESSES_MAX; no more are started than there are jobs */
    size_t result_bytes; /* of one job; 0: none */
    /* One job, in one of the processes; result [result_bytes] starts as zeros. */
    int (*work)(void *context, size_t job, void *result, struct err *err);
    /* What a job is about, for the line that tells of a process that died at it. */
    const char *(*name)(void *context, size_t job);
    /* In the caller, some ten times a second: how many jobs are done. NULL: nobody asks. */
    void (*tick)(void *context, size_t n_done);
    void *context;
};

/*
 * Do all jobs; results [n_jobs, result_bytes]. The first job in the list that fails decides the
 * error, whatever the number of processes: jobs are taken in order, and those under way are
 * finished. ERR_IO: a process was killed, or none could be started; ERR_STOPPED: stop.h. No process
 * is left in any case, nor do they outlive a caller that is killed.
 */
int crew_run(const struct crew *crew, void *results, struct err *err);

/* Processors that this process may use, at most CREW_PROCESSES_MAX. */
size_t crew_processors(void);

/* The most bytes that any process of this process's crews held at once, once they have ended. */
size_t crew_peak_bytes(void);

#endif
