/*
 * attention.c - attention over the stack of a trie's current path.
 *
 * The stack of one key/value head, for paths of up to N nodes:
 *
 *   keys    [N / 16, K, 16]  blocks of 16 nodes, transposed: one load gives element d of 16 keys,
 *                            so scores grow in registers without sums across a register
 *   values  [N, K']          K' = K rounded up to 16, padding zero: one load gives 16 elements of a
 *                            value
 *
 * Up to four queries, of nodes on one path or of one node's heads, share every load. Softmax in two
 * passes over a row of scores: the row is as long as the path, and every sum runs over the path in
 * order of depth.
 *
 * The build compiles this file once an instruction set and defines KERNELS_ISA.
 */
#include "evaluator/model/attention.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "evaluator/model/lanes.h"

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif
#define KERNELS_PASTE(stem, isa) stem##_##isa
#define KERNELS_NAME(stem, isa) KERNELS_PASTE(stem, isa)

/* Blocks of 16 that fit the registers beside four queries. */
#if defined(__AVX512F__)
#define BLOCKS 4
#else
#define BLOCKS 1
#endif
#define WIDTH LANES_WIDTH
#define PARTS LANES_PARTS
#define QUERIES ATTENTION_QUERIES

/* One head of keys and values, and the rows of scores. */
struct head {
    float *keys, *values;
    size_t K, value_width;
    float *scores; /* [QUERIES, score_stride] */
    size_t score_stride;
    float scale, cap;
    size_t window; /* SIZE_MAX: none */
};

/* Queries beside each other, of nodes on one path (rise 1) or of one node (rise 0). */
struct queries {
    float *out;
    size_t out_stride;
    const float *q;
    size_t q_stride;
    size_t depth, rise; /* of the first, and by which the next is deeper */
};

/* Entries [from, to) of the stack, and the blocks that hold them. */
struct span {
    size_t from, to, block, blocks_end;
};

/* What a query at this depth sees. */
static ALWAYS_INLINE struct span span_of(const struct head *head, size_t depth)
{
    size_t from = depth + 1 > head->window ? depth + 1 - head->window : 0;

    return (struct span){from, depth + 1, from / LANES, (depth + LANES) / LANES};
}

/* Scores of Q queries with the keys of B blocks from `block` on. */
static ALWAYS_INLINE void score_blocks(const struct head *head, const struct queries *queries,
                                       size_t block, const size_t Q, const size_t B)
{
    vector sum[QUERIES][BLOCKS * PARTS] = {0};
    const size_t K = head->K;
    const float *keys = head->keys + block * K * LANES;
    const float *q = queries->q;
    const size_t q_stride = queries->q_stride;
    float *scores = head->scores + block * LANES;
    const size_t stride = head->score_stride;

    for (size_t d = 0; d < K; d++) {
        for (size_t b = 0; b < B; b++) {
            for (size_t p = 0; p < PARTS; p++) {
                vector key = vector_load(keys + (b * K + d) * LANES + p * WIDTH);

                for (size_t i = 0; i < Q; i++) {
                    sum[i][b * PARTS + p] += q[i * q_stride + d] * key;
                }
            }
        }
    }
    for (size_t i = 0; i < Q; i++) {
        for (size_t p = 0; p < B * PARTS; p++) {
            vector_store(scores + i * stride + p * WIDTH, sum[i][p]);
        }
    }
}

static ALWAYS_INLINE void score_path(const struct head *head, const struct queries *queries,
                                     struct span span, const size_t Q)
{
    size_t block = span.block;

    for (; block + BLOCKS <= span.blocks_end; block += BLOCKS) {
        score_blocks(head, queries, block, Q, BLOCKS);
    }
    for (; block < span.blocks_end; block++) {
        score_blocks(head, queries, block, Q, 1);
    }
}

