#include "search/route_frame.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

bool route_frame_is_seam(const struct route *route, size_t hop)
{
    assert(hop < route->n_hops);
    if (hop == 0) {
        return false; /* nothing comes before it that it could be weighed against */
    }
    const struct route_hop *before = &route->hops[hop - 1], *at = &route->hops[hop];

    return at->model != before->model || at->layer != before->layer + 1;
}

bool route_frame_is_host(const struct route_frame *frame, const struct route *route)
{
    bool same = route->n_hops == frame->layers[0];

    for (size_t k = 0; same && k < route->n_hops; k++) {
        const struct route_hop *hop = &route->hops[k];

        same = hop->model == 0 && hop->layer == k && hop->scale == 1.0;
    }
    return same;
}

double route_frame_scale(double scale)
{
    return fmin(fmax(scale, ROUTE_SCALE_MIN), ROUTE_SCALE_MAX);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's table, one row at a time. */
size_t route_frame_distance(const struct route *a, const struct route *b)
{
    size_t *row = mem_array(b->n_hops + 1, sizeof *row);

    for (size_t j = 0; j <= b->n_hops; j++) {
        row[j] = j;
    }
    for (size_t i = 0; i < a->n_hops; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < b->n_hops; j++) {
            bool same =
                a->hops[i].model == b->hops[j].model && a->hops[i].layer == b->hops[j].layer;
            size_t exchanged = diagonal + !same;

            diagonal = row[j + 1];
            row[j + 1] = least(exchanged, least(row[j], row[j + 1]) + 1);
        }
    }
    size_t distance = row[b->n_hops];

    free(row);
    return distance;
}
