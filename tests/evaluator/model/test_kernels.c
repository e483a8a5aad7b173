#include "evaluator/model/kernels.h"

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
#include "evaluator/model/rotary.h"

/* Widths around the sizes of registers and blocks. */
static const size_t widths[] = {1, 2, 7, 8, 15, 16, 17, 31, 48, 64, 100, 333};

#define WIDTHS (sizeof(widths) / sizeof(widths[0]))

/* Each test runs for every instruction set that this processor has. */
static const struct kernels *next_set(int *isa)
{
    return *isa <= (int)isa_best() ? kernels_for((enum isa)(*isa)++) : NULL;
}

static float *normals(size_t n, uint64_t seed)
{
    double *values = mem_array(n, sizeof(double));
    float *out = mem_array(n, sizeof(float));
    struct rng64 rng;

    rng64_seed(&rng, seed, 1);
    rng64_normals(&rng, values, n);
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)values[i];
    }
    free(values);
    return out;
}

static void assert_near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * (1.0 + fabs(want)))) {
        fail_msg("%.9g is not %.9g", got, want);
    }
}

static void the_norm_equals_its_formula(void **state)
{
    (void)state;
    const struct kernels *kernels;

    for (int isa = 0; (kernels = next_set(&isa)) != NULL;) {
        for (size_t w = 0; w < WIDTHS; w++) {
            size_t D = widths[w];
            float *x = normals(3 * D, w);
            float *gain = normals(D, 100 + w);
            float *out = mem_array(3 * D, sizeof(float));

            assert_true(kernels->rms_norm(out, x, &(struct kernels_norm){gain, 0, 1e-5F}, 3, D));
            for (size_t t = 0; t < 3; t++) {
                double sum = 0.0;

                for (size_t d = 0; d < D; d++) {
                    sum += (double)x[t * D + d] * (double)x[t * D + d];
                }
                for (size_t d = 0; d < D; d++) {
                    double want = (double)x[t * D + d] * (double)gain[d] /
                                  sqrt(sum / (double)D + (double)1e-5F);
                    assert_near((double)out[t * D + d], want, 3e-7);
                }
            }
            free(x);
            free(gain);
            free(out);
        }
    }
}

static void the_norm_notices_what_is_not_finite(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    const struct kernels *kernels;

    for (int isa = 0; (kernels = next_set(&isa)) != NULL;) {
        for (size_t i = 0; i < 3; i++) {
            for (size_t at = 0; at < 20; at++) {
                float x[20] = {0}, gain[20] = {0}, out[20];
                const struct kernels_norm norm = {gain, 0, 1e-5F};

                assert_true(kernels->rms_norm(out, x, &norm, 1, 20));
                x[at] = bad[i];
                assert_false(kernels->rms_norm(out, x, &norm, 1, 20));
            }
        }
        float large[16], gain[16] = {0}, out[16];

        for (size_t i = 0; i < 16; i++) {
            large[i] = 3e38F; /* the square is no float, but the number is */
        }
        assert_true(kernels->rms_norm(out, large, &(struct kernels_norm){gain, 0, 1e-5F}, 1, 16));
    }
}

static void a_row_of_the_norm_does_not_depend_on_the_others(void **state)
{
    (void)state;
    const struct kernels *kernels;
    float *x = normals(9 * 100, 5);
    float *gain = normals(100, 6);

    for (int isa = 0; (kernels = next_set(&isa)) != NULL;) {
        float together[9 * 100], alone[100];
        const struct kernels_norm norm = {gain, 0, 1e-6F};

        kernels->rms_norm(together, x, &norm, 9, 100);
        for (size_t t = 0; t < 9; t++) {
            kernels->rms_norm(alone, x + t * 100, &norm, 1, 100);
            assert_memory_equal(alone, together + t * 100, sizeof(alone));
        }
    }
    free(x);
    free(gain);
}

static void rotation_turns_pairs_half_a_head_apart(void **state)
{
    (void)state;
    const struct config config = {.head_width = 6,
                                  .rope = {.kind = CONFIG_ROPE_DEFAULT, .theta = 100.0}};
    const uint32_t depths[] = {3, 0, 7};
    const size_t stride = 15; /* two heads of 6, and 3 that stay */
    const struct kernels *kernels;
    float angles[8 * 6];

    rotary_angles(angles, &config, &config.rope, 8);
    for (int isa = 0; (kernels = next_set(&isa)) != NULL;) {
        float *x = normals(3 * stride, 1);
        float *turned = normals(3 * stride, 1);

        kernels->rotate(turned, stride, angles, depths, 3, 2, 6, 6);
        for (size_t t = 0; t < 3; t++) {
            for (size_t j = 0; j < 12; j++) {
                size_t pair = j % 3;
                size_t a = t * stride + j / 6 * 6 + pair;
                double angle = (double)depths[t] * pow(100.0, -2.0 * (double)pair / 6.0);
                double first = (double)x[a];
                double second = (double)x[a + 3];
                double want = j % 6 < 3 ? first * cos(angle) - second * sin(angle)
                                        : second * cos(angle) + first * sin(angle);

                assert_near((double)turned[t * stride + j], want, 3e-7);
            }
            assert_memory_equal(turned + t * stride + 12, x + t * stride + 12, 3 * sizeof(float));
        }
        free(x);
        free(turned);
    }
}

