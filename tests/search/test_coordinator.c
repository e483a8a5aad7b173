/* The coordinator, one event after the other, on a store in memory. */
#include "tests/search/house.h"

/* ---- the course of a study ---- */

static void a_study_goes_from_its_baselines_to_its_report(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");

    assert_string_equal(status_of(house).stage, "baseline");
    work_until(house, worker, "search");
    assert_true(status_of(house).best_parent > 0.0);
    assert_true(isnan(status_of(house).best) != 0);
    work_until(house, worker, "select");
    assert_int_equal(status_of(house).evaluations, 8);
    work_until(house, worker, "report");
    work_until(house, worker, "finished");
    assert_string_equal(status_of(house).state, "finished");
    assert_string_equal(status_of(house).reason, "the budget of 8 evaluations is used");
    assert_int_equal(count(house, "SELECT count(*) FROM report"), 1 + WORLD_BASELINES);
    assert_int_equal(count(house, "SELECT count(*) FROM report WHERE role = 'winner'"), 1);
    assert_int_equal(count(house, "SELECT count(*) FROM report WHERE low > 0"), WORLD_BASELINES);
    assert_int_equal(
        count(house, "SELECT verdict LIKE '[\"better than the best parent by %' FROM study"), 1);
}

static void a_finished_study_stays_as_it_is(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");
    struct job job;

    work_until(house, worker, "finished");
    struct coordinator_status before = status_of(house);
    must(house, coordinator_command(house->coordinator, COORDINATOR_RESUME, 0, &house->err));
    open_again(house);
    assert_string_equal(status_of(house).state, "finished");
    assert_string_equal(status_of(house).trajectory, before.trajectory);
    assert_true(status_of(house).best == before.best);
    assert_int_equal(status_of(house).done, before.done);
    assert_int_equal(ask(house, worker, 999, &job), COORDINATOR_OVER);
}

static void opening_again_at_every_candidate_changes_nothing(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");
    struct store *other = NULL;
    struct world_end end;

    while (strcmp(status_of(house).stage, "finished") != 0) {
        open_again(house);
        work_once(house, worker);
    }
    must(house, store_open(&other, ":memory:", &house->err));
    world_undisturbed(&house->world, other, &end);
    assert_string_equal(status_of(house).trajectory, end.trajectory);
    store_close(other);
}

static void so_it_is_with_every_optimiser(void **state)
{
    static const char *const optimisers[][2] = {
        {"auto", "none"},   {"sep-cma-es", "bipop"}, {"dd-cma-es", "ipop"}, {"lq-cma-es", "none"},
        {"catcma", "ipop"}, {"discrete", "none"},    {"random", "none"},    {"halton", "none"}};

    for (size_t i = 0; i < sizeof optimisers / sizeof *optimisers; i++) {
        void *house = build(optimisers[i][0], optimisers[i][1], 24);

        opening_again_at_every_candidate_changes_nothing(&house);
        tear_down(&house);
    }
    (void)state;
}

static void so_it_is_with_several_objectives(void **state)
{
    void *house = build_several(24);

    opening_again_at_every_candidate_changes_nothing(&house);
    tear_down(&house);
    (void)state;
}

/* Pairs of finished candidates of the search of which the left dominates the right, that is in the
 * set on the right. */
#define DOMINATED(set)                                                                          \
    "SELECT count(*) FROM (SELECT c.candidate, a.value AS a, b.value AS b FROM candidates AS c" \
    "  JOIN generations AS g ON g.number = c.generation AND g.stage = 'search'"                 \
    "  JOIN scores AS a ON a.candidate = c.candidate AND a.task = 0"                            \
    "  JOIN scores AS b ON b.candidate = c.candidate AND b.task = 1) AS l JOIN"                 \
    " (SELECT c.candidate, a.value AS a, b.value AS b FROM candidates AS c"                     \
    "  JOIN generations AS g ON g.number = c.generation AND g.stage = 'search'"                 \
    "  JOIN scores AS a ON a.candidate = c.candidate AND a.task = 0"                            \
    "  JOIN scores AS b ON b.candidate = c.candidate AND b.task = 1) AS r"                      \
    " ON l.a >= r.a AND l.b >= r.b AND (l.a > r.a OR l.b > r.b) WHERE r.candidate " set

