/*
 * phase_routes.c - a search of routes: of one kind at once, or of edits in three steps.
 *
 *     map        every single edit, as a list           its values are a result of their own
 *     compose    the map's best edits, several at once
 *     gains      the scales at the seams of each of the best routes
 *
 * The host is the study's own, or the best merge of the phases before. A phase that is laid out
 * before anything was told takes what comes first where the best is not known.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "search/phase_kinds.h"
#include "search/route_space.h"

#define MAP_SHARE 2  /* of the budget the map takes at most one part of so many */
#define ROUTES_TOP 3 /* get gains: what is best without them need not be best with them */
#define EDITS_TOP 32 /* of the map, to compose: five hundred pairs, more than are ever tried */

/* ---- which phases there are ---- */

static bool is_by_steps(const struct study *study)
{
    return study->route.mode == STUDY_ROUTE_EDITS &&
           (study->merge.method == NULL || study->route.order == STUDY_MERGE_THEN_ROUTE);
}

static size_t n_maps(const struct study *study)
{
    return is_by_steps(study) ? 1 : 0;
}

static size_t n_composings(const struct study *study)
{
    return is_by_steps(study) && study->route.edits > 1 ? 1 : 0;
}

static size_t n_gains(const struct study *study)
{
    return is_by_steps(study) && study->route.gains ? ROUTES_TOP : 0;
}

static size_t n_others(const struct study *study)
{
    return study->route.mode != STUDY_ROUTE_NONE && !is_by_steps(study) ? 1 : 0;
}

/* As much for routes, beyond what the map costs, as for the merge before them; steps share it
 * equally. */
static double weight(const struct phase_setting *setting, size_t within)
{
    static const struct phase_kind *const merges[] = {&phase_weights, &phase_freed};
    const struct study *study = setting->study;
    double all = 0.0;

    (void)within;
    for (size_t k = 0; k < sizeof merges / sizeof *merges; k++) {
        for (size_t i = 0; i < merges[k]->n(study); i++) {
            all += merges[k]->weight(setting, i);
        }
    }
    size_t steps = n_composings(study) + (n_gains(study) > 0 ? 1 : 0) + n_others(study);

    return (all > 0.0 ? all : 1.0) / (double)steps;
}

/* ---- host and models ---- */

static int models_of(struct route_models *out, const struct phase_setting *setting, struct err *err)
{
    const struct study *study = setting->study;
    uint32_t layers[STUDY_MODELS_MAX];

    for (size_t m = 0; m < study->n_models; m++) {
        layers[m] = setting->model_layers != NULL ? setting->model_layers[m] : setting->n_layers;
    }
    return route_models_init(out, study, layers, setting->digests, err);
}

/* The best that was told in the phases before this one, the first of equals; NULL: there is none.
 */
static const struct phase_told *best_before(const struct phase_past *past, size_t phase)
{
    const struct phase_told *best = NULL;

    for (size_t i = 0; i < past->n; i++) {
        const struct phase_told *told = &past->told[i];

        if (told->phase < phase && !isnan(told->value) &&
            (best == NULL || told->value > best->value)) {
            best = told;
        }
    }
    return best;
}

/* The best merge of the phases that searched for one; before they did, where the first begins. */
static int merged_host(struct recipe *out, const struct phase_setting *setting,
                       const struct phase_past *past, struct err *err)
{
    const struct study *study = setting->study;
    const struct phase_told *best = best_before(past, phase_merge_n(study));
    struct space *space = NULL;

    if (best != NULL) {
        return recipe_parse(out, best->recipe, strlen(best->recipe), err);
    }
    int rc = space_new(&space, study, setting->n_layers, setting->digests, err);

    if (rc == 0) {
        space_decode(space, space_start(space), out);
    }
    space_free(space);
    return rc;
}

static int host_of(struct recipe *out, const struct phase_setting *setting,
                   const struct route_models *models, const struct phase_past *past,
                   struct err *err)
{
    const struct study *study = setting->study;
    const struct method *passthrough = NULL;
    const char *source = models->digests[0];

    if (study->merge.method != NULL) {
        return merged_host(out, setting, past, err);
    }
    int rc = method_find(&passthrough, "passthrough", err);

