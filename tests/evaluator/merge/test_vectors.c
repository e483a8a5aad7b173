/* Methods that prune task vectors, against a slow twin that goes by their definitions. */
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
#include "evaluator/merge/della.h"
#include "evaluator/merge/random.h"
#include "evaluator/model/dtype.h"

#define ROWS 70
#define COLUMNS 501
#define N (ROWS * COLUMNS) /* three blocks, the last one cut */
#define K 3

struct sample {
    float base[N], x[K][N];
    unsigned char stored_base[N * 4], stored_x[K][N * 4];
    struct checkpoint_tensor tensors[K + 1];
    const struct checkpoint_tensor *sources[K];
    double source_values[K * METHOD_PARAMETERS_MAX], whole_values[METHOD_PARAMETERS_MAX];
    struct plan_tensor tensor;
    struct plan plan;
    struct blend *blend;
    bool keep[K][N];
    float out[N], want[N];
};

static void store(struct checkpoint_tensor *tensor, unsigned char *stored, float *floats,
                  enum dtype dtype)
{
    dtype_from_f32(stored, floats, dtype, N);
    dtype_to_f32(floats, stored, dtype, N);
    *tensor = (struct checkpoint_tensor){
        .name = "t", .dtype = dtype, .n_elements = N, .data = stored, .file = "f", .folder = "m"};
}

static void set_whole(struct sample *sample, const char *name, double value)
{
    sample->whole_values[method_index(sample->plan.method, METHOD_WHOLE, name)] = value;
}

static void set_source(struct sample *sample, size_t source, const char *name, double value)
{
    size_t n = method_count(sample->plan.method, METHOD_SOURCE);

    sample->source_values[source * n + method_index(sample->plan.method, METHOD_SOURCE, name)] =
        value;
}

static void set_sources(struct sample *sample, const char *name, double value)
{
    for (size_t s = 0; s < K; s++) {
        set_source(sample, s, name, value);
    }
}

/* Coarse changes, so that many magnitudes are equal; a method at its defaults. */
static struct sample *make_sample(const char *method, enum dtype dtype)
{
    struct sample *sample = mem_array(1, sizeof *sample);
    struct rng64 rng;

    rng64_seed(&rng, 17, 1);
    for (size_t i = 0; i < N; i++) {
        sample->base[i] = (float)rng64_below(&rng, 256) / 4096.0F;
        for (size_t s = 0; s < K; s++) {
            sample->x[s][i] = sample->base[i] + ((float)rng64_below(&rng, 129) - 64.0F) / 4096.0F;
        }
    }
    store(&sample->tensors[K], sample->stored_base, sample->base, dtype);
    for (size_t s = 0; s < K; s++) {
        store(&sample->tensors[s], sample->stored_x[s], sample->x[s], dtype);
        sample->sources[s] = &sample->tensors[s];
    }
    assert_int_equal(method_find(&sample->plan.method, method, NULL), 0);
    sample->tensor = (struct plan_tensor){.name = "t",
                                          .n_dims = 2,
                                          .dims = {ROWS, COLUMNS},
                                          .n = N,
                                          .dtype = dtype,
                                          .base = &sample->tensors[K],
                                          .n_sources = K,
                                          .sources = sample->sources,
                                          .source_values = sample->source_values,
                                          .whole_values = sample->whole_values};
    sample->plan.seed = 7;
    sample->plan.n_sources = K;
    sample->plan.n_tensors = 1;
    sample->plan.tensors = &sample->tensor;
    sample->plan.n_elements = N;
    for (size_t p = 0; p < method_count(sample->plan.method, METHOD_WHOLE); p++) {
        sample->whole_values[p] = method_at(sample->plan.method, METHOD_WHOLE, p)->fallback;
    }
    for (size_t p = 0; p < method_count(sample->plan.method, METHOD_SOURCE); p++) {
        const struct method_parameter *parameter = method_at(sample->plan.method, METHOD_SOURCE, p);

        set_sources(sample, parameter->name, parameter->fallback);
    }
    sample->blend = blend_new();
    return sample;
}

static void free_sample(struct sample *sample)
{
    blend_free(sample->blend);
    free(sample);
}

static int give_slot(void *context, const struct plan_tensor *tensor, float **out, struct err *err)
{
    (void)tensor;
    (void)err;
    *out = context;
    return 0;
}

/* Rounded to the tensor's type, as floats. */
static int blend_into(struct sample *sample, float *out, struct err *err)
{
    const struct blend_sink sink = {.place = give_slot, .context = out};

    return blend_run(sample->blend, &sample->plan, &sink, NULL, err);
}

