/*
 * bench_forward.c - the forward pass against the matrix product it is made of.
 *
 * Lines of name,value,unit,ratio,reference; CPU time of this thread, median of five, references
 * measured in between. Models are random and bfloat16: their numbers cost what trained ones
 * cost.
 */
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/gemm.h"
#include "evaluator/model/generate.h"
#include "tests/bench/measure.h"

#define ROUNDS 5

static long minor_faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/* The reference: GFLOP/s of sgemm at 2048^3. */
struct product {
    float *a, *b, *c;
};

#define PRODUCT ((size_t)2048)

static struct product product_new(void)
{
    struct product product = {.a = mem_array(PRODUCT * PRODUCT, sizeof(float)),
                              .b = mem_array(PRODUCT * PRODUCT, sizeof(float)),
                              .c = mem_array(PRODUCT * PRODUCT, sizeof(float))};

    for (size_t i = 0; i < PRODUCT * PRODUCT; i++) {
        product.a[i] = (float)(i % 7) - 3.0F;
        product.b[i] = (float)(i % 5) - 2.0F;
    }
    return product;
}

static double product_rate(const struct product *product)
{
    const int n = (int)PRODUCT;
    double start = measure_cpu();

    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, n, 1.0F, product->a, n, product->b,
                n, 0.0F, product->c, n);
    return 2e-9 * (double)PRODUCT * (double)PRODUCT * (double)PRODUCT / (measure_cpu() - start);
}

static void product_free(struct product *product)
{
    free(product->a);
    free(product->b);
    free(product->c);
}

static void fail(const struct err *err)
{
    fprintf(stderr, "bench_forward: %s\n", err->text);
    exit(1);
}

/* Shapes: the small example models; a 110M llama's width and depth cut to four layers. */
static struct config tiny_config(void)
{
    return (struct config){.family = CONFIG_LLAMA,
                           .architecture = "LlamaForCausalLM",
                           .n_layers = 6,
                           .width = 64,
                           .mlp_width = 176,
                           .n_heads = 4,
                           .n_kv_heads = 4,
                           .head_width = 16,
                           .vocab = 364,
                           .positions = 4096,
                           .norm_eps = 1e-5,
                           .rope = {.theta = 10000.0, .factor = 1.0}};
}

static struct config wide_config(void)
{
    struct config config = tiny_config();

    config.n_layers = 4;
    config.width = 768;
    config.mlp_width = 2048;
    config.n_heads = config.n_kv_heads = 12;
    config.head_width = 64;
    config.vocab = 32000;
    return config;
}

static struct weights *random_weights(const struct config *config, enum numeric numeric)
{
    struct err err;
    struct weights *weights = NULL;
    struct rng32 rng;

    rng32_seed(&rng, 1, 1);
    if (weights_new_on(&weights, config, (struct gemm_kind){numeric, true}, &err) != 0) {
        fail(&err);
    }
    for (size_t i = 0; i < tensors_count(config); i++) {
        struct tensor_place place;

        tensors_at(config, i, &place);
        size_t n = place.dims[0] * (place.n_dims == 2 ? place.dims[1] : 1);
        float size = place.n_dims == 2 ? 1.7F / sqrtf((float)place.dims[1]) : 0.0F;
        float *values = mem_array(n, sizeof(float));
        uint16_t *stored = mem_array(n, sizeof(uint16_t));
        for (size_t j = 0; j < n; j++) {
            float uniform = (float)rng32_next(&rng) * 0x1p-31F - 1.0F;

            values[j] = place.n_dims == 2 ? uniform * size : 1.0F;
        }
        dtype_from_f32(stored, values, DTYPE_BF16, n);
        weights_fill(weights, place.role, place.layer, stored, DTYPE_BF16);
        free(values);
        free(stored);
    }
    if (weights_bind(weights, &err) != 0) {
        fail(&err);
    }
    return weights;
}

/* Multiply-adds of a layer's matrices, and of a head. */
static double layer_products(const struct config *c)
{
    double d = c->width;
    double q = (double)c->n_heads * c->head_width;
    double kv = (double)c->n_kv_heads * c->head_width;

    return d * (q + 2.0 * kv) + q * d + 3.0 * d * (double)c->mlp_width;
}

