#include "search/pareto.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four headers it needs */
#include <cmocka.h>

#include "base/rng.h"

static void equal_rows_do_not_dominate_each_other(void **state)
{
    (void)state;
    const double a[] = {1.0, 2.0}, b[] = {1.0, 2.0}, c[] = {1.0, 3.0}, d[] = {0.0, 4.0};

    assert_false(pareto_dominates(a, b, 2));
    assert_true(pareto_dominates(a, c, 2));
    assert_false(pareto_dominates(c, a, 2));
    assert_false(pareto_dominates(a, d, 2));
}

static void rows_fall_into_fronts(void **state)
{
    (void)state;
    const double rows[] = {1, 3, 3, 1, 2, 2, 3, 3, 2, 4, HUGE_VAL, HUGE_VAL};
    size_t fronts[6];

    pareto_fronts(rows, 6, 2, fronts);
    const size_t expected[] = {0, 0, 0, 1, 1, 2};

    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(fronts[i], expected[i]);
    }
}

static void the_ends_of_a_front_have_room_without_end(void **state)
{
    (void)state;
    const double rows[] = {0, 4, 1, 2, 2, 1, 4, 0};
    size_t fronts[4] = {0};
    double crowding[4];

    pareto_crowding(rows, 4, 2, fronts, crowding);
    assert_true(isinf(crowding[0]) && isinf(crowding[3]));
    assert_true(fabs(crowding[1] - (2.0 / 4.0 + 3.0 / 4.0)) < 1e-12);
    assert_true(fabs(crowding[2] - (3.0 / 4.0 + 2.0 / 4.0)) < 1e-12);
}

static void rows_are_ordered_by_front_then_by_what_they_cover_alone(void **state)
{
    (void)state;
    /* On the front: the ends, a row that covers 2 x 2 alone, one that covers 1 x 1, an equal twin.
     */
    const double rows[] = {9, 9, 0, 6, 2, 3, 3, 2, 6, 0, 2, 3};
    const size_t expected[] = {1, 4, 2, 3, 5, 0};
    size_t order[6];

    pareto_order(rows, 6, 2, order);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(order[i], expected[i]);
    }
}

static void an_order_takes_failed_rows_and_more_objectives(void **state)
{
    (void)state;
    const double rows[] = {HUGE_VAL, HUGE_VAL, HUGE_VAL, 1,        2,        3,
                           3,        2,        1,        HUGE_VAL, HUGE_VAL, HUGE_VAL};
    size_t order[4];

    pareto_order(rows, 4, 3, order);
    assert_int_equal(order[0], 1);
    assert_int_equal(order[1], 2);
    assert_int_equal(order[2], 0);
    assert_int_equal(order[3], 3);
}

static void volumes_of_known_shapes(void **state)
{
    (void)state;
    const double steps[] = {1, 3, 2, 2, 3, 1, 9, 0}, reference[] = {4, 4, 4};
    const double corner[] = {1, 1, 1, 0, 3, 3};

    assert_true(fabs(pareto_hypervolume(steps, 4, 2, reference) - 6.0) < 1e-12);
    assert_true(fabs(pareto_hypervolume(corner, 1, 3, reference) - 27.0) < 1e-12);
    assert_true(fabs(pareto_hypervolume(corner, 2, 3, reference) - 28.0) < 1e-12);
    assert_true(pareto_hypervolume(steps, 0, 2, reference) == 0.0);
    assert_true(fabs(pareto_hypervolume(steps, 4, 1, reference) - 3.0) < 1e-12);
}

/* Against counting random points. */
static void a_random_volume_is_the_share_of_points_it_covers(void **state)
{
    (void)state;
    const double reference[] = {1, 1, 1, 1};
    double rows[12 * 4], point[4];
    struct rng64 rng;
    size_t inside = 0;
    const size_t n = 20000;

    rng64_seed(&rng, 1, 1);
    for (size_t i = 0; i < 48; i++) {
        rows[i] = rng64_uniform(&rng);
    }
    for (size_t p = 0; p < n; p++) {
        size_t covered = 0;

        for (size_t k = 0; k < 4; k++) {
            point[k] = rng64_uniform(&rng);
        }
        for (size_t i = 0; i < 12; i++) {
            covered += pareto_dominates(rows + 4 * i, point, 4) ? 1 : 0;
        }
        inside += covered > 0 ? 1 : 0;
    }
    assert_true(fabs(pareto_hypervolume(rows, 12, 4, reference) - (double)inside / (double)n) <
                0.015);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_rows_do_not_dominate_each_other),
        cmocka_unit_test(rows_fall_into_fronts),
        cmocka_unit_test(the_ends_of_a_front_have_room_without_end),
        cmocka_unit_test(rows_are_ordered_by_front_then_by_what_they_cover_alone),
        cmocka_unit_test(an_order_takes_failed_rows_and_more_objectives),
        cmocka_unit_test(volumes_of_known_shapes),
        cmocka_unit_test(a_random_volume_is_the_share_of_points_it_covers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
