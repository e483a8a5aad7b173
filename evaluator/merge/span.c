/*
 * span.c - methods on the sphere: slerp, nuslerp, multislerp, karcher, model_stock.
 *
 *   pass 1   blocks of all inputs -> dot products        gram.h: dot products -> coefficients
 *   pass 2   blocks of all inputs -> their sum by the coefficients
 *
 * The vectors that are turned are whole tensors, rows (the last dimension), or columns (the first).
 * Rows are read and mixed one after another, so that the second pass finds them in the cache.
 * Columns have their dot products gathered side by side in one pass over the tensor.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/element_kernels.h"
#include "evaluator/merge/family.h"
#include "evaluator/merge/gram.h"

#define GRAM_PAIRS_MAX (GRAM_INPUTS_MAX * (GRAM_INPUTS_MAX + 1) / 2)

enum vectors { WHOLE, ROWS, COLUMNS };

struct span {
    const struct element_kernels *kernels;
    enum vectors vectors;
    size_t length; /* of a row; of the tensor, where that is one vector */
    size_t k;
    size_t inputs[GRAM_INPUTS_MAX]; /* what mix_read takes */
    bool offsets;                   /* from the base */
    float factors[GRAM_INPUTS_MAX]; /* of the vector that is mixed now */
    size_t row;                     /* which that is, from 1; 0: none yet */
    float *buffers;                 /* [k + 1, ELEMENT_BLOCK] */
    float *shares;                  /* COLUMNS: of either input [2, n_columns] */
};

/* ---- making ready ---- */

/* Vectors along the last dimension, or the first; a vector or scalar is one. */
static size_t n_columns(const struct plan_tensor *tensor, enum vectors vectors)
{
    if (tensor->n_dims < 2 || vectors == WHOLE) {
        return tensor->n;
    }
    return vectors == ROWS ? tensor->dims[tensor->n_dims - 1] : tensor->n / tensor->dims[0];
}

/* A state with room for the buffers. sources: all of them are inputs, after the base when that is
 * one. */
static struct span *span_make(struct mix *mix, enum vectors vectors, bool base_is_input,
                              bool offsets)
{
    const struct plan_tensor *tensor = mix->tensor;
    size_t columns = tensor->n > 0 ? n_columns(tensor, vectors) : 0;
    size_t k = tensor->n_sources + base_is_input;
    size_t buffers = (k + 1) * ELEMENT_BLOCK;
    size_t shares = vectors == COLUMNS ? 2 * columns : 0;
    struct span *span = mix_state(mix, sizeof *span + (buffers + shares) * sizeof(float));

    *span = (struct span){.kernels = element_kernels_for(isa_best()),
                          .vectors = vectors,
                          .length = columns,
                          .k = k,
                          .offsets = offsets,
                          .buffers = (float *)(span + 1)};
    span->shares = span->buffers + buffers;
    for (size_t i = 0; i < k; i++) {
        span->inputs[i] = base_is_input ? (i == 0 ? MIX_BASE : i - 1) : i;
    }
    return span;
}

/* Elements [at, at + n) of the inputs, one a buffer. */
static void read_block(const struct mix *mix, const struct span *span, size_t at, size_t n)
{
    float *base = span->buffers + span->k * ELEMENT_BLOCK;

    if (span->offsets) {
        mix_read(mix, MIX_BASE, at, n, base);
    }
    for (size_t i = 0; i < span->k; i++) {
        float *x = span->buffers + i * ELEMENT_BLOCK;

        mix_read(mix, span->inputs[i], at, n, x);
        if (span->offsets) {
            span->kernels->subtract(x, base, n);
        }
    }
}

static size_t block_size(size_t at, size_t end)
{
    return end - at < ELEMENT_BLOCK ? end - at : ELEMENT_BLOCK;
}

/* Elements [at, at + n) of an input: where they lie, or in its buffer. */
static const void *block_of(const struct mix *mix, size_t input, size_t at, size_t n, float *buffer)
{
    if (mix->brain) {
        return mix_stored(mix, input) + at * sizeof(uint16_t);
    }
    mix_read(mix, input, at, n, buffer);
    return buffer;
}

