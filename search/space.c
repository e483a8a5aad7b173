#include "search/space.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/weight_space.h"

struct space {
    const struct study *study;
    uint32_t n_layers;
    size_t n;
    struct space_coordinate *coordinates; /* [n] */
    double *start, *lower, *upper;        /* [n] in the unit box */
    char (*sources)[DIGEST_HEX];          /* [study->merge.n_sources] */
    char base[DIGEST_HEX];                /* "" when there is none */
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

int space_new(struct space **out, const struct study *study, uint32_t n_layers,
              const char *const *digests, struct err *err)
{
    size_t n = 0;
    int rc = weight_space_count(&n, &study->merge, n_layers, err);

    if (rc != 0) {
        return rc;
    }
    if (n < 1 || n > SPACE_COORDINATES_MAX) {
        return err_set(err, ERR_LIMIT, "merge: %zu coordinates to search, 1 to %d are possible", n,
                       SPACE_COORDINATES_MAX);
    }
    struct space *made = mem_alloc(sizeof *made);

    *made = (struct space){.study = study, .n_layers = n_layers, .n = n};
    copy_digests(made, digests);
    made->coordinates = mem_array(n, sizeof *made->coordinates);
    weight_space_lay_out(made->coordinates, &study->merge, study->models, n_layers);

    made->start = mem_array(n, sizeof(double));
    made->lower = mem_array(n, sizeof(double));
    made->upper = mem_array(n, sizeof(double));
    for (size_t i = 0; i < n; i++) {
        const struct space_coordinate *c = &made->coordinates[i];

        made->start[i] = to_box(c, c->start);
        made->upper[i] = 1.0;
    }
    *out = made;
    return 0;
}

void space_free(struct space *space)
{
    if (space == NULL) {
        return;
    }
    for (size_t i = 0; i < space->n; i++) {
        free(space->coordinates[i].name);
    }
    free(space->coordinates);
    free(space->start);
    free(space->lower);
    free(space->upper);
    free(space->sources);
    free(space);
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

void space_decode(const struct space *space, const double *point, struct recipe *out)
{
    const struct study *study = space->study;
    const char **sources = mem_array(study->merge.n_sources, sizeof *sources);
    double *values = mem_array(space->n, sizeof *values);

    for (size_t s = 0; s < study->merge.n_sources; s++) {
        sources[s] = space->sources[s];
    }
    for (size_t i = 0; i < space->n; i++) {
        values[i] = space_value(space, i, point[i]);
    }
    recipe_init(out, study->merge.method, study->evaluator.dtype, study->seed, space->n_layers,
                sources, study->merge.n_sources, space->base[0] != '\0' ? space->base : NULL);
    weight_space_decode(&study->merge, values, out);
    free(sources);
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

int space_encode(const struct space *space, const struct recipe *recipe, double *point,
                 struct err *err)
{
    int rc = check_ingredients(space, recipe, err);

    if (rc != 0) {
        return rc;
    }
    weight_space_encode(&space->study->merge, recipe, point);
    for (size_t i = 0; i < space->n; i++) {
        const struct space_coordinate *c = &space->coordinates[i];

        point[i] = fmin(fmax(to_box(c, point[i]), 0.0), 1.0);
    }
    return 0;
}
