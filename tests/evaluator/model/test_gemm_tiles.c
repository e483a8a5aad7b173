#include "evaluator/model/gemm_tiles.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/model/amx.h"
#include "evaluator/model/dtype_bits.h"

/* [n, k] of products: within a tile, a place beyond one, the smallest models, past TILE_DEPTH. */
static const size_t shapes[][2] = {{1, 1},   {5, 3},    {17, 33}, {33, 77},  {192, 64},
                                   {64, 64}, {64, 176}, {80, 48}, {100, 40}, {70, 1111}};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))
#define ROWS ((size_t)70)

/* A product with weights that are bfloat16. */
struct product {
    size_t n, k;
    float *x, *w;
    uint16_t *packed, *split;
};

static float *uniforms(size_t n, uint64_t seed)
{
    float *out = mem_array(n, sizeof(float));
    struct rng32 rng;

    rng32_seed(&rng, seed, 1);
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)rng32_next(&rng) * 0x1p-31F - 1.0F;
    }
    return out;
}

static uint16_t *brains(size_t n)
{
    uint16_t *out = mem_try_block(n, sizeof(uint16_t), "bfloat16", NULL);

    assert_non_null(out);
    return out;
}

static struct product product_new(const struct gemm_tiles *tiles, size_t n, size_t k)
{
    struct product product = {.n = n,
                              .k = k,
                              .x = uniforms(ROWS * k, n),
                              .w = uniforms(n * k, 50 + n),
                              .packed = brains(gemm_tiles_packed(n, k)),
                              .split = brains(TILE_SPLIT)};

    for (size_t i = 0; i < n * k; i++) {
        product.w[i] = bits_f32_of_bf16(bits_bf16_of_f32(product.w[i]));
    }
    tiles->pack(product.packed, product.w, 0, n, k);
    return product;
}

static void product_free(struct product *product)
{
    free(product->x);
    free(product->w);
    free(product->packed);
    free(product->split);
}

static void multiply(const struct gemm_tiles *tiles, const struct product *product, float *out,
                     size_t from, size_t rows, bool add, size_t parts)
{
    tiles->multiply(out, product->x + from * product->k, product->packed, product->split, rows,
                    product->n, product->k, add, parts);
}

/* Root of the mean square error against sums in double, relative to that of the sums. */
static double error_of(const struct product *product, const float *out)
{
    double off = 0.0;
    double whole = 0.0;

    for (size_t r = 0; r < ROWS; r++) {
        for (size_t c = 0; c < product->n; c++) {
            double want = 0.0;

            for (size_t i = 0; i < product->k; i++) {
                want +=
                    (double)product->x[r * product->k + i] * (double)product->w[c * product->k + i];
            }
            double error = (double)out[r * product->n + c] - want;
            off += error * error;
            whole += want * want;
        }
    }
    return sqrt(off / whole);
}

/* Over all shapes, of the set for isa. */
static double largest_error(enum isa isa, size_t parts)
{
    const struct gemm_tiles *tiles = gemm_tiles_for(isa);
    double largest = 0.0;

    for (size_t s = 0; s < SHAPES; s++) {
        struct product product = product_new(tiles, shapes[s][0], shapes[s][1]);
        float *out = mem_array(ROWS * product.n, sizeof(float));

        multiply(tiles, &product, out, 0, ROWS, false, parts);
        double error = error_of(&product, out);
        largest = error <= largest ? largest : error; /* a NaN stays */
        free(out);
        product_free(&product);
    }
    return largest;
}

static void two_parts_are_nearly_float(void **state)
{
    (void)state;
    assert_true(largest_error(isa_best(), 2) < 3e-6);
}

static void three_parts_are_float(void **state)
{
    (void)state;
    struct product product = product_new(gemm_tiles_for(isa_best()), 70, TILE_DEPTH_3);
    float *out = mem_array(ROWS * product.n, sizeof(float));

    multiply(gemm_tiles_for(isa_best()), &product, out, 0, ROWS, false, 3);
    assert_true(error_of(&product, out) < 2e-7);
    free(out);
    product_free(&product);
}

static void one_part_is_a_bfloat16(void **state)
{
    (void)state;
    assert_true(largest_error(isa_best(), 1) < 3e-3);
}

static void every_set_gives_the_same_bits(void **state)
{
    (void)state;
    const struct gemm_tiles *plain = gemm_tiles_for(ISA_PLAIN);

    for (size_t s = 0; s < SHAPES; s++) {
        struct product product = product_new(plain, shapes[s][0], shapes[s][1]);
        float *want = mem_array(ROWS * product.n, sizeof(float));
        float *got = mem_array(ROWS * product.n, sizeof(float));

        multiply(plain, &product, want, 0, ROWS, false, 2);
        for (int isa = ISA_AVX2; isa <= (int)isa_best(); isa++) {
            multiply(gemm_tiles_for((enum isa)isa), &product, got, 0, ROWS, false, 2);
            assert_memory_equal(got, want, ROWS * product.n * sizeof(float));
        }
        if (amx_ready()) {
            multiply(gemm_tiles_here(), &product, got, 0, ROWS, false, 2);
            assert_memory_equal(got, want, ROWS * product.n * sizeof(float));
        }
        free(want);
        free(got);
        product_free(&product);
    }
}

