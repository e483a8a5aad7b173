#include "search/warm_start.h"

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
#include "base/rng.h"

#define EARLIER 200
#define LAYERS 6

static const char *const digests[3] = {
    "1111111111111111111111111111111111111111111111111111111111111111",
    "2222222222222222222222222222222222222222222222222222222222222222",
    "3333333333333333333333333333333333333333333333333333333333333333"};

struct house {
    struct study study, finer;
    struct space *space, *fine; /* 2 and 12 coordinates */
    struct phase_told told[EARLIER];
    char *recipes[EARLIER];
    struct phase_past past;
    double start[12], deviations[12], sigma;
    char note[WARM_START_NOTE_MAX];
};

static void read_study(struct study *out, const char *layers)
{
    char *text = mem_printf("{\"study\":\"warm\",\"models\":{\"a\":\"a\",\"b\":\"b\",\"c\":\"c\"},"
                            "\"merge\":{\"method\":\"task_arithmetic\",\"base\":\"a\","
                            "\"sources\":[\"b\",\"c\"],\"layers\":%s,"
                            "\"search\":{\"weight\":[0,2]}},\"tasks\":[{\"task\":\"t.yaml\"}]}",
                            layers);
    json_t *doc = NULL;

    assert_int_equal(doc_parse(&doc, text, strlen(text), NULL), 0);
    assert_int_equal(study_parse(out, doc, ".", NULL), 0);
    json_decref(doc);
    free(text);
}

/* Points all over the box; the best are where the coordinates are .7 and .4. */
static int set_up(void **state)
{
    struct house *house = mem_array(1, sizeof *house);
    struct rng64 rng;

    read_study(&house->study, "1");
    read_study(&house->finer, "\"each\"");
    assert_int_equal(space_new(&house->space, &house->study, LAYERS, digests, NULL), 0);
    assert_int_equal(space_new(&house->fine, &house->finer, LAYERS, digests, NULL), 0);
    rng64_seed(&rng, 5, 5);
    for (size_t i = 0; i < EARLIER; i++) {
        double point[2] = {rng64_uniform(&rng), rng64_uniform(&rng)};
        double a = point[0] - 0.7, b = point[1] - 0.4;
        struct recipe recipe = {0};
        struct text text = {0};

        space_decode(house->space, point, &recipe);
        recipe_print(&text, &recipe);
        recipe_release(&recipe);
        house->recipes[i] = text_take(&text);
        house->told[i] = (struct phase_told){
            .recipe = house->recipes[i], .value = i % 10 == 3 ? (double)NAN : 1.0 - a * a - b * b};
    }
    house->past = (struct phase_past){EARLIER, house->told};
    house->sigma = 0.25;
    *state = house;
    return 0;
}

static int tear_down(void **state)
{
    struct house *house = *state;

    for (size_t i = 0; i < EARLIER; i++) {
        free(house->recipes[i]);
    }
    space_free(house->space);
    space_free(house->fine);
    study_release(&house->study);
    study_release(&house->finer);
    free(house);
    return 0;
}

static bool begin(struct house *house, const struct space *space)
{
    return warm_start(space, &house->past, house->start, house->deviations, &house->sigma,
                      house->note);
}

static void begins_at_the_best_tenth_and_as_wide_as_it_lies(void **state)
{
    struct house *house = *state;

    assert_true(begin(house, house->space));
    assert_string_equal(house->note, "warm start from the best 18 of 180 earlier candidates");
    assert_true(fabs(house->start[0] - 0.7) < 0.05 && fabs(house->start[1] - 0.4) < 0.05);
    assert_true(house->sigma > 0.1 && house->sigma < 0.2);
    assert_true(fabs(house->deviations[0] * house->deviations[1] - 1.0) < 1e-12);
}

static void coarser_recipes_have_a_place_in_finer_coordinates(void **state)
{
    struct house *house = *state;

    assert_true(begin(house, house->fine));
    for (size_t i = 0; i < 12; i++) {
        assert_true(fabs(house->start[i] - (i % 2 == 0 ? 0.7 : 0.4)) < 0.05);
    }
}

static void too_few_candidates_begin_cold_and_say_so(void **state)
{
    struct house *house = *state;

    house->past.n = 10; /* one of them failed */
    assert_false(begin(house, house->space));
    assert_string_equal(house->note,
                        "cold start: 9 of 10 earlier candidates have a place here, ten are needed");
    assert_true(house->sigma == 0.25 && house->start[0] == 0.0);
}

static void a_best_tenth_in_one_point_begins_cold(void **state)
{
    struct house *house = *state;

    house->past.n = 15; /* its tenth is one candidate */
    assert_false(begin(house, house->space));
    assert_non_null(strstr(house->note, "the best tenth in one point"));
}

static void recipes_of_other_models_count_for_nothing(void **state)
{
    struct house *house = *state;
    struct space *other = NULL;
    const char *const others[] = {digests[0], digests[2], digests[1]};

    assert_int_equal(space_new(&other, &house->study, LAYERS, others, NULL), 0);
    assert_false(begin(house, other));
    assert_string_equal(
        house->note, "cold start: 0 of 200 earlier candidates have a place here, ten are needed");
    space_free(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(begins_at_the_best_tenth_and_as_wide_as_it_lies),
        TEST(coarser_recipes_have_a_place_in_finer_coordinates),
        TEST(too_few_candidates_begin_cold_and_say_so),
        TEST(a_best_tenth_in_one_point_begins_cold),
        TEST(recipes_of_other_models_count_for_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
