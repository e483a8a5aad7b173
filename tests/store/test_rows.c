/* What goes in comes out: generations, candidates, evaluations, workers, attempts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/store_internal.h"
#include "tests/store/rows.h"

static struct err err;

static int set_up(void **state)
{
    struct store *store = NULL;

    rows_must(store_open(&store, ":memory:", &err), &err);
    rows_must(store_begin(store, STORE_DURABLE, &err), &err);
    rows_add_study(store);
    rows_add_generation(store, 0, "baseline");
    rows_add_generation(store, 1, "search");
    rows_add_generation(store, 2, "search");
    rows_add_candidate(store, 1, 0, 0, 'a');
    rows_add_candidate(store, 2, 1, 0, 'b');
    rows_add_candidate(store, 3, 1, 1, 'c');
    rows_add_candidate(store, 4, 2, 0, 'd');
    rows_add_candidate(store, 5, 2, 1, 'c'); /* the same recipe as 3 */
    rows_must(store_commit(store, &err), &err);
    *state = store;
    return 0;
}

static int tear_down(void **state)
{
    store_close(*state);
    return 0;
}

static void begin(struct store *store)
{
    rows_must(store_begin(store, STORE_ORDERED, &err), &err);
}

static void commit(struct store *store)
{
    rows_must(store_commit(store, &err), &err);
}

static uint64_t add_worker(struct store *store, const char *name)
{
    char boot_id[33];
    char build[] = "0", path[] = "f32/test", called[16];
    const struct store_worker worker = {0, boot_id, called, build, path};
    uint64_t number = 0;

    snprintf(called, sizeof(called), "%s", name);
    snprintf(boot_id, sizeof(boot_id), "%032d", name[0]);
    rows_must(store_add_worker(store, &worker, &number, &err), &err);
    return number;
}

/* ---- generations ---- */

static void a_generation_comes_back_bit_for_bit(void **state)
{
    struct store_generation generation = {0};

    rows_must(store_generation(*state, 1, &generation, &err), &err);
    assert_string_equal(generation.stage, "search");
    assert_int_equal(generation.generation, 0);
    assert_true(generation.sigma == 0.25);
    assert_int_equal(generation.n_mean, 2);
    assert_true(generation.mean[1] == 0.5);
    assert_int_equal(generation.n_optimiser, 3);
    assert_int_equal(generation.optimiser[2], 3);
    assert_string_equal(generation.trajectory, "");
    store_generation_release(&generation);
    assert_int_equal(store_generation(*state, 9, &generation, &err), ERR_MISSING);
}

static void a_told_generation_has_its_trajectory(void **state)
{
    struct store *store = *state;
    struct store_study study = rows_study();
    struct store_generation generation = {0};

    begin(store);
    rows_must(store_set_told(store, 0, study.trajectory, &err), &err);
    commit(store);
    rows_must(store_generation(store, 0, &generation, &err), &err);
    assert_string_equal(generation.trajectory, study.trajectory);
    store_study_release(&study);
    store_generation_release(&generation);
}

/* ---- candidates ---- */

static void a_candidate_comes_back_bit_for_bit(void **state)
{
    struct store_candidate row = {0};

    rows_must(store_candidate(*state, 3, &row, &err), &err);
    assert_int_equal(row.generation, 1);
    assert_int_equal(row.number, 1);
    assert_string_equal(row.recipe, "{\"recipe\":\"c\"}");
    assert_int_equal(row.split, SPLIT_SEARCH);
    assert_int_equal(row.n_point, 2);
    assert_true(row.point[1] == 1.0 / 3.0);
    assert_int_equal(row.status, STORE_PENDING);
    assert_true(isnan(row.value));
    assert_string_equal(row.digest, "");
    store_candidate_release(&row);
    assert_int_equal(store_candidate(*state, 99, &row, &err), ERR_MISSING);
}

static void candidates_come_in_the_order_of_telling(void **state)
{
    struct store_candidate *rows = NULL;
    size_t n = 0;

    rows_must(store_candidates(*state, 1, &rows, &n, &err), &err);
    assert_int_equal(n, 2);
    assert_int_equal(rows[0].candidate, 2);
    assert_int_equal(rows[1].candidate, 3);
    store_candidates_free(rows, n);
    rows_must(store_candidates(*state, 7, &rows, &n, &err), &err);
    assert_int_equal(n, 0);
    store_candidates_free(rows, n);
}

static void what_changes_of_a_candidate_is_kept(void **state)
{
    struct store *store = *state;
    struct store_candidate row = {0};

    rows_must(store_candidate(store, 2, &row, &err), &err);
    row.status = STORE_HELD;
    row.failures = 2;
    row.losses = 5;
    begin(store);
    rows_must(store_set_candidate(store, &row, &err), &err);
    commit(store);
    store_candidate_release(&row);
    rows_must(store_candidate(store, 2, &row, &err), &err);
    assert_int_equal(row.status, STORE_HELD);
    assert_int_equal(row.failures, 2);
    assert_int_equal(row.losses, 5);
    store_candidate_release(&row);
}