static void add_random(struct trie *trie, struct rng32 *rng, uint32_t vocab, const uint32_t *header,
                       size_t n_header, size_t n, size_t score_from)
{
    struct err err;
    uint32_t *tokens = mem_array(n_header + n, sizeof(uint32_t));

    memcpy(tokens, header, n_header * sizeof(uint32_t));
    for (size_t i = 0; i < n; i++) {
        tokens[n_header + i] = rng32_below(rng, vocab);
    }
    if (trie_add(trie, tokens, n_header + n, score_from, false, &err) != 0) {
        fail(&err);
    }
    free(tokens);
}

static void finish(struct trie *trie)
{
    struct err err;

    if (trie_finish(trie, &err) != 0) {
        fail(&err);
    }
}

/* n_sequences of n tokens without a common prefix; from score_from on all are scored. */
static struct trie *separate(uint32_t vocab, size_t n_sequences, size_t n, size_t score_from)
{
    struct trie *trie = trie_new();
    struct rng32 rng;

    rng32_seed(&rng, 7, 7);
    for (size_t s = 0; s < n_sequences; s++) {
        const uint32_t first[2] = {(uint32_t)s % vocab, (uint32_t)s / vocab};

        add_random(trie, &rng, vocab, first, 2, n - 2, score_from);
    }
    finish(trie);
    return trie;
}

/* Four choices to each of n questions behind one header; joined: one trie for all, else the tokens
 * of each sequence on their own (a first token of its own each). */
static struct trie *multiple_choice(uint32_t vocab, size_t n, size_t n_header, bool joined)
{
    const size_t question = 30;
    const size_t answer = 3;
    struct trie *trie = trie_new();
    uint32_t *header = mem_array(n_header + question, sizeof(uint32_t));
    struct rng32 rng;

    rng32_seed(&rng, 3, 3);
    for (size_t i = 0; i < n_header; i++) {
        header[i] = rng32_below(&rng, vocab);
    }
    for (size_t s = 0; s < n; s++) {
        for (size_t i = 0; i < question; i++) {
            header[n_header + i] = rng32_below(&rng, vocab);
        }
        for (uint32_t choice = 0; choice < 4; choice++) {
            if (!joined) {
                header[0] = (uint32_t)(s * 4) + choice;
            }
            add_random(trie, &rng, vocab, header, n_header + question, answer, n_header + question);
        }
    }
    finish(trie);
    free(header);
    return trie;
}

/* Multiply-adds of a trie: products at every position, attention to all before it, logits. */
static double trie_work(const struct config *config, const struct trie *trie)
{
    const struct trie_nodes *nodes = trie_nodes(trie);
    double attended = 0.0;

    for (size_t i = 0; i < nodes->n; i++) {
        attended += 1.0 + nodes->depths[i];
    }
    return config->n_layers * (layer_products(config) * (double)nodes->n +
                               2.0 * config->n_heads * config->head_width * attended) +
           (double)config->width * config->vocab * (double)nodes->n_scored;
}

static double score_seconds(struct forward *forward, const struct weights *weights,
                            const struct trie *trie)
{
    struct err err;
    struct forward_result *results = mem_array(trie_sequences(trie), sizeof(*results));
    double start = measure_cpu();

    if (forward_score(forward, weights, trie, results, &err) != 0) {
        fail(&err);
    }
    double seconds = measure_cpu() - start;
    free(results);
    return seconds;
}

static struct forward *forward_in(const struct config *config, enum numeric numeric)
{
    struct err err;
    struct forward *forward = NULL;

    if (forward_new_on(&forward, config, numeric, 0, &err) != 0) {
        fail(&err);
    }
    return forward;
}

static struct forward *forward_for(const struct config *config)
{
    return forward_in(config, NUMERIC_F32);
}

