/* The kernels against a slow plain twin: the same bits, under every instruction set. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/merge/blend_kernels.h"
#include "evaluator/model/dtype.h"

#define N 1003 /* no multiple of any width */
#define K 6
#define ODD 1 /* byte by which stored numbers are off any alignment */

struct sample {
    float base[N], x[K][N];
    unsigned char stored_base[N * 4 + ODD], stored_x[K][N * 4 + ODD];
};

static uint32_t bits_of(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static struct sample *make_sample(enum dtype dtype)
{
    struct sample *sample = mem_array(1, sizeof *sample);
    double normals[N + 1];
    struct rng64 rng;

    for (size_t s = 0; s <= K; s++) {
        float *out = s < K ? sample->x[s] : sample->base;
        unsigned char *stored = (s < K ? sample->stored_x[s] : sample->stored_base) + ODD;

        rng64_seed(&rng, 5, s);
        rng64_normals(&rng, normals, N);
        for (size_t i = 0; i < N; i++) {
            out[i] = (float)normals[i] * (i % 11 == 0 ? 1e-30F : 0.02F);
        }
        dtype_from_f32(stored, out, dtype, N);
        dtype_to_f32(out, stored, dtype, N);
    }
    for (size_t i = 0; i < N; i += 3) { /* elements that a source left as they were */
        size_t s = i % K;

        sample->x[s][i] = sample->base[i];
        dtype_from_f32(sample->stored_x[s] + ODD + i * dtype_size(dtype), &sample->base[i], dtype,
                       1);
    }
    return sample;
}

static struct blend_block block_of(const struct sample *sample, size_t k, bool has_base)
{
    struct blend_block block = {.n = N, .k = k, .divisor = 1.0F, .lambda = 1.0F};

    block.base = has_base ? sample->stored_base + ODD : NULL;
    for (size_t s = 0; s < k; s++) {
        block.x[s] = sample->stored_x[s] + ODD;
        block.weights[s] = s % 2 == 0 ? 0.3F + (float)s : -0.7F;
        block.factors[s] = block.weights[s];
    }
    return block;
}

static struct random_stream streams[K]; /* of mixes_what_is_drawn */

/* Whether element i of source s stays, whose change is d. */
static bool stays(const struct blend_block *block, size_t s, size_t i, float d)
{
    const struct random_draws *draws = &block->draws[s];
    uint32_t bits = bits_of(fabsf(d));

    switch (block->stays) {
    case BLEND_ABOVE:
        return bits >= block->limits[s];
    case BLEND_BETWEEN:
        return bits >= block->limits[s] && bits <= block->lasts[s];
    case BLEND_MARKED:
        return (block->keep[s][i / 8] >> i % 8 & 1) != 0;
    case BLEND_DRAWN:
        return random_at(&streams[s], draws->first + i) < draws->share;
    case BLEND_ALL:
        break;
    }
    return true;
}

static float slow_sum(const struct sample *sample, const struct blend_block *block, size_t i)
{
    float total = 0.0F;

    for (size_t s = 0; s < block->k; s++) {
        float d = block->base != NULL ? sample->x[s][i] - sample->base[i] : sample->x[s][i];
        float e = (stays(block, s, i, d) ? d : 0.0F) * block->factors[s];

        total = s == 0 ? e : total + e;
    }
    total = total / block->divisor * block->lambda;
    return block->base != NULL ? sample->base[i] + total : total;
}

static float slow_elect(const struct sample *sample, const struct blend_block *block, size_t i)
{
    float e[K];
    float total = 0.0F;
    float mix = 0.0F;
    float share = 0.0F;

    for (size_t s = 0; s < block->k; s++) {
        float d = sample->x[s][i] - sample->base[i];

        e[s] = stays(block, s, i, d) ? d * block->factors[s] : 0.0F;
        total = s == 0 ? e[s] : total + e[s];
    }
    for (size_t s = 0; s < block->k; s++) {
        if (total >= 0.0F ? e[s] > 0.0F : e[s] < 0.0F) {
            mix += e[s];
            share += block->weights[s];
        }
    }
    if (block->normalize && share != 0.0F) {
        mix = block->k <= 4 ? mix * (block->lambda / share) : mix / share * block->lambda;
        return sample->base[i] + mix;
    }
    return sample->base[i] + mix * block->lambda;
}

typedef uint32_t kernel(const struct blend_block *block);
typedef float twin(const struct sample *sample, const struct blend_block *block, size_t i);

static void assert_same(const struct sample *sample, struct blend_block *block, enum dtype dtype,
                        kernel *fast, twin *slow)
{
    unsigned char out[N * 4 + ODD];
    size_t size = dtype_size(dtype);

    block->out = out + ODD;
    assert_int_equal(fast(block), 0);
    for (size_t i = 0; i < N; i++) {
        float want = slow(sample, block, i);
        unsigned char stored[4];

        dtype_from_f32(stored, &want, dtype, 1);
        if (memcmp(stored, out + ODD + i * size, size) != 0) {
            fail_msg("%s k %zu element %zu", dtype_name(dtype), block->k, i);
        }
    }
}

static void sums_like_the_twin(void **state)
{
    const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16};

    (void)state;
    for (size_t t = 0; t < 2; t++) {
        struct sample *sample = make_sample(dtypes[t]);

        for (int isa = ISA_PLAIN; isa <= (int)isa_best(); isa++) {
            const struct blend_kernels *kernels = blend_kernels_for((enum isa)isa);
            kernel *fast = t == 0 ? kernels->sum_f32 : kernels->sum_bf16;

            for (size_t k = 1; k <= K; k++) {
                for (int has_base = 0; has_base <= 1; has_base++) {
                    struct blend_block block = block_of(sample, k, has_base);

                    assert_same(sample, &block, dtypes[t], fast, slow_sum);
                    block.divisor = 1.7F;
                    block.lambda = 0.8F;
                    assert_same(sample, &block, dtypes[t], fast, slow_sum);
                }
            }
        }
        free(sample);
    }
}

