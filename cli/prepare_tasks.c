/*
 * prepare_tasks.c - the tasks of a study, loaded, and what the coordinator must know of each.
 */
#include "cli/prepare_tasks.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/task/dataset.h"

static int load_task(const struct study *study, size_t t, const struct task_chat *chat,
                     struct bundle_task *out, struct err *err)
{
    const struct study_task *task = &study->tasks[t];

    if (task->inline_task != NULL) {
        int rc = bundle_task_parse(out, task->inline_task, study->folder, chat, err);

        return rc == 0 ? 0 : err_wrap(err, "tasks[%zu]", t);
    }
    char *path = file_resolve(study->folder, task->path);
    int rc = bundle_task_load(out, path, chat, err);
    free(path);
    return rc;
}

/* The searched metric goes into the task's list if its file does not name it. */
static int choose_column(struct task *task, const char *wanted, size_t *out, struct err *err)
{
    enum metric metric;

    *out = wanted != NULL ? task_metric(task, wanted) : 0;
    if (*out != SIZE_MAX) {
        return 0;
    }
    if (task->n_filters > 0) {
        return err_set(err, ERR_FORMAT, "task %s: metric \"%.64s\" is not METRIC,FILTER of it",
                       task->name, wanted);
    }
    int rc = metric_parse(&metric, wanted, task->output, err);
    if (rc != 0) {
        return err_wrap(err, "task %s", task->name);
    }
    *out = task->n_metrics;
    task->metrics = mem_resize(task->metrics, task->n_metrics + 1, sizeof(enum metric));
    task->metrics[task->n_metrics++] = metric;
    return 0;
}

static int count_documents(const struct prepared *prepared, const struct bundle_task *task,
                           size_t counts[4], struct err *err)
{
    for (int split = SPLIT_ALL; split <= SPLIT_REPORT; split++) {
        size_t *documents = NULL;
        int rc = dataset_split(&task->task, prepared->study.seed, prepared->study.splits,
                               task->limit, (enum split)split, &documents, &counts[split], err);

        free(documents);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* What the coordinator is told of a task of our own, but for its weight. */
static int tell_own(const struct prepared *prepared, struct bundle_task *task, const char *metric,
                    struct coordinator_task *told, struct err *err)
{
    size_t column;
    int rc = choose_column(&task->task, metric, &column, err);

    if (rc == 0) {
        rc = count_documents(prepared, task, told->documents, err);
    }
    if (rc == 0) {
        told->metric = task_column_name(&task->task, column);
        told->higher_is_better = metric_higher_is_better(task_column_metric(&task->task, column));
    }
    return rc;
}

/* "exact_match" of "exact_match,strict-match", or all of it. */
static bool names_column(const char *metric, const char *column)
{
    const size_t n = strlen(metric);

    return strncmp(column, metric, n) == 0 && (column[n] == '\0' || column[n] == ',');
}

/* And of a program's; how many documents it has, and which, it says when it has run. */
static int tell_program(struct prepared *prepared, const struct bundle_task *task,
                        const char *metric, struct coordinator_task *told, struct err *err)
{
    const struct program *program = task->program;

    if (metric != NULL && !names_column(metric, program_column(program))) {
        return err_set(err, ERR_CONFLICT, "task %s: metric: the command's is %s, under score",
                       program->name, program_column(program));
    }
    told->metric = program_column(program);
    told->higher_is_better = program_higher_is_better(program);
    told->unsplit = !program->splits;
    if (!program_is_there(program)) {
        text_printf(&prepared->notes, "task %s: there is no program %s on this machine\n",
                    program->name, program->words.all[0]);
    }
    return 0;
}

/* A name tells, no more: but who did not mean it may hear of it now. */
static void note_benchmark(struct prepared *prepared, const struct bundle_task *task)
{
    if (task->benchmark != NULL) {
        text_printf(
            &prepared->notes,
            "task %s: by its name this is the benchmark %s, and not its training part; what "
            "is searched on it has no number there that means anything%s\n",
            task->task.name, task->benchmark,
            prepared->study.benchmarks ? "" : ", so a search wants `benchmarks: allow`");
    }
}

int prepare_benchmarks(const struct prepared *prepared, struct err *err)
{
    for (size_t t = 0; t < prepared->bundle.n_tasks && !prepared->study.benchmarks; t++) {
        const struct bundle_task *task = &prepared->bundle.tasks[t];

        if (task->benchmark != NULL) {
            return err_set(err, ERR_CONFLICT,
                           "task %s: by its name this is the benchmark %s, and not its training "
                           "part; a search on it has to be meant: benchmarks: allow",
                           task->task.name, task->benchmark);
        }
    }
    return 0;
}

static int open_tasks(struct prepared *prepared, const struct task_chat *chat, struct err *err)
{
    const struct study *study = &prepared->study;
    struct bundle *bundle = &prepared->bundle;
    int rc = 0;

    bundle->tasks = mem_array(study->n_tasks, sizeof(struct bundle_task));
    prepared->tasks = mem_array(study->n_tasks, sizeof(struct coordinator_task));
    for (size_t t = 0; t < study->n_tasks && rc == 0; t++) {
        struct bundle_task *task = &bundle->tasks[t];
        struct coordinator_task *told = &prepared->tasks[t];

        rc = load_task(study, t, chat, task, err);
        if (rc != 0) {
            break;
        }
        bundle->n_tasks = t + 1;
        if (task_warning(&task->task, &prepared->notes)) {
            text_add_char(&prepared->notes, '\n');
        }
        task->limit = study->tasks[t].limit;
        rc = task->program != NULL ? tell_program(prepared, task, study->tasks[t].metric, told, err)
                                   : tell_own(prepared, task, study->tasks[t].metric, told, err);
        for (size_t before = 0; before < t && rc == 0; before++) {
            if (strcmp(bundle->tasks[before].task.name, task->task.name) == 0) {
                rc = err_set(err, ERR_CONFLICT, "tasks: two are named %s", task->task.name);
            }
        }
        if (rc == 0) {
            note_benchmark(prepared, task);
            told->name = task->task.name;
            told->digest = task->task.digest;
            told->weight = study->tasks[t].weight;
        }
    }
    return rc;
}

/* Candidates have the tokenizer and the chat template of the host, whose files an export takes. */
int prepare_tasks(struct prepared *prepared, struct err *err)
{
    struct chat *template = chat_open(checkpoint_folder(prepared->models[prepared->host]));
    const int rc = open_tasks(prepared, &(struct task_chat){.template = template}, err);

    chat_close(template);
    return rc;
}
