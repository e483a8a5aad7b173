/*
 * random.c - keep decisions from counter-addressed PCG streams.
 *
 *   element    0     1      2     3      ...
 *   coarse    [ output 0 ] [ output 1 ]  ...      16 bits an element, lower half first
 *   fine      output 0, output 1, ...             32 bits an element, looked at only at a tie
 */
#include "evaluator/merge/random.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/digest.h"
#include "base/text.h"
#include "evaluator/merge/prune_kernels.h"

static uint64_t number_at(const unsigned char *bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < 8; i++) {
        value |= (uint64_t)bytes[i] << 8 * i;
    }
    return value;
}

void random_open(struct random_stream *out, uint64_t seed, size_t source, const char *tensor)
{
    unsigned char key[DIGEST_SIZE];
    struct digest *digest = digest_new();

    digest_add_u64(digest, RNG_MASK);
    digest_add_u64(digest, seed);
    digest_add_u64(digest, source);
    digest_add_text(digest, tensor);
    digest_end(digest, key);
    rng32_seed(&out->coarse, number_at(key), number_at(key + 8));
    rng32_seed(&out->fine, number_at(key + 16), number_at(key + 24));
}

static uint32_t output_at(struct rng32 stream, uint64_t index)
{
    rng32_advance(&stream, index);
    return rng32_next(&stream);
}

uint64_t random_at(const struct random_stream *stream, size_t element)
{
    uint32_t pair = output_at(stream->coarse, element / 2);
    uint64_t coarse = element % 2 == 0 ? pair & 0xffffU : pair >> 16;

    return coarse << 32 | output_at(stream->fine, element);
}

uint64_t random_share(double probability)
{
    return (uint64_t)ceil(probability * 0x1p48);
}

void random_draws_from(struct random_draws *out, const struct random_stream *stream, uint64_t share,
                       size_t first)
{
    assert(first % 2 == 0);
    *out = (struct random_draws){stream->coarse, stream->fine, first, share};
    rng32_advance(&out->coarse, first / 2);
}

uint32_t random_settle(const struct random_draws *draws, size_t at, uint32_t ties)
{
    uint64_t fine = draws->share - ((uint64_t)random_coarse(draws->share) << 32);
    uint32_t stay = 0;

    for (size_t i = 0; i < 32; i++) {
        if ((ties >> i & 1) != 0 && output_at(draws->fine, draws->first + at + i) < fine) {
            stay |= 1U << i;
        }
    }
    return stay;
}

void random_keep(const struct random_stream *stream, uint64_t share, size_t first, size_t n,
                 unsigned char *keep)
{
    struct random_draws draws;

    random_draws_from(&draws, stream, share, first);
    prune_kernels_for(isa_best())->draw(keep, &draws, n);
}