static void several_objectives_end_with_their_front(void **state)
{
    void *several = build_several(40);
    struct house *house = several;
    uint64_t worker = hello(house, "one");

    (void)state;
    work_until(house, worker, "select");
    uint64_t front = status_of(house).front;

    assert_true(front >= 2);
    assert_int_equal(count(house, "SELECT count(*) FROM front"), front);
    assert_int_equal(count(house, DOMINATED("IN (SELECT candidate FROM front)")), 0);
    assert_true(count(house, DOMINATED("NOT IN (SELECT candidate FROM front)")) > 0);
    open_again(house);
    assert_int_equal(status_of(house).front, front);
    work_until(house, worker, "finished");
    uint64_t finalists = front < 3 ? front : 3;

    assert_int_equal(count(house, "SELECT count(*) FROM report"), finalists + WORLD_BASELINES);
    assert_int_equal(count(house, "SELECT count(*) FROM report WHERE role = 'front'"),
                     finalists - 1);
    assert_int_equal(count(house, "SELECT count(*) FROM report WHERE role = 'parent'"), 2);
    assert_int_equal(count(house, "SELECT count(*) FROM standings WHERE parent NOT NULL"),
                     2 * (finalists + WORLD_BASELINES));
    assert_int_equal(
        count(house, "SELECT count(*) FROM standings WHERE number = 0 AND low <= difference"), 2);
    assert_int_equal(
        count(house, "SELECT count(*) FROM events WHERE text LIKE '%mo-cma-es: climbs%'"), 1);
    tear_down(&several);
}

static void a_phase_of_one_objective_is_told_the_mean_and_fills_the_front(void **state)
{
    struct house *house = mem_array(1, sizeof(*house));
    void *several = house;

    (void)state;
    world_init(&house->world, 3, 4, 40);
    world_objectives(&house->world);
    house->world.failing = 0;
    house->world.study.merge.n_free = 1; /* begins with a list */
    must(house, store_open(&house->store, ":memory:", &house->err));
    open_again(house);
    work_until(house, hello(house, "one"), "finished");
    assert_string_equal(status_of(house).state, "finished");
    assert_true(count(house, "SELECT count(*) FROM phases") == 2);
    assert_true(status_of(house).front >= 2);
    tear_down(&several);
}

static void a_front_that_stands_still_ends_the_search(void **state)
{
    void *several = build_several(10000);
    struct house *house = several;

    (void)state;
    house->world.study.budget.stagnation = 3;
    work_until(house, hello(house, "one"), "select");
    assert_int_equal(count(house, "SELECT max(g.generation) FROM generations AS g"),
                     3 + count(house,
                               "SELECT max(g.generation) FROM front AS f JOIN candidates AS c"
                               "    ON c.candidate = f.candidate"
                               "  JOIN generations AS g ON g.number = c.generation"));
    tear_down(&several);
}

static void candidates_that_fail_are_not_on_the_front(void **state)
{
    void *several = build_several(24);
    struct house *house = several;
    uint64_t worker = hello(house, "one");

    (void)state;
    work_until(house, worker, "search");
    for (size_t i = 0; strcmp(status_of(house).stage, "search") == 0; i++) {
        struct job job = lease(house, worker);

        if (i % 3 == 0) {
            give_up(house, &job, SCORE_NAN);
        } else {
            report(house, &job);
        }
        job_release(&job);
    }
    assert_true(status_of(house).failed >= 8);
    assert_int_equal(count(house, "SELECT count(*) FROM front AS f JOIN candidates AS c"
                                  "  ON c.candidate = f.candidate WHERE c.status != 'done'"),
                     0);
    work_until(house, worker, "finished");
    assert_string_equal(status_of(house).state, "finished");
    tear_down(&several);
}

static void the_search_ends_with_whole_generations(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");

    house->world.study.budget.evaluations = 11; /* two generations of four fit */
    work_until(house, worker, "select");
    assert_int_equal(status_of(house).evaluations, 8);
}

