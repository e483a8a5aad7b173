/*
 * method_table.h - the table of merge methods as README shows it.
 */
#ifndef STUDY_METHOD_TABLE_H
#define STUDY_METHOD_TABLE_H

#include "base/text.h"
#include "study/method.h"

/* What a method is merged from, in words: "a base and 2 or more". */
void method_table_inputs(struct text *out, const struct method *method);

/* All methods as a Markdown table, a line each. */
void method_table_print(struct text *out);

#endif
