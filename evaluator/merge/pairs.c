/*
 * pairs.c - a base and one source, element by element: nearswap, arcee_fusion.
 *
 * nearswap moves towards the source where both are nearly equal, by t over the difference.
 *
 * arcee_fusion scores each element by its change times how much the softmax of its row changed, and
 * takes from the source what scores as an outlier: from the median plus `spread` quartile distances
 * on. Rows are vectors along the last dimension. Their divergences are small differences of large
 * sums, taken in double. Divergences and quartiles are kept between candidates; scores are made
 * anew in each of the passes: two that find the quartiles (rank.h), one that mixes.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/element_kernels.h"
#include "evaluator/merge/family.h"
#include "evaluator/merge/rank.h"

#define QUARTILES 3
#define MERGEKIT_SPREAD 1.5 /* always: it ignores the parameter */

struct pair {
    const struct element_kernels *kernels;
    float t;            /* nearswap */
    double threshold;   /* arcee_fusion: of the score */
    size_t length;      /* of a row */
    double *divergence; /* [rows] */
    float a[ELEMENT_BLOCK], b[ELEMENT_BLOCK], scores[ELEMENT_BLOCK], out[ELEMENT_BLOCK];
};

static struct pair *make_pair(struct mix *mix)
{
    struct pair *pair = mix_state(mix, sizeof *pair);

    pair->kernels = element_kernels_for(isa_best());
    return pair;
}

static size_t block_size(size_t at, size_t end)
{
    return end - at < ELEMENT_BLOCK ? end - at : ELEMENT_BLOCK;
}

static void read_pair(const struct mix *mix, size_t at, size_t n)
{
    struct pair *pair = mix->state;

    mix_read(mix, MIX_BASE, at, n, pair->a);
    mix_read(mix, 0, at, n, pair->b);
}

/* The one input there is, where a tensor is missing elsewhere. */
static uint32_t copy_next(struct mix *mix)
{
    struct pair *pair = mix->state;
    uint32_t bad = 0;

    for (size_t from = 0; from < mix->block.n; from += ELEMENT_BLOCK) {
        size_t n = block_size(from, mix->block.n);

        mix_read(mix, mix->tensor->base != NULL ? MIX_BASE : 0, mix->at + from, n, pair->out);
        bad |= mix_put(mix, from, n, pair->out);
    }
    return bad;
}

static bool is_alone(const struct mix *mix)
{
    return mix->tensor->n_sources == 0 || mix->tensor->base == NULL;
}

/* ---- nearswap ---- */

static int prepare_near(struct mix *mix, struct err *err)
{
    (void)err;
    make_pair(mix)->t = (float)mix_whole_value(mix, "t", 0.0);
    return 0;
}

static uint32_t next_near(struct mix *mix)
{
    struct pair *pair = mix->state;
    uint32_t bad = 0;

    if (is_alone(mix)) {
        return copy_next(mix);
    }
    for (size_t from = 0; from < mix->block.n; from += ELEMENT_BLOCK) {
        size_t n = block_size(from, mix->block.n);

        read_pair(mix, mix->at + from, n);
        pair->kernels->near(pair->out, pair->a, pair->b, pair->t, n);
        bad |= mix_put(mix, from, n, pair->out);
    }
    return bad;
}

/* ---- arcee_fusion ---- */

static float top_of(const float *x, size_t n, float top)
{
    for (size_t i = 0; i < n; i++) {
        top = x[i] > top ? x[i] : top;
    }
    return top;
}

/* How far the source's softmax of a row is from the base's. */
static double row_divergence(const struct mix *mix, size_t first, size_t end)
{
    const struct pair *pair = mix->state;
    float top_a = -INFINITY;
    float top_b = -INFINITY;
    double sum_a = 0.0;
    double sum_b = 0.0;
    double divergence = 0.0;

    for (size_t at = first; at < end; at += ELEMENT_BLOCK) {
        size_t n = block_size(at, end);

        read_pair(mix, at, n);
        top_a = top_of(pair->a, n, top_a);
        top_b = top_of(pair->b, n, top_b);
    }
    for (size_t at = first; at < end; at += ELEMENT_BLOCK) {
        size_t n = block_size(at, end);

        read_pair(mix, at, n);
        sum_a += pair->kernels->exponentials(pair->a, top_a, n);
        sum_b += pair->kernels->exponentials(pair->b, top_b, n);
    }
    for (size_t at = first; at < end; at += ELEMENT_BLOCK) {
        size_t n = block_size(at, end);

        read_pair(mix, at, n);
        divergence += pair->kernels->divergence(pair->b, top_b, sum_b, pair->a, top_a, sum_a, n);
    }
    return divergence < 0.0 ? 0.0 : divergence; /* below zero is rounding */
}

