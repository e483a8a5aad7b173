/*
 * guard.h - the process between us and a program we started: it outlives us just long enough.
 *
 *   evaluator ---fork---> guard ---fork, exec---> program ---> whatever it starts
 *       |   life (a byte: end it; closed: we are dead)  |
 *       |-------------------------------------------->  |
 *       |   report (a wait status)                       |
 *       |<---------------------------------------------  |
 *
 * An evaluator may be killed with -9 at any moment; nobody would end the program then. The guard
 * sees its pipe close. Everything the program started is the guard's, also what made itself a
 * session of its own: orphans come to it (PR_SET_CHILD_SUBREAPER). When the program has ended, by
 * itself or not, whatever is left of it is killed.
 */
#ifndef PROGRAM_GUARD_H
#define PROGRAM_GUARD_H

#include <stdint.h>

struct guard {
    char *const *argv;    /* NULL-terminated; argv[0] is looked for in PATH */
    char *const *environ; /* NULL-terminated */
    const char *folder;   /* to start in, where it is there; NULL: ours */
    const char *scratch;  /* removed when we die; NULL: nothing */
    int64_t grace_ms;     /* between asking the program to end and killing it */
    int life, report;     /* the guard's ends of the pipes */
    int out, err;         /* what the program writes to */
};

/* What a program that cannot be started ends with. */
#define GUARD_NOT_STARTED 127

/* Be the guard, in a process just forked. Ends the process. */
_Noreturn void guard_be(const struct guard *guard);

#endif
