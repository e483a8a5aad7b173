/*
 * evaluator.h - one recipe in, one score out.
 *
 * Holds the source checkpoints (mapped, read-only), the engine with its blended weights, and the
 * tasks' token tries: all taken once, reused for every candidate. Candidates that agree up to a
 * layer share what is computed up to there; scores do not depend on it. Tasks of other programs
 * come last, on the candidate written as a checkpoint (outside.h). No HTTP, no SQL.
 */
#ifndef EVALUATOR_EVALUATOR_H
#define EVALUATOR_EVALUATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/bundle.h"
#include "evaluator/model/checkpoint.h"
#include "study/job.h"
#include "study/score.h"

struct evaluator;

/* bundle is kept until evaluator_close. Opens every model (path of the bundle, else the folder
 * under one of search_dirs [n_dirs] that has the digest) and checks its digest: ERR_MISSING and
 * ERR_CONFLICT name the model. */
int evaluator_open(struct evaluator **out, const struct bundle *bundle,
                   const char *const *search_dirs, size_t n_dirs, struct err *err);
/* The same with the bundle's models, open and checked already: lent until evaluator_close. */
int evaluator_open_models(struct evaluator **out, const struct bundle *bundle,
                          struct checkpoint *const *models, struct err *err);
void evaluator_close(struct evaluator *evaluator);

/* Where candidates are written for programs when memory has no room: kept; NULL, as without a call:
 * TMPDIR, else /tmp. What killed processes have left there is removed. */
void evaluator_scratch(struct evaluator *evaluator, const char *folder);

struct exam_watch;

/* Look at runs from now on (exam.h), on tasks of our own: watch may stop one, and a signal a
 * program (base/stop.h); the score then has the tasks and documents that are done, and no digest of
 * weights. Before the first run; watch is
 * kept. */
void evaluator_watch(struct evaluator *evaluator, struct exam_watch *watch);

/*
 * Build the recipe (canonical JSON) and score it on a split. A candidate that fails is a score with
 * a failure and a detail; a nonzero return means that we failed (a source changed on disk, no
 * memory for the tasks). Scores carry weights digest and numeric path; wall_s and cpu_s are left to
 * the caller.
 */
int evaluator_run(struct evaluator *evaluator, const char *recipe, size_t size, enum split split,
                  struct score *out, struct err *err);

/* What the candidates of a study take. */
struct evaluator_needs {
    bool streams;     /* run a layer at a time */
    uint64_t bytes;   /* the most that a candidate takes at once */
    uint64_t kept;    /* and activations that candidates share, at most */
    size_t positions; /* that a candidate is run on, generated text left out */
    size_t sweeps;    /* times that its layers are blended for them: once, or more where memory does
                         not hold the activations of all */
    uint64_t written; /* bytes of its checkpoint, where programs score it, else 0; all else is of
                         our own tasks, and 0 without any */
    bool in_memory;   /* it is written where files are kept in memory */
};

/* Found from the recipe of one candidate, without running it; of its like with that many layers
 * where it has fewer. ERR_MEMORY says what evaluator.memory would have to be. */
int evaluator_needs(struct evaluator *evaluator, const char *recipe, size_t size, enum split split,
                    uint32_t n_layers, struct evaluator_needs *out, struct err *err);

/* Run a candidate on the first documents of the first task of our own alone, at most n of them, for
 * whoever looks at the clock; *positions is what was run. Errors of the candidate too are returned.
 */
int evaluator_try(struct evaluator *evaluator, const char *recipe, size_t size, enum split split,
                  size_t n, uint64_t *positions, struct err *err);

/* Layers run so far, each times the positions it ran on: what candidates share is run once
 * (prefix.h). */
uint64_t evaluator_blocks(const struct evaluator *evaluator);

#endif
