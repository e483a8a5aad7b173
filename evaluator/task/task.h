/*
 * task.h - a task file, read and rendered: its questions as the very texts that the model is asked.
 *
 *   task: addition
 *   output_type: multiple_choice  # or loglikelihood, loglikelihood_rolling, generate_until
 *   data: addition.jsonl          # a record a line; `id` names it, else a digest of the record
 *   fewshot: {data: train.jsonl, num: 4, sampler: first_n}  # or default, with seed
 *   system: ""                    # the run's instruction, before the description
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
 *   filters: [{name: strict, steps: [{regex: "#### ([0-9]+)"}, take_first]}]   # filter.h
 *   exact_match: {ignore_case: true}   # exact_match.h
 *   chat: true                    # ask by the model's chat template (conversation.h)
 *   fewshot_as_multiturn: true    # with chat: examples are turns; else one text, as in the harness
 *   version: 1
 *
 * Or, instead of data and all that makes a prompt of it, the per-sample log of a run of the harness
 * (samples.h), whose prompts are taken as they are; filters and exact_match of a generation are not
 * in it and stand beside it as above:
 *
 *   samples: samples_arc_easy_2024-05-01.jsonl
 *
 * Without filters, what follows the prompt must be the target delimiter and an answer, which takes
 * little decoding to tell (answer.h). With filters the text is generated, decoded by itself as the
 * harness does, and what a filter finds in it must be an answer; each gives a column of the score,
 * "exact_match,strict".
 *
 * A loglikelihood task scores the target delimiter and the answer; the harness scores the answer
 * alone there, and writes the space into it: then say target_delimiter: "".
 *
 * Prompts, few-shot draws and joints are those of lm-evaluation-harness 0.4 byte for byte, in chat
 * mode too, but for two things: a template that refuses a system turn is an error (the harness
 * leaves the turn out), and a template that asks for the date is always told the same one. A
 * rendered task needs no file any more: it is what the coordinator sends to its workers, and its
 * digest, over all that is asked, tells one task from another.
 */
#ifndef TASK_TASK_H
#define TASK_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"
#include "evaluator/chat/chat.h"
#include "evaluator/task/document.h"
#include "evaluator/task/exact_match.h"
#include "evaluator/task/filter.h"
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
    size_t n_filters;
    struct filter *filters;   /* [n_filters] generate_until; names are distinct */
    struct exact_match match; /* generate_until */
    size_t n_documents;
    struct document *documents; /* [n_documents] in the order of the file; ids are distinct */
    char digest[DIGEST_HEX];
    size_t n_strays; /* documents with a right answer that is none of their choices */
    char *stray;     /* the first, "a.jsonl:12"; NULL: none. Known where the records were read */
};

/* Read a task file and its records. Errors start with the file; those of a record go on with the
 * data file and its line: "a.yaml: a.jsonl:12: no gold: member "answer" is missing". */
int task_load(struct task *out, const char *path, struct err *err);

/* The same from keys given inline; data files are relative to folder. */
int task_parse(struct task *out, const json_t *config, const char *folder, struct err *err);

/* Chat mode asks in the words of a model's template, so such a task is rendered for a model. */
struct task_chat {
    const struct chat *template; /* lent */
    bool always; /* whether or not the task says `chat: true`; rolling ones have no turns */
};

/* The same for a model; with chat NULL, as the two above, tasks in chat mode are refused. */
int task_parse_for(struct task *out, const json_t *config, const char *folder,
                   const struct task_chat *chat, struct err *err);
void task_release(struct task *task);

/* The rendered task as JSON, a new reference, and back. task_read checks every member and the
 * digest (ERR_CONFLICT). */
json_t *task_print(const struct task *task);
int task_read(struct task *out, const json_t *json, struct err *err);

/* True when the generated text itself is needed, not only whether it is an answer. */
bool task_needs_text(const struct task *task);

/* Append what is wrong with documents that are scored all the same, one line; false: nothing is. */
bool task_warning(const struct task *task, struct text *out);

/* Columns of the task's scores: a metric each, or a filter each. */
size_t task_columns(const struct task *task);
const char *task_column_name(const struct task *task, size_t column); /* lent */
enum metric task_column_metric(const struct task *task, size_t column);

/* The column of a name, or SIZE_MAX; a metric's name alone is that of filter "none", or of the only
 * one. */
size_t task_metric(const struct task *task, const char *name);

#endif
