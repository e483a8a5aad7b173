/*
 * program.h - a task that another program scores.
 *
 *   task: gsm8k
 *   output_type: command
 *   command: [run-eval, --model, "{model_dir}", --out, "{out_dir}"]
 *   timeout: 45m             # of one run, the usual 1h
 *   score: {task: gsm8k_train, metric: "exact_match,strict-match"}   # of its result file
 *   higher_is_better: true   # where the file does not say
 *   splits: true             # it heeds BRAID_SPLIT, although no word says {split}
 *   version: 1               # another one makes it another task
 *
 * The words go to exec as they are, without a shell; within them these are replaced, and the
 * environment has them as BRAID_MODEL_DIR and so on:
 *
 *   {model_dir}   the candidate, a Hugging Face folder
 *   {out_dir}     an empty folder for results
 *   {candidate}   digest of its recipe
 *   {limit}       documents at most; 2147483647: all
 *   {seed}        of the study
 *   {device}      BRAID_DEVICE of the worker's own environment, or cpu
 *   {split}       search, select, report, or all
 *
 * Without `score`, the last line of its standard output is {"score": NUMBER}, higher is better.
 * It starts in the folder of the file that names it.
 */
#ifndef PROGRAM_PROGRAM_H
#define PROGRAM_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"
#include "evaluator/program/outcome.h"
#include "evaluator/task/strings.h"
#include "study/score.h"

#define PROGRAM_OUTPUT "command" /* output_type of such a task */
#define PROGRAM_WORDS_MAX ((size_t)256)
#define PROGRAM_LIMIT_NONE 2147483647

struct program {
    char *name; /* the task's */
    struct strings words;
    char *folder; /* to start in, absolute */
    int64_t timeout_ms;
    char *task, *metric;        /* of the result file; NULL: the last line */
    enum outcome_better better; /* as the task says, which counts for more than the file */
    bool splits;                /* it is told which split to score */
    int64_t version;
    char digest[DIGEST_HEX]; /* of all but timeout and folder */
};

/* Keys as above. ERR_FORMAT, ERR_LIMIT, ERR_MISSING name the key. */
int program_parse(struct program *out, const json_t *config, const char *folder, struct err *err);
void program_release(struct program *program);

/* The wire form, a new reference, and back. */
json_t *program_print(const struct program *program);
int program_read(struct program *out, const json_t *json, struct err *err);

/* Its one column: the metric, or "score"; true unless the task says that lower is better. A file
 * that says so where the task is silent has its values negated. */
const char *program_column(const struct program *program);
bool program_higher_is_better(const struct program *program);

/* False when the first word is no program on this machine; true also where it is replaced. */
bool program_is_there(const struct program *program);

/* What a run is about. */
struct program_call {
    const char *model_dir, *out_dir;
    const char *scratch; /* holds both: removed should we die meanwhile */
    const char *candidate, *split;
    uint64_t seed;
    size_t limit; /* 0: all */
};

/*
 * Run it and read what it found: name, digest, value, error, documents of *out, which the caller
 * releases. A nonzero return with *failure other than SCORE_OK is the candidate's: how it ended,
 * what its result lacks, with the last words of its standard error; else it is ours, ERR_IO or
 * ERR_STOPPED.
 */
int program_run(const struct program *program, const struct program_call *call,
                struct score_task *out, enum score_failure *failure, struct err *err);

#endif
