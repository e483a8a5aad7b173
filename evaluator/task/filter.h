/*
 * filter.h - pipelines that find the answer in a generated text, as those of lm-evaluation-harness.
 *
 *   filters:
 *     - name: strict
 *       steps: [{regex: "#### (-?[0-9.,]+)"}, take_first]
 *     - name: flexible
 *       steps: [{regex: "(-?[$0-9.,]{2,})|(-?[0-9]+)", group_select: -1, fallback: "[invalid]"}]
 *
 * Steps, each on what the one before it gave:
 *
 *   {regex: P}         all matches of a pattern of Python's re; group_select picks one (default 0,
 *                      the first; negative from the end). Of a pattern with groups, the first group
 *                      of that match that is not empty. Whitespace around it goes. Without a match,
 *                      or that one, or with groups that are all empty: fallback.
 *   {map: {A: B, ..}}  B for A; anything else becomes default ("" unless given)
 *   remove_whitespace  one space at the very beginning goes
 *   lowercase, uppercase
 *   take_first, majority_vote, {take_first_k: N}   of repeated generations: greedy ones are equal,
 *                      so nothing changes
 */
#ifndef TASK_FILTER_H
#define TASK_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"
#include "evaluator/model/regex.h"

#define FILTERS_MAX ((size_t)16)
#define FILTER_STEPS_MAX ((size_t)16)

enum filter_kind {
    FILTER_NOTHING,
    FILTER_REGEX,
    FILTER_MAP,
    FILTER_REMOVE_WHITESPACE,
    FILTER_LOWERCASE,
    FILTER_UPPERCASE
};

struct filter_step {
    enum filter_kind kind;
    struct regex *regex;
    int64_t group_select;
    char *fallback; /* of a regex, or of a map */
    json_t *map;
};

struct filter {
    char *name;
    char *column; /* "exact_match,NAME": what it is called in scores */
    size_t n_steps;
    struct filter_step *steps; /* [n_steps] */
    json_t *json;              /* as it was read */
};

/* One pipeline as JSON; ERR_FORMAT names the step. Its json is kept. */
int filter_read(struct filter *out, const json_t *json, struct err *err);
void filter_release(struct filter *filter);

/* The answer in a text, valid UTF-8, into *out. ERR_LIMIT when a pattern takes too many steps. */
int filter_apply(const struct filter *filter, const char *text, struct text *out, struct err *err);

#endif
