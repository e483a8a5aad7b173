/*
 * optimiser_kept.h - options that outlive the call that brought them: what stands around an
 * optimiser needs them to make the next one.
 */
#ifndef SEARCH_OPTIMISER_KEPT_H
#define SEARCH_OPTIMISER_KEPT_H

#include "search/cmaes.h"
#include "search/optimiser.h"
#include "search/snapshot.h"

struct kept {
    struct optimiser_options options; /* every array [N] is there; all point into this struct */
    struct cmaes_limits limits;
    char algorithm[OPTIMISER_NAME_MAX], restarts[OPTIMISER_NAME_MAX], noise[OPTIMISER_NAME_MAX];
    double *numbers;
};

/* Copies everything; missing arrays are filled with what they stand for. In place: kept must not be
 * moved afterwards. */
void kept_init(struct kept *kept, const struct optimiser_options *options);
void kept_release(struct kept *kept);

/* Write, or make from bytes (kept all-zero before; releasable after either way). Options that the
 * door would refuse make the snapshot bad. */
void kept_walk(struct kept *kept, struct snapshot *s);

#endif
