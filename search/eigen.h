/*
 * eigen.h - eigenvalues and eigenvectors of a symmetric matrix.
 *
 * Up to EIGEN_OWN_MAX rows by our own Householder reduction and implicit QL, where the call into
 * LAPACK costs more than the arithmetic and where the result should not depend on the machine's
 * BLAS; above that by dsyevd (Cuppen 1981; Gu and Eisenstat 1995).
 */
#ifndef SEARCH_EIGEN_H
#define SEARCH_EIGEN_H

#include <stddef.h>

#include "base/err.h"

#define EIGEN_OWN_MAX 20
#define EIGEN_N_MAX 4096

/* Work space for matrices of one size, taken once and used again. */
struct eigen {
    size_t n;
    double *real;
    int *integer;
};

/* Space for n rows, 1 .. EIGEN_N_MAX. ERR_MEMORY. */
int eigen_init(struct eigen *out, size_t n, struct err *err);
void eigen_release(struct eigen *eigen);

/*
 * Decompose in place.
 *
 *   matrix [n, n]  row-major; only the triangle column <= row is read; becomes the eigenvectors,
 * one a row values [n]     eigenvalues, ascending; values[i] belongs to row i
 *
 * ERR_NUMERIC when something in the matrix is not finite or the iteration does not converge; both
 * arrays are garbage then.
 */
int eigen_symmetric(struct eigen *eigen, double *matrix, double *values, struct err *err);

/*
 * BLAS on one thread until eigen_threads_restore: threads change the order of sums, and at our
 * sizes cost more than they save. Returns what to restore.
 */
int eigen_threads_one(void);
void eigen_threads_restore(int threads);

#endif
