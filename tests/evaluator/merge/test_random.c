#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "evaluator/merge/prune_kernels.h"
#include "evaluator/merge/random.h"

#define N 200003

static int bit_of(const unsigned char *bits, size_t i)
{
    return bits[i / 8] >> i % 8 & 1;
}

static unsigned char *new_bits(size_t n)
{
    return mem_array((n + 63) / 64, 8);
}

static struct random_stream stream_of(uint64_t seed, size_t source, const char *tensor)
{
    struct random_stream stream;

    random_open(&stream, seed, source, tensor);
    return stream;
}

static void keeps_what_is_below_the_share(void **state)
{
    const struct random_stream stream = stream_of(7, 1, "model.norm.weight");
    unsigned char *keep = new_bits(N);
    uint64_t share = random_share(0.3);

    (void)state;
    random_keep(&stream, share, 0, N, keep);
    for (size_t i = 0; i < 20000; i++) {
        assert_int_equal(bit_of(keep, i), random_at(&stream, i) < share);
    }
    free(keep);
}

/* Elements whose first 16 bits are the share's own: about one in 65536, so many are looked at. */
static void decides_ties_by_further_bits(void **state)
{
    const struct random_stream stream = stream_of(3, 0, "t");
    unsigned char *keep = new_bits(N);
    size_t ties = 0;

    (void)state;
    for (size_t i = 0; i < 40; i++) {
        size_t element = i * 4999;
        uint64_t own = random_at(&stream, element);

        random_keep(&stream, own, 0, N, keep); /* u < u: dropped */
        assert_int_equal(bit_of(keep, element), 0);
        random_keep(&stream, own + 1, 0, N, keep);
        assert_int_equal(bit_of(keep, element), 1);
        ties++;
    }
    assert_int_equal(ties, 40);
    free(keep);
}

static void is_the_same_from_any_element_on(void **state)
{
    const struct random_stream stream = stream_of(11, 2, "t");
    unsigned char *whole = new_bits(N);
    unsigned char *part = new_bits(N);
    const size_t firsts[] = {0, 2, 4096, 16384, 99998};
    const size_t lengths[] = {1, 31, 4096, 10001};

    (void)state;
    random_keep(&stream, random_share(0.5), 0, N, whole);
    for (size_t f = 0; f < 5; f++) {
        for (size_t l = 0; l < 4; l++) {
            random_keep(&stream, random_share(0.5), firsts[f], lengths[l], part);
            for (size_t i = 0; i < lengths[l]; i++) {
                assert_int_equal(bit_of(part, i), bit_of(whole, firsts[f] + i));
            }
        }
    }
    free(whole);
    free(part);
}

static void keeps_more_as_density_grows_and_never_less(void **state)
{
    const struct random_stream stream = stream_of(1, 0, "t");
    unsigned char *before = new_bits(N);
    unsigned char *after = new_bits(N);

    (void)state;
    for (int step = 1; step <= 20; step++) {
        random_keep(&stream, random_share(0.05 * step), 0, N, after);
        for (size_t i = 0; i < (N + 7) / 8; i++) {
            assert_int_equal(before[i] & ~after[i], 0);
        }
        memcpy(before, after, (N + 63) / 64 * 8);
    }
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(bit_of(after, i), 1);
    }
    free(before);
    free(after);
}

static size_t count(const unsigned char *bits, size_t n)
{
    size_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += (size_t)bit_of(bits, i);
    }
    return sum;
}

static void keeps_the_share_it_was_asked_for(void **state)
{
    const double probabilities[] = {1e-5, 0.001, 0.1, 1.0 / 3.0, 0.5, 0.9, 0.999};
    unsigned char *keep = new_bits(N);

    (void)state;
    for (size_t p = 0; p < 7; p++) {
        double total = 0.0;

        for (size_t source = 0; source < 16; source++) {
            const struct random_stream stream = stream_of(5, source, "t");

            random_keep(&stream, random_share(probabilities[p]), 0, N, keep);
            total += (double)count(keep, N);
        }
        double expected = 16.0 * N * probabilities[p];
        assert_true(fabs(total - expected) < 5.0 * sqrt(expected * (1.0 - probabilities[p])));
    }
    free(keep);
}

/* Agreement of two masks of one half each is a coin's; so is that of neighbours in one mask. */
static void is_another_for_every_seed_source_and_tensor(void **state)
{
    const struct random_stream streams[] = {stream_of(1, 0, "a"), stream_of(2, 0, "a"),
                                            stream_of(1, 1, "a"), stream_of(1, 0, "b")};
    unsigned char *keep[4];
    const double limit = 5.0 * sqrt(N * 0.25);

    (void)state;
    for (size_t s = 0; s < 4; s++) {
        keep[s] = new_bits(N + 64);
        random_keep(&streams[s], random_share(0.5), 0, N, keep[s]);
        for (size_t lag = 1; lag < 40; lag++) {
            double same = 0.0;

            for (size_t i = 0; i + lag < N; i++) {
                same += bit_of(keep[s], i) == bit_of(keep[s], i + lag);
            }
            assert_true(fabs(same - (double)(N - lag) / 2.0) < limit);
        }
        for (size_t t = 0; t < s; t++) {
            double same = 0.0;

            for (size_t i = 0; i < N; i++) {
                same += bit_of(keep[s], i) == bit_of(keep[t], i);
            }
            assert_true(fabs(same - N / 2.0) < limit);
        }
    }
    for (size_t s = 0; s < 4; s++) {
        free(keep[s]);
    }
}

/* Shares that a draw of some element meets, so that further bits decide; and those at the ends. */
static void draws_the_same_under_every_instruction_set(void **state)
{
    const struct random_stream stream = stream_of(1, 2, "t");
    const size_t n = 1003;
    unsigned char keep[1024 / 8];

    (void)state;
    for (size_t c = 0; c < 16; c++) {
        uint64_t met = random_at(&stream, 64 + c * 67);
        const uint64_t shares[] = {met, met + 1, c, ((uint64_t)1 << 48) - c};

        for (int isa = ISA_PLAIN; isa <= (int)isa_best(); isa++) {
            struct random_draws draws;

            random_draws_from(&draws, &stream, shares[c % 4], 64);
            prune_kernels_for((enum isa)isa)->draw(keep, &draws, n);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(bit_of(keep, i), random_at(&stream, 64 + i) < shares[c % 4]);
            }
        }
    }
}

static void draws_the_published_numbers(void **state)
{
    struct random_stream stream;

    (void)state;
    rng32_seed(&stream.coarse, 42, 54);
    rng32_seed(&stream.fine, 42, 54);
    assert_true(random_at(&stream, 0) == (0x02b7ULL << 32 | 0xa15c02b7));
    assert_true(random_at(&stream, 1) == (0xa15cULL << 32 | 0x7b47f409));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_is_below_the_share),
        cmocka_unit_test(decides_ties_by_further_bits),
        cmocka_unit_test(is_the_same_from_any_element_on),
        cmocka_unit_test(keeps_more_as_density_grows_and_never_less),
        cmocka_unit_test(keeps_the_share_it_was_asked_for),
        cmocka_unit_test(is_another_for_every_seed_source_and_tensor),
        cmocka_unit_test(draws_the_same_under_every_instruction_set),
        cmocka_unit_test(draws_the_published_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
