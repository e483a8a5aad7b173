/*
 * samples.h - the per-sample log of lm-evaluation-harness as a task without templates.
 *
 * Run with --log_samples, the harness leaves samples_TASK_DATE.jsonl, one line a document and
 * filter:
 *
 *   {"doc_id": 0, "target": "1", "filter": "none", "metrics": ["acc"],
 *    "arguments": {"gen_args_0": {"arg_0": "Question: ...", "arg_1": " yes"}, ...},
 *    "resps": [[["-3.25", "False"]], ...]}
 *
 * arg_0 and arg_1 are the very texts that were scored; resps what the harness got for its model. So
 * a log is both the exact prompts of any published task and a parity test. Older logs hold
 * arguments as lists of lists; numbers may be texts. A target may be a list, of which any entry is
 * right (samples_target.h).
 */
#ifndef TASK_SAMPLES_H
#define TASK_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/task/document.h"
#include "evaluator/task/metric.h"
#include "evaluator/task/records.h"
#include "evaluator/task/strings.h"

/* What a filter made of a generated text was worth. */
struct sample_verdict {
    char *filter;
    double exact_match;
};

struct sample {
    struct document document; /* id: the harness's doc_id */
    size_t line;              /* of the log */
    bool stray;               /* its target is none of its choices */
    size_t n;                 /* recorded numbers: document_pairs, or 0 of a generation */
    double *loglikelihoods;   /* [n] NaN where the log has none */
    uint8_t *greedy;          /* [n] */

    /* Of a generation. */
    char *text; /* what the harness's model wrote, or NULL */
    size_t n_verdicts;
    struct sample_verdict *verdicts; /* [n_verdicts] one a filter of the log */
};

struct samples {
    char *filter; /* the first */
    size_t n;
    struct sample *all;    /* [n] in the order of the log; lines of its first filter */
    struct strings stops;  /* generate_until */
    size_t max_new_tokens; /* generate_until */
};

/*
 * delimiter: what stands between question and choice, taken off for the choice's length. Errors
 * begin with "path:line: "; ERR_FORMAT for what a log of that kind cannot hold.
 */
int samples_load(struct samples *out, const char *path, enum task_output output,
                 const char *delimiter, struct err *err);
/* The same from the lines of a log. */
int samples_read(struct samples *out, const struct records *records, enum task_output output,
                 const char *delimiter, struct err *err);
void samples_release(struct samples *samples);

#endif