/* ---- the twin ---- */

static float change(const struct sample *sample, size_t s, size_t i)
{
    return sample->x[s][i] - sample->base[i];
}

/* Number i of the largest first, the lower index first among equals. */
struct entry {
    float magnitude;
    size_t index;
};

static int downwards(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;

    if (x->magnitude != y->magnitude) {
        return x->magnitude < y->magnitude ? 1 : -1;
    }
    return x->index < y->index ? -1 : 1;
}

static void keep_ranks(struct sample *sample, size_t s, size_t top, size_t keep)
{
    static struct entry entries[N];

    for (size_t i = 0; i < N; i++) {
        entries[i] = (struct entry){fabsf(change(sample, s, i)), i};
        sample->keep[s][i] = false;
    }
    qsort(entries, N, sizeof entries[0], downwards);
    for (size_t rank = top; rank < top + keep; rank++) {
        sample->keep[s][entries[rank].index] = true;
    }
}

static void keep_draws(struct sample *sample, size_t s, double density)
{
    struct random_stream stream;

    random_open(&stream, sample->plan.seed, s, "t");
    for (size_t i = 0; i < N; i++) {
        sample->keep[s][i] = random_at(&stream, i) < random_share(density);
    }
}

static void keep_ranked_draws(struct sample *sample, size_t s, double density, double epsilon)
{
    const struct della_shape shape = della_shape_of(sample->tensor.dims, 2, N);
    struct random_stream stream;
    float d[COLUMNS];
    double p[COLUMNS];

    random_open(&stream, sample->plan.seed, s, "t");
    for (size_t at = 0; at < N; at += COLUMNS) {
        for (size_t i = 0; i < COLUMNS; i++) {
            d[i] = change(sample, s, at + i);
        }
        della_probabilities(p, d, &shape, density, epsilon);
        for (size_t i = 0; i < COLUMNS; i++) {
            sample->keep[s][at + i] = random_at(&stream, at + i) < random_share(p[i]);
        }
    }
}

static double l1(const struct sample *sample, size_t s, bool all)
{
    double sum = 0.0;

    for (size_t i = 0; i < N; i++) {
        sum += all || sample->keep[s][i] ? (double)fabsf(change(sample, s, i)) : 0.0;
    }
    return sum;
}

struct mixing {
    double weights[K];
    bool elects, normalize, rescale;
    double lambda;
};

static void slow_mix(struct sample *sample, const struct mixing *mixing)
{
    double factors[K];
    double sum = 0.0;

    for (size_t s = 0; s < K; s++) {
        factors[s] = mixing->weights[s];
        if (mixing->rescale) {
            factors[s] *= l1(sample, s, true) / l1(sample, s, false);
        }
        sum += mixing->weights[s];
    }
    for (size_t i = 0; i < N; i++) {
        double e[K];
        double total = 0.0;
        double mix = 0.0;
        double share = mixing->elects ? 0.0 : sum;

        for (size_t s = 0; s < K; s++) {
            e[s] = sample->keep[s][i] ? factors[s] * (double)change(sample, s, i) : 0.0;
            total += e[s];
        }
        for (size_t s = 0; s < K; s++) {
            bool agrees = !mixing->elects || (total >= 0.0 ? e[s] > 0.0 : e[s] < 0.0);

            mix += agrees ? e[s] : 0.0;
            share += mixing->elects && agrees ? mixing->weights[s] : 0.0;
        }
        if (mixing->normalize && share != 0.0) {
            mix /= share;
        }
        sample->want[i] = (float)((double)sample->base[i] + mixing->lambda * mix);
    }
}

/* An election is a matter of the last bit where task vectors cancel: the twin sums in double. */
static void assert_close(const struct sample *sample, enum dtype dtype, bool elects)
{
    double step = dtype == DTYPE_BF16 ? 0x1p-7 : dtype == DTYPE_F16 ? 0x1p-10 : 1e-5;
    size_t far = 0;

    for (size_t i = 0; i < N; i++) {
        double difference = fabs((double)sample->out[i] - (double)sample->want[i]);

        far += difference > step * (fabs((double)sample->want[i]) + 1e-3);
    }
    assert_true(far <= (elects ? N / 1000 : 0));
}

/* ---- tests ---- */

enum pruning { LARGEST, MIDDLE, RANDOM, RANKED };