    if (rc == 0) {
        recipe_init(out, passthrough, study->evaluator.dtype, study->seed, models->frame.layers[0],
                    &source, 1, NULL);
    }
    return rc;
}

/* Take over a route space and give the phase its name and space. */
static int lay_over_host(struct phase *phase, const struct phase_setting *setting,
                         const struct route_models *models, const struct phase_past *past,
                         struct route_space *route, const char *name, struct err *err)
{
    struct recipe host = {0};
    int rc = host_of(&host, setting, models, past, err);

    if (rc != 0) {
        route_space_free(route);
        return rc;
    }
    phase->name = mem_text(name);
    rc = space_new_route(&phase->space, &phase->seen, models->frame.layers[0], setting->digests,
                         route, &host, err);
    recipe_release(&host);
    return rc;
}

/* The edits of a point. */
static char *label(const struct phase *phase, const double *point)
{
    const size_t n = space_n(phase->space), n_route = route_space_n(space_route(phase->space));
    double *values = mem_array(n, sizeof *values);
    struct text words = {0};

    for (size_t i = 0; i < n; i++) {
        values[i] = space_value(phase->space, i, point[i]);
    }
    route_space_words(space_route(phase->space), values + n - n_route, &words);
    free(values);
    return words.data != NULL ? text_take(&words) : mem_text("");
}

/* ---- map ---- */

/* As much of the list as half of the budget pays for. */
static size_t list_cut(const struct study *study, size_t n)
{
    uint64_t most = study->budget.evaluations / MAP_SHARE;

    most = most > 0 ? most : 1;
    return n < most ? n : (size_t)most;
}

static uint64_t map_cost(const struct phase_setting *setting, size_t within)
{
    struct route_models models;
    struct edit *edits = NULL;
    size_t n = 1;

    (void)within;
    if (models_of(&models, setting, NULL) == 0) {
        n = edits_list(&edits, &models.frame, setting->study->route.length);
    }
    free(edits);
    return list_cut(setting->study, n);
}

static int map_lay_out(struct phase *phase, const struct phase_setting *setting,
                       const struct phase_past *past, struct err *err)
{
    struct route_models models;

    if (setting->study->n_objectives > 1) {
        return err_set(err, ERR_CONFLICT,
                       "route.mode: edits go step by step towards one objective; for several take "
                       "indicators, swap or, beside a merge, order: together");
    }
    int rc = models_of(&models, setting, err);

    if (rc != 0) {
        return rc;
    }
    return lay_over_host(phase, setting, &models, past,
                         route_space_new_map(&models, setting->study->route.length), PHASE_MAP_NAME,
                         err);
}

static void map_begin(const struct phase *phase, const struct phase_past *past,
                      const struct phase_ended *before, struct phase_beginning *out)
{
    const struct route_space *map = space_route(phase->space);
    const size_t n = space_n(phase->space);
    struct edit *edits = NULL;

    (void)past;
    (void)before;
    out->count = list_cut(&phase->seen, route_space_list(map, &edits));
    out->points = mem_array(out->count * n, sizeof *out->points);
    for (size_t i = 0; i < out->count; i++) {
        double *values = out->points + i * n;

        route_space_values(map, &edits[i], values);
        for (size_t j = 0; j < n; j++) {
            values[j] = space_place(phase->space, j, values[j]);
        }
    }
    out->algorithm = "listed";
    free(edits);
}

const struct phase_kind phase_map = {
    .n = n_maps, .cost = map_cost, .lay_out = map_lay_out, .begin = map_begin, .label = label};

/* ---- compose ---- */

/* What a map's candidate is worth, to be sorted. */
struct mapped {
    struct edit edit;
    double value;
    size_t order;
};

static int by_worth(const void *left, const void *right)
{
    const struct mapped *a = left, *b = right;

    if (a->value != b->value) {
        return a->value > b->value ? -1 : 1;
    }
    return (a->order > b->order) - (a->order < b->order);
}

