/*
 * consensus.c - task vectors weighed by what they have in common: sce, ram, ramplus_tl.
 *
 * sce keeps the elements in which the sources differ most, weighs sources by their mean square
 * there, elects a sign an element and averages those that agree. Variances of all elements are made
 * four times rather than kept: to count them, to find the least one kept (rank.h), to weigh, to
 * mix. Among elements of that very variance those with the lower index are kept. Wan et al. 2024
 * (arXiv:2408.07990), section 3.3.
 *
 * ram takes what one source alone changed from it and averages what several changed. ramplus_tl
 * counts both first and amplifies a source's own changes the more, the more it shares.
 * arXiv:2601.13572.
 */
#include <math.h>
#include <string.h>

#include "evaluator/merge/element_kernels.h"
#include "evaluator/merge/family.h"
#include "evaluator/merge/rank.h"

#define SCE_SQUARES_MIN 1e-6 /* a smaller sum of mean squares: all sources weigh the same */

struct consensus {
    const struct element_kernels *kernels;
    float *x[METHOD_SOURCES_MAX], *base;  /* a block of offsets, and of the base */
    float per_source[METHOD_SOURCES_MAX]; /* sce: weights; ram: factors */
    float epsilon;                        /* ram */
    bool selects;                         /* sce: keeps some elements only */
    float threshold;                      /* sce: of the variance */
    size_t ties, ties_left;               /* sce: kept of those equal to it */
    uint32_t elements[ELEMENT_BLOCK];     /* sce: keep; ram: how many are active */
    float variances[ELEMENT_BLOCK], out[ELEMENT_BLOCK];
};

static struct consensus *make_consensus(struct mix *mix)
{
    size_t k = mix->tensor->n_sources;
    struct consensus *state =
        mix_state(mix, sizeof *state + (k + 1) * ELEMENT_BLOCK * sizeof(float));
    float *blocks = (float *)(state + 1);

    state->kernels = element_kernels_for(isa_best());
    state->base = blocks;
    for (size_t s = 0; s < k; s++) {
        state->x[s] = blocks + (s + 1) * ELEMENT_BLOCK;
    }
    return state;
}

static size_t block_size(size_t at, size_t end)
{
    return end - at < ELEMENT_BLOCK ? end - at : ELEMENT_BLOCK;
}

/* Base and offsets of elements [at, at + n). */
static void read_offsets(const struct mix *mix, size_t at, size_t n)
{
    const struct consensus *state = mix->state;

    mix_read(mix, MIX_BASE, at, n, state->base);
    for (size_t s = 0; s < mix->tensor->n_sources; s++) {
        mix_read(mix, s, at, n, state->x[s]);
        state->kernels->subtract(state->x[s], state->base, n);
    }
}

static const float *const *offsets_of(const struct consensus *state)
{
    return (const float *const *)state->x;
}

/* ---- sce ---- */

static void read_variances(void *context, size_t at, size_t n, float *out)
{
    const struct mix *mix = context;
    const struct consensus *state = mix->state;

    read_offsets(mix, at, n);
    state->kernels->variance(out, offsets_of(state), mix->tensor->n_sources, n);
}

/* The least variance that is kept. Returns how many elements are. */
static size_t choose_elements(struct mix *mix, double share)
{
    struct consensus *state = mix->state;
    const struct rank_scores scores = {read_variances, mix, mix->tensor->n};
    struct rank_counts *counts = rank_count(&scores);
    size_t varies = mix->tensor->n - rank_zeros(counts);
    /* Truncated after a product in float, as the reference does it. */
    size_t kept = share > 0.0 ? (size_t)((float)varies * (float)share) : 0;

    kept = kept < varies ? kept : varies;
    if (kept > 0) {
        const size_t sought = mix->tensor->n - kept;
        struct rank rank;

        rank_find(&rank, counts, &scores, &sought, 1);
        state->threshold = rank.score;
        state->ties = kept - (mix->tensor->n - rank.below - rank.equal);
    }
    rank_counts_free(counts);
    state->selects = true;
    return kept;
}

/* Which of a block's elements are kept; blocks come in order. */
static void set_keep(const struct mix *mix, size_t n)
{
    struct consensus *state = mix->state;

    if (!state->selects) {
        memset(state->elements, 0xff, n * sizeof *state->elements);
        return;
    }
    state->kernels->variance(state->variances, offsets_of(state), mix->tensor->n_sources, n);
    for (size_t i = 0; i < n; i++) {
        state->elements[i] = state->variances[i] <= state->threshold ? 0 : 0xffffffffU;
    }
    for (size_t i = 0; i < n && state->ties_left > 0; i++) {
        bool is_tie = state->variances[i] == state->threshold;

        state->elements[i] |= is_tie ? 0xffffffffU : 0;
        state->ties_left -= is_tie;
    }
}

