#include "search/archive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/pareto.h"

void archive_init(struct archive *archive, size_t n, size_t m)
{
    *archive = (struct archive){.n = n,
                                .m = m,
                                .points = mem_array((ARCHIVE_MAX + 1) * n, sizeof(double)),
                                .values = mem_array((ARCHIVE_MAX + 1) * m, sizeof(double))};
}

void archive_release(struct archive *archive)
{
    free(archive->points);
    free(archive->values);
    *archive = (struct archive){0};
}

static void drop(struct archive *t, size_t i)
{
    const size_t after = --t->count - i;

    memmove(t->points + i * t->n, t->points + (i + 1) * t->n, after * t->n * sizeof *t->points);
    memmove(t->values + i * t->m, t->values + (i + 1) * t->m, after * t->m * sizeof *t->values);
}

void archive_add(struct archive *t, const double *point, const double *values)
{
    if (isinf(values[0])) {
        return;
    }
    for (size_t i = t->count; i-- > 0;) {
        const double *other = t->values + i * t->m;

        if (pareto_dominates(other, values, t->m) ||
            memcmp(other, values, t->m * sizeof *values) == 0) {
            return;
        }
        if (pareto_dominates(values, other, t->m)) {
            drop(t, i);
        }
    }
    memcpy(t->points + t->count * t->n, point, t->n * sizeof *point);
    memcpy(t->values + t->count * t->m, values, t->m * sizeof *values);
    if (++t->count > ARCHIVE_MAX) {
        drop(t, pareto_most_crowded(t->values, t->count, t->m));
    }
}

void archive_compromise(const struct archive *t, const double *fallback, double *out)
{
    double *sums = mem_array(t->count + 1, sizeof *sums);
    size_t best = 0;

    for (size_t k = 0; k < t->m; k++) {
        double least = HUGE_VAL, most = -HUGE_VAL;

        for (size_t i = 0; i < t->count; i++) {
            least = fmin(least, t->values[i * t->m + k]);
            most = fmax(most, t->values[i * t->m + k]);
        }
        for (size_t i = 0; i < t->count && most > least; i++) {
            sums[i] += (t->values[i * t->m + k] - least) / (most - least);
        }
    }
    for (size_t i = 1; i < t->count; i++) {
        best = sums[i] < sums[best] ? i : best;
    }
    memcpy(out, t->count > 0 ? t->points + best * t->n : fallback, t->n * sizeof *out);
    free(sums);
}

double archive_best(const struct archive *t, const double *fallback, double *point)
{
    size_t best = 0;

    for (size_t i = 1; i < t->count; i++) {
        best = t->values[i * t->m] < t->values[best * t->m] ? i : best;
    }
    if (point != NULL) {
        memcpy(point, t->count > 0 ? t->points + best * t->n : fallback, t->n * sizeof *point);
    }
    return t->count > 0 ? t->values[best * t->m] : HUGE_VAL;
}

void archive_walk(struct archive *t, struct snapshot *s)
{
    snapshot_size(s, &t->count, 0, ARCHIVE_MAX);
    snapshot_finite(s, t->points, t->count * t->n);
    snapshot_doubles(s, t->values, t->count * t->m);
}