static void sums_within_limits(void **state)
{
    const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16};

    (void)state;
    for (size_t c = 0; c < 2 * 2 * K; c++) {
        struct sample *sample = make_sample(dtypes[c % 2]);
        struct blend_block block = block_of(sample, c / 4 + 1, true);

        block.stays = c / 2 % 2 != 0 ? BLEND_BETWEEN : BLEND_ABOVE;
        for (size_t s = 0; s < K; s++) {
            block.limits[s] = bits_of(0.01F * (float)(s + 1));
            block.lasts[s] = block.limits[s] + 0x800000;
        }
        for (int isa = ISA_PLAIN; isa <= (int)isa_best(); isa++) {
            const struct blend_kernels *kernels = blend_kernels_for((enum isa)isa);

            assert_same(sample, &block, dtypes[c % 2],
                        c % 2 == 0 ? kernels->sum_f32 : kernels->sum_bf16, slow_sum);
        }
        free(sample);
    }
}

static void elects_like_the_twin(void **state)
{
    const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16};

    (void)state;
    for (size_t t = 0; t < 2; t++) {
        struct sample *sample = make_sample(dtypes[t]);

        for (int isa = ISA_PLAIN; isa <= (int)isa_best(); isa++) {
            const struct blend_kernels *kernels = blend_kernels_for((enum isa)isa);
            kernel *fast = t == 0 ? kernels->elect_f32 : kernels->elect_bf16;

            for (size_t k = 1; k <= K; k++) {
                struct blend_block block = block_of(sample, k, true);

                assert_same(sample, &block, dtypes[t], fast, slow_elect);
                block.stays = BLEND_ABOVE;
                block.normalize = true;
                block.lambda = 0.8F;
                for (size_t s = 0; s < k; s++) {
                    block.limits[s] = bits_of(0.01F * (float)(s + 1));
                    block.factors[s] *= 1.25F;
                }
                assert_same(sample, &block, dtypes[t], fast, slow_elect);
                block.stays = BLEND_BETWEEN;
                for (size_t s = 0; s < k; s++) {
                    block.lasts[s] = block.limits[s] + 0x800000;
                }
                assert_same(sample, &block, dtypes[t], fast, slow_elect);
            }
        }
        free(sample);
    }
}

