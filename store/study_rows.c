/*
 * study_rows.c - the study, what it is made of, and how it ended: tables of few rows.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/store_internal.h"

/* ---- the study ---- */

void store_study_release(struct store_study *study)
{
    free(study->name);
    free(study->form);
    free(study->version);
    free(study->stage);
    free(study->state);
    free(study->reason);
    free(study->ending);
    free(study->verdict);
    *study = (struct store_study){0};
}

int store_study(struct store *store, struct store_study *out, struct err *err)
{
    sqlite3_stmt *row;
    int rc = store_start(
        store, &row, err,
        "SELECT name, identity, form, version, n_layers, epoch, stage, state, reason, ending,"
        "       generation, evaluations_max, forgiven, trajectory, winner, verdict FROM study",
        "");

    if (rc != 0 || (rc = store_step(store, row, err)) < 0) {
        return rc;
    }
    if (rc == 0) {
        return err_set(err, ERR_MISSING, "database: there is no study in it");
    }
    *out = (struct store_study){
        .name = store_column_text(row, 0),
        .form = store_column_text(row, 2),
        .version = store_column_text(row, 3),
        .n_layers = (uint32_t)store_column_number(row, 4),
        .epoch = store_column_number(row, 5),
        .stage = store_column_text(row, 6),
        .state = store_column_text(row, 7),
        .reason = store_column_text(row, 8),
        .ending = store_column_text(row, 9),
        .generation = store_column_number(row, 10),
        .evaluations_max = store_column_number(row, 11),
        .forgiven = store_column_number(row, 12),
        .winner = store_column_number(row, 14),
        .verdict = store_column_text(row, 15),
    };
    store_column_digest(row, 1, out->identity);
    store_column_digest(row, 13, out->trajectory);
    store_stop(row);
    return 0;
}

int store_add_study(struct store *store, const struct store_study *study, struct err *err)
{
    store_make_id(store);
    return store_run(store, err,
                     "INSERT INTO study (id, name, nonce, identity, form, version, n_layers,"
                     " created_ms, epoch, stage, state, reason, ending, generation,"
                     " evaluations_max, forgiven, trajectory, winner, verdict)"
                     " VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                     "tttttiiittttiiitkt", study->name, store->id, study->identity, study->form,
                     study->version, (int64_t)study->n_layers, store_now_ms(), study->epoch,
                     study->stage, study->state, study->reason, study->ending, study->generation,
                     study->evaluations_max, study->forgiven, study->trajectory, study->winner,
                     study->verdict);
}

int store_set_study(struct store *store, const struct store_study *study, struct err *err)
{
    return store_run(store, err,
                     "UPDATE study SET epoch = ?, stage = ?, state = ?, reason = ?, ending = ?,"
                     " generation = ?, evaluations_max = ?, forgiven = ?, trajectory = ?,"
                     " winner = ?, verdict = ?",
                     "ittttiiitkt", study->epoch, study->stage, study->state, study->reason,
                     study->ending, study->generation, study->evaluations_max, study->forgiven,
                     study->trajectory, study->winner, study->verdict);
}

/* ---- models and tasks ---- */

int store_add_model(struct store *store, size_t number, const struct store_model *model,
                    struct err *err)
{
    return store_run(store, err,
                     "INSERT INTO models (number, name, path, digest) VALUES (?, ?, ?, ?)", "ittt",
                     number, model->name, model->path, model->digest);
}

int store_check_model(struct store *store, size_t number, const struct store_model *model,
                      struct err *err)
{
    uint64_t same = 0;
    int rc =
        store_number(store, &same, err,
                     "SELECT count(*) FROM models WHERE number = ? AND name = ? AND digest = ?",
                     "itt", number, model->name, model->digest);

    if (rc == 0 && same == 0) {
        rc = err_set(err, ERR_CONFLICT,
                     "model %s: its files are not those the study was begun with", model->name);
    }
    return rc;
}

int store_add_task(struct store *store, size_t number, const struct store_task *task,
                   struct err *err)
{
    return store_run(store, err,
                     "INSERT INTO tasks (number, name, digest, metric, higher_is_better, weight,"
                     " n_search, n_select, n_report) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                     "itttiriii", number, task->name, task->digest, task->metric,
                     (int64_t)task->higher_is_better, task->weight, task->documents[SPLIT_SEARCH],
                     task->documents[SPLIT_SELECT], task->documents[SPLIT_REPORT]);
}

int store_check_task(struct store *store, size_t number, const struct store_task *task,
                     struct err *err)
{
    uint64_t same = 0;
    int rc = store_number(store, &same, err,
                          "SELECT count(*) FROM tasks"
                          " WHERE number = ? AND name = ? AND digest = ? AND metric = ?",
                          "ittt", number, task->name, task->digest, task->metric);

    if (rc == 0 && same == 0) {
        rc = err_set(err, ERR_CONFLICT,
                     "task %s: its documents or metric are not those the study was begun with",
                     task->name);
    }
    return rc;
}

/* ---- the end ---- */

int store_add_report_row(struct store *store, const struct store_report_row *row, struct err *err)
{
    return store_run(store, err,
                     "INSERT INTO report (number, candidate, label, role, n, value, difference,"
                     " low, high) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                     "iittirrrr", row->number, row->candidate, row->label, row->role, row->n,
                     row->value, row->difference, row->low, row->high);
}

int store_add_export(struct store *store, const struct store_export *export, struct err *err)
{
    int rc = store_begin(store, STORE_DURABLE, err);

    if (rc == 0) {
        rc = store_run(store, err,
                       "INSERT INTO exports (candidate, format, path, weights, stored_ms)"
                       " VALUES (?, ?, ?, ?, ?)",
                       "ittti", export->candidate, export->format, export->path, export->weights,
                       store_now_ms());
    }
    if (rc == 0) {
        rc = store_commit(store, err);
    }
    if (rc != 0) {
        store_rollback(store);
    }
    return rc;
}
