/*
 * views_rows.c - generations, candidates, workers and events as JSON.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "store/query.h"
#include "store/views.h"

/* ---- history ---- */

static const char generations_of_search[] =
    "SELECT g.generation, sum(count(*)) OVER so_far AS evaluations, max(c.value) AS best,"
    "       avg(c.value) AS mean, max(max(c.value)) OVER so_far AS best_so_far, g.sigma,"
    "       g.phase"
    "  FROM generations AS g JOIN candidates AS c ON c.generation = g.number"
    " WHERE g.stage = 'search' GROUP BY g.number"
    " WINDOW so_far AS (ORDER BY g.number) ORDER BY g.number";

static const char values_of_search[] =
    "SELECT c.value FROM candidates AS c JOIN generations AS g ON g.number = c.generation"
    " WHERE g.stage = 'search' ORDER BY g.number, c.number";

/* In each objective; NULL: not measured. */
static const char objectives_of_search[] =
    "SELECT CASE c.status WHEN 'done' THEN"
    "    (SELECT json_group_array(v.value) FROM (SELECT s.value FROM objectives AS o"
    "       JOIN tasks AS t ON t.number = o.task"
    "       JOIN scores AS s"
    "         ON s.candidate = ifnull(c.repeats, c.candidate) AND s.task = t.number"
    "        AND s.metric = t.metric"
    "      ORDER BY o.number) AS v) END AS \"objectives{}\""
    "  FROM candidates AS c JOIN generations AS g ON g.number = c.generation"
    " WHERE g.stage = 'search' AND EXISTS (SELECT 1 FROM objectives) ORDER BY g.number, c.number";

int store_view_history(struct store *store, json_t **out, struct err *err)
{
    json_t *generations = NULL;
    json_t *values = NULL;
    json_t *objectives = NULL;
    int rc = query_begin(store, err);

    if (rc != 0) {
        return rc;
    }
    rc = query_rows(&generations, store, err, generations_of_search, "");
    if (rc == 0) {
        rc = query_column(&values, store, err, values_of_search, "");
    }
    if (rc == 0) {
        rc = query_column(&objectives, store, err, objectives_of_search, "");
    }
    query_end(store);
    if (rc != 0) {
        json_decref(generations);
        json_decref(values);
        return rc;
    }
    *out = json_pack("{s:o, s:o, s:o}", "generations", generations, "values", values, "objectives",
                     objectives);
    return 0;
}

/* ---- candidates ---- */

/* The columns of a candidate's row, and where they come from. A candidate that repeats another
 * shares that one's scores. */
#define CANDIDATE_COLUMNS                                                               \
    "c.candidate, g.stage, g.generation, c.label, c.status, c.value, e.wall_s,"         \
    " nullif(e.failure, 'ok') AS failure,"                                              \
    " (SELECT json_group_object(t.name, s.value)"                                       \
    "    FROM scores AS s JOIN tasks AS t ON t.number = s.task AND t.metric = s.metric" \
    "   WHERE s.candidate = ifnull(c.repeats, c.candidate)) AS \"tasks{}\""
#define CANDIDATE_TABLES                                               \
    "candidates AS c JOIN generations AS g ON g.number = c.generation" \
    " LEFT JOIN evaluations AS e ON e.candidate = c.candidate"
#define CANDIDATE_FILTER " WHERE (?1 IS NULL OR g.stage = ?1) AND (?2 IS NULL OR c.status = ?2)"

static const char count_of_candidates[] = "SELECT count(*) FROM candidates AS c JOIN generations "
                                          "AS g ON g.number = c.generation" CANDIDATE_FILTER;

/* ORDER BY cannot be a parameter: one of these ends the statement. What is unknown comes last
 * either way. */
static const char *order_of(const struct store_filter *filter)
{
    static const char *const orders[][2] = {
        [STORE_SORT_NUMBER] = {"c.candidate", "c.candidate DESC"},
        [STORE_SORT_VALUE] = {"c.value NULLS LAST, c.candidate",
                              "c.value DESC NULLS LAST, c.candidate"},
        [STORE_SORT_GENERATION] = {"g.number, c.number", "g.number DESC, c.number"},
        [STORE_SORT_WALL] = {"e.wall_s NULLS LAST, c.candidate",
                             "e.wall_s DESC NULLS LAST, c.candidate"},
    };

    return orders[filter->sort][filter->descending];
}

int store_view_candidates(struct store *store, const struct store_filter *filter, json_t **out,
                          struct err *err)
{
    json_t *total = NULL;
    json_t *rows = NULL;

    assert(filter->limit <= STORE_PAGE_MAX);
    int rc = query_begin(store, err);
    if (rc != 0) {
        return rc;
    }
    char *sql = mem_printf("SELECT " CANDIDATE_COLUMNS " FROM " CANDIDATE_TABLES CANDIDATE_FILTER
                           " ORDER BY %s LIMIT ?3 OFFSET ?4",
                           order_of(filter));
    rc = query_column(&total, store, err, count_of_candidates, "tt", filter->stage, filter->status);
    if (rc == 0) {
        rc = query_rows(&rows, store, err, sql, "ttii", filter->stage, filter->status,
                        (int64_t)filter->limit, (int64_t)filter->offset);
    }
    query_end(store);
    if (rc == 0) {
        *out = json_pack("{s:O, s:o}", "total", json_array_get(total, 0), "rows", rows);
    }
    json_decref(total);
    free(sql);
    return rc;
}

