#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/merge/della.h"
#include "evaluator/merge/prune.h"
#include "evaluator/merge/prune_kernels.h"

#define N 20011
#define STEPS 64 /* different magnitudes: many elements share one */

struct sample {
    float source[N], base[N];
    struct trim_delta delta;
    struct trim_counts counts;
};

static struct sample *make_sample(void)
{
    struct sample *sample = mem_array(1, sizeof *sample);
    struct rng64 rng;

    rng64_seed(&rng, 3, 1);
    for (size_t i = 0; i < N; i++) {
        sample->source[i] = ((float)rng64_below(&rng, 2 * STEPS) - STEPS) / 1024.0F;
    }
    sample->delta = (struct trim_delta){.source = sample->source,
                                        .base = sample->base,
                                        .source_dtype = DTYPE_F32,
                                        .base_dtype = DTYPE_F32,
                                        .n = N};
    return sample;
}

static void free_sample(struct sample *sample)
{
    trim_counts_release(&sample->counts);
    free(sample);
}

static int bit_of(const unsigned char *bits, size_t i)
{
    return bits[i / 8] >> i % 8 & 1;
}

/* By the definition: the k largest, the lower index first among equals. */
static void slow_largest(const struct sample *sample, size_t k, unsigned char *keep)
{
    memset(keep, 0, N);
    for (int step = STEPS; k > 0 && step >= 0; step--) {
        for (size_t i = 0; k > 0 && i < N; i++) {
            if (fabsf(sample->source[i]) == (float)step / 1024.0F) {
                keep[i] = 1;
                k--;
            }
        }
    }
}

static void take_blocks(const struct prune *prune, const struct sample *sample, size_t block,
                        unsigned char *keep)
{
    for (size_t at = 0; at < N; at += block) {
        size_t n = N - at < block ? N - at : block;
        unsigned char *bits = mem_array((n + 63) / 64, 8);

        prune_read(prune, &sample->delta, at, n, bits);
        for (size_t i = 0; i < n; i++) {
            keep[at + i] = (unsigned char)bit_of(bits, i);
        }
        free(bits);
    }
}

static void drops_both_ends_exactly_in_blocks_of_any_size(void **state)
{
    const size_t keeps[] = {1, 157, 10000, 19000};
    const size_t tops[] = {0, 1, 158, 400, 1011};
    const size_t blocks[] = {64, 4096, 16384};
    struct sample *sample = make_sample();
    unsigned char *low = mem_array(N, 1);
    unsigned char *high = mem_array(N, 1);
    unsigned char *got = mem_array(N, 1);

    (void)state;
    for (size_t c = 0; c < 4 * 5 * 3; c++) {
        size_t keep = keeps[c % 4];
        size_t top = tops[c / 4 % 5];
        struct prune prune;
        double magnitudes = 0.0;

        slow_largest(sample, keep + top, low);
        slow_largest(sample, top, high);
        prune_range(&prune, &sample->counts, &sample->delta, keep, top);
        double sum = prune_magnitudes(&prune, &sample->counts, &sample->delta);
        assert_true(prune_magnitudes(&prune, &sample->counts, &sample->delta) == sum);
        take_blocks(&prune, sample, blocks[c / 20], got);
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(got[i], low[i] && !high[i]);
            magnitudes += got[i] ? (double)fabsf(sample->source[i]) : 0.0;
        }
        assert_true(fabs(sum - magnitudes) <= 1e-12 * magnitudes);
    }
    free(low);
    free(high);
    free(got);
    free_sample(sample);
}

static void finds_ranges_like_the_twin_under_every_instruction_set(void **state)
{
    struct sample *sample = make_sample();
    unsigned char keep[512];

    (void)state;
    for (size_t n = 4030; n <= 4096; n++) {
        for (int isa = ISA_PLAIN; isa <= (int)isa_best(); isa++) {
            const struct prune_kernels *kernels = prune_kernels_for((enum isa)isa);
            const float edges[2] = {10.0F / 1024.0F, 50.0F / 1024.0F};
            uint32_t bits[2];

            memcpy(bits, edges, sizeof bits);
            kernels->between(keep, sample->source, bits[0], bits[1] - 1, n);
            for (size_t i = 0; i < n; i++) {
                float magnitude = fabsf(sample->source[i]);

                assert_int_equal(bit_of(keep, i), magnitude >= edges[0] && magnitude < edges[1]);
            }
        }
    }
    free_sample(sample);
}

/* ---- ranks ---- */

static void ranks_within_rows_lower_index_first(void **state)
{
    const float d[8] = {0.5F, -0.25F, 0.25F, 1.0F, /**/ -1.0F, -1.0F, 0.0F, -0.0F};
    const size_t dims[2] = {2, 4};
    const struct della_shape shape = della_shape_of(dims, 2, 8);
    const size_t ranks[2][4] = {{2, 0, 1, 3}, {2, 3, 0, 1}};
    double p[4];

    (void)state;
    assert_int_equal(shape.n_slabs, 2);
    for (size_t row = 0; row < 2; row++) {
        della_probabilities(p, d + row * 4, &shape, 0.4, 0.2);
        for (size_t i = 0; i < 4; i++) {
            assert_true(fabs(p[i] - (0.2 + 0.4 * (double)ranks[row][i] / 3.0)) < 1e-15);
        }
    }
}

