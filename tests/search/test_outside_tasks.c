/* The coordinator over tasks that other programs score: what they say of documents, and what not.
 */
#include "tests/search/house.h"

/* A house whose tasks' documents are not known beforehand. */
static int set_up_outside(void **state)
{
    struct house *house = mem_array(1, sizeof(*house));

    world_init(&house->world, 3, 4, 8);
    house->world.failing = 0;
    house->world.options.attempts = 2;
    must(house, store_open(&house->store, ":memory:", &house->err));
    for (size_t t = 0; t < WORLD_TASKS; t++) {
        struct coordinator_task *task = &house->world.tasks[t];

        memset(task->documents, 0, sizeof(task->documents));
        task->unsplit = true;
    }
    open_again(house);
    *state = house;
    return 0;
}

/* The world's score; kept: documents of each task whose values are told, the rest is counted. */
static struct score score_with(struct house *house, const struct job *job, size_t kept)
{
    const struct world *world = &house->world;
    struct world scored = *world;
    struct score score = {0};

    for (size_t t = 0; t < WORLD_TASKS; t++) {
        scored.tasks[t].documents[job->split] = WORLD_DOCUMENTS;
    }
    world_score(&scored, job->recipe, job->split, &score);
    for (size_t t = 0; t < WORLD_TASKS; t++) {
        score.tasks[t].n = kept;
        score.tasks[t].n_told = kept > 0 ? 0 : WORLD_DOCUMENTS;
    }
    return score;
}

static void finish(struct house *house, size_t kept)
{
    uint64_t worker = hello(house, "one");

    while (strcmp(status_of(house).stage, "finished") != 0) {
        struct job job = lease(house, worker);
        struct score score = score_with(house, &job, kept);
        enum coordinator_verdict verdict;

        must(house, coordinator_result(house->coordinator, job.candidate, job.attempt, job.lease,
                                       &score, house->now_ms, &verdict, &house->err));
        assert_int_equal(verdict, COORDINATOR_STORED);
        score_release(&score);
        job_release(&job);
    }
}

static void values_without_documents_are_compared_without_an_interval(void **state)
{
    struct house *house = *state;

    finish(house, 0);
    assert_int_equal(count(house, "SELECT count(*) FROM report WHERE difference IS NOT NULL"),
                     WORLD_BASELINES);
    assert_int_equal(count(house, "SELECT count(*) FROM report WHERE low IS NOT NULL"), 0);
    assert_int_equal(count(house, "SELECT verdict LIKE '[\"above the best parent by % points; "
                                  "without per-document results%' FROM study"),
                     1);
    assert_true(count(house, "SELECT min(n) FROM scores") == WORLD_DOCUMENTS);
}

static void documents_that_a_program_tells_are_paired(void **state)
{
    struct house *house = *state;

    finish(house, WORLD_DOCUMENTS);
    assert_int_equal(count(house, "SELECT count(*) FROM report WHERE low > 0"), WORLD_BASELINES);
}

static void the_same_data_in_every_split_are_called_no_test(void **state)
{
    struct house *house = *state;

    finish(house, 0);
    assert_int_equal(
        count(house,
              "SELECT verdict LIKE '%was scored on the same data in every split%' FROM study"),
        1);
}

static void a_search_is_the_same_after_a_restart(void **state)
{
    struct house *house = *state;

    finish(house, 0);
    open_again(house); /* which walks it again */
    assert_string_equal(status_of(house).state, "finished");
}

static void as_many_attempts_are_made_as_the_options_say(void **state)
{
    struct house *house = *state;
    uint64_t one = hello(house, "one"), two = hello(house, "two");
    struct job job = lease(house, one);

    give_up(house, &job, SCORE_EXIT);
    assert_stored(house, job.candidate, STORE_PENDING, 1, 0);
    struct job again = lease(house, two);
    assert_int_equal(again.candidate, job.candidate);
    give_up(house, &again, SCORE_EXIT);
    assert_stored(house, job.candidate, STORE_FAILED, 2, 0);
    job_release(&job);
    job_release(&again);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_outside, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(values_without_documents_are_compared_without_an_interval),
        TEST(documents_that_a_program_tells_are_paired),
        TEST(the_same_data_in_every_split_are_called_no_test),
        TEST(a_search_is_the_same_after_a_restart),
        TEST(as_many_attempts_are_made_as_the_options_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
