#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crew.h"
#include "base/stop.h"

#define JOBS 50

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&pause, NULL);
}

static const char *name_job(void *context, size_t job)
{
    static const char *const names[] = {"zero", "one", "two", "three"};

    (void)context;
    return job < 4 ? names[job] : "many";
}

/* The context is a number that jobs add to: each process has its own copy of it. */
static int square(void *context, size_t job, void *result, struct err *err)
{
    uint64_t *sum = context;

    (void)err;
    *sum += job;
    *(uint64_t *)result = job * job;
    return 0;
}

static void does_each_job_once_and_keeps_its_result(void **state)
{
    static const size_t processes[] = {1, 2, 5, CREW_PROCESSES_MAX};

    (void)state;
    for (size_t p = 0; p < 4; p++) {
        uint64_t sum = 0;
        uint64_t results[JOBS];
        const struct crew crew = {.n_jobs = JOBS,
                                  .n_processes = processes[p],
                                  .result_bytes = sizeof(uint64_t),
                                  .work = square,
                                  .context = &sum};

        assert_int_equal(crew_run(&crew, results, NULL), 0);
        for (uint64_t i = 0; i < JOBS; i++) {
            assert_int_equal(results[i], i * i);
        }
        assert_int_equal(sum, 0);
    }
    assert_true(crew_processors() >= 1);
    assert_true(crew_peak_bytes() > 100000);
}

static void has_nothing_to_do_for_no_jobs(void **state)
{
    const struct crew crew = {.n_processes = 2, .result_bytes = 8, .work = square};

    (void)state;
    assert_int_equal(crew_run(&crew, NULL, NULL), 0);
}

/* Jobs 7 and 3 fail, 3 last. */
static int fail_some(void *context, size_t job, void *result, struct err *err)
{
    (void)context;
    (void)result;
    if (job == 3) {
        pause_ms(50);
        return err_set(err, ERR_FORMAT, "three is odd");
    }
    return job == 7 ? err_set(err, ERR_LIMIT, "seven is too many") : 0;
}

static void says_what_the_first_failing_job_says(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 8; n++) {
        const struct crew crew = {.n_jobs = JOBS, .n_processes = n, .work = fail_some};
        struct err err = {0};

        assert_int_equal(crew_run(&crew, NULL, &err), ERR_FORMAT);
        assert_string_equal(err.text, "three is odd");
    }
}

static int die_at_two(void *context, size_t job, void *result, struct err *err)
{
    (void)context;
    (void)result;
    (void)err;
    if (job == 2) {
        kill(getpid(), SIGKILL);
    }
    pause_ms(job < 2 ? 0 : 10000);
    return 0;
}

static void names_the_job_of_a_process_that_was_killed_and_ends_the_others(void **state)
{
    const struct crew crew = {
        .n_jobs = JOBS, .n_processes = 3, .work = die_at_two, .name = name_job};
    struct err err = {0};

    (void)state;
    assert_int_equal(crew_run(&crew, NULL, &err), ERR_IO);
    assert_string_equal(err.text, "two: the process at work on it was killed by signal 9 (Killed)");
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* none is left */
}

static int exit_at_one(void *context, size_t job, void *result, struct err *err)
{
    (void)context;
    (void)result;
    (void)err;
    if (job == 1) {
        _exit(7);
    }
    return 0;
}

static void names_the_job_of_a_process_that_went_away(void **state)
{
    const struct crew crew = {
        .n_jobs = JOBS, .n_processes = 1, .work = exit_at_one, .name = name_job};
    struct err err = {0};

    (void)state;
    assert_int_equal(crew_run(&crew, NULL, &err), ERR_IO);
    assert_string_equal(err.text, "one: the process at work on it ended with status 7");
}

static void count_tick(void *context, size_t n_done)
{
    size_t *last = context;

    *last = n_done;
}

static int do_nothing(void *context, size_t job, void *result, struct err *err)
{
    (void)context;
    (void)job;
    (void)result;
    (void)err;
    return 0;
}

static void tells_how_far_it_is(void **state)
{
    size_t last = 0;
    const struct crew crew = {
        .n_jobs = JOBS, .n_processes = 2, .work = do_nothing, .tick = count_tick, .context = &last};

    (void)state;
    assert_int_equal(crew_run(&crew, NULL, NULL), 0);
    assert_int_equal(last, JOBS);
}

static int interrupt_the_caller(void *context, size_t job, void *result, struct err *err)
{
    (void)context;
    (void)result;
    (void)err;
    if (job == 0) {
        kill(getppid(), SIGINT);
    }
    pause_ms(10000);
    return 0;
}

/* The last test: the flag stays. */
static void stops_at_a_signal(void **state)
{
    const struct crew crew = {.n_jobs = JOBS, .n_processes = 2, .work = interrupt_the_caller};
    struct err err = {0};

    (void)state;
    stop_on_signals();
    assert_false(stop_requested());
    assert_int_equal(crew_run(&crew, NULL, &err), ERR_STOPPED);
    assert_true(stop_requested());
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(does_each_job_once_and_keeps_its_result),
        cmocka_unit_test(has_nothing_to_do_for_no_jobs),
        cmocka_unit_test(says_what_the_first_failing_job_says),
        cmocka_unit_test(names_the_job_of_a_process_that_was_killed_and_ends_the_others),
        cmocka_unit_test(names_the_job_of_a_process_that_went_away),
        cmocka_unit_test(tells_how_far_it_is),
        cmocka_unit_test(stops_at_a_signal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
