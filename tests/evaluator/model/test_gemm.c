#include "evaluator/model/gemm.h"

#include <cblas.h>
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
#include "evaluator/model/dtype_bits.h"
#include "evaluator/model/gemm_kernels.h"

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

/* [n, k] of products, from odd ones and the smallest models to large ones. */
static const size_t shapes[][2] = {{1, 1},    {5, 3},    {33, 77},   {192, 64},  {64, 64},
                                   {352, 64}, {64, 176}, {144, 48},  {364, 64},  {80, 48},
                                   {96, 96},  {100, 40}, {768, 768}, {70, 2048}, {333, 1111}};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

struct product {
    size_t n, k;
    float *x, *w, *packed;
};

static struct product product_new(const struct gemm_kernels *kernels, size_t rows, size_t shape)
{
    size_t n = shapes[shape][0];
    size_t k = shapes[shape][1];
    size_t padded = (n + kernels->panel - 1) / kernels->panel * kernels->panel;
    struct product product = {.n = n,
                              .k = k,
                              .x = uniforms(rows * k, shape),
                              .w = uniforms(n * k, 50 + shape),
                              .packed = mem_array(padded * k, sizeof(float))};

    kernels->pack(product.packed, product.w, 0, n, k, false);
    return product;
}

static void product_free(struct product *product)
{
    free(product->x);
    free(product->w);
    free(product->packed);
}

/* out [rows, n] against OpenBLAS, times `times`. */
static void assert_equals_openblas(const struct product *product, const float *out, size_t rows,
                                   float times)
{
    const int n = (int)product->n;
    const int k = (int)product->k;
    float *want = mem_array(rows * product->n, sizeof(float));

    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, n, k, times, product->x, k,
                product->w, k, 0.0F, want, n);
    for (size_t i = 0; i < rows * product->n; i++) {
        if (!(fabsf(out[i] - want[i]) <= 1e-5F * sqrtf((float)k))) {
            fail_msg("[%zu, %d, %d] element %zu: %.9g is not %.9g", rows, n, k, i, (double)out[i],
                     (double)want[i]);
        }
    }
    free(want);
}

static void every_set_equals_openblas(void **state)
{
    (void)state;
    const size_t rows[] = {1, 2, 3, 5, 6, 7, 13, 24};

    for (int isa = 0; isa <= (int)isa_best(); isa++) {
        const struct gemm_kernels *kernels = gemm_kernels_for((enum isa)isa);

        for (size_t s = 0; s < SHAPES; s++) {
            struct product product = product_new(kernels, 24, s);

            for (size_t r = 0; r < 8; r++) {
                float *out = mem_array(rows[r] * product.n, sizeof(float));

                kernels->multiply(out, product.x, product.packed, rows[r], product.n, product.k,
                                  false, false);
                assert_equals_openblas(&product, out, rows[r], 1.0F);
                kernels->multiply(out, product.x, product.packed, rows[r], product.n, product.k,
                                  true, false);
                assert_equals_openblas(&product, out, rows[r], 2.0F);
                free(out);
            }
            product_free(&product);
        }
    }
}

static void a_row_depends_on_that_row_alone(void **state)
{
    (void)state;
    const size_t all = 64;

    for (int isa = 0; isa <= (int)isa_best(); isa++) {
        const struct gemm_kernels *kernels = gemm_kernels_for((enum isa)isa);

        for (size_t s = 0; s < SHAPES; s++) {
            struct product product = product_new(kernels, all, s);
            float *whole = mem_array(all * product.n, sizeof(float));
            float *part = mem_array(all * product.n, sizeof(float));

            kernels->multiply(whole, product.x, product.packed, all, product.n, product.k, false,
                              false);
            for (size_t rows = 1; rows < all; rows += 5) {
                size_t from = rows * 37 % (all - rows + 1);

                kernels->multiply(part, product.x + from * product.k, product.packed, rows,
                                  product.n, product.k, false, false);
                assert_memory_equal(part, whole + from * product.n,
                                    rows * product.n * sizeof(float));
            }
            free(whole);
            free(part);
            product_free(&product);
        }
    }
}

