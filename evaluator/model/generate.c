/*
 * generate.c - lines in slots, a token of each at a time.
 *
 *   slots   0: [layer 0 | layer 1 | ..]   1: [layer 0 | layer 1 | ..]   ..
 *           each layer a whole stack of attention.h, as long as the longest line
 *
 * A step is a pass of the forward pass like any other, over as many nodes as there are open lines:
 * only attention differs, where each node is on a path of its own. So nothing of the layers, nor of
 * the logits, is written twice.
 */
#include "evaluator/model/generate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/model/forward_internal.h"
#include "evaluator/model/trie.h"

/* ---- slots ---- */

static struct attention_shape line_shape(const struct config *config, size_t depth)
{
    return (struct attention_shape){.n_heads = config->n_heads,
                                    .n_kv_heads = config->n_kv_heads,
                                    .head_width = config->head_width,
                                    .depth_max = depth};
}

size_t generate_line_bytes(const struct config *config, size_t depth)
{
    const struct attention_shape shape = line_shape(config, depth);

    return config->n_layers * attention_stack_floats(&shape) * sizeof(float);
}

/* As many lines as fit into bytes, one at least. */
static size_t lines_within(const struct config *config, size_t n_lines, size_t depth, size_t bytes)
{
    const size_t fitting = bytes / generate_line_bytes(config, depth);
    const size_t wanted = forward_smaller(n_lines, GENERATE_LINES);

    return forward_smaller(wanted, fitting > 0 ? fitting : 1);
}

size_t generate_bytes(const struct config *config, size_t n_lines, size_t depth, size_t allowed)
{
    return n_lines == 0
               ? 0
               : lines_within(config, n_lines, depth, allowed) * generate_line_bytes(config, depth);
}

void generate_allow(struct forward *forward, size_t bytes)
{
    forward->lines.bytes = bytes > 0 ? bytes : GENERATE_BYTES;
}

void generate_release(struct forward *forward)
{
    free(forward->lines.stacks);
    forward->lines = (struct forward_lines){.bytes = forward->lines.bytes};
}

/* Room for lines that long, n of them if they fit; nothing is taken when it is there. */
static int reserve(struct forward *forward, size_t n, size_t depth, struct err *err)
{
    struct forward_lines *lines = &forward->lines;
    const size_t longest = depth > lines->shape.depth_max ? depth : lines->shape.depth_max;
    const size_t n_slots = lines_within(&forward->config, n > lines->n_slots ? n : lines->n_slots,
                                        longest, lines->bytes);
    size_t bytes = 0;

    if (longest == lines->shape.depth_max && n_slots <= lines->n_slots) {
        return 0;
    }
    free(lines->stacks);
    lines->n_slots = 0;
    lines->shape = line_shape(&forward->config, longest);
    if (!mem_multiply(n_slots, generate_line_bytes(&forward->config, longest), &bytes)) {
        bytes = SIZE_MAX; /* refused as too large */
    }
    lines->stacks = mem_try_block(bytes, 1, "keys and values of generated lines", err);
    if (lines->stacks == NULL) {
        return ERR_MEMORY;
    }
    memset(lines->stacks, 0, bytes);
    lines->n_slots = n_slots;
    return 0;
}

static float *slot_stack(const struct forward *forward, uint32_t slot, uint32_t layer)
{
    const struct forward_lines *lines = &forward->lines;
    const size_t at = (size_t)slot * forward->config.n_layers + layer;

    return lines->stacks + at * attention_stack_floats(&lines->shape);
}

/* ---- attention of a pass ---- */

/* Every node goes on where its line is. */
static void attend_lines(struct forward *forward, uint32_t layer, const struct forward_rows *rows,
                         const struct attention_shape *shape)
{
    const size_t q = forward_q_width(&forward->config);
    const size_t qkv = forward_qkv_width(&forward->config);
    struct attention_shape own = *shape;

    own.depth_max = forward->lines.shape.depth_max;
    for (size_t i = 0; i < rows->n; i++) {
        forward->attention->attend(
            forward->mixed + i * q, forward->wide + i * qkv, rows->depths + i, 1, &own,
            slot_stack(forward, forward->lines.ends[rows->first + i].slot, layer),
            forward->scratch);
    }
}

