/*
 * cmaes_margin.c - integer coordinates of a CMA-ES.
 *
 * An integer coordinate is a continuous one seen through cells: the objective is given the middle
 * of the cell that x falls into.
 *
 *          cell 2       cell 3       cell 4
 *      |     o      |     o      |     o      |
 *           mean ^  lo           up
 *
 * Once the deviation is small against a cell, every sample falls into one cell and the coordinate
 * is frozen, right or wrong. The margin keeps a least chance of leaving it by moving the mean
 * towards an edge and by a spread of the coordinate's own, which never enters the covariance. While
 * nobody among the best has left the cell that chance may not grow; and before each update what the
 * best agree on is pulled to the middle of its cell, so that the edge's distance is not taken for a
 * signal.
 *
 * Hamano, Uchida, Shirakawa et al., CMA-ES with Margin, GECCO 2022 (arXiv:2205.13482), as refined
 * in CatCMA with Margin, 2025 (arXiv:2504.07884); centring: Marty et al., PPSN 2024.
 */
#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "search/cmaes_internal.h"

#define SIGMA_LEAST 1e-15 /* times the shortest axis: below it spreads would run away */

/* ---- the normal distribution ---- */

/* The chance that a standard normal lies above x. */
static double tail(double x)
{
    return 0.5 * erfc(x / sqrt(2.0));
}

/* The x >= 0 above which a standard normal lies with chance p in (0, 1/2]: Newton's steps from the
 * bound exp(-x^2 / 2) / 2. */
static double tail_inverse(double p)
{
    assert(p > 0.0 && p <= 0.5);
    double x = sqrt(fmax(0.0, -2.0 * log(2.0 * p)));

    for (int i = 0; i < 40; i++) {
        double density = exp(-0.5 * x * x) / sqrt(2.0 * acos(-1.0));
        double step = (tail(x) - p) / density;

        step = step / (1.0 - 0.5 * x * step); /* Halley: the tail bends */
        x = fmax(0.0, x + step);
        if (fabs(step) < 1e-14 * (1.0 + x)) {
            break;
        }
    }
    return x;
}

double cmaes_margin_default(size_t n_discrete)
{
    return 1.0 - pow(0.73, 1.0 / (double)(n_discrete > 0 ? n_discrete : 1));
}

/* ---- cells ---- */

/* Where the grid is counted from. */
static double anchor_of(const struct cmaes *s, size_t j)
{
    return !isinf(s->lower[j]) ? s->lower[j] : !isinf(s->upper[j]) ? s->upper[j] : 0.0;
}

/* The last value of the grid within the bounds, from below and from above. */
static double first_value(const struct cmaes *s, size_t j)
{
    double anchor = anchor_of(s, j), step = s->steps[j];

    return isinf(s->lower[j]) ? -HUGE_VAL
                              : anchor + step * ceil((s->lower[j] - anchor) / step - 1e-9);
}

static double last_value(const struct cmaes *s, size_t j)
{
    double anchor = anchor_of(s, j), step = s->steps[j];

    return isinf(s->upper[j]) ? HUGE_VAL
                              : anchor + step * floor((s->upper[j] - anchor) / step + 1e-9);
}

double cmaes_cell(const struct cmaes *s, size_t j, double x)
{
    double anchor = anchor_of(s, j), step = s->steps[j];
    double value = anchor + step * ceil((x - anchor) / step - 0.5);

    return fmin(fmax(value, first_value(s, j)), last_value(s, j));
}

/* ---- before the update ---- */

static double unit_of(const struct cmaes *s, size_t j)
{
    return s->sigma * s->scales[j] * s->spreads[j];
}

/*
 * One coordinate among the mu best: those outside the mean's cell go to the middle of theirs; the
 * sum of these moves is made good by those inside, which go towards the middle of the mean's cell
 * as far as needed.
 */
