#include "search/optimiser_kept.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/optimiser_kinds.h"

#define ARRAYS 5

static void point_inside(struct kept *kept, size_t n)
{
    struct optimiser_options *o = &kept->options;

    kept->numbers = mem_array(ARRAYS * n, sizeof *kept->numbers);
    o->n = n;
    o->start = kept->numbers;
    o->deviations = kept->numbers + n;
    o->lower = kept->numbers + 2 * n;
    o->upper = kept->numbers + 3 * n;
    o->steps = kept->numbers + 4 * n;
    o->algorithm = kept->algorithm;
    o->restarts = kept->restarts;
    o->noise = kept->noise;
    o->limits = &kept->limits;
}

static void fill(double *out, const double *from, double missing, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        out[j] = from != NULL ? from[j] : missing;
    }
}

void kept_init(struct kept *kept, const struct optimiser_options *o)
{
    const size_t n = o->n;

    *kept = (struct kept){.options = *o};
    cmaes_limits_init(&kept->limits);
    if (o->limits != NULL) {
        kept->limits = *o->limits;
    }
    snprintf(kept->algorithm, sizeof kept->algorithm, "%s", o->algorithm);
    snprintf(kept->restarts, sizeof kept->restarts, "%s", o->restarts ? o->restarts : "none");
    snprintf(kept->noise, sizeof kept->noise, "%s", o->noise ? o->noise : "none");
    point_inside(kept, n);
    fill(kept->numbers, o->start, 0.0, n);
    fill(kept->numbers + n, o->deviations, 1.0, n);
    fill(kept->numbers + 2 * n, o->lower, -HUGE_VAL, n);
    fill(kept->numbers + 3 * n, o->upper, HUGE_VAL, n);
    fill(kept->numbers + 4 * n, o->steps, 0.0, n);
}

void kept_release(struct kept *kept)
{
    free(kept->numbers);
    *kept = (struct kept){0};
}

/* A name, eight letters a value. */
static void walk_name(char name[OPTIMISER_NAME_MAX], struct snapshot *s)
{
    for (size_t at = 0; at < OPTIMISER_NAME_MAX; at += 8) {
        uint64_t letters = 0;

        for (size_t i = 8; i-- > 0;) {
            letters = letters << 8 | (unsigned char)name[at + i];
        }
        snapshot_count(s, &letters, UINT64_MAX);
        for (size_t i = 0; i < 8; i++) {
            name[at + i] = (char)(letters >> 8 * i & 255);
        }
    }
    snapshot_expect(s, memchr(name, '\0', OPTIMISER_NAME_MAX) != NULL);
    name[OPTIMISER_NAME_MAX - 1] = '\0';
}

void kept_walk(struct kept *kept, struct snapshot *s)
{
    struct optimiser_options *o = &kept->options;
    size_t n = o->n;

    snapshot_size(s, &n, 1, OPTIMISER_N_MAX);
    if (s->reading) {
        snapshot_expect(s, snapshot_holds(s, ARRAYS * n));
        point_inside(kept, s->bad ? 1 : n);
    }
    walk_name(kept->algorithm, s);
    walk_name(kept->restarts, s);
    walk_name(kept->noise, s);
    cmaes_limits_walk(&kept->limits, s);
    snapshot_doubles(s, &o->sigma, 1);
    snapshot_size(s, &o->lambda, 0, 65536);
    snapshot_count(s, &o->seed, UINT64_MAX);
    snapshot_count(s, &o->stream, UINT64_MAX);
    snapshot_count(s, &o->evaluations, UINT64_MAX);
    snapshot_size(s, &o->objectives, 0, OPTIMISER_OBJECTIVES_MAX);
    snapshot_doubles(s, kept->numbers, ARRAYS * o->n);
    if (s->reading && !s->bad) {
        snapshot_expect(s, optimiser_check(o, NULL) == 0);
    }
}
