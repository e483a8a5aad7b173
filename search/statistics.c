#include "search/statistics.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

#define NORMAL_95 1.959963984540054 /* two-sided */

static double difference_at(const struct statistics_task *task, size_t i)
{
    double d = task->ours[i * task->ours_stride] - task->theirs[i * task->theirs_stride];

    return task->higher_is_better ? d : -d;
}

/* Mean and squared standard error of one task's differences. */
static void paired(const struct statistics_task *task, double *mean, double *error_squared)
{
    const double n = (double)task->n;
    double sum = 0.0, squares = 0.0;

    for (size_t i = 0; i < task->n; i++) {
        sum += difference_at(task, i);
    }
    *mean = sum / n;
    for (size_t i = 0; i < task->n;
         i++) { /* around the mean: sum d^2 - (sum d)^2 / N without cancellation */
        double off = difference_at(task, i) - *mean;

        squares += off * off;
    }
    *error_squared = squares / (n * n);
}

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* The value below which a share of sorted [n] lies, interpolated. */
static double quantile(const double *sorted, size_t n, double share)
{
    double place = share * (double)(n - 1);
    size_t below = (size_t)place;
    size_t above = below + 1 < n ? below + 1 : below;

    return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}

/* One resample of every task: as many documents as there are, drawn with replacement. */
static double resample(const struct statistics_task *tasks, size_t n, double weights,
                       struct rng64 *rng)
{
    double mean = 0.0;

    for (size_t t = 0; t < n; t++) {
        double sum = 0.0;

        for (size_t i = 0; i < tasks[t].n; i++) {
            sum += difference_at(&tasks[t], (size_t)rng64_below(rng, tasks[t].n));
        }
        mean += tasks[t].weight / weights * sum / (double)tasks[t].n;
    }
    return mean;
}

static void bootstrap(struct statistics_difference *out, const struct statistics_task *tasks,
                      size_t n, double weights, uint64_t seed)
{
    double *means = mem_array(STATISTICS_RESAMPLES, sizeof *means);
    struct rng64 rng;

    rng64_seed(&rng, seed, RNG_BOOTSTRAP);
    for (size_t i = 0; i < STATISTICS_RESAMPLES; i++) {
        means[i] = resample(tasks, n, weights, &rng);
    }
    qsort(means, STATISTICS_RESAMPLES, sizeof *means, ascending);
    out->resampled_lower = quantile(means, STATISTICS_RESAMPLES, 0.025);
    out->resampled_upper = quantile(means, STATISTICS_RESAMPLES, 0.975);
    free(means);
}

void statistics_compare(struct statistics_difference *out, const struct statistics_task *tasks,
                        size_t n, uint64_t seed)
{
    const double none = (double)NAN;
    double weights = 0.0, mean = 0.0, error_squared = 0.0;
    size_t documents = 0;
    bool comparable = n > 0;

    for (size_t t = 0; t < n; t++) {
        assert(tasks[t].weight > 0.0);
        weights += tasks[t].weight;
        documents += tasks[t].n;
        comparable = comparable && tasks[t].n > 0;
    }
    *out = (struct statistics_difference){none, none, none, none, none, none, documents};
    for (size_t t = 0; t < n && comparable; t++) {
        double share = tasks[t].weight / weights;
        double task_mean, task_error_squared;

        paired(&tasks[t], &task_mean, &task_error_squared);
        mean += share * task_mean;
        error_squared += share * share * task_error_squared;
    }
    if (!comparable || !isfinite(mean) || !isfinite(error_squared)) {
        return;
    }
    out->mean = mean;
    out->error = sqrt(error_squared);
    out->lower = mean - NORMAL_95 * out->error;
    out->upper = mean + NORMAL_95 * out->error;
    bootstrap(out, tasks, n, weights, seed);
}

double statistics_luck(double error, size_t n)
{
    return n > 1 ? error * sqrt(2.0 * log((double)n)) : 0.0;
}

size_t statistics_choose(const struct statistics_finalist *finalists, size_t n)
{
    size_t best = SIZE_MAX, nearest = SIZE_MAX;

    for (size_t i = 0; i < n; i++) {
        if (!isnan(finalists[i].score) &&
            (best == SIZE_MAX || finalists[i].score > finalists[best].score)) {
            best = i;
        }
    }
    if (best == SIZE_MAX) {
        return SIZE_MAX;
    }
    double enough =
        finalists[best].score - (finalists[best].error > 0.0 ? finalists[best].error : 0.0);

    for (size_t i = 0; i < n; i++) {
        if (finalists[i].score >= enough &&
            (nearest == SIZE_MAX || finalists[i].distance < finalists[nearest].distance)) {
            nearest = i;
        }
    }
    return nearest;
}

/* ---- words ---- */

static void add_value(struct text *out, double value, enum statistics_unit unit)
{
    if (unit == STATISTICS_POINTS) {
        double points = round(value * 1000.0) / 10.0;

        text_printf(out, "%.1f", points == 0.0 ? 0.0 : points); /* no "-0.0" */
    } else {
        text_printf(out, "%.3g", value);
    }
}

/* "6.1 points, 3.9 to 8.3" */
static void add_interval(struct text *out, double mean, double lower, double upper,
                         enum statistics_unit unit)
{
    add_value(out, mean, unit);
    text_add(out, unit == STATISTICS_POINTS ? " points, " : ", ");
    add_value(out, lower, unit);
    text_add(out, " to ");
    add_value(out, upper, unit);
}

void statistics_words(struct text *out, const struct statistics_difference *d, const char *than,
                      enum statistics_unit unit)
{
    if (isnan(d->mean)) {
        text_printf(out, "not comparable with %s", than);
    } else if (isnan(d->error)) {
        text_printf(out, "%s%s by ", d->mean < 0.0 ? "below " : "above ", than);
        add_value(out, fabs(d->mean), unit);
        text_printf(out,
                    "%s; without per-document results there is no interval, and it may be luck",
                    unit == STATISTICS_POINTS ? " points" : "");
    } else if (d->lower > 0.0) {
        text_printf(out, "better than %s by ", than);
        add_interval(out, d->mean, d->lower, d->upper, unit);
    } else if (d->upper < 0.0) {
        text_printf(out, "worse than %s by ", than);
        add_interval(out, -d->mean, -d->upper, -d->lower, unit);
    } else {
        text_printf(out, "not distinguishable from %s: %s", than, d->mean > 0.0 ? "+" : "");
        add_interval(out, d->mean, d->lower, d->upper, unit);
    }
}

void statistics_verdict(struct text *out, const struct statistics_difference *to_best_parent,
                        enum statistics_unit unit)
{
    const char *const parent = "the best parent";

    if (to_best_parent->lower > 0.0 ||
        (isnan(to_best_parent->error) && to_best_parent->mean > 0.0)) {
        statistics_words(out, to_best_parent, parent, unit);
        return;
    }
    text_printf(out, "no merge beat %s: the winner is ", parent);
    statistics_words(out, to_best_parent, "it", unit);
}