static void long_wavelengths_are_stretched_as_llama3_does(void **state)
{
    (void)state;
    struct config config = {.head_width = 128,
                            .rope = {.kind = CONFIG_ROPE_DEFAULT, .theta = 500000.0}};
    struct config scaled = config;

    scaled.rope.kind = CONFIG_ROPE_LLAMA3;
    scaled.rope.factor = 8.0;
    scaled.rope.low_freq_factor = 1.0;
    scaled.rope.high_freq_factor = 4.0;
    scaled.rope.original_positions = 8192.0;
    /* Wavelength of pair j: 2 pi 500000^(j/64). 8192/4 = 2048 lies between pairs 28 and 29, 8192
     * between pairs 34 and 35. */
    for (size_t j = 0; j < 64; j++) {
        double plain = rotary_frequency(&config, &config.rope, j);
        double got = rotary_frequency(&scaled, &scaled.rope, j);

        if (j <= 28) {
            assert_true(got == plain);
        } else if (j >= 35) {
            assert_true(got == plain / 8.0);
        } else {
            assert_true(got < plain && got > plain / 8.0);
        }
    }
    config.rope.kind = CONFIG_ROPE_LINEAR;
    config.rope.factor = 4.0;
    assert_near(rotary_frequency(&config, &config.rope, 0), 0.25, 1e-15);
}

/* Pairs of 128 elements at base 1e6, 32768 places stretched four times, by the published formula in
 * another language. */
static void slow_pairs_are_stretched_as_yarn_does(void **state)
{
    static const struct {
        size_t pair;
        double frequency;
    } golden[] = {{0, 1},
                  {10, 0.1154781984689458},
                  {23, 0.0069783058485986633},
                  {24, 0.0053753214907901019},
                  {30, 0.0010643609812470017},
                  {39, 6.4903943208370279e-05},
                  {40, 4.4456985250973067e-05},
                  {63, 3.1023444018792988e-07}};
    const struct config config = {.head_width = 128,
                                  .rope = {.kind = CONFIG_ROPE_YARN,
                                           .theta = 1e6,
                                           .factor = 4.0,
                                           .beta_fast = 32.0,
                                           .beta_slow = 1.0,
                                           .whole_pairs = true,
                                           .original_positions = 32768.0,
                                           .attention_factor = 1.25}};
    float angles[2 * 128];

    (void)state;
    for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
        assert_near(rotary_frequency(&config, &config.rope, golden[i].pair) / golden[i].frequency,
                    1.0, 1e-13);
    }
    rotary_angles(angles, &config, &config.rope, 2);
    assert_true(angles[0] == 1.25F && angles[64] == 0.0F);
    assert_near((double)angles[128], 1.25 * cos(1.0), 1e-7);
}

static void gates_equal_their_formula(void **state)
{
    (void)state;
    const struct kernels *kernels;

    for (int isa = 0; (kernels = next_set(&isa)) != NULL;) {
        for (size_t w = 0; w < WIDTHS; w++) {
            size_t F = widths[w];
            float *x = normals(2 * 2 * F, w);
            float *out = mem_array(2 * F, sizeof(float));

            for (size_t i = 0; i < 2 * 2 * F; i++) {
                x[i] *= 30.0F;
            }
            kernels->silu_up(out, x, 2, F);
            for (size_t t = 0; t < 2; t++) {
                for (size_t f = 0; f < F; f++) {
                    double gate = (double)x[t * 2 * F + f];
                    double up = (double)x[t * 2 * F + F + f];

                    assert_near((double)out[t * F + f], gate / (1.0 + exp(-gate)) * up, 3e-7);
                }
            }
            free(x);
            free(out);
        }
    }
}

