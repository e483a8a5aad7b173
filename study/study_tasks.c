/*
 * study_tasks.c - what candidates are measured on, one entry a task:
 *
 *   - {task: tasks/addition.yaml, metric: exact_match, weight: 2, limit: 400}
 *
 * names a task file; an entry with any of a task file's own keys (output_type, data, ...) is the
 * task itself. Whether the file exists and what it says is for the room of tasks to check.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "study/place.h"
#include "study/study_sections.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What the study adds to a task, and the keys of a task file, which may stand in its place. */
static const char *const entry_keys[] = {"task", "metric", "weight", "limit"};
static const char *const task_keys[] = {"task",
                                        "metric",
                                        "weight",
                                        "limit",
                                        "output_type",
                                        "data",
                                        "fewshot",
                                        "description",
                                        "prompt",
                                        "target_delimiter",
                                        "fewshot_delimiter",
                                        "choices",
                                        "gold",
                                        "metrics",
                                        "generation",
                                        "filters",
                                        "version",
                                        "command",
                                        "timeout",
                                        "score",
                                        "higher_is_better",
                                        "splits"};

/* True when the entry has a key that only a task itself has. */
static bool is_inline(const json_t *doc)
{
    for (size_t i = COUNT(entry_keys); i < COUNT(task_keys); i++) {
        if (json_object_get(doc, task_keys[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* The task room checks what else an inline task says. */
static int check_output_type(const json_t *doc, struct err *err)
{
    static const char *const kinds[] = {"multiple_choice", "loglikelihood", "loglikelihood_rolling",
                                        "generate_until", "command"};
    const char *kind;
    int rc = doc_text(doc, "output_type", &kind, err);

    for (size_t i = 0; i < COUNT(kinds) && rc == 0; i++) {
        if (strcmp(kind, kinds[i]) == 0) {
            return 0;
        }
    }
    if (rc == 0) {
        rc = err_set(err, ERR_FORMAT,
                     "output_type: '%s' is not available; multiple_choice, loglikelihood, "
                     "loglikelihood_rolling, generate_until and command are",
                     kind);
    }
    return rc;
}

/* The task's own part of an inline entry; a new reference. */
static json_t *without_entry_keys(const json_t *doc)
{
    json_t *task = json_deep_copy(doc);

    for (size_t i = 1; i < COUNT(entry_keys); i++) {
        json_object_del(task, entry_keys[i]);
    }
    return task;
}

static int parse_task(struct study_task *out, const json_t *doc, struct err *err)
{
    const char *task;
    const char *metric;
    double weight;
    int64_t limit;
    int rc;

    if ((rc = doc_only(doc, task_keys, COUNT(task_keys), err)) != 0 ||
        (rc = doc_text(doc, "task", &task, err)) != 0 ||
        (rc = doc_text_or(doc, "metric", NULL, &metric, err)) != 0 ||
        (rc = doc_number_or(doc, "weight", 1, &weight, err)) != 0 ||
        (rc = doc_integer_or(doc, "limit", 1, INT32_MAX, 0, &limit, err)) != 0 ||
        (is_inline(doc) && (rc = check_output_type(doc, err)) != 0)) {
        return rc;
    }
    if (*task == '\0') {
        return err_set(err, ERR_FORMAT, "task: expected a task file, got an empty text");
    }
    if (weight <= 0) {
        return err_set(err, ERR_LIMIT, "weight: %g is not above 0", weight);
    }
    *out = (struct study_task){.metric = metric != NULL ? mem_text(metric) : NULL,
                               .weight = weight,
                               .limit = (size_t)limit};
    if (is_inline(doc)) {
        out->inline_task = without_entry_keys(doc);
    } else {
        out->path = mem_text(task);
    }
    return 0;
}

const char *study_task_name(const struct study_task *task)
{
    return task->path != NULL ? task->path
                              : json_string_value(json_object_get(task->inline_task, "task"));
}

int study_tasks_parse(struct study *study, const json_t *doc, struct err *err)
{
    json_t *tasks;
    int rc = doc_array(doc, "tasks", &tasks, err);

    if (rc != 0) {
        return rc;
    }
    size_t n = json_array_size(tasks);

    if (n == 0 || n > STUDY_TASKS_MAX) {
        return err_set(err, ERR_LIMIT, "tasks: %zu, expected 1 to %d", n, STUDY_TASKS_MAX);
    }
    study->tasks = mem_array(n, sizeof(*study->tasks));
    for (size_t t = 0; t < n; t++) {
        const json_t *entry = json_array_get(tasks, t);

        if (parse_task(&study->tasks[t], entry, err) != 0) {
            return place_within(err, entry, "tasks[%zu]", t);
        }
        study->n_tasks = t + 1;
        for (size_t before = 0; before < t; before++) {
            if (strcmp(study_task_name(&study->tasks[before]), study_task_name(&study->tasks[t])) ==
                0) {
                return err_set(err, ERR_CONFLICT, "tasks[%zu].task: '%s' is tasks[%zu] already", t,
                               study_task_name(&study->tasks[t]), before);
            }
        }
    }
    return 0;
}

static json_t *print_task(const struct study_task *task)
{
    json_t *doc = task->inline_task != NULL ? json_deep_copy(task->inline_task)
                                            : json_pack("{s:s}", "task", task->path);

    json_object_set_new(doc, "weight", json_real(task->weight));
    if (task->metric != NULL) {
        json_object_set_new(doc, "metric", json_string(task->metric));
    }
    if (task->limit > 0) {
        json_object_set_new(doc, "limit", json_integer((json_int_t)task->limit));
    }
    return doc;
}

json_t *study_tasks_print(const struct study *study)
{
    json_t *tasks = json_array();

    for (size_t t = 0; t < study->n_tasks; t++) {
        json_array_append_new(tasks, print_task(&study->tasks[t]));
    }
    return tasks;
}

void study_tasks_release(struct study *study)
{
    for (size_t t = 0; t < study->n_tasks; t++) {
        json_decref(study->tasks[t].inline_task);
        free(study->tasks[t].path);
        free(study->tasks[t].metric);
    }
    free(study->tasks);
}
