/*
 * eigen.c - symmetric eigenproblem: our own for small matrices, LAPACK for the rest.
 *
 * Own method: Householder reflectors bring the matrix to tridiagonal form (Golub and Van Loan,
 * "Matrix Computations", 4th ed. 2013, 8.3.1)
 *
 *      x x x x        x x . .
 *      x x x x   ->   x x x .     Q^T M Q = T
 *      x x x x        . x x x
 *      x x x x        . . x x
 *
 * and implicitly shifted QL rotations make T diagonal (Dubrulle, Martin and Wilkinson, Numer. Math.
 * 12, 1968); every rotation is applied to two neighbouring rows of Q^T as well, which end as the
 * eigenvectors. Rows, because two rows are two contiguous runs of memory.
 */
#include "search/eigen.h"

#include <assert.h>
#include <cblas.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define ITERATIONS_MAX 60 /* a value; 2 or 3 are usual */

/* LAPACK's own name and types; every argument by address. */
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
             double *work, const int *lwork, int *iwork, const int *liwork, int *info);

static size_t real_size(size_t n)
{
    return n <= EIGEN_OWN_MAX ? 2 * n : 1 + 6 * n + 2 * n * n;
}

static size_t integer_size(size_t n)
{
    return 3 + 5 * n;
}

int eigen_init(struct eigen *out, size_t n, struct err *err)
{
    assert(n >= 1 && n <= EIGEN_N_MAX);
    struct eigen made = {.n = n};

    made.real = mem_try_block(real_size(n), sizeof(double), "eigenvector work space", err);
    made.integer = mem_try(integer_size(n), sizeof(int), "eigenvector work space", err);
    if (made.real == NULL || made.integer == NULL) {
        eigen_release(&made);
        return ERR_MEMORY;
    }
    *out = made;
    return 0;
}

void eigen_release(struct eigen *eigen)
{
    free(eigen->real);
    free(eigen->integer);
    *eigen = (struct eigen){0};
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/*
 * Make row r of the lower triangle tridiagonal: a reflector H = I - v v^T / half takes m[r, 0 ..
 * r-1] to (0, .., 0, alpha). v stays in that row, half (0: nothing to do) in diagonal[r] until
 * accumulate() has used it; the leading r x r block becomes H M H.
 */
static double reflect_row(double *m, double *half, double *p, size_t r, size_t n)
{
    double *v = m + r * n;
    double scale = 0.0;

    for (size_t i = 0; i < r; i++) {
        scale = fmax(scale, fabs(v[i]));
    }
    *half = 0.0;
    if (r == 1 || scale == 0.0) {
        return v[r - 1];
    }
    for (size_t i = 0; i < r; i++) {
        v[i] /= scale;
    }
    double alpha = -copysign(sqrt(dot(v, v, r)), v[r - 1]);

    *half = alpha * alpha - alpha * v[r - 1];
    v[r - 1] -= alpha;

    for (size_t i = 0; i < r; i++) { /* p = M v / half, from the lower triangle alone */
        p[i] = dot(m + i * n, v, i + 1);
        for (size_t j = 0; j < i; j++) {
            p[j] += m[i * n + j] * v[i];
        }
    }
    double along = 0.0;

    for (size_t i = 0; i < r; i++) {
        p[i] /= *half;
        along += p[i] * v[i];
    }
    along /= 2.0 * *half;
    for (size_t i = 0; i < r; i++) {
        p[i] -= along * v[i];
        for (size_t j = 0; j <= i; j++) {
            m[i * n + j] -= v[i] * p[j] + p[i] * v[j];
        }
    }
    return alpha * scale;
}

/* Turn the reflectors kept in m's rows into Q^T, row by row of the growing leading block. */
static void accumulate(double *m, double *diagonal, size_t n)
{
    for (size_t r = 0; r < n; r++) {
        double half = diagonal[r];
        double *v = m + r * n;

        diagonal[r] = v[r];
        if (half != 0.0) { /* Q^T <- Q^T H on the r x r block: each row loses its part along v */
            for (size_t i = 0; i < r; i++) {
                double *row = m + i * n;
                double along = dot(row, v, r) / half;

                for (size_t j = 0; j < r; j++) {
                    row[j] -= along * v[j];
                }
            }
        }
        for (size_t j = 0; j < r; j++) {
            m[r * n + j] = 0.0;
            m[j * n + r] = 0.0;
        }
        m[r * n + r] = 1.0;
    }
}

static void rotate_rows(double *a, double *b, double c, double s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double low = a[i];
        double high = b[i];

        a[i] = c * low - s * high;
        b[i] = s * low + c * high;
    }
}

