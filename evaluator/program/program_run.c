/*
 * program_run.c - a program is run on a candidate, and what it found becomes a score.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/program/guard.h"
#include "evaluator/program/outcome_documents.h"
#include "evaluator/program/process.h"
#include "evaluator/program/program.h"
#include "evaluator/program/program_words.h"

#define GRACE_MS 5000
#define QUOTED_MAX 240 /* bytes of its last words that fit an error's line */

/* ---- running ---- */

static int run(const struct program *program, const struct program_call *call,
               struct process_end *end, struct err *err)
{
    const char *device = getenv("BRAID_DEVICE");
    char limit[24], seed[24];
    const char *const values[PROGRAM_NAMES] = {
        [PROGRAM_MODEL_DIR] = call->model_dir,
        [PROGRAM_OUT_DIR] = call->out_dir,
        [PROGRAM_CANDIDATE] = call->candidate,
        [PROGRAM_LIMIT] = limit,
        [PROGRAM_SEED] = seed,
        [PROGRAM_DEVICE] = device != NULL && *device != '\0' ? device : "cpu",
        [PROGRAM_SPLIT] = call->split};

    snprintf(limit, sizeof limit, "%zu", call->limit > 0 ? call->limit : PROGRAM_LIMIT_NONE);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)call->seed);
    char **words = program_words_fill(&program->words, values);
    char **variables = program_words_environ(values);
    const struct process process = {.argv = words,
                                    .environ = variables,
                                    .folder = program->folder,
                                    .scratch = call->scratch,
                                    .timeout_ms = program->timeout_ms,
                                    .grace_ms = GRACE_MS};
    const int rc = process_run(&process, end, err);

    program_words_free(words);
    program_words_free(variables);
    return rc;
}

/* ---- how it ended ---- */

/* ": " and the end of what it wrote to standard error, blank lines at the end left out. */
static void add_last_words(struct text *out, const struct text *said)
{
    const char *bytes = text_get(said);
    size_t n = said->size;

    while (n > 0 && strchr(" \t\r\n", bytes[n - 1]) != NULL) {
        n--;
    }
    const size_t skipped = n > QUOTED_MAX ? n - QUOTED_MAX : 0;

    if (n > 0) {
        text_add(out, skipped > 0 ? ": ..." : ": ");
        text_add_n(out, bytes + skipped, n - skipped);
    }
}

static int fail(enum score_failure *failure, enum score_failure kind, const struct program *program,
                const char *how, const struct process_end *end, struct err *err)
{
    struct text words = {0};

    *failure = kind;
    add_last_words(&words, &end->err);
    err_set(err, ERR_IO, "task %.64s: %.64s %s%s", program->name, program->words.all[0], how,
            text_get(&words));
    text_release(&words);
    return ERR_IO;
}

/* 0 when it ended well. */
static int check_end(const struct program *program, const struct process_end *end,
                     enum score_failure *failure, struct err *err)
{
    char how[96];

    if (end->timed_out) {
        snprintf(how, sizeof how, "took longer than %.0f s", (double)program->timeout_ms / 1000);
        return fail(failure, SCORE_TIMEOUT, program, how, end, err);
    }
    if (WIFSIGNALED(end->status)) {
        snprintf(how, sizeof how, "was ended by signal %d (%s)", WTERMSIG(end->status),
                 strsignal(WTERMSIG(end->status)));
        return fail(failure, SCORE_SIGNAL, program, how, end, err);
    }
    if (WEXITSTATUS(end->status) != 0) {
        snprintf(how, sizeof how, "ended with status %d%s", WEXITSTATUS(end->status),
                 WEXITSTATUS(end->status) == GUARD_NOT_STARTED ? ", which is what a program that "
                                                                 "cannot be started does"
                                                               : "");
        return fail(failure, SCORE_EXIT, program, how, end, err);
    }
    return 0;
}

/* ---- what it found ---- */

