/*
 * views.c - how the study stands, as JSON: the summary, the report, the study itself.
 *
 * A view is a few SELECTs in one read transaction; the statements say what the JSON looks like
 * (query.h). Rows of candidates, workers and events are in views_rows.c.
 */
#include "store/views.h"

#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/query.h"
#include "store/store_internal.h"
#include "study/score.h"

#define RECENT 50 /* evaluations whose time stands for those to come */

/* ---- the paired comparison of two candidates ---- */

/* Sums over the documents of all tasks so far. */
struct paired {
    double mean, square_error; /* weighted; of the difference, and its error squared */
    double weights;
    size_t n;
};

/* Per-document values of one task for two candidates; false when they cannot be compared. */
static bool unpack_two(sqlite3_stmt *row, struct score_task *ours, struct score_task *theirs)
{
    const unsigned char *left = sqlite3_column_blob(row, 0);
    size_t left_size = (size_t)sqlite3_column_bytes(row, 0);
    const unsigned char *right = sqlite3_column_blob(row, 1);
    size_t right_size = (size_t)sqlite3_column_bytes(row, 1);

    return score_unpack(ours, left, left_size, NULL) == 0 &&
           score_unpack(theirs, right, right_size, NULL) == 0 && ours->n == theirs->n &&
           ours->n_metrics == theirs->n_metrics && ours->n > 0;
}

/*
 * Add one task: the mean of the paired differences, and the error of that mean squared, as in
 * search/statistics.h:
 *
 *     (sum d^2 - (sum d)^2 / N) / N^2
 */
static void add_task(struct paired *sum, const struct score_task *ours,
                     const struct score_task *theirs, size_t metric, bool higher_is_better,
                     double weight)
{
    double total = 0;
    double squares = 0;
    double n = (double)ours->n;

    for (size_t i = 0; i < ours->n; i++) {
        double d = ours->document_values[i * ours->n_metrics + metric] -
                   theirs->document_values[i * ours->n_metrics + metric];

        total += d;
        squares += d * d;
    }
    sum->mean += weight * (higher_is_better ? total : -total) / n;
    sum->square_error += weight * weight * (squares - total * total / n) / (n * n);
    sum->weights += weight;
    sum->n += ours->n;
}

static int add_row(struct paired *sum, sqlite3_stmt *row)
{
    struct score_task ours = {0};
    struct score_task theirs = {0};
    int metric = sqlite3_column_int(row, 2);
    bool sound = unpack_two(row, &ours, &theirs) && metric >= 0 && (size_t)metric < ours.n_metrics;

    if (sound) {
        add_task(sum, &ours, &theirs, (size_t)metric, sqlite3_column_int(row, 3) != 0,
                 sqlite3_column_double(row, 4));
    }
    score_task_release(&ours);
    score_task_release(&theirs);
    return sound ? 0 : ERR_FORMAT;
}

/* The place of each task's metric among those of its documents is where the list of names has it.
 */
static const char two_candidates[] =
    "SELECT ours.packed, theirs.packed, names.key, t.higher_is_better, t.weight"
    "  FROM documents AS ours"
    "  JOIN documents AS theirs ON theirs.task = ours.task AND theirs.candidate = ?2"
    "  JOIN tasks AS t ON t.number = ours.task"
    "  JOIN json_each(ours.metrics) AS names ON names.value = t.metric"
    " WHERE ours.candidate = ?1 AND ours.metrics = theirs.metrics";

/* Ours less theirs on the same documents, null when there is nothing to compare. */
static int compare(json_t **out, struct store *store, int64_t ours, const json_t *theirs,
                   struct err *err)
{
    sqlite3_stmt *row = NULL;
    struct paired sum = {0};
    int status = SQLITE_OK;
    int rc = 0;

    if (sqlite3_prepare_v2(store->db, two_candidates, -1, &row, NULL) != SQLITE_OK) {
        return err_set(err, ERR_IO, "database: %s", sqlite3_errmsg(store->db));
    }
    sqlite3_bind_int64(row, 1, ours);
    sqlite3_bind_int64(row, 2, json_integer_value(json_object_get(theirs, "candidate")));
    while (rc == 0 && (status = sqlite3_step(row)) == SQLITE_ROW) {
        rc = add_row(&sum, row);
    }
    sqlite3_finalize(row);
    if (rc == 0 && status != SQLITE_DONE) {
        return err_set(err, ERR_IO, "database: %s", sqlite3_errmsg(store->db));
    }
    double difference = sum.mean / sum.weights;
    double reach = 1.96 * sqrt(sum.square_error) / sum.weights; /* 95 % of a normal distribution */
    if (rc != 0 || sum.n == 0 || !isfinite(difference) || !isfinite(reach)) {
        *out = json_null();
        return 0;
    }
    *out = json_pack("{s:O, s:s, s:I, s:f, s:f, s:f}", "against", json_object_get(theirs, "label"),
                     "split", "search", "n", (json_int_t)sum.n, "difference", difference, "low",
                     difference - reach, "high", difference + reach);
    return 0;
}

