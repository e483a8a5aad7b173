/*
 * phase_kinds.h - what a kind of phase gives phases.c: one table each. Only the files behind that
 * door include it.
 */
#ifndef SEARCH_PHASE_KINDS_H
#define SEARCH_PHASE_KINDS_H

#include "search/phases.h"
#include "search/warm_start.h"

/* Where the optimiser of a phase begins; filled as for a search that knows nothing but an earlier
 * study, and owned by the caller. A kind changes what it knows better. */
struct phase_beginning {
    const char *algorithm; /* the study's, or "listed" */
    double sigma;          /* of the box */
    double *start;         /* [n] in the unit box */
    double *deviations;    /* [n] starting deviations over sigma, 1 */
    double *points;        /* [count, n] of "listed"; NULL; freed by the caller */
    size_t count;
    char note[WARM_START_NOTE_MAX]; /* for people, beside why auto chose; "": none */
};

struct phase_kind {
    /* How many phases of this kind a study has. */
    size_t (*n)(const struct study *study);
    /* What one of them costs in any case; or NULL and what it weighs where phases share. */
    uint64_t (*cost)(const struct phase_setting *setting, size_t within);
    double (*weight)(const struct phase_setting *setting, size_t within);
    /* Fill name and space of a phase whose other fields are there. */
    int (*lay_out)(struct phase *phase, const struct phase_setting *setting,
                   const struct phase_past *past, struct err *err);
    /* before is NULL for the first phase. NULL: there is nothing to know better. */
    void (*begin)(const struct phase *phase, const struct phase_past *past,
                  const struct phase_ended *before, struct phase_beginning *out);
    /* What a point is, in words; NULL, and of a point: nothing that its numbers do not say. */
    char *(*label)(const struct phase *phase, const double *point);
};

/* In the order of a search. */
extern const struct phase_kind phase_weights, phase_sensitivity, phase_freed, phase_map,
    phase_compose, phase_gains, phase_route;

/* A finer coordinate looks at least this share of a fresh search's sigma far: what its neighbours
 * had in common says little of how they differ. Ours, by tests/bench/schedule.sh: 0.2 to 0.7 do as
 * well. */
#define PHASE_DEVIATION_LEAST 0.4

/* ---- what kinds over the coefficients of a merge share: phase_weights.c ---- */

/* A merge is searched, and not together with routes: in how many phases. */
size_t phase_merge_n(const struct study *study);
/* The merge as step `within` of its layers has it. */
struct study_merge phase_merge_at(const struct study_merge *merge, size_t within);
/* A point of one space in the coordinates of another over the same ingredients; and so the mean of
 * the phase that ended. */
void phase_carry(const struct space *from, const double *point, const struct space *to,
                 double *out);
void phase_carry_mean(const struct phase_ended *from, const struct space *to, double *out);

#endif
