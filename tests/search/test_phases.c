#include "search/phases.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the headers it needs */
#include <cmocka.h>

#include "base/doc.h"
#include "base/mem.h"

#define LAYERS 6

static const char *const digests[3] = {
    "1111111111111111111111111111111111111111111111111111111111111111",
    "2222222222222222222222222222222222222222222222222222222222222222",
    "3333333333333333333333333333333333333333333333333333333333333333"};

/* A task arithmetic of two sources with these layers (JSON), and more keys of the study. */
static struct study study_of(const char *layers, const char *more)
{
    char *text = mem_printf("{\"study\":\"steps\",\"models\":{\"a\":\"a\",\"b\":\"b\",\"c\":\"c\"},"
                            "\"merge\":{\"method\":\"task_arithmetic\",\"base\":\"a\","
                            "\"sources\":[\"b\",\"c\"],\"layers\":%s,"
                            "\"search\":{\"weight\":[0,2]}},\"tasks\":[{\"task\":\"t.yaml\"}]%s}",
                            layers, more);
    struct study study = {0};
    struct err err = {0};
    json_t *doc = NULL;

    if (doc_parse(&doc, text, strlen(text), &err) != 0 ||
        study_parse(&study, doc, ".", &err) != 0) {
        fail_msg("%s", err.text);
    }
    json_decref(doc);
    free(text);
    return study;
}

static struct phase_setting setting_of(const struct study *study)
{
    return (struct phase_setting){.study = study, .n_layers = LAYERS, .digests = digests};
}

static struct study free_study(const char *layers)
{
    struct study study = study_of(layers, "");

    study.merge.n_free = 3;
    return study;
}

static struct phase *lay_out(const struct study *study, size_t index)
{
    const struct phase_setting setting = setting_of(study);
    const struct phase_past nothing = {0};
    struct phase *phase = NULL;
    struct err err = {0};