static void a_search_without_progress_ends(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");

    house->world.study.budget.evaluations = 10000;
    house->world.study.budget.stagnation = 2;
    work_until(house, worker, "select");
    work_until(house, worker, "finished");
    assert_string_equal(status_of(house).reason, "no better candidate for 2 generations");
}

/* lq-CMA-ES asks a candidate or two at a time. */
static void portions_of_a_generation_count_as_whole_ones_towards_stagnation(void **state)
{
    struct house *house = build("lq-cma-es", "none", 10000);
    void *built = house;

    (void)state;
    house->world.study.budget.stagnation = 3;
    work_until(house, hello(house, "one"), "finished");
    assert_string_equal(status_of(house).reason, "no better candidate for 3 generations");
    assert_true(count(house, "SELECT count(*) FROM candidates AS c JOIN generations AS g"
                             "  ON g.number = c.generation WHERE g.stage = 'search' AND"
                             "  c.candidate > (SELECT c.candidate FROM candidates AS c"
                             "    JOIN generations AS g ON g.number = c.generation"
                             "   WHERE g.stage = 'search'"
                             "   ORDER BY c.value DESC, c.candidate LIMIT 1)") >= 3 * 4);
    tear_down(&built);
}

static void asked_to_finish_it_tells_the_open_generation_and_goes_on_to_the_end(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");

    work_until(house, worker, "search");
    must(house, coordinator_command(house->coordinator, COORDINATOR_FINISH, 0, &house->err));
    assert_string_equal(status_of(house).stage, "search");
    work_until(house, worker, "select");
    assert_int_equal(status_of(house).evaluations, 4);
    work_until(house, worker, "finished");
    assert_string_equal(status_of(house).reason, "asked to finish");
}

static void a_recipe_that_was_measured_is_not_measured_again(void **state)
{
    struct house *house = *state;
    uint64_t worker;

    house->world.baselines[3].recipe = house->world.recipes[2]; /* two labels, one recipe */
    store_close(house->store);
    coordinator_close(house->coordinator);
    house->coordinator = NULL;
    must(house, store_open(&house->store, ":memory:", &house->err));
    open_again(house);
    worker = hello(house, "one");
    for (int i = 0; i < 3; i++) {
        work_once(house, worker);
    }
    assert_string_equal(status_of(house).stage, "search");
    assert_int_equal(status_of(house).done, 4);
    assert_int_equal(count(house, "SELECT repeats FROM candidates WHERE candidate = 4"), 3);
    assert_int_equal(
        count(house, "SELECT count(*) FROM evaluations WHERE attempt = 0 AND wall_s = 0"), 1);
    work_until(house, worker, "finished");
    assert_int_equal(count(house, "SELECT count(*) FROM report"), 5);
}

/* ---- pause and stop ---- */

static void a_paused_study_hands_out_nothing_and_takes_in_what_comes(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");
    struct job held = lease(house, worker), job;

    must(house, coordinator_command(house->coordinator, COORDINATOR_PAUSE, 0, &house->err));
    assert_int_equal(ask(house, worker, 50, &job), COORDINATOR_PAUSED);
    assert_int_equal(report(house, &held), COORDINATOR_STORED);
    open_again(house);
    assert_string_equal(status_of(house).state, "paused");
    must(house, coordinator_command(house->coordinator, COORDINATOR_RESUME, 0, &house->err));
    work_once(house, worker);
    job_release(&held);
}

static void a_stopped_study_goes_on_when_it_is_opened_again(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");
    struct job held = lease(house, worker), job;
    bool cancel = false;

    must(house, coordinator_command(house->coordinator, COORDINATOR_STOP, 0, &house->err));
    assert_int_equal(ask(house, worker, 50, &job), COORDINATOR_OVER);
    must(house, coordinator_beat(house->coordinator, held.lease, 0, &cancel, &house->err));
    assert_true(cancel);
    open_again(house);
    assert_string_equal(status_of(house).state, "running");
    assert_string_equal(status_of(house).reason, "");
    job_release(&held);
}

/* ---- leases ---- */