static const char one_candidate[] =
    "SELECT " CANDIDATE_COLUMNS ", r.recipe AS \"recipe{}\", c.recipe AS recipe_digest,"
    "       ifnull(e.weights, '') AS weights, ifnull(e.path, '') AS path, e.cpu_s,"
    "       ifnull(w.name, '') AS worker, ifnull(e.detail, '') AS detail"
    "  FROM " CANDIDATE_TABLES " JOIN recipes AS r ON r.digest = c.recipe"
    "  LEFT JOIN workers AS w ON w.worker = e.worker WHERE c.candidate = ?1";

/* The metric that is searched on comes first. */
static const char scores_of_candidate[] =
    "SELECT t.name AS task, c.split, s.metric, s.value, s.error, s.n"
    "  FROM candidates AS c JOIN scores AS s ON s.candidate = ifnull(c.repeats, c.candidate)"
    "  JOIN tasks AS t ON t.number = s.task"
    " WHERE c.candidate = ?1 ORDER BY t.number, s.metric <> t.metric, s.metric";

int store_view_candidate(struct store *store, uint64_t candidate, json_t **out, struct err *err)
{
    json_t *doc = NULL;
    json_t *scores = NULL;
    int rc = query_begin(store, err);

    if (rc != 0) {
        return rc;
    }
    rc = query_row(&doc, store, err, one_candidate, "i", (int64_t)candidate);
    if (rc == 0) {
        rc = query_rows(&scores, store, err, scores_of_candidate, "i", (int64_t)candidate);
    }
    query_end(store);
    if (rc == 0 && !json_is_object(doc)) {
        rc = err_set(err, ERR_MISSING, "candidate %llu: there is none",
                     (unsigned long long)candidate);
    }
    if (rc != 0) {
        json_decref(doc);
        json_decref(scores);
        return rc;
    }
    json_object_set_new(doc, "scores", scores);
    *out = doc;
    return 0;
}

/* ---- workers ---- */

/* What a worker is doing, as far as the store knows: beats and held asks do not reach it. */
static const char all_workers[] =
    "SELECT w.worker, w.name, w.build, w.path, w.invalid,"
    "       ifnull(sum(a.outcome = 'done'), 0) AS done,"
    "       ifnull(sum(a.outcome = 'failed'), 0) AS failed,"
    "       ifnull(sum(a.outcome = 'lost'), 0) AS lost,"
    "       max(CASE WHEN a.outcome = 'active' THEN a.candidate END) AS candidate,"
    "       max(0.0, unixepoch('now') - w.seen_ms / 1000.0) AS silent_s,"
    "       CASE WHEN max(a.outcome = 'active') THEN 'working'"
    "            WHEN s.state IN ('finished', 'stopped', 'failed') THEN 'gone'"
    "            WHEN unixepoch('now') - w.seen_ms / 1000.0 > 120 THEN 'silent'"
    "            ELSE 'idle' END AS state"
    "  FROM workers AS w JOIN study AS s LEFT JOIN attempts AS a ON a.worker = w.worker"
    " GROUP BY w.worker ORDER BY w.name, w.worker";

int store_view_workers(struct store *store, json_t **out, struct err *err)
{
    json_t *rows = NULL;
    int rc = query_rows(&rows, store, err, all_workers, "");

    if (rc == 0) {
        *out = json_pack("{s:o}", "workers", rows);
    }
    return rc;
}

/* ---- events ---- */

static const char latest_events[] =
    "SELECT * FROM"
    " (SELECT event, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS at, kind, text"
    "    FROM events WHERE event > ?1 ORDER BY event DESC LIMIT ?2)"
    " ORDER BY event";

int store_view_events(struct store *store, uint64_t after, uint64_t limit, json_t **out,
                      struct err *err)
{
    json_t *rows = NULL;
    int rc = query_rows(&rows, store, err, latest_events, "ii", (int64_t)after, (int64_t)limit);

    if (rc == 0) {
        *out = json_pack("{s:o}", "events", rows);
    }
    return rc;
}

static int one_number(uint64_t *out, struct store *store, const char *sql, struct err *err)
{
    json_t *column = NULL;
    int rc = query_column(&column, store, err, sql, "");

    if (rc == 0) {
        *out = (uint64_t)json_integer_value(json_array_get(column, 0));
    }
    json_decref(column);
    return rc;
}

int store_view_last_event(struct store *store, uint64_t *out, struct err *err)
{
    return one_number(out, store, "SELECT ifnull(max(event), 0) FROM events", err);
}

int store_view_version(struct store *store, uint64_t *out, struct err *err)
{
    return one_number(out, store, "PRAGMA data_version", err);
}
