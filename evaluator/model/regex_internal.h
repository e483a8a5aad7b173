/*
 * regex_internal.h - between the two translators and PCRE2: regex.c and regex_python.c only.
 */
#ifndef MODEL_REGEX_INTERNAL_H
#define MODEL_REGEX_INTERNAL_H

#include "base/err.h"
#include "base/text.h"
#include "evaluator/model/regex.h"

/* Compile a pattern in PCRE2's own grammar. ERR_FORMAT with PCRE2's reason, ERR_MEMORY. */
int regex_compile_translated(struct regex **out, const struct text *pattern, struct err *err);

#endif