static const struct row {
    const char *method;
    enum pruning pruning;
    bool elects;
} rows[] = {
    {"ties", LARGEST, true},
    {"dare_linear", RANDOM, false},
    {"dare_ties", RANDOM, true},
    {"breadcrumbs", MIDDLE, false},
    {"breadcrumbs_ties", MIDDLE, true},
    {"della", RANKED, true},
    {"della_linear", RANKED, false},
};

#define N_ROWS (sizeof rows / sizeof rows[0])

static void keep_by(struct sample *sample, enum pruning pruning, size_t s, double density)
{
    size_t keep = (size_t)floor(density * N);
    size_t top = (size_t)floor(0.05 * N);

    switch (pruning) {
    case LARGEST:
        keep_ranks(sample, s, 0, keep);
        break;
    case MIDDLE:
        set_source(sample, s, "gamma", 0.05);
        keep_ranks(sample, s, top < N - keep ? top : N - keep, keep);
        break;
    case RANDOM:
        keep_draws(sample, s, density);
        break;
    case RANKED:
        set_source(sample, s, "epsilon", 0.1);
        keep_ranked_draws(sample, s, density, 0.1);
        break;
    }
}

static void does_what_the_definition_says(void **state)
{
    const double densities[K] = {0.6, 0.31, 0.83};
    const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};

    (void)state;
    for (size_t c = 0; c < N_ROWS * 3 * 4; c++) {
        const struct row *row = &rows[c % N_ROWS];
        enum dtype dtype = dtypes[c / N_ROWS % 3];
        struct sample *sample = make_sample(row->method, dtype);
        struct mixing mixing = {.weights = {0.7123, -0.2345, 1.1377},
                                .elects = row->elects,
                                .normalize = c / N_ROWS / 3 % 2 != 0,
                                .rescale = c / N_ROWS / 6 != 0,
                                .lambda = 0.8};

        for (size_t s = 0; s < K; s++) {
            set_source(sample, s, "weight", mixing.weights[s]);
            set_source(sample, s, "density", densities[s]);
            keep_by(sample, row->pruning, s, densities[s]);
        }
        set_whole(sample, "normalize", mixing.normalize);
        set_whole(sample, "rescale", mixing.rescale);
        set_whole(sample, "lambda", mixing.lambda);
        slow_mix(sample, &mixing);
        assert_int_equal(blend_into(sample, sample->out, NULL), 0);
        assert_close(sample, dtype, row->elects);
        free_sample(sample);
    }
}

static int give_memory(void *context, const struct plan_tensor *tensor, void **out, struct err *err)
{
    (void)tensor;
    (void)err;
    *out = context;
    return 0;
}

/* In place, streamed past the caches, and again through floats: three ways through the kernels. */
static void gives_the_same_bits_whichever_way_it_goes(void **state)
{
    static uint16_t memory[N] __attribute__((aligned(64)));

    (void)state;
    for (size_t r = 0; r < N_ROWS; r++) {
        struct sample *sample = make_sample(rows[r].method, DTYPE_BF16);
        const struct blend_sink streamed = {.store = give_memory, .context = memory};

        set_sources(sample, "density", 0.45);
        assert_int_equal(blend_into(sample, sample->out, NULL), 0);
        assert_int_equal(blend_run(sample->blend, &sample->plan, &streamed, NULL, NULL), 0);
        dtype_to_f32(sample->want, memory, DTYPE_BF16, N);
        assert_memory_equal(sample->out, sample->want, sizeof sample->out);
        assert_int_equal(
            blend_tensor(sample->blend, &sample->plan, &sample->tensor, sample->want, NULL), 0);
        dtype_round(sample->want, DTYPE_BF16, N);
        assert_memory_equal(sample->out, sample->want, sizeof sample->out);
        free_sample(sample);
    }
}

static void keeps_everything_at_density_one_and_nothing_at_zero(void **state)
{
    (void)state;
    for (size_t r = 1; r < N_ROWS; r++) {
        struct sample *sample = make_sample(rows[r].method, DTYPE_F32);
        struct mixing mixing = {.weights = {0.5, 0.5, 0.5}, .elects = rows[r].elects, .lambda = 1};

        set_sources(sample, "weight", 0.5);
        set_whole(sample, "normalize", 0.0);
        set_sources(sample, "density", 1.0);
        memset(sample->keep, 1, sizeof sample->keep);
        slow_mix(sample, &mixing);
        assert_int_equal(blend_into(sample, sample->out, NULL), 0);
        assert_close(sample, DTYPE_F32, rows[r].elects);
        set_sources(sample, "density", 0.0);
        assert_int_equal(blend_into(sample, sample->out, NULL), 0);
        assert_memory_equal(sample->out, sample->base, sizeof sample->out);
        free_sample(sample);
    }
}