/* ---- parts of the summary ---- */

static int add_best(json_t *summary, struct store *store, struct err *err)
{
    json_t *best = NULL;
    json_t *winner = NULL;

    int rc = query_row(&best, store, err,
                       "SELECT c.candidate, g.generation, c.label, c.recipe, c.value"
                       "  FROM candidates AS c JOIN generations AS g ON g.number = c.generation"
                       " WHERE g.stage = 'search' AND c.value IS NOT NULL"
                       " ORDER BY c.value DESC, c.candidate LIMIT 1",
                       "");
    rc = rc != 0 ? rc
                 : query_row(&winner, store, err,
                             "SELECT c.candidate, g.generation, c.label, c.recipe, c.value"
                             "  FROM study JOIN candidates AS c ON c.candidate = study.winner"
                             "  JOIN generations AS g ON g.number = c.generation",
                             "");
    json_object_set_new(summary, "best", best);
    json_object_set_new(summary, "winner", winner);
    return rc;
}

static int add_baselines(json_t *summary, struct store *store, struct err *err)
{
    json_t *baselines = NULL;
    int rc = query_rows(&baselines, store, err,
                        "SELECT c.candidate, c.label, c.parent AS \"parent?\", c.recipe, c.value,"
                        "       nullif(e.failure, 'ok') AS failure"
                        "  FROM candidates AS c JOIN generations AS g ON g.number = c.generation"
                        "  LEFT JOIN evaluations AS e ON e.candidate = c.candidate"
                        " WHERE g.stage = 'baseline' ORDER BY c.candidate",
                        "");

    json_object_set_new(summary, "baselines", baselines);
    return rc;
}

static const json_t *best_parent_of(const json_t *summary)
{
    const json_t *best = NULL;
    size_t i;
    const json_t *row;

    json_array_foreach(json_object_get(summary, "baselines"), i, row)
    {
        const json_t *value = json_object_get(row, "value");
        bool counts = json_is_true(json_object_get(row, "parent")) && json_is_number(value);

        if (counts && (best == NULL || json_number_value(value) >
                                           json_number_value(json_object_get(best, "value")))) {
            best = row;
        }
    }
    return best;
}

/* The best of the search against the best parent, on the search documents. */
static int add_comparison(json_t *summary, struct store *store, struct err *err)
{
    const json_t *best = json_object_get(summary, "best");
    const json_t *parent = best_parent_of(summary);
    json_t *comparison = json_null();
    int rc = 0;

    if (json_is_object(best) && parent != NULL) {
        rc = compare(&comparison, store, json_integer_value(json_object_get(best, "candidate")),
                     parent, err);
    }
    json_object_set_new(summary, "comparison", comparison);
    return rc;
}

/* What is left, at the pace of the last evaluations, shared by those who work now. */
static json_t *eta_of(const json_t *summary, double recent_s, int64_t active)
{
    double left = json_number_value(json_object_get(summary, "evaluations_max")) -
                  json_number_value(json_object_get(summary, "evaluations"));
    const char *state = json_string_value(json_object_get(summary, "state"));
    const char *stage = json_string_value(json_object_get(summary, "stage"));

    if (strcmp(state, "running") != 0 || strcmp(stage, "search") != 0 || recent_s <= 0 ||
        active == 0 || left < 0) {
        return json_null();
    }
    return json_real(left * recent_s / (double)active);
}

