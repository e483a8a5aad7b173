/*
 * bounds.h - a box seen through a smooth fold.
 *
 * The strategy works on an unbounded x, the objective sees fold(x) inside [lower, upper]. Inside
 * the box, away from its walls, the fold is the identity; near a wall it is a parabola that touches
 * the wall with slope zero and turns back; further out it repeats by mirroring:
 *
 *      upper -|        .-'''-.                 .-'''-.
 *             |       /       \               /       \
 *             |      /         \             /         \
 *      lower -|_..-'/           '-._______.-'           '-.__
 *             +----|------------|---------|------------|--- x
 *                lower-al    upper+au   lower-al + period
 *
 * So every x has an image and every point of the box has an inverse; nothing piles up on the walls
 * as clipping would have it. An infinite side is left alone: lower -INFINITY, upper INFINITY. The
 * margins are al = min((upper - lower) / 2, 0.05 max(1, |lower|)), au the same with |upper|: the
 * transformation of Hansen's cma.m and pycma (BoxConstraintsLinQuadTransformation).
 */
#ifndef SEARCH_BOUNDS_H
#define SEARCH_BOUNDS_H

#include <stdbool.h>

/* True when lower < upper, neither is NaN, and a finite side is below 1e150. */
bool bounds_are_usable(double lower, double upper);

/* True when a grid of this step has two values between the bounds and doubles can tell them apart.
 */
bool bounds_take_step(double step, double lower, double upper);

/* The point of [lower, upper] that x stands for; x must be finite. */
double bounds_fold(double x, double lower, double upper);

/* The x nearest the box with bounds_fold(x) == point, up to rounding; point must lie in [lower,
 * upper]. */
double bounds_unfold(double point, double lower, double upper);

#endif
