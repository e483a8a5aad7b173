/*
 * bench_merge.c - merging against what the machine can do, at 69 million bfloat16 parameters.
 *
 *   bench_merge [NAME ...]      name,value,unit,ratio,reference
 *
 *   merge_linear, merge_task_arithmetic, merge_ties    three sources and a base (linear: four
 *       sources) to memory. Reference: the same traffic, four streams read and one written past the
 *       caches, and nothing computed. ties: thresholds of these densities are known
 *   merge_ties_new      thresholds of densities never asked for, bins known
 *   merge_ties_digest   as a candidate is built: floats of the forward pass, and the weights'
 * digest exact_selection     first thresholds of three task vectors. Reference: a full sort export
 * a folder from the page cache to the disk. Reference: the slower of reading the inputs and writing
 * as many bytes, synced
 *
 * CPU time of the thread, except export (wall); turns taken with the reference; medians of five.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/merge/blend.h"
#include "evaluator/merge/export.h"
#include "evaluator/merge/trim.h"
#include "evaluator/model/safetensors_write.h"
#include "tests/bench/measure.h"
#include "tests/support/support.h"

#define TURNS 5
#define LAYERS 4
#define MODELS 4 /* a base and three fine-tunes of it */

/* ---- models on the disk ---- */

static const char config_text[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":1024,"
    "\"intermediate_size\":4096,\"num_hidden_layers\":4,\"num_attention_heads\":16,"
    "\"vocab_size\":1000,\"torch_dtype\":\"bfloat16\"}";

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor_place *)a)->name, ((const struct tensor_place *)b)->name);
}

/* About normal: the sum of four uniform numbers, of standard deviation `spread`. */
static float drawn(struct rng64 *rng, float spread)
{
    uint64_t bits = rng64_next(rng);
    float sum = (float)(bits & 0xffff) + (float)(bits >> 16 & 0xffff) +
                (float)(bits >> 32 & 0xffff) + (float)(bits >> 48);

    return (sum / 65536.0F - 2.0F) * spread * 1.7320508F;
}

/* Model 0 is the base; the others are near it. */
static void write_model(const char *path, size_t model)
{
    struct tensor_place places[64];
    struct safetensors_output outputs[64];
    struct safetensors_writer *writer = NULL;
    struct config config;
    struct err err;
    struct rng64 base_rng;
    struct rng64 rng;

    measure_must(file_make_dirs(path, &err), &err);
    support_write(path, "config.json", config_text);
    measure_must(config_load(&config, path, &err), &err);
    size_t n = tensors_count(&config);
    for (size_t i = 0; i < n; i++) {
        tensors_at(&config, i, &places[i]);
    }
    qsort(places, n, sizeof(places[0]), by_name);
    for (size_t i = 0; i < n; i++) {
        size_t elements = places[i].dims[0] * (places[i].n_dims > 1 ? places[i].dims[1] : 1);

        outputs[i] = (struct safetensors_output){.name = places[i].name,
                                                 .dtype = DTYPE_BF16,
                                                 .n_dims = places[i].n_dims,
                                                 .n_bytes = elements * 2};
        memcpy(outputs[i].dims, places[i].dims, sizeof(outputs[i].dims));
    }
    rng64_seed(&base_rng, 1, 1);
    rng64_seed(&rng, 2, model);
    measure_must(safetensors_write_begin(&writer, path, outputs, n, SAFETENSORS_SHARD_BYTES, &err),
                 &err);
    for (size_t i = 0; i < n; i++) {
        for (size_t at = 0; at < outputs[i].n_bytes; at += 2048) {
            float floats[1024];
            uint16_t stored[1024];

            for (size_t e = 0; e < 1024; e++) {
                floats[e] = drawn(&base_rng, 0.02F) + (model > 0 ? drawn(&rng, 0.001F) : 0.0F);
            }
            dtype_from_f32(stored, floats, DTYPE_BF16, 1024);
            size_t left = outputs[i].n_bytes - at;
            measure_must(safetensors_write_bytes(writer, stored, left < 2048 ? left : 2048, &err),
                         &err);
        }
    }
    measure_must(safetensors_write_end(writer, &err), &err);
}

struct kitchen {
    char *folder;
    struct checkpoint *models[MODELS];
    char digests[MODELS][DIGEST_HEX];
    struct plan_model named[MODELS];
    size_t n_elements;
    unsigned char *memory; /* results as bytes, or as floats */
};

