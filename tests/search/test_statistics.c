#include "search/statistics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the headers it needs */
#include <cmocka.h>

#include "base/rng.h"

#define N 200

/* Right and wrong answers of two candidates: b documents only ours has, c only theirs, the rest
 * alternate together. */
static void fill_answers(double *ours, double *theirs, size_t b, size_t c)
{
    for (size_t i = 0; i < N; i++) {
        double both = i % 2 == 0 ? 1.0 : 0.0;

        ours[i] = i < b ? 1.0 : i < b + c ? 0.0 : both;
        theirs[i] = i < b ? 0.0 : i < b + c ? 1.0 : both;
    }
}

static struct statistics_task task_of(const double *ours, const double *theirs, size_t n)
{
    return (struct statistics_task){.ours = ours,
                                    .theirs = theirs,
                                    .ours_stride = 1,
                                    .theirs_stride = 1,
                                    .n = n,
                                    .weight = 1.0,
                                    .higher_is_better = true};
}

static void error_equals_the_discordant_formula(void **state)
{
    (void)state;
    double ours[N], theirs[N];
    const double b = 30, c = 10;
    struct statistics_difference d;

    fill_answers(ours, theirs, 30, 10);
    struct statistics_task task = task_of(ours, theirs, N);

    statistics_compare(&d, &task, 1, 1);
    assert_int_equal(d.n, N);
    assert_true(fabs(d.mean - (b - c) / N) < 1e-15);
    assert_true(fabs(d.error - sqrt((b + c - (b - c) * (b - c) / N) / ((double)N * N))) < 1e-15);
    assert_true(fabs(d.upper - d.mean - 1.96 * d.error) < 1e-4 * d.error);
    assert_true(fabs(d.mean - d.lower - 1.96 * d.error) < 1e-4 * d.error);
}

static void bootstrap_agrees_with_the_normal_interval(void **state)
{
    (void)state;
    double ours[N], theirs[N];
    struct statistics_difference d;

    fill_answers(ours, theirs, 30, 10);
    struct statistics_task task = task_of(ours, theirs, N);

    statistics_compare(&d, &task, 1, 7);
    assert_true(fabs(d.resampled_lower - d.lower) < 0.2 * d.error);
    assert_true(fabs(d.resampled_upper - d.upper) < 0.2 * d.error);
}

static void bootstrap_is_a_function_of_the_seed(void **state)
{
    (void)state;
    double ours[N], theirs[N];
    struct statistics_difference a, b;

    fill_answers(ours, theirs, 33, 10);
    struct statistics_task task = task_of(ours, theirs, N);

    statistics_compare(&a, &task, 1, 7);
    statistics_compare(&b, &task, 1, 7);
    assert_memory_equal(&a, &b, sizeof a);
}

static void real_values_and_strides_are_paired(void **state)
{
    (void)state;
    /* Two metrics a document in ours, one in theirs; differences 1, 2, 3, 6. */
    const double ours[8] = {2, 99, 4, 99, 6, 99, 10, 99};
    const double theirs[4] = {1, 2, 3, 4};
    struct statistics_task task = task_of(ours, theirs, 4);
    struct statistics_difference d;

    task.ours_stride = 2;
    statistics_compare(&d, &task, 1, 1);
    assert_true(d.mean == 3.0);
    assert_true(fabs(d.error - sqrt((4.0 + 1.0 + 0.0 + 9.0) / 16.0)) < 1e-15);
    task.higher_is_better = false;
    statistics_compare(&d, &task, 1, 1);
    assert_true(d.mean == -3.0);
}

static void tasks_are_weighted_and_their_errors_add_up(void **state)
{
    (void)state;
    double ours[N], theirs[N];
    struct statistics_difference first, second, both;

    fill_answers(ours, theirs, 30, 10);
    struct statistics_task tasks[2] = {task_of(ours, theirs, N), task_of(ours, theirs, 50)};

    tasks[1].weight = 3.0;
    statistics_compare(&first, &tasks[0], 1, 1);
    statistics_compare(&second, &tasks[1], 1, 1);
    statistics_compare(&both, tasks, 2, 1);
    assert_int_equal(both.n, N + 50);
    assert_true(fabs(both.mean - (first.mean + 3.0 * second.mean) / 4.0) < 1e-15);
    assert_true(fabs(both.error - sqrt(first.error * first.error / 16.0 +
                                       9.0 * second.error * second.error / 16.0)) < 1e-15);
}

