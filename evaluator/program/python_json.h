/*
 * python_json.h - JSON as Python's writer has it.
 *
 * NaN, Infinity and -Infinity stand bare in it, which no JSON has. They say that a value is not
 * there, and become null.
 */
#ifndef PROGRAM_PYTHON_JSON_H
#define PROGRAM_PYTHON_JSON_H

#include <stddef.h>

#include "base/text.h"

/* Append bytes [n] with those words as null; what stands in strings stays. */
void python_json_plain(struct text *out, const char *bytes, size_t n);

#endif
