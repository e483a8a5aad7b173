/*
 * route_space_kinds.h - what a kind of coordinates gives the door (route_space.c): one table each.
 * Only the files behind the door include it.
 */
#ifndef SEARCH_ROUTE_SPACE_KINDS_H
#define SEARCH_ROUTE_SPACE_KINDS_H

#include "search/route_space.h"

struct route_space {
    const struct route_space_kind *kind;
    struct route_models models;
    size_t n_list;     /* edits there are to choose from */
    struct edit *list; /* [n_list] */
    uint32_t n_edits;  /* coordinates' worth of them */
    uint32_t length_max;
    struct route base; /* of gains */
    struct indicators indicators;
};

/* values [n of the kind]. */
struct route_space_kind {
    size_t (*n)(const struct route_space *space);
    void (*lay_out)(const struct route_space *space, struct space_coordinate *out);
    void (*build)(const struct route_space *space, const double *values, struct route *out);
    /* False: the route has no place here. */
    bool (*match)(const struct route_space *space, const struct route *route, double *values);
};

/* Edits of values [n of the kind] into out [EDITS_MAX]; how many. */
size_t route_space_edits_of(const struct route_space *space, const double *values,
                            struct edit *out);

extern const struct route_space_kind route_space_map, route_space_compose, route_space_gains,
    route_space_edits, route_space_indicators, route_space_swap;

/* A log scale between the least and the largest that a hop may have. */
struct space_coordinate route_space_gain(char *name);
/* Fill out [indicators_numbers]. */
void route_space_lay_out_numbers(const struct route_space *space, struct space_coordinate *out);

#endif
