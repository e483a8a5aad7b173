/*
 * forward.c - the forward pass over a trie of token prefixes.
 *
 *   for each batch of nodes, depth first
 *     x = embeddings                                           x [N, D]
 *     for each layer, by chunks of nodes
 *       norm; q k v in one product; heads normed; rotary
 *       attention to the stack of the current path (attention.h); x += O
 *       norm; gate and up in one product; silu; x += down
 *       (what is added to x is normed first in families that do so)
 *     at scored nodes: final norm, logits by panels, running maximum and sum
 *
 * A pass may begin behind the first layers, with a stream that a keeper has of an earlier one.
 *
 * All chunks of a batch go through a layer before any goes through the next, so a layer's weights
 * are made once a batch when they are streamed, and stay in cache over its chunks if they fit. A
 * chunk's buffers are a few hundred rows and stay there too. Batches bound the residual stream x,
 * the only buffer as long as the trie; with more than one batch each layer keeps a stack of its own
 * until the next batch goes on with it, else all share one.
 *
 * Letters of shapes: D width, Q = H K query heads, E = G K key/value heads, F MLP width, V
 * vocabulary.
 */
#include "evaluator/model/forward.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "evaluator/model/forward_internal.h"
#include "evaluator/model/rotary.h"

/* Nodes [first, first + n) of a trie. */
struct stretch {
    size_t first, n;
};

/* ---- a layer ---- */

static void embed(struct forward *forward, const struct weights *weights,
                  const struct trie_nodes *nodes, struct stretch batch)
{
    size_t d = forward->config.width;
    float scale = (float)forward->config.embedding_scale;

    for (size_t i = 0; i < batch.n; i++) {
        float *x = forward->x + i * d;
        const float *row = weights_embedding_row(weights, nodes->tokens[batch.first + i], x);

        if (row != x) {
            memcpy(x, row, d * sizeof(float));
        }
    }
    for (size_t i = 0; i < batch.n * d && scale > 0.0F; i++) {
        forward->x[i] *= scale;
    }
}

static struct kernels_norm norm_by(const struct forward *forward, const float *gain)
{
    return (struct kernels_norm){.gain = gain,
                                 .offset = forward->config.norm_offset,
                                 .eps = (float)forward->config.norm_eps};
}

static bool norm(struct forward *forward, const float *x, const float *gain, size_t n)
{
    const struct kernels_norm by = norm_by(forward, gain);

    return forward->kernels->rms_norm(forward->normed, x, &by, n, forward->config.width);
}

static void bias(const struct forward *forward, float *x, const float *bias_or_null, size_t n,
                 size_t width)
{
    if (bias_or_null != NULL) {
        forward->kernels->add_bias(x, bias_or_null, n, width);
    }
}

/* A product that ends a branch: weights [D, k], their bias, and the norm of the result, the latter
 * two NULL when there is none. */
struct ending {
    const float *weights;
    size_t k;
    const float *bias, *norm;
};

/* x [n, D] += norm(weights mixed [n, k] + bias). */
static void join(struct forward *forward, const struct ending *ending, float *x, size_t n)
{
    size_t d = forward->config.width;

    if (ending->norm == NULL) {
        gemm_add(forward->kind, x, forward->mixed, ending->weights, n, d, ending->k);
        bias(forward, x, ending->bias, n, d);
        return;
    }
    const struct kernels_norm by = norm_by(forward, ending->norm);

    gemm(forward->kind, forward->normed, forward->mixed, ending->weights, n, d, ending->k);
    bias(forward, forward->normed, ending->bias, n, d);
    forward->kernels->add_rms_norm(x, forward->normed, &by, n, d);
}

/* Queries and keys [n, Q + E] in front of rows of wide: each head normed, then turned. */
static void place_heads(struct forward *forward, const struct weights_layer *layer, uint32_t number,
                        const uint32_t *depths, size_t n)
{
    const struct config *config = &forward->config;
    size_t stride = forward_qkv_width(config);
    size_t turning = rotary_width(config);
    bool local = config_rope_of(config, number) != &config->rope;

    if (layer->q_norm != NULL) {
        const struct kernels_norm q = norm_by(forward, layer->q_norm);
        const struct kernels_norm k = norm_by(forward, layer->k_norm);

        forward->kernels->norm_heads(forward->wide, stride, &q, n, config->n_heads,
                                     config->head_width);
        forward->kernels->norm_heads(forward->wide + forward_q_width(config), stride, &k, n,
                                     config->n_kv_heads, config->head_width);
    }
    forward->kernels->rotate(
        forward->wide, stride, forward->angles + (local ? forward->depth_max * turning : 0), depths,
        n, (size_t)config->n_heads + config->n_kv_heads, config->head_width, turning);
}

