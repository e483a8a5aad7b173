/*
 * dataset.h - which documents of a task belong to search, select and report.
 *
 * Documents have one fixed order, by SHA-256 of (seed, "order", id); a limit keeps the first of
 * that order, so a larger limit only adds documents. Each document falls into a split by a second
 * digest, of (seed, "split", id), read as a number in [0, 1). Both depend on the id alone: lines
 * may move in the file, and two tasks over the same records split them alike.
 */
#ifndef TASK_DATASET_H
#define TASK_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/task/task.h"
#include "study/job.h"

/*
 * The documents of a split.
 *
 *   shares  [3]    of search, select, report; they sum to 1
 *   limit          documents of the task at most, 0: all
 *   documents [n]  indices into task->documents, in the fixed order; free() it
 *
 * SPLIT_ALL gives every document within the limit. ERR_LIMIT when the split is empty.
 */
int dataset_split(const struct task *task, uint64_t seed, const double shares[3], size_t limit,
                  enum split split, size_t **documents, size_t *n, struct err *err);

#endif