/* The dot products of elements [at, end), in the order of element_kernels.h. */
static void sum_dots(const struct mix *mix, const struct span *span, size_t at, size_t end,
                     double *sums)
{
    double dots[GRAM_PAIRS_MAX];
    const void *x[GRAM_INPUTS_MAX];
    const void *base = NULL;
    size_t n_pairs = span->k * (span->k + 1) / 2;

    memset(sums, 0, n_pairs * sizeof *sums);
    for (; at < end; at += ELEMENT_BLOCK) {
        size_t n = block_size(at, end);

        for (size_t i = 0; i < span->k; i++) {
            x[i] = block_of(mix, span->inputs[i], at, n, span->buffers + i * ELEMENT_BLOCK);
        }
        if (span->offsets) {
            base = block_of(mix, MIX_BASE, at, n, span->buffers + span->k * ELEMENT_BLOCK);
        }
        (mix->brain ? span->kernels->gram_bf16 : span->kernels->gram_f32)(dots, base, x, span->k,
                                                                          n);
        for (size_t pair = 0; pair < n_pairs; pair++) {
            sums[pair] += dots[pair];
        }
    }
}

static void set_gram(struct gram *gram, size_t k, const double *dots)
{
    gram->k = k;
    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i <= j; i++) {
            gram->dots[i][j] = gram->dots[j][i] = *dots++;
        }
    }
}

static void weights_of(const struct mix *mix, double *weights)
{
    for (size_t s = 0; s < mix->tensor->n_sources; s++) {
        weights[s] = mix_source_value(mix, s, "weight", 1.0);
    }
}

/* The factors of the vector whose dot products these are. */
typedef int solve(struct mix *mix, struct span *span, const struct gram *gram, struct err *err);

static void set_factors(struct span *span, const double *c)
{
    for (size_t i = 0; i < span->k; i++) {
        span->factors[i] = (float)c[i];
    }
}

/* The dot products of whole tensors are found once, whatever the parameters of a candidate. */
static int solve_whole(struct mix *mix, solve *method, struct err *err)
{
    struct span *span = mix->state;
    void **found = mix_found(mix);
    struct gram gram;

    if (*found == NULL) {
        *found = mem_array(span->k * (span->k + 1) / 2, sizeof(double));
        sum_dots(mix, span, 0, mix->tensor->n, *found);
    }
    set_gram(&gram, span->k, *found);
    return method(mix, span, &gram, err);
}

/* One input alone, as it is: what is left where a tensor is missing elsewhere. */
static int prepare_copy(struct mix *mix, bool base)
{
    struct span *span = span_make(mix, WHOLE, base, false);

    span->factors[0] = 1.0F;
    return 0;
}

static bool is_alone(const struct mix *mix)
{
    return mix->tensor->n_sources + (mix->tensor->base != NULL) == 1;
}

/* ---- the methods ---- */

static int solve_slerp(struct mix *mix, struct span *span, const struct gram *gram, struct err *err)
{
    double c[2];

    (void)err;
    gram_slerp(c, gram, mix_whole_value(mix, "t", 0.5));
    set_factors(span, c);
    return 0;
}

static int prepare_slerp(struct mix *mix, struct err *err)
{
    if (is_alone(mix)) {
        return prepare_copy(mix, mix->tensor->base != NULL);
    }
    span_make(mix, WHOLE, true, false);
    return solve_whole(mix, solve_slerp, err);
}

static int solve_nuslerp(struct mix *mix, struct span *span, const struct gram *gram,
                         struct err *err)
{
    double weights[METHOD_SOURCES_MAX];
    double c[2];

    (void)err;
    weights_of(mix, weights);
    gram_nuslerp(c, gram, weights);
    set_factors(span, c);
    return 0;
}

