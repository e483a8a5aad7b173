#include "search/route_edits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* after the headers it needs */
#include <cmocka.h>

#include "base/rng.h"
#include "base/text.h"

static const struct route_frame six = {
    .n_models = 3, .layers = {6, 6, 4}, .pinned = 1, .hops_max = 9};

/* Edits make this route, written as people do. */
static void assert_makes(const struct route_frame *frame, const struct edit *edits, size_t n,
                         const char *expected)
{
    struct route route = {0}, meant = {0};

    edits_build(&route, frame, edits, n);
    assert_int_equal(route_parse(&meant, expected, NULL), 0);
    assert_true(route_equal(&route, &meant));
    route_release(&route);
    route_release(&meant);
}

static void assert_one_makes(struct edit edit, const char *expected)
{
    assert_makes(&six, &edit, 1, expected);
}

static void no_edit_is_the_host(void **state)
{
    struct route route = {0};

    (void)state;
    edits_build(&route, &six, NULL, 0);
    assert_true(route_frame_is_host(&six, &route));
    assert_makes(&six, NULL, 0, "A0-5");
    route_release(&route);
}

static void each_edit_does_what_its_name_says(void **state)
{
    (void)state;
    assert_one_makes((struct edit){EDIT_REPEAT, 2, 2, 0}, "A0-1 (A2-3)x2 A4-5");
    assert_one_makes((struct edit){EDIT_SKIP, 2, 2, 0}, "A0-1 A4-5");
    assert_one_makes((struct edit){EDIT_SPLICE, 2, 2, 1}, "A0-1 B2-3 A4-5");
    assert_one_makes((struct edit){EDIT_INSERT, 2, 2, 1}, "A0-3 B2-3 A4-5");
}

static void pinned_blocks_and_missing_blocks_are_left_alone(void **state)
{
    (void)state;
    assert_one_makes((struct edit){EDIT_SKIP, 0, 8, 0}, "A0 A5");
    assert_one_makes((struct edit){EDIT_SPLICE, 3, 8, 2}, "A0-2 C3 A4-5");
    assert_one_makes((struct edit){EDIT_INSERT, 4, 1, 2}, "A0-5");
}

static void edits_make_one_route_in_whatever_order(void **state)
{
    const struct edit edits[] = {
        {EDIT_REPEAT, 1, 2, 0}, {EDIT_SPLICE, 2, 1, 1}, {EDIT_SKIP, 4, 1, 0}};
    const struct edit turned[] = {edits[2], edits[0], edits[1]};

    (void)state;
    assert_makes(&six, edits, 3, "A0 (A1 B2)x2 A3 A5");
    assert_makes(&six, turned, 3, "A0 (A1 B2)x2 A3 A5");
}

static void a_route_is_never_longer_than_the_frame_allows(void **state)
{
    const struct edit twice[] = {{EDIT_REPEAT, 1, 2, 0}, {EDIT_REPEAT, 3, 2, 0}};
    const struct edit with_room[] = {
        {EDIT_REPEAT, 1, 2, 0}, {EDIT_REPEAT, 3, 2, 0}, {EDIT_SKIP, 3, 1, 0}};

    (void)state;
    assert_makes(&six, twice, 2, "A0 (A1-2)x2 A3-5");
    assert_makes(&six, with_room, 3, "A0 (A1-2)x2 (A4)x2 A5");
}

/* 4 free blocks: 10 spans of length 1 to 4; those of C, which has 4 blocks, end before its fourth;
 * an addition is at most 3. */
