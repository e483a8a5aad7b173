/*
 * bench_span.c - methods on whole tensors against what the machine can do, at 64 million bfloat16
 * parameters in one tensor.
 *
 *   name,value,unit,ratio,reference
 *
 *   merge_slerp, merge_nearswap, merge_arcee_fusion    a base and one source
 *   merge_nuslerp_rows                                 two sources
 *   merge_karcher                                      three sources
 *   merge_model_stock, merge_sce, merge_ram            a base and three sources
 *
 * Reference: two passes over as many streams and nothing computed, the first reads them, the second
 * also writes one past the caches. CPU time of the thread, turns taken with the reference; medians
 * of five.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/merge/blend.h"
#include "tests/bench/measure.h"

#define TURNS 5
#define ROWS 16384
#define COLUMNS 4096
#define N ((size_t)ROWS * COLUMNS)
#define MODELS 4 /* three sources, and the base last */

struct table {
    uint16_t *weights[MODELS], *out;
    struct checkpoint_tensor tensors[MODELS];
    const struct checkpoint_tensor *sources[MODELS];
};

static void *block_of(size_t n)
{
    struct err err;
    void *block = mem_try_block(n, sizeof(uint16_t), "weights", &err);

    measure_must(block == NULL ? ERR_MEMORY : 0, &err);
    return block;
}

/* Sources near the base, as fine-tunes are: a row is drawn once and turned from row to row. */
static void set_table(struct table *table)
{
    static float row[MODELS][COLUMNS];
    struct rng64 rng;

    rng64_seed(&rng, 1, 1);
    for (size_t m = MODELS; m-- > 0;) {
        table->weights[m] = block_of(N);
        for (size_t i = 0; i < COLUMNS; i++) {
            float spread = m == MODELS - 1 ? 0.02F : 0.001F;
            float drawn = ((float)rng64_below(&rng, 1U << 20) / (float)(1U << 19) - 1.0F) * spread;

            row[m][i] = drawn + (m == MODELS - 1 ? 0.0F : row[MODELS - 1][i]);
        }
        for (size_t r = 0; r < ROWS; r++) {
            size_t cut = r * 7 % COLUMNS;

            dtype_from_f32(table->weights[m] + r * COLUMNS, row[m] + cut, DTYPE_BF16,
                           COLUMNS - cut);
            dtype_from_f32(table->weights[m] + r * COLUMNS + (COLUMNS - cut), row[m], DTYPE_BF16,
                           cut);
        }
        table->tensors[m] = (struct checkpoint_tensor){.name = "t",
                                                       .dtype = DTYPE_BF16,
                                                       .n_elements = N,
                                                       .data = (unsigned char *)table->weights[m],
                                                       .file = "f"};
        table->sources[m] = &table->tensors[m];
    }
    table->out = block_of(N);
    memset(table->out, 0, N * sizeof(uint16_t));
}

/* ---- the reference ---- */

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void stream(char *out, const char *const *in, size_t n_in,
                                                   size_t n_bytes, bool writes)
{
    __m256i all = _mm256_setzero_si256();

    for (size_t at = 0; at + 32 <= n_bytes; at += 32) {
        __m256i sum = _mm256_loadu_si256((const void *)(in[0] + at));

        for (size_t s = 1; s < n_in; s++) {
            sum = _mm256_xor_si256(sum, _mm256_loadu_si256((const void *)(in[s] + at)));
        }
        if (writes) {
            _mm256_stream_si256((void *)(out + at), sum);
        } else {
            all = _mm256_or_si256(all, sum);
        }
    }
    if (!writes) {
        _mm256_storeu_si256((void *)out, all);
    }
}
#else
static void stream(char *out, const char *const *in, size_t n_in, size_t n_bytes, bool writes)
{
    for (size_t at = 0; at < n_bytes; at++) {
        char sum = in[0][at];

        for (size_t s = 1; s < n_in; s++) {
            sum = (char)(sum ^ in[s][at]);
        }
        out[writes ? at : 0] = (char)(sum ^ out[writes ? at : 0]);
    }
}
#endif

