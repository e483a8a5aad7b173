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

static double mean_of(const struct score_task *task, size_t metric)
{
    double sum = 0;

    for (size_t i = 0; i < task->n; i++) {
        sum += task->document_values[i * task->n_metrics + metric];
    }
    return sum / (double)task->n;
}

/*
 * Add one task: the mean of the paired differences, and the error of that mean squared, as in
 * search/statistics.h:
 *
 *     (sum d^2 - (sum d)^2 / N) / N^2
 *
 * times what a unit of it is worth in the metric (score_secant); weight is negative where lower is
 * better.
 */
static void add_task(struct paired *sum, const struct score_task *ours,
                     const struct score_task *theirs, size_t metric, double slope, double weight)
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
    weight *= slope;
    sum->mean += weight * total / n;
    sum->square_error += weight * weight * (squares - total * total / n) / (n * n);
    sum->n += ours->n;
}

static bool add_row(struct paired *sum, sqlite3_stmt *row)
{
    struct score_task ours = {0};
    struct score_task theirs = {0};
    int metric = sqlite3_column_int(row, 2);
    bool sound = unpack_two(row, &ours, &theirs) && metric >= 0 && (size_t)metric < ours.n_metrics;

    if (sound) {
        size_t m = (size_t)metric;
        double weight = sqlite3_column_double(row, 4);
        double slope = score_secant(mean_of(&ours, m), mean_of(&theirs, m),
                                    sqlite3_column_double(row, 5), sqlite3_column_double(row, 6));

        add_task(sum, &ours, &theirs, m, slope, sqlite3_column_int(row, 3) != 0 ? weight : -weight);
        sum->weights += weight;
    }
    score_task_release(&ours);
    score_task_release(&theirs);
    return sound;
}

/*
 * A task's values of both, and which column of them is the metric that is searched on: its place in
 * the list of names. A candidate that repeats another shares that one's documents.
 */
static const char two_candidates[] =
    "WITH of AS (SELECT candidate, ifnull(repeats, candidate) AS source"
    "              FROM candidates WHERE candidate IN (?1, ?2))"
    " SELECT d.packed, e.packed, names.key, t.higher_is_better, t.weight, s.value, r.value"
    "   FROM of AS ours JOIN documents AS d ON d.candidate = ours.source"
    "   JOIN of AS theirs ON theirs.candidate = ?2"
    "   JOIN documents AS e"
    "     ON e.candidate = theirs.source AND e.task = d.task AND e.metrics = d.metrics"
    "   JOIN tasks AS t ON t.number = d.task"
    "   JOIN json_each(d.metrics) AS names ON names.value = t.metric"
    "   JOIN scores AS s"
    "     ON s.candidate = ours.source AND s.task = d.task AND s.metric = t.metric"
    "   JOIN scores AS r"
    "     ON r.candidate = theirs.source AND r.task = d.task AND r.metric = t.metric"
    "  WHERE ours.candidate = ?1";

/* Ours less theirs on the same documents, null when there is nothing to compare. */
static int compare(json_t **out, struct store *store, int64_t ours, const json_t *theirs,
                   struct err *err)
{
    sqlite3_stmt *row = NULL;
    struct paired sum = {0};
    int status = SQLITE_OK;
    bool sound = true;

    if (sqlite3_prepare_v2(store->db, two_candidates, -1, &row, NULL) != SQLITE_OK) {
        return store_trouble(store, err);
    }
    sqlite3_bind_int64(row, 1, ours);
    sqlite3_bind_int64(row, 2, json_integer_value(json_object_get(theirs, "candidate")));
    while (sound && (status = sqlite3_step(row)) == SQLITE_ROW) {
        sound = add_row(&sum, row);
    }
    sqlite3_finalize(row);
    if (status != SQLITE_DONE && status != SQLITE_ROW) {
        return store_trouble(store, err);
    }
    double difference = sum.mean / sum.weights;
    double reach = 1.96 * sqrt(sum.square_error) / sum.weights; /* 95 % of a normal distribution */
    if (!sound || sum.n == 0 || !isfinite(difference) || !isfinite(reach)) {
        *out = json_null();
        return 0;
    }
    *out = json_pack("{s:O, s:s, s:I, s:f, s:f, s:f}", "against", json_object_get(theirs, "label"),
                     "split", "search", "n", (json_int_t)sum.n, "difference", difference, "low",
                     difference - reach, "high", difference + reach);
    return 0;
}

/* ---- parts of the summary ---- */

/* Put the rows of sql under key; null the key gets when that fails. */
static int set_rows(json_t *doc, const char *key, struct store *store, const char *sql,
                    struct err *err)
{
    json_t *rows = NULL;
    int rc = query_rows(&rows, store, err, sql, "");

    json_object_set_new(doc, key, rc == 0 ? rows : json_null());
    return rc;
}

