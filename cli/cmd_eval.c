/*
 * cmd_eval.c - braid eval MODEL TASK...: score a model on all documents of tasks; with --serve,
 * let lm-evaluation-harness do it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/candidate.h"
#include "cli/command.h"
#include "cli/compare_log.h"
#include "cli/progress.h"
#include "cli/serve_model.h"
#include "cli/table.h"
#include "evaluator/evaluator.h"
#include "evaluator/exam.h"
#include "evaluator/model/checkpoint.h"
#include "study/quantity.h"
#include "study/recipe.h"

#define TASKS_MAX 64

struct arguments {
    const char *model;
    const char *tasks[TASKS_MAX];
    size_t n_tasks;
    const char *dtype;
    const char *log; /* --compare */
    uint64_t memory;
    enum numeric numeric;
    bool json, documents;
    bool chat;
    bool serve;
    uint16_t port; /* serve */
};

enum { KEY_DOCUMENTS = 1000, KEY_DTYPE, KEY_SERVE, KEY_COMPARE, KEY_MEMORY, KEY_NUMERIC, KEY_CHAT };

static void parse_port(struct arguments *arguments, const char *value, struct argp_state *state)
{
    const size_t digits = strspn(value, "0123456789");
    const long port = digits > 0 && digits <= 5 && value[digits] == '\0' ? atol(value) : -1;

    if (port < 0 || port > UINT16_MAX) {
        argp_error(state, "--serve %s: expected a port", value);
    }
    arguments->serve = true;
    arguments->port = (uint16_t)port;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    struct err err = {0};

    switch (key) {
    case KEY_MEMORY:
        if (quantity_size(&arguments->memory, value, &err) != 0) {
            argp_error(state, "--memory: %s", err.text);
        }
        return 0;
    case KEY_NUMERIC:
        if (!numeric_parse(value, &arguments->numeric) || !numeric_available(arguments->numeric)) {
            argp_error(state, "--numeric %s: braid version says what this machine has", value);
        }
        return 0;
    case 'j':
        arguments->json = true;
        return 0;
    case KEY_DOCUMENTS:
        arguments->documents = true;
        return 0;
    case KEY_CHAT:
        arguments->chat = true;
        return 0;
    case KEY_DTYPE:
        arguments->dtype = value;
        return 0;
    case KEY_COMPARE:
        arguments->log = value;
        return 0;
    case KEY_SERVE:
        parse_port(arguments, value, state);
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->model == NULL) {
            arguments->model = value;
        } else if (arguments->n_tasks < TASKS_MAX) {
            arguments->tasks[arguments->n_tasks++] = value;
        } else {
            argp_error(state, "at most %d tasks", TASKS_MAX);
        }
        return 0;
    case ARGP_KEY_END:
        if (arguments->model == NULL || (arguments->n_tasks == 0 && !arguments->serve)) {
            argp_error(state, "which model, on which tasks?");
        }
        if (arguments->log != NULL && arguments->n_tasks != 1) {
            argp_error(state, "--compare takes one task, the log's");
        }
        if (arguments->serve &&
            (arguments->n_tasks > 0 || arguments->dtype != NULL || arguments->chat)) {
            argp_error(state, "--serve takes a model as it is stored and no tasks");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Results go by the task's name. What is odd about its documents is said before they are run. */
static int check_task(const struct bundle *bundle, size_t t, struct err *err)
{
    const struct task *task = &bundle->tasks[t].task;
    struct text warning = {0};

    for (size_t before = 0; before < t; before++) {
        if (strcmp(bundle->tasks[before].task.name, task->name) == 0) {
            return err_set(err, ERR_CONFLICT, "two tasks are named %s", task->name);
        }
    }
    if (task_warning(task, &warning)) {
        fprintf(stderr, "%s\n", text_get(&warning));
    }
    text_release(&warning);
    return 0;
}

/* A bundle of one model and the tasks given, every document of them. */
static int make_bundle(const struct arguments *arguments, struct bundle *bundle,
                       const struct task_chat *chat, struct err *err)
{
    int rc = 0;

    bundle->study = mem_text("eval");
    bundle->shares[0] = 1.0;
    bundle->tasks = mem_array(arguments->n_tasks, sizeof(struct bundle_task));
    for (size_t t = 0; t < arguments->n_tasks && rc == 0; t++) {
        rc = bundle_task_load(&bundle->tasks[t], arguments->tasks[t], chat, err);
        bundle->n_tasks += rc == 0;
        if (rc == 0) {
            rc = check_task(bundle, t, err);
        }
    }
    return rc;
}

static void warn_of_context(const struct checkpoint *model)
{
    struct text warning = {0};

    if (config_context_warning(checkpoint_config(model), &warning)) {
        fprintf(stderr, "%s: %s\n", checkpoint_folder(model), text_get(&warning));
    }
    text_release(&warning);
}

static enum recipe_dtype stored_dtype(const struct checkpoint *model)
{
    bool mixed = false;
    const enum dtype dtype = checkpoint_dtype(model, &mixed);
    const enum recipe_dtype run = dtype == DTYPE_BF16  ? RECIPE_BFLOAT16
                                  : dtype == DTYPE_F16 ? RECIPE_FLOAT16
                                                       : RECIPE_FLOAT32;

    if (mixed) {
        fprintf(stderr, "%s: tensors of several types, run as %s: --dtype chooses\n",
                checkpoint_folder(model), recipe_dtype_name(run));
    }
    return run;
}

/* Tasks in chat mode are asked in the words of the model's own template. */
static int make_bundle_for_model(const struct arguments *arguments, struct bundle *bundle,
                                 struct err *err)
{
    struct checkpoint *model = NULL;
    struct chat *template = NULL;
    int rc = checkpoint_open(&model, arguments->model, err);

    if (rc == 0) {
        template = chat_open(checkpoint_folder(model));
        rc = make_bundle(arguments, bundle,
                         &(struct task_chat){.template = template, .always = arguments->chat}, err);
    }
    chat_close(template);
    checkpoint_close(model);
    return rc;
}

/* The model as it is: a copy rounded to the type it is stored in. */
static int make_recipe(const struct arguments *arguments, struct bundle *bundle, struct text *out,
                       struct err *err)
{
    struct checkpoint *model = NULL;
    const struct method *method = NULL;
    struct recipe recipe = {0};
    enum recipe_dtype dtype = RECIPE_FLOAT32;
    char digest[DIGEST_HEX];
    int rc = checkpoint_open(&model, arguments->model, err);

    if (rc == 0) {
        rc = checkpoint_digest(model, digest, err);
    }
    if (rc == 0 && arguments->dtype != NULL) {
        rc = recipe_dtype_parse(&dtype, arguments->dtype, err);
    }
    if (rc == 0) {
        rc = method_find(&method, "passthrough", err);
    }
    if (rc == 0) {
        const char *source = digest;

        warn_of_context(model);
        if (arguments->dtype == NULL) {
            dtype = stored_dtype(model);
        }
        recipe_init(&recipe, method, dtype, 0, checkpoint_config(model)->n_layers, &source, 1,
                    NULL);
        recipe_print(out, &recipe);
        bundle->models = mem_array(1, sizeof(struct bundle_model));
        bundle->models[0] =
            (struct bundle_model){.name = mem_text("model"), .path = mem_text(arguments->model)};
        memcpy(bundle->models[0].digest, digest, DIGEST_HEX);
        bundle->n_models = 1;
        bundle->memory = arguments->memory;
        bundle->prefix_cache_off = true; /* there is but one candidate */
        bundle->numeric = arguments->numeric;
    }
    recipe_release(&recipe);
    checkpoint_close(model);
    return rc;
}

/* ---- what it will take ---- */

static void print_written(const struct evaluator_needs *needs)
{
    fprintf(stderr, "%.1f MiB written for commands, %s\n", (double)needs->written / 1048576.0,
            needs->in_memory ? "in memory" : "to the disk");
}

static void print_plan(const struct evaluator_needs *needs, uint64_t memory)
{
    fprintf(stderr, "%zu positions, %s in at most %.1f MiB", needs->positions,
            needs->streams ? "a layer at a time" : "the model whole",
            (double)needs->bytes / 1048576.0);
    if (memory > 0) {
        fprintf(stderr, " of %.1f MiB", (double)memory / 1048576.0);
    }
    if (needs->streams) {
        fprintf(stderr, "; every layer is made %zu time%s for what is scored", needs->sweeps,
                needs->sweeps == 1 ? "" : "s");
    }
    fputc('\n', stderr);
}

static json_t *plan_doc(const struct evaluator_needs *needs)
{
    json_t *doc = json_pack("{s:b, s:I, s:I}", "streams", (int)needs->streams, "bytes",
                            (json_int_t)needs->bytes, "positions", (json_int_t)needs->positions);

    if (needs->streams) {
        json_object_set_new(doc, "sweeps", json_integer((json_int_t)needs->sweeps));
    }
    if (needs->written > 0) {
        json_object_set_new(doc, "written", json_integer((json_int_t)needs->written));
    }
    return doc;
}

/* ---- the run, looked at ---- */

struct look {
    struct progress progress;
    enum exam_phase phase;
    int64_t began_ms; /* the phase */
};

static void show_scoring(struct look *look, const struct exam_progress *at, int64_t now,
                         double seconds, const char *left)
{
    if (at->n_layers > 0) {
        progress_show(&look->progress, now,
                      "layer %u of %u, %zu of %zu documents done: %.0f %%, %s left", at->layer,
                      at->n_layers, at->documents, at->n_documents, 100 * at->share, left);
    } else {
        progress_show(&look->progress, now, "%s: %zu of %zu documents, %.0f a second, %s left",
                      at->task, at->documents, at->n_documents,
                      seconds > 0 ? (double)at->documents / seconds : 0.0, left);
    }
}

static bool look(void *context, const struct exam_progress *at)
{
    struct look *look = context;
    const int64_t now = command_now_ms();
    char left[32];

    if (at->phase != look->phase) {
        look->phase = at->phase;
        look->began_ms = now;
    }
    const double seconds = (double)(now - look->began_ms) / 1000.0;

    progress_span(left, at->share > 0 ? seconds * (1 - at->share) / at->share : (double)NAN);
    if (at->phase == EXAM_SCORING && (at->documents > 0 || at->n_layers > 0)) {
        show_scoring(look, at, now, seconds, left);
    } else if (at->phase == EXAM_WRITING) {
        progress_show(&look->progress, now, "%zu of %zu texts written, at most %s left", at->lines,
                      at->n_lines, left);
    }
    return !command_stopped();
}

static void look_begin(struct look *look)
{
    *look = (struct look){.began_ms = command_now_ms()};
    progress_begin(&look->progress);
}

/* ---- what came out ---- */

/* What was asked for a score; names are distinct. */
static const struct bundle_task *asked(const struct bundle *bundle, const struct score_task *task)
{
    size_t t = 0;

    while (strcmp(bundle->tasks[t].task.name, task->name) != 0) {
        t++;
    }
    return &bundle->tasks[t];
}

/* Documents of a task that was asked; a program's is whole. */
static size_t documents_of(const struct bundle *bundle, const struct score_task *task)
{
    const struct bundle_task *whole = asked(bundle, task);

    return whole->program != NULL ? task->n : whole->task.n_documents;
}

/* A signal came before every document of every task was done. */
static bool is_partial(const struct score *score, const struct bundle *bundle)
{
    bool whole = score->n_tasks == bundle->n_tasks;

    for (size_t t = 0; whole && t < score->n_tasks; t++) {
        whole = score->tasks[t].n == documents_of(bundle, &score->tasks[t]);
    }
    return !whole;
}

/* "800", or "96 of 800" when the run was stopped. */
static void print_n(struct table *table, const struct score_task *task, size_t of)
{
    const size_t n = score_documents(task);

    if (n == 0) {
        table_cell(table, "-"); /* a program does not say */
    } else if (task->n == of) {
        table_cell(table, "%zu", n);
    } else {
        table_cell(table, "%zu of %zu", n, of);
    }
}

static void print_table(const struct score *score, const struct bundle *bundle)
{
    static const char *const heads[] = {"task", "metric", ">n", ">value", ">stderr"};
    struct table table;

    table_init(&table, heads, 5);
    for (size_t t = 0; t < score->n_tasks; t++) {
        const struct score_task *task = &score->tasks[t];

        for (size_t m = 0; m < task->n_metrics; m++) {
            table_row(&table);
            table_cell(&table, "%s", task->name);
            table_cell(&table, "%s", task->metrics[m]);
            print_n(&table, task, documents_of(bundle, task));
            table_cell(&table, "%.4f", task->values[m]);
            if (isfinite(task->errors[m])) {
                table_cell(&table, "%.4f", task->errors[m]);
            } else {
                table_cell(&table, "-");
            }
        }
        if (task->truncated > 0) {
            fprintf(stderr, "%s: %zu documents lost the beginning of their context\n", task->name,
                    task->truncated);
        }
    }
    table_print(&table, stdout);
    table_release(&table);
}

static json_t *task_doc(const struct score_task *task, const struct bundle *bundle)
{
    const size_t of = documents_of(bundle, task);
    const size_t strays = asked(bundle, task)->task.n_strays;
    json_t *doc =
        json_pack("{s:o, s:o}", "n", candidate_count(task), "metrics", candidate_metrics(task));

    if (task->n < of) {
        json_object_set_new(doc, "of", json_integer((json_int_t)of));
    }
    if (task->truncated > 0) {
        json_object_set_new(doc, "truncated", json_integer((json_int_t)task->truncated));
    }
    if (strays > 0) { /* of all its documents, also of those a stop left out */
        json_object_set_new(doc, "golds_without_choice", json_integer((json_int_t)strays));
    }
    return doc;
}

static void print_json(const struct arguments *arguments, const struct score *score,
                       const struct bundle *bundle, const struct evaluator_needs *needs)
{
    json_t *tasks = json_object();
    struct text text = {0};

    for (size_t t = 0; t < score->n_tasks; t++) {
        const struct score_task *task = &score->tasks[t];
        json_t *doc = task_doc(task, bundle);

        if (arguments->documents) {
            json_t *documents = json_array();

            for (size_t i = 0; i < task->n; i++) {
                json_array_append_new(documents, candidate_document(task, i, task->ids[i]));
            }
            json_object_set_new(doc, "documents", documents);
        }
        json_object_set_new(tasks, task->name, doc);
    }
    json_t *doc = json_pack("{s:s, s:s, s:o, s:o}", "model", arguments->model, "path", score->path,
                            "tasks", tasks, "plan", plan_doc(needs));
    if (is_partial(score, bundle)) {
        json_object_set_new(doc, "partial", json_true());
    }
    doc_print_pretty(&text, doc);
    printf("%s\n", text_get(&text));
    text_release(&text);
    json_decref(doc);
}

/* What is planned is said before it runs. */
static int run(struct evaluator *evaluator, const struct text *recipe, uint64_t memory,
               struct evaluator_needs *needs, struct score *score, struct err *err)
{
    struct look looked;
    struct exam_watch watch = {.look = look, .context = &looked};

    evaluator_watch(evaluator, &watch);
    evaluator_scratch(evaluator, NULL);
    int rc = evaluator_needs(evaluator, text_get(recipe), recipe->size, SPLIT_ALL, 0, needs, err);
    if (rc == 0) {
        if (needs->positions > 0) {
            print_plan(needs, memory);
        }
        if (needs->written > 0) {
            print_written(needs);
        }
        look_begin(&looked);
        rc = evaluator_run(evaluator, text_get(recipe), recipe->size, SPLIT_ALL, score, err);
        progress_end(&looked.progress);
    }
    return rc;
}

static int evaluate(const struct arguments *arguments, struct bundle *bundle,
                    struct evaluator_needs *needs, struct score *score, struct err *err)
{
    struct evaluator *evaluator = NULL;
    struct text recipe = {0};
    int rc = make_bundle_for_model(arguments, bundle, err);

    if (rc == 0) {
        rc = make_recipe(arguments, bundle, &recipe, err);
    }
    if (rc == 0) {
        rc = evaluator_open(&evaluator, bundle, NULL, 0, err);
    }
    if (rc == 0) {
        rc = run(evaluator, &recipe, arguments->memory, needs, score, err);
    }
    if (rc == 0 && score->failure != SCORE_OK) {
        rc = err_set(err, ERR_NUMERIC, "%s: %s", arguments->model, score->detail);
    }
    evaluator_close(evaluator);
    text_release(&recipe);
    return rc;
}

static int score_and_print(const struct arguments *arguments, bool *partial, struct err *err)
{
    struct bundle bundle = {0};
    struct score score = {0};
    struct evaluator_needs needs = {0};

    int rc = evaluate(arguments, &bundle, &needs, &score, err);
    if (rc == 0 && arguments->json) {
        print_json(arguments, &score, &bundle, &needs);
    } else if (rc == 0) {
        print_table(&score, &bundle);
    }
    if (rc == 0 && arguments->log != NULL && score.n_tasks == 1) {
        rc = compare_log(&score.tasks[0], bundle.tasks[0].task.output, arguments->log, err);
    }
    *partial = rc == 0 && is_partial(&score, &bundle);
    if (*partial) {
        fprintf(stderr, score.n_tasks > 0
                            ? "stopped: these are partial results, on the documents counted\n"
                            : "stopped before any document was done: no results\n");
    }
    score_release(&score);
    bundle_release(&bundle);
    return rc;
}

/* ---- the command ---- */

static const struct argp_option options[] = {
    {"json", 'j', NULL, 0, "print one JSON object", 0},
    {"documents", KEY_DOCUMENTS, NULL, 0, "with --json: every document's numbers", 0},
    {"dtype", KEY_DTYPE, "TYPE", 0,
     "round weights to float32, float16 or bfloat16 (default: as stored)", 0},
    {"chat", KEY_CHAT, NULL, 0,
     "ask every task by the model's chat template, as if it said chat: true", 0},
    {"compare", KEY_COMPARE, "LOG.jsonl", 0,
     "say how far the numbers are from those of lm-evaluation-harness for this model: a log of "
     "its --log_samples",
     0},
    {"serve", KEY_SERVE, "PORT", 0,
     "answer lm-evaluation-harness on this machine: /v1/completions with log-probabilities, "
     "/v1/chat/completions, /tokenize, /detokenize (0 picks a port)",
     0},
    {"memory", KEY_MEMORY, "SIZE", 0,
     "where the model does not fit, run it a layer at a time: all documents that memory holds "
     "go through a layer before the next is made (default: no limit)",
     0},
    {"numeric", KEY_NUMERIC, "PATH", 0,
     "f32, or for bfloat16 weights amx2 or amx1 on the processor's matrix units (default: amx2 "
     "where there are any)",
     0},
    {0}};
static const struct argp argp = {
    options,
    parse_option,
    "MODEL TASK.yaml...\nMODEL --serve PORT",
    "Score a model on tasks, all documents of them. MODEL is a Hugging "
    "Face folder, or folder+adapter for a LoRA on it.\v"
    "What it will take is said first. A signal stops it: the documents that are done are "
    "printed with their counts, exit code 3.\n"
    "Examples: braid eval best/ tasks/addition.yaml --json\n"
    "          braid eval best/ --serve 8000",
    NULL,
    NULL,
    NULL};

int cmd_eval(int argc, char **argv)
{
    struct arguments arguments = {.numeric = numeric_best()};
    bool partial = false;
    struct err err = {0};

    command_parse(&argp, argc, argv, &arguments);
    command_catch_signals();
    const int rc = arguments.serve
                       ? serve_model(arguments.model, arguments.port, arguments.numeric, &err)
                       : score_and_print(&arguments, &partial, &err);

    if (rc != 0) {
        return command_fail(argv[0], &err);
    }
    return partial ? COMMAND_STOPPED : COMMAND_DONE;
}
