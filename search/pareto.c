#include "search/pareto.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

bool pareto_dominates(const double *a, const double *b, size_t m)
{
    bool better = false;

    for (size_t i = 0; i < m; i++) {
        if (a[i] > b[i]) {
            return false;
        }
        better = better || a[i] < b[i];
    }
    return better;
}

void pareto_mark_failed(double *row, size_t m)
{
    bool failed = false;

    for (size_t i = 0; i < m; i++) {
        failed = failed || !isfinite(row[i]);
    }
    for (size_t i = 0; i < m && failed; i++) {
        row[i] = HUGE_VAL;
    }
}

void pareto_fronts(const double *rows, size_t n, size_t m, size_t *fronts)
{
    size_t left = n;

    for (size_t i = 0; i < n; i++) {
        fronts[i] = SIZE_MAX; /* not yet in any */
    }
    for (size_t front = 0; left > 0; front++) {
        const size_t before = left;

        for (size_t i = 0; i < n; i++) {
            bool free_ = fronts[i] == SIZE_MAX;

            for (size_t j = 0; j < n && free_; j++) { /* those of this very front still stand */
                bool stands = fronts[j] == SIZE_MAX || fronts[j] == front;

                free_ = !(stands && pareto_dominates(rows + j * m, rows + i * m, m));
            }
            if (free_ && fronts[i] == SIZE_MAX) {
                fronts[i] = front;
                left--;
            }
        }
        assert(left < before);
    }
}

/* ---- crowding ---- */

struct place {
    double value;
    size_t index;
};

static int by_value(const void *left, const void *right)
{
    const struct place *a = left, *b = right;

    return a->value < b->value ? -1 : a->value > b->value ? 1 : a->index < b->index ? -1 : 1;
}

/* One objective of one front of n places. */
static void crowd(struct place *order, size_t n, double *crowding)
{
    qsort(order, n, sizeof *order, by_value);
    double range = order[n - 1].value - order[0].value;

    crowding[order[0].index] = crowding[order[n - 1].index] = HUGE_VAL;
    for (size_t i = 1; i + 1 < n && range > 0.0 && isfinite(range); i++) {
        crowding[order[i].index] += (order[i + 1].value - order[i - 1].value) / range;
    }
}

void pareto_crowding(const double *rows, size_t n, size_t m, const size_t *fronts, double *crowding)
{
    struct place *order = mem_array(n + 1, sizeof *order);
    size_t last = 0;

    for (size_t i = 0; i < n; i++) {
        crowding[i] = 0.0;
        last = fronts[i] > last ? fronts[i] : last;
    }
    for (size_t front = 0; front <= last; front++) {
        for (size_t objective = 0; objective < m; objective++) {
            size_t count = 0;

            for (size_t i = 0; i < n; i++) {
                if (fronts[i] == front) {
                    order[count++] = (struct place){rows[i * m + objective], i};
                }
            }
            if (count > 0) {
                crowd(order, count, crowding);
            }
        }
    }
    free(order);
}

size_t pareto_most_crowded(const double *rows, size_t n, size_t m)
{
    size_t *fronts = mem_array(n, sizeof *fronts), least = 0;
    double *crowding = mem_array(n, sizeof *crowding);

    pareto_crowding(rows, n, m, fronts, crowding); /* all in front 0 */
    for (size_t i = 1; i < n; i++) {
        least = crowding[i] < crowding[least] ? i : least;
    }
    free(fronts);
    free(crowding);
    return least;
}

/* ---- an order of all ---- */

/* Of rows [n, 2] in one front, what each covers alone: the rectangle to its neighbours. */
static void alone(const double *rows, size_t n, double *worth)
{
    struct place *order = mem_array(n + 1, sizeof *order);

    for (size_t i = 0; i < n; i++) {
        order[i] = (struct place){rows[2 * i], i};
    }
    qsort(order, n, sizeof *order, by_value);
    for (size_t i = 0; i < n; i++) { /* the second objective falls where the first rises */
        bool end = i == 0 || i + 1 == n;

        worth[order[i].index] =
            end ? HUGE_VAL
                : (order[i + 1].value - order[i].value) *
                      (rows[2 * order[i - 1].index + 1] - rows[2 * order[i].index + 1]);
    }
    free(order);
}

