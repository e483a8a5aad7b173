/* Every vector of tests/golden/pcg, and the laws of jumping ahead. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/doc.h"
#include "base/rng.h"

#define VECTORS TESTS_DIR "/golden/pcg/vectors.json"
#define STATE 42
#define SEQUENCE 54

static json_t *vectors;

static int load_vectors(void **state)
{
    (void)state;
    return doc_load(&vectors, VECTORS, 1 << 20, NULL);
}

static int release_vectors(void **state)
{
    (void)state;
    json_decref(vectors);
    return 0;
}

/* Up to 128 bits, from "0x" and hex digits or from decimal digits. */
struct number {
    uint64_t high, low;
};

static struct number number_of(const char *text)
{
    struct number number = {0, 0};

    if (strncmp(text, "0x", 2) != 0) {
        number.low = strtoull(text, NULL, 10);
        return number;
    }
    for (const char *c = text + 2; *c != '\0'; c++) {
        char digit[2] = {*c, '\0'};

        number.high = number.high << 4 | number.low >> 60;
        number.low = number.low << 4 | strtoull(digit, NULL, 16);
    }
    return number;
}

static struct number member(const json_t *object, const char *key)
{
    const char *text = NULL;

    assert_int_equal(doc_text(object, key, &text, NULL), 0);
    return number_of(text);
}

static const json_t *list(const char *key, const char *inner)
{
    const json_t *found = json_object_get(vectors, key);

    found = inner != NULL ? json_object_get(found, inner) : found;
    assert_true(json_array_size(found) > 0);
    return found;
}

static void assert_state(const struct rng64 *rng, struct number expected)
{
    assert_true(rng->state_high == expected.high && rng->state_low == expected.low);
}

/* The vectors seed with 128 bits; the five lines of seeding, with a jump of one as the step. */
static void seed_wide(struct rng64 *rng, struct number start, struct number sequence)
{
    *rng = (struct rng64){.inc_high = sequence.high << 1 | sequence.low >> 63,
                          .inc_low = sequence.low << 1 | 1};
    rng64_advance(rng, 0, 1);
    rng->state_low += start.low;
    rng->state_high += start.high + (rng->state_low < start.low);
    rng64_advance(rng, 0, 1);
}

static void pcg32_gives_the_reference_outputs(void **state)
{
    size_t i, j;
    json_t *stream, *output;

    (void)state;
    json_array_foreach(list("pcg32", NULL), i, stream)
    {
        struct rng32 rng;

        rng32_seed(&rng, member(stream, "initstate").low, member(stream, "initseq").low);
        assert_true(rng.state == member(stream, "state_after_seed").low);
        assert_true(rng.inc == member(stream, "inc").low);
        json_array_foreach(json_object_get(stream, "out"), j, output)
        {
            assert_int_equal(rng32_next(&rng), number_of(json_string_value(output)).low);
        }
        assert_true(rng.state == member(stream, "state_after_12").low);
    }
}

static void pcg32_jumps_where_the_reference_jumps(void **state)
{
    size_t i;
    json_t *jump;

    (void)state;
    json_array_foreach(list("pcg32_advance", NULL), i, jump)
    {
        struct rng32 rng;

        rng32_seed(&rng, STATE, SEQUENCE);
        rng32_advance(&rng, member(jump, "delta").low);
        assert_true(rng.state == member(jump, "state").low);
        assert_int_equal(rng32_next(&rng), member(jump, "next").low);
    }
}

static void assert_bounded_32(const char *key, uint32_t bound)
{
    struct rng32 rng;
    size_t i;
    json_t *value;

    rng32_seed(&rng, STATE, SEQUENCE);
    json_array_foreach(list("pcg32_bounded", key), i, value)
    {
        assert_int_equal(rng32_below(&rng, bound), json_integer_value(value));
    }
}

static void pcg32_draws_below_a_bound(void **state)
{
    (void)state;
    assert_bounded_32("bound6", 6);
    assert_bounded_32("bound1000003", 1000003);
    assert_bounded_32("bound3000000000", 3000000000U);
}