/* x += O attention(normed). */
static void attend(struct forward *forward, const struct weights_layer *layer, uint32_t number,
                   const struct forward_rows *rows)
{
    const struct config *config = &forward->config;
    size_t qkv = forward_qkv_width(config);
    struct attention_shape shape = forward->shape;

    shape.window = config_window(config, number);
    gemm(forward->kind, forward->wide, forward->normed, layer->qkv, rows->n, qkv, config->width);
    bias(forward, forward->wide, layer->qkv_bias, rows->n, qkv);
    place_heads(forward, layer, number, rows->depths, rows->n);
    if (forward->lines.pass == FORWARD_SCORE) {
        forward->attention->attend(forward->mixed, forward->wide, rows->depths, rows->n, &shape,
                                   rows->stack, forward->scratch);
    } else {
        generate_attend(forward, number, rows, &shape);
    }
    join(forward,
         &(struct ending){layer->o, forward_q_width(config), layer->o_bias, layer->attention_norm},
         rows->x, rows->n);
}

/* x [n, D] += down(silu(gate) * up) of normed. */
static void run_mlp(struct forward *forward, const struct weights_layer *layer, float *x, size_t n)
{
    size_t d = forward->config.width;
    size_t f = forward->config.mlp_width;

    gemm(forward->kind, forward->wide, forward->normed, layer->gate_up, n, 2 * f, d);
    bias(forward, forward->wide, layer->gate_up_bias, n, 2 * f);
    if (forward->config.activation == CONFIG_GELU_TANH) {
        forward->kernels->gelu_up(forward->mixed, forward->wide, n, f);
    } else {
        forward->kernels->silu_up(forward->mixed, forward->wide, n, f);
    }
    join(forward, &(struct ending){layer->down, f, layer->down_bias, layer->mlp_out_norm}, x, n);
}

static int not_finite(uint32_t layer, const char *part, struct err *err)
{
    return err_set(err, ERR_NUMERIC, "layer %u: %s gave numbers that are not finite", layer, part);
}

/* A norm meets every number of the stream, so it is where one that is not finite is noticed; what
 * it got there came from the step before. */
static int run_layer(struct forward *forward, const struct weights *weights, uint32_t number,
                     const struct trie_nodes *nodes, struct stretch batch, struct err *err)
{
    const struct weights_layer *layer = weights_layer(weights, number);
    size_t own_stack = forward->n_stacks > 1 ? number : 0;
    float *stack = forward->stacks + own_stack * attention_stack_floats(&forward->shape);

    for (size_t at = 0; at < batch.n; at += FORWARD_CHUNK) {
        const struct forward_rows rows = {.first = batch.first + at,
                                          .n = forward_smaller(batch.n - at, FORWARD_CHUNK),
                                          .depths = nodes->depths + batch.first + at,
                                          .x = forward->x + at * forward->config.width,
                                          .stack = stack};

        if (!norm(forward, rows.x, layer->input_norm, rows.n)) {
            return number == 0 ? err_set(err, ERR_NUMERIC, "embeddings are not finite")
                               : not_finite(number - 1, "MLP", err);
        }
        attend(forward, layer, number, &rows);
        if (!norm(forward, rows.x, layer->mlp_norm, rows.n)) {
            return not_finite(number, "attention", err);
        }
        run_mlp(forward, layer, rows.x, rows.n);
    }
    return 0;
}

/* Where a pass begins. */
struct start {
    const struct trie *trie; /* what a keeper knows the pass by; NULL: it is not asked */
    uint32_t n_layers;       /* left out, and */
    const float *x;          /* [nodes, D] the stream behind them; NULL: of tokens */
};

static struct start find_start(const struct forward *forward, const struct trie *trie)
{
    const struct forward_keeper *keeper = &forward->keeper;
    struct start start = {.trie = trie};

    if (keeper->find != NULL) {
        start.n_layers = keeper->find(keeper->context, trie, &start.x);
    }
    return start;
}

/* Put the stream of a batch where the first layer to run expects it. */
static int begin_stream(struct forward *forward, const struct weights *weights,
                        const struct trie_nodes *nodes, struct stretch batch,
                        const struct start *start, struct err *err)
{
    size_t d = forward->config.width;

    if (start->x != NULL) {
        memcpy(forward->x, start->x + batch.first * d, batch.n * d * sizeof(float));
        return 0;
    }
    int rc = weights_stage(weights, 0, err);
    if (rc == 0) {
        embed(forward, weights, nodes, batch);
    }
    return rc;
}

