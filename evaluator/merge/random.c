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
#include "evaluator/merge/blend_kernels.h"

#define CHUNK 4096 /* elements: few enough that most hold no tie */

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

/* Decide those whose first bits are the share's. */
static void keep_ties(const struct random_stream *stream, uint32_t fine, size_t first, size_t n,
                      const unsigned char *ties, unsigned char *keep)
{
    for (size_t i = 0; i < n; i++) {
        if (i % 8 == 0 && ties[i / 8] == 0) {
            i += 7;
        } else if ((ties[i / 8] >> i % 8 & 1) != 0 && output_at(stream->fine, first + i) < fine) {
            keep[i / 8] = (unsigned char)(keep[i / 8] | 1U << i % 8);
        }
    }
}

void random_keep(const struct random_stream *stream, uint64_t share, size_t first, size_t n,
                 unsigned char *keep)
{
    const struct blend_kernels *kernels = blend_kernels_for(isa_best());
    uint32_t coarse = (uint32_t)(share >> 32);
    unsigned char ties[CHUNK / 8];

    assert(first % 2 == 0);
    if (share >> 48 != 0) {
        memset(keep, 0xff, (n + 63) / 64 * 8);
        return;
    }
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t part = n - at < CHUNK ? n - at : CHUNK;
        struct rng32 start = stream->coarse;

        rng32_advance(&start, (first + at) / 2);
        if (kernels->draw(keep + at / 8, NULL, &start, coarse, part)) {
            kernels->draw(keep + at / 8, ties, &start, coarse, part);
            keep_ties(stream, (uint32_t)share, first + at, part, ties, keep + at / 8);
        }
    }
}

void random_keep_each(const struct random_stream *stream, const uint64_t *shares, size_t first,
                      size_t n, unsigned char *keep)
{
    struct rng32 walk = stream->coarse;
    uint32_t pair = 0;

    rng32_advance(&walk, first / 2);
    for (size_t e = first; e < first + n; e++) {
        uint64_t share = shares[e - first];

        if (e == first || e % 2 == 0) {
            pair = rng32_next(&walk);
        }
        uint64_t coarse = e % 2 == 0 ? pair & 0xffffU : pair >> 16;
        bool stays = coarse == share >> 32 ? output_at(stream->fine, e) < (uint32_t)share
                                           : coarse < share >> 32;

        keep[e / 8] = (unsigned char)(keep[e / 8] | (unsigned)stays << e % 8);
    }
}
