/*
 * front.c - several objectives: what the search is told, the candidates nothing dominates, and
 * which of them go on.
 *
 *     generation told     each of it that none of the front is as good as goes in, and those it
 *                         dominates go out
 *     end of the search   of the front at most `finalists`, spread along it
 *     select split        the winner: the best compromise
 *
 * A compromise is the weighted mean of the objectives, each on a scale from the worst of the front,
 * 0, to the best, 1; weights are the tasks'. All of it is made from what is stored.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/coordinator_internal.h"
#include "search/pareto.h"

/* Candidates with their objectives. */
struct front {
    size_t n, m, room;
    uint64_t *candidates; /* [n] */
    double *values;       /* [n, m] lower is better */
};

static void front_release(struct front *front)
{
    free(front->candidates);
    free(front->values);
}

int front_objectives(const struct coordinator *coordinator, uint64_t candidate, double *out,
                     struct err *err)
{
    const struct study *study = coordinator->options.study;
    double values[STUDY_TASKS_MAX];
    int rc = store_values(coordinator->store, candidate, coordinator->n_tasks, values, err);

    if (rc == 0) {
        fitness_each(values, coordinator->tasks, study->objectives, study->n_objectives, out);
    }
    return rc;
}

static void front_add(struct front *front, uint64_t candidate, const double *values)
{
    if (front->n == front->room) {
        front->room = 2 * front->room + 16;
        front->candidates = mem_resize(front->candidates, front->room, sizeof(*front->candidates));
        front->values = mem_resize(front->values, front->room * front->m, sizeof(*front->values));
    }
    front->candidates[front->n] = candidate;
    memcpy(front->values + front->n * front->m, values, front->m * sizeof(*values));
    front->n++;
}

static void front_drop(struct front *front, size_t i)
{
    size_t after = --front->n - i;

    memmove(front->candidates + i, front->candidates + i + 1, after * sizeof(*front->candidates));
    memmove(front->values + i * front->m, front->values + (i + 1) * front->m,
            after * front->m * sizeof(*front->values));
}

static int front_load(struct front *front, const struct coordinator *coordinator, struct err *err)
{
    double values[STUDY_OBJECTIVES_MAX];
    uint64_t *candidates = NULL;
    size_t n = 0;

    *front = (struct front){.m = coordinator->options.study->n_objectives};
    int rc = store_front(coordinator->store, &candidates, &n, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = front_objectives(coordinator, candidates[i], values, err);
        if (rc == 0) {
            front_add(front, candidates[i], values);
        }
    }
    free(candidates);
    return rc;
}

/* ---- keeping it ---- */

/* Someone is there who is as good in everything. */
static bool is_reached(const struct front *front, const double *values)
{
    for (size_t i = 0; i < front->n; i++) {
        const double *other = front->values + i * front->m;

        if (pareto_dominates(other, values, front->m) ||
            memcmp(other, values, front->m * sizeof(*values)) == 0) {
            return true;
        }
    }
    return false;
}

static int take_in(struct front *front, struct store *store, uint64_t candidate,
                   const double *values, struct err *err)
{
    int rc = 0;

    if (is_reached(front, values)) {
        return 0;
    }
    for (size_t i = front->n; i-- > 0 && rc == 0;) {
        if (pareto_dominates(values, front->values + i * front->m, front->m)) {
            rc = store_drop_front(store, front->candidates[i], err);
            front_drop(front, i);
        }
    }
    front_add(front, candidate, values);
    return rc != 0 ? rc : store_add_front(store, candidate, err);
}

int front_update(struct coordinator *coordinator, struct err *err)
{
    double values[STUDY_OBJECTIVES_MAX];
    struct front front;
    int rc = front_load(&front, coordinator, err);

    for (size_t i = 0; i < coordinator->open.n && rc == 0; i++) {
        const struct store_candidate *row = &coordinator->open.places[i].row;

        if (row->status == STORE_DONE) {
            rc = front_objectives(coordinator, row->candidate, values, err);
            rc = rc != 0 ? rc : take_in(&front, coordinator->store, row->candidate, values, err);
        }
    }
    front_release(&front);
    return rc;
}

