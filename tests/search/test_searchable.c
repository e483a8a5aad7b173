/*
 * Every row of the table of methods, from a study to merged weights: all parameters searched at
 * once, as `merge.search` would say it, towards weights that the method itself made at parameters
 * the search does not know.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the headers it needs */
#include <cmocka.h>

#include "base/mem.h"
#include "evaluator/merge/blend.h"
#include "search/cmaes.h"
#include "search/space.h"
#include "tests/evaluator/kitchen.h"

#define GENERATIONS 20
#define ELEMENTS_MAX 65536

static char base_name[] = "base", a_name[] = "a", b_name[] = "b";
static struct study_model models[KITCHEN_MODELS] = {
    {base_name, base_name}, {a_name, a_name}, {b_name, b_name}};
static size_t sources[] = {1, 2};

/* Half a unit around the default, within what the table allows; switches are either. */
static struct study_range range_of(const struct method_parameter *parameter)
{
    double reach = parameter->kind == METHOD_INTEGER ? 5.0 : 0.5;
    double lower = fmax(parameter->lower, parameter->fallback - reach);
    double upper = fmin(parameter->upper, parameter->fallback + reach);

    if (parameter->kind == METHOD_BOOL) {
        lower = 0.0;
        upper = 1.0;
    }
    return (struct study_range){parameter, lower, upper, parameter->fallback};
}

static struct study study_of(const struct method *method)
{
    struct study study = {.seed = 7, .n_models = KITCHEN_MODELS, .models = models};

    study.evaluator.dtype = RECIPE_FLOAT32;
    study.merge = (struct study_merge){.method = method,
                                       .base = method->needs_base ? 0 : SIZE_MAX,
                                       .n_sources = method->sources_max > 1 ? 2 : 1,
                                       .sources = sources,
                                       .n_layer_groups = 1,
                                       .n_search = method->n_parameters};
    for (size_t p = 0; p < method->n_parameters; p++) {
        study.merge.search[p] = range_of(&method->parameters[p]);
    }
    return study;
}

struct bench {
    const struct kitchen *kitchen;
    struct space *space;
    struct blend *blend;
    float *made, *target; /* [ELEMENTS_MAX] */
    size_t n;
};

/* The tensors, one after another. */
struct cursor {
    float *at;
};

static int place_next(void *context, const struct plan_tensor *tensor, float **out, struct err *err)
{
    struct cursor *cursor = context;

    (void)err;
    *out = cursor->at;
    cursor->at += tensor->n;
    return 0;
}

static int cook(const struct bench *bench, const double *point, float *out)
{
    struct cursor cursor = {out};
    const struct blend_sink sink = {.place = place_next, .context = &cursor};
    struct recipe recipe = {0};
    struct plan plan = {0};

    space_decode(bench->space, point, &recipe);
    int rc = plan_make(&plan, &recipe, bench->kitchen->named, KITCHEN_MODELS, NULL);

    if (rc == 0) {
        assert_true(plan.n_elements <= ELEMENTS_MAX);
        rc = blend_run(bench->blend, &plan, &sink, NULL, NULL);
    }
    plan_release(&plan);
    recipe_release(&recipe);
    return rc;
}

/* Squared distance from the target; NaN for what cannot be merged. */
static double taste(const struct bench *bench, const double *point)
{
    double sum = 0.0;

    if (cook(bench, point, bench->made) != 0) {
        return (double)NAN;
    }
    for (size_t i = 0; i < bench->n; i++) {
        double d = (double)bench->made[i] - (double)bench->target[i];

        sum += d * d;
    }
    return sum;
}

/* A point away from the start, up and down by turns, as far as the method goes along. */
static void hide(struct bench *bench, double *point)
{
    const double *start = space_start(bench->space);

    double reach = 0.5;

    for (size_t tries = 0; tries < 6; tries++, reach /= 2) {
        for (size_t i = 0; i < space_n(bench->space); i++) {
            double there = start[i] < 0.5 || (start[i] == 0.5 && i % 2 == 0) ? 1.0 : 0.0;

            point[i] = start[i] + 2.0 * reach * 0.75 * (there - start[i]);
        }
        if (cook(bench, point, bench->target) == 0) {
            return;
        }
    }
    fail_msg("nowhere to go");
}

static double search(const struct bench *bench)
{
    const struct cmaes_options options = {.n = space_n(bench->space),
                                          .start = space_start(bench->space),
                                          .sigma = 0.3,
                                          .seed = 3,
                                          .lower = space_lower(bench->space),
                                          .upper = space_upper(bench->space)};
    struct cmaes *cmaes = NULL;

    assert_int_equal(cmaes_new(&cmaes, &options, NULL), 0);
    size_t lambda = cmaes_lambda(cmaes);
    double *points = mem_array(lambda * options.n, sizeof *points);
    double *fitness = mem_array(lambda, sizeof *fitness);

    for (size_t g = 0; g < GENERATIONS && cmaes_stop(cmaes) == NULL; g++) {
        cmaes_ask(cmaes, points);
        for (size_t k = 0; k < lambda; k++) {
            fitness[k] = taste(bench, points + k * options.n);
        }
        assert_int_equal(cmaes_tell(cmaes, fitness, NULL), 0);
    }
    double best = cmaes_best(cmaes, NULL);

    free(points);
    free(fitness);
    cmaes_free(cmaes);
    return best;
}

static void check_method(const struct kitchen *kitchen, const struct method *method)
{
    struct study study = study_of(method);
    const char *digests[KITCHEN_MODELS];
    struct bench bench = {.kitchen = kitchen, .blend = blend_new()};
    struct err err = {0};

    for (size_t i = 0; i < KITCHEN_MODELS; i++) {
        digests[i] = kitchen->digests[i];
    }
    assert_int_equal(space_new(&bench.space, &study, TINY_LAYERS, digests, &err), 0);
    bench.made = mem_array(ELEMENTS_MAX, sizeof(float));
    bench.target = mem_array(ELEMENTS_MAX, sizeof(float));
    bench.n = ELEMENTS_MAX;
    double *hidden = mem_array(space_n(bench.space), sizeof *hidden);

    hide(&bench, hidden);
    double start = taste(&bench, space_start(bench.space));
    double best = search(&bench);

    if (!(start > 0.0) || !(best < 0.7 * start)) {
        fail_msg("%s: from %g to %g", method->name, start, best);
    }
    free(hidden);
    free(bench.made);
    free(bench.target);
    blend_free(bench.blend);
    space_free(bench.space);
}

static void a_search_over_its_parameters_improves_every_method(void **state)
{
    size_t n;
    const struct method *methods = method_list(&n);
    struct kitchen kitchen;

    (void)state;
    kitchen_open(&kitchen, kitchen_floats);
    for (size_t m = 0; m < n; m++) {
        check_method(&kitchen, &methods[m]);
    }
    kitchen_close(&kitchen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_search_over_its_parameters_improves_every_method),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
