/*
 * exam.h - the tasks of a split, taken together by one candidate after the other.
 *
 *   struct exam *exam = NULL;
 *   exam_open(&exam, &terms, err);                        tokenised once
 *   for each candidate:
 *     engine_expect(engine, exam_work(exam));
 *     engine_load(engine, &plan, exam_largest(exam), err);
 *     exam_sit(exam, engine, watch, &score, err);
 *   exam_close(exam);
 *
 * A resident candidate answers stretch by stretch. One that is streamed takes as many stretches of
 * all tasks through its layers as memory holds, and writes all texts at the end, together: layers
 * are blended for few passes instead of many. The numbers are the same.
 */
#ifndef EVALUATOR_EXAM_H
#define EVALUATOR_EXAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/bundle.h"
#include "evaluator/engine.h"
#include "evaluator/model/tokenizer.h"
#include "study/job.h"
#include "study/score.h"

/* Documents between two looks at a resident candidate. */
#define EXAM_STRETCH ((size_t)32)

struct exam;

/* What is asked. */
struct exam_terms {
    const struct bundle *bundle; /* lent until exam_close, and so the tokenizer */
    struct tokenizer *tokenizer;
    size_t positions; /* that the model takes */
    enum split split;
    size_t n_tasks;       /* the first of the bundle's; programs' are left out */
    size_t documents_max; /* the first of each */
    size_t stretch;       /* documents a trie, 0: all of a task (task_plan_new) */
};

/* Errors name the task: those of dataset_split and task_plan_new. */
int exam_open(struct exam **out, const struct exam_terms *terms, struct err *err);
void exam_close(struct exam *exam); /* NULL is fine */

/* What it runs on, lent; keeps is false. */
const struct engine_work *exam_work(const struct exam *exam);
const struct trie_nodes *exam_largest(const struct exam *exam);

/* Positions that a candidate is run on, generated text left out; the most documents of a trie. */
size_t exam_positions(const struct exam *exam);
size_t exam_stretch(const struct exam *exam);

enum exam_phase { EXAM_SCORING, EXAM_WRITING };

/* How far a candidate is. */
struct exam_progress {
    enum exam_phase phase;
    const char *task;              /* at work */
    size_t documents, n_documents; /* done, and all of them */
    uint32_t layer, n_layers;      /* streamed: that documents are passing together; resident: 0 */
    double share;                  /* of this phase that is done; of writing at least */
    size_t lines, n_lines;         /* of texts: written to their end, and all; streamed */
};

struct exam_watch {
    bool (*look)(void *context, const struct exam_progress *at); /* false: stop */
    void *context;
    bool stopped; /* set when look returned false */
};

/*
 * Score the loaded candidate: out's tasks. watch may be NULL; a run that it stops has the tasks and
 * documents that are done, maybe none. ERR_NUMERIC and others of forward_score mean that the
 * candidate failed; out is then as it was.
 */
int exam_sit(struct exam *exam, struct engine *engine, struct exam_watch *watch, struct score *out,
             struct err *err);

#endif