/* The map's candidates that did not fail, best first; free() them. */
static struct mapped *sort_map(const struct phase *phase, const struct phase_setting *setting,
                               const struct phase_past *past, size_t *n, struct err *err)
{
    struct phase map = {.index = phase->index - 1, .seen = phase->seen};
    struct mapped *found = mem_array(past->n, sizeof *found);
    double values[8];

    *n = 0;
    if (map_lay_out(&map, setting, past, err) != 0) {
        free(found);
        return NULL;
    }
    assert(space_n(map.space) <= sizeof values / sizeof *values);
    for (size_t i = 0; i < past->n; i++) {
        const struct phase_told *told = &past->told[i];

        if (told->phase == map.index && !isnan(told->value)) {
            for (size_t j = 0; j < told->n_point; j++) {
                values[j] = space_value(map.space, j, told->point[j]);
            }
            found[*n] =
                (struct mapped){route_space_edit(space_route(map.space), values), told->value, *n};
            (*n)++;
        }
    }
    qsort(found, *n, sizeof *found, by_worth);
    space_free(map.space);
    free(map.name);
    return found;
}

/* The edits to compose, best first; the list's first ones before the map is known. free() them. */
static int best_edits(struct edit **out, size_t *n, const struct phase *phase,
                      const struct phase_setting *setting, const struct route_models *models,
                      const struct phase_past *past, struct err *err)
{
    struct mapped *sorted = sort_map(phase, setting, past, n, err);

    if (sorted == NULL) {
        return err != NULL ? (int)err->code : ERR_LIMIT;
    }
    if (*n == 0) {
        *n = edits_list(out, &models->frame, setting->study->route.length);
        *n = *n < EDITS_TOP ? *n : EDITS_TOP;
    } else {
        *n = *n < EDITS_TOP ? *n : EDITS_TOP;
        *out = mem_array(*n, sizeof **out);
        for (size_t i = 0; i < *n; i++) {
            (*out)[i] = sorted[i].edit;
        }
    }
    free(sorted);
    return 0;
}

static int compose_lay_out(struct phase *phase, const struct phase_setting *setting,
                           const struct phase_past *past, struct err *err)
{
    struct route_models models;
    struct edit *edits = NULL;
    size_t n = 0;
    int rc = models_of(&models, setting, err);

    if (rc == 0) {
        rc = best_edits(&edits, &n, phase, setting, &models, past, err);
    }
    if (rc == 0) {
        rc = lay_over_host(phase, setting, &models, past,
                           route_space_new_compose(&models, edits, n, setting->study->route.edits),
                           "edits composed", err);
    }
    free(edits);
    return rc;
}

/* Few choices, unlike their neighbours: no distribution to learn. */
static void compose_begin(const struct phase *phase, const struct phase_past *past,
                          const struct phase_ended *before, struct phase_beginning *out)
{
    (void)past;
    (void)before;
    if (strcmp(phase->seen.optimizer.algorithm, "auto") == 0) {
        out->algorithm = "discrete";
    }
}

const struct phase_kind phase_compose = {.n = n_composings,
                                         .weight = weight,
                                         .lay_out = compose_lay_out,
                                         .begin = compose_begin,
                                         .label = label};

/* ---- gains ---- */

static double gains_weight(const struct phase_setting *setting, size_t within)
{
    return weight(setting, within) / ROUTES_TOP;
}

/* Told in phases [first, end), with a route that is not the host's own. */
static bool has_route(const struct phase_told *told, size_t first, size_t end)
{
    return told->phase >= first && told->phase < end && !isnan(told->value) &&
           strstr(told->recipe, "\"route\":") != NULL;
}

struct ranked {
    const struct phase_told *told;
    size_t order;
};

static int by_value(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;

    if (a->told->value != b->told->value) {
        return a->told->value > b->told->value ? -1 : 1;
    }
    return (a->order > b->order) - (a->order < b->order);
}

/* The best route but `within` of those that were told in phases [first, end), equal ones counted
 * once; the last of them when there are fewer; NULL: there is none. */
static const struct phase_told *best_told(const struct phase_past *past, size_t first, size_t end,
                                          size_t within)
{
    struct ranked *found = mem_array(past->n, sizeof *found);
    const struct phase_told *best = NULL;
    size_t n = 0, distinct = 0;

    for (size_t i = 0; i < past->n; i++) {
        if (has_route(&past->told[i], first, end)) {
            found[n] = (struct ranked){&past->told[i], n};
            n++;
        }
    }
    qsort(found, n, sizeof *found, by_value);
    for (size_t i = 0; i < n && distinct <= within; i++) {
        bool again = false; /* equal routes have equal values and stand together */

        for (size_t j = i; j-- > 0 && !again && found[j].told->value == found[i].told->value;) {
            again = strcmp(found[j].told->recipe, found[i].told->recipe) == 0;
        }
        if (!again) {
            best = found[i].told;
            distinct++;
        }
    }
    free(found);
    return best;
}