static void weigh_sources(struct mix *mix)
{
    struct consensus *state = mix->state;
    double squares[METHOD_SOURCES_MAX] = {0};
    size_t k = mix->tensor->n_sources;
    double total = 0.0;

    state->ties_left = state->ties;
    for (size_t at = 0; at < mix->tensor->n; at += ELEMENT_BLOCK) {
        size_t n = block_size(at, mix->tensor->n);

        read_offsets(mix, at, n);
        set_keep(mix, n);
        for (size_t s = 0; s < k; s++) {
            squares[s] += state->kernels->squares(state->x[s], state->elements, n);
        }
    }
    for (size_t s = 0; s < k; s++) {
        squares[s] /= (double)mix->tensor->n;
        total += squares[s];
    }
    for (size_t s = 0; s < k; s++) {
        state->per_source[s] =
            (float)(total < SCE_SQUARES_MIN ? 1.0 / (double)k : squares[s] / total);
    }
    state->ties_left = state->ties;
}

static int prepare_sce(struct mix *mix, struct err *err)
{
    double share = mix_whole_value(mix, "select_topk", 1.0);
    struct consensus *state = make_consensus(mix);

    if (mix->tensor->n > UINT32_MAX && share < 1.0) {
        return err_set(err, ERR_LIMIT, "%s: %zu elements are too many to select from",
                       mix->tensor->name, mix->tensor->n);
    }
    if (mix->tensor->n_sources == 0 || (share < 1.0 && choose_elements(mix, share) == 0)) {
        state->selects = true;
        state->threshold = INFINITY;
        return 0;
    }
    weigh_sources(mix);
    return 0;
}

static uint32_t next_sce(struct mix *mix)
{
    struct consensus *state = mix->state;
    uint32_t bad = 0;

    for (size_t from = 0; from < mix->block.n; from += ELEMENT_BLOCK) {
        size_t n = block_size(from, mix->block.n);

        read_offsets(mix, mix->at + from, n);
        set_keep(mix, n);
        state->kernels->sce(state->out, state->base, offsets_of(state), state->per_source,
                            state->elements, mix->tensor->n_sources, n);
        bad |= mix_put(mix, from, n, state->out);
    }
    return bad;
}

/* ---- ram ---- */

static void count_active(const struct mix *mix, size_t at, size_t n)
{
    struct consensus *state = mix->state;

    read_offsets(mix, at, n);
    state->kernels->active(state->elements, offsets_of(state), state->epsilon,
                           mix->tensor->n_sources, n);
}

static int prepare_ram(struct mix *mix, struct err *err)
{
    struct consensus *state = make_consensus(mix);

    (void)err;
    state->epsilon = (float)mix_whole_value(mix, "epsilon", 1e-5);
    for (size_t s = 0; s < mix->tensor->n_sources; s++) {
        state->per_source[s] = 1.0F;
    }
    return 0;
}

static int prepare_ramplus(struct mix *mix, struct err *err)
{
    double r = mix_whole_value(mix, "r", 0.1);
    double alpha = mix_whole_value(mix, "alpha", 0.2);
    double epsilon = mix_whole_value(mix, "epsilon", 1e-5);
    size_t all[METHOD_SOURCES_MAX] = {0};
    size_t alone[METHOD_SOURCES_MAX] = {0};
    int rc = prepare_ram(mix, err);
    struct consensus *state = mix->state;

    for (size_t at = 0; at < mix->tensor->n; at += ELEMENT_BLOCK) {
        size_t n = block_size(at, mix->tensor->n);

        count_active(mix, at, n);
        for (size_t s = 0; s < mix->tensor->n_sources; s++) {
            state->kernels->shares(&all[s], &alone[s], state->x[s], state->elements, state->epsilon,
                                   n);
        }
    }
    for (size_t s = 0; s < mix->tensor->n_sources; s++) {
        size_t shared = all[s] - alone[s];
        double own = fmax((double)alone[s], epsilon);
        double ratio = shared > 0 ? fmin((double)shared / own, alpha) : 0.0;

        state->per_source[s] = (float)(1.0 + r * ratio);
    }
    return rc;
}

static uint32_t next_ram(struct mix *mix)
{
    struct consensus *state = mix->state;
    uint32_t bad = 0;

    for (size_t from = 0; from < mix->block.n; from += ELEMENT_BLOCK) {
        size_t n = block_size(from, mix->block.n);

        count_active(mix, mix->at + from, n);
        state->kernels->ram(state->out, state->base, offsets_of(state), state->per_source,
                            state->elements, state->epsilon, mix->tensor->n_sources, n);
        bad |= mix_put(mix, from, n, state->out);
    }
    return bad;
}

static const struct family families[] = {
    {"sce", prepare_sce, next_sce},
    {"ram", prepare_ram, next_ram},
    {"ramplus_tl", prepare_ramplus, next_ram},
};

const struct family *consensus_family(const char *method)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strcmp(families[i].method, method) == 0) {
            return &families[i];
        }
    }
    return NULL;
}
