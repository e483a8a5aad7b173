/*
 * route_space_edits.c - coordinates of edits: one of all there are, a few of the best, the scales
 * at the seams they leave, or several at once.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "search/route_space_kinds.h"

#define EDIT_FIELDS 4   /* op, start, length, source */
#define MAP_NONE (-1.0) /* there is no such op */
#define EDITS_NONE 0.0

/* ---- one edit as numbers ---- */

/* Ops are numbered from `none` where there may be no edit. A number that means nothing, as the
 * source of a skip, is passed over; one past what there is, as the last. */
static struct edit edit_of(const struct route_space *t, const double *values, double none)
{
    const double sources = (double)t->models.frame.n_models - 1.0;
    enum edit_op op = (enum edit_op)(values[0] - none - 1.0);
    bool foreign = op == EDIT_SPLICE || op == EDIT_INSERT;

    return (struct edit){op, (uint32_t)values[1], (uint32_t)fmin(values[2], t->length_max),
                         foreign ? (uint32_t)fmin(values[3], sources) : 0};
}

static void put_edit(const struct edit *edit, double none, double *values)
{
    values[0] = none + 1.0 + (double)edit->op;
    values[1] = edit->start;
    values[2] = edit->length;
    values[3] = edit->source > 0 ? edit->source : 1.0;
}

/* A whole number with room to move: one value more where there is but one. */
static struct space_coordinate number(char *name, double lower, double upper, double start)
{
    return (struct space_coordinate){name, lower, fmax(upper, lower + 1.0), start, true, 0.0};
}

/* none: the op that is no edit. One model alone can be repeated and skipped. */
static void lay_out_edit(const struct route_space *t, double none, const char *prefix,
                         struct space_coordinate *out)
{
    const struct route_frame *frame = &t->models.frame;
    const double sources = (double)frame->n_models - 1.0;
    const double ops = sources > 0.0 ? EDIT_OPS : 2.0, end = frame->layers[0] - frame->pinned;
    const double first = fmax(none, 0.0); /* a map has edits alone */

    out[0] = number(mem_printf("%sop", prefix), first, none + ops, first);
    out[1] = number(mem_printf("%sstart", prefix), frame->pinned, end - 1.0,
                    floor((frame->pinned + end - 1.0) / 2.0));
    out[2] = number(mem_printf("%slength", prefix), 1.0, t->length_max, fmin(2.0, t->length_max));
    out[3] = number(mem_printf("%ssource", prefix), 1.0, sources, 1.0);
}

size_t route_space_edits_of(const struct route_space *t, const double *values, struct edit *out)
{
    size_t n = 0;

    if (t->kind == &route_space_map) {
        out[n++] = edit_of(t, values, MAP_NONE);
    }
    for (uint32_t e = 0; e < t->n_edits; e++) {
        const double *at = values + e * EDIT_FIELDS;

        if (t->kind == &route_space_compose && values[e] > 0.0) {
            out[n++] = t->list[(size_t)values[e] - 1];
        } else if (t->kind == &route_space_edits && at[0] > EDITS_NONE) {
            out[n++] = edit_of(t, at, EDITS_NONE);
        }
    }
    return n;
}

/* ---- map ---- */

static size_t map_n(const struct route_space *t)
{
    (void)t;
    return EDIT_FIELDS;
}

static void map_lay_out(const struct route_space *t, struct space_coordinate *out)
{
    lay_out_edit(t, MAP_NONE, "", out);
}

static void map_build(const struct route_space *t, const double *values, struct route *out)
{
    const struct edit edit = edit_of(t, values, MAP_NONE);

    edits_build(out, &t->models.frame, &edit, 1);
}

/* Which edit of the list comes nearest to a route, after edits [n] before it; SIZE_MAX: none brings
 * it nearer than *distance, which becomes the distance that is left. */
static size_t nearest(const struct route_space *t, const struct route *route, struct edit *edits,
                      size_t n, size_t *distance)
{
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < t->n_list; i++) {
        struct route made = {0};

        edits[n] = t->list[i];
        edits_build(&made, &t->models.frame, edits, n + 1);
        size_t found = route_frame_distance(&made, route);

        if (found < *distance) {
            *distance = found;
            best = i;
        }
        route_release(&made);
    }
    return best;
}

static bool map_match(const struct route_space *t, const struct route *route, double *values)
{
    struct edit edits[1];
    size_t distance = SIZE_MAX, at = nearest(t, route, edits, 0, &distance);

    put_edit(&t->list[at != SIZE_MAX ? at : 0], MAP_NONE, values);
    return true;
}

size_t route_space_list(const struct route_space *map, struct edit **out)
{
    *out = mem_array(map->n_list, sizeof **out);
    for (size_t i = 0; i < map->n_list; i++) {
        (*out)[i] = map->list[i];
    }
    return map->n_list;
}

struct edit route_space_edit(const struct route_space *map, const double *values)
{
    assert(map->kind == &route_space_map);
    return edit_of(map, values, MAP_NONE);
}

void route_space_values(const struct route_space *map, const struct edit *edit, double *values)
{
    assert(map->kind == &route_space_map);
    put_edit(edit, MAP_NONE, values);
}

