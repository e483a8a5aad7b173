#include "search/route_space.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/route_space_kinds.h"
#include "search/route_swap.h"

#define PINNED_DEFAULT 2 /* of edits; indicators pin the outermost blocks alone, as published */
#define STRETCH 1.5      /* the longest route over the host, when the study does not say */

/* ---- models ---- */

static void add_model(struct route_models *models, const char *name, uint32_t layers,
                      const char *digest)
{
    size_t m = models->frame.n_models++;

    models->names[m] = name;
    models->frame.layers[m] = layers;
    memcpy(models->digests[m], digest, strlen(digest) + 1);
}

/* A third of the host's blocks at either end at most. */
static int set_pinned(struct route_frame *frame, const struct study_route *route, struct err *err)
{
    uint32_t usual = route->mode == STUDY_ROUTE_INDICATORS ? 1 : PINNED_DEFAULT;
    uint32_t third = frame->layers[0] / 3;

    if (route->pinned > third) {
        return err_set(err, ERR_LIMIT,
                       "route.pinned: %u of %u blocks at either end, at most a third",
                       route->pinned, frame->layers[0]);
    }
    frame->pinned = route->pinned > 0 ? route->pinned : usual < third ? usual : third;
    return 0;
}

static int set_hops_max(struct route_frame *frame, const struct study_route *route, struct err *err)
{
    double usual = STRETCH * (double)frame->layers[0];

    if (route->mode == STUDY_ROUTE_INDICATORS || usual > ROUTE_HOPS_MAX) {
        usual = ROUTE_HOPS_MAX;
    }
    frame->hops_max = route->max_hops > 0 ? route->max_hops : (uint32_t)usual;
    return frame->hops_max >= frame->layers[0]
               ? 0
               : err_set(err, ERR_LIMIT, "route.max_hops: %u are fewer than the host's %u blocks",
                         frame->hops_max, frame->layers[0]);
}

/* A swap is a merge, layer by layer. */
static int check_depths(const struct route_models *models, struct err *err)
{
    for (size_t m = 1; m < models->frame.n_models; m++) {
        if (models->frame.layers[m] != models->frame.layers[0]) {
            return err_set(err, ERR_LIMIT,
                           "route.sources: %s has %u layers, not %u; swap needs as many",
                           models->names[m], models->frame.layers[m], models->frame.layers[0]);
        }
    }
    return 0;
}

int route_models_init(struct route_models *out, const struct study *study, const uint32_t *layers,
                      const char *const *digests, struct err *err)
{
    const struct study_route *route = &study->route;
    size_t host = route->host != SIZE_MAX ? route->host : study->merge.sources[0];
    int rc;

    *out = (struct route_models){0};
    add_model(out, route->host != SIZE_MAX ? study->models[host].name : "merge", layers[host],
              route->host != SIZE_MAX ? digests[host] : "");
    for (size_t s = 0; s < route->n_sources; s++) {
        size_t m = route->sources[s];

        add_model(out, study->models[m].name, layers[m], digests[m]);
    }
    if (layers[host] < ROUTE_HOST_LEAST) {
        return err_set(err, ERR_LIMIT, "route.host: %s has %u layers; at least %d are needed",
                       out->names[0], layers[host], ROUTE_HOST_LEAST);
    }
    if ((rc = set_pinned(&out->frame, route, err)) != 0 ||
        (rc = set_hops_max(&out->frame, route, err)) != 0) {
        return rc;
    }
    return route->mode == STUDY_ROUTE_SWAP ? check_depths(out, err) : 0;
}

/* ---- routes and recipes ---- */

/* The number of a digest among the models; SIZE_MAX: it is none of them. */
static size_t model_of(const struct route_models *models, const char *digest)
{
    for (size_t m = 0; m < models->frame.n_models; m++) {
        if (strcmp(models->digests[m], digest) == 0) {
            return m;
        }
    }
    return SIZE_MAX;
}

bool route_models_route(const struct route_models *models, const struct recipe *recipe,
                        struct route *out)
{
    *out = (struct route){0};
    for (size_t k = 0; k < recipe->route.n_hops; k++) {
        const struct route_hop *hop = &recipe->route.hops[k];
        size_t m = hop->model == 0 ? 0 : model_of(models, recipe->route_models[hop->model - 1]);

        if (m == SIZE_MAX) {
            route_release(out);
            return false;
        }
        route_add(out, (uint32_t)m, hop->layer, hop->scale);
    }
    for (uint32_t l = 0; recipe->route.n_hops == 0 && l < recipe->n_layers; l++) {
        route_add(out, 0, l, 1.0);
    }
    return true;
}

static void write_route(const struct route_models *models, const struct route *route,
                        struct recipe *recipe)
{
    assert(recipe->route.n_hops == 0);
    for (size_t k = 0; k < route->n_hops && !route_frame_is_host(&models->frame, route); k++) {
        const struct route_hop *hop = &route->hops[k];

        recipe_add_hop(recipe, hop->model == 0 ? NULL : models->digests[hop->model], hop->layer,
                       hop->scale);
    }
}

/* ---- a swap, which is no route ---- */

static struct swap swap_of(const double *values)
{
    return (struct swap){(uint32_t)values[0], (uint32_t)values[1], (uint32_t)values[2]};
}

/* Which model the middle comes from: a coordinate only where there are several. */
static size_t swap_source(const struct route_space *t, const double *values)
{
    return t->models.frame.n_models > 2 ? (size_t)values[3] : 1;
}

static size_t swap_n(const struct route_space *t)
{
    return t->models.frame.n_models > 2 ? 4 : 3;
}

