/*
 * sampling.c - searches that learn nothing: random points, and Halton's and Sobol's, which fill the
 * box evenly.
 *
 * The honest baselines: an optimiser that does no better than these is not worth its name. Point
 * number i is a function of (seed, i) alone; what is told only moves the best so far.
 *
 * A random point is uniform in the box. A Halton point is, in coordinate j, the digits of i + 1 in
 * the j-th prime base mirrored behind the point (Halton 1960), each digit passed through a
 * permutation of its own drawn from the seed, which keeps high coordinates from marching in step
 * (Owen, arXiv:1706.02808). A Sobol point (sobol.h) is scrambled from the seed so that boxes stay
 * boxes (Owen 1995); coordinates beyond its table are Halton's. An infinite side stands three
 * sigmas from the start.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/bounds.h"
#include "search/optimiser_kinds.h"
#include "search/snapshot.h"
#include "search/sobol.h"

#define BATCH 16      /* candidates a generation, when not told */
#define REACH 3.0     /* sigmas on a side without a bound */
#define DIGITS_MAX 54 /* of a number below 2^53 in base 2 */
#define MAGIC "SAMPLES"

static const char *const names[] = {"random", "halton", "sobol"};
enum { RANDOM, HALTON, SOBOL, KINDS };

struct sampling {
    size_t n, lambda, kind;
    uint64_t seed, stream, asked;
    double best;
    double *lower, *upper, *steps, *best_point; /* [N] */
    uint32_t *primes;                           /* [N] Halton's bases; NULL for random ones */
    uint32_t (*directions)[SOBOL_BITS];         /* of the first coordinates; NULL but for Sobol's */
};

/* The first n primes. */
static void find_primes(uint32_t *out, size_t n)
{
    size_t found = 0;

    for (uint32_t candidate = 2; found < n; candidate++) {
        bool prime = true;

        for (size_t i = 0; prime && i < found && out[i] * out[i] <= candidate; i++) {
            prime = candidate % out[i] != 0;
        }
        if (prime) {
            out[found++] = candidate;
        }
    }
}

static void allocate(struct sampling *t)
{
    t->lower = mem_array(4 * t->n, sizeof *t->lower);
    t->upper = t->lower + t->n;
    t->steps = t->lower + 2 * t->n;
    t->best_point = t->lower + 3 * t->n;
    if (t->kind != RANDOM) {
        t->primes = mem_array(t->n, sizeof *t->primes);
        find_primes(t->primes, t->n);
    }
    if (t->kind == SOBOL) {
        t->directions = mem_array(SOBOL_DIMENSIONS, sizeof *t->directions);
        for (size_t j = 0; j < SOBOL_DIMENSIONS; j++) {
            sobol_directions(j, t->directions[j]);
        }
    }
}

static void release(void *self)
{
    struct sampling *t = self;

    free(t->lower);
    free(t->primes);
    free(t->directions);
}

static int make(void *self, const struct optimiser_options *o, struct err *err)
{
    struct sampling *t = self;
    size_t kind = RANDOM;

    (void)err;
    while (strcmp(names[kind], o->algorithm) != 0) {
        kind++;
        assert(kind < KINDS);
    }
    *t = (struct sampling){.n = o->n,
                           .kind = kind,
                           .lambda = o->lambda != 0 ? o->lambda : BATCH,
                           .seed = o->seed,
                           .stream = o->stream != 0 ? o->stream : RNG_SAMPLING,
                           .best = HUGE_VAL};
    allocate(t);
    for (size_t j = 0; j < t->n; j++) {
        double reach = REACH * o->sigma * (o->deviations != NULL ? o->deviations[j] : 1.0);

        t->lower[j] = o->lower != NULL ? o->lower[j] : -HUGE_VAL;
        t->upper[j] = o->upper != NULL ? o->upper[j] : HUGE_VAL;
        t->steps[j] = o->steps != NULL ? fabs(o->steps[j]) : 0.0;
        t->lower[j] = isinf(t->lower[j]) ? o->start[j] - reach : t->lower[j];
        t->upper[j] = isinf(t->upper[j]) ? o->start[j] + reach : t->upper[j];
        t->best_point[j] = o->start[j];
    }
    return 0;
}

/* What was read is a box with a grid in it. */
static bool is_sound(const struct sampling *t)
{
    bool sound = true;

    for (size_t j = 0; j < t->n; j++) {
        sound = sound && bounds_are_usable(t->lower[j], t->upper[j]) &&
                (t->steps[j] == 0.0 || bounds_take_step(t->steps[j], t->lower[j], t->upper[j]));
    }
    return sound;
}

static int walk(void *self, struct snapshot *s, struct err *err)
{
    struct sampling *t = self;

    (void)err;
    snapshot_size(s, &t->n, 1, OPTIMISER_N_MAX);
    snapshot_size(s, &t->lambda, 1, 65536);
    snapshot_size(s, &t->kind, RANDOM, KINDS - 1);
    if (s->reading) {
        snapshot_expect(s, snapshot_holds(s, 4 * t->n));
        t->n = s->bad ? 1 : t->n;
        allocate(t);
    }
    snapshot_count(s, &t->seed, UINT64_MAX);
    snapshot_count(s, &t->stream, UINT64_MAX);
    snapshot_count(s, &t->asked, UINT64_C(1) << 52);
    snapshot_doubles(s, &t->best, 1);
    snapshot_finite(s, t->lower, 4 * t->n); /* all four arrays */
    snapshot_expect(s, !s->reading || is_sound(t));
    return 0;
}

