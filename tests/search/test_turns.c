/* A search of several phases, one event after the other, on a store in memory. */
#include "search/phases.h"
#include "tests/search/house.h"

/* A house whose search goes from the whole model to each layer. */
static struct house *build_phases(uint64_t evaluations)
{
    struct house *house = mem_array(1, sizeof(*house));

    world_init(&house->world, 3, 4, evaluations);
    world_refine(&house->world);
    house->world.failing = 0;
    must(house, store_open(&house->store, ":memory:", &house->err));
    open_again(house);
    return house;
}

static void a_schedule_turns_to_finer_coordinates(void **state)
{
    (void)state;
    void *house = build_phases(40);
    uint64_t worker = hello(house, "one");

    work_until(house, worker, "finished");
    assert_int_equal(status_of(house).evaluations, 40);
    assert_int_equal(count(house, "SELECT count(*) FROM phases"), 2);
    assert_int_equal(count(house, "SELECT count(*) FROM phases WHERE phase = 0 AND ending ="
                                  " 'its share of ' || evaluations || ' evaluations is used'"),
                     1);
    assert_int_equal(count(house, "SELECT count(*) FROM phases WHERE phase = 1 AND ending ="
                                  " 'the budget of 40 evaluations is used'"),
                     1);
    assert_int_equal(count(house, "SELECT count(*) FROM coordinates WHERE phase = 0"), 2);
    assert_int_equal(count(house, "SELECT count(*) FROM coordinates WHERE phase = 1"), 4);
    assert_int_equal(count(house, "SELECT count(DISTINCT phase) FROM generations"
                                  " WHERE stage = 'search' AND length(mean) = 8 * 2 * (phase + 1)"),
                     2);
    assert_int_equal(count(house, "SELECT count(*) FROM generations AS g JOIN phases AS p"
                                  " ON p.phase = 1 AND g.stage = 'search'"
                                  " WHERE (g.generation >= p.generation) <> g.phase"),
                     0);
    assert_int_equal(count(house, "SELECT count(*) FROM events WHERE kind = 'phase'"), 4);
    tear_down(&house);
}

static void a_sensitivity_pass_leaves_its_effects_and_a_search_of_fewer_coordinates(void **state)
{
    (void)state;
    void *house = build_phases(40);
    struct house *rooms = house;

    rooms->world.study.merge.n_free = 1;
    coordinator_close(rooms->coordinator);
    store_close(rooms->store);
    rooms->coordinator = NULL;
    must(house, store_open(&rooms->store, ":memory:", &rooms->err));
    open_again(house);
    work_until(house, hello(house, "one"), "finished");
    assert_int_equal(count(house, "SELECT count(*) FROM phases"), 3);
    assert_int_equal(count(house, "SELECT count(*) FROM candidates AS c JOIN generations AS g"
                                  " ON g.number = c.generation"
                                  " WHERE g.stage = 'search' AND g.phase = 1"),
                     9);
    assert_int_equal(count(house, "SELECT count(*) FROM phases WHERE phase = 1"
                                  " AND ending = 'every point of the list was asked'"),
                     1);
    assert_int_equal(count(house, "SELECT count(*) FROM coordinates"
                                  " WHERE phase = 1 AND effect > 0"),
                     4);
    assert_int_equal(count(house, "SELECT count(*) FROM coordinates WHERE phase = 2"), 3);
    assert_int_equal(count(house, "SELECT count(*) FROM coordinates AS fine JOIN coordinates"
                                  " AS free ON free.phase = 2 AND free.number = 0"
                                  " AND free.name = fine.name WHERE fine.effect ="
                                  " (SELECT max(effect) FROM coordinates)"),
                     1);
    tear_down(&house);
}

/* A house whose study starts from what this one's search found. */
static struct house *build_after(const struct phase_past *earlier)
{
    struct house *house = mem_array(1, sizeof(*house));

    world_init(&house->world, 9, 4, 16);
    house->world.failing = 0;
    house->world.study.optimizer.warm_start = mem_text("earlier.db");
    house->world.options.earlier = earlier;
    must(house, store_open(&house->store, ":memory:", &house->err));
    open_again(house);
    return house;
}