static void nothing_to_compare_is_nan(void **state)
{
    (void)state;
    const double value = (double)NAN;
    struct statistics_task empty = task_of(NULL, NULL, 0), broken = task_of(&value, &value, 1);
    struct statistics_difference d;
    struct text words = {0};

    statistics_compare(&d, &empty, 1, 1);
    assert_true(isnan(d.mean) && isnan(d.lower) && isnan(d.resampled_upper));
    statistics_compare(&d, &broken, 1, 1);
    assert_true(isnan(d.mean) && isnan(d.lower));
    statistics_words(&words, &d, "the best parent", STATISTICS_POINTS);
    assert_string_equal(text_get(&words), "not comparable with the best parent");
    text_release(&words);
}

/* Two candidates of equal skill, 400 times: the interval holds zero about 95 % of the time. */
static void intervals_cover_the_truth_as_often_as_they_say(void **state)
{
    (void)state;
    struct rng64 rng;
    int covered = 0, covered_by_resampling = 0;

    rng64_seed(&rng, 11, RNG_NOISE);
    for (int trial = 0; trial < 400; trial++) {
        double ours[N], theirs[N];
        struct statistics_difference d;

        for (size_t i = 0; i < N; i++) {
            ours[i] = rng64_uniform(&rng) < 0.6 ? 1.0 : 0.0;
            theirs[i] = rng64_uniform(&rng) < 0.6 ? 1.0 : 0.0;
        }
        struct statistics_task task = task_of(ours, theirs, N);

        statistics_compare(&d, &task, 1, (uint64_t)trial);
        covered += d.lower <= 0.0 && d.upper >= 0.0;
        covered_by_resampling += d.resampled_lower <= 0.0 && d.resampled_upper >= 0.0;
    }
    assert_in_range(covered, 366, 394);
    assert_in_range(covered_by_resampling, 366, 394);
}

static void luck_grows_with_the_logarithm(void **state)
{
    (void)state;
    assert_true(statistics_luck(0.035, 1) == 0.0);
    assert_true(fabs(statistics_luck(0.02, 300) - 0.02 * sqrt(2.0 * log(300.0))) < 1e-16);
}

static void within_one_error_the_nearest_to_the_mean_wins(void **state)
{
    (void)state;
    const struct statistics_finalist finalists[] = {{0.60, 0.03, 2.0},
                                                    {0.61, 0.03, 3.0},
                                                    {0.59, 0.03, 0.5},
                                                    {0.55, 0.03, 0.1},
                                                    {(double)NAN, 0.0, 0.0}};

    assert_int_equal(statistics_choose(finalists, 5), 2);
    assert_int_equal(statistics_choose(finalists, 2), 0);
}

static void a_clear_best_wins_from_afar(void **state)
{
    (void)state;
    const struct statistics_finalist finalists[] = {{0.50, 0.03, 0.0}, {0.61, 0.03, 3.0}};

    assert_int_equal(statistics_choose(finalists, 2), 1);
}

static void no_finalist_no_winner(void **state)
{
    (void)state;
    const struct statistics_finalist failed = {(double)NAN, (double)NAN, 0.0};

    assert_true(statistics_choose(&failed, 1) == SIZE_MAX);
    assert_true(statistics_choose(NULL, 0) == SIZE_MAX);
}

static void assert_words(double mean, double lower, double upper, const char *expected)
{
    const struct statistics_difference d = {.mean = mean, .lower = lower, .upper = upper};
    struct text words = {0};

    statistics_words(&words, &d, "the best parent", STATISTICS_POINTS);
    assert_string_equal(text_get(&words), expected);
    text_release(&words);
}

