/*
 * verdict_front.c - the final table of several objectives.
 *
 * There is no one best parent: in each objective another one may be. Each row is held against the
 * best of that objective, which is the one that does best on the report documents themselves.
 */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "search/coordinator_internal.h"

/* A task's value as scored, NaN when the candidate failed. */
static double value_of(const struct coordinator *coordinator, const struct score *score, size_t t)
{
    size_t metric = score->n_tasks > 0
                        ? score_metric(&score->tasks[t], coordinator->tasks[t].metric)
                        : SIZE_MAX;

    return metric != SIZE_MAX ? score->tasks[t].values[metric] : (double)NAN;
}

/* The place of the parent that does best in a task, SIZE_MAX: none was measured. */
static size_t best_parent_in(const struct coordinator *coordinator, const struct score *scores,
                             size_t t)
{
    double sign = coordinator->tasks[t].higher_is_better ? 1.0 : -1.0, most = -HUGE_VAL;
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < coordinator->open.n; i++) {
        double value = sign * value_of(coordinator, &scores[i], t);

        if (coordinator->open.places[i].row.parent && value > most) {
            most = value;
            best = i;
        }
    }
    return best;
}

static int store_standing(struct coordinator *coordinator, const struct score *scores, size_t i,
                          size_t t, struct err *err)
{
    size_t parent = best_parent_in(coordinator, scores, t);
    struct store_standing row = {.number = i,
                                 .task = t,
                                 .value = value_of(coordinator, &scores[i], t),
                                 .difference = (double)NAN,
                                 .low = (double)NAN,
                                 .high = (double)NAN};

    if (parent != SIZE_MAX) {
        struct statistics_difference difference;

        verdict_compare_task(&difference, coordinator, t, &scores[i], &scores[parent]);
        row.parent = coordinator->open.places[parent].row.candidate;
        row.difference = difference.mean;
        row.low = difference.lower;
        row.high = difference.upper;
    }
    return store_add_standing(coordinator->store, &row, err);
}

int standings_store(struct coordinator *coordinator, const struct score *scores, struct err *err)
{
    const struct study *study = coordinator->options.study;
    int rc = 0;

    for (size_t i = 0; i < coordinator->open.n; i++) {
        for (size_t k = 0; k < study->n_objectives && rc == 0; k++) {
            rc = store_standing(coordinator, scores, i, study->objectives[k], err);
        }
    }
    return rc;
}

/* ---- in words ---- */

static void say_objective(json_t *sentences, const struct coordinator *coordinator,
                          const struct score *scores, size_t t, enum statistics_unit unit)
{
    size_t parent = best_parent_in(coordinator, scores, t);
    struct statistics_difference difference;
    struct text text = {0};
    char than[128];

    if (parent == SIZE_MAX) {
        return;
    }
    const char *label = coordinator->open.places[parent].row.label;
    size_t skip = strncmp(label, "parent ", strlen("parent ")) == 0 ? strlen("parent ") : 0;

    snprintf(than, sizeof(than), "its best parent %.80s", label + skip);
    verdict_compare_task(&difference, coordinator, t, &scores[0], &scores[parent]);
    text_printf(&text, "%s: ", coordinator->tasks[t].name);
    statistics_words(&text, &difference, than, unit);
    json_array_append_new(sentences, json_string(text_get(&text)));
    text_release(&text);
}

void standings_say(json_t *sentences, const struct coordinator *coordinator,
                   const struct score *scores, enum statistics_unit unit)
{
    const struct study *study = coordinator->options.study;
    size_t finalists = coordinator->open.n - coordinator->options.n_baselines;
    struct text text = {0};

    for (size_t k = 0; k < study->n_objectives; k++) {
        say_objective(sentences, coordinator, scores, study->objectives[k], unit);
    }
    text_printf(&text,
                "the winner is the best compromise of %zu finalists from a front of %llu, each "
                "objective weighed between the worst and the best of them",
                finalists, (unsigned long long)coordinator->front);
    json_array_append_new(sentences, json_string(text_get(&text)));
    text_release(&text);
}