/* ---- points ---- */

/* 64 well mixed bits of two numbers: PCG's stream `b` of seed `a`, first output. */
static uint64_t hash(uint64_t a, uint64_t b)
{
    struct rng64 rng;

    rng64_seed(&rng, a, b);
    return rng64_next(&rng);
}

/* Digit d of base `base` under the permutation of this (coordinate, place): shift and scale modulo
 * a prime, never a constant factor for all places. */
static uint64_t permuted(const struct sampling *t, size_t j, unsigned place, uint64_t d)
{
    uint64_t base = t->primes[j], mixed = hash(t->seed, t->stream << 32 ^ j << 6 ^ place);
    uint64_t factor = 1 + mixed % (base - 1), shift = (mixed >> 32) % base;

    return (d * factor + shift) % base;
}

/* The i-th number of coordinate j, in [0, 1). Zeros in front of i are digits too: as many as a
 * double can tell apart. */
static double halton(const struct sampling *t, uint64_t i, size_t j)
{
    double share = 1.0, sum = 0.0;

    for (unsigned place = 0; place < DIGITS_MAX && share > 0x1p-53; place++) {
        share /= (double)t->primes[j];
        sum += share * (double)permuted(t, j, place, i % t->primes[j]);
        i /= t->primes[j];
    }
    return fmin(sum, 1.0 - 0x1p-53);
}

/* The same of Sobol's. Each bit is flipped or not by those before it: a random permutation of the
 * halves of every interval. */
static double sobol(const struct sampling *t, uint64_t i, size_t j)
{
    const uint32_t plain = sobol_point(t->directions[j], (uint32_t)i);
    uint32_t flips = 0;

    for (unsigned place = 0; place < SOBOL_BITS; place++) {
        uint64_t before = place == 0 ? 0 : plain >> (SOBOL_BITS - place);
        uint64_t node = before | (uint64_t)place << 32 | (uint64_t)j << 37;

        flips = flips << 1 | (uint32_t)(hash(t->seed ^ t->stream << 32, node) >> 63);
    }
    return ((double)(plain ^ flips) + 0.5) * 0x1p-32;
}

static double share_of(const struct sampling *t, uint64_t i, size_t j, struct rng64 *rng)
{
    if (t->kind == RANDOM) {
        return rng64_uniform(rng);
    }
    return t->kind == SOBOL && j < SOBOL_DIMENSIONS ? sobol(t, i, j) : halton(t, i, j);
}

static double on_grid(const struct sampling *t, size_t j, double share)
{
    double width = t->upper[j] - t->lower[j], step = t->steps[j];

    if (step == 0.0) {
        return fmin(t->lower[j] + share * width, t->upper[j]);
    }
    double cells = floor(width / step + 1e-9) + 1.0;

    return t->lower[j] + step * fmin(floor(share * cells), cells - 1.0);
}

static void place(const struct sampling *t, uint64_t i, double *point)
{
    struct rng64 rng;

    if (t->kind == RANDOM) {
        rng64_seed(&rng, t->seed, t->stream);
        rng64_advance(&rng, 0, i * t->n);
    }
    for (size_t j = 0; j < t->n; j++) {
        point[j] = on_grid(t, j, share_of(t, i, j, &rng));
    }
}

static void ask(void *self, double *points)
{
    const struct sampling *t = self;

    for (size_t k = 0; k < t->lambda; k++) {
        place(t, t->asked + k, points + k * t->n);
    }
}

static int tell(void *self, const double *fitness, struct err *err)
{
    struct sampling *t = self;

    (void)err;
    for (size_t k = 0; k < t->lambda; k++) {
        if (fitness[k] < t->best) {
            t->best = fitness[k];
            place(t, t->asked + k, t->best_point);
        }
    }
    t->asked += t->lambda;
    return 0;
}

/* ---- looking ---- */

static void introduce(const void *self, struct optimiser_card *out)
{
    const struct sampling *t = self;

    *out = (struct optimiser_card){.n = t->n, .objectives = 1};
    snprintf(out->name, sizeof out->name, "%s", names[t->kind]);
}

static size_t asks(const void *self)
{
    return ((const struct sampling *)self)->lambda;
}

static double best(const void *self, double *point)
{
    const struct sampling *t = self;

    if (point != NULL) {
        memcpy(point, t->best_point, t->n * sizeof *point);
    }
    return t->best;
}

const struct optimiser_kind optimiser_sampling = {
    .magic = MAGIC,
    .what = "random points",
    .size = sizeof(struct sampling),
    .make = make,
    .walk = walk,
    .release = release,
    .introduce = introduce,
    .asks = asks,
    .ask = ask,
    .tell = tell,
    .best = best,
};