static void a_repeated_ask_gets_the_same_job(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");
    struct job first, again;

    assert_int_equal(ask(house, worker, 7, &first), COORDINATOR_JOB);
    assert_int_equal(ask(house, worker, 7, &again), COORDINATOR_JOB);
    assert_int_equal(first.lease, again.lease);
    job_release(&again);
    open_again(house);
    assert_int_equal(ask(house, worker, 7, &again), COORDINATOR_JOB);
    assert_int_equal(first.lease, again.lease);
    job_release(&again);
    assert_int_equal(ask(house, worker, 8, &again), COORDINATOR_JOB);
    assert_int_not_equal(first.candidate, again.candidate);
    job_release(&again);
    job_release(&first);
}

static void a_worker_nobody_knows_gets_no_job(void **state)
{
    struct house *house = *state;
    enum coordinator_offer offer;
    struct job job;

    assert_int_equal(coordinator_lease(house->coordinator, 77, 1, 0, &offer, &job, &house->err),
                     ERR_MISSING);
}

static void a_boot_id_keeps_its_number_over_a_restart(void **state)
{
    struct house *house = *state;
    uint64_t one = hello(house, "one"), two = hello(house, "two");
    const struct coordinator_worker bad = {"short", "x", "0", "f32"};
    uint64_t id;

    open_again(house);
    assert_int_equal(hello(house, "two"), two);
    assert_int_equal(hello(house, "one"), one);
    assert_int_equal(coordinator_register(house->coordinator, &bad, 0, &id, &house->err),
                     ERR_FORMAT);
}

static void a_silent_worker_s_candidate_is_handed_out_again_first(void **state)
{
    struct house *house = *state;
    uint64_t one = hello(house, "one"), two = hello(house, "two");
    struct job lost = lease(house, one);

    tick(house, TTL_MS - 1);
    assert_stored(house, lost.candidate, STORE_LEASED, 0, 0);
    uint64_t wake = coordinator_wake(house->coordinator);
    tick(house, 1);
    assert_stored(house, lost.candidate, STORE_PENDING, 0, 1);
    assert_int_not_equal(coordinator_wake(house->coordinator), wake);
    struct job again = lease(house, two);
    assert_int_equal(again.candidate, lost.candidate);
    assert_int_equal(again.attempt, 2);
    job_release(&lost);
    job_release(&again);
}

static void beats_keep_a_lease(void **state)
{
    struct house *house = *state;
    struct job job = lease(house, hello(house, "one"));
    bool cancel = true;

    for (int i = 0; i < 5; i++) {
        tick(house, TTL_MS - 1);
        must(house,
             coordinator_beat(house->coordinator, job.lease, house->now_ms, &cancel, &house->err));
        assert_false(cancel);
    }
    assert_stored(house, job.candidate, STORE_LEASED, 0, 0);
    assert_int_equal(coordinator_beat(house->coordinator, 4, 0, &cancel, &house->err), ERR_MISSING);
    job_release(&job);
}

static void after_a_restart_a_lease_has_its_whole_time_again(void **state)
{
    struct house *house = *state;
    struct job job = lease(house, hello(house, "one"));

    house->now_ms += 10 * TTL_MS; /* the machine was off */
    open_again(house);
    tick(house, TTL_MS - 1);
    assert_stored(house, job.candidate, STORE_LEASED, 0, 0);
    tick(house, 1);
    assert_stored(house, job.candidate, STORE_PENDING, 0, 1);
    job_release(&job);
}

static void a_lease_given_back_costs_nothing(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");
    struct job job = lease(house, worker);

    must(house, coordinator_release(house->coordinator, job.lease, 0, &house->err));
    must(house,
         coordinator_release(house->coordinator, job.lease, 0, &house->err)); /* said twice */
    assert_stored(house, job.candidate, STORE_PENDING, 0, 0);
    job_release(&job);
}

static void leases_of_an_earlier_run_s_own_workers_are_freed_by_name(void **state)
{
    struct house *house = *state;
    struct job local = lease(house, hello(house, "local-1")),
               far = lease(house, hello(house, "far-1"));

    open_again(house);
    must(house, coordinator_free_leases(house->coordinator, "local-", 0, &house->err));
    assert_stored(house, local.candidate, STORE_PENDING, 0, 0);
    assert_stored(house, far.candidate, STORE_LEASED, 0, 0);
    job_release(&local);
    job_release(&far);
}

