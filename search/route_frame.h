/*
 * route_frame.h - what every route of a search has in common: the models whose blocks it may use.
 *
 * Model 0 is the host, whose first and last blocks stay in their places; the others are numbered as
 * in the study's route.sources. A seam is a hop whose predecessor is not the block before it in the
 * same model: only there does a scale mean something that a search should find out.
 */
#ifndef SEARCH_ROUTE_FRAME_H
#define SEARCH_ROUTE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "study/route.h"

struct route_frame {
    size_t n_models;                   /* M */
    uint32_t layers[ROUTE_MODELS_MAX]; /* [M] blocks of each, the host's first */
    uint32_t pinned;                   /* blocks of the host that stay, at either end */
    uint32_t hops_max;                 /* of a route */
};

bool route_frame_is_seam(const struct route *route, size_t hop);
/* Every block of the host once, in order, all scales 1. */
bool route_frame_is_host(const struct route_frame *frame, const struct route *route);
/* Into [ROUTE_SCALE_MIN, ROUTE_SCALE_MAX]. */
double route_frame_scale(double scale);

/* How many hops must be put in, taken out or exchanged to make one route of another; scales do not
 * count. */
size_t route_frame_distance(const struct route *a, const struct route *b);

#endif