static void a_row_depends_on_that_row_alone(void **state)
{
    (void)state;
    const struct gemm_tiles *tiles = gemm_tiles_for(isa_best());

    for (size_t s = 0; s < SHAPES; s++) {
        struct product product = product_new(tiles, shapes[s][0], shapes[s][1]);
        float *whole = mem_array(ROWS * product.n, sizeof(float));
        float *part = mem_array(ROWS * product.n, sizeof(float));

        multiply(tiles, &product, whole, 0, ROWS, false, 2);
        for (size_t rows = 1; rows < ROWS; rows += 9) {
            size_t from = rows * 37 % (ROWS - rows + 1);

            multiply(tiles, &product, part, from, rows, false, 2);
            assert_memory_equal(part, whole + from * product.n, rows * product.n * sizeof(float));
        }
        free(whole);
        free(part);
        product_free(&product);
    }
}

/* More rows than are split at a time. */
static void a_row_does_not_depend_on_how_many_there_are(void **state)
{
    (void)state;
    const size_t rows = 2 * TILE_ROWS + 5;
    const size_t k = 40;
    const struct gemm_tiles *tiles = gemm_tiles_for(isa_best());
    struct product product = product_new(tiles, 33, k);
    float *whole = mem_array(rows * 33, sizeof(float));
    float one[33];

    free(product.x);
    product.x = uniforms(rows * k, 9);
    multiply(tiles, &product, whole, 0, rows, false, 2);
    for (size_t r = 0; r < rows; r += 97) {
        multiply(tiles, &product, one, r, 1, false, 2);
        assert_memory_equal(one, whole + r * 33, sizeof(one));
    }
    free(whole);
    product_free(&product);
}

static void adding_adds(void **state)
{
    (void)state;
    const struct gemm_tiles *tiles = gemm_tiles_for(isa_best());
    struct product product = product_new(tiles, 33, 77);
    float *once = mem_array(ROWS * 33, sizeof(float));
    float *more = mem_array(ROWS * 33, sizeof(float));

    multiply(tiles, &product, once, 0, ROWS, false, 2);
    for (size_t i = 0; i < ROWS * 33; i++) {
        more[i] = 0.5F;
    }
    multiply(tiles, &product, more, 0, ROWS, true, 2);
    for (size_t i = 0; i < ROWS * 33; i++) {
        assert_true(more[i] == 0.5F + once[i]);
    }
    free(once);
    free(more);
    product_free(&product);
}

static void a_nan_stays_in_its_row(void **state)
{
    (void)state;
    const struct gemm_tiles *tiles = gemm_tiles_for(isa_best());
    struct product product = product_new(tiles, 33, 77);
    float *out = mem_array(ROWS * 33, sizeof(float));

    product.x[3 * 77 + 10] = NAN;
    product.x[5 * 77 + 70] = INFINITY;
    multiply(tiles, &product, out, 0, ROWS, false, 2);
    for (size_t i = 0; i < ROWS * 33; i++) {
        assert_true(isfinite(out[i]) == (i / 33 != 3 && i / 33 != 5));
    }
    free(out);
    product_free(&product);
}

/* One number of one product: x [k] times w [k]. */
static float dot(const float *x, const float *w, size_t k)
{
    const struct gemm_tiles *tiles = gemm_tiles_for(isa_best());
    struct product product = product_new(tiles, 1, k);
    float out = 0.0F;

    memcpy(product.x, x, k * sizeof(float));
    tiles->pack(product.packed, w, 0, 1, k);
    multiply(tiles, &product, &out, 0, 1, false, 1);
    product_free(&product);
    return out;
}

/* The two sums of pairs round apart: 2^24 + 1 + 1 is 2^24 in one float sum, but the ones are on the
 * other side here. */
static void firsts_and_seconds_of_pairs_are_summed_apart(void **state)
{
    (void)state;
    const float ones[4] = {1.0F, 1.0F, 1.0F, 1.0F};
    const float apart[4] = {0x1p24F, 1.0F, 0.0F, 1.0F};
    const float together[4] = {0x1p24F, 0.0F, 1.0F, 0.0F};

    assert_true(dot(apart, ones, 4) == 0x1p24F + 2.0F);
    assert_true(dot(together, ones, 4) == 0x1p24F);
}

static void a_step_is_summed_before_it_is_added(void **state)
{
    (void)state;
    float x[34] = {0};
    float ones[34];

    for (size_t i = 0; i < 34; i++) {
        ones[i] = 1.0F;
    }
    x[0] = 0x1p24F;
    x[32] = 1.0F;
    x[33] = 1.0F;
    assert_true(dot(x, ones, 34) == 0x1p24F + 2.0F);
}

static void subnormal_numbers_are_zero(void **state)
{
    (void)state;
    const float least[1] = {FLT_MIN};
    const float subnormal[1] = {0x1p-127F};
    const float one[1] = {1.0F};
    const float half[1] = {0.5F};

    assert_true(dot(least, one, 1) == FLT_MIN);
    assert_true(dot(least, half, 1) == 0.0F);
    assert_true(dot(subnormal, one, 1) == 0.0F);
    assert_true(dot(one, subnormal, 1) == 0.0F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_parts_are_nearly_float),
        cmocka_unit_test(three_parts_are_float),
        cmocka_unit_test(one_part_is_a_bfloat16),
        cmocka_unit_test(every_set_gives_the_same_bits),
        cmocka_unit_test(a_row_depends_on_that_row_alone),
        cmocka_unit_test(a_row_does_not_depend_on_how_many_there_are),
        cmocka_unit_test(adding_adds),
        cmocka_unit_test(a_nan_stays_in_its_row),
        cmocka_unit_test(firsts_and_seconds_of_pairs_are_summed_apart),
        cmocka_unit_test(a_step_is_summed_before_it_is_added),
        cmocka_unit_test(subnormal_numbers_are_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
