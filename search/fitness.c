#include "search/fitness.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>

/* The value of a task's metric, higher is better; NaN when the score does not have it. */
static double task_value(const struct score *score, const struct fitness_task *task)
{
    const struct score_task *found = score_find(score, task->name);
    size_t metric = found != NULL ? score_metric(found, task->metric) : SIZE_MAX;

    if (metric == SIZE_MAX || !isfinite(found->values[metric])) {
        return (double)NAN;
    }
    return task->higher_is_better ? found->values[metric] : -found->values[metric];
}

double fitness_objective(const struct score *score, const struct fitness_task *tasks, size_t n,
                         enum study_objective objective)
{
    assert(n >= 1);
    double sum = 0.0, weights = 0.0, worst = HUGE_VAL;

    if (score->failure != SCORE_OK) {
        return (double)NAN;
    }
    for (size_t t = 0; t < n; t++) {
        double value = task_value(score, &tasks[t]);

        if (isnan(value)) {
            return value;
        }
        sum += tasks[t].weight * value;
        weights += tasks[t].weight;
        worst = fmin(worst, value);
    }
    return objective == STUDY_MINIMUM ? worst : sum / weights;
}

double fitness_of(const struct score *score, const struct fitness_task *tasks, size_t n,
                  enum study_objective objective)
{
    return -fitness_objective(score, tasks, n, objective);
}

void fitness_each(const double *values, const struct fitness_task *tasks, const size_t *which,
                  size_t m, double *out)
{
    for (size_t i = 0; i < m; i++) {
        double value = values[which[i]];

        out[i] = tasks[which[i]].higher_is_better ? -value : value;
    }
}
