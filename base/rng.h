/*
 * rng.h - random numbers as functions of (seed, purpose, index), never of time.
 *
 * PCG32 (XSH-RR) and PCG64 (XSL-RR) with jump-ahead: M. E. O'Neill, HMC-CS-2014-0905; F. Brown 1994
 * for the arbitrary stride. One stream a purpose: initstate is the run's seed, initseq the purpose.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

/* Purposes: the initseq of each stream. Never share one. */
enum rng_purpose {
    RNG_SAMPLING = 1, /* CMA-ES samples */
    RNG_RESTART = 2,  /* restart draws */
    RNG_NOISE = 3,    /* which points are evaluated again */
    RNG_SHUFFLE = 4,  /* orders of documents */
    RNG_MASK = 5,     /* keep decisions of random pruning */
    RNG_BOOTSTRAP = 6 /* resampled intervals */
};

struct rng32 {
    uint64_t state, inc;
};

/* One step of PCG32: state * RNG32_MUL + inc. */
#define RNG32_MUL 6364136223846793005U

struct rng64 {
    uint64_t state_high, state_low, inc_high, inc_low;
};

void rng32_seed(struct rng32 *rng, uint64_t initstate, uint64_t initseq);
uint32_t rng32_next(struct rng32 *rng);
void rng32_advance(struct rng32 *rng, uint64_t delta);
/* Unbiased integer in [0, bound), bound > 0; draws a varying number of outputs. */
uint32_t rng32_below(struct rng32 *rng, uint32_t bound);

void rng64_seed(struct rng64 *rng, uint64_t initstate, uint64_t initseq);
uint64_t rng64_next(struct rng64 *rng);
/* delta steps ahead, delta = high * 2^64 + low, wrapping. */
void rng64_advance(struct rng64 *rng, uint64_t high, uint64_t low);
uint64_t rng64_below(struct rng64 *rng, uint64_t bound);
/* Uniform in [0, 1) with 53 bits: one draw. */
double rng64_uniform(struct rng64 *rng);
/* n standard normals by Box-Muller, cosine first; draws n rounded up to even. */
void rng64_normals(struct rng64 *rng, double *out, size_t n);

#endif
