/*
 * forward_scratch.c - the forward pass's scratch, taken once.
 *
 * Buffers of a chunk and of a panel of the head depend on the model alone. The residual
 * stream, the stacks of keys and values, and what is found at scored nodes depend on the trie: they
 * grow to the largest one seen. Candidates after the first find everything in place.
 */
#include "evaluator/model/forward_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/model/gemm.h"
#include "evaluator/model/generate.h"
#include "evaluator/model/rotary.h"

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Rows of the buffers of a chunk. */
static size_t wide_width(const struct config *config)
{
    return larger(larger(forward_qkv_width(config), 2 * (size_t)config->mlp_width), FORWARD_PANEL);
}

static size_t mixed_width(const struct config *config)
{
    return larger(larger(forward_q_width(config), config->mlp_width), config->width);
}

static size_t chunk_floats(const struct config *config)
{
    return (config->width + wide_width(config) + mixed_width(config)) * FORWARD_CHUNK;
}

static int take_chunk(struct forward *forward, struct err *err)
{
    const struct config *config = &forward->config;

    forward->chunk =
        mem_try_block(chunk_floats(config), sizeof(float), "activations of a chunk", err);
    if (forward->chunk == NULL) {
        return ERR_MEMORY;
    }
    forward->normed = forward->chunk;
    forward->wide = forward->normed + config->width * FORWARD_CHUNK;
    forward->mixed = forward->wide + wide_width(config) * FORWARD_CHUNK;
    forward->softmax = mem_array(FORWARD_CHUNK, sizeof(struct kernels_softmax));
    return 0;
}

static size_t panel_floats(const struct config *config, enum numeric numeric)
{
    return gemm_packed_floats((struct gemm_kind){.numeric = numeric}, FORWARD_PANEL,
                              config->width) +
           FORWARD_PANEL * config->width;
}

static int take_panel(struct forward *forward, struct err *err)
{
    const struct config *config = &forward->config;

    forward->packed = mem_try_block(panel_floats(config, forward->kind.numeric), sizeof(float),
                                    "a panel of the head", err);
    if (forward->packed == NULL) {
        return ERR_MEMORY;
    }
    forward->panel =
        forward->packed + gemm_packed_floats(forward->kind, FORWARD_PANEL, config->width);
    return 0;
}

int forward_new(struct forward **out, const struct config *config, size_t positions_max,
                struct err *err)
{
    return forward_new_on(out, config, NUMERIC_F32, positions_max, err);
}

int forward_new_on(struct forward **out, const struct config *config, enum numeric numeric,
                   size_t positions_max, struct err *err)
{
    int rc = config_runnable(config, err);

    if (rc == 0 && rotary_width(config) % 2 != 0) {
        rc = err_set(err, ERR_FORMAT, "rotary pairs need an even head width, not %zu",
                     rotary_width(config));
    }
    if (rc != 0) {
        return err_wrap(err, "%s", config->architecture);
    }
    struct forward *forward = mem_array(1, sizeof(*forward));

    forward->config = *config;
    forward->kind.numeric = numeric;
    forward->kernels = kernels_for(isa_best());
    forward->attention = attention_for(isa_best());
    forward->positions_max = positions_max;
    generate_allow(forward, 0);
    rc = take_chunk(forward, err);
    if (rc == 0) {
        rc = take_panel(forward, err);
    }
    if (rc != 0) {
        forward_free(forward);
        return rc;
    }
    *out = forward;
    return 0;
}

static void drop_trie_buffers(struct forward *forward)
{
    free(forward->x);
    free(forward->angles);
    free(forward->stacks);
    free(forward->scratch);
    free(forward->log_sums);
    free(forward->most_likely);
    free(forward->largest);
    free(forward->target_logits);
    forward->x = NULL;
    forward->angles = NULL;
    forward->stacks = NULL;
    forward->scratch = NULL;
    forward->log_sums = NULL;
    forward->most_likely = NULL;
    forward->largest = NULL;
    forward->target_logits = NULL;
    forward->rows = 0;
}

void forward_free(struct forward *forward)
{
    if (forward != NULL) {
        drop_trie_buffers(forward);
        free(forward->chunk);
        free(forward->packed);
        free(forward->softmax);
        free(forward->lines.stacks);
        free(forward);
    }
}

bool forward_adopt(struct forward *forward, const struct config *config)
{
    if (!config_equal_but_layers(&forward->config, config)) {
        return false;
    }
    if (forward->config.n_layers != config->n_layers) { /* lines are of all layers */
        generate_release(forward);
    }
    forward->config = *config;
    return true;
}

/* [n, m] floats, zero. */
static float *take_zeroed(size_t n, size_t m, const char *what, struct err *err)
{
    size_t n_floats;

    if (!mem_multiply(n, m, &n_floats)) {
        n_floats = SIZE_MAX; /* refused as too large */
    }
    float *block = mem_try_block(n_floats, sizeof(float), what, err);
    if (block != NULL) {
        memset(block, 0, n_floats * sizeof(float));
    }
    return block;
}

