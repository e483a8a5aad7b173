/*
 * verdict.c - who wins, and by how much of it one can be sure.
 *
 *     search split    many candidates, one lucky best
 *     select split    a few finalists: the winner is chosen here
 *     report split    the winner and every baseline, read once: the numbers that are shown
 *
 * The best parent is the one that does best on the report documents themselves: the hardest
 * comparison there is for the winner.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "base/text.h"
#include "search/coordinator_internal.h"
#include "search/statistics.h"

/* ---- the choice ---- */

/* The task that decides a minimum: the worst one. */
static size_t worst_task(const struct coordinator *coordinator, const struct score *score)
{
    size_t worst = 0;
    double least = DBL_MAX;

    for (size_t t = 0; t < coordinator->n_tasks; t++) {
        double value = fitness_objective(score, &coordinator->tasks[t], 1, STUDY_WEIGHTED_MEAN);

        if (value < least) {
            least = value;
            worst = t;
        }
    }
    return worst;
}

static double error_of_task(const struct coordinator *coordinator, const struct score *score,
                            size_t t)
{
    const struct score_task *task = &score->tasks[t];
    size_t metric = score_metric(task, coordinator->tasks[t].metric);

    return metric != SIZE_MAX && isfinite(task->errors[metric]) ? task->errors[metric] : 0.0;
}

/* Standard error of the objective; tasks are independent. 0 where a metric has none. */
static double error_of(const struct coordinator *coordinator, const struct score *score)
{
    double squares = 0.0, weights = 0.0;

    if (coordinator->options.study->objective == STUDY_MINIMUM) {
        return error_of_task(coordinator, score, worst_task(coordinator, score));
    }
    for (size_t t = 0; t < coordinator->n_tasks; t++) {
        double part = coordinator->tasks[t].weight * error_of_task(coordinator, score, t);

        squares += part * part;
        weights += coordinator->tasks[t].weight;
    }
    return sqrt(squares) / weights;
}

static double distance(const double *a, const double *b, size_t n)
{
    double squares = 0.0;

    for (size_t i = 0; i < n; i++) {
        squares += (a[i] - b[i]) * (a[i] - b[i]);
    }
    return sqrt(squares);
}

static int look_at_finalist(struct coordinator *coordinator, const struct store_candidate *row,
                            const double *mean, struct statistics_finalist *out, struct err *err)
{
    struct score score = {0};

    *out = (struct statistics_finalist){
        .score = row->value,
        .distance = row->n_point > 0 ? distance(row->point, mean, row->n_point) : HUGE_VAL};
    if (row->status != STORE_DONE) {
        return 0;
    }
    int rc = store_score(coordinator->store, row->candidate, &score, err);
    if (rc == 0) {
        out->error = error_of(coordinator, &score);
    }
    score_release(&score);
    return rc;
}

int verdict_choose(struct coordinator *coordinator, size_t *winner, struct err *err)
{
    if (has_front(coordinator)) {
        return front_choose(coordinator, winner, err);
    }
    const struct generation *open = &coordinator->open;
    struct statistics_finalist *finalists = mem_array(open->n, sizeof(*finalists));
    double *mean = mem_array(optimiser_n(coordinator->optimiser), sizeof(*mean));
    int rc = 0;

    optimiser_mean(coordinator->optimiser, mean);
    for (size_t i = 0; i < open->n && rc == 0; i++) {
        rc = look_at_finalist(coordinator, &open->places[i].row, mean, &finalists[i], err);
    }
    if (rc == 0) {
        *winner = statistics_choose(finalists, open->n);
    }
    free(mean);
    free(finalists);
    return rc;
}

/* ---- the comparison ---- */

/* The report generation's scores, the winner's first; those that failed are empty. */
struct table {
    size_t n;
    struct score *scores; /* [n] */
    enum statistics_unit unit;
};

static void table_release(struct table *table)
{
    for (size_t i = 0; i < table->n; i++) {
        score_release(&table->scores[i]);
    }
    free(table->scores);
}

/* Shares are read as points of a hundred: every value of every document lies in 0 .. 1. */
static bool is_share(const struct coordinator *coordinator, const struct score *score)
{
    for (size_t t = 0; t < score->n_tasks; t++) {
        const struct score_task *task = &score->tasks[t];
        size_t metric = score_metric(task, coordinator->tasks[t].metric);

        for (size_t i = 0; i < task->n; i++) {
            double value = task->document_values[i * task->n_metrics + metric];

            if (!(value >= 0.0 && value <= 1.0)) {
                return false;
            }
        }
        if (task->n == 0 && !(task->values[metric] >= 0.0 && task->values[metric] <= 1.0)) {
            return false;
        }
    }
    return true;
}

