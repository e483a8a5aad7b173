/*
 * phases.h - the parts of one search, each with coordinates and an optimiser of its own.
 *
 *     layers: [1, 4, each]      phase 0   weights, whole model      2 coordinates
 *                               phase 1   weights, 4 groups         8, from where phase 0 ended
 *                               phase 2   weights, each layer      48, from where phase 1 ended
 *
 *     free: 8, beside it        phase 2   sensitivity               each of the 48 up and down
 *                               phase 3   weights, 8 of 48 free     the others move by group
 *
 *     route: {mode: edits}      phase 0   every single edit         a list
 *                               phase 1   edits composed            of the best single ones
 *                               phases 2.. gains at the seams       of each of the best routes
 *
 * A study with nothing of the kind has one phase. What a phase is follows from the study and from
 * what the phases before it were told, so a restart makes the same one; where its optimiser starts
 * also follows from how the one before ended, and stands in the optimiser's stored bytes.
 *
 * Kinds of phases are rows of one table (phases.c); a new kind is a new row. No disk and no clock
 * here: the coordinator asks, stores and decides when a phase is over.
 */
#ifndef SEARCH_PHASES_H
#define SEARCH_PHASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "search/optimiser.h"
#include "search/space.h"
#include "study/study.h"

#define PHASE_WHY_MAX 300
#define PHASE_MAP_NAME "map of single edits"

struct phase_past;

/* What spaces are laid out from; all of it outlives the phases. */
struct phase_setting {
    const struct study *study;
    uint32_t n_layers;                /* of every source of the merge */
    const uint32_t *model_layers;     /* [study->n_models] of each model; NULL: n_layers all */
    const char *const *digests;       /* [study->n_models] */
    const struct phase_past *earlier; /* recipes and values of the study to start from; or NULL */
};

/* A candidate of an earlier phase. */
struct phase_told {
    size_t phase;
    const char *recipe;  /* canonical JSON */
    const double *point; /* [n_point] in that phase's coordinates */
    size_t n_point;
    double value; /* higher is better; NaN: it failed */
};

/* All of them in the order they were told. */
struct phase_past {
    size_t n;
    struct phase_told *told; /* [n] */
};

struct phase_kind;

struct phase {
    size_t index;
    const struct phase_kind *kind;
    size_t within;     /* which of its kind, from 0 */
    char *name;        /* "weights, 4 groups" */
    struct study seen; /* the study with this phase's layers; borrows all else from it */
    struct space *space;
    const struct phase_past *earlier; /* the setting's, for phase 0; else NULL */
    /* What the phase before found of each of its coordinates, for people; NULL: it was no such
     * phase. Higher matters more. */
    double *effects;
    size_t n_effects;
};

/* How many phases a study has, at least 1. */
size_t phases_n(const struct study *study);

/*
 * Name and coordinates of phase `index`. past has all that the phases before it were told; an empty
 * one gives a phase of as many coordinates. Errors as space_new's. phase_free ends it; NULL is
 * fine.
 */
int phase_new(struct phase **out, const struct phase_setting *setting, size_t index,
              const struct phase_past *past, struct err *err);
void phase_free(struct phase *phase);

/* How the phase before ended: its coordinates, and its optimiser after the last tell. */
struct phase_ended {
    const struct phase *phase;
    const struct optimiser *optimiser;
};

/*
 * The phase's optimiser at its beginning.
 *
 *   before       NULL for phase 0, and where nothing was searched yet
 *   evaluations  that it may spend, at most
 *   why          [PHASE_WHY_MAX] what auto chose and for what reason; "" when the study names one
 *
 * Errors as optimiser_new's.
 */
int phase_optimiser(struct optimiser **out, const struct phase *phase,
                    const struct phase_past *past, const struct phase_ended *before,
                    uint64_t evaluations, char *why, struct err *err);

/*
 * What phase `index` may spend of the evaluations that are left when it begins: what its list
 * costs, or its share of what the lists of later phases leave; all of it for the last phase.
 */
uint64_t phase_evaluations(const struct phase_setting *setting, size_t index, uint64_t left);

/* A phase as far as it is known before the search. */
struct phase_plan {
    const struct phase *phase;
    uint64_t evaluations;  /* it may spend at most, when none ends early */
    const char *algorithm; /* of its optimiser */
    /* Why auto chose it, what a warm start found; "": nothing to say. */
    char why[PHASE_WHY_MAX];
};

/* Every phase in order, each as if those before it had told nothing; visit may be NULL. Errors are
 * those of phase_new and phase_optimiser that need not wait for the phase. */
int phases_plan(const struct phase_setting *setting,
                void (*visit)(void *context, const struct phase_plan *plan), void *context,
                struct err *err);

/* What a point of it is, in words, "" when its numbers say it all; free() it. */
char *phase_label(const struct phase *phase, const double *point);

/* A phase that asks a list ends with the list: standing still does not end it. */
bool phase_is_list(const struct phase *phase);

#endif