const struct route_space_kind route_space_map = {
    .n = map_n, .lay_out = map_lay_out, .build = map_build, .match = map_match};

/* ---- compose ---- */

static size_t compose_n(const struct route_space *t)
{
    return t->n_edits;
}

/* Starts at the best edit alone. */
static void compose_lay_out(const struct route_space *t, struct space_coordinate *out)
{
    for (uint32_t e = 0; e < t->n_edits; e++) {
        out[e] = (struct space_coordinate){mem_printf("edit %u, by its place in the map", e + 1),
                                           0.0,
                                           (double)t->n_list,
                                           e == 0 ? 1.0 : 0.0,
                                           true,
                                           0.0};
    }
}

static void compose_build(const struct route_space *t, const double *values, struct route *out)
{
    struct edit edits[EDITS_MAX];

    edits_build(out, &t->models.frame, edits, route_space_edits_of(t, values, edits));
}

/* One edit after another, each the one that leaves least to do. */
static bool compose_match(const struct route_space *t, const struct route *route, double *values)
{
    struct edit edits[EDITS_MAX];
    struct route host = {0};
    size_t n = 0;

    edits_build(&host, &t->models.frame, NULL, 0);
    size_t distance = route_frame_distance(&host, route);

    for (uint32_t e = 0; e < t->n_edits; e++) {
        size_t at = distance > 0 ? nearest(t, route, edits, n, &distance) : SIZE_MAX;

        values[e] = at != SIZE_MAX ? (double)at + 1.0 : 0.0;
        if (at != SIZE_MAX) {
            edits[n++] = t->list[at];
        }
    }
    route_release(&host);
    return true;
}

const struct route_space_kind route_space_compose = {
    .n = compose_n, .lay_out = compose_lay_out, .build = compose_build, .match = compose_match};

/* ---- gains ---- */

static size_t gains_n(const struct route_space *t)
{
    size_t n = 0;

    for (size_t k = 0; k < t->base.n_hops; k++) {
        n += route_frame_is_seam(&t->base, k);
    }
    return n;
}

static void gains_lay_out(const struct route_space *t, struct space_coordinate *out)
{
    for (size_t k = 0, i = 0; k < t->base.n_hops; k++) {
        const struct route_hop *hop = &t->base.hops[k];

        if (route_frame_is_seam(&t->base, k)) {
            out[i++] = route_space_gain(mem_printf("log gain before %s %u, hop %zu",
                                                   t->models.names[hop->model], hop->layer, k));
        }
    }
}

static void gains_build(const struct route_space *t, const double *values, struct route *out)
{
    route_copy(out, &t->base);
    for (size_t k = 0; k < out->n_hops; k++) {
        if (route_frame_is_seam(out, k)) {
            out->hops[k].scale = route_frame_scale(exp(*values++));
        }
    }
}

static bool gains_match(const struct route_space *t, const struct route *route, double *values)
{
    if (route->n_hops != t->base.n_hops || route_frame_distance(route, &t->base) > 0) {
        return false;
    }
    for (size_t k = 0; k < t->base.n_hops; k++) {
        if (route_frame_is_seam(&t->base, k)) {
            *values++ = log(route->hops[k].scale);
        }
    }
    return true;
}

const struct route_space_kind route_space_gains = {
    .n = gains_n, .lay_out = gains_lay_out, .build = gains_build, .match = gains_match};

/* ---- several at once ---- */

static size_t edits_n(const struct route_space *t)
{
    return t->n_edits * EDIT_FIELDS + indicators_numbers(&t->indicators);
}

static void edits_lay_out(const struct route_space *t, struct space_coordinate *out)
{
    for (uint32_t e = 0; e < t->n_edits; e++) {
        char *prefix = mem_printf("edit %u ", e + 1);

        lay_out_edit(t, EDITS_NONE, prefix, out + e * EDIT_FIELDS);
        free(prefix);
    }
    route_space_lay_out_numbers(t, out + t->n_edits * EDIT_FIELDS);
}

static void edits_route(const struct route_space *t, const double *values, struct route *out)
{
    struct edit edits[EDITS_MAX];

    edits_build(out, &t->models.frame, edits, route_space_edits_of(t, values, edits));
    indicators_scale(out, &t->indicators, values + t->n_edits * EDIT_FIELDS);
}

static bool edits_match(const struct route_space *t, const struct route *route, double *values)
{
    double *places = mem_array(t->n_edits, sizeof *places);
    const struct edit nothing = {EDIT_REPEAT, t->models.frame.pinned, 1, 0};

    compose_match(t, route, places);
    for (uint32_t e = 0; e < t->n_edits; e++) {
        size_t place = (size_t)places[e];

        put_edit(place > 0 ? &t->list[place - 1] : &nothing, EDITS_NONE, values + e * EDIT_FIELDS);
        values[e * EDIT_FIELDS] = place > 0 ? values[e * EDIT_FIELDS] : EDITS_NONE;
    }
    indicators_fit(values + t->n_edits * EDIT_FIELDS, &t->indicators, route);
    free(places);
    return true;
}

const struct route_space_kind route_space_edits = {
    .n = edits_n, .lay_out = edits_lay_out, .build = edits_route, .match = edits_match};