static int table_load(struct coordinator *coordinator, struct table *table, struct err *err)
{
    const struct generation *open = &coordinator->open;
    int rc = 0;

    table->n = open->n;
    table->scores = mem_array(open->n, sizeof(*table->scores));
    table->unit = STATISTICS_POINTS;
    for (size_t i = 0; i < open->n && rc == 0; i++) {
        if (open->places[i].row.status == STORE_DONE) {
            rc = store_score(coordinator->store, open->places[i].row.candidate, &table->scores[i],
                             err);
            if (rc == 0 && !is_share(coordinator, &table->scores[i])) {
                table->unit = STATISTICS_PLAIN;
            }
        }
    }
    return rc;
}

/* ---- one task, document by document ---- */

static double mean_of(const struct score_task *task, size_t metric)
{
    double sum = 0.0;

    for (size_t i = 0; i < task->n; i++) {
        sum += task->document_values[i * task->n_metrics + metric];
    }
    return sum / (double)task->n;
}

/* [n], free() it */
static double *scaled_values(const struct score_task *task, size_t metric, double slope)
{
    double *values = mem_array(task->n, sizeof(*values));

    for (size_t i = 0; i < task->n; i++) {
        values[i] = slope * task->document_values[i * task->n_metrics + metric];
    }
    return values;
}

static struct statistics_task pair_begin(const struct coordinator *coordinator, size_t t,
                                         const struct score *ours, const struct score *theirs)
{
    const struct score_task *left = &ours->tasks[t], *right = &theirs->tasks[t];
    const struct fitness_task *task = &coordinator->tasks[t];
    size_t metric_left = score_metric(left, task->metric);
    size_t metric_right = score_metric(right, task->metric);
    double slope = score_secant(mean_of(left, metric_left), mean_of(right, metric_right),
                                left->values[metric_left], right->values[metric_right]);

    return (struct statistics_task){
        .ours = scaled_values(left, metric_left, slope),
        .theirs = scaled_values(right, metric_right, slope),
        .ours_stride = 1,
        .theirs_stride = 1,
        .n = left->n,
        .weight = task->weight,
        .higher_is_better = task->higher_is_better,
    };
}

static void pair_end(struct statistics_task *task)
{
    free((double *)task->ours);
    free((double *)task->theirs);
}

static const struct statistics_difference no_difference = {
    (double)NAN, (double)NAN, (double)NAN, (double)NAN, (double)NAN, (double)NAN, 0};

/* Documents of both are known, and as far as we can see the same: those of programs may not be. */
static bool is_paired(const struct score_task *ours, const struct score_task *theirs)
{
    return ours->n > 0 && ours->n == theirs->n;
}

/* All that whole values say: a mean, and no interval. */
static void compare_values(struct statistics_difference *out, const struct fitness_task *tasks,
                           size_t n, enum study_objective objective, const struct score *ours,
                           const struct score *theirs)
{
    *out = no_difference;
    out->mean = fitness_objective(ours, tasks, n, objective) -
                fitness_objective(theirs, tasks, n, objective);
}

void verdict_compare_task(struct statistics_difference *out, const struct coordinator *coordinator,
                          size_t task, const struct score *ours, const struct score *theirs)
{
    *out = no_difference;
    if (ours->n_tasks > 0 && theirs->n_tasks > 0 &&
        !is_paired(&ours->tasks[task], &theirs->tasks[task])) {
        compare_values(out, &coordinator->tasks[task], 1, STUDY_WEIGHTED_MEAN, ours, theirs);
    } else if (ours->n_tasks > 0 && theirs->n_tasks > 0) {
        struct statistics_task pair = pair_begin(coordinator, task, ours, theirs);

        statistics_compare(out, &pair, 1, coordinator->options.study->seed);
        pair_end(&pair);
    }
}

/* ---- all tasks ---- */

/* Two different worst tasks share no documents: their errors add up. */
static void compare_unpaired(struct statistics_difference *out,
                             const struct coordinator *coordinator, const struct score *ours,
                             size_t our_task, const struct score *theirs, size_t their_task)
{
    double left = fitness_objective(ours, &coordinator->tasks[our_task], 1, STUDY_WEIGHTED_MEAN);
    double right =
        fitness_objective(theirs, &coordinator->tasks[their_task], 1, STUDY_WEIGHTED_MEAN);

    out->mean = left - right;
    out->error = hypot(error_of_task(coordinator, ours, our_task),
                       error_of_task(coordinator, theirs, their_task));
    out->lower = out->resampled_lower = out->mean - 1.96 * out->error;
    out->upper = out->resampled_upper = out->mean + 1.96 * out->error;
    out->n = ours->tasks[our_task].n + theirs->tasks[their_task].n;
}