static void gives_a_pruned_vector_its_old_norm_when_rescaled(void **state)
{
    (void)state;
    for (size_t r = 0; r < N_ROWS; r++) {
        struct sample *sample = make_sample(rows[r].method, DTYPE_F32);
        double sum = 0.0;

        sample->tensor.n_sources = 1;
        sample->plan.n_sources = 1;
        set_source(sample, 0, "weight", 0.6);
        set_source(sample, 0, "density", 0.4);
        set_whole(sample, "normalize", 0.0);
        set_whole(sample, "rescale", 1.0);
        set_whole(sample, "lambda", 0.5);
        assert_int_equal(blend_into(sample, sample->out, NULL), 0);
        for (size_t i = 0; i < N; i++) {
            sum += fabs((double)sample->out[i] - (double)sample->base[i]);
        }
        assert_true(fabs(sum / (0.3 * l1(sample, 0, true)) - 1.0) < 1e-4);
        free_sample(sample);
    }
}

/* Whether or not it would be pruned away. */
static void refuses_a_source_with_a_number_that_is_not_finite(void **state)
{
    const uint16_t specials[] = {0x7fc0, 0xff80};

    (void)state;
    for (size_t c = 0; c < 4 * N_ROWS; c++) {
        struct sample *sample = make_sample(rows[c / 4].method, DTYPE_BF16);
        struct err err = {0};

        if (method_parameter_find(sample->plan.method, "density") != NULL) {
            set_sources(sample, "density", 0.2);
        }
        if (method_parameter_find(sample->plan.method, "rescale") != NULL) {
            set_whole(sample, "rescale", c / 2 % 2 != 0);
        }
        memcpy(sample->stored_x[1] + 2 * (17 + c), &specials[c % 2], 2);
        assert_int_equal(blend_into(sample, sample->out, &err), ERR_NUMERIC);
        assert_non_null(strstr(err.text, "m/f: t: element "));
        assert_non_null(strstr(err.text, "is not finite (1 of "));
        free_sample(sample);
    }
}

static void drops_everything_in_place_of_mergekit_only_when_asked(void **state)
{
    struct sample *sample = make_sample("breadcrumbs", DTYPE_F32);
    size_t changed = 0;

    (void)state;
    set_sources(sample, "gamma", 0.0);
    assert_int_equal(blend_into(sample, sample->out, NULL), 0);
    for (size_t i = 0; i < N; i++) {
        changed += sample->out[i] != sample->base[i];
    }
    assert_true(changed > N / 2);
    sample->plan.rules.exact_mergekit = true;
    assert_int_equal(blend_into(sample, sample->out, NULL), 0);
    assert_memory_equal(sample->out, sample->base, sizeof sample->out);
    free_sample(sample);
}

static void says_which_densities_an_epsilon_allows(void **state)
{
    const double bad[][2] = {{0.9, 0.15}, {0.85, 0.15}, {0.15, 0.15}, {0.1, 0.2}, {0.5, 0.5}};
    struct sample *sample = make_sample("della", DTYPE_F32);
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        set_source(sample, 1, "density", bad[i][0]);
        set_source(sample, 1, "epsilon", bad[i][1]);
        assert_int_equal(blend_into(sample, sample->out, &err), ERR_NUMERIC);
        assert_non_null(strstr(err.text, "t: density "));
        assert_non_null(strstr(err.text, "strictly between"));
    }
    set_source(sample, 1, "density", 1.0); /* and then epsilon is not looked at */
    assert_int_equal(blend_into(sample, sample->out, &err), 0);
    free_sample(sample);
}

static void draws_by_the_seed_and_nothing_else(void **state)
{
    struct sample *sample = make_sample("dare_linear", DTYPE_F32);
    size_t same = 0;

    (void)state;
    assert_int_equal(blend_into(sample, sample->out, NULL), 0);
    assert_int_equal(blend_into(sample, sample->want, NULL), 0);
    assert_memory_equal(sample->out, sample->want, sizeof sample->out);
    sample->plan.seed++;
    assert_int_equal(blend_into(sample, sample->want, NULL), 0);
    for (size_t i = 0; i < N; i++) {
        same += sample->out[i] == sample->want[i];
    }
    assert_true(same < N / 2);
    free_sample(sample);
}

static double deviation_of_change(const struct sample *sample, size_t s)
{
    double sum = 0.0;
    double squares = 0.0;

    for (size_t i = 0; i < N; i++) {
        double d = (double)change(sample, s, i);

        sum += d;
        squares += d * d;
    }
    return sqrt(squares / N - sum / N * sum / N);
}

