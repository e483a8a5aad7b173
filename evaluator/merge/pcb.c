/*
 * pcb.c - parameter competition balancing: pcb.
 *
 * Du et al. 2024 (arXiv:2410.02396), section 3, a tensor at a time. K task vectors d_i, S their
 * sum, Norm(x) = x / max|x| over the tensor:
 *
 *   intra_i = Softmax(K * Norm(d_i * d_i))     how much an element matters within its source
 *   inter_i = tanh(Norm(d_i * S))              how far the sources agree on it; < 0: against them
 *   beta_i  = intra_i * inter_i
 *   keep_i  = the density * n largest beta_i, of those above zero
 *   r       = base + lambda * sum_i keep_i beta_i w_i d_i / sum_i keep_i beta_i
 *
 * Where nothing is kept the base stays. Norm(d_i * S) takes one maximum for all sources, so that
 * they compete by size. Four passes and nothing kept of a tensor but constants: maxima; softmax
 * denominators and counts of scores (rank.h); the score to keep from; the mix. All of it is plain
 * C, element by element: results depend on no kernel.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "evaluator/merge/deviation.h"
#include "evaluator/merge/family.h"
#include "evaluator/merge/rank.h"

struct balance {
    size_t k;
    double largest[METHOD_SOURCES_MAX];     /* |d_i| */
    double agreement;                       /* largest |d_i S| of any source */
    double denominator[METHOD_SOURCES_MAX]; /* of the softmax */
    float threshold[METHOD_SOURCES_MAX];    /* of beta_i: those from here on are kept */
    const struct mix *mix;                  /* while thresholds are sought */
    size_t source;
    float d[METHOD_SOURCES_MAX][RANK_BLOCK];
    float merged[RANK_BLOCK];
};

_Static_assert(RANK_BLOCK <= TRIM_BLOCK, "a block of scores is read at once");

static void read_vectors(const struct mix *mix, size_t at, size_t n)
{
    struct balance *balance = mix->state;

    for (size_t s = 0; s < balance->k; s++) {
        const struct trim_delta delta = plan_delta(mix->tensor, s);

        trim_read(&delta, at, n, balance->d[s]);
    }
}

static size_t block_size(const struct mix *mix, size_t at)
{
    return mix->tensor->n - at < RANK_BLOCK ? mix->tensor->n - at : RANK_BLOCK;
}

static double sum_at(const struct balance *balance, size_t i)
{
    double sum = 0.0;

    for (size_t s = 0; s < balance->k; s++) {
        sum += (double)balance->d[s][i];
    }
    return sum;
}

static void find_maxima(struct mix *mix)
{
    struct balance *balance = mix->state;

    for (size_t at = 0; at < mix->tensor->n; at += RANK_BLOCK) {
        size_t n = block_size(mix, at);

        read_vectors(mix, at, n);
        for (size_t i = 0; i < n; i++) {
            double sum = fabs(sum_at(balance, i));

            for (size_t s = 0; s < balance->k; s++) {
                double d = fabs((double)balance->d[s][i]);

                balance->largest[s] = fmax(balance->largest[s], d);
                balance->agreement = fmax(balance->agreement, d * sum);
            }
        }
    }
}

/* exp(K Norm(d d) - K): the largest is 1. */
static double importance(const struct balance *balance, size_t s, size_t i)
{
    double d = (double)balance->d[s][i] / balance->largest[s];

    return exp((double)balance->k * (d * d - 1.0));
}

static void find_denominators(struct mix *mix)
{
    struct balance *balance = mix->state;

    for (size_t at = 0; at < mix->tensor->n; at += RANK_BLOCK) {
        size_t n = block_size(mix, at);

        read_vectors(mix, at, n);
        for (size_t s = 0; s < balance->k; s++) {
            for (size_t i = 0; i < n && balance->largest[s] > 0.0; i++) {
                balance->denominator[s] += importance(balance, s, i);
            }
        }
    }
}

