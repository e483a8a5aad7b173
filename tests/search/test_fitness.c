#include "search/fitness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the headers it needs */
#include <cmocka.h>

/* Two tasks: accuracies 0.5 and 0.8, and a perplexity of the second. */
static char first[] = "first", second[] = "second", acc[] = "acc", perplexity[] = "perplexity";
static char *first_metrics[] = {acc};
static char *second_metrics[] = {acc, perplexity};
static double first_values[] = {0.5};
static double second_values[] = {0.8, 12.0};

static struct score_task results[] = {
    {.name = first, .n_metrics = 1, .metrics = first_metrics, .values = first_values},
    {.name = second, .n_metrics = 2, .metrics = second_metrics, .values = second_values}};

static const struct score good = {.n_tasks = 2, .tasks = results};

static const struct fitness_task tasks[] = {{"first", "acc", true, 1.0},
                                            {"second", "acc", true, 3.0}};

static void weights_the_tasks(void **state)
{
    (void)state;
    assert_true(fitness_objective(&good, tasks, 2, STUDY_WEIGHTED_MEAN) == (0.5 + 3.0 * 0.8) / 4.0);
    assert_true(fitness_of(&good, tasks, 2, STUDY_WEIGHTED_MEAN) == -(0.5 + 3.0 * 0.8) / 4.0);
}

static void minimum_is_the_worst_task(void **state)
{
    (void)state;
    assert_true(fitness_objective(&good, tasks, 2, STUDY_MINIMUM) == 0.5);
}

static void a_lower_better_metric_turns_its_sign(void **state)
{
    (void)state;
    const struct fitness_task task = {"second", "perplexity", false, 1.0};

    assert_true(fitness_objective(&good, &task, 1, STUDY_WEIGHTED_MEAN) == -12.0);
    assert_true(fitness_of(&good, &task, 1, STUDY_WEIGHTED_MEAN) == 12.0);
}

static void a_failed_candidate_is_nan(void **state)
{
    (void)state;
    struct score failed = good;

    failed.failure = SCORE_TIMEOUT;
    assert_true(isnan(fitness_of(&failed, tasks, 2, STUDY_WEIGHTED_MEAN)));
}

static void a_missing_or_infinite_value_is_nan(void **state)
{
    (void)state;
    const struct fitness_task no_task = {"third", "acc", true, 1.0};
    const struct fitness_task no_metric = {"first", "f1", true, 1.0};

    assert_true(isnan(fitness_of(&good, &no_task, 1, STUDY_MINIMUM)));
    assert_true(isnan(fitness_of(&good, &no_metric, 1, STUDY_MINIMUM)));
    first_values[0] = HUGE_VAL;
    assert_true(isnan(fitness_of(&good, tasks, 2, STUDY_MINIMUM)));
    first_values[0] = 0.5;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_the_tasks),
        cmocka_unit_test(minimum_is_the_worst_task),
        cmocka_unit_test(a_lower_better_metric_turns_its_sign),
        cmocka_unit_test(a_failed_candidate_is_nan),
        cmocka_unit_test(a_missing_or_infinite_value_is_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