static double deviation_of_result(const struct sample *sample)
{
    double sum = 0.0;
    double squares = 0.0;

    for (size_t i = 0; i < N; i++) {
        double d = (double)sample->out[i] - (double)sample->base[i];

        sum += d;
        squares += d * d;
    }
    return sqrt(squares / N - sum / N * sum / N);
}

static void gives_the_merge_the_spread_of_its_parents_when_asked(void **state)
{
    const char *const methods[] = {"task_arithmetic", "ties",         "dare_linear", "breadcrumbs",
                                   "della_linear",    "compeft_ties", "pcb"};

    (void)state;
    for (size_t m = 0; m < sizeof methods / sizeof methods[0]; m++) {
        struct sample *sample = make_sample(methods[m], DTYPE_F32);
        double parents = 0.0;

        for (size_t s = 0; s < K; s++) {
            parents += deviation_of_change(sample, s) / K;
        }
        assert_int_equal(blend_into(sample, sample->out, NULL), 0);
        assert_true(fabs(deviation_of_result(sample) / parents - 1.0) > 0.01);
        set_whole(sample, "match_std", 1.0);
        set_whole(sample, "lambda", 0.5);
        assert_int_equal(blend_into(sample, sample->out, NULL), 0);
        assert_true(fabs(deviation_of_result(sample) / (0.5 * parents) - 1.0) < 1e-4);
        free_sample(sample);
    }
}

static void leaves_signs_of_one_size(void **state)
{
    const double weights[K] = {0.5, -0.25, 1.0};

    (void)state;
    for (size_t elects = 0; elects < 2; elects++) {
        struct sample *sample = make_sample(elects != 0 ? "compeft_ties" : "compeft", DTYPE_F32);
        double sizes[K];

        for (size_t s = 0; s < K; s++) {
            set_source(sample, s, "weight", weights[s]);
            set_source(sample, s, "density", 0.3);
            set_source(sample, s, "alpha", 1.5);
            sizes[s] = 1.5 * deviation_of_change(sample, s);
            keep_ranks(sample, s, 0, (size_t)floor(0.3 * N));
        }
        assert_int_equal(blend_into(sample, sample->out, NULL), 0);
        for (size_t i = 0; i < N; i++) {
            double e[K];
            double total = 0.0;
            double mix = 0.0;
            double share = 0.0;

            for (size_t s = 0; s < K; s++) {
                float d = change(sample, s, i);

                e[s] = sample->keep[s][i] && d != 0.0F ? weights[s] * copysign(sizes[s], (double)d)
                                                       : 0.0;
                total += e[s];
            }
            for (size_t s = 0; s < K; s++) {
                bool agrees = elects == 0 || (total >= 0.0 ? e[s] > 0.0 : e[s] < 0.0);

                mix += agrees ? e[s] : 0.0;
                share += agrees ? weights[s] : 0.0;
            }
            mix = elects != 0 && share != 0.0 ? mix / share : mix;
            sample->want[i] = (float)((double)sample->base[i] + mix);
        }
        assert_close(sample, DTYPE_F32, elects != 0);
        free_sample(sample);
    }
}

static void gives_the_base_where_no_source_is_left(void **state)
{
    (void)state;
    for (size_t r = 0; r < N_ROWS; r++) {
        struct sample *sample = make_sample(rows[r].method, DTYPE_F32);

        sample->tensor.n_sources = 0;
        assert_int_equal(blend_into(sample, sample->out, NULL), 0);
        assert_memory_equal(sample->out, sample->base, sizeof sample->out);
        free_sample(sample);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(does_what_the_definition_says),
        cmocka_unit_test(gives_the_same_bits_whichever_way_it_goes),
        cmocka_unit_test(keeps_everything_at_density_one_and_nothing_at_zero),
        cmocka_unit_test(gives_a_pruned_vector_its_old_norm_when_rescaled),
        cmocka_unit_test(refuses_a_source_with_a_number_that_is_not_finite),
        cmocka_unit_test(drops_everything_in_place_of_mergekit_only_when_asked),
        cmocka_unit_test(says_which_densities_an_epsilon_allows),
        cmocka_unit_test(draws_by_the_seed_and_nothing_else),
        cmocka_unit_test(gives_the_merge_the_spread_of_its_parents_when_asked),
        cmocka_unit_test(leaves_signs_of_one_size),
        cmocka_unit_test(gives_the_base_where_no_source_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