static bool are_paired(const struct coordinator *coordinator, const struct score *ours,
                       const struct score *theirs)
{
    bool paired = true;

    for (size_t t = 0; t < coordinator->n_tasks; t++) {
        paired = paired && is_paired(&ours->tasks[t], &theirs->tasks[t]);
    }
    return paired;
}

/* Ours less theirs in the objective; all NaN when either failed. */
static void compare(struct statistics_difference *out, const struct coordinator *coordinator,
                    const struct score *ours, const struct score *theirs)
{
    *out = no_difference;
    if (ours->n_tasks == 0 || theirs->n_tasks == 0) {
        return;
    }
    if (!are_paired(coordinator, ours, theirs)) {
        compare_values(out, coordinator->tasks, coordinator->n_tasks,
                       coordinator->options.study->objective, ours, theirs);
        return;
    }
    struct statistics_task *tasks = mem_array(coordinator->n_tasks, sizeof(*tasks));
    size_t n = coordinator->n_tasks;
    uint64_t seed = coordinator->options.study->seed;
    for (size_t t = 0; t < n; t++) {
        tasks[t] = pair_begin(coordinator, t, ours, theirs);
    }
    if (coordinator->options.study->objective == STUDY_MINIMUM) {
        size_t our_task = worst_task(coordinator, ours),
               their_task = worst_task(coordinator, theirs);

        if (our_task == their_task) {
            statistics_compare(out, &tasks[our_task], 1, seed);
        } else {
            compare_unpaired(out, coordinator, ours, our_task, theirs, their_task);
        }
    } else {
        statistics_compare(out, tasks, n, seed);
    }
    for (size_t t = 0; t < n; t++) {
        pair_end(&tasks[t]);
    }
    free(tasks);
}

/* ---- the table ---- */

/* The winner, then of several objectives the rest of the front, then the baselines. */
static const char *role_of(const struct coordinator *coordinator, size_t i)
{
    const struct generation *open = &coordinator->open;

    return i == 0                                           ? "winner"
           : i + coordinator->options.n_baselines < open->n ? "front"
           : open->places[i].row.parent                     ? "parent"
                                                            : "baseline";
}

static int store_rows(struct coordinator *coordinator, const struct table *table, struct err *err)
{
    const struct generation *open = &coordinator->open;
    int rc = 0;

    for (size_t i = 0; i < table->n && rc == 0; i++) {
        const struct store_candidate *candidate = &open->places[i].row;
        struct statistics_difference difference;
        struct store_report_row row = {
            .number = i,
            .candidate = candidate->candidate,
            .label = candidate->label,
            .role = role_of(coordinator, i),
            .value = candidate->value,
            .difference = (double)NAN,
            .low = (double)NAN,
            .high = (double)NAN,
        };

        for (size_t t = 0; t < coordinator->n_tasks; t++) {
            row.n += coordinator->options.tasks[t].documents[SPLIT_REPORT];
        }
        if (i > 0) {
            compare(&difference, coordinator, &table->scores[0], &table->scores[i]);
            row.difference = difference.mean;
            row.low = difference.lower;
            row.high = difference.upper;
        }
        rc = store_add_report_row(coordinator->store, &row, err);
    }
    return rc;
}

/* ---- in words ---- */

static void add_sentence(json_t *list, struct text *sentence)
{
    json_array_append_new(list, json_string(text_get(sentence)));
    text_clear(sentence);
}

static void add_number(struct text *out, double value, enum statistics_unit unit)
{
    text_printf(out, unit == STATISTICS_POINTS ? "%.3f" : "%.4g", value);
}

static size_t best_parent(const struct generation *open)
{
    size_t best = SIZE_MAX;

    for (size_t i = 1; i < open->n; i++) {
        const struct store_candidate *row = &open->places[i].row;

        if (row->parent && !isnan(row->value) &&
            (best == SIZE_MAX || row->value > open->places[best].row.value)) {
            best = i;
        }
    }
    return best;
}

