/*
 * house.h - a coordinator on a store in memory, and a worker's moves one by one: for tests of the
 * coordinator.
 */
#ifndef TESTS_SEARCH_HOUSE_H
#define TESTS_SEARCH_HOUSE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/store_internal.h"
#include "tests/sim/world.h"

#define TTL_MS 3000

struct house {
    struct world world;
    struct store *store;
    struct coordinator *coordinator;
    int64_t now_ms;
    uint64_t seq;
    struct err err;
};

static inline void must(struct house *house, int rc)
{
    if (rc != 0) {
        fail_msg("%s", house->err.text);
    }
}

static inline void open_again(struct house *house)
{
    coordinator_close(house->coordinator);
    house->coordinator = NULL;
    must(house, coordinator_open(&house->coordinator, house->store, &house->world.options,
                                 house->now_ms, &house->err));
}

/* A house whose search has its two tasks as objectives. */
static inline struct house *build_several(uint64_t evaluations)
{
    struct house *house = mem_array(1, sizeof(*house));

    world_init(&house->world, 3, 4, evaluations);
    world_objectives(&house->world);
    house->world.failing = 0;
    must(house, store_open(&house->store, ":memory:", &house->err));
    open_again(house);
    return house;
}

/* A house whose search is by this algorithm, of at most so many evaluations. */
static inline struct house *build(const char *algorithm, const char *restarts, uint64_t evaluations)
{
    struct house *house = mem_array(1, sizeof(*house));
    struct study_optimizer *optimizer = &house->world.study.optimizer;

    world_init(&house->world, 3, 4, evaluations);
    house->world.failing = 0;
    free(optimizer->algorithm);
    free(optimizer->restarts);
    optimizer->algorithm = mem_text(algorithm);
    optimizer->restarts = mem_text(restarts);
    must(house, store_open(&house->store, ":memory:", &house->err));
    open_again(house);
    return house;
}

static inline int set_up(void **state)
{
    *state = build("cma-es", "none", 8);
    return 0;
}

static inline int tear_down(void **state)
{
    struct house *house = *state;

    coordinator_close(house->coordinator);
    store_close(house->store);
    world_release(&house->world);
    free(house);
    return 0;
}

/* ---- what workers do ---- */

static inline uint64_t hello(struct house *house, const char *name)
{
    char boot_id[33];
    const struct coordinator_worker worker = {boot_id, name, "0", "f32/sim"};
    uint64_t id = 0;

    snprintf(boot_id, sizeof(boot_id), "%032x", (unsigned)name[0]);
    must(house, coordinator_register(house->coordinator, &worker, house->now_ms, &id, &house->err));
    return id;
}

static inline enum coordinator_offer ask(struct house *house, uint64_t worker, uint64_t seq,
                                         struct job *job)
{
    enum coordinator_offer offer = COORDINATOR_NOTHING;

    *job = (struct job){0};
    must(house, coordinator_lease(house->coordinator, worker, seq, house->now_ms, &offer, job,
                                  &house->err));
    return offer;
}

/* A job, which there must be; its recipe stays with the caller. */
static inline struct job lease(struct house *house, uint64_t worker)
{
    struct job job;

    assert_int_equal(ask(house, worker, ++house->seq, &job), COORDINATOR_JOB);
    return job;
}

static inline enum coordinator_verdict report(struct house *house, const struct job *job)
{
    enum coordinator_verdict verdict;
    struct score score;

    world_score(&house->world, job->recipe, job->split, &score);
    must(house, coordinator_result(house->coordinator, job->candidate, job->attempt, job->lease,
                                   &score, house->now_ms, &verdict, &house->err));
    score_release(&score);
    return verdict;
}

static inline void give_up(struct house *house, const struct job *job, enum score_failure kind)
{
    must(house, coordinator_fail(house->coordinator, job->lease, kind, "16 GiB are not enough",
                                 house->now_ms, &house->err));
}

static inline void tick(struct house *house, int64_t later_ms)
{
    int64_t next_ms;

    house->now_ms += later_ms;
    must(house, coordinator_tick(house->coordinator, house->now_ms, &next_ms, &house->err));
    assert_true(next_ms > house->now_ms);
}

static inline struct coordinator_status status_of(struct house *house)
{
    struct coordinator_status status;

    coordinator_status(house->coordinator, &status);
    return status;
}

/* One candidate is leased and reported. */
static inline void work_once(struct house *house, uint64_t worker)
{
    struct job job = lease(house, worker);

    assert_int_equal(report(house, &job), COORDINATOR_STORED);
    job_release(&job);
}

static inline void work_until(struct house *house, uint64_t worker, const char *stage)
{
    while (strcmp(status_of(house).stage, stage) != 0) {
        work_once(house, worker);
    }
}

static inline struct store_candidate stored(struct house *house, uint64_t candidate)
{
    struct store_candidate row = {0};

    must(house, store_candidate(house->store, candidate, &row, &house->err));
    return row;
}

static inline void assert_stored(struct house *house, uint64_t candidate, enum store_status status,
                                 unsigned failures, unsigned losses)
{
    struct store_candidate row = stored(house, candidate);

    assert_string_equal(store_status_name(row.status), store_status_name(status));
    assert_int_equal(row.failures, failures);
    assert_int_equal(row.losses, losses);
    store_candidate_release(&row);
}

static inline uint64_t count(struct house *house, const char *sql)
{
    sqlite3_stmt *row;
    uint64_t n;

    assert_int_equal(sqlite3_prepare_v2(house->store->db, sql, -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    n = (uint64_t)sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    return n;
}

#endif