/* Nodes of a trie, with a halt at each that ends a prompt: what is on the stack then is its own. */
static void attend_prompts(struct forward *forward, uint32_t layer, const struct forward_rows *rows,
                           const struct attention_shape *shape)
{
    const struct forward_lines *lines = &forward->lines;
    const size_t q = forward_q_width(&forward->config);
    const size_t qkv = forward_qkv_width(&forward->config);
    size_t end = 0;

    while (end < lines->n_ends && lines->ends[end].node < rows->first) {
        end++;
    }
    for (size_t at = 0, n; at < rows->n; at += n) {
        n = rows->n - at;
        if (end < lines->n_ends) {
            n = forward_smaller(n, lines->ends[end].node + 1 - rows->first - at);
        }
        forward->attention->attend(forward->mixed + at * q, forward->wide + at * qkv,
                                   rows->depths + at, n, shape, rows->stack, forward->scratch);
        for (; end < lines->n_ends && lines->ends[end].node + 1 == rows->first + at + n; end++) {
            attention_copy_stack(slot_stack(forward, lines->ends[end].slot, layer), &lines->shape,
                                 rows->stack, shape, rows->depths[at + n - 1] + 1);
        }
    }
}

void generate_attend(struct forward *forward, uint32_t layer, const struct forward_rows *rows,
                     const struct attention_shape *shape)
{
    if (forward->lines.pass == FORWARD_STEP) {
        attend_lines(forward, layer, rows, shape);
    } else {
        attend_prompts(forward, layer, rows, shape);
    }
}

/* ---- lines ---- */

struct line {
    size_t number;
    uint32_t token; /* the newest, which has not passed the layers */
    uint32_t slot;
    size_t n; /* tokens, that one included */
};

struct generation {
    struct forward *forward;
    const struct weights *weights;
    const struct generate_prompt *prompts;
    const struct generate_sink *sink;
    size_t n, taken;  /* prompts, and how many of them have a line already */
    size_t slots;     /* lines at a time */
    size_t depth_max; /* the longest line */
    size_t at_most;   /* tokens, of all lines together */
    size_t settled;   /* of those: found, or will never be */
    struct line *open;
    size_t n_open;
    uint32_t *vacant; /* [n_vacant] slots */
    size_t n_vacant;

    /* Of a pass, [slots] each. */
    struct forward_end *ends;
    uint32_t *tokens, *depths, *scored;
};

static void generation_init(struct generation *made)
{
    made->open = mem_array(made->slots, sizeof *made->open);
    made->vacant = mem_array(made->slots, sizeof *made->vacant);
    made->ends = mem_array(made->slots, sizeof *made->ends);
    made->tokens = mem_array(made->slots, sizeof *made->tokens);
    made->depths = mem_array(made->slots, sizeof *made->depths);
    made->scored = mem_array(made->slots, sizeof *made->scored);
    made->n_vacant = made->slots;
    for (uint32_t i = 0; i < made->slots; i++) {
        made->vacant[i] = i;
    }
}

static void generation_release(struct generation *generation)
{
    free(generation->open);
    free(generation->vacant);
    free(generation->ends);
    free(generation->tokens);
    free(generation->depths);
    free(generation->scored);
}

/* A pass over nodes, whose ends are set; its attention goes by lines. */
static int pass(struct generation *generation, enum forward_pass_kind kind, struct trie_nodes nodes,
                size_t n_ends, struct err *err)
{
    struct forward *forward = generation->forward;

    nodes.depth_max = generation->depth_max; /* buffers are taken once */
    forward->lines.pass = kind;
    forward->lines.ends = generation->ends;
    forward->lines.n_ends = n_ends;
    const int rc = forward_pass(forward, generation->weights, &nodes, err);

    forward->lines.pass = FORWARD_SCORE;
    return rc;
}

/* The token found for a line joins it; the line stays open, or its slot becomes vacant. */
static void go_on(struct generation *generation, struct line line, size_t scored)
{
    const struct generate_prompt *prompt = &generation->prompts[line.number];
    struct forward_place place = forward_place_at(generation->forward, scored);

    place.loglikelihood = place.best_loglikelihood;
    line.token = place.best;
    line.n++;
    generation->settled++;
    if (generation->sink->take(generation->sink->context, line.number, &place) &&
        line.n < prompt->n + prompt->n_new) {
        generation->open[generation->n_open++] = line;
    } else {
        generation->vacant[generation->n_vacant++] = line.slot;
        generation->settled += prompt->n + prompt->n_new - line.n;
    }
}

