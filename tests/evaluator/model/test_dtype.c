#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "evaluator/model/dtype.h"
#include "evaluator/model/dtype_kernels.h"

/* What a half means, by arithmetic. */
static double half_value(uint16_t half)
{
    int exponent = half >> 10 & 31;
    double mantissa = half & 1023;
    double magnitude = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);

    return half & 0x8000 ? -magnitude : magnitude;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void widens_every_half_exactly(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 65536; half++) {
        float value = dtype_f32_of_f16((uint16_t)half);

        if ((half & 0x7c00) != 0x7c00) {
            assert_true((double)value == half_value((uint16_t)half));
            assert_int_equal(signbit(value) != 0, half >> 15);
        } else {
            assert_int_equal(isnan(value) != 0, (half & 0x3ff) != 0);
            assert_int_equal(isinf(value) != 0, (half & 0x3ff) == 0);
        }
    }
}

static void gives_every_half_back(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 65536; half++) {
        uint16_t back = dtype_f16_of_f32(dtype_f32_of_f16((uint16_t)half));
        bool is_nan = (half & 0x7c00) == 0x7c00 && (half & 0x3ff) != 0;

        assert_int_equal(back, is_nan ? half | 0x200 : half);
    }
}

static void gives_every_bfloat16_back(void **state)
{
    (void)state;
    for (uint32_t brain = 0; brain < 65536; brain++) {
        uint16_t back = dtype_bf16_of_f32(dtype_f32_of_bf16((uint16_t)brain));
        bool is_nan = (brain & 0x7f80) == 0x7f80 && (brain & 0x7f) != 0;

        assert_int_equal(back, is_nan ? brain | 0x40 : brain);
    }
}

/* Between each two neighbours: the middle goes to the even one, beside it to the nearer. */
static void rounds_halves_to_nearest_even(void **state)
{
    (void)state;
    for (uint16_t low = 0; low < 0x7bff; low++) {
        uint16_t high = (uint16_t)(low + 1);
        float middle = (float)((half_value(low) + half_value(high)) / 2);

        assert_int_equal(dtype_f16_of_f32(middle), low & 1 ? high : low);
        assert_int_equal(dtype_f16_of_f32(nextafterf(middle, 0)), low);
        assert_int_equal(dtype_f16_of_f32(nextafterf(middle, INFINITY)), high);
        assert_int_equal(dtype_f16_of_f32(-middle), 0x8000 | (low & 1 ? high : low));
    }
}

static void rounds_bfloat16_to_nearest_even(void **state)
{
    (void)state;
    for (uint16_t low = 0; low < 0x7f7f; low++) {
        uint16_t high = (uint16_t)(low + 1);
        float middle =
            (float)(((double)dtype_f32_of_bf16(low) + (double)dtype_f32_of_bf16(high)) / 2);

        assert_int_equal(dtype_bf16_of_f32(middle), low & 1 ? high : low);
        assert_int_equal(dtype_bf16_of_f32(nextafterf(middle, 0)), low);
        assert_int_equal(dtype_bf16_of_f32(nextafterf(middle, INFINITY)), high);
        assert_int_equal(dtype_bf16_of_f32(-middle), 0x8000 | (low & 1 ? high : low));
    }
}

static void turns_what_is_too_large_into_infinity(void **state)
{
    (void)state;
    assert_int_equal(dtype_f16_of_f32(65504.0F), 0x7bff);
    assert_int_equal(dtype_f16_of_f32(65519.99F), 0x7bff);
    assert_int_equal(dtype_f16_of_f32(65520.0F), 0x7c00);
    assert_int_equal(dtype_f16_of_f32(1e30F), 0x7c00);
    assert_int_equal(dtype_f16_of_f32(-INFINITY), 0xfc00);
    assert_int_equal(dtype_bf16_of_f32(3.4e38F), 0x7f80);
    assert_int_equal(dtype_bf16_of_f32(-INFINITY), 0xff80);
}

static void keeps_nan_whatever_its_bits(void **state)
{
    const uint32_t nans[] = {0x7f800001, 0x7fffffff, 0xff800001, 0xffffffff, 0x7fc00000};

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        float value;

        memcpy(&value, &nans[i], sizeof value);
        assert_true(isnan(dtype_f32_of_f16(dtype_f16_of_f32(value))));
        assert_true(isnan(dtype_f32_of_bf16(dtype_bf16_of_f32(value))));
    }
}

#define N 4099

/* Any bits at all, with the special ones often. */
static void random_floats(float *out, size_t n)
{
    const uint32_t special[] = {0,          0x80000000, 0x7f800000, 0x7f800001, 0x7fffffff,
                                0x33000000, 0x33000001, 0x477fefff, 0x477ff000, 0x7f7f8000};
    struct rng64 rng;

    rng64_seed(&rng, 1, 1);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)rng64_next(&rng);

        bits = i % 7 == 0 ? special[i / 7 % 10] : bits;
        bits = i % 3 == 0 ? (bits & 0x87ffffff) | 0x30000000 : bits; /* near the half's range */
        memcpy(&out[i], &bits, sizeof bits);
    }
}