    if (phase_new(&phase, &setting, index, &nothing, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return phase;
}

static struct optimiser *begin(const struct phase *phase, const struct phase_ended *before)
{
    const struct phase_past nothing = {0};
    struct optimiser *made = NULL;
    char why[PHASE_WHY_MAX];
    struct err err = {0};

    if (phase_optimiser(&made, phase, &nothing, before, 100, why, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return made;
}

/* Search until the steps are small: the sum of squares around `target` in every coordinate. */
static void converge(struct optimiser *optimiser, double target)
{
    const size_t n = optimiser_n(optimiser);

    for (size_t g = 0; g < 40; g++) {
        const size_t asks = optimiser_asks(optimiser);
        double *points = mem_array(asks * n, sizeof *points);
        double *fitness = mem_array(asks, sizeof *fitness);

        optimiser_ask(optimiser, points);
        for (size_t k = 0; k < asks; k++) {
            for (size_t j = 0; j < n; j++) {
                fitness[k] += (points[k * n + j] - target) * (points[k * n + j] - target);
            }
        }
        assert_int_equal(optimiser_tell(optimiser, fitness, NULL), 0);
        free(points);
        free(fitness);
    }
}

static void a_study_without_a_schedule_has_one_phase(void **state)
{
    (void)state;
    struct study study = study_of("\"each\"", "");
    const struct phase_setting setting = setting_of(&study);
    struct phase *phase = lay_out(&study, 0);

    assert_int_equal(phases_n(&study), 1);
    assert_string_equal(phase->name, "weights, each layer");
    assert_int_equal(space_n(phase->space), 12);
    assert_int_equal(phase_evaluations(&setting, 0, 77), 77);
    phase_free(phase);
    study_release(&study);
}

static void a_schedule_has_a_phase_a_step(void **state)
{
    (void)state;
    struct study study = study_of("[1, \"smooth 2\", 3, \"each\"]", "");
    static const char *const names[] = {"weights, whole model", "weights, 2 knots",
                                        "weights, 3 groups", "weights, each layer"};
    static const size_t coordinates[] = {2, 4, 6, 12};

    assert_int_equal(phases_n(&study), 4);
    for (size_t i = 0; i < 4; i++) {
        struct phase *phase = lay_out(&study, i);

        assert_string_equal(phase->name, names[i]);
        assert_int_equal(space_n(phase->space), coordinates[i]);
        phase_free(phase);
    }
    study_release(&study);
}

static void finer_steps_have_more_of_the_budget(void **state)
{
    (void)state;
    struct study study = study_of("[1, \"each\"]", "");
    const struct phase_setting setting = setting_of(&study);
    uint64_t first = phase_evaluations(&setting, 0, 1000);

    assert_true(first > 100 && first < 500);
    assert_int_equal(phase_evaluations(&setting, 1, 1000 - first), 1000 - first);
    study_release(&study);
}

static void shares_are_as_the_study_says(void **state)
{
    (void)state;
    struct study study = study_of("\"1 -> 3 -> each\"", ",\"budget\":{\"shares\":[1, 2, 1]}");
    const struct phase_setting setting = setting_of(&study);

    assert_int_equal(phase_evaluations(&setting, 0, 400), 100);
    assert_int_equal(phase_evaluations(&setting, 1, 300), 200);
    assert_int_equal(phase_evaluations(&setting, 1, 360), 240); /* the first one left some */
    assert_int_equal(phase_evaluations(&setting, 2, 100), 100);
    study_release(&study);
}

static void a_finer_step_starts_where_the_coarser_one_ended(void **state)
{
    (void)state;
    struct study study = study_of("[1, \"each\"]", "");
    struct phase *coarse = lay_out(&study, 0), *fine = lay_out(&study, 1);
    struct optimiser *first = begin(coarse, NULL);
    double mean[2], start[12], deviations[12];

    converge(first, 0.7);
    optimiser_mean(first, mean);
    assert_true(fabs(mean[0] - 0.7) < 0.01 && fabs(mean[1] - 0.7) < 0.01);
    const struct phase_ended ended = {coarse, first};
    struct optimiser *second = begin(fine, &ended);
    optimiser_mean(second, start);
    optimiser_deviations(second, deviations);
    for (size_t i = 0; i < 12; i++) {
        assert_true(fabs(start[i] - mean[i % 2]) < 1e-12);
        assert_true(deviations[i] > 0.05 && deviations[i] < 0.25); /* narrower, and not shut */
    }
    optimiser_free(second);
    optimiser_free(first);
    phase_free(coarse);
    phase_free(fine);
    study_release(&study);
}

static void phases_of_one_study_draw_other_numbers(void **state)
{
    (void)state;
    struct study study = study_of("[3, \"each\"]", ""), flat = study_of("\"each\"", "");
    struct phase *coarse = lay_out(&study, 0), *fine = lay_out(&study, 1);
    struct phase *alone = lay_out(&flat, 0);
    struct optimiser *first = begin(coarse, NULL);
    const struct phase_ended ended = {coarse, first};
    struct optimiser *second = begin(fine, &ended), *other = begin(alone, NULL);
    const size_t asks = optimiser_asks(second);
    double *points = mem_array(24 * asks, sizeof *points);
    size_t equal = 0;

    optimiser_ask(second, points);
    optimiser_ask(other, points + 12 * asks);
    for (size_t i = 0; i < asks; i++) { /* signs of the first coordinate's steps */
        equal += (points[12 * i] > 0.5) == (points[12 * (asks + i)] > 0.5);
    }
    assert_true(equal < asks);
    free(points);
    optimiser_free(first);
    optimiser_free(second);
    optimiser_free(other);
    phase_free(coarse);
    phase_free(fine);
    phase_free(alone);
    study_release(&study);
    study_release(&flat);
}

/* ---- a sensitivity pass ---- */

/* What a list was told, where the coordinates a, b and c matter and the others do little. */
struct told {
    struct phase_past past;
    struct phase_told told[25];
    double points[25 * 12];
};

static void tell_all(struct told *out, struct optimiser *pass, size_t phase)
{
    size_t at = 0;

    out->past = (struct phase_past){.told = out->told};
    while (optimiser_stop(pass) == NULL) {
        const size_t asks = optimiser_asks(pass);
        double fitness[16];

        optimiser_ask(pass, out->points + at * 12);
        for (size_t k = 0; k < asks; k++, at++) {
            const double *x = out->points + at * 12;
            double value = x[7] * x[7] - x[2] + 2.0 * x[11] - 1e-3 * (x[0] + x[5]);

            out->told[at] = (struct phase_told){
                .phase = phase, .point = x, .n_point = 12, .value = at == 6 ? (double)NAN : value};
            fitness[k] = -out->told[at].value;
        }
        assert_int_equal(optimiser_tell(pass, fitness, NULL), 0);
    }
    out->past.n = at;
}

static void a_pass_moves_every_coordinate_both_ways(void **state)
{
    (void)state;
    struct study study = free_study("\"each\"");
    const struct phase_setting setting = setting_of(&study);
    struct phase *phase = lay_out(&study, 0);
    struct optimiser *pass = begin(phase, NULL);
    struct told told;

    assert_int_equal(phases_n(&study), 2);
    assert_string_equal(phase->name, "sensitivity");
    assert_true(phase_is_list(phase));
    assert_int_equal(phase_evaluations(&setting, 0, 1000), 25);
    assert_int_equal(phase_evaluations(&setting, 1, 975), 975);
    tell_all(&told, pass, 0);
    assert_int_equal(told.past.n, 25);
    for (size_t i = 0; i < 12; i++) {
        const double *start = told.points, *up = told.points + 12 * (1 + 2 * i), *down = up + 12;

        for (size_t j = 0; j < 12; j++) {
            assert_true(up[j] - start[j] == (i == j ? 0.25 : 0.0));
            assert_true(start[j] - down[j] == (i == j ? 0.25 : 0.0));
        }
    }
    optimiser_free(pass);
    phase_free(phase);
    study_release(&study);
}

static void only_those_that_matter_are_freed_and_the_others_move_together(void **state)
{
    (void)state;
    struct study study = free_study("\"each\"");
    const struct phase_setting setting = setting_of(&study);
    struct phase *first = lay_out(&study, 0), *freed = NULL;
    struct optimiser *pass = begin(first, NULL);
    const struct phase_ended ended = {first, pass};
    struct told told;
    double start[5];

    tell_all(&told, pass, 0);
    assert_int_equal(phase_new(&freed, &setting, 1, &told.past, NULL), 0);
    const struct space_coordinate *c = space_coordinates(freed->space);
    assert_string_equal(freed->name, "weights, 3 of 12 free");
    assert_int_equal(space_n(freed->space), 5);
    assert_string_equal(c[0].name, "weight b layer 1");
    assert_string_equal(c[1].name, "weight c layer 3");
    assert_string_equal(c[2].name, "weight c layer 5");
    assert_string_equal(c[3].name, "weight b, others");
    assert_string_equal(c[4].name, "weight c, others");
    assert_true(fabs(freed->effects[11] - 1.0) < 1e-12); /* 2 times both steps */
    assert_true(fabs(freed->effects[2] - 0.25) < 1e-12); /* its step down failed */
    struct optimiser *search = begin(freed, &ended);
    optimiser_mean(search, start); /* where the best of the pass is: the last one up */
    assert_true(fabs(start[2] - 0.5) < 1e-12 && fabs(start[0] - 0.25) < 1e-12);
    optimiser_free(search);
    optimiser_free(pass);
    phase_free(first);
    phase_free(freed);
    study_release(&study);
}

static void behind_a_schedule_the_others_move_by_its_groups(void **state)
{
    (void)state;
    struct study study = free_study("[1, 2, \"each\"]");
    struct phase *freed = lay_out(&study, 3);

    assert_int_equal(phases_n(&study), 4);
    assert_int_equal(space_n(freed->space), 3 + 4);
    assert_string_equal(space_coordinates(freed->space)[3].name, "weight b layers 0-2, others");
    assert_string_equal(space_coordinates(freed->space)[6].name, "weight c layers 3-5, others");
    phase_free(freed);
    study_release(&study);
}

static void freeing_all_is_refused(void **state)
{
    (void)state;
    struct study study = free_study("1");
    const struct phase_setting setting = setting_of(&study);
    struct err err = {0};

    assert_int_equal(phases_plan(&setting, NULL, NULL, &err), ERR_LIMIT);
    assert_string_equal(err.text, "merge.free: 3 of 2 coordinates are all of them; leave it out");
    study_release(&study);
}

static void a_step_that_the_models_are_too_shallow_for_is_found_before_the_search(void **state)
{
    (void)state;
    struct study study = study_of("[1, 4, 9]", "");
    const struct phase_setting setting = setting_of(&study);
    struct err err = {0};

    assert_int_equal(phases_plan(&setting, NULL, NULL, &err), ERR_LIMIT);
    assert_string_equal(err.text, "merge.layers: 9 groups, but the models have 6 layers");
    study_release(&study);
}

static void an_optimiser_that_a_later_phase_cannot_have_is_found_before_the_search(void **state)
{
    (void)state;
    struct study study = study_of("[1, \"each\"]", ",\"optimizer\":{\"algorithm\":\"lq-cma-es\"}");
    struct phase_setting setting = setting_of(&study);
    struct err err = {0};

    setting.n_layers = 24;
    assert_int_equal(phases_plan(&setting, NULL, NULL, &err), ERR_LIMIT);
    assert_string_equal(err.text, "optimizer: 48 coordinates: lq-cma-es takes 1 to 40");
    study_release(&study);
}

static void note(void *context, const struct phase_plan *plan)
{
    struct text *lines = context;

    text_printf(lines, "%s: %s, %llu%s\n", plan->phase->name, plan->algorithm,
                (unsigned long long)plan->evaluations,
                plan->why[0] != '\0' ? ", with a reason" : "");
}

static void a_plan_has_what_each_phase_is_and_may_spend(void **state)
{
    (void)state;
    struct study study =
        study_of("[1, \"each\"]", ",\"optimizer\":{\"algorithm\":\"auto\",\"restarts\":\"ipop\"}");
    struct text lines = {0};

    study.merge.n_free = 3;
    study.budget.evaluations = 1025;
    study.budget.n_shares = 2;
    study.budget.shares[0] = 1.0;
    study.budget.shares[1] = 3.0;
    const struct phase_setting setting = setting_of(&study);
    assert_int_equal(phases_plan(&setting, note, &lines, NULL), 0);
    assert_string_equal(text_get(&lines), "weights, whole model: lq-cma-es, 250, with a reason\n"
                                          "sensitivity: listed, 25\n"
                                          "weights, 3 of 12 free: lq-cma-es, 750, with a reason\n");
    text_release(&lines);
    study_release(&study);
}

/* A recipe of the study's weights phase at a place of its box, as it is told; free it. */
static char *recipe_at(const struct phase *phase, double place)
{
    const double point[] = {place, place};
    struct recipe recipe = {0};
    struct text text = {0};

    assert_int_equal(space_n(phase->space), 2);
    space_decode(phase->space, point, &recipe);
    recipe_print(&text, &recipe);
    recipe_release(&recipe);
    return text_take(&text);
}

static void routes_go_through_the_best_merge_before_them(void **state)
{
    (void)state;
    struct study study = study_of("1", ",\"route\":{\"pinned\":1}");
    const struct phase_setting setting = setting_of(&study);
    struct phase *weights = lay_out(&study, 0), *map = NULL;
    char *recipes[] = {recipe_at(weights, 0.25), recipe_at(weights, 0.75)};
    struct phase_told told[] = {{.recipe = recipes[0], .value = 0.4},
                                {.recipe = recipes[1], .value = 0.6}};
    const struct phase_past past = {2, told};
    struct recipe recipe = {0};

    assert_int_equal(phases_n(&study), 1 + 1 + 1 + 3);
    assert_int_equal(phase_new(&map, &setting, 1, &past, NULL), 0);
    assert_string_equal(map->name, PHASE_MAP_NAME);
    space_decode(map->space, space_start(map->space), &recipe);
    assert_true(fabs(recipe.groups[0].source_values[0] - 1.5) < 1e-12);
    assert_int_equal(recipe.route.n_hops, 8); /* two blocks twice */
    recipe_release(&recipe);
    phase_free(map);
    phase_free(weights);
    free(recipes[0]);
    free(recipes[1]);
    study_release(&study);
}

static void a_merge_and_routes_may_be_one_search(void **state)
{
    (void)state;
    struct study study = study_of("1", ",\"route\":{\"pinned\":1,\"order\":\"together\"}");
    struct phase *phase = lay_out(&study, 0);
    struct recipe recipe = {0};
    double point[64], again[64];
    const size_t n = space_n(phase->space);

    assert_int_equal(phases_n(&study), 1);
    assert_string_equal(phase->name, "weights and routes by edits");
    assert_int_equal(n, 2 + 2 * 4 + 3 * 3 * 3);
    memcpy(point, space_start(phase->space), n * sizeof *point);
    point[0] = 0.75;
    point[2] = space_place(phase->space, 2, 3.0); /* a splice, at the usual place */
    space_decode(phase->space, point, &recipe);
    assert_true(fabs(recipe.groups[0].source_values[0] - 1.5) < 1e-12);
    assert_int_equal(recipe.n_route_models, 1);
    assert_int_equal(space_encode(phase->space, &recipe, again, NULL), 0);
    assert_true(fabs(again[0] - 0.75) < 1e-12 && again[2] == point[2]);
    recipe_release(&recipe);
    phase_free(phase);
    study_release(&study);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_go_through_the_best_merge_before_them),
        cmocka_unit_test(a_merge_and_routes_may_be_one_search),
        cmocka_unit_test(a_study_without_a_schedule_has_one_phase),
        cmocka_unit_test(a_schedule_has_a_phase_a_step),
        cmocka_unit_test(finer_steps_have_more_of_the_budget),
        cmocka_unit_test(shares_are_as_the_study_says),
        cmocka_unit_test(a_finer_step_starts_where_the_coarser_one_ended),
        cmocka_unit_test(phases_of_one_study_draw_other_numbers),
        cmocka_unit_test(a_pass_moves_every_coordinate_both_ways),
        cmocka_unit_test(only_those_that_matter_are_freed_and_the_others_move_together),
        cmocka_unit_test(behind_a_schedule_the_others_move_by_its_groups),
        cmocka_unit_test(freeing_all_is_refused),
        cmocka_unit_test(an_optimiser_that_a_later_phase_cannot_have_is_found_before_the_search),
        cmocka_unit_test(a_plan_has_what_each_phase_is_and_may_spend),
        cmocka_unit_test(a_step_that_the_models_are_too_shallow_for_is_found_before_the_search),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
