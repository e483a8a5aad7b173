/*
 * process.h - run a program to its end, within limits, and hear what it says.
 *
 * No shell. It has a process group of its own and nothing on its standard input; at its limit, or
 * when a signal stops us (base/stop.h), it is asked to end and then killed, with all it started;
 * so it is when we die (guard.h).
 */
#ifndef PROGRAM_PROCESS_H
#define PROGRAM_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define PROCESS_OUT_MAX ((size_t)64 << 10) /* bytes kept of standard output, the last ones */
#define PROCESS_ERR_MAX ((size_t)4 << 10)  /* and of standard error */

struct process {
    char *const *argv;    /* NULL-terminated; argv[0] is looked for in PATH */
    char *const *environ; /* NULL-terminated */
    const char *folder;   /* to start in, where it is there; NULL: ours */
    const char *scratch;  /* removed should we die meanwhile; NULL: nothing */
    int64_t timeout_ms;   /* 0: none */
    int64_t grace_ms;     /* between asking it to end and killing it */
};

struct process_end {
    int status; /* as waitpid gives it */
    bool timed_out;
    struct text out, err;
};

/* ERR_IO: it could not be tried; ERR_STOPPED: a signal came. A program that cannot be found ends
 * with status 127 and says so on its standard error. */
int process_run(const struct process *process, struct process_end *out, struct err *err);
void process_end_release(struct process_end *end);

#endif
