#include "search/route_indicators.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* after the headers it needs */
#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"

/* Two models of 3 blocks, twice: A0 A1 A2 B0 B1 B2 A0 A1 A2 B0 B1 B2, of which 10 are bits. */
static const struct indicators small = {
    .frame = {.n_models = 2, .layers = {3, 3}, .pinned = 1, .hops_max = 20}, .repeats = 2};

static void assert_route(const struct indicators *t, const char *bits, const char *expected)
{
    bool on[64] = {false};
    struct route route = {0}, meant = {0};

    for (size_t i = 0; bits[i] != '\0'; i++) {
        on[i] = bits[i] == '1';
    }
    indicators_build(&route, t, on);
    assert_int_equal(route_parse(&meant, expected, NULL), 0);
    assert_true(route_equal(&route, &meant));
    route_release(&route);
    route_release(&meant);
}

static void a_bit_is_a_slot_and_pinned_blocks_have_none(void **state)
{
    (void)state;
    assert_int_equal(indicators_bits(&small), 10);
    assert_route(&small, "1000000000", "A0-2");
    assert_route(&small, "0000000000", "A0 A2");
    assert_route(&small, "0111000000", "A0 B0-2 A2");
    assert_route(&small, "0000111000", "A0 A0-2 A2");
    assert_route(&small, "1000000001", "A0-1 B2 A2");
}

static void published_settings_have_their_size(void **state)
{
    const struct indicators published = {
        .frame = {.n_models = 2, .layers = {32, 32}, .pinned = 1, .hops_max = 1024},
        .repeats = 3,
        .scales = STUDY_SCALES_DENSE};

    (void)state;
    assert_int_equal(indicators_bits(&published) + indicators_numbers(&published), 4288 - 2);
}

static void slots_beyond_the_longest_route_are_left_out(void **state)
{
    struct indicators brief = small;

    (void)state;
    brief.frame.hops_max = 4;
    assert_route(&brief, "1111111111", "A0-1 B0 A2");
}

static void a_route_finds_its_bits_again(void **state)
{
    struct rng64 rng;
    bool bits[10], again[10];

    (void)state;
    rng64_seed(&rng, 1, 1);
    for (int i = 0; i < 500; i++) {
        struct route route = {0}, same = {0};

        for (size_t k = 0; k < 10; k++) {
            bits[k] = rng64_uniform(&rng) < 0.5;
        }
        indicators_build(&route, &small, bits);
        indicators_match(again, &small, &route);
        indicators_build(&same, &small, again);
        assert_true(route_equal(&route, &same));
        route_release(&route);
        route_release(&same);
    }
}

/* A0 B1 A2 with a model of scales; numbers are all value but for one. */
static struct route scaled(enum study_route_scales scales, double value, size_t at, double other)
{
    struct indicators t = small;
    bool bits[10] = {false, false, true};
    struct route route = {0};

    t.scales = scales;
    const size_t n = indicators_numbers(&t);
    double *numbers = mem_array(n + 1, sizeof *numbers);

    for (size_t i = 0; i < n; i++) {
        numbers[i] = value;
    }
    numbers[at] = other;
    indicators_build(&route, &t, bits);
    indicators_scale(&route, &t, numbers);
    free(numbers);
    return route;
}

static void seams_have_a_scale_a_pair_and_third(void **state)
{
    /* from A (0) to B (1), its second block of three */
    struct route route = scaled(STUDY_SCALES_SEAMS, 0.0, (0 * 2 + 1) * 3 + 1, log(3.0));

    (void)state;
    assert_true(route.hops[0].scale == 1.0 && route.hops[2].scale == 1.0);
    assert_true(fabs(route.hops[1].scale - 3.0) < 1e-12);
    route_release(&route);
}

static void dense_scales_are_a_number_a_pair_of_blocks_clamped(void **state)
{
    /* from A0 (block 0) to B1 (block 4) */
    struct route route = scaled(STUDY_SCALES_DENSE, 1.0, 0 * 6 + 4, 9.0);

    (void)state;
    assert_true(route.hops[1].scale == ROUTE_SCALE_MAX && route.hops[2].scale == 1.0);
    route_release(&route);
}

static void a_network_of_zeros_scales_nothing(void **state)
{
    struct route still = scaled(STUDY_SCALES_NETWORK, 0.0, 0, 0.0);
    struct route moved = scaled(STUDY_SCALES_NETWORK, 0.0, 5 * INDICATORS_HIDDEN, log(2.0));

    (void)state;
    assert_true(still.hops[1].scale == 1.0 && still.hops[2].scale == 1.0);
    assert_true(fabs(moved.hops[1].scale - 2.0) < 1e-12 && moved.hops[0].scale == 1.0);
    route_release(&still);
    route_release(&moved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bit_is_a_slot_and_pinned_blocks_have_none),
        cmocka_unit_test(published_settings_have_their_size),
        cmocka_unit_test(slots_beyond_the_longest_route_are_left_out),
        cmocka_unit_test(a_route_finds_its_bits_again),
        cmocka_unit_test(seams_have_a_scale_a_pair_and_third),
        cmocka_unit_test(dense_scales_are_a_number_a_pair_of_blocks_clamped),
        cmocka_unit_test(a_network_of_zeros_scales_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
