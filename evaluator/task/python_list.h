/*
 * python_list.h - a list as Python's str() writes it: [0, 2] or ['a', "it's"].
 *
 * Logs of lm-evaluation-harness hold the right answers of a document that has several in that form,
 * inside a text.
 */
#ifndef TASK_PYTHON_LIST_H
#define TASK_PYTHON_LIST_H

#include <stdbool.h>

#include "evaluator/task/strings.h"

/* The items: texts without quotes and escapes, anything else as it stands. False, and nothing in
 * out, for a text that is no such list, or an empty one. */
bool python_list_read(struct strings *out, const char *text);

#endif
