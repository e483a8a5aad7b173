#include "search/eigen.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the headers it needs */
#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"

/* A random symmetric matrix; only the lower triangle is filled, the upper one holds what must never
 * be read. */
static double *random_symmetric(size_t n, uint64_t seed)
{
    double *m = mem_array(n * n, sizeof *m);
    struct rng64 rng;

    rng64_seed(&rng, seed, 1);
    for (size_t i = 0; i < n; i++) {
        rng64_normals(&rng, m + i * n, i + 1);
        for (size_t j = i + 1; j < n; j++) {
            m[i * n + j] = (double)NAN;
        }
    }
    return m;
}

static double entry(const double *lower, size_t n, size_t i, size_t j)
{
    return i >= j ? lower[i * n + j] : lower[j * n + i];
}

/* Rows are orthonormal, values ascend, and M v = value v for each, all within a few roundings of
 * the largest value. */
static void check_decomposition(const double *m, size_t n)
{
    struct eigen eigen = {0};
    double *vectors = mem_array(n * n, sizeof *vectors);
    double *values = mem_array(n, sizeof *values);

    memcpy(vectors, m, n * n * sizeof *m);
    assert_int_equal(eigen_init(&eigen, n, NULL), 0);
    assert_int_equal(eigen_symmetric(&eigen, vectors, values, NULL), 0);

    double largest = fmax(fabs(values[0]), fabs(values[n - 1]));
    double tolerance = 1e-14 * (double)n;

    for (size_t a = 0; a < n; a++) {
        const double *v = vectors + a * n;

        assert_true(a == 0 || values[a] >= values[a - 1]);
        for (size_t i = 0; i < n; i++) {
            double product = 0.0, dot = 0.0;

            for (size_t j = 0; j < n; j++) {
                product += entry(m, n, i, j) * v[j];
                dot += vectors[i * n + j] * v[j];
            }
            assert_true(fabs(product - values[a] * v[i]) <= tolerance * largest);
            assert_true(fabs(dot - (i == a ? 1.0 : 0.0)) <= tolerance);
        }
    }
    eigen_release(&eigen);
    free(vectors);
    free(values);
}

static void decomposes_random_matrices_of_every_size(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 40; n++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            double *m = random_symmetric(n, seed);

            check_decomposition(m, n);
            free(m);
        }
    }
}

static void decomposes_diagonal_and_degenerate_matrices(void **state)
{
    (void)state;
    double diagonal[5 * 5] = {0};
    double ones[6 * 6];
    double graded[4 * 4] = {1e12, 0,   0,   0, 1e5,  1e6,  0,    0,
                            3.0,  2.0, 1.0, 0, 1e-5, 1e-6, 1e-7, 1e-6};
    const double zero[3 * 3] = {0};

    for (size_t i = 0; i < 5; i++) {
        diagonal[i * 5 + i] = 5.0 - (double)i;
    }
    for (size_t i = 0; i < 36; i++) {
        ones[i] = 1.0;
    }
    check_decomposition(diagonal, 5);
    check_decomposition(ones, 6);
    check_decomposition(graded, 4);
    check_decomposition(zero, 3);
}

static void own_method_and_lapack_agree(void **state)
{
    (void)state;
    /* The same matrix once alone and once inside a larger one, beyond the size of our own method.
     */
    const size_t n = EIGEN_OWN_MAX, large = EIGEN_OWN_MAX + 1;
    double *m = random_symmetric(n, 77);
    double *wide = mem_array(large * large, sizeof *wide);
    double values[EIGEN_OWN_MAX], wide_values[EIGEN_OWN_MAX + 1];
    struct eigen own = {0}, lapack = {0};

    for (size_t i = 0; i < n; i++) {
        memcpy(wide + i * large, m + i * n, (i + 1) * sizeof *m);
    }
    wide[large * large - 1] = 1000.0; /* its own eigenvalue, above all others */
    assert_int_equal(eigen_init(&own, n, NULL), 0);
    assert_int_equal(eigen_init(&lapack, large, NULL), 0);
    assert_int_equal(eigen_symmetric(&own, m, values, NULL), 0);
    assert_int_equal(eigen_symmetric(&lapack, wide, wide_values, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        assert_true(fabs(values[i] - wide_values[i]) < 1e-12);
    }
    eigen_release(&own);
    eigen_release(&lapack);
    free(m);
    free(wide);
}

static void matrices_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    double m[2 * 2] = {1.0, 0.0, (double)NAN, 1.0};
    double values[2];
    struct eigen eigen = {0};
    struct err err = {0};

    assert_int_equal(eigen_init(&eigen, 2, NULL), 0);
    assert_int_equal(eigen_symmetric(&eigen, m, values, &err), ERR_NUMERIC);
    assert_non_null(strstr(err.text, "row 1"));
    eigen_release(&eigen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decomposes_random_matrices_of_every_size),
        cmocka_unit_test(decomposes_diagonal_and_degenerate_matrices),
        cmocka_unit_test(own_method_and_lapack_agree),
        cmocka_unit_test(matrices_that_are_not_finite_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
