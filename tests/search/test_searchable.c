/*
 * Every row of the table of methods, from a study to merged weights: all parameters searched at
 * once, as `merge.search` would say it, towards weights that the method itself made at parameters
 * the search does not know. And a merge of task vectors that were scaled by known factors, searched
 * from coarse to fine until the factors are undone.
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
#include "search/phases.h"
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

/* ---- a planted optimum ---- */

/* Of each layer and task vector: what it was divided by. */
static const double planted[TINY_LAYERS][2] = {{0.62, 1.18}, {0.91, 0.37}};

#define PLANTED_BUDGET 400

/* Both task vectors searched, the whole model before each layer. */
static struct study planted_study(void)
{
    static char algorithm[] = "cma-es";
    const struct method *method = NULL;

    assert_int_equal(method_find(&method, "task_arithmetic", NULL), 0);
    struct study study = study_of(method);
    const struct method_parameter *weight = method_parameter_find(method, "weight");

    study.merge.n_finer = 1;
    study.merge.finer[0] = (struct study_finer){.layers = STUDY_LAYERS_EACH};
    study.merge.n_search = 1;
    study.merge.search[0] = (struct study_range){weight, 0.0, 1.5, 0.5};
    for (size_t p = 0; p < method->n_parameters; p++) {
        if (&method->parameters[p] != weight) {
            study.merge.fixed[study.merge.n_fixed++] =
                (struct study_fixed){&method->parameters[p], method->parameters[p].fallback};
        }
    }
    study.n_objectives = 1;
    study.budget.evaluations = PLANTED_BUDGET;
    study.optimizer.algorithm = algorithm;
    return study;
}

/* The weights of the merge that the search is after, as a point of the finest space. */
static void plant(struct bench *bench, const struct phase *finest)
{
    double point[2 * TINY_LAYERS];

    bench->space = finest->space;
    assert_int_equal(space_n(bench->space), 2 * TINY_LAYERS);
    for (size_t i = 0; i < 2 * TINY_LAYERS; i++) {
        point[i] = space_place(bench->space, i, planted[i / 2][i % 2]);
    }
    assert_int_equal(cook(bench, point, bench->target), 0);
}

static void spend(struct bench *bench, struct optimiser *optimiser, uint64_t evaluations)
{
    const size_t n = optimiser_n(optimiser);
    uint64_t spent = 0;

    while (spent + optimiser_asks(optimiser) <= evaluations && optimiser_stop(optimiser) == NULL) {
        const size_t asks = optimiser_asks(optimiser);
        double *points = mem_array(asks * n, sizeof *points);
        double *fitness = mem_array(asks, sizeof *fitness);

        optimiser_ask(optimiser, points);
        for (size_t k = 0; k < asks; k++) {
            fitness[k] = taste(bench, points + k * n);
        }
        assert_int_equal(optimiser_tell(optimiser, fitness, NULL), 0);
        spent += asks;
        free(points);
        free(fitness);
    }
}

static void factors_of_task_vectors_are_found_within_two_percent(void **state)
{
    (void)state;
    struct study study = planted_study();
    const char *digests[KITCHEN_MODELS];
    const struct phase_setting setting = {&study, .n_layers = TINY_LAYERS, .digests = digests};
    const struct phase_past nothing = {0};
    struct kitchen kitchen;
    struct bench bench = {.kitchen = &kitchen, .blend = blend_new(), .n = ELEMENTS_MAX};
    struct phase *coarse = NULL, *fine = NULL;
    struct optimiser *first = NULL, *second = NULL;
    char why[PHASE_WHY_MAX];
    double found[2 * TINY_LAYERS];

    kitchen_open(&kitchen, kitchen_floats);
    for (size_t i = 0; i < KITCHEN_MODELS; i++) {
        digests[i] = kitchen.digests[i];
    }
    bench.made = mem_array(ELEMENTS_MAX, sizeof(float));
    bench.target = mem_array(ELEMENTS_MAX, sizeof(float));
    assert_int_equal(phase_new(&coarse, &setting, 0, &nothing, NULL), 0);
    assert_int_equal(phase_new(&fine, &setting, 1, &nothing, NULL), 0);
    plant(&bench, fine);

    uint64_t share = phase_evaluations(&setting, 0, PLANTED_BUDGET);
    assert_int_equal(phase_optimiser(&first, coarse, &nothing, NULL, share, why, NULL), 0);
    bench.space = coarse->space;
    spend(&bench, first, share);
    const struct phase_ended ended = {coarse, first};
    assert_int_equal(
        phase_optimiser(&second, fine, &nothing, &ended, PLANTED_BUDGET - share, why, NULL), 0);
    bench.space = fine->space;
    spend(&bench, second, PLANTED_BUDGET - share);

    optimiser_best(second, found);
    for (size_t i = 0; i < 2 * TINY_LAYERS; i++) {
        double factor = planted[i / 2][i % 2], value = space_value(fine->space, i, found[i]);

        assert_true(fabs(value / factor - 1.0) < 0.02);
    }
    optimiser_free(first);
    optimiser_free(second);
    phase_free(coarse);
    phase_free(fine);
    free(bench.made);
    free(bench.target);
    blend_free(bench.blend);
    kitchen_close(&kitchen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_search_over_its_parameters_improves_every_method),
        cmocka_unit_test(factors_of_task_vectors_are_found_within_two_percent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