static int by_node(const void *x, const void *y)
{
    const struct forward_end *a = x;
    const struct forward_end *b = y;

    if (a->node != b->node) {
        return a->node < b->node ? -1 : 1;
    }
    return a->slot < b->slot ? -1 : a->slot > b->slot;
}

/* Prompts first .. first + n of the trie take the last vacant slots. */
static int run_prompts(struct generation *generation, const struct trie *trie, size_t n,
                       struct err *err)
{
    const struct trie_nodes *nodes = trie_nodes(trie);
    uint32_t slots[GENERATE_LINES];

    for (size_t i = 0; i < n; i++) {
        slots[i] = generation->vacant[generation->n_vacant - 1 - i];
        generation->ends[i] = (struct forward_end){nodes->scored[nodes->next[i]], slots[i]};
    }
    qsort(generation->ends, n, sizeof *generation->ends, by_node);
    const int rc = pass(generation, FORWARD_PROMPTS, *nodes, n, err);
    if (rc != 0) {
        return rc;
    }
    generation->n_vacant -= n;
    for (size_t i = 0; i < n; i++) {
        const size_t number = generation->taken + i;

        go_on(generation,
              (struct line){.number = number, .slot = slots[i], .n = generation->prompts[number].n},
              nodes->next[i]);
    }
    generation->taken += n;
    return 0;
}

static int take_prompts(struct generation *generation, struct err *err)
{
    const size_t n = forward_smaller(generation->n - generation->taken, generation->n_vacant);
    struct trie *trie = trie_new();
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct generate_prompt *prompt = &generation->prompts[generation->taken + i];

        rc = trie_add(trie, prompt->tokens, prompt->n, prompt->n, true, err);
    }
    if (rc == 0) {
        rc = trie_finish(trie, err);
    }
    if (rc == 0) {
        rc = run_prompts(generation, trie, n, err);
    }
    trie_free(trie);
    return rc;
}

/* A token more for every open line. */
static int step(struct generation *generation, struct err *err)
{
    const size_t n = generation->n_open;
    const struct trie_nodes nodes = {.n = n,
                                     .tokens = generation->tokens,
                                     .depths = generation->depths,
                                     .n_scored = n,
                                     .scored = generation->scored};

    for (uint32_t i = 0; i < n; i++) {
        const struct line *line = &generation->open[i];

        generation->tokens[i] = line->token;
        generation->depths[i] = (uint32_t)line->n - 1;
        generation->scored[i] = i;
        generation->ends[i] = (struct forward_end){i, line->slot};
    }
    const int rc = pass(generation, FORWARD_STEP, nodes, n, err);
    if (rc != 0) {
        return rc;
    }
    generation->n_open = 0;
    for (size_t i = 0; i < n; i++) { /* never writes past line i */
        go_on(generation, generation->open[i], i);
    }
    return 0;
}

/* The sink lets it go on. */
static bool goes_on(const struct generation *generation)
{
    const struct generate_sink *sink = generation->sink;

    return sink->look == NULL ||
           sink->look(sink->context, (double)generation->settled / (double)generation->at_most);
}

static int run(struct generation *generation, struct err *err)
{
    int rc = 0;

    while (rc == 0 && (generation->n_open > 0 || generation->taken < generation->n) &&
           goes_on(generation)) {
        if (generation->taken < generation->n && generation->n_open <= generation->slots / 2) {
            rc = take_prompts(generation, err);
        } else {
            rc = step(generation, err);
        }
    }
    return rc;
}

int generate(struct forward *forward, const struct weights *weights,
             const struct generate_prompt *prompts, size_t n, const struct generate_sink *sink,
             struct err *err)
{
    struct generation generation = {
        .forward = forward, .weights = weights, .prompts = prompts, .n = n, .sink = sink};

    for (size_t i = 0; i < n; i++) {
        const size_t depth = prompts[i].n + prompts[i].n_new - 1; /* the last is only found */

        assert(prompts[i].n >= 1 && prompts[i].n_new >= 1);
        generation.depth_max = depth > generation.depth_max ? depth : generation.depth_max;
        generation.at_most += prompts[i].n_new;
    }
    if (n == 0) {
        return 0;
    }
    int rc = reserve(forward, n, generation.depth_max, err);
    if (rc == 0) {
        generation.slots = forward_smaller(n, forward->lines.n_slots);
        generation_init(&generation);
        rc = run(&generation, err);
        generation_release(&generation);
    }
    return rc;
}