static void a_study_starts_from_an_earlier_one_and_resumes_without_it(void **state)
{
    (void)state;
    void *first = build_phases(40);
    struct store_candidate *rows = NULL;
    struct phase_past earlier = {0};

    work_until(first, hello(first, "one"), "finished");
    must(first, store_candidates_before(((struct house *)first)->store, INT64_MAX, &rows,
                                        &earlier.n, NULL));
    assert_int_equal(earlier.n, 40);
    earlier.told = mem_array(earlier.n, sizeof(*earlier.told));
    for (size_t i = 0; i < earlier.n; i++) {
        earlier.told[i] = (struct phase_told){.recipe = rows[i].recipe, .value = rows[i].value};
    }
    void *second = build_after(&earlier);
    struct house *rooms = second;
    assert_int_equal(count(second, "SELECT count(*) FROM phases WHERE why ="
                                   " 'warm start from the best 4 of 40 earlier candidates'"),
                     1);
    free(earlier.told);
    store_candidates_free(rows, earlier.n);
    rooms->world.options.earlier = NULL;
    open_again(second);
    work_until(second, hello(second, "one"), "finished");
    assert_string_equal(status_of(second).reason, "the budget of 16 evaluations is used");
    tear_down(&first);
    tear_down(&second);
}

static void a_search_does_not_begin_when_the_study_to_start_from_was_not_read(void **state)
{
    (void)state;
    struct world world;
    struct store *store = NULL;
    struct coordinator *coordinator = NULL;
    struct err err = {0};

    world_init(&world, 3, 4, 8);
    world.study.optimizer.warm_start = mem_text("earlier.db");
    assert_int_equal(store_open(&store, ":memory:", &err), 0);
    assert_int_equal(coordinator_open(&coordinator, store, &world.options, 0, &err), ERR_MISSING);
    assert_string_equal(err.text, "optimizer.warm_start: earlier.db was not read");
    store_close(store);
    world_release(&world);
}

static void finalists_of_earlier_phases_have_a_place_in_the_last_one(void **state)
{
    (void)state;
    void *house = build_phases(24);
    struct house *rooms = house;
    uint64_t worker = hello(house, "one");

    rooms->world.study.finalists = 24;
    work_until(house, worker, "finished");
    assert_int_equal(count(house, "SELECT count(*) FROM candidates WHERE split = 'select'"), 25);
    assert_int_equal(count(house, "SELECT count(*) FROM candidates WHERE split = 'select'"
                                  " AND length(point) = 8 * 4"),
                     25);
    tear_down(&house);
}

/* The coordinator opened again before every report finds what an undisturbed one finds. */
static void assert_opening_again_changes_nothing(void *house)
{
    struct house *rooms = house;
    uint64_t worker = hello(house, "one");
    struct store *other = NULL;
    struct world_end end;

    while (strcmp(status_of(house).stage, "finished") != 0) {
        open_again(house);
        work_once(house, worker);
    }
    must(house, store_open(&other, ":memory:", &rooms->err));
    world_undisturbed(&rooms->world, other, &end);
    assert_string_equal(status_of(house).trajectory, end.trajectory);
    store_close(other);
}

static void opening_again_in_any_phase_changes_nothing(void **state)
{
    (void)state;
    void *house = build_phases(24);

    assert_opening_again_changes_nothing(house);
    tear_down(&house);
}

static void a_phase_without_progress_ends_and_the_next_begins(void **state)
{
    (void)state;
    void *house = build_phases(10000);
    struct house *rooms = house;
    uint64_t worker = hello(house, "one");

    rooms->world.study.budget.stagnation = 2;
    work_until(house, worker, "finished");
    assert_true(status_of(house).evaluations < 1000);
    assert_string_equal(status_of(house).reason, "no better candidate for 2 generations");
    assert_int_equal(count(house, "SELECT count(*) FROM phases"
                                  " WHERE ending = 'no better candidate for 2 generations'"),
                     2);
    tear_down(&house);
}

static void asked_to_finish_no_further_phase_begins(void **state)
{
    (void)state;
    void *house = build_phases(40);
    struct house *rooms = house;
    uint64_t worker = hello(house, "one");

    work_until(house, worker, "search");
    assert_string_equal(status_of(house).phase, "weights, whole model");
    must(house, coordinator_command(rooms->coordinator, COORDINATOR_FINISH, 0, &rooms->err));
    work_until(house, worker, "finished");
    assert_int_equal(count(house, "SELECT count(*) FROM phases WHERE ending = 'asked to finish'"),
                     1);
    assert_int_equal(count(house, "SELECT count(*) FROM phases"), 1);
    tear_down(&house);
}