static void say_parent(json_t *list, const struct coordinator *coordinator,
                       const struct table *table)
{
    const struct generation *open = &coordinator->open;
    struct statistics_difference difference;
    struct text text = {0};
    size_t parent = best_parent(open);

    if (parent == SIZE_MAX) {
        return;
    }
    compare(&difference, coordinator, &table->scores[0], &table->scores[parent]);
    statistics_verdict(&text, &difference, table->unit);
    add_sentence(list, &text);
    const char *label = open->places[parent].row.label;
    size_t skip = strncmp(label, "parent ", strlen("parent ")) == 0 ? strlen("parent ") : 0;
    text_printf(&text, "the best parent, %s, has ", label + skip);
    add_number(&text, open->places[parent].row.value, table->unit);
    text_add(&text, "; the winner has ");
    add_number(&text, open->places[0].row.value, table->unit);
    add_sentence(list, &text);
    text_release(&text);
}

/* Every baseline that is no parent. */
static void say_others(json_t *list, const struct coordinator *coordinator,
                       const struct table *table)
{
    struct text text = {0};

    for (size_t i = 1; i < table->n; i++) {
        const struct store_candidate *row = &coordinator->open.places[i].row;
        struct statistics_difference difference;
        char than[160];

        if (strcmp(role_of(coordinator, i), "baseline") != 0) {
            continue;
        }
        bool average = strncmp(row->label, "uniform", strlen("uniform")) == 0;
        snprintf(than, sizeof(than), "%s%.100s%s", average ? "the " : "", row->label,
                 has_front(coordinator) ? " in the mean of all tasks" : "");
        compare(&difference, coordinator, &table->scores[0], &table->scores[i]);
        statistics_words(&text, &difference, than, table->unit);
        add_sentence(list, &text);
    }
    text_release(&text);
}

/* How much of the best search score is luck: the best of many equals seems better than it is. */
static int say_luck(json_t *list, struct coordinator *coordinator, enum statistics_unit unit,
                    struct err *err)
{
    struct store_candidate *best = NULL;
    struct score score = {0};
    struct text text = {0};
    size_t n = 0;

    int rc = store_best_candidates(coordinator->store, 1, &best, &n, err);
    if (rc == 0 && n > 0) {
        rc = store_score(coordinator->store, best->candidate, &score, err);
    }
    if (rc == 0 && n > 0) {
        double luck =
            statistics_luck(error_of(coordinator, &score), (size_t)coordinator->tally.searched);

        text_add(&text, "the best score of the search was ");
        add_number(&text, best->value, unit);
        text_add(&text, ", on the documents it was searched on; about ");
        add_number(&text, luck, unit);
        text_printf(&text, " of that would be luck if all %llu were equally good",
                    (unsigned long long)coordinator->tally.searched);
        add_sentence(list, &text);
    }
    text_release(&text);
    score_release(&score);
    store_candidates_free(best, n);
    return rc;
}

/* A score on what was searched on is no test, whatever split it is called. */
static void say_unsplit(json_t *list, const struct coordinator *coordinator)
{
    struct text text = {0};

    for (size_t t = 0; t < coordinator->n_tasks; t++) {
        const struct coordinator_task *task = &coordinator->options.tasks[t];

        if (task->unsplit) {
            text_printf(&text,
                        "%s was scored on the same data in every split: its numbers here are "
                        "those that were optimised, not a test",
                        task->name);
            add_sentence(list, &text);
        }
    }
    text_release(&text);
}

static int say_all(struct coordinator *coordinator, const struct table *table, char **sentences,
                   struct err *err)
{
    const struct store_candidate *winner = &coordinator->open.places[0].row;
    json_t *list = json_array();
    struct text text = {0};
    int rc = 0;

    if (winner->status == STORE_FAILED) {
        text_printf(&text, "the winner failed on the report documents (%s): no number can be given",
                    score_failure_name(winner->failure));
        add_sentence(list, &text);
    } else if (has_front(coordinator)) {
        standings_say(list, coordinator, table->scores, table->unit);
        say_others(list, coordinator, table);
    } else {
        say_parent(list, coordinator, table);
        say_others(list, coordinator, table);
        rc = say_luck(list, coordinator, table->unit, err);
    }
    say_unsplit(list, coordinator);
    if (rc == 0) {
        doc_print(&text, list);
        *sentences = text_take(&text);
    }
    text_release(&text);
    json_decref(list);
    return rc;
}

int verdict_store(struct coordinator *coordinator, char **sentences, struct err *err)
{
    struct table table = {0};

    int rc = table_load(coordinator, &table, err);
    if (rc == 0) {
        rc = store_rows(coordinator, &table, err);
    }
    if (rc == 0 && has_front(coordinator)) {
        rc = standings_store(coordinator, table.scores, err);
    }
    if (rc == 0) {
        rc = say_all(coordinator, &table, sentences, err);
    }
    table_release(&table);
    return rc;
}
