#include "study/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

static struct route parsed(const char *text)
{
    struct route route = {0};
    struct err err = {0};

    if (route_parse(&route, text, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return route;
}

/* How the route that a text says is printed. */
static void assert_prints(const char *text, const char *printed)
{
    struct route route = parsed(text);
    struct text out = {0};

    route_print(&out, &route);
    assert_string_equal(text_get(&out), printed);
    text_release(&out);
    route_release(&route);
}

static void a_span_scales_its_first_hop_only(void **state)
{
    struct route route = parsed("A0-1 B8-10*1.4 (A2 C3*0.5)x2");
    const struct route_hop expected[] = {
        {0, 0, 1}, {0, 1, 1},   {1, 8, 1.4}, {1, 9, 1},   {1, 10, 1},
        {0, 2, 1}, {2, 3, 0.5}, {0, 2, 1},   {2, 3, 0.5},
    };

    (void)state;
    assert_int_equal(route.n_hops, 9);
    for (size_t k = 0; k < 9; k++) {
        assert_int_equal(route.hops[k].model, expected[k].model);
        assert_int_equal(route.hops[k].layer, expected[k].layer);
        assert_true(route.hops[k].scale == expected[k].scale);
    }
    route_release(&route);
}

static void routes_print_as_the_shortest_text(void **state)
{
    (void)state;
    assert_prints("A0-7 B8-11*1.4 A12-31*0.71 (A20-24)x2", "A0-7 B8-11*1.4 A12-31*0.71 (A20-24)x2");
    assert_prints("A0 A1 A2 A3*1 B4", "A0-3 B4");
    assert_prints("A0-9 A5-9 A5-9 A10-12", "A0-9 A5-9 A5-12");
    assert_prints("A0-9 A5-9 A5-9 A5-9 A5-9 A5-12", "A0-4 (A5-9)x5 A5-12");
    assert_prints("A0 A0", "A0 A0");
    assert_prints("A0 A0 A0", "(A0)x3");
    assert_prints("A10 A10", "A10 A10");
    assert_prints("A0-3 A0-3", "(A0-3)x2");
    assert_prints("A0-3 A0-3 A0-3", "(A0-3)x3");
    assert_prints("(A1-2 B3*0.5)x2", "(A1-2 B3*0.5)x2");
    assert_prints("A0 A1*1.1 A2*0.30000000000000004", "A0 A1*1.1 A2*0.30000000000000004");
    assert_prints("  A0-1   B2 ", "A0-1 B2");
    assert_prints("Z4095", "Z4095");
    assert_prints("A0 B1*4 B1*0.25", "A0 B1*4 B1*0.25");
}

/* A few models and layers, so that spans and repeats come about by themselves. */
static struct route any_route(struct rng64 *rng)
{
    struct route route = {0};
    size_t n = 1 + rng64_below(rng, 40);

    for (size_t k = 0; k < n; k++) {
        bool on = k > 0 && rng64_below(rng, 3) > 0;
        uint32_t model = on ? route.hops[k - 1].model : (uint32_t)rng64_below(rng, 2);
        uint32_t layer = on ? route.hops[k - 1].layer + 1 : (uint32_t)rng64_below(rng, 4);
        double scale = k > 0 && rng64_below(rng, 8) == 0 ? exp(rng64_uniform(rng) - 0.5) : 1;

        route_add(&route, model, layer, scale);
    }
    return route;
}

static void what_is_printed_parses_to_the_same_route(void **state)
{
    struct rng64 rng;

    (void)state;
    rng64_seed(&rng, 11, 1);
    for (int i = 0; i < 500; i++) {
        struct route route = any_route(&rng);
        struct text text = {0};

        route_print(&text, &route);
        struct route again = parsed(text_get(&text));
        assert_true(route_equal(&again, &route));
        text_release(&text);
        route_release(&again);
        route_release(&route);
    }
}

static void a_long_route_is_printed_too(void **state)
{
    struct route route = {0};

    (void)state;
    for (size_t k = 0; k < ROUTE_HOPS_MAX; k++) {
        route_add(&route, 0, 3, 1);
    }
    struct text text = {0};

    route_print(&text, &route);
    assert_string_equal(text_get(&text), "(A3)x1024");
    text_release(&text);
    route_release(&route);
}

static void a_copy_is_equal_and_its_own(void **state)
{
    struct route route = parsed("A0-3 B2*2");
    struct route copy = {0};

    (void)state;
    route_copy(&copy, &route);
    assert_true(route_equal(&copy, &route));
    copy.hops[4].scale = 0.5;
    assert_false(route_equal(&copy, &route));
    assert_true(route.hops[4].scale == 2);
    route_release(&copy);
    route_release(&route);
}

static void a_folded_route_has_each_block_once(void **state)
{
    struct route route = parsed("A0 B3*2 A1*0.5 B3 A0*4");
    const size_t expected[] = {0, 1, 2, 1, 0};
    size_t places[5];
    struct route blocks;
    struct text text = {0};

    (void)state;
    route_fold(&blocks, places, &route);
    route_print(&text, &blocks);
    assert_string_equal(text_get(&text), "A0 B3 A1");
    assert_memory_equal(places, expected, sizeof(expected));
    text_release(&text);
    route_release(&blocks);
    route_release(&route);
}

static void bad_texts_are_told_where_and_what(void **state)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"", "route: no hops"},
        {"A0-3 b2", "route, character 6, 'b2': expected a model's letter, as in A0-7"},
        {"A0-", "route, character 1, 'A0-': expected a last layer below 4096"},
        {"A", "route, character 1, 'A': expected a layer below 4096"},
        {"A-1", "route, character 1, 'A-1': expected a layer below 4096"},
        {"A4096", "route, character 1, 'A4096': expected a layer below 4096"},
        {"A99999999999999999999", "route, character 1, 'A99999999999999999999': "
                                  "expected a layer below 4096"},
        {"A7-0", "route, character 1, 'A7-0': the last layer is before the first"},
        {"A0B1", "route, character 1, 'A0B1': expected a span, as in A0-7 or B8-11*1.4"},
        {"A0 B1*4.5", "route, character 4, 'B1*4.5': a scale is a number from 0.25 to 4"},
        {"A0 B1*0", "route, character 4, 'B1*0': a scale is a number from 0.25 to 4"},
        {"A0 B1*-1", "route, character 4, 'B1*-1': a scale is a number from 0.25 to 4"},
        {"A0 B1*nan", "route, character 4, 'B1*nan': a scale is a number from 0.25 to 4"},
        {"A0 B1*0x1", "route, character 4, 'B1*0x1': a scale is a number from 0.25 to 4"},
        {"A0 B1*1.1.1", "route, character 4, 'B1*1.1.1': a scale is a number from 0.25 to 4"},
        {"A0*2", "route, character 1, 'A0*2': the first hop has no scale"},
        {"(A0-3", "route, character 6, '': expected a model's letter, as in A0-7"},
        {"()x2", "route, character 1, '(': expected a repeat, as in (A0-7 B8)x2"},
        {"(A0)", "route, character 1, '(A0': expected a repeat, as in (A0-7 B8)x2"},
        {"(A0)x0", "route, character 1, '(A0': no repeats, or more than 1024 hops"},
        {"(A0)x2B1", "route, character 1, '(A0': expected a space after the repeat"},
        {"((A0)x2)x2", "route, character 2, '(A0': expected a model's letter, as in A0-7"},
        {"A0)", "route, character 3, ')': ')' without '('"},
        {"A0-1024", "route, character 1, 'A0-1024': more than 1024 hops"},
        {"(A0-99)x11", "route, character 1, '(A0-99': no repeats, or more than 1024 hops"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct route route = {0};
        struct err err = {0};

        assert_true(route_parse(&route, rows[i].text, &err) < 0);
        assert_string_equal(err.text, rows[i].said);
        assert_null(route.hops);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span_scales_its_first_hop_only),
        cmocka_unit_test(routes_print_as_the_shortest_text),
        cmocka_unit_test(what_is_printed_parses_to_the_same_route),
        cmocka_unit_test(a_long_route_is_printed_too),
        cmocka_unit_test(a_copy_is_equal_and_its_own),
        cmocka_unit_test(a_folded_route_has_each_block_once),
        cmocka_unit_test(bad_texts_are_told_where_and_what),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
