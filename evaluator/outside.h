/*
 * outside.h - a candidate as programs see it: a checkpoint folder, there for as long as they run.
 *
 *   /dev/shm/braid-eval-XXXXXX/      in memory where it fits, else under scratch
 *     model/                         what export would write, to the same digest
 *     out/                           a program's results
 *
 *   struct outside outside = {.scratch = "night.db.spool/local-1", .memory = 8 GiB};
 *   for each candidate:
 *     outside_write(&outside, &plan, digest, err);
 *     for each program: outside_run(&outside, program, &call, &score, &failure, err);
 *     outside_clear(&outside);
 */
#ifndef EVALUATOR_OUTSIDE_H
#define EVALUATOR_OUTSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "evaluator/merge/plan.h"
#include "evaluator/program/folder.h"
#include "evaluator/program/program.h"

struct outside {
    const char *scratch; /* for what memory has no room for; NULL: TMPDIR, else /tmp */
    uint64_t memory;     /* bytes that a candidate may take there, 0: any */
    struct folder folder;
    char *model;              /* the folder in it; NULL: nothing is written */
    char weights[DIGEST_HEX]; /* of what is written */
};

/* Remove what killed processes have left, in memory and under scratch. */
void outside_sweep(const struct outside *outside);

/* True when a candidate of so many bytes would lie in memory now. */
bool outside_in_memory(const struct outside *outside, uint64_t bytes);

/* expected: digest the weights must have, "" when it is not known. Errors as export_write, and
 * ERR_IO when there is no room: the line says where it was looked for. */
int outside_write(struct outside *outside, const struct plan *plan, const char *expected,
                  struct err *err);

/* As program_run; folders of call are ours to fill in. */
int outside_run(struct outside *outside, const struct program *program, struct program_call *call,
                struct score_task *out, enum score_failure *failure, struct err *err);

/* Remove what was written; harmless when nothing was. */
void outside_clear(struct outside *outside);

#endif