static void lease_numbers_never_come_again(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");
    struct job first = lease(house, worker);

    open_again(house);
    struct job second = lease(house, worker);
    assert_true(second.lease > first.lease);
    job_release(&first);
    job_release(&second);
}

/* ---- results ---- */

static void a_result_after_its_lease_expired_is_still_good(void **state)
{
    struct house *house = *state;
    struct job job = lease(house, hello(house, "one"));

    tick(house, TTL_MS);
    assert_int_equal(report(house, &job), COORDINATOR_STORED);
    assert_stored(house, job.candidate, STORE_DONE, 0, 1);
    job_release(&job);
}

static void the_first_result_counts_and_the_same_bits_are_the_same(void **state)
{
    struct house *house = *state;
    uint64_t one = hello(house, "one"), two = hello(house, "two");
    struct job slow = lease(house, one);
    bool cancel = false;

    tick(house, TTL_MS);
    struct job quick = lease(house, two);
    assert_int_equal(report(house, &quick), COORDINATOR_STORED);
    must(house, coordinator_beat(house->coordinator, slow.lease, 0, &cancel, &house->err));
    assert_true(cancel);
    assert_int_equal(report(house, &slow), COORDINATOR_SAME);
    assert_int_equal(report(house, &quick), COORDINATOR_SAME);
    job_release(&slow);
    job_release(&quick);
}

static void other_bits_for_a_finished_candidate_are_kept_as_evidence(void **state)
{
    struct house *house = *state;
    struct job job = lease(house, hello(house, "one"));
    enum coordinator_verdict verdict;
    struct score score;

    assert_int_equal(report(house, &job), COORDINATOR_STORED);
    world_score(&house->world, job.recipe, job.split, &score);
    score.tasks[0].loglikelihoods[0] += 1e-9;
    must(house, coordinator_result(house->coordinator, job.candidate, 1, job.lease, &score, 0,
                                   &verdict, &house->err));
    assert_int_equal(verdict, COORDINATOR_DIFFERS);
    assert_int_equal(count(house, "SELECT count(*) FROM conflicts"), 1);
    score_release(&score);
    job_release(&job);
}

static void a_result_of_a_generation_told_long_ago_is_known(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");
    struct job job = lease(house, worker);
    bool cancel = false;

    assert_int_equal(report(house, &job), COORDINATOR_STORED);
    work_until(house, worker, "search");
    assert_int_equal(report(house, &job), COORDINATOR_SAME);
    must(house, coordinator_beat(house->coordinator, job.lease, 0, &cancel, &house->err));
    assert_true(cancel);
    give_up(house, &job, SCORE_OOM); /* too late to matter */
    assert_stored(house, job.candidate, STORE_DONE, 0, 0);
    job.candidate = 1000;
    assert_int_equal(report(house, &job), COORDINATOR_CLOSED);
    job_release(&job);
}

static void refuse(struct house *house, struct score *score, const struct job *job, const char *why)
{
    enum coordinator_verdict verdict;

    must(house, coordinator_result(house->coordinator, job->candidate, job->attempt, job->lease,
                                   score, 0, &verdict, &house->err));
    assert_int_equal(verdict, COORDINATOR_INVALID);
    if (strstr(house->err.text, why) == NULL) {
        fail_msg("'%s' does not say '%s'", house->err.text, why);
    }
    score_release(score);
}

static void a_result_that_is_none_is_refused_and_counts_against_the_worker(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");
    struct job job = lease(house, worker);
    struct score score;

    world_score(&house->world, job.recipe, job.split, &score);
    score.tasks[1].values[0] = (double)NAN;
    refuse(house, &score, &job, "task spell: its acc is not a finite number");
    assert_int_equal(count(house, "SELECT invalid FROM workers"), 1);
    assert_stored(house, job.candidate, STORE_PENDING, 0, 1);
    job_release(&job);
}