/* The layers before `end`. */
static int run_until(struct forward *forward, const struct weights *weights,
                     const struct trie_nodes *nodes, struct stretch batch,
                     const struct start *start, uint32_t end, struct err *err)
{
    const struct forward_keeper *keeper = &forward->keeper;
    int rc = begin_stream(forward, weights, nodes, batch, start, err);

    for (uint32_t layer = start->n_layers; layer < end && rc == 0; layer++) {
        rc = weights_stage(weights, 1 + layer, err);
        if (rc == 0) {
            rc = run_layer(forward, weights, layer, nodes, batch, err);
        }
        if (rc == 0) {
            forward->blocks += batch.n;
        }
        if (rc == 0 && start->trie != NULL && keeper->keep != NULL) {
            keeper->keep(keeper->context, start->trie, layer + 1, batch.first, batch.n, forward->x);
        }
    }
    return rc;
}

static int run_layers(struct forward *forward, const struct weights *weights,
                      const struct trie_nodes *nodes, struct stretch batch,
                      const struct start *start, struct err *err)
{
    int rc = run_until(forward, weights, nodes, batch, start, forward->config.n_layers, err);

    if (rc != 0) {
        return rc;
    }
    forward->positions += batch.n;
    return weights_stage(weights, forward->config.n_layers + 1, err);
}

/* ---- logits ---- */

/* normed = final norm of the n scored nodes from `scored` on, which lie in the batch. */
static int gather(struct forward *forward, const struct weights *weights, const uint32_t *scored,
                  size_t n, struct stretch batch, struct err *err)
{
    size_t d = forward->config.width;

    for (size_t i = 0; i < n; i++) {
        memcpy(forward->mixed + i * d, forward->x + (scored[i] - batch.first) * d,
               d * sizeof(float));
    }
    if (!norm(forward, forward->mixed, weights_final_norm(weights), n)) {
        return not_finite(forward->config.n_layers - 1, "MLP", err);
    }
    return 0;
}

/* Columns [column, column + width) of the logits of n gathered rows, into wide. */
static void make_panel(struct forward *forward, const struct weights *weights, size_t n,
                       size_t column, size_t width)
{
    size_t d = forward->config.width;
    const float *head = weights_head_rows(weights, column, width, forward->packed, forward->panel);

    gemm(forward->kind, forward->wide, forward->normed, head, n, width, d);
    if (forward->config.logit_cap > 0) {
        forward->kernels->soft_cap(forward->wide, n * width, (float)forward->config.logit_cap);
    }
}

/* Scored nodes [first, first + n) of the trie, gathered; *target is the first target that asks
 * about them, and moves on. */