static void bench_tiny(const struct product *product)
{
    const struct config config = tiny_config();
    struct weights *weights = random_weights(&config, NUMERIC_F32);
    struct forward *forward = forward_for(&config);
    struct trie *all = separate(config.vocab, 128, 256, 1);
    struct trie *last = separate(config.vocab, 1024, 24, 20);
    double flops = 2.0 * (layer_products(&config) * config.n_layers +
                          (double)config.width * (double)config.vocab);
    double all_rates[ROUNDS], last_rates[ROUNDS], peak[ROUNDS];

    score_seconds(forward, weights, all);
    for (size_t i = 0; i < ROUNDS; i++) {
        peak[i] = product_rate(product);
        all_rates[i] = (double)trie_positions(all) / score_seconds(forward, weights, all);
        last_rates[i] = (double)trie_positions(last) / score_seconds(forward, weights, last);
    }
    double reference = measure_median(peak, ROUNDS);
    double rate = measure_median(all_rates, ROUNDS);
    printf("forward_tiny_every_position,%.0f,tokens/s,%.3f,sgemm 2048^3 %.1f GFLOP/s\n", rate,
           rate * flops * 1e-9 / reference, reference);
    printf("forward_tiny_answers,%.0f,tokens/s,,\n", measure_median(last_rates, ROUNDS));
    trie_free(all);
    trie_free(last);
    forward_free(forward);
    weights_free(weights);
}

/* The layers alone: one token is scored. */
static void bench_prefill(const struct product *product)
{
    const struct config config = wide_config();
    struct weights *weights = random_weights(&config, NUMERIC_F32);
    struct forward *forward = forward_for(&config);
    struct trie *trie = separate(config.vocab, 4, 528, 527);
    double flops = 2.0 * layer_products(&config) * config.n_layers;
    double rates[ROUNDS], peak[ROUNDS];

    score_seconds(forward, weights, trie);
    for (size_t i = 0; i < ROUNDS; i++) {
        peak[i] = product_rate(product);
        rates[i] = (double)trie_positions(trie) / score_seconds(forward, weights, trie);
    }
    double reference = measure_median(peak, ROUNDS);
    double rate = measure_median(rates, ROUNDS);
    printf("forward_prefill_768,%.1f,GFLOP/s,%.3f,sgemm 2048^3 %.1f GFLOP/s\n", rate * flops * 1e-9,
           rate * flops * 1e-9 / reference, reference);
    trie_free(trie);
    forward_free(forward);
    weights_free(weights);
}

/* The same on the processor's matrix units, against f32 on the same weights. */
static void bench_matrix_units(enum numeric numeric)
{
    const struct config config = wide_config();
    struct weights *weights = random_weights(&config, numeric);
    struct weights *floats = random_weights(&config, NUMERIC_F32);
    struct forward *forward = forward_in(&config, numeric);
    struct forward *reference = forward_for(&config);
    struct trie *trie = separate(config.vocab, 4, 528, 527);
    double flops = 2.0 * layer_products(&config) * config.n_layers * (double)trie_positions(trie);
    double rates[ROUNDS], ratios[ROUNDS];

    score_seconds(forward, weights, trie);
    score_seconds(reference, floats, trie);
    for (size_t i = 0; i < ROUNDS; i++) {
        double seconds = score_seconds(forward, weights, trie);

        rates[i] = flops * 1e-9 / seconds;
        ratios[i] = score_seconds(reference, floats, trie) / seconds;
    }
    printf("forward_prefill_768_%s,%.1f,GFLOP/s,%.3f,f32 path\n", numeric_name(numeric),
           measure_median(rates, ROUNDS), measure_median(ratios, ROUNDS));
    trie_free(trie);
    forward_free(reference);
    forward_free(forward);
    weights_free(weights);
    weights_free(floats);
}

/* Sharing: how near time follows the number of positions, and what is allocated after the first
 * candidate. */