static void gives_the_same_bits_under_every_instruction_set(void **state)
{
    static float floats[N];
    static float back[N];
    static unsigned char stored[N * 4 + 1];

    (void)state;
    random_floats(floats, N);
    for (int isa = ISA_PLAIN; isa <= (int)isa_best(); isa++) {
        const struct dtype_kernels *kernels = dtype_kernels_for((enum isa)isa);

        kernels->f16_of_f32(stored + 1, floats, N);
        for (size_t i = 0; i < N; i++) {
            uint16_t want = dtype_f16_of_f32(floats[i]);
            assert_memory_equal(stored + 1 + 2 * i, &want, 2);
        }
        kernels->f32_of_f16(back, stored + 1, N);
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(bits_of(back[i]),
                             bits_of(dtype_f32_of_f16(dtype_f16_of_f32(floats[i]))));
        }
        kernels->bf16_of_f32(stored + 1, floats, N);
        for (size_t i = 0; i < N; i++) {
            uint16_t want = dtype_bf16_of_f32(floats[i]);
            assert_memory_equal(stored + 1 + 2 * i, &want, 2);
        }
        kernels->f32_of_bf16(back, stored + 1, N);
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(bits_of(back[i]),
                             bits_of(dtype_f32_of_bf16(dtype_bf16_of_f32(floats[i]))));
        }
    }
}

static void finds_the_first_that_is_not_finite(void **state)
{
    const enum dtype dtypes[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    static float floats[1000];
    static unsigned char stored[4000];

    (void)state;
    for (size_t d = 0; d < 3; d++) {
        memset(floats, 0, sizeof floats);
        dtype_from_f32(stored, floats, dtypes[d], 1000);
        assert_int_equal(dtype_find_nonfinite(stored, dtypes[d], 1000), 1000);
        floats[777] = -INFINITY;
        floats[901] = NAN;
        dtype_from_f32(stored, floats, dtypes[d], 1000);
        assert_int_equal(dtype_find_nonfinite(stored, dtypes[d], 1000), 777);
        assert_int_equal(dtype_find_nonfinite(stored, dtypes[d], 777), 777);
    }
}

static void rounds_in_place_as_storing_does(void **state)
{
    float values[] = {1.00390625F, 3.14159265F, -1e-7F};

    (void)state;
    dtype_round(values, DTYPE_BF16, 3);
    assert_true(values[0] == 1.0F);
    assert_true(values[1] == 3.140625F);
    dtype_round(values, DTYPE_F32, 3);
    assert_true(values[1] == 3.140625F);
    values[0] = 65520.0F;
    dtype_round(values, DTYPE_F16, 1);
    assert_true(isinf(values[0]));
}

static void reads_doubles_rounded(void **state)
{
    const double doubles[] = {0.1, -2.5, 1e300};
    float floats[3];

    (void)state;
    dtype_to_f32(floats, doubles, DTYPE_F64, 3);
    assert_true(floats[0] == 0.1F && floats[1] == -2.5F && isinf(floats[2]));
    assert_int_equal(dtype_find_nonfinite(doubles, DTYPE_F64, 3), 2);
}

static void names_parse_back(void **state)
{
    enum dtype back;

    (void)state;
    for (int d = 0; d < DTYPE_N; d++) {
        assert_true(dtype_parse(dtype_name((enum dtype)d), &back));
        assert_int_equal(back, d);
    }
    assert_false(dtype_parse("F8_E9M9", &back));
    assert_true(dtype_config_parse("bfloat16", &back));
    assert_int_equal(back, DTYPE_BF16);
    assert_string_equal(dtype_config_name(DTYPE_F16), "float16");
    assert_null(dtype_config_name(DTYPE_I8));
    assert_false(dtype_config_parse("int8", &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widens_every_half_exactly),
        cmocka_unit_test(gives_every_half_back),
        cmocka_unit_test(gives_every_bfloat16_back),
        cmocka_unit_test(rounds_halves_to_nearest_even),
        cmocka_unit_test(rounds_bfloat16_to_nearest_even),
        cmocka_unit_test(turns_what_is_too_large_into_infinity),
        cmocka_unit_test(keeps_nan_whatever_its_bits),
        cmocka_unit_test(gives_the_same_bits_under_every_instruction_set),
        cmocka_unit_test(finds_the_first_that_is_not_finite),
        cmocka_unit_test(rounds_in_place_as_storing_does),
        cmocka_unit_test(reads_doubles_rounded),
        cmocka_unit_test(names_parse_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