static void pcg64_gives_the_reference_outputs(void **state)
{
    size_t i, j;
    json_t *stream, *output;

    (void)state;
    json_array_foreach(list("pcg64", NULL), i, stream)
    {
        struct rng64 rng;

        seed_wide(&rng, member(stream, "initstate"), member(stream, "initseq"));
        assert_state(&rng, member(stream, "state_after_seed"));
        assert_true(rng.inc_high == member(stream, "inc").high);
        assert_true(rng.inc_low == member(stream, "inc").low);
        json_array_foreach(json_object_get(stream, "out"), j, output)
        {
            assert_true(rng64_next(&rng) == number_of(json_string_value(output)).low);
        }
        assert_state(&rng, member(stream, "state_after_12"));
    }
}

static void pcg64_seeds_from_64_bits(void **state)
{
    const json_t *stream = json_array_get(list("pcg64", NULL), 0);
    struct rng64 rng;

    (void)state;
    rng64_seed(&rng, member(stream, "initstate").low, member(stream, "initseq").low);
    assert_state(&rng, member(stream, "state_after_seed"));

    /* The top bit of the sequence is not lost. */
    rng64_seed(&rng, 0, (uint64_t)1 << 63);
    assert_int_equal(rng.inc_high, 1);
    assert_int_equal(rng.inc_low, 1);
}

static void pcg64_jumps_where_the_reference_jumps(void **state)
{
    size_t i;
    json_t *jump;

    (void)state;
    json_array_foreach(list("pcg64_advance", NULL), i, jump)
    {
        struct number delta = member(jump, "delta");
        struct rng64 rng;

        rng64_seed(&rng, STATE, SEQUENCE);
        rng64_advance(&rng, delta.high, delta.low);
        assert_state(&rng, member(jump, "state"));
        assert_true(rng64_next(&rng) == member(jump, "next").low);
    }
}

static void pcg64_draws_below_a_bound(void **state)
{
    struct rng64 rng;
    size_t i;
    json_t *value;

    (void)state;
    rng64_seed(&rng, STATE, SEQUENCE);
    json_array_foreach(list("pcg64_bounded", "bound6"), i, value)
    {
        assert_int_equal(rng64_below(&rng, 6), json_integer_value(value));
    }
}

static void pcg64_draws_uniform_numbers(void **state)
{
    struct rng64 rng;
    size_t i;
    json_t *value;

    (void)state;
    rng64_seed(&rng, STATE, SEQUENCE);
    json_array_foreach(list("pcg64_uniform53", "values"), i, value)
    {
        assert_true(rng64_uniform(&rng) == strtod(json_string_value(value), NULL));
    }
}

/* The vectors have 15 digits, and libm differs in the last place. */
static void assert_close(double value, const char *expected)
{
    double wanted = strtod(expected, NULL);

    assert_true(fabs(value - wanted) <= 1e-14 * fabs(wanted));
}

static void pcg64_draws_normal_numbers(void **state)
{
    double normals[8];
    struct rng64 rng;
    size_t i;
    json_t *value;

    (void)state;
    rng64_seed(&rng, STATE, SEQUENCE);
    rng64_normals(&rng, normals, 8);
    json_array_foreach(list("pcg64_boxmuller", "values"), i, value)
    {
        assert_close(normals[i], json_string_value(value));
    }
}

static void an_odd_number_of_normals_uses_a_whole_last_pair(void **state)
{
    double three[3], four[4];
    struct rng64 a, b;

    (void)state;
    rng64_seed(&a, STATE, SEQUENCE);
    b = a;
    rng64_normals(&a, three, 3);
    rng64_normals(&b, four, 4);
    assert_memory_equal(three, four, sizeof three);
    assert_memory_equal(&a, &b, sizeof a);
}

static double midpoint(struct rng32 *rng)
{
    return (rng32_next(rng) + 0.5) * 0x1p-32;
}

static void pcg32_gives_midpoints(void **state)
{
    struct rng32 rng;
    size_t i;
    json_t *value;

    (void)state;
    rng32_seed(&rng, STATE, SEQUENCE);
    json_array_foreach(list("pcg32_uniform_mid", "values"), i, value)
    {
        assert_true(fabs(midpoint(&rng) - strtod(json_string_value(value), NULL)) < 1e-16);
    }
}