static void mixes_what_bits_say_stays(void **state)
{
    const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16};
    unsigned char keep[K][(N + 63) / 64 * 8];
    struct rng64 rng;

    (void)state;
    rng64_seed(&rng, 6, 6);
    for (size_t s = 0; s < K; s++) {
        for (size_t i = 0; i < sizeof keep[s]; i++) {
            keep[s][i] = (unsigned char)rng64_below(&rng, 256);
        }
    }
    for (size_t c = 0; c < 2 * 2 * K; c++) {
        struct sample *sample = make_sample(dtypes[c % 2]);
        struct blend_block block = block_of(sample, c / 4 + 1, true);

        block.stays = BLEND_MARKED;
        for (size_t s = 0; s < K; s++) {
            block.keep[s] = keep[s];
        }
        block.normalize = c / 2 % 2 != 0;
        block.divisor = block.normalize ? 1.7F : 1.0F;
        for (int isa = ISA_PLAIN; isa <= (int)isa_best(); isa++) {
            const struct blend_kernels *kernels = blend_kernels_for((enum isa)isa);

            assert_same(sample, &block, dtypes[c % 2],
                        c % 2 == 0 ? kernels->sum_f32 : kernels->sum_bf16, slow_sum);
            assert_same(sample, &block, dtypes[c % 2],
                        c % 2 == 0 ? kernels->elect_f32 : kernels->elect_bf16, slow_elect);
        }
        free(sample);
    }
}

/* Shares that drop all, keep all, and of which one is met by a draw and decided by further bits. */
static void mixes_what_is_drawn(void **state)
{
    struct sample *sample = make_sample(DTYPE_BF16);
    uint64_t shares[K];

    (void)state;
    for (size_t s = 0; s < K; s++) {
        random_open(&streams[s], 9, s, "t");
        shares[s] = random_at(&streams[s], 64 + 100 * s) + 1;
    }
    shares[1] = random_share(0.0);
    shares[2] = random_share(1.0);
    shares[3]--;
    for (size_t c = 0; c < 2 * K; c++) {
        struct blend_block block = block_of(sample, c / 2 + 1, true);

        block.stays = BLEND_DRAWN;
        block.normalize = c % 2 != 0;
        block.divisor = block.normalize ? 1.7F : 1.0F;
        for (size_t s = 0; s < K; s++) {
            random_draws_from(&block.draws[s], &streams[s], shares[s], 64);
        }
        for (int isa = ISA_PLAIN; isa <= (int)isa_best(); isa++) {
            const struct blend_kernels *kernels = blend_kernels_for((enum isa)isa);

            assert_same(sample, &block, DTYPE_BF16, kernels->sum_bf16, slow_sum);
            assert_same(sample, &block, DTYPE_BF16, kernels->elect_bf16, slow_elect);
        }
    }
    free(sample);
}