static void a_result_on_other_documents_is_refused(void **state)
{
    struct house *house = *state;
    struct job job = lease(house, hello(house, "one"));
    struct score score;

    world_score(&house->world, job.recipe, SPLIT_ALL, &score);
    refuse(house, &score, &job, "task count: 24 documents, expected 8");
    world_score(&house->world, job.recipe, job.split, &score);
    score.tasks[0].digest[0] = score.tasks[0].digest[0] == '0' ? '1' : '0';
    refuse(house, &score, &job, "not those of this study");
    world_score(&house->world, job.recipe, job.split, &score);
    score.failure = SCORE_NAN;
    refuse(house, &score, &job, "it says that it failed (nan)");
    job_release(&job);
}

/* ---- failures ---- */

static void a_candidate_that_fails_is_tried_by_another_worker(void **state)
{
    struct house *house = *state;
    uint64_t one = hello(house, "one"), two = hello(house, "two");
    struct job job = lease(house, one);

    give_up(house, &job, SCORE_OOM);
    give_up(house, &job, SCORE_OOM); /* said twice, counted once */
    assert_stored(house, job.candidate, STORE_PENDING, 1, 0);
    struct job other = lease(house, one);
    assert_int_not_equal(other.candidate, job.candidate);
    struct job again = lease(house, two);
    assert_int_equal(again.candidate, job.candidate);
    assert_int_equal(report(house, &again), COORDINATOR_STORED);
    job_release(&job);
    job_release(&other);
    job_release(&again);
}

static void the_third_failure_is_the_last(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");
    uint64_t candidate = 0;

    for (int i = 0; i < 3; i++) {
        struct job job;

        do {
            job = lease(house, worker);
            if (candidate == 0) {
                candidate = job.candidate;
            } else if (job.candidate != candidate) {
                report(house, &job);
                job_release(&job);
            }
        } while (job.candidate != candidate);
        give_up(house, &job, SCORE_EXIT);
        job_release(&job);
    }
    assert_stored(house, candidate, STORE_FAILED, 3, 0);
    assert_int_equal(status_of(house).failed, 1);
}

static void a_final_failure_closes_at_once_and_the_search_goes_on(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");
    struct job job = lease(house, worker);
    struct score score = {0};

    give_up(house, &job, SCORE_NAN);
    assert_stored(house, job.candidate, STORE_FAILED, 1, 0);
    must(house, store_score(house->store, job.candidate, &score, &house->err));
    assert_string_equal(score.detail, "16 GiB are not enough");
    assert_int_equal(report(house, &job), COORDINATOR_CLOSED);
    work_until(house, worker, "finished");
    assert_int_equal(count(house, "SELECT count(*) FROM report WHERE value IS NULL"), 0);
    score_release(&score);
    job_release(&job);
}

static void three_in_a_row_of_one_cause_stop_the_search(void **state)
{
    struct house *house = *state;
    uint64_t worker = hello(house, "one");
    struct job job;

    work_until(house, worker, "search");
    for (int i = 0; i < 3; i++) {
        job = lease(house, worker);
        give_up(house, &job, SCORE_REFUSED);
        job_release(&job);
    }
    assert_string_equal(status_of(house).state, "failed");
    assert_string_equal(
        status_of(house).reason,
        "3 candidates in a row failed in one way (refused), the last one 7: 16 GiB are "
        "not enough");
    assert_int_equal(ask(house, worker, 500, &job), COORDINATOR_OVER);
    open_again(house); /* the cause is gone, says who starts it again */
    assert_string_equal(status_of(house).state, "running");
    work_until(house, worker, "finished");
    assert_string_equal(status_of(house).state, "finished");
}

static void failures_of_different_causes_do_not_stop_the_search(void **state)
{
    static const enum score_failure kinds[] = {SCORE_NAN, SCORE_NAN, SCORE_REFUSED};
    struct house *house = *state;
    uint64_t worker = hello(house, "one");

    work_until(house, worker, "search");
    for (int i = 0; i < 3; i++) {
        struct job job = lease(house, worker);

        give_up(house, &job, kinds[i]);
        job_release(&job);
    }
    assert_string_equal(status_of(house).state, "running");
}

static void a_search_in_which_all_failed_ends_with_that_reason(void **state)
{
    static const enum score_failure kinds[] = {SCORE_NAN, SCORE_REFUSED};
    struct house *house = *state;
    uint64_t worker = hello(house, "one");
    size_t i = 0;

    work_until(house, worker, "search");
    while (strcmp(status_of(house).stage, "search") == 0) {
        struct job job = lease(house, worker);

        give_up(house, &job, kinds[i++ % 2]);
        job_release(&job);
    }
    assert_string_equal(status_of(house).stage, "finished");
    assert_string_equal(status_of(house).state, "failed");
    assert_string_equal(status_of(house).reason,
                        "every candidate of the search failed: there is nothing to choose from");
}

