/*
 * task.h - a task file, read and rendered: its questions as the very texts that the model is asked.
 *
 *   task: addition
 *   output_type: multiple_choice  # or loglikelihood, loglikelihood_rolling, generate_until
 *   data: addition.jsonl          # a record a line; `id` names it, else a digest of the record
 *   fewshot: {data: train.jsonl, num: 4, sampler: first_n}  # or default, with seed
 *   description: ""
 *   prompt: "Question: {question}\nAnswer:"  # {member}; {{ and }} are braces
 *   gen_prefix: ""                # beginning of the answer, put there by the prompt
 *   target_delimiter: " "
 *   fewshot_delimiter: "\n\n"
 *   choices: "{options}"          # a list-valued member, or a list of texts
 *   continuation: "{rest}"        # the choice is {choice} in the prompt, this is scored after it
 *   gold: answer                  # member: an index, a text, or a list of them
 *   metrics: [acc, acc_norm]      # without them, the first that the kind has
 *   generation: {until: ["\n"], max_new_tokens: 64}
 *   version: 1
 *
 * Or, instead of data and all that makes a prompt of it, the per-sample log of a run of the harness
 * (samples.h), whose prompts are taken as they are:
 *
 *   samples: samples_arc_easy_2024-05-01.jsonl
 *
 * Prompts, few-shot draws and joints are those of lm-evaluation-harness 0.4 in plain text mode,
 * byte for byte. A rendered task needs no file any more: it is what the coordinator sends to its
 * workers, and its digest, over all that is asked, tells one task from another.
 */
#ifndef TASK_TASK_H
#define TASK_TASK_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/doc.h"
#include "base/err.h"
#include "evaluator/task/document.h"
#include "evaluator/task/metric.h"
#include "evaluator/task/strings.h"

#define TASK_DOCUMENTS_MAX ((size_t)1 << 20)
#define TASK_STOPS_MAX ((size_t)64)
#define TASK_NEW_TOKENS_MAX 65536

struct task {
    char *name;
    enum task_output output;
    int64_t version;
    size_t n_metrics;
    enum metric *metrics;  /* [n_metrics] at least one, none twice; the first is the default one */
    struct strings stops;  /* generate_until: texts that end an answer, none empty */
    size_t max_new_tokens; /* generate_until */
    size_t n_documents;
    struct document *documents; /* [n_documents] in the order of the file; ids are distinct */
    char digest[DIGEST_HEX];
};

/* Read a task file and its records. Errors start with the file; those of a record go on with the
 * data file and its line: "a.yaml: a.jsonl:12: no gold: member "answer" is missing". */
int task_load(struct task *out, const char *path, struct err *err);

/* The same from keys given inline; data files are relative to folder. */
int task_parse(struct task *out, const json_t *config, const char *folder, struct err *err);
void task_release(struct task *task);

/* The rendered task as JSON, a new reference, and back. task_read checks every member and the
 * digest (ERR_CONFLICT). */
json_t *task_print(const struct task *task);
int task_read(struct task *out, const json_t *json, struct err *err);

/* The index of a metric by name, or SIZE_MAX. */
size_t task_metric(const struct task *task, const char *name);

#endif