/* Dot products of all columns at once, then their shares. */
static void solve_columns(struct mix *mix)
{
    struct span *span = mix->state;
    size_t width = span->length;
    double *sums = mem_array(3 * width, sizeof *sums);
    double weights[METHOD_SOURCES_MAX];
    struct gram gram = {.k = 2};

    weights_of(mix, weights);
    for (size_t row = 0; row < mix->tensor->n; row += width) {
        for (size_t at = 0; at < width; at += ELEMENT_BLOCK) {
            size_t n = block_size(at, width);

            read_block(mix, span, row + at, n);
            span->kernels->column_dots(sums + 3 * at, span->buffers, span->buffers + ELEMENT_BLOCK,
                                       n);
        }
    }
    for (size_t at = 0; at < width; at++) {
        size_t first =
            at / ELEMENT_BLOCK * ELEMENT_BLOCK; /* blocks keep their three side by side */
        size_t n = block_size(first, width);
        const double *dots = sums + 3 * first + (at - first);
        double c[2];

        gram.dots[0][0] = dots[0];
        gram.dots[0][1] = gram.dots[1][0] = dots[n];
        gram.dots[1][1] = dots[2 * n];
        gram_nuslerp(c, &gram, weights);
        span->shares[at] = (float)c[0];
        span->shares[width + at] = (float)c[1];
    }
    free(sums);
}

static int prepare_nuslerp(struct mix *mix, struct err *err)
{
    bool flatten = mix_whole_value(mix, "nuslerp_flatten", 1.0) != 0.0;
    bool by_column = mix_whole_value(mix, "nuslerp_row_wise", 0.0) != 0.0;
    enum vectors vectors = flatten || mix->tensor->n_dims < 2 ? WHOLE : by_column ? COLUMNS : ROWS;

    if (mix->tensor->n_sources < 2) {
        return prepare_copy(mix, mix->tensor->n_sources == 0);
    }
    span_make(mix, vectors, false, mix->tensor->base != NULL);
    if (vectors == COLUMNS) {
        solve_columns(mix);
    }
    return vectors == WHOLE ? solve_whole(mix, solve_nuslerp, err) : 0;
}

static int solve_multislerp(struct mix *mix, struct span *span, const struct gram *gram,
                            struct err *err)
{
    bool normalize = mix_whole_value(mix, "normalize_weights", 1.0) != 0.0;
    double weights[METHOD_SOURCES_MAX];
    double c[GRAM_INPUTS_MAX];

    weights_of(mix, weights);
    int rc = gram_multislerp(c, gram, weights, normalize, mix_whole_value(mix, "eps", 1e-8), err);

    if (rc != 0) {
        return err_wrap(err, "%s", mix->tensor->name);
    }
    set_factors(span, c);
    return 0;
}

static int prepare_multislerp(struct mix *mix, struct err *err)
{
    if (mix->tensor->n_sources < 2) {
        return prepare_copy(mix, mix->tensor->n_sources == 0);
    }
    span_make(mix, WHOLE, false, mix->tensor->base != NULL);
    return solve_whole(mix, solve_multislerp, err);
}

static int solve_karcher(struct mix *mix, struct span *span, const struct gram *gram,
                         struct err *err)
{
    size_t steps = (size_t)mix_whole_value(mix, "max_iter", 10.0);
    double weights[METHOD_SOURCES_MAX];
    double c[GRAM_INPUTS_MAX];

    weights_of(mix, weights);
    for (size_t i = 0; i < span->k && mix->plan->rules.exact_mergekit; i++) {
        weights[i] = 1.0; /* it has no weights here, and ignores those that are written */
    }
    int rc = gram_karcher(c, gram, weights, steps, mix_whole_value(mix, "tol", 1e-5), err);

    if (rc != 0) {
        return err_wrap(err, "%s", mix->tensor->name);
    }
    set_factors(span, c);
    return 0;
}

static int prepare_karcher(struct mix *mix, struct err *err)
{
    if (mix->tensor->n_sources < 2) {
        return prepare_copy(mix, mix->tensor->n_sources == 0);
    }
    span_make(mix, WHOLE, false, false);
    return solve_whole(mix, solve_karcher, err);
}

static int solve_stock(struct mix *mix, struct span *span, const struct gram *gram, struct err *err)
{
    double t = gram_stock(gram);

    for (size_t i = 0; i < span->k; i++) {
        span->factors[i] = (float)(t / (double)span->k);
    }
    if (isinf(t)) {
        return err_set(err, ERR_NUMERIC, "%s: offsets cancel, model_stock has no finite result",
                       mix->tensor->name);
    }
    return 0;
}

