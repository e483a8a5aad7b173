#include "search/space.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/route_space.h"
#include "search/weight_space.h"

struct space {
    const struct study *study;
    uint32_t n_layers;
    size_t n;
    struct space_coordinate *coordinates; /* [n] */
    double *start, *lower, *upper;        /* [n] in the unit box */
    char (*sources)[DIGEST_HEX];          /* [study->merge.n_sources] */
    char base[DIGEST_HEX];                /* "" when there is none */
    size_t n_weights;                     /* of the coordinates: the merge's, which come first */
    struct recipe host;                   /* with no method where the merge is searched */
    struct route_space *route;            /* NULL: there is none */
    size_t n_values;                      /* of the recipe: n, more when coordinates are joined */
    size_t *stands; /* [n_values] the coordinate that each value has; NULL: its own */
};

/* Values -> unit box and back: a whole number has all that rounds to it, half a step on both sides.
 */
static double to_box(const struct space_coordinate *c, double value)
{
    double half = c->whole ? 0.5 : 0.0;

    return (value - c->lower + half) / (c->upper - c->lower + 2.0 * half);
}

static double from_box(const struct space_coordinate *c, double at)
{
    double value = c->whole ? c->lower + floor((c->upper - c->lower + 1.0) * at)
                            : c->lower + (c->upper - c->lower) * at;

    return fmin(fmax(value, c->lower), c->upper);
}

static void copy_digests(struct space *space, const char *const *digests)
{
    const struct study_merge *merge = &space->study->merge;

    space->sources = mem_array(merge->n_sources, sizeof *space->sources);
    for (size_t s = 0; s < merge->n_sources; s++) {
        assert(digest_is_hex(digests[merge->sources[s]]));
        memcpy(space->sources[s], digests[merge->sources[s]], DIGEST_HEX);
    }
    if (merge->base != SIZE_MAX) {
        assert(digest_is_hex(digests[merge->base]));
        memcpy(space->base, digests[merge->base], DIGEST_HEX);
    }
}

/* Both kinds, once n is known to be possible. */
static void lay_out(struct space *space)
{
    const size_t n = space->n;

    space->n_values = n;
    space->coordinates = mem_array(n, sizeof *space->coordinates);
    if (space->n_weights > 0) {
        weight_space_lay_out(space->coordinates, &space->study->merge, space->study->models,
                             space->n_layers);
    }
    if (space->route != NULL) {
        route_space_lay_out(space->route, space->coordinates + space->n_weights);
    }
    space->start = mem_array(n, sizeof(double));
    space->lower = mem_array(n, sizeof(double));
    space->upper = mem_array(n, sizeof(double));
    for (size_t i = 0; i < n; i++) {
        const struct space_coordinate *c = &space->coordinates[i];

        space->start[i] = to_box(c, c->start);
        space->upper[i] = 1.0;
    }
}

int space_new_route(struct space **out, const struct study *study, uint32_t n_layers,
                    const char *const *digests, struct route_space *route,
                    const struct recipe *host, struct err *err)
{
    struct space *made = mem_alloc(sizeof *made);
    int rc = 0;

    *made = (struct space){.study = study, .n_layers = n_layers, .route = route};
    if (host != NULL) {
        rc = recipe_copy(&made->host, host, err);
    } else {
        rc = weight_space_count(&made->n_weights, &study->merge, n_layers, err);
    }
    made->n = made->n_weights + (rc == 0 && route != NULL ? route_space_n(route) : 0);
    if (rc == 0 && (made->n < 1 || made->n > SPACE_COORDINATES_MAX)) {
        rc = err_set(err, ERR_LIMIT, "%s: %zu coordinates to search, 1 to %d are possible",
                     route != NULL ? "route" : "merge", made->n, SPACE_COORDINATES_MAX);
    }
    if (rc != 0) {
        space_free(made);
        return rc;
    }
    copy_digests(made, digests);
    lay_out(made);
    *out = made;
    return 0;
}

int space_new(struct space **out, const struct study *study, uint32_t n_layers,
              const char *const *digests, struct err *err)
{
    return space_new_route(out, study, n_layers, digests, NULL, NULL, err);
}

void space_free(struct space *space)
{
    if (space == NULL) {
        return;
    }
    for (size_t i = 0; space->coordinates != NULL && i < space->n; i++) {
        free(space->coordinates[i].name);
    }
    recipe_release(&space->host);
    route_space_free(space->route);
    free(space->coordinates);
    free(space->start);
    free(space->lower);
    free(space->upper);
    free(space->sources);
    free(space->stands);
    free(space);
}