/* The route whose gains step `within` searches; the first edit of the list before there is one. */
static int route_for(struct route *out, const struct phase *phase,
                     const struct phase_setting *setting, const struct route_models *models,
                     const struct phase_past *past, struct err *err)
{
    const size_t end = phase->index - phase->within;
    const size_t first = end - n_maps(setting->study) - n_composings(setting->study);
    const struct phase_told *best = best_told(past, first, end, phase->within);
    struct recipe recipe = {0};
    struct edit *edits = NULL;

    if (best == NULL) {
        edits_list(&edits, &models->frame, setting->study->route.length);
        edits_build(out, &models->frame, edits, 1); /* there is always something to skip */
        free(edits);
        return 0;
    }
    int rc = recipe_parse(&recipe, best->recipe, strlen(best->recipe), err);

    if (rc == 0 && !route_models_route(models, &recipe, out)) {
        rc =
            err_set(err, ERR_CONFLICT, "database: a route through a model that is not the study's");
    }
    recipe_release(&recipe);
    return rc;
}

static int gains_lay_out(struct phase *phase, const struct phase_setting *setting,
                         const struct phase_past *past, struct err *err)
{
    static const char *const names[ROUTES_TOP] = {"gains of the best route",
                                                  "gains of the second best route",
                                                  "gains of the third best route"};
    struct route_models models;
    struct route route = {0};
    int rc = models_of(&models, setting, err);

    if (rc == 0) {
        rc = route_for(&route, phase, setting, &models, past, err);
    }
    if (rc == 0) {
        rc = lay_over_host(phase, setting, &models, past, route_space_new_gains(&models, &route),
                           names[phase->within], err);
    }
    route_release(&route);
    return rc;
}

const struct phase_kind phase_gains = {
    .n = n_gains, .weight = gains_weight, .lay_out = gains_lay_out};

/* ---- all at once ---- */

static struct route_space *route_space_of(const struct study_route *route,
                                          const struct route_models *models)
{
    switch (route->mode) {
    case STUDY_ROUTE_SWAP:
        return route_space_new_swap(models);
    case STUDY_ROUTE_INDICATORS:
        return route_space_new_indicators(models, route->repeats, route->scales);
    default:
        return route_space_new_edits(models, route->edits, route->length, route->gains);
    }
}

static int other_lay_out(struct phase *phase, const struct phase_setting *setting,
                         const struct phase_past *past, struct err *err)
{
    static const char *const names[] = {"", "routes by edits", "routes by indicators",
                                        "layer swaps"};
    const struct study *study = setting->study;
    const char *name = names[study->route.mode];
    struct route_models models;
    int rc = models_of(&models, setting, err);

    if (rc != 0) {
        return rc;
    }
    struct route_space *route = route_space_of(&study->route, &models);

    if (study->merge.method == NULL || study->route.order == STUDY_MERGE_THEN_ROUTE) {
        return lay_over_host(phase, setting, &models, past, route, name, err);
    }
    phase->name = mem_printf("weights and %s", name);
    return space_new_route(&phase->space, &phase->seen, setting->n_layers, setting->digests, route,
                           NULL, err);
}

/* The margin takes the bits' first chances; a table of chances would begin in the middle. */
static void other_begin(const struct phase *phase, const struct phase_past *past,
                        const struct phase_ended *before, struct phase_beginning *out)
{
    (void)past;
    (void)before;
    if (phase->seen.route.mode == STUDY_ROUTE_INDICATORS && phase->seen.n_objectives < 2 &&
        strcmp(phase->seen.optimizer.algorithm, "auto") == 0) {
        out->algorithm = "cma-es";
    }
}

const struct phase_kind phase_route = {.n = n_others,
                                       .weight = weight,
                                       .lay_out = other_lay_out,
                                       .begin = other_begin,
                                       .label = label};