static void a_candidate_that_kills_workers_is_held(void **state)
{
    struct house *house = *state;
    char name[] = "a";
    uint64_t candidate = 0;

    for (int i = 0; i < 5; i++) {
        struct job job = lease(house, hello(house, name));

        name[0]++;
        candidate = job.candidate;
        job_release(&job);
        tick(house, TTL_MS);
    }
    assert_stored(house, candidate, STORE_HELD, 0, 5);
    assert_string_equal(status_of(house).state, "running"); /* there is other work */
    uint64_t worker = hello(house, "z");
    for (int i = 0; i < 3; i++) {
        work_once(house, worker);
    }
    assert_string_equal(status_of(house).state, "failed");
    assert_non_null(
        strstr(status_of(house).reason, "candidate 1 kills workers: 5 were lost with it"));
    open_again(house);
    assert_stored(house, candidate, STORE_PENDING, 0, 0);
    work_until(house, worker, "finished");
}

/* ---- a second attempt ---- */

static void an_idle_worker_takes_over_from_a_slow_one(void **state)
{
    struct house *house = *state;
    uint64_t one = hello(house, "one"), two = hello(house, "two");
    struct job jobs[WORLD_BASELINES], second;
    bool cancel;

    for (int i = 0; i < WORLD_BASELINES; i++) {
        jobs[i] = lease(house, one);
    }
    for (int i = 1; i < WORLD_BASELINES; i++) {
        report(house, &jobs[i]);
    }
    assert_int_equal(ask(house, two, 60, &second), COORDINATOR_NOTHING);
    for (int i = 0; i < 2; i++) {
        house->now_ms += TTL_MS - 1;
        must(house, coordinator_beat(house->coordinator, jobs[0].lease, house->now_ms, &cancel,
                                     &house->err));
    }
    assert_int_equal(ask(house, one, 61, &second), COORDINATOR_NOTHING); /* not from itself */
    assert_int_equal(ask(house, two, 62, &second), COORDINATOR_JOB);
    assert_int_equal(second.candidate, jobs[0].candidate);
    assert_int_equal(report(house, &second), COORDINATOR_STORED);
    assert_string_equal(status_of(house).stage, "search");
    assert_int_equal(report(house, &jobs[0]), COORDINATOR_SAME);
    for (int i = 0; i < WORLD_BASELINES; i++) {
        job_release(&jobs[i]);
    }
    job_release(&second);
}

/* ---- another study, damage ---- */

static void assert_not_opened(struct house *house, const char *why)
{
    coordinator_close(house->coordinator);
    house->coordinator = NULL;
    assert_int_equal(
        coordinator_open(&house->coordinator, house->store, &house->world.options, 0, &house->err),
        ERR_CONFLICT);
    assert_null(house->coordinator);
    if (strstr(house->err.text, why) == NULL) {
        fail_msg("'%s' does not say '%s'", house->err.text, why);
    }
}

static void another_study_is_refused(void **state)
{
    struct house *house = *state;

    house->world.study.seed++;
    assert_not_opened(house, "study sim was changed");
    house->world.study.name[0] = 'd';
    assert_not_opened(house, "it belongs to study sim, not to dim");
}

static void another_model_or_task_is_refused(void **state)
{
    struct house *house = *state;

    house->world.tasks[1].digest = house->world.digests[0];
    assert_not_opened(house, "task spell");
    house->world.digests[1][0] = house->world.digests[1][0] == '0' ? '1' : '0';
    assert_not_opened(house, "model left");
}

static void a_longer_budget_goes_on_with_the_same_search(void **state)
{
    struct house *house = *state;

    house->world.study.budget.evaluations = 40;
    open_again(house);
    assert_int_equal(status_of(house).evaluations_max, 40);
    work_until(house, hello(house, "one"), "select");
    assert_int_equal(status_of(house).evaluations, 40);
}