void space_join(struct space *space, const size_t *group, const struct space_coordinate *names)
{
    const size_t n = space->n;
    struct space_coordinate *all = space->coordinates;
    size_t *first = mem_array(n, sizeof *first); /* of each group: its first member, + 1 */
    size_t kept = 0;

    assert(space->stands == NULL && space->route == NULL);
    space->stands = mem_array(n, sizeof *space->stands);
    space->coordinates = mem_array(n, sizeof *all);
    for (size_t i = n; i-- > 0;) {
        if (group[i] != SIZE_MAX) {
            assert(group[i] < n);
            first[group[i]] = i + 1;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (group[i] == SIZE_MAX) {
            space->stands[i] = kept;
            space->coordinates[kept++] = all[i];
        } else {
            free(all[i].name);
        }
    }
    for (size_t g = 0; g < n; g++) {
        if (first[g] != 0) {
            space->coordinates[kept] = all[first[g] - 1];
            space->coordinates[kept].name = mem_printf("%s, others", names[g].name);
            first[g] = kept++; /* from now on: its place */
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (group[i] != SIZE_MAX) {
            space->stands[i] = first[group[i]];
        }
    }
    space->n = kept;
    for (size_t c = 0; c < kept; c++) {
        space->start[c] = to_box(&space->coordinates[c], space->coordinates[c].start);
    }
    free(first);
    free(all);
}

size_t space_n(const struct space *space)
{
    return space->n;
}

const struct space_coordinate *space_coordinates(const struct space *space)
{
    return space->coordinates;
}

const double *space_start(const struct space *space)
{
    return space->start;
}

const double *space_lower(const struct space *space)
{
    return space->lower;
}

const double *space_upper(const struct space *space)
{
    return space->upper;
}

double space_value(const struct space *space, size_t i, double at)
{
    assert(i < space->n);
    return from_box(&space->coordinates[i], at);
}

double space_place(const struct space *space, size_t i, double value)
{
    assert(i < space->n);
    return to_box(&space->coordinates[i], value);
}

const struct route_space *space_route(const struct space *space)
{
    return space->route;
}

/* The merge of values [n_weights]. */
static void decode_merge(const struct space *space, const double *values, struct recipe *out)
{
    const struct study *study = space->study;
    const char **sources = mem_array(study->merge.n_sources, sizeof *sources);

    for (size_t s = 0; s < study->merge.n_sources; s++) {
        sources[s] = space->sources[s];
    }
    recipe_init(out, study->merge.method, study->evaluator.dtype, study->seed, space->n_layers,
                sources, study->merge.n_sources, space->base[0] != '\0' ? space->base : NULL);
    weight_space_decode(&study->merge, values, out);
    free(sources);
}

void space_decode(const struct space *space, const double *point, struct recipe *out)
{
    double *values = mem_array(space->n_values, sizeof *values);

    for (size_t i = 0; i < space->n_values; i++) {
        size_t c = space->stands != NULL ? space->stands[i] : i;

        values[i] = space_value(space, c, point[c]);
    }
    if (space->host.method == NULL) {
        decode_merge(space, values, out);
    } else if (recipe_copy(out, &space->host, NULL) != 0) {
        assert(!"the host was copied before");
    }
    if (space->route != NULL) {
        route_space_decode(space->route, values + space->n_weights, out);
    }
    free(values);
}

/* Only recipes of the same ingredients have a place here. */
static int check_ingredients(const struct space *space, const struct recipe *recipe,
                             struct err *err)
{
    const struct study_merge *merge = &space->study->merge;

    if (recipe->method != merge->method) {
        return err_set(err, ERR_CONFLICT, "a recipe of method %s in a search over %s",
                       recipe->method->name, merge->method->name);
    }
    if (recipe->n_layers != space->n_layers || recipe->n_sources != merge->n_sources ||
        strcmp(recipe->base, space->base) != 0) {
        return err_set(err, ERR_CONFLICT,
                       "a recipe of other sources, base or layers than the search's");
    }
    for (size_t s = 0; s < merge->n_sources; s++) {
        if (strcmp(recipe->sources[s], space->sources[s]) != 0) {
            return err_set(err, ERR_CONFLICT, "source %zu of the recipe is not the search's", s);
        }
    }
    return 0;
}

/* point [n] in values; joined ones are the mean of theirs. */
static void encode_weights(const struct space *space, const struct recipe *recipe, double *point)
{
    if (space->stands == NULL) {
        weight_space_encode(&space->study->merge, recipe, point);
        return;
    }
    double *values = mem_array(space->n_values, sizeof *values);
    size_t *members = mem_array(space->n, sizeof *members);

    weight_space_encode(&space->study->merge, recipe, values);
    memset(point, 0, space->n * sizeof *point);
    for (size_t i = 0; i < space->n_values; i++) {
        point[space->stands[i]] += values[i];
        members[space->stands[i]]++;
    }
    for (size_t c = 0; c < space->n; c++) {
        point[c] /= (double)members[c];
    }
    free(values);
    free(members);
}

int space_encode(const struct space *space, const struct recipe *recipe, double *point,
                 struct err *err)
{
    int rc = space->host.method == NULL ? check_ingredients(space, recipe, err) : 0;

    if (rc != 0) {
        return rc;
    }
    if (space->host.method == NULL) {
        encode_weights(space, recipe, point);
    }
    if (space->route != NULL) {
        rc = route_space_encode(space->route, recipe, point + space->n_weights, err);
    }
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < space->n; i++) {
        const struct space_coordinate *c = &space->coordinates[i];

        point[i] = fmin(fmax(to_box(c, point[i]), 0.0), 1.0);
    }
    return 0;
}
