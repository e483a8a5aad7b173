/*
 * bundle.h - all that a worker must know of a study: its models by digest, its tasks with their
 * rendered documents, the seed and shares that split them.
 *
 * The coordinator's side makes one bundle and sends it to every worker, so that workers open model
 * folders only, never task files, and every worker scores the very same requests.
 */
#ifndef EVALUATOR_BUNDLE_H
#define EVALUATOR_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/doc.h"
#include "base/err.h"
#include "evaluator/model/numeric.h"
#include "evaluator/program/program.h"
#include "evaluator/task/task.h"

struct bundle_model {
    char *name;
    char *path; /* where the coordinator's machine has it */
    char digest[DIGEST_HEX];
};

/* Our own, or another program's: task has a name and a digest alone then. */
struct bundle_task {
    struct task task;
    struct program *program; /* NULL: our own */
    const char *benchmark; /* published one whose test data it may be (study/benchmark.h), or NULL;
                              known to who reads the task's file alone */
    size_t limit;          /* documents at most, 0: all */
};

struct bundle {
    char *study;
    uint64_t seed;
    double shares[3];      /* search, select, report */
    uint64_t memory;       /* bytes a worker's candidate may take, 0: any */
    bool prefix_cache_off; /* candidates share no activations */
    enum numeric numeric;  /* of candidates that allow it (engine_numeric) */
    size_t n_models;
    struct bundle_model *models;
    size_t n_tasks;
    struct bundle_task *tasks;
};

void bundle_release(struct bundle *bundle);

/* A task file, or its keys given inline (paths are relative to folder): either kind, for a model
 * (task_parse_for). Errors as task_load and program_parse, the file in front. */
int bundle_task_load(struct bundle_task *out, const char *path, const struct task_chat *chat,
                     struct err *err);
int bundle_task_parse(struct bundle_task *out, const json_t *config, const char *folder,
                      const struct task_chat *chat, struct err *err);

/* How many of the tasks are programs' */
size_t bundle_programs(const struct bundle *bundle);

/* The wire form, one JSON object; a new reference. */
int bundle_print(const struct bundle *bundle, json_t **out, struct err *err);
int bundle_parse(struct bundle *out, const json_t *doc, struct err *err);

#endif
