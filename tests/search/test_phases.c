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

static void a_step_that_the_models_are_too_shallow_for_is_found_before_the_search(void **state)
{
    (void)state;
    struct study study = study_of("[1, 4, 9]", "");
    const struct phase_setting setting = setting_of(&study);
    struct err err = {0};

    assert_int_equal(phases_check(&setting, &err), ERR_LIMIT);
    assert_string_equal(err.text, "merge.layers: 9 groups, but the models have 6 layers");
    study_release(&study);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_study_without_a_schedule_has_one_phase),
        cmocka_unit_test(a_schedule_has_a_phase_a_step),
        cmocka_unit_test(finer_steps_have_more_of_the_budget),
        cmocka_unit_test(shares_are_as_the_study_says),
        cmocka_unit_test(a_finer_step_starts_where_the_coarser_one_ended),
        cmocka_unit_test(phases_of_one_study_draw_other_numbers),
        cmocka_unit_test(a_step_that_the_models_are_too_shallow_for_is_found_before_the_search),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