static void open_kitchen(struct kitchen *kitchen)
{
    struct err err;

    kitchen->folder = support_temp_dir();
    for (size_t i = 0; i < MODELS; i++) {
        char *path = mem_printf("%s/%zu", kitchen->folder, i);

        write_model(path, i);
        measure_must(checkpoint_open(&kitchen->models[i], path, &err), &err);
        measure_must(checkpoint_digest(kitchen->models[i], kitchen->digests[i], &err), &err);
        kitchen->named[i] = (struct plan_model){kitchen->digests[i], kitchen->models[i]};
        free(path);
    }
    for (size_t i = 0; i < checkpoint_count(kitchen->models[0]); i++) {
        kitchen->n_elements += checkpoint_at(kitchen->models[0], i)->n_elements;
    }
    kitchen->memory = mem_try_block(kitchen->n_elements + 4096, sizeof(float), "results", &err);
    measure_must(kitchen->memory == NULL ? ERR_MEMORY : 0, &err);
    memset(kitchen->memory, 0, kitchen->n_elements * sizeof(float));
}

static void close_kitchen(struct kitchen *kitchen)
{
    for (size_t i = 0; i < MODELS; i++) {
        checkpoint_close(kitchen->models[i]);
    }
    free(kitchen->memory);
    support_remove_dir(kitchen->folder);
}

/* ---- the reference: four streams in, one out ---- */