static void the_first_with_a_recipe_is_found(void **state)
{
    struct store_candidate row = {0};
    uint64_t found = 0;

    rows_must(store_candidate(*state, 5, &row, &err), &err);
    rows_must(store_find_candidate(*state, row.recipe_digest, SPLIT_SEARCH, &found, &err), &err);
    assert_int_equal(found, 3);
    rows_must(store_find_candidate(*state, row.recipe_digest, SPLIT_REPORT, &found, &err), &err);
    assert_int_equal(found, 0);
    store_candidate_release(&row);
}

static void the_best_are_of_the_search_and_of_distinct_recipes(void **state)
{
    struct store *store = *state;
    struct store_candidate *rows = NULL;
    size_t n = 0;

    begin(store);
    rows_add_result(store, 1, 0.875); /* a baseline */
    rows_add_result(store, 2, 0.5);
    rows_add_result(store, 3, 0.75);
    rows_add_result(store, 4, 0.75);
    rows_add_result(store, 5, 0.75); /* repeats 3 */
    commit(store);
    rows_must(store_best_candidates(store, 10, &rows, &n, &err), &err);
    assert_int_equal(n, 3);
    assert_int_equal(rows[0].candidate, 3);
    assert_int_equal(rows[1].candidate, 4);
    assert_int_equal(rows[2].candidate, 2);
    store_candidates_free(rows, n);
    rows_must(store_best_candidates(store, 1, &rows, &n, &err), &err);
    assert_int_equal(n, 1);
    store_candidates_free(rows, n);
}

static void a_tally_counts_by_stage(void **state)
{
    struct store *store = *state;
    struct store_tally tally;

    rows_must(store_tally(store, &tally, &err), &err);
    assert_int_equal(tally.candidates, 5);
    assert_int_equal(tally.done, 0);
    assert_true(isnan(tally.best));
    begin(store);
    rows_add_result(store, 1, 0.875);
    rows_add_result(store, 3, 0.75);
    rows_add_result(store, 4, 0.75);
    commit(store);
    rows_must(store_tally(store, &tally, &err), &err);
    assert_int_equal(tally.done, 3);
    assert_int_equal(tally.searched, 2);
    assert_true(tally.best == 0.75);
    assert_int_equal(tally.best_generation, 0); /* the first that reached it */
    assert_true(isnan(tally.best_parent));      /* candidate 1 is no parent */
}

/* ---- evaluations ---- */

static void a_score_comes_back_with_the_same_digest(void **state)
{
    struct store *store = *state;
    struct score score = {0};
    struct score expected = rows_score(0.5);
    double values[2];

    begin(store);
    rows_add_result(store, 2, 0.5);
    commit(store);
    rows_must(store_score(store, 2, &score, &err), &err);
    assert_int_equal(score.n_tasks, 2);
    assert_string_equal(score.tasks[1].name, "spell");
    assert_string_equal(score.tasks[0].metrics[0], "bits");
    assert_true(isnan(score.tasks[0].errors[0]));
    assert_true(score.tasks[0].errors[1] == 0.125);
    assert_int_equal(score.tasks[1].truncated, 1);
    assert_memory_equal(score.tasks[0].document_values, expected.tasks[0].document_values,
                        2 * ROWS_DOCUMENTS * sizeof(double));
    assert_string_equal(score.path, "f32/test");
    assert_true(score.wall_s == 1.5);
    rows_must(store_values(store, 2, 2, values, &err), &err);
    assert_true(values[0] == 0.5 && values[1] == 0.625);
    score_release(&score);
    score_release(&expected);
}

static void a_candidate_without_a_result_has_no_score(void **state)
{
    struct score score = {0};
    double values[2];

    assert_int_equal(store_score(*state, 2, &score, &err), ERR_MISSING);
    assert_int_equal(store_values(*state, 2, 2, values, &err), ERR_MISSING);
}

static void a_flipped_bit_in_the_documents_is_found(void **state)
{
    struct store *store = *state;
    struct score score = {0};

    begin(store);
    rows_add_result(store, 2, 0.5);
    rows_must(store_run(store, &err,
                        "UPDATE documents SET packed = CAST(substr(packed, 1, 40) || x'01' ||"
                        " substr(packed, 42) AS BLOB) WHERE task = 1",
                        ""),
              &err);
    commit(store);
    assert_int_equal(store_score(store, 2, &score, &err), ERR_CONFLICT);
    assert_string_equal(err.text,
                        "candidate 2: database: damaged: the result is not what was stored");
}

static void a_repeat_has_the_same_score_at_no_cost(void **state)
{
    struct store *store = *state;
    struct score score = {0};
    double walls[4];
    size_t n = 0;

    begin(store);
    rows_add_result(store, 3, 0.5);
    rows_must(store_copy_evaluation(store, 3, 5, &err), &err);
    commit(store);
    rows_must(store_score(store, 5, &score, &err), &err);
    assert_true(score.wall_s == 0.0);
    assert_true(score.tasks[0].values[1] == 0.5);
    rows_must(store_recent_walls(store, 4, walls, &n, &err), &err);
    assert_int_equal(n, 1); /* the repeat took no time, and says nothing of the usual */
    score_release(&score);
}

