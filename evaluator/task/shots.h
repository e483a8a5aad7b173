/*
 * shots.h - the few-shot part of a task: where its examples come from, and which each document
 * gets.
 */
#ifndef TASK_SHOTS_H
#define TASK_SHOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/doc.h"
#include "base/err.h"
#include "evaluator/task/fewshot.h"
#include "evaluator/task/records.h"

/* All zero draws nothing. */
struct shots {
    size_t num;                    /* examples a document */
    bool first;                    /* first_n sampler */
    bool own;                      /* examples come from the very records that are asked */
    struct records loaded;         /* of a file of its own */
    const struct records *records; /* what is drawn from */
    struct mt19937 rng;
    size_t *drawn;           /* [num + 1] scratch */
    const json_t **examples; /* [num] of the document last asked for */
};

/*
 * Read `fewshot` of a task's configuration; absent draws nothing. records are the task's own,
 * kept until shots_release. Errors name the key or the file.
 */
int shots_open(struct shots *out, const json_t *config, const struct records *records,
               const char *folder, struct err *err);
void shots_release(struct shots *shots);

/*
 * The examples of the next document: *examples [*n], lent until the next call. One more is drawn
 * where they come from the records that are asked, and the document itself left out by value.
 * Documents must be asked for in order.
 */
void shots_draw(struct shots *shots, const json_t *record, const json_t *const **examples,
                size_t *n);

#endif