static int add_cost(json_t *summary, struct store *store, struct err *err)
{
    json_t *cost = NULL;
    json_t *workers = NULL;
    json_t *recent = NULL;

    int rc = query_row(
        &cost, store, err,
        "SELECT (SELECT total(wall_s) FROM evaluations) AS wall_s,"
        "       (SELECT total(cpu_s) FROM evaluations) AS cpu_s,"
        "       (SELECT ifnull(max(at_ms) - min(at_ms), 0) / 1000.0 FROM events) AS elapsed_s",
        "");
    rc = rc != 0
             ? rc
             : query_row(
                   &workers, store, err,
                   "SELECT count(*) AS known, count(DISTINCT a.worker) AS active FROM workers AS w"
                   "  LEFT JOIN attempts AS a ON a.worker = w.worker AND a.outcome = 'active'",
                   "");
    rc = rc != 0 ? rc
                 : query_row(&recent, store, err,
                             "SELECT avg(wall_s) AS wall_s"
                             "  FROM (SELECT wall_s FROM evaluations ORDER BY rowid DESC LIMIT ?1)",
                             "i", (int64_t)RECENT);
    if (rc == 0) {
        json_object_set_new(summary, "eta_s",
                            eta_of(summary, json_number_value(json_object_get(recent, "wall_s")),
                                   json_integer_value(json_object_get(workers, "active"))));
    }
    json_object_set_new(summary, "cost", cost);
    json_object_set_new(summary, "workers", workers);
    json_decref(recent);
    return rc;
}

static int add_report(json_t *summary, struct store *store, struct err *err)
{
    json_t *report = NULL;
    int rc = query_rows(&report, store, err,
                        "SELECT candidate, label, role, n, value, difference, low, high FROM "
                        "report ORDER BY number",
                        "");

    json_object_set_new(summary, "report", report);
    return rc;
}

static int add_tasks(json_t *summary, struct store *store, struct err *err)
{
    json_t *tasks = NULL;
    int rc = query_rows(&tasks, store, err,
                        "SELECT name, metric, weight, higher_is_better AS \"higher_is_better?\""
                        "  FROM tasks ORDER BY number",
                        "");

    json_object_set_new(summary, "tasks", tasks);
    return rc;
}

static const char head_of_summary[] =
    "SELECT s.name AS study, s.state, s.stage, s.reason, s.trajectory, s.generation, "
    "s.evaluations_max,"
    "       s.verdict AS \"verdict{}\", s.form ->> 'objective' AS objective,"
    "       (SELECT count(*) FROM candidates AS c JOIN generations AS g ON g.number = c.generation"
    "         WHERE g.stage = 'search' AND c.status IN ('done', 'failed')) AS evaluations,"
    "       (SELECT count(*) FROM candidates WHERE status IN ('done', 'failed')) AS done,"
    "       (SELECT count(*) FROM candidates WHERE status = 'failed') AS failed,"
    "       (SELECT count(*) FROM candidates WHERE status = 'leased') AS leased,"
    "       (SELECT ifnull(max(event), 0) FROM events) AS last_event"
    "  FROM study AS s";

static int make_summary(json_t **out, struct store *store, struct err *err)
{
    static int (*const parts[])(json_t *, struct store *, struct err *) = {
        add_tasks, add_best, add_baselines, add_comparison, add_cost, add_report,
    };
    json_t *summary = NULL;

    int rc = query_row(&summary, store, err, head_of_summary, "");
    if (rc == 0 && !json_is_object(summary)) {
        rc = err_set(err, ERR_MISSING, "database: there is no study in it");
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && rc == 0; i++) {
        rc = parts[i](summary, store, err);
    }
    if (rc != 0) {
        json_decref(summary);
        return rc;
    }
    *out = summary;
    return 0;
}

/* ---- views ---- */

int store_view_summary(struct store *store, json_t **out, struct err *err)
{
    int rc = query_begin(store, err);

    if (rc == 0) {
        rc = make_summary(out, store, err);
        query_end(store);
    }
    return rc;
}

int store_view_report(struct store *store, json_t **out, struct err *err)
{
    json_t *doc = NULL;
    int rc = query_begin(store, err);

    if (rc != 0) {
        return rc;
    }
    rc = query_row(&doc, store, err, "SELECT verdict AS \"verdict{}\" FROM study", "");
    if (rc == 0) {
        rc = add_report(doc, store, err);
    }
    query_end(store);
    if (rc != 0) {
        json_decref(doc);
        return rc;
    }
    *out = doc;
    return 0;
}

int store_view_study(struct store *store, json_t **out, struct err *err)
{
    json_t *doc = NULL;
    json_t *models = NULL;
    int rc = query_begin(store, err);

    if (rc != 0) {
        return rc;
    }
    rc = query_row(&doc, store, err, "SELECT form AS \"study{}\" FROM study", "");
    rc = rc != 0 ? rc
                 : query_rows(&models, store, err,
                              "SELECT name, digest FROM models ORDER BY number", "");
    query_end(store);
    if (rc != 0) {
        json_decref(doc);
        return rc;
    }
    json_object_set_new(doc, "models", models);
    *out = doc;
    return 0;
}
