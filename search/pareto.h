/*
 * pareto.h - several objectives at once: who dominates whom, how spread out, how much is covered.
 *
 * A row of objectives [m], lower is better, dominates another when it is nowhere worse and
 * somewhere better. A failed candidate's row holds INFINITY everywhere.
 */
#ifndef SEARCH_PARETO_H
#define SEARCH_PARETO_H

#include <stdbool.h>
#include <stddef.h>

bool pareto_dominates(const double *a, const double *b, size_t m);

/* A row with a value that is not finite is that of a failed candidate. */
void pareto_mark_failed(double *row, size_t m);

/* The front of each of rows [n, m]: 0 for those nobody dominates, 1 for those only front 0 does,
 * and so on, into fronts [n]. Deb et al., NSGA-II, IEEE TEC 6(2), 2002. */
void pareto_fronts(const double *rows, size_t n, size_t m, size_t *fronts);

/* How far each row is from its neighbours in its front, [n]: INFINITY at the ends. The same paper.
 */
void pareto_crowding(const double *rows, size_t n, size_t m, const size_t *fronts,
                     double *crowding);

/* Of rows [n, m] that do not dominate each other, n >= 1, the one with the least room around it:
 * the first to leave out. The ends stay longest. */
size_t pareto_most_crowded(const double *rows, size_t n, size_t m);

/*
 * The rows [n, m] from best to worst, as indices [n]: by front; within a front of two objectives by
 * the volume that would be lost without a row, of more by its crowding, the least worth left out
 * first and the rest weighed anew. The ends of a front are worth most; of equal rows the first.
 * Beume, Naujoks, Emmerich, SMS-EMOA, EJOR 181(3), 2007.
 */
void pareto_order(const double *rows, size_t n, size_t m, size_t *order);

/*
 * The volume that rows [n, m] dominate below the reference [m]: rows that are not below it
 * everywhere count for nothing. Exact, by slices along the last objective: n log n for two
 * objectives, n^(m-1) beyond; meant for fronts of hundreds.
 */
double pareto_hypervolume(const double *rows, size_t n, size_t m, const double *reference);

#endif
