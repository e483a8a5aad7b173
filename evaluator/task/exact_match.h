/*
 * exact_match.h - when a text counts as an answer, as lm-evaluation-harness compares them.
 *
 *   exact_match: {regexes_to_ignore: [",", "\\$"], ignore_case: true, ignore_punctuation: false,
 *                 ignore_numbers: false}
 *
 * From both texts goes, in this order: every match of each pattern (of Python's re); capitals;
 * ASCII punctuation; ASCII digits. What is left must be equal.
 */
#ifndef TASK_EXACT_MATCH_H
#define TASK_EXACT_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/doc.h"
#include "base/err.h"
#include "evaluator/model/regex.h"

#define EXACT_MATCH_REGEXES_MAX ((size_t)64)

/* All zero: texts as they are. */
struct exact_match {
    size_t n_ignored;
    struct regex **ignored; /* [n_ignored] */
    bool ignore_case, ignore_punctuation, ignore_numbers;
    json_t *json; /* as it was read, or NULL */
};

/* ERR_FORMAT names the member. */
int exact_match_read(struct exact_match *out, const json_t *json, struct err *err);
void exact_match_release(struct exact_match *match);

/* Nothing is ignored. */
bool exact_match_is_strict(const struct exact_match *match);

/* Texts are valid UTF-8. ERR_LIMIT when a pattern takes too many steps. */
int exact_match_equal(const struct exact_match *match, const char *text, const char *answer,
                      bool *out, struct err *err);

#endif