/* beta, or 0 where it is negative. A source without changes has none. */
static float score(const struct balance *balance, size_t s, size_t i)
{
    double agreement = (double)balance->d[s][i] * sum_at(balance, i);

    if (!(agreement > 0.0) || balance->largest[s] == 0.0) {
        return 0.0F;
    }
    return (float)(importance(balance, s, i) / balance->denominator[s] *
                   tanh(agreement / balance->agreement));
}

static void read_scores(void *context, size_t at, size_t n, float *out)
{
    struct balance *balance = context;

    read_vectors(balance->mix, at, n);
    for (size_t i = 0; i < n; i++) {
        out[i] = score(balance, balance->source, i);
    }
}

/* The keep-th largest score; among equals all stay. */
static void find_threshold(struct mix *mix, size_t s, size_t keep)
{
    struct balance *balance = mix->state;
    const struct rank_scores scores = {read_scores, balance, mix->tensor->n};
    const size_t sought = mix->tensor->n - keep;
    struct rank rank;

    balance->mix = mix;
    balance->source = s;
    struct rank_counts *counts = rank_count(&scores);
    rank_find(&rank, counts, &scores, &sought, 1);
    rank_counts_free(counts);
    balance->threshold[s] = rank.score;
}

static int prepare(struct mix *mix, struct err *err)
{
    struct balance *balance = mix_state(mix, sizeof *balance);
    size_t n = mix->tensor->n;
    int rc = mix_set_weights(mix, err);

    balance->k = mix->block.k;
    if (rc != 0 || n == 0) {
        return rc;
    }
    if (n > UINT32_MAX) {
        return err_set(err, ERR_LIMIT, "%s: %zu elements are too many to rank", mix->tensor->name,
                       n);
    }
    find_maxima(mix);
    find_denominators(mix);
    for (size_t s = 0; s < balance->k; s++) {
        double density = mix_source_value(mix, s, "density", 1.0);
        size_t keep = trim_count(n, density);

        if (keep == 0 && mix->plan->rules.strict) {
            return err_set(err, ERR_NUMERIC, "%s: density %g keeps no element of %zu",
                           mix->tensor->name, density, n);
        }
        if (keep < n) {
            find_threshold(mix, s, keep == 0 ? 1 : keep);
        }
    }
    deviation_match(mix);
    return 0;
}

static float merged_at(const struct mix *mix, size_t i)
{
    const struct balance *balance = mix->state;
    double all = sum_at(balance, i);
    double sum = 0.0;
    double share = 0.0;

    if (!isfinite(all)) { /* not lost: whoever reads the result says so */
        return (float)all;
    }
    for (size_t s = 0; s < balance->k; s++) {
        float beta = score(balance, s, i);

        if (beta > 0.0F && beta >= balance->threshold[s]) {
            sum += (double)beta * (double)mix->block.weights[s] * (double)balance->d[s][i];
            share += (double)beta;
        }
    }
    return share > 0.0 ? (float)((double)mix->block.lambda * sum / share) : 0.0F;
}

static uint32_t next(struct mix *mix)
{
    struct balance *balance = mix->state;
    uint32_t bad = 0;

    for (size_t from = 0; from < mix->block.n; from += RANK_BLOCK) {
        size_t left = mix->block.n - from;
        size_t n = left < RANK_BLOCK ? left : RANK_BLOCK;

        read_vectors(mix, mix->at + from, n);
        for (size_t i = 0; i < n; i++) {
            balance->merged[i] = merged_at(mix, i);
        }
        mix_read(mix, MIX_BASE, mix->at + from, n, balance->d[0]);
        for (size_t i = 0; i < n; i++) {
            balance->merged[i] += balance->d[0][i];
        }
        bad |= mix_put(mix, from, n, balance->merged);
    }
    return bad;
}

static const struct family families[] = {{"pcb", prepare, next}};

const struct family *pcb_family(const char *method)
{
    return strcmp(families[0].method, method) == 0 ? &families[0] : NULL;
}
