/*
 * notes.c - what the database keeps for later commands on this machine.
 */
#include "cli/notes.h"

#include <stdlib.h>
#include <string.h>

#include "evaluator/task/dataset.h"

#define KEY "notes"
#define NUMERIC_KEY "numeric"

static int split_ids(const struct prepared *prepared, size_t t, enum split split, json_t **out,
                     struct err *err)
{
    const struct bundle_task *task = &prepared->bundle.tasks[t];
    size_t *documents = NULL;
    size_t n = 0;
    int rc = dataset_split(&task->task, prepared->study.seed, prepared->study.splits, task->limit,
                           split, &documents, &n, err);

    *out = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(*out, json_string(task->task.documents[documents[i]].id));
    }
    free(documents);
    return rc;
}

int notes_write(struct store *store, const struct prepared *prepared, struct err *err)
{
    json_t *models = json_object();
    json_t *documents = json_object();
    json_t *benchmarks = json_object();
    struct text text = {0};
    int rc = 0;

    for (size_t i = 0; i < prepared->bundle.n_models; i++) {
        const struct bundle_model *model = &prepared->bundle.models[i];

        json_object_set_new(models, model->digest,
                            json_pack("{s:s, s:s}", "name", model->name, "path", model->path));
    }
    for (size_t t = 0; t < prepared->bundle.n_tasks && rc == 0; t++) {
        const struct bundle_task *task = &prepared->bundle.tasks[t];

        if (task->benchmark != NULL) {
            json_object_set_new(benchmarks, task->task.name, json_string(task->benchmark));
        }
        if (task->program != NULL) {
            continue; /* its documents are its own business */
        }
        json_t *splits = json_object();

        for (int split = SPLIT_SEARCH; split <= SPLIT_REPORT && rc == 0; split++) {
            json_t *ids;

            rc = split_ids(prepared, t, (enum split)split, &ids, err);
            json_object_set_new(splits, split_name((enum split)split), ids);
        }
        json_object_set_new(documents, task->task.name, splits);
    }
    json_t *doc = json_pack("{s:o, s:o, s:o}", "models", models, "documents", documents,
                            "benchmarks", benchmarks);
    if (rc == 0) {
        doc_print(&text, doc);
        rc = store_set_setting(store, KEY, text_get(&text), err);
    }
    text_release(&text);
    json_decref(doc);
    return rc;
}

int notes_numeric(struct store *store, struct prepared *prepared, bool begun, struct err *err)
{
    enum numeric numeric = begun ? NUMERIC_F32 : prepared->bundle.numeric;
    char *value = NULL;
    int rc = store_setting(store, NUMERIC_KEY, &value, err);

    if (rc == ERR_MISSING) {
        rc = store_set_setting(store, NUMERIC_KEY, numeric_name(numeric), err);
    } else if (rc == 0 && !numeric_parse(value, &numeric)) {
        rc = err_set(err, ERR_FORMAT, "the database says that scores are made in %s", value);
    }
    free(value);
    return rc == 0 ? prepare_numeric(prepared, numeric, err) : rc;
}

int notes_read(struct store *store, json_t **out, struct err *err)
{
    char *value = NULL;
    int rc = store_setting(store, KEY, &value, err);

    if (rc == 0) {
        rc = doc_parse(out, value, strlen(value), err);
    }
    free(value);
    return rc;
}