static ALWAYS_INLINE float largest_score(const float *scores, size_t n_blocks)
{
    vector largest[PARTS];

    for (size_t p = 0; p < PARTS; p++) {
        largest[p] = vector_load(scores + p * WIDTH);
    }
    for (size_t b = 1; b < n_blocks; b++) {
        for (size_t p = 0; p < PARTS; p++) {
            largest[p] = vector_larger(vector_load(scores + b * LANES + p * WIDTH), largest[p]);
        }
    }
    return vector_largest(largest);
}

/* Scores [n_blocks, 16], scaled, pressed into (-cap, cap). */
static void cap_scores(float *scores, size_t n_blocks, float scale, float cap)
{
    for (size_t i = 0; i < n_blocks * LANES; i += WIDTH) {
        vector_store(scores + i, vector_tanh(vector_load(scores + i) * (scale / cap)) * cap);
    }
}

/* Scores of the blocks of `all`, of which those of `own` count, become exp(scale * (score -
 * largest)), the others zero. Returns the sum. */
static ALWAYS_INLINE float exponentials(float *scores, const struct head *head, struct span all,
                                        struct span own)
{
    float *first = scores + all.block * LANES;
    size_t n_blocks = all.blocks_end - all.block;
    float scale = head->scale;
    vector sum[PARTS] = {0};

    if (head->cap > 0.0F) {
        cap_scores(first, n_blocks, scale, head->cap);
        scale = 1.0F;
    }
    for (size_t j = all.block * LANES; j < own.from; j++) {
        scores[j] = -INFINITY;
    }
    for (size_t j = own.to; j < all.blocks_end * LANES; j++) {
        scores[j] = -INFINITY;
    }
    float largest = largest_score(first, n_blocks);
    for (size_t b = 0; b < n_blocks; b++) {
        for (size_t p = 0; p < PARTS; p++) {
            float *at = first + b * LANES + p * WIDTH;
            vector e = vector_exp((vector_load(at) - largest) * scale);

            vector_store(at, e);
            sum[p] += e;
        }
    }
    return vector_sum(sum);
}

/* out = (sum over a span's entries of weight * value) / divisor, for Q queries and B * 16 elements
 * of the values from `at` on; only the first K elements are written. */
static ALWAYS_INLINE void mix_blocks(const struct head *head, const struct queries *queries,
                                     const float *divisors, struct span span, size_t at,
                                     const size_t Q, const size_t B)
{
    vector sum[QUERIES][BLOCKS * PARTS] = {0};
    const float *values = head->values + at;
    const size_t width = head->value_width;
    const float *weights = head->scores;
    const size_t stride = head->score_stride;

    for (size_t j = span.from; j < span.to; j++) {
        for (size_t p = 0; p < B * PARTS; p++) {
            vector value = vector_load(values + j * width + p * WIDTH);

            for (size_t i = 0; i < Q; i++) {
                sum[i][p] += weights[i * stride + j] * value;
            }
        }
    }
    size_t wanted = head->K - at < B * LANES ? head->K - at : B * LANES;
    for (size_t i = 0; i < Q; i++) {
        float row[BLOCKS * LANES];

        for (size_t p = 0; p < B * PARTS; p++) {
            vector_store(row + p * WIDTH, sum[i][p] / divisors[i]);
        }
        memcpy(queries->out + i * queries->out_stride + at, row, wanted * sizeof(float));
    }
}

static ALWAYS_INLINE void mix_values(const struct head *head, const struct queries *queries,
                                     const float *divisors, struct span span, const size_t Q)
{
    size_t at = 0;

    for (; at + BLOCKS * LANES <= head->value_width; at += BLOCKS * LANES) {
        mix_blocks(head, queries, divisors, span, at, Q, BLOCKS);
    }
    for (; at < head->value_width; at += LANES) {
        mix_blocks(head, queries, divisors, span, at, Q, 1);
    }
}

/* The first Q queries. They share every load, so each also meets keys below itself and above its
 * window; its weights there are zero, and adding zero changes no sum. */