static void bench_choices(void)
{
    const struct config config = tiny_config();
    struct weights *weights = random_weights(&config, NUMERIC_F32);
    struct forward *forward = forward_for(&config);
    struct trie *joined = multiple_choice(config.vocab, 64, 200, true);
    struct trie *apart = multiple_choice(config.vocab, 64, 200, false);
    double positions = (double)trie_positions(apart) / (double)trie_positions(joined);
    /* Fewer than positions: those that stay are the deep ones, which attend to more. */
    double work = trie_work(&config, apart) / trie_work(&config, joined);
    double ratios[ROUNDS];

    score_seconds(forward, weights, apart);
    uint64_t before = forward_positions(forward);
    score_seconds(forward, weights, joined);
    printf("forward_choices_positions,%llu,positions,%.3f,trie of %zu\n",
           (unsigned long long)(forward_positions(forward) - before),
           (double)(forward_positions(forward) - before) / (double)trie_positions(joined),
           trie_positions(joined));
    long faults = minor_faults();
    for (size_t i = 0; i < ROUNDS; i++) {
        ratios[i] =
            score_seconds(forward, weights, apart) / score_seconds(forward, weights, joined);
    }
    faults = minor_faults() - faults;
    printf("forward_choices_time,%.1f,times,%.3f,positions saved %.1f times\n",
           measure_median(ratios, ROUNDS), measure_median(ratios, ROUNDS) / positions, positions);
    printf("forward_choices_arithmetic,%.1f,times,%.3f,multiply-adds saved %.1f times\n",
           measure_median(ratios, ROUNDS), measure_median(ratios, ROUNDS) / work, work);
    printf("forward_steady_faults,%.1f,faults/candidate,,\n", (double)faults / (2.0 * ROUNDS));
    trie_free(joined);
    trie_free(apart);
    forward_free(forward);
    weights_free(weights);
}

/* ---- decoding ---- */

#define NEW_TOKENS ((size_t)32)

static bool go_on(void *context, size_t line, const struct forward_place *place)
{
    (void)context;
    (void)line;
    (void)place;
    return true;
}

/* Seconds for NEW_TOKENS after each of n prompts of 64 tokens, the prompts' own time taken off. */
static double decode_seconds(struct forward *forward, const struct weights *weights, size_t n)
{
    const uint32_t vocab = weights_config(weights)->vocab;
    const struct generate_sink sink = {.take = go_on};
    struct generate_prompt prompts[GENERATE_LINES];
    uint32_t tokens[GENERATE_LINES][64];
    double seconds[2];
    struct rng32 rng;
    struct err err;

    rng32_seed(&rng, 5, 5);
    for (size_t i = 0; i < n * 64; i++) {
        tokens[i / 64][i % 64] = rng32_below(&rng, vocab);
    }
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < n; i++) {
            prompts[i] = (struct generate_prompt){tokens[i], 64, k == 0 ? 1 : 1 + NEW_TOKENS};
        }
        double start = measure_cpu();

        if (generate(forward, weights, prompts, n, &sink, &err) != 0) {
            fail(&err);
        }
        seconds[k] = measure_cpu() - start;
    }
    return seconds[1] - seconds[0];
}

/* Many lines at a time against one, and against reading a text. */
static void bench_decode(const char *name, struct config config)
{
    struct weights *weights = random_weights(&config, NUMERIC_F32);
    struct forward *forward = forward_for(&config);
    struct trie *text = separate(config.vocab, 4, 528, 1);
    double many[ROUNDS], single[ROUNDS], reading[ROUNDS];

    decode_seconds(forward, weights, GENERATE_LINES);
    score_seconds(forward, weights, text);
    for (size_t i = 0; i < ROUNDS; i++) {
        many[i] = (double)(GENERATE_LINES * NEW_TOKENS) /
                  decode_seconds(forward, weights, GENERATE_LINES);
        single[i] = (double)NEW_TOKENS / decode_seconds(forward, weights, 1);
        reading[i] = (double)trie_positions(text) / score_seconds(forward, weights, text);
    }
    const double rate = measure_median(many, ROUNDS);

    printf("forward_decode_%s,%.0f,tokens/s,%.3f,reading %.0f tokens/s with every place scored\n",
           name, rate, rate / measure_median(reading, ROUNDS), measure_median(reading, ROUNDS));
    printf("forward_decode_%s_lines,%.0f,tokens/s,%.1f,one line at a time %.1f tokens/s\n", name,
           rate, rate / measure_median(single, ROUNDS), measure_median(single, ROUNDS));
    trie_free(text);
    forward_free(forward);
    weights_free(weights);
}

int main(void)
{
    struct product product = product_new();

    openblas_set_num_threads(1);
    fprintf(stderr, "path %s\n", gemm_path(NUMERIC_F32));
    bench_tiny(&product);
    bench_prefill(&product);
    for (int i = NUMERIC_AMX2; i < NUMERIC_N; i++) {
        if (numeric_available((enum numeric)i)) {
            bench_matrix_units((enum numeric)i);
        }
    }
    bench_choices();
    bench_decode("tiny", tiny_config());
    bench_decode("768", wide_config());
    product_free(&product);
    return 0;
}