static double time_streams(const struct table *table, size_t n_in)
{
    const char *in[MODELS];

    for (size_t s = 0; s < n_in; s++) {
        in[s] = (const char *)table->weights[s];
    }
    double before = measure_cpu();

    stream((char *)table->out, in, n_in, N * sizeof(uint16_t), false);
    stream((char *)table->out, in, n_in, N * sizeof(uint16_t), true);
    return measure_cpu() - before;
}

/* ---- methods ---- */

static int give_out(void *context, const struct plan_tensor *tensor, void **out, struct err *err)
{
    struct table *table = context;

    (void)tensor;
    (void)err;
    *out = table->out;
    return 0;
}

static double time_method(struct table *table, const struct method *method, size_t n_sources,
                          const double *whole)
{
    double source_values[MODELS * METHOD_PARAMETERS_MAX];
    struct plan_tensor tensor = {.name = "t",
                                 .n_dims = 2,
                                 .dims = {ROWS, COLUMNS},
                                 .n = N,
                                 .dtype = DTYPE_BF16,
                                 .work = DTYPE_F32,
                                 .base = method->needs_base ? &table->tensors[MODELS - 1] : NULL,
                                 .n_sources = n_sources,
                                 .sources = table->sources,
                                 .source_values = source_values,
                                 .whole_values = whole};
    const struct plan plan = {.method = method,
                              .n_sources = n_sources,
                              .n_tensors = 1,
                              .tensors = &tensor,
                              .n_elements = N};
    const struct blend_sink sink = {.store = give_out, .context = table};
    struct blend *blend = blend_new();
    struct err err;

    for (size_t i = 0; i < MODELS * METHOD_PARAMETERS_MAX; i++) {
        source_values[i] = 1.0;
    }
    double before = measure_cpu();

    measure_must(blend_run(blend, &plan, &sink, NULL, &err), &err);
    double spent = measure_cpu() - before;
    blend_free(blend);
    return spent;
}

/* parameter: set to value, the others are at their defaults; NULL: all are. */
static void bench(struct table *table, const char *line, const char *name, size_t n_sources,
                  const char *parameter, double value)
{
    const struct method *method = NULL;
    double whole[METHOD_PARAMETERS_MAX];
    double spent[TURNS];
    double limit[TURNS];
    struct err err;

    measure_must(method_find(&method, name, &err), &err);
    for (size_t p = 0; p < method_count(method, METHOD_WHOLE); p++) {
        const struct method_parameter *row = method_at(method, METHOD_WHOLE, p);
        bool is_set = parameter != NULL && strcmp(row->name, parameter) == 0;

        whole[p] = is_set ? value : row->fallback;
    }
    for (size_t turn = 0; turn < TURNS; turn++) {
        limit[turn] = time_streams(table, n_sources + method->needs_base);
        spent[turn] = time_method(table, method, n_sources, whole);
    }
    double rate = (double)N / measure_median(spent, TURNS) / 1e9;
    double peak = (double)N / measure_median(limit, TURNS) / 1e9;

    printf("%s,%.3f,Gparam/s,%.2f,two passes over %zu streams %.3f Gparam/s\n", line, rate,
           rate / peak, n_sources + method->needs_base, peak);
    fflush(stdout);
}

int main(void)
{
    static struct table table;

    set_table(&table);
    bench(&table, "merge_slerp", "slerp", 1, NULL, 0);
    bench(&table, "merge_nuslerp_rows", "nuslerp", 2, "nuslerp_flatten", 0);
    bench(&table, "merge_karcher", "karcher", 3, NULL, 0);
    bench(&table, "merge_model_stock", "model_stock", 3, NULL, 0);
    bench(&table, "merge_sce", "sce", 3, "select_topk", 0.3);
    bench(&table, "merge_ram", "ram", 3, NULL, 0);
    bench(&table, "merge_nearswap", "nearswap", 1, NULL, 0);
    bench(&table, "merge_arcee_fusion", "arcee_fusion", 1, NULL, 0);
    for (size_t m = 0; m < MODELS; m++) {
        free(table.weights[m]);
    }
    free(table.out);
    return 0;
}
