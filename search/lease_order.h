/*
 * lease_order.h - the order in which a generation's candidates are handed out.
 *
 * A worker keeps the activations of the layers that its candidates share (evaluator/prefix.h).
 * Routes sorted by their hops are their trie walked depth first, so each finds the beginning that
 * it shares with its neighbour still there, as long as a worker goes on where it was:
 *
 *   place  0 1 2 3 4 5 6 7 8 9        a  worker 1, b  worker 2: who has no place yet, or whose next
 *          a a a . . b b . . .           is taken, begins in the middle of the longest stretch that
 *                                        is free
 *
 * Candidates are told to the optimiser in their own order whatever this one is.
 */
#ifndef SEARCH_LEASE_ORDER_H
#define SEARCH_LEASE_ORDER_H

#include <stdbool.h>
#include <stddef.h>

/* The places of recipes [n], canonical JSON, by host, then hop by hop; NULL when none has a route
 * and they stay in their own order. free() it. */
size_t *lease_order(const char *const *recipes, size_t n);

/* Where in an order a worker begins: behind position `last` (SIZE_MAX: it has none) when that is
 * free, else in the longest stretch of free positions [n], at its beginning where nobody works in
 * front of it, else in its middle. SIZE_MAX when none is free. */
size_t lease_order_start(const bool *is_free, const bool *is_active, size_t n, size_t last);

#endif