/* The same with its only row. */
static int set_row(json_t *doc, const char *key, struct store *store, const char *sql,
                   struct err *err)
{
    json_t *row = NULL;
    int rc = query_row(&row, store, err, sql, "");

    json_object_set_new(doc, key, rc == 0 ? row : json_null());
    return rc;
}

static int add_tasks(json_t *summary, struct store *store, struct err *err)
{
    return set_rows(summary, "tasks", store,
                    "SELECT name, metric, weight, higher_is_better AS \"higher_is_better?\""
                    "  FROM tasks ORDER BY number",
                    err);
}

static int add_best(json_t *summary, struct store *store, struct err *err)
{
    return set_row(summary, "best", store,
                   "SELECT c.candidate, g.generation, c.label, c.recipe, c.value"
                   "  FROM candidates AS c JOIN generations AS g ON g.number = c.generation"
                   " WHERE g.stage = 'search' AND c.value IS NOT NULL"
                   " ORDER BY c.value DESC, c.candidate LIMIT 1",
                   err);
}

static int add_winner(json_t *summary, struct store *store, struct err *err)
{
    return set_row(summary, "winner", store,
                   "SELECT c.candidate, g.generation, c.label, c.recipe, c.value"
                   "  FROM study AS s JOIN candidates AS c ON c.candidate = s.winner"
                   "  JOIN generations AS g ON g.number = c.generation",
                   err);
}