static void gelu_gates_equal_their_formula(void **state)
{
    (void)state;
    const double slope = sqrt(2.0 / acos(-1.0));
    const struct kernels *kernels;

    for (int isa = 0; (kernels = next_set(&isa)) != NULL;) {
        for (size_t w = 0; w < WIDTHS; w++) {
            size_t F = widths[w];
            float *x = normals(2 * 2 * F, w);
            float *out = mem_array(2 * F, sizeof(float));

            kernels->gelu_up(out, x, 2, F);
            for (size_t t = 0; t < 2; t++) {
                for (size_t f = 0; f < F; f++) {
                    double g = (double)x[t * 2 * F + f];
                    double up = (double)x[t * 2 * F + F + f];
                    double want = 0.5 * g * (1.0 + tanh(slope * (g + 0.044715 * g * g * g))) * up;

                    assert_near((double)out[t * F + f], want, 3e-7);
                }
            }
            free(x);
            free(out);
        }
        const float extreme[] = {-1000.0F, 1000.0F, NAN, 0.0F, 1.0F, 1.0F, 1.0F, 1.0F};
        float out[4];

        kernels->gelu_up(out, extreme, 1, 4);
        assert_true(fabsf(out[0]) < 1e-30F && out[1] == 1000.0F);
        assert_true(isnan(out[2]) && out[3] == 0.0F);
    }
}

static void caps_equal_their_formula(void **state)
{
    (void)state;
    const struct kernels *kernels;

    for (int isa = 0; (kernels = next_set(&isa)) != NULL;) {
        for (double x = 1e-6; x < 400.0; x *= 1.013) {
            float capped[] = {(float)x, (float)-x, 0.0F, INFINITY, NAN};
            double want = 30.0 * tanh((double)(float)x / 30.0);

            kernels->soft_cap(capped, 5, 30.0F);
            assert_true(fabs((double)capped[0] - want) <= 4e-7 * want);
            assert_true(fabs((double)capped[1] + want) <= 4e-7 * want);
            assert_true(capped[2] == 0.0F && capped[3] == 30.0F && isnan(capped[4]));
        }
    }
}

static void norms_may_add_one_and_add_to_a_row(void **state)
{
    (void)state;
    const struct kernels *kernels;
    float *y = normals(3 * 100, 7);
    float *gain = normals(100, 8);
    float above[100];

    for (size_t d = 0; d < 100; d++) {
        above[d] = 1.0F + gain[d];
    }
    for (int isa = 0; (kernels = next_set(&isa)) != NULL;) {
        float want[3 * 100], normed[3 * 100], x[3 * 100];

        kernels->rms_norm(want, y, &(struct kernels_norm){above, 0, 1e-6F}, 3, 100);
        kernels->rms_norm(normed, y, &(struct kernels_norm){gain, 1, 1e-6F}, 3, 100);
        assert_memory_equal(normed, want, sizeof(want));
        for (size_t i = 0; i < 300; i++) {
            x[i] = (float)i;
        }
        kernels->add_rms_norm(x, y, &(struct kernels_norm){gain, 1, 1e-6F}, 3, 100);
        for (size_t i = 0; i < 300; i++) {
            assert_near((double)x[i], (double)i + (double)want[i], 3e-7);
        }
    }
    free(y);
    free(gain);
}

static void each_head_is_normed_on_its_own(void **state)
{
    (void)state;
    const size_t stride = 5 * 20; /* three heads of 20, and 40 that stay */
    const struct kernels *kernels;
    float *gain = normals(20, 9);
    const struct kernels_norm norm = {gain, 1, 1e-6F};

    for (int isa = 0; (kernels = next_set(&isa)) != NULL;) {
        float *x = normals(2 * stride, 3);
        float *normed = normals(2 * stride, 3);
        float head[20];

        kernels->norm_heads(normed, stride, &norm, 2, 3, 20);
        for (size_t t = 0; t < 2; t++) {
            for (size_t h = 0; h < 3; h++) {
                kernels->rms_norm(head, x + t * stride + h * 20, &norm, 1, 20);
                assert_memory_equal(normed + t * stride + h * 20, head, sizeof(head));
            }
            assert_memory_equal(normed + t * stride + 60, x + t * stride + 60, 40 * sizeof(float));
        }
        free(x);
        free(normed);
    }
    free(gain);
}

static void extreme_gates_close_and_open(void **state)
{
    (void)state;
    const struct kernels *kernels;

    for (int isa = 0; (kernels = next_set(&isa)) != NULL;) {
        const float x[] = {-1000.0F, 1000.0F, NAN, 0.0F, 1.0F, 1.0F, 1.0F, 1.0F};
        float out[4];

        kernels->silu_up(out, x, 1, 4);
        assert_true(fabsf(out[0]) < 1e-30F);
        assert_true(out[1] == 1000.0F);
        assert_true(isnan(out[2]));
        assert_true(out[3] == 0.0F);
    }
}