static void every_single_edit_is_listed_once(void **state)
{
    struct edit *edits = NULL;
    size_t n = edits_list(&edits, &six, EDIT_LENGTH_MAX), additions = 0;
    struct text texts[64] = {{0}};

    (void)state;
    assert_int_equal(n, 9 + 10 + (10 + 6) + (9 + 6));
    for (size_t i = 0; i < n; i++) {
        struct route route = {0};

        edits_build(&route, &six, &edits[i], 1);
        assert_false(route_frame_is_host(&six, &route));
        assert_in_range(route.n_hops, 2, six.hops_max);
        route_print(&texts[i], &route);
        for (size_t before = 0; before < i; before++) {
            assert_string_not_equal(text_get(&texts[before]), text_get(&texts[i]));
        }
        additions += edits[i].op == EDIT_INSERT || edits[i].op == EDIT_REPEAT;
        route_release(&route);
    }
    assert_int_equal(additions, 9 + 9 + 6);
    assert_int_equal(edits[0].length, 1);
    assert_int_equal(edits[n - 1].length, 3);
    for (size_t i = 0; i < n; i++) {
        text_release(&texts[i]);
    }
    free(edits);
}

static void any_numbers_make_a_route_within_the_frame(void **state)
{
    struct rng64 rng;

    (void)state;
    rng64_seed(&rng, 1, 1);
    for (int i = 0; i < 5000; i++) {
        struct edit edits[EDITS_MAX];
        struct route route = {0};

        for (size_t e = 0; e < EDITS_MAX; e++) {
            enum edit_op op = (enum edit_op)rng64_below(&rng, EDIT_OPS);
            bool foreign = op == EDIT_SPLICE || op == EDIT_INSERT;

            edits[e] =
                (struct edit){op, (uint32_t)rng64_below(&rng, 9), (uint32_t)rng64_below(&rng, 9),
                              foreign ? 1 + (uint32_t)rng64_below(&rng, 2) : 0};
        }
        edits_build(&route, &six, edits, (size_t)rng64_below(&rng, EDITS_MAX + 1));
        assert_in_range(route.n_hops, 2, six.hops_max);
        assert_true(route.hops[0].model == 0 && route.hops[0].layer == 0);
        assert_int_equal(route.hops[route.n_hops - 1].layer, 5);
        assert_int_equal(route_check(&route, six.n_models, NULL), 0);
        route_release(&route);
    }
}

static void an_edit_reads_like_a_sentence(void **state)
{
    const char *const names[] = {"base", "math", "lang"};
    const struct edit splice = {EDIT_SPLICE, 2, 2, 1}, skip = {EDIT_SKIP, 4, 1, 0};
    struct text text = {0};

    (void)state;
    edit_print(&text, &splice, names);
    text_add(&text, ", ");
    edit_print(&text, &skip, names);
    assert_string_equal(text_get(&text), "splice 2-3 math, skip 4");
    text_release(&text);
}

static void the_distance_of_routes_counts_hops(void **state)
{
    const struct edit splice = {EDIT_SPLICE, 2, 2, 1}, skip = {EDIT_SKIP, 2, 1, 0};
    struct route host = {0}, spliced = {0}, skipped = {0};

    (void)state;
    edits_build(&host, &six, NULL, 0);
    edits_build(&spliced, &six, &splice, 1);
    edits_build(&skipped, &six, &skip, 1);
    assert_int_equal(route_frame_distance(&host, &host), 0);
    assert_int_equal(route_frame_distance(&host, &spliced), 2);
    assert_int_equal(route_frame_distance(&skipped, &spliced), 2);
    assert_true(route_frame_is_seam(&spliced, 2) && route_frame_is_seam(&spliced, 4));
    assert_false(route_frame_is_seam(&spliced, 0) || route_frame_is_seam(&spliced, 3));
    route_release(&host);
    route_release(&spliced);
    route_release(&skipped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_edit_is_the_host),
        cmocka_unit_test(each_edit_does_what_its_name_says),
        cmocka_unit_test(pinned_blocks_and_missing_blocks_are_left_alone),
        cmocka_unit_test(edits_make_one_route_in_whatever_order),
        cmocka_unit_test(a_route_is_never_longer_than_the_frame_allows),
        cmocka_unit_test(every_single_edit_is_listed_once),
        cmocka_unit_test(any_numbers_make_a_route_within_the_frame),
        cmocka_unit_test(an_edit_reads_like_a_sentence),
        cmocka_unit_test(the_distance_of_routes_counts_hops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