static void says_it_in_words(void **state)
{
    (void)state;
    assert_words(0.061, 0.039, 0.083, "better than the best parent by 6.1 points, 3.9 to 8.3");
    assert_words(-0.02, -0.036, -0.004, "worse than the best parent by 2.0 points, 0.4 to 3.6");
    assert_words(0.008, -0.012, 0.028,
                 "not distinguishable from the best parent: +0.8 points, -1.2 to 2.8");
    assert_words(0.0, 0.0, 0.0, "not distinguishable from the best parent: 0.0 points, 0.0 to 0.0");
}

static void says_that_there_is_no_interval_where_documents_are_not_known(void **state)
{
    const struct statistics_difference d = {
        .mean = -0.02, .error = (double)NAN, .lower = (double)NAN, .upper = (double)NAN};
    const struct statistics_difference gain = {
        .mean = 0.02, .error = (double)NAN, .lower = (double)NAN, .upper = (double)NAN};
    struct text words = {0};

    (void)state;
    statistics_verdict(&words, &d, STATISTICS_POINTS);
    assert_string_equal(text_get(&words),
                        "no merge beat the best parent: the winner is below it by 2.0 points; "
                        "without per-document results there is no interval, and it may be luck");
    text_clear(&words);
    statistics_verdict(&words, &gain, STATISTICS_POINTS);
    assert_string_equal(text_get(&words),
                        "above the best parent by 2.0 points; without per-document results there "
                        "is no interval, and it may be luck");
    text_release(&words);
}

static void a_value_that_is_no_share_is_not_given_in_points(void **state)
{
    (void)state;
    const struct statistics_difference d = {.mean = 0.1234, .lower = 0.05, .upper = 0.1968};
    struct text words = {0};

    statistics_words(&words, &d, "the uniform average", STATISTICS_PLAIN);
    assert_string_equal(text_get(&words),
                        "better than the uniform average by 0.123, 0.05 to 0.197");
    text_release(&words);
}

static void the_verdict_admits_defeat(void **state)
{
    (void)state;
    const struct statistics_difference gain = {.mean = 0.061, .lower = 0.039, .upper = 0.083};
    const struct statistics_difference loss = {.mean = -0.02, .lower = -0.036, .upper = -0.004};
    const struct statistics_difference tie = {.mean = 0.008, .lower = -0.012, .upper = 0.028};
    struct text words = {0};

    statistics_verdict(&words, &gain, STATISTICS_POINTS);
    assert_string_equal(text_get(&words), "better than the best parent by 6.1 points, 3.9 to 8.3");
    text_clear(&words);
    statistics_verdict(&words, &loss, STATISTICS_POINTS);
    assert_string_equal(
        text_get(&words),
        "no merge beat the best parent: the winner is worse than it by 2.0 points, 0.4 to 3.6");
    text_clear(&words);
    statistics_verdict(&words, &tie, STATISTICS_POINTS);
    assert_string_equal(text_get(&words), "no merge beat the best parent: the winner is not "
                                          "distinguishable from it: +0.8 points, -1.2 to 2.8");
    text_release(&words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_equals_the_discordant_formula),
        cmocka_unit_test(bootstrap_agrees_with_the_normal_interval),
        cmocka_unit_test(bootstrap_is_a_function_of_the_seed),
        cmocka_unit_test(real_values_and_strides_are_paired),
        cmocka_unit_test(tasks_are_weighted_and_their_errors_add_up),
        cmocka_unit_test(nothing_to_compare_is_nan),
        cmocka_unit_test(intervals_cover_the_truth_as_often_as_they_say),
        cmocka_unit_test(luck_grows_with_the_logarithm),
        cmocka_unit_test(within_one_error_the_nearest_to_the_mean_wins),
        cmocka_unit_test(a_clear_best_wins_from_afar),
        cmocka_unit_test(no_finalist_no_winner),
        cmocka_unit_test(says_it_in_words),
        cmocka_unit_test(says_that_there_is_no_interval_where_documents_are_not_known),
        cmocka_unit_test(a_value_that_is_no_share_is_not_given_in_points),
        cmocka_unit_test(the_verdict_admits_defeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