static void run_sql(struct house *house, const char *sql)
{
    assert_int_equal(sqlite3_exec(house->store->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void a_point_that_the_optimiser_did_not_ask_for_is_found(void **state)
{
    struct house *house = *state;

    work_until(house, hello(house, "one"), "search");
    run_sql(house, "UPDATE candidates SET point = zeroblob(16) WHERE candidate = 6");
    assert_not_opened(house, "candidate 6 is not what the optimiser asks for");
}

static void a_value_that_was_changed_is_found(void **state)
{
    struct house *house = *state;

    work_until(house, hello(house, "one"), "select");
    run_sql(house, "UPDATE scores SET value = value + 1e-9 WHERE candidate = 6 AND task = 0");
    assert_not_opened(house, "candidate 6 has another value than its scores");
}

static void other_weights_than_those_that_were_told_are_found(void **state)
{
    struct house *house = *state;

    work_until(house, hello(house, "one"), "select");
    run_sql(house, "UPDATE evaluations SET weights = 'x' WHERE candidate = 6");
    assert_not_opened(house, "generation 1 was told something else");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_study_goes_from_its_baselines_to_its_report),
        TEST(a_finished_study_stays_as_it_is),
        TEST(opening_again_at_every_candidate_changes_nothing),
        cmocka_unit_test(so_it_is_with_every_optimiser),
        cmocka_unit_test(so_it_is_with_several_objectives),
        cmocka_unit_test(several_objectives_end_with_their_front),
        cmocka_unit_test(a_phase_of_one_objective_is_told_the_mean_and_fills_the_front),
        cmocka_unit_test(a_front_that_stands_still_ends_the_search),
        cmocka_unit_test(candidates_that_fail_are_not_on_the_front),
        TEST(the_search_ends_with_whole_generations),
        TEST(a_search_without_progress_ends),
        cmocka_unit_test(portions_of_a_generation_count_as_whole_ones_towards_stagnation),
        TEST(asked_to_finish_it_tells_the_open_generation_and_goes_on_to_the_end),
        TEST(a_recipe_that_was_measured_is_not_measured_again),
        TEST(a_paused_study_hands_out_nothing_and_takes_in_what_comes),
        TEST(a_stopped_study_goes_on_when_it_is_opened_again),
        TEST(a_repeated_ask_gets_the_same_job),
        TEST(a_worker_nobody_knows_gets_no_job),
        TEST(a_boot_id_keeps_its_number_over_a_restart),
        TEST(a_silent_worker_s_candidate_is_handed_out_again_first),
        TEST(beats_keep_a_lease),
        TEST(after_a_restart_a_lease_has_its_whole_time_again),
        TEST(a_lease_given_back_costs_nothing),
        TEST(leases_of_an_earlier_run_s_own_workers_are_freed_by_name),
        TEST(lease_numbers_never_come_again),
        TEST(a_result_after_its_lease_expired_is_still_good),
        TEST(the_first_result_counts_and_the_same_bits_are_the_same),
        TEST(other_bits_for_a_finished_candidate_are_kept_as_evidence),
        TEST(a_result_of_a_generation_told_long_ago_is_known),
        TEST(a_result_that_is_none_is_refused_and_counts_against_the_worker),
        TEST(a_result_on_other_documents_is_refused),
        TEST(a_candidate_that_fails_is_tried_by_another_worker),
        TEST(the_third_failure_is_the_last),
        TEST(a_final_failure_closes_at_once_and_the_search_goes_on),
        TEST(three_in_a_row_of_one_cause_stop_the_search),
        TEST(failures_of_different_causes_do_not_stop_the_search),
        TEST(a_search_in_which_all_failed_ends_with_that_reason),
        TEST(a_candidate_that_kills_workers_is_held),
        TEST(an_idle_worker_takes_over_from_a_slow_one),
        TEST(another_study_is_refused),
        TEST(another_model_or_task_is_refused),
        TEST(a_longer_budget_goes_on_with_the_same_search),
        TEST(a_point_that_the_optimiser_did_not_ask_for_is_found),
        TEST(a_value_that_was_changed_is_found),
        TEST(other_weights_than_those_that_were_told_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
