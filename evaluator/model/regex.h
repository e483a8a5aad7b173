/*
 * regex.h - the regular expressions of tokenizer files, on PCRE2 with its compiler.
 *
 * Those patterns are written for Oniguruma with Ruby's syntax. What means the same in both is taken
 * over; \s and \S become explicit classes, because PCRE2's also hold U+180E; \uHHHH becomes
 * \x{HHHH}. Constructs that mean something else in the two, or that no tokenizer has needed, are
 * refused by name: a pattern that splits differently would change scores without a word.
 *
 * A regex keeps scratch of its own: one user at a time.
 */
#ifndef MODEL_REGEX_H
#define MODEL_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct regex;

/* ERR_FORMAT with the construct or the place. */
int regex_compile(struct regex **out, const char *pattern, struct err *err);
void regex_free(struct regex *regex);

/*
 * The first non-empty match at or after `from` in text [n], valid UTF-8. *found tells whether there
 * is one, [*begin, *end) where. ERR_LIMIT when the match takes too many steps.
 */
int regex_next(struct regex *regex, const char *text, size_t n, size_t from, bool *found,
               size_t *begin, size_t *end, struct err *err);

#endif
