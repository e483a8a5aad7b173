#include "search/bounds.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the headers it needs */
#include <cmocka.h>

struct box {
    double lower, upper;
};

static const struct box boxes[] = {
    {0, 1},         {-5, 5},        {-1e-3, 1e-3},    {100, 101},      {0, 1e9},
    {-HUGE_VAL, 2}, {-3, HUGE_VAL}, {0.1, 0.1000001}, {-1e150, 1e150}, {-HUGE_VAL, HUGE_VAL}};

#define N_BOXES (sizeof boxes / sizeof *boxes)

static void is_the_identity_away_from_the_walls(void **state)
{
    (void)state;
    assert_true(bounds_fold(0.5, 0.0, 1.0) == 0.5);
    assert_true(bounds_fold(0.05, 0.0, 1.0) == 0.05);
    assert_true(bounds_fold(0.95, 0.0, 1.0) == 0.95);
    assert_true(bounds_fold(-1e300, -HUGE_VAL, HUGE_VAL) == -1e300);
    assert_true(bounds_fold(1e300, 0.0, HUGE_VAL) == 1e300);
}

static void is_a_parabola_at_the_wall(void **state)
{
    (void)state;
    /* lower wall of [0, 1]: margin 0.05, T(x) = (x + 0.05)^2 / 0.2 */
    assert_true(bounds_fold(-0.05, 0.0, 1.0) == 0.0);
    assert_true(fabs(bounds_fold(0.0, 0.0, 1.0) - 0.0125) < 1e-17);
    assert_true(bounds_fold(1.05, 0.0, 1.0) == 1.0);
    assert_true(fabs(bounds_fold(1.0, 0.0, 1.0) - 0.9875) < 1e-15);
}

static void mirrors_and_repeats_outside(void **state)
{
    (void)state;
    const double period = 2.0 * (1.0 + 0.05 + 0.05);

    for (double x = -0.05; x <= 1.05; x += 0.01) {
        double inside = bounds_fold(x, 0.0, 1.0);

        assert_true(fabs(bounds_fold(-0.1 - x, 0.0, 1.0) - inside) < 1e-13);
        assert_true(fabs(bounds_fold(x + 3.0 * period, 0.0, 1.0) - inside) < 1e-12);
        assert_true(fabs(bounds_fold(x - 2.0 * period, 0.0, 1.0) - inside) < 1e-12);
    }
    assert_true(bounds_fold(-3.3, -3.0, HUGE_VAL) == bounds_fold(-3.0, -3.0, HUGE_VAL));
}

static void never_leaves_the_box(void **state)
{
    (void)state;
    const double steps[] = {0.0, 1e-300, 1e-9, 0.3, 1.0, 7.7, 1e3, 1e8, 1e17, 1e155, 1e300};

    for (size_t i = 0; i < N_BOXES; i++) {
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            for (int sign = -1; sign <= 1; sign += 2) {
                double image = bounds_fold(sign * steps[k], boxes[i].lower, boxes[i].upper);

                assert_true(image >= boxes[i].lower && image <= boxes[i].upper);
            }
        }
    }
}

static void unfolding_is_undone_by_folding(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_BOXES; i++) {
        double first = fmax(boxes[i].lower, -1e6), last = fmin(boxes[i].upper, 1e6);

        for (int k = 0; k <= 100; k++) {
            double point = first + (last - first) * (double)k / 100.0;
            double again = bounds_fold(bounds_unfold(point, boxes[i].lower, boxes[i].upper),
                                       boxes[i].lower, boxes[i].upper);

            assert_true(fabs(again - point) <= 1e-13 * fmax(1.0, fabs(point)));
        }
        if (isfinite(boxes[i].lower)) {
            double x = bounds_unfold(boxes[i].lower, boxes[i].lower, boxes[i].upper);

            assert_true(fabs(bounds_fold(x, boxes[i].lower, boxes[i].upper) - boxes[i].lower) <=
                        1e-15 * fmax(1.0, fabs(boxes[i].lower)));
        }
    }
}

static void is_continuous_with_slope_at_most_one(void **state)
{
    (void)state;
    const double step = 1e-3;

    for (double x = -4.0; x < 4.0; x += step) {
        double rise = bounds_fold(x + step, 0.0, 1.0) - bounds_fold(x, 0.0, 1.0);

        assert_true(fabs(rise) <= step * (1.0 + 1e-9));
    }
}

static void unusable_bounds_are_seen(void **state)
{
    (void)state;
    assert_true(bounds_are_usable(0.0, 1.0));
    assert_true(bounds_are_usable(-HUGE_VAL, HUGE_VAL));
    assert_false(bounds_are_usable(1.0, 1.0));
    assert_false(bounds_are_usable(2.0, 1.0));
    assert_false(bounds_are_usable((double)NAN, 1.0));
    assert_false(bounds_are_usable(0.0, 1e200));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_identity_away_from_the_walls),
        cmocka_unit_test(is_a_parabola_at_the_wall),
        cmocka_unit_test(mirrors_and_repeats_outside),
        cmocka_unit_test(never_leaves_the_box),
        cmocka_unit_test(unfolding_is_undone_by_folding),
        cmocka_unit_test(is_continuous_with_slope_at_most_one),
        cmocka_unit_test(unusable_bounds_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