/* Buffers for the sizes that forward names. */
static int take_trie_buffers(struct forward *forward, struct err *err)
{
    const struct config *config = &forward->config;
    const double scalar = config->query_scalar > 0 ? config->query_scalar : config->head_width;
    const size_t n_angles = forward->depth_max * rotary_width(config);
    const bool two_kinds = config->local_rope.theta > 0;

    forward->shape = (struct attention_shape){.n_heads = config->n_heads,
                                              .n_kv_heads = config->n_kv_heads,
                                              .head_width = config->head_width,
                                              .depth_max = forward->depth_max,
                                              .scale = (float)(1.0 / sqrt(scalar)),
                                              .cap = (float)config->attention_cap};
    forward->x = take_zeroed(forward->rows, config->width, "residual stream", err);
    forward->angles = take_zeroed(n_angles, two_kinds ? 2 : 1, "rotary angles", err);
    forward->stacks = take_zeroed(forward->n_stacks, attention_stack_floats(&forward->shape),
                                  "keys and values", err);
    forward->scratch =
        take_zeroed(attention_scratch_floats(&forward->shape), 1, "attention scores", err);
    forward->log_sums = mem_try(forward->n_scored, sizeof(double), "scores", err);
    forward->most_likely = mem_try(forward->n_scored, sizeof(uint32_t), "scores", err);
    forward->largest = mem_try(forward->n_scored, sizeof(float), "scores", err);
    forward->target_logits = mem_try(forward->n_targets, sizeof(float), "scores", err);
    if (forward->x == NULL || forward->angles == NULL || forward->stacks == NULL ||
        forward->scratch == NULL || forward->log_sums == NULL || forward->most_likely == NULL ||
        forward->largest == NULL || forward->target_logits == NULL) {
        drop_trie_buffers(forward);
        return ERR_MEMORY;
    }
    rotary_angles(forward->angles, config, &config->rope, forward->depth_max);
    if (two_kinds) {
        rotary_angles(forward->angles + n_angles, config, &config->local_rope, forward->depth_max);
    }
    return 0;
}

size_t forward_batch_max(size_t positions_max, size_t depth_max)
{
    if (positions_max == FORWARD_BY_LAYER) {
        return larger(FORWARD_POSITIONS, depth_max);
    }
    return positions_max > 0 ? positions_max : FORWARD_POSITIONS;
}

/* Stacks of keys and values for n nodes: of one layer at a time, or of all where batches go on with
 * what is there. */
static size_t count_stacks(const struct config *config, size_t positions_max, size_t n, size_t most)
{
    return n > most && positions_max != FORWARD_BY_LAYER ? config->n_layers : 1;
}

size_t forward_bytes(const struct config *config, enum numeric numeric, size_t positions_max,
                     const struct trie_nodes *nodes)
{
    size_t most = forward_batch_max(positions_max, nodes->depth_max);
    const struct attention_shape shape = {.n_heads = config->n_heads,
                                          .n_kv_heads = config->n_kv_heads,
                                          .head_width = config->head_width,
                                          .depth_max = nodes->depth_max};
    size_t angles = nodes->depth_max * rotary_width(config);
    size_t floats =
        chunk_floats(config) + panel_floats(config, numeric) +
        forward_smaller(nodes->n, most) * config->width +
        angles * (config->local_rope.theta > 0 ? 2 : 1) +
        attention_stack_floats(&shape) * count_stacks(config, positions_max, nodes->n, most) +
        attention_scratch_floats(&shape) + nodes->n_targets;

    return floats * sizeof(float) +
           nodes->n_scored * (sizeof(double) + sizeof(uint32_t) + sizeof(float));
}

int forward_fit(struct forward *forward, const struct trie_nodes *nodes, struct err *err)
{
    size_t most = forward_batch_max(forward->positions_max, nodes->depth_max);
    size_t rows = forward_smaller(nodes->n, most);
    size_t n_stacks = count_stacks(&forward->config, forward->positions_max, nodes->n, most);

    if (forward->rows > 0 && rows <= forward->rows && nodes->depth_max <= forward->depth_max &&
        n_stacks <= forward->n_stacks && nodes->n_scored <= forward->n_scored &&
        nodes->n_targets <= forward->n_targets) {
        return 0;
    }
    drop_trie_buffers(forward);
    forward->rows = larger(larger(rows, forward->rows), 1);
    forward->depth_max = larger(larger(nodes->depth_max, forward->depth_max), 1);
    forward->n_stacks = larger(n_stacks, forward->n_stacks);
    forward->n_scored = larger(nodes->n_scored, forward->n_scored);
    forward->n_targets = larger(nodes->n_targets, forward->n_targets);
    return take_trie_buffers(forward, err);
}
