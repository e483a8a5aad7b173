/*
 * Whole searches in bad weather. --seeds N runs N of them instead of the unit run's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/simulator.h"

#define STUDIES 16 /* different ones; each has one undisturbed run */
#define POPULATION 4
#define EVALUATIONS 16
#define FAULT_SEEDS 200

#ifdef __SANITIZE_ADDRESS__
static unsigned long seeds = 300; /* several times as slow */
#else
static unsigned long seeds = 2000;
#endif

static struct world worlds[STUDIES];
static struct world_end ends[STUDIES];

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < STUDIES; i++) {
        struct store *store;

        world_init(&worlds[i], i, POPULATION, i % 4 == 3 ? EVALUATIONS + 8 : EVALUATIONS);
        if (i % 2 == 1) { /* two phases: coarse and fine; four: with a sensitivity pass */
            world_refine(&worlds[i]);
            worlds[i].study.merge.n_free = i % 4 == 3 ? 1 : 0;
        }
        if (i % 8 == 6) { /* five: a map, compositions, gains of three routes */
            world_route(&worlds[i], 2 * EVALUATIONS);
        }
        assert_int_equal(store_open(&store, ":memory:", NULL), 0);
        world_undisturbed(&worlds[i], store, &ends[i]);
        store_close(store);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < STUDIES; i++) {
        world_release(&worlds[i]);
    }
    return 0;
}

static void run_seed(uint64_t seed, enum coordinator_fault fault, struct simulation_result *out)
{
    struct simulation simulation;

    simulation_init(&simulation, seed);
    simulation.fault = fault;
    simulation_run(&simulation, &worlds[seed % STUDIES], &ends[seed % STUDIES], out);
}

static void nothing_that_happens_changes_what_is_found(void **state)
{
    uint64_t crashes = 0, messages = 0, evaluations = 0, candidates = 0;

    (void)state;
    for (uint64_t seed = 0; seed < seeds; seed++) {
        struct simulation_result result;

        run_seed(seed, COORDINATOR_FAULT_NONE, &result);
        if (result.violation[0] != '\0') {
            fail_msg("seed %llu: %s", (unsigned long long)seed, result.violation);
        }
        crashes += result.crashes;
        messages += result.messages;
        evaluations += result.evaluations;
        candidates += result.candidates;
    }
    print_message("%lu seeds: %llu crashes, %llu messages, %.2f evaluations a candidate\n", seeds,
                  (unsigned long long)crashes, (unsigned long long)messages,
                  (double)evaluations / (double)candidates);
}

/* Dies before, or after, the k-th commit, once; nothing else goes wrong. */
static void die_at_every_edge(const struct world *world, const struct world_end *end)
{
    long edge = 0;
    struct simulation_result result;

    do {
        const struct simulation simulation = {.seed = 1, .n_workers = 2, .crash_at = edge++};

        simulation_run(&simulation, world, end, &result);
        if (result.violation[0] != '\0') {
            fail_msg("edge %ld: %s", edge - 1, result.violation);
        }
    } while (result.crashes > 0);
    print_message("%ld edges\n", edge - 1);
    assert_true(edge > 100);
}

static void a_death_at_any_edge_of_any_commit_changes_nothing(void **state)
{
    (void)state;
    die_at_every_edge(&worlds[0], &ends[0]);
}

static void nor_does_it_in_any_phase_of_a_search(void **state)
{
    (void)state;
    die_at_every_edge(&worlds[1], &ends[1]);
    die_at_every_edge(&worlds[3], &ends[3]);
    die_at_every_edge(&worlds[6], &ends[6]);
}

static void nor_does_it_with_several_objectives(void **state)
{
    struct world world;
    struct world_end end;
    struct store *store;

    (void)state;
    world_init(&world, 1, POPULATION, EVALUATIONS);
    world_objectives(&world);
    assert_int_equal(store_open(&store, ":memory:", NULL), 0);
    world_undisturbed(&world, store, &end);
    store_close(store);
    assert_string_equal(end.state, "finished");
    die_at_every_edge(&world, &end);
    world_release(&world);
}

static void must_be_seen(enum coordinator_fault fault, const char *name)
{
    for (uint64_t seed = 0; seed < FAULT_SEEDS; seed++) {
        struct simulation_result result;

        run_seed(seed, fault, &result);
        if (result.violation[0] != '\0') {
            print_message("%s: seed %llu: %s\n", name, (unsigned long long)seed, result.violation);
            return;
        }
    }
    fail_msg("%s: not seen in %d seeds", name, FAULT_SEEDS);
}

static void sees_an_answer_before_the_commit(void **state)
{
    (void)state;
    must_be_seen(COORDINATOR_FAULT_EARLY_ACK, "early answer");
}

static void sees_results_told_in_the_order_they_came(void **state)
{
    (void)state;
    must_be_seen(COORDINATOR_FAULT_ARRIVAL_ORDER, "order of arrival");
}

static void sees_a_lost_lease_that_counts_as_a_failure(void **state)
{
    (void)state;
    must_be_seen(COORDINATOR_FAULT_LOST_IS_FAILED, "lost is failed");
}

static void sees_a_generation_told_in_two_commits(void **state)
{
    (void)state;
    must_be_seen(COORDINATOR_FAULT_SPLIT_COMMIT, "two commits");
}

static void sees_a_failure_counted_twice(void **state)
{
    (void)state;
    must_be_seen(COORDINATOR_FAULT_DOUBLE_FAIL, "counted twice");
}

static void sees_a_second_attempt_reopen_a_finished_candidate(void **state)
{
    (void)state;
    must_be_seen(COORDINATOR_FAULT_HEDGE_REOPENS, "reopened");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_death_at_any_edge_of_any_commit_changes_nothing),
        cmocka_unit_test(nor_does_it_in_any_phase_of_a_search),
        cmocka_unit_test(nor_does_it_with_several_objectives),
        cmocka_unit_test(sees_an_answer_before_the_commit),
        cmocka_unit_test(sees_results_told_in_the_order_they_came),
        cmocka_unit_test(sees_a_lost_lease_that_counts_as_a_failure),
        cmocka_unit_test(sees_a_generation_told_in_two_commits),
        cmocka_unit_test(sees_a_failure_counted_twice),
        cmocka_unit_test(sees_a_second_attempt_reopen_a_finished_candidate),
        cmocka_unit_test(nothing_that_happens_changes_what_is_found),
    };

    if (argc == 3 && strcmp(argv[1], "--seeds") == 0) {
        seeds = strtoul(argv[2], NULL, 10);
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