static void a_budget_that_holds_no_generation_of_the_next_phase_ends_the_search(void **state)
{
    (void)state;
    void *house = build_phases(7);
    uint64_t worker = hello(house, "one");

    work_until(house, worker, "finished");
    assert_int_equal(status_of(house).evaluations, 4);
    assert_int_equal(count(house, "SELECT count(*) FROM phases"), 1);
    assert_string_equal(status_of(house).reason, "the budget of 7 evaluations is used");
    tear_down(&house);
}

static void a_longer_budget_goes_to_the_phases_that_have_not_begun(void **state)
{
    (void)state;
    void *house = build_phases(24);
    struct house *rooms = house;
    uint64_t worker = hello(house, "one");

    work_until(house, worker, "search");
    rooms->world.study.budget.evaluations = 48;
    open_again(house);
    work_until(house, worker, "finished");
    assert_int_equal(status_of(house).evaluations, 48);
    assert_true(count(house, "SELECT evaluations FROM phases WHERE phase = 0") < 12);
    assert_true(count(house, "SELECT evaluations FROM phases WHERE phase = 1") > 36);
    tear_down(&house);
}

/* A house whose search is of routes, by edits. */
static struct house *build_routes(uint64_t evaluations)
{
    struct house *house = mem_array(1, sizeof(*house));

    world_init(&house->world, 3, 4, evaluations);
    world_route(&house->world, evaluations);
    house->world.failing = 0;
    must(house, store_open(&house->store, ":memory:", &house->err));
    open_again(house);
    return house;
}

static void routes_are_mapped_composed_and_given_gains(void **state)
{
    (void)state;
    void *house = build_routes(120);
    struct house *rooms = house;
    struct recipe recipe = {0};
    uint64_t worker = hello(house, "one");

    work_until(house, worker, "finished");
    assert_int_equal(count(house, "SELECT count(*) FROM phases"), 5);
    /* two free blocks: repeat, skip, splice and insert each, and each of both at once */
    assert_int_equal(count(house, "SELECT count(*) FROM candidates AS c JOIN generations AS g"
                                  " ON g.number = c.generation WHERE g.phase = 0 AND"
                                  " g.stage = 'search' AND c.label <> ''"),
                     4 * 3);
    assert_int_equal(count(house, "SELECT count(*) FROM (SELECT label, max(value) FROM candidates"
                                  " WHERE generation <= (SELECT max(number) FROM generations WHERE"
                                  " phase = 0 AND stage = 'search') AND label NOT LIKE 'parent %'"
                                  " AND label NOT LIKE 'uniform %' AND label NOT LIKE 'task_%')"
                                  " WHERE label = 'splice 2-3 right'"),
                     1);
    assert_int_equal(count(house, "SELECT count(*) FROM phases WHERE optimiser = 'discrete'"), 1);
    assert_int_equal(count(house, "SELECT count(*) FROM phases WHERE name LIKE 'gains of the %'"),
                     3);
    struct store_candidate winner = stored(house, count(house, "SELECT winner FROM study"));
    must(house, recipe_parse(&recipe, winner.recipe, strlen(winner.recipe), &rooms->err));
    assert_int_equal(recipe.route.n_hops, 6);
    assert_true(fabs(log(recipe.route.hops[2].scale / 2.0)) < 0.4);
    recipe_release(&recipe);
    store_candidate_release(&winner);
    tear_down(&house);
}

static void opening_again_in_any_phase_of_a_route_changes_nothing(void **state)
{
    (void)state;
    void *house = build_routes(60);

    assert_opening_again_changes_nothing(house);
    assert_int_equal(count(house, "SELECT count(*) FROM phases"), 5);
    tear_down(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schedule_turns_to_finer_coordinates),
        cmocka_unit_test(a_sensitivity_pass_leaves_its_effects_and_a_search_of_fewer_coordinates),
        cmocka_unit_test(a_study_starts_from_an_earlier_one_and_resumes_without_it),
        cmocka_unit_test(a_search_does_not_begin_when_the_study_to_start_from_was_not_read),
        cmocka_unit_test(finalists_of_earlier_phases_have_a_place_in_the_last_one),
        cmocka_unit_test(opening_again_in_any_phase_changes_nothing),
        cmocka_unit_test(a_phase_without_progress_ends_and_the_next_begins),
        cmocka_unit_test(asked_to_finish_no_further_phase_begins),
        cmocka_unit_test(a_budget_that_holds_no_generation_of_the_next_phase_ends_the_search),
        cmocka_unit_test(routes_are_mapped_composed_and_given_gains),
        cmocka_unit_test(opening_again_in_any_phase_of_a_route_changes_nothing),
        cmocka_unit_test(a_longer_budget_goes_to_the_phases_that_have_not_begun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
