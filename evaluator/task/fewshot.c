/*
 * fewshot.c - the generator and the sampler of Python's random module.
 *
 * CPython 3, Lib/random.py: sample keeps a pool when that is smaller than a set of the taken ones
 * would be, and takes below(n) as the first of getrandbits(bit length of n) that is less than n.
 */
#include "evaluator/task/fewshot.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

#define N 624
#define M 397

static void seed_linear(struct mt19937 *rng, uint32_t seed)
{
    rng->state[0] = seed;
    for (uint32_t i = 1; i < N; i++) {
        const uint32_t before = rng->state[i - 1];

        rng->state[i] = 1812433253u * (before ^ before >> 30) + i;
    }
    rng->next = N;
}

void mt19937_seed(struct mt19937 *rng, uint32_t seed)
{
    size_t i = 1;

    seed_linear(rng, 19650218u);
    for (size_t k = 0; k < N; k++) {
        const uint32_t before = rng->state[i - 1];

        rng->state[i] = (rng->state[i] ^ (before ^ before >> 30) * 1664525u) + seed;
        if (++i == N) {
            rng->state[0] = rng->state[N - 1];
            i = 1;
        }
    }
    for (size_t k = 0; k < N - 1; k++) {
        const uint32_t before = rng->state[i - 1];

        rng->state[i] = (rng->state[i] ^ (before ^ before >> 30) * 1566083941u) - (uint32_t)i;
        if (++i == N) {
            rng->state[0] = rng->state[N - 1];
            i = 1;
        }
    }
    rng->state[0] = 0x80000000u;
}

static void refill(struct mt19937 *rng)
{
    for (size_t i = 0; i < N; i++) {
        const uint32_t joined =
            (rng->state[i] & 0x80000000u) | (rng->state[(i + 1) % N] & 0x7FFFFFFFu);

        rng->state[i] =
            rng->state[(i + M) % N] ^ joined >> 1 ^ ((joined & 1u) != 0 ? 0x9908B0DFu : 0u);
    }
    rng->next = 0;
}

uint32_t mt19937_next(struct mt19937 *rng)
{
    if (rng->next == N) {
        refill(rng);
    }
    uint32_t y = rng->state[rng->next++];

    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680u;
    y ^= y << 15 & 0xEFC60000u;
    return y ^ y >> 18;
}

static size_t below(struct mt19937 *rng, size_t n)
{
    unsigned bits = 0;
    uint32_t drawn = 0;

    for (size_t rest = n; rest > 0; rest >>= 1) {
        bits++;
    }
    assert(bits >= 1 && bits <= 32);
    do {
        drawn = mt19937_next(rng) >> (32 - bits);
    } while (drawn >= n);
    return drawn;
}

/* The most members for which a pool is no larger than a set: 21, and 4^ceil(log4(3k)) more for k
 * > 5. */
static size_t pool_max(size_t k)
{
    size_t power = 1;

    if (k <= 5) {
        return 21;
    }
    while (power < 3 * k) {
        power *= 4;
    }
    return 21 + power;
}

static void sample_from_pool(struct mt19937 *rng, size_t n, size_t k, size_t *out)
{
    size_t *pool = mem_array(n, sizeof *pool);

    for (size_t i = 0; i < n; i++) {
        pool[i] = i;
    }
    for (size_t i = 0; i < k; i++) {
        const size_t j = below(rng, n - i);

        out[i] = pool[j];
        pool[j] = pool[n - i - 1];
    }
    free(pool);
}

static bool is_taken(const size_t *out, size_t n, size_t index)
{
    for (size_t i = 0; i < n; i++) {
        if (out[i] == index) {
            return true;
        }
    }
    return false;
}

void fewshot_sample(struct mt19937 *rng, size_t n, size_t k, size_t *out)
{
    assert(k <= n);
    if (n <= pool_max(k)) {
        sample_from_pool(rng, n, k, out);
        return;
    }
    for (size_t i = 0; i < k; i++) {
        do {
            out[i] = below(rng, n);
        } while (is_taken(out, i, out[i]));
    }
}
