/*
 * samples_target.h - what a line of a harness's log says is right.
 *
 * "target" is what the task calls its answer, as a text: an index ("1"), a choice, an answer, or
 * Python's list of such. Where choices stand inside the context it is the common continuation
 * instead, and the index can only be told from what the harness predicted and whether it was right.
 */
#ifndef TASK_SAMPLES_TARGET_H
#define TASK_SAMPLES_TARGET_H

#include "base/doc.h"
#include "base/err.h"
#include "evaluator/task/samples.h"

/* The golds of a multiple-choice sample whose texts and numbers are read. Sets stray when the line
 * names something that is none of the choices. */
void samples_target_choice(struct sample *sample, const json_t *line);

/* The accepted answers of a generation, as continuations and choices. ERR_FORMAT without any. */
int samples_target_answers(struct document *document, const json_t *line, struct err *err);

/* Words and bytes that the sum of a rolling document is shared among, where the log has them. */
void samples_target_counts(struct document *document, const json_t *line);

#endif
