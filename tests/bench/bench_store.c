/*
 * bench_store.c - what remembering costs: leases and durable reports a second over the commits a
 * second of a bare SQLite loop with the same settings, and their CPU over that of a 20 ms
 * evaluation.
 *
 *   name,value,unit,ratio,reference
 *
 * Ours and the reference take turns on the same disk, in $TMPDIR or /tmp; median of the turns. A
 * bare commit is one row in a table with a key, which is the least that a report could be. Making
 * up scores is outside the clock; telling whole generations and asking the next is inside.
 */
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "store/store.h"
#include "tests/sim/world.h"
#include "tests/support/support.h"

#define TURNS 9
#define CANDIDATES 200        /* a turn */
#define POPULATION CANDIDATES /* a turn is a generation */
#define EVALUATION_S 0.020

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A stopwatch for wall and CPU that runs only around what is measured. */
struct watch {
    double wall_s, cpu_s, wall_from, cpu_from;
};

static void watch_go(struct watch *watch)
{
    watch->wall_from = seconds(CLOCK_MONOTONIC);
    watch->cpu_from = seconds(CLOCK_THREAD_CPUTIME_ID);
}

static void watch_halt(struct watch *watch)
{
    watch->cpu_s += seconds(CLOCK_THREAD_CPUTIME_ID) - watch->cpu_from;
    watch->wall_s += seconds(CLOCK_MONOTONIC) - watch->wall_from;
}

static void must(int rc, const struct err *err)
{
    if (rc != 0) {
        fprintf(stderr, "bench_store: %s\n", err->text);
        exit(1);
    }
}

/* ---- the bare loop ---- */

static sqlite3 *bare_open(const char *path)
{
    sqlite3 *db;

    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db,
                     "PRAGMA journal_mode=WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)",
                     NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "bench_store: %s\n", sqlite3_errmsg(db));
        exit(1);
    }
    return db;
}

/* Commits a second; their CPU is added to *cpu_s. */
static double bare_turn(sqlite3 *db, const char *sync, double *cpu_s)
{
    static const char *const texts[] = {"BEGIN IMMEDIATE",
                                        "INSERT INTO t (text) VALUES ('one row')", "COMMIT"};
    sqlite3_stmt *statements[3];
    struct watch watch = {0};

    sqlite3_exec(db, sync, NULL, NULL, NULL);
    for (int i = 0; i < 3; i++) {
        sqlite3_prepare_v2(db, texts[i], -1, &statements[i], NULL);
    }
    watch_go(&watch);
    for (int k = 0; k < CANDIDATES; k++) {
        for (int i = 0; i < 3; i++) {
            sqlite3_step(statements[i]);
            sqlite3_reset(statements[i]);
        }
    }
    watch_halt(&watch);
    for (int i = 0; i < 3; i++) {
        sqlite3_finalize(statements[i]);
    }
    *cpu_s += watch.cpu_s;
    return CANDIDATES / watch.wall_s;
}

/* ---- ours ---- */

struct ours {
    struct world world;
    struct store *store;
    struct coordinator *coordinator;
    uint64_t worker, seq;
};

static void ours_open(struct ours *ours, const char *path)
{
    const struct coordinator_worker hello = {"00000000000000000000000000000001", "bench", "0",
                                             "f32/bench"};
    struct err err = {0};

    world_init(&ours->world, 1, POPULATION, 1000000);
    must(store_open(&ours->store, path, &err), &err);
    must(coordinator_open(&ours->coordinator, ours->store, &ours->world.options, 0, &err), &err);
    must(coordinator_register(ours->coordinator, &hello, 0, &ours->worker, &err), &err);
}

static void ours_close(struct ours *ours)
{
    coordinator_close(ours->coordinator);
    store_close(ours->store);
    world_release(&ours->world);
}

static void lease_one(struct ours *ours, struct job *job, struct watch *watch)
{
    enum coordinator_offer offer = COORDINATOR_NOTHING;
    struct err err = {0};

    watch_go(watch);
    int rc = coordinator_lease(ours->coordinator, ours->worker, ++ours->seq, 0, &offer, job, &err);
    watch_halt(watch);
    must(rc, &err);
    if (offer != COORDINATOR_JOB) {
        fprintf(stderr, "bench_store: the search ended early\n");
        exit(1);
    }
}

static void report_one(struct ours *ours, struct job *job, struct watch *watch)
{
    enum coordinator_verdict verdict;
    struct score score;
    struct err err = {0};

    world_score(&ours->world, job->recipe, job->split, &score);
    watch_go(watch);
    int rc = coordinator_result(ours->coordinator, job->candidate, job->attempt, job->lease, &score,
                                0, &verdict, &err);
    watch_halt(watch);
    must(rc, &err);
    score_release(&score);
    job_release(job);
}

/* n candidates are leased, then reported. */
static void ours_turn(struct ours *ours, size_t n, struct watch *leases, struct watch *reports)
{
    struct job *jobs = mem_array(n, sizeof(*jobs));

    for (size_t k = 0; k < n; k++) {
        lease_one(ours, &jobs[k], leases);
    }
    for (size_t k = 0; k < n; k++) {
        report_one(ours, &jobs[k], reports);
    }
    free(jobs);
}

/* ---- the figures ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double values[TURNS])
{
    qsort(values, TURNS, sizeof(double), compare);
    return values[TURNS / 2];
}

static void line(const char *name, double value, const char *unit, double ratio,
                 const char *reference)
{
    printf("%s,%.6g,%s,%.4g,%s\n", name, value, unit, ratio, reference);
}

int main(void)
{
    double leases[TURNS], reports[TURNS], lease_ratios[TURNS], report_ratios[TURNS], cpu[TURNS],
        bare_cpu[TURNS];
    char *folder = support_temp_dir(), *mine = file_join(folder, "ours.db"),
         *theirs = file_join(folder, "bare.db");
    struct ours ours = {0};

    struct watch warm_up = {0};

    ours_open(&ours, mine);
    ours.world.failing = 0;
    ours_turn(&ours, WORLD_BASELINES, &warm_up, &warm_up);
    sqlite3 *bare = bare_open(theirs);
    for (int t = 0; t < TURNS; t++) {
        double bare_cpu_s = 0.0;
        double ordered = bare_turn(bare, "PRAGMA synchronous=NORMAL", &bare_cpu_s);
        double durable = bare_turn(bare, "PRAGMA synchronous=FULL", &bare_cpu_s);
        struct watch lease = {0}, report = {0};

        ours_turn(&ours, CANDIDATES, &lease, &report);
        leases[t] = CANDIDATES / lease.wall_s;
        reports[t] = CANDIDATES / report.wall_s;
        lease_ratios[t] = leases[t] / ordered;
        report_ratios[t] = reports[t] / durable;
        cpu[t] = (lease.cpu_s + report.cpu_s) / CANDIDATES;
        bare_cpu[t] = bare_cpu_s / CANDIDATES;
    }
    double cpu_s = median(cpu);
    line("store leases", median(leases), "1/s", median(lease_ratios),
         "bare commits; synchronous NORMAL");
    line("store durable reports", median(reports), "1/s", median(report_ratios),
         "bare commits; synchronous FULL");
    line("coordinator lease + report", cpu_s * 1e6, "us CPU", cpu_s / EVALUATION_S,
         "an evaluation of 20 ms");
    line("coordinator lease + report", cpu_s * 1e6, "us CPU", cpu_s / median(bare_cpu),
         "two bare commits; NORMAL and FULL");
    sqlite3_close(bare);
    ours_close(&ours);
    free(mine);
    free(theirs);
    support_remove_dir(folder);
    return 0;
}