static int add_baselines(json_t *summary, struct store *store, struct err *err)
{
    return set_rows(summary, "baselines", store,
                    "SELECT c.candidate, c.label, c.parent AS \"parent?\", c.recipe, c.value,"
                    "       nullif(e.failure, 'ok') AS failure,"
                    "       (SELECT json_group_object(t.name, s.value) FROM scores AS s"
                    "          JOIN tasks AS t ON t.number = s.task AND t.metric = s.metric"
                    "         WHERE s.candidate = c.candidate) AS \"tasks{}\""
                    "  FROM candidates AS c JOIN generations AS g ON g.number = c.generation"
                    "  LEFT JOIN evaluations AS e ON e.candidate = c.candidate"
                    " WHERE g.stage = 'baseline' ORDER BY c.candidate",
                    err);
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

static int add_cost(json_t *summary, struct store *store, struct err *err)
{
    return set_row(summary, "cost", store,
                   "SELECT (SELECT total(wall_s) FROM evaluations) AS wall_s,"
                   "       (SELECT total(cpu_s) FROM evaluations) AS cpu_s,"
                   "       ifnull((max(at_ms) - min(at_ms)) / 1000.0, 0.0) AS elapsed_s"
                   "  FROM events",
                   err);
}

static int add_workers(json_t *summary, struct store *store, struct err *err)
{
    return set_row(summary, "workers", store,
                   "SELECT count(*) AS known,"
                   "       (SELECT count(DISTINCT worker) FROM attempts WHERE outcome = 'active')"
                   "         AS active"
                   "  FROM workers",
                   err);
}

/* What is left, at the pace of the last evaluations, shared by those who work now. */
static int add_eta(json_t *summary, struct store *store, struct err *err)
{
    const char *state = json_string_value(json_object_get(summary, "state"));
    const char *stage = json_string_value(json_object_get(summary, "stage"));
    double left = json_number_value(json_object_get(summary, "evaluations_max")) -
                  json_number_value(json_object_get(summary, "evaluations"));
    double active =
        json_number_value(json_object_get(json_object_get(summary, "workers"), "active"));
    bool known = strcmp(state, "running") == 0 && strcmp(stage, "search") == 0 && active > 0;
    json_t *recent = NULL;

    int rc = query_column(&recent, store, err,
                          "SELECT avg(wall_s)"
                          "  FROM (SELECT wall_s FROM evaluations WHERE attempt > 0"
                          "         ORDER BY stored_ms DESC LIMIT ?1)",
                          "i", (int64_t)RECENT);
    double recent_s = json_number_value(json_array_get(recent, 0));
    known = known && recent_s > 0 && left >= 0;
    json_object_set_new(summary, "eta_s",
                        known ? json_real(left * recent_s / active) : json_null());
    json_decref(recent);
    return rc;
}

static int add_phases(json_t *summary, struct store *store, struct err *err)
{
    return set_rows(summary, "phases", store,
                    "SELECT p.phase, p.name, p.optimiser, p.why, p.generation, p.evaluations,"
                    "       (SELECT count(*) FROM candidates AS c"
                    "          JOIN generations AS g ON g.number = c.generation"
                    "         WHERE g.stage = 'search' AND g.phase = p.phase"
                    "           AND c.status IN ('done', 'failed')) AS spent,"
                    "       p.ending, (SELECT count(*) FROM coordinates AS c"
                    "                   WHERE c.phase = p.phase) AS coordinates"
                    "  FROM phases AS p ORDER BY p.phase",
                    err);
}

/* Of several objectives, each row also in each of them. */
/* What a sensitivity pass found, the largest first. */
static int add_effects(json_t *summary, struct store *store, struct err *err)
{
    return set_rows(summary, "effects", store,
                    "SELECT name, effect FROM coordinates WHERE effect IS NOT NULL"
                    " ORDER BY effect DESC, number LIMIT 12",
                    err);
}

static int add_report(json_t *summary, struct store *store, struct err *err)
{
    return set_rows(
        summary, "report", store,
        "SELECT r.candidate, r.label, r.role, r.n, r.value, r.difference, r.low, r.high,"
        "       (SELECT json_group_array(json_object('task', t.name, 'value', s.value,"
        "               'difference', s.difference, 'low', s.low, 'high', s.high))"
        "          FROM standings AS s JOIN tasks AS t ON t.number = s.task"
        "         WHERE s.number = r.number) AS \"objectives{}\""
        "  FROM report AS r ORDER BY r.number",
        err);
}

static int add_objectives(json_t *summary, struct store *store, struct err *err)
{
    json_t *names = NULL;
    int rc = query_column(&names, store, err,
                          "SELECT t.name FROM objectives AS o JOIN tasks AS t ON t.number = o.task"
                          " ORDER BY o.number",
                          "");

    json_object_set_new(summary, "objectives", rc == 0 ? names : json_null());
    return rc;
}

/* What no other candidate dominates, best in the first objective first. */
static int add_front(json_t *summary, struct store *store, struct err *err)
{
    return set_rows(
        summary, "front", store,
        "SELECT c.candidate, g.generation, c.value,"
        "       (SELECT json_group_object(t.name, s.value)"
        "          FROM objectives AS o JOIN tasks AS t ON t.number = o.task"
        "          JOIN scores AS s ON s.task = t.number AND s.metric = t.metric"
        "         WHERE s.candidate = c.candidate) AS \"tasks{}\""
        "  FROM front AS f JOIN candidates AS c ON c.candidate = f.candidate"
        "  JOIN generations AS g ON g.number = c.generation"
        "  JOIN objectives AS first ON first.number = 0"
        "  JOIN tasks AS t ON t.number = first.task"
        "  JOIN scores AS s"
        "    ON s.candidate = c.candidate AND s.task = t.number AND s.metric = t.metric"
        " ORDER BY CASE WHEN t.higher_is_better THEN -s.value ELSE s.value END, c.candidate",
        err);
}

static const char head_of_summary[] =
    "SELECT s.name AS study, s.state, s.stage, s.reason, s.trajectory, s.generation,"
    "       s.evaluations_max, s.verdict AS \"verdict{}\", "
    "       CASE json_type(s.form, '$.objective') WHEN 'object' THEN 'pareto'"
    "         ELSE s.form ->> 'objective' END AS objective,"
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
        add_tasks, add_best,   add_winner,  add_baselines, add_comparison, add_cost,  add_workers,
        add_eta,   add_phases, add_effects, add_report,    add_objectives, add_front,
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

static int make_report(json_t **out, struct store *store, struct err *err)
{
    json_t *doc = NULL;

    int rc = query_row(&doc, store, err, "SELECT verdict AS \"verdict{}\" FROM study", "");
    if (rc == 0) {
        rc = add_report(doc, store, err);
    }
    if (rc != 0) {
        json_decref(doc);
        return rc;
    }
    *out = doc;
    return 0;
}

static int make_study(json_t **out, struct store *store, struct err *err)
{
    json_t *doc = NULL;

    int rc = query_row(&doc, store, err, "SELECT form AS \"study{}\" FROM study", "");
    if (rc == 0) {
        rc = set_rows(doc, "models", store, "SELECT name, digest FROM models ORDER BY number", err);
    }
    if (rc != 0) {
        json_decref(doc);
        return rc;
    }
    *out = doc;
    return 0;
}

/* ---- views ---- */

/* Make one from a snapshot. */
static int in_snapshot(json_t **out, struct store *store,
                       int (*make)(json_t **out, struct store *store, struct err *err),
                       struct err *err)
{
    int rc = query_begin(store, err);

    if (rc == 0) {
        rc = make(out, store, err);
        query_end(store);
    }
    return rc;
}

int store_view_summary(struct store *store, json_t **out, struct err *err)
{
    return in_snapshot(out, store, make_summary, err);
}

int store_view_report(struct store *store, json_t **out, struct err *err)
{
    return in_snapshot(out, store, make_report, err);
}

int store_view_study(struct store *store, json_t **out, struct err *err)
{
    return in_snapshot(out, store, make_study, err);
}