static int prepare_stock(struct mix *mix, struct err *err)
{
    bool by_row = mix_whole_value(mix, "filter_wise", 0.0) != 0.0;
    enum vectors vectors = by_row && mix->tensor->n_dims > 1 ? ROWS : WHOLE;

    if (mix->tensor->n_sources == 0) {
        return prepare_copy(mix, true);
    }
    if (mix->tensor->n_sources == 1) {
        return err_set(err, ERR_NUMERIC, "%s: model_stock needs two sources or more",
                       mix->tensor->name);
    }
    span_make(mix, vectors, false, true);
    return vectors == WHOLE ? solve_whole(mix, solve_stock, err) : 0;
}

/* ---- blocks ---- */

/* Elements [from, from + n) of the block, by the factors there are now. */
static uint32_t sum_part(const struct mix *mix, size_t from, size_t n)
{
    const struct span *span = mix->state;
    size_t size = mix->brain ? sizeof(uint16_t) : sizeof(float);
    size_t skip = from * size;
    struct blend_block part = {.n = n,
                               .out = (char *)mix->block.out + skip,
                               .k = span->k,
                               .divisor = 1.0F,
                               .lambda = 1.0F,
                               .stream = mix->block.stream && skip % 64 == 0};

    if (span->offsets) {
        part.base = (const char *)mix->block.base + skip;
    }
    for (size_t i = 0; i < span->k; i++) {
        const void *x =
            span->inputs[i] == MIX_BASE ? mix->block.base : mix->block.x[span->inputs[i]];

        part.x[i] = (const char *)x + skip;
        part.factors[i] = span->factors[i];
    }
    return (mix->brain ? mix->kernels->sum_bf16 : mix->kernels->sum_f32)(&part);
}

static uint32_t rows_next(struct mix *mix, solve *method)
{
    struct span *span = mix->state;
    uint32_t bad = 0;

    for (size_t from = 0; from < mix->block.n;) {
        size_t at = mix->at + from;
        size_t row = at / span->length;
        size_t left = (row + 1) * span->length - at;
        size_t n = left < mix->block.n - from ? left : mix->block.n - from;

        if (span->row != row + 1) {
            double dots[GRAM_PAIRS_MAX];
            struct gram gram;

            sum_dots(mix, span, row * span->length, (row + 1) * span->length, dots);
            set_gram(&gram, span->k, dots);
            bad |= method(mix, span, &gram, NULL) != 0;
            span->row = row + 1;
        }
        bad |= sum_part(mix, from, n);
        from += n;
    }
    return bad;
}

static uint32_t columns_next(struct mix *mix)
{
    const struct span *span = mix->state;
    const float *base = span->offsets ? span->buffers + 2 * ELEMENT_BLOCK : NULL;
    float out[ELEMENT_BLOCK];
    uint32_t bad = 0;

    for (size_t from = 0; from < mix->block.n;) {
        size_t column = (mix->at + from) % span->length;
        size_t end = mix->block.n - from < span->length - column ? mix->block.n
                                                                 : from + span->length - column;
        size_t n = block_size(from, end);

        read_block(mix, span, mix->at + from, n);
        span->kernels->columns(out, base, span->buffers, span->buffers + ELEMENT_BLOCK,
                               span->shares + column, span->shares + span->length + column, n);
        bad |= mix_put(mix, from, n, out);
        from += n;
    }
    return bad;
}

static uint32_t span_next(struct mix *mix)
{
    return sum_part(mix, 0, mix->block.n);
}

static uint32_t nuslerp_next(struct mix *mix)
{
    const struct span *span = mix->state;

    switch (span->vectors) {
    case ROWS:
        return rows_next(mix, solve_nuslerp);
    case COLUMNS:
        return columns_next(mix);
    case WHOLE:
        break;
    }
    return span_next(mix);
}

static uint32_t stock_next(struct mix *mix)
{
    const struct span *span = mix->state;

    return span->vectors == ROWS ? rows_next(mix, solve_stock) : span_next(mix);
}

static const struct family families[] = {
    {"slerp", prepare_slerp, span_next},           {"nuslerp", prepare_nuslerp, nuslerp_next},
    {"multislerp", prepare_multislerp, span_next}, {"karcher", prepare_karcher, span_next},
    {"model_stock", prepare_stock, stock_next},
};

const struct family *span_family(const char *method)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strcmp(families[i].method, method) == 0) {
            return &families[i];
        }
    }
    return NULL;
}