static void swap_lay_out(const struct route_space *t, struct space_coordinate *out)
{
    const uint32_t layers = t->models.frame.layers[0];
    const double end = fmax(swap_end_max(layers), 2.0), mixed = fmax(swap_mixed_max(layers), 1.0);
    const double quarter = fmax(1.0, floor(layers / 4.0));

    out[0] = (struct space_coordinate){mem_text("bottom layers"), 1.0, end, quarter, true, 0.0};
    out[1] = (struct space_coordinate){mem_text("top layers"), 1.0, end, quarter, true, 0.0};
    out[2] = (struct space_coordinate){mem_text("averaged layers"), 0.0, mixed, 0.0, true, 0.0};
    if (t->models.frame.n_models > 2) {
        out[3] = (struct space_coordinate){mem_text("middle from source"),
                                           1.0,
                                           (double)(t->models.frame.n_models - 1),
                                           1.0,
                                           true,
                                           0.0};
    }
}

static void swap_decode(const struct route_space *t, const double *values, struct recipe *recipe)
{
    const struct swap swap = swap_of(values);
    struct recipe made;

    swap_recipe(&made, &swap, recipe->dtype, recipe->seed, recipe->n_layers, t->models.digests[0],
                t->models.digests[swap_source(t, values)]);
    recipe_release(recipe);
    *recipe = made;
}

static void swap_encode(const struct route_space *t, const struct recipe *recipe, double *values)
{
    size_t differing, source = model_of(&t->models, recipe->sources[recipe->n_sources - 1]);
    struct swap swap = {1, 1, 0};

    if (strcmp(recipe->method->name, "linear") == 0 && recipe->n_sources == 2) {
        swap = swap_match(recipe, &differing);
    }
    values[0] = swap.bottom;
    values[1] = swap.top;
    values[2] = swap.mixed;
    if (t->models.frame.n_models > 2) {
        values[3] = source == SIZE_MAX || source == 0 ? 1.0 : (double)source;
    }
}

const struct route_space_kind route_space_swap = {.n = swap_n, .lay_out = swap_lay_out};

/* ---- the door ---- */

static struct route_space *make(const struct route_models *models,
                                const struct route_space_kind *kind)
{
    struct route_space *t = mem_alloc(sizeof *t);

    *t = (struct route_space){.kind = kind, .models = *models};
    t->indicators =
        (struct indicators){.frame = models->frame, .repeats = 1, .scales = STUDY_SCALES_NONE};
    return t;
}

struct route_space *route_space_new_map(const struct route_models *models, uint32_t length_max)
{
    struct route_space *t = make(models, &route_space_map);

    t->length_max = length_max;
    t->n_list = edits_list(&t->list, &models->frame, length_max);
    return t;
}

struct route_space *route_space_new_compose(const struct route_models *models,
                                            const struct edit *edits, size_t n, uint32_t n_edits)
{
    struct route_space *t = make(models, &route_space_compose);

    t->n_edits = n_edits;
    t->n_list = n;
    t->list = mem_array(n, sizeof *t->list);
    memcpy(t->list, edits, n * sizeof *edits);
    return t;
}

struct route_space *route_space_new_gains(const struct route_models *models,
                                          const struct route *route)
{
    struct route_space *t = make(models, &route_space_gains);

    route_copy(&t->base, route);
    assert(route_space_n(t) > 0);
    return t;
}

struct route_space *route_space_new_edits(const struct route_models *models, uint32_t n_edits,
                                          uint32_t length_max, bool with_gains)
{
    struct route_space *t = make(models, &route_space_edits);

    t->n_edits = n_edits;
    t->length_max = length_max;
    t->n_list = edits_list(&t->list, &models->frame, length_max);
    t->indicators.scales = with_gains ? STUDY_SCALES_SEAMS : STUDY_SCALES_NONE;
    return t;
}

struct route_space *route_space_new_indicators(const struct route_models *models, uint32_t repeats,
                                               enum study_route_scales scales)
{
    struct route_space *t = make(models, &route_space_indicators);

    t->indicators.repeats = repeats;
    t->indicators.scales = scales;
    return t;
}

struct route_space *route_space_new_swap(const struct route_models *models)
{
    return make(models, &route_space_swap);
}

void route_space_free(struct route_space *space)
{
    if (space != NULL) {
        free(space->list);
        route_release(&space->base);
        free(space);
    }
}

size_t route_space_n(const struct route_space *space)
{
    return space->kind->n(space);
}

void route_space_lay_out(const struct route_space *space, struct space_coordinate *out)
{
    space->kind->lay_out(space, out);
}

void route_space_decode(const struct route_space *space, const double *values,
                        struct recipe *recipe)
{
    struct route route = {0};

    if (space->kind == &route_space_swap) {
        swap_decode(space, values, recipe);
        return;
    }
    space->kind->build(space, values, &route);
    write_route(&space->models, &route, recipe);
    route_release(&route);
}

void route_space_words(const struct route_space *space, const double *values, struct text *out)
{
    struct edit edits[EDITS_MAX];
    size_t n = route_space_edits_of(space, values, edits);

    for (size_t e = 0; e < n; e++) {
        text_add(out, e > 0 ? ", " : "");
        edit_print(out, &edits[e], space->models.names);
    }
}

int route_space_encode(const struct route_space *space, const struct recipe *recipe, double *values,
                       struct err *err)
{
    struct route route = {0};

    if (space->kind == &route_space_swap) {
        swap_encode(space, recipe, values);
        return 0;
    }
    if (!route_models_route(&space->models, recipe, &route)) {
        return err_set(err, ERR_CONFLICT, "a route through a model that is none of the search's");
    }
    bool found = space->kind->match(space, &route, values);

    route_release(&route);
    return found ? 0 : err_set(err, ERR_CONFLICT, "a route of other hops than the search's");
}