static void score_gathered(struct forward *forward, const struct weights *weights,
                           const struct trie_nodes *nodes, size_t first, size_t n, size_t *target)
{
    size_t vocab = forward->config.vocab;
    size_t end = *target;

    memset(forward->softmax, 0, n * sizeof(forward->softmax[0]));
    for (size_t column = 0; column < vocab; column += FORWARD_PANEL) {
        size_t width = forward_smaller(vocab - column, FORWARD_PANEL);

        make_panel(forward, weights, n, column, width);
        for (size_t i = 0; i < n; i++) {
            forward->kernels->softmax_add(&forward->softmax[i], forward->wide + i * width, width,
                                          (uint32_t)column);
        }
        for (end = *target; end < nodes->n_targets; end++) {
            const struct trie_target *asked = &nodes->targets[end];

            if (asked->scored >= first + n) {
                break;
            }
            if (asked->token >= column && asked->token < column + width) {
                forward->target_logits[end] =
                    forward->wide[(asked->scored - first) * width + asked->token - column];
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        const struct kernels_softmax *softmax = &forward->softmax[i];

        forward->log_sums[first + i] = (double)softmax->largest + log(softmax->sum);
        forward->most_likely[first + i] = softmax->at;
        forward->largest[first + i] = softmax->largest;
    }
    *target = end;
}

/* How far into a trie's scored nodes and targets the batches have come. */
struct progress {
    size_t scored, target;
};

static int score_batch(struct forward *forward, const struct weights *weights,
                       const struct trie_nodes *nodes, struct stretch batch,
                       struct progress *progress, struct err *err)
{
    for (;;) {
        size_t first = progress->scored;
        size_t n = 0;

        while (n < FORWARD_CHUNK && first + n < nodes->n_scored &&
               nodes->scored[first + n] < batch.first + batch.n) {
            n++;
        }
        if (n == 0) {
            return 0;
        }
        int rc = gather(forward, weights, nodes->scored + first, n, batch, err);
        if (rc != 0) {
            return rc;
        }
        score_gathered(forward, weights, nodes, first, n, &progress->target);
        progress->scored += n;
    }
}

/* A logit that is NaN or infinite shows in the sum of its node, minus infinity only in itself. */
static int check_logits(const struct forward *forward, const struct trie_nodes *nodes,
                        struct err *err)
{
    bool finite = true;

    for (size_t i = 0; i < nodes->n_scored; i++) {
        finite = finite && isfinite(forward->log_sums[i]);
    }
    for (size_t i = 0; i < nodes->n_targets; i++) {
        finite = finite && isfinite(forward->target_logits[i]);
    }
    return finite ? 0 : err_set(err, ERR_NUMERIC, "logits are not finite");
}

/* What each sequence asked for, from what was found at its nodes. */
static void take_results(const struct forward *forward, const struct trie_nodes *nodes,
                         struct forward_result *results)
{
    for (size_t s = 0; s < nodes->n_sequences; s++) {
        struct forward_result result = {.greedy = true, .next = TRIE_NONE};

        for (size_t i = nodes->asked_from[s]; i < nodes->asked_from[s + 1]; i++) {
            const struct trie_target *target = &nodes->targets[nodes->asked[i]];
            double logit = (double)forward->target_logits[nodes->asked[i]];

            result.loglikelihood += logit - forward->log_sums[target->scored];
            result.greedy = result.greedy && forward->most_likely[target->scored] == target->token;
        }
        if (nodes->next[s] != TRIE_NONE) {
            result.next = forward->most_likely[nodes->next[s]];
        }
        results[s] = result;
    }
}

/* ---- the door ---- */

static int check_trie(const struct forward *forward, const struct trie_nodes *nodes,
                      struct err *err)
{
    const struct config *config = &forward->config;

    if (nodes->token_max >= config->vocab) {
        return err_set(err, ERR_LIMIT, "token %u is outside the vocabulary of %u", nodes->token_max,
                       config->vocab);
    }
    uint32_t longest = config_positions_max(config);
    if (longest > 0 && nodes->depth_max > longest) {
        return err_set(err, ERR_LIMIT,
                       "a sequence of %zu tokens: this rotary scaling is supported up to the "
                       "length before it, %u",
                       nodes->depth_max, longest);
    }
    return 0;
}

/* Before any layer runs over nodes. */
static int begin(struct forward *forward, const struct weights *weights,
                 const struct trie_nodes *nodes, struct err *err)
{
    assert(weights_config(weights)->width == forward->config.width &&
           weights_config(weights)->n_layers == forward->config.n_layers &&
           weights_config(weights)->vocab == forward->config.vocab &&
           weights_kind(weights).numeric == forward->kind.numeric);
    forward->kind = weights_kind(weights);
    int rc = check_trie(forward, nodes, err);

    return rc != 0 ? rc : forward_fit(forward, nodes, err);
}

static int pass_from(struct forward *forward, const struct weights *weights,
                     const struct trie_nodes *nodes, const struct start *start, struct err *err)
{
    const size_t most = forward_batch_max(forward->positions_max, nodes->depth_max);
    struct progress progress = {0};
    int rc = begin(forward, weights, nodes, err);

    assert(nodes->n <= most || forward->positions_max != FORWARD_BY_LAYER ||
           start->n_layers == forward->config.n_layers);
    for (size_t first = 0, n; first < nodes->n && rc == 0; first += n) {
        n = forward_smaller(nodes->n - first, most);
        struct stretch batch = {first, n};

        rc = run_layers(forward, weights, nodes, batch, start, err);
        if (rc == 0) {
            rc = score_batch(forward, weights, nodes, batch, &progress, err);
        }
    }
    return rc != 0 ? rc : check_logits(forward, nodes, err);
}

int forward_pass(struct forward *forward, const struct weights *weights,
                 const struct trie_nodes *nodes, struct err *err)
{
    return pass_from(forward, weights, nodes, &(struct start){0}, err);
}

int forward_score(struct forward *forward, const struct weights *weights, const struct trie *trie,
                  struct forward_result *results, struct err *err)
{
    const struct start start = find_start(forward, trie);
    const int rc = pass_from(forward, weights, trie_nodes(trie), &start, err);

    if (rc == 0) {
        take_results(forward, trie_nodes(trie), results);
    }
    return rc;
}

/* ---- a stream by itself ---- */

/* x becomes the stream behind the layers before `end`. */
static int advance(struct forward *forward, const struct weights *weights,
                   const struct start *start, uint32_t end, float *x, struct err *err)
{
    const struct trie_nodes *nodes = trie_nodes(start->trie);
    const size_t most = forward_batch_max(forward->positions_max, nodes->depth_max);
    size_t d = forward->config.width;
    int rc = begin(forward, weights, nodes, err);

    for (size_t first = 0, n; first < nodes->n && rc == 0; first += n) {
        n = forward_smaller(nodes->n - first, most);
        rc = run_until(forward, weights, nodes, (struct stretch){first, n}, start, end, err);
        memcpy(x + first * d, forward->x, (rc == 0 ? n : 0) * d * sizeof(float));
    }
    return rc;
}

int forward_embed(struct forward *forward, const struct weights *weights, const struct trie *trie,
                  float *x, struct err *err)
{
    return advance(forward, weights, &(struct start){.trie = trie}, 0, x, err);
}

int forward_advance(struct forward *forward, const struct weights *weights, const struct trie *trie,
                    uint32_t layer, float *x, struct err *err)
{
    const struct start start = {.trie = trie, .n_layers = layer, .x = x};

    return advance(forward, weights, &start, layer + 1, x, err);
}

struct forward_place forward_place_at(const struct forward *forward, size_t scored)
{
    return (struct forward_place){.loglikelihood = (double)NAN,
                                  .best = forward->most_likely[scored],
                                  .best_loglikelihood =
                                      (double)forward->largest[scored] - forward->log_sums[scored]};
}

struct forward_place forward_place(const struct forward *forward, const struct trie *trie,
                                   size_t sequence, size_t i)
{
    const struct trie_nodes *nodes = trie_nodes(trie);
    const size_t at = nodes->asked_from[sequence] + i;
    double loglikelihood = (double)NAN;
    size_t scored = nodes->next[sequence];

    assert(at <= nodes->asked_from[sequence + 1]);
    if (at < nodes->asked_from[sequence + 1]) {
        const uint32_t target = nodes->asked[at];

        scored = nodes->targets[target].scored;
        loglikelihood = (double)forward->target_logits[target] - forward->log_sums[scored];
    }
    assert(scored < nodes->n_scored);
    struct forward_place place = forward_place_at(forward, scored);

    place.loglikelihood = loglikelihood;
    return place;
}

/* Logits [n, V] of the batch's nodes, all of which are scored. */
static int copy_logits(struct forward *forward, const struct weights *weights,
                       const struct trie_nodes *nodes, struct stretch batch, float *logits,
                       struct err *err)
{
    size_t vocab = forward->config.vocab;

    for (size_t at = 0; at < batch.n; at += FORWARD_CHUNK) {
        size_t n = forward_smaller(batch.n - at, FORWARD_CHUNK);
        int rc = gather(forward, weights, nodes->scored + batch.first + at, n, batch, err);

        if (rc != 0) {
            return rc;
        }
        for (size_t column = 0; column < vocab; column += FORWARD_PANEL) {
            size_t width = forward_smaller(vocab - column, FORWARD_PANEL);

            make_panel(forward, weights, n, column, width);
            for (size_t i = 0; i < n; i++) {
                memcpy(logits + (at + i) * vocab + column, forward->wide + i * width,
                       width * sizeof(float));
            }
        }
    }
    return 0;
}

int forward_logits(struct forward *forward, const struct weights *weights, const uint32_t *tokens,
                   size_t n, float *logits, struct err *err)
{
    struct trie *trie = trie_new();
    int rc = trie_add(trie, tokens, n, 1, true, err);

    if (rc == 0) {
        rc = trie_finish(trie, err);
    }
    if (rc == 0) {
        rc = begin(forward, weights, trie_nodes(trie), err);
    }
    const size_t most = forward_batch_max(forward->positions_max, n);
    for (size_t first = 0, now; first < n && rc == 0; first += now) {
        now = forward_smaller(n - first, most);
        struct stretch batch = {first, now};

        rc = run_layers(forward, weights, trie_nodes(trie), batch, &(struct start){0}, err);
        if (rc == 0) {
            rc = copy_logits(forward, weights, trie_nodes(trie), batch,
                             logits + first * forward->config.vocab, err);
        }
    }
    trie_free(trie);
    return rc;
}

void forward_keep(struct forward *forward, const struct forward_keeper *keeper)
{
    forward->keeper = keeper != NULL ? *keeper : (struct forward_keeper){0};
}

uint64_t forward_positions(const struct forward *forward)
{
    return forward->positions;
}

uint64_t forward_blocks(const struct forward *forward)
{
    return forward->blocks;
}

const char *forward_path(const struct forward *forward)
{
    return gemm_path(forward->kind.numeric);
}