/* One implicit QL sweep over the unreduced block l .. last, shift from its top-left 2 x 2. */
static void sweep(double *d, double *e, double *rows, size_t l, size_t last, size_t n)
{
    double g = (d[l + 1] - d[l]) / (2.0 * e[l]);
    double r = hypot(g, 1.0);
    double s = 1.0, c = 1.0, p = 0.0;

    g = d[last] - d[l] + e[l] / (g + copysign(r, g));
    for (size_t i = last; i-- > l;) {
        double f = s * e[i];
        double b = c * e[i];

        r = hypot(f, g);
        e[i + 1] = r;
        if (r == 0.0) { /* the block falls apart early; what is left is done in the next sweep */
            d[i + 1] -= p;
            e[last] = 0.0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2.0 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        rotate_rows(rows + i * n, rows + (i + 1) * n, c, s, n);
    }
    d[l] -= p;
    e[l] = g;
    e[last] = 0.0;
}

/* The end of the unreduced block that starts at l: the first negligible coupling. */
static size_t block_end(const double *d, const double *e, size_t l, size_t n)
{
    size_t m = l;

    while (m + 1 < n && fabs(e[m]) > DBL_EPSILON * (fabs(d[m]) + fabs(d[m + 1])) &&
           fabs(e[m]) > DBL_MIN) {
        m++;
    }
    return m;
}

static void sort_ascending(double *values, double *rows, size_t n)
{
    double kept[EIGEN_OWN_MAX];

    for (size_t i = 0; i + 1 < n; i++) {
        size_t least = i;

        for (size_t j = i + 1; j < n; j++) {
            least = values[j] < values[least] ? j : least;
        }
        if (least != i) {
            double value = values[i];

            values[i] = values[least];
            values[least] = value;
            memcpy(kept, rows + i * n, n * sizeof *kept);
            memcpy(rows + i * n, rows + least * n, n * sizeof *kept);
            memcpy(rows + least * n, kept, n * sizeof *kept);
        }
    }
}

static int own_symmetric(struct eigen *eigen, double *m, double *values, struct err *err)
{
    size_t n = eigen->n;
    double *e = eigen->real; /* e[i] couples i and i + 1 */
    double *p = eigen->real + n;

    for (size_t r = n; r-- > 1;) {
        e[r - 1] = reflect_row(m, &values[r], p, r, n);
    }
    values[0] = 0.0;
    e[n - 1] = 0.0;
    accumulate(m, values, n);

    for (size_t l = 0; l < n; l++) {
        int iterations = 0;

        for (size_t last = block_end(values, e, l, n); last != l;
             last = block_end(values, e, l, n)) {
            if (iterations++ == ITERATIONS_MAX) {
                return err_set(err, ERR_NUMERIC, "eigenvalue %zu of %zu does not converge", l + 1,
                               n);
            }
            sweep(values, e, m, l, last, n);
        }
    }
    sort_ascending(values, m, n);
    return 0;
}

static int lapack_symmetric(struct eigen *eigen, double *m, double *values, struct err *err)
{
    int n = (int)eigen->n;
    int real_n = (int)real_size(eigen->n);
    int integer_n = (int)integer_size(eigen->n);
    int info = 0;

    /* Our rows are LAPACK's columns: our lower triangle is its upper one, its eigenvector columns
     * our rows. */
    dsyevd_("V", "U", &n, m, &n, values, eigen->real, &real_n, eigen->integer, &integer_n, &info);
    if (info != 0) {
        return err_set(err, ERR_NUMERIC, "dsyevd of %d rows says %d", n, info);
    }
    return 0;
}

int eigen_symmetric(struct eigen *eigen, double *matrix, double *values, struct err *err)
{
    size_t n = eigen->n;

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            if (!isfinite(matrix[i * n + j])) {
                return err_set(err, ERR_NUMERIC, "row %zu, column %zu of a matrix is not finite", i,
                               j);
            }
        }
    }
    return n <= EIGEN_OWN_MAX ? own_symmetric(eigen, matrix, values, err)
                              : lapack_symmetric(eigen, matrix, values, err);
}

int eigen_threads_one(void)
{
    int threads = openblas_get_num_threads();

    if (threads != 1) {
        openblas_set_num_threads(1);
    }
    return threads;
}

void eigen_threads_restore(int threads)
{
    if (threads != 1) {
        openblas_set_num_threads(threads);
    }
}
