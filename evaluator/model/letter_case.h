/*
 * letter_case.h - capitals and small letters of whole texts, as Python's str.upper and str.lower
 * make them: the full mappings of Unicode (3.13), which may be longer, without those of a language.
 */
#ifndef MODEL_LETTER_CASE_H
#define MODEL_LETTER_CASE_H

#include <stddef.h>

#include "base/text.h"

/* Append text [n], valid UTF-8, in capitals or small letters. */
void letter_case_add_upper(struct text *out, const char *text, size_t n);
void letter_case_add_lower(struct text *out, const char *text, size_t n);

#endif