static ALWAYS_INLINE void attend_few(const struct head *head, const struct queries *queries,
                                     const size_t Q)
{
    struct span first = span_of(head, queries->depth);
    struct span last = span_of(head, queries->depth + (Q - 1) * queries->rise);
    struct span all = {first.from, last.to, first.block, last.blocks_end};
    float divisors[QUERIES];

    score_path(head, queries, all, Q);
    for (size_t i = 0; i < Q; i++) {
        divisors[i] = exponentials(head->scores + i * head->score_stride, head, all,
                                   span_of(head, queries->depth + i * queries->rise));
    }
    mix_values(head, queries, divisors, all, Q);
}

/* n queries, four at a time. */
static void attend_queries(const struct head *head, struct queries queries, size_t n)
{
    while (n >= QUERIES) {
        attend_few(head, &queries, QUERIES);
        queries.out += QUERIES * queries.out_stride;
        queries.q += QUERIES * queries.q_stride;
        queries.depth += QUERIES * queries.rise;
        n -= QUERIES;
    }
    if (n == 3) {
        attend_few(head, &queries, 3);
    } else if (n == 2) {
        attend_few(head, &queries, 2);
    } else if (n == 1) {
        attend_few(head, &queries, 1);
    }
}

/* Write the keys and values of n nodes at depth, depth + 1, ... */
static void push(const struct head *head, const float *keys, const float *values, size_t stride,
                 size_t depth, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = depth + i;
        float *column = head->keys + at / LANES * head->K * LANES + at % LANES;

        for (size_t d = 0; d < head->K; d++) {
            column[d * LANES] = keys[i * stride + d];
        }
        memcpy(head->values + at * head->value_width, values + i * stride, head->K * sizeof(float));
    }
}

static size_t path_length(const uint32_t *depths, size_t n)
{
    size_t length = 1;

    while (length < n && depths[length] == depths[length - 1] + 1) {
        length++;
    }
    return length;
}

static void attend(float *out, const float *qkv, const uint32_t *depths, size_t T,
                   const struct attention_shape *shape, float *stack, float *scratch)
{
    const size_t K = shape->head_width;
    const size_t q_width = shape->n_heads * K;
    const size_t kv_width = shape->n_kv_heads * K;
    const size_t stride = q_width + 2 * kv_width;
    const size_t share = shape->n_heads / shape->n_kv_heads;
    const size_t depth_room = (shape->depth_max + LANES - 1) / LANES * LANES;
    const size_t value_width = (K + LANES - 1) / LANES * LANES;
    const size_t head_floats = depth_room * (K + value_width);

    for (size_t t = 0, n; t < T; t += n) {
        n = path_length(depths + t, T - t);
        for (size_t g = 0; g < shape->n_kv_heads; g++) {
            const struct head head = {.keys = stack + g * head_floats,
                                      .values = stack + g * head_floats + depth_room * K,
                                      .K = K,
                                      .value_width = value_width,
                                      .scores = scratch,
                                      .score_stride = depth_room,
                                      .scale = shape->scale,
                                      .cap = shape->cap,
                                      .window = shape->window > 0 ? shape->window : SIZE_MAX};
            const float *key = qkv + t * stride + q_width + g * K;
            struct queries queries = {.out = out + t * q_width + g * share * K,
                                      .out_stride = q_width,
                                      .q = qkv + t * stride + g * share * K,
                                      .q_stride = stride,
                                      .depth = depths[t],
                                      .rise = 1};

            push(&head, key, key + kv_width, stride, depths[t], n);
            if (n == 1) {
                queries.q_stride = queries.out_stride = K;
                queries.rise = 0;
                attend_queries(&head, queries, share);
                continue;
            }
            for (size_t h = 0; h < share; h++, queries.q += K, queries.out += K) {
                attend_queries(&head, queries, n);
            }
        }
    }
}

extern const struct attention KERNELS_NAME(attention, KERNELS_ISA);
const struct attention KERNELS_NAME(attention, KERNELS_ISA) = {.attend = attend};