static void centre(struct cmaes *s, size_t j)
{
    const size_t n = s->n, mu = s->constants.mu;
    const double mean = s->mean[j], unit = unit_of(s, j), middle = cmaes_cell(s, j, mean);
    double moved = 0.0, room = 0.0;

    s->succeeded[j] = 0.0;
    for (size_t i = 0; i < mu; i++) {
        double *y = s->y + s->order[i].index * n + j;
        double x = mean + unit * *y, cell = cmaes_cell(s, j, x);

        if (cell != middle) {
            s->succeeded[j] = 1.0;
            moved += cell - x;
            *y = (cell - mean) / unit;
        }
    }
    for (size_t i = 0; i < mu; i++) {
        double x = mean + unit * s->y[s->order[i].index * n + j];

        room += cmaes_cell(s, j, x) == middle && (middle - x) * moved < 0.0 ? middle - x : 0.0;
    }
    double share = room != 0.0 ? fmin(1.0, -moved / room) : 0.0;

    for (size_t i = 0; i < mu && share > 0.0; i++) {
        double *y = s->y + s->order[i].index * n + j;
        double x = mean + unit * *y;

        if (cmaes_cell(s, j, x) == middle && (middle - x) * moved < 0.0) {
            *y = (x + share * (middle - x) - mean) / unit;
        }
    }
}

void cmaes_centre_integers(struct cmaes *s)
{
    bool any = false;

    for (size_t j = 0; j < s->n; j++) {
        if (cmaes_is_integer(s, j)) {
            centre(s, j);
            any = any || s->succeeded[j] > 0.0;
        }
    }
    for (size_t i = 0; i < s->constants.mu && any; i++) { /* z again, from the y that moved */
        size_t at = s->order[i].index * s->n;

        memcpy(s->z + at, s->y + at, s->n * sizeof *s->z);
        cmaes_multiply_root(s, -1, s->z + at);
    }
}

/* ---- after it ---- */

/* The mean lies beyond the first or the last edge: one way out only, always so for two values. */
static void keep_outer(struct cmaes *s, size_t j, double edge)
{
    const double plain = cmaes_deviation(s, j), side = s->mean[j] > edge ? 1.0 : -1.0;
    double p = fmax(tail(fabs(s->mean[j] - edge) / (plain * s->spreads[j])), s->margin);

    if (s->succeeded[j] == 0.0) {
        p = fmin(p, fmax(s->mutation[j], s->margin));
    }
    double half = fabs(cmaes_cell(s, j, s->mean[j]) - edge);

    s->spreads[j] = fmax(s->spreads[j], half / (plain * tail_inverse(s->margin)));
    s->mean[j] = edge + side * plain * s->spreads[j] * tail_inverse(p);
    s->mutation[j] = p;
}

/* Two ways out, lo and up. */
static void keep_inner(struct cmaes *s, size_t j, double lo, double up)
{
    const double plain = cmaes_deviation(s, j), t = plain * s->spreads[j], alpha = s->margin;
    double p_lo = tail((s->mean[j] - lo) / t), p_up = tail((up - s->mean[j]) / t);
    double stay = 1.0 - p_lo - p_up, least = 0.5 * alpha;

    if (s->succeeded[j] == 0.0) {
        least = fmax(1.0 - s->mutation[j], least);
        stay = fmax(stay, least);
    }
    double q_lo = fmax(0.5 * alpha, p_lo), q_up = fmax(0.5 * alpha, p_up);
    double spare = q_lo + q_up + stay - alpha - least;
    double share = spare > DBL_EPSILON ? (1.0 - q_lo - q_up - stay) / spare : 0.0;

    q_lo = fmin(fmax(q_lo + share * (q_lo - 0.5 * alpha), 1e-10), 0.5 - 1e-10);
    q_up = fmin(fmax(q_up + share * (q_up - 0.5 * alpha), 1e-10), 0.5 - 1e-10);
    double a = tail_inverse(q_lo), b = tail_inverse(q_up);

    s->spreads[j] = (up - lo) / ((a + b) * plain);
    s->mean[j] = (lo * b + up * a) / (a + b);
    s->mutation[j] = q_lo + q_up;
}

void cmaes_keep_margin(struct cmaes *s)
{
    s->sigma = fmax(s->sigma, SIGMA_LEAST / s->lengths[0]);
    for (size_t j = 0; j < s->n; j++) {
        if (!cmaes_is_integer(s, j)) {
            continue;
        }
        double cell = cmaes_cell(s, j, s->mean[j]), half = 0.5 * s->steps[j];

        if (cell == first_value(s, j)) {
            keep_outer(s, j, cell + half);
        } else if (cell == last_value(s, j)) {
            keep_outer(s, j, cell - half);
        } else {
            keep_inner(s, j, cell - half, cell + half);
        }
    }
}