/* ---- finalists ---- */

int front_finalists(struct coordinator *coordinator, struct store_candidate **out, size_t *n,
                    struct err *err)
{
    struct store_candidate *rows = NULL;
    struct front front;
    int rc = front_load(&front, coordinator, err);

    while (rc == 0 && front.n > coordinator->options.study->finalists) {
        front_drop(&front, pareto_most_crowded(front.values, front.n, front.m));
    }
    rows = mem_array(front.n + 1, sizeof(*rows));
    for (size_t i = 0; i < front.n && rc == 0; i++) {
        rc = store_candidate(coordinator->store, front.candidates[i], &rows[i], err);
    }
    if (rc != 0) {
        store_candidates_free(rows, front.n);
    } else {
        *out = rows;
        *n = front.n;
    }
    front_release(&front);
    return rc;
}

/* ---- the winner ---- */

/* The compromise of each row, [n], by weights [m]. */
static void weigh(const struct front *front, const double *weights, double *out)
{
    for (size_t i = 0; i < front->n; i++) {
        out[i] = 0.0;
    }
    for (size_t k = 0; k < front->m; k++) {
        double least = HUGE_VAL, most = -HUGE_VAL;

        for (size_t i = 0; i < front->n; i++) {
            least = fmin(least, front->values[i * front->m + k]);
            most = fmax(most, front->values[i * front->m + k]);
        }
        for (size_t i = 0; i < front->n && most > least; i++) {
            out[i] += weights[k] * (most - front->values[i * front->m + k]) / (most - least);
        }
    }
}

/* Of the front, whose candidates are places of the open generation; of equal ones that with the
 * better mean of all tasks, SIZE_MAX when there is none. */
static size_t best_compromise(const struct front *front, const struct coordinator *coordinator)
{
    const struct study *study = coordinator->options.study;
    double weights[STUDY_OBJECTIVES_MAX], most = -HUGE_VAL, most_value = -HUGE_VAL;
    double *worth = mem_array(front->n + 1, sizeof(*worth));
    size_t best = SIZE_MAX;

    for (size_t k = 0; k < front->m; k++) {
        weights[k] = coordinator->tasks[study->objectives[k]].weight;
    }
    weigh(front, weights, worth);
    for (size_t i = 0; i < front->n; i++) {
        size_t place = (size_t)front->candidates[i];
        double value = coordinator->open.places[place].row.value;

        if (worth[i] > most || (worth[i] == most && value > most_value)) {
            best = place;
            most = worth[i];
            most_value = value;
        }
    }
    free(worth);
    return best;
}

/* What another of them dominates is out. */
static void keep_undominated(struct front *front)
{
    for (size_t i = front->n; i-- > 0;) {
        const double *values = front->values + i * front->m;
        bool beaten = false;

        for (size_t j = 0; j < front->n; j++) {
            beaten = beaten || pareto_dominates(front->values + j * front->m, values, front->m);
        }
        if (beaten) {
            front_drop(front, i);
        }
    }
}

int front_choose(struct coordinator *coordinator, size_t *winner, struct err *err)
{
    const struct generation *open = &coordinator->open;
    struct front front = {.m = coordinator->options.study->n_objectives};
    double values[STUDY_OBJECTIVES_MAX];
    int rc = 0;

    for (size_t i = 0; i < open->n && rc == 0; i++) {
        if (open->places[i].row.status == STORE_DONE) {
            rc = front_objectives(coordinator, open->places[i].row.candidate, values, err);
            front_add(&front, i, values);
        }
    }
    if (rc == 0) {
        keep_undominated(&front);
        *winner = best_compromise(&front, coordinator);
    }
    front_release(&front);
    return rc;
}
