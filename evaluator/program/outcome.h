/*
 * outcome.h - what a program says of a candidate: one number, and what is known of it.
 *
 * Either the result file of lm-evaluation-harness 0.4, as far as it matters here:
 *
 *   { "results":          { TASK: { "acc,none": 0.53, "acc_stderr,none": 0.035, "sample_len": 200 }
 * }, "groups":           { the same, of groups of tasks }, "higher_is_better": { TASK: { "acc":
 * true } }, "n-samples":        { TASK: { "original": 1319, "effective": 200 } } }
 *
 * or the last line of what the program writes to its standard output:
 *
 *   {"score": 0.53, "stderr": 0.035, "n": 200}      the last two may be absent
 *
 * Numbers may be texts, as Python programs write them. A value that is no finite number, "N/A" or
 * NaN or Infinity, is not there: ERR_MISSING, and never a score of zero.
 */
#ifndef PROGRAM_OUTCOME_H
#define PROGRAM_OUTCOME_H

#include <stddef.h>

#include "base/err.h"

#define OUTCOME_FILE_MAX ((size_t)64 << 20)
#define OUTCOME_DOCUMENTS_MAX ((size_t)1 << 20)
#define OUTCOME_NAME_MAX 128

enum outcome_better { OUTCOME_UNSAID, OUTCOME_HIGHER, OUTCOME_LOWER };

struct outcome {
    double value;                  /* finite */
    double error;                  /* its standard error, NaN when it is not said */
    size_t n;                      /* documents, 0 when it is not said */
    enum outcome_better better;    /* as the program says */
    char metric[OUTCOME_NAME_MAX]; /* "exact_match" of "exact_match,strict-match" */
    char filter[OUTCOME_NAME_MAX]; /* and "strict-match"; "" when the file has none */
};

/*
 * A metric of a task, or of a group of that name, in a result file. metric is METRIC,FILTER;
 * without a filter it is that of filter "none", or of the only one: ERR_FORMAT names them when
 * there are several. ERR_MISSING: no such task or metric, or it has no value. ERR_FORMAT: not JSON.
 */
int outcome_parse(struct outcome *out, const char *bytes, size_t n, const char *task,
                  const char *metric, struct err *err);

/* The last line of output [n]. */
int outcome_line(struct outcome *out, const char *output, size_t n, struct err *err);

/* The newest results.json or results_*.json in folder, however deep; free() it. Links are not
 * followed. ERR_MISSING when there is none. */
int outcome_find(char **path, const char *folder, struct err *err);

#endif