/* Scores of the elements [at, at + n) that read_pair has read. */
static void set_scores(const struct mix *mix, size_t at, size_t n, float *out)
{
    const struct pair *pair = mix->state;

    for (size_t from = 0; from < n;) {
        size_t row = (at + from) / pair->length;
        size_t left = (row + 1) * pair->length - (at + from);
        size_t part = left < n - from ? left : n - from;

        pair->kernels->scores(out + from, pair->a + from, pair->b + from, pair->divergence[row],
                              part);
        from += part;
    }
}

static void read_scores(void *context, size_t at, size_t n, float *out)
{
    const struct mix *mix = context;

    read_pair(mix, at, n);
    set_scores(mix, at, n, out);
}

/* The score at a share of the way up the sorted scores, without interpolation. */
static size_t quantile(double share, size_t n)
{
    return (size_t)floor(share * (double)(n - 1));
}

/* The divergence of every row, then the quartiles of all scores. */
static void survey(struct mix *mix, size_t n_rows, double *found)
{
    const size_t n = mix->tensor->n;
    const size_t sought[QUARTILES] = {quantile(0.25, n), quantile(0.5, n), quantile(0.75, n)};
    const struct rank_scores scores = {read_scores, mix, n};
    struct pair *pair = mix->state;
    struct rank ranks[QUARTILES];

    for (size_t row = 0; row < n_rows; row++) {
        found[row] = row_divergence(mix, row * pair->length, (row + 1) * pair->length);
    }
    pair->divergence = found;
    struct rank_counts *counts = rank_count(&scores);

    rank_find(ranks, counts, &scores, sought, QUARTILES);
    rank_counts_free(counts);
    for (size_t i = 0; i < QUARTILES; i++) {
        found[n_rows + i] = (double)ranks[i].score;
    }
}

static int prepare_fusion(struct mix *mix, struct err *err)
{
    const struct plan_tensor *tensor = mix->tensor;
    struct pair *pair = make_pair(mix);
    void **found = mix_found(mix); /* divergences, quartiles: the same for every candidate */

    pair->length = tensor->n_dims > 1 ? tensor->dims[tensor->n_dims - 1] : tensor->n;
    if (is_alone(mix) || tensor->n == 0) {
        return 0;
    }
    if (tensor->n > UINT32_MAX) {
        return err_set(err, ERR_LIMIT, "%s: %zu elements are too many to rank", tensor->name,
                       tensor->n);
    }
    size_t n_rows = tensor->n / pair->length;

    if (*found == NULL) {
        *found = mem_array(n_rows + QUARTILES, sizeof(double));
        survey(mix, n_rows, *found);
    }
    pair->divergence = *found;
    const double *quartiles = pair->divergence + n_rows;
    double spread = mix_whole_value(mix, "spread", MERGEKIT_SPREAD);

    spread = mix->plan->rules.exact_mergekit ? MERGEKIT_SPREAD : spread;
    pair->threshold = quartiles[1] + spread * (quartiles[2] - quartiles[0]);
    return 0;
}

static uint32_t next_fusion(struct mix *mix)
{
    struct pair *pair = mix->state;
    uint32_t bad = 0;

    if (is_alone(mix)) {
        return copy_next(mix);
    }
    for (size_t from = 0; from < mix->block.n; from += ELEMENT_BLOCK) {
        size_t n = block_size(from, mix->block.n);

        read_pair(mix, mix->at + from, n);
        set_scores(mix, mix->at + from, n, pair->scores);
        bad |= pair->kernels->choose(pair->out, pair->a, pair->b, pair->scores, pair->threshold, n);
        bad |= mix_put(mix, from, n, pair->out);
    }
    return bad;
}

static const struct family families[] = {
    {"nearswap", prepare_near, next_near},
    {"arcee_fusion", prepare_fusion, next_fusion},
};

const struct family *pairs_family(const char *method)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strcmp(families[i].method, method) == 0) {
            return &families[i];
        }
    }
    return NULL;
}
