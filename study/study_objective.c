/*
 * study_objective.c - what makes one candidate better than another:
 *
 *   objective: weighted_mean                     one number (or minimum: the worst task)
 *   objective: pareto                            every task for itself
 *   objective: {pareto: [addition, reversal]}    these tasks for themselves
 *
 * A task is called as it stands under tasks, or by the file's name without folder and ending.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "study/place.h"
#include "study/study_sections.h"

static bool is_called(const struct study_task *task, const char *name)
{
    const char *written = study_task_name(task), *file = file_name(written);
    const char *dot = strrchr(file, '.');
    size_t n = dot != NULL ? (size_t)(dot - file) : strlen(file);

    return strcmp(written, name) == 0 ||
           (task->path != NULL && strlen(name) == n && memcmp(file, name, n) == 0);
}

/* Which task a name means, one as written before one by its file's name. */
static int find_task(const struct study *study, const char *name, size_t *out, struct err *err)
{
    size_t found = SIZE_MAX;

    for (size_t t = 0; t < study->n_tasks; t++) {
        if (strcmp(study_task_name(&study->tasks[t]), name) == 0) {
            *out = t;
            return 0;
        }
        if (!is_called(&study->tasks[t], name)) {
            continue;
        }
        if (found != SIZE_MAX) {
            return err_set(err, ERR_CONFLICT, "'%.80s' is tasks[%zu] and tasks[%zu]", name, found,
                           t);
        }
        found = t;
    }
    if (found == SIZE_MAX) {
        return err_set(err, ERR_MISSING, "'%.80s' is none of the tasks; the first is '%.80s'", name,
                       study_task_name(&study->tasks[0]));
    }
    *out = found;
    return 0;
}

/* Objectives are a set: kept in the order of the tasks. */
static void keep_marked(struct study *study, const bool *marked)
{
    for (size_t t = 0; t < study->n_tasks; t++) {
        if (marked[t]) {
            study->objectives[study->n_objectives++] = t;
        }
    }
}

static int parse_list(struct study *study, const json_t *list, struct err *err)
{
    bool marked[STUDY_TASKS_MAX] = {false};
    size_t n = json_array_size(list);

    if (!json_is_array(list) || n < 2 || n > STUDY_OBJECTIVES_MAX) {
        return err_set(err, ERR_LIMIT, "objective.pareto: expected a list of 2 to %d tasks",
                       STUDY_OBJECTIVES_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(list, i);
        size_t task = 0;
        int rc = json_is_string(entry)
                     ? find_task(study, json_string_value(entry), &task, err)
                     : err_set(err, ERR_FORMAT, "expected a task, got %s", doc_kind(entry));

        if (rc == 0 && marked[task]) {
            rc = err_set(err, ERR_CONFLICT, "'%s' is there already", json_string_value(entry));
        }
        if (rc != 0) {
            return err_wrap(err, "objective.pareto[%zu]", i);
        }
        marked[task] = true;
    }
    keep_marked(study, marked);
    return 0;
}

static int take_all(struct study *study, struct err *err)
{
    bool marked[STUDY_TASKS_MAX];

    if (study->n_tasks < 2 || study->n_tasks > STUDY_OBJECTIVES_MAX) {
        return err_set(err, ERR_LIMIT, "objective: pareto: %zu tasks, expected 2 to %d",
                       study->n_tasks, STUDY_OBJECTIVES_MAX);
    }
    memset(marked, true, sizeof(marked));
    keep_marked(study, marked);
    return 0;
}

/* Several objectives need an optimiser for them; when none is named, auto finds it. */
static int check_optimizer(struct study *study, const json_t *doc, struct err *err)
{
    const json_t *named = json_object_get(json_object_get(doc, "optimizer"), "algorithm");
    char **algorithm = &study->optimizer.algorithm;

    if (named == NULL) {
        free(*algorithm);
        *algorithm = mem_text("auto");
    }
    return strcmp(*algorithm, "auto") == 0 || strcmp(*algorithm, "nsga-ii") == 0 ||
                   strcmp(*algorithm, "mo-cma-es") == 0
               ? 0
               : err_set(err, ERR_CONFLICT,
                         "optimizer.algorithm: %s has one objective; mo-cma-es and nsga-ii have "
                         "several",
                         *algorithm);
}

int study_objective_parse(struct study *study, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"pareto"};
    const json_t *objective = json_object_get(doc, "objective");
    const char *word = json_string_value(objective);
    int rc = 0;

    study->objective = STUDY_WEIGHTED_MEAN;
    if (objective == NULL || (word != NULL && strcmp(word, "weighted_mean") == 0)) {
        return 0;
    }
    if (word != NULL && strcmp(word, "minimum") == 0) {
        study->objective = STUDY_MINIMUM;
        return 0;
    }
    study->objective = STUDY_PARETO;
    if (word != NULL && strcmp(word, "pareto") == 0) {
        rc = take_all(study, err);
    } else if (json_is_object(objective)) {
        rc = doc_only(objective, known, 1, err);
        rc = rc != 0 ? place_within(err, objective, "objective")
                     : parse_list(study, json_object_get(objective, "pareto"), err);
    } else {
        rc = err_set(err, ERR_FORMAT, "objective: expected weighted_mean, minimum or pareto");
    }
    return rc != 0 ? rc : check_optimizer(study, doc, err);
}

json_t *study_objective_print(const struct study *study)
{
    if (study->objective != STUDY_PARETO) {
        return json_string(study->objective == STUDY_MINIMUM ? "minimum" : "weighted_mean");
    }
    json_t *names = json_array();

    for (size_t i = 0; i < study->n_objectives; i++) {
        json_array_append_new(names,
                              json_string(study_task_name(&study->tasks[study->objectives[i]])));
    }
    return json_pack("{s:o}", "pareto", names);
}
