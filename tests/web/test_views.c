/* What the page is told, from a small study made by hand: three baselines, two generations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <math.h>
#include <sqlite3.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "store/store_internal.h"
#include "store/views.h"
#include "study/score.h"

static const char rows[] =
    "INSERT INTO study VALUES (1, 'night', 'n', 'i', "
    "'{\"objective\":\"weighted_mean\",\"seed\":7}', '0.1.0',"
    " 4, 0, 1, 'search', 'running', '', '', 1, 40, 0,"
    " 'abababababababababababababababababababababababababababababababab', NULL, '[]');"
    "INSERT INTO models VALUES (0, 'adder', 'a', 'd1'), (1, 'reverser', 'b', 'd2');"
    "INSERT INTO tasks VALUES (0, 'addition', 'x', 'acc', 1, 1.0, 4, 4, 4),"
    " (1, 'prose', 'y', 'bits', 0, 1.0, 2, 2, 2);"
    "INSERT INTO generations (number, stage, generation, phase, sigma, optimiser, asked_ms) VALUES"
    " (0, 'baseline', 0, 0, NULL, x'', 0), (1, 'search', 0, 0, 0.25, x'', 0),"
    " (2, 'search', 1, 0, 0.2, x'', 0);"
    "INSERT INTO recipes VALUES ('r0', '{\"method\":\"linear\",\"groups\":[]}'),"
    " ('r1', '{\"method\":\"linear\"}');"
    "INSERT INTO candidates VALUES"
    " (1, 0, 0, 'r0', 'search', 'parent adder', 1, NULL, 'done', 0.25, NULL, 0, 0),"
    " (2, 0, 1, 'r0', 'search', 'parent reverser', 1, NULL, 'done', 0.5, NULL, 0, 0),"
    " (3, 0, 2, 'r0', 'search', 'uniform average', 0, NULL, 'failed', NULL, NULL, 1, 0),"
    " (4, 1, 0, 'r1', 'search', '', 0, NULL, 'done', 0.4, NULL, 0, 0),"
    " (5, 1, 1, 'r1', 'search', '', 0, NULL, 'done', 0.75, NULL, 0, 1),"
    " (6, 2, 0, 'r1', 'search', '', 0, NULL, 'leased', NULL, NULL, 0, 0),"
    " (7, 2, 1, 'r1', 'search', '', 0, NULL, 'pending', NULL, NULL, 0, 0),"
    " (8, 2, 2, 'r1', 'search', '', 0, NULL, 'done', 0.4, 4, 0, 0);"
    "INSERT INTO workers VALUES"
    " (1, 'b1', 'local-1', '0.1.0', 'f32/test', 'active', 0, unixepoch('now') * 1000),"
    " (2, 'b2', 'local-2', '0.1.0', 'f32/test', 'active', 0, 0);"
    "INSERT INTO attempts VALUES (1, 4, 1, 1, 1, 'done', 'ok', '', 0, 0),"
    " (2, 5, 1, 1, 2, 'lost', 'ok', '', 0, 0), (3, 5, 2, 1, 3, 'done', 'ok', '', 0, 0),"
    " (4, 6, 1, 1, 4, 'active', 'ok', '', 0, NULL);"
    "INSERT INTO evaluations VALUES (1, 1, 1, 'e', 'w1', 'f32/test', 1.0, 0.5, 9, 'ok', '', 1),"
    " (2, 1, 1, 'e', 'w2', 'f32/test', 1.0, 0.5, 9, 'ok', '', 2),"
    " (3, 1, 1, '', '', '', 0.0, 0.0, 0, 'nan', 'layer 3', 3),"
    " (4, 1, 1, 'e', 'w4', 'f32/test', 2.0, 1.5, 9, 'ok', '', 4),"
    " (5, 2, 1, 'e', 'w5', 'f32/test', 2.0, 1.5, 9, 'ok', '', 5),"
    " (8, 0, NULL, 'e', 'w4', 'f32/test', 0.0, 0.0, 0, 'ok', '', 6);"
    "INSERT INTO scores VALUES (4, 0, 'acc', 0.4, 0.1, 4), (5, 0, 'acc_norm', 0.5, NULL, 4),"
    " (5, 0, 'acc', 0.75, 0.1, 4), (5, 1, 'bits', 1.5, NULL, 2),"
    " (2, 0, 'acc', 0.25, 0.1, 4), (2, 1, 'bits', 2.0, NULL, 2);"
    "INSERT INTO events VALUES (1, 1000, 'ask', 0, '', 'first', 'c'),"
    " (2, 2500, 'tell', 0, '', 'second', 'c'), (3, 11000, 'ask', 0, '', 'third', 'c');";

/* Keep per-document values [n, n_metrics] of a candidate. */
static void add_documents(struct store *store, int candidate, int task, const char *metrics,
                          double *values, size_t n, size_t n_metrics)
{
    uint32_t first[8] = {0};
    double loglikelihood = 0;
    uint8_t greedy = 0;
    const struct score_task documents = {.n = n,
                                         .n_metrics = n_metrics,
                                         .document_values = values,
                                         .first = first,
                                         .loglikelihoods = &loglikelihood,
                                         .greedy = &greedy};
    unsigned char *bytes = NULL;
    size_t size = 0;
    sqlite3_stmt *insert = NULL;

    score_pack(&documents, &bytes, &size);
    assert_int_equal(sqlite3_prepare_v2(store->db, "INSERT INTO documents VALUES (?, ?, ?, 0, ?)",
                                        -1, &insert, NULL),
                     SQLITE_OK);
    sqlite3_bind_int(insert, 1, candidate);
    sqlite3_bind_int(insert, 2, task);
    sqlite3_bind_text(insert, 3, metrics, -1, SQLITE_STATIC);
    sqlite3_bind_blob(insert, 4, bytes, (int)size, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
    sqlite3_finalize(insert);
    free(bytes);
}

static void run_sql(struct store *store, const char *sql)
{
    char *message = NULL;

    if (sqlite3_exec(store->db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s", message);
    }
}

static int set_up(void **state)
{
    struct store *store = mem_array(1, sizeof(*store));
    struct file_bytes schema = {0};
    double best[] = {0, 1, 1, 1, 1, 1, 0, 1};   /* acc_norm, acc of four documents: acc 1 1 1 1 */
    double parent[] = {0, 1, 1, 0, 1, 1, 0, 0}; /*                                 acc 1 0 1 0 */
    /* Of bits, as of every perplexity, documents hold log-likelihoods: more of them is better. */
    double fewer[] = {-1.0, -2.0};
    double more[] = {-1.5, -2.5};

    assert_int_equal(sqlite3_open(":memory:", &store->db), SQLITE_OK);
    assert_int_equal(file_read(&schema, TESTS_DIR "/../store/schema.sql", 1 << 20, NULL), 0);
    run_sql(store, schema.data);
    run_sql(store, rows);
    add_documents(store, 5, 0, "[\"acc_norm\",\"acc\"]", best, 4, 2);
    add_documents(store, 2, 0, "[\"acc_norm\",\"acc\"]", parent, 4, 2);
    add_documents(store, 5, 1, "[\"bits\"]", fewer, 2, 1);
    add_documents(store, 2, 1, "[\"bits\"]", more, 2, 1);
    file_release(&schema);
    *state = store;
    return 0;
}

static int tear_down(void **state)
{
    struct store *store = *state;

    sqlite3_close(store->db);
    free(store);
    return 0;
}

static json_t *summary_of(struct store *store)
{
    json_t *doc = NULL;
    struct err err = {0};

    if (store_view_summary(store, &doc, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return doc;
}

static json_int_t integer(const json_t *doc, const char *key)
{
    return json_integer_value(json_object_get(doc, key));
}

static double number(const json_t *doc, const char *key)
{
    return json_number_value(json_object_get(doc, key));
}

static const char *string(const json_t *doc, const char *key)
{
    return json_string_value(json_object_get(doc, key));
}

static void a_summary_counts_what_is_done(void **state)
{
    json_t *doc = summary_of(*state);

    assert_string_equal(string(doc, "study"), "night");
    assert_string_equal(string(doc, "objective"), "weighted_mean");
    assert_int_equal(integer(doc, "evaluations"), 3);
    assert_int_equal(integer(doc, "evaluations_max"), 40);
    assert_int_equal(integer(doc, "done"), 6);
    assert_int_equal(integer(doc, "failed"), 1);
    assert_int_equal(integer(doc, "leased"), 1);
    assert_int_equal(integer(doc, "last_event"), 3);
    assert_int_equal(json_array_size(json_object_get(doc, "tasks")), 2);
    assert_true(number(json_object_get(doc, "cost"), "elapsed_s") == 10.0);
    assert_true(number(json_object_get(doc, "cost"), "cpu_s") == 4.0);
    assert_int_equal(integer(json_object_get(doc, "workers"), "active"), 1);
    assert_true(fabs(number(doc, "eta_s") - 37 * 1.2) < 1e-9);
    json_decref(doc);
}

static void a_summary_knows_the_best_and_its_rivals(void **state)
{
    json_t *doc = summary_of(*state);
    const json_t *baselines = json_object_get(doc, "baselines");

    assert_int_equal(integer(json_object_get(doc, "best"), "candidate"), 5);
    assert_true(number(json_object_get(doc, "best"), "value") == 0.75);
    assert_true(json_is_null(json_object_get(doc, "winner")));
    assert_int_equal(json_array_size(baselines), 3);
    assert_true(json_is_true(json_object_get(json_array_get(baselines, 0), "parent")));
    assert_true(json_is_false(json_object_get(json_array_get(baselines, 2), "parent")));
    assert_true(json_is_null(json_object_get(json_array_get(baselines, 0), "failure")));
    assert_string_equal(string(json_array_get(baselines, 2), "failure"), "nan");
    assert_true(json_is_null(json_object_get(json_array_get(baselines, 2), "value")));
    json_decref(doc);
}

static void the_best_is_compared_with_the_best_parent_document_by_document(void **state)
{
    json_t *doc = summary_of(*state);
    const json_t *comparison = json_object_get(doc, "comparison");
    /* acc differs by 0 1 0 1: mean 0.5, error squared (2 - 4 / 4) / 16; bits, lower is better, by
     * 0.5 each: no error. */
    double reach = 1.96 * sqrt(1.0 / 16) / 2;

    assert_string_equal(string(comparison, "against"), "parent reverser");
    assert_int_equal(integer(comparison, "n"), 6);
    assert_true(fabs(number(comparison, "difference") - 0.5) < 1e-12);
    assert_true(fabs(number(comparison, "low") - (0.5 - reach)) < 1e-12);
    assert_true(fabs(number(comparison, "high") - (0.5 + reach)) < 1e-12);
    json_decref(doc);
}

static void documents_that_do_not_match_are_not_compared(void **state)
{
    struct store *store = *state;

    run_sql(store, "UPDATE documents SET packed = x'00' WHERE candidate = 2 AND task = 1;");
    json_t *doc = summary_of(store);
    assert_true(json_is_null(json_object_get(doc, "comparison")));
    json_decref(doc);
}

static void a_database_without_a_study_is_missing_something(void **state)
{
    struct store *store = *state;
    json_t *doc = NULL;
    struct err err = {0};

    run_sql(store, "DELETE FROM study");
    assert_int_equal(store_view_summary(store, &doc, &err), ERR_MISSING);
    assert_null(doc);
}

static void the_history_has_a_row_a_generation_and_a_value_a_candidate(void **state)
{
    json_t *doc = NULL;

    assert_int_equal(store_view_history(*state, &doc, NULL), 0);
    const json_t *generations = json_object_get(doc, "generations");
    const json_t *values = json_object_get(doc, "values");
    assert_int_equal(json_array_size(generations), 2);
    assert_int_equal(integer(json_array_get(generations, 0), "evaluations"), 2);
    assert_int_equal(integer(json_array_get(generations, 1), "evaluations"), 5);
    assert_true(fabs(number(json_array_get(generations, 0), "mean") - 0.575) < 1e-12);
    assert_true(number(json_array_get(generations, 1), "best_so_far") == 0.75);
    assert_true(number(json_array_get(generations, 1), "best") == 0.4);
    assert_int_equal(json_array_size(values), 5);
    assert_true(json_is_null(json_array_get(values, 3)));
    json_decref(doc);
}

static void candidates_come_sorted_filtered_and_in_pages(void **state)
{
    struct store_filter filter = {.sort = STORE_SORT_VALUE, .descending = true, .limit = 2};
    json_t *doc = NULL;

    assert_int_equal(store_view_candidates(*state, &filter, &doc, NULL), 0);
    assert_int_equal(integer(doc, "total"), 8);
    assert_int_equal(json_array_size(json_object_get(doc, "rows")), 2);
    assert_int_equal(integer(json_array_get(json_object_get(doc, "rows"), 0), "candidate"), 5);
    assert_int_equal(integer(json_array_get(json_object_get(doc, "rows"), 1), "candidate"), 2);
    json_decref(doc);

    filter = (struct store_filter){.stage = "search", .status = "done", .limit = 10, .offset = 1};
    assert_int_equal(store_view_candidates(*state, &filter, &doc, NULL), 0);
    assert_int_equal(integer(doc, "total"), 3);
    assert_int_equal(json_array_size(json_object_get(doc, "rows")), 2);
    assert_int_equal(integer(json_array_get(json_object_get(doc, "rows"), 0), "candidate"), 5);
    json_decref(doc);
}

static void every_sort_puts_what_is_unknown_last(void **state)
{
    for (int sort = STORE_SORT_NUMBER; sort <= STORE_SORT_WALL; sort++) {
        for (int descending = 0; descending < 2; descending++) {
            const struct store_filter filter = {
                .sort = (enum store_sort)sort, .descending = descending != 0, .limit = 10};
            json_t *doc = NULL;

            assert_int_equal(store_view_candidates(*state, &filter, &doc, NULL), 0);
            const json_t *last = json_array_get(json_object_get(doc, "rows"), 7);
            if (sort == STORE_SORT_VALUE) {
                assert_true(json_is_null(json_object_get(last, "value")));
            }
            if (sort == STORE_SORT_WALL) {
                assert_true(json_is_null(json_object_get(last, "wall_s")));
            }
            json_decref(doc);
        }
    }
}

static void a_candidate_has_its_recipe_and_scores(void **state)
{
    json_t *doc = NULL;
    struct err err = {0};

    assert_int_equal(store_view_candidate(*state, 5, &doc, NULL), 0);
    const json_t *scores = json_object_get(doc, "scores");
    assert_string_equal(string(json_object_get(doc, "recipe"), "method"), "linear");
    assert_string_equal(string(doc, "recipe_digest"), "r1");
    assert_string_equal(string(doc, "weights"), "w5");
    assert_string_equal(string(doc, "worker"), "local-1");
    assert_true(number(json_object_get(doc, "tasks"), "addition") == 0.75);
    assert_int_equal(json_array_size(scores), 3);
    assert_string_equal(string(json_array_get(scores, 0), "metric"),
                        "acc"); /* the searched one first */
    assert_true(json_is_null(json_object_get(json_array_get(scores, 1), "error")));
    json_decref(doc);
    doc = NULL;
    assert_int_equal(store_view_candidate(*state, 99, &doc, &err), ERR_MISSING);
    assert_string_equal(err.text, "candidate 99: there is none");
    assert_null(doc);
}

static void a_candidate_that_repeats_another_has_its_scores(void **state)
{
    json_t *doc = NULL;

    assert_int_equal(store_view_candidate(*state, 8, &doc, NULL), 0);
    assert_string_equal(string(doc, "weights"), "w4");
    assert_true(number(json_object_get(doc, "tasks"), "addition") == 0.4);
    assert_true(json_is_null(json_object_get(doc, "failure")));
    json_decref(doc);
}

static void a_candidate_that_nobody_has_touched_has_gaps(void **state)
{
    json_t *doc = NULL;

    assert_int_equal(store_view_candidate(*state, 7, &doc, NULL), 0);
    assert_string_equal(string(doc, "weights"), "");
    assert_string_equal(string(doc, "worker"), "");
    assert_true(json_is_null(json_object_get(doc, "value")));
    assert_int_equal(json_array_size(json_object_get(doc, "scores")), 0);
    json_decref(doc);
}

static void a_worker_has_its_record(void **state)
{
    json_t *doc = NULL;

    assert_int_equal(store_view_workers(*state, &doc, NULL), 0);
    const json_t *busy = json_array_get(json_object_get(doc, "workers"), 0);
    const json_t *silent = json_array_get(json_object_get(doc, "workers"), 1);
    assert_string_equal(string(busy, "name"), "local-1");
    assert_string_equal(string(busy, "state"), "working");
    assert_int_equal(integer(busy, "candidate"), 6);
    assert_int_equal(integer(busy, "done"), 2);
    assert_int_equal(integer(busy, "lost"), 1);
    assert_true(number(busy, "silent_s") < 60);
    assert_string_equal(string(silent, "state"), "silent");
    assert_true(json_is_null(json_object_get(silent, "candidate")));
    json_decref(doc);
}

static void events_come_oldest_first_from_where_one_left_off(void **state)
{
    json_t *doc = NULL;
    uint64_t last = 0;

    assert_int_equal(store_view_events(*state, 1, 10, &doc, NULL), 0);
    assert_int_equal(json_array_size(json_object_get(doc, "events")), 2);
    assert_string_equal(string(json_array_get(json_object_get(doc, "events"), 0), "text"),
                        "second");
    assert_string_equal(string(json_array_get(json_object_get(doc, "events"), 0), "at"),
                        "1970-01-01T00:00:02.500Z");
    json_decref(doc);
    assert_int_equal(store_view_events(*state, 0, 1, &doc, NULL), 0);
    assert_string_equal(string(json_array_get(json_object_get(doc, "events"), 0), "text"), "third");
    json_decref(doc);
    assert_int_equal(store_view_last_event(*state, &last, NULL), 0);
    assert_int_equal(last, 3);
}

static void the_report_is_as_it_was_written(void **state)
{
    struct store *store = *state;
    json_t *doc = NULL;

    run_sql(store, "UPDATE study SET winner = 5, verdict = '[\"better than the best parent\"]';"
                   "INSERT INTO report VALUES"
                   " (0, 5, 'winner', 'winner', 50, 0.7, NULL, NULL, NULL),"
                   " (1, 2, 'parent reverser', 'parent', 50, 0.5, 0.2, 0.1, 0.3);");
    assert_int_equal(store_view_report(store, &doc, NULL), 0);
    const json_t *report = json_object_get(doc, "report");
    assert_int_equal(json_array_size(report), 2);
    assert_true(json_is_null(json_object_get(json_array_get(report, 0), "difference")));
    assert_true(number(json_array_get(report, 1), "low") == 0.1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(doc, "verdict"), 0)),
                        "better than the best parent");
    json_decref(doc);
    doc = summary_of(store);
    assert_int_equal(integer(json_object_get(doc, "winner"), "candidate"), 5);
    json_decref(doc);
}

static void several_objectives_have_a_front_and_points(void **state)
{
    struct store *store = *state;
    json_t *doc = summary_of(store);

    assert_int_equal(json_array_size(json_object_get(doc, "objectives")), 0);
    assert_int_equal(json_array_size(json_object_get(doc, "front")), 0);
    json_decref(doc);
    run_sql(store,
            "UPDATE study SET form = '{\"objective\":{\"pareto\":[\"addition\",\"prose\"]}}';"
            "INSERT INTO scores VALUES (4, 1, 'bits', 1.25, NULL, 2);"
            "INSERT INTO objectives VALUES (0, 0), (1, 1);"
            "INSERT INTO front VALUES (4), (5);");
    doc = summary_of(store);
    assert_string_equal(string(doc, "objective"), "pareto");
    assert_string_equal(json_string_value(json_array_get(json_object_get(doc, "objectives"), 1)),
                        "prose");
    const json_t *first = json_array_get(json_object_get(doc, "front"), 0);

    assert_int_equal(integer(first, "candidate"), 5);
    assert_true(number(json_object_get(first, "tasks"), "prose") == 1.5);
    json_decref(doc);
    assert_int_equal(store_view_history(store, &doc, NULL), 0);
    const json_t *points = json_object_get(doc, "objectives");

    assert_int_equal(json_array_size(points), 5);
    assert_true(json_number_value(json_array_get(json_array_get(points, 0), 1)) == 1.25);
    assert_true(json_is_null(json_array_get(points, 2)));
    assert_true(json_equal(json_array_get(points, 4), json_array_get(points, 0)));
    json_decref(doc);
}

static void the_study_names_its_models(void **state)
{
    json_t *doc = NULL;

    assert_int_equal(store_view_study(*state, &doc, NULL), 0);
    assert_int_equal(integer(json_object_get(doc, "study"), "seed"), 7);
    assert_string_equal(string(json_array_get(json_object_get(doc, "models"), 1), "name"),
                        "reverser");
    json_decref(doc);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_summary_counts_what_is_done),
        TEST(a_summary_knows_the_best_and_its_rivals),
        TEST(the_best_is_compared_with_the_best_parent_document_by_document),
        TEST(documents_that_do_not_match_are_not_compared),
        TEST(a_database_without_a_study_is_missing_something),
        TEST(the_history_has_a_row_a_generation_and_a_value_a_candidate),
        TEST(candidates_come_sorted_filtered_and_in_pages),
        TEST(every_sort_puts_what_is_unknown_last),
        TEST(a_candidate_has_its_recipe_and_scores),
        TEST(a_candidate_that_repeats_another_has_its_scores),
        TEST(a_candidate_that_nobody_has_touched_has_gaps),
        TEST(a_worker_has_its_record),
        TEST(events_come_oldest_first_from_where_one_left_off),
        TEST(the_report_is_as_it_was_written),
        TEST(several_objectives_have_a_front_and_points),
        TEST(the_study_names_its_models),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