/* Ten normals from midpoints, of which a 3 x 3 matrix takes nine. */
static void fill_with_normals(double matrix[10], struct rng32 *rng)
{
    for (size_t i = 0; i < 10; i += 2) {
        double radius = sqrt(-2.0 * log(midpoint(rng)));
        double angle = 2.0 * 3.14159265358979323846 * midpoint(rng);

        matrix[i] = radius * cos(angle);
        matrix[i + 1] = radius * sin(angle);
    }
}

static double dot3(const double *a, const double *b)
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void gives_the_rotation_of_the_test_functions(void **state)
{
    double matrix[10];
    struct rng32 rng;
    size_t i, j;
    json_t *row, *value;

    (void)state;
    rng32_seed(&rng, 2024, 3);
    fill_with_normals(matrix, &rng);
    for (i = 0; i < 3; i++) { /* modified Gram-Schmidt */
        double *self = matrix + 3 * i;

        for (j = 0; j < i; j++) {
            double along = dot3(self, matrix + 3 * j);

            for (size_t k = 0; k < 3; k++) {
                self[k] -= along * matrix[3 * j + k];
            }
        }
        double length = sqrt(dot3(self, self));

        for (j = 0; j < 3; j++) {
            self[j] /= length;
        }
    }
    json_array_foreach(list("rotation_n3_seed2024", "rows"), i, row)
    {
        json_array_foreach(row, j, value)
        {
            double wanted = strtod(json_string_value(value), NULL);

            assert_true(fabs(matrix[3 * i + j] - wanted) < 1e-14);
        }
    }
}

static void jumps_add_up_and_go_back(void **state)
{
    struct rng32 a, b, start;

    (void)state;
    rng32_seed(&start, 7, 7);
    a = b = start;
    rng32_advance(&a, 0);
    assert_true(a.state == start.state);
    rng32_advance(&a, 123456789);
    rng32_advance(&a, 987654321);
    rng32_advance(&b, 123456789 + 987654321);
    assert_true(a.state == b.state);
    a = start;
    for (int i = 0; i < 100; i++) {
        rng32_next(&a);
    }
    b = start;
    rng32_advance(&b, 100);
    assert_true(a.state == b.state);
    rng32_advance(&a, (uint64_t)-100);
    assert_true(a.state == start.state);
}

static void wide_jumps_add_up_and_go_back(void **state)
{
    struct rng64 a, b, start;

    (void)state;
    rng64_seed(&start, 7, 7);
    a = b = start;
    rng64_advance(&a, 0, 0);
    assert_memory_equal(&a, &start, sizeof a);
    rng64_advance(&a, 3, UINT64_MAX);
    rng64_advance(&a, 5, 2);
    rng64_advance(&b, 9, 1); /* the carry of the two low halves included */
    assert_memory_equal(&a, &b, sizeof a);
    a = start;
    for (int i = 0; i < 100; i++) {
        rng64_next(&a);
    }
    b = start;
    rng64_advance(&b, 0, 100);
    assert_memory_equal(&a, &b, sizeof a);
    rng64_advance(&a, UINT64_MAX, (uint64_t)-100);
    assert_memory_equal(&a, &start, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pcg32_gives_the_reference_outputs),
        cmocka_unit_test(pcg32_jumps_where_the_reference_jumps),
        cmocka_unit_test(pcg32_draws_below_a_bound),
        cmocka_unit_test(pcg64_gives_the_reference_outputs),
        cmocka_unit_test(pcg64_seeds_from_64_bits),
        cmocka_unit_test(pcg64_jumps_where_the_reference_jumps),
        cmocka_unit_test(pcg64_draws_below_a_bound),
        cmocka_unit_test(pcg64_draws_uniform_numbers),
        cmocka_unit_test(pcg64_draws_normal_numbers),
        cmocka_unit_test(an_odd_number_of_normals_uses_a_whole_last_pair),
        cmocka_unit_test(pcg32_gives_midpoints),
        cmocka_unit_test(gives_the_rotation_of_the_test_functions),
        cmocka_unit_test(jumps_add_up_and_go_back),
        cmocka_unit_test(wide_jumps_add_up_and_go_back),
    };

    return cmocka_run_group_tests(tests, load_vectors, release_vectors);
}
