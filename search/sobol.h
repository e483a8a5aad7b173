/*
 * sobol.h - Sobol's sequence: the first 2^k points stand one in each of 2^k equal boxes, for many
 * ways to cut the cube into such boxes.
 *
 * I. M. Sobol, USSR Comp. Math. 7(4), 1967; direction numbers of S. Joe and F. Y. Kuo, Constructing
 * Sobol sequences with better two-dimensional projections, SIAM J. Sci. Comput. 30, 2008: all
 * dimensions whose primitive polynomial has a degree of at most 8.
 */
#ifndef SEARCH_SOBOL_H
#define SEARCH_SOBOL_H

#include <stddef.h>
#include <stdint.h>

#define SOBOL_DIMENSIONS 53
#define SOBOL_BITS 32

/* Column b of dimension j's generator matrix, as a binary fraction: what bit b of an index adds. */
void sobol_directions(size_t j, uint32_t out[SOBOL_BITS]);

/* Point i of a dimension, over 2^32. */
uint32_t sobol_point(const uint32_t directions[SOBOL_BITS], uint32_t i);

#endif
