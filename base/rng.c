/*
 * rng.c - PCG: a linear congruential generator whose output is scrambled by its own high bits.
 *
 *   PCG32: 64-bit state,  output = rotate(xorshift(old state)),      then step
 *   PCG64: 128-bit state, step, then output = rotate(high ^ low of the new state)
 *
 * O'Neill 2014, HMC-CS-2014-0905, sections 6.3.1 and 6.3.3. One step is s -> s * MUL + inc, so
 * delta steps are again one such map, found by squaring in at most 64 (128) rounds (Brown 1994).
 */
#include "base/rng.h"

#include <assert.h>
#include <math.h>

#define PCG64_MUL_HIGH 2549297995355413924U
#define PCG64_MUL_LOW 4865540595714422341U
#define TWO_PI 6.283185307179586476925286766559

/* 128 bits as two halves; arithmetic wraps. */
struct wide {
    uint64_t high, low;
};

static uint32_t rotate_right_32(uint32_t x, unsigned r)
{
    return x >> r | x << (-r & 31);
}

static uint64_t rotate_right_64(uint64_t x, unsigned r)
{
    return x >> r | x << (-r & 63);
}

void rng32_seed(struct rng32 *rng, uint64_t initstate, uint64_t initseq)
{
    rng->state = 0;
    rng->inc = initseq << 1 | 1;
    (void)rng32_next(rng);
    rng->state += initstate;
    (void)rng32_next(rng);
}

uint32_t rng32_next(struct rng32 *rng)
{
    uint64_t old = rng->state;

    rng->state = old * RNG32_MUL + rng->inc;
    return rotate_right_32((uint32_t)((old >> 18 ^ old) >> 27), (unsigned)(old >> 59));
}

void rng32_advance(struct rng32 *rng, uint64_t delta)
{
    uint64_t total_mul = 1, total_add = 0;
    uint64_t mul = RNG32_MUL, add = rng->inc;

    for (; delta != 0; delta >>= 1) {
        if (delta & 1) {
            total_mul *= mul;
            total_add = total_add * mul + add;
        }
        add *= mul + 1;
        mul *= mul;
    }
    rng->state = total_mul * rng->state + total_add;
}

uint32_t rng32_below(struct rng32 *rng, uint32_t bound)
{
    assert(bound > 0);
    /* 2^32 mod bound: outputs below it would make small remainders more likely. */
    uint32_t threshold = -bound % bound;
    uint32_t draw;

    do {
        draw = rng32_next(rng);
    } while (draw < threshold);
    return draw % bound;
}

/*
 * The upper half of a 64 by 64 bit product: by the compiler's 128-bit integers where it has them,
 * else schoolbook on 32-bit halves. RNG_HALVES asks for the latter, so that tests try both.
 */
#if defined(__SIZEOF_INT128__) && !defined(RNG_HALVES)
__extension__ typedef unsigned __int128 uint128;

static uint64_t product_high(uint64_t a, uint64_t b)
{
    return (uint64_t)((uint128)a * b >> 64);
}
#else
static uint64_t product_high(uint64_t a, uint64_t b)
{
    uint64_t a_high = a >> 32, a_low = a & UINT32_MAX;
    uint64_t b_high = b >> 32, b_low = b & UINT32_MAX;
    uint64_t cross = a_high * b_low + (a_low * b_low >> 32);
    uint64_t other = a_low * b_high + (cross & UINT32_MAX);

    return a_high * b_high + (cross >> 32) + (other >> 32);
}
#endif

static struct wide wide_add(struct wide a, struct wide b)
{
    uint64_t low = a.low + b.low;

    return (struct wide){a.high + b.high + (low < a.low), low};
}

static struct wide wide_multiply(struct wide a, struct wide b)
{
    uint64_t high = product_high(a.low, b.low) + a.high * b.low + a.low * b.high;

    return (struct wide){high, a.low * b.low};
}

static const struct wide pcg64_mul = {PCG64_MUL_HIGH, PCG64_MUL_LOW};

static struct wide state_of(const struct rng64 *rng)
{
    return (struct wide){rng->state_high, rng->state_low};
}

static struct wide inc_of(const struct rng64 *rng)
{
    return (struct wide){rng->inc_high, rng->inc_low};
}

static void set_state(struct rng64 *rng, struct wide state)
{
    rng->state_high = state.high;
    rng->state_low = state.low;
}

static void step(struct rng64 *rng)
{
    set_state(rng, wide_add(wide_multiply(state_of(rng), pcg64_mul), inc_of(rng)));
}

void rng64_seed(struct rng64 *rng, uint64_t initstate, uint64_t initseq)
{
    *rng = (struct rng64){.inc_high = initseq >> 63, .inc_low = initseq << 1 | 1};
    step(rng);
    set_state(rng, wide_add(state_of(rng), (struct wide){0, initstate}));
    step(rng);
}

uint64_t rng64_next(struct rng64 *rng)
{
    step(rng);
    return rotate_right_64(rng->state_high ^ rng->state_low, (unsigned)(rng->state_high >> 58));
}

void rng64_advance(struct rng64 *rng, uint64_t high, uint64_t low)
{
    const struct wide one = {0, 1};
    struct wide total_mul = one, total_add = {0, 0};
    struct wide mul = pcg64_mul, add = inc_of(rng);

    while (high != 0 || low != 0) {
        if (low & 1) {
            total_mul = wide_multiply(total_mul, mul);
            total_add = wide_add(wide_multiply(total_add, mul), add);
        }
        add = wide_multiply(wide_add(mul, one), add);
        mul = wide_multiply(mul, mul);
        low = low >> 1 | high << 63;
        high >>= 1;
    }
    set_state(rng, wide_add(wide_multiply(total_mul, state_of(rng)), total_add));
}

uint64_t rng64_below(struct rng64 *rng, uint64_t bound)
{
    assert(bound > 0);
    uint64_t threshold = -bound % bound;
    uint64_t draw;

    do {
        draw = rng64_next(rng);
    } while (draw < threshold);
    return draw % bound;
}

double rng64_uniform(struct rng64 *rng)
{
    return (double)(rng64_next(rng) >> 11) * 0x1p-53;
}

/* Box and Muller 1958. The radius takes its uniform from (0, 1], where the logarithm is finite. */
void rng64_normals(struct rng64 *rng, double *out, size_t n)
{
    for (size_t i = 0; i < n; i += 2) {
        double u1 = (double)((rng64_next(rng) >> 11) + 1) * 0x1p-53;
        double u2 = rng64_uniform(rng);
        double radius = sqrt(-2.0 * log(u1));

        out[i] = radius * cos(TWO_PI * u2);
        if (i + 1 < n) {
            out[i + 1] = radius * sin(TWO_PI * u2);
        }
    }
}
