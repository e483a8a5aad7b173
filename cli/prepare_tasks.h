/*
 * prepare_tasks.h - the part of prepare.h that opens task files.
 */
#ifndef CLI_PREPARE_TASKS_H
#define CLI_PREPARE_TASKS_H

#include "cli/prepare.h"

/* Load every task of prepared's study into its bundle and tell of them; prepared's host is known.
 * One line names the task and what is wrong. */
int prepare_tasks(struct prepared *prepared, struct err *err);

#endif
