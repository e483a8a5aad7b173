/*
 * fitness.h - what a score is worth: one number.
 *
 * The objective is what people read, higher is better; a metric for which lower is better counts
 * with its sign turned. The fitness is what an optimiser is told, lower is better: the objective
 * with its sign turned. A candidate that failed, or a value that is not finite, is NaN in both,
 * which optimisers rank last.
 */
#ifndef SEARCH_FITNESS_H
#define SEARCH_FITNESS_H

#include <stdbool.h>
#include <stddef.h>

#include "study/score.h"
#include "study/study.h"

/* What counts of a task. Texts are borrowed. */
struct fitness_task {
    const char *name;      /* of the task in the score */
    const char *metric;    /* of the task */
    bool higher_is_better; /* the metric's direction */
    double weight;         /* > 0; for STUDY_WEIGHTED_MEAN */
};

/*
 * The objective of a score over tasks [n], n >= 1.
 *
 *   STUDY_WEIGHTED_MEAN  sum of weight times value, over the sum of weights
 *   STUDY_MINIMUM        the worst value; weights do not count
 *   STUDY_PARETO         as STUDY_WEIGHTED_MEAN: what stands in a table beside the objectives
 */
double fitness_objective(const struct score *score, const struct fitness_task *tasks, size_t n,
                         enum study_objective objective);

/* The same, lower is better, for cmaes_tell. */
double fitness_of(const struct score *score, const struct fitness_task *tasks, size_t n,
                  enum study_objective objective);

/* The same in each of `which` [m], indices into tasks, out [m]: values are those of the tasks'
 * metrics. */
void fitness_each(const double *values, const struct fitness_task *tasks, const size_t *which,
                  size_t m, double *out);

#endif