/* -1 and 1 cancel: +1 is elected. Weights that cancel exactly do not divide. */
static void follows_the_definition_at_its_edges(void **state)
{
    const float base[4] = {0.5F, 0.5F, 0.5F, 0.5F};
    const float a[4] = {1.5F, -0.5F, 0.5F, 0.5F};
    const float b[4] = {-0.5F, -0.5F, 0.5F, 1.5F};
    float out[4];

    (void)state;
    for (int isa = ISA_PLAIN; isa <= (int)isa_best(); isa++) {
        struct blend_block block = {.n = 4,
                                    .out = out,
                                    .base = base,
                                    .k = 2,
                                    .x = {a, b},
                                    .weights = {1, 1},
                                    .factors = {1, 1},
                                    .lambda = 1,
                                    .normalize = true};

        assert_int_equal(blend_kernels_for((enum isa)isa)->elect_f32(&block), 0);
        assert_true(out[0] == 1.5F && out[1] == -0.5F && out[2] == 0.5F && out[3] == 1.5F);
        block.x[1] = a;
        block.weights[1] = -1;
        assert_int_equal(blend_kernels_for((enum isa)isa)->elect_f32(&block), 0);
        assert_true(out[0] == 2.5F);
    }
}

static void notices_every_value_that_is_not_finite(void **state)
{
    (void)state;
    struct sample *sample = make_sample(DTYPE_BF16);
    unsigned char out[N * 2];
    const uint16_t specials[] = {0x7f80, 0xff80, 0x7fc0, 0xffc0, 0x7fff};
    const size_t places[] = {0, 31, 500, N - 1};

    for (int isa = ISA_PLAIN; isa <= (int)isa_best(); isa++) {
        const struct blend_kernels *kernels = blend_kernels_for((enum isa)isa);

        for (size_t p = 0; p < 5 * 4 * K; p++) {
            size_t at = ODD + 2 * places[p / 5 % 4];
            unsigned char *x = sample->stored_x[p / 20];
            uint16_t before;

            memcpy(&before, x + at, 2);
            memcpy(x + at, &specials[p % 5], 2);
            struct blend_block block = block_of(sample, K, true);
            block.out = out;
            block.stays = BLEND_ABOVE;
            block.limits[0] = bits_of(1.0F);
            assert_int_not_equal(kernels->elect_bf16(&block), 0);
            assert_int_not_equal(kernels->sum_bf16(&block), 0);
            memcpy(x + at, &before, 2);
        }
    }
    free(sample);
}

static void notices_what_rounds_to_infinity(void **state)
{
    const uint16_t largest[3] = {0x7f7f, 0x7f7f, 0x7f7f};
    uint16_t out[3];

    (void)state;
    for (int isa = ISA_PLAIN; isa <= (int)isa_best(); isa++) {
        struct blend_block block = {.n = 3,
                                    .out = out,
                                    .k = 1,
                                    .x = {largest},
                                    .factors = {1.001F},
                                    .divisor = 1,
                                    .lambda = 1};

        assert_int_equal(blend_kernels_for((enum isa)isa)->sum_bf16(&block), 0);
        block.factors[0] = 1.002F;
        assert_int_not_equal(blend_kernels_for((enum isa)isa)->sum_bf16(&block), 0);
    }
}

static void streams_the_same_results(void **state)
{
    struct sample *sample = make_sample(DTYPE_BF16);
    unsigned char *streamed = mem_try_block(N, 2, "test", NULL);
    unsigned char plain[N * 2];

    (void)state;
    for (int isa = ISA_PLAIN; isa <= (int)isa_best(); isa++) {
        struct blend_block block = block_of(sample, 3, true);

        block.out = plain;
        blend_kernels_for((enum isa)isa)->sum_bf16(&block);
        block.out = streamed;
        block.stream = true;
        blend_kernels_for((enum isa)isa)->sum_bf16(&block);
        assert_memory_equal(streamed, plain, N * 2);
    }
    free(streamed);
    free(sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_like_the_twin),
        cmocka_unit_test(sums_within_limits),
        cmocka_unit_test(elects_like_the_twin),
        cmocka_unit_test(mixes_what_bits_say_stays),
        cmocka_unit_test(mixes_what_is_drawn),
        cmocka_unit_test(follows_the_definition_at_its_edges),
        cmocka_unit_test(notices_every_value_that_is_not_finite),
        cmocka_unit_test(notices_what_rounds_to_infinity),
        cmocka_unit_test(streams_the_same_results),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
