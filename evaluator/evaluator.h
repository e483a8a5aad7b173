/*
 * evaluator.h - one recipe in, one score out.
 *
 * Holds the source checkpoints (mapped, read-only), the engine with its blended weights, and the
 * tasks' token tries: all taken once, reused for every candidate. Candidates that agree up to a
 * layer share what is computed up to there; scores do not depend on it. No HTTP, no SQL.
 */
#ifndef EVALUATOR_EVALUATOR_H
#define EVALUATOR_EVALUATOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/bundle.h"
#include "study/job.h"
#include "study/score.h"

struct evaluator;

/* bundle is kept until evaluator_close. Opens every model (path of the bundle, else the folder
 * under one of search_dirs [n_dirs] that has the digest) and checks its digest: ERR_MISSING and
 * ERR_CONFLICT name the model. */
int evaluator_open(struct evaluator **out, const struct bundle *bundle,
                   const char *const *search_dirs, size_t n_dirs, struct err *err);
void evaluator_close(struct evaluator *evaluator);

struct task_watch;

/* Look at runs from now on: watch is called after every stretch of documents of a task, tasks in
 * the bundle's order, and may stop a run, whose score then has the tasks and documents done. Before
 * the first run; watch is kept. */
void evaluator_watch(struct evaluator *evaluator, struct task_watch *watch);

/*
 * Build the recipe (canonical JSON) and score it on a split. A candidate that fails is a score with
 * a failure and a detail; a nonzero return means that we failed (a source changed on disk, no
 * memory for the tasks). Scores carry weights digest and numeric path; wall_s and cpu_s are left to
 * the caller.
 */
int evaluator_run(struct evaluator *evaluator, const char *recipe, size_t size, enum split split,
                  struct score *out, struct err *err);

/* Layers run so far, each times the positions it ran on: what candidates share is run once
 * (prefix.h). */
uint64_t evaluator_blocks(const struct evaluator *evaluator);

#endif