static int read_file(const struct program *program, const char *out_dir, struct outcome *outcome,
                     struct outcome_documents *documents, struct err *err)
{
    struct file_bytes bytes = {0};
    char *path = NULL;

    int rc = outcome_find(&path, out_dir, err);
    if (rc == 0) {
        rc = file_read(&bytes, path, OUTCOME_FILE_MAX, err);
    }
    if (rc == 0) {
        rc = outcome_parse(outcome, bytes.data, bytes.size, program->task, program->metric, err);
        rc = rc == 0 ? 0 : err_wrap(err, "%s", file_name(path));
    }
    if (rc == 0) {
        char *folder = file_folder(path);

        outcome_documents_read(documents, folder, program->task, outcome);
        free(folder);
    }
    file_release(&bytes);
    free(path);
    return rc;
}

/* Which way is better must be known from somewhere. What the task says is for others to heed
 * (program_higher_is_better); what the file alone says is heeded here. */
static int find_sign(const struct program *program, const struct outcome *outcome, double *sign,
                     struct err *err)
{
    const bool is_line = program->metric == NULL;

    *sign = program->better == OUTCOME_UNSAID && outcome->better == OUTCOME_LOWER ? -1.0 : 1.0;
    return program->better == OUTCOME_UNSAID && outcome->better == OUTCOME_UNSAID && !is_line
               ? err_set(err, ERR_FORMAT,
                         "its result does not say which way %s is better: say higher_is_better in "
                         "the task",
                         outcome->metric)
               : 0;
}

/* Documents without requests: nothing but their values. */
static void fill_score(struct score_task *out, const struct program *program,
                       const struct outcome *outcome, struct outcome_documents *documents,
                       double sign)
{
    *out = (struct score_task){.name = mem_text(program->name),
                               .n = documents->n,
                               .n_told = documents->n > 0 ? 0 : outcome->n,
                               .n_metrics = 1,
                               .metrics = mem_array(1, sizeof(char *)),
                               .values = mem_array(1, sizeof(double)),
                               .errors = mem_array(1, sizeof(double)),
                               .first = mem_array(documents->n + 1, sizeof(uint32_t)),
                               .loglikelihoods = mem_array(1, sizeof(double)),
                               .greedy = mem_array(1, 1)};
    memcpy(out->digest, program->digest, DIGEST_HEX);
    out->metrics[0] = mem_text(program_column(program));
    out->values[0] = sign * outcome->value;
    out->errors[0] = outcome->error;
    for (size_t i = 0; i < documents->n; i++) {
        documents->values[i] *= sign;
    }
    out->ids = documents->ids;
    out->document_values = documents->values;
    if (documents->values == NULL) {
        out->document_values = mem_array(1, sizeof(double));
    }
    *documents = (struct outcome_documents){0}; /* handed over */
}

int program_run(const struct program *program, const struct program_call *call,
                struct score_task *out, enum score_failure *failure, struct err *err)
{
    struct process_end end = {0};
    struct outcome outcome = {0};
    struct outcome_documents documents = {0};
    struct err why = {0};
    double sign = 1.0;

    *failure = SCORE_OK;
    int rc = run(program, call, &end, err);
    if (rc != 0) {
        return err_wrap(err, "task %.64s: %.64s", program->name, program->words.all[0]);
    }
    rc = check_end(program, &end, failure, err);
    if (rc == 0) {
        rc = program->metric != NULL
                 ? read_file(program, call->out_dir, &outcome, &documents, &why)
                 : outcome_line(&outcome, text_get(&end.out), end.out.size, &why);
        if (rc == 0) {
            rc = find_sign(program, &outcome, &sign, &why);
        }
        if (rc != 0) {
            rc = fail(failure, SCORE_BAD_OUTPUT, program, why.text, &end, err);
        }
    }
    if (rc == 0) {
        fill_score(out, program, &outcome, &documents, sign);
    }
    outcome_documents_release(&documents);
    process_end_release(&end);
    return rc;
}