static void ranks_along_the_second_dimension(void **state)
{
    const float d[6] = {3.0F, 1.0F, 1.0F, 2.0F, 2.0F, 3.0F}; /* [1, 3, 2] */
    const size_t dims[3] = {1, 3, 2};
    const struct della_shape shape = della_shape_of(dims, 3, 6);
    const double want[6] = {0.6, 0.4, 0.4, 0.5, 0.5, 0.6};
    double p[6];

    (void)state;
    della_probabilities(p, d, &shape, 0.5, 0.1);
    for (size_t i = 0; i < 6; i++) {
        assert_true(fabs(p[i] - want[i]) < 1e-15);
    }
}

static void ranks_every_magnitude_of_a_float(void **state)
{
    enum { M = 5000 };
    const size_t dims[1] = {M};
    const struct della_shape shape = della_shape_of(dims, 1, M);
    static float d[M];
    static double p[M];
    struct rng64 rng;

    (void)state;
    rng64_seed(&rng, 8, 8);
    for (size_t i = 0; i < M; i++) {
        uint32_t bits = (uint32_t)rng64_below(&rng, 0x7f800000U);

        memcpy(&d[i], &bits, sizeof bits);
        d[i] = i % 2 == 0 ? d[i] : -d[i];
    }
    della_probabilities(p, d, &shape, 0.5, 0.25);
    for (size_t i = 0; i < M; i += 7) {
        size_t below = 0;

        for (size_t j = 0; j < M; j++) {
            below += fabsf(d[j]) < fabsf(d[i]) || (fabsf(d[j]) == fabsf(d[i]) && j < i);
        }
        assert_true(fabs(p[i] - (0.25 + 0.5 * (double)below / (M - 1))) < 1e-12);
    }
}

static void gives_a_row_of_one_its_density(void **state)
{
    const size_t dims[2] = {3, 1};
    const struct della_shape shape = della_shape_of(dims, 2, 3);
    const float d = 1.0F;
    double p;

    (void)state;
    della_probabilities(&p, &d, &shape, 0.4, 0.2);
    assert_true(p == 0.4);
}

/* Every decision of a tensor, by the definition. */
static void check_ranked(const struct sample *sample, const size_t *dims, size_t n_dims,
                         double density, double epsilon)
{
    struct trim_delta delta = sample->delta;
    struct della della = {.density = density, .epsilon = epsilon};

    delta.n = dims[0] * (n_dims > 1 ? dims[1] : 1) * (n_dims > 2 ? dims[2] : 1);
    della.shape = della_shape_of(dims, n_dims, delta.n);
    size_t slab = della.shape.row * della.shape.stride;
    uint16_t *ranks = mem_array(delta.n + 64, sizeof *ranks);
    unsigned char *keep = mem_array((delta.n + 63) / 64, 8);
    double *p = mem_array(slab, sizeof *p);

    della_rank(ranks, &delta, &della.shape);
    della.ranks = ranks;
    random_open(&della.stream, 4, 0, "t");
    for (size_t at = 0; at < delta.n; at += 4160) { /* blocks that end within rows */
        della_keep(keep + at / 8, &della, &delta, at, delta.n - at < 4160 ? delta.n - at : 4160);
    }
    for (size_t i = 0; i < delta.n; i++) {
        if (i % slab == 0) {
            della_probabilities(p, (const float *)delta.source + i, &della.shape, density, epsilon);
        }
        assert_int_equal(bit_of(keep, i), random_at(&della.stream, i) < random_share(p[i % slab]));
    }
    free(p);
    free(keep);
    free(ranks);
}

static void keeps_by_the_element_of_the_whole_tensor(void **state)
{
    struct sample *sample = make_sample();

    (void)state;
    check_ranked(sample, (const size_t[]){11, N / 11}, 2, 0.5, 0.3);
    check_ranked(sample, (const size_t[]){11, N / 11}, 2, 0.5, 0.0);
    check_ranked(sample, (const size_t[]){3, 500, 13}, 3, 0.2, 0.15);
    check_ranked(sample, (const size_t[]){N}, 1, 0.8, 0.1);
    check_ranked(sample, (const size_t[]){N, 1}, 2, 0.4, 0.2);
    free_sample(sample);
}

/* A rank does not fit sixteen bits. */
static void ranks_rows_of_more_elements_than_a_rank_has_bits(void **state)
{
    const size_t n = 200001;
    struct sample sample = {.delta = {.source_dtype = DTYPE_F32, .base_dtype = DTYPE_F32}};
    float *source = mem_array(n, sizeof *source);
    float *base = mem_array(n, sizeof *base);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        source[i] = (float)(i * 7919 % n);
    }
    sample.delta.source = source;
    sample.delta.base = base;
    check_ranked(&sample, &n, 1, 0.5, 0.4);
    free(source);
    free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drops_both_ends_exactly_in_blocks_of_any_size),
        cmocka_unit_test(finds_ranges_like_the_twin_under_every_instruction_set),
        cmocka_unit_test(ranks_within_rows_lower_index_first),
        cmocka_unit_test(ranks_along_the_second_dimension),
        cmocka_unit_test(ranks_every_magnitude_of_a_float),
        cmocka_unit_test(gives_a_row_of_one_its_density),
        cmocka_unit_test(keeps_by_the_element_of_the_whole_tensor),
        cmocka_unit_test(ranks_rows_of_more_elements_than_a_rank_has_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