static void a_failure_has_its_kind_and_line(void **state)
{
    struct store *store = *state;
    char line[] = "layer 3: not finite";
    const struct score failed = {.failure = SCORE_NAN, .detail = line};
    const struct store_evaluation evaluation = {2, 1, 0, &failed, ""};
    struct store_candidate row = {0};
    struct score score = {0};

    begin(store);
    rows_must(store_add_evaluation(store, &evaluation, &err), &err);
    commit(store);
    rows_must(store_score(store, 2, &score, &err), &err);
    assert_int_equal(score.failure, SCORE_NAN);
    assert_string_equal(score.detail, "layer 3: not finite");
    assert_int_equal(score.n_tasks, 0);
    rows_must(store_candidate(store, 2, &row, &err), &err);
    assert_int_equal(row.failure, SCORE_NAN);
    store_candidate_release(&row);
    score_release(&score);
}

static void only_one_result_a_candidate_counts(void **state)
{
    struct store *store = *state;
    struct score score = rows_score(0.5);
    char digest[DIGEST_HEX];
    const struct store_evaluation again = {2, 2, 0, &score, digest};
    uint64_t n = 0;

    score_digest(&score, digest);
    begin(store);
    rows_add_result(store, 2, 0.5);
    assert_int_equal(store_add_evaluation(store, &again, &err), ERR_CONFLICT);
    rows_must(store_add_conflict(store, &again, &err), &err);
    rows_must(store_add_conflict(store, &again, &err), &err); /* the same evidence, once */
    commit(store);
    rows_must(store_number(store, &n, &err, "SELECT count(*) FROM conflicts", ""), &err);
    assert_int_equal(n, 1);
    score_release(&score);
}

/* ---- workers and attempts ---- */

static void a_boot_id_has_one_number(void **state)
{
    struct store *store = *state;
    struct store_worker worker = {0};

    begin(store);
    uint64_t one = add_worker(store, "one");
    uint64_t two = add_worker(store, "two");
    assert_int_equal(add_worker(store, "one"), one);
    rows_must(store_count_invalid(store, two, &err), &err);
    commit(store);
    assert_int_not_equal(one, two);
    rows_must(store_worker(store, two, &worker, &err), &err);
    assert_string_equal(worker.name, "two");
    store_worker_release(&worker);
    assert_int_equal(store_worker(store, 77, &worker, &err), ERR_MISSING);
}

static void attempts_come_by_lease_with_their_outcome(void **state)
{
    struct store *store = *state;
    struct store_attempt *rows = NULL;
    size_t n = 0;

    begin(store);
    struct store_attempt attempt = {.lease = (1ULL << 32) + 1,
                                    .candidate = 2,
                                    .number = 1,
                                    .worker = add_worker(store, "one"),
                                    .seq = 9};
    rows_must(store_add_attempt(store, &attempt, &err), &err);
    attempt.outcome = STORE_BROKEN;
    attempt.failure = SCORE_OOM;
    rows_must(store_end_attempt(store, &attempt, "16 GiB", &err), &err);
    attempt =
        (struct store_attempt){.lease = (1ULL << 32) + 2, .candidate = 3, .number = 1, .worker = 1};
    rows_must(store_add_attempt(store, &attempt, &err), &err);
    attempt =
        (struct store_attempt){.lease = (1ULL << 32) + 3, .candidate = 4, .number = 1, .worker = 1};
    rows_must(store_add_attempt(store, &attempt, &err), &err);
    commit(store);
    rows_must(store_attempts(store, 1, &rows, &n, &err), &err);
    assert_int_equal(n, 2); /* the third is of another generation */
    assert_int_equal(rows[0].seq, 9);
    assert_int_equal(rows[0].outcome, STORE_BROKEN);
    assert_int_equal(rows[0].failure, SCORE_OOM);
    assert_int_equal(rows[1].outcome, STORE_ACTIVE);
    rows_must(store_attempt(store, (1ULL << 32) + 3, &attempt, &err), &err);
    assert_int_equal(attempt.candidate, 4);
    assert_int_equal(store_attempt(store, 5, &attempt, &err), ERR_MISSING);
    free(rows);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_generation_comes_back_bit_for_bit),
        TEST(a_told_generation_has_its_trajectory),
        TEST(a_candidate_comes_back_bit_for_bit),
        TEST(candidates_come_in_the_order_of_telling),
        TEST(what_changes_of_a_candidate_is_kept),
        TEST(the_first_with_a_recipe_is_found),
        TEST(the_best_are_of_the_search_and_of_distinct_recipes),
        TEST(a_tally_counts_by_stage),
        TEST(a_score_comes_back_with_the_same_digest),
        TEST(a_candidate_without_a_result_has_no_score),
        TEST(a_flipped_bit_in_the_documents_is_found),
        TEST(a_repeat_has_the_same_score_at_no_cost),
        TEST(a_failure_has_its_kind_and_line),
        TEST(only_one_result_a_candidate_counts),
        TEST(a_boot_id_has_one_number),
        TEST(attempts_come_by_lease_with_their_outcome),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
