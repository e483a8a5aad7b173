/*
 * study_sections.h - the large sections of a study: merge, route, tasks and objective. Inside this
 * room only: the door is study/study.h, which has their structs.
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

/* The same; study->merge is there already, its method NULL when the study merges nothing. */
int study_route_parse(struct study *study, json_t *doc, struct err *err);
json_t *study_route_print(const struct study *study);
void study_route_release(struct study_route *route);

/* A model by its name; ERR_MISSING names the nearest one. */
int study_model_find(size_t *out, const struct study *study, const char *name, struct err *err);

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