/* Narrow and whole panels, few rows and many; a row depends on itself alone. */
static void weights_that_are_bfloat16_give_the_bits_of_floats(void **state)
{
    (void)state;
    const size_t rows[] = {1, 2, 9, 24};

    for (int isa = 0; isa <= (int)isa_best(); isa++) {
        const struct gemm_kernels *kernels = gemm_kernels_for((enum isa)isa);

        for (size_t s = 0; s < SHAPES; s++) {
            struct product product = product_new(kernels, 24, s);
            const size_t n = product.n;
            const size_t k = product.k;
            const size_t padded = (n + kernels->panel - 1) / kernels->panel * kernels->panel;
            uint16_t *brains = mem_array(padded * k, sizeof(uint16_t));
            float *want = mem_array(24 * n, sizeof(float));
            float *got = mem_array(24 * n, sizeof(float));

            for (size_t i = 0; i < n * k; i++) {
                product.w[i] = bits_f32_of_bf16(bits_bf16_of_f32(product.w[i]));
            }
            kernels->pack(product.packed, product.w, 0, n, k, false);
            kernels->pack(brains, product.w, 0, n / 3, k, true);
            kernels->pack(brains, product.w + n / 3 * k, n / 3, n - n / 3, k, true);
            for (size_t r = 0; r < 4; r++) {
                kernels->multiply(want, product.x, product.packed, rows[r], n, k, false, false);
                kernels->multiply(got, product.x, brains, rows[r], n, k, false, true);
                assert_memory_equal(got, want, rows[r] * n * sizeof(float));
                kernels->multiply(want, product.x, product.packed, rows[r], n, k, true, false);
                kernels->multiply(got, product.x, brains, rows[r], n, k, true, true);
                assert_memory_equal(got, want, rows[r] * n * sizeof(float));
            }
            free(brains);
            free(want);
            free(got);
            product_free(&product);
        }
    }
}

/* Of every kind that is available, from the middle of a panel on. */
static void packed_weights_are_read_back(void **state)
{
    (void)state;
    const size_t n = 70;
    const size_t k = 77;
    float *w = uniforms(n * k, 5);
    float row[77];

    for (size_t i = 0; i < n * k; i++) {
        w[i] = bits_f32_of_bf16(bits_bf16_of_f32(w[i]));
    }
    for (int i = 0; i < 2 * NUMERIC_N; i++) {
        const struct gemm_kind kind = {(enum numeric)(i / 2), i % 2 != 0};

        if (!numeric_available(kind.numeric)) {
            continue;
        }
        float *packed = mem_array(gemm_packed_floats(kind, n, k), sizeof(float));

        gemm_pack(kind, packed, w, 0, 23, k);
        gemm_pack(kind, packed, w + 23 * k, 23, n - 23, k);
        for (size_t output = 0; output < n; output++) {
            gemm_unpack(kind, row, packed, output, k);
            assert_memory_equal(row, w + output * k, sizeof(row));
        }
        gemm_unpack(kind, row, gemm_packed_from(kind, packed, 64, k), 5, k);
        assert_memory_equal(row, w + 69 * k, sizeof(row));
        free(packed);
    }
    free(w);
}

static void a_nan_stays_in_its_row(void **state)
{
    (void)state;
    for (int isa = 0; isa <= (int)isa_best(); isa++) {
        const struct gemm_kernels *kernels = gemm_kernels_for((enum isa)isa);
        struct product product = product_new(kernels, 8, 3);
        float *out = mem_array(8 * product.n, sizeof(float));

        product.x[3 * product.k + 10] = NAN;
        kernels->multiply(out, product.x, product.packed, 8, product.n, product.k, false, false);
        for (size_t i = 0; i < 8 * product.n; i++) {
            assert_true(isnan(out[i]) == (i / product.n == 3));
        }
        free(out);
        product_free(&product);
    }
}

static void the_path_names_the_kernels(void **state)
{
    (void)state;
    assert_memory_equal(gemm_path(NUMERIC_F32), "f32/", 4);
    assert_non_null(strstr(gemm_path(NUMERIC_F32), isa_name(isa_best())));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_equals_openblas),
        cmocka_unit_test(a_row_depends_on_that_row_alone),
        cmocka_unit_test(weights_that_are_bfloat16_give_the_bits_of_floats),
        cmocka_unit_test(packed_weights_are_read_back),
        cmocka_unit_test(a_nan_stays_in_its_row),
        cmocka_unit_test(the_path_names_the_kernels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
