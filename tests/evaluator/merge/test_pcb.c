/* Parameter competition balancing against its formulas, written down once more. */
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
#include "evaluator/merge/blend.h"

#define N 9001
#define K 3
#define N_VALUES 2 /* weight, density */

struct sample {
    float base[N], x[K][N], out[N];
    struct checkpoint_tensor tensors[K + 1];
    const struct checkpoint_tensor *sources[K];
    double source_values[K * N_VALUES];
    double whole_values[METHOD_PARAMETERS_MAX];
    struct plan_tensor tensor;
    struct plan plan;
};

static struct checkpoint_tensor stored(const float *floats)
{
    return (struct checkpoint_tensor){.name = "t",
                                      .file = "f",
                                      .folder = "m",
                                      .dtype = DTYPE_F32,
                                      .n_elements = N,
                                      .data = (const unsigned char *)floats};
}

static struct sample *make_sample(double density)
{
    struct sample *sample = mem_array(1, sizeof *sample);
    double normals[N + 1];
    struct rng64 rng;

    assert_int_equal(method_find(&sample->plan.method, "pcb", NULL), 0);
    assert_int_equal(method_count(sample->plan.method, METHOD_SOURCE), N_VALUES);
    for (size_t s = 0; s <= K; s++) {
        float *floats = s < K ? sample->x[s] : sample->base;

        rng64_seed(&rng, 21, s);
        rng64_normals(&rng, normals, N);
        for (size_t i = 0; i < N; i++) {
            floats[i] = s < K ? sample->base[i] + (float)normals[i] * 0.002F * (float)(s + 1)
                              : (float)normals[i] * 0.02F;
        }
        sample->tensors[s] = stored(floats);
        if (s < K) {
            sample->sources[s] = &sample->tensors[s];
            sample->source_values[s * N_VALUES] = 0.5 + 0.25 * (double)s;
            sample->source_values[s * N_VALUES + 1] = density;
        }
    }
    sample->whole_values[method_index(sample->plan.method, METHOD_WHOLE, "lambda")] = 0.9;
    sample->tensor = (struct plan_tensor){.name = "t",
                                          .n = N,
                                          .dtype = DTYPE_F32,
                                          .base = &sample->tensors[K],
                                          .n_sources = K,
                                          .sources = sample->sources,
                                          .source_values = sample->source_values,
                                          .whole_values = sample->whole_values};
    return sample;
}

static int blend_into(struct sample *sample, struct err *err)
{
    struct blend *blend = blend_new();
    int rc = blend_tensor(blend, &sample->plan, &sample->tensor, sample->out, err);

    blend_free(blend);
    return rc;
}

static int upwards(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* beta of every element, the losers at 0. */
static void balance(const struct sample *sample, size_t n_kept, double (*beta)[N])
{
    static double d[K][N], sums[N], sorted[N];
    double agreement = 0.0;

    for (size_t i = 0; i < N; i++) {
        sums[i] = 0.0;
        for (size_t s = 0; s < K; s++) {
            d[s][i] = (double)(sample->x[s][i] - sample->base[i]);
            sums[i] += d[s][i];
        }
        for (size_t s = 0; s < K; s++) {
            agreement = fmax(agreement, fabs(d[s][i] * sums[i]));
        }
    }
    for (size_t s = 0; s < K; s++) {
        double largest = 0.0;
        double denominator = 0.0;

        for (size_t i = 0; i < N; i++) {
            largest = fmax(largest, d[s][i] * d[s][i]);
        }
        for (size_t i = 0; i < N; i++) {
            denominator += exp(K * d[s][i] * d[s][i] / largest);
        }
        for (size_t i = 0; i < N; i++) {
            beta[s][i] = exp(K * d[s][i] * d[s][i] / largest) / denominator *
                         tanh(d[s][i] * sums[i] / agreement);
        }
        memcpy(sorted, beta[s], sizeof sorted);
        qsort(sorted, N, sizeof(double), upwards);
        for (size_t i = 0; i < N; i++) {
            beta[s][i] = beta[s][i] >= sorted[N - n_kept] && beta[s][i] > 0.0 ? beta[s][i] : 0.0;
        }
    }
}

static void follows_the_formulas(void **state)
{
    const double densities[] = {0.1, 0.4, 0.8, 1.0};
    static double beta[K][N];

    (void)state;
    for (size_t c = 0; c < 4; c++) {
        struct sample *sample = make_sample(densities[c]);
        size_t far = 0;

        assert_int_equal(blend_into(sample, NULL), 0);
        balance(sample, (size_t)floor(densities[c] * N), beta);
        for (size_t i = 0; i < N; i++) {
            double sum = 0.0;
            double share = 0.0;

            for (size_t s = 0; s < K; s++) {
                sum += beta[s][i] * (0.5 + 0.25 * (double)s) *
                       (double)(sample->x[s][i] - sample->base[i]);
                share += beta[s][i];
            }
            double want = (double)sample->base[i] + (share > 0.0 ? 0.9 * sum / share : 0.0);
            far += fabs((double)sample->out[i] - want) > 1e-6;
        }
        assert_true(far <= K); /* one score a source may lie on its threshold's last bit */
        free(sample);
    }
}

static void gives_the_base_where_nothing_changed(void **state)
{
    struct sample *sample = make_sample(0.5);

    (void)state;
    for (size_t s = 0; s < K; s++) {
        memcpy(sample->x[s], sample->base, sizeof sample->base);
    }
    assert_int_equal(blend_into(sample, NULL), 0);
    assert_memory_equal(sample->out, sample->base, sizeof sample->base);
    free(sample);
}

static void does_not_lose_what_is_not_finite(void **state)
{
    struct sample *sample = make_sample(0.1);
    struct err err = {0};

    (void)state;
    sample->x[1][4097] = (float)NAN;
    assert_int_equal(blend_into(sample, &err), ERR_NUMERIC);
    free(sample);
}

static void keeps_one_element_unless_it_is_strict(void **state)
{
    struct sample *sample = make_sample(0.0);
    struct err err = {0};
    size_t changed = 0;

    (void)state;
    assert_int_equal(blend_into(sample, &err), 0);
    for (size_t i = 0; i < N; i++) {
        changed += sample->out[i] != sample->base[i];
    }
    assert_in_range(changed, 1, K);
    sample->plan.rules.strict = true;
    assert_int_equal(blend_into(sample, &err), ERR_NUMERIC);
    assert_non_null(strstr(err.text, "t: density 0 keeps no element"));
    free(sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_formulas),
        cmocka_unit_test(gives_the_base_where_nothing_changed),
        cmocka_unit_test(does_not_lose_what_is_not_finite),
        cmocka_unit_test(keeps_one_element_unless_it_is_strict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
