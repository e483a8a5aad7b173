/*
 * warm_start.c - see warm_start.h.
 *
 *     earlier candidates --> points of this space, best first --> the best tenth [m]
 *     start      = their mean
 *     deviation  = sqrt(0.1^2 + their variance), which never comes near the 1e-3 of the box below
 *                  which a search is shut in; sigma is the geometric mean of all
 */
#include "search/warm_start.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define POINTS_LEAST 10
#define BEST_PART 10 /* one in so many: gamma */
#define BLUR 0.1     /* of the box: alpha */

struct placed {
    double value;
    size_t order;
    double *point; /* [n] */
};

static int by_value(const void *left, const void *right)
{
    const struct placed *a = left, *b = right;

    if (a->value != b->value) {
        return a->value > b->value ? -1 : 1;
    }
    return (a->order > b->order) - (a->order < b->order);
}

/* The candidates that count, best first; how many there are. points [earlier->n, n]. */
static size_t place_all(const struct space *space, const struct phase_past *earlier, double *points,
                        struct placed *out)
{
    size_t count = 0;

    for (size_t i = 0; i < earlier->n; i++) {
        const struct phase_told *told = &earlier->told[i];
        double *point = points + count * space_n(space);
        struct recipe recipe = {0};

        if (isfinite(told->value) &&
            recipe_parse(&recipe, told->recipe, strlen(told->recipe), NULL) == 0 &&
            space_encode(space, &recipe, point, NULL) == 0) {
            out[count] = (struct placed){told->value, count, point};
            count++;
        }
        recipe_release(&recipe);
    }
    qsort(out, count, sizeof *out, by_value);
    return count;
}

static bool all_equal(const struct placed *best, size_t m, size_t n)
{
    bool equal = true;

    for (size_t k = 1; k < m; k++) {
        equal = equal && memcmp(best[0].point, best[k].point, n * sizeof(double)) == 0;
    }
    return equal;
}

static void fit(const struct placed *best, size_t m, size_t n, double *start, double *deviations,
                double *sigma)
{
    double logs = 0.0;

    for (size_t j = 0; j < n; j++) {
        double mean = 0.0, squares = 0.0;

        for (size_t k = 0; k < m; k++) {
            mean += best[k].point[j] / (double)m;
        }
        for (size_t k = 0; k < m; k++) {
            squares += (best[k].point[j] - mean) * (best[k].point[j] - mean);
        }
        start[j] = mean;
        deviations[j] = sqrt(BLUR * BLUR + squares / (double)m);
        logs += log(deviations[j]);
    }
    *sigma = exp(logs / (double)n);
    for (size_t j = 0; j < n; j++) {
        deviations[j] /= *sigma;
    }
}

bool warm_start(const struct space *space, const struct phase_past *earlier, double *start,
                double *deviations, double *sigma, char note[WARM_START_NOTE_MAX])
{
    const size_t n = space_n(space);
    double *points = mem_array(earlier->n * n, sizeof *points);
    struct placed *placed = mem_array(earlier->n, sizeof *placed);
    const size_t count = place_all(space, earlier, points, placed), m = count / BEST_PART;
    const bool warm = count >= POINTS_LEAST && !all_equal(placed, m, n);

    if (warm) {
        fit(placed, m, n, start, deviations, sigma);
        snprintf(note, WARM_START_NOTE_MAX,
                 "warm start from the best %zu of %zu earlier candidates", m, count);
    } else {
        snprintf(note, WARM_START_NOTE_MAX,
                 "cold start: %zu of %zu earlier candidates have a place here%s", count, earlier->n,
                 count < POINTS_LEAST ? ", ten are needed" : ", the best tenth in one point");
    }
    free(placed);
    free(points);
    return warm;
}