/* Where tensor i of the base and the sources lies, and where its result goes. */
static const void *stream_in(const struct kitchen *kitchen, size_t model, size_t tensor)
{
    return checkpoint_at(kitchen->models[model], tensor)->data;
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void stream_avx512(char *out, const char *const *in,
                                                             size_t n_bytes)
{
    for (size_t at = 0; at + 64 <= n_bytes; at += 64) {
        __m512i a =
            _mm512_xor_si512(_mm512_loadu_si512(in[0] + at), _mm512_loadu_si512(in[1] + at));
        __m512i b =
            _mm512_xor_si512(_mm512_loadu_si512(in[2] + at), _mm512_loadu_si512(in[3] + at));

        _mm512_stream_si512((void *)(out + at), _mm512_xor_si512(a, b));
    }
}

static void stream_sse2(char *out, const char *const *in, size_t n_bytes)
{
    for (size_t at = 0; at + 16 <= n_bytes; at += 16) {
        __m128i sum = _mm_loadu_si128((const void *)(in[0] + at));

        for (size_t s = 1; s < 4; s++) {
            sum = _mm_xor_si128(sum, _mm_loadu_si128((const void *)(in[s] + at)));
        }
        _mm_stream_si128((void *)(out + at), sum);
    }
}
#endif

/* As fast as this processor moves the bytes of a merge, by plain loops over the same maps. */
static double stream_limit(const struct kitchen *kitchen)
{
    double before = measure_cpu();
    size_t out = 0;

    for (size_t i = 0; i < checkpoint_count(kitchen->models[0]); i++) {
        const char *in[MODELS];
        size_t n_bytes = checkpoint_at(kitchen->models[0], i)->n_bytes;

        for (size_t s = 0; s < MODELS; s++) {
            in[s] = stream_in(kitchen, s, i);
        }
#if defined(__x86_64__)
        if (__builtin_cpu_supports("avx512f")) {
            stream_avx512((char *)kitchen->memory + out, in, n_bytes);
        } else {
            stream_sse2((char *)kitchen->memory + out, in, n_bytes);
        }
#else
        for (size_t at = 0; at < n_bytes; at++) {
            kitchen->memory[out + at] =
                (unsigned char)(in[0][at] ^ in[1][at] ^ in[2][at] ^ in[3][at]);
        }
#endif
        out += (n_bytes + 63) / 64 * 64;
    }
    return measure_cpu() - before;
}

/* ---- recipes ---- */

struct cursor {
    unsigned char *at;
};

static int store_next(void *context, const struct plan_tensor *tensor, void **out, struct err *err)
{
    struct cursor *cursor = context;

    (void)err;
    *out = cursor->at;
    cursor->at += (tensor->n * 2 + 63) / 64 * 64;
    return 0;
}

static int place_next(void *context, const struct plan_tensor *tensor, float **out, struct err *err)
{
    struct cursor *cursor = context;

    (void)err;
    *out = (float *)(void *)cursor->at;
    cursor->at += (tensor->n * 4 + 63) / 64 * 64;
    return 0;
}

/* linear mixes all four models, the others three on a base. */
static void make_recipe(const struct kitchen *kitchen, const char *name, struct recipe *out)
{
    const struct method *method;
    const char *sources[MODELS];
    struct err err;

    measure_must(method_find(&method, name, &err), &err);
    size_t first = method->needs_base ? 1 : 0;
    for (size_t i = first; i < MODELS; i++) {
        sources[i - first] = kitchen->digests[i];
    }
    recipe_init(out, method, RECIPE_BFLOAT16, 1, LAYERS, sources, MODELS - first,
                first > 0 ? kitchen->digests[0] : NULL);
}

static void set_density(struct recipe *recipe, double density)
{
    size_t n = method_count(recipe->method, METHOD_SOURCE);
    size_t at = method_index(recipe->method, METHOD_SOURCE, "density");

    for (size_t s = 0; s < recipe->n_sources; s++) {
        recipe->groups[0].source_values[s * n + at] = density + 0.01 * (double)s;
    }
}

enum ending { TO_MEMORY, TO_FLOATS_WITH_DIGEST };

static double time_blend(const struct kitchen *kitchen, struct blend *blend,
                         const struct recipe *recipe, enum ending ending)
{
    struct cursor cursor = {kitchen->memory};
    struct blend_sink sink = {.context = &cursor};
    struct plan plan = {0};
    char weights[DIGEST_HEX];
    struct err err;

    if (ending == TO_MEMORY) {
        sink.store = store_next;
    } else {
        sink.place = place_next;
    }
    double before = measure_cpu();
    measure_must(plan_make(&plan, recipe, kitchen->named, MODELS, &err), &err);
    measure_must(blend_run(blend, &plan, &sink, ending == TO_MEMORY ? NULL : weights, &err), &err);
    double spent = measure_cpu() - before;
    plan_release(&plan);
    return spent;
}

static void print_rate(const struct kitchen *kitchen, const char *name, double *spent,
                       double *limit)
{
    double rate = (double)kitchen->n_elements / measure_median(spent, TURNS) / 1e9;
    double peak = (double)kitchen->n_elements / measure_median(limit, TURNS) / 1e9;

    printf("%s,%.3f,Gparam/s,%.2f,stream limit %.3f Gparam/s (%.1f GB/s)\n", name, rate,
           rate / peak, peak, peak * 10.0);
    fflush(stdout);
}

/* Lines asked for by the start of their names; all, if none are. */
static char **wanted;

static bool is_wanted(const char *name)
{
    char **prefix = wanted;

    while (*prefix != NULL && strncmp(name, *prefix, strlen(*prefix)) != 0) {
        prefix++;
    }
    return *wanted == NULL || *prefix != NULL;
}

/* densities that change with every turn, or stay */
static void bench_blend(const struct kitchen *kitchen, const char *name, const char *method,
                        bool new_densities, enum ending ending)
{
    struct recipe recipe = {0};
    double spent[TURNS];
    double limit[TURNS];

    if (!is_wanted(name)) {
        return;
    }
    struct blend *blend = blend_new();

    make_recipe(kitchen, method, &recipe);
    if (method_parameter_find(recipe.method, "density") != NULL) {
        set_density(&recipe, 0.4);
    }
    time_blend(kitchen, blend, &recipe, ending);
    for (size_t turn = 0; turn < TURNS; turn++) {
        if (new_densities) {
            set_density(&recipe, 0.2 + 0.1 * (double)turn);
        }
        limit[turn] = stream_limit(kitchen);
        spent[turn] = time_blend(kitchen, blend, &recipe, ending);
    }
    print_rate(kitchen, name, spent, limit);
    recipe_release(&recipe);
    blend_free(blend);
}

/* ---- selection ---- */

static int by_magnitude(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

static struct trim_delta delta_of(const struct kitchen *kitchen, size_t model, size_t tensor)
{
    const struct checkpoint_tensor *source = checkpoint_at(kitchen->models[model], tensor);
    const struct checkpoint_tensor *base = checkpoint_at(kitchen->models[0], tensor);

    return (struct trim_delta){source->data, base->data, DTYPE_BF16,
                               DTYPE_BF16,   DTYPE_F32,  source->n_elements};
}

/* The largest matrix of each of three task vectors, half of it kept. */
static void bench_selection(const struct kitchen *kitchen)
{
    const struct checkpoint_tensor *any = checkpoint_role(kitchen->models[0], TENSOR_GATE, 0);
    size_t tensor = (size_t)(any - checkpoint_at(kitchen->models[0], 0));
    size_t n = any->n_elements;
    float *magnitudes = mem_array(n, sizeof(float));
    float *bases = mem_array(n, sizeof(float));
    double spent[TURNS];
    double limit[TURNS];
    uint32_t check = 0;

    for (size_t turn = 0; turn < TURNS; turn++) {
        spent[turn] = 0;
        limit[turn] = 0;
        for (size_t model = 1; model < MODELS; model++) {
            struct trim_delta delta = delta_of(kitchen, model, tensor);
            struct trim_counts counts = {0};
            struct trim trim;
            double before = measure_cpu();

            trim_find(&trim, &counts, &delta, n / 2);
            spent[turn] += measure_cpu() - before;
            trim_counts_release(&counts);
            dtype_to_f32(magnitudes, delta.source, DTYPE_BF16, n);
            dtype_to_f32(bases, delta.base, DTYPE_BF16, n);
            for (size_t i = 0; i < n; i++) {
                magnitudes[i] =
                    magnitudes[i] < bases[i] ? bases[i] - magnitudes[i] : magnitudes[i] - bases[i];
            }
            before = measure_cpu();
            qsort(magnitudes, n, sizeof(float), by_magnitude);
            limit[turn] += measure_cpu() - before;
            check |= memcmp(&magnitudes[n / 2 - 1], &trim.bits, 4) != 0;
        }
    }
    double rate = 3.0 * (double)n / measure_median(spent, TURNS) / 1e9;
    double peak = 3.0 * (double)n / measure_median(limit, TURNS) / 1e9;
    printf("exact_selection,%.3f,Gparam/s,%.1f,qsort %.4f Gparam/s%s\n", rate, rate / peak, peak,
           check != 0 ? " (WRONG)" : "");
    free(magnitudes);
    free(bases);
}

/* ---- export ---- */

static double time_write(const struct kitchen *kitchen)
{
    char *path = mem_printf("%s/plain", kitchen->folder);
    size_t n_bytes = kitchen->n_elements * 2;
    double before = measure_wall();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    for (size_t at = 0; at < n_bytes;) {
        size_t part = n_bytes - at < (8U << 20) ? n_bytes - at : 8U << 20;
        ssize_t n = write(fd, kitchen->memory + at, part);

        if (n <= 0) {
            break;
        }
        at += (size_t)n;
    }
    fsync(fd);
    close(fd);
    double spent = measure_wall() - before;
    unlink(path);
    free(path);
    return spent;
}

static void bench_export(const struct kitchen *kitchen)
{
    struct recipe recipe = {0};
    struct plan plan = {0};
    char *out = mem_printf("%s/out", kitchen->folder);
    double spent[TURNS];
    double limit[TURNS];
    char weights[DIGEST_HEX];
    struct err err;

    make_recipe(kitchen, "task_arithmetic", &recipe);
    measure_must(plan_make(&plan, &recipe, kitchen->named, MODELS, &err), &err);
    for (size_t turn = 0; turn < TURNS; turn++) {
        double before = measure_wall();

        measure_must(export_write(&plan, out, NULL, 0, 0, NULL, weights, &err), &err);
        spent[turn] = measure_wall() - before;
        measure_must(file_remove_tree(out, &err), &err);
        double reading = stream_limit(kitchen);
        double writing = time_write(kitchen);
        limit[turn] = reading > writing ? reading : writing;
    }
    double mine = measure_median(spent, TURNS);
    double plain = measure_median(limit, TURNS);
    printf("export,%.3f,s,%.2f,plain reading or writing %.3f s\n", mine, plain / mine, plain);
    plan_release(&plan);
    recipe_release(&recipe);
    free(out);
}

int main(int argc, char **argv)
{
    (void)argc;
    wanted = argv + 1;
    struct kitchen kitchen = {0};

    open_kitchen(&kitchen);
    stream_limit(&kitchen);
    bench_blend(&kitchen, "merge_linear", "linear", false, TO_MEMORY);
    bench_blend(&kitchen, "merge_task_arithmetic", "task_arithmetic", false, TO_MEMORY);
    bench_blend(&kitchen, "merge_ties", "ties", false, TO_MEMORY);
    bench_blend(&kitchen, "merge_ties_new", "ties", true, TO_MEMORY);
    bench_blend(&kitchen, "merge_ties_digest", "ties", false, TO_FLOATS_WITH_DIGEST);
    bench_blend(&kitchen, "merge_dare_linear", "dare_linear", false, TO_MEMORY);
    bench_blend(&kitchen, "merge_dare_ties", "dare_ties", false, TO_MEMORY);
    bench_blend(&kitchen, "merge_dare_ties_new", "dare_ties", true, TO_MEMORY);
    bench_blend(&kitchen, "merge_breadcrumbs", "breadcrumbs", false, TO_MEMORY);
    bench_blend(&kitchen, "merge_breadcrumbs_ties", "breadcrumbs_ties", false, TO_MEMORY);
    bench_blend(&kitchen, "merge_breadcrumbs_ties_new", "breadcrumbs_ties", true, TO_MEMORY);
    bench_blend(&kitchen, "merge_della", "della", false, TO_MEMORY);
    if (is_wanted("exact_selection")) {
        bench_selection(&kitchen);
    }
    if (is_wanted("export")) {
        bench_export(&kitchen);
    }
    close_kitchen(&kitchen);
    return 0;
}