/* rows [n, m] of one front with their indices, both overwritten: best first into out [n]. */
static void order_front(double *rows, size_t *indices, size_t n, size_t m, size_t *out)
{
    double *worth = mem_array(n + 1, sizeof *worth);
    size_t *fronts = mem_array(n + 1, sizeof *fronts); /* all the same one */

    while (n > 0) {
        size_t least = 0;

        if (m == 2 && isfinite(rows[0])) {
            alone(rows, n, worth);
        } else {
            pareto_crowding(rows, n, m, fronts, worth);
        }
        for (size_t i = 1; i < n; i++) {
            least = worth[i] <= worth[least] ? i : least;
        }
        out[--n] = indices[least];
        memmove(indices + least, indices + least + 1, (n - least) * sizeof *indices);
        memmove(rows + least * m, rows + (least + 1) * m, (n - least) * m * sizeof *rows);
    }
    free(worth);
    free(fronts);
}

void pareto_order(const double *rows, size_t n, size_t m, size_t *order)
{
    size_t *fronts = mem_array(n + 1, sizeof *fronts), done = 0;
    size_t *indices = mem_array(n + 1, sizeof *indices);
    double *members = mem_array(n * m + 1, sizeof *members);

    pareto_fronts(rows, n, m, fronts);
    for (size_t front = 0; done < n; front++) {
        size_t count = 0;

        for (size_t i = 0; i < n; i++) {
            if (fronts[i] == front) {
                memcpy(members + count * m, rows + i * m, m * sizeof *members);
                indices[count++] = i;
            }
        }
        order_front(members, indices, count, m, order + done);
        done += count;
    }
    free(fronts);
    free(indices);
    free(members);
}

/* ---- hypervolume ---- */

/* rows [n, m] of which only the first `used` >= 2 objectives count, all below the reference there.
 */
static double volume(const double *rows, size_t n, size_t m, size_t used, const double *reference)
{
    struct place *order = mem_array(n + 1, sizeof *order);
    double *slice = mem_array(n * m + 1, sizeof *slice), sum = 0.0, least = reference[0];

    for (size_t i = 0; i < n; i++) {
        order[i] = (struct place){rows[i * m + used - 1], i};
    }
    qsort(order, n, sizeof *order, by_value);
    for (size_t i = 0; i < n; i++) { /* the slab from this row's last objective to the next one's */
        double end = i + 1 < n ? order[i + 1].value : reference[used - 1];

        memcpy(slice + i * m, rows + order[i].index * m, m * sizeof *slice);
        least = fmin(least, slice[i * m]);
        if (end > order[i].value) {
            double across =
                used == 2 ? reference[0] - least : volume(slice, i + 1, m, used - 1, reference);

            sum += (end - order[i].value) * across;
        }
    }
    free(order);
    free(slice);
    return sum;
}

double pareto_hypervolume(const double *rows, size_t n, size_t m, const double *reference)
{
    double *inside = mem_array(n * m + 1, sizeof *inside);
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        bool below = true;

        for (size_t k = 0; k < m; k++) {
            below = below && rows[i * m + k] < reference[k];
        }
        if (below) {
            memcpy(inside + count++ * m, rows + i * m, m * sizeof *inside);
        }
    }
    double least = reference[0];

    for (size_t i = 0; i < count; i++) {
        least = fmin(least, inside[i * m]);
    }
    double sum = count == 0 ? 0.0
                 : m == 1   ? reference[0] - least
                            : volume(inside, count, m, m, reference);

    free(inside);
    return sum;
}
