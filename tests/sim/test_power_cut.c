/*
 * The coordinator and its store on a disk whose power is cut again and again: nothing that was
 * acknowledged is lost, the file opens, and the search ends as if nothing had been.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tests/sim/power.h"
#include "tests/sim/world.h"
#include "tests/support/support.h"

#define HANDS 3
#define CANDIDATES_MAX 256
#define OPERATIONS_MAX 120 /* between two cuts, at most */
#ifdef __SANITIZE_ADDRESS__
#define CUTS 300
#else
#define CUTS 2000
#endif

struct hand {
    uint64_t worker, seq; /* worker 0: has not said hello, as far as it knows */
    struct job job;       /* recipe NULL: none */
};

struct town {
    struct world world;
    struct world_end expected;
    char *folder, *path;
    struct rng64 rng;
    struct store *store;
    struct coordinator *coordinator;
    struct hand hands[HANDS];
    char acknowledged[CANDIDATES_MAX][DIGEST_HEX];
    unsigned long cuts;
    struct err err;
};

static struct town *town_new(uint64_t seed)
{
    struct town *town = mem_array(1, sizeof(*town));

    town->folder = support_temp_dir(); /* only the lock file is really there */
    town->path = file_join(town->folder, "night.db");
    rng64_seed(&town->rng, seed, 1);
    return town;
}

static void town_free(struct town *town)
{
    free(town->path);
    support_remove_dir(town->folder);
    free(town);
}

/* A study, and how it ends when nothing happens. */
static void found_town(struct town *town, uint64_t seed, uint64_t evaluations)
{
    struct store *store = NULL;

    world_init(&town->world, seed, 4, evaluations);
    assert_int_equal(store_open(&store, ":memory:", NULL), 0);
    world_undisturbed(&town->world, store, &town->expected);
    store_close(store);
}

static void empty_hands(struct town *town)
{
    for (size_t h = 0; h < HANDS; h++) {
        job_release(&town->hands[h].job);
        town->hands[h] = (struct hand){0};
    }
    memset(town->acknowledged, 0, sizeof(town->acknowledged));
}

static void town_close(struct town *town)
{
    coordinator_close(town->coordinator);
    store_close(town->store);
    town->coordinator = NULL;
    town->store = NULL;
}

static void check_acknowledged(struct town *town)
{
    for (uint64_t c = 0; c < CANDIDATES_MAX; c++) {
        struct store_candidate row = {0};

        if (town->acknowledged[c][0] == '\0') {
            continue;
        }
        if (store_candidate(town->store, c, &row, &town->err) != 0 || row.status != STORE_DONE) {
            fail_msg("cut %lu: candidate %llu was acknowledged, and is not there", town->cuts,
                     (unsigned long long)c);
        }
        assert_string_equal(row.digest, town->acknowledged[c]);
        store_candidate_release(&row);
    }
}

/* True when it worked; false when the power is out, which is the only excuse. */
static bool excused(struct town *town, int rc)
{
    if (rc != 0 && !power_is_out()) {
        fail_msg("cut %lu: %s", town->cuts, town->err.text);
    }
    return rc == 0;
}

/* Open on what the cut has left, perhaps with the next cut in the middle of it. */
static bool town_open(struct town *town)
{
    power_cut_after((long)rng64_below(&town->rng, OPERATIONS_MAX));
    int rc = store_open(&town->store, town->path, &town->err);
    if (rc == 0) {
        check_acknowledged(town);
        rc = coordinator_open(&town->coordinator, town->store, &town->world.options, 0, &town->err);
    }
    return excused(town, rc);
}

/* ---- what workers do ---- */

static int say_hello(struct town *town, size_t h)
{
    char boot_id[33];
    const struct coordinator_worker hello = {boot_id, "hand", "sim", "f32/sim"};

    snprintf(boot_id, sizeof(boot_id), "%032zx", h + 1);
    return coordinator_register(town->coordinator, &hello, 0, &town->hands[h].worker, &town->err);
}

static int ask(struct town *town, struct hand *hand)
{
    enum coordinator_offer offer;
    int rc = coordinator_lease(town->coordinator, hand->worker, ++hand->seq, 0, &offer, &hand->job,
                               &town->err);

    return rc;
}

/* A lease that the cut took back is unknown; the job is dropped then. */
static int give_up(struct town *town, struct hand *hand, enum score_failure failure)
{
    int rc = coordinator_fail(town->coordinator, hand->job.lease, failure, NULL, 0, &town->err);

    if (rc == 0 || rc == ERR_MISSING) {
        job_release(&hand->job);
        return 0;
    }
    return rc;
}