static void a_bias_is_added_to_every_row(void **state)
{
    (void)state;
    const struct kernels *kernels;

    for (int isa = 0; (kernels = next_set(&isa)) != NULL;) {
        float x[] = {1, 2, 3, 4, 5, 6};
        const float bias[] = {10, 20, 30};
        const float want[] = {11, 22, 33, 14, 25, 36};

        kernels->add_bias(x, bias, 2, 3);
        assert_memory_equal(x, want, sizeof(want));
    }
}

static void the_exponential_is_right_over_its_range(void **state)
{
    (void)state;
    const struct kernels *kernels;

    for (int isa = 0; (kernels = next_set(&isa)) != NULL;) {
        for (double x = -87.0; x <= 0.0; x += 0.0137) {
            struct kernels_softmax softmax = {0};
            const float logits[] = {0.0F, (float)x};

            kernels->softmax_add(&softmax, logits, 2, 0);
            double want = exp((double)(float)x);
            assert_true(fabs(softmax.sum - 1.0 - want) <= 1.2e-7 * want + 1e-15);
        }
    }
}

static void panels_join_to_the_whole_softmax(void **state)
{
    (void)state;
    const size_t n = 1000;
    const size_t cuts[] = {1, 16, 100, 999, 1000};
    const struct kernels *kernels;
    float *logits = normals(n, 3);
    double largest = -HUGE_VAL;
    double sum = 0.0;
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        logits[i] *= 10.0F;
        if ((double)logits[i] > largest) {
            largest = (double)logits[i];
            at = i;
        }
    }
    for (size_t i = 0; i < n; i++) {
        sum += exp((double)logits[i] - largest);
    }
    for (int isa = 0; (kernels = next_set(&isa)) != NULL;) {
        for (size_t c = 0; c < 5; c++) {
            struct kernels_softmax softmax = {0};

            for (size_t first = 0; first < n; first += cuts[c]) {
                size_t width = n - first < cuts[c] ? n - first : cuts[c];

                kernels->softmax_add(&softmax, logits + first, width, (uint32_t)first);
            }
            assert_near((double)softmax.largest + log(softmax.sum), largest + log(sum), 1e-7);
            assert_int_equal(softmax.at, at);
        }
    }
    free(logits);
}

static void of_equal_logits_the_first_is_the_largest(void **state)
{
    (void)state;
    const struct kernels *kernels;

    for (int isa = 0; (kernels = next_set(&isa)) != NULL;) {
        struct kernels_softmax softmax = {0};
        float logits[40] = {0};

        logits[5] = logits[20] = logits[39] = 2.0F;
        kernels->softmax_add(&softmax, logits, 40, 100);
        kernels->softmax_add(&softmax, logits, 40, 140);
        assert_int_equal(softmax.at, 105);
    }
}

static void logits_that_are_not_finite_show_in_the_sum(void **state)
{
    (void)state;
    const struct kernels *kernels;

    for (int isa = 0; (kernels = next_set(&isa)) != NULL;) {
        for (size_t at = 0; at < 40; at++) {
            struct kernels_softmax nan = {0}, infinite = {0};
            float logits[40] = {0};

            logits[at] = NAN;
            kernels->softmax_add(&nan, logits, 40, 0);
            assert_true(!isfinite(nan.sum));
            logits[at] = INFINITY;
            kernels->softmax_add(&infinite, logits, 40, 0);
            assert_true(!isfinite(infinite.sum));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_norm_equals_its_formula),
        cmocka_unit_test(the_norm_notices_what_is_not_finite),
        cmocka_unit_test(a_row_of_the_norm_does_not_depend_on_the_others),
        cmocka_unit_test(rotation_turns_pairs_half_a_head_apart),
        cmocka_unit_test(long_wavelengths_are_stretched_as_llama3_does),
        cmocka_unit_test(slow_pairs_are_stretched_as_yarn_does),
        cmocka_unit_test(gates_equal_their_formula),
        cmocka_unit_test(gelu_gates_equal_their_formula),
        cmocka_unit_test(caps_equal_their_formula),
        cmocka_unit_test(norms_may_add_one_and_add_to_a_row),
        cmocka_unit_test(each_head_is_normed_on_its_own),
        cmocka_unit_test(extreme_gates_close_and_open),
        cmocka_unit_test(a_bias_is_added_to_every_row),
        cmocka_unit_test(the_exponential_is_right_over_its_range),
        cmocka_unit_test(panels_join_to_the_whole_softmax),
        cmocka_unit_test(of_equal_logits_the_first_is_the_largest),
        cmocka_unit_test(logits_that_are_not_finite_show_in_the_sum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
