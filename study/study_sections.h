/*
 * study_sections.h - the large sections of a study: merge, tasks and objective. Inside this room
 * only: the door is study/study.h, which has their structs.
 *
 * Reading fills the section's part of study; what it made before an error is released by
 * study_release. Printing gives a new reference.
 */
#ifndef STUDY_STUDY_SECTIONS_H
#define STUDY_STUDY_SECTIONS_H

#include <jansson.h>

#include "study/study.h"

/* doc is the section, errors begin with a key within it; study->models is there already. */
int study_merge_parse(struct study *study, json_t *doc, struct err *err);
json_t *study_merge_print(const struct study *study);
void study_merge_release(struct study_merge *merge);

/* doc is the whole study. */
int study_tasks_parse(struct study *study, const json_t *doc, struct err *err);
json_t *study_tasks_print(const struct study *study);
void study_tasks_release(struct study *study);
/* The file, or the name of a task written inline. */
const char *study_task_name(const struct study_task *task);

/* doc is the whole study, of which tasks and optimizer are there already. */
int study_objective_parse(struct study *study, const json_t *doc, struct err *err);
json_t *study_objective_print(const struct study *study);

#endif
