/*
 * One story, line by line: two workers, one falls silent, the coordinator dies and comes back, and
 * what was lost is found. tests/sim/lost_worker.txt is the story as it must be.
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
#include "base/text.h"
#include "tests/sim/world.h"

#define HANDS 4 /* w1, w2, w3 */

struct story {
    struct world world;
    struct store *store;
    struct coordinator *coordinator;
    struct text told;
    int64_t now_ms;
    uint64_t workers[HANDS], seqs[HANDS];
    struct job jobs[HANDS];
    struct err err;
};

static void must(struct story *story, int rc)
{
    if (rc != 0) {
        fail_msg("%s", story->err.text);
    }
}

static void tell(struct story *story, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void tell(struct story *story, const char *format, ...)
{
    char line[200];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    text_printf(&story->told, "[%6lld ms] %s\n", (long long)story->now_ms, line);
}

static void opens(struct story *story)
{
    struct coordinator_status status;

    must(story, coordinator_open(&story->coordinator, story->store, &story->world.options,
                                 story->now_ms, &story->err));
    coordinator_status(story->coordinator, &status);
    tell(story, "coordinator opens: %s, %llu done, %llu leased", status.stage,
         (unsigned long long)status.done, (unsigned long long)status.leased);
}

static void dies(struct story *story)
{
    coordinator_close(story->coordinator);
    story->coordinator = NULL;
    tell(story, "coordinator dies");
}

static void greets(struct story *story, size_t w)
{
    char boot_id[33];
    const struct coordinator_worker hello = {boot_id, "w", "sim", "f32/sim"};

    snprintf(boot_id, sizeof(boot_id), "%032zx", w);
    must(story, coordinator_register(story->coordinator, &hello, story->now_ms, &story->workers[w],
                                     &story->err));
    tell(story, "w%zu says hello, is worker %llu", w, (unsigned long long)story->workers[w]);
}

static void asks(struct story *story, size_t w)
{
    static const char *const words[] = {"job", "nothing", "paused", "over"};
    enum coordinator_offer offer;

    job_release(&story->jobs[w]);
    must(story, coordinator_lease(story->coordinator, story->workers[w], ++story->seqs[w],
                                  story->now_ms, &offer, &story->jobs[w], &story->err));
    if (offer == COORDINATOR_JOB) {
        tell(story, "w%zu leases c%llu, attempt %u", w,
             (unsigned long long)story->jobs[w].candidate, story->jobs[w].attempt);
    } else {
        tell(story, "w%zu asks: %s", w, words[offer]);
    }
}

static void beats(struct story *story, size_t w)
{
    bool cancel;

    must(story, coordinator_beat(story->coordinator, story->jobs[w].lease, story->now_ms, &cancel,
                                 &story->err));
    tell(story, "w%zu beats%s", w, cancel ? ": told to stop" : "");
}

static void reports(struct story *story, size_t w)
{
    static const char *const words[] = {"stored", "the same is stored", "another is stored",
                                        "closed", "invalid"};
    const struct job *job = &story->jobs[w];
    enum coordinator_verdict verdict;
    struct score score;

    world_score(&story->world, job->recipe, job->split, &score);
    must(story, coordinator_result(story->coordinator, job->candidate, job->attempt, job->lease,
                                   &score, story->now_ms, &verdict, &story->err));
    tell(story, "w%zu reports c%llu %.4f: %s", w, (unsigned long long)job->candidate,
         (score.tasks[0].values[0] + score.tasks[1].values[0]) / 2.0, words[verdict]);
    score_release(&score);
}

static void fails(struct story *story, size_t w, enum score_failure kind)
{
    const struct job *job = &story->jobs[w];

    must(story, coordinator_fail(story->coordinator, job->lease, kind, "no memory left",
                                 story->now_ms, &story->err));
    tell(story, "w%zu fails c%llu: %s", w, (unsigned long long)job->candidate,
         score_failure_name(kind));
}

/* Let time pass, and say what has become of candidates that somebody had. */
static void passes(struct story *story, int64_t ms)
{
    struct coordinator_status before, after;
    int64_t next_ms;

    coordinator_status(story->coordinator, &before);
    story->now_ms += ms;
    must(story, coordinator_tick(story->coordinator, story->now_ms, &next_ms, &story->err));
    coordinator_status(story->coordinator, &after);
    if (after.leased != before.leased) {
        tell(story, "a silent worker's lease is lost: %llu left", (unsigned long long)after.leased);
    }
}

static void says_where_it_stands(struct story *story)
{
    struct coordinator_status status;

    coordinator_status(story->coordinator, &status);
    tell(story, "now in %s %llu, %llu done", status.stage, (unsigned long long)status.generation,
         (unsigned long long)status.done);
}

static void play(struct story *story)
{
    opens(story);
    greets(story, 1);
    greets(story, 2);
    asks(story, 1);
    asks(story, 2);
    passes(story, 900);
    beats(story, 1);
    reports(story, 1);
    asks(story, 1);
    passes(story, 2000);
    beats(story, 1);
    passes(story, 100); /* w2 was heard of 3000 ms ago */
    greets(story, 3);
    asks(story, 3); /* what came back goes first */
    passes(story, 100);
    dies(story);
    story->now_ms += 60000; /* the machine was off */
    opens(story);
    beats(story, 1); /* as if nothing had been */
    beats(story, 3);
    passes(story, 500);
    reports(story, 2); /* late, and still good */
    beats(story, 3);
    asks(story, 3);
    asks(story, 2);
    fails(story, 3, SCORE_OOM);
    fails(story, 3, SCORE_OOM); /* said twice */
    asks(story, 3);             /* left to another */
    reports(story, 1);
    asks(story, 1);
    reports(story, 1);
    says_where_it_stands(story);
    asks(story, 2);
}

/* Fail at the first line that differs, after showing the whole story as it was told. */
static void compare_lines(const char *told, const char *expected)
{
    const char *mine = told, *theirs = expected;

    for (int line = 1; *mine != '\0' || *theirs != '\0'; line++) {
        size_t n = strcspn(mine, "\n"), m = strcspn(theirs, "\n");

        if (n != m || memcmp(mine, theirs, n) != 0) {
            fputs(told, stdout);
            fail_msg("line %d: '%.*s', expected '%.*s'", line, (int)n, mine, (int)m, theirs);
        }
        mine += n + (mine[n] == '\n');
        theirs += m + (theirs[m] == '\n');
    }
}

static void a_lost_worker_costs_a_search_nothing_but_time(void **state)
{
    struct story *story = mem_array(1, sizeof(*story));
    struct file_bytes expected = {0};

    (void)state;
    world_init(&story->world, 5, 4, 8);
    story->world.failing = 0;
    must(story, store_open(&story->store, ":memory:", &story->err));
    play(story);
    must(story, file_read(&expected, TESTS_DIR "/sim/lost_worker.txt", 1 << 16, &story->err));
    compare_lines(text_get(&story->told), expected.data);
    file_release(&expected);
    text_release(&story->told);
    for (size_t w = 0; w < HANDS; w++) {
        job_release(&story->jobs[w]);
    }
    coordinator_close(story->coordinator);
    store_close(story->store);
    world_release(&story->world);
    free(story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_worker_costs_a_search_nothing_but_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
