/*
 * regex.h - the regular expressions of tokenizer files and of Python's re, on PCRE2 with its
 * compiler.
 *
 * Patterns of tokenizer files are written for Oniguruma with Ruby's syntax. What means the same in
 * both is taken over; \s and \S become explicit classes, because PCRE2's also hold U+180E; \uHHHH
 * becomes \x{HHHH}. Constructs that mean something else in the two, or that no tokenizer has
 * needed, are refused by name: a pattern that splits differently would change scores without a
 * word.
 *
 * Python's patterns (of texts, as re.compile takes them) are taken over in the same way: classes
 * are written out, \Z is the very end, flags i, m and s.
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
int regex_compile_python(struct regex **out, const char *pattern, struct err *err);
void regex_free(struct regex *regex);

/*
 * The first non-empty match at or after `from` in text [n], valid UTF-8. *found tells whether there
 * is one, [*begin, *end) where. ERR_LIMIT when the match takes too many steps.
 */
int regex_next(struct regex *regex, const char *text, size_t n, size_t from, bool *found,
               size_t *begin, size_t *end, struct err *err);

/* How far re.finditer has come. All zero: at the beginning. */
struct regex_place {
    size_t from;
    bool empty; /* the match that ended there was: the next one may not be it again */
};

/*
 * The next of all matches in text [n], valid UTF-8, one after the other as re.findall takes them
 * (Python 3.7 on: an empty one may follow another directly). ERR_LIMIT as above.
 */
int regex_walk(struct regex *regex, const char *text, size_t n, struct regex_place *place,
               bool *found, struct err *err);

/* Groups of the pattern. */
size_t regex_groups(const struct regex *regex);

/* What a group of the last match covers, 0 the whole; false when it took no part. */
bool regex_group(const struct regex *regex, size_t group, size_t *begin, size_t *end);

#endif