static int report(struct town *town, struct hand *hand)
{
    enum score_failure failure = world_failure(&town->world, hand->job.recipe);
    enum coordinator_verdict verdict = COORDINATOR_INVALID;
    struct score score;

    if (failure != SCORE_OK) {
        return give_up(town, hand, failure);
    }
    world_score(&town->world, hand->job.recipe, hand->job.split, &score);
    int rc = coordinator_result(town->coordinator, hand->job.candidate, hand->job.attempt,
                                hand->job.lease, &score, 0, &verdict, &town->err);
    if (rc == 0) {
        assert_true(verdict == COORDINATOR_STORED || verdict == COORDINATOR_SAME);
        score_digest(&score, town->acknowledged[hand->job.candidate]);
        job_release(&hand->job);
    }
    score_release(&score);
    return rc;
}

static bool act(struct town *town)
{
    size_t h = (size_t)rng64_below(&town->rng, HANDS);
    struct hand *hand = &town->hands[h];

    if (hand->worker == 0) {
        return excused(town, say_hello(town, h));
    }
    return excused(town, hand->job.recipe == NULL ? ask(town, hand) : report(town, hand));
}

/* ---- a search ---- */

static bool is_finished(const struct town *town)
{
    struct coordinator_status status;

    coordinator_status(town->coordinator, &status);
    return strcmp(status.stage, "finished") == 0;
}

/* Until it is finished or dark. */
static bool live(struct town *town)
{
    if (!town_open(town)) {
        return false;
    }
    while (!is_finished(town)) {
        if (!act(town)) {
            return false;
        }
    }
    return true;
}

static void search_in_the_dark(struct town *town)
{
    struct coordinator_status status;

    power_begin(rng64_next(&town->rng));
    while (!live(town)) {
        town_close(town);
        power_restore();
        town->cuts++;
    }
    power_cut_after(-1);
    coordinator_status(town->coordinator, &status);
    assert_string_equal(status.state, "finished");
    assert_string_equal(status.trajectory, town->expected.trajectory);
    check_acknowledged(town);
    town_close(town);
    power_end();
    empty_hands(town);
}

static void power_cuts_lose_nothing_that_was_acknowledged(void **state)
{
    struct town *town = town_new(1);
    unsigned long studies = 0;

    (void)state;
    for (uint64_t seed = 0; town->cuts < CUTS; seed++) {
        found_town(town, seed, 16);
        if (strcmp(town->expected.state, "finished") == 0) {
            search_in_the_dark(town);
            studies++;
        }
        world_release(&town->world);
    }
    print_message("%lu cuts in %lu studies\n", town->cuts, studies);
    town_free(town);
}

/* ---- single failures ---- */

/* Open, and work with one hand until the end or the first error. */
static int work_alone(struct town *town)
{
    struct hand *hand = &town->hands[0];
    int rc = store_open(&town->store, town->path, &town->err);

    if (rc == 0) {
        check_acknowledged(town);
        rc = coordinator_open(&town->coordinator, town->store, &town->world.options, 0, &town->err);
    }
    while (rc == 0 && !is_finished(town)) {
        if (hand->worker == 0) {
            rc = say_hello(town, 0);
        } else {
            rc = hand->job.recipe == NULL ? ask(town, hand) : report(town, hand);
        }
    }
    return rc;
}

/* False when operation k was never reached. */
static bool survive_failure_of(struct town *town, long k)
{
    struct coordinator_status status;

    power_begin(3);
    power_fail_after(k);
    int rc = work_alone(town);
    bool reached = power_has_failed();
    if (rc != 0) {
        assert_true(reached);
        assert_true(town->err.text[0] != '\0');
        town_close(town);
        if (work_alone(town) != 0) {
            fail_msg("after operation %ld: %s", k, town->err.text);
        }
    }
    coordinator_status(town->coordinator, &status);
    assert_string_equal(status.trajectory, town->expected.trajectory);
    town_close(town);
    power_end();
    empty_hands(town);
    return reached;
}

/*
 * The k-th write, sync, truncation or deletion fails, once, k = 0, 1, ...: at most one error, after
 * which the process would end; opened again, everything goes on.
 */
static void any_single_failure_of_the_disk_is_one_error_and_no_loss(void **state)
{
    struct town *town = town_new(2);
    long k = 0;

    (void)state;
    found_town(town, 3, 8);
    while (survive_failure_of(town, k)) {
        k += 7; /* every one takes long; every seventh meets every kind */
    }
    print_message("%ld operations\n", k);
    world_release(&town->world);
    town_free(town);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cuts_lose_nothing_that_was_acknowledged),
        cmocka_unit_test(any_single_failure_of_the_disk_is_one_error_and_no_loss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
