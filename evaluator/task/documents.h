/*
 * documents.h - which documents of a task belong to which split.
 *
 * By id and seed, never by place in the file: documents are put in the order of SHA-256(seed, id),
 * a limit keeps a prefix of that order, and a second hash of the same id decides the split.
 */
#ifndef TASK_DOCUMENTS_H
#define TASK_DOCUMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/task/task_file.h"
#include "study/job.h"

/*
 * shares [3]: search, select, report. limit 0: all. *documents [*n] are indices into
 * task->documents, in the fixed order; free() them. ERR_MISSING when a split is empty.
 */
int documents_of_split(const struct task *task, uint64_t seed, const double shares[3], size_t limit,
                       enum split split, size_t **documents, size_t *n, struct err *err);

#endif
